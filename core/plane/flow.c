/* A request's way until it may be sent: decide, dial, ask for the credential. The streaming is
 * flow_forward.c's. */
#include "core/plane/flow_private.h"
#include "core/base/log.h"
#include "core/plane/scheme.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_words[] = {"deciding", "collecting", "waiting", "dialing",
                                          "asking",   "forwarding", "over"};

void flow_set_state(struct flow *flow, enum flow_state state)
{
    log_debug("flow %s %s -> %s", flow->id.text, state_words[flow->state], state_words[state]);
    flow->state = state;
}

const char *flow_mode(const struct flow *flow)
{
    return flow->target->scheme == TARGET_HTTPS ? "intercept" : "plain";
}

static struct flat_out *event_new(const struct flow *flow, const char *word)
{
    struct flat_out *event = lines_event(&flow->plane->lines, word);
    flat_put(event, "request", flow->id.text);
    flat_put(event, "host", flow->target->host.name);
    flat_put_int(event, "port", flow->target->port);
    flat_put_span(event, "method", flow->request->method);
    flat_put(event, "operation", flow->operation);
    return event;
}

void flow_record_decision(struct flow *flow, const char *decision, const struct err *err)
{
    struct flat_out *event = event_new(flow, "network");
    flat_put(event, "decision", decision);
    flat_put(event, "rule", flow->decision.rule);
    flat_put(event, "reason", flow->decision.reason);
    flat_put(event, "mode", flow_mode(flow));
    flat_put(event, "approval", flow->approval[0] ? flow->approval : NULL);
    flat_put(event, "path", flow->target->path);
    if (flow->decision.binding)
        flat_put(event, "binding", flow->decision.binding->name);
    if (flow->captured)
        flat_put_bool(event, "captured", true);
    if (err) {
        flat_put(event, "code", err_word(err->code));
        flat_put(event, "message", err->message);
    }
    lines_add(&flow->plane->lines, err || strcmp(decision, "allow") != 0 ? LINES_NOW : LINES_KEPT);
}

/* C06: a credential that came back is on the record, and did not reach the sandbox. */
static void record_reflection(struct flow *flow)
{
    struct flat_out *event = event_new(flow, "credential.reflected");
    flat_put(event, "binding", flow->decision.binding->name);
    flat_put(event, "place", flow->inbound.found ? "body" : "head");
    flat_put_int(event, "count", (int64_t)(flow->inbound.found + flow->reflected));
    lines_add(&flow->plane->lines, LINES_NOW);
}

void flow_release(struct flow *flow, int status, const struct err *err)
{
    if (flow->secrets && flow->decision.binding && flow->inbound.found + flow->reflected > 0)
        record_reflection(flow);
    struct flat_out *event = event_new(flow, "network.end");
    flat_put_int(event, "status", status);
    flat_put_int(event, "bytes_out", (int64_t)flow->sent_bytes);
    flat_put_int(event, "bytes_in", (int64_t)flow->received_bytes);
    flat_put_int(event, "duration_ms", (int64_t)(clock_mono_ms() - flow->began_ms));
    if (err) {
        flat_put(event, "code", err_word(err->code));
        flat_put(event, "message", err->message);
    }
    lines_add(&flow->plane->lines, LINES_LATE);
    if (flow->state == FLOW_WAITING && flow->ask)
        ipc_send(flow->plane->ipc, MESSAGE_CANCEL, 0, ask_id(flow->ask), NULL, 0, NULL, 0);
    flow_set_state(flow, FLOW_OVER);
    task_cancel(&flow->task);
    timer_stop(&flow->show);
    timer_stop(&flow->body);
    dial_cancel(flow->dial);
    ask_cancel(flow->ask);
    if (flow->carrier)
        flow->carrier->drop(flow);
    http1_free(flow->parser);
    free(flow->form);
    needle_scan_clear(&flow->outbound);
    needle_scan_clear(&flow->inbound);
    secrets_give(flow->secrets);
    flow->secrets = NULL;
    arena_free(flow->arena);
    buf_wipe(&flow->held);
    buf_wipe(&flow->sent);
    epoch_unref(flow->epoch);
    flow->dial = NULL;
    flow->ask = NULL;
    loop_defer(flow->plane->loop, free, flow);
}

