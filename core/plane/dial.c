/* The way to an upstream as states: resolve, connect (one checked address after another), secure. It knows
 * nothing of requests. */
#include "core/plane/dial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum dial_state { DIAL_POOLED, DIAL_RESOLVING, DIAL_CONNECTING, DIAL_SECURING };

struct dial {
    struct plane *plane;
    struct epoch *epoch;
    struct target_host host;
    uint16_t port;
    bool tls;
    enum dial_state state;
    struct resolve_query *query;
    struct addr addrs[RESOLVE_ADDRS_MAX];
    size_t addr_count, next;
    struct conn *conn;
    struct task task;
    dial_fn fn;
    void *arg;
    struct err err; /* of the last attempt */
};

static void dial_end(struct dial *dial)
{
    task_cancel(&dial->task);
    resolve_cancel(dial->query);
    conn_close(dial->conn);
    epoch_unref(dial->epoch);
    loop_defer(dial->plane->loop, free, dial);
}

static void dial_succeed(struct dial *dial)
{
    struct conn *conn = dial->conn;
    bool reused = dial->state == DIAL_POOLED;
    dial_fn fn = dial->fn;
    void *arg = dial->arg;
    dial->conn = NULL;
    dial_end(dial);
    fn(arg, conn, reused, NULL);
}

static void dial_fail(struct dial *dial)
{
    struct err err = dial->err;
    dial_fn fn = dial->fn;
    void *arg = dial->arg;
    dial_end(dial);
    fn(arg, NULL, false, &err);
}

static uint64_t limit_of(const struct dial *dial, enum limit limit)
{
    return dial->epoch->snapshot->rules->config->limits[limit];
}

/* Of a saved TLS session. Which roots it was verified against is the session's own to know. */
enum { PLACE_BYTES = sizeof(((struct target_host *)NULL)->name) + sizeof(":65535") };

static struct span place_of(const struct target_host *host, uint16_t port, char text[PLACE_BYTES])
{
    int len = snprintf(text, PLACE_BYTES, "%s:%u", host->name, port);
    return (struct span){text, (size_t)len};
}

static void connect_next(struct dial *dial);

static void secure(struct dial *dial)
{
    struct stream_config *config =
        epoch_client(dial->epoch, span_of(dial->host.name), &dial->err);
    if (!config) {
        dial_fail(dial);
        return;
    }
    struct stream_io io = conn_stream_io(dial->conn);
    char place[PLACE_BYTES];
    struct buf saved CLEANUP(buf_wipe);
    struct span session = {NULL, 0};
    if (resume_take(dial->plane->resume, place_of(&dial->host, dial->port, place), &saved))
        session = (struct span){(const char *)saved.data, saved.len};
    struct stream *stream = stream_client(config, dial->host.name, session, &io, &dial->err);
    stream_config_unref(config);
    if (!stream) {
        dial_fail(dial);
        return;
    }
    dial->state = DIAL_SECURING;
    conn_secure(dial->conn, stream, limit_of(dial, LIMIT_CONNECT_MS));
}

/* A kept connection that ends, or speaks, before it is handed over is none: begin() makes a new one. */
static void on_pooled(struct conn *conn, enum conn_event event, void *arg)
{
    struct dial *dial = arg;
    if (event == CONN_DRAINED)
        return;
    dial->conn = NULL;
    conn_close(conn);
}

static void on_conn(struct conn *conn, enum conn_event event, void *arg)
{
    struct dial *dial = arg;
    switch (event) {
    case CONN_CONNECTED:
        if (dial->tls)
            secure(dial);
        else
            dial_succeed(dial);
        return;
    case CONN_SECURED:
        dial_succeed(dial);
        return;
    case CONN_FAILED:
        dial->err = *conn_error(conn);
        dial->conn = NULL;
        conn_close(conn);
        /* A bad certificate is an answer; another address of the same name would be a second guess. */
        if (dial->state == DIAL_CONNECTING)
            connect_next(dial);
        else
            dial_fail(dial);
        return;
    case CONN_READABLE:
    case CONN_DRAINED:
    case CONN_EOF:
    case CONN_TIMED_OUT:
        return; /* whoever gets the connection looks for itself */
    }
}

