/* Operations: what a tool call becomes, from the worker's question to the kept result. This file runs them and
 * decides; reading them back (get, list, ack) is operation_read.c, waiting for a person operation_approve.c. */
#include "core/authority/operation_private.h"

#include "core/authority/approval.h"
#include "core/authority/worker.h"
#include "core/base/id.h"
#include "core/base/log.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 255, KEY_BYTES = 128, PREVIEW_BYTES = 512 };

static const char *const words[OPERATION_STATES] = {
    [OPERATION_PENDING] = "pending", [OPERATION_APPROVED] = "approved", [OPERATION_RUNNING] = "running",
    [OPERATION_SUCCEEDED] = "succeeded", [OPERATION_FAILED] = "failed", [OPERATION_DENIED] = "denied",
    [OPERATION_EXPIRED] = "expired", [OPERATION_UNKNOWN] = "unknown",
};

const char *operation_word(enum operation_state state)
{
    return words[state];
}

bool operation_parse(const char *word, enum operation_state *state)
{
    for (size_t i = 0; i < OPERATION_STATES; i++) {
        if (strcmp(word, words[i]) == 0) {
            *state = (enum operation_state)i;
            return true;
        }
    }
    return false;
}

bool operation_final(enum operation_state state)
{
    switch (state) {
    case OPERATION_PENDING:
    case OPERATION_APPROVED:
    case OPERATION_RUNNING:
        return false;
    case OPERATION_SUCCEEDED:
    case OPERATION_FAILED:
    case OPERATION_DENIED:
    case OPERATION_EXPIRED:
    case OPERATION_UNKNOWN:
    case OPERATION_STATES:
        break;
    }
    return true;
}

struct operations *operations_open(struct monitor *monitor, struct err *err)
{
    size_t count = 0;

    if (!store_operation_sweep(monitor->store, words[OPERATION_RUNNING], words[OPERATION_UNKNOWN],
                               (int64_t)clock_wall_ms(), &count, err))
        return NULL;
    struct operations *operations = mem_alloc(sizeof *operations);
    operations->monitor = monitor;
    operations->swept = count;
    if (count > 0)
        log_warn("%zu operations were running when the last daemon ended: unknown", count);
    return operations;
}

static void running_free(struct running *running)
{
    free(running->op_id);
    free(running->connector);
    free(running->tool);
    free(running->operation);
    buf_clear(&running->result);
    json_decref(running->args);
    secret_free(running->key);
    free(running);
}

void operations_close(struct operations *operations)
{
    if (operations == NULL)
        return;
    while (operations->running != NULL) {
        struct running *running = operations->running;
        operations->running = running->next;
        running_free(running);
    }
    while (operations->waiters != NULL)
        waiter_free(operations->waiters);
    while (operations->deliveries != NULL)
        delivery_free(operations->deliveries);
    free(operations);
}

/* ---- deciding ---- */

/* The rules' decision for an operation's request, with the connector's own credential where it names one. A rule
 * may forbid what a connector asks for, never the other way round. */
static bool decide(struct session *session, const struct tool_operation *tool, const struct match_query *query,
                   struct decision *decision, struct err *err)
{
    snapshot_decide(session->snapshot, query, decision);
    switch (decision->action) {
    case POLICY_DENY:
        err_set(err, ERR_DENIED, "%s", decision->reason != NULL ? decision->reason : "denied by the policy");
        return err_hint(err, "This is the policy of the host, not a network fault (rule %s)", decision->rule);
    case POLICY_APPROVE:
    case POLICY_ALLOW:
        break;
    }
    if (tool->credential == NULL)
        return true;
    if (strcmp(tool->credential, "none") == 0) {
        decision->binding = NULL;
        return true;
    }
    const struct binding *named = binding_named(session->snapshot->rules->bindings, tool->credential);
    if (named == NULL || !binding_covers(named, query)) {
        err_set(err, ERR_DENIED, "the connector wants the credential %s, and no binding of that name covers %.*s",
                tool->credential, SPAN_ARG(query->host));
        return err_hint(err, "Add it to bindings.yaml on the host");
    }
    decision->binding = named;
    return true;
}

bool operation_credential(struct session *session, const char *operation_id, const struct match_query *query,
                          struct decision *decision, struct err *err)
{
    const struct running *running = session->monitor->operations->running;

