/* An HTTP/2 connection to an upstream, shared by the requests of one session (threat C14: a worker has one). It moves
 * the session's bytes; what a stream's events mean is flow_http2.c's business: the owners of its streams are flows. */
#ifndef AILERON_PLANE_TRUNK_H
#define AILERON_PLANE_TRUNK_H

#include "core/plane/plane.h"
#include "core/wire/http2.h"
#include "core/wire/target.h"

/* Takes conn, secured for exactly this host, with "h2" agreed. Listed in plane->trunks until it ends. Idle for
 * limits.pool_idle_ms it closes. A reference for the caller. */
struct trunk *trunk_new(struct plane *plane, struct epoch *epoch, const struct target_host *host, uint16_t port,
                        struct conn *conn) MUSTUSE NONNULL;
/* One that takes a request now and was made under the rules in force; a reference, or NULL. */
struct trunk *trunk_find(struct plane *plane, const struct target_host *host, uint16_t port) MUSTUSE NONNULL;
struct trunk *trunk_ref(struct trunk *trunk) MUSTUSE NONNULL;
void trunk_unref(struct trunk *trunk); /* NULL is fine; a trunk lives on without references, for the next request */
bool trunk_usable(const struct trunk *trunk) MUSTUSE NONNULL; /* it takes a request now */
struct http2 *trunk_session(struct trunk *trunk) NONNULL;
/* After any call that may have given the session something to send. */
void trunk_flush(struct trunk *trunk) NONNULL;
/* Keeps its TLS session for the next connection to the same place. */
void trunk_remember(struct trunk *trunk) NONNULL;
/* Why it ended, where it did; never NULL. */
const struct err *trunk_error(const struct trunk *trunk) NONNULL;

#endif
