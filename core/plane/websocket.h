/* WebSocket's handshake (RFC 6455 4) where it is ours to make: a client over HTTP/2 has none (RFC 8441 5), and an
 * upstream over HTTP/1.1 wants one. */
#ifndef AILERON_PLANE_WEBSOCKET_H
#define AILERON_PLANE_WEBSOCKET_H

#include "core/wire/msg.h"

enum { WEBSOCKET_ACCEPT_BYTES = 29 }; /* base64 of a SHA-1, with the NUL */
/* Puts a key into the request; accept: what has to come back. */
bool websocket_ask(struct msg *msg, char accept[WEBSOCKET_ACCEPT_BYTES], struct err *err) MUSTUSE NONNULL;
/* Of a 101: it agrees to WebSocket and answers this key. Takes the answer's Sec-WebSocket-Accept out. */
bool websocket_agreed(struct msg *msg, const char *accept, struct err *err) MUSTUSE NONNULL;

#endif
