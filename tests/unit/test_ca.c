/* The session CA: its life, its leaves, their cache. That leaves verify is test_stream's. */
#include "tls/ca.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/id.h"
#include "tls/crypto.h"

#define HOUR_MS ((uint64_t)3600 * 1000)
#define NOW_MS ((uint64_t)1790000000 * 1000) /* 2026-09 */

static int setup(void **state)
{
    (void)state;
    struct err err;
    return tls_init(&err) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    clock_fake(0, 0);
    return 0;
}

static struct ca *new_ca(void)
{
    struct err err;
    struct ca *ca = ca_new("01J00000000000000000000000", &err);
    assert_non_null(ca);
    return ca;
}

static bool contains(struct span bytes, const void *what, size_t len)
{
    return memmem(bytes.p, bytes.len, what, len) != NULL;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct err err;
    struct ca *ca = new_ca();
    struct secret *key = ca_key_pem(ca, &err);
    assert_non_null(key);
    struct span key_pem = {(const char *)secret_bytes(key), secret_len(key)};
    struct ca *again = ca_load(span_of(ca_cert_pem(ca)), key_pem, &err);
    assert_non_null(again);
    assert_string_equal(ca_cert_pem(ca), ca_cert_pem(again));
    assert_false(ca_renewal_due(again));
    struct leaf *leaf = ca_leaf(again, "api.example.com", &err);
    assert_non_null(leaf);
    assert_true(contains(leaf_der(leaf), "Aileron session 01J0", 20));
    leaf_unref(leaf);
    ca_free(again);
    secret_free(key);
    ca_free(ca);
}

static void test_load_refuses(void **state)
{
    (void)state;
    struct err err;
    struct ca *one = new_ca(), *two = new_ca();
    struct secret *key = ca_key_pem(one, &err);
    struct span key_pem = {(const char *)secret_bytes(key), secret_len(key)};
    assert_null(ca_load(span_of(ca_cert_pem(two)), key_pem, &err));
    assert_int_equal(err.code, ERR_DATA);
    assert_non_null(strstr(err.message, "do not match"));
    assert_null(ca_load(SPAN("nonsense"), key_pem, &err));
    assert_int_equal(err.code, ERR_DATA);
    assert_null(ca_load(span_of(ca_cert_pem(one)), SPAN("nonsense"), &err));
    assert_int_equal(err.code, ERR_DATA);
    assert_null(ca_load(span_of(ca_cert_pem(one)), (struct span){NULL, 0}, &err));
    assert_null(ca_load((struct span){NULL, 0}, key_pem, &err));
    struct span cut = {key_pem.p, key_pem.len / 2};
    assert_null(ca_load(span_of(ca_cert_pem(one)), cut, &err));
    secret_free(key);
    ca_free(one);
    ca_free(two);
}

static void test_session_id(void **state)
{
    (void)state;
    struct err err;
    assert_null(ca_new("", &err));
    assert_null(ca_new("a,CN=b", &err));
    assert_null(ca_new("01234567890123456789012345678901234567890", &err));
    assert_int_equal(err.code, ERR_DATA);
}

static void test_renewal(void **state)
{
    (void)state;
    struct err err;
    clock_fake(NOW_MS, 1);
    struct ca *ca = new_ca();
    assert_false(ca_renewal_due(ca));
    clock_fake(NOW_MS + 19 * 24 * HOUR_MS, 1);
    assert_false(ca_renewal_due(ca));
    clock_fake(NOW_MS + 20 * 24 * HOUR_MS, 1);
    assert_true(ca_renewal_due(ca));
    struct ca *fresh = ca_renew(ca, &err);
    assert_non_null(fresh);
    assert_false(ca_renewal_due(fresh));
    assert_string_not_equal(ca_cert_pem(ca), ca_cert_pem(fresh));
    clock_fake(NOW_MS + 365 * 24 * HOUR_MS, 1);
    assert_true(ca_renewal_due(ca));
    ca_free(ca);
    struct leaf *leaf = ca_leaf(fresh, "a.example", &err); /* the shared keys are still there */
    assert_non_null(leaf);
    leaf_unref(leaf);
    ca_free(fresh);
}

