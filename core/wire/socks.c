/* Two messages read, one written. What is asked for is judged by others. */
#include "core/wire/socks.h"

#include <stdio.h>

enum { CONNECT = 1, IPV4 = 1, NAME = 3, IPV6 = 4 };

static uint8_t byte_at(struct span input, size_t at)
{
    return (uint8_t)input.p[at];
}

enum socks_result socks_greeting(struct span input, size_t *used, uint8_t *method)
{
    if (input.len > 0 && byte_at(input, 0) != SOCKS_VERSION)
        return SOCKS_BAD;
    if (input.len < 2 || input.len < 2 + (size_t)byte_at(input, 1))
        return SOCKS_MORE;
    *used = 2 + (size_t)byte_at(input, 1);
    *method = memchr(input.p + 2, 0, *used - 2) ? 0 : 255;
    return SOCKS_OK;
}

static enum socks_result refuse(enum socks_reply *reply, enum socks_reply why, struct err *err, const char *what)
{
    *reply = why;
    err_set(err, ERR_DATA, "%s", what);
    return SOCKS_BAD;
}

/* The address as text, which is then read as every other host is. */
static bool address(struct span bytes, uint8_t kind, struct target_host *host, struct err *err)
{
    char text[64];
    const uint8_t *b = (const uint8_t *)bytes.p;
    size_t at = 0;
    if (kind == NAME)
        return target_host_parse(bytes, host, err);
    if (kind == IPV4)
        at = (size_t)snprintf(text, sizeof(text), "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    else
        for (size_t i = 0; i < 16; i += 2)
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%x", i ? ":" : "", b[i] << 8 | b[i + 1]);
    return target_host_parse((struct span){text, at}, host, err);
}

enum socks_result socks_request(struct span input, size_t *used, struct target_host *host, uint16_t *port,
                                enum socks_reply *reply, struct err *err)
{
    if (input.len > 0 && byte_at(input, 0) != SOCKS_VERSION)
        return refuse(reply, SOCKS_FAILURE, err, "what came is no SOCKS5 request");
    if (input.len < 5)
        return SOCKS_MORE;
    uint8_t kind = byte_at(input, 3);
    size_t begin = kind == NAME ? 5 : 4, len = kind == IPV4 ? 4 : kind == IPV6 ? 16 : byte_at(input, 4);
    if (byte_at(input, 1) != CONNECT)
        return refuse(reply, SOCKS_COMMAND_UNKNOWN, err, "SOCKS5 carries CONNECT alone here: no BIND, no UDP");
    if (kind != IPV4 && kind != NAME && kind != IPV6)
        return refuse(reply, SOCKS_ADDRESS_UNKNOWN, err, "a SOCKS5 address of an unknown kind");
    if (input.len < begin + len + 2)
        return SOCKS_MORE;
    *used = begin + len + 2;
    *port = (uint16_t)(byte_at(input, begin + len) << 8 | byte_at(input, begin + len + 1));
    if (*port == 0)
        return refuse(reply, SOCKS_FAILURE, err, "port 0 cannot be connected to");
    if (address((struct span){input.p + begin, len}, kind, host, err))
        return SOCKS_OK;
    *reply = SOCKS_ADDRESS_UNKNOWN;
    return SOCKS_BAD;
}

void socks_answer(enum socks_reply reply, uint8_t out[SOCKS_ANSWER_BYTES])
{
    static const uint8_t base[SOCKS_ANSWER_BYTES] = {SOCKS_VERSION, 0, 0, IPV4};
    memcpy(out, base, sizeof(base));
    out[1] = (uint8_t)reply;
}
