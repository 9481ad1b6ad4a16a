/* core/wire/http2: two sessions of ours talk to each other through memory, and raw frames attack a server. */
#include "core/wire/http2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct side {
    struct http2 *session;
    struct http2_stream *stream; /* the newest */
    struct buf body;
    unsigned heads, statuses[8], closed, malformed, writable;
    uint32_t code;
    bool ended, keep_body; /* keep_body: it is not consumed */
    struct msg *msg;
    struct err err;
};
static struct side client, server;
static struct arena *arena;
static struct err err;

static void on_head(void *arg, struct http2_stream *stream, struct msg *msg, bool ended)
{
    struct side *side = arg;
    side->stream = stream;
    side->msg = msg;
    side->ended = ended;
    if (side->heads < COUNT(side->statuses))
        side->statuses[side->heads] = msg->status;
    side->heads++;
}

static void on_malformed(void *arg, struct http2_stream *stream, const struct err *why)
{
    struct side *side = arg;
    side->malformed++;
    side->err = *why;
    http2_reset(stream, HTTP2_PROTOCOL_ERROR);
}

static void on_readable(void *arg, struct http2_stream *stream)
{
    struct side *side = arg;
    struct span data = http2_peek(stream);
    if (!side->keep_body && data.len) {
        assert_true(buf_add(&side->body, data.p, data.len));
        http2_consume(stream, data.len);
    }
    side->ended = http2_ended(stream);
}

static void on_writable(void *arg, struct http2_stream *stream)
{
    struct side *side = arg;
    (void)stream;
    side->writable++;
}

static void on_closed(void *arg, struct http2_stream *stream, uint32_t code)
{
    struct side *side = arg;
    side->closed++;
    side->code = code;
    if (side->stream == stream)
        side->stream = NULL;
}

static const struct http2_handler handler = {on_head, on_malformed, on_readable, on_writable, on_closed};

static bool carry(struct side *from, struct side *to)
{
    bool moved = false;
    for (struct span bytes; (bytes = http2_next_bytes(from->session)).len > 0; moved = true) {
        assert_true(bytes.len <= HTTP2_NEXT_BYTES);
        if (!http2_receive(to->session, bytes, &to->err))
            return false;
    }
    return moved;
}

static void settle(void)
{
    while (carry(&client, &server) | carry(&server, &client))
        ;
}

static int setup(void **state)
{
    (void)state;
    memset(&client, 0, sizeof(client));
    memset(&server, 0, sizeof(server));
    client.session = http2_client(&handler, &client);
    server.session = http2_server(&handler, &server);
    buf_init(&client.body, 64 << 20);
    buf_init(&server.body, 64 << 20);
    arena = arena_new(MSG_ARENA_BYTES);
    settle();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http2_free(client.session);
    http2_free(server.session);
    buf_clear(&client.body);
    buf_clear(&server.body);
    arena_free(arena);
    return 0;
}

static void make_request(struct msg *msg, const char *method, enum msg_framing framing)
{
    msg_init(msg, arena);
    assert_true(msg_request(msg, span_of(method), SPAN("/"), &err));
    assert_true(msg_add(msg, SPAN("Host"), SPAN("api.test"), &err));
    assert_true(msg_add(msg, SPAN("Authorization"), SPAN("Bearer s3cret"), &err));
    assert_true(msg_add(msg, SPAN("Connection"), SPAN("close"), &err)); /* must not get in */
    msg->framing = framing;
}

static struct http2_stream *request(const char *method, enum msg_framing framing)
{
    struct msg msg;
    make_request(&msg, method, framing);
    struct http2_stream *stream =
        http2_request(client.session, &msg, "https", SPAN("/a?b=c"), "x-token", NULL, &err);
    assert_non_null(stream);
    settle();
    return stream;
}

static void respond(unsigned status, enum msg_framing framing)
{
    struct msg msg;
    msg_init(&msg, arena);
    assert_true(msg_response(&msg, status, SPAN("Fine"), &err));
    assert_true(msg_add(&msg, SPAN("X-Made"), SPAN("here"), &err));
    msg.framing = framing;
    assert_true(http2_respond(server.stream, &msg, &err));
}

