/* A connection under test, with its peer: a bare socket, or another connection. */
#ifndef AILERON_TESTS_CONN_WORLD_H
#define AILERON_TESTS_CONN_WORLD_H

#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/loop/conn.h"
#include "core/loop/conn_state.h"

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

static inline uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 131 >> 3);
}

static inline void send_more(struct side *side)
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

static inline void take(struct side *side)
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

static inline void on_event(struct conn *conn, enum conn_event event, void *arg)
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

static inline void new_side(struct side *side, int fd)
{
    *side = (struct side){0};
    side->conn = conn_new_fd(loop, fd, on_event, side);
}

static inline int setup(void **state)
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
static inline void both(void)
{
    new_side(&b, peer_fd);
    peer_fd = -1;
}

static inline int teardown(void **state)
{
    (void)state;
    conn_close(a.conn);
    conn_close(b.conn);
    if (peer_fd >= 0)
        close(peer_fd);
    loop_free(loop);
    return 0;
}

static inline void turns(int count)
{
    for (int i = 0; i < count; i++)
        loop_turn(loop, false);
}

#endif