    while (running != NULL && (running->session != session || strcmp(running->op_id, operation_id) != 0))
        running = running->next;
    if (running == NULL)
        return err_set(err, ERR_DENIED, "no such operation of this session is running");
    const struct tool_operation *tool =
        catalogue_find(session->snapshot->rules->catalogue, running->connector, running->tool,
                       running->operation, NULL, err);
    if (tool == NULL)
        return false;
    struct connector_request request = {0};
    if (!connector_build_request(tool, running->args, &request, err))
        return false;
    bool same = span_eqs(query->host, request.host) && query->port == request.port &&
                span_eqs(query->method, request.method) && span_eqs(query->path, request.path);
    connector_request_clear(&request);
    if (!same)
        return err_set(err, ERR_DENIED, "the request is not the operation's own");
    if (!decide(session, tool, query, decision, err))
        return false;
    decision->action = POLICY_ALLOW; /* it runs: where a person had to say yes, they have */
    return true;
}

/* ---- the record ---- */

json_t *operation_line(const char *session, const struct store_operation *row, const char *state,
                       const char *from)
{
    json_t *event = record_event("operation", session);

    json_put(event, "operation", row->id);
    json_put(event, "connector", row->connector);
    json_put(event, "tool", row->tool);
    json_put(event, "name", row->operation);
    json_put(event, "state", state);
    json_put(event, "from", from);
    return event;
}

static void refuse(struct session *session, uint32_t id, const struct store_operation *row,
                   const struct decision *decision, const struct err *why)
{
    json_t *event = operation_line(session->id, row, words[OPERATION_DENIED], NULL);

    json_put(event, "rule", decision->rule);
    json_put(event, "code", err_word(why->code));
    json_put(event, "reason", why->message);
    quota_note(session, event);
    worker_refuse(session, id, why, decision->rule, NULL);
}

/* ---- OP_RUN ---- */

void run_clear(struct run *run)
{
    free(run->ask);
    json_decref(run->args);
    connector_request_clear(&run->request);
    store_operation_clear(&run->row);
}

size_t operation_count_running(const struct session *session)
{
    size_t count = 0;

    for (const struct running *r = session->monitor->operations->running; r != NULL; r = r->next)
        count += r->session == session;
    return count;
}

bool operation_room(const struct session *session, struct err *err)
{
    size_t count = operation_count_running(session);

    if (count < session->snapshot->rules->config->limits[LIMIT_OPERATIONS])
        return true;
    err_set(err, ERR_LIMIT, "%zu operations of this session are running already", count);
    return err_hint(err, "Wait for one of them: aileron-wait ID");
}

bool operation_tracked(const struct operations *operations, const char *op_id)
{
    const struct running *running = operations->running;

    while (running != NULL && strcmp(running->op_id, op_id) != 0)
        running = running->next;
    return running != NULL;
}

/* OP_START. Caller's reference. */
static json_t *start_of(const struct run *run)
{
    json_t *start = json_object();

    json_put(start, "id", run->row.id);
    json_put(start, "method", run->request.method);
    json_put(start, "host", run->request.host);
    json_put_int(start, "port", run->request.port);
    json_put(start, "path", run->request.path);
    json_put(start, "query", run->request.query);
    json_object_set(start, "headers", run->request.headers);
    json_put(start, "body", run->request.body);
    json_put(start, "rule", run->decision.rule);
    if (run->decision.binding != NULL)
        json_put(start, "binding", run->decision.binding->name);
    return start;
}

/* Everything that can refuse before anything is written. */
bool operation_prepare(struct session *session, struct run *run, const json_t *args, struct err *err)
{
    const struct rules *rules = session->snapshot->rules;

    if (!session_may_ask(session, err))
        return false;
    run->tool = catalogue_find(rules->catalogue, run->row.connector, run->row.tool, run->row.operation,
                               &run->connector, err);
    if (run->tool == NULL)
        return false;
    free(run->row.connector);
    run->row.connector = mem_strdup(run->connector->fqn);
    run->args = connector_check_args(run->tool, args, err);
    if (run->args == NULL || !connector_build_request(run->tool, run->args, &run->request, err))
        return false;
    free(run->row.args);
    run->row.args = json_canonical(run->args);
    struct match_query query = {.host = span_of(run->request.host), .port = run->request.port,
                                .method = span_of(run->request.method), .path = span_of(run->request.path)};
    if (!decide(session, run->tool, &query, &run->decision, err))
        return false;
    operation_ask(session, run);
    json_t *start JSON_AUTO = start_of(run);
    if (worker_fits(start, err))
        return true;
    err_wrap(err, "the operation's request");
    return err_hint(err, "Nothing was sent. Call it with less, or in several calls");
}

