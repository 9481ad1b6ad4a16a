/* core/wire/http2 under attack: raw frames to a server of ours. */
#include "core/base/id.h"
#include "tests/unit/http2_world.h"

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

static size_t bomb(uint8_t *block)
{
    size_t n = usual(block);
    block[n++] = 0x40; /* with indexing */
    block[n++] = 1;
    block[n++] = 'x';
    block[n++] = 0x7f; /* 127 + 3000: the value's length */
    block[n++] = (uint8_t)((3000 & 0x7f) | 0x80);
    block[n++] = (uint8_t)(3000 >> 7);
    memset(block + n, 'b', 3127);
    return n + 3127;
}

/* One entry of the dynamic table, named three hundred times: the bound counts what it becomes. */
static void test_hpack_bomb(void **state)
{
    (void)state;
    static uint8_t block[16384];
    restart_server();
    size_t n = bomb(block);
    memset(block + n, 0x80 | 62, 300); /* the newest entry */
    assert_true(frame(1, END_STREAM | END_HEADERS, 1, block, n + 300));
    assert_int_equal(server.heads, 0);
    assert_int_equal(server.malformed, 1);
    assert_int_equal(server.err.code, ERR_LIMIT);
}

/* ... and ten thousand times: what is refused already is not looked at for as long as the peer likes. */
static void test_larger_hpack_bomb(void **state)
{
    (void)state;
    static uint8_t block[16384];
    restart_server();
    size_t n = bomb(block);
    memset(block + n, 0x80 | 62, 10000);
    assert_false(frame(1, END_STREAM, 1, block, n + 10000));
    assert_string_equal(server.err.message, "a head many times as large as the bound that it was told");
    assert_int_equal(server.heads + server.malformed, 0);
    struct span bytes = {NULL, 0}, last = {NULL, 0};
    while ((bytes = http2_next_bytes(server.session)).len > 0)
        last = bytes;
    assert_int_equal(last.p[last.len - 1], HTTP2_ENHANCE_YOUR_CALM); /* GOAWAY */
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
    assert_int_equal(frames, HTTP2_CONTINUATIONS_MAX);
    /* As many as that are a head. */
    restart_server();
    assert_true(frame(1, END_STREAM, 1, block, n));
    for (int i = 1; i <= HTTP2_CONTINUATIONS_MAX; i++)
        assert_true(frame(9, i == HTTP2_CONTINUATIONS_MAX ? END_HEADERS : 0, 1, NULL, 0));
    assert_int_equal(server.heads, 1);
}

/* A client that counts badly, or does not: the stream above the bound is refused, and all else goes on. */
static void test_one_stream_too_many(void **state)
{
    (void)state;
    uint8_t block[512];
    restart_server();
    size_t n = usual(block);
    for (unsigned i = 0; i <= HTTP2_STREAMS_MAX; i++)
        assert_true(frame(1, END_HEADERS, 1 + 2 * i, block, n));
    assert_int_equal(server.heads, HTTP2_STREAMS_MAX);
    assert_int_equal(http2_streams(server.session), HTTP2_STREAMS_MAX);
    assert_false(http2_over(server.session));
}

