/* core/wire/http2: requests and answers, back-pressure, resets, and the end of a connection. */
#include "tests/unit/http2_world.h"

static struct arena *arena;
static struct err err;

static int setup_with_arena(void **state)
{
    arena = arena_new(MSG_ARENA_BYTES);
    return setup(state);
}

static int teardown_with_arena(void **state)
{
    arena_free(arena);
    return teardown(state);
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

/* An answer that is complete before its reader has read: nothing of it is lost. */
static void test_closed_before_it_was_read(void **state)
{
    (void)state;
    client.keep_body = true;
    request("GET", MSG_NONE);
    respond(200, MSG_CHUNKED);
    assert_true(http2_write(server.stream, SPAN("late reader")));
    assert_true(http2_end(server.stream, NULL, &err));
    settle();
    assert_int_equal(server.closed, 1);
    assert_int_equal(client.closed, 0);
    assert_true(span_eqs(http2_peek(client.stream), "late reader"));
    assert_false(http2_ended(client.stream));
    http2_consume(client.stream, 11);
    assert_true(http2_ended(client.stream));
    settle();
    assert_int_equal(client.closed, 1);
    assert_int_equal(http2_streams(client.session), 0);
}

/* The same where it came ahead of its request's end, and the connection is lost. */
static void test_lost_before_it_was_read(void **state)
{
    (void)state;
    client.keep_body = true;
    request("POST", MSG_CHUNKED);
    respond(200, MSG_CHUNKED);
    assert_true(http2_write(server.stream, SPAN("late reader")));
    assert_true(http2_end(server.stream, NULL, &err));
    settle();
    http2_abort(client.session, HTTP2_INTERNAL_ERROR, false);
    assert_int_equal(client.closed, 0);
    assert_true(span_eqs(http2_peek(client.stream), "late reader"));
    http2_consume(client.stream, 11);
    assert_true(http2_ended(client.stream));
    http2_abort(client.session, HTTP2_INTERNAL_ERROR, true);
    assert_int_equal(client.closed, 1);
    assert_int_equal(http2_streams(client.session), 0);
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

/* RFC 8441: an extended CONNECT is an upgrade on both sides, and only its 101 is consent. */
static void test_extended_connect(void **state)
{
    (void)state;
    struct msg msg;
    assert_true(http2_can_upgrade(client.session));
    assert_false(http2_can_upgrade(server.session)); /* a client announces nothing */
    make_request(&msg, "GET", MSG_NONE);
    msg.upgrade = true;
    assert_null(http2_request(client.session, &msg, "https", SPAN("/chat"), NULL, NULL, &err)); /* for what? */
    assert_true(msg_add(&msg, SPAN("Upgrade"), SPAN("websocket"), &err));
    struct http2_stream *stream = http2_request(client.session, &msg, "https", SPAN("/chat"), NULL, NULL, &err);
    assert_non_null(stream);
    settle();
    assert_int_equal(server.heads, 1);
    assert_false(server.ended);
    assert_true(server.msg->upgrade && span_eqs(server.msg->method, "GET") && span_eqs(server.msg->target, "/chat"));
    assert_true(span_eqs(msg_get(server.msg, "upgrade"), "websocket"));
    struct msg answer;
    msg_init(&answer, arena);
    assert_true(msg_response(&answer, 204, SPAN(""), &err));
    assert_false(http2_respond(server.stream, &answer, &err));
    assert_true(msg_response(&answer, 103, SPAN(""), &err) && http2_respond(server.stream, &answer, &err));
    assert_true(msg_response(&answer, 101, SPAN(""), &err) && http2_respond(server.stream, &answer, &err));
    assert_true(http2_write(server.stream, SPAN("hello")) && http2_write(stream, SPAN("hi")));
    settle();
    assert_int_equal(client.statuses[0], 103);
    assert_int_equal(client.statuses[1], 101);
    assert_true(client.msg->upgrade);
    assert_string_equal(buf_cstr(&client.body), "hello");
    assert_string_equal(buf_cstr(&server.body), "hi");
    assert_true(http2_end(server.stream, NULL, &err) && http2_end(stream, NULL, &err));
    settle();
    assert_int_equal(client.closed + server.closed, 2);
    /* What came before both ends is read, and then the stream is over. */
    server.keep_body = true;
    stream = http2_request(client.session, &msg, "https", SPAN("/chat"), NULL, NULL, &err);
    assert_non_null(stream);
    settle();
    assert_true(http2_respond(server.stream, &answer, &err) && http2_end(server.stream, NULL, &err));
    assert_true(http2_write(stream, SPAN("goodbye")) && http2_end(stream, NULL, &err));
    settle();
    assert_int_equal(client.closed, 2);
    assert_int_equal(server.closed, 1);
    assert_true(span_eqs(http2_peek(server.stream), "goodbye"));
    http2_consume(server.stream, 7);
    assert_true(http2_ended(server.stream));
    settle();
    assert_int_equal(server.closed, 2);
    /* Nobody agrees to what was not asked. */
    request("GET", MSG_NONE);
    assert_false(server.msg->upgrade);
    assert_true(msg_response(&answer, 101, SPAN(""), &err));
    assert_false(http2_respond(server.stream, &answer, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exchange, setup_with_arena, teardown_with_arena),
        cmocka_unit_test_setup_teardown(test_trailers_arrive, setup_with_arena, teardown_with_arena),
        cmocka_unit_test_setup_teardown(test_no_body, setup_with_arena, teardown_with_arena),
        cmocka_unit_test_setup_teardown(test_back_pressure, setup_with_arena, teardown_with_arena),
        cmocka_unit_test_setup_teardown(test_closed_before_it_was_read, setup_with_arena, teardown_with_arena),
        cmocka_unit_test_setup_teardown(test_lost_before_it_was_read, setup_with_arena, teardown_with_arena),
        cmocka_unit_test_setup_teardown(test_large_body_arrives_whole, setup_with_arena, teardown_with_arena),
        cmocka_unit_test_setup_teardown(test_reset_and_goaway, setup_with_arena, teardown_with_arena),
        cmocka_unit_test_setup_teardown(test_bad_heads_of_ours, setup_with_arena, teardown_with_arena),
        cmocka_unit_test_setup_teardown(test_extended_connect, setup_with_arena, teardown_with_arena),
        cmocka_unit_test_setup_teardown(test_streams_are_bounded, setup_with_arena, teardown_with_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
