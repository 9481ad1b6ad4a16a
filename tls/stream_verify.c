/* Verification of a server's certificate beyond what the library does by itself, and why a stream
 * failed, in words: each cause has one row. It decides nothing but what stands in stream.h: a chain
 * must end in the config's trust and the name must match. */
#include "tls/stream_internal.h"

#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <stdio.h>
#include <stdlib.h>

#include "tls/internal.h"

static const struct cause_row {
    const char *word, *text, *hint;
} causes[STREAM_CAUSES] = {
    [STREAM_CAUSE_NONE] = {"none", "nothing failed", NULL},
    [STREAM_CAUSE_EXPIRED] = {"expired", "its certificate has expired",
                              "The server's owner must renew it; the user can check the host's clock, too"},
    [STREAM_CAUSE_NOT_YET_VALID] = {"not-yet-valid", "its certificate is not valid yet",
                                    "The user can check the host's clock"},
    [STREAM_CAUSE_WRONG_NAME] = {"wrong-name", "its certificate is for another name",
                                 "Check the host name"},
    [STREAM_CAUSE_SELF_SIGNED] = {"self-signed", "its certificate is self-signed and not trusted",
                                  "The user can have it trusted: tls.ca_file in config.yaml"},
    [STREAM_CAUSE_UNKNOWN_AUTHORITY] = {"unknown-authority",
                                        "its certificate is signed by an authority that is not "
                                        "trusted, or an intermediate certificate is missing",
                                        "The user can have its CA trusted: tls.ca_file in config.yaml"},
    [STREAM_CAUSE_WEAK] = {"weak", "its certificates use a hash, key or curve that is too weak",
                           "The server's owner must renew them"},
    [STREAM_CAUSE_USAGE] = {"usage", "its certificate is not made for a TLS server",
                            "The server's owner must replace it"},
    [STREAM_CAUSE_VERSION] = {"version", "the two ends have no TLS version in common",
                              "TLS 1.2 or 1.3 is needed"},
    [STREAM_CAUSE_NO_COMMON] = {"no-common", "the two ends have no version, cipher, group or "
                                             "application protocol in common", NULL},
    [STREAM_CAUSE_PEER_REFUSED_CERT] = {"peer-refused-certificate", "the other end refused our "
                                                                    "certificate", NULL},
    [STREAM_CAUSE_ALERT] = {"alert", "the other end gave up", NULL},
    [STREAM_CAUSE_NOT_TLS] = {"not-tls", "the other end does not speak TLS",
                              "Check the port"},
    [STREAM_CAUSE_PROTOCOL] = {"protocol", "the other end sent malformed or altered bytes", NULL},
    [STREAM_CAUSE_TRUNCATED] = {"truncated", "the other end closed the connection in the middle of "
                                             "the handshake", NULL},
    [STREAM_CAUSE_IO] = {"io", "the connection was lost", NULL},
    [STREAM_CAUSE_INTERNAL] = {"internal", "an internal error", NULL},
};

const char *stream_cause_word(enum stream_cause cause)
{
    return causes[cause].word;
}

/* RFC 5280 section 4.2.1.6: an iPAddress of four or sixteen bytes. */
static bool has_address(const mbedtls_x509_crt *cert, const uint8_t *address, size_t len)
{
    for (const mbedtls_x509_sequence *san = &cert->subject_alt_names; san != NULL; san = san->next)
        if ((san->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) == MBEDTLS_X509_SAN_IP_ADDRESS &&
            san->buf.len == len && memcmp(san->buf.p, address, len) == 0)
            return true;
    return false;
}

