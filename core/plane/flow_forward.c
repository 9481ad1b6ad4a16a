/* Streaming, whatever carries it: the request's bytes to the upstream, the answer back, with back-pressure in both
 * directions and nothing held whole. It decides nothing about the request. */
#include "core/plane/flow_private.h"

uint64_t flow_limit(const struct flow *flow, enum limit limit)
{
    return flow->epoch->snapshot->rules->config->limits[limit];
}

bool flow_head_fits(const struct flow *flow, const struct msg *head, struct err *err)
{
    uint64_t bytes = flow_limit(flow, LIMIT_HEAD_BYTES), fields = flow_limit(flow, LIMIT_HEAD_FIELDS);
    if (head->fields.count > fields)
        return err_set(err, ERR_LIMIT, "a head of %zu fields, and limits.head_fields allows %llu", head->fields.count,
                       (unsigned long long)fields);
    size_t len = head->bytes + head->method.len + head->target.len + head->reason.len;
    return len <= bytes || err_set(err, ERR_LIMIT, "a head of %zu bytes, and limits.head_bytes allows %llu", len,
                                   (unsigned long long)bytes);
}

/* ---- the request ---- */

/* What a scan holds back needs room of its own, and a frame of its own at the end. */
enum { SCAN_SLACK_BYTES = 64 };

static size_t room_beside(size_t room, const struct needle_scan *scan)
{
    size_t taken = scan->needles ? needle_scan_held(scan) + SCAN_SLACK_BYTES : 0;
    return room > taken ? room - taken : 0;
}

size_t flow_room(const struct flow *flow)
{
    if (flow->state == FLOW_COLLECTING)
        return flow_approve_room(flow);
    if (flow->state != FLOW_FORWARDING || flow->body_done || flow->leaking || flow->held.len > 0 || !flow_resent(flow))
        return 0;
    return room_beside(flow->carrier->room(flow), &flow->outbound);
}

static void watch_held(struct flow *flow, const struct needle_scan *scan)
{
    if (needle_scan_can_show(scan) && !timer_running(&flow->show))
        timer_start(&flow->show, FLOW_SHOW_MS);
}

static void send_body(struct flow *flow, struct span data)
{
    /* Not written: the upstream has failed, and its event follows. */
    if (data.len == 0 || !flow->carrier->body(flow, data))
        return;
    flow->sent_bytes += data.len;
    flow_keep(flow, data);
}

static void refuse_leak(void *arg)
{
    struct flow *flow = arg;
    if (flow->state != FLOW_FORWARDING)
        return;
    if (flow->form && flow->form->found)
        flow_form_refuse(flow);
    else
        flow_refuse_leak(flow, flow->leak_tag, flow->leak_place);
}

/* C02, C08: nothing of it is sent, and the request is never completed. */
static void stop_leak(struct flow *flow)
{
    flow->leaking = true;
    task_init(&flow->task, flow->plane->loop, refuse_leak, flow);
    task_post(&flow->task); /* not from within: the client is in the middle of giving us its body */
}

static bool body_leaks(struct flow *flow)
{
    if (!flow->outbound.needles || flow->outbound.found == 0)
        return false;
    memcpy(flow->leak_place, "body", sizeof("body"));
    flow->leak_tag = flow->outbound.tag;
    stop_leak(flow);
    return true;
}

static bool form_asks(struct flow *flow, struct span data, bool end)
{
    if (!flow_form_asks(flow, data, end))
        return false;
    stop_leak(flow);
    return true;
}

static bool trailers_leak(struct flow *flow)
{
    if (!flow->outbound.needles ||
        !guard_leak_trailers(flow->outbound.needles, flow->request, flow->leak_place, &flow->leak_tag))
        return false;
    stop_leak(flow);
    return true;
}

static void forward_body(struct flow *flow, struct span data)
{
    if (form_asks(flow, data, false))
        return;
    if (flow->outbound.needles)
        needle_scan_next(&flow->outbound, data, &data);
    if (body_leaks(flow))
        return;
    send_body(flow, data);
    watch_held(flow, &flow->outbound);
}

void flow_body(struct flow *flow, struct span data)
{
    if (flow->state == FLOW_COLLECTING)
        flow_approve_body(flow, data);
    else if (data.len > 0 && !flow->leaking)
        forward_body(flow, data);
}

static void end_body(struct flow *flow)
{
    struct span rest = {NULL, 0};
    if (flow->leaking)
        return;
    if (flow->outbound.needles)
        needle_scan_end(&flow->outbound, &rest);
    if (form_asks(flow, SPAN(""), true) || body_leaks(flow) || trailers_leak(flow))
        return;
    send_body(flow, rest);
    flow->carrier->body_end(flow);
}

void flow_body_end(struct flow *flow)
{
    flow->body_done = true;
    if (flow->state == FLOW_COLLECTING)
        flow_approve_end(flow);
    else if (flow->state == FLOW_FORWARDING && flow_resent(flow))
        end_body(flow);
}

/* What a person has seen goes on. */
static void forward_held(struct flow *flow)
{
    while (flow->held_sent < flow->held.len) {
        size_t room = room_beside(flow->carrier->room(flow), &flow->outbound), left = flow->held.len - flow->held_sent;
        struct span part = {(const char *)flow->held.data + flow->held_sent, left < room ? left : room};
        if (part.len == 0)
            return;
        flow->held_sent += part.len;
        flow->body_done = flow->held_sent == flow->held.len;
        forward_body(flow, part);
        if (flow->state != FLOW_FORWARDING || flow->leaking)
            return;
    }
    end_body(flow);
}

