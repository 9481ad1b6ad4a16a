/* Connections without TLS: events and their order, bounds, back-pressure, half-close, deadlines,
 * the ways to end, and what happens when the peer does the unexpected. test_conn_tls has the rest.
 */
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/loop/conn.h"
#include "core/loop/conn_state.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { MANY = 4 * 1024 * 1024 };

struct side {
    struct conn *conn;
    char log[64]; /* a letter an event */
    bool consume, close_on_readable, echo;
    size_t got;
    bool bad; /* the bytes were not the expected ones */
    size_t to_send, sent;
    int depth;
};

static struct loop *loop;
static struct err err;
static struct side a, b;
static int peer_fd; /* the other end, without a conn */

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 131 >> 3);
}

static void send_more(struct side *side)
{
    uint8_t piece[10000];
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
    assert_true(have.len <= CONN_IN_BYTES);
    if (side->echo) {
        assert_true(conn_write(side->conn, have.p, have.len));
        conn_consume(side->conn, have.len);
        return;
    }
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
    assert_int_equal(side->depth++, 0); /* never from within itself */
    assert_ptr_equal(conn, side->conn);
    if (len < sizeof(side->log) - 1 &&
        !(event == CONN_READABLE && len && side->log[len - 1] == 'R'))
        side->log[len] = "CSRDEFT"[event];
    if (event == CONN_READABLE && side->close_on_readable)
        conn_close(conn);
    else if (event == CONN_READABLE && (side->consume || side->echo))
        take(side);
    if (event == CONN_DRAINED && side->to_send)
        send_more(side);
    side->depth--;
}

static void new_side(struct side *side, int fd)
{
    *side = (struct side){0};
    side->conn = conn_new_fd(loop, fd, on_event, side);
}

