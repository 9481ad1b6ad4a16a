/* What network an address belongs to, address ranges, and the verdict on connecting. The rows are the IANA
 * special-purpose registries of both families (RFC 6890 and what followed) and the places where clouds hand
 * out credentials; the first row that matches decides. */
#include "core/wire/addr.h"

struct row {
    uint8_t bytes[16];
    unsigned bits;
    enum addr_class class;
};

/* The metadata rows come first, so that what they lie in does not hide them. */
static const struct row v4_rows[] = {
    {{169, 254, 169, 254}, 32, ADDR_METADATA}, /* AWS, GCP, Azure, OpenStack, Oracle, DigitalOcean */
    {{169, 254, 170, 2}, 32, ADDR_METADATA},   /* AWS ECS task credentials */
    {{169, 254, 170, 23}, 32, ADDR_METADATA},  /* AWS EKS pod identity */
    {{169, 254, 0, 23}, 32, ADDR_METADATA},    /* Tencent */
    {{169, 254, 10, 10}, 32, ADDR_METADATA},   /* Tencent */
    {{169, 254, 42, 42}, 32, ADDR_METADATA},   /* Scaleway */
    {{100, 100, 100, 200}, 32, ADDR_METADATA}, /* Alibaba */
    {{192, 0, 0, 192}, 32, ADDR_METADATA},     /* Oracle classic */
    {{168, 63, 129, 16}, 32, ADDR_METADATA},   /* Azure: host agent */
    {{0}, 32, ADDR_UNSPECIFIED},
    {{0}, 8, ADDR_RESERVED},
    {{10}, 8, ADDR_PRIVATE},
    {{100, 64}, 10, ADDR_CGNAT},
    {{127}, 8, ADDR_LOOPBACK},
    {{169, 254}, 16, ADDR_LINK_LOCAL},
    {{172, 16}, 12, ADDR_PRIVATE},
    {{192, 0, 0}, 24, ADDR_RESERVED},
    {{192, 0, 2}, 24, ADDR_RESERVED},
    {{192, 88, 99}, 24, ADDR_RESERVED}, /* 6to4 relays, withdrawn */
    {{192, 168}, 16, ADDR_PRIVATE},
    {{198, 18}, 15, ADDR_RESERVED},
    {{198, 51, 100}, 24, ADDR_RESERVED},
    {{203, 0, 113}, 24, ADDR_RESERVED},
    {{224}, 4, ADDR_MULTICAST},
    {{255, 255, 255, 255}, 32, ADDR_BROADCAST},
    {{240}, 4, ADDR_RESERVED},
};

static const struct row v6_rows[] = {
    {{0xfd, 0, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}, 128, ADDR_METADATA}, /* AWS */
    {{0xfd, 0, 0x0e, 0xc2, [15] = 0x23}, 128, ADDR_METADATA},              /* AWS EKS pod identity */
    {{0xfd, 0x20, 0, 0xce, [14] = 0x02, [15] = 0x54}, 128, ADDR_METADATA}, /* GCP */
    {{0xfd, 0, 0, 0x42, [15] = 0x42}, 128, ADDR_METADATA},                 /* Scaleway */
    {{0xfd, 0, 0, 0xc1, [12] = 0xa9, 0xfe, 0xa9, 0xfe}, 128, ADDR_METADATA}, /* Oracle */
    {{0}, 128, ADDR_UNSPECIFIED},
    {{[15] = 1}, 128, ADDR_LOOPBACK},
    {{0xff}, 8, ADDR_MULTICAST},
    {{0xfe, 0x80}, 10, ADDR_LINK_LOCAL},
    {{0xfe, 0xc0}, 10, ADDR_PRIVATE}, /* site local, deprecated */
    {{0xfc}, 7, ADDR_PRIVATE},
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, ADDR_RESERVED}, /* local NAT64 */
    {{0x01}, 64, ADDR_RESERVED},                               /* discard */
    {{0x01, [7] = 1}, 64, ADDR_RESERVED},                      /* dummy, RFC 9780 */
    {{0x20, 0x01}, 32, ADDR_RESERVED},                         /* Teredo */
    {{0x20, 0x01, 0x00, 0x02}, 48, ADDR_RESERVED},             /* benchmarking */
    {{0x20, 0x01, 0x00, 0x10}, 28, ADDR_RESERVED},             /* ORCHID */
    {{0x20, 0x01, 0x00, 0x20}, 28, ADDR_RESERVED},             /* ORCHIDv2 */
    {{0x20, 0x01, 0x0d, 0xb8}, 32, ADDR_RESERVED},
    {{0x3f, 0xff}, 20, ADDR_RESERVED}, /* documentation, RFC 9637 */
    {{0x5f, 0x00}, 16, ADDR_RESERVED}, /* SRv6 */
};

