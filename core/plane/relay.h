/* Bytes both ways between two connections, untouched: tunnels and upgraded connections. Back-pressure by the
 * receiver's room, half-close in both directions. */
#ifndef AILERON_PLANE_RELAY_H
#define AILERON_PLANE_RELAY_H

#include "core/plane/plane.h"

/* Called once at the end with the bytes that were moved from client to upstream and back; NULL: nobody. */
typedef void (*relay_fn)(void *arg, uint64_t sent_bytes, uint64_t received_bytes);
/* Looks at what goes over first, until it says RELAY_PASS. input: the bytes of one side that have not gone. RELAY_WAIT
 * lets *len of them go (0 before the call; more than are here, too), and the gate is asked again behind them: where it
 * is 0, when more has come, for the client's also when the upstream's were looked at. last: no more comes. RELAY_REFUSE
 * ends the relay. NULL: everything passes. */
enum relay_gate { RELAY_WAIT, RELAY_PASS, RELAY_REFUSE };
struct relay_look {
    bool from_client, last;
    struct span input;
};
typedef enum relay_gate (*relay_gate_fn)(void *arg, const struct relay_look *look, size_t *len);
/* Takes both, bytes in their input buffers first, and one of plane->connections. */
void relay_start(struct plane *plane, struct conn *client, struct conn *upstream, relay_gate_fn gate,
                 relay_fn over, void *arg) NONNULL_AT(1, 2, 3);

#endif
