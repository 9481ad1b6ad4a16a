/* Connections under TLS: the handshake on bytes that came early and after bytes that went in plain,
 * much data, bounds, both kinds of end, failures with their cause, rest, and the pool. */
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/loop/conn.h"
#include "core/loop/conn_state.h"
#include "core/loop/pool.h"
#include "tls/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { MANY = 2 * 1024 * 1024, PATIENCE_MS = 5000 };

struct side {
    struct conn *conn;
    char log[64]; /* a letter an event */
    bool hold;    /* takes no input */
    size_t got, to_send, sent;
    bool bad;
};

static struct loop *loop;
static struct err err;
static struct ca *ca;
static struct leaf *leaf;
static struct trust *trust;
static struct stream_config *server_config, *client_config;
static struct side server, client;
static int fds[2];

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 131 >> 3);
}

static void send_more(struct side *side)
{
    uint8_t piece[20000];
    while (side->sent < side->to_send) {
        size_t len = conn_room(side->conn);
        if (len > sizeof(piece))
            len = sizeof(piece);
        if (len > side->to_send - side->sent)
            len = side->to_send - side->sent;
        if (len == 0)
            return;
        for (size_t i = 0; i < len; i++)
            piece[i] = pattern(side->sent + i);
        assert_true(conn_write(side->conn, piece, len));
        side->sent += len;
    }
    conn_shutdown(side->conn);
}

static void take(struct side *side)
{
    struct span have = conn_peek(side->conn);
    for (size_t i = 0; i < have.len; i++)
        if ((uint8_t)have.p[i] != pattern(side->got + i))
            side->bad = true;
    side->got += have.len;
    conn_consume(side->conn, have.len);
}

static void on_event(struct conn *conn, enum conn_event event, void *arg)
{
    struct side *side = arg;
    size_t len = strlen(side->log);
    assert_ptr_equal(conn, side->conn);
    if (len < sizeof(side->log) - 1 &&
        !(event == CONN_READABLE && len && side->log[len - 1] == 'R'))
        side->log[len] = "CSRDEFT"[event];
    if (event == CONN_READABLE && !side->hold)
        take(side);
    if (event == CONN_DRAINED && side->to_send)
        send_more(side);
}

static int group_setup(void **state)
{
    static const char *const alpn[] = {"http/1.1", NULL};
    (void)state;
    if (!tls_init(&err))
        return -1;
    ca = ca_new("01TEST", &err);
    leaf = ca ? ca_leaf(ca, "api.test", &err) : NULL;
    trust = trust_new();
    struct span pem = span_of(ca_cert_pem(ca));
    struct stream_server_options server_options = {.alpn = alpn};
    struct stream_client_options client_options = {.trust = trust, .alpn = alpn};
    if (!leaf || !trust_add(trust, pem, TRUST_COPY, &err))
        return -1;
    server_config = stream_config_server(&server_options, &err);
    client_config = stream_config_client(&client_options, &err);
    return server_config && client_config ? 0 : -1;
}

static int group_teardown(void **state)
{
    (void)state;
    stream_config_unref(server_config);
    stream_config_unref(client_config);
    trust_unref(trust);
    leaf_unref(leaf);
    ca_free(ca);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    loop = loop_new(&err);
    if (!loop || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return -1;
    server = client = (struct side){0};
    server.conn = conn_new_fd(loop, fds[0], on_event, &server);
    client.conn = conn_new_fd(loop, fds[1], on_event, &client);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    conn_close(server.conn);
    conn_close(client.conn);
    loop_turn(loop, false);
    loop_free(loop);
    return 0;
}

static void secure_server(uint64_t ms)
{
    struct stream_io io = conn_stream_io(server.conn);
    struct stream *stream = stream_server(server_config, leaf, &io, &err);
    assert_non_null(stream);
    conn_secure(server.conn, stream, ms);
}

static void secure_client(const char *host, uint64_t ms)
{
    struct stream_io io = conn_stream_io(client.conn);
    struct stream *stream = stream_client(client_config, host, (struct span){"", 0}, &io, &err);
    assert_non_null(stream);
    conn_secure(client.conn, stream, ms);
}

static void turns(int count)
{
    for (int i = 0; i < count; i++)
        loop_turn(loop, false);
}

static void close_server(void)
{
    conn_close(server.conn);
    server.conn = NULL;
}

static bool has(const struct side *side, char event)
{
    return strchr(side->log, event) != NULL;
}

#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        uint64_t start_ms = clock_mono_ms();                                                       \
        while (!(condition) && clock_mono_ms() - start_ms < PATIENCE_MS)                           \
            loop_turn(loop, false);                                                                \
        assert_true(condition);                                                                    \
    } while (0)

static void both_secured(void)
{
    secure_server(PATIENCE_MS);
    secure_client("api.test", PATIENCE_MS);
    UNTIL(has(&server, 'S') && has(&client, 'S'));
}

