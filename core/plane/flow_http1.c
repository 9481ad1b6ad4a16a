/* A flow over HTTP/1.1: the upstream's connection is the flow's alone until the answer is complete, then it is kept
 * for the next one, or becomes the client's after an upgrade. */
#include "core/plane/flow_private.h"

static void on_upstream(struct conn *conn, enum conn_event event, void *arg);

/* ---- the request ---- */

static bool write_buf(struct flow *flow, struct buf *buf)
{
    bool written = conn_write(flow->upstream, buf->data, buf->len);
    if (written)
        flow->sent_bytes += buf->len;
    return written;
}

static bool write_head(struct flow *flow, struct err *err)
{
    struct buf origin CLEANUP(buf_clear), head CLEANUP(buf_wipe);
    buf_init(&origin, 2 * TARGET_PATH_BYTES + 8);
    buf_init(&head, MSG_HEAD_BYTES + 2 * TARGET_PATH_BYTES + 1024);
    if (!target_write_origin(flow->target, &origin))
        return err_set(err, ERR_LIMIT, "the request's path and query are too long");
    flow->request->keep_alive = true;
    if (flow->websocket && !websocket_ask(flow->request, flow->accept, err))
        return false;
    struct span target = {(const char *)origin.data, origin.len};
    if (!http1_write_request(flow->request, target, &head, err))
        return false;
    if (!write_buf(flow, &head))
        return err_set(err, ERR_LIMIT, "the request's head is larger than %zu bytes",
                       conn_room(flow->upstream));
    return true;
}

static bool begin(struct flow *flow, struct err *err)
{
    conn_set_handler(flow->upstream, on_upstream, flow);
    conn_limits(flow->upstream, 0, 4 * CONN_OUT_BYTES); /* a whole head fits */
    if (!write_head(flow, err))
        return false;
    if (!flow->parser)
        flow->parser = http1_new();
    enum http1_answer to = span_eqs(flow->request->method, "HEAD") ? HTTP1_TO_HEAD : HTTP1_TO_OTHER;
    http1_begin_response(flow->parser, &flow->answer, to, flow->request->upgrade);
    conn_deadline(flow->upstream, flow_limit(flow, LIMIT_FIRST_BYTE_MS));
    return true;
}

static size_t room(const struct flow *flow)
{
    return http1_data_room(conn_room(flow->upstream));
}

static bool body(struct flow *flow, struct span data)
{
    bool chunked = flow->request->framing == MSG_CHUNKED, written = true;
    conn_cork(flow->upstream);
    if (chunked) {
        char head[HTTP1_CHUNK_HEAD_BYTES];
        written = conn_write(flow->upstream, head, http1_chunk_head(data.len, head));
    }
    written = written && conn_write(flow->upstream, data.p, data.len);
    if (chunked)
        written = written && conn_write(flow->upstream, "\r\n", 2);
    conn_uncork(flow->upstream);
    return written;
}

static void body_end(struct flow *flow)
{
    if (flow->request->framing != MSG_CHUNKED)
        return;
    struct buf last CLEANUP(buf_clear);
    struct err err;
    buf_init(&last, HTTP1_LAST_CHUNK_BYTES);
    flow->kept = false;
    if (!http1_write_last_chunk(flow->request, &last, &err) || !write_buf(flow, &last))
        conn_shutdown(flow->upstream);
}

/* ---- the answer ---- */

/* The connection is not this flow's any more, and the timer may be a stream's. */
static void forget_failure(struct flow *flow)
{
    if (flow->failed)
        timer_stop(&flow->timer);
    flow->failed = false;
}

static void finish(struct flow *flow)
{
    struct conn *conn = flow->upstream;
    forget_failure(flow);
    flow->upstream = NULL;
    conn_deadline(conn, 0);
    dial_remember(flow->plane, &flow->target->host, flow->target->port, conn);
    /* An answer before the request's end leaves the connection in a state that no other request may see. */
    if (flow->answer.keep_alive && flow_body_gone(flow) && !flow->answer.upgrade)
        dial_keep(flow->plane, flow->epoch, &flow->target->host, flow->target->port,
                  flow->target->scheme == TARGET_HTTPS, conn);
    else
        conn_close(conn);
    flow_finish(flow);
}

static void upgrade(struct flow *flow)
{
    const struct flow_client *client = flow->client;
    void *arg = flow->arg;
    struct conn *conn = flow->upstream;
    flow->upstream = NULL;
    flow_release(flow, 101, NULL);
    client->upgraded(arg, conn);
}

