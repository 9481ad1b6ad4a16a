/* HTTP/2 from a peer that means harm (F08, F09). The first byte says on which side we are and how the owner behaves;
 * what follows are frames (the preface is given where it is due). Whatever comes: the session ends in good order
 * within its bounds, and each head that it gives can be written as one HTTP/1.1 head and no more (C09). */
#include "core/wire/http1.h"
#include "core/wire/http2.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CLIENT = 1, LAZY = 2, RESETS = 4, PIECES = 8, SPEAKS_FIRST = 16, OUTPUTS_MAX = 100000 };
enum { REQUESTS = 4 };

static unsigned how, heads;
static struct http2 *session;

static void require(bool truth)
{
    if (!truth)
        abort();
}

/* One head, as many fields, nothing behind it. */
static void check_written(struct msg *msg)
{
    struct arena *arena = arena_new(MSG_ARENA_BYTES);
    struct http1 *parser = http1_new();
    struct msg again, copy = *msg;
    struct err err = {0};
    struct buf out;
    buf_init(&out, 2 * MSG_HEAD_BYTES);
    msg_init(&again, arena);
    copy.upgrade = false;
    bool response = how & CLIENT;
    bool written = response ? http1_write_response(&copy, &out, &err)
                            : http1_write_request(&copy, copy.target, &out, &err);
    require(written || err.code == ERR_LIMIT || msg_count(msg, "host") != 1);
    if (written && out.len < MSG_HEAD_BYTES) {
        struct span input = {(const char *)out.data, out.len}, body;
        if (response)
            http1_begin_response(parser, &again, HTTP1_TO_OTHER, false);
        else
            http1_begin_request(parser, &again);
        /* It may be refused: 101 means nothing in HTTP/2, and CONNECT's target has a form of its own. */
        if (http1_next(parser, &input, &body, &err) == HTTP1_HEAD) {
            require(input.len == 0);
            require(again.fields.count <= msg->fields.count + 2); /* framing, connection */
            require(span_eq(again.method, msg->method) && again.status == msg->status);
        }
    }
    buf_clear(&out);
    http1_free(parser);
    arena_free(arena);
}

static void answer(struct http2_stream *stream)
{
    struct arena *arena = arena_new(MSG_ARENA_BYTES);
    struct msg msg;
    struct err err;
    msg_init(&msg, arena);
    unsigned status = http2_msg(stream)->upgrade ? 101 : 200;
    require(msg_response(&msg, status, SPAN("OK"), &err) && msg_add(&msg, SPAN("x-a"), SPAN("b"), &err));
    msg.framing = MSG_UNTIL_CLOSE;
    if (http2_respond(stream, &msg, &err) && http2_write(stream, SPAN("an answer")) &&
        http2_room(stream) <= HTTP2_OUT_BYTES)
        (void)!http2_end(stream, NULL, &err);
    arena_free(arena);
}

static void on_head(void *arg, struct http2_stream *stream, struct msg *msg, bool ended)
{
    (void)arg;
    (void)ended;
    heads++;
    require(msg->fields.count <= MSG_FIELDS_MAX && msg->bytes <= MSG_HEAD_BYTES);
    for (size_t i = 0; i < msg->fields.count; i++)
        require(text_is_token(msg->fields.items[i].name) && msg_value_valid(msg->fields.items[i].value));
    check_written(msg);
    if ((how & RESETS) && heads % 2 == 0)
        http2_reset(stream, HTTP2_CANCEL);
    else if (!(how & CLIENT))
        answer(stream);
}

static void on_malformed(void *arg, struct http2_stream *stream, const struct err *err)
{
    (void)arg;
    require(err->code == ERR_DATA || err->code == ERR_LIMIT);
    if (how & LAZY)
        answer(stream);
    http2_reset(stream, HTTP2_PROTOCOL_ERROR);
}

static void on_readable(void *arg, struct http2_stream *stream)
{
    struct span body = http2_peek(stream);
    (void)arg;
    require(body.len <= HTTP2_WINDOW_BYTES);
    http2_consume(stream, how & LAZY ? body.len / 2 : body.len);
}

static void on_writable(void *arg, struct http2_stream *stream)
{
    (void)arg;
    require(http2_room(stream) <= HTTP2_OUT_BYTES);
}

static void on_closed(void *arg, struct http2_stream *stream, uint32_t code)
{
    (void)arg;
    (void)stream;
    require(http2_code_word(code) != NULL);
}

static const struct http2_handler handler = {on_head, on_malformed, on_readable, on_writable, on_closed};

static void send_out(void)
{
    struct span bytes;
    for (int turn = 0; (bytes = http2_next_bytes(session)).len > 0; turn++)
        require(bytes.len <= HTTP2_NEXT_BYTES && turn < OUTPUTS_MAX);
}

static void request(unsigned number)
{
    struct arena *arena = arena_new(MSG_ARENA_BYTES);
    struct msg msg;
    struct err err;
    msg_init(&msg, arena);
    require(msg_request(&msg, number == 1 ? SPAN("HEAD") : number == 2 ? SPAN("POST") : SPAN("GET"), SPAN("/"), &err) &&
            msg_add(&msg, SPAN("Host"), SPAN("a.test"), &err));
    if (number == 2)
        msg.framing = MSG_CHUNKED;
    msg.upgrade = number == 3;
    if (msg.upgrade)
        require(msg_add(&msg, SPAN("Upgrade"), SPAN("websocket"), &err));
    struct http2_stream *stream = http2_request(session, &msg, "https", SPAN("/"), NULL, &heads, &err);
    if (stream && number >= 2 && http2_write(stream, SPAN("a body")))
        (void)!http2_end(stream, NULL, &err);
    arena_free(arena);
}

static bool feed(const uint8_t *data, size_t size)
{
    struct err err = {0};
    size_t piece = how & PIECES ? 1 + size / 7 : size;
    bool good = true;
    for (size_t at = 0; good && at < size; at += piece) {
        size_t len = size - at < piece ? size - at : piece;
        good = http2_receive(session, (struct span){(const char *)data + at, len}, &err);
        require(good || err.code == ERR_DATA || err.code == ERR_LIMIT || err.code == ERR_UPSTREAM);
        send_out();
    }
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    if (size == 0)
        return 0;
    how = data[0];
    heads = 0;
    session = how & CLIENT ? http2_client(&handler, NULL) : http2_server(&handler, NULL);
    if (how & SPEAKS_FIRST)
        send_out();
    for (unsigned i = 0; (how & CLIENT) && i < REQUESTS; i++)
        if (http2_can_request(session))
            request(i);
    send_out();
    if ((how & CLIENT) || feed(preface, sizeof preface - 1))
        (void)!feed(data + 1, size - 1);
    require(http2_streams(session) <= HTTP2_STREAMS_MAX);
    http2_goaway(session);
    send_out();
    http2_abort(session, HTTP2_CANCEL, true);
    require(http2_streams(session) == 0);
    http2_free(session);
    return 0;
}
