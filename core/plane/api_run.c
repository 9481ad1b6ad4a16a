/* A tool's call: the monitor makes it an operation and says what to send; a flow sends it; the answer streams
 * to the client, and its beginning to the monitor, which keeps it. The operation runs to its end also where
 * the client goes away: its result can be collected later. */
#include "core/plane/api.h"
#include "core/plane/api_private.h"
#include "core/plane/flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct run {
    struct plane *plane;
    struct service_request *req; /* NULL: the client has gone */
    struct ask *ask;
    uint32_t ask_id;
    struct flow *flow;
    struct doc start;            /* OP_START; owns the strings below */
    const char *id, *binding, *body;
    size_t body_len, body_sent;
    struct arena *arena;
    struct msg msg;
    struct target target;
    unsigned status;
    char content_type[128];
    size_t kept_bytes; /* of the answer, given to the monitor */
    struct task again; /* after the monitor was slow */
    struct calm calm;
    bool begun;
};

static void run_free(struct run *run)
{
    task_cancel(&run->again);
    calm_cancel(&run->calm);
    doc_clear(&run->start);
    arena_free(run->arena);
    loop_defer(run->plane->loop, free, run);
}

/* A byte may become six in JSON; the monitor ends a worker whose error is larger. */
enum { DENIAL_BYTES = sizeof(((struct denial *)NULL)->code) + sizeof(((struct denial *)NULL)->message) +
                      sizeof(((struct denial *)NULL)->next) };
_Static_assert(6 * DENIAL_BYTES + 64 <= MESSAGE_ERROR_BYTES, "a denial is an operation's error");

static void done(struct run *run, const char *state, const struct denial *denial)
{
    json_t *value JSON_AUTO = json_object();
    struct buf text CLEANUP(buf_clear);
    json_put(value, "id", run->id);
    json_put_int(value, "status", (int64_t)run->status);
    json_put(value, "state", state);
    json_put(value, "content_type", run->content_type[0] ? run->content_type : NULL);
    if (denial) {
        json_t *error = json_object();
        json_put(error, "code", denial->code);
        json_put(error, "message", denial->message);
        json_put(error, "hint", denial->next);
        json_object_set_new(value, "error", error);
    }
    buf_init(&text, IPC_PAYLOAD_MAX);
    lines_flush(&run->plane->lines); /* how its request ended comes first */
    if (json_write(value, &text))
        ipc_send(run->plane->ipc, MESSAGE_OP_DONE, 0, run->ask_id, text.data, text.len, NULL, 0);
}

/* ---- the answer ---- */

/* The monitor takes no control characters and ends a worker that sends it any: a type that is not plain text in
 * ASCII, or longer than any that is used, is left out. */
static void keep_type(struct run *run, struct span type)
{
    if (type.len >= sizeof(run->content_type))
        return;
    for (size_t i = 0; i < type.len; i++)
        if (type.p[i] < ' ' || type.p[i] >= 0x7f)
            return;
    memcpy(run->content_type, type.p, type.len);
}

static void on_head(void *arg, struct msg *msg)
{
    struct run *run = arg;
    if (msg->status < 200)
        return;
    struct span type = msg_get(msg, "Content-Type");
    char status[16];
    run->status = msg->status;
    if (type.p)
        keep_type(run, type);
    run->begun = true;
    if (!run->req)
        return;
    snprintf(status, sizeof(status), "%u", msg->status);
    service_field(run->req, "Aileron-Operation", run->id);
    service_field(run->req, "Aileron-Status", status);
    service_begin(run->req, 200, run->content_type[0] ? run->content_type : NULL);
}

/* One byte more than the monitor keeps tells it that there was more. */
enum { KEPT_BYTES = MESSAGE_RESULT_BYTES + 1 };

static size_t on_room(void *arg)
{
    struct run *run = arg;
    if (run->kept_bytes < KEPT_BYTES && !plane_calm(run->plane, &run->calm, &run->again))
        return 0;
    return run->req && run->begun ? service_room(run->req) : MESSAGE_CHUNK_BYTES;
}

