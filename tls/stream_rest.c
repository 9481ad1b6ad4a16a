/* A stream at rest: sessions saved for resumption, and record buffers given back while no bytes are
 * in them. The latter reaches into the library's context (fields named below, mbedTLS 3.6): it has
 * no call for it, and the two buffers are nine tenths of what an idle connection costs. */
#include "tls/stream_internal.h"

#include <malloc.h> /* malloc_usable_size: the library does not tell its buffers' size */
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

#define F(name) (&ssl->MBEDTLS_PRIVATE(name))

/* The library's pointers into the input and the output buffer. */
static size_t in_pointers(mbedtls_ssl_context *ssl, unsigned char **list[STREAM_ROOM_POINTERS])
{
    size_t count = 0;
    list[count++] = F(in_ctr);
    list[count++] = F(in_hdr);
    list[count++] = F(in_len);
    list[count++] = F(in_iv);
    list[count++] = F(in_msg);
#if defined(MBEDTLS_SSL_DTLS_CONNECTION_ID)
    list[count++] = F(in_cid);
#endif
    return count;
}

static size_t out_pointers(mbedtls_ssl_context *ssl, unsigned char **list[STREAM_ROOM_POINTERS])
{
    size_t count = 0;
    list[count++] = F(out_ctr);
    list[count++] = F(out_hdr);
    list[count++] = F(out_len);
    list[count++] = F(out_iv);
    list[count++] = F(out_msg);
#if defined(MBEDTLS_SSL_DTLS_CONNECTION_ID)
    list[count++] = F(out_cid);
#endif
    return count;
}

/* The first bytes of a buffer hold a record counter that outlives the record. */
static void give_back(struct stream_room *room, unsigned char **buffer, unsigned char ***list,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        room->at[i] = *list[i] - *buffer;
        *list[i] = NULL;
    }
    room->size = malloc_usable_size(*buffer);
    memcpy(room->counter, *buffer, sizeof room->counter);
    secret_wipe(*buffer, room->size);
    free(*buffer);
    *buffer = NULL;
}

static void take_again(struct stream_room *room, unsigned char **buffer, unsigned char ***list,
                       size_t count)
{
    *buffer = mem_alloc(room->size);
    memcpy(*buffer, room->counter, sizeof room->counter);
    for (size_t i = 0; i < count; i++)
        *list[i] = *buffer + room->at[i];
    room->size = 0;
}

void stream_idle(struct stream *stream)
{
    mbedtls_ssl_context *ssl = &stream->ssl;
    unsigned char **list[STREAM_ROOM_POINTERS];
    if (!stream->open || stream->cause != STREAM_CAUSE_NONE)
        return;
    /* Not in the middle of a record, of a message over several records, or of several messages in
     * one record; what else is in the buffer was dealt with and is not looked at again. */
    if (stream->in.size == 0 && *F(in_left) == 0 && *F(badmac_seen_or_in_hsfraglen) == 0 &&
        mbedtls_ssl_check_pending(ssl) == 0)
        give_back(&stream->in, F(in_buf), list, in_pointers(ssl, list));
    if (stream->out.size == 0 && *F(out_left) == 0)
        give_back(&stream->out, F(out_buf), list, out_pointers(ssl, list));
}

void stream_wake(struct stream *stream)
{
    mbedtls_ssl_context *ssl = &stream->ssl;
    unsigned char **list[STREAM_ROOM_POINTERS];
    if (stream->in.size > 0)
        take_again(&stream->in, F(in_buf), list, in_pointers(ssl, list));
    if (stream->out.size > 0)
        take_again(&stream->out, F(out_buf), list, out_pointers(ssl, list));
}
