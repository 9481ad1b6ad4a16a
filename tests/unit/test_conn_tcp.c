/* Connections over TCP: connecting, the ways it fails, and ends that must not lose an answer. */
#include "tests/unit/conn_world.h"

#include <netinet/in.h>
#include <poll.h>

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

/* However much of its request is on the way: Python's http.client reads no answer before all of it is sent. */
static void test_finish_of_a_large_request(void **state)
{
    enum { REQUEST_BYTES = 3000000 };
    static uint8_t block[65536];
    char answer[64];
    (void)state;
    assert_true(conn_write(a.conn, "413 too large", 13));
    conn_finish(a.conn, 20000);
    for (size_t sent = 0; sent < REQUEST_BYTES;) {
        ssize_t n = send(peer_fd, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN);
        sent += n > 0 ? (size_t)n : 0;
        loop_turn(loop, false);
    }
    assert_int_equal(recv(peer_fd, answer, sizeof(answer), 0), 13);
    assert_int_equal(recv(peer_fd, answer, sizeof(answer), 0), 0);
    close(peer_fd);
    peer_fd = -1;
    turns(3);
    a.conn = NULL;
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

/* The time to linger begins when all was sent: a slow reader gets everything. */
static void test_finish_slow_reader(void **state)
{
    static uint8_t block[CONN_OUT_BYTES], piece[20000];
    size_t sent = 0, got = 0;
    (void)state;
    for (size_t len; (len = conn_room(a.conn)) > 0; sent += len)
        assert_true(conn_write(a.conn, block, len));
    conn_finish(a.conn, 20);
    for (uint64_t next = clock_mono_ms(); got < sent;) {
        loop_turn(loop, false);
        if (clock_mono_ms() < next)
            continue;
        ssize_t n = recv(peer_fd, piece, sizeof(piece), MSG_DONTWAIT);
        assert_true(n > 0);
        got += (size_t)n;
        next = clock_mono_ms() + 15;
    }
    turns(3);
    assert_int_equal(recv(peer_fd, piece, 1, 0), 0);
    close(peer_fd);
    peer_fd = -1;
    turns(3);
    a.conn = NULL;
}

/* One that takes nothing for as long as the connection's deadline gets no more. */
static void test_finish_stalled_reader(void **state)
{
    static uint8_t block[CONN_OUT_BYTES];
    (void)state;
    for (size_t len; (len = conn_room(a.conn)) > 0;)
        assert_true(conn_write(a.conn, block, len));
    conn_deadline(a.conn, 500);
    conn_finish(a.conn, 20);
    for (uint64_t end = clock_mono_ms() + 100; clock_mono_ms() < end;)
        loop_turn(loop, false);
    assert_true(conn_unsent(a.conn) > 0); /* longer than its own 20 ms, which begin when all was sent */
    for (uint64_t end = clock_mono_ms() + 1500; clock_mono_ms() < end;)
        loop_turn(loop, false);
    assert_int_equal(send(peer_fd, "x", 1, MSG_NOSIGNAL), -1); /* closed */
    a.conn = NULL;
}

/* Where our end was sent long before, the time to linger begins at once. */
static void test_finish_behind_shutdown(void **state)
{
    (void)state;
    conn_shutdown(a.conn);
    turns(3);
    conn_deadline(a.conn, 60000);
    conn_finish(a.conn, 40);
    for (uint64_t end = clock_mono_ms() + 5000; clock_mono_ms() < end;) {
        loop_turn(loop, false);
        if (poll(&(struct pollfd){.fd = peer_fd}, 1, 5) == 1) /* POLLHUP: closed, not only half */
            break;
    }
    assert_int_equal(send(peer_fd, "x", 1, MSG_NOSIGNAL), -1);
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
        T(test_connect), T(test_connect_refused), T(test_connect_times_out),
        T(test_finish),  T(test_finish_gives_up), T(test_at_rest),
        T(test_finish_of_a_large_request), T(test_finish_slow_reader), T(test_finish_stalled_reader),
        T(test_finish_behind_shutdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
