/* Shared by the files that read a dev container: devcontainer.c (the file, its keys, what is built),
 * devcontainer_text.c (variables in texts, notes) and devcontainer_run.c (mounts, runArgs). */
#ifndef AILERON_SANDBOX_DEVCONTAINER_PRIVATE_H
#define AILERON_SANDBOX_DEVCONTAINER_PRIVATE_H

#include "core/data/json.h"
#include "core/sandbox/devcontainer.h"

/* Keeps what is not taken. key is shown escaped. */
void devcontainer_note(struct devcontainer *self, const char *key, const char *fmt, ...) NONNULL PRINTF(3, 4);
/* The text with its ${variables} put in; NULL where one is refused, and why (a constant) says why. Caller frees. */
char *devcontainer_expand(const struct devcontainer *self, const char *text, bool host_paths, const char **why)
    MUSTUSE NONNULL;
/* A path, from dir where it is relative, without "." and "..", whatever links there are on it. Caller frees. */
char *devcontainer_path(const char *dir, const char *path) MUSTUSE NONNULL;
/* One NAME=VALUE for the sandbox; key is where it stands. */
void devcontainer_set_env(struct devcontainer *self, struct plan *plan, const char *key, const char *name,
                          const char *value) NONNULL;
bool devcontainer_take_mounts(struct devcontainer *self, struct plan *plan, const struct json_at *root, struct err *err)
    MUSTUSE NONNULL;
bool devcontainer_take_run_args(struct devcontainer *self, struct plan *plan, const struct json_at *root,
                                struct err *err) MUSTUSE NONNULL;

#endif
