/* A stream at rest: sessions saved for resumption, and record buffers given back while no bytes are
 * in them. The latter reaches into the library's context (fields named below, mbedTLS 3.6): it has no
 * call for it, and the two buffers are nine tenths of what an idle connection costs. */
#include "tls/stream_internal.h"

#include <malloc.h> /* malloc_usable_size: the library does not say how large its buffers are */
#include <stdlib.h>

#include "core/base/id.h"

/* ---- saved sessions: one process writes and reads them, so the head is a plain struct */

struct saved_head {
    uint8_t config[16];
    uint64_t saved_ms; /* clock_mono_ms */
    size_t host_len;
};

bool stream_session_save(struct stream *stream, struct buf *out)
{
    buf_init(out, STREAM_SESSION_MAX);
    if (stream->config->server || !stream->open || stream->cause != STREAM_CAUSE_NONE)
        return false;
    if (mbedtls_ssl_get_version_number(&stream->ssl) == MBEDTLS_SSL_VERSION_TLS1_3 &&
        !stream->has_ticket)
        return false;
    mbedtls_ssl_session session;
    mbedtls_ssl_session_init(&session);
    struct saved_head head = {.saved_ms = clock_mono_ms(), .host_len = strlen(stream->host)};
    memcpy(head.config, stream->config->id, sizeof head.config);
    bool saved = false;
    size_t len = 0;
    if (mbedtls_ssl_get_session(&stream->ssl, &session) == 0 &&
        (session.MBEDTLS_PRIVATE(ticket_len) > 0 || session.MBEDTLS_PRIVATE(id_len) > 0) &&
        mbedtls_ssl_session_save(&session, NULL, 0, &len) == MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL &&
        buf_add(out, &head, sizeof head) && buf_add(out, stream->host, head.host_len)) {
        uint8_t *room = buf_reserve(out, len);
        saved = room != NULL && mbedtls_ssl_session_save(&session, room, len, &len) == 0;
        out->len += saved ? len : 0;
    }
    mbedtls_ssl_session_free(&session);
    stream->has_ticket = false;
    if (!saved)
        buf_wipe(out);
    return saved;
}

void stream_session_load(struct stream *stream, struct span saved)
{
    struct saved_head head;
    if (saved.len <= sizeof head || saved.len > STREAM_SESSION_MAX)
        return;
    memcpy(&head, saved.p, sizeof head);
    saved.p += sizeof head;
    saved.len -= sizeof head;
    uint64_t now = clock_mono_ms();
    if (memcmp(head.config, stream->config->id, sizeof head.config) != 0 || now < head.saved_ms ||
        now - head.saved_ms > STREAM_SESSION_LIFE_MS || head.host_len != strlen(stream->host) ||
        saved.len <= head.host_len || memcmp(saved.p, stream->host, head.host_len) != 0)
        return;
    mbedtls_ssl_session session;
    mbedtls_ssl_session_init(&session);
    if (mbedtls_ssl_session_load(&session, (const unsigned char *)saved.p + head.host_len,
                                 saved.len - head.host_len) == 0)
        (void)mbedtls_ssl_set_session(&stream->ssl, &session); /* refused: a full handshake */
    mbedtls_ssl_session_free(&session);
}

/* ---- idle memory */

/* The first bytes of a buffer hold a record counter that outlives the record. */
static void release(unsigned char **buffer, size_t *size, uint8_t counter[8])
{
    *size = malloc_usable_size(*buffer);
    memcpy(counter, *buffer, 8);
    secret_wipe(*buffer, *size);
    free(*buffer);
    *buffer = NULL;
}

static void take(unsigned char **buffer, size_t *size, const uint8_t counter[8])
{
    *buffer = mem_alloc(*size);
    memcpy(*buffer, counter, 8);
    *size = 0;
}

void stream_idle(struct stream *stream)
{
    mbedtls_ssl_context *ssl = &stream->ssl;
    if (!stream->open || stream->cause != STREAM_CAUSE_NONE)
        return;
    unsigned char *in = ssl->MBEDTLS_PRIVATE(in_buf), *out = ssl->MBEDTLS_PRIVATE(out_buf);
    if (in != NULL && ssl->MBEDTLS_PRIVATE(in_left) == 0 &&
        ssl->MBEDTLS_PRIVATE(in_offt) == NULL && ssl->MBEDTLS_PRIVATE(in_hslen) == 0 &&
        ssl->MBEDTLS_PRIVATE(badmac_seen_or_in_hsfraglen) == 0 &&
        mbedtls_ssl_check_pending(ssl) == 0) {
        stream->in_at.ctr = ssl->MBEDTLS_PRIVATE(in_ctr) - in;
        stream->in_at.hdr = ssl->MBEDTLS_PRIVATE(in_hdr) - in;
        stream->in_at.len = ssl->MBEDTLS_PRIVATE(in_len) - in;
        stream->in_at.iv = ssl->MBEDTLS_PRIVATE(in_iv) - in;
        stream->in_at.msg = ssl->MBEDTLS_PRIVATE(in_msg) - in;
        release(&ssl->MBEDTLS_PRIVATE(in_buf), &stream->in_size, stream->in_counter);
    }
    if (out != NULL && ssl->MBEDTLS_PRIVATE(out_left) == 0) {
        stream->out_at.ctr = ssl->MBEDTLS_PRIVATE(out_ctr) - out;
        stream->out_at.hdr = ssl->MBEDTLS_PRIVATE(out_hdr) - out;
        stream->out_at.len = ssl->MBEDTLS_PRIVATE(out_len) - out;
        stream->out_at.iv = ssl->MBEDTLS_PRIVATE(out_iv) - out;
        stream->out_at.msg = ssl->MBEDTLS_PRIVATE(out_msg) - out;
        release(&ssl->MBEDTLS_PRIVATE(out_buf), &stream->out_size, stream->out_counter);
    }
}

void stream_wake(struct stream *stream)
{
    mbedtls_ssl_context *ssl = &stream->ssl;
    if (stream->in_size > 0) {
        take(&ssl->MBEDTLS_PRIVATE(in_buf), &stream->in_size, stream->in_counter);
        unsigned char *in = ssl->MBEDTLS_PRIVATE(in_buf);
        ssl->MBEDTLS_PRIVATE(in_ctr) = in + stream->in_at.ctr;
        ssl->MBEDTLS_PRIVATE(in_hdr) = in + stream->in_at.hdr;
        ssl->MBEDTLS_PRIVATE(in_len) = in + stream->in_at.len;
        ssl->MBEDTLS_PRIVATE(in_iv) = in + stream->in_at.iv;
        ssl->MBEDTLS_PRIVATE(in_msg) = in + stream->in_at.msg;
    }
    if (stream->out_size > 0) {
        take(&ssl->MBEDTLS_PRIVATE(out_buf), &stream->out_size, stream->out_counter);
        unsigned char *out = ssl->MBEDTLS_PRIVATE(out_buf);
        ssl->MBEDTLS_PRIVATE(out_ctr) = out + stream->out_at.ctr;
        ssl->MBEDTLS_PRIVATE(out_hdr) = out + stream->out_at.hdr;
        ssl->MBEDTLS_PRIVATE(out_len) = out + stream->out_at.len;
        ssl->MBEDTLS_PRIVATE(out_iv) = out + stream->out_at.iv;
        ssl->MBEDTLS_PRIVATE(out_msg) = out + stream->out_at.msg;
    }
}
