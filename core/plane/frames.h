/* A session's bytes into its connection, for both sides of HTTP/2 (mux, trunk). */
#ifndef AILERON_PLANE_FRAMES_H
#define AILERON_PLANE_FRAMES_H

#include "core/loop/conn.h"
#include "core/wire/http2.h"

/* As much as the connection takes, in as few packets as can be. Where it fails, its event follows. */
void frames_send(struct http2 *http2, struct conn *conn) NONNULL;

#endif
