/* A TLS ClientHello, looked at without answering it: server name, application protocols, encrypted
 * hello. RFC 8446 section 4.1.2 and 5.1, RFC 6066 section 3, RFC 7301, RFC 9849. Strict about every
 * length. No I/O, no state: call again with more bytes. */
#ifndef AILERON_TLS_HELLO_H
#define AILERON_TLS_HELLO_H

#include "core/base/text.h"

#define HELLO_MESSAGE_MAX 16384 /* the handshake message */
#define HELLO_RECORDS_MAX 16    /* records it may be spread over */
/* More bytes than this are never asked for. */
#define HELLO_INPUT_MAX (4 + HELLO_MESSAGE_MAX + 5 * HELLO_RECORDS_MAX)
#define HELLO_EXTENSIONS_MAX 128
#define HELLO_ALPN_MAX 16   /* protocols kept; further ones are checked and left out */
#define HELLO_ALPN_BYTES 256

enum hello_result {
    HELLO_MORE,    /* so far right; needs more bytes than there are */
    HELLO_OK,
    HELLO_NOT_TLS, /* does not begin like a TLS handshake record */
    HELLO_BAD      /* begins like one, or like another record of TLS, and is malformed, oversized, or no ClientHello */
};

struct hello {
    bool has_name;
    bool has_ech;         /* encrypted_client_hello or its draft ESNI; browsers send a decoy too */
    char name[256];       /* as sent: 1 to 255 bytes of printable ASCII, NUL-terminated */
    size_t alpn_count;
    uint16_t alpn_at[HELLO_ALPN_MAX + 1]; /* protocol i: alpn_text[alpn_at[i] .. alpn_at[i + 1]) */
    char alpn_text[HELLO_ALPN_BYTES];
    size_t wire_len; /* bytes of the input that the ClientHello's records took */
};

/* Looks at bytes[0..len); out is written on HELLO_OK alone. */
enum hello_result tls_hello_parse(const uint8_t *bytes, size_t len, struct hello *out)
    MUSTUSE NONNULL_AT(3);
/* A server's first bytes, behind a hello: whether they want another one (HelloRetryRequest, RFC 8446 section 4.1.4),
 * which may say anything anew. NO as soon as they can be nothing of the kind. */
enum hello_retry { HELLO_RETRY_MORE, HELLO_RETRY_NO, HELLO_RETRY_YES };
enum hello_retry tls_hello_retry(const uint8_t *bytes, size_t len) MUSTUSE;
struct span hello_alpn(const struct hello *hello, size_t i) NONNULL; /* i < alpn_count */
bool hello_offers(const struct hello *hello, const char *protocol) NONNULL;

#endif
