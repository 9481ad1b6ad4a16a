/* Answers: a whole one, or one in pieces. What does not fit into the connection's buffer at once is
 * kept, bounded, and sent as the client reads. It decides no status and no text but those for what
 * is not a request. */
#include "core/base/mem.h"
#include "core/loop/service.h"
#include "core/loop/service_state.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
    CHUNK_FRAME_BYTES = HTTP1_CHUNK_HEAD_BYTES + 2, /* around the data of one chunk */
    LAST_CHUNK_BYTES = 5,
    HEAD_BYTES = 16 * 1024 /* of an answer */
};

/* ---- bytes ---- */

void service_send(struct service *service, const void *data, size_t len)
{
    if (service->state == SERVICE_OVER || len == 0)
        return;
    size_t now = service->rest.len ? 0 : conn_room(service->conn);
    if (now > len)
        now = len;
    if (now > 0 && !conn_write(service->conn, data, now))
        now = 0;
    queue_add(&service->rest, (const uint8_t *)data + now, len - now);
}

static void after_last(struct service *service)
{
    struct conn *conn = service->conn;
    service->conn = NULL; /* conn_finish takes it, and calls nobody any more */
    conn_finish(conn, SERVICE_LINGER_MS);
    service_over(service);
}

void service_last(struct service *service)
{
    if (conn_unsent(service->conn) > 0)
        after_last(service);
    else
        service_over(service);
}

void service_flush(struct service *service)
{
    struct service_request *req = &service->req;
    while (service->rest.len > 0) {
        struct span have = queue_peek(&service->rest);
        size_t len = conn_room(service->conn);
        if (len > have.len)
            len = have.len;
        if (len == 0 || !conn_write(service->conn, have.p, len))
            return;
        queue_take(&service->rest, len);
    }
    if (service->state == SERVICE_ENDING) {
        after_last(service);
    } else if (service->state == SERVICE_STREAMING && req->drained_fn) {
        req->drained_fn(req, req->drained_arg);
    } else if (service->next_due) {
        task_post(&service->task);
    }
}

/* Another request may follow on this connection. */
static bool goes_on(const struct service *service)
{
    return service->msg.keep_alive && !service->draining &&
           (!service->eof || conn_peek(service->conn).len > 0);
}

/* The answer is complete: the next request, or the end of the connection. */
static void answered(struct service *service)
{
    service->req.open = false;
    if (service->state == SERVICE_OVER) {
        task_post(&service->task);
        return;
    }
    if (goes_on(service)) {
        service_set_state(service, SERVICE_READING);
        service->next_due = true;
        task_post(&service->task); /* also when the next request is in the buffer already */
        return;
    }
    service_set_state(service, SERVICE_ENDING);
    if (service->rest.len == 0)
        after_last(service);
}

/* ---- heads ---- */

static bool has_no_body(const struct service *service, int status)
{
    return status == 204 || status == 304 || span_eqs(service->msg.method, "HEAD");
}

/* False where the head cannot be written: only a field of our own can be the reason. */
static bool write_head(struct service *service, int status, const char *content_type,
                       struct buf *out)
{
    struct err err;
    struct msg *reply = &service->req.reply;
    const char *reason = http1_reason((unsigned)status);
    if (!msg_response(reply, (unsigned)status, span_of(reason), &err))
        return false;
    if (content_type && !msg_set(reply, "Content-Type", span_of(content_type), &err))
        return false;
    if (!msg_set(reply, "Cache-Control", SPAN("no-store"), &err))
        return false;
    reply->keep_alive = goes_on(service);
    return http1_write_response(reply, out, &err);
}

bool service_field(struct service_request *req, const char *name, const char *value)
{
    struct err err;
    assert(req->open &&
           (req->service->state == SERVICE_ASKED || req->service->state == SERVICE_OVER));
    if (req->reply.bytes + strlen(name) + strlen(value) > SERVICE_FIELDS_BYTES)
        return false;
    return msg_add(&req->reply, span_of(name), span_of(value), &err);
}

/* ---- the whole answer ---- */

