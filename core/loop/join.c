/* Two halves of one type. A Unix socket tells a close from a half-close, so that its peer's close ends both; what is
 * cut off under TLS is cut off on the other side too, and never looks like an end. */
#include "core/loop/join.h"
#include "core/base/mem.h"

#include <stdlib.h>

struct half {
    struct join *join;
    struct conn *conn;
    struct half *other;
    bool failed; /* what it had sent before is still in its buffer */
    bool ended;  /* its end was told to the other */
};

struct join {
    struct loop *loop;
    struct half a, b;
    struct task begin;
    join_fn over;
    void *arg;
    bool closed;
};

static void release(struct join *join)
{
    join->closed = true;
    task_cancel(&join->begin);
    loop_defer(join->loop, free, join);
}

void join_close(struct join *join)
{
    conn_close(join->a.conn);
    conn_close(join->b.conn);
    release(join);
}

static void end(struct join *join, bool cut)
{
    if (join->closed)
        return;
    if (cut) {
        join_close(join);
    } else { /* what is unsent goes out */
        conn_finish(join->a.conn, JOIN_LINGER_MS);
        conn_finish(join->b.conn, JOIN_LINGER_MS);
        release(join);
    }
    if (join->over)
        join->over(join->arg);
}

/* Only of plain ones: half of a connection under TLS ends as the whole does. */
static bool gone(const struct half *half)
{
    return !conn_stream(half->conn) && conn_gone(half->conn);
}

static void move(struct half *from)
{
    struct half *to = from->other;
    for (;;) {
        struct span input = conn_peek(from->conn);
        size_t room = conn_room(to->conn);
        size_t len = input.len < room ? input.len : room;
        if (len == 0 || !conn_write(to->conn, input.p, len))
            break;
        conn_consume(from->conn, len);
    }
    if ((!from->failed && !conn_eof(from->conn)) || conn_peek(from->conn).len > 0 || (from->ended && !from->failed))
        return;
    from->ended = true;
    if (from->failed || conn_truncated(from->conn)) {
        end(from->join, true);
    } else if (to->ended || gone(from)) {
        end(from->join, false);
    } else {
        conn_shutdown(to->conn);
        conn_deadline(to->conn, JOIN_HALF_MS);
    }
}

/* Nothing moved: the other side has ended, or bytes wait for this one. */
static bool stuck(const struct half *half)
{
    return half->other->ended || conn_unsent(half->conn) > 0 || conn_peek(half->other->conn).len > 0;
}

static void on_conn(struct conn *conn, enum conn_event event, void *arg)
{
    struct half *half = arg;
    (void)conn;
    switch (event) {
    case CONN_READABLE:
    case CONN_EOF:
        move(half);
        return;
    case CONN_DRAINED:
        move(half->other);
        return;
    case CONN_FAILED:
        half->failed = true;
        move(half);
        return;
    case CONN_TIMED_OUT:
        if (stuck(half))
            end(half->join, true);
        return;
    case CONN_CONNECTED:
    case CONN_SECURED:
        return;
    }
}

/* What came before gave its events to others. */
static void begin(void *arg)
{
    struct join *join = arg;
    move(&join->a);
    if (!join->closed)
        move(&join->b);
}

static void half_init(struct half *half, struct join *join, struct conn *conn, struct half *other, uint64_t patience_ms)
{
    *half = (struct half){.join = join, .conn = conn, .other = other};
    conn_set_handler(conn, on_conn, half);
    conn_deadline(conn, patience_ms);
}

struct join *join_start(struct conn *a, struct conn *b, uint64_t patience_ms, join_fn over, void *arg)
{
    struct join *join = mem_alloc(sizeof(*join));
    *join = (struct join){.loop = conn_loop(a), .over = over, .arg = arg};
    half_init(&join->a, join, a, &join->b, patience_ms);
    half_init(&join->b, join, b, &join->a, patience_ms);
    task_init(&join->begin, join->loop, begin, join);
    task_post(&join->begin);
    return join;
}
