/* Writes refusals as JSON and as HTTP answers. It decides nothing. */
#include "core/plane/denial.h"
#include "core/plane/plane.h"
#include "core/wire/http1.h"

#include <stdio.h>

void denial_from_err(struct denial *denial, const struct err *err, int status)
{
    *denial = (struct denial){.status = status ? status : err_http(err->code), .id = id_new("")};
    snprintf(denial->code, sizeof(denial->code), "%s", err_word(err->code));
    snprintf(denial->message, sizeof(denial->message), "%s", err->message);
    snprintf(denial->next, sizeof(denial->next), "%s", err->hint);
}

bool denial_body(const struct denial *denial, struct buf *out)
{
    json_t *root JSON_AUTO = json_object(), *error = json_object();
    json_put(error, "code", denial->code);
    json_put(error, "message", denial->message);
    json_put(error, "reason", denial->reason[0] ? denial->reason : NULL);
    json_put(error, "rule", denial->rule[0] ? denial->rule : NULL);
    json_put(error, "next", denial->next[0] ? denial->next : NULL);
    json_put(error, "id", denial->id.text);
    json_object_set_new(root, "error", error);
    return json_write(root, out) && buf_adds(out, "\n");
}

bool denial_head(const struct denial *denial, size_t body_bytes, struct msg *msg, struct err *err)
{
    msg->framing = MSG_LENGTH;
    msg->has_length = true;
    msg->content_length = body_bytes;
    return msg_response(msg, (unsigned)denial->status, span_of(http1_reason((unsigned)denial->status)), err) &&
           msg_add(msg, SPAN("Content-Type"), SPAN("application/json"), err) &&
           msg_add(msg, SPAN("X-Aileron-Denied"), span_of(denial->code), err) &&
           (denial->status != 407 ||
            msg_add(msg, SPAN("Proxy-Authenticate"), SPAN("Basic realm=\"aileron\""), err));
}

bool denial_answer(const struct denial *denial, bool close, bool head_only, struct buf *out)
{
    struct buf body CLEANUP(buf_clear);
    struct msg msg;
    struct err err;
    buf_init(&body, DENIAL_BODY_BYTES);
    struct arena *arena = arena_new(DENIAL_BODY_BYTES);
    msg_init(&msg, arena);
    bool done = denial_body(denial, &body) && denial_head(denial, body.len, &msg, &err);
    msg.keep_alive = !close;
    done = done && http1_write_response(&msg, out, &err) && (head_only || buf_add(out, body.data, body.len));
    arena_free(arena);
    return done;
}

void denial_record(const struct denial *denial, struct plane *plane)
{
    json_t *event = json_object();
    json_put(event, "event", "session.denied");
    json_put(event, "request", denial->id.text);
    json_put(event, "code", denial->code);
    json_put(event, "message", denial->message);
    lines_add(&plane->lines, event, false);
}
