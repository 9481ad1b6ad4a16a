/* A session's certificate authority and the leaves it mints for interception.
 *
 * The CA is ECDSA P-256, "CN=Aileron session <id>", CA:true with path length 0, keyCertSign alone,
 * valid for 30 days from one hour before now. Leaves are ECDSA P-256 too, one key for all of them,
 * valid for at most 24 hours from one hour before now, and cached by name (CA_LEAVES_MAX, the
 * least recently used goes first). RFC 5280; identifiers by RFC 7093 (SHA-256, cut).
 * The monitor makes, renews and stores a CA; a session's worker loads it and mints. */
#ifndef AILERON_TLS_CA_H
#define AILERON_TLS_CA_H

#include "core/base/err.h"
#include "core/base/secret.h"
#include "core/base/text.h"

#define CA_LEAVES_MAX 1024
#define CA_HOST_MAX 253

struct ca;
struct leaf;

struct ca *ca_new(const char *session_id, struct err *err) MUSTUSE NONNULL;
/* Both are PEM. ERR_DATA where one is malformed or they do not belong together. An expired
 * certificate loads: ask ca_renewal_due. */
struct ca *ca_load(struct span cert_pem, struct span key_pem, struct err *err) MUSTUSE
    NONNULL_AT(3);
/* The same name and key with a new life; clients that hold the old certificate still verify the
 * leaves of both. The old CA stays as it is. */
struct ca *ca_renew(const struct ca *ca, struct err *err) MUSTUSE NONNULL;
/* True in the last third of the certificate's life, and after it. */
bool ca_renewal_due(const struct ca *ca) MUSTUSE NONNULL;
/* Leaves that were handed out stay valid until they are released. */
void ca_free(struct ca *ca);

const char *ca_cert_pem(const struct ca *ca) NONNULL; /* NUL-terminated, lives as long as the CA */
struct secret *ca_key_pem(const struct ca *ca, struct err *err) MUSTUSE NONNULL; /* caller frees */

/* The leaf for a host: a canonical name (lower case letters, digits, hyphens, underscores and dots,
 * at most CA_HOST_MAX) or an IP literal without brackets. Minted, or from the cache, renewed within
 * the last hour of its life. Returns a reference of the caller's own. ERR_DATA for a bad name. */
struct leaf *ca_leaf(struct ca *ca, const char *host, struct err *err) MUSTUSE NONNULL;
struct leaf *leaf_ref(struct leaf *leaf) MUSTUSE NONNULL;
void leaf_unref(struct leaf *leaf); /* NULL is fine */
/* The certificate in DER, for tests and for the record; lives as long as the leaf. */
struct span leaf_der(const struct leaf *leaf) NONNULL;
size_t ca_leaf_count(const struct ca *ca) NONNULL; /* leaves in the cache */

#endif
