/* What the files of tls/ share among themselves; nothing outside tls/ includes it. */
#ifndef AILERON_TLS_INTERNAL_H
#define AILERON_TLS_INTERNAL_H

#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include "core/base/err.h"
#include "tls/ca.h"
#include "tls/trust.h"

/* random_bytes in the shape that the library asks for. */
int tls_random(void *unused, unsigned char *out, size_t len);
/* "what: the library's words"; false, for `return tls_error(...)`. */
bool tls_error(struct err *err, enum err_code code, int library_code, const char *what) NONNULL;

mbedtls_x509_crt *leaf_cert(struct leaf *leaf) NONNULL;
mbedtls_pk_context *leaf_key(struct leaf *leaf) NONNULL;

/* Makes a client's config verify against the set, which must outlive it. */
void trust_use(struct trust *trust, mbedtls_ssl_config *config) NONNULL;
/* Whether this very certificate is in the set, byte for byte. */
bool trust_holds(const struct trust *trust, const mbedtls_x509_crt *cert) NONNULL;

#endif
