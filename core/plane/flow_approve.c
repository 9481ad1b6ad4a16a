/* A request that the rules let a person decide about: its whole body is taken in, so that the person sees what they
 * decide about and nothing else is sent; then the monitor is asked, and the request held until it answers. */
#include "core/plane/flow_private.h"
#include "tls/crypto.h"

#include <stdio.h>
#include <string.h>

enum {
    TYPE_BYTES = 255, /* what the monitor takes of a Content-Type by itself */
    HASH_HEX = 2 * CRYPTO_HASH_LEN + 1
};

size_t flow_approve_room(const struct flow *flow)
{
    return MESSAGE_APPROVAL_BYTES + 1 - flow->held.len; /* one byte more than may come tells that there is more */
}

static void too_large(void *arg)
{
    struct flow *flow = arg;
    struct err err;
    err_set(&err, ERR_LIMIT, "a request that waits for a person's approval has at most %d bytes of body",
            MESSAGE_APPROVAL_BYTES);
    err_hint(&err, "Nothing was sent. Send less at once, or ask the user to allow it in policy.yaml");
    flow_record_decision(flow, "deny", &err);
    flow_refuse(flow, &err, 413, flow->decision.rule, NULL);
}

void flow_approve_late(void *arg)
{
    struct flow *flow = arg;
    struct err err;
    err_set(&err, ERR_TIMEOUT, "nothing more of the request's body came in limits.idle_ms");
    err_hint(&err, "Nothing was sent. Send the whole request again");
    flow_record_decision(flow, "deny", &err);
    flow_refuse(flow, &err, 408, flow->decision.rule, NULL);
}

static void wait_for_body(struct flow *flow)
{
    timer_start(&flow->body, flow_limit(flow, LIMIT_IDLE_MS));
}

void flow_approve_body(struct flow *flow, struct span data)
{
    wait_for_body(flow);
    if (!buf_add(&flow->held, data.p, data.len) || flow->held.len > MESSAGE_APPROVAL_BYTES) {
        task_init(&flow->task, flow->plane->loop, too_large, flow);
        task_post(&flow->task); /* not from within: the client is in the middle of giving us its body */
    }
}

/* ---- the answer ---- */

static void take_id(struct flow *flow, const struct ipc_message *message, const char *key)
{
    struct doc doc CLEANUP(doc_clear) = {0};
    const char *id = "";
    struct err err;
    if (!json_parse(message->data, message->len, IPC_PAYLOAD_MAX, "monitor", ERR_INTERNAL, &doc, &err))
        return;
    struct json_at at = json_root(&doc);
    if (json_get_text(&at, key, JSON_MAY, sizeof(flow->approval) - 1, &id, &err))
        snprintf(flow->approval, sizeof(flow->approval), "%s", id);
}

static bool on_decided(void *arg, const struct ipc_message *message)
{
    struct flow *flow = arg;
    struct err err;
    flow->ask = NULL;
    if (message->type == MESSAGE_APPROVED) {
        take_id(flow, message, "approval");
        flow_record_decision(flow, "allow", NULL);
        flow_dial(flow, false);
        return false;
    }
    plane_refusal(message, &err);
    take_id(flow, message, "id");
    flow_record_decision(flow, "deny", &err);
    flow_refuse(flow, &err, err.code == ERR_PENDING ? 403 : 0, flow->decision.rule, flow->decision.reason);
    return false;
}

/* ---- the question ---- */

/* A field that says nothing of what is done, or another thing each time. All others are shown, and are part of what is
 * approved: services take arguments in fields of their own (Destination, Dropbox-API-Arg, X-HTTP-Method). */
