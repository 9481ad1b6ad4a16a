/* A client's connection as states: read a head, judge its form, run a flow, write its answer, again. What may
 * be reached is the flow's business. */
#include "core/plane/exchange.h"
#include "core/plane/flow.h"
#include "core/plane/relay.h"
#include "core/plane/tunnel.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum exchange_state {
    EXCHANGE_HEAD,  /* waiting for, or reading, a request's head */
    EXCHANGE_FLOW,  /* a flow runs; the request's body may be under way */
    EXCHANGE_OVER
};

struct exchange {
    struct plane *plane;
    struct conn *conn;
    struct origin origin;
    bool is_origin, captured, proven;
    const struct denial *denial; /* own copy: every request is answered with it */
    struct denial denial_copy;

    enum exchange_state state;
    struct http1 *parser;
    struct arena *arena;
    struct msg request;
    struct target target;
    struct flow *flow;
    bool request_done;           /* its last byte was read */
    bool chunked;                /* the answer goes out in chunks */
    bool keep;                   /* after this answer */
    bool pumping;
    struct task next;            /* the next request, in the loop's next round */
    struct timer look;           /* whether the client is still there, while nothing can be read of it */
    uint64_t half_closed_at, bytes_seen; /* since when it has got nothing; what it had got by then */
    struct calm calm;
};

enum { LINGER_MS = 2000, SENDING_LINGER_MS = 30000, LOOK_MS = 500, HEAD_ROOM_BYTES = MSG_HEAD_BYTES + 1024 };

static const struct flow_client exchange_client;

static uint64_t limit_of(const struct exchange *exchange, enum limit limit)
{
    return exchange->plane->epoch->snapshot->rules->config->limits[limit];
}

/* The connection has another owner now, or none. */
static void exchange_free(struct exchange *exchange)
{
    exchange->state = EXCHANGE_OVER;
    timer_stop(&exchange->look);
    task_cancel(&exchange->next);
    calm_cancel(&exchange->calm);
    http1_free(exchange->parser);
    arena_free(exchange->arena);
    loop_defer(exchange->plane->loop, free, exchange);
}

static void exchange_close(struct exchange *exchange, const char *why)
{
    if (exchange->flow)
        flow_cancel(exchange->flow, why);
    conn_close(exchange->conn);
    plane_leave(exchange->plane);
    exchange_free(exchange);
}

/* The answer that is buffered still goes out. Who is in the middle of its request may read it only behind that. */
static void exchange_finish(struct exchange *exchange)
{
    bool sending = exchange->state == EXCHANGE_FLOW && !exchange->request_done;
    conn_deadline(exchange->conn, limit_of(exchange, LIMIT_IDLE_MS));
    plane_finish(exchange->plane, exchange->conn, sending ? SENDING_LINGER_MS : LINGER_MS);
    exchange_free(exchange);
}

static void begin_request(struct exchange *exchange)
{
    arena_reset(exchange->arena);
    msg_init(&exchange->request, exchange->arena);
    http1_begin_request(exchange->parser, &exchange->request);
    exchange->request_done = false;
    exchange->state = EXCHANGE_HEAD;
    conn_deadline(exchange->conn, limit_of(exchange, LIMIT_IDLE_MS));
    conn_within(exchange->conn, limit_of(exchange, LIMIT_HEAD_MS));
    task_post(&exchange->next);
}

static void answer_over(struct exchange *exchange)
{
    if (exchange->keep && exchange->request_done && !exchange->plane->draining)
        begin_request(exchange);
    else
        exchange_finish(exchange);
}

static void answer_denial(struct exchange *exchange, const struct denial *denial)
{
    struct buf out CLEANUP(buf_clear);
    buf_init(&out, 2 * DENIAL_BODY_BYTES);
    exchange->keep = exchange->keep && exchange->request_done;
    enum denial_form form = denial_form(msg_get(&exchange->request, "Accept"),
                                        msg_get(&exchange->request, "User-Agent"));
    if (!denial_answer(denial, form, !exchange->keep, span_eqs(exchange->request.method, "HEAD"), &out) ||
        !conn_write(exchange->conn, out.data, out.len))
        exchange->keep = false;
    answer_over(exchange);
}

static void answer_err(struct exchange *exchange, const struct err *err, int status)
{
    struct denial denial;
    denial_from_err(&denial, err, status);
    denial_record(&denial, exchange->plane);
    answer_denial(exchange, &denial);
}

/* ---- the request ---- */