void flow_more(struct flow *flow)
{
    bool again = !flow_resent(flow);
    if (again && !flow_resend(flow))
        return;
    if (flow->body_done) {
        if (again)
            end_body(flow);
        return;
    }
    if (flow->held.len > 0)
        forward_held(flow);
    else
        flow->client->more(flow->arg);
}

void flow_forward(struct flow *flow)
{
    struct err err;
    if (flow->trunk && !trunk_usable(flow->trunk)) { /* it ended, or filled, while the credential was asked for */
        err_set(&err, ERR_UPSTREAM, "the upstream's HTTP/2 connection takes no more requests");
        flow->untouched = true;
        flow_broken(flow, &err);
        return;
    }
    if (!flow->arena)
        flow->arena = arena_new(MSG_ARENA_BYTES);
    msg_init(&flow->answer, flow->arena);
    if (!flow->carrier->begin(flow, &err)) {
        flow_refuse(flow, &err, err.code == ERR_LIMIT ? 431 : 400, NULL, NULL);
        return;
    }
    flow_set_state(flow, FLOW_FORWARDING);
    flow->resent = 0;
    if (!flow->body_done || !flow_resent(flow))
        flow_more(flow);
    else
        end_body(flow); /* an empty body, whose end came ahead of the upstream */
}

/* ---- the answer ---- */

/* That an answer is a denial of ours is not for an upstream to say, behind it neither. */
static void strip_trailers(struct msg_fields *fields)
{
    size_t kept = 0;
    for (size_t i = 0; i < fields->count; i++)
        if (!span_eqis(fields->items[i].name, "X-Aileron-Denied"))
            fields->items[kept++] = fields->items[i];
    fields->count = kept;
}

static bool speaks_for_us(struct span reason)
{
    const struct span mark = SPAN("aileron:");
    for (size_t i = 0; i + mark.len <= reason.len; i++)
        if (span_eqi((struct span){reason.p + i, mark.len}, mark))
            return true;
    return false;
}

void flow_finish(struct flow *flow)
{
    const struct flow_client *client = flow->client;
    void *arg = flow->arg;
    struct span rest = {NULL, 0};
    if (flow->inbound.needles)
        needle_scan_end(&flow->inbound, &rest);
    if (rest.len > 0)
        client->body(arg, rest);
    if (flow->state != FLOW_FORWARDING)
        return;
    if (flow->secrets)
        flow->reflected += guard_mask(secrets_needles(flow->secrets), &flow->answer, flow->arena);
    strip_trailers(&flow->answer.trailers);
    struct arena *arena = flow->arena;
    struct msg answer = flow->answer; /* its trailers live in the arena, which outlives the call */
    flow->arena = NULL;
    flow_release(flow, (int)answer.status, NULL);
    client->end(arg, &answer);
    arena_free(arena);
}

bool flow_take_head(struct flow *flow)
{
    struct msg *answer = &flow->answer;
    struct err err;
    if (!flow_head_fits(flow, answer, &err)) {
        flow_broken(flow, &err);
        return false;
    }
    flow->head_given = answer->status >= 200 || answer->status == 101;
    if (flow->websocket && answer->status / 100 == 2) { /* to a client over HTTP/2 that would mean yes */
        flow->head_given = false;
        err_set(&err, ERR_UPSTREAM, "%s did not switch to WebSocket, and answered %u", flow->target->host.name,
                answer->status);
        flow_refuse(flow, &err, 502, NULL, NULL);
        return false;
    }
    msg_strip_hop_by_hop(answer);
    msg_remove(answer, "X-Aileron-Denied");
    if (speaks_for_us(answer->reason))
        answer->reason = (struct span){NULL, 0};
    if (flow->secrets)
        flow->reflected += guard_mask(secrets_needles(flow->secrets), answer, flow->arena);
    /* What comes from here is not looked through: it is framed, and what was held back of a frame would stop it. */
    if (answer->status == 101)
        needle_scan_clear(&flow->inbound);
    flow->client->head(flow->arg, answer);
    return flow->state == FLOW_FORWARDING;
}

size_t flow_answer_room(const struct flow *flow)
{
    return room_beside(flow->client->room(flow->arg), &flow->inbound);
}

void flow_take_body(struct flow *flow, struct span data)
{
    flow->received_bytes += data.len;
    if (flow->inbound.needles)
        needle_scan_next(&flow->inbound, data, &data);
    if (data.len > 0)
        flow->client->body(flow->arg, data);
    watch_held(flow, &flow->inbound);
}

/* A scan's slack leaves room for these, unless the client has stalled: then they wait for it. */
void flow_show(void *arg)
{
    struct flow *flow = arg;
    struct span data;
    if (flow->state != FLOW_FORWARDING || flow->leaking)
        return;
    if (needle_scan_can_show(&flow->outbound) && flow_resent(flow) &&
        flow->carrier->room(flow) >= NEEDLE_SHOWN_MAX) {
        needle_scan_show(&flow->outbound, &data);
        send_body(flow, data);
    }
    if (needle_scan_can_show(&flow->inbound) && flow->client->room(flow->arg) >= NEEDLE_SHOWN_MAX) {
        needle_scan_show(&flow->inbound, &data);
        flow->client->body(flow->arg, data);
    }
    if (flow->state != FLOW_FORWARDING)
        return;
    watch_held(flow, &flow->outbound);
    watch_held(flow, &flow->inbound);
}

void flow_broken(struct flow *flow, struct err *err)
{
    err->code = err->code == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_UPSTREAM;
    err_wrap(err, "%s", flow->target->host.name);
    flow_lost(flow, err);
}

void flow_drained(struct flow *flow)
{
    if (flow->state == FLOW_FORWARDING)
        flow->carrier->drained(flow);
}
