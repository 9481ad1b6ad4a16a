/* A look at a ClientHello: record and handshake framing, then the extensions that routing needs.
 * It answers nothing, keeps nothing and allocates nothing. It does not judge versions or ciphers;
 * the TLS library does that with the same bytes afterwards. */
#include "tls/hello.h"

#define RECORD_HEAD 5
#define RECORD_PAYLOAD_MAX 16384 /* RFC 8446 5.1: 2^14 */
#define HANDSHAKE_HEAD 4

enum {
    RECORD_FIRST = 20, /* ChangeCipherSpec; 24 is the last type that was ever given away */
    RECORD_HANDSHAKE = 22,
    RECORD_LAST = 24,
    MESSAGE_CLIENT_HELLO = 1,
    MESSAGE_SERVER_HELLO = 2,
    EXT_SERVER_NAME = 0,
    EXT_ALPN = 16,
    EXT_ECH = 0xfe0d,
    EXT_ESNI = 0xffce, /* the draft before ECH */
    NAME_HOST = 0
};

/* A view of bytes that is only ever cut from the front; every take checks the length. */
struct view {
    const uint8_t *p;
    size_t len;
};

static bool take_bytes(struct view *from, size_t count, struct view *out)
{
    if (from->len < count)
        return false;
    *out = (struct view){from->p, count};
    from->p += count;
    from->len -= count;
    return true;
}

/* A big-endian number of size bytes. */
static bool take_number(struct view *from, size_t size, size_t *out)
{
    struct view digits;
    if (!take_bytes(from, size, &digits))
        return false;
    *out = 0;
    for (size_t i = 0; i < size; i++)
        *out = *out << 8 | digits.p[i];
    return true;
}

/* A vector of RFC 8446 section 3.4: its length in size bytes, then that many bytes. */
static bool take_vector(struct view *from, size_t size, size_t least, struct view *out)
{
    size_t len;
    return take_number(from, size, &len) && len >= least && take_bytes(from, len, out);
}

/* RFC 6066 section 3. A list of one host_name: no other type was ever defined, and the entries of
 * an unknown type could not be told apart. */
static bool read_server_name(struct view body, struct hello *out)
{
    struct view list, name;
    size_t type;
    if (!take_vector(&body, 2, 1, &list) || body.len > 0)
        return false;
    if (!take_number(&list, 1, &type) || type != NAME_HOST || !take_vector(&list, 2, 1, &name) ||
        list.len > 0 || name.len >= sizeof out->name)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.p[i] <= ' ' || name.p[i] >= 0x7f)
            return false;
        out->name[i] = (char)name.p[i];
    }
    out->name[name.len] = '\0';
    out->has_name = true;
    return true;
}

/* RFC 7301 section 3.1. All are checked, those that fit are kept. */
static bool read_alpn(struct view body, struct hello *out)
{
    struct view list, protocol;
    if (!take_vector(&body, 2, 2, &list) || body.len > 0)
        return false;
    bool full = false;
    while (list.len > 0) {
        if (!take_vector(&list, 1, 1, &protocol))
            return false;
        size_t at = out->alpn_at[out->alpn_count];
        full = full || out->alpn_count == HELLO_ALPN_MAX ||
               at + protocol.len > sizeof out->alpn_text;
        if (full)
            continue;
        memcpy(out->alpn_text + at, protocol.p, protocol.len);
        out->alpn_count++;
        out->alpn_at[out->alpn_count] = (uint16_t)(at + protocol.len);
    }
    return true;
}

static bool read_extension(size_t type, struct view body, struct hello *out)
{
    switch (type) {
    case EXT_SERVER_NAME:
        return read_server_name(body, out);
    case EXT_ALPN:
        return read_alpn(body, out);
    case EXT_ECH:
    case EXT_ESNI:
        out->has_ech = true;
        return true;
    default:
        return true;
    }
}

/* RFC 8446 section 4.2: no type may appear twice. */
static bool read_extensions(struct view list, struct hello *out)
{
    uint16_t seen[HELLO_EXTENSIONS_MAX];
    for (size_t count = 0; list.len > 0; count++) {
        size_t type;
        struct view body;
        if (count == HELLO_EXTENSIONS_MAX || !take_number(&list, 2, &type) ||
            !take_vector(&list, 2, 0, &body))
            return false;
        for (size_t i = 0; i < count; i++)
            if (seen[i] == type)
                return false;
        seen[count] = (uint16_t)type;
        if (!read_extension(type, body, out))
            return false;
    }
    return true;
}

