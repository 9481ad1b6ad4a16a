/* The proxy port's listening socket in the worker's hands: while the worker has it, connections to the proxy go to the
 * worker directly and the relay sees none of them. */
#ifndef AILERON_SANDBOX_HANDOVER_H
#define AILERON_SANDBOX_HANDOVER_H

#include "core/sandbox/relay.h"

enum {
    HANDOVER_AGAIN_MS = 250,       /* until the next attempt, twice as long after each that fails */
    HANDOVER_AGAIN_MAX_MS = 30000
};

struct handover;
/* taken true: the worker accepts; false: it does so no more. From the loop only. */
typedef void (*handover_fn)(void *arg, bool taken);
/* Hands listen_fd (the caller's, open until handover_free) over at once, and again whenever the worker has gone. */
struct handover *handover_start(struct loop *loop, const struct relay *relay, int listen_fd, handover_fn fn,
                                void *arg) MUSTUSE NONNULL_AT(1, 2, 4);
void handover_free(struct handover *handover); /* NULL is fine */

#endif
