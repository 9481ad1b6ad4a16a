/* What a head says about its message: where the body ends, whether the connection goes on, and whether the head
 * can be believed at all (RFC 9112 6, RFC 9110 7). Two answers to one question are a refusal (threats C08, C09):
 * the next one to read these bytes might choose the other. */
#include "core/wire/http1_private.h"

static bool refuse(int *status, int code, struct err *err, const char *what)
{
    *status = code;
    return err_set(err, ERR_DATA, "%s", what);
}

/* ---- both directions ---- */

/* Transfer-Encoding and Content-Length: *chunked, and msg's length. */
static bool read_framing(struct msg *msg, bool *chunked, int *status, struct err *err)
{
    size_t lengths = msg_count(msg, "content-length");
    size_t codings = msg_count(msg, "transfer-encoding");
    *chunked = false;
    if (lengths && codings)
        return refuse(status, 400, err, "both Content-Length and Transfer-Encoding");
    if (lengths > 1)
        return refuse(status, 400, err, "more than one Content-Length");
    if (codings > 1)
        return refuse(status, 400, err, "more than one Transfer-Encoding");
    if (codings) {
        if (msg->minor == 0)
            return refuse(status, 400, err, "Transfer-Encoding in HTTP/1.0");
        if (!span_eqis(msg_get(msg, "transfer-encoding"), "chunked"))
            return refuse(status, 400, err, "a Transfer-Encoding other than chunked");
        *chunked = true;
    }
    if (lengths) {
        if (!text_u64(msg_get(msg, "content-length"), INT64_MAX, &msg->content_length))
            return refuse(status, 400, err, "a malformed Content-Length");
        msg->has_length = true;
    }
    return true;
}

static bool read_connection(struct msg *msg, int *status, struct err *err)
{
    size_t tokens = 0;
    for (size_t i = 0; i < msg->fields.count; i++) {
        struct span rest = msg->fields.items[i].value, item;
        if (!span_eqis(msg->fields.items[i].name, "connection"))
            continue;
        while (msg_list_next(&rest, &item)) {
            if (++tokens > MSG_TOKENS_MAX)
                return refuse(status, 400, err, "more than 32 options in Connection");
            if (!text_is_token(item))
                return refuse(status, 400, err, "a malformed Connection");
        }
    }
    msg->keep_alive = !msg_has_token(msg, "connection", "close") &&
                      (msg->minor > 0 || msg_has_token(msg, "connection", "keep-alive"));
    return true;
}

/* ---- requests ---- */

/* A protocol that would carry HTTP again, past everything that looks at it here. */
static bool carries_http(struct span protocol)
{
    return span_eqis(protocol, "h2c") || span_eqis(protocol, "h2") ||
           (protocol.len >= 5 && span_eqi((struct span){protocol.p, 5}, SPAN("HTTP/"))) ||
           (protocol.len >= 4 && span_eqi((struct span){protocol.p, 4}, SPAN("TLS/")));
}

/* A server is free to ignore an Upgrade; so is this one. */
static bool wants_upgrade(const struct msg *msg)
{
    struct span rest = msg_get(msg, "upgrade"), protocol;
    size_t protocols = 0;
    if (msg->minor == 0 || msg_count(msg, "upgrade") != 1 ||
        !msg_has_token(msg, "connection", "upgrade"))
        return false;
    while (msg_list_next(&rest, &protocol)) {
        if (carries_http(protocol))
            return false;
        protocols++;
    }
    return protocols > 0;
}

bool http1_frame_request(struct msg *msg, int *status, struct err *err)
{
    bool chunked, connect = span_eqs(msg->method, "CONNECT");
    size_t hosts = msg_count(msg, "host"), expects = msg_count(msg, "expect");
    if (hosts > 1)
        return refuse(status, 400, err, "more than one Host");
    if (hosts == 0 && msg->minor > 0)
        return refuse(status, 400, err, "no Host");
    if (!read_framing(msg, &chunked, status, err) || !read_connection(msg, status, err))
        return false;
    if (msg_has_double(msg, "content-length") || msg_has_double(msg, "transfer-encoding"))
        return refuse(status, 400, err, "a field that some take for Content-Length or Transfer-Encoding");
    if (connect && (chunked || msg->content_length))
        return refuse(status, 400, err, "a CONNECT with a body");
    if (chunked)
        msg->framing = MSG_CHUNKED;
    else if (msg->has_length && !connect)
        msg->framing = MSG_LENGTH;
    if (expects > 1 || (expects == 1 && !span_eqis(msg_get(msg, "expect"), "100-continue")))
        return refuse(status, 417, err, "an expectation other than 100-continue");
    if (expects && !msg_set_borrowed(msg, "Expect", SPAN("100-continue"), err)) /* one spelling: some know no other */
        return false;
    msg->expect_continue = expects == 1 && msg->minor > 0;
    msg->upgrade = !connect && wants_upgrade(msg);
    return true;
}

/* ---- responses ---- */

bool http1_frame_response(struct msg *msg, enum http1_answer to, bool upgrade, struct err *err)
{
    bool chunked;
    int status;
    if (msg->status < 100 || msg->status > 599)
        return err_set(err, ERR_DATA, "a status that is not one of 100 to 599");
    if (!read_framing(msg, &chunked, &status, err) || !read_connection(msg, &status, err))
        return false;
    if (msg->status == 101) {
        if (!upgrade || msg_count(msg, "upgrade") != 1)
            return err_set(err, ERR_DATA, "a switch of protocols that was not asked for");
        msg->upgrade = true;
    }
    if (to == HTTP1_TO_CONNECT && msg->status / 100 == 2)
        msg->upgrade = true;
    if (msg->status < 200 || msg->status == 204 || msg->upgrade) {
        msg->has_length = false; /* must not be said there (RFC 9110 8.6); so it is not passed on */
        msg->content_length = 0;
        return true;
    }
    if (to == HTTP1_TO_HEAD || msg->status == 304)
        return true;
    if (chunked) {
        msg->framing = MSG_CHUNKED;
    } else if (msg->has_length) {
        msg->framing = MSG_LENGTH;
    } else {
        msg->framing = MSG_UNTIL_CLOSE;
        msg->keep_alive = false;
    }
    return true;
}
