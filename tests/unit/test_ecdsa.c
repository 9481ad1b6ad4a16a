/* ECDSA through mbedTLS's door: a known answer, and the library's own implementation beside ours. Each verifies what
 * the other has signed, and both refuse the same. Where a distribution's mbedTLS is linked, which has its own, there
 * is nothing of ours to test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if __has_include(<ecdsa.c>)
#define MBEDTLS_ALLOW_PRIVATE_ACCESS
#include <mbedtls/ecdsa.h>

#include "core/base/attr.h"
#include "core/base/id.h"
#include "tests/lib/ecdsa_reference.h"

static size_t rounds(void) { return getenv("UNDER_VALGRIND") != NULL ? 10 : 40; } /* each length of a hash once */
static const mbedtls_ecp_group_id curves[] = {MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_SECP384R1,
                                              MBEDTLS_ECP_DP_SECP521R1};
static const size_t hash_lens[] = {32, 20, 28, 48, 64, 1, 0, 66, 67, 100};

static int draw(void *unused, unsigned char *out, size_t len)
{
    (void)unused;
    random_bytes(out, len);
    return 0;
}

static struct {
    mbedtls_ecp_group group;
    mbedtls_ecp_point key;
    mbedtls_mpi d, r, s, spare;
} at;

static void begin(mbedtls_ecp_group_id curve)
{
    mbedtls_ecp_group_init(&at.group);
    mbedtls_ecp_point_init(&at.key);
    mbedtls_mpi *numbers[] = {&at.d, &at.r, &at.s, &at.spare};
    for (size_t i = 0; i < COUNT(numbers); i++)
        mbedtls_mpi_init(numbers[i]);
    assert_int_equal(mbedtls_ecp_group_load(&at.group, curve), 0);
    assert_int_equal(mbedtls_ecp_gen_keypair(&at.group, &at.d, &at.key, draw, NULL), 0);
}

static void end(void)
{
    mbedtls_mpi *numbers[] = {&at.d, &at.r, &at.s, &at.spare};
    for (size_t i = 0; i < COUNT(numbers); i++)
        mbedtls_mpi_free(numbers[i]);
    mbedtls_ecp_point_free(&at.key);
    mbedtls_ecp_group_free(&at.group);
}

static bool ours(const uint8_t *hash, size_t len)
{
    int ret = mbedtls_ecdsa_verify(&at.group, hash, len, &at.key, &at.r, &at.s);
    assert_true(ret == 0 || ret == MBEDTLS_ERR_ECP_VERIFY_FAILED);
    return ret == 0;
}

static bool both(const uint8_t *hash, size_t len)
{
    bool good = ours(hash, len);
    assert_int_equal(reference_verify(&at.group, hash, len, &at.key, &at.r, &at.s) == 0, good);
    return good;
}

static int sign(const uint8_t *hash, size_t len)
{
    return mbedtls_ecdsa_sign(&at.group, &at.r, &at.s, &at.d, hash, len, draw, NULL);
}

/* RFC 6979, A.2.5: P-256, SHA-256, the message "sample". */
static void test_known_answer(void **state)
{
    static const uint8_t hash[] = {0xaf, 0x2b, 0xdb, 0xe1, 0xaa, 0x9b, 0x6e, 0xc1, 0xe2, 0xad, 0xe1,
                                   0xd6, 0x94, 0xf4, 0x1f, 0xc7, 0x1a, 0x83, 0x1d, 0x02, 0x68, 0xe9,
                                   0x89, 0x15, 0x62, 0x11, 0x3d, 0x8a, 0x62, 0xad, 0xd1, 0xbf};
    (void)state;
    begin(curves[0]);
    assert_int_equal(mbedtls_ecp_point_read_string(
                         &at.key, 16, "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6",
                         "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"), 0);
    assert_int_equal(mbedtls_mpi_read_string(&at.r, 16,
                                             "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"), 0);
    assert_int_equal(mbedtls_mpi_read_string(&at.s, 16,
                                             "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"), 0);
    assert_true(both(hash, sizeof hash));
    assert_false(both(hash, sizeof hash - 1));
    end();
}

