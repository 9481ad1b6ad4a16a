/* Any bytes as HTTP/2, to a server's session or a client's, in pieces: it ends, keeps its bounds, and its owner may
 * answer, read, reset and go away whenever it likes. The first byte chooses role and habits. */
#include "core/wire/http2.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct owner {
    struct http2 *session;
    struct arena *arena;
    unsigned habits;
    size_t open;
};

enum { SERVER = 1, READS = 2, ANSWERS = 4, RESETS = 8, TRAILERS = 16, SLOW = 32 };

static void answer(struct owner *owner, struct http2_stream *stream)
{
    struct msg msg;
    struct err err;
    arena_reset(owner->arena);
    msg_init(&msg, owner->arena);
    if (!msg_response(&msg, 200, SPAN(""), &err) || !msg_add(&msg, SPAN("Set-Cookie"), SPAN("a=b"), &err))
        abort();
    msg.framing = MSG_CHUNKED;
    if (!http2_respond(stream, &msg, &err))
        return;
    if (!http2_write(stream, SPAN("hello")) && http2_room(stream) >= 5)
        abort();
    if ((owner->habits & TRAILERS) && !msg_add_trailer(&msg, SPAN("grpc-status"), SPAN("0"), &err))
        abort();
    if (!(owner->habits & SLOW) && !http2_end(stream, &msg, &err))
        abort();
}

static void on_head(void *arg, struct http2_stream *stream, struct msg *msg, bool ended)
{
    struct owner *owner = arg;
    bool server = owner->habits & SERVER;
    (void)ended;
    if (msg->bytes > MSG_HEAD_BYTES || (server ? !msg->method.len : msg->status < 100 || msg->status > 599))
        abort();
    if (server && msg_count(msg, "host") > 1)
        abort();
    if (!http2_owner(stream)) {
        http2_set_owner(stream, owner);
        owner->open += server;
    }
    if (owner->open > HTTP2_STREAMS_MAX)
        abort();
    if (server && (owner->habits & RESETS) && msg->target.len % 2 == 0) {
        owner->open--;
        http2_reset(stream, HTTP2_CANCEL);
    } else if (server && (owner->habits & ANSWERS)) {
        answer(owner, stream);
    }
}

static void on_malformed(void *arg, struct http2_stream *stream, const struct err *err)
{
    (void)arg;
    if (!err->message[0])
        abort();
    http2_reset(stream, HTTP2_PROTOCOL_ERROR);
}

static void on_readable(void *arg, struct http2_stream *stream)
{
    struct owner *owner = arg;
    struct span data = http2_peek(stream);
    if (data.len > HTTP2_WINDOW_BYTES)
        abort();
    if (owner->habits & READS)
        http2_consume(stream, data.len);
}

static void on_writable(void *arg, struct http2_stream *stream)
{
    (void)arg;
    (void)stream;
}

static void on_closed(void *arg, struct http2_stream *stream, uint32_t code)
{
    struct owner *owner = arg;
    (void)code;
    if ((owner->habits & SERVER) && http2_owner(stream))
        owner->open--;
}

static const struct http2_handler handler = {on_head, on_malformed, on_readable, on_writable, on_closed};

static void send_all(struct http2 *session)
{
    struct span bytes;
    for (int i = 0; i < 10000 && (bytes = http2_next_bytes(session)).len > 0; i++)
        if (bytes.len > HTTP2_NEXT_BYTES)
            abort();
}

static void begin(struct owner *owner)
{
    struct err err;
    if (owner->habits & SERVER) {
        owner->session = http2_server(&handler, owner);
        if (!http2_receive(owner->session, SPAN("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), &err))
            abort();
        return;
    }
    struct msg msg;
    owner->session = http2_client(&handler, owner);
    msg_init(&msg, owner->arena);
    if (!msg_request(&msg, SPAN("GET"), SPAN("/"), &err) || !msg_add(&msg, SPAN("Host"), SPAN("a.test"), &err))
        abort();
    for (int i = 0; i < 3; i++)
        if (!http2_request(owner->session, &msg, "https", SPAN("/"), NULL, owner, &err))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    if (size < 2)
        return 0;
    struct owner owner = {.arena = arena_new(MSG_ARENA_BYTES), .habits = data[0]};
    size_t piece = 1 + data[1] * 64u;
    begin(&owner);
    send_all(owner.session);
    for (data += 2, size -= 2; size > 0;) {
        struct span part = {(const char *)data, size < piece ? size : piece};
        bool good = http2_receive(owner.session, part, &err);
        if (!good && !err.message[0])
            abort();
        send_all(owner.session);
        if (!good || http2_over(owner.session))
            break;
        data += part.len;
        size -= part.len;
    }
    http2_abort(owner.session, HTTP2_CANCEL, owner.habits & READS);
    http2_free(owner.session);
    arena_free(owner.arena);
    return 0;
}