void flow_refuse(struct flow *flow, const struct err *err, int status, const char *rule,
                 const char *reason)
{
    struct denial denial;
    denial_from_err(&denial, err, status);
    denial.id = flow->id;
    if (err->code == ERR_PENDING && flow->approval[0]) /* what can be waited for */
        snprintf(denial.id.text, sizeof(denial.id.text), "%s", flow->approval);
    snprintf(denial.rule, sizeof(denial.rule), "%s", rule ? rule : "");
    snprintf(denial.reason, sizeof(denial.reason), "%s", reason ? reason : "");
    const struct flow_client *client = flow->client;
    void *arg = flow->arg;
    bool head_given = flow->head_given;
    flow_release(flow, denial.status, err);
    client->refused(arg, &denial, head_given);
}

/* ---- the credential ---- */

static struct secrets_use use_of(const struct flow *flow)
{
    return (struct secrets_use){flow->decision.binding->name, flow->target->host.name, flow->target->port};
}

/* Takes the reference. */
static bool inject(struct flow *flow, struct secrets *secrets, const char *username, struct buf *value,
                   struct err *err)
{
    secrets_give(flow->secrets); /* of a try that failed */
    flow->secrets = secrets;
    needle_scan_init(&flow->inbound, secrets_needles(secrets));
    return scheme_apply(flow->decision.binding, username, secrets_text(secrets), flow->request, value, err);
}

static bool inject_given(struct flow *flow, const struct ipc_message *message, struct buf *value, struct err *err)
{
    struct secrets_use use = use_of(flow);
    struct plane_credential given;
    if (!plane_credential(message, &given, err))
        return false;
    struct secrets *secrets = secrets_take(flow->plane, given.secret);
    if (given.grant > 0)
        secrets_lend(secrets, &use, given.username, given.grant);
    return inject(flow, secrets, given.username, value, err);
}

/* What is wrong with an entry is the host's affair: 400 would blame the client, 404 and 409 would read as the
 * upstream's answer. 0: as the code has it. */
static int refusal_status(enum err_code code)
{
    return code == ERR_NOT_FOUND || code == ERR_CONFLICT || code == ERR_DATA ? 403 : 0;
}

static bool on_credential(void *arg, const struct ipc_message *message)
{
    struct flow *flow = arg;
    struct err err;
    struct buf value CLEANUP(buf_wipe) = {0};
    flow->ask = NULL;
    if (inject_given(flow, message, &value, &err)) {
        flow_forward(flow); /* the head is written before value is wiped */
    } else {
        int status = message->type == MESSAGE_REFUSED ? refusal_status(err.code) : err.code == ERR_LIMIT ? 431 : 0;
        flow_refuse(flow, &err, status, flow->decision.rule, NULL);
    }
    return false;
}

static void put_question(const struct flow *flow, struct flat_out *question)
{
    flat_put(question, "binding", flow->decision.binding->name);
    flat_put(question, "host", flow->target->host.name);
    flat_put_int(question, "port", flow->target->port);
    flat_put_span(question, "method", flow->request->method);
    flat_put(question, "path", flow->target->path);
    flat_put(question, "rule", flow->decision.rule);
    flat_put(question, "operation", flow->operation);
    flat_put(question, "request", flow->id.text);
}

static void ask_credential(struct flow *flow)
{
    flow_set_state(flow, FLOW_ASKING);
    flow->ask = plane_ask_later(flow->plane, on_credential, flow);
    struct flat_out *question = lines_ask(&flow->plane->lines);
    flat_put_int(question, "id", ask_id(flow->ask));
    put_question(flow, question);
    lines_add(&flow->plane->lines, LINES_NOW);
}

