/* SHA-256's context as mbedTLS sees it where MBEDTLS_SHA256_ALT takes the place of the library's own (tls/sha256.c).
 * The library includes this file by its bare name; the Makefile puts it beside the library's headers. */
#ifndef AILERON_TLS_SHA256_ALT_H
#define AILERON_TLS_SHA256_ALT_H

#include <stdint.h>

/* nettle's own struct is not named here: its header renames functions of ours. */
typedef struct mbedtls_sha256_context {
    uint64_t opaque[14];
    int is224;
} mbedtls_sha256_context;

#endif
