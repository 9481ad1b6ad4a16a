/* HTTP/2 (RFC 9113) as bytes, over nghttp2: one session is one connection, seen from the server's side or the
 * client's. No I/O and no clock. Heads come and go as struct msg, the same as HTTP/1.1's; what nghttp2 lets pass
 * and a strict reader would not, is refused here by a reset of its stream.
 *
 * The owner feeds http2_receive with what came, and sends what http2_next_bytes gives after each call of this
 * header, until there is none. Handler functions are called from within http2_receive, http2_next_bytes and http2_abort
 * alone; inside them every function but http2_free and these three may be called. */
#ifndef AILERON_WIRE_HTTP2_H
#define AILERON_WIRE_HTTP2_H

#include "core/wire/msg.h"

/* Bounds. The peer is told of the first three (SETTINGS); the others end the connection (ENHANCE_YOUR_CALM). */
enum {
    HTTP2_STREAMS_MAX = 100,          /* open at a time, of a server's session */
    HTTP2_WINDOW_BYTES = 64 * 1024,   /* of a stream: what it may hold unread */
    HTTP2_FRAME_BYTES = 16 * 1024,    /* SETTINGS_MAX_FRAME_SIZE, which is the least that may be said */
    HTTP2_CONTINUATIONS_MAX = 8,      /* of one head */
    HTTP2_RESETS_BURST = 200,         /* streams that the peer resets: at once, and a second */
    HTTP2_RESETS_RATE = 50,
    HTTP2_CONTROL_MAX = 2000,         /* PING, SETTINGS, PRIORITY, empty DATA: between two heads or bodies */
    HTTP2_ACKS_MAX = 500,             /* answers to PING and SETTINGS that the peer does not read */
    HTTP2_PASSED_OVER_MAX = 16 * MSG_HEAD_BYTES, /* names and values of one head, behind what it was refused for */
    HTTP2_UNREAD_MAX = 2000,          /* frames of all kinds that it does not read, beside bodies */
    HTTP2_INFORMATIONAL_MAX = 16,     /* 1xx heads of one answer */
    HTTP2_OUT_BYTES = 64 * 1024,      /* of a stream's output */
    HTTP2_NEXT_BYTES = HTTP2_FRAME_BYTES + 9 /* of one http2_next_bytes at the most */
};
/* All streams full and unread: a slow reader of one never stops the others. */
#define HTTP2_CONNECTION_WINDOW_BYTES (HTTP2_STREAMS_MAX * HTTP2_WINDOW_BYTES)

/* RFC 9113 7: the codes that we send. */
enum http2_code {
    HTTP2_NO_ERROR = 0,
    HTTP2_PROTOCOL_ERROR = 1,
    HTTP2_INTERNAL_ERROR = 2,
    HTTP2_REFUSED_STREAM = 7, /* nothing was done: it may be sent again */
    HTTP2_CANCEL = 8,
    HTTP2_ENHANCE_YOUR_CALM = 11,
    HTTP2_HTTP_1_1_REQUIRED = 13
};

struct http2;
struct http2_stream;
struct http2_handler {
    /* A head: of a request (server), or of an answer (client; 1xx are heads of their own, before the final one).
     * msg and its arena live as long as the stream. ended: no body follows, and `readable` is not called.
     * A request's target stands in msg->target (path, "*", or the authority of a CONNECT), its :authority as the
     * field Host, and its scheme in http2_scheme.
     * An extended CONNECT (RFC 8441) is what it stands for: GET with msg->upgrade and its :protocol as the field
     * Upgrade, and the 2xx that agrees to it is a 101. Behind that both bodies are the other protocol's bytes. */
    void (*head)(void *arg, struct http2_stream *stream, struct msg *msg, bool ended);
    /* Server: a head that cannot be believed: err says why (ERR_DATA, ERR_LIMIT). The owner may answer, and resets
     * the stream in the end. */
    void (*malformed)(void *arg, struct http2_stream *stream, const struct err *err);
    /* Body bytes came (http2_peek), or the end after them (http2_ended; trailers are in msg). */
    void (*readable)(void *arg, struct http2_stream *stream);
    /* http2_room has grown. */
    void (*writable)(void *arg, struct http2_stream *stream);
    /* The stream is over (and all that came on it was taken), and is gone after this call: code is HTTP2_NO_ERROR
     * where both sides ended it; http2_fault says why where it is we who could not go on. Not called for a stream that
     * http2_reset or http2_free ended, nor, on a server, for one whose head did not come to be. */
    void (*closed)(void *arg, struct http2_stream *stream, uint32_t code);
};

