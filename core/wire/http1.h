/* HTTP/1.1 as bytes: a strict pull parser (RFC 9112) and a writer. Heads are parsed, judged and written anew;
 * what can be read in two ways is refused (C08, C09, C10). No I/O: the caller feeds what it has and keeps what
 * was not consumed.
 *
 *   http1_begin_request(parser, &msg);
 *   while (true)
 *       switch (http1_next(parser, &input, &body, &err)) {
 *       case HTTP1_NEED_MORE: all of input was consumed; come back with more, or http1_eof
 *       case HTTP1_HEAD:      msg is filled
 *       case HTTP1_BODY:      body is a part of input, borrowed
 *       case HTTP1_TRAILERS:  msg.trailers is filled (not reported where there are none)
 *       case HTTP1_END:       the message is over; what is left in input belongs to the next one
 *       case HTTP1_ERROR:     err, and http1_error_status; the connection can only be closed
 *       }
 */
#ifndef AILERON_WIRE_HTTP1_H
#define AILERON_WIRE_HTTP1_H

#include "core/wire/msg.h"

enum {
    HTTP1_INFORMATIONAL_MAX = 16,     /* 1xx heads before the real one; together they share MSG_HEAD_BYTES */
    HTTP1_CHUNK_DIGITS_MAX = 16,
    HTTP1_CHUNK_EXTENSION_BYTES = 256, /* of one chunk */
    HTTP1_CHUNK_HEAD_BYTES = 20,       /* room for a written chunk head */
    HTTP1_TRAILER_BYTES = 8 * 1024,
    HTTP1_LAST_CHUNK_BYTES = 2 * HTTP1_TRAILER_BYTES /* room for a written one */
};
#define HTTP1_CHUNK_MAX (UINT64_C(1) << 53) /* bytes of one chunk */

enum http1_event { HTTP1_NEED_MORE, HTTP1_HEAD, HTTP1_BODY, HTTP1_TRAILERS, HTTP1_END, HTTP1_ERROR };

/* What a response answers: its framing depends on that (RFC 9112 6.3). */
enum http1_answer { HTTP1_TO_OTHER, HTTP1_TO_HEAD, HTTP1_TO_CONNECT };

struct http1;
struct http1 *http1_new(void) MUSTUSE;
void http1_free(struct http1 *parser); /* NULL is fine */

/* Starts a message: msg is borrowed until the next begin; it was given to msg_init by the caller. Bytes of a
 * message that was not finished are forgotten. A CONNECT request has no body: END follows HEAD. */
void http1_begin_request(struct http1 *parser, struct msg *msg) NONNULL;
/* upgrade: the request asked for one (else 101 is an error). A 1xx response is a HEAD of its own and the next
 * HEAD overwrites msg; it is never followed by END, but for 101. */
void http1_begin_response(struct http1 *parser, struct msg *msg, enum http1_answer to, bool upgrade) NONNULL;

/* Consumes from the front of *input. After END it says END again and consumes nothing. */
enum http1_event http1_next(struct http1 *parser, struct span *input, struct span *body, struct err *err)
    MUSTUSE NONNULL;
/* The sender has closed: END where the message is over or its body ran until now; HTTP1_NEED_MORE where no byte
 * of it had come (a kept connection that ends); else HTTP1_ERROR (ERR_UPSTREAM for a response). */
enum http1_event http1_eof(struct http1 *parser, struct err *err) MUSTUSE NONNULL;
/* After HTTP1_ERROR: what a server answers: 400, 417, 431, 501 or 505. (For a response the edge says 502.) */
int http1_error_status(const struct http1 *parser) MUSTUSE NONNULL;
/* No byte of the message has been consumed yet. */
bool http1_idle(const struct http1 *parser) MUSTUSE NONNULL;
/* Bytes of the body that are still to come, where msg has MSG_LENGTH; else 0. */
uint64_t http1_remaining(const struct http1 *parser) MUSTUSE NONNULL;

/* ---- writing ----
 * Always as HTTP/1.1. The writer alone says Content-Length, Transfer-Encoding and Connection, from framing,
 * content_length, keep_alive and upgrade: fields of these names in msg are not written. Everything is checked
 * again: ERR_DATA for a byte that could end a line, ERR_LIMIT where out's maximum is passed; on failure out is
 * as it was. An HTTP/1.0 receiver gets no chunks: set MSG_UNTIL_CLOSE and clear keep_alive for it. */

/* target: what stands in the request line (origin, absolute, authority form or "*"). */
bool http1_write_request(const struct msg *msg, struct span target, struct buf *out, struct err *err)
    MUSTUSE NONNULL_AT(1, 3, 4);
/* With MSG_NONE and has_length the length is said, though no body follows (HEAD, 304). */
bool http1_write_response(const struct msg *msg, struct buf *out, struct err *err) MUSTUSE NONNULL;
/* How much data a chunk may hold where the connection takes `room` bytes: the frame around it fits too, and so does
 * the end of the message with its trailers, whenever that comes. */
size_t http1_data_room(size_t room) MUSTUSE;
/* "1f4\r\n" for a chunk of len > 0 bytes; returns its length. The data and "\r\n" follow. */
size_t http1_chunk_head(uint64_t len, char out[HTTP1_CHUNK_HEAD_BYTES]) NONNULL;
/* "0\r\n", msg's trailers, "\r\n". msg NULL: none. */
bool http1_write_last_chunk(const struct msg *msg, struct buf *out, struct err *err) MUSTUSE NONNULL_AT(2, 3);
/* "OK" for 200; "" where none is known. */
const char *http1_reason(unsigned status) MUSTUSE;

#endif
