/* Two directions, each as far as the other side has room: the end of one is END_STREAM here and half a close there, a
 * cut is a reset (RFC 8441 5). It looks at no byte. */
#include "core/plane/splice.h"

#include <stdlib.h>

enum { LINGER_MS = 2000 };

struct splice {
    struct plane *plane;
    struct http2_stream *stream;
    struct conn *conn;
    const struct splice_client *client;
    void *arg;
    struct task begin;
    bool ended; /* the upstream's end was told to the client */
};

static void downwards(struct splice *splice)
{
    struct span input;
    size_t room;
    struct err err;
    while ((input = conn_peek(splice->conn)).len > 0 && (room = http2_room(splice->stream)) > 0) {
        input.len = input.len < room ? input.len : room;
        if (!http2_write(splice->stream, input))
            break;
        conn_consume(splice->conn, input.len);
    }
    if (!conn_eof(splice->conn) || conn_peek(splice->conn).len > 0 || splice->ended)
        return;
    splice->ended = true;
    if (conn_truncated(splice->conn) || !http2_end(splice->stream, NULL, &err))
        splice->client->broken(splice->arg);
}

static void upwards(struct splice *splice)
{
    struct span data;
    size_t room;
    while ((data = http2_peek(splice->stream)).len > 0 && (room = conn_room(splice->conn)) > 0) {
        data.len = data.len < room ? data.len : room;
        if (!conn_write(splice->conn, data.p, data.len))
            break; /* it has failed, and its event follows */
        http2_consume(splice->stream, data.len);
    }
    if (http2_ended(splice->stream))
        conn_shutdown(splice->conn);
}

void splice_pump(struct splice *splice)
{
    upwards(splice);
    splice->client->moved(splice->arg);
    downwards(splice);
}

static void on_conn(struct conn *conn, enum conn_event event, void *arg)
{
    struct splice *splice = arg;
    (void)conn;
    switch (event) {
    case CONN_READABLE:
    case CONN_EOF:
    case CONN_DRAINED:
        splice_pump(splice);
        return;
    case CONN_FAILED:
    case CONN_TIMED_OUT:
        splice->client->broken(splice->arg);
        return;
    case CONN_CONNECTED:
    case CONN_SECURED:
        return;
    }
}

/* What came before gave its events to others. */
static void begin(void *arg)
{
    splice_pump(arg);
}

struct splice *splice_new(struct plane *plane, struct http2_stream *stream, struct conn *upstream,
                          const struct splice_client *client, void *arg)
{
    struct splice *splice = mem_alloc(sizeof(*splice));
    *splice = (struct splice){.plane = plane, .stream = stream, .conn = upstream, .client = client, .arg = arg};
    conn_set_handler(upstream, on_conn, splice);
    conn_deadline(upstream, plane->epoch->snapshot->rules->config->limits[LIMIT_IDLE_MS]);
    task_init(&splice->begin, plane->loop, begin, splice);
    task_post(&splice->begin);
    return splice;
}

void splice_free(struct splice *splice, bool ended)
{
    task_cancel(&splice->begin);
    if (ended) { /* one that takes nothing counts until it is gone */
        splice->plane->connections++;
        plane_finish(splice->plane, splice->conn, LINGER_MS);
    } else {
        conn_close(splice->conn);
    }
    loop_defer(splice->plane->loop, free, splice);
}
