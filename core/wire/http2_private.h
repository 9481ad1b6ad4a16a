/* What the files of core/wire/http2 share; nobody else includes it. */
#ifndef AILERON_WIRE_HTTP2_PRIVATE_H
#define AILERON_WIRE_HTTP2_PRIVATE_H

#include "core/wire/http2.h"

#include <nghttp2/nghttp2.h>

struct http2_stream {
    struct http2 *session;
    struct http2_stream *next, **self; /* in session->streams, or on the list of those to be freed */
    int32_t id;
    void *owner;
    struct arena *arena;
    struct msg msg;         /* the peer's head */
    struct span scheme, authority, protocol;
    char *cookie;           /* the field's value where it came in pieces, in the arena */
    size_t cookie_cap;
    bool to_upgrade;        /* the request is an extended CONNECT */
    bool to_head;           /* client: the request was a HEAD */
    bool head_given;        /* a final head was given to the owner */
    bool trailers;          /* what comes now are trailers */
    bool refused;           /* the head that is coming: why stands in err, the rest of it is passed over */
    struct err *err;        /* on the heap: few heads are refused */
    bool reset_by_peer;
    bool remote_ended;
    bool gone;              /* dropped: no call any more */
    bool lingering;         /* nghttp2 has closed it; the owner has not taken all that came */
    unsigned informational;
    struct buf in;          /* body bytes that the owner has not taken */
    struct buf out;         /* our body: what is not sent begins at out_at */
    size_t out_at;
    bool ending;            /* no more body will be written */
    bool sent;              /* and all of it was taken by nghttp2 */
    bool deferred;          /* nghttp2 waits for more of our body */
    bool above_low;         /* `writable` is due when the output falls */
    struct msg_fields last; /* our trailers, in the arena */
};

struct http2 {
    nghttp2_session *nghttp2;
    const struct http2_handler *handler;
    void *arg;
    bool server, going;
    struct http2_stream *streams, *freed;
    size_t count, lingering;
    unsigned control; /* frames since something was asked or answered */
    size_t passed_over; /* bytes of fields of the head that is coming, which nobody takes */
    struct err err;   /* of a failure inside a callback */
    bool has_err;
};

struct http2_stream *http2_stream_new(struct http2 *session, int32_t id) MUSTUSE NONNULL;
struct http2_stream *http2_find(struct http2 *session, int32_t id) NONNULL;
/* Takes it out of the session; its memory goes when the call from outside returns. */
void http2_stream_drop(struct http2_stream *stream) NONNULL;
void http2_reap(struct http2 *session) NONNULL;
/* A field of a head that is coming. False: the head is refused. */
bool http2_take_field(struct http2_stream *stream, struct span name, struct span value, struct err *err) MUSTUSE
    NONNULL;
/* The head is complete: pseudo-fields, framing. */
bool http2_judge(struct http2_stream *stream, bool ended, struct err *err) MUSTUSE NONNULL;

#endif