int stream_verify(void *arg, mbedtls_x509_crt *cert, int depth, uint32_t *flags)
{
    struct stream *stream = arg;
    struct stream_verdict *verdict = &stream->verdict;
    verdict->seen = true;
    if (depth == 0) {
        verdict->self_issued =
            cert->issuer_raw.len == cert->subject_raw.len &&
            memcmp(cert->issuer_raw.p, cert->subject_raw.p, cert->subject_raw.len) == 0;
        if (stream->address_len > 0 && !has_address(cert, stream->address, stream->address_len))
            *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
        /* A server's own certificate may be trusted by name of its bytes, without being a CA. */
        if ((*flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0 &&
            trust_holds(stream->config->trust, cert))
            *flags &= ~(uint32_t)MBEDTLS_X509_BADCERT_NOT_TRUSTED;
    }
    if ((*flags & MBEDTLS_X509_BADCERT_EXPIRED) != 0)
        verdict->until = cert->valid_to;
    if ((*flags & MBEDTLS_X509_BADCERT_FUTURE) != 0)
        verdict->from = cert->valid_from;
    if (depth == 0)
        verdict->leaf |= *flags;
    else
        verdict->chain |= *flags;
    return 0;
}

static enum stream_cause certificate_cause(const struct stream *stream)
{
    static const struct {
        uint32_t flags;
        enum stream_cause cause;
    } rows[] = {
        {MBEDTLS_X509_BADCERT_NOT_TRUSTED, STREAM_CAUSE_UNKNOWN_AUTHORITY},
        {MBEDTLS_X509_BADCERT_EXPIRED, STREAM_CAUSE_EXPIRED},
        {MBEDTLS_X509_BADCERT_FUTURE, STREAM_CAUSE_NOT_YET_VALID},
        {MBEDTLS_X509_BADCERT_CN_MISMATCH, STREAM_CAUSE_WRONG_NAME},
        {MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_PK | MBEDTLS_X509_BADCERT_BAD_KEY,
         STREAM_CAUSE_WEAK},
        {MBEDTLS_X509_BADCERT_KEY_USAGE | MBEDTLS_X509_BADCERT_EXT_KEY_USAGE |
             MBEDTLS_X509_BADCERT_NS_CERT_TYPE,
         STREAM_CAUSE_USAGE},
    };
    uint32_t flags = stream->verdict.leaf | stream->verdict.chain;
    uint32_t result = mbedtls_ssl_get_verify_result(&stream->ssl); /* all ones: not reached */
    if (result != UINT32_MAX)
        flags |= result;
    if ((flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0 && stream->verdict.self_issued)
        return STREAM_CAUSE_SELF_SIGNED;
    for (size_t i = 0; i < COUNT(rows); i++)
        if ((flags & rows[i].flags) != 0)
            return rows[i].cause;
    return STREAM_CAUSE_PROTOCOL;
}

/* The description of the fatal alert that ended the stream (RFC 8446 section 6), or -1. A client of
 * TLS 1.3 that gives up before it has keys sends its alert in the clear, which the library calls a
 * bad record; it only serves the words here. */
static int received_alert(const struct stream *stream, int code)
{
    if (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE)
        return stream->ssl.MBEDTLS_PRIVATE(in_msg)[1];
    const uint8_t *record = stream->ssl.MBEDTLS_PRIVATE(in_hdr);
    if (code == MBEDTLS_ERR_SSL_INVALID_MAC && stream->config->server && !stream->open &&
        record[0] == MBEDTLS_SSL_MSG_ALERT && record[3] == 0 && record[4] == 2 &&
        record[5] == MBEDTLS_SSL_ALERT_LEVEL_FATAL)
        return record[6];
    return -1;
}

static enum stream_cause alert_cause(int alert)
{
    switch (alert) {
    case MBEDTLS_SSL_ALERT_MSG_BAD_CERT:
    case MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT:
    case MBEDTLS_SSL_ALERT_MSG_CERT_REVOKED:
    case MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED:
    case MBEDTLS_SSL_ALERT_MSG_CERT_UNKNOWN:
    case MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA:
    case 116: /* certificate_required, RFC 8446 */
        return STREAM_CAUSE_PEER_REFUSED_CERT;
    case MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION:
        return STREAM_CAUSE_VERSION;
    case MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE:
    case MBEDTLS_SSL_ALERT_MSG_INSUFFICIENT_SECURITY:
    case MBEDTLS_SSL_ALERT_MSG_NO_APPLICATION_PROTOCOL:
        return STREAM_CAUSE_NO_COMMON;
    default:
        return STREAM_CAUSE_ALERT;
    }
}

static enum stream_cause library_cause(const struct stream *stream, int code)
{
    if (received_alert(stream, code) >= 0)
        return alert_cause(received_alert(stream, code));
    switch (code) {
    case MBEDTLS_ERR_X509_CERT_VERIFY_FAILED:
    case MBEDTLS_ERR_SSL_BAD_CERTIFICATE:
        return certificate_cause(stream);
    case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION:
        return STREAM_CAUSE_VERSION;
    case MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE:
    case MBEDTLS_ERR_SSL_NO_APPLICATION_PROTOCOL:
        return STREAM_CAUSE_NO_COMMON;
    case MBEDTLS_ERR_SSL_INVALID_RECORD:
        /* The first record already is none. */
        return stream->ssl.MBEDTLS_PRIVATE(state) <= MBEDTLS_SSL_SERVER_HELLO
                   ? STREAM_CAUSE_NOT_TLS
                   : STREAM_CAUSE_PROTOCOL;
    case MBEDTLS_ERR_SSL_CONN_EOF:
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
        return STREAM_CAUSE_TRUNCATED;
    case MBEDTLS_ERR_NET_SEND_FAILED:
    case MBEDTLS_ERR_NET_RECV_FAILED:
        return STREAM_CAUSE_IO;
    case MBEDTLS_ERR_SSL_ALLOC_FAILED:
    case MBEDTLS_ERR_SSL_INTERNAL_ERROR:
    case MBEDTLS_ERR_SSL_BAD_INPUT_DATA:
        return STREAM_CAUSE_INTERNAL;
    default:
        return STREAM_CAUSE_PROTOCOL;
    }
}

static const char *alert_word(int alert)
{
    static const struct {
        int alert;
        const char *word;
    } rows[] = {
        {10, "unexpected_message"}, {20, "bad_record_mac"},
        {40, "handshake_failure"}, {42, "bad_certificate"},
        {43, "unsupported_certificate"}, {44, "certificate_revoked"},
        {45, "certificate_expired"}, {46, "certificate_unknown"},
        {47, "illegal_parameter"}, {48, "unknown_ca"},
        {49, "access_denied"}, {50, "decode_error"},
        {51, "decrypt_error"}, {70, "protocol_version"},
        {71, "insufficient_security"}, {80, "internal_error"},
        {90, "user_canceled"}, {109, "missing_extension"},
        {112, "unrecognized_name"}, {116, "certificate_required"},
        {120, "no_application_protocol"},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].alert == alert)
            return rows[i].word;
    return "unknown";
}

/* What is known beyond the cause: a date, an alert, the library's words. */
static void detail(const struct stream *stream, int code, char *out, size_t cap)
{
    const mbedtls_x509_time *when = NULL;
    int alert = received_alert(stream, code);
    out[0] = '\0';
    if (stream->cause == STREAM_CAUSE_EXPIRED)
        when = &stream->verdict.until;
    else if (stream->cause == STREAM_CAUSE_NOT_YET_VALID)
        when = &stream->verdict.from;
    if (when != NULL)
        snprintf(out, cap, " (%s %04d-%02d-%02d%s)",
                 stream->cause == STREAM_CAUSE_EXPIRED ? "on" : "before", when->year, when->mon,
                 when->day, stream->verdict.leaf == 0 ? ", a certificate above it" : "");
    else if (alert >= 0)
        snprintf(out, cap, " (alert %d, %s)", alert, alert_word(alert));
    else if (stream->cause == STREAM_CAUSE_PROTOCOL || stream->cause == STREAM_CAUSE_INTERNAL) {
        char words[160];
        mbedtls_strerror(code, words, sizeof words);
        snprintf(out, cap, " (%s)", words);
    }
}

enum stream_result stream_fail(struct stream *stream, int library_code)
{
    if (stream->cause != STREAM_CAUSE_NONE) /* the leaf callback has said why */
        return STREAM_FAILED;
    char more[200];
    stream->cause = library_cause(stream, library_code);
    const struct cause_row *row = &causes[stream->cause];
    detail(stream, library_code, more, sizeof more);
    stream->err = mem_alloc(sizeof *stream->err);
    if (stream->host != NULL)
        err_set(stream->err, ERR_UPSTREAM, "TLS with %s: %s%s", stream->host, row->text, more);
    else
        err_set(stream->err, ERR_FAILED, "TLS with the client: %s%s", row->text, more);
    if (stream->cause == STREAM_CAUSE_PEER_REFUSED_CERT)
        err_hint(stream->err, "%s",
                 stream->host != NULL
                     ? "The server wants a client certificate: the user can name one under upstreams in config.yaml"
                     : "The program must trust the session's CA, or the rule must not open TLS");
    else if (row->hint != NULL && stream->host != NULL)
        err_hint(stream->err, "%s", row->hint);
    return STREAM_FAILED;
}

const struct err *stream_error(const struct stream *stream)
{
    static const struct err none = {.code = ERR_NONE};
    return stream->err != NULL ? stream->err : &none;
}
