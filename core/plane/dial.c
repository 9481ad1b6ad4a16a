/* The way to an upstream as states: what is kept, or a new connection (reach.c) and TLS on it. It knows nothing of
 * requests. */
#include "core/plane/dial.h"
#include "core/plane/reach.h"
#include "core/plane/trunk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum dial_state {
    DIAL_POOLED,
    DIAL_WAITING, /* for another dial to the same place */
    DIAL_REACHING,
    DIAL_ASKING, /* for the client's certificate */
    DIAL_SECURING
};

struct dial {
    struct plane *plane;
    struct epoch *epoch;
    struct dial *next; /* in plane->dials, where listed */
    struct target_host host;
    uint16_t port;
    bool tls, http1, fresh, listed;
    enum dial_state state;
    struct reach *reach;
    struct ask *ask;
    struct conn *conn;
    struct task task;
    dial_fn fn;
    void *arg;
    struct err err; /* of the last attempt */
};

/* ---- dials to one place ---- */

static void dial_list(struct dial *dial)
{
    dial->listed = true;
    dial->next = dial->plane->dials;
    dial->plane->dials = dial;
}

static bool same_place(const struct dial *a, const struct dial *b)
{
    return a->epoch == b->epoch && a->port == b->port && target_host_equal(&a->host, &b->host);
}

static bool others_may_wait(const struct dial *dial)
{
    return dial->tls && !dial->http1 && !dial->fresh;
}

/* FNV-1a. A collision costs one more connection, or a little waiting. */
static uint64_t place_hash(const struct dial *dial)
{
    uint64_t hash = 0xcbf29ce484222325u ^ dial->port;
    for (const char *c = dial->host.name; *c; c++)
        hash = (hash ^ (uint8_t)*c) * 0x100000001b3u;
    return hash;
}

static bool speaks_http1(const struct dial *dial)
{
    uint64_t place = place_hash(dial);
    return dial->plane->http1_places[place % PLANE_PLACES] == place;
}

/* Somebody is on the way to the same place, and it may be a connection for both. */
static bool leader_exists(const struct dial *dial)
{
    for (const struct dial *other = dial->plane->dials; other; other = other->next)
        if (other->state != DIAL_WAITING && same_place(other, dial))
            return true;
    return false;
}

static void dial_free(struct dial *dial)
{
    for (struct dial **link = &dial->plane->dials; dial->listed && *link; link = &(*link)->next)
        if (*link == dial) {
            *link = dial->next;
            break;
        }
    task_cancel(&dial->task);
    reach_cancel(dial->reach);
    ask_cancel(dial->ask);
    conn_close(dial->conn);
    epoch_unref(dial->epoch);
    loop_defer(dial->plane->loop, free, dial);
}

/* Whoever waited for this one looks again: at what it made, or makes its own; with err, they fail as it did. */
static void dial_end(struct dial *dial, const struct err *err)
{
    if (dial->listed && dial->state != DIAL_WAITING)
        for (struct dial *other = dial->plane->dials; other; other = other->next)
            if (other->state == DIAL_WAITING && same_place(other, dial)) {
                if (err)
                    other->err = *err;
                task_post(&other->task);
            }
    dial_free(dial);
}

static void dial_give(struct dial *dial, const struct dial_result *result)
{
    dial_fn fn = dial->fn;
    void *arg = dial->arg;
    dial_end(dial, result->err);
    fn(arg, result);
}

static void dial_succeed(struct dial *dial)
{
    struct dial_result result = {.conn = dial->conn, .reused = dial->state == DIAL_POOLED};
    struct stream *stream = conn_stream(dial->conn);
    const char *alpn = stream ? stream_alpn(stream) : NULL;
    dial->conn = NULL;
    if (alpn && strcmp(alpn, "h2") == 0) {
        result.trunk = trunk_new(dial->plane, dial->epoch, &dial->host, dial->port, result.conn);
        result.conn = NULL;
    } else if (others_may_wait(dial)) {
        dial->plane->http1_places[place_hash(dial) % PLANE_PLACES] = place_hash(dial);
    }
    dial_give(dial, &result);
}

static void dial_fail(struct dial *dial)
{
    struct err err = dial->err;
    struct dial_result result = {.err = &err};
    dial_give(dial, &result);
}

static uint64_t limit_of(const struct dial *dial, enum limit limit)
{
    return dial->epoch->snapshot->rules->config->limits[limit];
}

/* Of a saved TLS session. Which roots it was verified against is the session's own to know. */
enum { PLACE_BYTES = sizeof(((struct target_host *)NULL)->name) + sizeof(":65535") };

static struct span place_of(const struct target_host *host, uint16_t port, char text[PLACE_BYTES])
{
    char digits[21];
    size_t len = strlen(host->name), count = text_decimal(port, digits);
    memcpy(text, host->name, len);
    text[len] = ':';
    memcpy(text + len + 1, digits, count + 1);
    return (struct span){text, len + 1 + count};
}

static const struct config *config_of(const struct dial *dial)
{
    return dial->epoch->snapshot->rules->config;
}

static const char *identity_of(const struct dial *dial)
{
    return config_client_cert(config_of(dial), span_of(dial->host.name), dial->port);
}

