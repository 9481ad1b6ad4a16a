/* The far ends of a worker's connections, in the worker's own loop: programs of a sandbox, and upstreams. What a
 * peer says and hears are plain bytes; what it holds back makes the back-pressure that a test is about. */
#ifndef AILERON_TESTS_PLANE_PEER_H
#define AILERON_TESTS_PLANE_PEER_H

#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/loop/conn.h"
#include "core/loop/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { PEER_HEARD_BYTES = 64 * 1024 * 1024, PEER_SAID_BYTES = 64 * 1024 * 1024, PEERS_MAX = 64 };

struct peer {
    struct peer *next;
    char name[32];
    struct conn *conn;       /* NULL once it was closed */
    struct peer_http2 *http2; /* NULL: plain bytes (plane_http2.h) */
    struct buf heard;        /* not yet expected by the test */
    struct buf said;         /* not yet taken by the connection */
    uint64_t to_say, to_hear; /* bytes of the pattern said and expected so far */
    bool holding;            /* reads nothing */
    bool ending;             /* half-closes when all was said */
    bool secured, eof, failed;
    struct err err;
};

static inline uint8_t peer_pattern(uint64_t at)
{
    return (uint8_t)(at * 131 >> 3);
}

static inline void peer_flush(struct peer *peer)
{
    while (peer->conn && peer->said.len > 0) {
        size_t len = conn_room(peer->conn);
        if (len > peer->said.len)
            len = peer->said.len;
        if (len == 0 || !conn_write(peer->conn, peer->said.data, len))
            return;
        buf_consume(&peer->said, len);
    }
    if (peer->conn && peer->ending)
        conn_shutdown(peer->conn);
}

/* In plane_http2.h. */
static void peer_http2_hear(struct peer *peer, struct span have);
static void peer_http2_free(struct peer *peer);

static inline void peer_hear(struct peer *peer)
{
    struct span have = conn_peek(peer->conn);
    if (peer->holding)
        return;
    if (peer->http2)
        peer_http2_hear(peer, have);
    else
        assert_true(buf_add(&peer->heard, have.p, have.len));
    conn_consume(peer->conn, have.len);
}

static inline void peer_event(struct conn *conn, enum conn_event event, void *arg)
{
    struct peer *peer = arg;
    switch (event) {
    case CONN_READABLE:
        peer_hear(peer);
        return;
    case CONN_DRAINED:
        peer_flush(peer);
        return;
    case CONN_SECURED:
        peer->secured = true;
        peer_flush(peer);
        return;
    case CONN_EOF:
        peer->eof = true;
        return;
    case CONN_FAILED:
        peer->failed = true;
        peer->err = *conn_error(conn);
        return;
    case CONN_CONNECTED:
    case CONN_TIMED_OUT:
        return;
    }
}

/* The peer of a connection that exists; it is the list's. */
static inline struct peer *peer_new(struct peer **list, const char *name, struct loop *loop, int fd)
{
    struct peer *peer = mem_alloc(sizeof(*peer));
    snprintf(peer->name, sizeof(peer->name), "%s", name);
    buf_init(&peer->heard, PEER_HEARD_BYTES);
    buf_init(&peer->said, PEER_SAID_BYTES);
    peer->conn = conn_new_fd(loop, fd, peer_event, peer);
    peer->next = *list;
    *list = peer;
    return peer;
}

static inline struct peer *peer_named(struct peer *list, const char *name)
{
    while (list && strcmp(list->name, name) != 0)
        list = list->next;
    if (!list)
        fail_msg("there is no peer %s", name);
    return list;
}

static inline void peer_say(struct peer *peer, const void *data, size_t len)
{
    assert_true(buf_add(&peer->said, data, len));
    if (!conn_stream(peer->conn) || peer->secured)
        peer_flush(peer);
}

static inline void peer_say_pattern(struct peer *peer, uint64_t len)
{
    uint8_t piece[4096];
    while (len > 0) {
        size_t n = len < sizeof(piece) ? (size_t)len : sizeof(piece);
        for (size_t i = 0; i < n; i++)
            piece[i] = peer_pattern(peer->to_say + i);
        assert_true(buf_add(&peer->said, piece, n));
        peer->to_say += n;
        len -= n;
    }
    peer_flush(peer);
}

static inline void peer_end(struct peer *peer)
{
    peer->ending = true;
    peer_flush(peer);
}

static inline void peer_hold(struct peer *peer, bool holding)
{
    peer->holding = holding;
    if (holding)
        conn_read_pause(peer->conn);
    else
        conn_read_resume(peer->conn);
}

/* reset: TCP's, at once and with everything unsent lost. */
static inline void peer_close(struct peer *peer, bool reset)
{
    if (reset) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(conn_fd(peer->conn), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    conn_close(peer->conn);
    peer->conn = NULL;
}

static inline void peers_free(struct peer **list)
{
    while (*list) {
        struct peer *peer = *list;
        *list = peer->next;
        conn_close(peer->conn);
        peer_http2_free(peer);
        buf_clear(&peer->heard);
        buf_clear(&peer->said);
        free(peer);
    }
}

#endif
