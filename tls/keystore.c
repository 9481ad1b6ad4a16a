/* PKCS#12 written with the library's ASN.1 writer, which works from the end of its buffer to the front: so the last
 * certificate is written first, and each element's content before its tag. Nothing is hashed, encrypted or read back;
 * which certificates are in the text is the caller's choice. */
#include "tls/keystore.h"

#include <mbedtls/asn1write.h>
#include <mbedtls/oid.h>
#include <stdio.h>
#include <stdlib.h>

#include "tls/internal.h"

#define DER_MAX ((size_t)64 * 1024) /* one certificate */
#define AROUND_BAG 192              /* bytes of a bag besides its certificate: about 130 */
#define AROUND_ALL 128

/* RFC 7292 appendix D; RFC 2985; the last is Oracle's. */
#define OID_DATA "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
#define OID_CERT_BAG "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x03"
#define OID_X509_CERTIFICATE "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x16\x01"
#define OID_FRIENDLY_NAME "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x14"
#define OID_TRUSTED_KEY_USAGE "\x60\x86\x48\x01\x86\xf9\x66\xad\xca\x7b\x01\x01"

#define SEQUENCE (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE)
#define SET (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SET)
#define EXPLICIT_0 (MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_ASN1_CONSTRUCTED | 0)

/* The buffer: `at` moves from its end to `start`. After a failure nothing more is written. */
struct writer {
    unsigned char *start, *at, *end;
    int ret;
};

static void put(struct writer *writer, int written)
{
    if (written < 0 && writer->ret == 0)
        writer->ret = written;
}

/* Tag and length of what was written since `until`. */
static void wrap(struct writer *writer, const unsigned char *until, unsigned char tag)
{
    if (writer->ret == 0)
        put(writer, mbedtls_asn1_write_len(&writer->at, writer->start, (size_t)(until - writer->at)));
    if (writer->ret == 0)
        put(writer, mbedtls_asn1_write_tag(&writer->at, writer->start, tag));
}

static void put_oid(struct writer *writer, const char *oid, size_t len)
{
    if (writer->ret == 0)
        put(writer, mbedtls_asn1_write_oid(&writer->at, writer->start, oid, len));
}
#define PUT_OID(writer, oid) put_oid(writer, oid, sizeof(oid) - 1)

/* SEQUENCE { attribute, SET { value } }, where the value was written since `until`. */
static void end_attribute(struct writer *writer, const unsigned char *until, const char *oid, size_t len)
{
    wrap(writer, until, SET);
    put_oid(writer, oid, len);
    wrap(writer, until, SEQUENCE);
}

static void put_attributes(struct writer *writer, size_t number)
{
    const unsigned char *until = writer->at;
    unsigned char name[64];
    char text[32];

    PUT_OID(writer, MBEDTLS_OID_ANY_EXTENDED_KEY_USAGE);
    end_attribute(writer, until, OID_TRUSTED_KEY_USAGE, sizeof(OID_TRUSTED_KEY_USAGE) - 1);
    int len = snprintf(text, sizeof text, "aileron-%04zu", number);
    for (int i = 0; i < len; i++) { /* a BMPString: two bytes a character */
        name[2 * i] = 0;
        name[2 * i + 1] = (unsigned char)text[i];
    }
    const unsigned char *attribute = writer->at;
    if (writer->ret == 0)
        put(writer, mbedtls_asn1_write_raw_buffer(&writer->at, writer->start, name, 2 * (size_t)len));
    wrap(writer, attribute, MBEDTLS_ASN1_BMP_STRING);
    end_attribute(writer, attribute, OID_FRIENDLY_NAME, sizeof(OID_FRIENDLY_NAME) - 1);
    wrap(writer, until, SET);
}

/* SafeBag { certBag, [0] CertBag { x509Certificate, [0] OCTET STRING }, attributes } */
static void put_bag(struct writer *writer, const uint8_t *der, size_t len, size_t number)
{
    const unsigned char *until = writer->at;

    put_attributes(writer, number);
    const unsigned char *bag = writer->at;
    if (writer->ret == 0)
        put(writer, mbedtls_asn1_write_octet_string(&writer->at, writer->start, der, len));
    wrap(writer, bag, EXPLICIT_0);
    PUT_OID(writer, OID_X509_CERTIFICATE);
    wrap(writer, bag, SEQUENCE);
    wrap(writer, bag, EXPLICIT_0);
    PUT_OID(writer, OID_CERT_BAG);
    wrap(writer, until, SEQUENCE);
}

/* ContentInfo { data, [0] OCTET STRING } around all that was written. */
static void wrap_content(struct writer *writer)
{
    wrap(writer, writer->end, MBEDTLS_ASN1_OCTET_STRING);
    wrap(writer, writer->end, EXPLICIT_0);
    PUT_OID(writer, OID_DATA);
    wrap(writer, writer->end, SEQUENCE);
}

static bool usable(const uint8_t *der, size_t len)
{
    mbedtls_x509_crt cert;

    mbedtls_x509_crt_init(&cert);
    int ret = mbedtls_x509_crt_parse_der_nocopy(&cert, der, len);
    mbedtls_x509_crt_free(&cert);
    return ret == 0;
}

bool keystore_write(struct span pem, struct buf *out, struct err *err)
{
    struct span rest = pem, *blocks = NULL, block;
    size_t count = 0, written = 0;

    buf_init(out, KEYSTORE_MAX);
    while (pem.len <= TRUST_PEM_MAX && count <= TRUST_CERTS_MAX && trust_next_pem(&rest, &block)) {
        blocks = mem_resize(blocks, count + 1, sizeof *blocks);
        blocks[count++] = block;
    }
    if (pem.len > TRUST_PEM_MAX || count > TRUST_CERTS_MAX) {
        free(blocks);
        return err_set(err, ERR_LIMIT, "too many certificates for a trust store: more than %zu MiB, or than %d",
                       TRUST_PEM_MAX >> 20, TRUST_CERTS_MAX);
    }
    size_t size = pem.len / 4 * 3 + count * AROUND_BAG + AROUND_ALL;
    unsigned char *room = mem_alloc(size);
    uint8_t *der = mem_alloc(DER_MAX);
    struct writer writer = {.start = room, .at = room + size, .end = room + size};
    for (size_t i = count; i > 0; i--) {
        size_t len;
        if (trust_pem_der(blocks[i - 1], der, DER_MAX, &len) && usable(der, len)) {
            put_bag(&writer, der, len, i);
            written++;
        }
    }
    wrap(&writer, writer.end, SEQUENCE);
    wrap_content(&writer);
    wrap(&writer, writer.end, SEQUENCE);
    wrap_content(&writer);
    if (writer.ret == 0)
        put(&writer, mbedtls_asn1_write_int(&writer.at, writer.start, 3));
    wrap(&writer, writer.end, SEQUENCE);
    bool good = written > 0 || err_set(err, ERR_DATA, "no certificate to write to a trust store");
    if (good && writer.ret != 0)
        good = tls_error(err, ERR_INTERNAL, writer.ret, "cannot write a trust store");
    else if (good && !buf_add(out, writer.at, (size_t)(writer.end - writer.at)))
        good = err_set(err, ERR_LIMIT, "a trust store of more than %zu bytes", KEYSTORE_MAX);
    if (!good)
        buf_clear(out);
    free(der);
    free(room);
    free(blocks);
    return good;
}
