/* Approvals, the deciding side: what a person says, what time says, and who is told. A decision is stored and on the
 * record before anything follows from it; where it cannot be, nothing has been decided (A06). */
#include "core/authority/approval_private.h"

#include "core/authority/notify.h"
#include "core/authority/operation.h"
#include "core/base/id.h"
#include "core/base/log.h"

#include <stdlib.h>
#include <string.h>

/* ---- shown ---- */

static void put_time(json_t *object, const char *key, int64_t ms)
{
    if (ms > 0)
        json_put_time(object, key, ms);
}

/* In one line, for a list or a notification. */
static char *summary_line(const json_t *what)
{
    const char *words[6];
    static const char *const keys[] = {"preview", "tool", "operation", "method", "host", "path"};

    for (size_t i = 0; i < COUNT(keys); i++) {
        words[i] = json_string_value(json_object_get(what, keys[i]));
        words[i] = words[i] != NULL ? words[i] : "";
    }
    return words[0][0] != 0 ? mem_printf("%s %s: %s", words[1], words[2], words[0])
                            : mem_printf("%s %s%s", words[3], words[4], words[5]);
}

json_t *approval_json(const struct store_approval *row)
{
    json_t *shown = json_object(), *what = json_loads(row->shown, 0, NULL);
    AUTOFREE char *summary = summary_line(what);

    json_put(shown, "id", row->id);
    json_put(shown, "summary", summary);
    json_put(shown, "host", json_string_value(json_object_get(what, "host")));
    json_put(shown, "session", row->session);
    json_put(shown, "operation", row->operation);
    json_put(shown, "state", row->state);
    json_put(shown, "rule", row->rule);
    json_put(shown, "digest", row->digest);
    json_object_set_new(shown, "shown", what);
    put_time(shown, "created", row->created_ms);
    put_time(shown, "expires", row->expires_ms);
    put_time(shown, "decided", row->decided_ms);
    json_put(shown, "scope", row->scope);
    json_put(shown, "by", row->by);
    json_put(shown, "reason", row->reason);
    if (row->edited)
        json_put_bool(shown, "edited", true);
    return shown;
}

json_t *approval_json_full(struct monitor *monitor, const struct store_approval *row)
{
    json_t *shown = approval_json(row);
    struct err err = {0};
    AUTOFREE char *full = store_approval_full(monitor->store, row->id, &err);

    if (full != NULL)
        json_object_set_new(shown, "shown", json_loads(full, 0, NULL));
    else
        json_put_bool(shown, "sealed", true);
    return shown;
}

static bool add_row(void *arg, const struct store_approval *row)
{
    json_array_append_new(arg, approval_json(row));
    return true;
}

json_t *approval_rows(struct monitor *monitor, const struct store_approval_filter *filter, struct err *err)
{
    json_t *list = json_array();

    approval_expire(monitor); /* the housekeeping comes once a minute, and a list is to be true */
    if (store_approvals(monitor->store, filter, add_row, list, err))
        return list;
    json_decref(list);
    return NULL;
}

json_t *approval_event(const struct store_approval *row, enum approval_state state)
{
    json_t *event = record_event("approval", row->session), *shown JSON_AUTO = json_loads(row->shown, 0, NULL);
    static const char *const fields[] = {"host", "method", "path", "binding"};

    json_put(event, "approval", row->id);
    json_put(event, "operation", row->operation);
    json_put(event, "state", approval_word(state));
    json_put(event, "rule", row->rule);
    for (size_t i = 0; i < COUNT(fields); i++)
        json_put(event, fields[i], json_string_value(json_object_get(shown, fields[i])));
    return event;
}

/* ---- who is told ---- */

uint64_t approval_version(const struct monitor *monitor)
{
    return monitor->approvals->version;
}

void approval_watch(struct monitor *monitor, struct approval_watch *watch)
{
    watch->next = monitor->approvals->watches;
    monitor->approvals->watches = watch;
}

void approval_unwatch(struct monitor *monitor, struct approval_watch *watch)
{
    struct approval_watch **at = &monitor->approvals->watches;

    while (*at != NULL && *at != watch)
        at = &(*at)->next;
    if (*at == watch)
        *at = watch->next;
}

