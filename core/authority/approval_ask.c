/* Approvals, the asking side: a request that its worker holds until a person has decided. What the worker says of it
 * is checked and decided anew, and what the person sees is made from it here. */
#include "core/authority/approval_private.h"

#include "core/authority/worker.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/wire/target.h"
#include "tls/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HOST_BYTES = 255,
    METHOD_BYTES = 32,
    PATH_BYTES = 16 * 1024,
    TYPE_BYTES = 255,
    FIELD_BYTES = 64 * 1024
};

struct request { /* MESSAGE_APPROVAL_ASK, checked */
    const char *method, *override, *scheme, *host, *path, *query, *type, *own, *name;
    int64_t port;
    struct span body;
    const json_t *fields; /* NULL: none */
};

static bool read_fields(const struct json_at *at, struct request *request, struct err *err)
{
    struct json_at list;
    const char *text;
    size_t count;

    if (!json_get_list(at, "fields", JSON_MAY, MESSAGE_APPROVAL_FIELDS, &list, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_at field = json_element(&list, i);
        if (!json_text_of(&field, FIELD_BYTES, &text, err))
            return false;
    }
    request->fields = count > 0 ? list.node : NULL;
    return true;
}

static bool read_request(const struct json_at *at, struct request *request, struct err *err)
{
    return read_fields(at, request, err) &&
           json_get_text(at, "method", JSON_NEED, METHOD_BYTES, &request->method, err) &&
           json_get_text(at, "override", JSON_MAY, METHOD_BYTES, &request->override, err) &&
           json_get_text(at, "scheme", JSON_NEED, METHOD_BYTES, &request->scheme, err) &&
           json_get_text(at, "host", JSON_NEED, HOST_BYTES, &request->host, err) &&
           json_get_int(at, "port", JSON_NEED, 1, 65535, &request->port, err) &&
           json_get_text(at, "path", JSON_NEED, PATH_BYTES, &request->path, err) &&
           json_get_text(at, "query", JSON_MAY, PATH_BYTES, &request->query, err) &&
           json_get_text(at, "type", JSON_MAY, TYPE_BYTES, &request->type, err) &&
           json_get_text(at, "own", JSON_MAY, 2 * CRYPTO_HASH_LEN, &request->own, err) &&
           json_get_text(at, "request", JSON_NEED, ULID_LEN, &request->name, err) &&
           (id_valid(request->name, "") || err_set(err, ERR_DATA, "a request's id is none"));
}

/* What the person decides about: all that goes out, but fields that do not say what is done. */
static json_t *shown_of(const struct request *request, const struct decision *decision)
{
    json_t *shown = json_object();

    json_put(shown, "kind", "request");
    json_put(shown, "method", request->method);
    json_put(shown, "override", request->override);
    json_put(shown, "scheme", request->scheme);
    json_put(shown, "host", request->host);
    json_put_int(shown, "port", request->port);
    json_put(shown, "path", request->path);
    json_put(shown, "query", request->query);
    json_put(shown, "type", request->type);
    json_put(shown, "own", request->own);
    if (request->fields != NULL)
        json_object_set(shown, "fields", (json_t *)(uintptr_t)request->fields);
    json_put(shown, "rule", decision->rule);
    json_put(shown, "reason", decision->reason);
    if (decision->binding != NULL)
        json_put(shown, "binding", decision->binding->name);
    json_put_int(shown, "bytes", (int64_t)request->body.len);
    if (request->body.len > 0 && text_utf8_valid(request->body) &&
        memchr(request->body.p, 0, request->body.len) == NULL) {
        json_object_set_new(shown, "body", json_stringn(request->body.p, request->body.len));
    } else if (request->body.len > 0) {
        AUTOFREE char *encoded = mem_alloc(text_base64_len(request->body.len));
        text_base64((const uint8_t *)request->body.p, request->body.len, encoded);
        json_put(shown, "body_base64", encoded);
    }
    return shown;
}

void approval_what(const struct match_query *query, const char *binding, char what[65])
{
    json_t *parts JSON_AUTO = json_object();

    json_put_span(parts, "host", query->host);
    json_put_int(parts, "port", query->port);
    json_put_span(parts, "method", query->method);
    json_put_span(parts, "path", query->path);
    json_put(parts, "binding", binding);
    AUTOFREE char *text = approval_digest(parts, what);
}

static void let_go(struct approval_waiter *waiter)
{
    struct approvals *approvals = waiter->session->monitor->approvals;
    struct approval_used *used = mem_alloc(sizeof *used), **at = &approvals->used;
    json_t *answer JSON_AUTO = json_object();
    size_t count = 0;

    used->session = waiter->session;
    used->request = waiter->name;
    memcpy(used->what, waiter->what, sizeof used->what);
    used->next = approvals->used;
    approvals->used = used;
    while (*at != NULL) {
        if ((*at)->session == waiter->session && ++count > APPROVAL_USED)
            approval_used_drop(at);
        else
            at = &(*at)->next;
    }
    json_put(answer, "approval", waiter->approval);
    worker_send_json(waiter->session, MESSAGE_APPROVED, waiter->id, answer);
}

static void refuse(struct approval_waiter *waiter, const struct err *err)
{
    worker_refuse(waiter->session, waiter->id, err, waiter->rule, waiter->approval);
}

static void refuse_pending(struct approval_waiter *waiter)
{
    struct err err = {0};

    err_set(&err, ERR_PENDING, "this request waits for a person's approval, %s", waiter->approval);
    err_hint(&err, "Go on with other work, or wait: aileron-wait %s. Then send the very same request again",
             waiter->approval);
    refuse(waiter, &err);
}

static bool decided_lately(const struct store_approval *row)
{
    return (int64_t)clock_wall_ms() - row->decided_ms < APPROVAL_GRANT_MS;
}

/* A yes for one request: the first that asks takes it. */
static bool take(struct approval_waiter *waiter, const struct store_approval *row, struct err *err)
{
    struct store *store = waiter->session->monitor->store;

    if (strcmp(row->scope != NULL ? row->scope : "", "session") == 0)
        return true;
    if (!store_set_full(store, true, err))
        return false;
    bool taken = approval_move(waiter->session->monitor, row, APPROVAL_APPROVED, APPROVAL_USED_UP, NULL, err);
    struct err ignored = {0};
    if (!store_set_full(store, false, &ignored))
        log_error("state.db: %s", ignored.message);
    return taken;
}

/* Answers the waiter if there is something to say; false: it waits on. */
bool approval_settle(struct approval_waiter *waiter, const struct store_approval *row)
{
    struct err err = {0};

    switch (approval_state_of(row)) {
    case APPROVAL_PENDING:
        return false;
    case APPROVAL_APPROVED:
        if (take(waiter, row, &err))
            let_go(waiter);
        else
            refuse(waiter, &err);
        return true;
    case APPROVAL_DENIED:
        err_set(&err, ERR_DENIED, "a person has denied this request%s%s", row->reason != NULL ? ": " : "",
                row->reason != NULL ? row->reason : "");
        err_hint(&err, "Do not send it again. Ask the user what to do instead");
        refuse(waiter, &err);
        return true;
    case APPROVAL_USED_UP:
    case APPROVAL_EXPIRED:
    case APPROVAL_STATES:
        break;
    }
    err_set(&err, ERR_EXPIRED, "nobody decided about this request in time");
    err_hint(&err, "Send it again, and ask the user to look at aileron approvals");
    refuse(waiter, &err);
    return true;
}

static void hold_over(void *arg)
{
    struct approval_waiter *waiter = arg;

    refuse_pending(waiter);
    approval_waiter_free(waiter);
}

/* The approval that this request goes by: one that stands, or a new one. */
static bool approval_for(struct approval_waiter *waiter, const json_t *shown, bool *fresh, struct err *err)
{
    struct session *session = waiter->session;
    struct store *store = session->monitor->store;
    struct store_approval row = {0};
    bool found = false;

    *fresh = false;
    if (!store_approval_latest(store, session->id, waiter->digest, &row, &found, err))
        return false;
    enum approval_state state = found ? approval_state_of(&row) : APPROVAL_EXPIRED;
    bool stands = state == APPROVAL_PENDING ||
                  ((state == APPROVAL_APPROVED || state == APPROVAL_DENIED) && decided_lately(&row));
    if (stands)
        snprintf(waiter->approval, sizeof waiter->approval, "%s", row.id);
    store_approval_clear(&row);
    if (stands)
        return true;
    if (!store_begin(store, err))
        return false;
    if (!approval_add(session, NULL, waiter->rule, shown, waiter->approval, err)) {
        store_rollback(store);
        return false;
    }
    *fresh = true;
    return store_commit(store, err);
}

void approval_ask_person(struct approval_waiter *waiter, const json_t *shown)
{
    struct session *session = waiter->session;
    struct store_approval row = {0};
    struct err err = {0};
    bool fresh = false;
    char id[APPROVAL_ID_BYTES];

    if (approval_granted(session, waiter->rule)) {
        let_go(waiter);
        approval_waiter_free(waiter);
        return;
    }
    bool good = approval_for(waiter, shown, &fresh, &err) &&
                store_approval_get(session->monitor->store, waiter->approval, &row, &err);
    if (!good)
        refuse(waiter, &err);
    bool over = !good || approval_settle(waiter, &row);
    store_approval_clear(&row);
    if (!over && approval_count_waiters(session) > APPROVAL_WAITERS) {
        refuse_pending(waiter);
        over = true;
    }
    if (!over)
        timer_start(&waiter->timer, session->snapshot->rules->config->approvals.hold_ms);
    memcpy(id, waiter->approval, sizeof id);
    if (over)
        approval_waiter_free(waiter);
    if (fresh) /* whoever is told may look, and so end it and the one that waits for it */
        approval_changed(session->monitor, id);
}

void approval_ask_again(struct approval_waiter *waiter)
{
    struct err err = {0};
    AUTOFREE char *full = store_approval_full(waiter->session->monitor->store, waiter->approval, &err);
    json_t *shown JSON_AUTO = full != NULL ? json_loads(full, 0, NULL) : NULL;

    if (shown != NULL) {
        approval_ask_person(waiter, shown);
        return;
    }
    refuse(waiter, &err);
    approval_waiter_free(waiter);
}

/* The stricter of what the rules say of the method, and of the one that a field asks for (C08). */
static void decide(const struct session *session, const struct request *request, bool ambiguous,
                   struct decision *decision)
{
    struct match_query query = {.host = span_of(request->host), .port = (uint16_t)request->port,
                                .method = span_of(request->method), .path = span_of(request->path),
                                .ambiguous = ambiguous};
    struct decision other;

    snapshot_decide(session->snapshot, &query, decision);
    if (request->override == NULL || request->override[0] == 0)
        return;
    query.method = span_of(request->override);
    snapshot_decide(session->snapshot, &query, &other);
    if (other.action > decision->action)
        *decision = other;
}

static void answer_request(struct session *session, uint32_t id, const struct request *request)
{
    struct decision decision = {0};
    struct err why = {0};
    bool ambiguous = false;

    if (!session_may_ask(session, &why) ||
        !target_is_canonical(request->host, request->path, &ambiguous, &why)) {
        worker_refuse(session, id, &why, NULL, NULL);
        return;
    }
    decide(session, request, ambiguous, &decision);
    if (request->own != NULL) /* it goes without, and gets none */
        decision.binding = NULL;
    if (decision.action == POLICY_DENY) { /* the rules have changed under it */
        err_set(&why, ERR_DENIED, "%s", decision.reason != NULL ? decision.reason : "denied by the policy");
        worker_refuse(session, id, &why, decision.rule, NULL);
        return;
    }
    json_t *shown JSON_AUTO = shown_of(request, &decision);
    struct approval_waiter *waiter = approval_waiter_new(session, id, "", hold_over);
    waiter->request = true;
    waiter->rule = mem_strdup(decision.rule);
    AUTOFREE char *text = approval_digest(shown, waiter->digest);
    struct match_query query = {.host = span_of(request->host), .port = (uint16_t)request->port,
                                .method = span_of(request->method), .path = span_of(request->path)};
    approval_what(&query, decision.binding != NULL ? decision.binding->name : NULL, waiter->what);
    snprintf(waiter->name.text, sizeof waiter->name.text, "%s", request->name);
    if (decision.action == POLICY_ALLOW) {
        let_go(waiter);
        approval_waiter_free(waiter);
    } else {
        approval_ask_person(waiter, shown);
    }
}

bool approval_ask(struct session *session, uint32_t id, const void *payload, size_t len, struct err *err)
{
    const char *bytes = payload, *nul = len > 0 ? memchr(bytes, 0, len) : NULL;
    struct request request = {0};
    struct doc doc = {0};

    if (nul == NULL)
        return err_set(err, ERR_DATA, "a request for approval is an object, a NUL and a body");
    size_t head = (size_t)(nul - bytes);
    if (!json_parse(bytes, head, WORKER_JSON_BYTES, "message", ERR_DATA, &doc, err))
        return false;
    struct json_at at = json_root(&doc);
    bool good = json_want_object(&at, err) && read_request(&at, &request, err);
    request.body = (struct span){nul + 1, len - head - 1};
    if (good && request.body.len > MESSAGE_APPROVAL_BYTES)
        good = err_set(err, ERR_DATA, "a request for approval has a body of over %d bytes", MESSAGE_APPROVAL_BYTES);
    if (good)
        answer_request(session, id, &request);
    doc_clear(&doc);
    return good;
}

/* The credential of a request that a person has let go: it is the same request. */
bool approval_covers(const struct session *session, const char *request, const struct match_query *query,
                     const char *binding)
{
    char what[65];
    const struct approval_used *used = session->monitor->approvals->used;

    while (used != NULL && (used->session != session || request == NULL || strcmp(used->request.text, request) != 0))
        used = used->next;
    if (used == NULL)
        return false;
    approval_what(query, binding, what);
    return strcmp(what, used->what) == 0;
}
