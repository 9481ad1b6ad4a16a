/* A client's HTTP/2 connection: bytes between the connection and the session, and for each stream a call, which is
 * what an exchange is to HTTP/1.1. What may be reached is the flow's business. */
#include "core/plane/mux.h"
#include "core/plane/flow.h"
#include "core/plane/frames.h"
#include "core/plane/splice.h"
#include "core/wire/http2.h"

#include <stdlib.h>

enum {
    LINGER_MS = 2000,
    /* After an answer that came ahead of its request's end the client goes on sending, or stops and waits: what it
     * sends is thrown away, and after this time or so many bytes its stream is ended (RFC 9113 8.1). */
    CALL_LINGER_MS = 100,
    CALL_DISCARD_BYTES = 256 * 1024
};

struct mux {
    struct plane *plane;
    struct conn *conn; /* NULL: over */
    struct origin origin;
    bool captured, refused;
    struct denial denial;
    struct http2 *http2;
    struct task flush;
    struct task resume; /* the record takes lines again */
    struct calm calm;
    unsigned running; /* calls that have somebody at the other end */
};

/* One request. It lives as long as its stream. */
struct call {
    struct mux *mux;
    struct http2_stream *stream;
    struct msg *request;
    struct target target;
    struct flow *flow; /* NULL: refused, answered or broken off, or spliced */
    struct splice *splice; /* after an upgrade: with the upstream's connection */
    bool request_done;
    bool switching;    /* it asks for WebSocket, and the upstream has not agreed: no byte behind the head is read yet */
    size_t discarded;
    struct timer linger;
};

static uint64_t limit_of(const struct mux *mux, enum limit limit)
{
    return mux->plane->epoch->snapshot->rules->config->limits[limit];
}

/* ---- the connection ---- */

static void mux_free(void *arg)
{
    struct mux *mux = arg;
    http2_free(mux->http2);
    free(mux);
}

static void mux_end(struct mux *mux, bool linger)
{
    struct conn *conn = mux->conn;
    if (!conn)
        return;
    mux->conn = NULL;
    task_cancel(&mux->flush);
    task_cancel(&mux->resume);
    calm_cancel(&mux->calm);
    if (linger)
        plane_finish(mux->plane, conn, LINGER_MS);
    else
        conn_close(conn);
    http2_abort(mux->http2, HTTP2_CANCEL, true); /* the calls that are left end their flows */
    if (!linger)
        plane_leave(mux->plane);
    loop_defer(mux->plane->loop, mux_free, mux);
}

static void record_error(struct mux *mux, const struct err *err)
{
    struct denial denial;
    denial_from_err(&denial, err, 400);
    denial_record(&denial, mux->plane);
}

static void flush(void *arg)
{
    struct mux *mux = arg;
    if (!mux->conn)
        return;
    if (mux->plane->draining)
        http2_goaway(mux->http2);
    frames_send(mux->http2, mux->conn);
    /* With requests under way the upstreams' deadlines hold; not so for answers that are not read to their end. */
    conn_deadline(mux->conn, mux->running ? 0 : limit_of(mux, LIMIT_IDLE_MS));
    if (!http2_over(mux->http2))
        return;
    if (http2_error(mux->http2))
        record_error(mux, http2_error(mux->http2));
    mux_end(mux, true);
}

static void mux_flush(struct mux *mux)
{
    if (mux->conn)
        task_post(&mux->flush);
}

static void receive(struct mux *mux)
{
    struct span input = conn_peek(mux->conn);
    struct err err;
    if (input.len == 0 || !plane_calm(mux->plane, &mux->calm, &mux->resume))
        return;
    bool good = http2_receive(mux->http2, input, &err);
    if (!mux->conn)
        return;
    conn_consume(mux->conn, input.len);
    if (good)
        mux_flush(mux);
    else
        flush(mux); /* GOAWAY, and the end */
}

static void resume(void *arg)
{
    receive(arg);
}

static void on_conn(struct conn *conn, enum conn_event event, void *arg)
{
    struct mux *mux = arg;
    (void)conn;
    switch (event) {
    case CONN_READABLE:
        receive(mux);
        return;
    case CONN_DRAINED:
        flush(mux);
        return;
    case CONN_EOF:
        receive(mux);
        mux_end(mux, true); /* nobody reads on: an answer needs windows, which would come the other way */
        return;
    case CONN_FAILED:
        mux_end(mux, false);
        return;
    case CONN_TIMED_OUT:
        http2_goaway(mux->http2);
        flush(mux);
        mux_end(mux, true);
        return;
    case CONN_CONNECTED:
    case CONN_SECURED:
        return;
    }
}

/* ---- answers ---- */

/* Its flow has ended by itself. */
static void call_rests(struct call *call)
{
    call->flow = NULL;
    call->mux->running--;
}

