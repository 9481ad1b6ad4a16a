/* The sandbox's side of HTTP/1.1: one connection, requests one after another, each a flow.
 *
 * As a proxy it takes absolute-form requests and CONNECT; as an origin (inside an intercepted tunnel, or on a
 * captured connection) it speaks for one scheme, host and port, and a request for another is answered 421. */
#ifndef AILERON_PLANE_EXCHANGE_H
#define AILERON_PLANE_EXCHANGE_H

#include "core/plane/denial.h"
#include "core/plane/origin.h"
#include "core/plane/plane.h"

/* Takes conn (bytes in its input buffer come first). origin NULL: a proxy; then `proven` says whether the
 * connection's preamble carried the token, else every request must. */
void exchange_start(struct plane *plane, struct conn *conn, const struct origin *origin,
                    bool captured, bool proven) NONNULL_AT(1, 2);
/* As an origin that answers its first request with this denial, and closes: a refusal that is delivered inside
 * TLS, where the client shows it. */
void exchange_refuse(struct plane *plane, struct conn *conn, const struct denial *denial) NONNULL;

#endif