static void test_exchange(void **state)
{
    (void)state;
    struct http2_stream *stream = request("POST", MSG_CHUNKED);
    assert_int_equal(server.heads, 1);
    assert_false(server.ended);
    assert_true(span_eqs(server.msg->method, "POST"));
    assert_true(span_eqs(server.msg->target, "/a?b=c"));
    assert_true(span_eqs(http2_scheme(server.stream), "https"));
    assert_true(span_eqs(msg_get(server.msg, "host"), "api.test"));
    assert_true(span_eqs(msg_get(server.msg, "authorization"), "Bearer s3cret"));
    assert_null(msg_get(server.msg, "connection").p);
    assert_int_equal(server.msg->framing, MSG_CHUNKED);
    assert_true(http2_write(stream, SPAN("hello ")) && http2_write(stream, SPAN("there")));
    assert_true(http2_end(stream, NULL, &err));
    settle();
    assert_true(server.ended);
    assert_string_equal(buf_cstr(&server.body), "hello there");
    respond(103, MSG_NONE);
    respond(200, MSG_CHUNKED);
    assert_true(http2_write(server.stream, SPAN("answer")));
    struct msg last;
    msg_init(&last, arena);
    assert_true(msg_add_trailer(&last, SPAN("grpc-status"), SPAN("0"), &err));
    assert_true(http2_end(server.stream, &last, &err));
    settle();
    assert_int_equal(client.heads, 2);
    assert_int_equal(client.statuses[0], 103);
    assert_int_equal(client.statuses[1], 200);
    assert_string_equal(buf_cstr(&client.body), "answer");
    assert_int_equal(client.closed, 1);
    assert_int_equal(client.code, HTTP2_NO_ERROR);
    assert_int_equal(server.closed, 1);
    assert_int_equal(http2_streams(client.session), 0);
}

static void test_trailers_arrive(void **state)
{
    (void)state;
    request("GET", MSG_NONE);
    assert_true(server.ended);
    respond(200, MSG_CHUNKED);
    settle();
    struct msg *answer = client.msg;
    client.keep_body = true; /* so that the stream is looked at before it goes */
    struct msg last;
    msg_init(&last, arena);
    assert_true(msg_add_trailer(&last, SPAN("x-last"), SPAN("yes"), &err));
    assert_true(http2_end(server.stream, &last, &err));
    for (struct span bytes; (bytes = http2_next_bytes(server.session)).len > 0;) {
        assert_true(http2_receive(client.session, bytes, &err));
        if (client.ended)
            break;
    }
    (void)answer;
    assert_true(client.ended);
    assert_int_equal(client.closed, 1);
}

static void test_no_body(void **state)
{
    (void)state;
    request("HEAD", MSG_NONE);
    struct msg msg;
    msg_init(&msg, arena);
    assert_true(msg_response(&msg, 200, SPAN(""), &err));
    msg.has_length = true;
    msg.content_length = 12345;
    assert_true(http2_respond(server.stream, &msg, &err));
    settle();
    assert_int_equal(client.heads, 1);
    assert_true(client.ended);
    assert_int_equal(client.closed, 1);
    request("GET", MSG_NONE);
    respond(200, MSG_NONE); /* nothing follows: HTTP/1.1 would have to be told */
    settle();
    assert_true(client.ended);
}

/* A reader that takes nothing: no more than a window and an output buffer are ever held. */
static void test_back_pressure(void **state)
{
    (void)state;
    static char block[4096];
    struct http2_stream *stream = request("POST", MSG_CHUNKED);
    size_t sent = 0;
    server.keep_body = true;
    for (int i = 0; i < 1000; i++) {
        if (http2_write(stream, (struct span){block, sizeof(block)}))
            sent += sizeof(block);
        settle();
    }
    assert_in_range(sent, HTTP2_WINDOW_BYTES, HTTP2_WINDOW_BYTES + HTTP2_OUT_BYTES);
    assert_in_range(http2_peek(server.stream).len, HTTP2_WINDOW_BYTES - HTTP2_FRAME_BYTES, HTTP2_WINDOW_BYTES);
    assert_true(http2_room(stream) < sizeof(block));
    assert_int_equal(client.writable, 0);
    /* Another stream is not held up by it. */
    struct http2_stream *slow = server.stream;
    request("GET", MSG_NONE);
    respond(200, MSG_NONE);
    settle();
    assert_int_equal(client.closed, 1);
    /* And it goes on when it is read. */
    http2_consume(slow, http2_peek(slow).len);
    settle();
    assert_true(client.writable > 0);
    assert_int_equal(http2_room(stream), HTTP2_OUT_BYTES);
}

