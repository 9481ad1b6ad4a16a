/* When a request may go a second time, and how its body does: what was sent of it is kept while the upstream may still
 * refuse it without having looked at it. */
#include "core/plane/flow_private.h"

/* RFC 9110 9.2.2: what may be sent a second time where nobody knows whether the first was carried out. Of what a person
 * let go that is what changes nothing (9.2.1): one yes is one change. */
static bool may_go_twice(const struct flow *flow)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};
    const size_t count = flow->approval[0] ? 4 : COUNT(methods);
    for (size_t i = 0; i < count; i++)
        if (span_eqs(flow->request->method, methods[i]))
            return true;
    return false;
}

/* A kept connection that the peer had closed already is not an answer: once more over a new one, where nothing
 * has gone, or what has gone may go twice, and no byte of an answer has come. What the upstream refused without
 * looking at it goes again as if it were new; the last time as the first request of a connection of its own. */
void flow_lost(struct flow *flow, const struct err *err)
{
    bool again = flow->state == FLOW_ASKING || (flow->kept && may_go_twice(flow));
    bool untouched = flow->untouched && flow->kept && flow->refusals++ < FLOW_REFUSALS_MAX;
    if ((untouched || (again && flow->reused && !flow->fresh_tried)) && !flow->answered) {
        flow->carrier->drop(flow);
        flow->carrier = NULL;
        flow->fresh_tried = flow->fresh_tried || !untouched;
        flow->untouched = false;
        flow_dial(flow, !untouched || flow->refusals == FLOW_REFUSALS_MAX);
        return;
    }
    flow_refuse(flow, err, err->code == ERR_TIMEOUT ? 504 : 502, NULL, NULL);
}

/* An upstream that refuses a request gives its body no window: what has gone by then is no more than a window's size
 * and what waits in the stream. Over HTTP/1.1 nothing is refused untouched. */
void flow_keep(struct flow *flow, struct span data)
{
    flow->kept = flow->kept && !flow->answered && flow->carrier == &flow_http2 &&
                 buf_add(&flow->sent, data.p, data.len);
    if (!flow->kept)
        buf_wipe(&flow->sent);
    flow->resent = flow->sent.len;
}

bool flow_resent(const struct flow *flow)
{
    return flow->resent == flow->sent.len;
}

bool flow_body_gone(const struct flow *flow)
{
    return flow->body_done && flow_resent(flow);
}

bool flow_resend(struct flow *flow)
{
    while (!flow_resent(flow)) {
        size_t room = flow->carrier->room(flow), left = flow->sent.len - flow->resent;
        struct span part = {(const char *)flow->sent.data + flow->resent, left < room ? left : room};
        if (part.len == 0 || !flow->carrier->body(flow, part))
            return false; /* what is not written: the upstream has failed, and its event follows */
        flow->resent += part.len;
        flow->sent_bytes += part.len;
    }
    return true;
}
