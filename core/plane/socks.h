/* SOCKS5 on the session's relay, for programs that speak nothing else: greeting and request, then a tunnel. */
#ifndef AILERON_PLANE_SOCKS_H
#define AILERON_PLANE_SOCKS_H

#include "core/plane/plane.h"

/* Takes conn (bytes in its input buffer come first; it is proven) and one of plane->connections. */
void socks_start(struct plane *plane, struct conn *conn) NONNULL;

#endif