struct http2 *http2_server(const struct http2_handler *handler, void *arg) MUSTUSE NONNULL_AT(1);
struct http2 *http2_client(const struct http2_handler *handler, void *arg) MUSTUSE NONNULL_AT(1);
void http2_free(struct http2 *session); /* NULL is fine */

/* Takes all of input. False: the peer broke the protocol or a bound; what http2_next_bytes still gives (GOAWAY)
 * is sent, then the connection is closed. Some of it is known only once GOAWAY is given: http2_over says so then. */
bool http2_receive(struct http2 *session, struct span input, struct err *err) MUSTUSE NONNULL;
/* The next bytes to send, at most HTTP2_NEXT_BYTES, valid until the next call; empty: none now. */
struct span http2_next_bytes(struct http2 *session) NONNULL;
/* No stream is open and none can be any more, or the peer broke the protocol (http2_error) and was told so. */
bool http2_over(const struct http2 *session) MUSTUSE NONNULL;
const struct err *http2_error(const struct http2 *session) NONNULL; /* NULL: none */
/* No new streams; those that are open go on. */
void http2_goaway(struct http2 *session) NONNULL;
/* The connection is lost: every stream is closed (each handler is told) with this code; nothing is sent. all: those
 * too that came whole and are not read to their end; else these can be read on, and no handler is told of their end. */
void http2_abort(struct http2 *session, enum http2_code code, bool all) NONNULL;
size_t http2_streams(const struct http2 *session) MUSTUSE NONNULL;
/* Client: another request can be sent now, by the peer's own limit and mood. */
bool http2_can_request(const struct http2 *session) MUSTUSE NONNULL;
/* Client: one with msg->upgrade, too: the peer has announced that it knows extended CONNECT. */
bool http2_can_upgrade(const struct http2 *session) MUSTUSE NONNULL;

/* ---- streams ---- */

void http2_set_owner(struct http2_stream *stream, void *owner) NONNULL_AT(1);
void *http2_owner(const struct http2_stream *stream) NONNULL; /* NULL before one is set */
struct msg *http2_msg(struct http2_stream *stream) NONNULL;          /* the peer's head, with its trailers */
struct span http2_scheme(const struct http2_stream *stream) NONNULL; /* of a request that came */

/* Client: sends a head. scheme, path: the pseudo-fields; the authority is msg's Host. secret: a field that must
 * not enter the compression table (NULL: only those that never do). msg->framing MSG_NONE ends our side.
 * msg->upgrade: it is an extended CONNECT for the protocol in Upgrade, and our side stays open.
 * NULL: err (ERR_DATA, ERR_LIMIT). */
struct http2_stream *http2_request(struct http2 *session, const struct msg *msg, const char *scheme,
                                   struct span path, const char *secret, void *owner, struct err *err) MUSTUSE
    NONNULL_AT(1, 2, 3, 7);
/* Server: sends an answer's head, 1xx too. MSG_NONE of a final one ends our side. To an extended CONNECT 101 is what
 * agrees, and a 2xx is not sent (ERR_DATA): it would be read as that. */
bool http2_respond(struct http2_stream *stream, const struct msg *msg, struct err *err) MUSTUSE NONNULL;

/* Body bytes of ours: all or nothing, as conn_write. */
size_t http2_room(const struct http2_stream *stream) NONNULL;
bool http2_write(struct http2_stream *stream, struct span data) MUSTUSE NONNULL;
/* Ends our side after what was written, with the trailers of msg (copied); NULL: none. ERR_LIMIT. */
bool http2_end(struct http2_stream *stream, const struct msg *msg, struct err *err) MUSTUSE NONNULL_AT(1, 3);

/* All of our side has gone, or goes ahead of a reset, which takes what has not. */
bool http2_sent(const struct http2_stream *stream) MUSTUSE NONNULL;

/* The peer's body bytes that are here, borrowed until http2_consume, which lets as many more come. */
struct span http2_peek(const struct http2_stream *stream) NONNULL;
void http2_consume(struct http2_stream *stream, size_t len) NONNULL;
bool http2_ended(const struct http2_stream *stream) NONNULL; /* the peer's end came, and all was consumed */

/* Ends the stream at once. Its memory lives until the next call from outside; it must not be used any more. */
void http2_reset(struct http2_stream *stream, enum http2_code code) NONNULL;
/* In `closed`: what the peer broke, or which bound, so that we reset the stream; NULL: the peer did, or nobody. */
const struct err *http2_fault(const struct http2_stream *stream) MUSTUSE NONNULL;
const char *http2_code_word(uint32_t code) MUSTUSE; /* "CANCEL", ...; "" where unknown */
const char *http2_version(void) MUSTUSE;

#endif