static bool target_as_proxy(struct exchange *exchange, int *status, struct err *err)
{
    struct msg *msg = &exchange->request;
    *status = 400;
    /* An https URL too: busybox's wget asks so instead of with CONNECT. Its plain half is the sandbox's own loopback;
     * upstream it is TLS as always. */
    if (!target_parse_absolute(msg->target, exchange->arena, &exchange->target, err))
        return false;
    if (strcmp(exchange->target.host.name, TUNNEL_OWN_NAME) == 0) { /* whoever else has the name gets no token */
        err_set(err, ERR_DATA, "the session API is not served in plain text");
        return err_hint(err, "Use https://" TUNNEL_OWN_NAME);
    }
    return true;
}

static bool start_connect(struct exchange *exchange, int *status, struct err *err)
{
    struct target_host host;
    uint16_t port;
    *status = 400;
    if (exchange->is_origin) /* E08 */
        return err_set(err, ERR_DATA, "there is no CONNECT inside a tunnel");
    if (!target_authority_parse(exchange->request.target, 0, &host, &port, err))
        return false;
    struct conn *conn = exchange->conn;
    struct plane *plane = exchange->plane;
    exchange_free(exchange);
    tunnel_start(plane, conn, &host, port, TUNNEL_CONNECT);
    return true;
}

/* Basic (the token is the password: what HTTP clients can be told) or Bearer. Constant time in the snapshot. */
static bool proxy_authorised(struct exchange *exchange)
{
    struct span field = span_trim(msg_get(&exchange->request, "Proxy-Authorization"));
    struct span scheme;
    uint8_t pair[512];
    size_t len = 0;
    if (!field.p || msg_count(&exchange->request, "Proxy-Authorization") != 1 ||
        !span_cut(&field, ' ', &scheme))
        return false;
    field = span_trim(field);
    if (span_eqis(scheme, "Bearer"))
        return snapshot_token_ok(exchange->plane->epoch->snapshot, field);
    if (!span_eqis(scheme, "Basic") || !text_unbase64(field, pair, sizeof(pair), &len))
        return false;
    struct span rest = {(const char *)pair, len}, user;
    return span_cut(&rest, ':', &user) && snapshot_token_ok(exchange->plane->epoch->snapshot, rest);
}

static void on_head(struct exchange *exchange)
{
    struct err err;
    int status;
    bool connect = span_eqs(exchange->request.method, "CONNECT");
    exchange->state = EXCHANGE_FLOW;
    exchange->keep = exchange->request.keep_alive && !connect;
    conn_deadline(exchange->conn, 0); /* the upstream's deadlines hold from here */
    if (!connect && !plane_may_begin(exchange->plane, &err)) { /* the tunnel says it where clients show it */
        exchange->keep = false;
        answer_err(exchange, &err, 0);
        return;
    }
    if (exchange->denial) {
        exchange->keep = false;
        answer_denial(exchange, exchange->denial);
        return;
    }
    if (!exchange->is_origin && !exchange->proven && !proxy_authorised(exchange)) {
        err_set(&err, ERR_DENIED, "this proxy needs the session's token");
        err_hint(&err, "Use 127.0.0.1:3128, where aileron-proxy adds it");
        answer_err(exchange, &err, 407);
        return;
    }
    if (connect) {
        if (!start_connect(exchange, &status, &err))
            answer_err(exchange, &err, status);
        return;
    }
    if (!(exchange->is_origin ? origin_target(&exchange->origin, &exchange->request, exchange->arena,
                                              &exchange->target, &status, &err)
                              : target_as_proxy(exchange, &status, &err))) {
        answer_err(exchange, &err, status);
        return;
    }
    struct flow_request request = {.epoch = exchange->plane->epoch, .target = &exchange->target,
                                   .msg = &exchange->request, .captured = exchange->captured};
    exchange->flow = flow_start(exchange->plane, &request, &exchange_client, exchange);
}

/* A further request is read where its answer's head has room and the record takes its lines. */
static bool may_begin(struct exchange *exchange)
{
    return conn_room(exchange->conn) >= HEAD_ROOM_BYTES &&
           plane_calm(exchange->plane, &exchange->calm, &exchange->next);
}

