/* Routes of the control API: health, sessions, operations, rules, stop. */
#include "core/authority/control.h"

#include "core/authority/approval.h"
#include "core/authority/operation.h"
#include "core/authority/page.h"
#include "core/authority/page_login.h"
#include "core/authority/reload.h"
#include "core/authority/session_prune.h"
#include "core/authority/worker.h"
#include "core/base/id.h"
#include "core/base/proc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *error_json(const struct err *err)
{
    json_t *shown = json_object();

    json_put(shown, "code", err_word(err->code));
    json_put(shown, "message", err->message);
    json_put(shown, "hint", err->hint);
    return shown;
}

json_t *control_health(struct monitor *monitor)
{
    struct err why = {0};
    json_t *answer = json_object(), *problems = json_array();
    const struct catalogue *catalogue = monitor->rules->catalogue;

    json_put(answer, "version", monitor->version);
    json_put_int(answer, "pid", getpid());
    json_put(answer, "home", monitor->home);
    json_put(answer, "page", page_address(monitor));
    json_put_int(answer, "uptime_ms", (int64_t)(clock_mono_ms() - monitor->started_ms));
    json_put_int(answer, "sessions", (int64_t)monitor->session_count);
    json_put_int(answer, "rules", (int64_t)policy_rule_count(monitor->rules->policy));
    json_put_int(answer, "bindings", (int64_t)bindings_count(monitor->rules->bindings));
    json_put_int(answer, "connectors", (int64_t)catalogue->count);
    json_put(answer, "vault", vault_state_word(vault_state(monitor->vault, &why)));
    json_put_int(answer, "vault_refused", (int64_t)monitor->locked_refusals);
    if (why.code != ERR_NONE && why.code != ERR_NOT_FOUND)
        json_array_append_new(problems, error_json(&why));
    if (monitor->rules_error.code != ERR_NONE)
        json_array_append_new(problems, error_json(&monitor->rules_error));
    if (record_trouble(monitor->record)->code != ERR_NONE)
        json_array_append_new(problems, error_json(record_trouble(monitor->record)));
    if (monitor->page_trouble.code != ERR_NONE)
        json_array_append_new(problems, error_json(&monitor->page_trouble));
    if (store_trouble(monitor->store)->code != ERR_NONE)
        json_array_append_new(problems, error_json(store_trouble(monitor->store)));
    if (quotas_trouble(monitor->quotas)->code != ERR_NONE)
        json_array_append_new(problems, error_json(quotas_trouble(monitor->quotas)));
    if (monitor->state_trouble.code != ERR_NONE)
        json_array_append_new(problems, error_json(&monitor->state_trouble));
    for (const struct session *s = monitor->sessions; s != NULL; s = s->next)
        if (s->quota.halted) {
            quota_why(s, &why);
            json_array_append_new(problems, error_json(&why));
        }
    for (size_t i = 0; i < catalogue->problem_count; i++)
        json_array_append_new(problems, json_pack("{s:s, s:s}", "code", "bad_config", "message",
                                                  catalogue->problems[i]));
    json_object_set_new(answer, "problems", problems);
    return answer;
}

static void get_health(struct monitor *monitor, struct service_request *req, struct span id)
{
    (void)id;
    control_reply(req, 200, control_health(monitor));
}

/* ---- the page ---- */

static void post_link(struct monitor *monitor, struct service_request *req, struct span id)
{
    struct err err = {0};
    char *link = page_link(monitor, &err);

    (void)id;
    if (link == NULL) {
        control_fail(req, &err);
        return;
    }
    control_reply(req, 201, json_pack("{s:s, s:i}", "link", link, "seconds", PAGE_LINK_MS / 1000));
    secret_wipe(link, strlen(link));
    free(link);
}

/* ---- sessions ---- */

static void post_session(struct monitor *monitor, struct service_request *req, struct span id)
{
    struct doc doc = {0};
    struct err err = {0};
    json_t *answer = NULL;

    (void)id;
    if (!control_body(req, &doc))
        return;
    struct json_at at = json_root(&doc);
    reload_now(monitor); /* what was written a moment ago counts for this session */
    if (session_create(monitor, &at, &answer, &err) != NULL)
        control_reply(req, 201, answer);
    else
        control_fail(req, &err);
    doc_clear(&doc);
}

