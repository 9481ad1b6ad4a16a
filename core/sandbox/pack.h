/* Files of this host as one tar stream, for a sandbox on another machine, which nothing can be mounted into; and what
 * of the workspace was sent, so that what comes back can be told from what was here (merge.h). Symbolic links are sent
 * as they are, and never followed; sockets, FIFOs and devices are left out. */
#ifndef AILERON_SANDBOX_PACK_H
#define AILERON_SANDBOX_PACK_H

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/wire/tar_write.h"

#include <sys/stat.h>

/* Of a workspace that is copied, each way. */
#define PACK_BYTES_MAX (UINT64_C(4) << 30)
#define PACK_ENTRIES_MAX ((size_t)500000)
enum { PACK_STALL_MS = 60000, PACK_DEPTH_MAX = 128 };

struct pack_entry {
    char *path; /* relative, "src/main.c" */
    mode_t mode; /* with its type */
    uint64_t size;
    struct timespec mtime, ctime;
};
struct pack_list { /* sorted by path once it is whole */
    struct pack_entry *entries;
    size_t count, cap;
};
void pack_list_clear(struct pack_list *list) NONNULL;
const struct pack_entry *pack_list_find(const struct pack_list *list, const char *path) NONNULL; /* NULL: not in it */

/* A stream under way, to a pipe (made nonblocking). Writing stops with ERR_TIMEOUT where nobody takes a byte for
 * PACK_STALL_MS, and with ERR_FAILED where a signal waits that asks the launcher to end. */
struct pack {
    int fd;
    uint64_t bytes_left;
    size_t entries_left;
    struct buf head;
};
void pack_init(struct pack *pack, int fd) NONNULL;
/* Whether such a signal waits: the launcher has them blocked. pack_forget_asked: the ones until now were meant for what
 * is over. */
bool pack_asked_to_end(void);
void pack_forget_asked(void);
void pack_clear(struct pack *pack) NONNULL;
/* One entry that is no file: a directory, a symbolic or a hard link. */
bool pack_add(struct pack *pack, enum tar_type type, const char *name, const char *target, mode_t mode,
              struct err *err) MUSTUSE NONNULL_AT(1, 3, 6);
/* A file of this host, as root's. */
bool pack_file(struct pack *pack, const char *path, const char *name, mode_t mode, struct err *err) MUSTUSE NONNULL;
/* A directory and what is in it, below the name, with the owners that they have. list: notes what was sent, and is
 * sorted then; NULL: nobody needs it. */
bool pack_tree(struct pack *pack, const char *path, const char *name, struct pack_list *list, struct err *err)
    MUSTUSE NONNULL_AT(1, 2, 3, 5);
bool pack_directory(struct pack *pack, int dir, const char *name, struct pack_list *list, struct err *err)
    MUSTUSE NONNULL_AT(1, 3, 5);
bool pack_end(struct pack *pack, struct err *err) MUSTUSE NONNULL;

#endif