/* One step on what has come. A body goes to the flow as far as it takes it. False: stop. */
static bool pump_once(struct exchange *exchange)
{
    struct err err;
    struct span input = conn_peek(exchange->conn), body = {NULL, 0};
    if (exchange->state == EXCHANGE_HEAD && input.len > 0 && !may_begin(exchange))
        return false; /* DRAINED goes on, or the task */
    if (exchange->state == EXCHANGE_FLOW) {
        size_t room = exchange->flow ? flow_room(exchange->flow) : 0;
        if (exchange->request_done)
            return false;
        if (input.len > room)
            input.len = room; /* 0 too: the end of a body is told after its last byte */
    }
    size_t before = input.len;
    enum http1_event event = http1_next(exchange->parser, &input, &body, &err);
    size_t used = before - input.len;
    if (event == HTTP1_BODY) {
        assert(exchange->flow); /* without one there was no room */
        flow_body(exchange->flow, body);
    }
    if (event == HTTP1_ERROR) {
        exchange->keep = false;
        if (exchange->flow) {
            exchange_close(exchange, "the request's body is malformed");
            return false;
        }
        err_hint(&err, "The request is malformed or can be read in two ways; nothing was sent upstream");
        answer_err(exchange, &err, http1_error_status(exchange->parser));
        return false;
    }
    conn_consume(exchange->conn, used);
    if (event == HTTP1_HEAD) {
        /* A request without a body is over with its head: END is pulled at once, ahead of the flow. */
        struct span none = {"", 0};
        exchange->request_done = exchange->request.framing == MSG_NONE &&
                                 http1_next(exchange->parser, &none, &body, &err) == HTTP1_END;
        on_head(exchange);
    } else if (event == HTTP1_END) {
        exchange->request_done = true;
        if (exchange->flow && exchange->request.framing != MSG_NONE)
            flow_body_end(exchange->flow);
        return false;
    }
    return exchange->state != EXCHANGE_OVER && event != HTTP1_NEED_MORE;
}

/* A long poll or a silent stream writes nothing by which a client that has gone would be noticed. nginx and Go's
 * net/http end a request at the first end of its client, so that one who half-closes behind its request (nc -N, a
 * script) gets no answer from them; curl and the agents never do that. Under TLS the two can be told apart: who has
 * closed is gone at once, and who only sends no more gets its answer. Plain TCP says the same of both, and so does the
 * Unix socket of a relay in front of it: patience has a limit there. A further request may hide the end. */
static void look(void *arg)
{
    struct exchange *exchange = arg;
    uint64_t now = clock_mono_ms(), bytes = conn_bytes_out(exchange->conn);
    bool eof = conn_eof(exchange->conn);
    if (exchange->state != EXCHANGE_FLOW || !exchange->request_done)
        return;
    if (!eof || bytes != exchange->bytes_seen || exchange->half_closed_at == 0) {
        exchange->bytes_seen = bytes;
        exchange->half_closed_at = now;
    }
    bool silent = now - exchange->half_closed_at >= limit_of(exchange, LIMIT_HALF_CLOSED_MS);
    if (conn_gone(exchange->conn) || (silent && !conn_stream(exchange->conn)))
        exchange_close(exchange, "the client has gone");
    else if (eof || conn_peek(exchange->conn).len > 0)
        timer_start(&exchange->look, LOOK_MS);
}

/* The client sends no more (it may still read): what it began and did not finish never will be. */
static void check_end(struct exchange *exchange)
{
    bool more = conn_peek(exchange->conn).len > 0, eof = conn_eof(exchange->conn);
    if (exchange->state == EXCHANGE_FLOW && exchange->request_done && (eof || more) && !timer_running(&exchange->look))
        look(exchange);
    if (exchange->state == EXCHANGE_OVER || !eof || more)
        return;
    if (exchange->state == EXCHANGE_HEAD)
        exchange_finish(exchange);
    else if (!exchange->request_done)
        exchange_close(exchange, "the client closed in the middle of its request");
}

static void pump(struct exchange *exchange)
{
    if (exchange->pumping)
        return;
    exchange->pumping = true;
    while (exchange->state != EXCHANGE_OVER && pump_once(exchange))
        ;
    exchange->pumping = false;
    if (exchange->state != EXCHANGE_OVER)
        check_end(exchange);
}

static void pump_next(void *arg)
{
    pump(arg);
}

/* ---- the answer ---- */

static bool write_head(struct exchange *exchange, struct msg *msg)
{
    struct buf out CLEANUP(buf_clear);
    struct err err;
    buf_init(&out, HEAD_ROOM_BYTES);
    return http1_write_response(msg, &out, &err) && conn_write(exchange->conn, out.data, out.len);
}

static void on_answer_head(void *arg, struct msg *msg)
{
    struct exchange *exchange = arg;
    bool old = exchange->request.minor == 0;
    if (msg->status < 200 && msg->status != 101) {
        if (!old && !write_head(exchange, msg))
            exchange_close(exchange, "the client does not read");
        return;
    }
    if (msg->framing == MSG_UNTIL_CLOSE && !old)
        msg->framing = MSG_CHUNKED;
    if (msg->framing == MSG_CHUNKED && old)
        msg->framing = MSG_UNTIL_CLOSE;
    exchange->chunked = msg->framing == MSG_CHUNKED;
    /* An answer that comes before the request's end: the rest of the body would be read as a request. */
    if (msg->framing == MSG_UNTIL_CLOSE || !exchange->request_done)
        exchange->keep = false;
    bool upstream_keeps = msg->keep_alive;
    msg->keep_alive = exchange->keep;
    conn_cork(exchange->conn); /* what has come of the body goes in the same packet */
    bool written = write_head(exchange, msg);
    msg->keep_alive = upstream_keeps;
    if (!written)
        exchange_close(exchange, "the answer's head could not be written");
}

