/* What the page may ask: one row a call. Each but "login" needs a login, and what decides needs the digest of what was
 * shown, as on control.sock (A01, A02). */
#include "core/authority/page_private.h"

#include "core/authority/control.h"
#include "core/authority/state.h"
#include "core/base/id.h"

#include <stdlib.h>
#include <string.h>

enum { COMMAND_BYTES = 200, FIELD_BYTES = 300, CALL_BYTES = 16 };

typedef void (*call_fn)(struct page *page, const struct page_ask *ask);
struct call {
    const char *word;
    bool open; /* without a login */
    call_fn fn;
};

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

/* Cut between characters; the whole is one call away. */
static void put_cut(json_t *object, const char *key, const char *text, size_t max)
{
    size_t len = strlen(text);

    if (len > max)
        for (len = max; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
            len--;
    AUTOFREE char *cut = mem_printf("%.*s%s", (int)len, text, text[len] != 0 ? "..." : "");
    if (cut[0] != 0)
        json_put(object, key, cut);
}

static json_t *done(void)
{
    return json_pack("{s:b}", "ok", 1);
}

/* ---- login ---- */

static void call_login(struct page *page, const struct page_ask *ask)
{
    char cookie[PAGE_TOKEN_HEX + 1], key[PAGE_TOKEN_HEX + 1];
    struct doc doc = {0};
    struct err err = {0};
    const char *token = "";

    if (json_parse(ask->body.p, ask->body.len, PAGE_HEAD_BYTES, "body", ERR_DATA, &doc, &err)) {
        struct json_at at = json_root(&doc);
        if (json_want_object(&at, &err) && json_get_text(&at, "token", JSON_NEED, PAGE_TOKEN_HEX, &token, &err) &&
            page_link_use(page->logins, span_of(token), cookie, key)) {
            page_note(page, "login");
            page_reply(page, ask->id, 200, json_pack("{s:s}", "key", key), cookie);
            secret_wipe(cookie, sizeof cookie);
            secret_wipe(key, sizeof key);
            doc_clear(&doc);
            return;
        }
    }
    doc_clear(&doc);
    page_refused(page, "link");
    err_set(&err, ERR_DENIED, "this link has been used, or its time is over");
    err_hint(&err, "Make another one: aileron open");
    page_fail(page, ask->id, &err);
}

static void call_logout(struct page *page, const struct page_ask *ask)
{
    page_logout(page->logins, ask->login);
    page_note(page, "logout");
    page_reply(page, ask->id, 200, done(), "");
    page_streams_end(page, ask->login);
}

/* ---- state ---- */

static json_t *session_row(const struct session *session)
{
    static const char *const fields[] = {"id", "state", "created", "agent", "engine", "network"};
    json_t *whole JSON_AUTO = session_json(session), *row = json_object(), *word;
    struct buf command CLEANUP(buf_clear);
    bool fits = true;
    size_t i;

    for (i = 0; i < COUNT(fields); i++)
        json_object_set(row, fields[i], json_object_get(whole, fields[i]));
    buf_init(&command, COMMAND_BYTES * 4);
    json_array_foreach(json_object_get(whole, "command"), i, word)
        fits = fits && (i == 0 || buf_adds(&command, " ")) && buf_adds(&command, json_string_value(word));
    if (!fits && command.len + 4 > command.max)
        command.len = command.max - 4;
    if (!fits && !buf_adds(&command, "..."))
        command.len = 0;
    put_cut(row, "command", buf_cstr(&command), COMMAND_BYTES);
    put_cut(row, "workspace", text_at(whole, "workspace"), FIELD_BYTES);
    json_put_bool(row, "enforced", session->snapshot != NULL && session->snapshot->sealed);
    return row;
}

static void call_state(struct page *page, const struct page_ask *ask)
{
    struct monitor *monitor = page->monitor;
    json_t *answer = control_health(monitor), *list = json_array();

    for (const struct session *session = monitor->sessions; session != NULL; session = session->next)
        json_array_append_new(list, session_row(session));
    json_object_set_new(answer, "sessions", list);
    page_reply(page, ask->id, 200, answer, NULL);
}

/* ---- approvals ---- */

static json_t *approval_row(const json_t *row)
{
    static const char *const fields[] = {"id", "session", "created", "expires"},
                             *const parts[] = {"kind", "preview", "tool", "operation", "method",
                                               "scheme", "host", "path", "binding"};
    const json_t *shown = json_object_get(row, "shown");
    json_t *out = json_object(), *what = json_object();

    for (size_t i = 0; i < COUNT(fields); i++)
        json_object_set(out, fields[i], json_object_get(row, fields[i]));
    put_cut(out, "rule", text_at(row, "rule"), FIELD_BYTES);
    for (size_t i = 0; i < COUNT(parts); i++)
        put_cut(what, parts[i], text_at(shown, parts[i]), FIELD_BYTES);
    json_object_set(what, "port", json_object_get(shown, "port"));
    json_object_set_new(out, "shown", what);
    return out;
}

static void call_approvals(struct page *page, const struct page_ask *ask)
{
    struct monitor *monitor = page->monitor;
    struct store_approval_filter filter = {.session = ask->session, .state = approval_word(APPROVAL_PENDING)};
    struct err err = {0};
    size_t count = 0, i;

    bool good = store_approval_count(monitor->store, &filter, &count, &err);
    filter.limit = (size_t)ask->limit;
    json_t *rows JSON_AUTO = good ? approval_rows(monitor, &filter, &err) : NULL, *list, *row;
    if (rows == NULL) {
        page_fail(page, ask->id, &err);
        return;
    }
    list = json_array();
    json_array_foreach(rows, i, row)
        json_array_append_new(list, approval_row(row));
    page_reply(page, ask->id, 200,
               json_pack("{s:I, s:I, s:o}", "version", (json_int_t)approval_version(monitor), "pending",
                         (json_int_t)count, "approvals", list),
               NULL);
}

static void call_approval(struct page *page, const struct page_ask *ask)
{
    struct store_approval row = {0};
    struct err err = {0};

    if (!store_approval_get(page->monitor->store, ask->approval, &row, &err)) {
        page_fail(page, ask->id, &err);
        return;
    }
    json_t *answer = approval_json_full(page->monitor, &row);
    const json_t *args = json_object_get(json_object_get(answer, "shown"), "args");
    AUTOFREE char *text = json_object_size(args) > 0 ? json_dumps(args, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    json_put(answer, "args_text", text); /* a script would round large numbers */
    page_reply(page, ask->id, 200, answer, NULL);
    store_approval_clear(&row);
}

static void call_decide(struct page *page, const struct page_ask *ask)
{
    struct approval_decision decision = {.by = "page"};
    struct doc doc = {0};
    struct err err = {0};

    bool good = json_parse(ask->body.p, ask->body.len, PAGE_BODY_BYTES, "body", ERR_DATA, &doc, &err);
    struct json_at at = json_root(&doc);
    if (good && json_want_object(&at, &err) && control_read_decision(&at, &decision, &err) &&
        approval_decide(page->monitor, ask->approval, &decision, &err))
        page_reply(page, ask->id, 200, done(), NULL);
    else
        page_fail(page, ask->id, &err);
    doc_clear(&doc);
}

/* ---- the rest ---- */

json_t *page_hosts(const struct monitor *monitor, const char *session)
{
    return monitor->page != NULL ? recent_hosts(monitor->page->recent, session) : NULL;
}

static void call_hosts(struct page *page, const struct page_ask *ask)
{
    json_t *hosts = recent_hosts(page->recent, ask->session);

    page_reply(page, ask->id, 200, json_pack("{s:o}", "hosts", hosts != NULL ? hosts : json_array()), NULL);
}

/* Unlocking needs the passphrase, which has no business in a process that reads a browser's bytes (HACKING 4). */
static void call_lock(struct page *page, const struct page_ask *ask)
{
    struct monitor *monitor = page->monitor;
    json_t *event = record_event("vault", NULL);

    leases_end(monitor);
    vault_lock(monitor->vault);
    state_follow_vault(monitor);
    vault_cache_forget(monitor->vault);
    json_put(event, "action", "lock");
    json_put_bool(event, "ok", true);
    json_put(event, "message", "on the page");
    record_note(monitor->record, event);
    page_reply(page, ask->id, 200, done(), NULL);
}

static const struct call calls[] = {
    {"login", true, call_login},          {"logout", false, call_logout},     {"state", false, call_state},
    {"approvals", false, call_approvals}, {"approval", false, call_approval}, {"decide", false, call_decide},
    {"hosts", false, call_hosts},         {"lock", false, call_lock},         {"events", false, page_stream_open},
};

/* ---- a question ---- */

static void run(struct page *page, const struct call *call, const struct page_ask *ask)
{
    bool needs_approval = call->fn == call_approval || call->fn == call_decide;
    struct err err = {0};

    if (!call->open && ask->login == 0) {
        page_refused(page, "login");
        err_set(&err, ERR_DENIED, "nobody is logged in here");
        err_hint(&err, "Type aileron open in a terminal, and use the link that it prints");
    } else if (needs_approval && (ask->approval == NULL || !id_valid(ask->approval, "apr_"))) {
        err_set(&err, ERR_DATA, "which approval?");
    } else if (call->fn == call_hosts && ask->session == NULL) {
        err_set(&err, ERR_DATA, "which session?");
    } else {
        call->fn(page, ask);
        return;
    }
    page_fail(page, ask->id, &err);
}

static bool read_ask(const struct page *page, const struct json_at *at, struct page_ask *ask, const struct call **call,
                     struct err *err)
{
    static const char *const keys[] = {"call", "cookie", "key", "id", "session", "limit", "after", NULL};
    const char *word = NULL, *cookie = "", *key = "";

    if (!json_want_object(at, err) || !json_only(at, keys, err) ||
        !json_get_text(at, "call", JSON_NEED, CALL_BYTES, &word, err) ||
        !json_get_text(at, "cookie", JSON_MAY, PAGE_TOKEN_HEX, &cookie, err) ||
        !json_get_text(at, "key", JSON_MAY, PAGE_TOKEN_HEX, &key, err) ||
        !json_get_text(at, "id", JSON_MAY, APPROVAL_ID_BYTES, &ask->approval, err) ||
        !json_get_text(at, "session", JSON_MAY, ULID_LEN, &ask->session, err) ||
        !json_get_int(at, "limit", JSON_MAY, 1, PAGE_ROWS_MAX, &ask->limit, err) ||
        !json_get_int(at, "after", JSON_MAY, 0, INT64_MAX, &ask->after, err))
        return false;
    for (size_t i = 0; i < COUNT(calls); i++)
        if (strcmp(word, calls[i].word) == 0)
            *call = &calls[i];
    ask->login = page_login_find(page->logins, span_of(cookie), span_of(key));
    return *call != NULL || err_set(err, ERR_DATA, "there is no call %s", word);
}

bool page_ask(struct page *page, uint32_t id, const void *payload, size_t len, struct err *err)
{
    const char *nul = len > 0 ? memchr(payload, 0, len) : NULL;
    struct page_ask ask = {.id = id, .limit = PAGE_ROWS};
    const struct call *call = NULL;
    struct doc doc = {0};

    if (nul == NULL)
        return err_set(err, ERR_DATA, "a question is a JSON object, a NUL byte and a body");
    size_t head = (size_t)(nul - (const char *)payload);
    ask.body = (struct span){nul + 1, len - head - 1};
    if (ask.body.len > PAGE_BODY_BYTES)
        return err_set(err, ERR_LIMIT, "a body is longer than %d bytes", PAGE_BODY_BYTES);
    if (!json_parse(payload, head, PAGE_HEAD_BYTES, "question", ERR_DATA, &doc, err))
        return false;
    struct json_at at = json_root(&doc);
    bool good = read_ask(page, &at, &ask, &call, err);
    if (good)
        run(page, call, &ask);
    doc_clear(&doc);
    return good;
}