static void test_large_body_arrives_whole(void **state)
{
    (void)state;
    char block[16384];
    size_t want = 8 << 20, sent = 0;
    request("GET", MSG_NONE);
    respond(200, MSG_CHUNKED);
    while (sent < want) {
        for (size_t i = 0; i < sizeof(block); i++)
            block[i] = (char)((sent + i) * 31 >> 8);
        if (http2_write(server.stream, (struct span){block, sizeof(block)}))
            sent += sizeof(block);
        settle();
    }
    assert_true(http2_end(server.stream, NULL, &err));
    settle();
    assert_int_equal(client.body.len, want);
    for (size_t i = 0; i < want; i++)
        if (client.body.data[i] != (uint8_t)(char)(i * 31 >> 8))
            fail_msg("byte %zu differs", i);
    assert_true(client.ended);
}

static void test_reset_and_goaway(void **state)
{
    (void)state;
    struct http2_stream *stream = request("POST", MSG_CHUNKED);
    http2_reset(stream, HTTP2_CANCEL);
    settle();
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.code, HTTP2_CANCEL);
    assert_int_equal(client.closed, 0); /* who resets is not told */
    request("GET", MSG_NONE);
    http2_goaway(server.session);
    settle();
    assert_false(http2_can_request(client.session));
    assert_false(http2_over(server.session));
    respond(200, MSG_NONE); /* what is open goes on */
    settle();
    assert_int_equal(client.statuses[client.heads - 1], 200);
    assert_true(http2_over(server.session));
}

/* ---- hostile heads and floods: raw frames ---- */

static void raw(const void *data, size_t len)
{
    (void)!http2_receive(server.session, (struct span){data, len}, &server.err);
}

static bool frame(uint8_t type, uint8_t flags, uint32_t stream, const void *payload, size_t len)
{
    uint8_t bytes[9 + 16384] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type, flags,
                                (uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8),
                                (uint8_t)stream};
    if (len)
        memcpy(bytes + 9, payload, len);
    return http2_receive(server.session, (struct span){(char *)bytes, 9 + len}, &server.err);
}

/* HPACK literals without indexing: names and values of less than 127 bytes. */
static size_t literal(uint8_t *out, const char *name, const char *value)
{
    size_t n = 0;
    out[n++] = 0;
    out[n++] = (uint8_t)strlen(name);
    memcpy(out + n, name, strlen(name));
    n += strlen(name);
    out[n++] = (uint8_t)strlen(value);
    memcpy(out + n, value, strlen(value));
    return n + strlen(value);
}

static size_t usual(uint8_t *out)
{
    size_t n = literal(out, ":method", "GET");
    n += literal(out + n, ":scheme", "https");
    n += literal(out + n, ":path", "/");
    return n + literal(out + n, ":authority", "api.test");
}

static void restart_server(void)
{
    http2_free(server.session);
    server.session = http2_server(&handler, &server);
    raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    assert_true(frame(4, 0, 0, NULL, 0));
}

enum { END_STREAM = 1, END_HEADERS = 4 };

static void test_hosts_that_differ(void **state)
{
    (void)state;
    uint8_t block[512];
    restart_server();
    size_t n = usual(block);
    n += literal(block + n, "host", "other.test");
    assert_true(frame(1, END_STREAM | END_HEADERS, 1, block, n));
    assert_int_equal(server.malformed, 1);
    assert_string_equal(server.err.message, ":authority and Host differ");
    n = usual(block);
    n += literal(block + n, "host", "API.test");
    assert_true(frame(1, END_STREAM | END_HEADERS, 3, block, n));
    assert_int_equal(server.malformed, 1);
    assert_int_equal(server.heads, 1);
    assert_int_equal(msg_count(server.msg, "host"), 1);
}

static void test_cookie_crumbs_are_one_field(void **state)
{
    (void)state;
    uint8_t block[512];
    restart_server();
    size_t n = usual(block);
    n += literal(block + n, "cookie", "a=1");
    n += literal(block + n, "cookie", "b=2");
    assert_true(frame(1, END_STREAM | END_HEADERS, 1, block, n));
    assert_true(span_eqs(msg_get(server.msg, "cookie"), "a=1; b=2"));
}

static void test_too_large_a_head(void **state)
{
    (void)state;
    static uint8_t block[16384];
    char value[121];
    restart_server();
    memset(value, 'v', 120);
    value[120] = 0;
    size_t n = usual(block);
    while (n + 130 < sizeof(block))
        n += literal(block + n, "a", value);
    assert_true(frame(1, END_STREAM, 1, block, n));
    for (int i = 0; i < 5; i++) {
        n = 0;
        while (n + 130 < sizeof(block))
            n += literal(block + n, "a", value);
        assert_true(frame(9, i == 4 ? END_HEADERS : 0, 1, block, n));
    }
    assert_int_equal(server.heads, 0);
    assert_int_equal(server.malformed, 1);
    assert_int_equal(server.err.code, ERR_LIMIT);
}

