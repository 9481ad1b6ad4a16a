/* What many streams share: policy of versions, groups and ciphers, trust, a client's certificate,
 * the server's ticket key. Made once per process and purpose. It holds no connection and does no
 * I/O. */
#include "tls/stream_internal.h"

#include <mbedtls/ssl_ciphersuites.h>
#include <stdlib.h>

#include "core/base/id.h"
#include "tls/internal.h"

/* AES-128-GCM first: the processor has instructions for it, and it is the fastest here by far. */
static const int ciphers[] = {
    MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
    MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    0,
};

/* X25519 first: its implementation here is several times as fast as P-256's. */
static const uint16_t groups[] = {
    MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP521R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
};

/* For a server's proof. PKCS #1 stands before PSS, since mbedTLS 3.6.6 refuses, in TLS 1.2, the PSS
 * that it has to offer for TLS 1.3, and most servers choose by this order; TLS 1.3 passes over
 * PKCS #1. */
static const uint16_t signatures[] = {
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256,
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384,
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP521R1_SHA512,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA384,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA512,
    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256,
    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA384,
    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA512,
    MBEDTLS_TLS1_3_SIG_NONE,
};

static struct stream_config *config_new(int endpoint)
{
    struct stream_config *config = mem_alloc(sizeof *config);
    config->refs = 1;
    config->server = endpoint == MBEDTLS_SSL_IS_SERVER;
    random_bytes(config->id, sizeof config->id);
    mbedtls_ssl_config_init(&config->ssl);
    mbedtls_ssl_ticket_init(&config->tickets);
    mbedtls_x509_crt_init(&config->client_cert);
    mbedtls_pk_init(&config->client_key);
    return config;
}

