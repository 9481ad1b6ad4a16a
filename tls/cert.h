/* Key pairs and the writing of certificates, for ca.c; nothing outside tls/ includes it. */
#ifndef AILERON_TLS_CERT_H
#define AILERON_TLS_CERT_H

#include <mbedtls/pk.h>

#include "core/base/err.h"
#include "core/base/text.h"

#define CERT_DER_MAX 2048 /* ours: about 450 bytes and two names */
#define CERT_KEY_ID_LEN 20

/* ECDSA P-256; counted, since leaves outlive their CA. */
struct keypair {
    size_t refs;
    mbedtls_pk_context pk;
    uint8_t id[CERT_KEY_ID_LEN]; /* RFC 7093 section 2, method 1 */
};
struct keypair *keypair_new(struct err *err) MUSTUSE NONNULL;
struct keypair *keypair_parse(struct span pem, struct err *err) MUSTUSE NONNULL_AT(2);
struct keypair *keypair_ref(struct keypair *key) MUSTUSE NONNULL;
void keypair_unref(struct keypair *key);

struct cert_spec {
    const char *subject, *issuer; /* "CN=..." */
    struct keypair *subject_key, *issuer_key;
    uint64_t from_ms, until_ms; /* Unix time */
    const char *host; /* for the server of this name; NULL: the certificate of a CA */
};
/* Signs. The DER is at the end of out; returns its length, or a negative code of the library. */
int cert_write(const struct cert_spec *spec, uint8_t out[CERT_DER_MAX]) MUSTUSE NONNULL;

#endif