static void track(struct session *session, uint32_t id, const struct run *run)
{
    struct operations *operations = session->monitor->operations;
    struct running *running = mem_alloc(sizeof *running);

    running->session = session;
    running->id = id;
    running->op_id = mem_strdup(run->row.id);
    /* Borrowed names would die with a reload of the rules. */
    running->connector = mem_strdup(run->row.connector);
    running->tool = mem_strdup(run->row.tool);
    running->operation = mem_strdup(run->row.operation);
    running->args = json_incref(run->args);
    running->key = store_row_key(session->monitor->store, run->row.id);
    buf_init(&running->result, session->snapshot->rules->config->limits[LIMIT_RESULT_BYTES]);
    running->next = operations->running;
    operations->running = running;
}

/* State and line hold together, or not at all. Takes event. */
static bool commit_running(struct session *session, const struct store_operation *row, bool approved, json_t *event,
                           struct err *err)
{
    struct store *store = session->monitor->store;

    bool good = store_begin(store, err);
    good = good && (approved ? store_operation_move(store, row->id, words[OPERATION_APPROVED],
                                                    words[OPERATION_RUNNING], (int64_t)clock_wall_ms(), err)
                             : store_operation_add(store, row, err));
    if (good && quota_write(session, json_incref(event), err) && store_commit(store, err)) {
        if (!approved)
            quota_stored(session, strlen(row->args));
        json_decref(event);
        return true;
    }
    store_rollback(store);
    json_decref(event);
    return false;
}

bool operation_begin(struct session *session, uint32_t id, struct run *run, struct err *err)
{
    char preview[PREVIEW_BYTES];
    bool approved = strcmp(run->row.state, words[OPERATION_APPROVED]) == 0;

    json_t *event = operation_line(session->id, &run->row, words[OPERATION_RUNNING],
                                   approved ? words[OPERATION_APPROVED] : NULL);
    connector_preview(run->tool, run->args, preview, sizeof preview);
    json_put(event, "preview", preview);
    json_put(event, "host", run->request.host);
    json_put(event, "method", run->request.method);
    json_put(event, "path", run->request.path);
    json_put(event, "rule", run->decision.rule);
    if (run->decision.binding != NULL)
        json_put(event, "binding", run->decision.binding->name);
    if (!commit_running(session, &run->row, approved, event, err))
        return false;
    track(session, id, run);
    json_t *start JSON_AUTO = start_of(run);
    worker_send_json(session, MESSAGE_OP_START, id, start);
    return true;
}

bool operation_run(struct session *session, uint32_t id, const struct json_at *at, struct err *err)
{
    const char *fqn = NULL, *tool, *operation, *key = NULL;
    struct json_at args;
    struct err why = {0};
    bool present, found = false;
    struct run run = {0};

    if (!json_get_text(at, "connector_fqn", JSON_MAY, NAME_BYTES, &fqn, err) ||
        !json_get_text(at, "tool", JSON_NEED, NAME_BYTES, &tool, err) ||
        !json_get_text(at, "operation", JSON_NEED, NAME_BYTES, &operation, err) ||
        !json_get_text(at, "idempotency_key", JSON_MAY, KEY_BYTES, &key, err) ||
        !json_get_object(at, "args", JSON_MAY, &args, &present, err))
        return false;
    struct store_operation known = {0};
    if (key != NULL && key[0] != 0 &&
        !store_operation_by_key(session->monitor->store, session->id, key, &known, &found, &why)) {
        worker_refuse(session, id, &why, NULL, NULL);
        return true;
    }
    if (found) {
        operation_answer(session, id, &known);
        store_operation_clear(&known);
        return true;
    }
    run.row = (struct store_operation){
        .id = mem_strdup(id_new("op_").text), .session = mem_strdup(session->id),
        .connector = fqn != NULL && fqn[0] != 0 ? mem_strdup(fqn) : NULL, .tool = mem_strdup(tool),
        .operation = mem_strdup(operation), .state = mem_strdup(words[OPERATION_RUNNING]),
        .idempotency_key = key != NULL && key[0] != 0 ? mem_strdup(key) : NULL,
        .created_ms = (int64_t)clock_wall_ms(), .updated_ms = (int64_t)clock_wall_ms()};
    json_t *given JSON_AUTO = present ? json_incref(args.node) : json_object();
    if (!operation_prepare(session, &run, given, &why) ||
        !quota_operation(session, strlen(run.row.args), &why) ||
        !(run.ask != NULL && !run.granted
              ? operation_hold(session, id, &run, &why)
              : operation_room(session, &why) && operation_begin(session, id, &run, &why)))
        refuse(session, id, &run.row, &run.decision, &why);
    run_clear(&run);
    return true;
}

/* ---- OP_BODY, OP_DONE ---- */