void approval_changed(struct monitor *monitor, const char *new_id)
{
    struct approvals *approvals = monitor->approvals;

    approvals->version++;
    while (approvals->watches != NULL) {
        struct approval_watch *watch = approvals->watches;
        approvals->watches = watch->next;
        watch->fn(watch->arg);
    }
    if (new_id != NULL)
        notify_approval(monitor, new_id);
}

/* ---- changes that are no decisions ---- */

/* With its line on the record, within a transaction. */
static bool move(struct monitor *monitor, const struct store_approval *row, enum approval_state from,
                 enum approval_state to, const char *reason, struct err *err)
{
    struct store_decision decision = {.state = approval_word(to), .reason = reason};

    if (!store_approval_decide(monitor->store, row->id, approval_word(from), &decision, (int64_t)clock_wall_ms(), err))
        return false;
    json_t *event = approval_event(row, to);
    json_put(event, "reason", reason);
    return record_write(monitor->record, event, err);
}

bool approval_move(struct monitor *monitor, const struct store_approval *row, enum approval_state from,
                   enum approval_state to, const char *reason, struct err *err)
{
    if (!store_begin(monitor->store, err))
        return false;
    if (move(monitor, row, from, to, reason, err) && store_commit(monitor->store, err))
        return true;
    store_rollback(monitor->store);
    return false;
}

/* The approval and its operation at once: a crash between two commits would leave one of them waiting for ever. */
static bool expire(struct monitor *monitor, const struct store_approval *row, enum approval_state from,
                   const char *reason, struct err *err)
{
    if (!store_begin(monitor->store, err))
        return false;
    if (move(monitor, row, from, APPROVAL_EXPIRED, reason, err) &&
        (row->operation == NULL || operation_expire(monitor, row->operation, reason, err)) &&
        store_commit(monitor->store, err))
        return true;
    store_rollback(monitor->store);
    return false;
}

struct expiry { /* ids first: a walk over the table does not change it */
    char **ids;
    size_t count;
};

static bool keep_id(void *arg, const struct store_approval *row)
{
    struct expiry *expiry = arg;

    expiry->ids[expiry->count++] = mem_strdup(row->id);
    return expiry->count < STORE_LIST_MAX;
}

/* Ends those that the filter finds, with their operations. */
static void expire_all(struct monitor *monitor, const struct store_approval_filter *filter, enum approval_state from,
                       const char *reason)
{
    struct expiry expiry = {.ids = mem_array(STORE_LIST_MAX, sizeof *expiry.ids)};
    struct err err = {0};

    if (!store_approvals(monitor->store, filter, keep_id, &expiry, &err))
        log_error("approvals: %s", err.message);
    for (size_t i = 0; i < expiry.count; i++) {
        struct store_approval row = {0};
        if (!store_approval_get(monitor->store, expiry.ids[i], &row, &err) ||
            !expire(monitor, &row, from, reason, &err))
            log_error("approval %s: %s", expiry.ids[i], err.message);
        else if (row.operation != NULL)
            operation_told(monitor, row.operation);
        approval_wake(monitor->approvals, expiry.ids[i]);
        store_approval_clear(&row);
        free(expiry.ids[i]);
    }
    free(expiry.ids);
    if (expiry.count > 0)
        approval_changed(monitor, NULL);
}

void approval_session_over(struct monitor *monitor, const char *session)
{
    struct store_approval_filter filter = {.session = session, .state = approval_word(APPROVAL_PENDING)};

    expire_all(monitor, &filter, APPROVAL_PENDING, "the session has ended");
}

void approval_expire(struct monitor *monitor)
{
    int64_t now = (int64_t)clock_wall_ms();
    struct store_approval_filter pending = {.state = approval_word(APPROVAL_PENDING), .expires_before_ms = now};
    struct store_approval_filter unused = {.state = approval_word(APPROVAL_APPROVED), .scope = "once",
                                           .decided_before_ms = now - APPROVAL_GRANT_MS};

    expire_all(monitor, &pending, APPROVAL_PENDING, "nobody decided in time");
    expire_all(monitor, &unused, APPROVAL_APPROVED, "the request did not come again in time");
}

/* ---- deciding ---- */