/* RFC 8446 section 4.1.2. */
static bool read_client_hello(struct view message, struct hello *out)
{
    struct view random, session, suites, compression, extensions;
    size_t version;
    if (!take_number(&message, 2, &version) || version >> 8 != 3 ||
        !take_bytes(&message, 32, &random) || !take_vector(&message, 1, 0, &session) ||
        session.len > 32 || !take_vector(&message, 2, 2, &suites) || suites.len % 2 != 0 ||
        !take_vector(&message, 1, 1, &compression))
        return false;
    if (message.len == 0) /* TLS 1.2 and before may send none */
        return true;
    return take_vector(&message, 2, 0, &extensions) && message.len == 0 &&
           read_extensions(extensions, out);
}

/* Some servers take a warning, or an empty record, before the hello; some the hello in the form of SSL 2, which names
 * nobody (RFC 5246 appendix E.2). */
static enum hello_result no_handshake(struct view input)
{
    if (input.p[0] & 0x80) {
        bool other = (input.len > 2 && input.p[2] != MESSAGE_CLIENT_HELLO) || (input.len > 3 && input.p[3] != 3);
        return other ? HELLO_NOT_TLS : input.len > 3 ? HELLO_BAD : HELLO_MORE;
    }
    if (input.p[0] < RECORD_FIRST || input.p[0] > RECORD_LAST || (input.len > 1 && input.p[1] != 3))
        return HELLO_NOT_TLS;
    return input.len > 1 ? HELLO_BAD : HELLO_MORE;
}

enum hello_result tls_hello_parse(const uint8_t *bytes, size_t len, struct hello *out)
{
    uint8_t joined[HANDSHAKE_HEAD + HELLO_MESSAGE_MAX]; /* the message, free of record heads */
    size_t have = 0, want = HANDSHAKE_HEAD;
    struct view input = {bytes, len};

    for (size_t records = 0; have < want; records++) {
        struct view head, payload;
        if (records == HELLO_RECORDS_MAX)
            return HELLO_BAD;
        /* As much of the head as is there decides at once: nobody waits for five bytes that do
         * not come. */
        if (input.len > 0 && input.p[0] != RECORD_HANDSHAKE)
            return records == 0 ? no_handshake(input) : HELLO_BAD;
        if (input.len > 1 && input.p[1] != 3)
            return records == 0 ? HELLO_NOT_TLS : HELLO_BAD;
        if (!take_bytes(&input, RECORD_HEAD, &head))
            return HELLO_MORE;
        size_t size = (size_t)head.p[3] << 8 | head.p[4];
        if (size == 0 || size > RECORD_PAYLOAD_MAX)
            return HELLO_BAD;
        bool whole = take_bytes(&input, size, &payload);
        if (!whole)
            (void)take_bytes(&input, input.len, &payload);
        if (payload.len > sizeof joined - have)
            return HELLO_BAD;
        if (payload.len > 0)
            memcpy(joined + have, payload.p, payload.len);
        have += payload.len;
        if (have > 0 && joined[0] != MESSAGE_CLIENT_HELLO)
            return HELLO_BAD;
        if (have >= HANDSHAKE_HEAD)
            want = HANDSHAKE_HEAD + ((size_t)joined[1] << 16 | (size_t)joined[2] << 8 | joined[3]);
        if (want > sizeof joined)
            return HELLO_BAD;
        /* The flight is this one message: nothing may follow it in its last record. */
        if (have > want || (!whole && have == want))
            return HELLO_BAD;
        if (!whole)
            return HELLO_MORE;
    }

    struct hello found = {.wire_len = len - input.len};
    struct view message = {joined + HANDSHAKE_HEAD, want - HANDSHAKE_HEAD};
    if (!read_client_hello(message, &found))
        return HELLO_BAD;
    *out = found;
    return HELLO_OK;
}

enum hello_retry tls_hello_retry(const uint8_t *bytes, size_t len)
{
    /* A record, a ServerHello in it, its version, and the SHA-256 of "HelloRetryRequest" in the place of its random. */
    static const uint8_t form[] = {
        RECORD_HANDSHAKE, 3, 0, 0, 0, MESSAGE_SERVER_HELLO, 0, 0, 0, 3, 3,
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
        0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};
    for (size_t i = 0; i < len && i < sizeof form; i++) {
        bool any = (i > 1 && i < 5) || (i > 5 && i < 9); /* a version, lengths */
        if (!any && bytes[i] != form[i])
            return HELLO_RETRY_NO;
    }
    return len < sizeof form ? HELLO_RETRY_MORE : HELLO_RETRY_YES;
}

struct span hello_alpn(const struct hello *hello, size_t i)
{
    size_t at = hello->alpn_at[i];
    return (struct span){hello->alpn_text + at, (size_t)hello->alpn_at[i + 1] - at};
}

bool hello_offers(const struct hello *hello, const char *protocol)
{
    size_t len = strlen(protocol);
    for (size_t i = 0; i < hello->alpn_count; i++) {
        struct span offer = hello_alpn(hello, i);
        if (offer.len == len && memcmp(offer.p, protocol, len) == 0)
            return true;
    }
    return false;
}