/* ---- handshakes ---- */

static void test_handshake(void **state)
{
    (void)state;
    assert_null(conn_stream(client.conn));
    secure_server(PATIENCE_MS);
    secure_client("api.test", PATIENCE_MS);
    assert_int_equal(conn_room(client.conn), 0); /* not before it is secure */
    assert_false(conn_write(client.conn, "early", 5));
    assert_string_equal(client.log, "");
    UNTIL(has(&server, 'S') && has(&client, 'S'));
    assert_string_equal(client.log, "S");
    assert_string_equal(server.log, "S");
    assert_string_equal(stream_alpn(conn_stream(client.conn)), "http/1.1");
    assert_true(conn_at_rest(server.conn));
}

/* The first bytes are looked at before it is known that they are a ClientHello. */
static void test_early_bytes(void **state)
{
    (void)state;
    server.hold = true;
    secure_client("api.test", PATIENCE_MS);
    UNTIL(has(&server, 'R'));
    assert_int_equal(conn_peek(server.conn).p[0], 22);
    secure_server(PATIENCE_MS);
    assert_int_equal(conn_peek(server.conn).len, 0);
    UNTIL(has(&server, 'S') && has(&client, 'S'));
    assert_string_equal(server.log, "RS");
}

/* The answer to CONNECT goes in plain, ahead of the handshake, also where the socket is full at
 * first. */
static void test_plain_before(void **state)
{
    (void)state;
    static char filler[60000];
    client.hold = true;
    conn_limits(client.conn, CONN_BUFFER_MAX, 0);
    conn_limits(server.conn, 0, CONN_BUFFER_MAX);
    conn_read_pause(client.conn);
    size_t sent = 0;
    while (conn_unsent(server.conn) == 0 && sent + sizeof(filler) < CONN_BUFFER_MAX) {
        assert_true(conn_write(server.conn, filler, sizeof(filler)));
        sent += sizeof(filler);
    }
    assert_true(conn_unsent(server.conn) > 0);
    secure_server(PATIENCE_MS);
    turns(3);
    conn_read_resume(client.conn);
    UNTIL(conn_peek(client.conn).len == sent);
    conn_consume(client.conn, sent);
    secure_client("api.test", PATIENCE_MS);
    UNTIL(has(&server, 'S') && has(&client, 'S'));
}

static void test_wrong_name(void **state)
{
    (void)state;
    secure_server(PATIENCE_MS);
    secure_client("other.test", PATIENCE_MS);
    UNTIL(has(&client, 'F') && has(&server, 'F'));
    assert_string_equal(client.log, "F");
    assert_int_equal(conn_cause(client.conn), STREAM_CAUSE_WRONG_NAME);
    assert_int_equal(conn_error(client.conn)->code, ERR_UPSTREAM);
    assert_non_null(strstr(conn_error(client.conn)->message, "other.test"));
    assert_false(conn_write(client.conn, "secret", 6));
}

static void test_not_tls(void **state)
{
    (void)state;
    secure_client("api.test", PATIENCE_MS);
    assert_true(conn_write(server.conn, "HTTP/1.1 400 Bad Request\r\n\r\n", 28));
    UNTIL(has(&client, 'F'));
    assert_int_equal(conn_cause(client.conn), STREAM_CAUSE_NOT_TLS);
}

static void test_silent_peer(void **state)
{
    (void)state;
    secure_client("api.test", 50);
    UNTIL(has(&client, 'F'));
    assert_int_equal(conn_error(client.conn)->code, ERR_TIMEOUT);
    assert_int_equal(conn_cause(client.conn), STREAM_CAUSE_NONE);
}

static void test_peer_ends_within_the_handshake(void **state)
{
    (void)state;
    secure_client("api.test", PATIENCE_MS);
    turns(2);
    close_server();
    UNTIL(has(&client, 'F'));
    assert_string_equal(client.log, "F");
    assert_int_not_equal(conn_cause(client.conn), STREAM_CAUSE_NONE);
}

/* ---- bytes ---- */

static void test_many_bytes_both_ways(void **state)
{
    (void)state;
    both_secured();
    server.to_send = MANY;
    client.to_send = MANY + 7;
    send_more(&server);
    send_more(&client);
    UNTIL(conn_eof(server.conn) && conn_eof(client.conn));
    assert_int_equal(server.got, MANY + 7);
    assert_int_equal(client.got, MANY);
    assert_false(server.bad || client.bad);
    assert_false(conn_truncated(server.conn));
    assert_int_equal(conn_bytes_in(client.conn), MANY);
}

/* TLS holds decrypted bytes that the socket says nothing about: they come as soon as there is room.
 */