static void test_rapid_reset(void **state)
{
    (void)state;
    static const uint8_t cancel[4] = {0, 0, 0, 8};
    uint8_t block[512];
    unsigned done = 0;
    restart_server();
    uint64_t began = clock_mono_ms();
    size_t n = usual(block);
    for (; done < 5000 && !http2_over(server.session); done++) {
        if (!frame(1, END_STREAM | END_HEADERS, 1 + 2 * done, block, n) ||
            !frame(3, 0, 1 + 2 * done, cancel, sizeof(cancel)))
            break;
        while (http2_next_bytes(server.session).len > 0)
            ;
    }
    uint64_t seconds = (clock_mono_ms() - began) / 1000 + 1; /* each gives some back */
    assert_in_range(done, HTTP2_RESETS_BURST, HTTP2_RESETS_BURST + seconds * HTTP2_RESETS_RATE);
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
    assert_int_equal(done, HTTP2_CONTROL_MAX - 1); /* and the SETTINGS that a client begins with */
    restart_server();
    done = 0;
    while (done < 100000 && frame(6, 0, 0, ping, sizeof(ping))) /* it does not */
        done++;
    assert_int_equal(done, HTTP2_ACKS_MAX - 1); /* and the one to those SETTINGS */
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

/* A stream too many is refused by a reset that is no stream's: who opens them and reads nothing is stopped. */
static void test_refusals_that_nobody_reads(void **state)
{
    (void)state;
    uint8_t block[512];
    unsigned done = 0;
    restart_server();
    size_t n = usual(block);
    while (done < 100000 && frame(1, END_HEADERS, 1 + 2 * done, block, n))
        done++;
    assert_in_range(done, HTTP2_UNREAD_MAX, HTTP2_UNREAD_MAX + HTTP2_STREAMS_MAX);
    assert_string_equal(server.err.message, "HTTP/2 frames without end from one who reads none");
}

/* The same of an upstream: a promise is refused by a reset, until it acknowledges that it may make none. */
static void test_promises_that_nobody_reads(void **state)
{
    (void)state;
    static const char settings[9] = {0, 0, 0, 4};
    unsigned done = 0;
    struct err err;
    struct msg msg;
    struct arena *arena = arena_new(MSG_ARENA_BYTES);
    struct http2 *session = http2_client(&handler, &client);
    msg_init(&msg, arena);
    msg.method = SPAN("GET");
    assert_true(msg_set(&msg, "Host", SPAN("api.test"), &err));
    assert_non_null(http2_request(session, &msg, "https", SPAN("/"), NULL, NULL, &err));
    while (http2_next_bytes(session).len > 0)
        ;
    assert_true(http2_receive(session, (struct span){settings, sizeof(settings)}, &err));
    for (bool good = true; done < 100000 && good; done++) {
        uint32_t id = 2 + 2 * done;
        uint8_t bytes[512] = {0, 0, 0, 5, END_HEADERS, 0, 0, 0, 1, 0, (uint8_t)(id >> 16), (uint8_t)(id >> 8),
                              (uint8_t)id};
        size_t n = 4 + usual(bytes + 13);
        bytes[2] = (uint8_t)n;
        good = http2_receive(session, (struct span){(char *)bytes, 9 + n}, &err);
    }
    assert_in_range(done, HTTP2_UNREAD_MAX, HTTP2_UNREAD_MAX + 10);
    http2_free(session);
    arena_free(arena);
}

/* DATA that is all padding is as empty as that without any. */
static void test_empty_data_flood(void **state)
{
    (void)state;
    static const uint8_t padded[2] = {1, 0};
    uint8_t block[512];
    for (size_t len = 0; len <= sizeof(padded); len++) {
        int done = 0;
        restart_server();
        assert_true(frame(1, END_HEADERS, 1, block, usual(block)));
        while (done < 100000 && frame(0, len ? 8 : 0, 1, len == 1 ? padded + 1 : padded, len)) {
            done++;
            while (http2_next_bytes(server.session).len > 0)
                ;
        }
        assert_int_equal(done, HTTP2_CONTROL_MAX);
    }
}

static void test_many_cookie_crumbs(void **state)
{
    (void)state;
    static uint8_t block[16384];
    char value[121];
    restart_server();
    memset(value, 'v', 120);
    value[120] = 0;
    size_t n = usual(block);
    for (int i = 0; i < 120; i++)
        n += literal(block + n, "cookie", value);
    assert_true(frame(1, END_STREAM | END_HEADERS, 1, block, n));
    assert_int_equal(server.heads, 1);
    struct span cookie = msg_get(server.msg, "cookie");
    assert_int_equal(cookie.len, 120 * 122 - 2);
    for (size_t i = 0; i < cookie.len; i++)
        assert_int_equal(cookie.p[i], i % 122 < 120 ? 'v' : i % 122 == 120 ? ';' : ' ');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hosts_that_differ, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cookie_crumbs_are_one_field, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large_a_head, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hpack_bomb, setup, teardown),
        cmocka_unit_test_setup_teardown(test_larger_hpack_bomb, setup, teardown),
        cmocka_unit_test_setup_teardown(test_continuation_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_stream_too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rapid_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_control_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_http2, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals_that_nobody_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_promises_that_nobody_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty_data_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_cookie_crumbs, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
