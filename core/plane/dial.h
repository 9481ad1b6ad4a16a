/* A connection to an upstream: resolve once, check every address, connect to one that was checked (E05, E06),
 * and for TLS verify the certificate for exactly that name (C05). */
#ifndef AILERON_PLANE_DIAL_H
#define AILERON_PLANE_DIAL_H

#include "core/plane/plane.h"
#include "core/wire/target.h"

struct dial;
struct trunk;
struct dial_request {
    const struct target_host *host; /* copied */
    uint16_t port;
    bool tls;
    bool fresh; /* nothing that is kept: a connection of its own */
    bool http1; /* HTTP/2 is not offered (upgrades) */
};
/* Exactly one of conn, trunk and err is given. conn: connected (and TLS verified where asked for), the callee's; its
 * handler is to be set at once. trunk: a reference; HTTP/2 was agreed. reused: it was there before, so that a failure
 * ahead of the first byte of an answer may be the peer's idle close. */
struct dial_result {
    struct conn *conn;
    struct trunk *trunk;
    bool reused;
    const struct err *err;
};
/* Called from the loop, never from dial_start. */
typedef void (*dial_fn)(void *arg, const struct dial_result *result);
/* Of several dials to one place at a time the first makes the connection; where it turns out to be HTTP/2 the others
 * share it. */
struct dial *dial_start(struct plane *plane, struct epoch *epoch, const struct dial_request *request, dial_fn fn,
                        void *arg) MUSTUSE NONNULL_AT(1, 2, 3, 4);
void dial_cancel(struct dial *dial); /* NULL is fine */
/* HTTP's status for a dial that failed: 403 an address or credential that is refused, 503 no record, 504, else 502. */
int dial_status(const struct err *err) MUSTUSE NONNULL;
/* Keeps the connection's TLS session, where the upstream gave one that is not kept yet (with TLS 1.3 it comes with an
 * answer's first bytes), so that the next connection to the same place resumes it. */
void dial_remember(struct plane *plane, const struct target_host *host, uint16_t port, struct conn *conn) NONNULL;
/* Gives a connection at rest back for the next request to the same place. epoch: the one it was dialed under; where
 * that is no longer the newest the connection is closed, since what let it be made may be gone. */
void dial_keep(struct plane *plane, const struct epoch *epoch, const struct target_host *host, uint16_t port,
               bool tls, struct conn *conn) NONNULL;

#endif
