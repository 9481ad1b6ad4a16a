/* The root file system of a bwrap sandbox, made of the host's: an allow-list of system directories read-only,
 * everything else fresh and empty. What is not world-readable in /etc is not shown, whoever launches. */
#ifndef AILERON_SANDBOX_HOSTROOT_H
#define AILERON_SANDBOX_HOSTROOT_H

#include "core/base/err.h"
#include "core/base/mem.h"

/* Adds one NUL-terminated argument to the list that bwrap reads with --args. */
bool hostroot_arg(struct buf *args, const char *arg) MUSTUSE NONNULL;
/* Covers what of /proc is the host's; after the argument that mounts it. */
bool hostroot_add_proc(struct buf *args) MUSTUSE NONNULL;
/* Links to the browsers' policies, in directories of /etc that were made anew (anchor_below says which). */
bool hostroot_add_policies(const char *root, struct buf *args) MUSTUSE NONNULL;
/* Adds bwrap arguments for /usr, /bin, /lib*, /sbin, /opt, /nix, /etc, /dev, /proc, /tmp, /run, /var, /root
 * and /home of a root that is looked at under `root` ("" for the host's own; a test's directory). Mounts of
 * the session come after these. */
bool hostroot_build(const char *root, struct buf *args, struct err *err) MUSTUSE NONNULL;
/* Puts this bundle in the place of the root's own files of certificates; after hostroot_build. */
bool hostroot_add_roots(const char *root, const char *bundle, struct buf *args) MUSTUSE NONNULL;
/* Covers a directory (canonical; a home) where it lies in one that is shown whole: the agent has the uid of what is
 * his user's there. Nothing where it is not shown. */
bool hostroot_cover(const char *path, struct buf *args) MUSTUSE NONNULL;
/* Those entries of a PATH that exist in a sandbox with this root and these exposed paths; caller frees. */
char *hostroot_filter_path(const char *path, char *const *expose, size_t expose_count) MUSTUSE NONNULL;

#endif