static void test_names(void **state)
{
    (void)state;
    struct err err;
    struct ca *ca = new_ca();
    static const char *const good[] = {
        "a", "api.example.com", "xn--bcher-kva.example", "_x.example", "127.0.0.1", "::1",
        "2001:db8::10",
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        struct leaf *leaf = ca_leaf(ca, good[i], &err);
        assert_non_null(leaf);
        leaf_unref(leaf);
    }
    static const char *const bad[] = {
        "", ".", "a.", ".a", "a..b", "A.example", "a b", "a,O=b", "*.example.com", "[::1]", "a:443",
        "a\nb", "b\xc3\xbc" "cher",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_null(ca_leaf(ca, bad[i], &err));
        assert_int_equal(err.code, ERR_DATA);
    }
    char name[CA_HOST_MAX + 2];
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = i % 50 == 49 ? '.' : 'a';
    name[CA_HOST_MAX] = '\0';
    struct leaf *leaf = ca_leaf(ca, name, &err);
    assert_non_null(leaf);
    assert_true(contains(leaf_der(leaf), name, CA_HOST_MAX));
    leaf_unref(leaf);
    name[CA_HOST_MAX] = 'a';
    name[CA_HOST_MAX + 1] = '\0';
    assert_null(ca_leaf(ca, name, &err));
    ca_free(ca);
}

static void test_address_is_an_address(void **state)
{
    (void)state;
    struct err err;
    struct ca *ca = new_ca();
    struct leaf *leaf = ca_leaf(ca, "10.1.2.3", &err);
    assert_non_null(leaf);
    assert_true(contains(leaf_der(leaf), "\x87\x04\x0a\x01\x02\x03", 6)); /* [7] iPAddress */
    leaf_unref(leaf);
    leaf = ca_leaf(ca, "a.example", &err);
    assert_non_null(leaf);
    assert_true(contains(leaf_der(leaf), "\x82\x09" "a.example", 11)); /* [2] dNSName */
    leaf_unref(leaf);
    ca_free(ca);
}

static void test_cache(void **state)
{
    (void)state;
    struct err err;
    clock_fake(NOW_MS, 1);
    struct ca *ca = new_ca();
    struct leaf *first = ca_leaf(ca, "a.example", &err);
    struct leaf *second = ca_leaf(ca, "a.example", &err);
    assert_non_null(first);
    assert_ptr_equal(first, second);
    assert_int_equal(ca_leaf_count(ca), 1);
    leaf_unref(second);
    clock_fake(NOW_MS + 21 * HOUR_MS, 1); /* its life ends 23 hours after it was made */
    second = ca_leaf(ca, "a.example", &err);
    assert_ptr_equal(first, second);
    leaf_unref(second);
    clock_fake(NOW_MS + 22 * HOUR_MS, 1);
    second = ca_leaf(ca, "a.example", &err);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    assert_int_equal(ca_leaf_count(ca), 1);
    struct span one = leaf_der(first), two = leaf_der(second);
    assert_false(one.len == two.len && memcmp(one.p, two.p, one.len) == 0);
    leaf_unref(second);
    clock_fake(NOW_MS - 2 * HOUR_MS, 1); /* the clock was set back */
    second = ca_leaf(ca, "a.example", &err);
    assert_ptr_not_equal(first, second);
    ca_free(ca); /* references outlive it */
    assert_true(leaf_der(first).len > 200);
    leaf_unref(first);
    leaf_unref(second);
}

static void test_cache_is_bounded(void **state)
{
    (void)state;
    struct err err;
    char name[32];
    struct ca *ca = new_ca();
    struct leaf *kept = ca_leaf(ca, "kept.example", &err);
    struct leaf *lost = ca_leaf(ca, "lost.example", &err);
    for (int i = 0; i < CA_LEAVES_MAX; i++) {
        snprintf(name, sizeof name, "h%d.example", i);
        struct leaf *leaf = ca_leaf(ca, name, &err);
        assert_non_null(leaf);
        leaf_unref(leaf);
        leaf_unref(ca_leaf(ca, "kept.example", &err)); /* used all the time */
    }
    assert_int_equal(ca_leaf_count(ca), CA_LEAVES_MAX);
    struct leaf *again = ca_leaf(ca, "kept.example", &err);
    assert_ptr_equal(kept, again);
    leaf_unref(again);
    again = ca_leaf(ca, "lost.example", &err);
    assert_ptr_not_equal(lost, again);
    leaf_unref(again);
    assert_int_equal(ca_leaf_count(ca), CA_LEAVES_MAX);
    leaf_unref(kept);
    leaf_unref(lost);
    ca_free(ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_load_refuses),
        cmocka_unit_test(test_session_id),
        cmocka_unit_test_teardown(test_renewal, teardown),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_address_is_an_address),
        cmocka_unit_test_teardown(test_cache, teardown),
        cmocka_unit_test(test_cache_is_bounded),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
