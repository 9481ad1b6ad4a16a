/* Streaming, whatever carries it: the request's bytes to the upstream, the answer back, with back-pressure in both
 * directions and nothing held whole. It decides nothing about the request. */
#include "core/plane/flow_private.h"

uint64_t flow_limit(const struct flow *flow, enum limit limit)
{
    return flow->epoch->snapshot->rules->config->limits[limit];
}

/* ---- the request ---- */

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
    if (!flow->body_done)
        flow->client->more(flow->arg);
}

size_t flow_room(const struct flow *flow)
{
    return flow->state != FLOW_FORWARDING || flow->body_done ? 0 : flow->carrier->room(flow);
}

void flow_body(struct flow *flow, struct span data)
{
    if (data.len == 0)
        return;
    flow->body_begun = true;
    /* Not written: the upstream has failed, and its event follows. */
    if (flow->carrier->body(flow, data))
        flow->sent_bytes += data.len;
}

void flow_body_end(struct flow *flow)
{
    flow->body_done = true;
    if (flow->state == FLOW_FORWARDING)
        flow->carrier->body_end(flow);
}

/* ---- the answer ---- */

void flow_finish(struct flow *flow)
{
    const struct flow_client *client = flow->client;
    void *arg = flow->arg;
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
    flow->head_given = answer->status >= 200 || answer->status == 101;
    msg_strip_hop_by_hop(answer);
    flow->client->head(flow->arg, answer);
    return flow->state == FLOW_FORWARDING;
}

void flow_take_body(struct flow *flow, struct span data)
{
    flow->received_bytes += data.len;
    flow->client->body(flow->arg, data);
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
