/* The pool of idle upstream connections: what matches, what is dropped, and its bounds. */
#include "core/base/mem.h"
#include "core/loop/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;
static struct pool *pool;
static struct err err;
static const struct pool_key plain = {.host = {"a.test", 6}, .port = 80};

static void on_event(struct conn *conn, enum conn_event event, void *arg)
{
    (void)conn;
    (void)event;
    (void)arg;
}

static struct conn *make(int *peer)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    *peer = fds[1];
    return conn_new_fd(loop, fds[0], on_event, NULL);
}

static void turns(int count)
{
    for (int i = 0; i < count; i++)
        loop_turn(loop, false);
}

static bool closed(int peer)
{
    char byte;
    ssize_t n = recv(peer, &byte, 1, MSG_DONTWAIT);
    return n == 0;
}

static int setup(void **state)
{
    (void)state;
    loop = loop_new(&err);
    pool = loop ? pool_new(loop) : NULL;
    if (pool)
        pool_limits(pool, 30000, 64);
    return pool ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    pool_free(pool);
    loop_free(loop);
    return 0;
}

static void test_put_and_take(void **state)
{
    (void)state;
    int peers[2];
    assert_null(pool_take(pool, &plain));
    struct conn *first = make(&peers[0]), *second = make(&peers[1]);
    pool_put(pool, &plain, first);
    pool_put(pool, &plain, second);
    assert_int_equal(pool_count(pool), 2);
    turns(3);
    struct conn *taken = pool_take(pool, &plain);
    assert_ptr_equal(taken, second); /* the newest */
    conn_close(taken);
    taken = pool_take(pool, &plain);
    assert_ptr_equal(taken, first);
    assert_int_equal(pool_count(pool), 0);
    conn_close(taken);
    close(peers[0]);
    close(peers[1]);
}

static void test_only_the_same_key(void **state)
{
    (void)state;
    int peer;
    const struct pool_key others[] = {
        {.host = {"b.test", 6}, .port = 80},
        {.host = {"a.tes", 5}, .port = 80},
        {.host = {"a.test", 6}, .port = 81},
        {.host = {"a.test", 6}, .port = 80, .tls = true},
        {.host = {"a.test", 6}, .port = 80, .identity = {"user/mtls", 9}},
        {.host = {"a.tes", 5},
         .port = 80,
         .identity = {"t", 1}}, /* the same bytes, cut elsewhere */
    };
    pool_put(pool, &plain, make(&peer));
    for (size_t i = 0; i < COUNT(others); i++)
        assert_null(pool_take(pool, &others[i]));
    assert_int_equal(pool_count(pool), 1);
    struct conn *taken = pool_take(pool, &plain);
    assert_non_null(taken);
    conn_close(taken);
    close(peer);
}

static void test_tls_key_needs_tls(void **state)
{
    (void)state;
    int peer;
    struct pool_key key = plain;
    key.tls = true;
    pool_put(pool, &key, make(&peer));
    assert_int_equal(pool_count(pool), 0);
    assert_true(closed(peer));
    close(peer);
}

static void test_dropped_when_the_peer_speaks_or_ends(void **state)
{
    (void)state;
    int peers[3];
    for (int i = 0; i < 3; i++)
        pool_put(pool, &plain, make(&peers[i]));
    turns(2);
    assert_int_equal(send(peers[0], "HTTP/1.1 200 OK\r\n", 17, 0),
                     17); /* an answer nobody asked for */
    shutdown(peers[1], SHUT_WR);
    turns(3);
    assert_int_equal(pool_count(pool), 1);
    assert_true(closed(peers[0]));
    /* The end is here, and the loop has not looked. */
    shutdown(peers[2], SHUT_WR);
    assert_null(pool_take(pool, &plain));
    for (int i = 0; i < 3; i++)
        close(peers[i]);
}

static void test_not_at_rest(void **state)
{
    (void)state;
    int peer;
    struct conn *conn = make(&peer);
    assert_int_equal(send(peer, "x", 1, 0), 1);
    turns(2);
    pool_put(pool, &plain, conn);
    assert_int_equal(pool_count(pool), 0);
    close(peer);
}

static void test_bounds(void **state)
{
    (void)state;
    enum { MOST = 40 };
    int peers[2 * MOST + 2];
    size_t count = 0;
    char name[32];
    pool_limits(pool, 30000, MOST);
    /* As many to one place as in all: that many clients at once is what one program does. */
    for (int i = 0; i < MOST + 1; i++)
        pool_put(pool, &plain, make(&peers[count++]));
    assert_int_equal(pool_count(pool), MOST);
    assert_true(closed(peers[0])); /* the longest idle one */
    assert_false(closed(peers[1]));
    for (int i = 0; i < MOST; i++) {
        snprintf(name, sizeof(name), "h%d.test", i);
        struct pool_key key = {.host = span_of(name), .port = 80};
        pool_put(pool, &key, make(&peers[count++]));
    }
    assert_int_equal(pool_count(pool), MOST);
    assert_null(pool_take(pool, &plain)); /* all of the first key were older */
    pool_limits(pool, 30000, 1); /* a reload: what is too many goes at the next put */
    struct pool_key key = {.host = span_of(name), .port = 80};
    pool_put(pool, &key, make(&peers[count++]));
    assert_int_equal(pool_count(pool), 1);
    pool_empty(pool);
    assert_int_equal(pool_count(pool), 0);
    for (size_t i = 0; i < count; i++) {
        assert_true(closed(peers[i]));
        close(peers[i]);
    }
}

static void test_none_are_kept_where_the_limit_is_0(void **state)
{
    (void)state;
    int peer;
    pool_limits(pool, 30000, 0);
    pool_put(pool, &plain, make(&peer));
    assert_int_equal(pool_count(pool), 0);
    assert_true(closed(peer));
    close(peer);
    pool_limits(pool, 0, 64);
    pool_put(pool, &plain, make(&peer));
    assert_int_equal(pool_count(pool), 0);
    assert_true(closed(peer));
    close(peer);
}

static void test_dropped_after_its_time(void **state)
{
    (void)state;
    int peer;
    pool_limits(pool, 30, 64);
    pool_put(pool, &plain, make(&peer));
    for (int i = 0; i < 200 && pool_count(pool) > 0; i++) {
        usleep(1000);
        loop_turn(loop, false);
    }
    assert_int_equal(pool_count(pool), 0);
    assert_true(closed(peer));
    close(peer);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_put_and_take),      T(test_only_the_same_key),
        T(test_tls_key_needs_tls), T(test_dropped_when_the_peer_speaks_or_ends),
        T(test_not_at_rest),       T(test_bounds),
        T(test_none_are_kept_where_the_limit_is_0),
        T(test_dropped_after_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
