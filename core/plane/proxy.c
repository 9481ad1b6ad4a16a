/* One question to a proxy and its answer. Which connections go through one, and which address it is asked for, is
 * dial's to know. */
#include "core/plane/proxy.h"
#include "core/plane/scheme.h"
#include "core/wire/http1.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROXY_CREDENTIAL_BYTES = 8 * 1024 }; /* of the field that carries it */

struct proxy_visit {
    struct plane *plane;
    const struct config_proxy *proxy;
    struct conn *conn;
    struct target_host host;
    uint16_t port;
    char authority[TARGET_AUTHORITY_BYTES];
    uint64_t timeout_ms;
    struct ask *ask;
    struct task task;
    struct timer timer;
    struct arena *arena;
    struct http1 *parser; /* NULL: not asked yet */
    struct msg answer;
    bool over;
    proxy_fn fn;
    void *arg;
};

/* ---- the end ---- */

static void release(struct proxy_visit *visit)
{
    visit->over = true;
    task_cancel(&visit->task);
    timer_stop(&visit->timer);
    ask_cancel(visit->ask);
    conn_close(visit->conn);
    http1_free(visit->parser);
    arena_free(visit->arena);
    loop_defer(visit->plane->loop, free, visit);
}

static void give(struct proxy_visit *visit, const struct proxy_result *result)
{
    proxy_fn fn = visit->fn;
    void *arg = visit->arg;
    visit->conn = result->conn ? NULL : visit->conn;
    release(visit);
    fn(arg, result);
}

static void fail(struct proxy_visit *visit, struct err *err, bool elsewhere)
{
    struct proxy_result result = {.err = err, .elsewhere = elsewhere};
    err_wrap(err, "the upstream proxy %s port %u", visit->proxy->host, visit->proxy->port);
    if (err->code == ERR_DENIED) /* the monitor's word: no address is the reason */
        err->code = ERR_UPSTREAM;
    give(visit, &result);
}

/* ---- the answer ---- */

static void refused(struct proxy_visit *visit)
{
    unsigned status = visit->answer.status;
    struct err err;
    if (status == 407 && visit->proxy->credential) {
        err_set(&err, ERR_UPSTREAM, "does not take the credential %s (407)", visit->proxy->credential);
        err_hint(&err, "The user can put it anew: aileron vault put --kind=basic --username=NAME %s",
                 visit->proxy->credential);
    } else if (status == 407) {
        err_set(&err, ERR_UPSTREAM, "wants a user name and a password (407)");
        err_hint(&err, "The user can put them into the vault and name the entry as network.upstream_proxy_credential");
    } else if (status >= 500) {
        err_set(&err, ERR_UPSTREAM, "cannot connect to %s (%u)", visit->authority, status);
        err_hint(&err, "Check the host, and that the proxy may reach it");
    } else {
        err_set(&err, ERR_UPSTREAM, "refuses to connect to %s (%u)", visit->authority, status);
        err_hint(&err, "That is a rule of the proxy, not of this host: the user can ask whoever runs it");
    }
    fail(visit, &err, status >= 500);
}

static void pump(struct proxy_visit *visit)
{
    struct proxy_result result = {.conn = visit->conn};
    struct err err;
    for (;;) {
        struct span input = conn_peek(visit->conn), body;
        size_t before = input.len;
        enum http1_event event = http1_next(visit->parser, &input, &body, &err);
        conn_consume(visit->conn, before - input.len);
        if (event == HTTP1_NEED_MORE)
            return;
        if (event == HTTP1_ERROR) {
            err_wrap(&err, "its answer is malformed");
            fail(visit, &err, false);
            return;
        }
        if (event == HTTP1_HEAD && visit->answer.status >= 300) {
            refused(visit);
            return;
        }
        if (event == HTTP1_END) {
            give(visit, &result);
            return;
        }
    }
}

static void on_conn(struct conn *conn, enum conn_event event, void *arg)
{
    struct proxy_visit *visit = arg;
    struct err err;
    switch (event) {
    case CONN_READABLE:
        if (visit->parser)
            pump(visit);
        return;
    case CONN_EOF:
        if (visit->parser)
            pump(visit); /* its answer may have come together with its end */
        if (visit->over)
            return;
        err_set(&err, ERR_UPSTREAM, "closed the connection in the place of an answer");
        fail(visit, &err, true);
        return;
    case CONN_FAILED:
        err = *conn_error(conn);
        fail(visit, &err, true);
        return;
    case CONN_CONNECTED:
    case CONN_SECURED:
    case CONN_DRAINED:
    case CONN_TIMED_OUT:
        return;
    }
}

