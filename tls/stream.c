/* One TLS endpoint: handshake, read, write, close. It turns the library's codes into results and
 * keeps its rules of repetition away from callers. Configs are stream_config.c's, verification and
 * the words of errors stream_verify.c's, saved sessions and idle memory stream_rest.c's. */
#include "tls/stream_internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <limits.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/platform.h>
#include <stdlib.h>

#include "tls/internal.h"

/* Records without data (warnings, empty ones, tickets, each of which the library tells of twice) in a row; more is a
 * flood. */
#define EMPTY_MAX 32

/* The library sends each message of a handshake by itself. Gathered, a flight is one packet, and the peer wakes
 * once. */
#define FLIGHT_MAX 65536

static enum stream_result send_flight(struct stream *stream)
{
    while (stream->flight.len > 0) {
        ssize_t sent = stream->io.send(stream->io.arg, stream->flight.data, stream->flight.len);
        if (sent == STREAM_IO_BLOCK)
            return STREAM_WANT_WRITE;
        if (sent <= 0)
            return stream_fail(stream, MBEDTLS_ERR_NET_SEND_FAILED);
        buf_consume(&stream->flight, (size_t)sent);
    }
    return STREAM_DONE;
}

static int bio_send(void *arg, const unsigned char *data, size_t len)
{
    struct stream *stream = arg;
    if (!stream->open && buf_add(&stream->flight, data, len))
        return (int)len;
    if (stream->flight.len > 0) { /* full: it goes first */
        enum stream_result result = send_flight(stream);
        if (result != STREAM_DONE)
            return result == STREAM_WANT_WRITE ? MBEDTLS_ERR_SSL_WANT_WRITE : MBEDTLS_ERR_NET_SEND_FAILED;
    }
    ssize_t sent = stream->io.send(stream->io.arg, data, len > INT_MAX ? INT_MAX : len);
    if (sent > 0)
        return (int)sent;
    return sent == STREAM_IO_BLOCK ? MBEDTLS_ERR_SSL_WANT_WRITE : MBEDTLS_ERR_NET_SEND_FAILED;
}

static int bio_recv(void *arg, unsigned char *data, size_t cap)
{
    struct stream *stream = arg;
    ssize_t got = stream->io.recv(stream->io.arg, data, cap > INT_MAX ? INT_MAX : cap);
    if (got > 0)
        return (int)got;
    if (got == STREAM_IO_EOF) {
        stream->transport_eof = true;
        return 0;
    }
    stream->blocked = got == STREAM_IO_BLOCK;
    return stream->blocked ? MBEDTLS_ERR_SSL_WANT_READ : MBEDTLS_ERR_NET_RECV_FAILED;
}

static struct stream *stream_new(struct stream_config *config, const struct stream_io *io,
                                 struct err *err)
{
    struct stream *stream = mem_alloc(sizeof *stream);
    stream->config = stream_config_ref(config);
    stream->io = *io;
    buf_init(&stream->flight, FLIGHT_MAX);
    mbedtls_ssl_init(&stream->ssl);
    int ret = mbedtls_ssl_setup(&stream->ssl, &config->ssl);
    if (ret != 0) {
        tls_error(err, ERR_INTERNAL, ret, "cannot set up TLS");
        stream_free(stream);
        return NULL;
    }
    mbedtls_ssl_set_user_data_p(&stream->ssl, stream);
    mbedtls_ssl_set_bio(&stream->ssl, stream, bio_send, bio_recv, NULL);
    return stream;
}

struct stream *stream_server(struct stream_config *config, struct leaf *leaf,
                             const struct stream_io *io, struct err *err)
{
    assert(config->server);
    struct stream *stream = stream_new(config, io, err);
    if (stream != NULL)
        stream->leaf = leaf_ref(leaf);
    return stream;
}

struct stream *stream_server_by_name(struct stream_config *config, stream_leaf_fn choose, void *arg,
                                     const struct stream_io *io, struct err *err)
{
    assert(config->server);
    struct stream *stream = stream_new(config, io, err);
    if (stream != NULL) {
        stream->choose = choose;
        stream->choose_arg = arg;
    }
    return stream;
}

