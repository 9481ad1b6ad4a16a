/* TLS as four byte ports: plaintext in and out for the caller, ciphertext in and out through two
 * callbacks. It knows no sockets and no event loop; two arrays are enough to test it.
 *
 * stream_config holds what many connections share (policy, trust, ticket key) and is made once per
 * process and purpose. stream is one endpoint: configure, handshake, read and write, close_notify.
 * One process and its event loop only; not inside a signal handler.
 *
 * Memory. mbedTLS keeps a record buffer of some 17 KiB a direction for as long as an endpoint
 * lives, whatever goes on. stream_idle gives both back while no bytes are in them; the next read,
 * write or close takes them again. What is left is about 3 KiB with TLS 1.2 and 7 KiB with TLS 1.3
 * (which keeps its handshake's state). With nothing given back it is 35 and 39 KiB.
 */
#ifndef AILERON_TLS_STREAM_H
#define AILERON_TLS_STREAM_H

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/secret.h"
#include "tls/ca.h"
#include "tls/trust.h"

#define STREAM_ALPN_MAX 4
#define STREAM_SESSION_MAX 16384           /* a saved session */
#define STREAM_SESSION_LIFE_MS (8 * 3600 * 1000) /* older ones are ignored */
#define STREAM_TICKET_LIFE_S 86400         /* of the tickets that a server gives out */
#define STREAM_RECORD_MAX 16384            /* plaintext that one write takes at most */

enum stream_result {
    STREAM_DONE,       /* the call did what it says */
    STREAM_WANT_READ,  /* call again when ciphertext can be received */
    STREAM_WANT_WRITE, /* call again when ciphertext can be sent */
    STREAM_EOF,        /* the peer ended with close_notify */
    STREAM_TRUNCATED,  /* the transport ended without close_notify: something may be missing */
    STREAM_FAILED      /* final; stream_error and stream_cause tell why */
};

/* Why a stream failed, for the record and for the words of a denial. */
enum stream_cause {
    STREAM_CAUSE_NONE,
    STREAM_CAUSE_EXPIRED,
    STREAM_CAUSE_NOT_YET_VALID,
    STREAM_CAUSE_WRONG_NAME,
    STREAM_CAUSE_SELF_SIGNED,
    STREAM_CAUSE_UNKNOWN_AUTHORITY,
    STREAM_CAUSE_WEAK,       /* hash, key or curve below the floor */
    STREAM_CAUSE_USAGE,      /* the certificate is not made for a server, or is not a CA */
    STREAM_CAUSE_VERSION,    /* no common protocol version */
    STREAM_CAUSE_NO_COMMON,  /* no common cipher, group, signature or application protocol */
    STREAM_CAUSE_PEER_REFUSED_CERT, /* an alert about our certificate: it does not trust the CA */
    STREAM_CAUSE_ALERT,      /* any other fatal alert */
    STREAM_CAUSE_NOT_TLS,
    STREAM_CAUSE_PROTOCOL,   /* malformed or tampered bytes */
    STREAM_CAUSE_TRUNCATED,  /* the transport ended inside the handshake */
    STREAM_CAUSE_IO,
    STREAM_CAUSE_INTERNAL,
    STREAM_CAUSES
};
const char *stream_cause_word(enum stream_cause cause); /* "expired", "wrong-name", ...: stable */

/* The transport. Both return the number of bytes moved (more than 0), or one of these. */
enum stream_io_result { STREAM_IO_EOF = 0, STREAM_IO_BLOCK = -1, STREAM_IO_ERROR = -2 };
struct stream_io {
    ssize_t (*send)(void *arg, const uint8_t *data, size_t len);
    ssize_t (*recv)(void *arg, uint8_t *data, size_t cap);
    void *arg;
};

struct stream_config; /* reference counted: streams keep theirs */
struct stream;

/* Chooses the leaf for a server name (NULL: the client sent none). Returns a reference that the
 * stream takes, or NULL with err: the handshake then fails with that error. */
typedef struct leaf *(*stream_leaf_fn)(void *arg, const char *name, struct err *err);

/* Application protocols in order of preference, NULL-terminated, at most STREAM_ALPN_MAX; NULL: the
 * extension is not used. Strings are copied. */
struct stream_server_options {
    const char *const *alpn;
    bool no_tickets;
    bool tls12_only;
};
struct stream_client_options {
    struct trust *trust; /* the config takes a reference; verification cannot be switched off */
    const char *const *alpn;
    bool tls12_only, tls13_only; /* neither: 1.3, or 1.2 where the server has no more */
    struct span client_cert_pem; /* leaf first, then intermediates; empty: none */
    struct span client_key_pem;  /* unencrypted; the caller wipes its own copy */
};
struct stream_config *stream_config_server(const struct stream_server_options *options,
                                           struct err *err) MUSTUSE NONNULL;
