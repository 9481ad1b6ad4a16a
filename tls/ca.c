/* A session's CA: made, loaded, renewed, and the leaves it signs, kept in a bounded cache. How
 * a certificate is written is cert.c's. It stores nothing and does not decide which host is
 * intercepted. */
#include "tls/ca.h"

#include <arpa/inet.h>
#include <mbedtls/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/base/id.h"
#include "core/base/mem.h"
#include "tls/cert.h"
#include "tls/internal.h"

#define HOUR_MS ((uint64_t)3600 * 1000)
#define CA_LIFE_MS (30 * 24 * HOUR_MS)
#define LEAF_LIFE_MS (24 * HOUR_MS)
#define BACKDATE_MS HOUR_MS /* for clients whose clock is a little late */
#define LEAF_RENEW_MS HOUR_MS
#define CERT_PEM_MAX 4096
#define SUBJECT_MAX 64 /* X.520 ub-common-name */
#define BUCKETS 512

struct leaf {
    size_t refs;
    struct keypair *key;
    uint64_t from_ms, until_ms;
    struct leaf *newer, *older; /* by last use */
    struct leaf *next;          /* in the bucket */
    uint32_t hash;
    mbedtls_x509_crt cert;
    char host[];
};

struct ca {
    struct keypair *key, *leaf_key;
    char subject[SUBJECT_MAX + 8]; /* "CN=Aileron session ..." */
    char *pem;
    uint64_t from_ms, until_ms;
    struct leaf *buckets[BUCKETS];
    struct leaf *newest, *oldest;
    size_t count;
};

/* ---- the CA */

static uint64_t time_ms(const mbedtls_x509_time *when)
{
    struct tm tm = {
        .tm_year = when->year - 1900,
        .tm_mon = when->mon - 1,
        .tm_mday = when->day,
        .tm_hour = when->hour,
        .tm_min = when->min,
        .tm_sec = when->sec,
    };
    time_t seconds = timegm(&tm);
    return seconds < 0 ? 0 : (uint64_t)seconds * 1000;
}

/* Takes the keys. The certificate's PEM is written anew, so that what clients get is ours. */
static struct ca *ca_build(const char *subject, struct keypair *key, struct keypair *leaf_key,
                           struct span der, uint64_t from_ms, uint64_t until_ms, struct err *err)
{
    unsigned char pem[CERT_PEM_MAX];
    size_t len;
    int ret = mbedtls_pem_write_buffer("-----BEGIN CERTIFICATE-----\n",
                                       "-----END CERTIFICATE-----\n",
                                       (const unsigned char *)der.p, der.len, pem, sizeof pem,
                                       &len);
    if (ret != 0) {
        keypair_unref(key);
        keypair_unref(leaf_key);
        tls_error(err, ERR_INTERNAL, ret, "cannot write the session CA");
        return NULL;
    }
    struct ca *ca = mem_alloc(sizeof *ca);
    ca->key = key;
    ca->leaf_key = leaf_key;
    snprintf(ca->subject, sizeof ca->subject, "%s", subject);
    ca->pem = mem_strdup((const char *)pem);
    ca->from_ms = from_ms;
    ca->until_ms = until_ms;
    return ca;
}

/* Takes the keys. */
static struct ca *ca_sign(const char *subject, struct keypair *key, struct keypair *leaf_key,
                          struct err *err)
{
    uint8_t der[CERT_DER_MAX];
    uint64_t from_ms = clock_wall_ms() - BACKDATE_MS;
    struct cert_spec spec = {
        .subject = subject,
        .issuer = subject,
        .subject_key = key,
        .issuer_key = key,
        .from_ms = from_ms,
        .until_ms = from_ms + CA_LIFE_MS,
    };
    int len = cert_write(&spec, der);
    if (len < 0) {
        keypair_unref(key);
        keypair_unref(leaf_key);
        tls_error(err, ERR_INTERNAL, len, "cannot sign the session CA");
        return NULL;
    }
    struct span bytes = {(const char *)der + sizeof der - len, (size_t)len};
    return ca_build(subject, key, leaf_key, bytes, spec.from_ms, spec.until_ms, err);
}

