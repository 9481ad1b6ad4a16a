/* Environments: a list of NAME=value with one value a name, and the table of what a sandbox's programs get
 * (design 3): proxy variables in both cases, the certificate variables that clients read, AILERON_*. */
#ifndef AILERON_SANDBOX_ENV_H
#define AILERON_SANDBOX_ENV_H

#include "core/base/err.h"

enum {
    ENV_COUNT_MAX = 4096,      /* variables of one environment */
    ENV_VALUE_MAX = 128 * 1024 /* of "NAME=value"; Linux's MAX_ARG_STRLEN */
};

/* Owns its strings. `items` is NULL-terminated and may be given to execve as it is. Zero-initialise. */
struct env {
    char **items;
    size_t count, cap;
};

void env_clear(struct env *env) NONNULL;
/* Replaces the value that the name has. Past ENV_COUNT_MAX or ENV_VALUE_MAX: false, nothing changed. */
bool env_set(struct env *env, const char *name, const char *value) NONNULL;
void env_unset(struct env *env, const char *name) NONNULL;
const char *env_get(const struct env *env, const char *name) NONNULL; /* NULL: not set */
/* Adds every NAME=value of a NULL-terminated list; what is not of that form is left out. */
void env_add_all(struct env *env, char *const *items) NONNULL;
/* A portable name: letters, digits and underscores, no digit first, at most 128 bytes. */
bool env_name_valid(const char *name) NONNULL;
/* A name that decides what the sandbox's or the engine's own programs do (PATH, HOME, LD_*, DOCKER_*,
 * AILERON_*, the proxy and certificate variables): neither an agent file nor a binding may set it. */
bool env_name_reserved(const char *name) NONNULL;

/* The variables of the host's terminal and language that a sandbox gets (TERM, COLORTERM, LANG, LC_*, TZ,
 * NO_COLOR), out of a NULL-terminated list. Nothing else of the host's environment goes in. */
void env_add_terminal(struct env *env, char *const *host) NONNULL;

struct env_sandbox {
    const char *token;      /* the session's; a launch token, no credential of an upstream */
    const char *user;       /* name for USER and LOGNAME */
    const char *image_path; /* the image's own PATH, or NULL */
    bool sealed;
};
/* Writes the table over what env holds. */
bool env_apply_sandbox(struct env *env, const struct env_sandbox *sandbox, struct err *err) MUSTUSE NONNULL;

#endif
