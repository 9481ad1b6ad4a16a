/* Hash, HMAC, AEAD and passphrase derivation over mbedTLS and libargon2. It keeps no state but "the
 * library is started"; keys come as bytes and leave no copy here that is not wiped. It does not
 * choose nonces or parameters, and it knows no file format. */
#include "tls/crypto.h"

#include <argon2.h>
#include <mbedtls/error.h>
#include <mbedtls/gcm.h>
#include <mbedtls/md.h>
#include <mbedtls/sha1.h>
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>
#if defined(MBEDTLS_GCM_ALT)
#include <gmp.h>
#include <nettle/version.h>
#endif
#include <psa/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/id.h"
#include "core/base/secret.h"
#include "tls/internal.h"

/* A library call that can only fail by our own mistake or for want of memory: both end the
 * process (style: a failed allocation aborts). */
static void must(int library_code)
{
    if (library_code != 0)
        abort();
}

int tls_random(void *unused, unsigned char *out, size_t len)
{
    (void)unused;
    random_bytes(out, len);
    return 0;
}

bool tls_error(struct err *err, enum err_code code, int library_code, const char *what)
{
    char words[160];
    mbedtls_strerror(library_code, words, sizeof words);
    return err_set(err, code, "%s: %s", what, words);
}

bool tls_init(struct err *err)
{
    static bool started;
    if (started)
        return true;
    /* TLS 1.3 computes with PSA, whose generator is seeded here; it reseeds by getrandom. */
    psa_status_t status = psa_crypto_init();
    if (status != PSA_SUCCESS)
        return err_set(err, ERR_INTERNAL, "cannot start the cryptographic library (%d)",
                       (int)status);
    /* The first conversion of a time makes libc open the time zone file; in the jail that would
     * be fatal, and certificates are checked there. */
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    started = true;
    return true;
}

const char *crypto_mbedtls_version(void)
{
    static char text[64];
    if (text[0] == '\0') {
        mbedtls_version_get_string_full(text);
#if defined(MBEDTLS_GCM_ALT)
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, ", nettle %d.%d, GMP %s", nettle_version_major(),
                 nettle_version_minor(), gmp_version);
#endif
    }
    return text;
}

const char *crypto_argon2_version(void)
{
    /* The library cannot say its release; what matters for stored data is the algorithm's. */
    _Static_assert(ARGON2_VERSION_NUMBER == ARGON2_VERSION_13, "stored vaults use version 1.3");
    return "argon2 1.3";
}

_Static_assert(sizeof(mbedtls_sha256_context) <= sizeof(struct sha256), "struct sha256 too small");

static mbedtls_sha256_context *context(struct sha256 *hash)
{
    return (mbedtls_sha256_context *)(void *)hash->opaque;
}

void sha256_init(struct sha256 *hash)
{
    mbedtls_sha256_init(context(hash));
    must(mbedtls_sha256_starts(context(hash), 0));
}

void sha256_add(struct sha256 *hash, const void *data, size_t len)
{
    must(mbedtls_sha256_update(context(hash), data, len));
}

void sha256_end(struct sha256 *hash, uint8_t out[CRYPTO_HASH_LEN])
{
    must(mbedtls_sha256_finish(context(hash), out));
    mbedtls_sha256_free(context(hash));
}

void crypto_sha256(const void *data, size_t len, uint8_t out[CRYPTO_HASH_LEN])
{
    must(mbedtls_sha256(data, len, out, 0));
}

void crypto_sha1(const void *data, size_t len, uint8_t out[CRYPTO_SHA1_LEN])
{
    must(mbedtls_sha1(data, len, out));
}

void crypto_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                        uint8_t out[CRYPTO_HASH_LEN])
{
    must(mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), key, key_len, data, len,
                         out));
}

static void gcm_open_key(mbedtls_gcm_context *gcm, const struct crypto_aead *aead)
{
    mbedtls_gcm_init(gcm);
    must(mbedtls_gcm_setkey(gcm, MBEDTLS_CIPHER_ID_AES, aead->key, CRYPTO_KEY_LEN * 8));
}

void crypto_seal(const struct crypto_aead *aead, const void *plain, size_t len, uint8_t *out)
{
    mbedtls_gcm_context gcm;
    gcm_open_key(&gcm, aead);
    must(mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, len, aead->nonce, CRYPTO_NONCE_LEN,
                                   aead->aad, aead->aad_len, plain, out, CRYPTO_TAG_LEN,
                                   out + len));
    mbedtls_gcm_free(&gcm);
}

bool crypto_open(const struct crypto_aead *aead, const void *sealed, size_t len, uint8_t *out)
{
    if (len < CRYPTO_TAG_LEN)
        return false;
    const uint8_t *bytes = sealed;
    size_t plain = len - CRYPTO_TAG_LEN;
    mbedtls_gcm_context gcm;
    gcm_open_key(&gcm, aead);
    int ret = mbedtls_gcm_auth_decrypt(&gcm, plain, aead->nonce, CRYPTO_NONCE_LEN, aead->aad,
                                       aead->aad_len, bytes + plain, CRYPTO_TAG_LEN, bytes, out);
    mbedtls_gcm_free(&gcm);
    if (ret != 0 && plain > 0)
        secret_wipe(out, plain);
    return ret == 0;
}

bool crypto_argon2id(const struct crypto_kdf *kdf, const void *pass, size_t pass_len,
                     const void *salt, size_t salt_len, uint8_t out[CRYPTO_KEY_LEN],
                     struct err *err)
{
    /* argon2_ctx takes writable pointers, to wipe what it is told to; it is told to wipe nothing,
     * so these copies keep our own promise of const. */
    struct secret *pass_copy = secret_new(pass, pass_len);
    uint8_t salt_copy[64];
    int ret = ARGON2_SALT_TOO_LONG;
    if (salt_len <= sizeof salt_copy && pass_len <= UINT32_MAX) {
        if (salt_len > 0)
            memcpy(salt_copy, salt, salt_len);
        argon2_context ctx = {
            .out = out,
            .outlen = CRYPTO_KEY_LEN,
            .pwd = secret_writable(pass_copy),
            .pwdlen = (uint32_t)pass_len,
            .salt = salt_copy,
            .saltlen = (uint32_t)salt_len,
            .t_cost = kdf->passes,
            .m_cost = kdf->memory_kib,
            .lanes = kdf->lanes,
            .threads = 1, /* there are no threads in the program */
            .version = ARGON2_VERSION_13,
            .flags = ARGON2_DEFAULT_FLAGS,
        };
        ret = argon2id_ctx(&ctx);
    }
    secret_free(pass_copy);
    if (ret == ARGON2_MEMORY_ALLOCATION_ERROR)
        return err_set(err, ERR_LIMIT,
                       "deriving the key needs %u KiB of memory, which there is not",
                       kdf->memory_kib);
    if (ret != ARGON2_OK)
        return err_set(err, ERR_DATA, "cannot derive a key with these parameters: %s",
                       argon2_error_message(ret));
    return true;
}
