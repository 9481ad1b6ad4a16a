/* Text: spans, strict numbers, hex and base64, and what hostile text looks like to a person. Nothing
 * here allocates, and nothing is lenient: what is not exactly right is refused. It knows no locale. */
#include "core/base/text.h"

#include <stdio.h>

struct span span_of(const char *s)
{
    return (struct span){s, strlen(s)};
}

bool span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

bool span_eqs(struct span a, const char *s)
{
    return span_eq(a, span_of(s));
}

static uint8_t lower(char c)
{
    return (uint8_t)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool span_eqi(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

bool span_eqis(struct span a, const char *s)
{
    return span_eqi(a, span_of(s));
}

bool span_starts(struct span s, const char *prefix)
{
    size_t len = strlen(prefix);
    return s.len >= len && (len == 0 || memcmp(s.p, prefix, len) == 0);
}

bool span_ends(struct span s, const char *suffix)
{
    size_t len = strlen(suffix);
    return s.len >= len && (len == 0 || memcmp(s.p + s.len - len, suffix, len) == 0);
}

struct span span_trim(struct span s)
{
    while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.len--;
    }
    while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
        s.len--;
    return s;
}

bool span_cut(struct span *rest, char sep, struct span *head)
{
    if (rest->len == 0)
        return false;
    const char *at = memchr(rest->p, sep, rest->len);
    if (!at) {
        *head = *rest;
        *rest = (struct span){rest->p + rest->len, 0};
        return true;
    }
    *head = (struct span){rest->p, (size_t)(at - rest->p)};
    *rest = (struct span){at + 1, rest->len - head->len - 1};
    return true;
}

/* The high bit of a byte is set for one that is not plain, and maybe for one behind such a one. */
static uint64_t not_plain(uint64_t eight)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    return eight | (eight - ones * ' ') | ((eight ^ ones * '"') - ones) | ((eight ^ ones * '\\') - ones);
}

bool text_is_plain(struct span s)
{
    uint64_t eight, found = 0;
    size_t i = 0;
    for (; i + sizeof(eight) <= s.len; i += sizeof(eight)) {
        memcpy(&eight, s.p + i, sizeof(eight));
        found |= not_plain(eight);
    }
    memset(&eight, ' ', sizeof(eight));
    if (i < s.len)
        memcpy(&eight, s.p + i, s.len - i);
    found |= not_plain(eight);
    return (found & UINT64_C(0x8080808080808080)) == 0;
}

/* ---- numbers ---- */

