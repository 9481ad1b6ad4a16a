/* CONNECT through the proxy that config.yaml names: a connection to the proxy becomes one to the upstream. Nothing that
 * the proxy says reaches the sandbox but its status, in our own words: a 407 of the proxy's is no question to the
 * sandbox, and its pages are not the upstream's. */
#ifndef AILERON_PLANE_PROXY_H
#define AILERON_PLANE_PROXY_H

#include "core/plane/plane.h"
#include "core/wire/target.h"

struct proxy_visit;
struct proxy_result {
    struct conn *conn; /* the callee's, who sets its handler at once; what the upstream said already is its input */
    const struct err *err;
    bool elsewhere;    /* with err: the proxy could not reach this address, and may reach another */
};
typedef void (*proxy_fn)(void *arg, const struct proxy_result *result);
struct proxy_request {
    const struct config_proxy *proxy; /* lives as long as the visit: of the epoch that the caller holds */
    const struct target_host *host;   /* of the upstream, for the record; copied */
    uint16_t port;
    const char *authority;            /* what the proxy is asked for; copied */
    uint64_t timeout_ms;              /* for all of it */
};
/* Takes conn, connected to the proxy. Asks the monitor for the proxy's credential where it wants one, and keeps it for
 * the one head. fn is called once, from the loop and never from here; the visit is gone then. */
struct proxy_visit *proxy_open(struct plane *plane, struct conn *conn, const struct proxy_request *request, proxy_fn fn,
                               void *arg) MUSTUSE NONNULL_AT(1, 2, 3, 4);
void proxy_cancel(struct proxy_visit *visit); /* closes the connection; NULL is fine */

#endif