static void test_each_verifies_the_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(curves) * rounds(); i++) {
        uint8_t hash[100];
        size_t len = hash_lens[i / COUNT(curves) % COUNT(hash_lens)];
        begin(curves[i % COUNT(curves)]);
        random_bytes(hash, sizeof hash);
        assert_int_equal(sign(hash, len), 0);
        assert_true(both(hash, len));
        assert_int_equal(mbedtls_mpi_copy(&at.spare, &at.r), 0);
        assert_int_equal(reference_sign(&at.group, &at.r, &at.s, &at.d, hash, len, draw, NULL), 0);
        assert_true(both(hash, len));
        assert_int_not_equal(mbedtls_mpi_cmp_mpi(&at.spare, &at.r), 0);
        if (len > 0) {
            hash[0] ^= 0x80;
            assert_false(both(hash, len));
            hash[0] ^= 0x80;
        }
        assert_int_equal(mbedtls_mpi_add_int(&at.s, &at.s, 1), 0);
        assert_false(both(hash, len));
        end();
    }
}

/* A nonce that comes twice would give the key away. */
static void test_nonces_differ(void **state)
{
    static const uint8_t hash[32] = {1};
    (void)state;
    begin(curves[0]);
    assert_int_equal(sign(hash, sizeof hash), 0);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(mbedtls_mpi_copy(&at.spare, &at.r), 0);
        assert_int_equal(sign(hash, sizeof hash), 0);
        assert_int_not_equal(mbedtls_mpi_cmp_mpi(&at.spare, &at.r), 0);
    }
    end();
}

/* r and s are 1 to n - 1, and no other number that is equal to them modulo n will do. */
static void test_numbers_out_of_range(void **state)
{
    static const uint8_t hash[32] = {7};
    (void)state;
    for (size_t i = 0; i < COUNT(curves); i++) {
        begin(curves[i]);
        assert_int_equal(sign(hash, sizeof hash), 0);
        mbedtls_mpi *numbers[] = {&at.r, &at.s};
        for (size_t k = 0; k < COUNT(numbers); k++) {
            mbedtls_mpi *number = numbers[k], good;
            mbedtls_mpi_init(&good);
            assert_int_equal(mbedtls_mpi_copy(&good, number), 0);
            assert_int_equal(mbedtls_mpi_lset(number, 0), 0);
            assert_false(both(hash, sizeof hash));
            assert_int_equal(mbedtls_mpi_copy(number, &at.group.N), 0);
            assert_false(both(hash, sizeof hash));
            assert_int_equal(mbedtls_mpi_add_mpi(number, &good, &at.group.N), 0);
            assert_false(both(hash, sizeof hash));
            assert_int_equal(mbedtls_mpi_sub_mpi(number, &good, &at.group.N), 0); /* negative */
            assert_false(both(hash, sizeof hash));
            assert_int_equal(mbedtls_mpi_copy(number, &good), 0);
            number->s = -1;
            assert_false(both(hash, sizeof hash));
            assert_int_equal(mbedtls_mpi_lset(number, 1), 0);
            assert_int_equal(mbedtls_mpi_shift_l(number, 2000), 0); /* longer than any curve */
            assert_false(both(hash, sizeof hash));
            assert_int_equal(mbedtls_mpi_copy(number, &good), 0);
            assert_true(both(hash, sizeof hash));
            mbedtls_mpi_free(&good);
        }
        end();
    }
}

