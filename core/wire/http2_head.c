/* Heads that come over HTTP/2, field by field, as struct msg. nghttp2 has seen to what RFC 9113 8.2 and 8.3 ask of
 * names, order and pseudo-fields; here is what remains: bounds, one Host, one meaning of the length. */
#include "core/wire/http2_private.h"

static bool keep(struct http2_stream *stream, struct span value, struct span *out, struct err *err)
{
    const char *made = arena_strndup(stream->arena, value.len ? value.p : "", value.len);
    if (!made || value.len > MSG_HEAD_BYTES)
        return err_set(err, ERR_LIMIT, "the head does not fit into its arena");
    *out = (struct span){made, value.len};
    return true;
}

static bool take_pseudo(struct http2_stream *stream, struct span name, struct span value, struct err *err)
{
    struct msg *msg = &stream->msg;
    uint64_t status;
    if (span_eqs(name, ":method"))
        return text_is_token(value) ? keep(stream, value, &msg->method, err)
                                    : err_set(err, ERR_DATA, "the method is no token");
    if (span_eqs(name, ":path")) {
        for (size_t i = 0; i < value.len; i++)
            if (value.p[i] <= ' ' || value.p[i] >= 0x7f)
                return err_set(err, ERR_DATA, "a byte in the target that must be percent-encoded");
        return keep(stream, value, &msg->target, err);
    }
    if (span_eqs(name, ":scheme"))
        return keep(stream, value, &stream->scheme, err);
    if (span_eqs(name, ":protocol")) /* nghttp2 takes it with CONNECT alone, and with the other four */
        return text_is_token(value) ? keep(stream, value, &stream->protocol, err)
                                    : err_set(err, ERR_DATA, "the protocol is no token");
    if (span_eqs(name, ":authority"))
        return keep(stream, value, &stream->authority, err);
    if (!span_eqs(name, ":status") || value.len != 3 || !text_u64(value, 599, &status) || status < 100)
        return err_set(err, ERR_DATA, "a pseudo-field that means nothing here");
    msg->status = (unsigned)status;
    return true;
}

/* RFC 9113 8.2.3: a cookie may come in pieces, and is one field everywhere else. */
static bool take_cookie(struct http2_stream *stream, struct span value, struct err *err)
{
    struct span before = msg_get(&stream->msg, "cookie");
    size_t len = before.len + 2 + value.len;
    if (!before.p)
        return msg_add(&stream->msg, SPAN("cookie"), value, err);
    if (len > MSG_HEAD_BYTES)
        return err_set(err, ERR_LIMIT, "the head is larger than %d bytes", MSG_HEAD_BYTES);
    if (before.p != stream->cookie || len > stream->cookie_cap) { /* room for more: not each piece costs a copy */
        size_t cap = 2 * len < MSG_HEAD_BYTES ? 2 * len : MSG_HEAD_BYTES;
        char *whole = arena_alloc(stream->arena, cap);
        if (!whole)
            return err_set(err, ERR_LIMIT, "the head does not fit into its arena");
        memcpy(whole, before.p, before.len);
        stream->cookie = whole;
        stream->cookie_cap = cap;
    }
    memcpy(stream->cookie + before.len, "; ", 2);
    memcpy(stream->cookie + before.len + 2, value.p, value.len);
    return msg_set_borrowed(&stream->msg, "cookie", (struct span){stream->cookie, len}, err);
}

bool http2_take_field(struct http2_stream *stream, struct span name, struct span value, struct err *err)
{
    struct msg *msg = &stream->msg;
    if (stream->trailers) {
        struct span kept_name, kept_value;
        return keep(stream, name, &kept_name, err) && keep(stream, value, &kept_value, err) &&
               msg_add_trailer(msg, kept_name, kept_value, err);
    }
    if (name.len && name.p[0] == ':')
        return take_pseudo(stream, name, value, err);
    if (span_eqs(name, "cookie"))
        return take_cookie(stream, value, err);
    if (span_eqs(name, "content-length")) {
        if (msg->has_length || !text_u64(value, INT64_MAX, &msg->content_length))
            return err_set(err, ERR_DATA, "a malformed Content-Length");
        msg->has_length = true;
        return true; /* the writers say it from has_length */
    }
    return msg_add(msg, name, value, err);
}