static void on_time(void *arg)
{
    struct proxy_visit *visit = arg;
    struct err err;
    err_set(&err, ERR_TIMEOUT, "did not answer within %llu ms", (unsigned long long)visit->timeout_ms);
    fail(visit, &err, false);
}

/* ---- the question ---- */

static bool write_head(struct proxy_visit *visit, struct span credential, struct buf *out, struct err *err)
{
    struct span authority = span_of(visit->authority);
    struct msg msg;
    msg_init(&msg, visit->arena);
    return msg_request(&msg, SPAN("CONNECT"), authority, err) && msg_add(&msg, SPAN("Host"), authority, err) &&
           (credential.len == 0 || msg_add_borrowed(&msg, SPAN("Proxy-Authorization"), credential, err)) &&
           http1_write_request(&msg, authority, out, err);
}

static void ask_proxy(struct proxy_visit *visit, struct span credential)
{
    struct buf out CLEANUP(buf_wipe);
    struct err err;
    buf_init(&out, 2 * PROXY_CREDENTIAL_BYTES);
    if (!write_head(visit, credential, &out, &err) || !conn_write(visit->conn, out.data, out.len)) {
        err_set(&err, ERR_UPSTREAM, "cannot be asked");
        fail(visit, &err, false);
        return;
    }
    visit->parser = http1_new();
    msg_init(&visit->answer, visit->arena);
    http1_begin_response(visit->parser, &visit->answer, HTTP1_TO_CONNECT, false);
    pump(visit); /* what came before it was asked is read as an answer, and judged as one */
}

static bool read_credential(const struct ipc_message *message, struct buf *value, struct err *err)
{
    struct plane_credential given;
    if (!plane_credential(message, &given, err))
        return false;
    if (given.username[0] == 0)
        return err_set(err, ERR_DATA, "its credential has no user name");
    return scheme_write_basic(given.username, given.secret, value) ||
           err_set(err, ERR_DATA, "its credential cannot be written: it is too long, or its user name holds a colon");
}

static bool on_credential(void *arg, const struct ipc_message *message)
{
    struct proxy_visit *visit = arg;
    struct buf value CLEANUP(buf_wipe);
    struct err err;
    visit->ask = NULL;
    buf_init(&value, PROXY_CREDENTIAL_BYTES);
    if (read_credential(message, &value, &err))
        ask_proxy(visit, (struct span){(const char *)value.data, value.len});
    else
        fail(visit, &err, false);
    return false;
}

static void begin(void *arg)
{
    struct proxy_visit *visit = arg;
    if (!visit->proxy->credential) {
        ask_proxy(visit, (struct span){NULL, 0});
        return;
    }
    json_t *question JSON_AUTO = json_object();
    json_put(question, "for", "proxy");
    json_put(question, "host", visit->host.name);
    json_put_int(question, "port", visit->port);
    visit->ask = plane_ask(visit->plane, MESSAGE_UPSTREAM_ASK, question, on_credential, visit);
}

struct proxy_visit *proxy_open(struct plane *plane, struct conn *conn, const struct proxy_request *request, proxy_fn fn,
                               void *arg)
{
    struct proxy_visit *visit = mem_alloc(sizeof(*visit));
    *visit = (struct proxy_visit){.plane = plane, .conn = conn, .proxy = request->proxy, .host = *request->host,
                                  .port = request->port, .timeout_ms = request->timeout_ms, .fn = fn, .arg = arg};
    snprintf(visit->authority, sizeof(visit->authority), "%s", request->authority);
    visit->arena = arena_new(MSG_ARENA_BYTES);
    conn_set_handler(conn, on_conn, visit);
    timer_init(&visit->timer, plane->loop, on_time, visit);
    timer_start(&visit->timer, request->timeout_ms);
    task_init(&visit->task, plane->loop, begin, visit);
    task_post(&visit->task);
    return visit;
}

void proxy_cancel(struct proxy_visit *visit)
{
    if (visit)
        release(visit);
}