static void call_free(struct call *call, const char *why, bool ended)
{
    if (call->flow)
        flow_cancel(call->flow, why);
    if (call->splice)
        splice_free(call->splice, ended);
    if (call->flow || call->splice)
        call->mux->running--;
    timer_stop(&call->linger);
    free(call);
}

/* We end the stream: no event of it comes any more. */
static void call_reset(struct call *call, enum http2_code code)
{
    struct mux *mux = call->mux;
    http2_reset(call->stream, code);
    call_free(call, "the answer could not be passed on", false);
    mux_flush(mux);
}

/* A client that has not read its answer yet keeps it. */
static void on_linger(void *arg)
{
    struct call *call = arg;
    if (http2_sent(call->stream))
        call_reset(call, HTTP2_NO_ERROR);
    else
        timer_start(&call->linger, CALL_LINGER_MS);
}

/* The answer is written. */
static void call_over(struct call *call)
{
    struct span data = http2_peek(call->stream);
    mux_flush(call->mux);
    if (call->discarded <= CALL_DISCARD_BYTES) {
        call->discarded += data.len;
        http2_consume(call->stream, data.len);
    }
    if (call->discarded > CALL_DISCARD_BYTES && http2_sent(call->stream))
        call_reset(call, HTTP2_NO_ERROR);
    else if (!call->request_done && !http2_ended(call->stream) && !timer_running(&call->linger))
        timer_start(&call->linger, CALL_LINGER_MS);
}

static void answer_denial(struct call *call, const struct denial *denial)
{
    struct buf body CLEANUP(buf_clear);
    struct msg msg;
    struct err err;
    struct arena *arena = arena_new(DENIAL_BODY_BYTES);
    buf_init(&body, DENIAL_BODY_BYTES);
    msg_init(&msg, arena);
    bool head_only = call->request && span_eqs(call->request->method, "HEAD");
    enum denial_form form = DENIAL_JSON;
    if (call->request)
        form = denial_form(msg_get(call->request, "accept"), msg_get(call->request, "user-agent"));
    bool done = denial_body(denial, form, &body) && denial_head(denial, form, body.len, &msg, &err);
    if (head_only)
        msg.framing = MSG_NONE;
    done = done && http2_respond(call->stream, &msg, &err) &&
           (head_only || (http2_write(call->stream, (struct span){(char *)body.data, body.len}) &&
                          http2_end(call->stream, NULL, &err)));
    arena_free(arena);
    if (done)
        call_over(call);
    else
        call_reset(call, HTTP2_INTERNAL_ERROR);
}

static void answer_err(struct call *call, const struct err *err, int status)
{
    struct denial denial;
    denial_from_err(&denial, err, status);
    denial_record(&denial, call->mux->plane);
    answer_denial(call, &denial);
}

/* ---- the flow's client ---- */

static void on_answer_head(void *arg, struct msg *msg)
{
    struct call *call = arg;
    struct err err;
    call->switching = call->switching && msg->status != 101;
    if (http2_respond(call->stream, msg, &err))
        mux_flush(call->mux);
    else
        call_reset(call, HTTP2_INTERNAL_ERROR);
}

static size_t on_room(void *arg)
{
    struct call *call = arg;
    return http2_room(call->stream);
}

static void on_answer_body(void *arg, struct span data)
{
    struct call *call = arg;
    bool written = http2_write(call->stream, data);
    (void)written; /* not written: the stream is gone, and `closed` follows */
    mux_flush(call->mux);
}

static void on_answer_end(void *arg, const struct msg *msg)
{
    struct call *call = arg;
    struct err err;
    call_rests(call);
    if (http2_end(call->stream, msg, &err))
        call_over(call);
    else
        call_reset(call, HTTP2_INTERNAL_ERROR);
}

static void on_refused(void *arg, const struct denial *denial, bool head_sent)
{
    struct call *call = arg;
    call_rests(call);
    if (head_sent)
        call_reset(call, HTTP2_INTERNAL_ERROR); /* cut: the client sees that it is incomplete */
    else
        answer_denial(call, denial);
}

/* As much of the request as the flow takes. */
static void pump(struct call *call)
{
    struct span data;
    size_t room;
    if (call->splice) {
        splice_pump(call->splice);
        return;
    }
    if (!call->flow) {
        call_over(call);
        return;
    }
    while ((data = http2_peek(call->stream)).len > 0 && (room = flow_room(call->flow)) > 0) {
        data.len = data.len < room ? data.len : room;
        flow_body(call->flow, data); /* its failure comes as an event, not from within */
        http2_consume(call->stream, data.len);
    }
    mux_flush(call->mux);
    if (!call->request_done && http2_ended(call->stream) && !call->switching) {
        call->request_done = true;
        if (call->request->framing != MSG_NONE || call->request->upgrade)
            flow_body_end(call->flow);
    }
}