/* Global unicast, and the two blocks below it that stand for v4. All else is not assigned. */
static const struct row v6_public[] = {
    {{0x20}, 3, ADDR_PUBLIC},
    {{0x00, 0x64, 0xff, 0x9b}, 96, ADDR_PUBLIC},
    {{[10] = 0xff, [11] = 0xff}, 96, ADDR_PUBLIC},
    {{[8] = 0xff, [9] = 0xff}, 96, ADDR_PUBLIC}, /* v4-translated, RFC 2765 */
};

static bool prefix_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static const struct row *find(const struct row *rows, size_t count, const uint8_t *bytes)
{
    for (size_t i = 0; i < count; i++)
        if (prefix_equal(rows[i].bytes, bytes, rows[i].bits))
            return &rows[i];
    return NULL;
}

static enum addr_class class_v4(const uint8_t *bytes)
{
    const struct row *row = find(v4_rows, COUNT(v4_rows), bytes);
    return row ? row->class : ADDR_PUBLIC;
}

/* ---- v6 addresses that stand for a v4 address ---- */

struct embedding {
    uint8_t prefix[16];
    unsigned bits;
    unsigned at;  /* of the 4 bytes */
    bool flipped; /* Teredo writes the client's address inverted */
};

static const struct embedding embeddings[] = {
    {{[10] = 0xff, [11] = 0xff}, 96, 12, false},           /* mapped; cidr_match uses this row */
    {{[8] = 0xff, [9] = 0xff}, 96, 12, false},             /* translated */
    {{0}, 96, 12, false},                                  /* compatible; :: and ::1 have rows */
    {{0x00, 0x64, 0xff, 0x9b}, 96, 12, false},             /* NAT64 */
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, 12, false}, /* local NAT64, as a /96 */
    {{0x20, 0x02}, 16, 2, false},                          /* 6to4 */
    {{0x20, 0x01}, 32, 12, true},                          /* Teredo: client */
    {{0x20, 0x01}, 32, 4, false},                          /* Teredo: server */
};

/* The next embedded v4 address from *index on; NULL: no more. ISATAP's is found by its interface identifier,
 * whatever the prefix. */
static bool embedded(const uint8_t *bytes, size_t *index, uint8_t out[4])
{
    for (; *index < COUNT(embeddings); (*index)++) {
        const struct embedding *e = &embeddings[*index];
        if (!prefix_equal(e->prefix, bytes, e->bits))
            continue;
        for (unsigned i = 0; i < 4; i++)
            out[i] = (uint8_t)(e->flipped ? ~bytes[e->at + i] : bytes[e->at + i]);
        (*index)++;
        return true;
    }
    if (*index == COUNT(embeddings)) {
        (*index)++;
        if ((bytes[8] & 0xfd) == 0 && bytes[9] == 0 && bytes[10] == 0x5e && bytes[11] == 0xfe) {
            memcpy(out, bytes + 12, 4);
            return true;
        }
    }
    return false;
}

static enum addr_class class_v6(const uint8_t *bytes)
{
    const struct row *row = find(v6_rows, COUNT(v6_rows), bytes);
    enum addr_class found = find(v6_public, COUNT(v6_public), bytes) ? ADDR_PUBLIC : ADDR_RESERVED;
    uint8_t v4[4];
    size_t index = 0;
    if (row)
        found = row->class;
    if (found != ADDR_PUBLIC && found != ADDR_RESERVED)
        return found;
    while (embedded(bytes, &index, v4)) {
        enum addr_class inner = class_v4(v4);
        if (inner == ADDR_METADATA)
            return inner;
        if (inner != ADDR_PUBLIC && (found == ADDR_PUBLIC || found == ADDR_RESERVED))
            found = inner;
    }
    return found;
}

enum addr_class addr_class(const struct addr *addr)
{
    if (addr->family == ADDR_V4)
        return class_v4(addr->bytes);
    return addr->family == ADDR_V6 ? class_v6(addr->bytes) : ADDR_UNSPECIFIED;
}