/* One entry of the dynamic table, named ten thousand times: the bound counts what it becomes. */
static void test_hpack_bomb(void **state)
{
    (void)state;
    static uint8_t block[16384];
    restart_server();
    size_t n = usual(block);
    block[n++] = 0x40; /* with indexing */
    block[n++] = 1;
    block[n++] = 'x';
    block[n++] = 0x7f; /* 127 + 3000: the value's length */
    block[n++] = (uint8_t)((3000 & 0x7f) | 0x80);
    block[n++] = (uint8_t)(3000 >> 7);
    memset(block + n, 'b', 3127);
    n += 3127;
    while (n < 13000)
        block[n++] = 0x80 | 62; /* the newest entry */
    assert_true(frame(1, END_STREAM | END_HEADERS, 1, block, n));
    assert_int_equal(server.heads, 0);
    assert_int_equal(server.malformed, 1);
    assert_int_equal(server.err.code, ERR_LIMIT);
}

static void test_continuation_flood(void **state)
{
    (void)state;
    uint8_t block[512];
    restart_server();
    size_t n = usual(block);
    assert_true(frame(1, END_STREAM, 1, block, n));
    int frames = 0;
    while (frames < 100 && frame(9, 0, 1, NULL, 0))
        frames++;
    assert_in_range(frames, 1, HTTP2_CONTINUATIONS_MAX);
}

static void test_rapid_reset(void **state)
{
    (void)state;
    static const uint8_t cancel[4] = {0, 0, 0, 8};
    uint8_t block[512];
    unsigned done = 0;
    restart_server();
    size_t n = usual(block);
    for (; done < 5000 && !http2_over(server.session); done++) {
        if (!frame(1, END_STREAM | END_HEADERS, 1 + 2 * done, block, n) ||
            !frame(3, 0, 1 + 2 * done, cancel, sizeof(cancel)))
            break;
        while (http2_next_bytes(server.session).len > 0)
            ;
    }
    assert_in_range(done, HTTP2_RESETS_BURST / 2, HTTP2_RESETS_BURST * 3);
}

static void test_control_flood(void **state)
{
    (void)state;
    static const uint8_t ping[8] = {0};
    int done = 0;
    restart_server();
    while (done < 100000 && frame(6, 0, 0, ping, sizeof(ping))) {
        done++;
        while (http2_next_bytes(server.session).len > 0) /* the peer reads the answers */
            ;
    }
    assert_in_range(done, HTTP2_CONTROL_MAX / 2, HTTP2_CONTROL_MAX + 10);
    restart_server();
    done = 0;
    while (done < 100000 && frame(6, 0, 0, ping, sizeof(ping))) /* it does not */
        done++;
    assert_in_range(done, 1, HTTP2_ACKS_MAX + 10);
}

static void test_not_http2(void **state)
{
    (void)state;
    http2_free(server.session);
    server.session = http2_server(&handler, &server);
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_false(http2_receive(server.session, SPAN(text), &server.err));
    assert_int_equal(server.err.code, ERR_DATA);
}

static void test_bad_heads_of_ours(void **state)
{
    (void)state;
    struct msg msg;
    make_request(&msg, "GET", MSG_NONE);
    msg_remove(&msg, "host");
    assert_null(http2_request(client.session, &msg, "https", SPAN("/"), NULL, NULL, &err));
    request("GET", MSG_NONE);
    msg_init(&msg, arena);
    assert_true(msg_response(&msg, 101, SPAN(""), &err));
    assert_false(http2_respond(server.stream, &msg, &err));
}

static void test_streams_are_bounded(void **state)
{
    (void)state;
    unsigned sent = 0;
    for (; sent < 500 && http2_can_request(client.session); sent++)
        request("GET", MSG_NONE);
    assert_int_equal(sent, HTTP2_STREAMS_MAX);
    assert_int_equal(http2_streams(server.session), HTTP2_STREAMS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exchange, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trailers_arrive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_body, setup, teardown),
        cmocka_unit_test_setup_teardown(test_back_pressure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_body_arrives_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reset_and_goaway, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hosts_that_differ, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cookie_crumbs_are_one_field, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large_a_head, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hpack_bomb, setup, teardown),
        cmocka_unit_test_setup_teardown(test_continuation_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rapid_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_control_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_http2, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_heads_of_ours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_are_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