static void test_points_that_are_none(void **state)
{
    static const uint8_t hash[32] = {7};
    (void)state;
    for (size_t i = 0; i < COUNT(curves); i++) {
        begin(curves[i]);
        assert_int_equal(sign(hash, sizeof hash), 0);
        assert_true(ours(hash, sizeof hash));
        assert_int_equal(mbedtls_mpi_add_mpi(&at.key.X, &at.key.X, &at.group.P), 0); /* the same, not reduced */
        assert_false(ours(hash, sizeof hash));
        assert_int_equal(mbedtls_mpi_sub_mpi(&at.key.X, &at.key.X, &at.group.P), 0);
        assert_int_equal(mbedtls_mpi_add_int(&at.key.X, &at.key.X, 1), 0); /* not on the curve */
        assert_false(ours(hash, sizeof hash));
        assert_int_equal(mbedtls_ecp_set_zero(&at.key), 0);
        assert_false(ours(hash, sizeof hash));
        end();
    }
}

static void test_keys_that_are_none(void **state)
{
    static const uint8_t hash[32] = {7};
    (void)state;
    for (size_t i = 0; i < COUNT(curves); i++) {
        begin(curves[i]);
        assert_int_equal(mbedtls_mpi_lset(&at.d, 0), 0);
        assert_int_equal(sign(hash, sizeof hash), MBEDTLS_ERR_ECP_INVALID_KEY);
        assert_int_equal(mbedtls_mpi_lset(&at.d, -5), 0);
        assert_int_equal(sign(hash, sizeof hash), MBEDTLS_ERR_ECP_INVALID_KEY);
        assert_int_equal(mbedtls_mpi_copy(&at.d, &at.group.N), 0);
        assert_int_equal(sign(hash, sizeof hash), MBEDTLS_ERR_ECP_INVALID_KEY);
        assert_int_equal(mbedtls_mpi_sub_int(&at.d, &at.d, 1), 0); /* the last one that is one */
        assert_int_equal(sign(hash, sizeof hash), 0);
        assert_int_equal(mbedtls_ecp_mul(&at.group, &at.key, &at.d, &at.group.G, draw, NULL), 0);
        assert_true(both(hash, sizeof hash));
        assert_int_equal(mbedtls_mpi_lset(&at.d, 1), 0); /* and the first */
        assert_int_equal(sign(hash, sizeof hash), 0);
        assert_int_equal(mbedtls_ecp_copy(&at.key, &at.group.G), 0);
        assert_true(both(hash, sizeof hash));
        end();
    }
}

static int no_source(void *count, unsigned char *out, size_t len)
{
    memset(out, 0, len);
    return ++*(int *)count > 0 ? -77 : 0;
}

static void test_source_that_fails(void **state)
{
    static const uint8_t hash[32] = {7};
    int asked = 0;
    (void)state;
    begin(curves[0]);
    assert_int_equal(mbedtls_ecdsa_sign(&at.group, &at.r, &at.s, &at.d, hash, sizeof hash, no_source, &asked), -77);
    assert_true(asked > 0);
    assert_int_equal(mbedtls_mpi_cmp_int(&at.r, 0), 0);
    assert_int_equal(mbedtls_mpi_cmp_int(&at.s, 0), 0);
    end();
}

static void test_other_curves(void **state)
{
    static const uint8_t hash[32] = {7};
    (void)state;
    begin(curves[0]);
    assert_int_equal(sign(hash, sizeof hash), 0);
    at.group.id = MBEDTLS_ECP_DP_CURVE25519;
    assert_int_equal(sign(hash, sizeof hash), MBEDTLS_ERR_ECP_BAD_INPUT_DATA);
    assert_int_equal(mbedtls_ecdsa_verify(&at.group, hash, sizeof hash, &at.key, &at.r, &at.s),
                     MBEDTLS_ERR_ECP_BAD_INPUT_DATA);
    at.group.id = curves[0];
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answer),         cmocka_unit_test(test_each_verifies_the_other),
        cmocka_unit_test(test_nonces_differ),        cmocka_unit_test(test_numbers_out_of_range),
        cmocka_unit_test(test_points_that_are_none), cmocka_unit_test(test_keys_that_are_none),
        cmocka_unit_test(test_source_that_fails),    cmocka_unit_test(test_other_curves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
    print_message("1..0 # SKIP the system's mbedTLS has its own ECDSA\n");
    return 0;
}
#endif