static void list_sessions(struct monitor *monitor, struct service_request *req, struct span id)
{
    json_t *list = json_array();

    (void)id;
    for (const struct session *s = monitor->sessions; s != NULL; s = s->next)
        json_array_append_new(list, session_json(s));
    control_reply(req, 200, json_pack("{s:s, s:o}", "home_id", monitor->home_id, "sessions", list));
}

/* The record's end, with what workers have not sent yet. */
static void get_record_head(struct monitor *monitor, struct service_request *req, struct span id)
{
    (void)id;
    for (struct session *session = monitor->sessions; session != NULL; session = session->next)
        lease_collect(session);
    control_reply(req, 200, json_pack("{s:I, s:s}", "seq", (json_int_t)record_seq(monitor->record), "hash",
                                      record_head(monitor->record)));
}

static void post_prune(struct monitor *monitor, struct service_request *req, struct span id)
{
    size_t directories, launchers;

    (void)id;
    session_prune(monitor, &directories, &launchers);
    control_reply(req, 200, json_pack("{s:I, s:I}", "directories", (json_int_t)directories, "launchers",
                                      (json_int_t)launchers));
}

/* The session of the path, or NULL after the request was answered. */
static struct session *wanted(struct monitor *monitor, struct service_request *req, struct span id)
{
    struct session *session = session_find(monitor, id);
    struct err err = {0};

    if (session != NULL && session->state != SESSION_ENDING)
        return session;
    err_set(&err, ERR_NOT_FOUND, "there is no session %.*s", id.len < 64 ? (int)id.len : 64, id.p);
    err_hint(&err, "See aileron session list");
    control_fail(req, &err);
    return NULL;
}

static void get_session(struct monitor *monitor, struct service_request *req, struct span id)
{
    const struct session *session = wanted(monitor, req, id);
    struct err ignored = {0};

    if (session == NULL)
        return;
    json_t *shown = session_json(session), *hosts = page_hosts(monitor, session->id);
    json_t *waiting = approval_rows(monitor, &(struct store_approval_filter){.session = session->id,
                                                                            .state = "pending"}, &ignored);
    json_put_int(shown, "uptime_ms", (int64_t)clock_wall_ms() - session->created_ms);
    json_object_set_new(shown, "hosts", hosts != NULL ? hosts : json_array());
    json_object_set_new(shown, "approvals", waiting != NULL ? waiting : json_array());
    control_reply(req, 200, shown);
}

/* How a launcher says that its sandbox ended. One of an older version says nothing, and meant the first. */
static const char *ended_how(const struct json_at *at, int *status)
{
    static const char *const words[] = {"exit", "not started", "out of memory", "killed", "engine gone"};
    const char *reason = words[0];
    int64_t number = -1;
    struct err ignored = {0};

    if (!json_get_text(at, "reason", JSON_MAY, 32, &reason, &ignored) ||
        !json_get_int(at, "status", JSON_MAY, 0, 255, &number, &ignored))
        return words[0];
    *status = (int)number;
    for (size_t i = 0; i < COUNT(words); i++)
        if (strcmp(reason, words[i]) == 0)
            return words[i];
    return words[0];
}

/* By the launcher the sandbox is over already. For anybody else it is the launcher that ends it, since the command has
 * time to stop; where there is none any more the engine's leftovers go at once. */
static void delete_session(struct monitor *monitor, struct service_request *req, struct span id)
{
    struct doc doc = {0};
    struct session *session = wanted(monitor, req, id);
    const struct conn *conn = service_conn(service_of(req));
    pid_t pid = 0;
    uid_t uid = 0;

    if (session == NULL || !control_body(req, &doc))
        return;
    bool launcher = conn != NULL && proc_peer(conn_fd(conn), &pid, &uid) &&
                    pid == json_integer_value(json_object_get(session->meta, "pid"));
    struct json_at at = json_root(&doc);
    const char *how = launcher ? ended_how(&at, &session->end_status) : "ended on request";
    session_end(session, how, !launcher && !session_launcher_lives(session->meta));
    if (!launcher)
        session_prune_later(monitor);
    doc_clear(&doc);
    control_reply(req, 200, json_pack("{s:b}", "ended", 1));
}

static void hold_gone(struct service_request *req, void *arg)
{
    struct session *session = arg;

    session->hold = NULL;
    service_abort(req);
}

