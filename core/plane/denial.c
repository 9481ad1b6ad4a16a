/* Writes refusals as JSON and as HTTP answers. It decides nothing. */
#include "core/plane/denial.h"
#include "core/plane/plane.h"
#include "core/wire/http1.h"

#include <stdio.h>
#include <string.h>

enum { PHRASE_BYTES = 256 };

void denial_from_err(struct denial *denial, const struct err *err, int status)
{
    *denial = (struct denial){.status = status ? status : err_http(err->code), .id = id_new("")};
    snprintf(denial->code, sizeof(denial->code), "%s", err_word(err->code));
    snprintf(denial->message, sizeof(denial->message), "%s", err->message);
    snprintf(denial->next, sizeof(denial->next), "%s", err->hint);
    if (!denial->next[0] && err->code == ERR_DATA)
        snprintf(denial->next, sizeof(denial->next), "Nothing was sent upstream. Correct the request");
    if (!denial->next[0] && (err->code == ERR_UPSTREAM || err->code == ERR_TIMEOUT))
        snprintf(denial->next, sizeof(denial->next), "This is no rule: the service, or the way to it from the host, "
                 "does not work. Try again later, or tell the user");
}

/* ---- forms ---- */

enum denial_form denial_form(struct span accept, struct span user_agent)
{
    struct span item, type;
    if (span_starts(user_agent, "git/")) /* it shows its user plain text, of whatever it takes, and nothing else */
        return DENIAL_TEXT;
    while (msg_list_next(&accept, &item)) {
        if (!span_cut(&item, ';', &type))
            continue;
        type = span_trim(type);
        if (span_eqis(type, "text/html") || span_eqis(type, "application/xhtml+xml"))
            return DENIAL_HTML;
        if (span_eqis(type, "text/plain"))
            return DENIAL_TEXT;
        if (span_eqis(type, "*/*") || span_eqis(type, "application/json"))
            break;
    }
    return DENIAL_JSON;
}

static const char *media_type(enum denial_form form)
{
    switch (form) {
    case DENIAL_TEXT:
        return "text/plain; charset=utf-8";
    case DENIAL_HTML:
        return "text/html; charset=utf-8";
    case DENIAL_JSON:
        break;
    }
    return "application/json";
}

/* "aileron: denied: MESSAGE: REASON (RULE). NEXT" */
static bool write_line(const struct denial *denial, struct buf *out)
{
    bool done = buf_printf(out, "aileron: %s: %s", denial->code, denial->message);
    if (denial->reason[0])
        done = done && buf_printf(out, ": %s", denial->reason);
    if (denial->rule[0])
        done = done && buf_printf(out, " (%s)", denial->rule);
    return done && (!denial->next[0] || buf_printf(out, ". %s", denial->next));
}

/* The line stands beside the error since many programs (gh, git-lfs) show a "message" of that place alone. */
static bool write_json(const struct denial *denial, struct buf *out)
{
    json_t *root JSON_AUTO = json_object(), *error = json_object();
    struct buf line CLEANUP(buf_clear);
    buf_init(&line, DENIAL_BODY_BYTES);
    json_put(error, "code", denial->code);
    json_put(error, "message", denial->message);
    json_put(error, "reason", denial->reason[0] ? denial->reason : NULL);
    json_put(error, "rule", denial->rule[0] ? denial->rule : NULL);
    json_put(error, "next", denial->next[0] ? denial->next : NULL);
    json_put(error, "id", denial->id.text);
    json_object_set_new(root, "error", error);
    json_put(root, "message", write_line(denial, &line) ? buf_cstr(&line) : NULL);
    return json_write(root, out) && buf_adds(out, "\n");
}

static bool write_text(const struct denial *denial, struct buf *out)
{
    return write_line(denial, out) && buf_printf(out, ". id %s\n", denial->id.text);
}

/* Hosts, paths and rules may stand in it: nothing of them is markup. */
static bool write_escaped(const char *text, struct buf *out)
{
    bool done = true;
    for (const char *c = text; *c && done; c++) {
        switch (*c) {
        case '&': done = buf_adds(out, "&amp;"); break;
        case '<': done = buf_adds(out, "&lt;"); break;
        case '>': done = buf_adds(out, "&gt;"); break;
        case '"': done = buf_adds(out, "&quot;"); break;
        default: done = buf_add(out, c, 1); break;
        }
    }
    return done;
}