/* pem: the client's certificate and its key; empty: none. */
static void secure(struct dial *dial, struct span pem)
{
    struct stream_config *config =
        epoch_client(dial->epoch, span_of(dial->host.name), dial->http1, pem, &dial->err);
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

static bool on_certificate(void *arg, const struct ipc_message *message)
{
    struct dial *dial = arg;
    struct plane_credential pem;
    dial->ask = NULL;
    if (plane_credential(message, &pem, &dial->err)) {
        secure(dial, pem.secret);
        return false;
    }
    err_wrap(&dial->err, "the client certificate for %s", dial->host.name);
    if (dial->err.code == ERR_DENIED) /* that is for addresses */
        dial->err.code = ERR_UPSTREAM;
    dial_fail(dial);
    return false;
}

static void ask_certificate(struct dial *dial)
{
    json_t *question JSON_AUTO = json_object();
    json_put(question, "for", "certificate");
    json_put(question, "host", dial->host.name);
    json_put_int(question, "port", dial->port);
    dial->state = DIAL_ASKING;
    dial->ask = plane_ask(dial->plane, MESSAGE_UPSTREAM_ASK, question, on_certificate, dial);
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
    case CONN_SECURED:
        stream_forget_key(conn_stream(conn));
        dial_succeed(dial);
        return;
    case CONN_FAILED: /* A bad certificate is an answer; another address of the same name would be a second guess. */
        dial->err = *conn_error(conn);
        dial_fail(dial);
        return;
    case CONN_CONNECTED:
    case CONN_READABLE:
    case CONN_DRAINED:
    case CONN_EOF:
    case CONN_TIMED_OUT:
        return; /* whoever gets the connection looks for itself */
    }
}

static void on_reached(void *arg, struct conn *conn, const struct err *err)
{
    struct dial *dial = arg;
    dial->reach = NULL;
    if (!conn) {
        dial->err = *err;
        dial_fail(dial);
        return;
    }
    dial->conn = conn;
    conn_set_handler(conn, on_conn, dial);
    if (!dial->tls)
        dial_succeed(dial);
    else if (identity_of(dial))
        ask_certificate(dial);
    else
        secure(dial, (struct span){NULL, 0});
}

/* A connection with a client's certificate is for nothing else, also where a row of config.yaml were to change. */
static struct pool_key key_of(const struct epoch *epoch, const struct target_host *host, uint16_t port, bool tls)
{
    const char *identity = config_client_cert(epoch->snapshot->rules->config, span_of(host->name), port);
    return (struct pool_key){.host = span_of(host->name), .port = port, .tls = tls,
                             .identity = span_of(identity ? identity : "")};
}

/* What is kept was made under the rules in force: with their roots, their proxy, their certificate. A request that was
 * decided by earlier ones (and waited for a person, say) has a connection of its own. */
static bool newest(const struct dial *dial)
{
    return dial->epoch == dial->plane->epoch;
}

static void begin(void *arg)
{
    struct dial *dial = arg;
    struct dial_result result = {.reused = true};
    if (dial->state == DIAL_WAITING && dial->err.code != ERR_NONE) {
        dial_fail(dial);
        return;
    }
    if (dial->conn) {
        dial_succeed(dial);
        return;
    }
    if (!dial->tls && identity_of(dial)) { /* never without it (C05, C12) */
        err_set(&dial->err, ERR_UPSTREAM, "%s gets a client certificate, and that is shown over TLS alone",
                dial->host.name);
        err_hint(&dial->err, "Use https");
        dial_fail(dial);
        return;
    }
    if (others_may_wait(dial)) {
        result.trunk = newest(dial) ? trunk_find(dial->plane, &dial->host, dial->port) : NULL;
        if (result.trunk) {
            dial_give(dial, &result);
            return;
        }
        dial->state = DIAL_WAITING;
        if (!dial->listed)
            dial_list(dial);
        if (!speaks_http1(dial) && leader_exists(dial))
            return;
    }
    dial->state = DIAL_REACHING;
    dial->reach = reach_start(dial->plane, dial->epoch, &dial->host, dial->port, on_reached, dial);
}

struct dial *dial_start(struct plane *plane, struct epoch *epoch, const struct dial_request *request, dial_fn fn,
                        void *arg)
{
    struct dial *dial = mem_alloc(sizeof(*dial));
    *dial = (struct dial){.plane = plane, .epoch = epoch_ref(epoch), .host = *request->host, .port = request->port,
                          .tls = request->tls, .fresh = request->fresh, .http1 = request->http1, .fn = fn,
                          .arg = arg};
    task_init(&dial->task, plane->loop, begin, dial);
    struct pool_key key = key_of(epoch, request->host, request->port, request->tls);
    if (!request->fresh && newest(dial))
        dial->conn = pool_take(plane->pool, &key);
    if (dial->conn)
        conn_set_handler(dial->conn, on_pooled, dial);
    task_post(&dial->task);
    return dial;
}

void dial_cancel(struct dial *dial)
{
    if (dial)
        dial_end(dial, NULL);
}

int dial_status(const struct err *err)
{
    if (err->code == ERR_DENIED || err->code == ERR_LOCKED)
        return 403;
    if (err->code == ERR_IO)
        return 503;
    return err->code == ERR_TIMEOUT ? 504 : 502;
}

void dial_remember(struct plane *plane, const struct target_host *host, uint16_t port, struct conn *conn)
{
    char place[PLACE_BYTES];
    struct buf saved CLEANUP(buf_wipe);
    struct stream *stream = conn_stream(conn);
    buf_init(&saved, 0);
    if (config_client_cert(plane->epoch->snapshot->rules->config, span_of(host->name), port))
        return; /* its session stands for the certificate: it is asked for anew each time */
    if (stream && stream_session_save(stream, &saved))
        resume_put(plane->resume, place_of(host, port, place), &saved);
}

void dial_keep(struct plane *plane, const struct epoch *epoch, const struct target_host *host, uint16_t port,
               bool tls, struct conn *conn)
{
    struct pool_key key = key_of(epoch, host, port, tls);
    if (epoch == plane->epoch)
        pool_put(plane->pool, &key, conn);
    else
        conn_close(conn);
}