struct stream *stream_client(struct stream_config *config, const char *host, struct span session,
                             const struct stream_io *io, struct err *err)
{
    assert(!config->server);
    struct stream *stream = stream_new(config, io, err);
    if (stream == NULL)
        return NULL;
    stream->host = mem_strdup(host);
    if (inet_pton(AF_INET, host, stream->address) == 1)
        stream->address_len = 4;
    else if (inet_pton(AF_INET6, host, stream->address) == 1)
        stream->address_len = 16;
    /* RFC 6066 section 3: no address is sent as a server name; stream_verify then compares it. */
    int ret = mbedtls_ssl_set_hostname(&stream->ssl, stream->address_len > 0 ? NULL : host);
    if (ret != 0 || host[0] == '\0') {
        err_set(err, ERR_DATA, "no TLS connection can be made for this host name");
        stream_free(stream);
        return NULL;
    }
    mbedtls_ssl_set_verify(&stream->ssl, stream_verify, stream);
    stream_session_load(stream, session);
    return stream;
}

void stream_free(struct stream *stream)
{
    if (stream == NULL)
        return;
    mbedtls_ssl_free(&stream->ssl);
    buf_clear(&stream->flight);
    leaf_unref(stream->leaf);
    stream_config_unref(stream->config);
    free(stream->host);
    free(stream->err);
    free(stream);
}

void stream_set_io(struct stream *stream, const struct stream_io *io)
{
    stream->io = *io;
}

/* The name in the hello as a string that a callback may look at, or false. */
static bool hello_name(mbedtls_ssl_context *ssl, char name[256], bool *given)
{
    size_t len;
    const unsigned char *sni = mbedtls_ssl_get_hs_sni(ssl, &len);
    *given = sni != NULL && len > 0;
    if (!*given)
        return true;
    if (len > 255)
        return false;
    for (size_t i = 0; i < len; i++)
        if (sni[i] <= ' ' || sni[i] >= 0x7f)
            return false;
    memcpy(name, sni, len);
    name[len] = '\0';
    return true;
}

int stream_choose_leaf(mbedtls_ssl_context *ssl)
{
    struct stream *stream = mbedtls_ssl_get_user_data_p(ssl);
    if (stream->leaf == NULL) {
        char name[256];
        bool given;
        struct err err = {.code = ERR_FAILED};
        if (hello_name(ssl, name, &given))
            stream->leaf = stream->choose(stream->choose_arg, given ? name : NULL, &err);
        else
            err_set(&err, ERR_DATA, "the server name in the TLS hello is malformed");
        if (stream->leaf == NULL) {
            stream->err = mem_alloc(sizeof err);
            *stream->err = err;
            stream->cause = STREAM_CAUSE_WRONG_NAME;
            (void)mbedtls_ssl_send_alert_message(ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                                 MBEDTLS_SSL_ALERT_MSG_UNRECOGNIZED_NAME);
            return MBEDTLS_ERR_SSL_UNRECOGNIZED_NAME;
        }
    }
    return mbedtls_ssl_set_hs_own_cert(ssl, leaf_cert(stream->leaf), leaf_key(stream->leaf));
}

/* The chain was verified and is not asked for again: some KiB of every connection. */
static void drop_peer_cert(struct stream *stream)
{
    mbedtls_ssl_session *session = stream->ssl.MBEDTLS_PRIVATE(session);
    if (session == NULL || session->MBEDTLS_PRIVATE(peer_cert) == NULL)
        return;
    mbedtls_x509_crt_free(session->MBEDTLS_PRIVATE(peer_cert));
    mbedtls_free(session->MBEDTLS_PRIVATE(peer_cert));
    session->MBEDTLS_PRIVATE(peer_cert) = NULL;
}

static enum stream_result outcome(struct stream *stream, int ret)
{
    if (ret == 0)
        return STREAM_DONE;
    if (ret == MBEDTLS_ERR_SSL_WANT_READ)
        return STREAM_WANT_READ;
    if (ret == MBEDTLS_ERR_SSL_WANT_WRITE)
        return STREAM_WANT_WRITE;
    return stream_fail(stream, ret);
}

static enum stream_result shake(struct stream *stream)
{
    stream_wake(stream);
    stream->config->ticket_taken = false;
    int ret = mbedtls_ssl_handshake(&stream->ssl);
    stream->resumed = stream->resumed || stream->config->ticket_taken;
    if (ret == 0) {
        stream->open = true;
        if (!stream->config->server)
            stream->resumed = !stream->verdict.seen;
        drop_peer_cert(stream);
    }
    return outcome(stream, ret);
}

enum stream_result stream_handshake(struct stream *stream)
{
    if (stream->cause != STREAM_CAUSE_NONE)
        return STREAM_FAILED;
    enum stream_result sent = send_flight(stream);
    if (sent != STREAM_DONE || stream->open)
        return sent;
    enum stream_result result = shake(stream);
    sent = send_flight(stream); /* also where it failed: the alert says why */
    return result == STREAM_FAILED || sent == STREAM_DONE ? result : sent;
}

