/* Key pairs and the writing of certificates, over mbedTLS's writer. Identifiers of keys are ours
 * (RFC 7093), so that SHA-1 is not needed. It keeps nothing and decides nothing: lives, names and
 * use come from the caller. Name constraints are not written: the library's writer has none. */
#include "tls/cert.h"

#include <arpa/inet.h>
#include <mbedtls/asn1write.h>
#include <mbedtls/ecp.h>
#include <mbedtls/oid.h>
#include <stdlib.h>
#include <time.h>

#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/base/secret.h"
#include "tls/ca.h"
#include "tls/crypto.h"
#include "tls/internal.h"


void keypair_unref(struct keypair *key)
{
    if (key == NULL || --key->refs > 0)
        return;
    mbedtls_pk_free(&key->pk);
    free(key);
}

struct keypair *keypair_ref(struct keypair *key)
{
    key->refs++;
    return key;
}

static struct keypair *keypair_empty(void)
{
    struct keypair *key = mem_alloc(sizeof *key);
    key->refs = 1;
    mbedtls_pk_init(&key->pk);
    return key;
}

/* RFC 7093 section 2, method 1: the first 160 bits of SHA-256 over the public point. */
static int keypair_identify(struct keypair *key)
{
    uint8_t point[MBEDTLS_ECP_MAX_PT_LEN], digest[CRYPTO_HASH_LEN];
    uint8_t *end = point + sizeof point, *start = end;
    int len = mbedtls_pk_write_pubkey(&start, point, &key->pk);
    if (len < 0)
        return len;
    crypto_sha256(end - len, (size_t)len, digest);
    memcpy(key->id, digest, sizeof key->id);
    return 0;
}

struct keypair *keypair_new(struct err *err)
{
    struct keypair *key = keypair_empty();
    int ret = mbedtls_pk_setup(&key->pk, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    if (ret == 0)
        ret = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(key->pk), tls_random,
                                  NULL);
    if (ret == 0)
        ret = keypair_identify(key);
    if (ret == 0)
        return key;
    tls_error(err, ERR_INTERNAL, ret, "cannot make a key");
    keypair_unref(key);
    return NULL;
}

struct keypair *keypair_parse(struct span pem, struct err *err)
{
    /* The parser wants the NUL counted. */
    struct secret *text = secret_zeroed(pem.len + 1);
    if (pem.len > 0)
        memcpy(secret_writable(text), pem.p, pem.len);
    struct keypair *key = keypair_empty();
    int ret = mbedtls_pk_parse_key(&key->pk, secret_bytes(text), secret_len(text), NULL, 0,
                                   tls_random, NULL);
    secret_free(text);
    if (ret == 0 && (!mbedtls_pk_can_do(&key->pk, MBEDTLS_PK_ECDSA) ||
                     mbedtls_pk_get_bitlen(&key->pk) != 256))
        ret = MBEDTLS_ERR_PK_TYPE_MISMATCH;
    if (ret == 0)
        ret = keypair_identify(key);
    if (ret == 0)
        return key;
    tls_error(err, ERR_DATA, ret, "the session CA's key is not a P-256 key in PEM");
    keypair_unref(key);
    return NULL;
}



static void format_time(uint64_t ms, char out[16])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(out, 16, "%Y%m%d%H%M%S", &tm);
}

static int set_times(mbedtls_x509write_cert *cert, uint64_t from_ms, uint64_t until_ms)
{
    char from[16], until[16];
    format_time(from_ms, from);
    format_time(until_ms, until);
    return mbedtls_x509write_crt_set_validity(cert, from, until);
}

/* 16 random bytes, positive and without a leading zero (RFC 5280 section 4.1.2.2). */
static int set_serial(mbedtls_x509write_cert *cert)
{
    uint8_t serial[16];
    random_bytes(serial, sizeof serial);
    serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40);
    return mbedtls_x509write_crt_set_serial_raw(cert, serial, sizeof serial);
}