/* RFC 8441 4: what HTTP/1.1 calls an upgrade, and so it is one above here. */
static bool judge_upgrade(struct http2_stream *stream, struct err *err)
{
    struct msg *msg = &stream->msg;
    if (msg->has_length)
        return err_set(err, ERR_DATA, "a CONNECT with a length");
    stream->to_upgrade = msg->upgrade = true;
    msg->method = SPAN("GET");
    return msg_add_borrowed(msg, SPAN("Upgrade"), stream->protocol, err);
}

static bool judge_request(struct http2_stream *stream, bool ended, struct err *err)
{
    struct msg *msg = &stream->msg;
    struct span host = msg_get(msg, "host"), expect = msg_get(msg, "expect");
    if (msg_count(msg, "host") > 1)
        return err_set(err, ERR_DATA, "more than one Host");
    if (msg_has_double(msg, "content-length") || msg_has_double(msg, "transfer-encoding"))
        return err_set(err, ERR_DATA, "a field that some take for Content-Length or Transfer-Encoding");
    if (stream->authority.len == 0 && !host.p)
        return err_set(err, ERR_DATA, "neither :authority nor Host");
    if (stream->authority.len && host.p && !span_eqi(stream->authority, host)) /* E09 */
        return err_set(err, ERR_DATA, ":authority and Host differ");
    if (stream->authority.len && !host.p && !msg_add_borrowed(msg, SPAN("host"), stream->authority, err))
        return false;
    if (expect.p && !span_eqis(expect, "100-continue"))
        return err_set(err, ERR_DATA, "an expectation other than 100-continue");
    if (expect.p && !msg_set_borrowed(msg, "expect", SPAN("100-continue"), err))
        return false;
    msg->expect_continue = expect.p != NULL;
    if (stream->protocol.len)
        return judge_upgrade(stream, err);
    if (span_eqs(msg->method, "CONNECT"))
        msg->target = stream->authority;
    else if (msg->target.len == 0)
        return err_set(err, ERR_DATA, "the target is empty");
    if (!ended)
        msg->framing = msg->has_length ? MSG_LENGTH : MSG_CHUNKED;
    return true;
}

static bool judge_answer(struct http2_stream *stream, bool ended, struct err *err)
{
    struct msg *msg = &stream->msg;
    if (msg->status == 101)
        return err_set(err, ERR_DATA, "a switch of protocols, which HTTP/2 does not have");
    if (msg->status < 200) {
        msg->has_length = false;
        return ++stream->informational <= HTTP2_INFORMATIONAL_MAX ||
               err_set(err, ERR_DATA, "more than %d informational responses", HTTP2_INFORMATIONAL_MAX);
    }
    if (stream->to_upgrade && msg->status / 100 == 2) {
        msg->status = 101;
        msg->upgrade = true;
        msg->has_length = false; /* means nothing there (RFC 9110 9.3.6) */
        return true;
    }
    if (msg->status == 204) {
        msg->has_length = false;
        return true;
    }
    if (stream->to_head || msg->status == 304)
        return true;
    if (ended && !msg->has_length) { /* HTTP/1.1 has to be told that nothing follows */
        msg->has_length = true;
        msg->content_length = 0;
    }
    if (!ended)
        msg->framing = msg->has_length ? MSG_LENGTH : MSG_CHUNKED;
    return true;
}

bool http2_judge(struct http2_stream *stream, bool ended, struct err *err)
{
    return stream->session->server ? judge_request(stream, ended, err) : judge_answer(stream, ended, err);
}
