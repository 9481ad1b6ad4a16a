/* What is for the monitor, gathered: the lines for the record and the questions for credentials that one round of the
 * loop gives rise to go to it in one message, in the order in which they came. Any other question sends them first, so
 * that the record has things in the order in which they happened. */
#ifndef AILERON_PLANE_LINES_H
#define AILERON_PLANE_LINES_H

#include "core/data/audit.h"
#include "core/data/journal.h"
#include "core/loop/ipc.h"

enum { LINES_LATE_MS = 20 };

struct lines {
    struct ipc *ipc;
    struct journal *journal;     /* NULL: there is none (a test's world) */
    struct journal_sheet *sheet; /* where this round is; NULL: none was free, and it is in `round` */
    uint64_t serial;             /* of that sheet, or of the one before */
    struct buf kept;  /* the sheet's bytes */
    struct buf round; /* flat objects: a MESSAGE_ROUND */
    struct buf text;  /* the one that is being written; kept, as there will be more */
    struct flat_out out;
    unsigned count;
    bool waited; /* for the step after the one that added */
    struct task now;
    struct timer late;
};
void lines_init(struct lines *lines, struct loop *loop, struct ipc *ipc) NONNULL;
/* From now on rounds lie in the journal, behind the sheet with the serial `last` (its lower half). Borrowed. */
void lines_journal(struct lines *lines, struct journal *journal, uint32_t last) NONNULL;
void lines_clear(struct lines *lines) NONNULL; /* what was not sent is lost: lines_flush first */
/* Begins an event (a word of the record's table), a question for a credential, or the use of one that was lent;
 * flat_put into what comes back, then lines_add, or lines_keep. One at a time. */
struct flat_out *lines_event(struct lines *lines, const char *word) MUSTUSE NONNULL;
struct flat_out *lines_ask(struct lines *lines) MUSTUSE NONNULL;
struct flat_out *lines_use(struct lines *lines) MUSTUSE NONNULL;
/* LINES_KEPT: may wait for the next line, LINES_LATE_MS at most, where the journal has it meanwhile; LINES_LATE: also
 * where it does not, since it tells of what is over. */
enum lines_when { LINES_NOW, LINES_KEPT, LINES_LATE };
void lines_add(struct lines *lines, enum lines_when when) NONNULL;
/* Into the journal, or not at all: false. */
bool lines_keep(struct lines *lines) MUSTUSE NONNULL;
void lines_flush(struct lines *lines) NONNULL;

#endif