static void on_more(void *arg)
{
    pump(arg);
}

static void on_moved(void *arg)
{
    struct call *call = arg;
    mux_flush(call->mux);
}

static void on_broken(void *arg)
{
    call_reset(arg, HTTP2_CANCEL);
}

static void on_upgraded(void *arg, struct conn *upstream)
{
    static const struct splice_client client = {on_moved, on_broken};
    struct call *call = arg;
    call->flow = NULL;
    call->splice = splice_new(call->mux->plane, call->stream, upstream, &client, call);
}

static const struct flow_client call_client = {
    .head = on_answer_head, .room = on_room, .body = on_answer_body, .end = on_answer_end,
    .refused = on_refused, .more = on_more, .upgraded = on_upgraded,
};

/* ---- the session's events ---- */

static struct call *call_new(struct mux *mux, struct http2_stream *stream)
{
    struct call *call = mem_alloc(sizeof(*call));
    *call = (struct call){.mux = mux, .stream = stream};
    timer_init(&call->linger, mux->plane->loop, on_linger, call);
    http2_set_owner(stream, call);
    return call;
}

static void on_head(void *arg, struct http2_stream *stream, struct msg *msg, bool ended)
{
    struct mux *mux = arg;
    struct call *call = call_new(mux, stream);
    struct err err;
    int status = 400;
    call->request = msg;
    call->request_done = ended && !msg->upgrade;
    call->switching = msg->upgrade;
    if (!plane_may_begin(mux->plane, &err)) {
        answer_err(call, &err, 0);
        return;
    }
    if (mux->refused) {
        answer_denial(call, &mux->denial);
        return;
    }
    if (span_eqs(msg->method, "CONNECT")) { /* E08 */
        err_set(&err, ERR_DATA, "there is no CONNECT inside a tunnel");
        answer_err(call, &err, 400);
        return;
    }
    if (!span_eqs(http2_scheme(stream), target_scheme_word(mux->origin.scheme))) {
        err_set(&err, ERR_DATA, "the request's scheme is not the connection's");
        answer_err(call, &err, 400);
        return;
    }
    if (msg->upgrade && !span_eqis(msg_get(msg, "upgrade"), "websocket")) { /* RFC 9220 3 */
        err_set(&err, ERR_DATA, "the only protocol that an extended CONNECT may ask for is websocket");
        answer_err(call, &err, 501);
        return;
    }
    if (!origin_target(&mux->origin, msg, msg->arena, &call->target, &status, &err)) {
        answer_err(call, &err, status);
        return;
    }
    struct flow_request request = {.epoch = mux->plane->epoch, .target = &call->target, .msg = msg,
                                   .captured = mux->captured, .websocket = msg->upgrade};
    call->flow = flow_start(mux->plane, &request, &call_client, call);
    mux->running++;
}

static void on_malformed(void *arg, struct http2_stream *stream, const struct err *err)
{
    answer_err(call_new(arg, stream), err, err->code == ERR_LIMIT ? 431 : 400);
}

static void on_readable(void *arg, struct http2_stream *stream)
{
    (void)arg;
    pump(http2_owner(stream));
}

static void on_writable(void *arg, struct http2_stream *stream)
{
    struct call *call = http2_owner(stream);
    (void)arg;
    if (call->flow)
        flow_drained(call->flow);
    else if (call->splice)
        splice_pump(call->splice);
}

static void on_closed(void *arg, struct http2_stream *stream, uint32_t code)
{
    (void)arg;
    call_free(http2_owner(stream), "the client reset its request", code == HTTP2_NO_ERROR);
}

static const struct http2_handler handler = {on_head, on_malformed, on_readable, on_writable, on_closed};

void mux_start(struct plane *plane, struct conn *conn, const struct origin *origin, bool captured,
               const struct denial *denial)
{
    struct mux *mux = mem_alloc(sizeof(*mux));
    *mux = (struct mux){.plane = plane, .conn = conn, .origin = *origin, .captured = captured};
    if (denial) {
        mux->refused = true;
        mux->denial = *denial;
    }
    mux->http2 = http2_server(&handler, mux);
    task_init(&mux->flush, plane->loop, flush, mux);
    task_init(&mux->resume, plane->loop, resume, mux);
    conn_set_handler(conn, on_conn, mux);
    conn_limits(conn, CONN_OUT_BYTES, 4 * CONN_OUT_BYTES);
    conn_deadline(conn, limit_of(mux, LIMIT_IDLE_MS));
    task_post(&mux->flush);
    receive(mux); /* what came behind the handshake gave its event to another */
}
