/* One request of a browser: a file of the page, or a call that the monitor answers. It knows the calls' names and how
 * their parameters are written, and nothing of what they mean. */
#include "core/plane/page_private.h"

#include "core/base/embed.h"
#include "core/data/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMETER_BYTES = 64, COOKIE_BYTES = 160 };

struct page_question {
    struct page_question *next;
    struct page_worker *page;
    struct service_request *req;
    uint32_t id;
    bool stream, begun;
    int status; /* 0: no answer has begun */
    char cookie[PAGE_TOKEN_HEX + 1];
    bool has_cookie;
    struct buf body; /* the answer so far; of a stream what the browser does not take yet */
};

static const struct file {
    const char *path, *name, *type;
} files[] = {
    {"/", "contrib/page/index.html.gz", "text/html; charset=utf-8"},
    {"/page.css", "contrib/page/page.css.gz", "text/css; charset=utf-8"},
    {"/page.js", "contrib/page/page.js.gz", "text/javascript; charset=utf-8"},
};

static const struct route {
    const char *method, *path, *call;
    const char *parameters[3]; /* of the query; those that end in '#' are numbers */
} routes[] = {
    {"POST", "/api/login", "login", {NULL}},
    {"POST", "/api/logout", "logout", {NULL}},
    {"GET", "/api/state", "state", {NULL}},
    {"GET", "/api/approvals", "approvals", {"limit#", "session"}},
    {"GET", "/api/approval", "approval", {"id"}},
    {"POST", "/api/decide", "decide", {"id"}},
    {"GET", "/api/hosts", "hosts", {"session"}},
    {"POST", "/api/lock", "lock", {NULL}},
    {"GET", "/api/events", "events", {"after#"}},
};

/* ---- answers ---- */

/* On every answer. Scripts and styles come from our own files alone, nothing is drawn from text (trusted types), nobody
 * frames us, no address leaks. */
static void put_fields(struct service_request *req)
{
    static const struct {
        const char *name, *value;
    } fields[] = {
        {"Content-Security-Policy",
         "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
         "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
         "trusted-types 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Permissions-Policy", "camera=(), microphone=(), geolocation=()"},
    };
    bool good = true;

    for (size_t i = 0; i < COUNT(fields); i++)
        good = service_field(req, fields[i].name, fields[i].value) && good;
    if (!good)
        abort(); /* the table does not fit: our own mistake */
}

static void reply_error(struct service_request *req, int status, const struct err *err)
{
    json_t *answer JSON_AUTO = json_object(), *error = json_object();
    struct buf text CLEANUP(buf_clear);

    json_put(error, "code", err_word(err->code));
    json_put(error, "message", err->message);
    json_put(error, "hint", err->hint);
    json_object_set_new(answer, "error", error);
    buf_init(&text, SERVICE_CHUNK_BYTES);
    put_fields(req);
    if (json_write(answer, &text))
        service_reply(req, status, "application/json", text.data, text.len);
    else
        service_abort(req);
}

/* The files are compressed in the program, and there is nothing here to unpack them with. */
static bool takes_gzip(const struct service_request *req)
{
    struct span rest = service_header(req, "Accept-Encoding"), one;

    while (rest.p != NULL && span_cut(&rest, ',', &one))
        if (span_eqis(span_trim(one), "gzip"))
            return true;
    return false;
}

static void reply_file(struct service_request *req, const struct file *file)
{
    struct err err;

    if (!takes_gzip(req)) {
        err_set(&err, ERR_USAGE, "the page is for browsers: it comes in gzip, which this client does not accept");
        reply_error(req, 406, &err);
        return;
    }
    for (size_t i = 0; i < embed_count; i++) {
        if (strcmp(embed_files[i].path, file->name) != 0)
            continue;
        put_fields(req);
        if (!service_field(req, "Content-Encoding", "gzip"))
            abort();
        service_reply(req, 200, file->type, embed_files[i].data, embed_files[i].len);
        return;
    }
    err_set(&err, ERR_INTERNAL, "the program was built without %s", file->name);
    reply_error(req, 500, &err);
}

/* ---- a question's life ---- */

static void forget(struct page_question *question)
{
    struct page_question **at = &question->page->questions;

    while (*at != question)
        at = &(*at)->next;
    *at = question->next;
    secret_wipe(question->cookie, sizeof question->cookie);
    buf_wipe(&question->body);
    free(question);
}

