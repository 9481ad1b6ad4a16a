/* The TLS listener of a session whose sandbox runs on another machine (design 5): the session's socket, reached over
 * TCP. The certificate is of the session's own CA, so that its sandbox and nobody else trusts it; inside, the first
 * line is `AILERON <token> proxy|capture|api`, and without it the connection is closed without an answer. What has
 * said it goes on as a connection of the session's socket does (front.h). Anybody on the network can connect. */
#ifndef AILERON_PLANE_REMOTE_H
#define AILERON_PLANE_REMOTE_H

#include "core/plane/plane.h"

enum {
    REMOTE_PENDING_MAX = 64, /* connections that have not said the token yet; one more, and the oldest goes */
    REMOTE_FIRST_MS = 10000, /* from the connection to its first line, the handshake included */
    REMOTE_TELL_MS = 60000   /* between two lines on the record about those without the token */
};

struct remote;
/* listen_fd: a TCP socket that listens; it stays the caller's. */
struct remote *remote_open(struct plane *plane, int listen_fd, struct err *err) MUSTUSE NONNULL;
/* Accepts no more, and lets go of those that wait for their first line. NULL is fine. */
void remote_close(struct remote *remote);
/* Of connections that wait for it. */
size_t remote_pending(const struct remote *remote) NONNULL;

#endif