void service_reply(struct service_request *req, int status, const char *content_type,
                   const void *body, size_t len)
{
    struct service *service = req->service;
    struct buf head;
    assert(req->open && len <= SERVICE_REPLY_BYTES - HEAD_BYTES);
    if (service->state == SERVICE_OVER) {
        answered(service);
        return;
    }
    assert(service->state == SERVICE_ASKED);
    bool none = has_no_body(service, status);
    req->reply.framing = none ? MSG_NONE : MSG_LENGTH;
    req->reply.has_length = status != 204;
    req->reply.content_length = len;
    buf_init(&head, HEAD_BYTES);
    if (!write_head(service, status, content_type, &head)) {
        service_abort(req);
        buf_clear(&head);
        return;
    }
    conn_cork(service->conn);
    service_send(service, head.data, head.len);
    if (!none)
        service_send(service, body, len);
    conn_uncork(service->conn);
    buf_clear(&head);
    answered(service);
}

void service_refuse(struct service *service, int status, enum err_code code, const char *message)
{
    char body[512];
    int len = snprintf(body, sizeof(body),
                       "{\"error\": {\"code\": \"%s\", \"message\": \"%s\", \"hint\": \"\"}}\n",
                       err_word(code), message);
    /* The rest of the input has no known beginning. */
    service->msg.keep_alive = false;
    service_set_state(service, SERVICE_ASKED);
    service->req.open = true;
    service_reply(&service->req, status, "application/json", body, (size_t)len);
}

/* ---- an answer in pieces ---- */

void service_begin(struct service_request *req, int status, const char *content_type)
{
    struct service *service = req->service;
    struct buf head;
    assert(req->open);
    if (service->state == SERVICE_OVER)
        return;
    assert(service->state == SERVICE_ASKED);
    bool none = has_no_body(service, status);
    req->chunked = !none && service->msg.minor > 0;
    if (!none && !req->chunked)
        service->msg.keep_alive = false; /* HTTP/1.0 knows no chunks */
    req->reply.framing = none ? MSG_NONE : req->chunked ? MSG_CHUNKED : MSG_UNTIL_CLOSE;
    buf_init(&head, HEAD_BYTES);
    if (write_head(service, status, content_type, &head)) {
        service_set_state(service, SERVICE_STREAMING);
        service_send(service, head.data, head.len);
    } else {
        service_over(service); /* the owner still ends the request */
    }
    buf_clear(&head);
}

size_t service_room(const struct service_request *req)
{
    const struct service *service = req->service;
    if (service->state != SERVICE_STREAMING || service->rest.len > 0)
        return 0;
    size_t room = conn_room(service->conn);
    return room > CHUNK_FRAME_BYTES + LAST_CHUNK_BYTES ? room - CHUNK_FRAME_BYTES - LAST_CHUNK_BYTES
                                                       : 0;
}

bool service_chunk(struct service_request *req, const void *data, size_t len)
{
    struct service *service = req->service;
    assert(req->open);
    if (service->state == SERVICE_OVER || len == 0)
        return true;
    assert(service->state == SERVICE_STREAMING);
    if (req->reply.framing == MSG_NONE)
        return true;
    if (len > service_room(req))
        return false;
    char head[HTTP1_CHUNK_HEAD_BYTES];
    conn_cork(service->conn);
    if (req->chunked)
        service_send(service, head, http1_chunk_head(len, head));
    service_send(service, data, len);
    if (req->chunked)
        service_send(service, "\r\n", 2);
    conn_uncork(service->conn);
    return true;
}

void service_on_drained(struct service_request *req, service_fn fn, void *arg)
{
    req->drained_fn = fn;
    req->drained_arg = arg;
}

void service_end(struct service_request *req)
{
    struct service *service = req->service;
    assert(req->open && (service->state == SERVICE_STREAMING || service->state == SERVICE_OVER));
    if (service->state == SERVICE_STREAMING && req->chunked)
        service_send(service, "0\r\n\r\n", LAST_CHUNK_BYTES);
    answered(service);
}

void service_abort(struct service_request *req)
{
    struct service *service = req->service;
    assert(req->open);
    service_over(service);
    answered(service);
}
