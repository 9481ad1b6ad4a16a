/* The inside of a connection, shared by conn.c (what owners call), conn_step.c (states, events,
 * deadlines) and conn_io.c (moving bytes). */
#ifndef AILERON_LOOP_CONN_STATE_H
#define AILERON_LOOP_CONN_STATE_H

#include "core/loop/conn.h"
#include "core/loop/queue.h"

enum {
    CONN_MAGIC = 0x434f4e4e,
    CONN_RAW_BYTES = 32 * 1024 /* ciphertext read ahead: one system call, several records */
};

enum conn_state {
    CONN_STATE_CONNECTING, /* the kernel's handshake */
    CONN_STATE_SECURING,   /* what is left of the plain output, then TLS's handshake */
    CONN_STATE_OPEN,
    CONN_STATE_FINISHING, /* conn_finish: no handler any more */
    CONN_STATE_FAILED,
    CONN_STATE_CLOSED /* memory goes with the deferred call */
};

struct conn {
    uint32_t magic;
    enum conn_state state;
    int fd;
    struct loop *loop;
    struct watch watch;
    struct timer timer;
    struct task task;
    conn_fn fn;
    void *arg;
    loop_fn gone_fn; /* of conn_finish_then */
    void *gone_arg;
    unsigned pending; /* events to deliver: 1 << enum conn_event */

    struct stream *stream;
    struct queue in, out;
    struct queue raw;         /* bytes of the transport that TLS has not taken yet */
    unsigned handshake_wants; /* enum watch_interest */

    bool wants_fd; /* conn_want_fd */
    int passed_fd; /* -1: none */
    size_t passed; /* how many came */

    bool busy; /* within a callback of the loop, whose end does the rest */
    bool paused, corked;
    bool emptied;              /* TLS: a read left nothing in the socket; the kernel tells when there is more */
    bool transport_eof;        /* the socket gave its end; raw may still hold bytes */
    bool eof, truncated;       /* the handler's view of it */
    bool read_wants_write;     /* TLS has to send before it can read on */
    bool send_dead;            /* TLS: the socket takes no more; reading goes on */
    bool write_failed;         /* FAILED follows when the input has been read */
    bool end_wanted, end_sent; /* conn_shutdown */
    bool above_low;            /* DRAINED is due when the output falls */
    bool rested;               /* TLS's record buffers were given back */
    int io_errno;              /* of the last failed system call */

    uint64_t deadline_ms; /* without traffic; 0: none */
    uint64_t within_ms;   /* of conn_within; 0: none */
    uint64_t begun_at;    /* when its first byte was there; 0: not yet */
    uint64_t limit_at;    /* of connecting, securing, finishing; 0: none */
    uint64_t limit_ms;    /* how long that was, for the words */
    uint64_t moved_at;    /* when bytes moved last */
    uint64_t timer_at;    /* when the timer fires; 0: not running */
    uint64_t bytes_in, bytes_out;
    char peer[ADDR_TEXT_BYTES]; /* of conn_connect, for the words */

    struct err *err; /* on the heap: few connections fail */
    enum stream_cause cause;
};

/* ---- conn_step.c ---- */
void conn_start(struct conn *conn) NONNULL; /* ties it to the loop */
void conn_set_state(struct conn *conn, enum conn_state state) NONNULL;
/* Sets what the loop waits for. After each change from outside; within a callback its end does it.
 */
void conn_refresh(struct conn *conn) NONNULL;
void conn_moved(struct conn *conn) NONNULL; /* bytes have moved: pushes the deadlines back */
void conn_raise(struct conn *conn, enum conn_event event) NONNULL;
/* Makes err (allocated where there is none) that of the connection, raises FAILED, and stops all
 * I/O. */
void conn_fail(struct conn *conn) NONNULL;
struct err *conn_err(struct conn *conn) NONNULL;

/* ---- conn_io.c ---- */
/* Reads into the input buffer, at most *budget. True: there may be more to read once there is room.
 */
bool conn_pump_in(struct conn *conn, size_t *budget) NONNULL;
/* Writes from the output buffer, at most *budget, and the end where it is wanted. */
void conn_pump_out(struct conn *conn, size_t *budget) NONNULL;
/* Writes past the output buffer: how many bytes were taken. */
size_t conn_write_now(struct conn *conn, const uint8_t *data, size_t len) NONNULL;
/* The plain output that is left, then the handshake: true when it is done. */
bool conn_pump_handshake(struct conn *conn) NONNULL;
/* Input that is here already, whatever the kernel says about the descriptor. */
bool conn_has_buffered(const struct conn *conn) NONNULL;

#endif
