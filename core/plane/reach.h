/* A connection over TCP to an upstream, without TLS yet: resolve, check every address (E05, E06), then to the checked
 * addresses by turns, or by CONNECT through the proxy that config.yaml names. */
#ifndef AILERON_PLANE_REACH_H
#define AILERON_PLANE_REACH_H

#include "core/plane/plane.h"
#include "core/wire/target.h"

enum { REACH_PROXY_TRIES = 3 }; /* of a name's addresses, where the proxy cannot connect to one */

struct reach;
/* Exactly one of conn and err. conn: connected, the callee's, who sets its handler at once. ERR_DENIED: an address that
 * the policy refuses; ERR_TIMEOUT; else ERR_UPSTREAM, or what the monitor says about the proxy's credential. */
typedef void (*reach_fn)(void *arg, struct conn *conn, const struct err *err);
/* epoch and host live as long as the reach. fn is called once, from the loop and never from here; the reach is gone
 * then. */
struct reach *reach_start(struct plane *plane, const struct epoch *epoch, const struct target_host *host, uint16_t port,
                          reach_fn fn, void *arg) MUSTUSE NONNULL_AT(1, 2, 3, 5);
void reach_cancel(struct reach *reach); /* NULL is fine */

#endif
