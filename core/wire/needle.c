/* Sets of texts to be found, the search, and the search in a stream. What is done about a hit is the caller's. */
#include "core/wire/needle.h"

#include <stdlib.h>

enum { SHIFTS = 4096, NEEDLES_MAX = 4096, SCAN_BYTES = 256 * 1024 };

struct needle {
    char *p;
    size_t len;
    unsigned tag;
};
struct needles {
    struct needle *items;
    size_t count, cap;
    size_t least, most;     /* lengths */
    uint8_t shift[SHIFTS];  /* by the block of two bytes that ends the window */
};

struct needles *needles_new(void)
{
    struct needles *needles = mem_alloc(sizeof(*needles));
    needles->least = SIZE_MAX;
    return needles;
}

void needles_free(struct needles *needles)
{
    if (!needles)
        return;
    for (size_t i = 0; i < needles->count; i++) {
        explicit_bzero(needles->items[i].p, needles->items[i].len);
        free(needles->items[i].p);
    }
    free(needles->items);
    free(needles);
}

size_t needles_count(const struct needles *needles)
{
    return needles->count;
}

/* ---- the forms ---- */

static size_t block_at(const char *p)
{
    return ((size_t)(uint8_t)p[0] * 31 + (uint8_t)p[1] * 257) % SHIFTS;
}

/* How far the window may move for each block, for the first `least` bytes of every needle. */
static void index_all(struct needles *needles)
{
    size_t window = needles->least, far = window - 1 < UINT8_MAX ? window - 1 : UINT8_MAX;
    memset(needles->shift, (int)far, sizeof(needles->shift));
    for (size_t i = 0; i < needles->count; i++)
        for (size_t at = 0; at + 2 <= window; at++) {
            uint8_t *shift = &needles->shift[block_at(needles->items[i].p + at)];
            size_t left = window - 2 - at;
            if (left < *shift)
                *shift = (uint8_t)left;
        }
}

static void add_form(struct needles *needles, struct span form, unsigned tag)
{
    if (form.len < NEEDLE_MIN_BYTES || needles->count == NEEDLES_MAX)
        return;
    for (size_t i = 0; i < needles->count; i++)
        if (needles->items[i].len == form.len && memcmp(needles->items[i].p, form.p, form.len) == 0)
            return;
    if (needles->count == needles->cap) {
        needles->cap = needles->cap ? 2 * needles->cap : 8;
        needles->items = mem_resize(needles->items, needles->cap, sizeof(*needles->items));
    }
    needles->items[needles->count++] = (struct needle){mem_strndup(form.p, form.len), form.len, tag};
    needles->least = form.len < needles->least ? form.len : needles->least;
    needles->most = form.len > needles->most ? form.len : needles->most;
}

/* Who writes JSON escapes more than it must, so that it can stand in HTML: each in a way of its own. */
static const struct json_writer {
    const char *escaped; /* as \u00XX */
    bool upper;          /* of the digits */
    bool slash;          /* as \/ */
} json_writers[] = {
    {"", false, false},       /* most */
    {"", false, true},        /* PHP */
    {"&<>", false, false},    /* Go, Rails */
    {"&<>='", false, false},  /* Gson */
    {"&<>+'`\"", true, false}, /* .NET */
};

static bool put_json(struct buf *out, const struct json_writer *writer, char c)
{
    if (c && strchr(writer->escaped, c))
        return buf_printf(out, writer->upper ? "\\u%04X" : "\\u%04x", (unsigned char)c);
    bool backslash = c == '"' || c == '\\' || (c == '/' && writer->slash);
    return (!backslash || buf_adds(out, "\\")) && buf_add(out, &c, 1);
}

