/* Fields by which some services take another method, or another path, than those of the request line (C08). They may,
 * if each that is asked for is allowed too, with the same credential. It changes no field. */
#include "core/plane/flow_private.h"

#include <string.h>

static const char *const method_fields[] = {"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"};
static const char *const path_fields[] = {"X-Original-URL", "X-Rewrite-URL"};

static bool is_one_of(struct span name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (msg_name_alike(name, names[i]))
            return true;
    return false;
}

/* method: of a field; empty: the request's own. */
static void consider(struct flow *flow, const struct match_query *query, bool own_path, struct span method)
{
    struct decision other;
    snapshot_decide(flow->epoch->snapshot, query, &other);
    if (other.action == POLICY_ALLOW && other.binding != flow->decision.binding) {
        other.action = POLICY_DENY;
        other.reason = own_path ? "the method that a field asks for goes with another credential"
                                : "the path that a field asks for goes with another credential";
    }
    bool two = flow->decision.action == POLICY_APPROVE && strcmp(other.rule, flow->decision.rule) != 0;
    if (other.action == POLICY_APPROVE && (!own_path || two)) { /* a yes may be for all that one rule asks about */
        other.action = POLICY_DENY;
        other.reason = own_path ? "the method that a field asks for needs an approval of its own"
                                : "the path that a field asks for needs an approval of its own";
    }
    if (other.action <= flow->decision.action)
        return;
    flow->decision = other;
    size_t len = method.len < sizeof(flow->override) ? method.len : sizeof(flow->override) - 1;
    memcpy(flow->override, method.len ? method.p : "", len);
    flow->override[len] = '\0';
}

static void consider_methods(struct flow *flow, struct match_query query, bool own_path)
{
    const struct msg_fields *fields = &flow->request->fields;
    if (!own_path)
        consider(flow, &query, own_path, SPAN(""));
    for (size_t i = 0; i < fields->count; i++) {
        char method[FLOW_ASKED_METHOD_BYTES];
        struct span value = fields->items[i].value;
        if (!is_one_of(fields->items[i].name, method_fields, COUNT(method_fields)))
            continue;
        size_t len = value.len < sizeof(method) ? value.len : sizeof(method);
        for (size_t c = 0; c < len; c++) /* most take it in any case; ours are upper case */
            method[c] = value.p[c] >= 'a' && value.p[c] <= 'z' ? (char)(value.p[c] - 32) : value.p[c];
        query.method = (struct span){method, len};
        consider(flow, &query, own_path, query.method);
    }
}

void flow_decide_overrides(struct flow *flow, const struct match_query *query)
{
    const struct msg_fields *fields = &flow->request->fields;
    consider_methods(flow, *query, true);
    for (size_t i = 0; i < fields->count; i++) {
        struct match_query other = *query;
        struct target target;
        struct err err;
        if (!is_one_of(fields->items[i].name, path_fields, COUNT(path_fields)))
            continue;
        /* What is no path as ours are, is one that no rule about paths can be asked of. */
        bool good = target_parse_origin(fields->items[i].value, flow->request->arena, &target, &err);
        other.path = good ? span_of(target.path) : SPAN("/");
        other.ambiguous = !good || target.ambiguous;
        consider_methods(flow, other, false);
    }
}