static void on_gone(struct service_request *req, void *arg)
{
    struct page_question *question = arg;

    ipc_send(question->page->ipc, PAGE_CANCEL, 0, question->id, NULL, 0, NULL, 0);
    forget(question);
    service_abort(req);
}

/* What was asked is of no use any more, for a reason of ours. */
static void cut_off(struct page_question *question)
{
    struct service_request *req = question->req;

    service_on_gone(req, NULL, NULL);
    on_gone(req, question);
}

static bool put_parameters(const struct service_request *req, const struct route *route, json_t *ask, struct err *err)
{
    for (size_t i = 0; i < COUNT(route->parameters) && route->parameters[i] != NULL; i++) {
        char name[PARAMETER_BYTES];
        struct span value;
        uint64_t number = 0;
        size_t len = strcspn(route->parameters[i], "#");
        bool is_number = route->parameters[i][len] == '#';

        snprintf(name, sizeof name, "%.*s", (int)len, route->parameters[i]);
        if (!service_param(req, name, &value))
            continue;
        if (value.len > PARAMETER_BYTES || (is_number && !text_u64(value, INT64_MAX, &number)))
            return err_set(err, ERR_DATA, "%s is not what it should be", name);
        if (is_number)
            json_put_int(ask, name, (int64_t)number);
        else
            json_put_span(ask, name, value);
    }
    return true;
}

static void ask_monitor(struct page_worker *page, struct service_request *req, const struct route *route)
{
    struct span cookie = page_cookie(req, page->port), key = service_header(req, "X-Aileron-Key");
    struct span body = service_body(req);
    json_t *ask JSON_AUTO = json_object();
    struct buf text CLEANUP(buf_wipe);
    struct err err;

    json_put(ask, "call", route->call);
    if (cookie.p != NULL && cookie.len == PAGE_TOKEN_HEX)
        json_put_span(ask, "cookie", cookie);
    if (key.p != NULL && key.len == PAGE_TOKEN_HEX)
        json_put_span(ask, "key", key);
    buf_init(&text, PAGE_HEAD_BYTES + PAGE_BODY_BYTES);
    if (!put_parameters(req, route, ask, &err)) {
        reply_error(req, 400, &err);
        return;
    }
    if (body.len > PAGE_BODY_BYTES - 1 || !json_write(ask, &text) || text.len > PAGE_HEAD_BYTES ||
        !buf_add(&text, "", 1) || !buf_add(&text, body.p, body.len)) {
        err_set(&err, ERR_LIMIT, "this is too long for the page");
        err_hint(&err, "Use aileron approvals approve --edit");
        reply_error(req, 413, &err);
        return;
    }
    struct page_question *question = mem_alloc(sizeof *question);
    *question = (struct page_question){.next = page->questions, .page = page, .req = req, .id = ++page->last_id,
                                       .stream = strcmp(route->call, "events") == 0};
    page->questions = question;
    buf_init(&question->body, PAGE_ANSWER_BYTES);
    service_on_gone(req, on_gone, question);
    if (!ipc_send(page->ipc, PAGE_ASK, PAGE_SECRET, question->id, text.data, text.len, NULL, 0))
        cut_off(question);
}

/* ---- the monitor's answers ---- */

static struct page_question *find(struct page_worker *page, uint32_t id)
{
    struct page_question *question = page->questions;

    while (question != NULL && question->id != id)
        question = question->next;
    return question;
}

static void finish(struct page_question *question)
{
    struct service_request *req = question->req;
    char cookie[COOKIE_BYTES];

    service_on_gone(req, NULL, NULL);
    if (!service_gone(req)) {
        put_fields(req);
        snprintf(cookie, sizeof cookie, "aileron_%u=%s; Path=/; HttpOnly; SameSite=Strict%s", question->page->port,
                 question->cookie, question->cookie[0] == 0 ? "; Max-Age=0" : "");
        if (question->has_cookie && !service_field(req, "Set-Cookie", cookie))
            abort();
        secret_wipe(cookie, sizeof cookie);
    }
    service_reply(req, question->status, "application/json", question->body.data != NULL ? question->body.data
                                                                                         : (const uint8_t *)"",
                  question->body.len);
    forget(question);
}

/* A piece of a stream to the browser, or the same when it has room. */
static void pass_piece(struct page_question *question)
{
    if (question->body.len == 0 || !service_chunk(question->req, question->body.data, question->body.len))
        return;
    buf_clear(&question->body);
    ipc_send(question->page->ipc, PAGE_MORE, 0, question->id, NULL, 0, NULL, 0);
}

