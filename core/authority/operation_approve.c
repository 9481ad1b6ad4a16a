/* Operations that wait for a person: kept as pending, and run by the session's worker once a person has approved
 * them. What runs is what was shown: the request is built anew from the stored arguments, and its digest is that of
 * the approval, or it does not run. */
#include "core/authority/operation_private.h"

#include "core/authority/approval.h"
#include "core/authority/quota.h"
#include "core/authority/worker.h"
#include "core/base/id.h"
#include "core/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREVIEW_BYTES = 512 };

/* Where the connector and a rule both ask, they ask as one: a yes for the session to what the tool does is none to what
 * a rule of the user's asks about, nor the other way round. */
void operation_ask(struct session *session, struct run *run)
{
    const char *rule = run->decision.action == POLICY_APPROVE ? run->decision.rule : NULL;

    if (run->tool->approval)
        run->ask = mem_printf("%s %s (%s)%s%s", run->row.tool, run->row.operation, run->row.connector,
                              rule != NULL ? ", " : "", rule != NULL ? rule : "");
    else if (rule != NULL)
        run->ask = mem_strdup(rule);
    run->granted = run->ask != NULL && approval_granted(session, run->ask);
}

json_t *operation_shown(const struct run *run)
{
    json_t *shown = json_object();
    char preview[PREVIEW_BYTES];

    connector_preview(run->tool, run->args, preview, sizeof preview);
    json_put(shown, "kind", "operation");
    json_put(shown, "preview", preview);
    json_put(shown, "connector", run->row.connector);
    json_put(shown, "tool", run->row.tool);
    json_put(shown, "operation", run->row.operation);
    json_object_set(shown, "args", run->args);
    json_put(shown, "method", run->request.method);
    json_put(shown, "host", run->request.host);
    json_put_int(shown, "port", run->request.port);
    json_put(shown, "path", run->request.path);
    json_put(shown, "query", run->request.query);
    json_put(shown, "body", run->request.body);
    json_put(shown, "rule", run->ask);
    if (run->decision.binding != NULL)
        json_put(shown, "binding", run->decision.binding->name);
    return shown;
}

/* ---- holding ---- */

bool operation_hold(struct session *session, uint32_t id, struct run *run, struct err *err)
{
    struct monitor *monitor = session->monitor;
    char approval[APPROVAL_ID_BYTES];
    json_t *shown JSON_AUTO = operation_shown(run);

    free(run->row.state);
    run->row.state = mem_strdup(operation_word(OPERATION_PENDING));
    if (!store_begin(monitor->store, err))
        return false;
    if (!store_operation_add(monitor->store, &run->row, err) ||
        !approval_add(session, run->row.id, run->ask, shown, approval, err) ||
        !quota_write(session, operation_line(session->id, &run->row, run->row.state, NULL), err)) {
        store_rollback(monitor->store);
        return false;
    }
    if (!store_commit(monitor->store, err))
        return false;
    quota_stored(session, strlen(run->row.args));
    operation_answer(session, id, &run->row);
    approval_changed(monitor, approval);
    return true;
}

/* The pending operation as it would be run now; run_clear it in any case. */
static bool rebuild(struct session *session, const char *op_id, json_t *args, struct run *run, struct err *err)
{
    struct doc doc = {0};

    AUTOFREE char *kept = NULL;
    if (!store_operation_get(session->monitor->store, op_id, &run->row, err) ||
        (args == NULL && (kept = store_operation_args(session->monitor->store, op_id, err)) == NULL))
        return false;
    if (kept != NULL && !json_parse(kept, strlen(kept), STORE_ARGS_MAX, "arguments", ERR_INTERNAL, &doc, err))
        return false;
    bool good = operation_prepare(session, run, args != NULL ? args : doc.root, err);
    doc_clear(&doc);
    return good;
}

/* ---- what the decision does; both within its transaction ---- */

