/* The session API's routes, and the two that need the monitor: an operation's state, and the list. Running a
 * tool's operation is api_run.c's. */
#include "core/plane/api.h"
#include "core/plane/api_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct api {
    struct plane *plane;
    bool proven;
    struct service_request *waiting; /* until the monitor takes more; a connection has one request at a time */
    struct calm calm;
    struct task again;
};

void api_refuse(struct service_request *req, struct plane *plane, const struct err *err, int status)
{
    struct buf body CLEANUP(buf_clear);
    struct denial denial;
    buf_init(&body, DENIAL_BODY_BYTES);
    denial_from_err(&denial, err, status);
    if (err->code == ERR_DENIED)
        denial_record(&denial, plane);
    if (!denial_body(&denial, DENIAL_JSON, &body))
        service_abort(req);
    else
        service_reply(req, denial.status, "application/json", body.data, body.len);
}

void api_reply_json(struct service_request *req, int status, const json_t *value)
{
    struct buf body CLEANUP(buf_clear);
    buf_init(&body, SERVICE_REPLY_BYTES);
    if (json_write(value, &body) && buf_adds(&body, "\n"))
        service_reply(req, status, "application/json", body.data, body.len);
    else
        service_abort(req);
}

/* ---- questions that the monitor answers ---- */

struct question {
    struct plane *plane;
    struct service_request *req;
    struct ask *ask;
    bool with_result;  /* OP_STATE: the kept result follows in the answer's "result" */
    json_t *state;
    struct buf result;
};

static void question_free(struct question *question)
{
    json_decref(question->state);
    buf_clear(&question->result);
    free(question);
}

static void on_client_gone(struct service_request *req, void *arg)
{
    struct question *question = arg;
    ipc_send(question->plane->ipc, MESSAGE_CANCEL, 0, ask_id(question->ask), NULL, 0, NULL, 0);
    ask_cancel(question->ask);
    service_abort(req);
    question_free(question);
}

/* A result is bytes: UTF-8 is shown as it is, anything else in base64. */
static void finish_state(struct question *question)
{
    struct span text = {(const char *)question->result.data, question->result.len};
    if (text.len && text_utf8_valid(text)) {
        json_object_set_new(question->state, "result", json_stringn(text.p, text.len));
    } else if (text.len) {
        char *encoded AUTOFREE = mem_alloc(text_base64_len(text.len));
        text_base64(question->result.data, text.len, encoded);
        json_put(question->state, "result_base64", encoded);
    }
    api_reply_json(question->req, 200, question->state);
    question_free(question);
}

static bool on_answer(void *arg, const struct ipc_message *message)
{
    struct question *question = arg;
    struct doc doc CLEANUP(doc_clear) = {0};
    struct err err;
    if (message->type == MESSAGE_OP_RESULT) {
        if (!buf_add(&question->result, message->data, message->len))
            buf_clear(&question->result);
        if (!(message->flags & MESSAGE_LAST))
            return true;
        finish_state(question);
        return false;
    }
    if (message->type == MESSAGE_REFUSED) {
        plane_refusal(message, &err);
        api_refuse(question->req, question->plane, &err, 0);
    } else if (!json_parse(message->data, message->len, IPC_PAYLOAD_MAX, "monitor", ERR_INTERNAL, &doc,
                           &err)) {
        api_refuse(question->req, question->plane, &err, 0);
    } else if (message->type == MESSAGE_OP_STATE) {
        question->state = json_incref(doc.root);
        if (json_integer_value(json_object_get(doc.root, "result_bytes")) > 0)
            return true;
        finish_state(question);
        return false;
    } else {
        api_reply_json(question->req, 200, doc.root);
    }
    question_free(question);
    return false;
}

static void ask_for(struct plane *plane, struct service_request *req, enum message_type type,
                    const json_t *payload)
{
    struct question *question = mem_alloc(sizeof(*question));
    *question = (struct question){.plane = plane, .req = req};
    buf_init(&question->result, MESSAGE_RESULT_BYTES);
    service_on_gone(req, on_client_gone, question);
    question->ask = plane_ask(plane, type, payload, on_answer, question);
}

/* ---- routes ---- */

static void get_session(struct plane *plane, struct service_request *req)
{
    const struct snapshot *snapshot = plane->epoch->snapshot;
    json_t *value JSON_AUTO = json_object();
    json_put(value, "id", snapshot->session);
    json_put(value, "agent", snapshot->agent);
    json_put(value, "engine", snapshot->engine);
    json_put(value, "network", snapshot->sealed ? "sealed" : "open");
    json_put(value, "version", AILERON_VERSION);
    api_reply_json(req, 200, value);
}

static void get_tools(struct plane *plane, struct service_request *req)
{
    json_t *value JSON_AUTO = catalogue_json(plane->epoch->snapshot->rules->catalogue);
    api_reply_json(req, 200, value);
}

static void list_operations(struct plane *plane, struct service_request *req)
{
    json_t *payload JSON_AUTO = json_object();
    struct span state;
    if (service_param(req, "state", &state) && state.len > 0 && state.len <= 32 && text_is_token(state))
        json_put_span(payload, "state", state);
    if (service_param(req, "uncollected", &state))
        json_put_bool(payload, "uncollected", span_eqs(state, "true"));
    ask_for(plane, req, MESSAGE_OP_LIST, payload);
}

enum { WAIT_MAX_S = 600 };

