/* What may stand on the record: a row for each event with the fields it may have. Values never hold a
 * credential, a header's value, a query string or a body, since no row has a field for them. */
#include "core/data/audit.h"

/* The first two are any event's; the monitor sets them. */
#define FIELDS(...) (const char *const[]){"session", "id", __VA_ARGS__, NULL}

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

const struct audit_event *audit_event_at(unsigned kind)
{
    return kind < COUNT(events) - 1 ? &events[kind] : NULL;
}

bool audit_event_begin(struct flat_out *out, struct buf *buf, const char *word)
{
    const struct audit_event *row = audit_event_find(word);
    if (row)
        flat_begin(out, buf, (uint8_t)(row - events), row->fields);
    return row != NULL;
}

static bool no_event(const char *word, bool known, struct err *err)
{
    char shown[128];
    text_display(span_of(word ? word : ""), shown, sizeof shown);
    return err_set(err, ERR_DATA, "the record has no event '%s'%s", shown, known ? " for a worker to send" : "");
}

static bool field_known(const struct audit_event *row, const char *key)
{
    for (size_t i = 0; row->fields[i]; i++) {
        if (row->fields[i][0] == key[0] && strcmp(row->fields[i], key) == 0)
            return true;
    }
    return false;
}

static bool put_json(struct flat_out *out, const struct audit_event *row, const char *key, const json_t *value,
                     struct err *err)
{
    char field[128];
    if (!field_known(row, key)) {
        text_display(span_of(key), field, sizeof field);
        return err_set(err, ERR_DATA, "event '%s' has no field '%s' on the record", row->word, field);
    }
    if (json_is_string(value))
        flat_put_span(out, key, (struct span){json_string_value(value), json_string_length(value)});
    else if (json_is_integer(value))
        flat_put_int(out, key, json_integer_value(value));
    else if (json_is_boolean(value))
        flat_put_bool(out, key, json_is_true(value));
    else
        return err_set(err, ERR_DATA, "field '%s' of event '%s' must be a text, an integer, true or false", key,
                       row->word);
    return true;
}

bool audit_event_flat(const json_t *event, struct buf *buf, struct err *err)
{
    const char *word = json_string_value(json_object_get(event, "event"));
    const struct audit_event *row = word ? audit_event_find(word) : NULL;
    struct flat_out out;
    bool good = true;
    if (!row || !audit_event_begin(&out, buf, word))
        return no_event(word, false, err);
    json_t *open = (json_t *)(uintptr_t)event; /* the iterator only reads it */
    for (void *iter = json_object_iter(open); iter && good; iter = json_object_iter_next(open, iter)) {
        const char *key = json_object_iter_key(iter);
        good = strcmp(key, "event") == 0 || put_json(&out, row, key, json_object_iter_value(iter), err);
    }
    out.good = out.good && good;
    return flat_end(&out) || (good && err_set(err, ERR_LIMIT, "an event '%s' is too large", word));
}

/* What a flat object may have and an event may not. */
static bool plain(const struct flat *flat, bool from_worker, struct err *err)
{
    if (flat->bytes)
        return err_set(err, ERR_DATA, "a field of an event must be a text, an integer, true or false");
    for (unsigned i = 0; i < AUDIT_LEADING && from_worker; i++)
        if (flat->at[i] > 0)
            return err_set(err, ERR_DATA, "'%s' of an event is not for a worker to say", flat->names[i]);
    return true;
}

bool audit_entry_take(struct span *rest, bool from_worker, struct audit_entry *entry, struct err *err)
{
    *entry = (struct audit_entry){0};
    if (!flat_take(rest, &entry->flat, err))
        return false;
    const struct audit_event *row = audit_event_at(entry->flat.kind);
    if (!row || (from_worker && !row->from_worker))
        return no_event(row ? row->word : NULL, row != NULL, err);
    return flat_check(&entry->flat, row->fields, err) && plain(&entry->flat, from_worker, err);
}