static int set_key_ids(mbedtls_x509write_cert *cert, const struct cert_spec *spec)
{
    /* RFC 5280 section 4.2.1.1: SEQUENCE { [0] keyIdentifier }; 4.2.1.2: OCTET STRING. */
    uint8_t authority[4 + CERT_KEY_ID_LEN] = {0x30, 2 + CERT_KEY_ID_LEN, 0x80, CERT_KEY_ID_LEN};
    uint8_t subject[2 + CERT_KEY_ID_LEN] = {0x04, CERT_KEY_ID_LEN};
    memcpy(authority + 4, spec->issuer_key->id, CERT_KEY_ID_LEN);
    memcpy(subject + 2, spec->subject_key->id, CERT_KEY_ID_LEN);
    int ret = mbedtls_x509write_crt_set_extension(
        cert, MBEDTLS_OID_SUBJECT_KEY_IDENTIFIER,
        MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_KEY_IDENTIFIER), 0, subject, sizeof subject);
    if (ret != 0)
        return ret;
    return mbedtls_x509write_crt_set_extension(
        cert, MBEDTLS_OID_AUTHORITY_KEY_IDENTIFIER,
        MBEDTLS_OID_SIZE(MBEDTLS_OID_AUTHORITY_KEY_IDENTIFIER), 0, authority, sizeof authority);
}

static int set_ca_use(mbedtls_x509write_cert *cert)
{
    int ret = mbedtls_x509write_crt_set_basic_constraints(cert, 1, 0);
    if (ret == 0)
        ret = mbedtls_x509write_crt_set_key_usage(cert, MBEDTLS_X509_KU_KEY_CERT_SIGN);
    return ret;
}

static int set_server_use(mbedtls_x509write_cert *cert, const char *host)
{
    /* RFC 5280 section 4.2.1.12: SEQUENCE { id-kp-serverAuth }. The library's own call would make
     * it critical, which no public CA does. */
    static const uint8_t usage[] = {0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06,
                                    0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
    unsigned char name[CA_HOST_MAX + 1];
    mbedtls_x509_san_list san = {.node = {.type = MBEDTLS_X509_SAN_IP_ADDRESS}};
    size_t len = strlen(host);
    if (inet_pton(AF_INET, host, name) == 1) {
        len = 4;
    } else if (inet_pton(AF_INET6, host, name) == 1) {
        len = 16;
    } else {
        san.node.type = MBEDTLS_X509_SAN_DNS_NAME;
        memcpy(name, host, len);
    }
    san.node.san.unstructured_name =
        (mbedtls_x509_buf){.tag = MBEDTLS_ASN1_IA5_STRING, .len = len, .p = name};
    int ret = mbedtls_x509write_crt_set_subject_alternative_name(cert, &san);
    if (ret == 0)
        ret = mbedtls_x509write_crt_set_extension(cert, MBEDTLS_OID_EXTENDED_KEY_USAGE,
                                                  MBEDTLS_OID_SIZE(MBEDTLS_OID_EXTENDED_KEY_USAGE),
                                                  0, usage, sizeof usage);
    if (ret == 0)
        ret = mbedtls_x509write_crt_set_key_usage(cert, MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
    return ret != 0 ? ret : mbedtls_x509write_crt_set_basic_constraints(cert, 0, -1);
}

int cert_write(const struct cert_spec *spec, uint8_t out[CERT_DER_MAX])
{
    mbedtls_x509write_cert cert;
    mbedtls_x509write_crt_init(&cert);
    mbedtls_x509write_crt_set_version(&cert, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&cert, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&cert, &spec->subject_key->pk);
    mbedtls_x509write_crt_set_issuer_key(&cert, &spec->issuer_key->pk);
    int ret = set_serial(&cert);
    if (ret == 0)
        ret = set_times(&cert, spec->from_ms, spec->until_ms);
    if (ret == 0)
        ret = mbedtls_x509write_crt_set_subject_name(&cert, spec->subject);
    if (ret == 0)
        ret = mbedtls_x509write_crt_set_issuer_name(&cert, spec->issuer);
    if (ret == 0)
        ret = set_key_ids(&cert, spec);
    if (ret == 0)
        ret = spec->host == NULL ? set_ca_use(&cert) : set_server_use(&cert, spec->host);
    if (ret == 0)
        ret = mbedtls_x509write_crt_der(&cert, out, CERT_DER_MAX, tls_random, NULL);
    mbedtls_x509write_crt_free(&cert);
    return ret;
}
