/* Streaming: the request's head and body to the upstream, the answer back, with back-pressure in both
 * directions and nothing held whole. It decides nothing about the request. */
#include "core/plane/flow_private.h"

#include <stdio.h>
#include <string.h>

static void on_upstream(struct conn *conn, enum conn_event event, void *arg);

/* ---- the request ---- */

static bool write_buf(struct flow *flow, struct buf *buf)
{
    bool written = conn_write(flow->upstream, buf->data, buf->len);
    if (written)
        flow->sent_bytes += buf->len;
    return written;
}

static uint64_t limit_of(const struct flow *flow, enum limit limit)
{
    return flow->epoch->snapshot->rules->config->limits[limit];
}

static bool write_head(struct flow *flow, struct err *err)
{
    struct buf origin CLEANUP(buf_clear), head CLEANUP(buf_wipe);
    buf_init(&origin, 2 * TARGET_PATH_BYTES + 8);
    buf_init(&head, MSG_HEAD_BYTES + 2 * TARGET_PATH_BYTES + 1024);
    if (!target_write_origin(flow->target, &origin))
        return err_set(err, ERR_LIMIT, "the request's path and query are too long");
    flow->request->keep_alive = true;
    struct span target = {(const char *)origin.data, origin.len};
    if (!http1_write_request(flow->request, target, &head, err))
        return false;
    if (!write_buf(flow, &head))
        return err_set(err, ERR_LIMIT, "the request's head is larger than %zu bytes",
                       conn_room(flow->upstream));
    return true;
}

void flow_forward(struct flow *flow)
{
    struct err err;
    conn_set_handler(flow->upstream, on_upstream, flow);
    conn_limits(flow->upstream, 0, 4 * CONN_OUT_BYTES); /* a whole head fits */
    if (!write_head(flow, &err)) {
        flow_refuse(flow, &err, err.code == ERR_LIMIT ? 431 : 400, NULL, NULL);
        return;
    }
    flow_set_state(flow, FLOW_FORWARDING);
    if (!flow->parser)
        flow->parser = http1_new();
    if (!flow->arena)
        flow->arena = arena_new(MSG_ARENA_BYTES);
    msg_init(&flow->answer, flow->arena);
    enum http1_answer to = span_eqs(flow->request->method, "HEAD") ? HTTP1_TO_HEAD : HTTP1_TO_OTHER;
    http1_begin_response(flow->parser, &flow->answer, to, flow->request->upgrade);
    conn_deadline(flow->upstream, limit_of(flow, LIMIT_FIRST_BYTE_MS));
    if (!flow->body_done)
        flow->client->more(flow->arg);
}

size_t flow_room(const struct flow *flow)
{
    if (flow->state != FLOW_FORWARDING || flow->body_done)
        return 0;
    return http1_data_room(conn_room(flow->upstream));
}

void flow_body(struct flow *flow, struct span data)
{
    if (data.len == 0)
        return;
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
    /* Not written: the connection has failed, and its event follows. */
    flow->body_begun = true;
    if (written)
        flow->sent_bytes += data.len;
}

void flow_body_end(struct flow *flow)
{
    flow->body_done = true;
    if (flow->request->framing != MSG_CHUNKED)
        return;
    struct buf last CLEANUP(buf_clear);
    struct err err;
    buf_init(&last, HTTP1_LAST_CHUNK_BYTES);
    flow->body_begun = true;
    if (!http1_write_last_chunk(flow->request, &last, &err) || !write_buf(flow, &last))
        conn_shutdown(flow->upstream);
}

/* ---- the answer ---- */

static void finish(struct flow *flow)
{
    const struct flow_client *client = flow->client;
    void *arg = flow->arg;
    unsigned status = flow->answer.status;
    struct conn *conn = flow->upstream;
    flow->upstream = NULL;
    conn_deadline(conn, 0);
    dial_remember(flow->plane, &flow->target->host, flow->target->port, conn);
    /* An answer before the request's end leaves the connection in a state that no other request may see. */
    if (flow->answer.keep_alive && flow->body_done && !flow->answer.upgrade)
        dial_keep(flow->plane, flow->epoch, &flow->target->host, flow->target->port,
                  flow->target->scheme == TARGET_HTTPS, conn);
    else
        conn_close(conn);
    struct arena *arena = flow->arena;
    struct msg answer = flow->answer; /* its trailers live in the arena, which outlives the call */
    flow->arena = NULL;
    flow_release(flow, (int)status, NULL);
    client->end(arg, &answer);
    arena_free(arena);
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

/* Returns false where the flow is over. */
static bool take_head(struct flow *flow)
{
    struct msg *answer = &flow->answer;
    if (answer->status >= 200 || answer->status == 101) {
        flow->head_given = true;
        conn_deadline(flow->upstream, limit_of(flow, LIMIT_IDLE_MS));
    }
    msg_strip_hop_by_hop(answer);
    flow->client->head(flow->arg, answer);
    return flow->state == FLOW_FORWARDING;
}

static void broken(struct flow *flow, struct err *err)
{
    err->code = err->code == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_UPSTREAM;
    err_wrap(err, "%s", flow->target->host.name);
    flow_lost(flow, err);
}

/* One step of the parser on what has come, at most as much as the client takes. False: stop. */
static bool pump_once(struct flow *flow)
{
    struct err err;
    struct span input = conn_peek(flow->upstream), body = {NULL, 0};
    size_t room = flow->client->room(flow->arg), before;
    if (flow->head_given && input.len > room)
        input.len = room;
    before = input.len; /* 0 too: the end of an answer is told after its last byte */
    flow->answered = flow->answered || before > 0;
    enum http1_event event = http1_next(flow->parser, &input, &body, &err);
    size_t used = before - input.len;
    if (event == HTTP1_BODY) {
        flow->received_bytes += body.len;
        flow->client->body(flow->arg, body);
    }
    if (flow->state != FLOW_FORWARDING)
        return false;
    if (event == HTTP1_ERROR) {
        broken(flow, &err);
        return false;
    }
    conn_consume(flow->upstream, used);
    if (event == HTTP1_HEAD)
        return take_head(flow);
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
    broken(flow, &err);
}

void flow_drained(struct flow *flow)
{
    if (flow->state != FLOW_FORWARDING)
        return;
    if (conn_eof(flow->upstream))
        on_eof(flow);
    else
        pump(flow);
}

static void on_upstream(struct conn *conn, enum conn_event event, void *arg)
{
    struct flow *flow = arg;
    struct err err;
    switch (event) {
    case CONN_READABLE:
        pump(flow);
        return;
    case CONN_DRAINED:
        if (!flow->body_done)
            flow->client->more(flow->arg);
        return;
    case CONN_EOF:
        on_eof(flow);
        return;
    case CONN_FAILED:
        err = *conn_error(conn);
        pump(flow); /* an early answer may stand in the buffer */
        if (flow->state == FLOW_FORWARDING)
            broken(flow, &err);
        return;
    case CONN_TIMED_OUT:
        err_set(&err, ERR_TIMEOUT, flow->head_given ? "the upstream stopped in the middle of its answer"
                                                    : "the upstream did not answer in time");
        broken(flow, &err);
        return;
    case CONN_CONNECTED:
    case CONN_SECURED:
        return;
    }
}