struct ca *ca_new(const char *session_id, struct err *err)
{
    char subject[SUBJECT_MAX + 8];
    size_t len = strlen(session_id);
    if (len == 0 || len > 40 || strspn(session_id, "0123456789abcdefghijklmnopqrstuvwxyz"
                                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-") != len) {
        err_set(err, ERR_DATA, "a session CA cannot be named by this session id");
        return NULL;
    }
    snprintf(subject, sizeof subject, "CN=Aileron session %s", session_id);
    struct keypair *key = keypair_new(err);
    if (key == NULL)
        return NULL;
    struct keypair *leaf_key = keypair_new(err);
    if (leaf_key == NULL) {
        keypair_unref(key);
        return NULL;
    }
    return ca_sign(subject, key, leaf_key, err);
}

struct ca *ca_renew(const struct ca *ca, struct err *err)
{
    return ca_sign(ca->subject, keypair_ref(ca->key), keypair_ref(ca->leaf_key), err);
}

/* What belongs together: a CA's certificate, its key, a name that we can issue under. */
static bool check_pair(const mbedtls_x509_crt *cert, const struct keypair *key, char *subject,
                       size_t cap, struct err *err)
{
    if (cert->next != NULL || !cert->MBEDTLS_PRIVATE(ca_istrue))
        return err_set(err, ERR_DATA, "the session CA's certificate is not that of one CA");
    if (mbedtls_pk_check_pair(&cert->pk, &key->pk, tls_random, NULL) != 0)
        return err_set(err, ERR_DATA, "the session CA's certificate and key do not match");
    int len = mbedtls_x509_dn_gets(subject, cap, &cert->subject);
    if (len < 0)
        return err_set(err, ERR_DATA, "the session CA's name is too long");
    return true;
}

struct ca *ca_load(struct span cert_pem, struct span key_pem, struct err *err)
{
    struct keypair *key = keypair_parse(key_pem, err);
    if (key == NULL)
        return NULL;
    struct keypair *leaf_key = keypair_new(err);
    if (leaf_key == NULL) {
        keypair_unref(key);
        return NULL;
    }
    struct ca *ca = NULL;
    char subject[SUBJECT_MAX + 8];
    char *text = mem_strndup(cert_pem.len > 0 ? cert_pem.p : "", cert_pem.len);
    mbedtls_x509_crt cert;
    mbedtls_x509_crt_init(&cert);
    int ret = mbedtls_x509_crt_parse(&cert, (const unsigned char *)text, cert_pem.len + 1);
    free(text);
    if (ret != 0) {
        tls_error(err, ERR_DATA, ret < 0 ? ret : MBEDTLS_ERR_X509_INVALID_FORMAT,
                  "the session CA's certificate is not PEM");
    } else if (check_pair(&cert, key, subject, sizeof subject, err)) {
        struct span der = {(const char *)cert.raw.p, cert.raw.len};
        ca = ca_build(subject, keypair_ref(key), keypair_ref(leaf_key), der,
                      time_ms(&cert.valid_from), time_ms(&cert.valid_to), err);
    }
    mbedtls_x509_crt_free(&cert);
    keypair_unref(key);
    keypair_unref(leaf_key);
    return ca;
}

bool ca_renewal_due(const struct ca *ca)
{
    uint64_t life = ca->until_ms > ca->from_ms ? ca->until_ms - ca->from_ms : 0;
    return clock_wall_ms() + life / 3 >= ca->until_ms;
}

const char *ca_cert_pem(const struct ca *ca)
{
    return ca->pem;
}

struct secret *ca_key_pem(const struct ca *ca, struct err *err)
{
    struct secret *room = secret_zeroed(CERT_PEM_MAX), *pem = NULL;
    int ret = mbedtls_pk_write_key_pem(&ca->key->pk, secret_writable(room), CERT_PEM_MAX);
    if (ret == 0)
        pem = secret_new(secret_bytes(room), strlen((const char *)secret_bytes(room)));
    else
        tls_error(err, ERR_INTERNAL, ret, "cannot write the session CA's key");
    secret_free(room);
    return pem;
}

/* ---- leaves */

static uint32_t hash_host(const char *host)
{
    uint32_t hash = 2166136261u; /* FNV-1a; a flood of equal hashes only walks CA_LEAVES_MAX */
    for (; *host != '\0'; host++)
        hash = (hash ^ (uint8_t)*host) * 16777619u;
    return hash;
}

static void forget_leaf(struct ca *ca, struct leaf *leaf)
{
    struct leaf **at = &ca->buckets[leaf->hash % BUCKETS];
    while (*at != leaf)
        at = &(*at)->next;
    *at = leaf->next;
    *(leaf->newer != NULL ? &leaf->newer->older : &ca->newest) = leaf->older;
    *(leaf->older != NULL ? &leaf->older->newer : &ca->oldest) = leaf->newer;
    ca->count--;
    leaf_unref(leaf);
}

static void keep_leaf(struct ca *ca, struct leaf *leaf)
{
    if (ca->count == CA_LEAVES_MAX)
        forget_leaf(ca, ca->oldest);
    leaf->refs++;
    leaf->next = ca->buckets[leaf->hash % BUCKETS];
    ca->buckets[leaf->hash % BUCKETS] = leaf;
    leaf->newer = NULL;
    leaf->older = ca->newest;
    *(ca->newest != NULL ? &ca->newest->newer : &ca->oldest) = leaf;
    ca->newest = leaf;
    ca->count++;
}

static struct leaf *find_leaf(struct ca *ca, const char *host, uint32_t hash)
{
    struct leaf *leaf = ca->buckets[hash % BUCKETS];
    while (leaf != NULL && (leaf->hash != hash || strcmp(leaf->host, host) != 0))
        leaf = leaf->next;
    return leaf;
}

static bool check_host(const char *host)
{
    uint8_t address[16];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return true;
    size_t len = strlen(host);
    return len > 0 && len <= CA_HOST_MAX &&
           strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == len && host[0] != '.' &&
           host[len - 1] != '.' && strstr(host, "..") == NULL;
}

static struct leaf *mint_leaf(struct ca *ca, const char *host, struct err *err)
{
    uint8_t der[CERT_DER_MAX];
    char subject[SUBJECT_MAX + 8];
    /* The subject is for people alone: clients look at the alternative name. */
    snprintf(subject, sizeof subject, "CN=%s", strlen(host) <= SUBJECT_MAX ? host : "Aileron");
    uint64_t from_ms = clock_wall_ms() - BACKDATE_MS;
    struct cert_spec spec = {
        .subject = subject,
        .issuer = ca->subject,
        .subject_key = ca->leaf_key,
        .issuer_key = ca->key,
        .from_ms = from_ms,
        .until_ms = from_ms + LEAF_LIFE_MS,
        .host = host,
    };
    int ret = cert_write(&spec, der);
    size_t size = strlen(host) + 1;
    struct leaf *leaf = mem_alloc(sizeof *leaf + size);
    leaf->refs = 1;
    leaf->key = keypair_ref(ca->leaf_key);
    leaf->from_ms = spec.from_ms;
    leaf->until_ms = spec.until_ms;
    leaf->hash = hash_host(host);
    memcpy(leaf->host, host, size);
    mbedtls_x509_crt_init(&leaf->cert);
    if (ret > 0)
        ret = mbedtls_x509_crt_parse_der(&leaf->cert, der + sizeof der - ret, (size_t)ret);
    if (ret == 0)
        return leaf;
    tls_error(err, ERR_INTERNAL, ret, "cannot sign a certificate");
    leaf_unref(leaf);
    return NULL;
}

struct leaf *ca_leaf(struct ca *ca, const char *host, struct err *err)
{
    if (!check_host(host)) {
        err_set(err, ERR_DATA, "no certificate can be made for this host name");
        return NULL;
    }
    uint64_t now = clock_wall_ms();
    struct leaf *leaf = find_leaf(ca, host, hash_host(host));
    if (leaf != NULL && now >= leaf->from_ms && now + LEAF_RENEW_MS < leaf->until_ms) {
        if (leaf != ca->newest) { /* to the front: what is used stays */
            leaf->refs++;
            forget_leaf(ca, leaf);
            keep_leaf(ca, leaf);
            return leaf;
        }
        return leaf_ref(leaf);
    }
    if (leaf != NULL)
        forget_leaf(ca, leaf);
    leaf = mint_leaf(ca, host, err);
    if (leaf != NULL)
        keep_leaf(ca, leaf);
    return leaf;
}

struct leaf *leaf_ref(struct leaf *leaf)
{
    leaf->refs++;
    return leaf;
}

void leaf_unref(struct leaf *leaf)
{
    if (leaf == NULL || --leaf->refs > 0)
        return;
    mbedtls_x509_crt_free(&leaf->cert);
    keypair_unref(leaf->key);
    free(leaf);
}

struct span leaf_der(const struct leaf *leaf)
{
    return (struct span){(const char *)leaf->cert.raw.p, leaf->cert.raw.len};
}

size_t ca_leaf_count(const struct ca *ca)
{
    return ca->count;
}

mbedtls_x509_crt *leaf_cert(struct leaf *leaf)
{
    return &leaf->cert;
}

mbedtls_pk_context *leaf_key(struct leaf *leaf)
{
    return &leaf->key->pk;
}

void ca_free(struct ca *ca)
{
    if (ca == NULL)
        return;
    while (ca->newest != NULL)
        forget_leaf(ca, ca->newest);
    keypair_unref(ca->key);
    keypair_unref(ca->leaf_key);
    free(ca->pem);
    free(ca);
}
