/* Addresses as text and bytes. Parsing is by hand, since inet_pton's neighbours differ in what they accept and
 * nothing here may depend on the C library. What kind of network an address belongs to is addr_class.c. */
#include "core/wire/addr.h"

#include <assert.h>
#include <stdio.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static void from_u32(uint32_t value, struct addr *out)
{
    *out = (struct addr){.family = ADDR_V4};
    for (int i = 0; i < 4; i++)
        out->bytes[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* ---- v4 ---- */

static bool parse_v4(struct span text, struct addr *out)
{
    uint32_t value = 0;
    for (int part = 0; part < 4; part++) {
        unsigned n = 0, digits = 0;
        while (text.len && is_digit(*text.p) && digits < 3) {
            n = n * 10 + (unsigned)(*text.p - '0');
            if (digits == 1 && n < 10)
                return false; /* a leading zero: octal to some */
            digits++, text.p++, text.len--;
        }
        if (digits == 0 || n > 255)
            return false;
        value = value << 8 | n;
        if (part < 3) {
            if (!text.len || *text.p != '.')
                return false;
            text.p++, text.len--;
        }
    }
    if (text.len)
        return false;
    from_u32(value, out);
    return true;
}

/* One part as inet_aton reads it. "0x" alone is 0 there; so it is here. */
static bool loose_part(struct span part, uint64_t *out)
{
    unsigned base = 10;
    uint64_t value = 0;
    if (part.len == 0)
        return false;
    if (part.len > 1 && part.p[0] == '0' && (part.p[1] == 'x' || part.p[1] == 'X')) {
        base = 16;
        part.p += 2, part.len -= 2;
    } else if (part.len > 1 && part.p[0] == '0') {
        base = 8;
    }
    for (size_t i = 0; i < part.len; i++) {
        int digit = hex_value(part.p[i]);
        if (digit < 0 || (unsigned)digit >= base)
            return false;
        value = value * base + (unsigned)digit;
        if (value > UINT32_MAX)
            return false;
    }
    *out = value;
    return true;
}

bool addr_parse_loose(struct span text, struct addr *out)
{
    struct span part;
    uint64_t parts[4];
    size_t count = 0;
    if (addr_parse(text, out))
        return true;
    if (text.len == 0 || text.p[text.len - 1] == '.')
        return false;
    while (span_cut(&text, '.', &part)) {
        if (count == COUNT(parts) || !loose_part(part, &parts[count]))
            return false;
        count++;
    }
    uint64_t value = 0;
    assert(count > 0);
    for (size_t i = 0; i + 1 < count; i++) {
        if (parts[i] > 255)
            return false;
        value |= parts[i] << (24 - 8 * i);
    }
    /* The last part fills all bytes that are left: "10.1" is 10.0.0.1. */
    if (parts[count - 1] >> (32 - 8 * (count - 1)))
        return false;
    from_u32((uint32_t)(value | parts[count - 1]), out);
    return true;
}

/* ---- v6 (RFC 4291 2.2) ---- */

/* Up to four hexadecimal digits from the front of *text. */
static bool take_group(struct span *text, unsigned *out)
{
    unsigned value = 0, digits = 0;
    while (text->len && digits < 4 && hex_value(*text->p) >= 0) {
        value = value << 4 | (unsigned)hex_value(*text->p);
        digits++, text->p++, text->len--;
    }
    *out = value;
    return digits > 0;
}

static bool parse_v6(struct span text, struct addr *out)
{
    uint8_t bytes[16] = {0};
    size_t at = 0, gap = SIZE_MAX;
    if (span_starts(text, "::")) {
        gap = 0;
        text.p += 2, text.len -= 2;
    }
    while (text.len) {
        struct addr v4;
        unsigned group;
        if (at <= 12 && memchr(text.p, '.', text.len) && !memchr(text.p, ':', text.len)) {
            if (!parse_v4(text, &v4))
                return false;
            memcpy(bytes + at, v4.bytes, 4);
            at += 4;
            break;
        }
        if (at == 16 || !take_group(&text, &group))
            return false;
        bytes[at++] = (uint8_t)(group >> 8);
        bytes[at++] = (uint8_t)group;
        if (text.len == 0)
            break;
        if (*text.p != ':' || text.len == 1)
            return false;
        text.p++, text.len--;
        if (*text.p == ':') {
            if (gap != SIZE_MAX)
                return false;
            gap = at;
            text.p++, text.len--;
        }
    }
    *out = (struct addr){.family = ADDR_V6};
    if (gap == SIZE_MAX) {
        memcpy(out->bytes, bytes, 16);
        return at == 16;
    }
    memcpy(out->bytes, bytes, gap);
    memcpy(out->bytes + 16 - (at - gap), bytes + gap, at - gap);
    return at <= 14; /* "::" stands for one group at least */
}

bool addr_parse(struct span text, struct addr *out)
{
    if (text.len == 0 || text.len >= ADDR_TEXT_BYTES)
        return false;
    return memchr(text.p, ':', text.len) ? parse_v6(text, out) : parse_v4(text, out);
}

bool addr_parse_port(struct span text, struct addr *out)
{
    struct span port = {NULL, 0};
    uint64_t value = 0;
    if (text.len && *text.p == '[') {
        const char *end = memchr(text.p, ']', text.len);
        if (!end)
            return false;
        struct span rest = {end + 1, (size_t)(text.p + text.len - end - 1)};
        if (rest.len) {
            if (*rest.p != ':')
                return false;
            port = (struct span){rest.p + 1, rest.len - 1};
        }
        text = (struct span){text.p + 1, (size_t)(end - text.p - 1)};
        if (!text.len || !memchr(text.p, ':', text.len))
            return false;
    } else if (text.len) {
        const char *colon = memchr(text.p, ':', text.len);
        if (colon && !memchr(colon + 1, ':', (size_t)(text.p + text.len - colon - 1))) {
            port = (struct span){colon + 1, (size_t)(text.p + text.len - colon - 1)};
            text.len = (size_t)(colon - text.p);
        }
    }
    if (port.p && (!text_u64(port, 65535, &value) || value == 0))
        return false;
    if (!addr_parse(text, out))
        return false;
    out->port = (uint16_t)value;
    return true;
}

/* ---- text ---- */

/* The longest run of two or more zero groups (RFC 5952 4.2); returns its first group, 8 where none. */
static unsigned zero_run(const unsigned groups[8], unsigned *len)
{
    unsigned best = 8;
    *len = 1;
    for (unsigned i = 0; i < 8; i++) {
        unsigned run = 0;
        while (i + run < 8 && groups[i + run] == 0)
            run++;
        if (run > *len) {
            best = i;
            *len = run;
        }
        i += run;
    }
    return best;
}

static void format_v6(const uint8_t bytes[16], char out[ADDR_TEXT_BYTES])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    unsigned groups[8], gap_len, at = 0;
    if (memcmp(bytes, mapped, sizeof(mapped)) == 0) { /* RFC 5952 5 */
        snprintf(out, ADDR_TEXT_BYTES, "::ffff:%u.%u.%u.%u", bytes[12], bytes[13], bytes[14],
                 bytes[15]);
        return;
    }
    for (unsigned i = 0; i < 8; i++)
        groups[i] = (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
    unsigned gap = zero_run(groups, &gap_len);
    for (unsigned i = 0; i < 8;) {
        if (i == gap) {
            out[at++] = ':';
            out[at++] = ':';
            i += gap_len;
            continue;
        }
        at += (unsigned)snprintf(out + at, ADDR_TEXT_BYTES - at, "%x", groups[i]);
        i++;
        if (i < 8 && i != gap)
            out[at++] = ':';
    }
    out[at] = 0;
}

void addr_format(const struct addr *addr, char out[ADDR_TEXT_BYTES])
{
    const uint8_t *b = addr->bytes;
    if (addr->family == ADDR_V4)
        snprintf(out, ADDR_TEXT_BYTES, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    else if (addr->family == ADDR_V6)
        format_v6(b, out);
    else
        snprintf(out, ADDR_TEXT_BYTES, "none");
}

void addr_format_port(const struct addr *addr, char out[ADDR_TEXT_BYTES])
{
    char text[ADDR_TEXT_BYTES];
    bool v6 = addr->family == ADDR_V6;
    addr_format(addr, text);
    if (addr->port)
        snprintf(out, ADDR_TEXT_BYTES, "%s%.48s%s:%u", v6 ? "[" : "", text, v6 ? "]" : "", addr->port);
    else
        snprintf(out, ADDR_TEXT_BYTES, "%s%.48s%s", v6 ? "[" : "", text, v6 ? "]" : "");
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