static int setup(void **state)
{
    (void)state;
    int fds[2];
    loop = loop_new(&err);
    if (!loop || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return -1;
    new_side(&a, fds[0]);
    b = (struct side){0};
    peer_fd = fds[1];
    return 0;
}

/* Both ends are conns. */
static void both(void)
{
    new_side(&b, peer_fd);
    peer_fd = -1;
}

static int teardown(void **state)
{
    (void)state;
    conn_close(a.conn);
    conn_close(b.conn);
    if (peer_fd >= 0)
        close(peer_fd);
    loop_free(loop);
    return 0;
}

static void turns(int count)
{
    for (int i = 0; i < count; i++)
        loop_turn(loop, false);
}

/* ---- bytes ---- */

static void test_there_and_back(void **state)
{
    (void)state;
    both();
    b.echo = true;
    assert_true(conn_write(a.conn, "hello", 5));
    assert_string_equal(b.log, "");
    turns(3);
    assert_string_equal(b.log, "R");
    assert_string_equal(a.log, "R");
    assert_true(span_eqs(conn_peek(a.conn), "hello"));
    conn_consume(a.conn, 2);
    assert_true(span_eqs(conn_peek(a.conn), "llo"));
    turns(3);
    assert_string_equal(a.log, "R"); /* edge: what is left is no news */
    conn_consume(a.conn, 3);
    assert_null(a.conn->in.data); /* idle: no buffers */
    assert_null(a.conn->out.data);
    assert_null(b.conn->in.data);
    assert_int_equal(conn_bytes_out(a.conn), 5);
    assert_int_equal(conn_bytes_in(a.conn), 5);
}

static void test_many_bytes_both_ways(void **state)
{
    (void)state;
    both();
    a.consume = b.consume = true;
    a.to_send = MANY;
    b.to_send = MANY + 1;
    send_more(&a);
    send_more(&b);
    assert_true(a.sent < MANY); /* bounded, not all at once */
    for (int i = 0; i < 100000 && !(conn_eof(a.conn) && conn_eof(b.conn)); i++)
        loop_turn(loop, true);
    assert_int_equal(b.got, MANY);
    assert_int_equal(a.got, MANY + 1);
    assert_false(a.bad || b.bad);
    assert_false(conn_truncated(a.conn));
}

static void test_output_is_bounded(void **state)
{
    (void)state;
    static char block[CONN_OUT_BYTES + 1];
    both();
    assert_false(conn_write(a.conn, block, sizeof(block))); /* over the maximum: nothing taken */
    conn_read_pause(b.conn);
    size_t taken = 0;
    while (conn_write(a.conn, block, 8192))
        taken += 8192;
    assert_true(conn_room(a.conn) < 8192);
    assert_int_equal(conn_unsent(a.conn), CONN_OUT_BYTES - conn_room(a.conn));
    turns(3);
    assert_string_equal(a.log, "");
    b.consume = true;
    conn_read_resume(b.conn);
    for (int i = 0; i < 1000 && conn_unsent(a.conn) > 0; i++)
        loop_turn(loop, true);
    turns(3);
    assert_non_null(strchr(a.log, 'D'));
    assert_int_equal(b.got, taken);
    assert_int_equal(conn_room(a.conn), CONN_OUT_BYTES);
}

static void test_input_is_bounded(void **state)
{
    (void)state;
    uint8_t block[100000];
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = pattern(i);
    assert_int_equal(send(peer_fd, block, sizeof(block), 0), sizeof(block));
    turns(5);
    assert_int_equal(conn_peek(a.conn).len, CONN_IN_BYTES);
    take(&a); /* from outside the handler: reading goes on by itself */
    a.consume = true;
    turns(10);
    assert_int_equal(a.got, sizeof(block));
    assert_false(a.bad);
}

static void test_pause(void **state)
{
    (void)state;
    conn_read_pause(a.conn);
    assert_int_equal(send(peer_fd, "x", 1, 0), 1);
    turns(3);
    assert_string_equal(a.log, "");
    conn_read_resume(a.conn);
    turns(3);
    assert_string_equal(a.log, "R");
    conn_read_pause(a.conn);
    conn_read_resume(a.conn); /* says again what is there */
    assert_string_equal(a.log, "R");
    a.log[0] = '\0';
    turns(3);
    assert_string_equal(a.log, "R");
}

static void test_cork(void **state)
{
    (void)state;
    char room[16] = "";
    conn_cork(a.conn);
    assert_true(conn_write(a.conn, "one", 3));
    assert_true(conn_write(a.conn, "two", 3));
    turns(2);
    assert_int_equal(recv(peer_fd, room, sizeof(room), MSG_DONTWAIT), -1);
    conn_uncork(a.conn);
    assert_int_equal(recv(peer_fd, room, sizeof(room), MSG_DONTWAIT), 6);
    assert_memory_equal(room, "onetwo", 6);
}

/* One connection that never stops sending does not keep the others from their turn. */
static void test_fairness(void **state)
{
    static char block[512 * 1024];
    (void)state;
    int size = sizeof(block) * 2;
    setsockopt(peer_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    ssize_t sent = send(peer_fd, block, sizeof(block), MSG_DONTWAIT);
    assert_true(sent > CONN_WORK_BYTES + CONN_IN_BYTES);
    a.consume = true;
    loop_turn(loop, true);
    assert_in_range(a.got, CONN_IN_BYTES, CONN_WORK_BYTES);
}

static void test_limits(void **state)
{
    (void)state;
    static char block[100000];
    conn_limits(a.conn, 80000, 100000);
    assert_int_equal(send(peer_fd, block, sizeof(block), 0), sizeof(block));
    turns(5);
    assert_int_equal(conn_peek(a.conn).len, 80000);
    conn_cork(a.conn);
    assert_true(conn_write(a.conn, block, sizeof(block)));
    assert_int_equal(conn_room(a.conn), 0);
}

/* ---- the end ---- */

static void test_half_close(void **state)
{
    (void)state;
    both();
    assert_true(conn_write(a.conn, "last", 4));
    conn_shutdown(a.conn);
    assert_int_equal(conn_room(a.conn), 0);
    assert_false(conn_write(a.conn, "x", 1));
    turns(4);
    assert_string_equal(b.log, "RE");
    assert_true(span_eqs(conn_peek(b.conn), "last")); /* still there after the end */
    assert_true(conn_eof(b.conn));
    assert_true(conn_write(b.conn, "answer", 6)); /* the other direction lives on */
    turns(3);
    assert_string_equal(a.log, "R");
    assert_true(span_eqs(conn_peek(a.conn), "answer"));
    conn_shutdown(b.conn);
    turns(3);
    assert_string_equal(a.log, "RE");
}

static void test_shutdown_after_all_was_sent(void **state)
{
    (void)state;
    both();
    conn_read_pause(b.conn);
    a.to_send = 600000;
    send_more(&a);
    turns(3);
    b.consume = true;
    conn_read_resume(b.conn);
    for (int i = 0; i < 10000 && !conn_eof(b.conn); i++)
        loop_turn(loop, true);
    assert_int_equal(b.got, 600000);
    assert_false(b.bad);
}

static void test_closed_inside_the_handler(void **state)
{
    (void)state;
    a.close_on_readable = true;
    assert_int_equal(send(peer_fd, "x", 1, 0), 1);
    shutdown(peer_fd, SHUT_WR);
    turns(4);
    assert_string_equal(a.log, "R"); /* and never again */
    char byte;
    assert_int_equal(recv(peer_fd, &byte, 1, MSG_DONTWAIT), 0);
    conn_close(NULL);
    a.conn = NULL;
}

static void test_peer_closed(void **state)
{
    (void)state;
    assert_int_equal(send(peer_fd, "early answer", 12, 0), 12);
    close(peer_fd);
    peer_fd = -1;
    assert_true(conn_write(a.conn, "request", 7)); /* EPIPE */
    assert_string_equal(a.log, "");
    turns(4);
    assert_string_equal(a.log, "RF"); /* the answer first, then the failure, and no EOF beside it */
    assert_true(span_eqs(conn_peek(a.conn), "early answer"));
    assert_int_equal(conn_error(a.conn)->code, ERR_IO);
    assert_false(conn_write(a.conn, "x", 1));
    assert_int_equal(conn_room(a.conn), 0);
}

static void test_peer_closed_while_nobody_reads(void **state)
{
    (void)state;
    conn_read_pause(a.conn);
    close(peer_fd);
    peer_fd = -1;
    assert_true(conn_write(a.conn, "request", 7));
    turns(4);
    assert_string_equal(a.log, "F");
}

static void test_deadline(void **state)
{
    (void)state;
    conn_deadline(a.conn, 60);
    uint64_t start = clock_mono_ms();
    while (clock_mono_ms() - start < 45)
        turns(1);
    assert_int_equal(send(peer_fd, "x", 1, 0), 1); /* pushes it back */
    while (clock_mono_ms() - start < 80)
        turns(1);
    assert_string_equal(a.log, "R");
    while (clock_mono_ms() - start < 140)
        turns(1);
    assert_string_equal(a.log, "RT");
    assert_true(conn_write(a.conn, "y", 1)); /* it still works */
    conn_deadline(a.conn, 0);
    start = clock_mono_ms();
    while (clock_mono_ms() - start < 100)
        turns(1);
    assert_string_equal(a.log, "RT");
}

/* ---- TCP ---- */

static int listen_tcp(int backlog, struct addr *addr)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *addr = (struct addr){.family = ADDR_V4, .bytes = {127, 0, 0, 1}, .port = ntohs(at.sin_port)};
    return fd;
}

static void test_connect(void **state)
{
    (void)state;
    struct addr addr;
    int server = listen_tcp(4, &addr);
    b.conn = conn_connect(loop, &addr, 1000, on_event, &b);
    assert_int_equal(conn_room(b.conn), 0);
    assert_false(conn_write(b.conn, "early", 5));
    assert_string_equal(b.log, "");
    loop_turn(loop, true);
    turns(2);
    assert_string_equal(b.log, "C");
    assert_true(conn_write(b.conn, "x", 1));
    int fd = accept(server, NULL, NULL);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 1);
    close(fd);
    close(server);
    turns(3);
    assert_string_equal(b.log, "CE");
}

