/* A connection: a stream socket, plain or under TLS, with bounded buffers, back-pressure and
 * deadlines.
 *
 * One handler gets events; it looks at the input with conn_peek, takes it with conn_consume and
 * answers with conn_write. It is never called from within a function of this header, only from the
 * loop, and not again once conn_close or conn_finish was called; conn_close is allowed anywhere,
 * also inside the handler. Input is edge-triggered: READABLE says that bytes were added to the
 * input buffer, and comes once more after conn_read_resume if there are any. While the input buffer
 * is full, or reading is paused, nothing is read, and so the peer's end is not seen: a handler that
 * waits for something else leaves reading on.
 *
 * What was read or written is wiped from the buffers when they are given back: an injected
 * credential does not stay in an idle worker's memory. An idle connection holds no buffer. */
#ifndef AILERON_LOOP_CONN_H
#define AILERON_LOOP_CONN_H

#include "core/base/err.h"
#include "core/base/text.h"
#include "core/loop/loop.h"
#include "core/wire/addr.h"
#include "tls/stream.h"

/* The bounds of a connection. */
enum {
    /* Default of the input buffer. What one read gives goes into one TLS record, in a chunk's frame too: the library's
     * longest holds 16383 bytes, and a byte more was a record, a packet and a wake-up of its own. */
    CONN_IN_BYTES = 16 * 1024 - 64,
    CONN_OUT_BYTES = 64 * 1024,    /* default of the output buffer */
    CONN_BUFFER_MAX = 1024 * 1024, /* of either, by conn_limits */
    CONN_WORK_BYTES = 128 * 1024,  /* moved in one callback before others get their turn */
    CONN_REST_MS = 1000,           /* without traffic: TLS gives its record buffers back */
    CONN_STALL_MS = 60000 /* conn_finish, without a deadline: for a peer that takes nothing */
};

struct conn;
enum conn_event {
    CONN_CONNECTED, /* of conn_connect */
    CONN_SECURED,   /* the TLS handshake is done: conn_stream for ALPN and version */
    CONN_READABLE,  /* bytes were added to the input buffer */
    CONN_DRAINED,   /* the output fell to a quarter of its maximum, and again when it is empty */
    CONN_EOF,       /* the peer sends no more; bytes may still be in the buffer; writing goes on */
    CONN_FAILED,    /* final, conn_error tells; bytes may still be in the input buffer */
    CONN_TIMED_OUT  /* of conn_deadline: the handler decides (the connection still works) */
};
typedef void (*conn_fn)(struct conn *conn, enum conn_event event, void *arg);

/* Takes fd (accepted, or one end of a socketpair; made nonblocking). */
struct conn *conn_new_fd(struct loop *loop, int fd, conn_fn fn, void *arg) MUSTUSE NONNULL_AT(1, 3);
/* From now on a read takes along the descriptor that a Unix socket's peer hands over with its bytes. */
void conn_want_fd(struct conn *conn) NONNULL;
/* What came, the caller's to close; -1: none, or several. Later ones are not taken. */
int conn_take_fd(struct conn *conn) NONNULL;
/* Starts to connect over TCP; CONNECTED or FAILED follows, ERR_TIMEOUT after timeout_ms. Never
 * NULL. */
struct conn *conn_connect(struct loop *loop, const struct addr *addr, uint64_t timeout_ms,
                          conn_fn fn, void *arg) MUSTUSE NONNULL_AT(1, 2, 4);
/* For making the stream that is handed to conn_secure. */
struct stream_io conn_stream_io(struct conn *conn) NONNULL;
/* Puts TLS on the connection and begins the handshake: SECURED, or FAILED (stream_error's words;
 * conn_cause) after timeout_ms at the latest (ERR_TIMEOUT). The stream is the connection's from
 * here. Bytes that are in the input buffer already are fed to it first; what is unsent still goes
 * out in plain, ahead of it. */
void conn_secure(struct conn *conn, struct stream *stream, uint64_t timeout_ms) NONNULL;

void conn_set_handler(struct conn *conn, conn_fn fn, void *arg) NONNULL_AT(1, 2);
/* Maxima of the buffers, 1 to CONN_BUFFER_MAX; 0 leaves one as it is. What is buffered stays. */
void conn_limits(struct conn *conn, size_t in_bytes, size_t out_bytes) NONNULL;