json_t *operation_edit(struct session *session, const char *op_id, json_t *args, struct err *err)
{
    struct run run = {0};
    json_t *shown = NULL;

    if (rebuild(session, op_id, args, &run, err) &&
        store_operation_edit(session->monitor->store, op_id, operation_word(OPERATION_PENDING), run.row.args,
                             (int64_t)clock_wall_ms(), err))
        shown = operation_shown(&run);
    run_clear(&run);
    return shown;
}

static char *error_text(enum err_code code, const char *message, const char *hint)
{
    json_t *error JSON_AUTO = json_object();

    json_put(error, "code", err_word(code));
    json_put(error, "message", message);
    json_put(error, "hint", hint);
    return json_canonical(error);
}

/* From pending or approved to an end without a result. */
static bool end(struct monitor *monitor, const struct store_operation *row, enum operation_state to, const char *error,
                struct err *err)
{
    struct store_outcome outcome = {.state = operation_word(to), .error = error};
    json_t *event = operation_line(row->session, row, outcome.state, row->state);

    if (store_operation_finish(monitor->store, row->id, row->state, &outcome, (int64_t)clock_wall_ms(), err))
        return record_write(monitor->record, event, err);
    json_decref(event);
    return false;
}

bool operation_decided(struct session *session, const char *op_id, bool approve, const char *reason, struct err *err)
{
    struct monitor *monitor = session->monitor;
    struct store_operation row = {0};

    if (!store_operation_get(monitor->store, op_id, &row, err))
        return false;
    bool good = false;
    if (approve) {
        const char *to = operation_word(OPERATION_APPROVED);
        good = store_operation_move(monitor->store, op_id, operation_word(OPERATION_PENDING), to,
                                    (int64_t)clock_wall_ms(), err) &&
               record_write(monitor->record, operation_line(session->id, &row, to, row.state), err);
    } else {
        AUTOFREE char *message = mem_printf("a person has denied it%s%s", reason != NULL ? ": " : "",
                                            reason != NULL ? reason : "");
        AUTOFREE char *error = error_text(ERR_DENIED, message, "Ask the user what to do instead");
        good = end(monitor, &row, OPERATION_DENIED, error, err);
    }
    store_operation_clear(&row);
    return good;
}

/* ---- after it ---- */

/* What was approved cannot be run: its end says why. */
static void fail(struct session *session, const char *op_id, const struct err *why)
{
    struct store_operation row = {0};
    struct err err = {0};
    AUTOFREE char *error = error_text(why->code, why->message, why->hint);

    struct store *store = session->monitor->store;

    if (!store_begin(store, &err) || !store_operation_get(store, op_id, &row, &err) ||
        !end(session->monitor, &row, OPERATION_FAILED, error, &err) || !store_commit(store, &err)) {
        log_error("operation %s: %s", op_id, err.message); /* it stays approved, and is tried again */
        store_rollback(store);
    }
    store_operation_clear(&row);
    operation_wake(session->monitor->operations, op_id);
}

/* Whether what would be sent is what a person has approved. */
static bool same_as_shown(struct session *session, const struct run *run, struct err *err)
{
    struct store_approval_filter filter = {.session = session->id, .operation = run->row.id, .limit = 1};
    json_t *shown JSON_AUTO = operation_shown(run);
    char digest[65];
    AUTOFREE char *text = approval_digest(shown, digest);
    json_t *rows JSON_AUTO = approval_rows(session->monitor, &filter, err), *row = json_array_get(rows, 0);
    const char *approved = json_string_value(json_object_get(row, "digest"));
    const char *state = json_string_value(json_object_get(row, "state"));

    if (rows == NULL)
        return false;
    if (approved != NULL && strcmp(approved, digest) == 0 && strcmp(state, approval_word(APPROVAL_APPROVED)) == 0)
        return true;
    err_set(err, ERR_CONFLICT, "what it would send now is not what was approved: connector or rules have changed");
    return err_hint(err, "Call it again");
}

