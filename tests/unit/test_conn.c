/* Connections without TLS: events and their order, bounds, back-pressure, half-close, deadlines,
 * and what happens when the peer does the unexpected. test_conn_tcp and test_conn_tls have the
 * rest. */
#include "tests/unit/conn_world.h"
#include "tests/unit/passing.h"

#include <fcntl.h>

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
    conn_deadline(a.conn, 400);
    uint64_t start = clock_mono_ms();
    while (clock_mono_ms() - start < 200)
        turns(1);
    assert_int_equal(send(peer_fd, "x", 1, 0), 1); /* pushes it back */
    while (clock_mono_ms() - start < 500)
        turns(1);
    assert_string_equal(a.log, "R");
    while (clock_mono_ms() - start < 5000 && strcmp(a.log, "RT") != 0)
        turns(1);
    assert_string_equal(a.log, "RT");
    assert_true(conn_write(a.conn, "y", 1)); /* it still works */
    conn_deadline(a.conn, 0);
    start = clock_mono_ms();
    while (clock_mono_ms() - start < 500)
        turns(1);
    assert_string_equal(a.log, "RT");
}

/* ---- descriptors ---- */

/* A pipe of which the peer passes the writing end, count times; all copies but those that the connection holds are
 * closed. The reading end. */
static int pass_pipe(const char *text, size_t count)
{
    int pipe_fds[2], fds[PASS_MAX];
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
    for (size_t i = 0; i < count; i++)
        fds[i] = pipe_fds[1];
    assert_int_equal(pass(peer_fd, text, fds, count), strlen(text));
    close(pipe_fds[1]);
    turns(3);
    return pipe_fds[0];
}

static bool held(int reading_end)
{
    char byte;
    return read(reading_end, &byte, 1) < 0; /* 0: nobody has the other end any more */
}

static void test_passed_descriptor(void **state)
{
    (void)state;
    conn_want_fd(a.conn);
    int reading = pass_pipe("with", 1);
    int fd = conn_take_fd(a.conn);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
    assert_int_equal(conn_take_fd(a.conn), -1);
    close(reading);
    reading = pass_pipe("later", 1); /* one was taken: no further one is */
    assert_false(held(reading));
    close(reading);
    assert_true(span_eqs(conn_peek(a.conn), "withlater"));
}

static void test_passed_unwanted(void **state)
{
    (void)state;
    int reading = pass_pipe("x", 1);
    assert_false(held(reading));
    close(reading);
    assert_int_equal(conn_take_fd(a.conn), -1);
}

static void test_passed_several(void **state)
{
    (void)state;
    conn_want_fd(a.conn);
    int reading = pass_pipe("two at once", 2);
    assert_int_equal(conn_take_fd(a.conn), -1);
    assert_false(held(reading));
    close(reading);
}

static void test_passed_one_by_one(void **state)
{
    (void)state;
    conn_want_fd(a.conn);
    int first = pass_pipe("one", 1), second = pass_pipe("another", 1);
    assert_int_equal(conn_take_fd(a.conn), -1);
    assert_false(held(first));
    assert_false(held(second));
    close(first);
    close(second);
}

static void test_passed_and_never_taken(void **state)
{
    (void)state;
    conn_want_fd(a.conn);
    int reading = pass_pipe("x", 1);
    assert_true(held(reading));
    conn_close(a.conn);
    a.conn = NULL;
    turns(2);
    assert_false(held(reading));
    close(reading);
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
        T(test_passed_descriptor),
        T(test_passed_unwanted),
        T(test_passed_several),
        T(test_passed_one_by_one),
        T(test_passed_and_never_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
