/* The control API: the socket, who may speak on it, the routing, and the shape of answers and errors. It knows no
 * route's meaning: the rows come from control_*.c. */
#include "core/authority/control.h"

#include "core/authority/lease.h"
#include "core/base/proc.h"
#include "core/loop/listen.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTIONS = 256, CLOSE_TURNS = 100, META_BYTES = 16 * 1024, ANSWER_BYTES = SERVICE_REPLY_BYTES };

struct connection {
    struct connection *next;
    struct control *control;
    struct service *service;
};
struct control {
    struct monitor *monitor;
    int fd;
    char *path;
    struct listener *listener;
    struct connection *connections;
    size_t count;
};

/* ---- answers ---- */

void control_reply(struct service_request *req, int status, json_t *answer)
{
    struct buf text;

    buf_init(&text, ANSWER_BYTES);
    if (json_write(answer, &text)) {
        service_reply(req, status, "application/json", text.data, text.len);
    } else {
        static const char too_large[] =
            "{\"error\":{\"code\":\"limit\",\"message\":\"the answer is too large\",\"hint\":\"Use a filter\"}}";
        service_reply(req, 500, "application/json", too_large, sizeof too_large - 1);
    }
    json_decref(answer);
    buf_clear(&text);
}

void control_fail(struct service_request *req, const struct err *err)
{
    json_t *error = json_object(), *answer = json_object();

    json_put(error, "code", err_word(err->code));
    json_put(error, "message", err->message);
    json_put(error, "hint", err->hint);
    json_object_set_new(answer, "error", error);
    control_reply(req, err_http(err->code), answer);
}

bool control_body(struct service_request *req, struct doc *doc)
{
    struct span body = service_body(req);
    struct err err = {0};

    if (body.len == 0)
        body = SPAN("{}");
    if (json_parse(body.p, body.len, JSON_FILE_MAX, "body", ERR_DATA, doc, &err)) {
        struct json_at at = json_root(doc);
        if (json_want_object(&at, &err))
            return true;
        doc_clear(doc);
    }
    control_fail(req, &err);
    return false;
}

bool control_secret_body(struct service_request *req, struct doc *doc, struct span *secret)
{
    struct span body = service_body(req);
    const char *nul = body.len > 0 ? memchr(body.p, 0, body.len) : NULL;
    struct err err = {0};

    if (nul == NULL) {
        err_set(&err, ERR_DATA, "the body is not a JSON object, a NUL byte and the secret");
    } else {
        size_t head = (size_t)(nul - body.p);
        *secret = (struct span){nul + 1, body.len - head - 1};
        if (json_parse(body.p, head, META_BYTES, "body", ERR_DATA, doc, &err)) {
            struct json_at at = json_root(doc);
            if (json_want_object(&at, &err))
                return true;
            doc_clear(doc);
        }
    }
    control_fail(req, &err);
    return false;
}

bool control_param(struct service_request *req, const char *name, char *out, size_t cap)
{
    struct span value;

    out[0] = 0;
    if (!service_param(req, name, &value))
        return true;
    if (value.len >= cap)
        return false;
    memcpy(out, value.p, value.len);
    out[value.len] = 0;
    return true;
}

/* ---- routing ---- */

/* Matches "/v1/sessions/{id}/hold" against a path; *id gets the segment. */
static bool route_matches(const char *pattern, struct span path, struct span *id)
{
    struct span rest = span_of(pattern), want, got;

    *id = (struct span){0};
    while (span_cut(&rest, '/', &want)) {
        if (!span_cut(&path, '/', &got))
            return false;
        if (span_eqs(want, "{id}")) {
            if (got.len == 0)
                return false;
            *id = got;
        } else if (!span_eq(want, got)) {
            return false;
        }
    }
    return path.len == 0;
}

static const struct control_route *find_route(const struct control_route *routes, struct service_request *req,
                                              struct span *id, bool *path_known)
{
    for (; routes->method != NULL; routes++) {
        if (!route_matches(routes->path, service_path(req), id))
            continue;
        *path_known = true;
        if (span_eqs(service_method(req), routes->method))
            return routes;
    }
    return NULL;
}

