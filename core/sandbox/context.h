/* What goes into the build of an image, as one hash: an edit changes it, and nothing else does.
 *
 * It is taken over the Dockerfile's bytes and, where that copies from its context (the words COPY, ADD or --mount),
 * over every file of the context: its name, whether it can be executed, its contents, or where a symlink leads. Not
 * counted: .git, the dev container's own file (what it says of the build is counted by itself), and what
 * .dockerignore leaves out. Of that file's patterns `*`, `**` and `!` are read; one with `?`, `[` or `\` leaves
 * nothing out. So at worst too much is counted. Times and owners do not count. */
#ifndef AILERON_SANDBOX_CONTEXT_H
#define AILERON_SANDBOX_CONTEXT_H

#include "core/base/err.h"
#include "core/base/mem.h"
#include "tls/crypto.h"

enum {
    CONTEXT_DOCKERFILE_BYTES = 1024 * 1024,
    CONTEXT_FILES_MAX = 100000,
    CONTEXT_DEPTH_MAX = 64,
    CONTEXT_IGNORES_MAX = 256 /* patterns of .dockerignore */
};
#define CONTEXT_BYTES_MAX ((uint64_t)2 << 30)

struct context_ignores {
    char *patterns[CONTEXT_IGNORES_MAX];
    bool keeps[CONTEXT_IGNORES_MAX]; /* '!' */
    size_t count;
};
/* Patterns past the maximum leave nothing out, and neither do those before them. */
void context_ignores_parse(struct context_ignores *ignores, const char *text) NONNULL;
void context_ignores_clear(struct context_ignores *ignores) NONNULL;
/* path is relative to the context. */
bool context_ignored(const struct context_ignores *ignores, const char *path) MUSTUSE NONNULL;

/* Whether a Dockerfile takes anything from its context. */
bool context_is_used(const char *dockerfile) MUSTUSE NONNULL;
/* except: the canonical path of a file that does not count. ERR_LIMIT past one of the bounds (the hint: .dockerignore),
 * ERR_IO. No symlink is followed. */
bool context_hash(struct sha256 *hash, const char *context, const char *except, struct err *err) MUSTUSE NONNULL;

#endif