static void on_body(void *arg, struct span data)
{
    struct run *run = arg;
    size_t left = KEPT_BYTES - run->kept_bytes, keep = data.len < left ? data.len : left;
    for (size_t at = 0; at < keep; at += MESSAGE_CHUNK_BYTES) {
        size_t len = keep - at < MESSAGE_CHUNK_BYTES ? keep - at : MESSAGE_CHUNK_BYTES;
        ipc_send(run->plane->ipc, MESSAGE_OP_BODY, 0, run->ask_id, data.p + at, len, NULL, 0);
    }
    run->kept_bytes += keep;
    if (run->req && !service_chunk(run->req, data.p, data.len)) {
        service_abort(run->req); /* cannot be: the flow asked for room */
        run->req = NULL;
    }
}

static void on_end(void *arg, const struct msg *msg)
{
    struct run *run = arg;
    (void)msg;
    done(run, run->status < 400 ? "succeeded" : "failed", NULL);
    if (run->req)
        service_end(run->req);
    run_free(run);
}

static void on_refused(void *arg, const struct denial *denial, bool head_sent)
{
    struct run *run = arg;
    done(run, "failed", denial);
    if (run->req && head_sent) {
        service_abort(run->req);
    } else if (run->req) {
        struct buf body CLEANUP(buf_clear);
        buf_init(&body, DENIAL_BODY_BYTES);
        service_field(run->req, "Aileron-Operation", run->id);
        if (denial_body(denial, DENIAL_JSON, &body))
            service_reply(run->req, denial->status, "application/json", body.data, body.len);
        else
            service_abort(run->req);
    }
    run_free(run);
}

static void on_more(void *arg)
{
    struct run *run = arg;
    size_t left = run->body_len - run->body_sent, room = flow_room(run->flow);
    size_t len = left < room ? left : room;
    struct span part = {run->body ? run->body + run->body_sent : NULL, len};
    run->body_sent += len;
    flow_body(run->flow, part);
    if (run->body_sent == run->body_len)
        flow_body_end(run->flow);
}

static void on_upgraded(void *arg, struct conn *upstream)
{
    struct run *run = arg;
    conn_close(upstream); /* an operation asks for no upgrade, so the parser never lets one through */
    run_free(run);
}

static const struct flow_client flow_client = {
    .head = on_head, .room = on_room, .body = on_body, .end = on_end,
    .refused = on_refused, .more = on_more, .upgraded = on_upgraded,
};

static void on_drained(struct service_request *req, void *arg)
{
    struct run *run = arg;
    (void)req;
    if (run->flow)
        flow_drained(run->flow);
}

static void on_again(void *arg)
{
    struct run *run = arg;
    if (run->flow)
        flow_drained(run->flow);
}

/* ---- the request ---- */

static bool build(struct run *run, struct err *err)
{
    struct json_at at = json_root(&run->start), headers;
    const char *method = NULL, *host = NULL, *path = NULL, *query = NULL;
    int64_t port = 443;
    bool present = false;
    if (!json_get_text(&at, "id", JSON_NEED, 64, &run->id, err) ||
        !json_get_text(&at, "method", JSON_NEED, 32, &method, err) ||
        !json_get_text(&at, "host", JSON_NEED, 256, &host, err) ||
        !json_get_int(&at, "port", JSON_MAY, 1, 65535, &port, err) ||
        !json_get_raw(&at, "path", JSON_NEED, TARGET_PATH_BYTES, &path, err) ||
        !json_get_raw(&at, "query", JSON_MAY, TARGET_PATH_BYTES, &query, err) ||
        !json_get_raw(&at, "body", JSON_MAY, IPC_PAYLOAD_MAX, &run->body, err) ||
        !json_get_text(&at, "binding", JSON_MAY, 256, &run->binding, err) ||
        !json_get_object(&at, "headers", JSON_MAY, &headers, &present, err))
        return false;
    run->target = (struct target){.scheme = TARGET_HTTPS, .port = (uint16_t)port, .path = path,
                                  .query = query};
    msg_init(&run->msg, run->arena);
    if (!target_host_parse(span_of(host), &run->target.host, err) ||
        !msg_request(&run->msg, span_of(method), span_of(path), err))
        return false;
    const char *name;
    json_t *value;
    if (present)
        json_object_foreach(headers.node, name, value)
            if (!json_is_string(value) ||
                !msg_add(&run->msg, span_of(name), span_of(json_string_value(value)), err))
                return err_wrap(err, "header %s", name);
    if (!msg_get(&run->msg, "User-Agent").p &&
        !msg_set(&run->msg, "User-Agent", SPAN("aileron/" AILERON_VERSION), err))
        return false;
    if (run->body) {
        run->body_len = strlen(run->body);
        run->msg.framing = MSG_LENGTH;
        run->msg.has_length = true;
        run->msg.content_length = run->body_len;
        return msg_get(&run->msg, "Content-Type").p ||
               msg_set(&run->msg, "Content-Type", SPAN("application/json"), err);
    }
    return true;
}

