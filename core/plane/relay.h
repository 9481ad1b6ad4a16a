/* Bytes both ways between two connections, untouched: tunnels and upgraded connections. Back-pressure by the
 * receiver's room, half-close in both directions. */
#ifndef AILERON_PLANE_RELAY_H
#define AILERON_PLANE_RELAY_H

#include "core/plane/plane.h"

/* Called once at the end with the bytes that were moved from client to upstream and back; NULL: nobody. */
typedef void (*relay_fn)(void *arg, uint64_t sent_bytes, uint64_t received_bytes);
/* Takes both, bytes in their input buffers first, and one of plane->connections. */
void relay_start(struct plane *plane, struct conn *client, struct conn *upstream, relay_fn over, void *arg)
    NONNULL_AT(1, 2, 3);

#endif
