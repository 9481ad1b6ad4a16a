/* AES-GCM through mbedTLS's door: the library's self test (NIST's and McGrew and Viega's vectors), and the library's
 * own implementation beside ours for lengths, IVs, additional data, pieces and buffers. Where a distribution's
 * mbedTLS is linked, which has its own, there is nothing of ours to test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if __has_include(<gcm.c>)
#include <mbedtls/build_info.h>
#define MBEDTLS_SELF_TEST /* with MBEDTLS_GCM_ALT the file is the self test, and no more */
#include <gcm.c>

#include "tests/lib/gcm_reference.h"

enum { LEN_MAX = 16384 + 300 };
static int cases(void) { return getenv("UNDER_VALGRIND") != NULL ? 100 : 4000; }

static uint64_t seed = 1;
static uint32_t dice(uint32_t sides) /* splitmix64: the same on every run */
{
    uint64_t z = (seed += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (uint32_t)((z ^ (z >> 31)) % sides);
}

static void fill(uint8_t *to, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)dice(256);
}

static uint8_t key[32], iv[200], added[1000], data[LEN_MAX], theirs[LEN_MAX], tag[16];

/* A message of any shape, and what the library's own makes of it. */
static struct gcm_message make(bool encrypt)
{
    static const size_t lens[] = {0, 1, 15, 16, 17, 31, 32, 63, 64, 127, 128, 255, 256, 1024, 16384};
    struct gcm_message message = {key, iv, added, data, 128 + 64 * dice(3), 12, dice(100), 0};
    size_t usual = lens[dice(sizeof lens / sizeof *lens)];
    message.len = dice(2) ? usual : dice(8) ? dice(600) : dice(LEN_MAX);
    if (dice(3) == 0)
        message.iv_len = 1 + dice(sizeof iv);
    if (dice(8) == 0)
        message.added_len = dice(sizeof added);
    fill(key, sizeof key);
    fill(iv, message.iv_len);
    fill(added, message.added_len);
    fill(data, message.len);
    assert_true(gcm_reference(encrypt, &message, theirs, tag));
    return message;
}

static void set_key(mbedtls_gcm_context *gcm, const struct gcm_message *message)
{
    mbedtls_gcm_init(gcm);
    assert_int_equal(mbedtls_gcm_setkey(gcm, MBEDTLS_CIPHER_ID_AES, message->key, (unsigned)message->key_bits), 0);
}

static void test_self(void **state)
{
    (void)state;
    assert_int_equal(mbedtls_gcm_self_test(0), 0);
}

/* Whole: into another buffer, in place, and over the input with both overlapping. */
static void test_whole(void **state)
{
    (void)state;
    static uint8_t room[LEN_MAX + 64];
    for (int i = 0; i < cases(); i++) {
        bool encrypt = dice(2) == 0;
        struct gcm_message message = make(encrypt);
        mbedtls_gcm_context gcm;
        uint8_t ours[16];
        size_t shift = dice(3) == 0 ? dice(64) : 0; /* the output begins so many bytes before the input */
        bool same = dice(2) == 0;
        set_key(&gcm, &message);
        memcpy(room + shift, data, message.len);
        assert_int_equal(mbedtls_gcm_crypt_and_tag(&gcm, encrypt ? MBEDTLS_GCM_ENCRYPT : MBEDTLS_GCM_DECRYPT,
                                                   message.len, iv, message.iv_len, added, message.added_len,
                                                   same ? room + shift : data, room, sizeof ours, ours), 0);
        assert_memory_equal(room, theirs, message.len);
        assert_memory_equal(ours, tag, sizeof tag);
        mbedtls_gcm_free(&gcm);
    }
}

/* The same in pieces, of which each gives its output at once; and with one key for several messages. */
static void test_pieces(void **state)
{
    (void)state;
    static uint8_t out[LEN_MAX];
    for (int i = 0; i < cases(); i++) {
        bool encrypt = dice(2) == 0;
        struct gcm_message message = make(encrypt);
        mbedtls_gcm_context gcm;
        uint8_t ours[16];
        size_t done, most = 1 + dice(dice(2) ? 40 : 5000);
        set_key(&gcm, &message);
        for (unsigned again = 0; again <= dice(2); again++) {
            assert_int_equal(mbedtls_gcm_starts(&gcm, encrypt ? MBEDTLS_GCM_ENCRYPT : MBEDTLS_GCM_DECRYPT, iv,
                                                message.iv_len), 0);
            for (size_t at = 0, n; at < message.added_len; at += n) {
                n = dice((uint32_t)most + 1);
                n = n < message.added_len - at ? n : message.added_len - at;
                assert_int_equal(mbedtls_gcm_update_ad(&gcm, added + at, n), 0);
            }
            for (size_t at = 0, n; at < message.len; at += n) {
                n = dice((uint32_t)most + 1);
                n = n < message.len - at ? n : message.len - at;
                assert_int_equal(mbedtls_gcm_update(&gcm, data + at, n, out + at, n, &done), 0);
                assert_int_equal(done, n);
                assert_memory_equal(out, theirs, at + n);
            }
            if (again == 0 && dice(4) == 0)
                continue; /* a message that is given up leaves nothing in the next one */
            assert_int_equal(mbedtls_gcm_finish(&gcm, NULL, 0, &done, ours, sizeof ours), 0);
            assert_int_equal(done, 0);
            assert_memory_equal(ours, tag, sizeof tag);
        }
        mbedtls_gcm_free(&gcm);
    }
}