static void start(struct session *session, const char *op_id)
{
    struct run run = {0};
    struct err err = {0};
    uint32_t id = MESSAGE_UNASKED | (session->monitor->operations->last_unasked++ & ~MESSAGE_UNASKED);

    bool good = rebuild(session, op_id, NULL, &run, &err) && same_as_shown(session, &run, &err) &&
                operation_begin(session, id, &run, &err);
    if (!good && err.code != ERR_LOCKED && err.code != ERR_IO && err.code != ERR_LIMIT) /* these pass */
        fail(session, op_id, &err);
    else if (!good)
        log_warn("operation %s waits: %s", op_id, err.message);
    run_clear(&run);
}

void operation_follow(struct session *session, const char *op_id)
{
    struct store_operation row = {0};
    struct err err = {0};

    if (!store_operation_get(session->monitor->store, op_id, &row, &err))
        log_error("operation %s: %s", op_id, err.message);
    else if (strcmp(row.state, operation_word(OPERATION_APPROVED)) != 0)
        operation_wake(session->monitor->operations, op_id);
    store_operation_clear(&row);
    operation_kick(session);
}

/* What is left in this state of a session, or of all; the newest first. NULL: the log says why. */
static json_t *rows_in(struct monitor *monitor, const char *session, enum operation_state state)
{
    struct store_operation_filter filter = {.session = session, .state = operation_word(state)};
    struct err err = {0};
    json_t *rows = operation_rows(monitor, &filter, &err);

    if (rows == NULL)
        log_error("operations: %s", err.message);
    return rows;
}

static const char *id_of(const json_t *rows, size_t i)
{
    return json_string_value(json_object_get(json_array_get(rows, i), "id"));
}

void operation_kick(struct session *session)
{
    struct err full = {0};

    if (session->state != SESSION_READY || store_sealing(session->monitor->store) == STORE_LOCKED)
        return;
    json_t *rows JSON_AUTO = rows_in(session->monitor, session->id, OPERATION_APPROVED);
    for (size_t i = json_array_size(rows); i > 0 && operation_room(session, &full); i--)
        start(session, id_of(rows, i - 1));
}

void operation_kick_all(struct monitor *monitor)
{
    for (struct session *session = monitor->sessions; session != NULL; session = session->next)
        operation_kick(session);
}

bool operation_expire(struct monitor *monitor, const char *op_id, const char *reason, struct err *err)
{
    struct store_operation row = {0};
    AUTOFREE char *error = error_text(ERR_EXPIRED, reason, "Nothing was sent");

    bool good = store_operation_get(monitor->store, op_id, &row, err) &&
                end(monitor, &row, OPERATION_EXPIRED, error, err);
    store_operation_clear(&row);
    return good;
}

void operation_told(struct monitor *monitor, const char *op_id)
{
    operation_wake(monitor->operations, op_id);
}

void operation_session_over(struct monitor *monitor, const char *session)
{
    struct store *store = monitor->store;
    json_t *rows JSON_AUTO = rows_in(monitor, session, OPERATION_APPROVED);

    for (size_t i = 0; i < json_array_size(rows); i++) {
        struct err err = {0};
        if (!store_begin(store, &err) ||
            !operation_expire(monitor, id_of(rows, i), "the session has ended before it could run", &err) ||
            !store_commit(store, &err)) {
            log_error("operation %s: %s", id_of(rows, i), err.message);
            store_rollback(store);
        }
        operation_wake(monitor->operations, id_of(rows, i));
    }
}

void operation_sweep_lost(struct monitor *monitor)
{
    struct operations *operations = monitor->operations;
    struct store_outcome outcome = {
        .state = operation_word(OPERATION_UNKNOWN),
        .error = "{\"code\":\"unknown\",\"message\":\"it was sent, and state.db had no room for its result\","
                 "\"hint\":\"Look at the service itself before you run it again\"}"};
    struct err err = {0};

    if (!operations->lost)
        return;
    json_t *rows JSON_AUTO = rows_in(monitor, NULL, OPERATION_RUNNING);
    operations->lost = rows == NULL;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const char *op_id = id_of(rows, i);
        if (operation_tracked(operations, op_id))
            continue;
        operations->lost |= !store_operation_finish(monitor->store, op_id, operation_word(OPERATION_RUNNING), &outcome,
                                                    (int64_t)clock_wall_ms(), &err);
        operation_wake(operations, op_id);
    }
}
