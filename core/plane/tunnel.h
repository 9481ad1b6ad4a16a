/* What becomes of a CONNECT or of a captured connection: the session API for our own name, TLS opened where a
 * rule or a binding needs to see inside, plain HTTP, or an untouched relay. */
#ifndef AILERON_PLANE_TUNNEL_H
#define AILERON_PLANE_TUNNEL_H

#include "core/plane/plane.h"
#include "core/wire/target.h"

#define TUNNEL_OWN_NAME "aileron.internal"

/* How the client asked for it, and so how it is answered. */
enum tunnel_way {
    TUNNEL_CONNECT,
    TUNNEL_SOCKS,
    TUNNEL_CAPTURED /* it did not ask: nothing is answered */
};
/* Takes conn and one of plane->connections. */
void tunnel_start(struct plane *plane, struct conn *conn, const struct target_host *host, uint16_t port,
                  enum tunnel_way way) NONNULL;

#endif
