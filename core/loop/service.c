/* The server's side of one connection: reads whole requests, gives them to the handler one at a
 * time, and ends in order when the client goes. Answers are service_reply.c's; what a request means
 * is the handler's. */
#include "core/loop/service.h"
#include "core/base/mem.h"
#include "core/loop/service_state.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

void service_set_state(struct service *service, enum service_state state)
{
    assert(service->state != SERVICE_OVER || state == SERVICE_OVER);
    service->state = state;
}

/* ---- the end ---- */

void service_over(struct service *service)
{
    if (service->state == SERVICE_OVER)
        return;
    conn_close(service->conn); /* nothing where conn_finish has it */
    service->conn = NULL;
    timer_stop(&service->head_timer);
    queue_clear(&service->rest);
    service_set_state(service, SERVICE_OVER);
    task_post(&service->task);
}

static void release(struct service *service)
{
    service->magic = 0;
    timer_stop(&service->head_timer);
    task_cancel(&service->task);
    http1_free(service->parser);
    arena_free(service->arena);
    buf_wipe(&service->req.body);
    queue_clear(&service->rest);
    free(service);
}

/* The client has closed both directions: a Unix socket shows that; with TCP only a failing write
 * will. */
static bool hung_up(const struct service *service)
{
    struct pollfd poll_fd = {.fd = conn_fd(service->conn)};
    return poll(&poll_fd, 1, 0) > 0 && poll_fd.revents & (POLLHUP | POLLERR);
}

/* ---- requests ---- */

static void begin_reading(struct service *service)
{
    struct service_request *req = &service->req;
    buf_wipe(&req->body);
    arena_reset(service->arena);
    *req = (struct service_request){.service = service};
    buf_init(&req->body, service->body_bytes);
    msg_init(&service->msg, service->arena);
    msg_init(&req->reply, service->arena);
    http1_begin_request(service->parser, &service->msg);
    service->head_done = false;
    timer_stop(&service->head_timer);
}

/* "/path?query", also in absolute form. */
static void split_target(struct service_request *req, struct span target)
{
    if (target.len > 0 && target.p[0] != '/') {
        const char *scheme_end = memmem(target.p, target.len, "://", 3);
        if (scheme_end) {
            struct span rest = {scheme_end + 3, target.len - (size_t)(scheme_end + 3 - target.p)};
            const char *slash = memchr(rest.p, '/', rest.len);
            target = slash ? (struct span){slash, rest.len - (size_t)(slash - rest.p)} : SPAN("/");
        }
    }
    const char *mark = target.len ? memchr(target.p, '?', target.len) : NULL;
    req->path = target;
    req->query = (struct span){"", 0};
    if (mark) {
        req->path.len = (size_t)(mark - target.p);
        req->query = (struct span){mark + 1, target.len - req->path.len - 1};
    }
}

static void too_large(struct service *service)
{
    char message[64];
    snprintf(message, sizeof(message), "the request is larger than %zu bytes", service->body_bytes);
    service_refuse(service, 413, ERR_LIMIT, message);
}

static void head_came(struct service *service)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const struct msg *msg = &service->msg;
    service->head_done = true;
    split_target(&service->req, msg->target);
    if (msg->framing == MSG_LENGTH && msg->content_length > service->body_bytes)
        too_large(service);
    else if (msg->expect_continue && msg->framing != MSG_NONE)
        service_send(service, go_on, sizeof(go_on) - 1);
}

static void request_came(struct service *service)
{
    timer_stop(&service->head_timer);
    service_set_state(service, SERVICE_ASKED);
    service->req.open = true;
    service->handler->request(&service->req, service->arg);
}

static void malformed(struct service *service)
{
    int status = http1_error_status(service->parser);
    bool large = status == 431;
    service_refuse(service, status, large ? ERR_LIMIT : ERR_DATA,
                   large ? "the request's head is too large"
                         : "the request is not HTTP/1.1 that this server reads");
}

/* False: needs more input, or the state says so. */
static bool parse_one(struct service *service)
{
    struct err err;
    struct span body = {"", 0}, input = conn_peek(service->conn);
    size_t before = input.len;
    if (before > 0 && http1_idle(service->parser))
        timer_start(&service->head_timer, service->head_ms);
    enum http1_event event = http1_next(service->parser, &input, &body, &err);
    bool fits = event != HTTP1_BODY || buf_add(&service->req.body, body.p, body.len);
    conn_consume(service->conn, before - input.len);
    switch (event) {
    case HTTP1_NEED_MORE:
        return false;
    case HTTP1_HEAD:
        head_came(service);
        break;
    case HTTP1_BODY:
        if (!fits)
            too_large(service);
        break;
    case HTTP1_TRAILERS:
        break;
    case HTTP1_END:
        request_came(service);
        return false; /* one a round, also where the answer was given at once */
    case HTTP1_ERROR:
        malformed(service);
        break;
    }
    return service->state == SERVICE_READING;
}

static void serve(struct service *service)
{
    if (service->serving || service->next_due)
        return; /* the task begins the next request first */
    service->serving = true;
    while (service->state == SERVICE_READING && parse_one(service))
        ;
    service->serving = false;
    if (service->state != SERVICE_READING || service->next_due)
        return;
    if (service->eof || (service->draining && http1_idle(service->parser)))
        service_last(service);
}

