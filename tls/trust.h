/* Trusted roots. A set of certificates from PEM text, indexed by subject: only the one root that a
 * chain ends at is decoded and parsed, while it is verified. The set itself costs 16 bytes of
 * private memory a certificate, and the text where it was copied; text in a shared read-only
 * mapping (TRUST_BORROW) costs a worker nothing.
 * A certificate of the set is trusted as an anchor, be it a root, an intermediate or, byte for
 * byte, the server's own. */
#ifndef AILERON_TLS_TRUST_H
#define AILERON_TLS_TRUST_H

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/text.h"

#define TRUST_PEM_MAX ((size_t)4 << 20) /* one text */
#define TRUST_CERTS_MAX 4096            /* certificates in a set */
#define TRUST_TEXTS_MAX 8               /* texts in a set: the system's and extra files */

enum trust_text { TRUST_COPY, TRUST_BORROW };

struct trust; /* reference counted: a handshake in progress keeps its set */

struct trust *trust_new(void) MUSTUSE;
struct trust *trust_ref(struct trust *trust) MUSTUSE NONNULL;
void trust_unref(struct trust *trust); /* NULL is fine */
/* Adds the CERTIFICATE blocks of a PEM text. Other text and other blocks are ignored; a bad
 * certificate is skipped and counted. BORROW: the text stays unchanged until the set is freed.
 * ERR_LIMIT above the bounds, ERR_DATA where the text holds no usable certificate at all. Not
 * after the set is in use by a stream. */
bool trust_add(struct trust *trust, struct span pem, enum trust_text how, struct err *err)
    MUSTUSE NONNULL;
size_t trust_count(const struct trust *trust) NONNULL;
size_t trust_skipped(const struct trust *trust) NONNULL;

/* The base64 of the next CERTIFICATE block at or behind *at, lines and all; *at moves behind it. False: there is
 * none. */
bool trust_next_pem(struct span *at, struct span *base64) MUSTUSE NONNULL;

/* The DER of such a block. Not in constant time, as the library's own is: certificates are no secret, and there are
 * hundreds of them in each start. cap: as many bytes as the base64 has digits. False: it is no base64, or too long. */
bool trust_pem_der(struct span base64, uint8_t *der, size_t cap, size_t *len) MUSTUSE NONNULL;

/* The system's bundle, from the well-known places and never from the environment; out is
 * initialised here (at most TRUST_PEM_MAX). ERR_NOT_FOUND with a hint where there is none. */
bool trust_system_pem(struct buf *out, struct err *err) MUSTUSE NONNULL;

#endif