struct stream_config *stream_config_client(const struct stream_client_options *options,
                                           struct err *err) MUSTUSE NONNULL;
struct stream_config *stream_config_ref(struct stream_config *config) MUSTUSE NONNULL;
void stream_config_unref(struct stream_config *config); /* NULL is fine */

/* A server whose leaf is fixed (a reference is taken), or chosen by the name in the hello. */
struct stream *stream_server(struct stream_config *config, struct leaf *leaf,
                             const struct stream_io *io, struct err *err) MUSTUSE NONNULL;
struct stream *stream_server_by_name(struct stream_config *config, stream_leaf_fn choose, void *arg,
                                     const struct stream_io *io, struct err *err)
    MUSTUSE NONNULL_AT(1, 2, 4, 5);
/* A client that insists on a certificate for host: a DNS name, or an IP literal without brackets
 * (then no server name is sent). session: what stream_session_save wrote, or empty; one that is too
 * old, of another host or of another config is ignored in silence. */
struct stream *stream_client(struct stream_config *config, const char *host, struct span session,
                             const struct stream_io *io, struct err *err) MUSTUSE NONNULL;
/* Wipes keys. Sends nothing: stream_close_notify first for a clean end. */
void stream_free(struct stream *stream);
/* Where the transport of a stream moves to another owner. */
void stream_set_io(struct stream *stream, const struct stream_io *io) NONNULL;

/* After the handshake, where the config is this stream's alone: wipes the client's private key out of it. Nothing where
 * it has none. */
void stream_forget_key(struct stream *stream) NONNULL;

/* DONE, WANT_READ, WANT_WRITE or FAILED. After FAILED an alert for the peer has been handed to
 * send. */
enum stream_result stream_handshake(struct stream *stream) MUSTUSE NONNULL;

/* DONE with *got > 0, or WANT_READ, WANT_WRITE, EOF, TRUNCATED, FAILED. */
enum stream_result stream_read(struct stream *stream, void *data, size_t cap, size_t *got)
    MUSTUSE NONNULL;
/* Takes one record's worth, up to STREAM_RECORD_MAX bytes: DONE with *taken > 0. Taken bytes are
 * the stream's: the caller forgets them and never repeats them, also where their ciphertext could
 * not be sent at once (then stream_unsent is true, and the next stream_write or stream_flush sends
 * it first). WANT_WRITE: nothing was taken, since earlier ciphertext still waits. len 0 is DONE. */
enum stream_result stream_write(struct stream *stream, const void *data, size_t len, size_t *taken)
    MUSTUSE NONNULL;
bool stream_unsent(const struct stream *stream) NONNULL;
/* DONE, WANT_WRITE or FAILED. */
enum stream_result stream_flush(struct stream *stream) MUSTUSE NONNULL;
/* Bytes that stream_read gives without receiving any. The transport may be silent while there are
 * some: read until WANT_READ before waiting for it. */
size_t stream_pending(const struct stream *stream) NONNULL;
/* Our end of the stream: DONE, WANT_WRITE (call again) or FAILED. Reading goes on, writing not. */
enum stream_result stream_close_notify(struct stream *stream) MUSTUSE NONNULL;
/* Gives the record buffers back, if nothing is in them; cheap to call whenever the loop idles. */
void stream_idle(struct stream *stream) NONNULL;

/* After the handshake. */
const char *stream_alpn(const struct stream *stream) NONNULL;    /* NULL: none was agreed */
const char *stream_version(const struct stream *stream) NONNULL; /* "TLSv1.2", "TLSv1.3" */
const char *stream_cipher(const struct stream *stream) NONNULL;
bool stream_resumed(const struct stream *stream) NONNULL;
/* A client's session for later resumption; the bytes are as secret as a key, and bound to host and
 * config. False where there is none (yet: with TLS 1.3 it arrives with the first answer's bytes).
 * out is initialised here (at most STREAM_SESSION_MAX); buf_wipe it. Each is for one use. */
bool stream_session_save(struct stream *stream, struct buf *out) MUSTUSE NONNULL;

/* After FAILED. The message names the host and the reason in plain words; the code is ERR_UPSTREAM
 * for a client and ERR_FAILED for a server. */
const struct err *stream_error(const struct stream *stream) NONNULL;
enum stream_cause stream_cause(const struct stream *stream) NONNULL;

#endif