static size_t on_room(void *arg)
{
    struct exchange *exchange = arg;
    return http1_data_room(conn_room(exchange->conn));
}

static void on_answer_body(void *arg, struct span data)
{
    struct exchange *exchange = arg;
    bool written = true;
    conn_cork(exchange->conn);
    if (exchange->chunked) {
        char head[HTTP1_CHUNK_HEAD_BYTES];
        written = conn_write(exchange->conn, head, http1_chunk_head(data.len, head));
    }
    written = written && conn_write(exchange->conn, data.p, data.len) &&
              (!exchange->chunked || conn_write(exchange->conn, "\r\n", 2));
    conn_uncork(exchange->conn);
    (void)written; /* not written: the connection has failed, and its event follows */
}

static void on_pause(void *arg)
{
    struct exchange *exchange = arg;
    conn_uncork(exchange->conn);
}

static void on_answer_end(void *arg, const struct msg *msg)
{
    struct exchange *exchange = arg;
    exchange->flow = NULL;
    if (exchange->chunked) {
        struct buf last CLEANUP(buf_clear);
        struct err err;
        buf_init(&last, HTTP1_LAST_CHUNK_BYTES);
        exchange->chunked = false;
        if (!http1_write_last_chunk(msg, &last, &err) || !conn_write(exchange->conn, last.data, last.len))
            exchange->keep = false;
    }
    conn_uncork(exchange->conn);
    answer_over(exchange);
}

static void on_refused(void *arg, const struct denial *denial, bool head_sent)
{
    struct exchange *exchange = arg;
    exchange->flow = NULL;
    if (head_sent)
        exchange_close(exchange, denial->message); /* cut: the client sees that it is incomplete */
    else
        answer_denial(exchange, denial);
}

static void on_more(void *arg)
{
    struct exchange *exchange = arg;
    task_post(&exchange->next);
}

static void on_upgraded(void *arg, struct conn *upstream)
{
    struct exchange *exchange = arg;
    struct plane *plane = exchange->plane;
    struct conn *conn = exchange->conn;
    exchange->flow = NULL;
    conn_uncork(conn);
    exchange_free(exchange);
    relay_start(plane, conn, upstream, NULL, NULL, NULL);
}

static const struct flow_client exchange_client = {
    .head = on_answer_head, .room = on_room, .body = on_answer_body, .pause = on_pause, .end = on_answer_end,
    .refused = on_refused, .more = on_more, .upgraded = on_upgraded,
};

/* ---- the connection ---- */

static void on_conn(struct conn *conn, enum conn_event event, void *arg)
{
    struct exchange *exchange = arg;
    (void)conn;
    switch (event) {
    case CONN_READABLE:
    case CONN_EOF:
        pump(exchange);
        return;
    case CONN_DRAINED:
        if (exchange->flow)
            flow_drained(exchange->flow);
        else
            pump(exchange);
        return;
    case CONN_FAILED:
        exchange_close(exchange, "the client's connection failed");
        return;
    case CONN_TIMED_OUT:
        exchange_close(exchange, "the client was idle");
        return;
    case CONN_CONNECTED:
    case CONN_SECURED:
        return;
    }
}

static struct exchange *exchange_new(struct plane *plane, struct conn *conn)
{
    struct exchange *exchange = mem_alloc(sizeof(*exchange));
    exchange->plane = plane;
    exchange->conn = conn;
    exchange->parser = http1_new();
    exchange->arena = arena_new(2 * MSG_ARENA_BYTES);
    task_init(&exchange->next, plane->loop, pump_next, exchange);
    timer_init(&exchange->look, plane->loop, look, exchange);
    conn_set_handler(conn, on_conn, exchange);
    conn_limits(conn, 0, 4 * CONN_OUT_BYTES); /* a whole head fits */
    begin_request(exchange);
    return exchange;
}

void exchange_start(struct plane *plane, struct conn *conn, const struct origin *origin,
                    bool captured, bool proven)
{
    struct exchange *exchange = exchange_new(plane, conn);
    exchange->captured = captured;
    exchange->proven = proven;
    exchange->is_origin = origin != NULL;
    if (origin)
        exchange->origin = *origin;
}

void exchange_refuse(struct plane *plane, struct conn *conn, const struct denial *denial)
{
    struct exchange *exchange = exchange_new(plane, conn);
    exchange->is_origin = true;
    exchange->denial_copy = *denial;
    exchange->denial = &exchange->denial_copy;
}