/* What the monitor would look at. What it refuses, it is asked about, and says why. */
static bool may_use_lent(const struct flow *flow)
{
    struct err err;
    bool ambiguous;
    return !flow->operation && flow->decision.action == POLICY_ALLOW &&
           target_is_canonical(flow->target->host.name, flow->target->path, &ambiguous, &err);
}

/* One that was lent: its line is in the journal before the request is on its way. */
static bool use_lent(struct flow *flow)
{
    struct buf value CLEANUP(buf_wipe) = {0};
    struct secrets_use use = use_of(flow);
    struct err err;
    struct secrets *secrets = may_use_lent(flow) ? secrets_lent(flow->plane, &use) : NULL;
    if (!secrets)
        return false;
    struct flat_out *question = lines_use(&flow->plane->lines);
    flat_put_int(question, "grant", (int64_t)secrets_grant(secrets));
    put_question(flow, question);
    if (!lines_keep(&flow->plane->lines)) {
        secrets_give(secrets);
        return false;
    }
    if (inject(flow, secrets, secrets_username(secrets), &value, &err))
        flow_forward(flow);
    else
        flow_refuse(flow, &err, err.code == ERR_LIMIT ? 431 : 0, flow->decision.rule, NULL);
    return true;
}

/* ---- the upstream ---- */

/* While the credential is asked for, a kept connection may die under us. */
static void on_waiting(struct conn *conn, enum conn_event event, void *arg)
{
    struct flow *flow = arg;
    if (event == CONN_FAILED || event == CONN_EOF || event == CONN_READABLE) {
        struct err err = *conn_error(conn);
        if (event != CONN_FAILED)
            err_set(&err, ERR_UPSTREAM, "the upstream spoke out of turn or closed");
        ask_cancel(flow->ask);
        flow->ask = NULL;
        flow_lost(flow, &err);
    }
}

static void on_dialed(void *arg, const struct dial_result *result)
{
    struct flow *flow = arg;
    const struct err *err = result->err;
    flow->dial = NULL;
    if (err) {
        if (err->code == ERR_DENIED) { /* the rules allowed the name; its address is another matter */
            flow->decision.rule = "network.private";
            flow->decision.reason = NULL;
            flow_record_decision(flow, "deny", err);
        }
        flow_refuse(flow, err, dial_status(err), err->code == ERR_DENIED ? "network.private" : NULL, NULL);
        return;
    }
    flow->reused = result->reused;
    flow->upstream = result->conn;
    flow->trunk = result->trunk;
    flow->carrier = result->trunk ? &flow_http2 : &flow_http1;
    if (flow->upstream)
        conn_set_handler(flow->upstream, on_waiting, flow);
    if (!flow->decision.binding)
        flow_forward(flow);
    else if (!use_lent(flow))
        ask_credential(flow);
}

/* As browsers do: over a connection that is there and takes WebSocket (RFC 8441), else over HTTP/1.1, which every
 * WebSocket service has; what a new connection takes is not known before its SETTINGS are here. */
static bool join_trunk(struct flow *flow)
{
    const struct target *target = flow->target;
    struct dial_result found = {.reused = true};
    if (!flow->websocket || flow->http1_wanted || target->scheme != TARGET_HTTPS)
        return false;
    found.trunk = trunk_find(flow->plane, &target->host, target->port);
    if (found.trunk && http2_can_upgrade(trunk_session(found.trunk))) {
        on_dialed(flow, &found);
        return true;
    }
    trunk_unref(found.trunk);
    return false;
}