static void test_connect_refused(void **state)
{
    (void)state;
    struct addr addr;
    close(listen_tcp(1, &addr));
    b.conn = conn_connect(loop, &addr, 1000, on_event, &b);
    assert_string_equal(b.log, "");
    loop_turn(loop, true);
    turns(2);
    assert_string_equal(b.log, "F");
    assert_int_equal(conn_error(b.conn)->code, ERR_UPSTREAM);
    assert_non_null(strstr(conn_error(b.conn)->message, "cannot connect to 127.0.0.1:"));
    assert_non_null(strstr(conn_error(b.conn)->message, "refused"));
}

static void test_connect_times_out(void **state)
{
    (void)state;
    struct addr addr;
    struct side fill[3] = {{0}};
    int server =
        listen_tcp(0, &addr); /* two connections fill the kernel's queue; then it is silent */
    for (size_t i = 0; i < COUNT(fill); i++)
        fill[i].conn = conn_connect(loop, &addr, 10000, on_event, &fill[i]);
    turns(5);
    b.conn = conn_connect(loop, &addr, 50, on_event, &b);
    for (int i = 0; i < 100 && b.log[0] == '\0'; i++)
        loop_turn(loop, true);
    assert_string_equal(b.log, "F");
    assert_int_equal(conn_error(b.conn)->code, ERR_TIMEOUT);
    assert_non_null(strstr(conn_error(b.conn)->message, "within 50 ms"));
    for (size_t i = 0; i < COUNT(fill); i++)
        conn_close(fill[i].conn);
    close(server);
}