static void add_json(struct needles *needles, struct span text, unsigned tag)
{
    for (size_t w = 0; w < COUNT(json_writers); w++) {
        struct buf out CLEANUP(buf_wipe);
        bool good = true;
        buf_init(&out, 6 * text.len + 1);
        for (size_t i = 0; i < text.len && good; i++)
            good = put_json(&out, &json_writers[w], text.p[i]);
        if (good)
            add_form(needles, (struct span){(char *)out.data, out.len}, tag);
    }
}

/* Base64 of the text inside something longer: with 0, 1 or 2 unknown bytes in front, what the text alone decides. */
static void add_base64(struct needles *needles, struct span text, unsigned tag)
{
    struct buf padded CLEANUP(buf_wipe), encoded CLEANUP(buf_wipe);
    buf_init(&padded, NEEDLE_PIECE_BYTES + 2);
    buf_init(&encoded, text_base64_len(NEEDLE_PIECE_BYTES + 2));
    for (size_t front = 0; front < 3; front++) {
        static const size_t unknown[] = {0, 2, 3}; /* characters that the bytes in front take part in */
        buf_wipe(&padded);
        buf_wipe(&encoded);
        char *out = (char *)buf_reserve(&encoded, text_base64_len(text.len + front));
        if (!out || !buf_add(&padded, "\0\0", front) || !buf_add(&padded, text.p, text.len))
            return;
        text_base64(padded.data, padded.len, out);
        size_t whole = (front + text.len) * 8 / 6; /* characters without a bit of what follows */
        struct span form = {out + unknown[front], whole > unknown[front] ? whole - unknown[front] : 0};
        add_form(needles, form, tag);
        add_json(needles, form, tag);
        for (size_t i = 0; i < form.len; i++) {
            char *c = out + unknown[front] + i;
            *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
        }
        add_form(needles, form, tag);
        encoded.len = text_base64_len(text.len + front); /* so that it is wiped */
    }
}

/* RFC 3986: all but unreserved bytes, in upper and in lower case. */
static void add_percent(struct needles *needles, struct span text, unsigned tag)
{
    for (int upper = 0; upper < 2; upper++) {
        struct buf out CLEANUP(buf_wipe);
        bool good = true;
        buf_init(&out, 3 * NEEDLE_PIECE_BYTES + 1);
        for (size_t i = 0; i < text.len && good; i++) {
            unsigned char c = (unsigned char)text.p[i];
            bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                         (c && strchr("-._~", c));
            good = plain ? buf_add(&out, &c, 1) : buf_printf(&out, upper ? "%%%02X" : "%%%02x", c);
        }
        if (good)
            add_form(needles, (struct span){(char *)out.data, out.len}, tag);
    }
}

bool needles_add(struct needles *needles, struct span text, unsigned tag)
{
    if (text.len < NEEDLE_MIN_BYTES)
        return false;
    while (text.len) {
        struct span piece = {text.p, text.len < NEEDLE_PIECE_BYTES ? text.len : NEEDLE_PIECE_BYTES};
        add_form(needles, piece, tag);
        add_json(needles, piece, tag);
        add_base64(needles, piece, tag);
        add_percent(needles, piece, tag);
        text = (struct span){text.p + piece.len, text.len - piece.len};
    }
    index_all(needles);
    return true;
}

/* ---- the search ---- */

static bool stands_at(const struct needles *needles, struct span data, size_t at, struct needle_hit *hit)
{
    for (size_t i = 0; i < needles->count; i++) {
        const struct needle *needle = &needles->items[i];
        if (needle->len <= data.len - at && memcmp(data.p + at, needle->p, needle->len) == 0) {
            *hit = (struct needle_hit){at, needle->len, needle->tag};
            return true;
        }
    }
    return false;
}

bool needles_find(const struct needles *needles, struct span data, struct needle_hit *hit)
{
    size_t window = needles->least;
    if (needles->count == 0)
        return false;
    for (size_t at = 0; data.len >= window && at <= data.len - window;) {
        size_t shift = needles->shift[block_at(data.p + at + window - 2)];
        if (shift == 0 && stands_at(needles, data, at, hit))
            return true;
        at += shift ? shift : 1;
    }
    return false;
}

