/* Known answers for hash, HMAC, AEAD and derivation, and what must fail. */
#include "tls/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <psa/crypto.h>
#if __has_include(<sha256.c>)
#define MBEDTLS_SELF_TEST /* with MBEDTLS_SHA256_ALT the file is the self test, and no more */
#include <sha256.c>
#else
#include <mbedtls/sha256.h>
#endif

#include "core/base/text.h"

static void assert_hex(const uint8_t *bytes, size_t len, const char *hex)
{
    char text[256];
    assert_true(2 * len < sizeof text);
    text_hex(bytes, len, text);
    assert_string_equal(text, hex);
}

static void test_init_is_idempotent(void **state)
{
    (void)state;
    struct err err;
    assert_true(tls_init(&err));
    assert_true(tls_init(&err));
    assert_memory_equal(crypto_mbedtls_version(), "Mbed TLS 3.", 11);
    assert_string_equal(crypto_argon2_version(), "argon2 1.3");
}

static void test_sha256(void **state)
{
    (void)state;
    uint8_t out[CRYPTO_HASH_LEN], again[CRYPTO_HASH_LEN], data[300];
    crypto_sha256("abc", 3, out); /* FIPS 180-2 */
    assert_hex(out, sizeof out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    crypto_sha256(NULL, 0, out);
    assert_hex(out, sizeof out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    crypto_sha256(data, sizeof data, out);
    for (size_t cut = 0; cut <= sizeof data; cut++) {
        struct sha256 hash;
        sha256_init(&hash);
        sha256_add(&hash, data, cut);
        sha256_add(&hash, data + cut, sizeof data - cut);
        sha256_end(&hash, again);
        assert_memory_equal(out, again, sizeof out);
    }
}

/* NIST's vectors, in the library's own test; and two messages of one beginning. */
static void test_sha256_at_mbedtls(void **state)
{
    (void)state;
    mbedtls_sha256_context one, other;
    uint8_t out[CRYPTO_HASH_LEN], again[CRYPTO_HASH_LEN], whole[CRYPTO_HASH_LEN];
#if defined(MBEDTLS_SELF_TEST)
    assert_int_equal(mbedtls_sha256_self_test(0), 0);
    assert_int_equal(mbedtls_sha224_self_test(0), 0);
#endif
    mbedtls_sha256_init(&one);
    mbedtls_sha256_init(&other);
    for (int is224 = 0; is224 < 2; is224++) {
        assert_int_equal(mbedtls_sha256_starts(&one, is224), 0);
        assert_int_equal(mbedtls_sha256_update(&one, (const uint8_t *)"one", 3), 0);
        assert_int_equal(mbedtls_sha256_update(&one, NULL, 0), 0);
        mbedtls_sha256_clone(&other, &one);
        assert_int_equal(mbedtls_sha256_update(&one, (const uint8_t *)"two", 3), 0);
        assert_int_equal(mbedtls_sha256_finish(&one, out), 0);
        assert_int_equal(mbedtls_sha256_update(&other, (const uint8_t *)"two", 3), 0);
        assert_int_equal(mbedtls_sha256_finish(&other, again), 0);
        assert_int_equal(mbedtls_sha256((const uint8_t *)"onetwo", 6, whole, is224), 0);
        assert_memory_equal(out, again, is224 ? 28 : 32);
        assert_memory_equal(out, whole, is224 ? 28 : 32);
    }
    assert_int_equal(mbedtls_sha256_starts(&one, 2), MBEDTLS_ERR_SHA256_BAD_INPUT_DATA);
    static const mbedtls_sha256_context none;
    assert_int_equal(mbedtls_sha256_starts(&one, 0), 0);
    assert_int_equal(mbedtls_sha256_update(&one, (const uint8_t *)"of a key", 8), 0);
    mbedtls_sha256_free(&one);
    assert_memory_equal(&one, &none, sizeof one);
    mbedtls_sha256_free(NULL);
}

static void test_hmac(void **state)
{
    (void)state;
    uint8_t out[CRYPTO_HASH_LEN]; /* RFC 4231, case 2 */
    crypto_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out);
    assert_hex(out, sizeof out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void test_aead_known_answer(void **state)
{
    (void)state;
    static const uint8_t zeros[32]; /* McGrew and Viega, test case 14 */
    uint8_t out[32];
    struct crypto_aead aead = {zeros, zeros, NULL, 0};
    crypto_seal(&aead, zeros, 16, out);
    assert_hex(out, 32, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
}

static void test_aead_fails_closed(void **state)
{
    (void)state;
    uint8_t key[32] = "0123456789abcdef0123456789abcde", nonce[12] = "nonce-nonce";
    uint8_t sealed[5 + CRYPTO_TAG_LEN], plain[5];
    struct crypto_aead aead = {key, nonce, "name", 4};
    crypto_seal(&aead, "hello", 5, sealed);
    assert_true(crypto_open(&aead, sealed, sizeof sealed, plain));
    assert_memory_equal(plain, "hello", 5);
    for (size_t bit = 0; bit < sizeof sealed * 8; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(plain, 'x', sizeof plain);
        assert_false(crypto_open(&aead, sealed, sizeof sealed, plain));
        assert_memory_equal(plain, "\0\0\0\0\0", 5);
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    struct crypto_aead other = {key, nonce, "nam", 3};
    assert_false(crypto_open(&other, sealed, sizeof sealed, plain));
    for (size_t len = 0; len < sizeof sealed; len++)
        assert_false(crypto_open(&aead, sealed, len, plain));
    nonce[0] ^= 1;
    assert_false(crypto_open(&aead, sealed, sizeof sealed, plain));
}

static void test_aead_empty_and_in_place(void **state)
{
    (void)state;
    uint8_t key[32] = {1}, nonce[12] = {2}, room[100 + CRYPTO_TAG_LEN] = {3, 4, 5}, copy[100];
    struct crypto_aead aead = {key, nonce, NULL, 0};
    memcpy(copy, room, sizeof copy);
    crypto_seal(&aead, room, 100, room);
    assert_memory_not_equal(copy, room, 100);
    assert_true(crypto_open(&aead, room, sizeof room, room));
    assert_memory_equal(copy, room, 100);
    crypto_seal(&aead, NULL, 0, room);
    assert_true(crypto_open(&aead, room, CRYPTO_TAG_LEN, copy));
}

/* As TLS 1.3 gets it, for which tls/x25519.c stands in; and P-256, which it passes on. */
static void public_of(psa_ecc_family_t family, size_t bits, const char *key, const char *expected)
{
    uint8_t secret[32], public[65];
    size_t len = 0;
    psa_key_id_t id = 0;
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    assert_true(text_unhex(span_of(key), secret, sizeof secret));
    psa_set_key_type(&attributes, PSA_KEY_TYPE_ECC_KEY_PAIR(family));
    psa_set_key_bits(&attributes, bits);
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_DERIVE);
    psa_set_key_algorithm(&attributes, PSA_ALG_ECDH);
    assert_int_equal(psa_import_key(&attributes, secret, sizeof secret, &id), PSA_SUCCESS);
    assert_int_equal(psa_export_public_key(id, public, sizeof public, &len), PSA_SUCCESS);
    assert_hex(public, len, expected);
    assert_int_equal(psa_export_public_key(id, public, 31, &len), PSA_ERROR_BUFFER_TOO_SMALL);
    assert_int_equal(psa_destroy_key(id), PSA_SUCCESS);
}

static void test_public_keys(void **state)
{
    (void)state;
    /* RFC 7748 section 6.1; RFC 5903 section 8.1 */
    public_of(PSA_ECC_FAMILY_MONTGOMERY, 255, "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
              "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    public_of(PSA_ECC_FAMILY_SECP_R1, 256, "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
              "04dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180"
              "5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3");
}

static void test_argon2id(void **state)
{
    (void)state;
    uint8_t out[CRYPTO_KEY_LEN], two[CRYPTO_KEY_LEN];
    struct err err;
    struct crypto_kdf kdf = {.passes = 2, .memory_kib = 65536, .lanes = 1};
    /* libargon2's own test vector, version 0x13 */
    assert_true(crypto_argon2id(&kdf, "password", 8, "somesalt", 8, out, &err));
    assert_hex(out, sizeof out, "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7");
    kdf = (struct crypto_kdf){.passes = 1, .memory_kib = 256, .lanes = 4};
    assert_true(crypto_argon2id(&kdf, "", 0, "somesalt", 8, out, &err));
    assert_true(crypto_argon2id(&kdf, NULL, 0, "somesalt", 8, two, &err));
    assert_memory_equal(out, two, sizeof out);
}

static void test_argon2id_refuses(void **state)
{
    (void)state;
    uint8_t out[CRYPTO_KEY_LEN];
    struct err err;
    struct crypto_kdf kdf = {.passes = 1, .memory_kib = 256, .lanes = 1};
    char salt[65] = "";
    assert_false(crypto_argon2id(&kdf, "p", 1, "short", 5, out, &err));
    assert_int_equal(err.code, ERR_DATA);
    assert_false(crypto_argon2id(&kdf, "p", 1, salt, sizeof salt, out, &err));
    assert_int_equal(err.code, ERR_DATA);
    kdf.passes = 0;
    assert_false(crypto_argon2id(&kdf, "p", 1, "somesalt", 8, out, &err));
    kdf = (struct crypto_kdf){.passes = 1, .memory_kib = 7, .lanes = 1};
    assert_false(crypto_argon2id(&kdf, "p", 1, "somesalt", 8, out, &err));
    kdf = (struct crypto_kdf){.passes = 1, .memory_kib = 256, .lanes = 0};
    assert_false(crypto_argon2id(&kdf, "p", 1, "somesalt", 8, out, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init_is_idempotent),
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_sha256_at_mbedtls),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_aead_known_answer),
        cmocka_unit_test(test_aead_fails_closed),
        cmocka_unit_test(test_aead_empty_and_in_place),
        cmocka_unit_test(test_public_keys),
        cmocka_unit_test(test_argon2id),
        cmocka_unit_test(test_argon2id_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
