/* Handshake, first line, then one end of a socket pair for the front: TLS inside TLS (an intercepted connection) would
 * need a connection with two streams, and this way nothing else of the plane knows of the network. */
#include "core/plane/remote.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/loop/join.h"
#include "core/loop/listen.h"
#include "core/plane/denial.h"
#include "core/plane/front.h"
#include "core/plane/tunnel.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct leg {
    struct leg *next, *prev; /* the newest first */
    struct remote *remote;
    struct conn *conn;
    struct timer timer;
};

struct remote {
    struct plane *plane;
    struct listener *listener;
    struct leg *legs, *oldest;
    size_t count;
    uint64_t told_ms; /* when the last line about a refused one was written; 0: never */
};

static void leg_free(struct leg *leg)
{
    struct remote *remote = leg->remote;
    timer_stop(&leg->timer);
    if (leg->prev)
        leg->prev->next = leg->next;
    else
        remote->legs = leg->next;
    if (leg->next)
        leg->next->prev = leg->prev;
    else
        remote->oldest = leg->prev;
    remote->count--;
    loop_defer(remote->plane->loop, free, leg);
}

static void leg_close(struct leg *leg)
{
    conn_close(leg->conn);
    leg_free(leg);
}

/* Anybody can make this happen, and each line is charged to the session: one a while. */
static void tell(struct remote *remote)
{
    uint64_t now = clock_mono_ms();
    struct denial denial;
    struct err err;
    if (remote->told_ms != 0 && now - remote->told_ms < REMOTE_TELL_MS)
        return;
    remote->told_ms = now;
    err_set(&err, ERR_DENIED, "a connection to the session's TLS listener did not begin with the session's token");
    err_hint(&err, "Somebody else reaches that address: see sandbox.remote_listen in aileron.yaml(5)");
    denial_from_err(&denial, &err, 403);
    denial_record(&denial, remote->plane);
}

/* "AILERON <token> MODE": whether it is ours, and a mode that the network may have (a listening socket cannot come this
 * way). */
static bool proven(const struct plane *plane, struct span line)
{
    struct span word, token, mode;
    if (!span_cut(&line, ' ', &word) || !span_eqs(word, "AILERON") || !span_cut(&line, ' ', &token) ||
        !snapshot_token_ok(plane->epoch->snapshot, token))
        return false;
    return span_cut(&line, ' ', &mode) &&
           (span_eqs(mode, "proxy") || span_eqs(mode, "api") || span_eqs(mode, "capture"));
}

static void on_nothing(struct conn *conn, enum conn_event event, void *arg)
{
    (void)conn; /* the join has it from the beginning on */
    (void)event;
    (void)arg;
}

/* The line is still in the connection's buffer: the front reads it again, as from everybody. */
static void hand_on(struct leg *leg)
{
    struct plane *plane = leg->remote->plane;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        leg_close(leg);
        return;
    }
    /* The front may be gone long before what it said has been read: its own deadlines do not reach so far. */
    join_start(leg->conn, conn_new_fd(plane->loop, pair[1], on_nothing, NULL),
               plane->epoch->snapshot->rules->config->limits[LIMIT_IDLE_MS], NULL, NULL);
    front_accept(plane, pair[0]);
    leg_free(leg);
}

static void look(struct leg *leg)
{
    static const char magic[] = "AILERON ";
    struct span input = conn_peek(leg->conn);
    size_t window = input.len < FRONT_PREAMBLE_BYTES ? input.len : FRONT_PREAMBLE_BYTES;
    const char *line_end = memmem(input.p, window, "\r\n", 2);
    bool ours = memcmp(input.p, magic, window < sizeof(magic) - 1 ? window : sizeof(magic) - 1) == 0;
    if (ours && !line_end && window < FRONT_PREAMBLE_BYTES)
        return;
    if (ours && line_end && proven(leg->remote->plane, (struct span){input.p, (size_t)(line_end - input.p)})) {
        hand_on(leg);
        return;
    }
    tell(leg->remote);
    leg_close(leg);
}

static void on_conn(struct conn *conn, enum conn_event event, void *arg)
{
    struct leg *leg = arg;
    switch (event) {
    case CONN_READABLE:
    case CONN_SECURED:
        if (conn_peek(conn).len > 0)
            look(leg);
        return;
    case CONN_EOF:
    case CONN_FAILED:
    case CONN_TIMED_OUT:
        leg_close(leg);
        return;
    case CONN_CONNECTED:
    case CONN_DRAINED:
        return;
    }
}

static void on_timer(void *arg)
{
    leg_close(arg);
}

static void on_accept(void *arg, int fd)
{
    struct remote *remote = arg;
    struct plane *plane = remote->plane;
    struct err err;
    static const int yes = 1;
    if (remote->count >= REMOTE_PENDING_MAX)
        leg_close(remote->oldest);
    /* A machine that went away without a word: its connections would stay for ever. */
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    struct leg *leg = mem_alloc(sizeof(*leg));
    *leg = (struct leg){.remote = remote, .next = remote->legs};
    leg->conn = conn_new_fd(plane->loop, fd, on_conn, leg);
    timer_init(&leg->timer, plane->loop, on_timer, leg);
    if (remote->legs)
        remote->legs->prev = leg;
    else
        remote->oldest = leg;
    remote->legs = leg;
    remote->count++;
    struct stream_io io = conn_stream_io(leg->conn);
    struct leaf *leaf = ca_leaf(plane->ca, TUNNEL_OWN_NAME, &err);
    struct stream *stream = leaf ? stream_server(plane->server_api, leaf, &io, &err) : NULL;
    leaf_unref(leaf);
    if (!stream) {
        leg_close(leg);
        return;
    }
    timer_start(&leg->timer, REMOTE_FIRST_MS);
    conn_secure(leg->conn, stream, REMOTE_FIRST_MS);
}

struct remote *remote_open(struct plane *plane, int listen_fd, struct err *err)
{
    struct remote *remote = mem_alloc(sizeof(*remote));
    *remote = (struct remote){.plane = plane};
    remote->listener = listener_new(plane->loop, listen_fd, on_accept, remote, err);
    if (remote->listener)
        return remote;
    free(remote);
    return NULL;
}

void remote_close(struct remote *remote)
{
    if (!remote)
        return;
    listener_free(remote->listener);
    while (remote->legs)
        leg_close(remote->legs);
    loop_defer(remote->plane->loop, free, remote);
}

size_t remote_pending(const struct remote *remote)
{
    return remote->count;
}