size_t needles_mask(const struct needles *needles, char *data, size_t len)
{
    struct needle_hit hit;
    size_t count = 0, from = 0;
    while (needles_find(needles, (struct span){data + from, len - from}, &hit)) {
        memset(data + from + hit.at, '*', hit.len);
        from += hit.at + hit.len;
        count++;
    }
    return count;
}

/* ---- a stream ---- */

void needle_scan_init(struct needle_scan *scan, const struct needles *needles)
{
    *scan = (struct needle_scan){.needles = needles};
    buf_init(&scan->held, SCAN_BYTES);
    buf_init(&scan->ready, SCAN_BYTES);
}

void needle_scan_clear(struct needle_scan *scan)
{
    buf_wipe(&scan->held);
    buf_wipe(&scan->ready);
    scan->needles = NULL;
}

/* Where the longest end of data begins that is a beginning of a needle; data.len where none is. */
static size_t open_tail(const struct needles *needles, struct span data)
{
    size_t at = data.len >= needles->most ? data.len - needles->most + 1 : 0;
    for (; at < data.len; at++)
        for (size_t i = 0; i < needles->count; i++) {
            const struct needle *needle = &needles->items[i];
            if (needle->len > data.len - at && needle->p[0] == data.p[at] &&
                memcmp(needle->p, data.p + at, data.len - at) == 0)
                return at;
        }
    return data.len;
}

size_t needle_scan_held(const struct needle_scan *scan)
{
    return scan->held.len;
}

/* Held bytes and data together, masked; the open tail of that is held anew. */
static void join(struct needle_scan *scan, struct span data, struct span *out)
{
    struct needle_hit hit;
    struct buf *ready = &scan->ready;
    if (!buf_add(ready, scan->held.data, scan->held.len) || !buf_add(ready, data.p, data.len))
        abort(); /* a caller's mistake: pieces are smaller than SCAN_BYTES */
    buf_wipe(&scan->held);
    if (needles_find(scan->needles, (struct span){(char *)ready->data, ready->len}, &hit)) {
        scan->tag = hit.tag;
        scan->found += needles_mask(scan->needles, (char *)ready->data, ready->len);
    }
    *out = (struct span){(char *)ready->data, ready->len};
}

/* Without what was given already. */
static struct span unshown(struct span text, size_t shown)
{
    size_t skipped = shown < text.len ? shown : text.len;
    return skipped > 0 ? (struct span){text.p + skipped, text.len - skipped} : text;
}

void needle_scan_next(struct needle_scan *scan, struct span data, struct span *out)
{
    struct needle_hit hit;
    buf_wipe(&scan->ready);
    *out = data;
    if (data.len == 0)
        return;
    if (scan->held.len > 0 || needles_find(scan->needles, data, &hit))
        join(scan, data, out);
    size_t tail = open_tail(scan->needles, *out), shown = scan->shown;
    scan->shown = shown > tail ? shown - tail : 0;
    if (tail < out->len && buf_add(&scan->held, out->p + tail, out->len - tail))
        out->len = tail;
    *out = unshown(*out, shown);
}

bool needle_scan_can_show(const struct needle_scan *scan)
{
    return scan->held.len > scan->shown && scan->held.len <= NEEDLE_SHOWN_MAX;
}

void needle_scan_show(struct needle_scan *scan, struct span *out)
{
    *out = unshown((struct span){(const char *)scan->held.data, scan->held.len}, scan->shown);
    scan->shown = scan->held.len;
}

void needle_scan_end(struct needle_scan *scan, struct span *out)
{
    buf_wipe(&scan->ready);
    *out = (struct span){NULL, 0};
    if (scan->held.len > 0)
        join(scan, (struct span){"", 0}, out);
    *out = unshown(*out, scan->shown);
    scan->shown = 0;
}
