/* A SOCKS5 client until its tunnel begins. What may be reached is the tunnel's business. */
#include "core/plane/socks.h"
#include "core/plane/denial.h"
#include "core/plane/tunnel.h"
#include "core/wire/socks.h"

#include <stdlib.h>

enum { SOCKS_MS = 10000, LINGER_MS = 2000 };

struct socks {
    struct plane *plane;
    struct conn *conn;
    bool greeted;
    struct task begin;
    struct calm calm;
};

static void socks_free(struct socks *socks)
{
    task_cancel(&socks->begin);
    calm_cancel(&socks->calm);
    loop_defer(socks->plane->loop, free, socks);
}

static void socks_end(struct socks *socks, const void *answer, size_t len)
{
    if (len > 0 && conn_write(socks->conn, answer, len)) {
        plane_finish(socks->plane, socks->conn, LINGER_MS);
    } else {
        conn_close(socks->conn);
        plane_leave(socks->plane);
    }
    socks_free(socks);
}

static void socks_refuse(struct socks *socks, enum socks_reply reply, const struct err *err)
{
    struct denial denial;
    uint8_t answer[SOCKS_ANSWER_BYTES];
    denial_from_err(&denial, err, 0);
    denial_record(&denial, socks->plane);
    socks_answer(reply, answer);
    socks_end(socks, answer, sizeof(answer));
}

/* False: over, or more has to come. */
static bool greet(struct socks *socks)
{
    size_t used = 0;
    uint8_t method = 0;
    enum socks_result result = socks_greeting(conn_peek(socks->conn), &used, &method);
    if (result == SOCKS_BAD)
        socks_end(socks, NULL, 0);
    if (result != SOCKS_OK)
        return false;
    uint8_t answer[] = {SOCKS_VERSION, method};
    conn_consume(socks->conn, used);
    socks->greeted = method == 0;
    if (socks->greeted && conn_write(socks->conn, answer, sizeof(answer)))
        return true;
    socks_end(socks, answer, sizeof(answer)); /* it insists on a password; nobody has one to give */
    return false;
}

static void look(struct socks *socks)
{
    struct target_host host;
    struct err err;
    enum socks_reply reply;
    size_t used = 0;
    uint16_t port = 0;
    if (conn_peek(socks->conn).len > 0 && !plane_calm(socks->plane, &socks->calm, &socks->begin))
        return;
    if (!socks->greeted && !greet(socks))
        return;
    switch (socks_request(conn_peek(socks->conn), &used, &host, &port, &reply, &err)) {
    case SOCKS_MORE:
        return;
    case SOCKS_BAD:
        socks_refuse(socks, reply, &err);
        return;
    case SOCKS_OK:
        break;
    }
    struct plane *plane = socks->plane;
    struct conn *conn = socks->conn;
    if (!plane_may_begin(plane, &err)) {
        socks_refuse(socks, SOCKS_NOT_ALLOWED, &err);
        return;
    }
    conn_consume(conn, used);
    conn_deadline(conn, 0);
    socks_free(socks);
    tunnel_start(plane, conn, &host, port, TUNNEL_SOCKS);
}

static void begin(void *arg)
{
    look(arg);
}

static void on_conn(struct conn *conn, enum conn_event event, void *arg)
{
    struct socks *socks = arg;
    (void)conn;
    switch (event) {
    case CONN_READABLE:
        look(socks);
        return;
    case CONN_EOF:
    case CONN_FAILED:
    case CONN_TIMED_OUT:
        socks_end(socks, NULL, 0);
        return;
    case CONN_CONNECTED:
    case CONN_SECURED:
    case CONN_DRAINED:
        return;
    }
}

void socks_start(struct plane *plane, struct conn *conn)
{
    struct socks *socks = mem_alloc(sizeof(*socks));
    *socks = (struct socks){.plane = plane, .conn = conn};
    task_init(&socks->begin, plane->loop, begin, socks);
    conn_set_handler(conn, on_conn, socks);
    conn_deadline(conn, SOCKS_MS);
    conn_within(conn, SOCKS_MS);
    task_post(&socks->begin);
}
