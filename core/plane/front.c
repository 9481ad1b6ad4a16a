/* Reads the preamble, or sees that there is none, and hands the connection over. */
#include "core/plane/front.h"
#include "core/plane/api.h"
#include "core/plane/denial.h"
#include "core/plane/exchange.h"
#include "core/plane/inlet.h"
#include "core/plane/socks.h"
#include "core/plane/tunnel.h"
#include "core/base/id.h"
#include "core/wire/socks.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FIRST_BYTES_MS = 10000,
    LINGER_MS = 2000,
    TURNED_AWAY_MAX = 256 /* connections above limits.connections that are told so, in LINGER_MS */
};
static const char magic[] = "AILERON ";

struct front {
    struct plane *plane;
    struct conn *conn;
    bool securing; /* the session API is spoken to over TLS */
    bool proxy;    /* proven; the first byte of what it says is awaited */
    struct calm calm;
    struct task again;
};

/* Only the mode `listener` takes a descriptor. */
static void drop_passed(struct front *front)
{
    int fd = conn_take_fd(front->conn);
    if (fd >= 0)
        close(fd);
}

/* The connection has another owner now, or none. */
static void front_free(struct front *front)
{
    drop_passed(front);
    task_cancel(&front->again);
    calm_cancel(&front->calm);
    loop_defer(front->plane->loop, free, front);
}

static void front_close(struct front *front)
{
    conn_close(front->conn);
    plane_leave(front->plane);
    front_free(front);
}

static void refuse(struct front *front, const struct err *err, int status)
{
    struct denial denial;
    struct buf out CLEANUP(buf_clear);
    denial_from_err(&denial, err, status);
    denial_record(&denial, front->plane);
    buf_init(&out, 2 * DENIAL_BODY_BYTES);
    if (!denial_answer(&denial, DENIAL_JSON, true, false, &out) || !conn_write(front->conn, out.data, out.len)) {
        front_close(front);
        return;
    }
    plane_finish(front->plane, front->conn, LINGER_MS);
    front_free(front);
}

/* ---- the preamble ---- */

static bool parse_capture(struct span rest, struct target_host *host, uint16_t *port, struct err *err)
{
    struct span name;
    uint64_t number = 0;
    if (!span_cut(&rest, ' ', &name) || !text_u64(rest, 65535, &number) || number == 0)
        return err_set(err, ERR_DATA, "a capture names a host and a port");
    *port = (uint16_t)number;
    return target_host_parse(name, host, err);
}

/* A proxy's client, whose first byte says which kind. */
static void start_proxy(struct front *front)
{
    struct plane *plane = front->plane;
    struct conn *conn = front->conn;
    struct span input = conn_peek(conn);
    if (input.len == 0)
        return;
    conn_deadline(conn, 0);
    front_free(front);
    if (input.p[0] == SOCKS_VERSION)
        socks_start(plane, conn);
    else
        exchange_start(plane, conn, NULL, false, true);
}

static void take_preamble(struct front *front, struct span line)
{
    struct plane *plane = front->plane;
    struct conn *conn = front->conn;
    struct span rest = line, word, token, mode;
    struct target_host host;
    struct err err;
    uint16_t port = 0;
    bool parsed = span_cut(&rest, ' ', &word) && span_cut(&rest, ' ', &token) && span_cut(&rest, ' ', &mode);
    if (!parsed || !snapshot_token_ok(plane->epoch->snapshot, token)) {
        err_set(&err, ERR_DENIED, "this is not the session's token");
        refuse(front, &err, 403);
        return;
    }
    conn_deadline(conn, 0);
    if (span_eqs(mode, "proxy")) {
        front->proxy = true;
        conn_deadline(conn, plane->epoch->snapshot->rules->config->limits[LIMIT_IDLE_MS]);
        start_proxy(front);
    } else if (span_eqs(mode, "api")) {
        front_free(front);
        api_start(plane, conn, true);
    } else if (span_eqs(mode, "listener")) {
        if (!inlet_open(plane, conn, conn_take_fd(conn), &err)) {
            refuse(front, &err, 400);
            return;
        }
        plane_leave(plane); /* it carries no request: there is one at the most */
        front_free(front);
    } else if (!span_eqs(mode, "capture")) {
        err_set(&err, ERR_DATA, "the preamble names no mode that this daemon knows");
        refuse(front, &err, 400);
    } else if (!parse_capture(rest, &host, &port, &err)) {
        struct denial denial; /* for the record: a captured program would not understand the answer */
        denial_from_err(&denial, &err, 400);
        denial_record(&denial, plane);
        front_close(front);
    } else {
        front_free(front);
        tunnel_start(plane, conn, &host, port, TUNNEL_CAPTURED);
    }
}

/* ---- without one ---- */

static void secure_api(struct front *front)
{
    struct err err;
    struct stream *stream = NULL;
    struct stream_io io = conn_stream_io(front->conn);
    struct leaf *leaf = ca_leaf(front->plane->ca, TUNNEL_OWN_NAME, &err);
    if (leaf)
        stream = stream_server(front->plane->server_api, leaf, &io, &err);
    leaf_unref(leaf);
    if (!stream) {
        front_close(front);
        return;
    }
    drop_passed(front);
    front->securing = true;
    conn_secure(front->conn, stream, FIRST_BYTES_MS);
}

