/* First and second hello, and what the server says between them. Of everything else that may go over it knows only
 * where a record ends. */
#include "core/plane/fronting.h"

enum { RECORD_HEAD = 5, RECORD_CIPHER = 20, RECORD_ALERT = 21, RECORD_HANDSHAKE = 22, RECORD_DATA = 23 };

void fronting_init(struct fronting *fronting, const struct target_host *host)
{
    *fronting = (struct fronting){.host = host, .state = FRONTING_FIRST};
}

bool fronting_check(const struct target_host *host, const struct hello *hello, struct err *err)
{
    struct target_host named;
    if (!hello->has_name)
        return host->is_ip ||
               err_set(err, ERR_DENIED, "the client names no host in TLS (SNI) and asked for %s", host->name);
    if (!target_host_parse(span_of(hello->name), &named, err))
        return false;
    return target_host_equal(&named, host) ||
           err_set(err, ERR_DENIED, "the client asked for %s and names %s in TLS (SNI)", host->name, named.name);
}

static enum relay_gate refuse(const struct fronting *fronting, struct err *err)
{
    err_set(err, ERR_DENIED, "the client's TLS hello for %s is malformed", fronting->host->name);
    return RELAY_REFUSE;
}

/* Other protocols pass as they are. */
static enum relay_gate look_at_hello(struct fronting *fronting, const struct relay_look *look, size_t *len,
                                     struct err *err)
{
    bool first = fronting->state == FRONTING_FIRST;
    struct hello hello;
    switch (tls_hello_parse((const uint8_t *)look->input.p, look->input.len, &hello)) {
    case HELLO_MORE:
        return look->last ? refuse(fronting, err) : RELAY_WAIT;
    case HELLO_NOT_TLS:
        return first ? RELAY_PASS : refuse(fronting, err);
    case HELLO_OK:
        if (!fronting_check(fronting->host, &hello, err))
            return RELAY_REFUSE;
        if (!first) /* there is no third (RFC 8446 4.1.4) */
            return RELAY_PASS;
        fronting->state = FRONTING_ANSWER;
        *len = hello.wire_len;
        return RELAY_WAIT;
    case HELLO_BAD:
        break;
    }
    return refuse(fronting, err);
}

/* Ahead of the second hello there may be what was sent behind the first one, early data, and a ChangeCipherSpec. */
static enum relay_gate look_for_second(struct fronting *fronting, const struct relay_look *look, size_t *len,
                                       struct err *err)
{
    const uint8_t *head = (const uint8_t *)look->input.p;
    switch (head[0]) {
    case RECORD_CIPHER:
    case RECORD_DATA:
        if (look->input.len < RECORD_HEAD)
            return look->last ? refuse(fronting, err) : RELAY_WAIT;
        *len = RECORD_HEAD + ((size_t)head[3] << 8 | head[4]);
        return RELAY_WAIT;
    case RECORD_HANDSHAKE:
        return look_at_hello(fronting, look, len, err);
    case RECORD_ALERT:
        return RELAY_PASS; /* the client gives up */
    default:
        return refuse(fronting, err);
    }
}

static enum relay_gate look_at_answer(struct fronting *fronting, const struct relay_look *look, size_t *len)
{
    if (fronting->state == FRONTING_ANSWER)
        switch (tls_hello_retry((const uint8_t *)look->input.p, look->input.len)) {
        case HELLO_RETRY_MORE:
            return look->last ? RELAY_PASS : RELAY_WAIT;
        case HELLO_RETRY_NO:
            return RELAY_PASS;
        case HELLO_RETRY_YES:
            fronting->state = FRONTING_SECOND;
            break;
        }
    *len = look->input.len;
    return RELAY_WAIT;
}

enum relay_gate fronting_look(struct fronting *fronting, const struct relay_look *look, size_t *len, struct err *err)
{
    if (!look->from_client)
        return look_at_answer(fronting, look, len);
    switch (fronting->state) {
    case FRONTING_FIRST:
        return look_at_hello(fronting, look, len, err);
    case FRONTING_ANSWER:
        return RELAY_WAIT;
    case FRONTING_SECOND:
        break;
    }
    return look_for_second(fronting, look, len, err);
}
