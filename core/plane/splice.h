/* Bytes between a client's HTTP/2 stream and an upstream's connection, after a WebSocket upgrade (RFC 8441): what relay
 * is to two connections. */
#ifndef AILERON_PLANE_SPLICE_H
#define AILERON_PLANE_SPLICE_H

#include "core/plane/plane.h"
#include "core/wire/http2.h"

struct splice;
struct splice_client {
    void (*moved)(void *arg);  /* the stream has something to send, or was read from */
    void (*broken)(void *arg); /* the upstream failed or was cut off: the stream is to be reset, the splice freed */
};
/* Takes the connection; the stream stays the caller's, and outlives the splice. */
struct splice *splice_new(struct plane *plane, struct http2_stream *stream, struct conn *upstream,
                          const struct splice_client *client, void *arg) MUSTUSE NONNULL_AT(1, 2, 3, 4);
/* The stream has bytes, room, or its end. */
void splice_pump(struct splice *splice) NONNULL;
/* ended: both sides have ended the stream in order, and what is unsent still goes out. */
void splice_free(struct splice *splice, bool ended) NONNULL;

#endif