static int config_defaults(struct stream_config *config, int endpoint, bool tls12_only,
                           bool tls13_only)
{
    int ret = mbedtls_ssl_config_defaults(&config->ssl, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                          MBEDTLS_SSL_PRESET_DEFAULT);
    if (ret != 0)
        return ret;
    mbedtls_ssl_conf_rng(&config->ssl, tls_random, NULL);
    mbedtls_ssl_conf_ciphersuites(&config->ssl, ciphers);
    mbedtls_ssl_conf_groups(&config->ssl, groups);
    mbedtls_ssl_conf_min_tls_version(&config->ssl, tls13_only ? MBEDTLS_SSL_VERSION_TLS1_3
                                                              : MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(&config->ssl, tls12_only ? MBEDTLS_SSL_VERSION_TLS1_2
                                                              : MBEDTLS_SSL_VERSION_TLS1_3);
    return 0;
}

static bool config_alpn(struct stream_config *config, const char *const *alpn, struct err *err)
{
    size_t count = 0;
    if (alpn == NULL || alpn[0] == NULL)
        return true;
    for (; alpn[count] != NULL; count++) {
        if (count == STREAM_ALPN_MAX)
            return err_set(err, ERR_INTERNAL, "more than %d application protocols",
                           STREAM_ALPN_MAX);
        config->alpn[count] = config->alpn_text[count] = mem_strdup(alpn[count]);
    }
    int ret = mbedtls_ssl_conf_alpn_protocols(&config->ssl, config->alpn);
    return ret == 0 || tls_error(err, ERR_INTERNAL, ret, "cannot offer the application protocols");
}

/* mbedtls_ssl_ticket_parse_t. Notes that a ticket was good, which the library does not tell. */
static int parse_ticket(void *arg, mbedtls_ssl_session *session, unsigned char *ticket, size_t len)
{
    struct stream_config *config = arg;
    int ret = mbedtls_ssl_ticket_parse(&config->tickets, session, ticket, len);
    config->ticket_taken = config->ticket_taken || ret == 0;
    return ret;
}

static int write_ticket(void *arg, const mbedtls_ssl_session *session, unsigned char *start,
                        const unsigned char *end, size_t *len, uint32_t *life_s)
{
    struct stream_config *config = arg;
    return mbedtls_ssl_ticket_write(&config->tickets, session, start, end, len, life_s);
}

struct stream_config *stream_config_server(const struct stream_server_options *options,
                                           struct err *err)
{
    struct stream_config *config = config_new(MBEDTLS_SSL_IS_SERVER);
    int ret = config_defaults(config, MBEDTLS_SSL_IS_SERVER, options->tls12_only, false);
    if (ret == 0 && !options->no_tickets) {
        ret = mbedtls_ssl_ticket_setup(&config->tickets, tls_random, NULL,
                                       MBEDTLS_CIPHER_AES_256_GCM, STREAM_TICKET_LIFE_S);
        mbedtls_ssl_conf_session_tickets_cb(&config->ssl, write_ticket, parse_ticket, config);
    }
    if (ret != 0) {
        tls_error(err, ERR_INTERNAL, ret, "cannot set up TLS");
    } else if (config_alpn(config, options->alpn, err)) {
        mbedtls_ssl_conf_authmode(&config->ssl, MBEDTLS_SSL_VERIFY_NONE);
        mbedtls_ssl_conf_cert_cb(&config->ssl, stream_choose_leaf);
        return config;
    }
    stream_config_unref(config);
    return NULL;
}

/* NUL-terminated copies, since the PEM parsers want the NUL counted. */
static bool config_client_cert(struct stream_config *config, struct span cert, struct span key,
                               struct err *err)
{
    if (cert.len == 0 && key.len == 0)
        return true;
    struct secret *text = secret_zeroed(cert.len + 1);
    if (cert.len > 0)
        memcpy(secret_writable(text), cert.p, cert.len);
    int ret = mbedtls_x509_crt_parse(&config->client_cert, secret_bytes(text), cert.len + 1);
    secret_free(text);
    if (ret != 0)
        return tls_error(err, ERR_DATA, ret < 0 ? ret : MBEDTLS_ERR_X509_INVALID_FORMAT,
                         "cannot read the client certificate");
    text = secret_zeroed(key.len + 1);
    if (key.len > 0)
        memcpy(secret_writable(text), key.p, key.len);
    ret = mbedtls_pk_parse_key(&config->client_key, secret_bytes(text), key.len + 1, NULL, 0,
                               tls_random, NULL);
    secret_free(text);
    if (ret != 0)
        return tls_error(err, ERR_DATA, ret, "cannot read the client certificate's key");
    if (mbedtls_pk_check_pair(&config->client_cert.pk, &config->client_key, tls_random, NULL) != 0)
        return err_set(err, ERR_DATA, "the client certificate and its key do not match");
    ret = mbedtls_ssl_conf_own_cert(&config->ssl, &config->client_cert, &config->client_key);
    return ret == 0 || tls_error(err, ERR_INTERNAL, ret, "cannot use the client certificate");
}

struct stream_config *stream_config_client(const struct stream_client_options *options,
                                           struct err *err)
{
    struct stream_config *config = config_new(MBEDTLS_SSL_IS_CLIENT);
    config->trust = trust_ref(options->trust);
    int ret = config_defaults(config, MBEDTLS_SSL_IS_CLIENT, options->tls12_only,
                              options->tls13_only);
    if (ret != 0) {
        tls_error(err, ERR_INTERNAL, ret, "cannot set up TLS");
    } else if (config_alpn(config, options->alpn, err) &&
               config_client_cert(config, options->client_cert_pem, options->client_key_pem, err)) {
        mbedtls_ssl_conf_authmode(&config->ssl, MBEDTLS_SSL_VERIFY_REQUIRED);
        mbedtls_ssl_conf_sig_algs(&config->ssl, signatures);
        trust_use(config->trust, &config->ssl);
        mbedtls_ssl_conf_session_tickets(&config->ssl, MBEDTLS_SSL_SESSION_TICKETS_ENABLED);
        mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
            &config->ssl, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
        return config;
    }
    stream_config_unref(config);
    return NULL;
}

/* The library has a pointer to the key, which stays good; renegotiation and proofs after the handshake, which would
 * use it, are not compiled in. */
void stream_forget_key(struct stream *stream)
{
    mbedtls_pk_free(&stream->config->client_key);
    mbedtls_pk_init(&stream->config->client_key);
}

struct stream_config *stream_config_ref(struct stream_config *config)
{
    config->refs++;
    return config;
}

void stream_config_unref(struct stream_config *config)
{
    if (config == NULL || --config->refs > 0)
        return;
    mbedtls_ssl_config_free(&config->ssl);
    mbedtls_ssl_ticket_free(&config->tickets);
    mbedtls_x509_crt_free(&config->client_cert);
    mbedtls_pk_free(&config->client_key);
    trust_unref(config->trust);
    for (size_t i = 0; i < STREAM_ALPN_MAX; i++)
        free(config->alpn_text[i]);
    free(config);
}