/* The unread input: valid until the next conn_consume or the handler's return. */
struct span conn_peek(const struct conn *conn) NONNULL;
void conn_consume(struct conn *conn, size_t len) NONNULL;
void conn_read_pause(struct conn *conn) NONNULL;
void conn_read_resume(struct conn *conn) NONNULL;

/* Bytes that conn_write takes now. Whoever waits for room waits for DRAINED; room for up to three
 * quarters of the maximum comes for certain. */
size_t conn_room(const struct conn *conn) NONNULL;
/* All or nothing: false (nothing taken) above conn_room, which is 0 before CONNECTED or SECURED,
 * after conn_shutdown and after a failure. A write that fails since the peer has closed becomes
 * FAILED only after the bytes that the peer sent before have been read: an early answer is not
 * lost. */
bool conn_write(struct conn *conn, const void *data, size_t len) MUSTUSE NONNULL_AT(1);
/* Between cork and uncork small writes are gathered (one packet, one TLS record); uncork sends
 * them. */
void conn_cork(struct conn *conn) NONNULL;
void conn_uncork(struct conn *conn) NONNULL;
/* Bytes not yet given to the kernel or to TLS. */
size_t conn_unsent(const struct conn *conn) NONNULL;
/* Our end: after what is buffered, close_notify (TLS) and shutdown(SHUT_WR). Reading goes on. */
void conn_shutdown(struct conn *conn) NONNULL;

/* TIMED_OUT when no byte has moved in either direction for ms; 0: never (the default). Again after
 * as long. */
void conn_deadline(struct conn *conn, uint64_t ms) NONNULL;
/* TIMED_OUT also ms after the first byte that is there or comes, until conn_deadline is called: for what must be
 * complete by then, however busily it trickles. */
void conn_within(struct conn *conn, uint64_t ms) NONNULL;

/* Drops what is unsent, closes at once; memory goes in the loop's next round. NULL is fine. */
void conn_close(struct conn *conn);
/* Sends what is buffered, however long that takes while the peer takes some of it within the
 * deadline of conn_deadline (CONN_STALL_MS where there is none); ends as conn_shutdown does, waits
 * for the peer's end for at most ms (its bytes are thrown away), then closes. For an answer that
 * must arrive before the connection goes. */
void conn_finish(struct conn *conn, uint64_t ms) NONNULL;
/* The same; fn is called once, from the loop, when the connection is gone. */
void conn_finish_then(struct conn *conn, uint64_t ms, loop_fn fn, void *arg) NONNULL_AT(1, 3);

const struct err *conn_error(const struct conn *conn) NONNULL; /* after FAILED; never NULL */
/* STREAM_CAUSE_NONE where it was not TLS that failed. */
enum stream_cause conn_cause(const struct conn *conn) NONNULL;
bool conn_eof(const struct conn *conn) NONNULL;       /* the peer's end was seen */
bool conn_truncated(const struct conn *conn) NONNULL; /* ... without TLS's close_notify */
/* The peer takes nothing any more, as opposed to having ended its own direction: it closed a Unix socket, reset a
 * connection, or ended TLS and its transport too. Plain TCP tells a close from a half-close only when it is written to:
 * false there. */
bool conn_gone(const struct conn *conn) NONNULL;
/* Open, nothing unread, unsent, corked or about to be told: fit for a pool. */
bool conn_quiet(const struct conn *conn) NONNULL;
/* The same, and nothing has come to the socket either: fit for the next request. */
bool conn_at_rest(const struct conn *conn) NONNULL;
/* NULL: plain. Both borrowed, to ask only. */
struct stream *conn_stream(const struct conn *conn) NONNULL;
int conn_fd(const struct conn *conn) NONNULL;
struct loop *conn_loop(const struct conn *conn) NONNULL;
/* Bytes moved since the beginning, without TLS's own. */
uint64_t conn_bytes_in(const struct conn *conn) NONNULL;
uint64_t conn_bytes_out(const struct conn *conn) NONNULL;

#endif
