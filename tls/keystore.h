/* A Java trust store, written from PEM: PKCS#12 (RFC 7292) as every JDK since 8 reads it. One SafeContents of
 * certificate bags (section 4.2.3), each with a friendlyName (RFC 2985 section 5.5.1: Java's alias) and with the
 * attribute trustedKeyUsage, 2.16.840.1.113894.746875.1.1 with the value anyExtendedKeyUsage, without which the JDK
 * takes a certificate for a part of some key's chain and trusts nothing.
 *
 * Neither encrypted nor with a MAC, which section 4 leaves open: the certificates are public, and what could change
 * the file could change ca-bundle.pem beside it. So no password is needed, and any that a program gives is right. */
#ifndef AILERON_TLS_KEYSTORE_H
#define AILERON_TLS_KEYSTORE_H

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/text.h"

#define KEYSTORE_MAX ((size_t)5 << 20) /* TRUST_PEM_MAX of base64, and TRUST_CERTS_MAX bags around it */

/* The CERTIFICATE blocks of a PEM text, in their order. A malformed one is left out, since Java would refuse the
 * whole file for it. out is initialised here and cleared on failure. ERR_LIMIT above TRUST_PEM_MAX and
 * TRUST_CERTS_MAX, ERR_DATA where the text holds no certificate. */
bool keystore_write(struct span pem, struct buf *out, struct err *err) MUSTUSE NONNULL;

#endif