const char *addr_class_word(enum addr_class class)
{
    static const char *const words[ADDR_CLASSES] = {
        [ADDR_PUBLIC] = "public",           [ADDR_LOOPBACK] = "loopback",
        [ADDR_PRIVATE] = "private",         [ADDR_LINK_LOCAL] = "link-local",
        [ADDR_METADATA] = "metadata",       [ADDR_CGNAT] = "cgnat",
        [ADDR_MULTICAST] = "multicast",     [ADDR_UNSPECIFIED] = "unspecified",
        [ADDR_BROADCAST] = "broadcast",     [ADDR_RESERVED] = "reserved",
    };
    return class < ADDR_CLASSES ? words[class] : "reserved";
}

/* ---- ranges ---- */

bool cidr_parse(struct span text, struct cidr *out)
{
    struct span base;
    uint64_t bits;
    const char *slash = text.len ? memchr(text.p, '/', text.len) : NULL;
    base = slash ? (struct span){text.p, (size_t)(slash - text.p)} : text;
    if (!addr_parse(base, &out->base))
        return false;
    unsigned max = out->base.family == ADDR_V4 ? 32 : 128;
    bits = max;
    if (slash) {
        struct span digits = {slash + 1, text.len - base.len - 1};
        if (digits.len > 1 && *digits.p == '0')
            return false;
        if (!text_u64(digits, max, &bits))
            return false;
    }
    out->bits = (unsigned)bits;
    for (unsigned i = out->bits; i < max; i++)
        if (out->base.bytes[i / 8] & (0x80 >> i % 8))
            return false;
    return true;
}

bool cidr_match(const struct cidr *cidr, const struct addr *addr)
{
    const uint8_t *bytes = addr->bytes;
    if (cidr->base.family == ADDR_V4 && addr->family == ADDR_V6 &&
        prefix_equal(embeddings[0].prefix, bytes, embeddings[0].bits))
        bytes += embeddings[0].at;
    else if (cidr->base.family != addr->family)
        return false;
    return prefix_equal(cidr->base.bytes, bytes, cidr->bits);
}

/* One of the two prefixes holds the other. */
static bool overlap(const uint8_t *a, unsigned a_bits, const uint8_t *b, unsigned b_bits)
{
    return prefix_equal(a, b, a_bits < b_bits ? a_bits : b_bits);
}

bool cidr_has_metadata(const struct cidr *cidr)
{
    bool v4 = cidr->base.family == ADDR_V4;
    const struct row *rows = v4 ? v4_rows : v6_rows;
    size_t count = v4 ? COUNT(v4_rows) : COUNT(v6_rows);
    for (size_t i = 0; i < count; i++)
        if (rows[i].class == ADDR_METADATA &&
            overlap(cidr->base.bytes, cidr->bits, rows[i].bytes, rows[i].bits))
            return true;
    /* The v4 rows behind each embedding's prefix. ISATAP is left to addr_verdict, which asks the class first. */
    for (size_t e = 0; !v4 && e < COUNT(embeddings); e++) {
        for (size_t i = 0; i < COUNT(v4_rows); i++) {
            if (v4_rows[i].class != ADDR_METADATA)
                continue;
            struct row made = {.bits = (embeddings[e].at + 4) * 8};
            memcpy(made.bytes, embeddings[e].prefix, sizeof(made.bytes));
            /* Bytes between the prefix and the address may be anything: take the range's own. */
            for (unsigned b = embeddings[e].bits / 8; b < embeddings[e].at; b++)
                made.bytes[b] = cidr->base.bytes[b];
            for (unsigned b = 0; b < 4; b++)
                made.bytes[embeddings[e].at + b] =
                    (uint8_t)(embeddings[e].flipped ? ~v4_rows[i].bytes[b] : v4_rows[i].bytes[b]);
            if (overlap(cidr->base.bytes, cidr->bits, made.bytes, made.bits))
                return true;
        }
    }
    return false;
}

/* ---- the verdict ---- */

bool addr_verdict(const struct addr *addr, const struct cidr *allowed, size_t allowed_count,
                  bool allow_private, const char **why)
{
    enum addr_class class = addr_class(addr);
    bool listable = false;
    switch (class) {
    case ADDR_PUBLIC:
        return true;
    case ADDR_PRIVATE:
    case ADDR_CGNAT:
        if (allow_private)
            return true;
        listable = true;
        break;
    case ADDR_LOOPBACK:
    case ADDR_LINK_LOCAL:
    case ADDR_RESERVED:
        listable = true;
        break;
    case ADDR_METADATA:
    case ADDR_MULTICAST:
    case ADDR_UNSPECIFIED:
    case ADDR_BROADCAST:
    case ADDR_CLASSES:
        break;
    }
    for (size_t i = 0; listable && i < allowed_count; i++)
        if (cidr_match(&allowed[i], addr))
            return true;
    *why = addr_class_word(class);
    return false;
}