static void get_operation(struct plane *plane, struct service_request *req)
{
    static const char prefix[] = "/v1/operations/";
    struct span path = service_path(req), wait;
    struct span name = {path.p + sizeof(prefix) - 1, path.len - (sizeof(prefix) - 1)};
    char id[64];
    uint64_t seconds = 0;
    struct err err;
    snprintf(id, sizeof(id), "%.*s", (int)(name.len < sizeof(id) ? name.len : sizeof(id) - 1), name.p);
    if (!id_valid(id, "op_") && !id_valid(id, "apr_")) {
        err_set(&err, ERR_NOT_FOUND, "there is no operation of this name");
        err_hint(&err, "Operations are called op_, and approvals apr_, and 26 letters and digits");
        api_refuse(req, plane, &err, 0);
        return;
    }
    if (service_param(req, "wait", &wait) && !text_u64(wait, WAIT_MAX_S, &seconds)) {
        err_set(&err, ERR_DATA, "wait is a number of seconds up to %d", WAIT_MAX_S);
        api_refuse(req, plane, &err, 0);
        return;
    }
    json_t *payload JSON_AUTO = json_object();
    json_put(payload, "id", id);
    json_put_int(payload, "wait_ms", (int64_t)seconds * 1000);
    ask_for(plane, req, MESSAGE_OP_GET, payload);
}

static bool check_ack(const struct doc *doc, struct err *err)
{
    static const char *const keys[] = {"ids", NULL};
    struct json_at at = json_root(doc), ids;
    size_t count = 0;
    if (!json_want_object(&at, err) || !json_only(&at, keys, err) ||
        !json_get_list(&at, "ids", JSON_NEED, API_ACK_IDS, &ids, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_at id = json_element(&ids, i);
        const char *text = NULL;
        if (!json_text_of(&id, 64, &text, err))
            return false;
        if (!id_valid(text, "op_"))
            return json_fail(&id, err, "must be an operation's id: op_ and 26 letters and digits");
    }
    return true;
}

static void ack_operations(struct plane *plane, struct service_request *req)
{
    struct doc doc CLEANUP(doc_clear) = {0};
    struct span body = service_body(req);
    struct err err;
    if (!json_parse(body.p, body.len, JSON_FILE_MAX, "request", ERR_DATA, &doc, &err) ||
        !check_ack(&doc, &err) || !plane_fits(doc.root, &err)) {
        api_refuse(req, plane, &err, 0);
        return;
    }
    ask_for(plane, req, MESSAGE_OP_ACK, doc.root);
}

static const struct route {
    const char *method, *path;
    bool prefix; /* path is the beginning of it */
    void (*run)(struct plane *, struct service_request *);
} routes[] = {
    {"GET", "/v1/session", false, get_session},
    {"GET", "/v1/tools", false, get_tools},
    {"POST", "/v1/connector-operations/run", false, api_run},
    {"GET", "/v1/operations", false, list_operations},
    {"POST", "/v1/operations/ack", false, ack_operations},
    {"GET", "/v1/operations/", true, get_operation},
};

static bool authorised(const struct api *api, const struct service_request *req)
{
    struct span field = service_header(req, "Authorization"), scheme;
    if (api->proven)
        return true;
    return field.p && span_cut(&field, ' ', &scheme) && span_eqis(scheme, "Bearer") &&
           snapshot_token_ok(api->plane->epoch->snapshot, span_trim(field));
}

static void on_request(struct service_request *req, void *arg)
{
    struct api *api = arg;
    struct span path = service_path(req);
    struct err err;
    if (!plane_calm(api->plane, &api->calm, &api->again)) {
        api->waiting = req;
        return;
    }
    if (!authorised(api, req)) {
        err_set(&err, ERR_DENIED, "this is not the session's token");
        err_hint(&err, "Send AILERON_TOKEN of this sandbox as a bearer token");
        api_refuse(req, api->plane, &err, 403);
        return;
    }
    if (api->plane->draining && !plane_may_begin(api->plane, &err)) { /* one that is halted may still collect */
        api_refuse(req, api->plane, &err, 0);
        return;
    }
    for (size_t i = 0; i < COUNT(routes); i++) {
        if (span_eqs(service_method(req), routes[i].method) &&
            (routes[i].prefix ? span_starts(path, routes[i].path) : span_eqs(path, routes[i].path))) {
            routes[i].run(api->plane, req);
            return;
        }
    }
    /* A01: whatever else there is belongs to the host's user. One answer for all, so that nothing is told. */
    err_set(&err, ERR_DENIED, "the session API has no such call");
    err_hint(&err, "GET /v1/tools says what can be run. Deciding is the user's, on the host");
    api_refuse(req, api->plane, &err, 403);
}

/* Its client may have gone meanwhile: the route's own handler of that ends it. */
static void on_again(void *arg)
{
    struct api *api = arg;
    struct service_request *req = api->waiting;
    api->waiting = NULL;
    if (req)
        on_request(req, api);
}

static void on_closed(struct service *service, void *arg)
{
    struct api *api = arg;
    (void)service;
    task_cancel(&api->again);
    calm_cancel(&api->calm);
    plane_leave(api->plane);
    free(api);
}

static const struct service_handler handler = {.request = on_request, .closed = on_closed};

void api_start(struct plane *plane, struct conn *conn, bool proven)
{
    struct api *api = mem_alloc(sizeof(*api));
    *api = (struct api){.plane = plane, .proven = proven};
    task_init(&api->again, plane->loop, on_again, api);
    const uint64_t *limits = plane->epoch->snapshot->rules->config->limits;
    struct service *service = service_new(conn, &handler, api); /* it lives until its connection ends */
    service_limits(service, limits[LIMIT_BODY_BYTES], limits[LIMIT_HEAD_MS]);
}