/* Open for as long as session and daemon live: its end tells the launcher that one of them is gone. */
static void hold_session(struct monitor *monitor, struct service_request *req, struct span id)
{
    struct session *session = wanted(monitor, req, id);

    if (session == NULL)
        return;
    if (session->hold != NULL)
        service_abort(session->hold);
    session->hold = req;
    service_on_gone(req, hold_gone, session);
    service_begin(req, 200, "application/json");
    static const char first[] = "{\"held\":true}\n";
    if (!service_chunk(req, first, sizeof first - 1)) {
        session->hold = NULL;
        service_abort(req);
    }
}

void control_session_over(struct session *session)
{
    struct service_request *req = session->hold;

    session->hold = NULL;
    if (req == NULL)
        return;
    service_on_gone(req, NULL, NULL);
    /* Whoever hears no last word starts the daemon again, which may be stopped at any moment from here on. The end is
     * the connection's: a last chunk would leave it open for the next request. */
    static const char last[] = "{\"ended\":true}\n";
    (void)!service_chunk(req, last, sizeof last - 1);
    service_abort(req);
}

/* ---- operations ---- */

static void list_operations(struct monitor *monitor, struct service_request *req, struct span id)
{
    char session[64], state[32];
    enum operation_state parsed;
    struct err err = {0};
    json_t *rows = NULL;

    (void)id;
    if (!control_param(req, "session", session, sizeof session) || !control_param(req, "state", state, sizeof state) ||
        (state[0] != 0 && !operation_parse(state, &parsed)))
        err_set(&err, ERR_DATA, "session or state is not a known word");
    else
        rows = operation_rows(monitor,
                              &(struct store_operation_filter){.session = session[0] != 0 ? session : NULL,
                                                               .state = state[0] != 0 ? state : NULL,
                                                               .limit = OPERATION_LISTED},
                              &err);
    if (rows == NULL)
        control_fail(req, &err);
    else
        control_reply(req, 200, json_pack("{s:o}", "operations", rows));
}

static void get_operation(struct monitor *monitor, struct service_request *req, struct span id)
{
    struct store_operation row = {0};
    struct err err = {0};
    AUTOFREE char *op_id = mem_strndup(id.p, id.len);

    if (store_operation_get(monitor->store, op_id, &row, &err))
        control_reply(req, 200, operation_json(&row));
    else
        control_fail(req, &err);
    store_operation_clear(&row);
}

/* ---- rules, stop ---- */

static void post_reload(struct monitor *monitor, struct service_request *req, struct span id)
{
    struct err err = {0};

    (void)id;
    if (monitor_reload(monitor, &err))
        control_reply(req, 200, json_pack("{s:b}", "reloaded", 1));
    else
        control_fail(req, &err);
}

/* Those that have a launcher: one that has ended and whose worker still drains keeps nobody from stopping. */
static size_t sessions_running(const struct monitor *monitor)
{
    size_t count = 0;

    for (const struct session *session = monitor->sessions; session != NULL; session = session->next)
        count += session->state != SESSION_ENDING;
    return count;
}

static void post_stop(struct monitor *monitor, struct service_request *req, struct span id)
{
    struct doc doc = {0};
    struct err err = {0};
    bool force = false;

    (void)id;
    if (!control_body(req, &doc))
        return;
    struct json_at at = json_root(&doc);
    if (!json_get_bool(&at, "force", JSON_MAY, &force, &err)) {
        control_fail(req, &err);
    } else if (sessions_running(monitor) > 0 && !force) {
        size_t running = sessions_running(monitor);
        err_set(&err, ERR_CONFLICT, "%zu session%s running", running, running == 1 ? " is" : "s are");
        err_hint(&err, "Use --force: their launchers then start a new daemon, which carries them on");
        control_fail(req, &err);
    } else {
        control_reply(req, 200, json_pack("{s:b}", "stopping", 1));
        monitor_stop(monitor);
    }
    doc_clear(&doc);
}

const struct control_route control_session_routes[] = {
    {"GET", "/v1/health", get_health},
    {"POST", "/v1/page/link", post_link},
    {"POST", "/v1/sessions", post_session},
    {"GET", "/v1/sessions", list_sessions},
    {"GET", "/v1/audit/head", get_record_head},
    {"POST", "/v1/sessions/prune", post_prune},
    {"GET", "/v1/sessions/{id}", get_session},
    {"DELETE", "/v1/sessions/{id}", delete_session},
    {"GET", "/v1/sessions/{id}/hold", hold_session},
    {"GET", "/v1/operations", list_operations},
    {"GET", "/v1/operations/{id}", get_operation},
    {"POST", "/v1/reload", post_reload},
    {"POST", "/v1/stop", post_stop},
    {NULL, NULL, NULL},
};