bool text_u64(struct span s, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(s.p[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value > max)
        return false;
    *out = value;
    return true;
}

struct unit {
    char letter;
    uint64_t factor;
};

/* A number and at most one unit's letter; plain is the factor of a number without one. */
static bool with_unit(struct span s, const struct unit *units, size_t count, uint64_t plain,
                      uint64_t *out)
{
    uint64_t factor = plain;
    for (size_t i = 0; s.len > 0 && i < count; i++)
        if (s.p[s.len - 1] == units[i].letter) {
            factor = units[i].factor;
            s.len--;
            break;
        }
    uint64_t value;
    if (!text_u64(s, UINT64_MAX / factor, &value))
        return false;
    *out = value * factor;
    return true;
}

bool text_duration_ms(struct span s, uint64_t *out)
{
    static const struct unit units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    return with_unit(s, units, COUNT(units), 1000, out);
}

bool text_bytes(struct span s, uint64_t *out)
{
    static const struct unit units[] = {{'k', 1 << 10}, {'m', 1 << 20}, {'g', 1 << 30}};
    return with_unit(s, units, COUNT(units), 1, out);
}

/* ---- hex and base64 (RFC 4648) ---- */

size_t text_decimal(uint64_t value, char out[21])
{
    char digits[20];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    for (size_t i = 0; i < count; i++)
        out[i] = digits[count - 1 - i];
    out[count] = '\0';
    return count;
}

void text_hex(const uint8_t *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * len] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool text_unhex(struct span s, uint8_t *out, size_t out_len)
{
    if (s.len % 2 != 0 || s.len / 2 != out_len)
        return false;
    for (size_t i = 0; i < out_len; i++) {
        int high = hex_digit(s.p[2 * i]), low = hex_digit(s.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

size_t text_base64_len(size_t len)
{
    return (len + 2) / 3 * 4 + 1;
}

void text_base64(const uint8_t *data, size_t len, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (; len >= 3; data += 3, len -= 3) {
        uint32_t bits = (uint32_t)data[0] << 16 | (uint32_t)data[1] << 8 | data[2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *out++ = digits[bits >> shift & 63];
    }
    if (len > 0) {
        uint32_t bits = (uint32_t)data[0] << 16 | (len == 2 ? (uint32_t)data[1] << 8 : 0);
        *out++ = digits[bits >> 18];
        *out++ = digits[bits >> 12 & 63];
        *out++ = len == 2 ? digits[bits >> 6 & 63] : '=';
        *out++ = '=';
    }
    *out = '\0';
}

/* A digit's value and 1; 0 for what is none. */
static const uint8_t base64_values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,  ['I'] = 9,
    ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18,
    ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27,
    ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36,
    ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45,
    ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54,
    ['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63,
    ['/'] = 64};

static int base64_digit(char c)
{
    return base64_values[(unsigned char)c] - 1;
}

bool text_unbase64(struct span s, uint8_t *out, size_t cap, size_t *out_len)
{
    size_t pad = 0, done = 0;
    if (s.len % 4 != 0)
        return false;
    while (pad < 2 && pad < s.len && s.p[s.len - 1 - pad] == '=')
        pad++;
    if (s.len / 4 * 3 - pad > cap)
        return false;
    for (size_t i = 0; i < s.len; i += 4) {
        size_t missing = i + 4 == s.len ? pad : 0;
        uint32_t bits = 0;
        for (size_t j = 0; j < 4; j++) {
            int digit = j < 4 - missing ? base64_digit(s.p[i + j]) : 0;
            if (digit < 0)
                return false;
            bits = bits << 6 | (uint32_t)digit;
        }
        /* One text for each value (RFC 4648 3.5): the bits that are cut off must be zero. */
        if ((bits & ((1u << 8 * missing) - 1)) != 0)
            return false;
        for (size_t j = 0; j < 3 - missing; j++)
            out[done++] = (uint8_t)(bits >> (16 - 8 * j));
    }
    *out_len = done;
    return true;
}

/* ---- UTF-8 and display ---- */

/* The code point at p and its length; 0 for bytes that are not UTF-8 (RFC 3629: no overlong forms, no
 * surrogates, nothing over U+10FFFF). */
static size_t utf8_next(const char *p, size_t len, uint32_t *code)
{
    const uint8_t *b = (const uint8_t *)p;
    size_t need;
    uint32_t least;
    if (b[0] < 0x80) {
        *code = b[0];
        return 1;
    }
    if (b[0] >= 0xc2 && b[0] <= 0xdf) {
        need = 2, least = 0x80, *code = b[0] & 0x1f;
    } else if ((b[0] & 0xf0) == 0xe0) {
        need = 3, least = 0x800, *code = b[0] & 0x0f;
    } else if (b[0] >= 0xf0 && b[0] <= 0xf4) {
        need = 4, least = 0x10000, *code = b[0] & 0x07;
    } else {
        return 0;
    }
    if (len < need)
        return 0;
    for (size_t i = 1; i < need; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (b[i] & 0x3f);
    }
    if (*code < least || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
        return 0;
    return need;
}

bool text_utf8_valid(struct span s)
{
    uint32_t code;
    for (size_t i = 0, n; i < s.len; i += n)
        if ((n = utf8_next(s.p + i, s.len - i, &code)) == 0)
            return false;
    return true;
}

/* What a person cannot see, or what changes the order or the look of what stands beside it (A03). */
static const struct range {
    uint32_t first, last;
} unseen[] = {
    {0x0080, 0x009f},   /* C1 controls: some terminals obey them */
    {0x00ad, 0x00ad},   /* soft hyphen */
    {0x034f, 0x034f},   /* combining grapheme joiner */
    {0x061c, 0x061c},   /* Arabic letter mark (bidi) */
    {0x115f, 0x1160},   /* Hangul fillers */
    {0x17b4, 0x17b5},   /* Khmer inherent vowels */
    {0x180b, 0x180f},   /* Mongolian selectors and vowel separator */
    {0x200b, 0x200f},   /* zero width, left-to-right and right-to-left marks */
    {0x2028, 0x202e},   /* line and paragraph separators, bidi embeddings and overrides */
    {0x2060, 0x206f},   /* word joiner, invisible operators, bidi isolates, deprecated controls */
    {0x3164, 0x3164},   /* Hangul filler */
    {0xfe00, 0xfe0f},   /* variation selectors: they can carry hidden bytes */
    {0xfeff, 0xfeff},   /* byte order mark */
    {0xffa0, 0xffa0},   /* halfwidth Hangul filler */
    {0xfff0, 0xfffb},   /* specials: annotations */
    {0xfffe, 0xffff},   /* noncharacters */
    {0x1bca0, 0x1bca3}, /* shorthand format controls */
    {0x1d173, 0x1d17a}, /* musical format controls */
    {0xe0000, 0xe0fff}, /* tags, more variation selectors */
};

static bool is_unseen(uint32_t code)
{
    for (size_t i = 0; i < COUNT(unseen); i++)
        if (code >= unseen[i].first && code <= unseen[i].last)
            return true;
    return false;
}

void text_display(struct span s, char *out, size_t cap)
{
    static const char cut[] = "...";
    size_t at = 0, safe = 0; /* safe: where the text can end with room for the cut mark */
    if (cap == 0)
        return;
    for (size_t i = 0, n; i < s.len; i += n) {
        uint32_t code = 0;
        char piece[16];
        int len;
        n = utf8_next(s.p + i, s.len - i, &code);
        if (n == 0 || code < 0x20 || code == 0x7f) {
            n = 1;
            len = snprintf(piece, sizeof(piece), "\\x%02x", (unsigned)(uint8_t)s.p[i]);
        } else if (is_unseen(code)) {
            len = snprintf(piece, sizeof(piece), "\\u{%x}", (unsigned)code);
        } else {
            memcpy(piece, s.p + i, n);
            len = (int)n;
        }
        if (at + (size_t)len >= cap) {
            size_t room = cap - 1 - safe;
            size_t mark = room < sizeof(cut) - 1 ? room : sizeof(cut) - 1;
            memcpy(out + safe, cut, mark);
            out[safe + mark] = '\0';
            return;
        }
        memcpy(out + at, piece, (size_t)len);
        at += (size_t)len;
        if (at + sizeof(cut) <= cap)
            safe = at;
    }
    out[at] = '\0';
}

bool text_is_token(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return s.len > 0;
}
