/* A session's journal: where its worker puts what is for the record before it does what the lines are about, and where
 * it stays until the monitor has written it to the record. A file in the session's private directory that both map:
 * what is in it outlives either of them, as what was written with write(2) does. So nothing needs to wait for the
 * monitor but what only the monitor has: a credential that the worker was not lent.
 *
 * The worker fills sheets, one after another: sheet n lies at n modulo JOURNAL_SHEETS, has the serial n, and holds the
 * flat objects of one MESSAGE_ROUND. It is free for n + JOURNAL_SHEETS when the monitor says that it has taken n.
 *
 * All of it may be written by a worker that was taken over: the monitor copies a sheet before it looks at it, and
 * believes what is in the head only of an earlier daemon. The worker can neither change the file's size nor give its
 * blocks back (core/loop/jail), so that the monitor's own writing to it never fails. */
#ifndef AILERON_DATA_JOURNAL_H
#define AILERON_DATA_JOURNAL_H

#include "core/base/err.h"
#include "core/base/mem.h"

#include <stdatomic.h>

enum {
    JOURNAL_SHEETS = 4,
    JOURNAL_SHEET_BYTES = 32 * 1024,
    JOURNAL_BYTES = JOURNAL_SHEET_BYTES - 16, /* of objects in a sheet */
    JOURNAL_HEAD_BYTES = 4096
};

struct journal_sheet {
    _Atomic uint64_t serial; /* 0: it was never used */
    _Atomic uint32_t len;    /* of the objects that are whole */
    uint32_t unused;
    uint8_t bytes[JOURNAL_BYTES];
};
struct journal {
    union {
        struct {
            _Atomic uint64_t grant; /* the monitor's: what is lent is lent under this number; 0: nothing is */
            _Atomic uint64_t taken; /* the monitor's: the last sheet that is on the record */
        };
        uint8_t page[JOURNAL_HEAD_BYTES];
    };
    struct journal_sheet sheets[JOURNAL_SHEETS];
};

/* Opens the file, or makes it with all its blocks: writing to it never needs space. A descriptor, or -1. */
int journal_open(const char *path, struct err *err) MUSTUSE NONNULL;
struct journal *journal_map(int fd, struct err *err) MUSTUSE NONNULL;
void journal_unmap(struct journal *journal); /* NULL is fine */

/* The worker's: sheet `serial`, empty. NULL: it is not free yet. */
struct journal_sheet *journal_begin(struct journal *journal, uint64_t serial) MUSTUSE NONNULL;
/* The monitor's: a copy of what is in sheet `serial` behind the first `skip` bytes, added to out. False: it was not
 * begun. */
bool journal_copy(const struct journal *journal, uint64_t serial, size_t skip, struct buf *out) MUSTUSE NONNULL;

#endif