static void on_drained(struct service_request *req, void *arg)
{
    (void)req;
    pass_piece(arg);
}

static void stream(struct page_question *question, bool last)
{
    struct service_request *req = question->req;

    if (!question->begun) {
        put_fields(req);
        question->begun = true;
        service_begin(req, 200, "text/event-stream");
        service_on_drained(req, on_drained, question);
    }
    pass_piece(question);
    if (!last)
        return;
    service_on_gone(req, NULL, NULL);
    service_on_drained(req, NULL, NULL);
    forget(question);
    service_end(req);
}

/* The head of PAGE_ANSWER; what stands behind its NUL is left in *rest. */
static bool take_head(struct page_question *question, struct span *rest)
{
    const char *nul = rest->len > 0 ? memchr(rest->p, 0, rest->len) : NULL;
    struct doc doc = {0};
    struct err err;
    const char *cookie = NULL;
    int64_t status = 0;

    if (nul == NULL || question->status != 0 ||
        !json_parse(rest->p, (size_t)(nul - rest->p), PAGE_HEAD_BYTES, "answer", ERR_INTERNAL, &doc, &err))
        return false;
    struct json_at at = json_root(&doc);
    bool good = json_want_object(&at, &err) && json_get_int(&at, "status", JSON_NEED, 200, 599, &status, &err) &&
                json_get_text(&at, "cookie", JSON_MAY, PAGE_TOKEN_HEX, &cookie, &err);
    question->status = (int)status;
    question->has_cookie = cookie != NULL;
    if (cookie != NULL)
        snprintf(question->cookie, sizeof question->cookie, "%s", cookie);
    doc_clear(&doc);
    *rest = (struct span){nul + 1, rest->len - (size_t)(nul + 1 - rest->p)};
    return good;
}

void page_answer(struct page_worker *page, const struct ipc_message *message)
{
    struct page_question *question = find(page, message->id);
    struct span rest = {(const char *)message->data, message->len};

    if (question == NULL) /* its browser went away a moment ago */
        return;
    if ((message->type == PAGE_ANSWER && !take_head(question, &rest)) || question->status == 0 ||
        !buf_add(&question->body, rest.p, rest.len)) {
        cut_off(question);
        return;
    }
    if (question->stream && question->status == 200)
        stream(question, (message->flags & PAGE_LAST) != 0);
    else if (message->flags & PAGE_LAST)
        finish(question);
}

/* ---- routing ---- */

static const struct route *find_route(const struct service_request *req, bool *path_known)
{
    for (size_t i = 0; i < COUNT(routes); i++) {
        if (!span_eqs(service_path(req), routes[i].path))
            continue;
        *path_known = true;
        if (span_eqs(service_method(req), routes[i].method))
            return &routes[i];
    }
    return NULL;
}

static const struct file *find_file(const struct service_request *req, bool *path_known)
{
    for (size_t i = 0; i < COUNT(files); i++) {
        if (!span_eqs(service_path(req), files[i].path))
            continue;
        *path_known = true;
        if (span_eqs(service_method(req), "GET"))
            return &files[i];
    }
    return NULL;
}

static void tell_refusal(struct page_worker *page, const char *reason)
{
    char text[PARAMETER_BYTES];
    int len = snprintf(text, sizeof text, "{\"reason\":\"%s\"}", reason);

    ipc_send(page->ipc, PAGE_REFUSED, 0, 0, text, (size_t)len, NULL, 0);
}

void page_request(struct page_worker *page, struct service_request *req)
{
    bool path_known = false, api = span_starts(service_path(req), "/api/");
    const char *reason = NULL;
    struct err err;

    if (!page_check(req, page->port, api, &reason, &err)) {
        tell_refusal(page, reason);
        reply_error(req, 403, &err);
        return;
    }
    const struct file *file = find_file(req, &path_known);
    const struct route *route = find_route(req, &path_known);
    struct span type = service_header(req, "Content-Type");
    if (file != NULL) {
        reply_file(req, file);
    } else if (route == NULL) {
        const char *what = path_known ? "method" : "path";
        err_set(&err, path_known ? ERR_USAGE : ERR_NOT_FOUND, "the page has no such %s", what);
        reply_error(req, path_known ? 405 : 404, &err);
    } else if (span_eqs(service_method(req), "POST") && (type.p == NULL || !span_eqs(type, "application/json"))) {
        err_set(&err, ERR_DATA, "a call has application/json"); /* which no form of another page can send */
        reply_error(req, 415, &err);
    } else {
        ask_monitor(page, req, route);
    }
}
