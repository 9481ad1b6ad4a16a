/* tar archives as bytes: ustar, pax (path, linkpath, size, mtime) and GNU's long names. A name comes out canonical
 * ("usr/bin/env", "" for the top itself) or the archive is refused: absolute, or with "..". No I/O: the caller feeds
 * what it has.
 *
 *   while (true)
 *       switch (tar_next(tar, &input, &entry, &data, &err)) {
 *       case TAR_NEED_MORE: all of input was consumed; come back with more, or tar_eof
 *       case TAR_ENTRY:     entry is filled, its texts borrowed until the next call
 *       case TAR_DATA:      data is a part of input, of the file that was reported last
 *       case TAR_END:       the archive is over; what follows it is nobody's
 *       case TAR_ERROR:     err
 *       }
 */
#ifndef AILERON_WIRE_TAR_H
#define AILERON_WIRE_TAR_H

#include "core/base/err.h"
#include "core/base/text.h"

enum {
    TAR_BLOCK = 512,
    TAR_NAME_MAX = 4096,             /* bytes of a name or a link's target */
    TAR_EXTENSION_MAX = 1024 * 1024, /* of what stands before one entry about it */
    TAR_EXTENSIONS_MAX = 8           /* such things in a row */
};

enum tar_event { TAR_NEED_MORE, TAR_ENTRY, TAR_DATA, TAR_END, TAR_ERROR };
enum tar_type { TAR_FILE, TAR_DIRECTORY, TAR_SYMLINK, TAR_HARDLINK, TAR_OTHER /* a device, a FIFO */ };

struct tar_entry {
    enum tar_type type;
    const char *name;
    const char *target; /* of a link: a hard one's is canonical, a symbolic one's as it stands; else NULL */
    unsigned mode;      /* the twelve bits */
    uint64_t size;      /* of a file; TAR_DATA follows */
    int64_t mtime;      /* seconds */
};

struct tar;
struct tar *tar_new(void) MUSTUSE;
void tar_free(struct tar *tar); /* NULL is fine */
enum tar_event tar_next(struct tar *tar, struct span *input, struct tar_entry *entry, struct span *data,
                        struct err *err) MUSTUSE NONNULL;
/* There is no more input: false where something is cut off. */
bool tar_eof(const struct tar *tar, struct err *err) MUSTUSE NONNULL;

#endif
