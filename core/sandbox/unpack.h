/* Unpacking an archive that may be hostile into a directory that is ours alone. Nothing is made outside it: names are
 * canonical (core/wire/tar.h), links on the way are followed with the directory as the root, devices refused. Owners,
 * set-id bits and attributes are left out: nothing that runs there could use them. */
#ifndef AILERON_SANDBOX_UNPACK_H
#define AILERON_SANDBOX_UNPACK_H

#include "core/base/err.h"

/* What is left of the bounds, for all archives of an image together. */
struct unpack_left {
    uint64_t bytes, entries;
};
#define UNPACK_BYTES_MAX (UINT64_C(32) << 30)
#define UNPACK_ENTRIES_MAX UINT64_C(2000000)

/* archive: plain, or as gzip, zstd or xz (by its first bytes; their programs are the host's). layer: its whiteouts take
 * away what is in the directory already. On failure the directory has some of it. */
bool unpack_archive(const char *archive, const char *dir, bool layer, struct unpack_left *left, struct err *err)
    MUSTUSE NONNULL;
/* The same from a pipe, plain, as bounded by left; devices and FIFOs are left out. Waits stall_ms for a byte, and
 * not at all (ERR_FAILED) where stop says so. An archive without its end mark is cut off, wherever that was: files that
 * are missing mean something to the caller. */
bool unpack_stream(int fd, const char *dir, int stall_ms, bool (*stop)(void), struct unpack_left *left,
                   struct err *err) MUSTUSE NONNULL;

#endif
