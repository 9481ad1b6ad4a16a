/* What may stand on the record: a row for each event with the fields it may have. Values never hold a
 * credential, a header's value, a query string or a body, since no row has a field for them. */
#include "core/data/audit.h"

#define FIELDS(...) (const char *const[]){__VA_ARGS__, NULL}

static const struct audit_event events[] = {
    /* The daemon and its files. */
    {"daemon.start", FIELDS("version", "pid", "sessions", "unknown_operations"), false},
    {"daemon.stop", FIELDS("reason"), false},
    {"daemon.space", FIELDS("low", "limit", "message"), false},
    {"daemon.reload", FIELDS("ok", "message"), false},
    {"policy.load", FIELDS("file", "ok", "message", "rules", "bindings", "tools", "hash"), false},
    {"record.recovered", FIELDS("file", "bytes", "message"), false},
    /* A file that audit.retention removed: the hash and the seq of its last line. */
    {"record.retired", FIELDS("file", "last_hash", "last_seq"), false},
    {"state.recovered", FIELDS("file", "sessions", "message"), false},
    /* Sessions and their workers. */
    {"session.start", FIELDS("agent", "command", "engine", "network", "enforced", "image",
                             "workspace", "uid", "pid", "tools", "project_rules", "memory", "pids",
                             "detached", "engine_host", "remote"), false},
    {"session.restore", FIELDS("agent", "engine", "message"), false},
    {"session.end", FIELDS("reason", "status", "duration_ms", "message"), false},
    /* A file of the workspace that the host would run, as the launcher found it when the agent had ended (F11); or how
     * many there were beyond those (`more`), and why not everything was looked at (`message`). */
    {"workspace.executable", FIELDS("change", "path", "runs", "more", "message"), false},
    {"session.denied", FIELDS("reason", "code", "message", "request"), true},
    /* `lost_lines` were counted and not written, since `limit` was reached (limits.record_bytes). */
    {"session.flooded", FIELDS("state", "limit", "lost_lines", "lost_bytes"), false},
    {"worker.start", FIELDS("pid", "count"), false},
    {"worker.exit", FIELDS("pid", "status", "signal", "reason", "message"), false},
    {"worker.protocol", FIELDS("pid", "reason", "message"), false},
    /* The network: one line when it is decided, one when it is over. `decision` is allow, deny or
     * approve; `mode` is tunnel, intercept or plain. */
    {"network", FIELDS("request", "decision", "rule", "reason", "code", "message", "mode", "scheme",
                       "host", "port", "method", "path", "binding", "operation", "address",
                       "captured", "connection", "approval"), true},
    {"network.end", FIELDS("request", "host", "port", "method", "status", "bytes_in", "bytes_out",
                           "duration_ms", "code", "message", "connection", "operation"), true},
    /* A credential: decided by the monitor before it leaves, then what became of it. */
    {"credential", FIELDS("request", "decision", "binding", "entry", "scheme", "host", "port",
                          "method", "path", "rule", "reason", "code", "message", "operation"), false},
    {"credential.used", FIELDS("request", "binding", "host", "port", "method", "status",
                               "operation"), true},
    {"credential.own", FIELDS("request", "host", "port", "method", "field", "binding", "operation"), true},
    {"credential.reflected", FIELDS("request", "binding", "host", "port", "method", "place", "count",
                                    "operation"), true},
    {"sentinel", FIELDS("request", "decision", "binding", "host", "port", "method", "path", "place",
                        "reason", "rule", "operation"), true},
    /* Operations and approvals. */
    {"operation", FIELDS("operation", "connector", "tool", "name", "state", "from", "status", "code",
                         "message", "args", "preview", "host", "port", "method", "path", "rule",
                         "binding", "decision", "reason", "truncated", "bytes", "idempotency_key"),
     false},
    {"operation.collected", FIELDS("operation", "count"), false},
    {"approval", FIELDS("approval", "operation", "state", "decision", "rule", "by", "edited", "scope",
                        "host", "method", "path", "binding", "reason", "message"), false},
    {"exec", FIELDS("decision", "rule", "program", "args", "reason", "approval"), false},
    /* The vault: which entry, never what it holds. */
    {"vault", FIELDS("action", "entry", "kind", "ok", "code", "message", "member", "pid"), false},
    {"connector", FIELDS("action", "connector", "version", "hash", "tools", "ok", "message"), false},
    {"control.denied", FIELDS("uid", "pid", "method", "path", "reason", "message"), false},
    {"page", FIELDS("action", "reason", "count", "message"), false}, /* logins, and what was refused before one */
    {NULL, NULL, false},
};

const struct audit_event *audit_event_table(void)
{
    return events;
}

const struct audit_event *audit_event_find(const char *word)
{
    for (const struct audit_event *row = events; row->word; row++) {
        if (row->word[0] == word[0] && strcmp(row->word, word) == 0)
            return row;
    }
    return NULL;
}

static bool field_known(const struct audit_event *row, const char *key)
{
    if (strcmp(key, "event") == 0 || strcmp(key, "session") == 0 || strcmp(key, "id") == 0)
        return true;
    for (size_t i = 0; row->fields[i]; i++) {
        if (row->fields[i][0] == key[0] && strcmp(row->fields[i], key) == 0)
            return true;
    }
    return false;
}

bool audit_event_check(const json_t *event, bool from_worker, struct err *err)
{
    const char *word = json_string_value(json_object_get(event, "event"));
    const struct audit_event *row = word ? audit_event_find(word) : NULL;
    char shown[128], field[128];
    if (!row || (from_worker && !row->from_worker)) {
        text_display(span_of(word ? word : ""), shown, sizeof shown);
        return err_set(err, ERR_DATA, "the record has no event '%s'%s", shown,
                       row ? " for a worker to send" : "");
    }
    for (void *iter = json_object_iter((json_t *)(uintptr_t)event); iter;
         iter = json_object_iter_next((json_t *)(uintptr_t)event, iter)) {
        const char *key = json_object_iter_key(iter);
        const json_t *value = json_object_iter_value(iter);
        bool known = field_known(row, key);
        if (known && !json_is_object(value) && !json_is_array(value) && !json_is_null(value))
            continue;
        text_display(span_of(key), field, sizeof field);
        return known ? err_set(err, ERR_DATA, "field '%s' of event '%s' must be one plain value", field, word)
                     : err_set(err, ERR_DATA, "event '%s' has no field '%s' on the record", word, field);
    }
    return true;
}