static bool says_nothing(struct span name)
{
    static const char *const names[] = {
        "Host", "Content-Length", "Content-Type", "Connection", "Keep-Alive", "Transfer-Encoding", "TE", "Expect",
        "Proxy-Authorization", "Proxy-Connection", "Authorization", "Cookie", "User-Agent", "Accept",
        "Accept-Encoding", "Accept-Language", "Date", "Traceparent", "Tracestate", "X-Request-Id"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (span_eqis(name, names[i]))
            return true;
    return false;
}

static bool can_be_shown(struct span text)
{
    return text_utf8_valid(text) && !(text.len && memchr(text.p, '\t', text.len));
}

/* The one that a person is shown by itself; NULL where that would not say what the service reads. */
static const struct msg_field *plain_type(const struct msg *request)
{
    const struct msg_field *found = NULL;
    for (size_t i = 0; i < request->fields.count; i++) {
        const struct msg_field *field = &request->fields.items[i];
        if (!span_eqis(field->name, "Content-Type"))
            continue;
        if (found || field->value.len > TYPE_BYTES || !can_be_shown(field->value))
            return NULL;
        found = field;
    }
    return found;
}

static bool put_field(json_t *list, const char *before, const struct msg_field *field, struct err *err)
{
    AUTOFREE char *line = mem_printf("%s%.*s: %.*s", before, SPAN_ARG(field->name), SPAN_ARG(field->value));
    if (json_array_size(list) == MESSAGE_APPROVAL_FIELDS)
        return err_set(err, ERR_LIMIT, "a request that waits for a person's approval has at most %d fields",
                       MESSAGE_APPROVAL_FIELDS);
    for (size_t c = 0; c < field->name.len; c++) { /* as HTTP/2 has them */
        char *at = line + strlen(before) + c;
        if (*at >= 'A' && *at <= 'Z')
            *at |= 0x20;
    }
    if (can_be_shown(span_of(line)) && json_array_append_new(list, json_string(line)) == 0)
        return true;
    return err_set(err, ERR_DATA, "a request whose fields are not plain text cannot be shown to a person");
}

/* Of all fields of that name. False: there is none. */
static bool hash_of(const struct msg *request, const char *name, char hex[HASH_HEX])
{
    uint8_t hash[CRYPTO_HASH_LEN];
    struct buf values CLEANUP(buf_wipe);
    bool good = true;
    buf_init(&values, 2 * MSG_ARENA_BYTES); /* more than a head */
    for (size_t i = 0; i < request->fields.count; i++) {
        const struct msg_field *field = &request->fields.items[i];
        if (msg_name_alike(field->name, name))
            good = good && buf_add(&values, field->value.p, field->value.len) && buf_adds(&values, "\n");
    }
    if (!good || values.len == 0)
        return false;
    crypto_sha256(values.data, values.len, hash);
    text_hex(hash, sizeof(hash), hex);
    return true;
}

/* "name: value" each, and "trailer name: value" of those behind the body, which no field can be taken for. Cookies may
 * say for whom an agent asks, too, and are as secret: their hash. False: one that nobody could be shown. */
static bool put_fields(json_t *question, const struct msg *request, const struct msg_field *type, struct err *err)
{
    json_t *list = json_array();
    char cookies[HASH_HEX];
    bool good = true;
    if (hash_of(request, "Cookie", cookies)) {
        AUTOFREE char *line = mem_printf("cookie: SHA-256 %s", cookies);
        json_array_append_new(list, json_string(line));
    }
    for (size_t i = 0; i < request->fields.count && good; i++) {
        const struct msg_field *field = &request->fields.items[i];
        bool hidden_type = !type && span_eqis(field->name, "Content-Type");
        if (hidden_type || !says_nothing(field->name))
            good = put_field(list, "", field, err);
    }
    for (size_t i = 0; i < request->trailers.count && good; i++)
        good = put_field(list, "trailer ", &request->trailers.items[i], err);
    if (good && json_array_size(list) > 0)
        json_object_set(question, "fields", list);
    json_decref(list);
    return good;
}

/* With which token of its own an agent asks says for whom it asks. A person cannot be shown it, and what they let go
 * goes with this one or not at all. A credential would take its place. */
static void put_own(json_t *question, const struct flow *flow)
{
    char hex[HASH_HEX];
    if (!flow->decision.binding && hash_of(flow->request, "Authorization", hex))
        json_put(question, "own", hex);
}

static void ask(struct flow *flow)
{
    const struct target *target = flow->target;
    const struct msg_field *type = plain_type(flow->request);
    json_t *question JSON_AUTO = json_object();
    struct buf payload CLEANUP(buf_wipe);
    json_put_span(question, "method", flow->request->method);
    json_put(question, "override", flow->override[0] ? flow->override : NULL);
    json_put(question, "scheme", target->scheme == TARGET_HTTPS ? "https" : "http");
    json_put(question, "host", target->host.name);
    json_put_int(question, "port", target->port);
    json_put(question, "path", target->path);
    json_put(question, "query", target->query);
    if (type)
        json_put_span(question, "type", type->value);
    json_put(question, "request", flow->id.text);
    buf_init(&payload, IPC_PAYLOAD_MAX);
    flow_set_state(flow, FLOW_WAITING);
    struct err err;
    if (!put_fields(question, flow->request, type, &err)) {
        flow_refuse(flow, &err, err.code == ERR_LIMIT ? 431 : 400, flow->decision.rule, NULL);
        return;
    }
    put_own(question, flow);
    if (json_write(question, &payload) && buf_add(&payload, "", 1) &&
        (flow->held.len == 0 || buf_add(&payload, flow->held.data, flow->held.len))) {
        flow->ask = plane_ask_bytes(flow->plane, MESSAGE_APPROVAL_ASK, payload.data, payload.len, on_decided, flow);
        return;
    }
    err_set(&err, ERR_LIMIT, "a request with a head of this size cannot wait for a person's approval");
    flow_refuse(flow, &err, 431, flow->decision.rule, NULL);
}

void flow_approve_end(struct flow *flow)
{
    timer_stop(&flow->body);
    if (flow->held.len > MESSAGE_APPROVAL_BYTES) /* its end came with its last byte; the refusal is on its way */
        return;
    flow->body_done = flow->held.len == 0; /* what is held has still to go */
    ask(flow);
}

/* A client that waits for 100 before it sends its body is asked for it by us. */
static void ask_for_body(struct flow *flow)
{
    struct err err;
    msg_remove(flow->request, "Expect");
    if (!flow->request->expect_continue)
        return;
    flow->request->expect_continue = false;
    flow->arena = arena_new(MSG_ARENA_BYTES);
    msg_init(&flow->answer, flow->arena);
    if (msg_response(&flow->answer, 100, SPAN("Continue"), &err))
        flow->client->head(flow->arg, &flow->answer);
}

void flow_approve(struct flow *flow)
{
    flow_record_decision(flow, "approve", NULL);
    if (flow->body_done) {
        ask(flow);
        return;
    }
    if (flow->request->has_length && flow->request->content_length > MESSAGE_APPROVAL_BYTES) {
        too_large(flow);
        return;
    }
    buf_init(&flow->held, MESSAGE_APPROVAL_BYTES + 1);
    flow_set_state(flow, FLOW_COLLECTING);
    wait_for_body(flow);
    ask_for_body(flow);
    if (flow->state == FLOW_COLLECTING) /* the client may have gone, which shows when it is written to */
        flow->client->more(flow->arg);
}