static void look(struct front *front)
{
    struct span input = conn_peek(front->conn);
    struct conn *conn = front->conn;
    struct plane *plane = front->plane;
    size_t compared = input.len < sizeof(magic) - 1 ? input.len : sizeof(magic) - 1;
    struct err err;
    if (input.len == 0)
        return;
    if ((uint8_t)input.p[0] == 0x16) { /* a TLS handshake record, RFC 8446 5.1 */
        secure_api(front);
        return;
    }
    if (memcmp(input.p, magic, compared) != 0) {
        conn_deadline(conn, 0);
        front_free(front);
        exchange_start(plane, conn, NULL, false, false);
        return;
    }
    size_t window = input.len < FRONT_PREAMBLE_BYTES ? input.len : FRONT_PREAMBLE_BYTES;
    const char *end = memmem(input.p, window, "\r\n", 2);
    if (!end) {
        if (window == FRONT_PREAMBLE_BYTES) {
            err_set(&err, ERR_DATA, "the preamble is longer than %d bytes", FRONT_PREAMBLE_BYTES);
            refuse(front, &err, 400);
        }
        return;
    }
    char line[FRONT_PREAMBLE_BYTES];
    size_t len = (size_t)(end - input.p);
    memcpy(line, input.p, len);
    conn_consume(conn, len + 2);
    take_preamble(front, (struct span){line, len});
    explicit_bzero(line, sizeof(line));
}

/* What comes may be refused, which is a line on the record: it waits until the monitor takes it. */
static void go_on(void *arg)
{
    struct front *front = arg;
    if (front->securing || conn_peek(front->conn).len == 0 || !plane_calm(front->plane, &front->calm, &front->again))
        return;
    if (front->proxy)
        start_proxy(front);
    else
        look(front);
}

static void on_conn(struct conn *conn, enum conn_event event, void *arg)
{
    struct front *front = arg;
    switch (event) {
    case CONN_READABLE:
        go_on(front);
        return;
    case CONN_SECURED: {
        struct plane *plane = front->plane;
        conn_deadline(conn, 0);
        front_free(front);
        api_start(plane, conn, false);
        return;
    }
    case CONN_EOF:
    case CONN_FAILED:
    case CONN_TIMED_OUT:
        front_close(front);
        return;
    case CONN_CONNECTED:
    case CONN_DRAINED:
        return;
    }
}

/* Above limits.connections: the first of a row is on the record. What has come is read, since closing with bytes
 * unread would reset the connection and take the answer from the client. */
static void turn_away(struct plane *plane, struct conn *conn)
{
    struct denial denial;
    struct err err;
    struct buf out CLEANUP(buf_clear);
    uint64_t now = clock_mono_ms();
    err_set(&err, ERR_LIMIT, "this sandbox holds %zu connections already, and limits.connections allows no more",
            plane->connections);
    err_hint(&err, "Close some of them, or ask the user to raise it in config.yaml");
    denial_from_err(&denial, &err, 0);
    if (!plane->crowded)
        denial_record(&denial, plane);
    plane->crowded = true;
    if (now - plane->turned_away_at >= LINGER_MS) {
        plane->turned_away_at = now;
        plane->turned_away = 0;
    }
    buf_init(&out, 2 * DENIAL_BODY_BYTES);
    if (plane->turned_away++ < TURNED_AWAY_MAX && denial_answer(&denial, DENIAL_JSON, true, false, &out) &&
        conn_write(conn, out.data, out.len))
        conn_finish(conn, LINGER_MS);
    else
        conn_close(conn);
}

static void on_nothing(struct conn *conn, enum conn_event event, void *arg)
{
    (void)conn; /* it is finishing: nothing is told */
    (void)event;
    (void)arg;
}

/* NULL: turned away. */
static struct front *front_new(struct plane *plane, int fd)
{
    uint64_t most = plane->epoch->snapshot->rules->config->limits[LIMIT_CONNECTIONS];
    if (plane->connections >= most) {
        turn_away(plane, conn_new_fd(plane->loop, fd, on_nothing, NULL));
        return NULL;
    }
    struct front *front = mem_alloc(sizeof(*front));
    front->plane = plane;
    plane->connections++;
    plane->crowded = false;
    task_init(&front->again, plane->loop, go_on, front);
    front->conn = conn_new_fd(plane->loop, fd, on_conn, front);
    return front;
}

void front_accept(struct plane *plane, int fd)
{
    struct front *front = front_new(plane, fd);
    if (!front)
        return;
    conn_want_fd(front->conn);
    conn_deadline(front->conn, FIRST_BYTES_MS);
    conn_within(front->conn, FIRST_BYTES_MS); /* a byte now and then keeps no place */
}

void front_accept_proxy(struct plane *plane, int fd)
{
    struct front *front = front_new(plane, fd);
    if (!front)
        return;
    front->proxy = true;
    conn_deadline(front->conn, plane->epoch->snapshot->rules->config->limits[LIMIT_IDLE_MS]);
}
