/* Peers that speak HTTP/2: the test's streams have names, and what came on each is kept as text. */
#ifndef AILERON_TESTS_PLANE_HTTP2_H
#define AILERON_TESTS_PLANE_HTTP2_H

#include "plane_peer.h"

#include "core/wire/http2.h"

struct peer_stream {
    struct peer_stream *next;
    char name[16];               /* "": not yet taken by the test */
    struct peer *peer;
    struct http2_stream *stream; /* NULL once it is over */
    struct buf head, body;       /* heads as lines, trailers too; the body as it came */
    uint64_t to_pour, poured, taken; /* bytes of the pattern: not yet, and already, said; expected */
    bool holding, ended;         /* holding: nothing is consumed */
    bool over;
    uint32_t code;               /* once over */
};

struct peer_http2 {
    struct http2 *session;
    bool corked;                 /* what is said waits, to go in one piece */
    struct peer_stream *streams;
};

static inline void peer_http2_flush(struct peer *peer)
{
    struct span bytes;
    while (peer->conn && !peer->http2->corked && (bytes = http2_next_bytes(peer->http2->session)).len > 0)
        peer_say(peer, bytes.p, bytes.len);
}

static void peer_http2_hear(struct peer *peer, struct span have)
{
    struct err err;
    if (have.len > 0 && !http2_receive(peer->http2->session, have, &err)) {
        peer->failed = true;
        peer->err = err;
    }
    peer_http2_flush(peer);
}

static inline struct peer_stream *peer_stream_new(struct peer *peer, const char *name)
{
    struct peer_stream *stream = mem_alloc(sizeof(*stream)), **end = &peer->http2->streams;
    *stream = (struct peer_stream){.peer = peer};
    snprintf(stream->name, sizeof(stream->name), "%s", name);
    buf_init(&stream->head, PEER_HEARD_BYTES);
    buf_init(&stream->body, PEER_HEARD_BYTES);
    while (*end)
        end = &(*end)->next;
    *end = stream;
    return stream;
}

static inline void put_fields(struct buf *out, const struct msg_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        struct span name = fields->items[i].name, value = fields->items[i].value;
        assert_true(buf_printf(out, "%.*s: %.*s\n", SPAN_ARG(name), (int)value.len, value.len ? value.p : ""));
    }
}

static inline void peer_stream_take(struct peer_stream *stream)
{
    struct span data = http2_peek(stream->stream);
    if (stream->holding)
        return;
    assert_true(buf_add(&stream->body, data.p ? data.p : "", data.len));
    http2_consume(stream->stream, data.len);
    if (http2_ended(stream->stream) && !stream->ended) {
        put_fields(&stream->head, &http2_msg(stream->stream)->trailers);
        stream->ended = true;
    }
}

static inline void peer_on_head(void *arg, struct http2_stream *h2, struct msg *msg, bool ended)
{
    struct peer_stream *stream = http2_owner(h2);
    if (!stream) {
        stream = peer_stream_new(arg, "");
        stream->stream = h2;
        http2_set_owner(h2, stream);
        assert_true(buf_printf(&stream->head, "%.*s %.*s\n", SPAN_ARG(msg->method), SPAN_ARG(msg->target)));
    } else {
        assert_true(buf_printf(&stream->head, "%u\n", msg->status));
    }
    if (msg->has_length)
        assert_true(buf_printf(&stream->head, "content-length: %llu\n", (unsigned long long)msg->content_length));
    put_fields(&stream->head, &msg->fields);
    stream->ended = ended;
}

static inline void peer_on_malformed(void *arg, struct http2_stream *h2, const struct err *err)
{
    (void)arg;
    (void)h2;
    fail_msg("what the plane sends is malformed: %s", err->message);
}

static inline void peer_on_readable(void *arg, struct http2_stream *h2)
{
    (void)arg;
    peer_stream_take(http2_owner(h2));
}

/* As much of the pattern as the stream takes. */
static inline void peer_pour(struct peer_stream *stream)
{
    uint8_t piece[4096];
    while (stream->stream && stream->to_pour > 0) {
        size_t len = http2_room(stream->stream);
        len = len < sizeof(piece) ? len : sizeof(piece);
        len = len < stream->to_pour ? len : (size_t)stream->to_pour;
        for (size_t i = 0; i < len; i++)
            piece[i] = peer_pattern(stream->poured + i);
        if (len == 0 || !http2_write(stream->stream, (struct span){(char *)piece, len}))
            return;
        stream->poured += len;
        stream->to_pour -= len;
    }
}

static inline void peer_on_writable(void *arg, struct http2_stream *h2)
{
    (void)arg;
    peer_pour(http2_owner(h2));
}

