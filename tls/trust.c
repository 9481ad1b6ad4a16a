/* A set of trusted certificates over PEM text. Adding a text checks each certificate once and keeps
 * its place and a hash of its subject; verifying a chain decodes the few whose subject is the
 * issuer that is looked for. It does not verify: that is the TLS library's, set up by trust_use. */
#include "tls/trust.h"

#include <mbedtls/platform.h>
#include <stdlib.h>

#include "core/base/file.h"
#include "tls/internal.h"

#define DER_MAX ((size_t)64 * 1024) /* one certificate, and its base64 */
#define CANDIDATES_MAX 8            /* of one name: a root and its re-issues */

static const char begin_line[] = "-----BEGIN CERTIFICATE-----";
static const char end_line[] = "-----END CERTIFICATE-----";

struct entry {
    uint32_t subject; /* hash_name of the subject */
    uint32_t at, len; /* the base64 in the text */
    uint32_t text;
};

struct trust {
    size_t refs;
    struct {
        const char *p;
        char *owned; /* NULL: borrowed */
    } texts[TRUST_TEXTS_MAX];
    size_t text_count;
    struct entry *entries;
    size_t count, skipped;
    mbedtls_x509_crt all; /* only where the library cannot ask for one */
};

/* Equal for names that RFC 5280 section 7.1 calls equal, as far as re-encoded names go: the value's
 * string type and the case of ASCII letters do not count. The library compares the names itself
 * afterwards, so a clash costs time and nothing else. */
static uint32_t hash_name(const uint8_t *p, size_t len)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    while (len >= 2) {
        uint8_t tag = p[0];
        size_t head = 2, size = p[1];
        if (size & 0x80) {
            size_t digits = size & 0x7f;
            if (digits == 0 || digits > 3 || len < 2 + digits)
                break;
            size = 0;
            for (size_t i = 0; i < digits; i++)
                size = size << 8 | p[2 + i];
            head += digits;
        }
        if (size > len - head)
            break;
        p += head;
        len -= head;
        if (tag & 0x20) /* a sequence or set: on with what is inside */
            continue;
        for (size_t i = 0; i < size; i++) {
            uint8_t c = p[i];
            hash = (hash ^ (c >= 'A' && c <= 'Z' && tag != 6 ? c | 0x20 : c)) * 16777619u;
        }
        p += size;
        len -= size;
    }
    return hash;
}

bool trust_pem_der(struct span base64, uint8_t *der, size_t cap, size_t *len)
{
    size_t digits = 0;

    for (size_t i = 0; i < base64.len; i++) {
        char c = base64.p[i];
        if (c == '\n' || c == '\r' || c == ' ' || c == '\t')
            continue;
        if (digits == cap)
            return false;
        der[digits++] = (uint8_t)c;
    }
    /* In its place: three bytes are written where four digits were read. */
    return text_unbase64((struct span){(const char *)der, digits}, der, cap, len);
}

/* Adds the certificate to chain. der: DER_MAX bytes of scratch. */
static bool decode(const char *base64, size_t len, uint8_t *der, mbedtls_x509_crt *chain)
{
    size_t der_len;
    return trust_pem_der((struct span){base64, len}, der, DER_MAX, &der_len) &&
           mbedtls_x509_crt_parse_der(chain, der, der_len) == 0;
}

static const char *find(const char *from, const char *end, const char *word)
{
    return from >= end ? NULL : memmem(from, (size_t)(end - from), word, strlen(word));
}

bool trust_next_pem(struct span *at, struct span *base64)
{
    const char *end = at->p + at->len, *from = find(at->p, end, begin_line), *stop;

    if (from == NULL)
        return false;
    from += strlen(begin_line);
    stop = find(from, end, end_line);
    if (stop == NULL)
        return false;
    *base64 = (struct span){from, (size_t)(stop - from)};
    *at = (struct span){stop, (size_t)(end - stop)};
    return true;
}

/* Notes the certificate at base64, or counts it as skipped. */
static void add_entry(struct trust *trust, const char *base64, size_t len, uint8_t *der)
{
    mbedtls_x509_crt cert;
    mbedtls_x509_crt_init(&cert);
    if (decode(base64, len, der, &cert)) {
        if ((trust->count & (trust->count - 1)) == 0) /* a power of two: room for twice that */
            trust->entries = mem_resize(trust->entries, trust->count == 0 ? 1 : trust->count * 2,
                                        sizeof *trust->entries);
        trust->entries[trust->count++] = (struct entry){
            .subject = hash_name(cert.subject_raw.p, cert.subject_raw.len),
            .at = (uint32_t)(base64 - trust->texts[trust->text_count - 1].p),
            .len = (uint32_t)len,
            .text = (uint32_t)(trust->text_count - 1),
        };
    } else {
        trust->skipped++;
    }
    mbedtls_x509_crt_free(&cert);
}

struct trust *trust_new(void)
{
    struct trust *trust = mem_alloc(sizeof *trust);
    trust->refs = 1;
    mbedtls_x509_crt_init(&trust->all);
    return trust;
}

struct trust *trust_ref(struct trust *trust)
{
    trust->refs++;
    return trust;
}

void trust_unref(struct trust *trust)
{
    if (trust == NULL || --trust->refs > 0)
        return;
    for (size_t i = 0; i < trust->text_count; i++)
        free(trust->texts[i].owned);
    mbedtls_x509_crt_free(&trust->all);
    free(trust->entries);
    free(trust);
}

