/* The small HTTP server: requests as a client writes them, what is refused, and answers at once,
 * later and in pieces. test_service_end has clients that go. */
#include "tests/unit/service_world.h"

/* ---- requests ---- */

static void test_simple(void **state)
{
    (void)state;
    say("GET /v1/health?a=1&b=%20x HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_string_equal(last_line, "GET /v1/health?a=1&b=%20x 0");
    hear();
    assert_heard("HTTP/1.1 200 OK\r\n");
    assert_heard("\r\nContent-Length: 11\r\n");
    assert_heard("\r\nContent-Type: application/json\r\n");
    assert_heard("\r\n\r\n{\"ok\":true}");
    assert_false(heard_end);
    say("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); /* kept alive until here */
    hear();
    assert_heard("{\"ok\":true}");
    assert_true(heard_end);
    assert_int_equal(requests, 2);
}

static void test_body_in_small_parts(void **state)
{
    (void)state;
    const char *parts[] = {"PO", "ST /echo HTTP/1.1\r\nHost: x\r\nContent-Le", "ngth: 11\r\n\r",
                           "\nhello", " world"};
    for (size_t i = 0; i < COUNT(parts); i++)
        say(parts[i]);
    assert_string_equal(last_line, "POST /echo? 11");
    hear();
    assert_heard("\r\n\r\nhello world");
    say("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    hear();
    assert_heard("\r\n\r\nabcde");
}

static void test_pipelined(void **state)
{
    (void)state;
    say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\nGET /one HTTP/1.1\r\nHost: x\r\n\r\nGET /empty "
        "HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(requests, 1); /* one at a time, in order */
    service_reply(held, 202, "text/plain", "held", 4);
    assert_int_equal(requests, 1); /* not from within the call */
    turns(6);
    assert_int_equal(requests, 3);
    hear();
    assert_heard("HTTP/1.1 202 Accepted\r\n");
    assert_true(strstr(heard, "held") < strstr(heard, "{\"ok\":true}"));
    assert_true(strstr(heard, "{\"ok\":true}") < strstr(heard, "204 No Content"));
}

static void test_accessors(void **state)
{
    (void)state;
    struct span value;
    say("POST http://aileron.internal/hold?wait=5&state=&flag&x=y=z HTTP/1.1\r\nHost: "
        "aileron.internal\r\n"
        "Authorization: Bearer t\r\nContent-Length: 2\r\n\r\nhi");
    assert_non_null(held);
    assert_true(span_eqs(service_path(held), "/hold")); /* absolute form too */
    assert_true(service_param(held, "wait", &value) && span_eqs(value, "5"));
    assert_true(service_param(held, "state", &value) && value.len == 0);
    assert_true(service_param(held, "flag", &value) && value.len == 0);
    assert_true(service_param(held, "x", &value) && span_eqs(value, "y=z"));
    assert_false(service_param(held, "wai", &value));
    assert_true(span_eqs(service_header(held, "authorization"), "Bearer t"));
    assert_null(service_header(held, "Cookie").p);
    assert_true(span_eqs(service_body(held), "hi"));
    int data;
    service_set_data(held, &data);
    assert_ptr_equal(service_data(held), &data);
    assert_ptr_equal(service_of(held), service);
    assert_non_null(service_conn(service));
    service_reply(held, 200, NULL, NULL, 0);
}

static void test_head_and_empty(void **state)
{
    (void)state;
    say("HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n");
    hear();
    assert_heard("Content-Length: 11\r\n");
    assert_null(strstr(heard, "ok"));
    say("GET /empty HTTP/1.1\r\nHost: x\r\n\r\n");
    hear();
    assert_heard("HTTP/1.1 204 No Content\r\n");
    assert_null(strstr(heard, "Content-Length"));
    say("HEAD /pieces HTTP/1.1\r\nHost: x\r\n\r\n");
    hear();
    assert_heard("X-Kind: pieces\r\n");
    assert_null(strstr(heard, "one"));
}

static void test_expect_continue(void **state)
{
    (void)state;
    say("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    hear();
    assert_string_equal(heard, "HTTP/1.1 100 Continue\r\n\r\n");
    say("abc");
    hear();
    assert_heard("\r\n\r\nabc");
}

/* ---- what is not accepted ---- */

static void test_too_large(void **state)
{
    (void)state;
    say("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n");
    hear();
    assert_heard("HTTP/1.1 413 ");
    assert_heard("{\"error\": {\"code\": \"");
    assert_int_equal(requests, 0);
    close(client);
    client = -1;
    turns(4);
}

static void test_too_large_in_chunks(void **state)
{
    (void)state;
    static char chunk[70000];
    say("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    memset(chunk, 'c', sizeof(chunk));
    memcpy(chunk, "11000\r\n", 7); /* 69632 bytes */
    memcpy(chunk + 7 + 69632, "\r\n", 2);
    for (int i = 0; i < 16; i++) {
        ssize_t n = send(client, chunk, 7 + 69632 + 2, MSG_NOSIGNAL);
        (void)n;
        turns(12);
    }
    hear();
    assert_heard("HTTP/1.1 413 ");
    assert_int_equal(requests, 0);
}

static void test_malformed(void **state)
{
    (void)state;
    say("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n");
    hear();
    assert_heard("HTTP/1.1 400 Bad Request\r\n");
    assert_heard("Connection: close\r\n");
    assert_true(heard_end);
    assert_int_equal(requests, 0);
}

static void test_head_too_large(void **state)
{
    (void)state;
    static char line[1030];
    say("GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 80; i++) {
        memset(line, 'v', sizeof(line));
        memcpy(line, "X-aa: ", 6);
        line[2] = (char)('a' + i / 26);
        line[3] = (char)('a' + i % 26);
        memcpy(line + sizeof(line) - 3, "\r\n", 3);
        ssize_t n = send(client, line, sizeof(line) - 1, MSG_NOSIGNAL);
        (void)n;
        turns(2);
    }
    hear();
    assert_heard("HTTP/1.1 431 ");
    assert_int_equal(requests, 0);
}

/* ---- answers ---- */

static void test_pieces(void **state)
{
    (void)state;
    say("GET /pieces HTTP/1.1\r\nHost: x\r\n\r\n");
    hear();
    assert_heard("Transfer-Encoding: chunked\r\n");
    assert_heard("X-Kind: pieces\r\n");
    assert_heard("\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
    say("GET /pieces HTTP/1.0\r\n\r\n"); /* which knows no chunks: the end of the connection ends it
                                          */
    hear();
    assert_heard("\r\n\r\nonetwo");
    assert_true(heard_end);
}

static void test_long_stream_to_a_slow_reader(void **state)
{
    (void)state;
    say("GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(streamed < 2 * 1024 * 1024); /* held back */
    hear();
    assert_int_equal(streamed, 3 * 1024 * 1024);
    assert_true(heard_len > streamed);
    assert_memory_equal(heard + heard_len - 5, "0\r\n\r\n", 5);
    assert_true(drained > 1);
}

static void test_large_answer(void **state)
{
    (void)state;
    say("GET /large HTTP/1.1\r\nHost: x\r\n\r\nGET /x HTTP/1.1\r\nHost: x\r\n\r\n");
    hear();
    assert_heard("Content-Length: 5242880\r\n");
    assert_memory_equal(heard + heard_len - 11, "{\"ok\":true}",
                        11); /* the next answer comes behind it */
    assert_true(heard_len > 5242880);
    say("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    hear();
    assert_true(heard_len > 5242880); /* whole, though the connection ends with it */
    assert_true(heard_end);
}

static void test_cut_off(void **state)
{
    (void)state;
    say("GET /cut HTTP/1.1\r\nHost: x\r\n\r\n");
    hear();
    assert_null(strstr(heard, "\r\n0\r\n")); /* the client can tell that it is not whole */
    assert_true(heard_end);
}

static void test_bad_field(void **state)
{
    (void)state;
    say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_false(service_field(held, "X-Bad", "a\r\nSet-Cookie: b"));
    assert_false(service_field(held, "Bad name", "v"));
    assert_true(service_field(held, "Retry-After", "5"));
    service_reply(held, 503, NULL, NULL, 0);
    hear();
    assert_heard("Retry-After: 5\r\n");
    assert_null(strstr(heard, "Cookie"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_simple),         T(test_body_in_small_parts),
        T(test_pipelined),      T(test_accessors),
        T(test_head_and_empty), T(test_expect_continue),
        T(test_too_large),      T(test_too_large_in_chunks),
        T(test_malformed),      T(test_head_too_large),
        T(test_pieces),         T(test_long_stream_to_a_slow_reader),
        T(test_large_answer),   T(test_cut_off),
        T(test_bad_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
