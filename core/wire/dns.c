/* One DNS query in, one answer out (RFC 1035, RFC 6891 for EDNS), for a responder that knows every name. Nothing
 * of a query travels further than its name, so that it is no channel (threat E03): records, options and odd
 * types are read only to be skipped. */
#include "core/wire/dns.h"

enum {
    HEADER = 12,
    FLAG_RESPONSE = 0x8000,
    FLAG_AUTHORITATIVE = 0x0400,
    FLAG_RECURSION_DESIRED = 0x0100,
    FLAG_RECURSION_AVAILABLE = 0x0080,
    FLAG_CHECKING_DISABLED = 0x0010,
    TYPE_A = 1,
    TYPE_OPT = 41,
    TYPE_IXFR = 251,
    TYPE_AXFR = 252,
    CLASS_IN = 1,
    CLASS_ANY = 255,
    RCODE_FORMERR = 1,
    RCODE_NOTIMP = 4,
    LABEL_MAX = 63,
    NAME_WIRE_MAX = 255, /* RFC 1035 2.3.4 */
    EDNS_UDP_BYTES = 1232,
    ADDITIONAL_MAX = 4   /* OPT, and room for a signature or cookie as a record */
};

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static uint8_t *put16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
    return p + 2;
}

/* The form of a name's byte in query.name; '?' for what no host has. */
static char name_byte(uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z')
        return (char)(byte - 'A' + 'a');
    if ((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_')
        return (char)byte;
    return '?';
}

/* A name without compression at *at; moves *at behind it. out may be NULL. False: malformed. A name of 255
 * bytes on the wire has 253 as text. */
static bool take_name(const uint8_t *data, size_t len, size_t *at, struct dns_query *out)
{
    size_t start = *at, text = 0;
    while (true) {
        if (*at >= len || *at - start >= NAME_WIRE_MAX)
            return false;
        unsigned label = data[(*at)++];
        if (label == 0)
            break;
        if (label > LABEL_MAX) /* a compression pointer, or a type that nobody uses */
            return false;
        if (len - *at < label || *at - start + label >= NAME_WIRE_MAX)
            return false;
        if (out && text)
            out->name[text++] = '.';
        for (unsigned i = 0; i < label; i++) {
            char c = name_byte(data[*at + i]);
            if (out && c == '?')
                out->canonical = false;
            if (out)
                out->name[text++] = c;
        }
        *at += label;
    }
    if (out) {
        out->name[text] = 0;
        if (text == 0)
            out->canonical = false;
    }
    return true;
}

/* The records behind the question. They must be well-formed and end where the message ends. */
static bool skip_additional(const uint8_t *data, size_t len, size_t at, unsigned count,
                            struct dns_query *out)
{
    for (unsigned i = 0; i < count; i++) {
        if (!take_name(data, len, &at, NULL) || len - at < 10)
            return false;
        unsigned type = get16(data + at), size = get16(data + at + 8);
        at += 10;
        if (len - at < size)
            return false;
        at += size;
        if (type == TYPE_OPT) {
            if (out->has_edns)
                return false; /* RFC 6891 6.1.1: one at the most */
            out->has_edns = true;
        }
    }
    return at == len;
}

static void refuse(struct dns_query *out, uint8_t rcode)
{
    out->kind = DNS_REFUSE;
    out->rcode = rcode;
}

void dns_parse(const uint8_t *data, size_t len, struct dns_query *out)
{
    size_t at = HEADER;
    *out = (struct dns_query){.kind = DNS_DROP, .canonical = true};
    if (len < HEADER)
        return;
    out->id = (uint16_t)get16(data);
    out->flags = (uint16_t)get16(data + 2);
    if (out->flags & FLAG_RESPONSE)
        return; /* never answer an answer: two responders would go on for ever */
    refuse(out, RCODE_NOTIMP);
    if ((out->flags >> 11 & 15) != 0)
        return;
    refuse(out, RCODE_FORMERR);
    if (len > DNS_MESSAGE_BYTES || get16(data + 4) != 1 || get16(data + 6) || get16(data + 8) ||
        get16(data + 10) > ADDITIONAL_MAX)
        return;
    if (!take_name(data, len, &at, out) || len - at < 4)
        return;
    out->type = (uint16_t)get16(data + at);
    out->class = (uint16_t)get16(data + at + 2);
    at += 4;
    out->question_len = at - HEADER;
    if (!skip_additional(data, len, at, get16(data + 10), out)) {
        out->has_edns = false;
        return;
    }
    refuse(out, RCODE_NOTIMP);
    if ((out->class != CLASS_IN && out->class != CLASS_ANY) || out->type == TYPE_AXFR ||
        out->type == TYPE_IXFR)
        return;
    out->rcode = 0;
    out->kind = out->type == TYPE_A ? DNS_A : DNS_EMPTY;
}

size_t dns_answer(const uint8_t *data, const struct dns_query *query, const uint8_t *v4,
                  uint8_t out[DNS_MESSAGE_BYTES])
{
    bool address = query->kind == DNS_A && v4;
    uint8_t *p = out;
    if (query->kind == DNS_DROP)
        return 0;
    p = put16(p, query->id);
    p = put16(p, FLAG_RESPONSE | FLAG_AUTHORITATIVE | FLAG_RECURSION_AVAILABLE |
                     (query->flags & (0x7800 | FLAG_RECURSION_DESIRED | FLAG_CHECKING_DISABLED)) |
                     query->rcode);
    p = put16(p, query->question_len ? 1 : 0);
    p = put16(p, address ? 1 : 0);
    p = put16(p, 0);
    p = put16(p, query->has_edns ? 1 : 0);
    memcpy(p, data + HEADER, query->question_len);
    p += query->question_len;
    if (address) {
        p = put16(p, 0xc000 | HEADER); /* the name: where the question has it */
        p = put16(p, TYPE_A);
        p = put16(p, CLASS_IN);
        p = put16(p, 0);
        p = put16(p, DNS_TTL_S);
        p = put16(p, 4);
        memcpy(p, v4, 4);
        p += 4;
    }
    if (query->has_edns) {
        *p++ = 0;
        p = put16(p, TYPE_OPT);
        p = put16(p, EDNS_UDP_BYTES);
        memset(p, 0, 6); /* extended code, version, flags, no options */
        p += 6;
    }
    return (size_t)(p - out);
}