/* Whatever bit is wrong, nothing is seen of the message; a short tag is the beginning of the whole one. */
static void test_not_authentic(void **state)
{
    (void)state;
    static uint8_t out[LEN_MAX];
    for (int i = 0; i < cases() / 4; i++) {
        struct gcm_message message = make(true);
        mbedtls_gcm_context gcm;
        size_t tag_len = dice(4) ? 16 : 4 + dice(13);
        set_key(&gcm, &message);
        for (int wrong = 0; wrong < 5; wrong++) {
            uint8_t *where[] = {NULL, tag, theirs, added, iv};
            size_t lens[] = {0, tag_len, message.len, message.added_len, message.iv_len};
            if (wrong > 0 && lens[wrong] == 0)
                continue;
            uint8_t bit = (uint8_t)(1 << dice(8)), *at = wrong > 0 ? where[wrong] + dice((uint32_t)lens[wrong]) : &bit;
            uint8_t good = *at;
            *at ^= bit;
            memset(out, 0xaa, message.len);
            int ret = mbedtls_gcm_auth_decrypt(&gcm, message.len, iv, message.iv_len, added, message.added_len, tag,
                                               tag_len, theirs, out);
            *at = good;
            assert_int_equal(ret, wrong > 0 ? MBEDTLS_ERR_GCM_AUTH_FAILED : 0);
            for (size_t k = 0; wrong > 0 && k < message.len; k++)
                assert_int_equal(out[k], 0);
            if (wrong == 0)
                assert_memory_equal(out, data, message.len);
        }
        mbedtls_gcm_free(&gcm);
    }
}

static void test_refused(void **state)
{
    (void)state;
    mbedtls_gcm_context gcm;
    uint8_t out[64] = {0};
    size_t done;
    mbedtls_gcm_init(&gcm);
    assert_int_not_equal(mbedtls_gcm_starts(&gcm, MBEDTLS_GCM_ENCRYPT, iv, 12), 0); /* no key */
    assert_int_equal(mbedtls_gcm_update(&gcm, data, 1, out, 1, &done), MBEDTLS_ERR_GCM_BAD_INPUT);
    assert_int_equal(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, 100), MBEDTLS_ERR_GCM_BAD_INPUT);
    assert_int_equal(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_ARIA, key, 128), MBEDTLS_ERR_GCM_BAD_INPUT);
    assert_int_equal(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, 128), 0);
    assert_int_equal(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, 256), 0); /* another key, the same context */
    assert_int_equal(mbedtls_gcm_starts(&gcm, MBEDTLS_GCM_ENCRYPT, iv, 0), MBEDTLS_ERR_GCM_BAD_INPUT);
    assert_int_equal(mbedtls_gcm_starts(&gcm, MBEDTLS_GCM_ENCRYPT, iv, 12), 0);
    assert_int_equal(mbedtls_gcm_update(&gcm, data, 17, out, 16, &done), MBEDTLS_ERR_GCM_BUFFER_TOO_SMALL);
    assert_int_equal(mbedtls_gcm_update(&gcm, out, 32, out + 1, 32, &done), MBEDTLS_ERR_GCM_BAD_INPUT);
    assert_int_equal(mbedtls_gcm_update(&gcm, data, (size_t)1 << 36, out, SIZE_MAX, &done), MBEDTLS_ERR_GCM_BAD_INPUT);
    assert_int_equal(mbedtls_gcm_update(&gcm, data, 16, out, 16, &done), 0);
    assert_int_equal(mbedtls_gcm_update_ad(&gcm, added, 1), MBEDTLS_ERR_GCM_BAD_INPUT); /* too late */
    assert_int_equal(mbedtls_gcm_finish(&gcm, NULL, 0, &done, tag, 17), MBEDTLS_ERR_GCM_BAD_INPUT);
    assert_int_equal(mbedtls_gcm_finish(&gcm, NULL, 0, &done, tag, 3), MBEDTLS_ERR_GCM_BAD_INPUT);
    assert_int_equal(mbedtls_gcm_finish(&gcm, NULL, 0, &done, tag, 16), 0);
    mbedtls_gcm_free(&gcm);
    mbedtls_gcm_free(&gcm);
    assert_null(gcm.state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_self),          cmocka_unit_test(test_whole),   cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_not_authentic), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
    print_message("1..0 # SKIP the system's mbedTLS has its own AES-GCM\n");
    return 0;
}
#endif
