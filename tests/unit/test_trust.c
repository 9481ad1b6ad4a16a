/* Sets of trusted certificates: what is taken, skipped and refused. That chains verify against them
 * is test_stream's. */
#include "tls/trust.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tls/ca.h"
#include "tls/crypto.h"

static char *one_pem; /* a certificate */

static int setup(void **state)
{
    (void)state;
    struct err err;
    if (!tls_init(&err))
        return -1;
    struct ca *ca = ca_new("test", &err);
    if (ca == NULL)
        return -1;
    one_pem = mem_strdup(ca_cert_pem(ca));
    ca_free(ca);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(one_pem);
    return 0;
}

static void test_counts(void **state)
{
    (void)state;
    struct err err;
    struct trust *trust = trust_new();
    char *text = mem_printf("# a comment\n%s\nnoise\r\n%s-----BEGIN CERTIFICATE-----\nAAAA\n"
                            "-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nAAAA\n"
                            "-----END PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\n!!!\n"
                            "-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nMII",
                            one_pem, one_pem);
    assert_true(trust_add(trust, span_of(text), TRUST_BORROW, &err));
    assert_int_equal(trust_count(trust), 2);
    assert_int_equal(trust_skipped(trust), 3);
    assert_true(trust_add(trust, span_of(one_pem), TRUST_COPY, &err));
    assert_int_equal(trust_count(trust), 3);
    trust_unref(trust_ref(trust));
    trust_unref(trust);
    free(text);
}

static void test_crlf(void **state)
{
    (void)state;
    struct err err;
    struct trust *trust = trust_new();
    struct buf text;
    buf_init(&text, 65536);
    for (const char *p = one_pem; *p != '\0'; p++)
        assert_true(buf_add(&text, *p == '\n' ? "\r\n" : p, *p == '\n' ? 2 : 1));
    struct span pem = {(const char *)text.data, text.len};
    assert_true(trust_add(trust, pem, TRUST_COPY, &err));
    buf_clear(&text);
    assert_int_equal(trust_count(trust), 1);
    assert_int_equal(trust_skipped(trust), 0);
    trust_unref(trust);
}

static void test_refuses_what_holds_none(void **state)
{
    (void)state;
    struct err err;
    struct trust *trust = trust_new();
    static const char *const texts[] = {
        "", "hello", "-----BEGIN CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE----------END CERTIFICATE-----",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_false(trust_add(trust, span_of(texts[i]), TRUST_COPY, &err));
        assert_int_equal(err.code, ERR_DATA);
        assert_int_equal(trust_count(trust), 0);
        assert_int_equal(trust_skipped(trust), 0);
    }
    assert_true(trust_add(trust, span_of(one_pem), TRUST_COPY, &err)); /* still usable */
    trust_unref(trust);
}

/* Every bit of a certificate changed in turn: it is taken or skipped, and nothing else happens. */
static void test_changed_bytes(void **state)
{
    (void)state;
    struct err err;
    char *text = mem_strdup(one_pem);
    for (size_t i = 0; text[i] != '\0'; i++) {
        char was = text[i];
        text[i] = was == 'A' ? 'B' : 'A';
        struct trust *trust = trust_new();
        if (trust_add(trust, span_of(text), TRUST_BORROW, &err))
            assert_int_equal(trust_count(trust), 1);
        trust_unref(trust);
        text[i] = was;
    }
    free(text);
}

static void test_limits(void **state)
{
    (void)state;
    struct err err;
    struct trust *trust = trust_new();
    for (int i = 0; i < TRUST_TEXTS_MAX; i++)
        assert_true(trust_add(trust, span_of(one_pem), TRUST_BORROW, &err));
    assert_false(trust_add(trust, span_of(one_pem), TRUST_BORROW, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(trust_count(trust), TRUST_TEXTS_MAX);
    trust_unref(trust);

    struct buf text;
    buf_init(&text, TRUST_PEM_MAX + 1);
    for (size_t i = 0; i < TRUST_CERTS_MAX; i++)
        assert_true(buf_adds(&text, one_pem));
    struct span pem = {(const char *)text.data, text.len};
    trust = trust_new();
    assert_true(trust_add(trust, pem, TRUST_BORROW, &err));
    assert_int_equal(trust_count(trust), TRUST_CERTS_MAX);
    assert_false(trust_add(trust, span_of(one_pem), TRUST_COPY, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(trust_count(trust), TRUST_CERTS_MAX);
    trust_unref(trust);
    while (text.len <= TRUST_PEM_MAX)
        assert_true(buf_add(&text, "\n", 1));
    pem = (struct span){(const char *)text.data, text.len};
    trust = trust_new();
    assert_false(trust_add(trust, pem, TRUST_BORROW, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    trust_unref(trust);
    buf_clear(&text);
}

/* Where this machine has a bundle, nearly all of it can be used. */
static void test_system(void **state)
{
    (void)state;
    struct err err = {.code = ERR_NONE};
    struct buf pem;
    if (!trust_system_pem(&pem, &err)) {
        assert_int_equal(err.code, ERR_NOT_FOUND);
        assert_true(err.hint[0] != '\0');
        skip();
    }
    struct trust *trust = trust_new();
    struct span text = {(const char *)pem.data, pem.len};
    assert_true(trust_add(trust, text, TRUST_BORROW, &err));
    assert_true(trust_skipped(trust) * 20 <= trust_count(trust));
    trust_unref(trust);
    buf_clear(&pem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_crlf),
        cmocka_unit_test(test_refuses_what_holds_none),
        cmocka_unit_test(test_changed_bytes),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_system),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