static inline void peer_on_closed(void *arg, struct http2_stream *h2, uint32_t code)
{
    struct peer_stream *stream = http2_owner(h2);
    (void)arg;
    stream->stream = NULL;
    stream->over = true;
    stream->code = code;
}

static inline void peer_http2_start(struct peer *peer, bool server)
{
    static const struct http2_handler handler = {peer_on_head, peer_on_malformed, peer_on_readable, peer_on_writable,
                                                 peer_on_closed};
    peer->http2 = mem_alloc(sizeof(*peer->http2));
    peer->http2->streams = NULL;
    peer->http2->session = server ? http2_server(&handler, peer) : http2_client(&handler, peer);
    peer_http2_flush(peer);
}

static void peer_http2_free(struct peer *peer)
{
    if (!peer->http2)
        return;
    http2_free(peer->http2->session);
    while (peer->http2->streams) {
        struct peer_stream *stream = peer->http2->streams;
        peer->http2->streams = stream->next;
        buf_clear(&stream->head);
        buf_clear(&stream->body);
        free(stream);
    }
    free(peer->http2);
}

static inline struct peer_stream *peer_stream_named(struct peer *peer, const char *name)
{
    struct peer_stream *stream = peer->http2 ? peer->http2->streams : NULL;
    while (stream && strcmp(stream->name, name) != 0)
        stream = stream->next;
    return stream;
}

/* Of a block or of a string: with or without CR. */
static inline bool take_line(struct span *text, struct span *line)
{
    if (!span_cut(text, '\n', line))
        return false;
    line->len -= line->len > 0 && line->p[line->len - 1] == '\r';
    return true;
}

/* "name: value" lines into msg. */
static inline void read_fields(struct span lines, struct msg *msg, bool trailers)
{
    struct span line, name;
    struct err err;
    while (take_line(&lines, &line)) {
        if (line.len == 0)
            continue;
        assert_true(span_cut(&line, ':', &name));
        uint64_t length;
        if (span_eqis(name, "content-length") && text_u64(span_trim(line), UINT32_MAX, &length)) {
            msg->has_length = true;
            msg->content_length = length;
        } else {
            assert_true(trailers ? msg_add_trailer(msg, name, span_trim(line), &err)
                                 : msg_add(msg, name, span_trim(line), &err));
        }
    }
}

/* text: "METHOD PATH HOST [SCHEME]" and fields, METHOD "PROTOCOL:" for an extended CONNECT; more: a body, or an end of
 * its own, follows. */
static inline void peer_request(struct peer *peer, const char *name, struct span text, bool more)
{
    struct arena *arena = arena_new(MSG_ARENA_BYTES);
    struct span line, method, path, host;
    struct msg msg;
    struct err err;
    msg_init(&msg, arena);
    assert_true(take_line(&text, &line));
    assert_true(span_cut(&line, ' ', &method) && span_cut(&line, ' ', &path));
    bool plain = span_cut(&line, ' ', &host) && span_eqs(line, "http");
    msg.method = method;
    msg.upgrade = span_ends(method, ":");
    if (msg.upgrade) {
        msg.method = SPAN("GET");
        assert_true(msg_add(&msg, SPAN("upgrade"), (struct span){method.p, method.len - 1}, &err));
    }
    assert_true(msg_add(&msg, SPAN("host"), host, &err));
    read_fields(text, &msg, false);
    msg.framing = !more ? MSG_NONE : msg.has_length ? MSG_LENGTH : MSG_CHUNKED;
    struct peer_stream *stream = peer_stream_new(peer, name);
    stream->stream = http2_request(peer->http2->session, &msg, plain ? "http" : "https", path, NULL, stream, &err);
    if (!stream->stream)
        fail_msg("%s", err.message);
    arena_free(arena);
}

/* text: "STATUS" and fields. */
static inline void peer_respond(struct peer_stream *stream, struct span text, bool more)
{
    struct arena *arena = arena_new(MSG_ARENA_BYTES);
    struct span line;
    struct msg msg;
    struct err err;
    uint64_t status;
    msg_init(&msg, arena);
    assert_true(take_line(&text, &line) && text_u64(line, 599, &status));
    msg.status = (unsigned)status;
    read_fields(text, &msg, false);
    msg.framing = !more ? MSG_NONE : msg.has_length ? MSG_LENGTH : MSG_CHUNKED;
    assert_true(http2_respond(stream->stream, &msg, &err));
    arena_free(arena);
}

static inline void peer_trailers(struct peer_stream *stream, struct span text)
{
    struct arena *arena = arena_new(MSG_ARENA_BYTES);
    struct msg msg;
    struct err err;
    msg_init(&msg, arena);
    read_fields(text, &msg, true);
    assert_true(http2_end(stream->stream, &msg, &err));
    arena_free(arena);
}

#endif
