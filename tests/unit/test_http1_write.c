/* core/wire/http1: what is written, and what is not (threats C09, C10). */
#include "core/wire/http1.h"
#include "tests/unit/http1_run.h"

static void test_write_request(void **state)
{
    struct run run;
    struct buf out;
    struct err err;
    (void)state;
    run_open(&run);
    buf_init(&out, 1000);
    begin(&run, REQUEST);
    feed(&run, SPAN("POST http://a/x HTTP/1.0\r\nhost: a\r\nX: 1\r\nContent-Length: 3\r\n"
                    "Connection: X, TE\r\nTE: trailers\r\n\r\n"));
    msg_strip_hop_by_hop(&run.msg);
    run.msg.keep_alive = true;
    assert_true(msg_set(&run.msg, "Authorization", SPAN("Bearer t"), &err));
    assert_true(http1_write_request(&run.msg, SPAN("/x"), &out, &err));
    assert_string_equal(buf_cstr(&out),
                        "POST /x HTTP/1.1\r\nhost: a\r\nTE: trailers\r\nAuthorization: Bearer t\r\n"
                        "Content-Length: 3\r\nConnection: te\r\n\r\n");
    /* nothing is written where something is wrong */
    size_t before = out.len;
    assert_false(http1_write_request(&run.msg, SPAN("/x y"), &out, &err));
    assert_false(http1_write_request(&run.msg, SPAN("/x\r\nA: b"), &out, &err));
    assert_false(http1_write_request(&run.msg, SPAN(""), &out, &err));
    run.msg.fields.items[0].value = SPAN("a\r\nX-Injected: 1");
    assert_false(http1_write_request(&run.msg, SPAN("/x"), &out, &err));
    run.msg.fields.items[0].value = SPAN("a");
    run.msg.method = SPAN("GET /");
    assert_false(http1_write_request(&run.msg, SPAN("/x"), &out, &err));
    run.msg.method = SPAN("GET");
    run.msg.framing = MSG_UNTIL_CLOSE;
    assert_false(http1_write_request(&run.msg, SPAN("/x"), &out, &err));
    run.msg.framing = MSG_NONE;
    msg_remove(&run.msg, "host");
    assert_false(http1_write_request(&run.msg, SPAN("/x"), &out, &err));
    assert_int_equal(out.len, before);
    buf_clear(&out);
    run_close(&run);
}

static void test_write_upgrade(void **state)
{
    struct run run;
    struct buf out;
    struct err err;
    (void)state;
    run_open(&run);
    buf_init(&out, 1000);
    begin(&run, REQUEST);
    feed(&run, SPAN(GET "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"));
    msg_strip_hop_by_hop(&run.msg);
    assert_true(http1_write_request(&run.msg, SPAN("/"), &out, &err));
    assert_string_equal(buf_cstr(&out), GET "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    buf_clear(&out);
    run_close(&run);
}

static void test_write_response(void **state)
{
    static const struct {
        int kind;
        const char *in, *out; /* parsed, stripped, written */
    } rows[] = {
        {TO_OTHER, OK "Content-Length: 2\r\nConnection: close\r\n\r\n",
         OK "Content-Length: 2\r\nConnection: close\r\n\r\n"},
        {TO_OTHER, OK "Transfer-Encoding: chunked\r\nA: b\r\n\r\n",
         OK "A: b\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {TO_HEAD, OK "Content-Length: 7\r\n\r\n", OK "Content-Length: 7\r\n\r\n"},
        {TO_OTHER, "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
         "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"},
        {TO_OTHER, "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"},
        {TO_OTHER, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", OK "Content-Length: 0\r\n\r\n"},
        {TO_OTHER, OK "\r\n", OK "Connection: close\r\n\r\n"},
        {TO_OTHER, "HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"},
        {TO_UPGRADE, "HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
         "HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"},
        {TO_CONNECT, OK "\r\n", OK "\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct run run;
        struct buf out;
        struct err err;
        run_open(&run);
        buf_init(&out, 1000);
        begin(&run, rows[i].kind);
        feed(&run, span_of(rows[i].in));
        msg_strip_hop_by_hop(&run.msg);
        assert_true(http1_write_response(&run.msg, &out, &err));
        assert_string_equal(buf_cstr(&out), rows[i].out);
        buf_clear(&out);
        buf_init(&out, strlen(rows[i].out) - 1); /* a byte short */
        assert_false(http1_write_response(&run.msg, &out, &err));
        assert_int_equal(err.code, ERR_LIMIT);
        assert_int_equal(out.len, 0);
        buf_clear(&out);
        run_close(&run);
    }
}

static void test_write_chunks(void **state)
{
    struct run run;
    struct buf out;
    struct err err;
    char head[HTTP1_CHUNK_HEAD_BYTES];
    (void)state;
    run_open(&run);
    buf_init(&out, 1000);
    assert_int_equal(http1_chunk_head(500, head), 5);
    assert_memory_equal(head, "1f4\r\n", 5);
    assert_int_equal(http1_chunk_head(UINT64_MAX, head), 18);
    assert_true(http1_write_last_chunk(NULL, &out, &err));
    assert_string_equal(buf_cstr(&out), "0\r\n\r\n");
    buf_clear(&out);
    begin(&run, REQUEST);
    feed(&run, SPAN(POST CHUNKED "0\r\nA: b\r\n\r\n"));
    assert_true(http1_write_last_chunk(&run.msg, &out, &err));
    assert_string_equal(buf_cstr(&out), "0\r\nA: b\r\n\r\n");
    run.msg.trailers.items[0].value = SPAN("b\n");
    assert_false(http1_write_last_chunk(&run.msg, &out, &err));
    buf_clear(&out);
    run_close(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_request),  cmocka_unit_test(test_write_upgrade),
        cmocka_unit_test(test_write_response), cmocka_unit_test(test_write_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
