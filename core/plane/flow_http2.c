/* A flow over HTTP/2: a stream of a trunk. The trunk's connection belongs to all its streams, so that a flow's
 * deadlines are timers of its own, and letting go of one is a reset of its stream alone. */
#include "core/plane/flow_private.h"

static const char *secret_field(const struct flow *flow)
{
    return flow->decision.binding ? flow->decision.binding->header : NULL;
}

/* The first byte, then every byte, within its limit. */
static uint64_t patience(const struct flow *flow)
{
    return flow_limit(flow, flow->head_given ? LIMIT_IDLE_MS : LIMIT_FIRST_BYTE_MS);
}

static void on_timer(void *arg)
{
    struct flow *flow = arg;
    struct err err;
    uint64_t now = clock_mono_ms(), end = flow->moved_ms + patience(flow);
    if (now < end) {
        timer_start(&flow->timer, end - now);
        return;
    }
    err_set(&err, ERR_TIMEOUT, flow->head_given ? "the upstream stopped in the middle of its answer"
                                                : "the upstream did not answer in time");
    flow_broken(flow, &err);
}

static void moved(struct flow *flow)
{
    flow->moved_ms = clock_mono_ms();
}

/* ---- the request ---- */

static bool begin(struct flow *flow, struct err *err)
{
    struct buf path CLEANUP(buf_clear);
    buf_init(&path, 2 * TARGET_PATH_BYTES + 8);
    if (!target_write_origin(flow->target, &path))
        return err_set(err, ERR_LIMIT, "the request's path and query are too long");
    if (flow->websocket) /* a key belongs to HTTP/1.1 alone (RFC 8441 5) */
        msg_remove(flow->request, "Sec-WebSocket-Key");
    flow->stream = http2_request(trunk_session(flow->trunk), flow->request, target_scheme_word(flow->target->scheme),
                                 (struct span){(const char *)path.data, path.len}, secret_field(flow), flow, err);
    if (!flow->stream)
        return false;
    flow->sent_bytes += flow->request->bytes;
    moved(flow);
    timer_init(&flow->timer, flow->plane->loop, on_timer, flow);
    timer_start(&flow->timer, patience(flow));
    trunk_flush(flow->trunk);
    return true;
}

static size_t room(const struct flow *flow)
{
    return http2_room(flow->stream);
}

static bool body(struct flow *flow, struct span data)
{
    bool written = http2_write(flow->stream, data);
    moved(flow);
    trunk_flush(flow->trunk);
    return written;
}

static void body_end(struct flow *flow)
{
    struct err err;
    if (flow->request->framing == MSG_NONE && !flow->switched)
        return; /* the head said so */
    if (!http2_end(flow->stream, flow->request, &err)) {
        flow_broken(flow, &err);
        return;
    }
    trunk_flush(flow->trunk);
}

/* ---- the answer ---- */

static void drop(struct flow *flow)
{
    if (flow->stream) {
        timer_stop(&flow->timer);
        http2_reset(flow->stream, HTTP2_CANCEL);
        trunk_flush(flow->trunk);
    }
    trunk_unref(flow->trunk);
    flow->stream = NULL;
    flow->trunk = NULL;
}

/* Our side may still be open: an answer that came early. Then the rest of the request is of no use to anybody. */
static void finish(struct flow *flow)
{
    struct http2_stream *stream = flow->stream;
    trunk_remember(flow->trunk);
    if (flow_body_gone(flow)) {
        timer_stop(&flow->timer);
        http2_set_owner(stream, NULL);
        flow->stream = NULL;
    }
    flow_finish(flow);
}

static void pump(struct flow *flow)
{
    struct span data;
    size_t taken;
    if (flow->pumping || !flow->head_given)
        return;
    flow->pumping = true;
    while ((data = http2_peek(flow->stream)).len > 0 && (taken = flow_answer_room(flow)) > 0) {
        data.len = data.len < taken ? data.len : taken;
        flow_take_body(flow, data);
        if (flow->state != FLOW_FORWARDING)
            break;
        http2_consume(flow->stream, data.len);
    }
    flow->pumping = false;
    if (flow->state != FLOW_FORWARDING)
        return;
    trunk_flush(flow->trunk);
    if (http2_ended(flow->stream)) {
        flow->answer.trailers = http2_msg(flow->stream)->trailers;
        finish(flow);
    } else if (flow->client->pause) {
        flow->client->pause(flow->arg);
    }
}

static void on_head(void *arg, struct http2_stream *stream, struct msg *msg, bool ended)
{
    struct flow *flow = http2_owner(stream);
    (void)arg;
    if (!flow)
        return;
    moved(flow);
    flow->answered = true;
    flow->answer = *msg;
    if (msg->status == 101) { /* to an extended CONNECT: the bodies begin */
        flow->switched = true;
        flow->body_done = false;
    }
    if (!flow_take_head(flow))
        return;
    if (flow->head_given) /* another limit from here, which may be the shorter one */
        timer_start(&flow->timer, patience(flow));
    if (flow->switched)
        flow->client->more(flow->arg);
    if (flow->state != FLOW_FORWARDING)
        return;
    if (ended)
        finish(flow);
    else if (flow->client->pause)
        flow->client->pause(flow->arg);
}

static void on_readable(void *arg, struct http2_stream *stream)
{
    struct flow *flow = http2_owner(stream);
    (void)arg;
    if (!flow) {
        http2_consume(stream, http2_peek(stream).len);
        return;
    }
    moved(flow);
    pump(flow);
}

static void on_writable(void *arg, struct http2_stream *stream)
{
    struct flow *flow = http2_owner(stream);
    (void)arg;
    if (flow)
        flow_more(flow);
}

static void on_closed(void *arg, struct http2_stream *stream, uint32_t code)
{
    struct flow *flow = http2_owner(stream);
    struct err err;
    (void)arg;
    if (!flow)
        return;
    timer_stop(&flow->timer);
    flow->stream = NULL;
    /* RFC 9113 8.7: what was refused was not acted on; 9.2: some want HTTP/1.1 for some requests. */
    flow->untouched = code == HTTP2_REFUSED_STREAM || code == HTTP2_HTTP_1_1_REQUIRED;
    flow->http1_wanted = flow->http1_wanted || code == HTTP2_HTTP_1_1_REQUIRED;
    err = *trunk_error(flow->trunk);
    if (err.code == ERR_NONE && http2_fault(stream))
        err = *http2_fault(stream);
    else if (err.code == ERR_NONE)
        err_set(&err, ERR_UPSTREAM, "the upstream reset the request (%s)", http2_code_word(code));
    flow_broken(flow, &err);
}

/* A client's session gets no requests. */
static void on_malformed(void *arg, struct http2_stream *stream, const struct err *err)
{
    (void)arg;
    (void)err;
    http2_reset(stream, HTTP2_PROTOCOL_ERROR);
}

const struct http2_handler flow_http2_events = {on_head, on_malformed, on_readable, on_writable, on_closed};
const struct flow_carrier flow_http2 = {begin, room, body, body_end, pump, drop};