void flow_dial(struct flow *flow, bool fresh)
{
    struct dial_request request = {.host = &flow->target->host, .port = flow->target->port,
                                   .tls = flow->target->scheme == TARGET_HTTPS, .fresh = fresh,
                                   .http1 = flow->http1_wanted || flow->request->upgrade};
    flow_set_state(flow, FLOW_DIALING);
    if (fresh || !join_trunk(flow))
        flow->dial = dial_start(flow->plane, flow->epoch, &request, on_dialed, flow);
}

/* ---- the decision ---- */

static void decide(struct flow *flow)
{
    const struct target *target = flow->target;
    struct match_query query = {.host = span_of(target->host.name), .port = target->port,
                                .method = flow->request->method, .path = span_of(target->path),
                                .ambiguous = target->ambiguous};
    snapshot_decide(flow->epoch->snapshot, &query, &flow->decision);
    flow_decide_overrides(flow, &query);
    flow_form_decide(flow, &query);
    if (flow->operation) { /* the monitor has decided and named the credential; a denial still holds */
        flow->decision.binding = flow->binding_name
                                     ? binding_named(flow->epoch->snapshot->rules->bindings, flow->binding_name)
                                     : NULL;
        if (flow->decision.action == POLICY_APPROVE)
            flow->decision.action = POLICY_ALLOW;
    }
}

/* The monitor ends a worker that asks with more than it takes: what is too long for it is refused here. */
static bool askable(const struct flow *flow, struct err *err)
{
    const struct target *target = flow->target;
    bool person = flow->decision.action == POLICY_APPROVE;
    if (!person && !flow->decision.binding)
        return true;
    if (flow->request->method.len > FLOW_ASKED_METHOD_BYTES)
        return err_set(err, ERR_LIMIT, "a method of more than %d bytes cannot be sent %s", FLOW_ASKED_METHOD_BYTES,
                       person ? "with a person's approval" : "with a credential");
    return (strlen(target->path) <= FLOW_ASKED_PATH_BYTES &&
            (!person || !target->query || strlen(target->query) <= FLOW_ASKED_PATH_BYTES)) ||
           err_set(err, ERR_LIMIT, "a path%s of more than %d bytes cannot be sent %s", person ? " or a query" : "",
                   FLOW_ASKED_PATH_BYTES, person ? "with a person's approval" : "with a credential");
}

static bool allowed(struct flow *flow, struct err *err, int *status)
{
    const struct decision *decision = &flow->decision;
    *status = decision->ambiguous ? 400 : 403;
    switch (decision->action) {
    case POLICY_DENY:
        err_set(err, ERR_DENIED, "%.*s https access to %s is denied by policy",
                SPAN_ARG(flow->request->method), flow->target->host.name);
        if (flow->target->scheme == TARGET_HTTP)
            err_set(err, ERR_DENIED, "%.*s access to %s is denied by policy",
                    SPAN_ARG(flow->request->method), flow->target->host.name);
        return err_hint(err, "This is policy, not a network fault: another way to the same host is "
                             "denied too. Ask the user to change policy.yaml");
    case POLICY_APPROVE:
    case POLICY_ALLOW:
        break;
    }
    if (!askable(flow, err)) {
        *status = 414;
        return false;
    }
    bool tls = flow->target->scheme == TARGET_HTTPS;
    const char *bar = decision_bar(decision, tls, flow->request->method);
    if (!bar)
        return true;
    assert(decision->binding);
    *status = tls ? 403 : 502;
    err_set(err, ERR_DENIED, "the credential %s %s", decision->binding->name, bar);
    return tls ? err_hint(err, "Use another method") : err_hint(err, "Use https://%s", flow->target->host.name);
}

/* ---- stand-ins (design 8, threat C02) ---- */

