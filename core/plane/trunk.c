/* Bytes between one connection and one HTTP/2 session, until either ends. */
#include "core/plane/trunk.h"
#include "core/plane/flow_private.h"
#include "core/plane/frames.h"

#include <stdlib.h>

struct trunk {
    struct plane *plane;
    struct epoch *epoch;
    struct trunk *next;
    struct target_host host;
    uint16_t port;
    struct conn *conn; /* NULL: ended */
    struct http2 *http2;
    struct task flush;
    unsigned refs;     /* plane->trunks holds one while it has not ended */
    struct err err;
};

static void trunk_free(void *arg)
{
    struct trunk *trunk = arg;
    http2_free(trunk->http2);
    epoch_unref(trunk->epoch);
    free(trunk);
}

struct trunk *trunk_ref(struct trunk *trunk)
{
    trunk->refs++;
    return trunk;
}

void trunk_unref(struct trunk *trunk)
{
    if (trunk && --trunk->refs == 0)
        loop_defer(trunk->plane->loop, trunk_free, trunk);
}

/* Leaves the list; the streams that are left are told. */
static void trunk_end(struct trunk *trunk)
{
    if (!trunk->conn)
        return;
    struct trunk **link = &trunk->plane->trunks;
    while (*link != trunk)
        link = &(*link)->next;
    *link = trunk->next;
    task_cancel(&trunk->flush);
    conn_close(trunk->conn);
    trunk->conn = NULL;
    http2_abort(trunk->http2, HTTP2_INTERNAL_ERROR, false);
    trunk_unref(trunk);
}

static void flush(void *arg)
{
    struct trunk *trunk = arg;
    if (!trunk->conn)
        return;
    frames_send(trunk->http2, trunk->conn);
    if (http2_error(trunk->http2)) {
        trunk->err = *http2_error(trunk->http2);
        trunk->err.code = ERR_UPSTREAM;
        trunk_end(trunk); /* GOAWAY has gone, so far as it goes out at once */
    } else if (http2_over(trunk->http2) && conn_unsent(trunk->conn) == 0) {
        err_set(&trunk->err, ERR_UPSTREAM, "the upstream ended its HTTP/2 connection");
        trunk_end(trunk);
    }
}

void trunk_flush(struct trunk *trunk)
{
    if (trunk->conn)
        task_post(&trunk->flush);
}

static void receive(struct trunk *trunk)
{
    struct span input = conn_peek(trunk->conn);
    if (input.len == 0)
        return;
    bool good = http2_receive(trunk->http2, input, &trunk->err);
    conn_consume(trunk->conn, input.len);
    if (good)
        trunk_flush(trunk);
    else
        flush(trunk); /* GOAWAY, and the end */
}

static void on_conn(struct conn *conn, enum conn_event event, void *arg)
{
    struct trunk *trunk = arg;
    switch (event) {
    case CONN_READABLE:
        receive(trunk);
        return;
    case CONN_DRAINED:
        flush(trunk);
        return;
    case CONN_EOF:
    case CONN_FAILED:
        receive(trunk);
        if (!trunk->conn)
            return;
        err_set(&trunk->err, ERR_UPSTREAM, "the upstream closed the connection");
        if (event == CONN_FAILED)
            trunk->err = *conn_error(conn);
        trunk_end(trunk);
        return;
    case CONN_TIMED_OUT:
        if (http2_streams(trunk->http2) > 0)
            return; /* flows have deadlines of their own */
        http2_goaway(trunk->http2);
        flush(trunk);
        trunk_end(trunk);
        return;
    case CONN_CONNECTED:
    case CONN_SECURED:
        return;
    }
}

struct trunk *trunk_new(struct plane *plane, struct epoch *epoch, const struct target_host *host, uint16_t port,
                        struct conn *conn)
{
    struct trunk *trunk = mem_alloc(sizeof(*trunk));
    *trunk = (struct trunk){.plane = plane, .epoch = epoch_ref(epoch), .host = *host, .port = port, .conn = conn,
                            .refs = 2};
    trunk->http2 = http2_client(&flow_http2_events, trunk);
    trunk->next = plane->trunks;
    plane->trunks = trunk;
    task_init(&trunk->flush, plane->loop, flush, trunk);
    conn_set_handler(conn, on_conn, trunk);
    conn_limits(conn, CONN_OUT_BYTES, 4 * CONN_OUT_BYTES);
    conn_deadline(conn, epoch->snapshot->rules->config->limits[LIMIT_POOL_IDLE_MS]);
    task_post(&trunk->flush);
    return trunk;
}

bool trunk_usable(const struct trunk *trunk)
{
    return trunk->conn && http2_can_request(trunk->http2);
}

struct trunk *trunk_find(struct plane *plane, const struct target_host *host, uint16_t port)
{
    for (struct trunk *trunk = plane->trunks; trunk; trunk = trunk->next)
        if (trunk->epoch == plane->epoch && trunk->port == port && target_host_equal(&trunk->host, host) &&
            trunk_usable(trunk))
            return trunk_ref(trunk);
    return NULL;
}

void trunk_remember(struct trunk *trunk)
{
    if (trunk->conn)
        dial_remember(trunk->plane, &trunk->host, trunk->port, trunk->conn);
}

struct http2 *trunk_session(struct trunk *trunk)
{
    return trunk->http2;
}

const struct err *trunk_error(const struct trunk *trunk)
{
    return &trunk->err;
}
