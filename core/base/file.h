/* Files: atomic write, capped read, owner checks. Paths are NUL-terminated; fds are close-on-exec. */
#ifndef AILERON_BASE_FILE_H
#define AILERON_BASE_FILE_H

#include "core/base/err.h"
#include "core/base/mem.h"

void file_close_ptr(int *fd); /* for CLEANUP; -1 is fine */
/* Reads a whole regular file of at most max bytes into out (initialised here with that max, empty on failure).
 * ERR_NOT_FOUND where there is none, ERR_LIMIT where it is larger, ERR_DATA where it is no regular file. */
bool file_read(const char *path, size_t max, struct buf *out, struct err *err) MUSTUSE NONNULL;
bool file_read_fd(int fd, size_t max, struct buf *out, struct err *err) MUSTUSE NONNULL; /* to EOF */
/* New file beside it, fsync, rename, fsync of the directory: the old or the new contents, never half. The mode is
 * exact (no umask). A symlink at path is replaced, not followed. */
bool file_write_atomic(const char *path, mode_t mode, const void *data, size_t len, struct err *err)
    MUSTUSE NONNULL_AT(1, 5);
/* Removes from dir what writers that were killed in file_write_atomic left there; only where none can be at work. */
void file_sweep_unfinished(const char *dir) NONNULL;
bool file_write_all(int fd, const void *data, size_t len, struct err *err) MUSTUSE NONNULL; /* EINTR, short writes */
/* mkdir -p; what it makes has exactly this mode (no umask). ERR_CONFLICT where a part is no directory. */
bool file_mkdirs(const char *path, mode_t mode, struct err *err) MUSTUSE NONNULL;
/* The directory is ours (euid) and closed to others (mode & 077 == 0), and no symlink: else ERR_CONFIG, and
 * ERR_NOT_FOUND where there is none. */
bool file_check_private_dir(const char *path, struct err *err) MUSTUSE NONNULL;
/* rm -rf of a file or a directory; true where there is none. Never follows a symlink and never enters a mounted
 * file system (ERR_CONFLICT: what is mounted there is someone's). A hostile tree (deep, unreadable) is fine. */
bool file_remove_tree(const char *path, struct err *err) MUSTUSE NONNULL;
bool file_exists(const char *path) NONNULL;
/* "dir/name" with one slash between, also for a name that begins with one. Caller frees. */
char *file_join(const char *dir, const char *name) MUSTUSE NONNULL;
/* A sealed memfd with these contents, read-only from then on, at offset 0; -1 and err on failure. */
int file_sealed(const char *name, const void *data, size_t len, struct err *err) MUSTUSE NONNULL_AT(1, 4);

#endif
