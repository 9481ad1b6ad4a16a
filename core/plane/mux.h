/* The sandbox's side of HTTP/2: one connection, many requests at a time, each a flow. Always as an origin, inside an
 * intercepted tunnel where the client agreed on "h2". */
#ifndef AILERON_PLANE_MUX_H
#define AILERON_PLANE_MUX_H

#include "core/plane/denial.h"
#include "core/plane/origin.h"
#include "core/plane/plane.h"

/* Takes conn and one of plane->connections. denial: every request is answered with it; NULL: none is. */
void mux_start(struct plane *plane, struct conn *conn, const struct origin *origin, bool captured,
               const struct denial *denial) NONNULL_AT(1, 2, 3);

#endif
