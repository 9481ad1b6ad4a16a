/* What we send over HTTP/2: heads from struct msg, bodies with back-pressure, trailers, resets. A head is written
 * from its parts; what belongs to HTTP/1.1 alone never gets in. */
#include "core/wire/http2_private.h"

#include <stdio.h>

enum { PSEUDO_MAX = 5, FIELDS_MAX = PSEUDO_MAX + MSG_FIELDS_MAX + 1 };

struct head {
    nghttp2_nv items[FIELDS_MAX];
    size_t count;
    char digits[24], status[8];
};

static void put(struct head *head, struct span name, struct span value, bool secret)
{
    nghttp2_nv *nv = &head->items[head->count++];
    /* nghttp2 copies both, and makes the name lower-case. */
    nv->name = (uint8_t *)(uintptr_t)name.p;
    nv->namelen = name.len;
    nv->value = (uint8_t *)(uintptr_t)(value.len ? value.p : "");
    nv->valuelen = value.len;
    nv->flags = secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
}

/* RFC 9113 8.2.2; and what the pseudo-fields and our own length say. */
static bool left_out(struct span name)
{
    static const char *const names[] = {"connection", "keep-alive", "transfer-encoding", "upgrade",
                                        "host", "content-length", "proxy-connection", "http2-settings"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (span_eqis(name, names[i]))
            return true;
    return false;
}

/* Never in a compression table, on no hop (RFC 7541 7.1.3). */
static bool is_secret(struct span name, const char *secret)
{
    static const char *const names[] = {"authorization", "cookie", "set-cookie", "proxy-authorization", "x-api-key"};
    if (secret && span_eqis(name, secret))
        return true;
    for (size_t i = 0; i < COUNT(names); i++)
        if (span_eqis(name, names[i]))
            return true;
    return false;
}

static bool put_fields(struct head *head, const struct msg *msg, const char *secret, struct err *err)
{
    for (size_t i = 0; i < msg->fields.count; i++) {
        const struct msg_field *field = &msg->fields.items[i];
        if (left_out(field->name))
            continue;
        if (!text_is_token(field->name) || !msg_value_valid(field->value))
            return err_set(err, ERR_DATA, "a field that cannot be written");
        put(head, field->name, field->value, is_secret(field->name, secret));
    }
    if (msg->framing == MSG_LENGTH || (msg->framing == MSG_NONE && msg->has_length)) {
        snprintf(head->digits, sizeof(head->digits), "%llu", (unsigned long long)msg->content_length);
        put(head, SPAN("content-length"), span_of(head->digits), false);
    }
    return true;
}

/* ---- bodies ---- */

static size_t unsent(const struct http2_stream *stream)
{
    return stream->out.len - stream->out_at;
}

static bool send_trailers(struct http2_stream *stream)
{
    nghttp2_nv items[MSG_TRAILERS_MAX];
    for (size_t i = 0; i < stream->last.count; i++) {
        const struct msg_field *field = &stream->last.items[i];
        items[i] = (nghttp2_nv){(uint8_t *)(uintptr_t)field->name.p, (uint8_t *)(uintptr_t)field->value.p,
                                field->name.len, field->value.len, NGHTTP2_NV_FLAG_NONE};
    }
    return nghttp2_submit_trailer(stream->session->nghttp2, stream->id, items, stream->last.count) == 0;
}

static ssize_t read_body(nghttp2_session *nghttp2, int32_t id, uint8_t *out, size_t len, uint32_t *flags,
                         nghttp2_data_source *source, void *arg)
{
    struct http2 *session = arg;
    struct http2_stream *stream = http2_find(session, id);
    (void)nghttp2;
    (void)source;
    if (!stream)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t take = unsent(stream) < len ? unsent(stream) : len;
    if (take == 0 && !stream->ending) {
        stream->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (take > 0)
        memcpy(out, stream->out.data + stream->out_at, take);
    session->control = 0;
    stream->out_at += take;
    if (unsent(stream) == 0) {
        buf_wipe(&stream->out);
        stream->out_at = 0;
    }
    if (stream->above_low && unsent(stream) <= HTTP2_OUT_BYTES / 4 && !stream->ending) {
        stream->above_low = false;
        session->handler->writable(session->arg, stream);
    }
    if (stream->gone)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (stream->ending && unsent(stream) == 0) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        stream->sent = true;
        if (stream->last.count && send_trailers(stream))
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    }
    return (ssize_t)take;
}

static void resume(struct http2_stream *stream)
{
    if (!stream->deferred)
        return;
    stream->deferred = false;
    nghttp2_session_resume_data(stream->session->nghttp2, stream->id);
}

size_t http2_room(const struct http2_stream *stream)
{
    return stream->gone || stream->lingering || stream->ending ? 0 : HTTP2_OUT_BYTES - unsent(stream);
}

bool http2_write(struct http2_stream *stream, struct span data)
{
    if (data.len > http2_room(stream))
        return false;
    if (stream->out_at >= HTTP2_OUT_BYTES) {
        buf_consume(&stream->out, stream->out_at);
        stream->out_at = 0;
    }
    if (!buf_add(&stream->out, data.p, data.len))
        return false;
    stream->above_low = stream->above_low || unsent(stream) > HTTP2_OUT_BYTES / 4;
    resume(stream);
    return true;
}

bool http2_end(struct http2_stream *stream, const struct msg *msg, struct err *err)
{
    if (stream->gone || stream->lingering || stream->ending)
        return true;
    if (msg && msg->trailers.count) {
        struct msg_field *items = arena_alloc(stream->arena, msg->trailers.count * sizeof(*items));
        for (size_t i = 0; items && i < msg->trailers.count; i++) {
            const struct msg_field *field = &msg->trailers.items[i];
            const char *name = arena_strndup(stream->arena, field->name.p, field->name.len);
            const char *value = arena_strndup(stream->arena, field->value.len ? field->value.p : "", field->value.len);
            if (!name || !value)
                return err_set(err, ERR_LIMIT, "the trailers do not fit beside their head");
            items[i] = (struct msg_field){{name, field->name.len}, {value, field->value.len}};
        }
        if (!items)
            return err_set(err, ERR_LIMIT, "the trailers do not fit beside their head");
        stream->last = (struct msg_fields){items, msg->trailers.count, msg->trailers.count};
    }
    stream->ending = true;
    resume(stream);
    return true;
}

bool http2_sent(const struct http2_stream *stream)
{
    return stream->sent || stream->gone || stream->lingering;
}

struct span http2_peek(const struct http2_stream *stream)
{
    return (struct span){(const char *)stream->in.data, stream->in.len};
}

void http2_consume(struct http2_stream *stream, size_t len)
{
    buf_consume(&stream->in, len);
    if (!stream->gone && !stream->lingering && len > 0)
        nghttp2_session_consume_stream(stream->session->nghttp2, stream->id, len);
}

bool http2_ended(const struct http2_stream *stream)
{
    return stream->remote_ended && stream->in.len == 0;
}

/* ---- heads ---- */

static const nghttp2_data_provider body = {.read_callback = read_body};

struct http2_stream *http2_request(struct http2 *session, const struct msg *msg, const char *scheme,
                                   struct span path, const char *secret, void *owner, struct err *err)
{
    struct head head = {.count = 0};
    struct span host = msg_get(msg, "host");
    if (!text_is_token(msg->method) || !host.p || path.len == 0 ||
        (msg->upgrade && !text_is_token(msg_get(msg, "upgrade")))) {
        err_set(err, ERR_DATA, "a request that cannot be written");
        return NULL;
    }
    put(&head, SPAN(":method"), msg->upgrade ? SPAN("CONNECT") : msg->method, false);
    put(&head, SPAN(":scheme"), span_of(scheme), false);
    put(&head, SPAN(":authority"), host, false);
    put(&head, SPAN(":path"), path, false);
    if (msg->upgrade)
        put(&head, SPAN(":protocol"), msg_get(msg, "upgrade"), false);
    if (!put_fields(&head, msg, secret, err))
        return NULL;
    struct http2_stream *stream = http2_stream_new(session, 0);
    stream->owner = owner;
    stream->to_head = span_eqs(msg->method, "HEAD");
    stream->ending = msg->framing == MSG_NONE && !msg->upgrade;
    stream->to_upgrade = msg->upgrade;
    stream->id = nghttp2_submit_request(session->nghttp2, NULL, head.items, head.count,
                                        stream->ending ? NULL : &body, stream);
    session->control = 0;
    if (stream->id > 0)
        return stream;
    err_set(err, ERR_UPSTREAM, "the HTTP/2 connection takes no request: %s", nghttp2_strerror(stream->id));
    stream->id = 0;
    http2_stream_drop(stream);
    return NULL;
}

bool http2_respond(struct http2_stream *stream, const struct msg *msg, struct err *err)
{
    struct head head = {.count = 0};
    nghttp2_session *nghttp2 = stream->session->nghttp2;
    bool agreed = stream->to_upgrade && msg->status == 101;
    if (msg->status < 100 || msg->status > 599 || (msg->status == 101 && !agreed) ||
        (msg->status / 100 == 2 && stream->to_upgrade))
        return err_set(err, ERR_DATA, "a status that HTTP/2 does not have");
    if (stream->gone || stream->lingering)
        return err_set(err, ERR_FAILED, "the stream is gone");
    snprintf(head.status, sizeof(head.status), "%u", agreed ? 200 : msg->status);
    put(&head, SPAN(":status"), span_of(head.status), false);
    if (!put_fields(&head, msg, NULL, err))
        return false;
    int rc;
    if (msg->status < 200 && !agreed) {
        rc = nghttp2_submit_headers(nghttp2, NGHTTP2_FLAG_NONE, stream->id, NULL, head.items, head.count, NULL);
    } else {
        stream->ending = stream->sent = msg->framing == MSG_NONE && !agreed;
        rc = nghttp2_submit_response(nghttp2, stream->id, head.items, head.count, stream->ending ? NULL : &body);
    }
    return rc == 0 || err_set(err, ERR_FAILED, "the stream is gone");
}

void http2_reset(struct http2_stream *stream, enum http2_code code)
{
    if (stream->gone)
        return;
    if (!stream->lingering)
        nghttp2_submit_rst_stream(stream->session->nghttp2, NGHTTP2_FLAG_NONE, stream->id, code);
    http2_stream_drop(stream);
}

/* ---- what a stream says of itself ---- */

void http2_set_owner(struct http2_stream *stream, void *owner)
{
    stream->owner = owner;
}

void *http2_owner(const struct http2_stream *stream)
{
    return stream->owner;
}

struct msg *http2_msg(struct http2_stream *stream)
{
    return &stream->msg;
}

const struct err *http2_fault(const struct http2_stream *stream)
{
    return stream->err;
}

struct span http2_scheme(const struct http2_stream *stream)
{
    return stream->scheme;
}