/* Everything that can refuse before anything is written. row and *session are set on success. */
static bool may_decide(struct monitor *monitor, const char *id, const struct approval_decision *decision,
                       struct store_approval *row, struct session **session, struct err *err)
{
    if (!store_approval_get(monitor->store, id, row, err))
        return err_hint(err, "See aileron approvals list");
    if (strcmp(row->state, approval_word(APPROVAL_PENDING)) != 0) {
        err_set(err, ERR_CONFLICT, "approval %s is %s already%s%s", id, row->state, row->by != NULL ? ", by " : "",
                row->by != NULL ? row->by : "");
        return err_hint(err, "See aileron approvals show %s", id);
    }
    if (strcmp(row->digest, decision->digest) != 0) {
        err_set(err, ERR_CONFLICT, "approval %s is not what you have seen", id);
        return err_hint(err, "Look at it again: aileron approvals show %s", id);
    }
    if (decision->approve && store_sealing(monitor->store) == STORE_LOCKED) {
        err_set(err, ERR_LOCKED, "the vault is locked: what would be done cannot be shown, nor done");
        return err_hint(err, "Unlock it first: aileron vault unlock. To deny needs no vault");
    }
    *session = session_find(monitor, span_of(row->session));
    if (*session == NULL || (*session)->state == SESSION_ENDING)
        return err_set(err, ERR_CONFLICT, "the session of approval %s has ended", id);
    if (decision->args == NULL || (decision->approve && row->operation != NULL))
        return true;
    err_set(err, ERR_USAGE, "only what an operation asks for can be changed, and only when it is approved");
    return err_hint(err, "Deny it with a reason that says what to ask for instead");
}

/* One transaction: the approval, its operation, and both their lines on the record. */
static bool store_decision_of(struct session *session, const struct store_approval *row,
                              const struct approval_decision *decision, struct err *err)
{
    struct monitor *monitor = session->monitor;
    enum approval_state state = decision->approve ? APPROVAL_APPROVED : APPROVAL_DENIED;
    struct store_decision stored = {.state = approval_word(state), .reason = decision->reason, .by = decision->by,
                                    .scope = !decision->approve      ? NULL
                                             : decision->for_session ? "session"
                                                                     : "once"};
    char digest[65];
    AUTOFREE char *shown = NULL, *full = NULL;

    if (decision->args != NULL) {
        json_t *edited JSON_AUTO = operation_edit(session, row->operation, decision->args, err);
        if (edited == NULL)
            return false;
        json_t *summary JSON_AUTO = approval_summary(edited);
        full = approval_digest(edited, digest);
        shown = json_canonical(summary);
        stored.full = full;
        stored.shown = shown;
        stored.digest = digest;
    }
    json_t *event = approval_event(row, state);
    json_put(event, "decision", decision->approve ? "approve" : "deny");
    json_put(event, "by", decision->by);
    json_put(event, "scope", stored.scope);
    json_put(event, "reason", decision->reason);
    if (decision->args != NULL)
        json_put_bool(event, "edited", true);
    if (!store_approval_decide(monitor->store, row->id, row->state, &stored, (int64_t)clock_wall_ms(), err)) {
        json_decref(event);
        return false;
    }
    if (!record_write(monitor->record, event, err))
        return false;
    return row->operation == NULL ||
           operation_decided(session, row->operation, decision->approve, decision->reason, err);
}

static bool commit(struct session *session, const struct store_approval *row, const struct approval_decision *decision,
                   struct err *err)
{
    struct store *store = session->monitor->store;
    struct err ignored = {0};

    bool good = store_set_full(store, true, err) && store_begin(store, err);
    if (good && !(store_decision_of(session, row, decision, err) && store_commit(store, err))) {
        store_rollback(store);
        good = false;
        json_t *event = approval_event(row, APPROVAL_PENDING); /* its line may have been written, and does not hold */
        json_put(event, "message", err->message);
        record_note(session->monitor->record, event);
    }
    if (!store_set_full(store, false, &ignored))
        log_error("state.db: %s", ignored.message);
    return good;
}

bool approval_decide(struct monitor *monitor, const char *id, const struct approval_decision *decision,
                     struct err *err)
{
    struct store_approval row = {0};
    struct session *session = NULL;

    bool good = may_decide(monitor, id, decision, &row, &session, err) && commit(session, &row, decision, err);
    if (good && row.operation != NULL)
        operation_follow(session, row.operation);
    if (good) {
        approval_wake(monitor->approvals, id);
        approval_changed(monitor, NULL);
    }
    store_approval_clear(&row);
    return good;
}