/* One step of the parser on what has come, at most as much as the client takes. False: stop. */
static bool pump_once(struct flow *flow)
{
    struct err err;
    struct span input = conn_peek(flow->upstream), data = {NULL, 0};
    size_t taken = flow_answer_room(flow), before;
    if (flow->head_given && input.len > taken)
        input.len = taken;
    before = input.len; /* 0 too: the end of an answer is told after its last byte */
    flow->answered = flow->answered || before > 0;
    enum http1_event event = http1_next(flow->parser, &input, &data, &err);
    size_t used = before - input.len;
    if (event == HTTP1_BODY) {
        flow_take_body(flow, data);
    }
    if (flow->state != FLOW_FORWARDING)
        return false;
    if (event == HTTP1_ERROR) {
        flow_broken(flow, &err);
        return false;
    }
    conn_consume(flow->upstream, used);
    if (event == HTTP1_HEAD) {
        if (flow->websocket && flow->answer.status == 101 && !websocket_agreed(&flow->answer, flow->accept, &err)) {
            flow_broken(flow, &err);
            return false;
        }
        if (!flow_take_head(flow))
            return false;
        if (flow->head_given)
            conn_deadline(flow->upstream, flow_limit(flow, LIMIT_IDLE_MS));
        return true;
    }
    if (event == HTTP1_NEED_MORE)
        return false;
    if (event == HTTP1_END) {
        if (flow->answer.status == 101)
            upgrade(flow);
        else
            finish(flow);
        return false;
    }
    return true;
}

static void pump(struct flow *flow)
{
    if (flow->pumping)
        return;
    flow->pumping = true;
    while (flow->state == FLOW_FORWARDING && pump_once(flow))
        ;
    flow->pumping = false;
    if (flow->state == FLOW_FORWARDING && flow->client->pause)
        flow->client->pause(flow->arg);
}

static void on_eof(struct flow *flow)
{
    struct err err;
    pump(flow);
    if (flow->state != FLOW_FORWARDING || conn_peek(flow->upstream).len > 0)
        return; /* over, or the client has no room yet: flow_drained comes back here */
    enum http1_event event = http1_eof(flow->parser, &err);
    if (event == HTTP1_END && !conn_truncated(flow->upstream)) {
        flow->answer.keep_alive = false;
        finish(flow);
        return;
    }
    if (event != HTTP1_ERROR)
        err_set(&err, ERR_UPSTREAM, "the upstream closed the connection before its answer was complete");
    flow_broken(flow, &err);
}

static void on_stalled(void *arg)
{
    struct flow *flow = arg;
    struct err err = *conn_error(flow->upstream);
    flow_broken(flow, &err);
}

/* What had come before it failed is the client's, if it takes it: it may be all of the answer. */
static void on_failed(struct flow *flow)
{
    pump(flow);
    if (flow->state != FLOW_FORWARDING)
        return;
    if (flow->head_given && conn_peek(flow->upstream).len > 0)
        timer_start(&flow->timer, flow_limit(flow, LIMIT_IDLE_MS)); /* a connection that failed has no deadline */
    else
        on_stalled(flow);
}

static void drained(struct flow *flow)
{
    if (flow->failed)
        on_failed(flow);
    else if (conn_eof(flow->upstream))
        on_eof(flow);
    else
        pump(flow);
}

static void on_upstream(struct conn *conn, enum conn_event event, void *arg)
{
    struct flow *flow = arg;
    struct err err;
    (void)conn;
    switch (event) {
    case CONN_READABLE:
        pump(flow);
        return;
    case CONN_DRAINED:
        flow_more(flow);
        return;
    case CONN_EOF:
        on_eof(flow);
        return;
    case CONN_FAILED:
        flow->failed = true;
        timer_init(&flow->timer, flow->plane->loop, on_stalled, flow);
        on_failed(flow);
        return;
    case CONN_TIMED_OUT:
        err_set(&err, ERR_TIMEOUT, flow->head_given ? "the upstream stopped in the middle of its answer"
                                                    : "the upstream did not answer in time");
        flow_broken(flow, &err);
        return;
    case CONN_CONNECTED:
    case CONN_SECURED:
        return;
    }
}

static void drop(struct flow *flow)
{
    forget_failure(flow);
    conn_close(flow->upstream);
    flow->upstream = NULL;
}

const struct flow_carrier flow_http1 = {begin, room, body, body_end, drained, drop};