static struct running **find_running(struct session *session, uint32_t id)
{
    struct running **at = &session->monitor->operations->running;

    while (*at != NULL && ((*at)->session != session || (*at)->id != id))
        at = &(*at)->next;
    return at;
}

bool operation_body(struct session *session, uint32_t id, const void *data, size_t len, struct err *err)
{
    struct running *running = *find_running(session, id);

    if (running == NULL)
        return err_set(err, ERR_DATA, "a result for no operation");
    size_t room = running->result.max - running->result.len;
    size_t take = len < room ? len : room;
    if (take < len)
        running->truncated = true;
    if (take > 0 && !buf_add(&running->result, data, take))
        running->truncated = true;
    return true;
}

static void finish(struct running *running, struct store_outcome *outcome)
{
    struct session *session = running->session;
    size_t room = quota_result(session, outcome->result_len);
    struct store_operation row = {.id = running->op_id, .connector = running->connector,
                                  .tool = running->tool, .operation = running->operation};
    struct err err = {0};

    outcome->truncated = outcome->truncated || room < outcome->result_len;
    outcome->result_len = room;
    session->quota.operation_bytes += room + (outcome->error != NULL ? strlen(outcome->error) : 0);
    bool kept = store_operation_finish(session->monitor->store, running->op_id, words[OPERATION_RUNNING], outcome,
                                       (int64_t)clock_wall_ms(), &err);
    if (!kept) {
        log_error("operation %s: its result was not kept: %s", running->op_id, err.message);
        session->monitor->operations->lost = true;
    }
    json_t *event = operation_line(session->id, &row, kept ? outcome->state : words[OPERATION_UNKNOWN],
                                   words[OPERATION_RUNNING]);
    if (!kept)
        json_put(event, "reason", err.message);
    json_put_int(event, "status", outcome->status);
    json_put_int(event, "bytes", (int64_t)outcome->result_len);
    if (outcome->truncated)
        json_put_bool(event, "truncated", true);
    quota_note(session, event);
    operation_wake(session->monitor->operations, running->op_id);
    running_free(running);
}

bool operation_done(struct session *session, uint32_t id, const struct json_at *at, struct err *err)
{
    static const char *const finals[] = {"succeeded", "failed", "unknown"};
    struct running **place = find_running(session, id), *running = *place;
    const char *op_id, *type = NULL;
    struct json_at error;
    int64_t status = 0;
    bool has_error;
    int state;

    if (running == NULL)
        return err_set(err, ERR_DATA, "the end of no operation");
    if (!json_get_text(at, "id", JSON_NEED, NAME_BYTES, &op_id, err) ||
        !json_get_int(at, "status", JSON_MAY, 0, 999, &status, err) ||
        !json_get_text(at, "content_type", JSON_MAY, NAME_BYTES, &type, err) ||
        !json_get_word(at, "state", JSON_NEED, finals, COUNT(finals), &state, err) ||
        !json_get_object(at, "error", JSON_MAY, &error, &has_error, err))
        return false;
    if (strcmp(op_id, running->op_id) != 0)
        return err_set(err, ERR_DATA, "the end of another operation");
    AUTOFREE char *error_text = has_error ? json_canonical(error.node) : NULL;
    if (error_text != NULL && strlen(error_text) > MESSAGE_ERROR_BYTES)
        return err_set(err, ERR_DATA, "an operation's error is over %d bytes", MESSAGE_ERROR_BYTES);
    struct store_outcome outcome = {.state = finals[state], .status = status,
                                    .content_type = type != NULL && type[0] != 0 ? type : NULL,
                                    .error = error_text, .result = running->result.data,
                                    .result_len = running->result.len, .truncated = running->truncated,
                                    .key = running->key};
    *place = running->next;
    finish(running, &outcome);
    operation_kick(session);
    return true;
}

void operation_worker_gone(struct session *session)
{
    struct operations *operations = session->monitor->operations;
    struct running **place = &operations->running;
    struct store_outcome outcome = {
        .state = words[OPERATION_UNKNOWN],
        .error = "{\"code\":\"unknown\",\"message\":\"the session's worker died while this ran: it may or may not have"
                 " happened\",\"hint\":\"Look at the service itself before you run it again\"}"};

    while (*place != NULL) {
        struct running *running = *place;
        if (running->session != session) {
            place = &running->next;
            continue;
        }
        *place = running->next;
        outcome.result = running->result.data;
        outcome.result_len = running->result.len;
        outcome.truncated = true;
        outcome.key = running->key;
        finish(running, &outcome);
    }
    operation_forget_waiters(session);
}