static bool write_row(const char *name, const char *text, struct buf *out)
{
    return !text[0] || (buf_printf(out, "<dt>%s</dt><dd>", name) && write_escaped(text, out) &&
                        buf_adds(out, "</dd>\n"));
}

static bool write_html(const struct denial *denial, struct buf *out)
{
    return buf_adds(out, "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Aileron: ") &&
           write_escaped(denial->code, out) &&
           buf_adds(out, "</title>\n<meta name=\"viewport\" content=\"width=device-width\">\n"
                         "<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:42rem;"
                         "margin:3rem auto;padding:0 1rem;color-scheme:light dark}dt{font-weight:600}"
                         "dd{margin:0 0 .75rem}</style>\n<h1>") &&
           write_escaped(denial->message, out) && buf_adds(out, "</h1>\n<dl>\n") &&
           write_row("Why", denial->reason, out) && write_row("Rule", denial->rule, out) &&
           write_row("What next", denial->next, out) && write_row("Code", denial->code, out) &&
           write_row("On the record as", denial->id.text, out) && buf_adds(out, "</dl>\n</html>\n");
}

bool denial_body(const struct denial *denial, enum denial_form form, struct buf *out)
{
    switch (form) {
    case DENIAL_TEXT:
        return write_text(denial, out);
    case DENIAL_HTML:
        return write_html(denial, out);
    case DENIAL_JSON:
        break;
    }
    return write_json(denial, out);
}

/* ---- answers ---- */

/* "Forbidden (aileron: denied: MESSAGE: REASON)". Programs that show nothing of a body show this (wget, Python, Go,
 * npm), and of a refused CONNECT nothing else is shown by any. HTTP/2 has none. */
static void reason_phrase(const struct denial *denial, char out[PHRASE_BYTES])
{
    const char *more = strcmp(denial->reason, denial->message) != 0 ? denial->reason : "";
    int len = snprintf(out, PHRASE_BYTES, "%s (aileron: %s: %s%s%s)", http1_reason((unsigned)denial->status),
                       denial->code, denial->message, more[0] ? ": " : "", more);
    if (len >= PHRASE_BYTES)
        memcpy(out + PHRASE_BYTES - 5, "...)", 5);
    for (char *c = out; *c; c++)
        if (*c < ' ' || *c > '~' || *c == '<' || *c == '>') /* some show it in a page */
            *c = '?';
}

bool denial_head(const struct denial *denial, enum denial_form form, size_t body_bytes, struct msg *msg,
                 struct err *err)
{
    char phrase[PHRASE_BYTES];
    reason_phrase(denial, phrase);
    msg->framing = MSG_LENGTH;
    msg->has_length = true;
    msg->content_length = body_bytes;
    return msg_response(msg, (unsigned)denial->status, span_of(phrase), err) &&
           msg_add(msg, SPAN("Content-Type"), span_of(media_type(form)), err) &&
           msg_add(msg, SPAN("X-Aileron-Denied"), span_of(denial->code), err) &&
           (denial->status != 407 ||
            msg_add(msg, SPAN("Proxy-Authenticate"), SPAN("Basic realm=\"aileron\""), err));
}

bool denial_answer(const struct denial *denial, enum denial_form form, bool close, bool head_only, struct buf *out)
{
    struct buf body CLEANUP(buf_clear);
    struct msg msg;
    struct err err;
    buf_init(&body, DENIAL_BODY_BYTES);
    struct arena *arena = arena_new(DENIAL_BODY_BYTES);
    msg_init(&msg, arena);
    bool done = denial_body(denial, form, &body) && denial_head(denial, form, body.len, &msg, &err);
    msg.keep_alive = !close;
    done = done && http1_write_response(&msg, out, &err) && (head_only || buf_add(out, body.data, body.len));
    arena_free(arena);
    return done;
}

void denial_record(const struct denial *denial, struct plane *plane)
{
    struct flat_out *event = lines_event(&plane->lines, "session.denied");
    flat_put(event, "request", denial->id.text);
    flat_put(event, "code", denial->code);
    flat_put(event, "message", denial->message);
    lines_add(&plane->lines, LINES_NOW);
}