static void client_ended(struct service *service)
{
    service->eof = true;
    switch (service->state) {
    case SERVICE_READING:
        serve(service);
        break;
    case SERVICE_ASKED:
    case SERVICE_STREAMING:
        /* It may only have closed its direction, and read on. */
        if (hung_up(service))
            service_over(service);
        break;
    case SERVICE_ENDING:
    case SERVICE_OVER:
        break;
    }
}

static void timed_out(struct service *service)
{
    bool stuck = conn_unsent(service->conn) > 0 || service->rest.len > 0;
    if (stuck || service->state == SERVICE_READING)
        service_over(service);
}

static void on_conn(struct conn *conn, enum conn_event event, void *arg)
{
    struct service *service = arg;
    assert(service->magic == SERVICE_MAGIC && service->conn == conn);
    switch (event) {
    case CONN_CONNECTED:
    case CONN_SECURED:
        break;
    case CONN_READABLE:
        serve(service);
        break;
    case CONN_DRAINED:
        service_flush(service);
        break;
    case CONN_EOF:
        client_ended(service);
        break;
    case CONN_FAILED:
        service_over(service);
        break;
    case CONN_TIMED_OUT:
        timed_out(service);
        break;
    }
}

static void on_head_time(void *arg)
{
    struct service *service = arg;
    assert(service->magic == SERVICE_MAGIC);
    if (service->state == SERVICE_READING)
        service_refuse(service, 408, ERR_TIMEOUT, "the request did not arrive in time");
}

/* What may not be done from within a call of the owner. */
static void on_task(void *arg)
{
    struct service *service = arg;
    struct service_request *req = &service->req;
    assert(service->magic == SERVICE_MAGIC);
    if (service->state == SERVICE_READING) {
        if (service->rest.len > 0)
            return; /* service_flush comes back here: one answer at most is kept for a client that does not read */
        service->next_due = false;
        begin_reading(service);
        serve(service);
        return;
    }
    if (service->state != SERVICE_OVER)
        return;
    if (req->open && req->gone_fn && !req->gone_told) {
        req->gone_told = true;
        req->gone_fn(req, req->gone_arg);
    }
    if (req->open)
        return; /* its end posts this task again */
    if (service->handler->closed)
        service->handler->closed(service, service->arg);
    release(service);
}

/* ---- birth, questions ---- */

struct service *service_new(struct conn *conn, const struct service_handler *handler, void *arg)
{
    struct service *service = mem_alloc(sizeof(*service));
    service->magic = SERVICE_MAGIC;
    service->state = SERVICE_READING;
    service->loop = conn_loop(conn);
    service->conn = conn;
    service->handler = handler;
    service->arg = arg;
    service->parser = http1_new();
    service->body_bytes = SERVICE_BODY_BYTES;
    service->head_ms = SERVICE_HEAD_MS;
    service->arena = arena_new(MSG_ARENA_BYTES);
    service->eof = conn_eof(conn);
    queue_init(&service->rest, SERVICE_REPLY_BYTES);
    timer_init(&service->head_timer, service->loop, on_head_time, service);
    task_init(&service->task, service->loop, on_task, service);
    conn_set_handler(conn, on_conn, service);
    conn_limits(conn, 0, SERVICE_OUT_BYTES);
    conn_deadline(conn, SERVICE_IDLE_MS);
    conn_read_resume(conn);
    service->next_due = true;
    task_post(&service->task); /* bytes may be there already */
    return service;
}

void service_limits(struct service *service, size_t body_bytes, uint64_t head_ms)
{
    service->body_bytes = body_bytes;
    service->head_ms = head_ms;
}

void service_close(struct service *service)
{
    service_over(service);
}

void service_drain(struct service *service)
{
    service->draining = true;
    if (service->state == SERVICE_READING && !service->next_due && !service->serving &&
        http1_idle(service->parser))
        service_last(service);
}

struct conn *service_conn(const struct service *service)
{
    return service->conn;
}

struct service *service_of(const struct service_request *req)
{
    return req->service;
}

struct span service_method(const struct service_request *req)
{
    return req->service->msg.method;
}

struct span service_path(const struct service_request *req)
{
    return req->path;
}

struct span service_query(const struct service_request *req)
{
    return req->query;
}

bool service_param(const struct service_request *req, const char *name, struct span *value)
{
    struct span rest = req->query, pair, key;
    while (span_cut(&rest, '&', &pair)) {
        *value = pair;
        if (span_cut(value, '=', &key) && span_eqs(key, name))
            return true;
    }
    return false;
}

struct span service_header(const struct service_request *req, const char *name)
{
    return msg_get(&req->service->msg, name);
}

struct span service_body(const struct service_request *req)
{
    return (struct span){req->body.data ? (const char *)req->body.data : "", req->body.len};
}

void service_set_data(struct service_request *req, void *data)
{
    req->data = data;
}

void *service_data(const struct service_request *req)
{
    return req->data;
}

void service_on_gone(struct service_request *req, service_fn fn, void *arg)
{
    req->gone_fn = fn;
    req->gone_arg = arg;
    if (service_gone(req) && !req->gone_told)
        task_post(&req->service->task);
}

bool service_gone(const struct service_request *req)
{
    return req->service->state == SERVICE_OVER;
}
