/* tar archives, written: ustar with GNU's long names, as core/wire/tar.h and every tar read it. Bytes out, no I/O. */
#ifndef AILERON_WIRE_TAR_WRITE_H
#define AILERON_WIRE_TAR_WRITE_H

#include "core/base/mem.h"
#include "core/wire/tar.h"

#define TAR_WRITE_SIZE_MAX (UINT64_C(8) << 30) /* of a file, exclusive: what eleven octal digits hold */

struct tar_owner {
    uint32_t uid, gid;
};
/* The head of an entry of any type but TAR_OTHER: its bytes follow, then tar_write_padding of them. False: a name, a
 * target or a size that is too long, or out is full; out has nothing of it then. */
bool tar_write_head(struct buf *out, const struct tar_entry *entry, struct tar_owner owner) MUSTUSE NONNULL;
/* How many zero bytes follow a file of that size. */
size_t tar_write_padding(uint64_t size);
/* Two empty blocks. */
bool tar_write_end(struct buf *out) MUSTUSE NONNULL;

#endif