enum stream_result stream_read(struct stream *stream, void *data, size_t cap, size_t *got)
{
    assert(stream->open || stream->cause != STREAM_CAUSE_NONE);
    assert(cap > 0);
    *got = 0;
    if (stream->cause != STREAM_CAUSE_NONE)
        return STREAM_FAILED;
    if (stream->ended != STREAM_DONE)
        return stream->ended;
    stream_wake(stream);
    stream->blocked = false;
    for (unsigned empty = 0; empty < EMPTY_MAX; empty++) {
        int ret = mbedtls_ssl_read(&stream->ssl, data, cap > INT_MAX ? INT_MAX : cap);
        if (ret > 0) {
            *got = (size_t)ret;
            return STREAM_DONE;
        }
        if (ret == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
            return stream->ended = STREAM_EOF;
        if (ret == MBEDTLS_ERR_SSL_CONN_EOF || (ret == 0 && stream->transport_eof))
            return stream->ended = STREAM_TRUNCATED;
        if (ret == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
            stream->has_ticket = true;
        else if (ret != 0 && (ret != MBEDTLS_ERR_SSL_WANT_READ || stream->blocked))
            return outcome(stream, ret);
        /* Else an empty record, or a warning for which the library says WANT_READ though the
         * transport may have more: nobody would wake us for that. */
    }
    return stream_fail(stream, MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE);
}

bool stream_unsent(const struct stream *stream)
{
    return stream->flight.len > 0 || stream->ssl.MBEDTLS_PRIVATE(out_left) > 0;
}

enum stream_result stream_flush(struct stream *stream)
{
    if (stream->cause != STREAM_CAUSE_NONE)
        return STREAM_FAILED;
    if (!stream_unsent(stream))
        return STREAM_DONE;
    if (!stream->open || stream->flight.len > 0)
        return stream_handshake(stream);
    /* While ciphertext waits, the library's write sends that and takes nothing of what it is
     * given: the byte is only there to be pointed at. */
    unsigned char nothing = 0;
    int ret = mbedtls_ssl_write(&stream->ssl, &nothing, 1);
    return outcome(stream, ret > 0 ? 0 : ret);
}

enum stream_result stream_write(struct stream *stream, const void *data, size_t len, size_t *taken)
{
    assert(stream->open || stream->cause != STREAM_CAUSE_NONE);
    *taken = 0;
    enum stream_result result = stream_flush(stream);
    if (result != STREAM_DONE || len == 0)
        return result;
    assert(!stream->closing);
    stream_wake(stream);
    int room = mbedtls_ssl_get_max_out_record_payload(&stream->ssl);
    if (room <= 0)
        return stream_fail(stream, MBEDTLS_ERR_SSL_INTERNAL_ERROR);
    size_t some = len < (size_t)room ? len : (size_t)room;
    int ret = mbedtls_ssl_write(&stream->ssl, data, some);
    if (ret < 0 && ret != MBEDTLS_ERR_SSL_WANT_WRITE)
        return outcome(stream, ret);
    /* Nothing waited before, so WANT_WRITE says that this record is made and could not be sent
     * whole: its bytes are taken. */
    *taken = ret > 0 ? (size_t)ret : some;
    return STREAM_DONE;
}

size_t stream_pending(const struct stream *stream)
{
    return mbedtls_ssl_get_bytes_avail(&stream->ssl);
}

enum stream_result stream_close_notify(struct stream *stream)
{
    enum stream_result result = stream_flush(stream);
    if (result != STREAM_DONE || stream->closing || !stream->open)
        return result;
    stream_wake(stream);
    stream->closing = true;
    return outcome(stream, mbedtls_ssl_close_notify(&stream->ssl));
}

const char *stream_alpn(const struct stream *stream)
{
    return mbedtls_ssl_get_alpn_protocol(&stream->ssl);
}

const char *stream_version(const struct stream *stream)
{
    return mbedtls_ssl_get_version(&stream->ssl);
}

const char *stream_cipher(const struct stream *stream)
{
    const char *name = mbedtls_ssl_get_ciphersuite(&stream->ssl);
    return name != NULL ? name : "none";
}

bool stream_resumed(const struct stream *stream)
{
    return stream->resumed;
}

enum stream_cause stream_cause(const struct stream *stream)
{
    return stream->cause;
}
