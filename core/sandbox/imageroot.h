/* The root file system of a bwrap sandbox, made of a directory that is not the host's own root: all of it is shown
 * read-only, and nothing is ever written to it. A directory that we need is made beside its entries in a file system
 * in memory, so that the image may lack any of them. */
#ifndef AILERON_SANDBOX_IMAGEROOT_H
#define AILERON_SANDBOX_IMAGEROOT_H

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/sandbox/plan.h"

enum { IMAGEROOT_FILES_MAX = 10 };

/* A file of the sandbox's own in that root. */
struct imageroot_file {
    char *place;
    struct buf text;
    bool over; /* mounted over one that is there; else a new file */
};
struct imageroot {
    struct imageroot_file files[IMAGEROOT_FILES_MAX];
    size_t count;
};
void imageroot_clear(struct imageroot *root) NONNULL;

/* Adds bwrap arguments for the directory plan->root. `out` (zeroed by the caller) gets the files that go on top: names
 * and addresses, the image's own passwd and group with the agent in them, the image's roots with the session's. Mounts
 * of the session come after these. */
bool imageroot_build(const struct plan *plan, uid_t uid, gid_t gid, struct buf *args, struct imageroot *out,
                     struct err *err) MUSTUSE NONNULL;

#endif
