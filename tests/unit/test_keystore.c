/* The trust store for Java, taken apart by another reader of ASN.1 than the JDK's: what is in it, in which order, and
 * what is left out or refused. That a JDK trusts what it holds is tests/clients's to show. */
#include "tls/keystore.h"

#include <mbedtls/asn1.h>
#include <mbedtls/base64.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tls/ca.h"
#include "tls/crypto.h"
#include "tls/trust.h"

#define SEQUENCE (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE)
#define SET (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SET)
#define EXPLICIT_0 (MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_ASN1_CONSTRUCTED)
#define OID MBEDTLS_ASN1_OID
#define OCTETS MBEDTLS_ASN1_OCTET_STRING

static char *pems[2];

static int setup(void **state)
{
    struct err err;

    (void)state;
    if (!tls_init(&err))
        return -1;
    for (size_t i = 0; i < COUNT(pems); i++) {
        struct ca *ca = ca_new(i == 0 ? "one" : "two", &err);
        if (ca == NULL)
            return -1;
        pems[i] = mem_strdup(ca_cert_pem(ca));
        ca_free(ca);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(pems[0]);
    free(pems[1]);
    return 0;
}

/* ---- reading ---- */

struct cursor {
    unsigned char *p;
    const unsigned char *end;
};

/* Into the next element, which must have this tag; the cursor moves behind it. */
static struct cursor enter(struct cursor *at, int tag)
{
    size_t len;

    assert_int_equal(mbedtls_asn1_get_tag(&at->p, at->end, &len, tag), 0);
    struct cursor inside = {at->p, at->p + len};
    at->p += len;
    return inside;
}

static void is(struct cursor value, const void *bytes, size_t len)
{
    assert_int_equal((size_t)(value.end - value.p), len);
    assert_memory_equal(value.p, bytes, len);
}

static void is_over(struct cursor at)
{
    assert_ptr_equal(at.p, at.end);
}

/* ContentInfo of type data: the content of its octet string. */
static struct cursor enter_data(struct cursor *at)
{
    struct cursor info = enter(at, SEQUENCE);

    is(enter(&info, OID), "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01", 9);
    struct cursor wrapped = enter(&info, EXPLICIT_0);
    struct cursor content = enter(&wrapped, OCTETS);
    is_over(info);
    is_over(wrapped);
    return content;
}

/* The bag's certificate; its attributes are what Java needs, and its alias is this one. */
static struct cursor read_bag(struct cursor *at, const char *alias)
{
    struct cursor bag = enter(at, SEQUENCE);

    is(enter(&bag, OID), "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x03", 11);
    struct cursor value = enter(&bag, EXPLICIT_0), cert = enter(&value, SEQUENCE);
    is(enter(&cert, OID), "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x16\x01", 10);
    struct cursor wrapped = enter(&cert, EXPLICIT_0), der = enter(&wrapped, OCTETS);

    struct cursor attributes = enter(&bag, SET), name = enter(&attributes, SEQUENCE);
    is(enter(&name, OID), "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x14", 9);
    struct cursor values = enter(&name, SET), text = enter(&values, MBEDTLS_ASN1_BMP_STRING);
    assert_int_equal((size_t)(text.end - text.p), 2 * strlen(alias));
    for (size_t i = 0; alias[i] != '\0'; i++) {
        assert_int_equal(text.p[2 * i], 0);
        assert_int_equal(text.p[2 * i + 1], alias[i]);
    }
    struct cursor usage = enter(&attributes, SEQUENCE);
    is(enter(&usage, OID), "\x60\x86\x48\x01\x86\xf9\x66\xad\xca\x7b\x01\x01", 12);
    values = enter(&usage, SET);
    is(enter(&values, OID), "\x55\x1d\x25\x00", 4);
    is_over(attributes);
    is_over(bag);
    return der;
}

static struct cursor enter_store(const struct buf *store, struct cursor *safe)
{
    struct cursor at = {store->data, store->data + store->len}, pfx = enter(&at, SEQUENCE);
    int version;

    is_over(at);
    assert_int_equal(mbedtls_asn1_get_int(&pfx.p, pfx.end, &version), 0);
    assert_int_equal(version, 3);
    struct cursor auth = enter_data(&pfx);
    is_over(pfx); /* no MAC */
    struct cursor infos = enter(&auth, SEQUENCE), contents = enter_data(&infos);
    is_over(infos);
    *safe = enter(&contents, SEQUENCE);
    return contents;
}

static void is_cert(struct cursor der, const char *pem)
{
    uint8_t bytes[4096];
    size_t len;
    const char *begin = strchr(pem, '\n') + 1, *end = strstr(pem, "-----END");

    assert_int_equal(mbedtls_base64_decode(bytes, sizeof bytes, &len, (const unsigned char *)begin,
                                           (size_t)(end - begin)), 0);
    is(der, bytes, len);
}

/* ---- tests ---- */

static void test_bags_in_order(void **state)
{
    AUTOFREE char *text = mem_printf("# roots\n%s\n%s", pems[0], pems[1]);
    struct cursor safe;
    struct buf store;
    struct err err;

    (void)state;
    assert_true(keystore_write(span_of(text), &store, &err));
    is_over(enter_store(&store, &safe));
    is_cert(read_bag(&safe, "aileron-0001"), pems[0]);
    is_cert(read_bag(&safe, "aileron-0002"), pems[1]);
    is_over(safe);
    buf_clear(&store);
}

/* Java throws the whole store away for one certificate that it cannot read. */
static void test_malformed_are_left_out(void **state)
{
    AUTOFREE char *text = mem_printf("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
                                     "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n%s"
                                     "-----BEGIN CERTIFICATE-----\nMII", pems[1]);
    struct cursor safe;
    struct buf store;
    struct err err;

    (void)state;
    assert_true(keystore_write(span_of(text), &store, &err));
    enter_store(&store, &safe);
    is_cert(read_bag(&safe, "aileron-0003"), pems[1]);
    is_over(safe);
    buf_clear(&store);
}

static void test_refusals(void **state)
{
    struct buf store;
    struct err err = {0};

    (void)state;
    assert_false(keystore_write(span_of("nothing here"), &store, &err));
    assert_int_equal(err.code, ERR_DATA);
    assert_null(store.data);
    assert_false(keystore_write((struct span){"", 0}, &store, &err));

    size_t len = strlen(pems[0]);
    char *many = mem_alloc((TRUST_CERTS_MAX + 1) * len + 1);
    for (size_t i = 0; i <= TRUST_CERTS_MAX; i++)
        memcpy(many + i * len, pems[0], len);
    err = (struct err){0};
    assert_false(keystore_write((struct span){many, (TRUST_CERTS_MAX + 1) * len}, &store, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_true(keystore_write((struct span){many, TRUST_CERTS_MAX * len}, &store, &err)); /* the most there may be */
    buf_clear(&store);
    free(many);

    char *large = mem_alloc(TRUST_PEM_MAX + 1);
    memset(large, '\n', TRUST_PEM_MAX + 1);
    memcpy(large, pems[0], len);
    assert_false(keystore_write((struct span){large, TRUST_PEM_MAX + 1}, &store, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bags_in_order),
        cmocka_unit_test(test_malformed_are_left_out),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