static void connect_next(struct dial *dial)
{
    if (dial->next == dial->addr_count) {
        err_wrap(&dial->err, "cannot reach %s port %u", dial->host.name, dial->port);
        dial->err.code = dial->err.code == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_UPSTREAM;
        dial_fail(dial);
        return;
    }
    dial->state = DIAL_CONNECTING;
    dial->conn = conn_connect(dial->plane->loop, &dial->addrs[dial->next++],
                              limit_of(dial, LIMIT_CONNECT_MS), on_conn, dial);
}

/* One bad address among good ones refuses the name: which one a client gets must not be chance (E06). */
static bool check_addresses(struct dial *dial)
{
    const struct policy *policy = dial->epoch->snapshot->rules->policy;
    for (size_t i = 0; i < dial->addr_count; i++) {
        const char *why;
        if (policy_address(policy, &dial->addrs[i], &why))
            continue;
        char text[ADDR_TEXT_BYTES];
        addr_format(&dial->addrs[i], text);
        err_set(&dial->err, ERR_DENIED, "%s is at %s, a %s address, and these are not reachable from the sandbox",
                dial->host.name, text, why);
        return err_hint(&dial->err, "The user can list it in network.allow_private of policy.yaml, unless it "
                                    "is a metadata address");
    }
    return true;
}

static void take_addresses(struct dial *dial, const struct addr *addrs, size_t count)
{
    memcpy(dial->addrs, addrs, count * sizeof(*addrs));
    dial->addr_count = count;
    if (check_addresses(dial))
        connect_next(dial);
    else
        dial_fail(dial);
}

static void on_resolved(void *arg, const struct addr *addrs, size_t count, const struct err *err)
{
    struct dial *dial = arg;
    dial->query = NULL;
    if (err) {
        dial->err = *err;
        dial_fail(dial);
        return;
    }
    take_addresses(dial, addrs, count);
}

static struct pool_key key_of(const struct target_host *host, uint16_t port, bool tls)
{
    return (struct pool_key){.host = span_of(host->name), .port = port, .tls = tls};
}

static void begin(void *arg)
{
    struct dial *dial = arg;
    if (dial->conn) {
        dial_succeed(dial);
        return;
    }
    dial->state = DIAL_RESOLVING;
    const struct config_upstream *fixed =
        config_upstream(dial->epoch->snapshot->rules->config, span_of(dial->host.name), dial->port);
    if (fixed && fixed->has_address) {
        struct addr addr = fixed->address;
        if (!addr.port)
            addr.port = dial->port;
        take_addresses(dial, &addr, 1);
    } else if (dial->host.is_ip) {
        struct addr addr = dial->host.addr;
        addr.port = dial->port;
        take_addresses(dial, &addr, 1);
    } else {
        dial->query = resolve_start(dial->plane->resolver, span_of(dial->host.name), dial->port,
                                    on_resolved, dial);
    }
}

struct dial *dial_start(struct plane *plane, struct epoch *epoch, const struct target_host *host,
                        uint16_t port, bool tls, bool fresh, dial_fn fn, void *arg)
{
    struct dial *dial = mem_alloc(sizeof(*dial));
    *dial = (struct dial){.plane = plane, .epoch = epoch_ref(epoch), .host = *host, .port = port,
                          .tls = tls, .fn = fn, .arg = arg};
    task_init(&dial->task, plane->loop, begin, dial);
    struct pool_key key = key_of(host, port, tls);
    if (!fresh)
        dial->conn = pool_take(plane->pool, &key);
    if (dial->conn)
        conn_set_handler(dial->conn, on_pooled, dial);
    task_post(&dial->task);
    return dial;
}

void dial_cancel(struct dial *dial)
{
    if (dial)
        dial_end(dial);
}

void dial_remember(struct plane *plane, const struct target_host *host, uint16_t port, struct conn *conn)
{
    char place[PLACE_BYTES];
    struct buf saved CLEANUP(buf_wipe);
    struct stream *stream = conn_stream(conn);
    buf_init(&saved, 0);
    if (stream && stream_session_save(stream, &saved))
        resume_put(plane->resume, place_of(host, port, place), &saved);
}

void dial_keep(struct plane *plane, const struct epoch *epoch, const struct target_host *host, uint16_t port,
               bool tls, struct conn *conn)
{
    struct pool_key key = key_of(host, port, tls);
    if (epoch == plane->epoch)
        pool_put(plane->pool, &key, conn);
    else
        conn_close(conn);
}
