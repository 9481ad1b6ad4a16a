/* What is for the monitor, gathered: the lines for the record and the questions for credentials that one round of the
 * loop gives rise to go to it in one message, in the order in which they came. Any other question sends them first, so
 * that the record has things in the order in which they happened. */
#ifndef AILERON_PLANE_LINES_H
#define AILERON_PLANE_LINES_H

#include "core/data/audit.h"
#include "core/loop/ipc.h"

enum { LINES_LATE_MS = 20 };

struct lines {
    struct ipc *ipc;
    struct buf round; /* flat objects: a MESSAGE_ROUND */
    struct buf text;  /* the one that is being written; kept, as there will be more */
    struct flat_out out;
    unsigned count;
    bool waited; /* for the step after the one that added */
    struct task now;
    struct timer late;
};
void lines_init(struct lines *lines, struct loop *loop, struct ipc *ipc) NONNULL;
void lines_clear(struct lines *lines) NONNULL; /* what was not sent is lost: lines_flush first */
/* Begins an event (a word of the record's table), or a question for a credential; flat_put into what comes back, then
 * lines_add. One at a time. */
struct flat_out *lines_event(struct lines *lines, const char *word) MUSTUSE NONNULL;
struct flat_out *lines_ask(struct lines *lines) MUSTUSE NONNULL;
/* late: it tells of what is over, and may wait for the next line, LINES_LATE_MS at most. */
void lines_add(struct lines *lines, bool late) NONNULL;
void lines_flush(struct lines *lines) NONNULL;

#endif