bool trust_add(struct trust *trust, struct span pem, enum trust_text how, struct err *err)
{
    if (pem.len > TRUST_PEM_MAX || trust->text_count == TRUST_TEXTS_MAX)
        return err_set(err, ERR_LIMIT,
                       "too many trusted certificates: more than %d files, or a file over %zu MiB",
                       TRUST_TEXTS_MAX, TRUST_PEM_MAX >> 20);
    size_t count = trust->count, skipped = trust->skipped, slot = trust->text_count++;
    char *owned = how == TRUST_COPY ? mem_strndup(pem.len > 0 ? pem.p : "", pem.len) : NULL;
    const char *text = owned != NULL ? owned : pem.p, *end = text + pem.len, *at = text;
    trust->texts[slot].owned = owned;
    trust->texts[slot].p = text;
    uint8_t *der = mem_alloc(DER_MAX);
    bool within = true;
    while (within && (at = find(at, end, begin_line)) != NULL) {
        at += strlen(begin_line);
        const char *stop = find(at, end, end_line);
        if (stop == NULL) {
            trust->skipped++;
            break;
        }
        within = trust->count < TRUST_CERTS_MAX;
        if (within)
            add_entry(trust, at, (size_t)(stop - at), der);
        at = stop;
    }
    free(der);
    if (within && trust->count > count)
        return true;
    size_t bad = trust->skipped - skipped;
    trust->count = count;
    trust->skipped = skipped;
    trust->text_count = slot;
    free(owned);
    if (!within)
        return err_set(err, ERR_LIMIT, "more than %d trusted certificates", TRUST_CERTS_MAX);
    err_set(err, ERR_DATA, "no certificate to trust in it (%zu malformed)", bad);
    return err_hint(err, "It must be PEM: blocks that begin with %s", begin_line);
}

size_t trust_count(const struct trust *trust)
{
    return trust->count;
}

size_t trust_skipped(const struct trust *trust)
{
    return trust->skipped;
}

#if defined(MBEDTLS_X509_TRUSTED_CERTIFICATE_CALLBACK)
/* mbedtls_x509_crt_ca_cb_t: the certificates whose subject is child's issuer, parsed; the library
 * frees them. */
static int candidates(void *arg, const mbedtls_x509_crt *child, mbedtls_x509_crt **found)
{
    const struct trust *trust = arg;
    uint32_t issuer = hash_name(child->issuer_raw.p, child->issuer_raw.len);
    uint8_t *der = NULL;
    mbedtls_x509_crt *chain = NULL;
    size_t count = 0;
    for (size_t i = 0; i < trust->count && count < CANDIDATES_MAX; i++) {
        const struct entry *entry = &trust->entries[i];
        if (entry->subject != issuer)
            continue;
        if (chain == NULL) {
            der = mem_alloc(DER_MAX);
            chain = mbedtls_calloc(1, sizeof *chain);
            if (chain == NULL)
                abort();
            mbedtls_x509_crt_init(chain);
        }
        if (decode(trust->texts[entry->text].p + entry->at, entry->len, der, chain))
            count++;
    }
    free(der);
    *found = chain;
    return 0;
}

void trust_use(struct trust *trust, mbedtls_ssl_config *config)
{
    mbedtls_ssl_conf_ca_cb(config, candidates, trust);
}
#else
/* A system's own build of the library cannot ask: all certificates are parsed, once a set. */
void trust_use(struct trust *trust, mbedtls_ssl_config *config)
{
    if (trust->all.raw.p == NULL) {
        uint8_t *der = mem_alloc(DER_MAX);
        for (size_t i = 0; i < trust->count; i++) {
            const struct entry *entry = &trust->entries[i];
            (void)decode(trust->texts[entry->text].p + entry->at, entry->len, der, &trust->all);
        }
        free(der);
    }
    mbedtls_ssl_conf_ca_chain(config, &trust->all, NULL);
}
#endif

bool trust_holds(const struct trust *trust, const mbedtls_x509_crt *cert)
{
    uint32_t subject = hash_name(cert->subject_raw.p, cert->subject_raw.len);
    bool held = false;
    uint8_t *der = NULL;
    for (size_t i = 0; i < trust->count && !held; i++) {
        const struct entry *entry = &trust->entries[i];
        size_t len;
        if (entry->subject != subject)
            continue;
        if (der == NULL)
            der = mem_alloc(DER_MAX);
        struct span base64 = {trust->texts[entry->text].p + entry->at, entry->len};
        held = trust_pem_der(base64, der, DER_MAX, &len) && len == cert->raw.len && memcmp(der, cert->raw.p, len) == 0;
    }
    free(der);
    return held;
}

bool trust_system_pem(struct buf *out, struct err *err)
{
    static const char *const places[] = {
        "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Ubuntu, Arch, Gentoo */
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* Fedora, RHEL */
        "/etc/pki/tls/certs/ca-bundle.crt",                  /* older RHEL */
        "/etc/ssl/ca-bundle.pem",                            /* openSUSE */
        "/var/lib/ca-certificates/ca-bundle.pem",            /* openSUSE, newer */
        "/etc/ssl/cert.pem",                                 /* Alpine */
        "/etc/ssl/certs/ca-bundle.crt",                      /* NixOS */
    };
    for (size_t i = 0; i < COUNT(places); i++) {
        struct err why = {.code = ERR_NONE};
        if (file_read(places[i], TRUST_PEM_MAX, out, &why)) {
            const char *text = buf_cstr(out);
            if (find(text, text + out->len, begin_line) != NULL)
                return true;
            buf_clear(out);
        } else if (why.code != ERR_NOT_FOUND) {
            *err = why;
            return err_wrap(err, "cannot read the system's trusted certificates");
        }
    }
    err_set(err, ERR_NOT_FOUND, "this system has no bundle of trusted certificates");
    return err_hint(err, "Install the package ca-certificates, or name a file with tls.ca_file");
}
