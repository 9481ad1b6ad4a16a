/* A POST that asks for another method by a field of its query or body, `_method` (C08): many services take it from
 * there. It may, if each method that it could ask for is allowed too, with the same credential; else the field must not
 * be there, and a body in which it comes is not completed. */
#include "core/plane/flow_private.h"

#include <stdlib.h>
#include <string.h>

static const char *const methods[] = {"PUT", "PATCH", "DELETE"};

/* Why a POST may not stand for this; NULL: it may. */
static const char *why_not(const struct flow *flow, const struct decision *other)
{
    if (other->action == POLICY_ALLOW && other->binding != flow->decision.binding)
        return "the method that _method asks for goes with another credential";
    if (other->action <= flow->decision.action && strcmp(other->rule, flow->decision.rule) == 0)
        return NULL; /* a yes may be for all that one rule asks about */
    if (other->action == POLICY_APPROVE && !flow->operation)
        return "the method that _method asks for needs an approval of its own";
    return other->action == POLICY_DENY ? "the method that _method asks for is denied" : NULL;
}

static bool may_not(const struct flow *flow, struct match_query query, struct decision *denied)
{
    for (size_t i = 0; i < COUNT(methods); i++) {
        query.method = span_of(methods[i]);
        snapshot_decide(flow->epoch->snapshot, &query, denied);
        const char *why = why_not(flow, denied);
        if (!why)
            continue;
        denied->action = POLICY_DENY;
        denied->reason = why;
        return true;
    }
    return false;
}

void flow_form_decide(struct flow *flow, const struct match_query *query)
{
    const char *asked = flow->target->query;
    unsigned kinds = flow->request->framing != MSG_NONE ? form_kinds(flow->request) : 0;
    bool in_query = asked && form_in_query(asked);
    struct decision denied;
    if (flow->decision.action == POLICY_DENY || !span_eqs(query->method, "POST") || (!in_query && kinds == 0) ||
        !may_not(flow, *query, &denied))
        return;
    if (in_query) {
        flow->decision = denied;
        return;
    }
    flow->form = mem_alloc(sizeof(*flow->form));
    form_scan_init(flow->form, kinds);
    flow->form_denied = denied;
}

bool flow_form_asks(struct flow *flow, struct span data, bool end)
{
    return flow->form && (form_scan_next(flow->form, data) || (end && form_scan_end(flow->form)));
}

void flow_form_refuse(struct flow *flow)
{
    struct err err;
    err_set(&err, ERR_DENIED, "a POST to %s whose body asks for another method (_method) is denied by policy",
            flow->target->host.name);
    err_hint(&err, "The request was not completed. Send the method itself");
    flow->decision.rule = flow->form_denied.rule;
    flow->decision.reason = flow->form_denied.reason;
    flow_record_decision(flow, "deny", &err);
    flow_refuse(flow, &err, 403, flow->form_denied.rule, flow->form_denied.reason);
}
