/* Cryptography: hash, HMAC, AEAD, passphrase derivation. One-shot functions on plain bytes.
 *
 * tls_init is called once in every process before anything else of tls/ and before the jail: it
 * seeds the generators and touches what libc would otherwise open later (time zone data), so that
 * everything here works afterwards without opening a file. Randomness is random_bytes of
 * core/base/id.h (getrandom). */
#ifndef AILERON_TLS_CRYPTO_H
#define AILERON_TLS_CRYPTO_H

#include "core/base/err.h"
#include "core/base/mem.h"

#define CRYPTO_HASH_LEN 32
#define CRYPTO_KEY_LEN 32
#define CRYPTO_NONCE_LEN 12
#define CRYPTO_TAG_LEN 16
#define CRYPTO_SALT_MIN 8 /* argon2's own lower bound */

/* Idempotent. ERR_INTERNAL where the library cannot start (no randomness). */
bool tls_init(struct err *err) MUSTUSE NONNULL;
/* "Mbed TLS 3.6.6, nettle 3.8, GMP 6.2.1" (the last two where they are linked) and "argon2 1.3"; static. */
const char *crypto_mbedtls_version(void);
const char *crypto_argon2_version(void);

/* SHA-256. Embedded by callers; no free is needed (it holds no pointer). */
struct sha256 {
    uint64_t opaque[16];
};
void sha256_init(struct sha256 *hash) NONNULL;
void sha256_add(struct sha256 *hash, const void *data, size_t len) NONNULL_AT(1);
/* Ends the hash; init it again before another use. */
void sha256_end(struct sha256 *hash, uint8_t out[CRYPTO_HASH_LEN]) NONNULL;
void crypto_sha256(const void *data, size_t len, uint8_t out[CRYPTO_HASH_LEN]) NONNULL_AT(3);
/* For protocols that have it in their handshakes (RFC 6455); it proves nothing. */
enum { CRYPTO_SHA1_LEN = 20 };
void crypto_sha1(const void *data, size_t len, uint8_t out[CRYPTO_SHA1_LEN]) NONNULL_AT(3);
void crypto_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                        uint8_t out[CRYPTO_HASH_LEN]) NONNULL_AT(5);

/* AES-256-GCM. A nonce is never used twice with one key: the caller draws it (random_bytes).
 * seal: out takes len + CRYPTO_TAG_LEN bytes, ciphertext then tag; out may be plain itself.
 * open: sealed holds ciphertext then tag; out takes len - CRYPTO_TAG_LEN bytes. It fails closed: on
 * a wrong key, nonce, aad or any changed bit it returns false and out holds zeros. */
struct crypto_aead {
    const uint8_t *key;   /* CRYPTO_KEY_LEN */
    const uint8_t *nonce; /* CRYPTO_NONCE_LEN */
    const void *aad;      /* may be NULL with aad_len 0 */
    size_t aad_len;
};
void crypto_seal(const struct crypto_aead *aead, const void *plain, size_t len, uint8_t *out)
    NONNULL_AT(1, 4);
bool crypto_open(const struct crypto_aead *aead, const void *sealed, size_t len, uint8_t *out)
    MUSTUSE NONNULL_AT(1);

/* argon2id, RFC 9106; one thread whatever the lanes. memory_kib is at least 8 * lanes. The caller
 * wipes out (or derives into secret_writable). ERR_DATA for parameters out of range. */
struct crypto_kdf {
    uint32_t passes, memory_kib, lanes;
};
bool crypto_argon2id(const struct crypto_kdf *kdf, const void *pass, size_t pass_len,
                     const void *salt, size_t salt_len, uint8_t out[CRYPTO_KEY_LEN],
                     struct err *err) MUSTUSE NONNULL_AT(1, 6, 7);

#endif