/* An answer to a client that is still sending: the client can read it, the kernel does not reset.
 */
static void test_finish(void **state)
{
    (void)state;
    struct addr addr;
    static char block[200000];
    int server = listen_tcp(4, &addr);
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(addr.port)};
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof(at)), 0);
    new_side(&b, accept(server, NULL, NULL));
    assert_int_equal(send(client, block, 30000, 0), 30000);
    turns(2);
    assert_true(conn_write(b.conn, "413 too large", 13));
    conn_finish(b.conn, 2000);
    b.log[0] = '\0';
    turns(3);
    assert_int_equal(send(client, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL),
                     sizeof(block));
    turns(20);
    char answer[64];
    assert_int_equal(recv(client, answer, sizeof(answer), 0), 13);
    assert_int_equal(recv(client, answer, sizeof(answer), 0), 0); /* a clean end */
    assert_string_equal(b.log, "");                               /* the handler hears no more */
    close(client);
    turns(3);
    close(server);
    b.conn = NULL;
}

static void test_finish_gives_up(void **state)
{
    (void)state;
    conn_finish(a.conn, 40);
    uint64_t start = clock_mono_ms();
    char byte;
    for (int i = 0; i < 100 && clock_mono_ms() - start < 39; i++)
        loop_turn(loop, true);
    turns(2);
    loop_turn(loop, false);
    assert_int_equal(recv(peer_fd, &byte, 1, 0), 0);
    assert_int_equal(send(peer_fd, &byte, 1, MSG_NOSIGNAL), -1); /* closed, not only half */
    assert_string_equal(a.log, "");
    a.conn = NULL;
}

static void test_at_rest(void **state)
{
    (void)state;
    turns(2);
    assert_true(conn_at_rest(a.conn));
    assert_int_equal(send(peer_fd, "x", 1, 0), 1);
    assert_false(conn_at_rest(a.conn)); /* also before the loop has looked */
    turns(2);
    assert_false(conn_at_rest(a.conn));
    conn_consume(a.conn, 1);
    assert_true(conn_at_rest(a.conn));
    shutdown(peer_fd, SHUT_WR);
    assert_false(conn_at_rest(a.conn));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_there_and_back),
        T(test_many_bytes_both_ways),
        T(test_output_is_bounded),
        T(test_input_is_bounded),
        T(test_pause),
        T(test_cork),
        T(test_fairness),
        T(test_limits),
        T(test_half_close),
        T(test_shutdown_after_all_was_sent),
        T(test_closed_inside_the_handler),
        T(test_peer_closed),
        T(test_peer_closed_while_nobody_reads),
        T(test_deadline),
        T(test_connect),
        T(test_connect_refused),
        T(test_connect_times_out),
        T(test_finish),
        T(test_finish_gives_up),
        T(test_at_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