static void start(struct run *run, const struct ipc_message *message)
{
    struct err err;
    run->arena = arena_new(MSG_ARENA_BYTES);
    if (!json_parse(message->data, message->len, IPC_PAYLOAD_MAX, "monitor", ERR_INTERNAL, &run->start,
                    &err) ||
        !build(run, &err)) {
        struct denial denial;
        denial_from_err(&denial, &err, 0);
        if (!run->id)
            run->id = "";
        on_refused(run, &denial, false);
        return;
    }
    struct flow_request request = {.epoch = run->plane->epoch, .target = &run->target, .msg = &run->msg,
                                   .operation = run->id, .binding = run->binding};
    if (run->req)
        service_on_drained(run->req, on_drained, run);
    run->flow = flow_start(run->plane, &request, &flow_client, run);
}

/* An idempotency key that is known: the operation as it stands (its result is there for aileron-wait). */
static void reply_state(struct run *run, const struct ipc_message *message)
{
    if (run->req)
        service_reply(run->req, 202, "application/json", message->data, message->len);
    run_free(run);
}

static bool on_answer(void *arg, const struct ipc_message *message)
{
    struct run *run = arg;
    struct err err;
    if (message->type == MESSAGE_OP_START) {
        start(run, message);
        return false;
    }
    if (message->type == MESSAGE_OP_STATE) {
        reply_state(run, message);
        return false; /* OP_RESULT messages of the same id find nobody, and are dropped */
    }
    plane_refusal(message, &err);
    if (run->req)
        api_refuse(run->req, run->plane, &err, 0);
    run_free(run);
    return false;
}

static void on_gone(struct service_request *req, void *arg)
{
    struct run *run = arg;
    run->req = NULL;
    service_abort(req);
    if (run->flow)
        flow_drained(run->flow); /* the rest is read for the record alone */
}

/* The shape that the monitor expects: it ends a worker that sends another, so nothing else is passed on. */
static bool check_call(const struct doc *doc, struct err *err)
{
    static const char *const keys[] = {"connector_fqn", "tool", "operation", "args", "idempotency_key", NULL};
    struct json_at at = json_root(doc), args;
    const char *text = NULL;
    bool present = false;
    return json_want_object(&at, err) && json_only(&at, keys, err) &&
           json_get_text(&at, "tool", JSON_NEED, API_NAME_BYTES, &text, err) &&
           json_get_text(&at, "operation", JSON_NEED, API_NAME_BYTES, &text, err) &&
           json_get_text(&at, "connector_fqn", JSON_MAY, API_NAME_BYTES, &text, err) &&
           json_get_text(&at, "idempotency_key", JSON_MAY, API_KEY_BYTES, &text, err) &&
           json_get_object(&at, "args", JSON_MAY, &args, &present, err);
}

void api_run(struct plane *plane, struct service_request *req)
{
    struct doc doc CLEANUP(doc_clear) = {0};
    struct span body = service_body(req);
    struct err err;
    if (!plane_may_begin(plane, &err)) {
        api_refuse(req, plane, &err, 0);
        return;
    }
    if (!json_parse(body.p, body.len, JSON_FILE_MAX, "request", ERR_DATA, &doc, &err) ||
        !check_call(&doc, &err) || !plane_fits(doc.root, &err)) {
        err_hint(&err, "Send {\"tool\", \"operation\", \"args\"}");
        api_refuse(req, plane, &err, 0);
        return;
    }
    struct run *run = mem_alloc(sizeof(*run));
    run->plane = plane;
    run->req = req;
    task_init(&run->again, plane->loop, on_again, run);
    service_on_gone(req, on_gone, run);
    run->ask = plane_ask(plane, MESSAGE_OP_RUN, doc.root, on_answer, run);
    run->ask_id = ask_id(run->ask);
}

void api_run_approved(struct plane *plane, const struct ipc_message *message)
{
    struct run *run = mem_alloc(sizeof(*run));
    run->plane = plane;
    task_init(&run->again, plane->loop, on_again, run);
    run->ask_id = message->id;
    start(run, message);
}
