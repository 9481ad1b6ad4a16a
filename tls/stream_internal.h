/* The inside of a stream, for the stream*.c files; nothing else includes it. */
#ifndef AILERON_TLS_STREAM_INTERNAL_H
#define AILERON_TLS_STREAM_INTERNAL_H

#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>

#include "tls/stream.h"

struct stream_config {
    size_t refs;
    bool server;
    uint8_t id[16]; /* binds saved sessions to this config */
    mbedtls_ssl_config ssl;
    mbedtls_ssl_ticket_context tickets;
    bool ticket_taken; /* a good ticket was seen since it was last cleared */
    struct trust *trust;
    mbedtls_x509_crt client_cert;
    mbedtls_pk_context client_key;
    char *alpn_text[STREAM_ALPN_MAX];
    const char *alpn[STREAM_ALPN_MAX + 1];
};

/* What a verification found, kept for the words of the error. */
struct stream_verdict {
    uint32_t leaf, chain; /* MBEDTLS_X509_BADCERT_* of the server's certificate, of the others */
    bool seen; /* a certificate was looked at: not resumed */
    bool self_issued;
    mbedtls_x509_time until, from; /* of the first certificate whose time is wrong */
};

/* Where the library's pointers stood in a record buffer that was given back. */
#define STREAM_ROOM_POINTERS 6
struct stream_room {
    size_t size; /* 0: the buffer is there */
    uint8_t counter[8];
    ptrdiff_t at[STREAM_ROOM_POINTERS];
};

struct stream {
    mbedtls_ssl_context ssl;
    struct stream_config *config;
    struct stream_io io;
    char *host; /* a client's; NULL for a server */
    uint8_t address[16];
    size_t address_len; /* 0: host is a name */
    struct leaf *leaf;
    stream_leaf_fn choose;
    void *choose_arg;
    struct stream_verdict verdict;
    bool open;     /* the handshake is done */
    bool has_ticket;
    bool resumed;
    bool closing;  /* our close_notify was written */
    bool transport_eof;
    bool blocked;  /* the transport had nothing more during this read */
    enum stream_result ended; /* DONE: reading goes on; EOF or TRUNCATED: it is over */
    enum stream_cause cause;
    struct err *err; /* NULL until it failed */
    struct stream_room in, out;
    struct buf flight; /* what a step of the handshake wrote: sent at its end, in one piece */
};

/* mbedtls_ssl_conf_cert_cb: the leaf for this handshake. */
int stream_choose_leaf(mbedtls_ssl_context *ssl);
/* mbedtls_ssl_set_verify of a client. */
int stream_verify(void *stream, mbedtls_x509_crt *cert, int depth, uint32_t *flags);

/* Marks the stream as failed for a code of the library; returns STREAM_FAILED. */
enum stream_result stream_fail(struct stream *stream, int library_code) NONNULL;
/* A saved session into a client before its handshake; silent where it does not fit. */
void stream_session_load(struct stream *stream, struct span saved) NONNULL;
/* Takes the record buffers again; before every call of the library that may touch them. */
void stream_wake(struct stream *stream) NONNULL;

#endif
