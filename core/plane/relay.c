/* Two halves of one type, used once in each direction. It looks at no byte itself: a gate may. */
#include "core/plane/relay.h"

#include <stdlib.h>

struct relay;
struct half {
    struct relay *relay;
    struct conn *conn;
    struct half *other;
    uint64_t moved_bytes; /* from here to the other */
    size_t let;           /* that the gate has let go and that have not gone */
    bool failed;          /* what it had sent before is still in its buffer */
    bool ended;           /* our end was told to the other */
};

enum { LINGER_MS = 2000 };

struct relay {
    struct plane *plane;
    struct half client, upstream;
    relay_gate_fn gate; /* NULL: passed, or none */
    relay_fn over;
    void *arg;
    struct task begin;
    bool held; /* the gate lets nothing of the client's go for now */
    bool closed;
};

static void relay_over(struct relay *relay)
{
    relay->closed = true;
    task_cancel(&relay->begin);
    if (relay->over)
        relay->over(relay->arg, relay->client.moved_bytes, relay->upstream.moved_bytes);
    loop_defer(relay->plane->loop, free, relay);
}

/* What is unsent is lost, and with TLS the peer sees that. */
static void relay_close(struct relay *relay)
{
    if (relay->closed)
        return;
    conn_close(relay->client.conn);
    conn_close(relay->upstream.conn);
    plane_leave(relay->plane);
    relay_over(relay);
}

/* What is unsent goes out, and an end behind it (a connection that has failed is closed); an upstream that takes
 * nothing is as much of a connection as the client was. */
static void relay_finish(struct relay *relay)
{
    if (relay->closed)
        return;
    plane_finish(relay->plane, relay->client.conn, LINGER_MS);
    relay->plane->connections++;
    plane_finish(relay->plane, relay->upstream.conn, LINGER_MS);
    relay_over(relay);
}

static bool sends_no_more(const struct half *half)
{
    return half->failed || conn_eof(half->conn);
}

/* Nothing of the client's goes, until the upstream has been heard; where neither can be any more, it never does. */
static void hold(struct relay *relay)
{
    relay->held = true;
    if (relay->client.failed || conn_gone(relay->client.conn))
        relay_close(relay);
    else if (sends_no_more(&relay->upstream) && conn_peek(relay->upstream.conn).len == 0)
        relay_finish(relay);
}

/* How many of these bytes may go. */
static size_t let_go(struct half *from, struct span input)
{
    struct relay *relay = from->relay;
    struct relay_look look = {.from_client = from == &relay->client, .last = sends_no_more(from), .input = input};
    if (!relay->gate || input.len == 0)
        return input.len;
    if (from->let == 0) {
        switch (relay->gate(relay->arg, &look, &from->let)) {
        case RELAY_PASS:
            relay->gate = NULL;
            return input.len;
        case RELAY_REFUSE:
            relay_close(relay);
            return 0;
        case RELAY_WAIT:
            break;
        }
    }
    if (look.from_client && from->let == 0)
        hold(relay);
    return input.len < from->let ? input.len : from->let;
}

static void move(struct half *from)
{
    struct half *to = from->other;
    for (;;) {
        struct span input = conn_peek(from->conn);
        size_t room = conn_room(to->conn), len = room > 0 ? let_go(from, input) : 0;
        if (from->relay->closed)
            return;
        len = len < room ? len : room;
        if (len == 0 || !conn_write(to->conn, input.p, len))
            break;
        from->moved_bytes += len;
        from->let -= from->let < len ? from->let : len;
        conn_consume(from->conn, len);
    }
    if (!sends_no_more(from) || conn_peek(from->conn).len > 0 || (from->ended && !from->failed))
        return; /* one that fails after its end takes nothing any more, either */
    from->ended = true;
    /* TLS says whether all has come; that of the other side must not say so where this one did not. */
    if ((from->failed || conn_truncated(from->conn)) && conn_stream(to->conn))
        relay_close(from->relay);
    else if (from->failed || to->ended)
        relay_finish(from->relay);
    else
        conn_shutdown(to->conn);
}

/* What the upstream says may open the gate for what is held of the client's. */
static void go_on(struct half *from)
{
    struct relay *relay = from->relay;
    move(from);
    if (relay->closed || !relay->held || from != &relay->upstream)
        return;
    relay->held = false;
    move(&relay->client);
}

static void on_conn(struct conn *conn, enum conn_event event, void *arg)
{
    struct half *half = arg;
    (void)conn;
    switch (event) {
    case CONN_READABLE:
    case CONN_EOF:
        go_on(half);
        return;
    case CONN_DRAINED:
        go_on(half->other);
        return;
    case CONN_FAILED:
        half->failed = true;
        if (half->other->failed)
            relay_close(half->relay);
        else
            go_on(half);
        return;
    case CONN_TIMED_OUT:
        relay_close(half->relay);
        return;
    case CONN_CONNECTED:
    case CONN_SECURED:
        return;
    }
}

/* What came before the relay began gave its events to others. */
static void begin(void *arg)
{
    struct relay *relay = arg;
    move(&relay->client);
    if (!relay->closed)
        go_on(&relay->upstream);
}

static void half_init(struct half *half, struct relay *relay, struct conn *conn, struct half *other)
{
    const struct config *config = relay->plane->epoch->snapshot->rules->config;
    *half = (struct half){.relay = relay, .conn = conn, .other = other};
    conn_set_handler(conn, on_conn, half);
    conn_deadline(conn, config->limits[LIMIT_IDLE_MS]);
}

void relay_start(struct plane *plane, struct conn *client, struct conn *upstream, relay_gate_fn gate,
                 relay_fn over, void *arg)
{
    struct relay *relay = mem_alloc(sizeof(*relay));
    relay->plane = plane;
    relay->gate = gate;
    relay->over = over;
    relay->arg = arg;
    half_init(&relay->client, relay, client, &relay->upstream);
    half_init(&relay->upstream, relay, upstream, &relay->client);
    task_init(&relay->begin, plane->loop, begin, relay);
    task_post(&relay->begin);
}
