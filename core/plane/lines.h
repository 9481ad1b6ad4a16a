/* Lines for the record, gathered: what one round of the loop gives rise to goes to the monitor in one message. A
 * question to the monitor sends them first, so that the record has things in the order in which they happened. */
#ifndef AILERON_PLANE_LINES_H
#define AILERON_PLANE_LINES_H

#include "core/data/json.h"
#include "core/loop/ipc.h"

enum { LINES_LATE_MS = 20 };

struct lines {
    struct ipc *ipc;
    struct buf text; /* JSON objects, each ended by a newline */
    unsigned count;
    struct task now;
    struct timer late;
};
void lines_init(struct lines *lines, struct loop *loop, struct ipc *ipc) NONNULL;
void lines_clear(struct lines *lines) NONNULL; /* what was not sent is lost: lines_flush first */
/* Takes the reference to event. late: it tells of what is over, and may wait for the next line, LINES_LATE_MS at
 * most. */
void lines_add(struct lines *lines, json_t *event, bool late) NONNULL;
void lines_flush(struct lines *lines) NONNULL;

#endif
