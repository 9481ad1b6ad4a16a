/* Two connections that become one: bytes both ways, untouched, with the back-pressure of the receiver's room and
 * half-close in both directions. For the legs of a remote sandbox, where a connection under TLS goes on as a Unix
 * socket: what the worker's relay does for the plane, without the plane. */
#ifndef AILERON_LOOP_JOIN_H
#define AILERON_LOOP_JOIN_H

#include "core/loop/conn.h"

enum {
    JOIN_LINGER_MS = 2000, /* for the peer's end, once all is said */
    JOIN_PATIENCE_MS = 86400000, /* where the limits are not known: the most that idle_ms can be */
    JOIN_HALF_MS = 300000  /* without a byte, once one side has ended: the other has no use for the rest */
};

struct join;
typedef void (*join_fn)(void *arg);
/* Takes both, bytes in their input buffers first. One that takes nothing of what waits for it for patience_ms ends
 * both; silence alone never does. over is called once, when both are gone; NULL: nobody waits. */
struct join *join_start(struct conn *a, struct conn *b, uint64_t patience_ms, join_fn over, void *arg) NONNULL_AT(1, 2);
/* Closes both at once; over is not called. */
void join_close(struct join *join) NONNULL;

#endif
