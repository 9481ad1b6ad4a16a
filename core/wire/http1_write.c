/* Heads and chunks as bytes. A head is written from its parts and nothing else: framing comes from what msg says
 * of its body, so that it can never contradict the bytes that follow (threats C09, C10). */
#include "core/wire/http1_private.h"

#include <stdio.h>

static bool too_large(struct err *err)
{
    return err_set(err, ERR_LIMIT, "the head does not fit into its buffer");
}

/* The fields that this file alone says. */
static bool is_ours(struct span name)
{
    return span_eqis(name, "content-length") || span_eqis(name, "transfer-encoding") ||
           span_eqis(name, "connection");
}

static bool write_field(struct span name, struct span value, struct buf *out, struct err *err)
{
    if (!text_is_token(name) || !msg_value_valid(value))
        return err_set(err, ERR_DATA, "a field that cannot be written");
    if (!buf_add(out, name.p, name.len) || !buf_add(out, ": ", 2) ||
        !buf_add(out, value.len ? value.p : "", value.len) || !buf_add(out, "\r\n", 2))
        return too_large(err);
    return true;
}

/* Connection: what this message does with its own connection. */
static bool write_connection(const struct msg *msg, struct buf *out, struct err *err)
{
    bool upgrade = msg->upgrade && msg_count(msg, "upgrade");
    bool te = msg_count(msg, "te") > 0;
    char value[40];
    if (!upgrade && !te && (msg->keep_alive || msg->upgrade))
        return true;
    snprintf(value, sizeof(value), "%s%s%s", upgrade ? ", upgrade" : "", te ? ", te" : "",
             msg->keep_alive || msg->upgrade ? "" : ", close");
    return write_field(SPAN("Connection"), span_of(value + 2), out, err);
}

static bool write_framing(const struct msg *msg, struct buf *out, struct err *err)
{
    char digits[21];
    bool length = msg->framing == MSG_LENGTH || (msg->framing == MSG_NONE && msg->has_length);
    if (msg->framing == MSG_CHUNKED)
        return write_field(SPAN("Transfer-Encoding"), SPAN("chunked"), out, err);
    if (!length)
        return true;
    size_t len = text_decimal(msg->content_length, digits);
    return write_field(SPAN("Content-Length"), (struct span){digits, len}, out, err);
}

static bool write_fields(const struct msg *msg, struct buf *out, struct err *err)
{
    for (size_t i = 0; i < msg->fields.count; i++) {
        const struct msg_field *field = &msg->fields.items[i];
        if (!is_ours(field->name) && !write_field(field->name, field->value, out, err))
            return false;
    }
    if (!write_framing(msg, out, err) || !write_connection(msg, out, err))
        return false;
    return buf_add(out, "\r\n", 2) || too_large(err);
}

bool http1_write_request(const struct msg *msg, struct span target, struct buf *out, struct err *err)
{
    size_t before = out->len;
    if (!text_is_token(msg->method) || target.len == 0)
        return err_set(err, ERR_DATA, "a request line that cannot be written");
    for (size_t i = 0; i < target.len; i++)
        if (target.p[i] <= ' ' || target.p[i] >= 0x7f)
            return err_set(err, ERR_DATA, "a target that cannot be written");
    if (msg_count(msg, "host") != 1)
        return err_set(err, ERR_DATA, "a request needs exactly one Host");
    if (msg->framing == MSG_UNTIL_CLOSE)
        return err_set(err, ERR_DATA, "the body of a request cannot end with its connection");
    bool ok = buf_add(out, msg->method.p, msg->method.len) && buf_add(out, " ", 1) &&
              buf_add(out, target.p, target.len) && buf_adds(out, " HTTP/1.1\r\n");
    if (!ok)
        too_large(err);
    if (ok && write_fields(msg, out, err))
        return true;
    out->len = before;
    return false;
}

bool http1_write_response(const struct msg *msg, struct buf *out, struct err *err)
{
    size_t before = out->len;
    struct span reason = msg->reason.len ? msg->reason : span_of(http1_reason(msg->status));
    if (msg->status < 100 || msg->status > 599 || !msg_value_valid(reason))
        return err_set(err, ERR_DATA, "a status line that cannot be written");
    if ((msg->status < 200 || msg->status == 204 || msg->status == 304) && msg->framing != MSG_NONE)
        return err_set(err, ERR_DATA, "a response with status %u has no body", msg->status);
    char status[21];
    bool ok = buf_adds(out, "HTTP/1.1 ") && buf_add(out, status, text_decimal(msg->status, status)) &&
              buf_adds(out, " ") && buf_add(out, reason.p, reason.len) && buf_add(out, "\r\n", 2);
    if (!ok)
        too_large(err);
    if (ok && write_fields(msg, out, err))
        return true;
    out->len = before;
    return false;
}

size_t http1_chunk_head(uint64_t len, char out[HTTP1_CHUNK_HEAD_BYTES])
{
    return (size_t)snprintf(out, HTTP1_CHUNK_HEAD_BYTES, "%llx\r\n", (unsigned long long)len);
}

size_t http1_data_room(size_t room)
{
    const size_t kept = HTTP1_CHUNK_HEAD_BYTES + 2 + HTTP1_LAST_CHUNK_BYTES;
    return room > kept ? room - kept : 0;
}

bool http1_write_last_chunk(const struct msg *msg, struct buf *out, struct err *err)
{
    size_t before = out->len;
    bool ok = buf_adds(out, "0\r\n") || too_large(err);
    for (size_t i = 0; ok && msg && i < msg->trailers.count; i++)
        ok = write_field(msg->trailers.items[i].name, msg->trailers.items[i].value, out, err);
    if (ok && (buf_adds(out, "\r\n") || too_large(err)))
        return true;
    out->len = before;
    return false;
}

const char *http1_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } rows[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {103, "Early Hints"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {423, "Locked"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].status == status)
            return rows[i].reason;
    return "";
}