static void test_small_input_buffer(void **state)
{
    (void)state;
    both_secured();
    conn_limits(client.conn, 1000, 0);
    client.hold = true;
    uint8_t block[12000]; /* one record, and the socket stays open: nothing else wakes the client */
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = pattern(i);
    assert_true(conn_write(server.conn, block, sizeof(block)));
    UNTIL(conn_peek(client.conn).len == 1000);
    turns(3);
    assert_int_equal(conn_peek(client.conn).len, 1000);
    client.hold = false;
    take(&client); /* from outside */
    UNTIL(client.got == sizeof(block));
    assert_false(client.bad);
}

static void test_paused(void **state)
{
    (void)state;
    both_secured();
    conn_limits(client.conn, 1000, 0);
    client.hold = true;
    server.to_send = 9000;
    send_more(&server);
    UNTIL(conn_peek(client.conn).len == 1000);
    conn_read_pause(client.conn);
    take(&client);
    turns(5);
    assert_int_equal(client.got, 1000);
    client.hold = false;
    conn_read_resume(client.conn);
    UNTIL(conn_eof(client.conn));
    assert_int_equal(client.got, 9000);
}

static void test_cork_makes_one_record(void **state)
{
    (void)state;
    both_secured();
    conn_cork(client.conn);
    for (size_t i = 0; i < 100; i++) {
        uint8_t byte = pattern(i);
        assert_true(conn_write(client.conn, &byte, 1));
    }
    turns(3);
    assert_int_equal(server.got, 0);
    conn_uncork(client.conn);
    UNTIL(server.got == 100);
    assert_false(server.bad);
}

/* ---- ends ---- */

/* With a chunk's frame around it. */
static void test_a_whole_read_fits_one_record(void **state)
{
    static const uint8_t data[CONN_IN_BYTES + 16];
    size_t taken;
    (void)state;
    both_secured();
    assert_int_equal(stream_write(conn_stream(client.conn), data, sizeof(data), &taken), STREAM_DONE);
    assert_int_equal(taken, sizeof(data));
}

static void test_truncated(void **state)
{
    (void)state;
    both_secured();
    close_server(); /* without close_notify */
    UNTIL(has(&client, 'E'));
    assert_true(conn_truncated(client.conn));
}

static void test_clean_end(void **state)
{
    (void)state;
    both_secured();
    conn_shutdown(server.conn);
    UNTIL(has(&client, 'E'));
    assert_false(conn_truncated(client.conn));
    client.to_send = 10; /* the other direction lives on */
    send_more(&client);
    UNTIL(server.got == 10);
}

static void test_early_answer(void **state)
{
    (void)state;
    both_secured();
    client.hold = true;
    assert_true(conn_write(server.conn, "413", 3));
    close_server();
    assert_true(conn_write(client.conn, "body", 4)); /* the socket refuses it */
    UNTIL(has(&client, 'F'));
    assert_string_equal(client.log, "SRF");
    assert_true(span_eqs(conn_peek(client.conn), "413"));
}

static void test_finish(void **state)
{
    (void)state;
    both_secured();
    client.hold = true;
    assert_true(conn_write(server.conn, "answer", 6));
    conn_finish(server.conn, 1000);
    UNTIL(has(&client, 'E'));
    assert_true(span_eqs(conn_peek(client.conn), "answer"));
    assert_false(conn_truncated(client.conn));
    server.conn = NULL;
}

/* ---- rest ---- */

static void test_rest(void **state)
{
    (void)state;
    both_secured();
    assert_false(client.conn->rested);
    UNTIL(client.conn->rested && server.conn->rested);
    assert_null(client.conn->in.data);
    assert_null(client.conn->raw.data);
    client.to_send = 1000; /* wakes up again */
    send_more(&client);
    UNTIL(conn_eof(server.conn));
    assert_int_equal(server.got, 1000);
    assert_false(server.bad);
}

static void test_pool(void **state)
{
    (void)state;
    struct pool *pool = pool_new(loop);
    pool_limits(pool, 30000, 64);
    struct pool_key key = {.host = SPAN("api.test"), .port = 443, .tls = true};
    both_secured();
    pool_put(pool, &key, client.conn);
    turns(5); /* session tickets may come */
    assert_int_equal(pool_count(pool), 1);
    struct conn *taken = pool_take(pool, &key);
    assert_ptr_equal(taken, client.conn);
    pool_put(pool, &key, taken);
    conn_shutdown(server.conn);
    UNTIL(pool_count(pool) == 0);
    client.conn = NULL;
    pool_free(pool);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_handshake),
        T(test_early_bytes),
        T(test_plain_before),
        T(test_wrong_name),
        T(test_not_tls),
        T(test_silent_peer),
        T(test_peer_ends_within_the_handshake),
        T(test_many_bytes_both_ways),
        T(test_small_input_buffer),
        T(test_paused),
        T(test_cork_makes_one_record),
        T(test_a_whole_read_fits_one_record),
        T(test_truncated),
        T(test_clean_end),
        T(test_early_answer),
        T(test_finish),
        T(test_rest),
        T(test_pool),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