static void on_request(struct service_request *req, void *arg)
{
    struct connection *connection = arg;
    const struct control_route *route;
    struct span id;
    bool path_known = false;
    struct err err = {0};

    route = find_route(control_session_routes, req, &id, &path_known);
    if (route == NULL)
        route = find_route(control_vault_routes, req, &id, &path_known);
    if (route == NULL)
        route = find_route(control_approval_routes, req, &id, &path_known);
    if (route == NULL)
        route = find_route(control_workspace_routes, req, &id, &path_known);
    if (route != NULL) {
        if (strcmp(route->method, "GET") != 0) /* it may change what was lent */
            leases_end(connection->control->monitor);
        route->fn(connection->control->monitor, req, id);
        return;
    }
    if (path_known)
        err_set(&err, ERR_USAGE, "this path has no such method");
    else
        err_set(&err, ERR_NOT_FOUND, "the control API has no such path");
    err_hint(&err, "The daemon is version %s", connection->control->monitor->version);
    control_fail(req, &err);
}

static void on_closed(struct service *service, void *arg)
{
    struct connection *connection = arg;
    struct connection **at = &connection->control->connections;

    (void)service;
    while (*at != connection)
        at = &(*at)->next;
    *at = connection->next;
    if (connection->control->count-- == CONNECTIONS && connection->control->listener != NULL)
        listener_pause(connection->control->listener, false);
    free(connection);
}

static const struct service_handler handler = {on_request, on_closed};

static void ignore_event(struct conn *conn, enum conn_event event, void *arg)
{
    (void)conn;
    (void)event;
    (void)arg;
}

static void on_accept(void *arg, int fd)
{
    struct control *control = arg;
    pid_t pid = 0;
    uid_t uid = 0;

    bool known = proc_peer(fd, &pid, &uid);
    /* A bwrap sandbox's processes have our own user's id: should a mount ever show them this socket, it is of no
     * use to them (A01). */
    const char *why = !known || uid != geteuid() ? "another user" : !proc_is_beside_us(pid) ? "a sandbox" : NULL;
    if (why != NULL) {
        json_t *event = record_event("control.denied", NULL);
        json_put_int(event, "uid", (int64_t)uid);
        json_put_int(event, "pid", pid);
        json_put(event, "reason", why);
        record_note(control->monitor->record, event);
        close(fd);
        return;
    }
    struct connection *connection = mem_alloc(sizeof *connection);
    connection->control = control;
    connection->next = control->connections;
    control->connections = connection;
    if (++control->count == CONNECTIONS)
        listener_pause(control->listener, true);
    struct conn *conn = conn_new_fd(control->monitor->loop, fd, ignore_event, NULL);
    connection->service = service_new(conn, &handler, connection);
}

struct control *control_open(struct monitor *monitor, struct err *err)
{
    struct control *control = mem_alloc(sizeof *control);

    control->monitor = monitor;
    control->path = mem_printf("%s/run/control.sock", monitor->home);
    control->fd = proc_unix_listen(control->path, 0600, err);
    if (control->fd >= 0)
        control->listener = listener_new(monitor->loop, control->fd, on_accept, control, err);
    if (control->listener != NULL)
        return control;
    control_close(control);
    return NULL;
}

/* Every connection is cut off; their ends are called back from the loop, which is turned for that. */
void control_close(struct control *control)
{
    if (control == NULL)
        return;
    listener_free(control->listener);
    control->listener = NULL;
    if (control->fd >= 0) {
        close(control->fd);
        unlink(control->path);
    }
    for (struct connection *c = control->connections; c != NULL; c = c->next)
        service_close(c->service);
    for (int turn = 0; control->connections != NULL && turn < CLOSE_TURNS; turn++)
        loop_turn(control->monitor->loop, false);
    free(control->path);
    free(control);
}