void flow_refuse_leak(struct flow *flow, unsigned tag, const char *place)
{
    const struct snapshot *snapshot = flow->epoch->snapshot;
    const char *binding = snapshot->sentinels[tag].binding;
    struct flat_out *event = event_new(flow, "sentinel");
    struct err err;
    flat_put(event, "decision", "deny");
    flat_put(event, "binding", binding);
    flat_put(event, "path", flow->target->path);
    flat_put(event, "place", place);
    lines_add(&flow->plane->lines, LINES_NOW);
    err_set(&err, ERR_DENIED, "the stand-in for %s does not belong in this request (%s)", binding, place);
    err_hint(&err, "It is exchanged for the credential at its own hosts alone, in its own field. Send it nowhere else");
    flow_refuse(flow, &err, 403, "sentinel", NULL);
}

/* False: the flow is over. */
static bool guarded(struct flow *flow)
{
    const struct snapshot *snapshot = flow->epoch->snapshot;
    const struct binding *own = flow->operation ? NULL : flow->decision.binding;
    char place[GUARD_PLACE_BYTES];
    unsigned tag;
    if (own && own->env && guard_slot(snapshot, own, flow->request) == GUARD_OTHER) {
        /* A token of the agent's own, where the stand-in could have been: it is passed on as it is. */
        struct flat_out *event = event_new(flow, "credential.own");
        flat_put(event, "binding", own->name);
        flat_put(event, "field", own->header);
        lines_add(&flow->plane->lines, LINES_NOW);
        flow->decision.binding = own = NULL;
    }
    if (guard_leak(flow->epoch->sentinels, flow->target, flow->request, own, place, &tag)) {
        flow_refuse_leak(flow, tag, place);
        return false;
    }
    if (flow->request->framing != MSG_NONE)
        needle_scan_init(&flow->outbound, flow->epoch->sentinels);
    return true;
}

static void begin(void *arg)
{
    struct flow *flow = arg;
    struct err err;
    int status;
    char authority[TARGET_AUTHORITY_BYTES];
    if (!flow_head_fits(flow, flow->request, &err)) {
        err_hint(&err, "Send less, or ask the user to raise it in config.yaml");
        flow_record_decision(flow, "deny", &err);
        flow_refuse(flow, &err, 431, NULL, NULL);
        return;
    }
    msg_strip_hop_by_hop(flow->request);
    target_authority(flow->target, authority);
    decide(flow);
    if (!msg_set(flow->request, "Host", span_of(authority), &err)) {
        flow_refuse(flow, &err, 431, NULL, NULL);
        return;
    }
    if (!allowed(flow, &err, &status)) {
        flow_record_decision(flow, "deny", &err);
        flow_refuse(flow, &err, status, flow->decision.rule, flow->decision.reason);
        return;
    }
    if (flow->epoch->sentinels && !guarded(flow))
        return;
    if (flow->decision.action == POLICY_APPROVE) {
        flow_approve(flow);
        return;
    }
    flow_record_decision(flow, "allow", NULL);
    flow_dial(flow, false);
}

struct flow *flow_start(struct plane *plane, const struct flow_request *request,
                        const struct flow_client *client, void *arg)
{
    struct flow *flow = mem_alloc(sizeof(*flow));
    *flow = (struct flow){.plane = plane, .epoch = epoch_ref(request->epoch), .target = request->target,
                          .request = request->msg, .operation = request->operation,
                          .binding_name = request->binding, .captured = request->captured,
                          .client = client, .arg = arg, .id = id_new(""), .began_ms = clock_mono_ms()};
    flow->body_done = request->msg->framing == MSG_NONE;
    flow->kept = true;
    buf_init(&flow->sent, FLOW_KEPT_BYTES);
    flow->websocket = request->websocket;
    timer_init(&flow->show, plane->loop, flow_show, flow);
    timer_init(&flow->body, plane->loop, flow_approve_late, flow);
    task_init(&flow->task, plane->loop, begin, flow);
    task_post(&flow->task);
    return flow;
}

void flow_cancel(struct flow *flow, const char *why)
{
    struct err err;
    err_set(&err, ERR_FAILED, "%s", why);
    flow_release(flow, 0, &err);
}
