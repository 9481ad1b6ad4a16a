/* A connection's states, events and deadlines: callbacks of the loop lead to step(), which moves
 * bytes (conn_io.c), tells the handler, and sets what to wait for. It is the only file that calls
 * the handler. */
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/loop/conn_state.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

enum { CONN_DELIVERIES = 16 }; /* events in one turn */

void conn_set_state(struct conn *conn, enum conn_state state)
{
    assert(conn->state != CONN_STATE_CLOSED);
    conn->state = state;
}

/* ---- what to wait for ---- */

static unsigned interest_of(const struct conn *conn)
{
    switch (conn->state) {
    case CONN_STATE_CONNECTING:
        return WATCH_WRITE;
    case CONN_STATE_SECURING:
        return conn->handshake_wants;
    case CONN_STATE_OPEN:
    case CONN_STATE_FINISHING:
        break;
    case CONN_STATE_FAILED:
    case CONN_STATE_CLOSED:
        return WATCH_NONE;
    }
    unsigned interest = WATCH_NONE;
    if (!conn->paused && !conn->eof && queue_room(&conn->in) > 0)
        interest |= conn->read_wants_write ? WATCH_WRITE : WATCH_READ;
    if (conn->write_failed || conn->end_sent)
        return interest;
    bool unsent = conn->stream && stream_unsent(conn->stream);
    if (unsent || conn->end_wanted || (conn->out.len > 0 && !conn->corked))
        interest |= WATCH_WRITE;
    return interest;
}

/* The first byte of what must be complete in time. */
static void note_begin(struct conn *conn)
{
    if (conn->within_ms && !conn->begun_at && conn->in.len > 0)
        conn->begun_at = conn->moved_at;
}

static void arm_timer(struct conn *conn)
{
    uint64_t due = conn->limit_at;
    if (conn->deadline_ms && conn->state == CONN_STATE_OPEN) {
        uint64_t at = conn->moved_at + conn->deadline_ms;
        due = due && due < at ? due : at;
    }
    if (conn->begun_at && conn->state == CONN_STATE_OPEN) {
        uint64_t at = conn->begun_at + conn->within_ms;
        due = due && due < at ? due : at;
    }
    if (conn->stream && !conn->rested && conn->state == CONN_STATE_OPEN) {
        uint64_t at = conn->moved_at + CONN_REST_MS;
        due = due && due < at ? due : at;
    }
    /* A timer that fires too early looks again; so traffic costs no change of the timer. */
    if (due == 0 || (conn->timer_at && conn->timer_at <= due))
        return;
    uint64_t now = clock_mono_ms();
    timer_start(&conn->timer, due > now ? due - now : 0);
    conn->timer_at = due;
}

void conn_refresh(struct conn *conn)
{
    if (conn->busy)
        return; /* the end of step does it */
    if (conn->state == CONN_STATE_CLOSED || conn->state == CONN_STATE_FAILED)
        return;
    /* Nobody reads what the peer may have sent before it closed. */
    if (conn->write_failed && (conn->paused || conn->eof || queue_room(&conn->in) == 0)) {
        conn_fail(conn);
        return;
    }
    unsigned interest = interest_of(conn);
    if (!watch_set(&conn->watch, interest)) {
        err_errno(conn_err(conn), ERR_INTERNAL, errno, "cannot watch a connection");
        conn_fail(conn);
        return;
    }
    if (interest & WATCH_READ && conn_has_buffered(conn))
        task_post(&conn->task);
    arm_timer(conn);
}

/* ---- events ---- */

void conn_raise(struct conn *conn, enum conn_event event)
{
    conn->pending |= 1u << event;
    if (!conn->busy)
        task_post(&conn->task);
}

struct err *conn_err(struct conn *conn)
{
    if (!conn->err)
        conn->err = mem_alloc(sizeof(*conn->err));
    return conn->err;
}

void conn_fail(struct conn *conn)
{
    assert(conn->err);
    if (conn->state == CONN_STATE_FAILED || conn->state == CONN_STATE_CLOSED)
        return;
    watch_stop(&conn->watch);
    timer_stop(&conn->timer);
    conn->timer_at = 0;
    if (conn->state == CONN_STATE_FINISHING) {
        conn_close(conn);
        return;
    }
    conn_set_state(conn, CONN_STATE_FAILED);
    queue_clear(&conn->out);
    conn_raise(conn, CONN_FAILED);
}

static void deliver(struct conn *conn)
{
    for (int count = 0; conn->pending && count < CONN_DELIVERIES; count++) {
        if (conn->state == CONN_STATE_CLOSED || conn->state == CONN_STATE_FINISHING)
            break;
        int event = __builtin_ctz(conn->pending);
        conn->pending &= conn->pending - 1;
        conn->fn(conn, (enum conn_event)event, conn->arg);
    }
    if (conn->state == CONN_STATE_CLOSED || conn->state == CONN_STATE_FINISHING)
        conn->pending = 0;
}

void conn_moved(struct conn *conn)
{
    conn->moved_at = clock_mono_ms();
    conn->rested = false;
}

/* ---- progress ---- */

static void connected(struct conn *conn)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error) {
        err_errno(conn_err(conn), ERR_UPSTREAM, error, "cannot connect to %s", conn->peer);
        conn_fail(conn);
        return;
    }
    conn->limit_at = 0;
    conn_set_state(conn, CONN_STATE_OPEN);
    conn_raise(conn, CONN_CONNECTED);
}

/* Time for what is unsent begins anew with each byte that the peer takes; time to linger, with our end. */
static void finish_sending(struct conn *conn, size_t *budget)
{
    size_t unsent = conn->out.len;
    bool ended = conn->end_sent;
    conn_pump_out(conn, budget);
    if (conn->end_sent && !ended)
        conn->limit_at = clock_mono_ms() + conn->limit_ms;
    else if (conn->out.len < unsent)
        conn->limit_at = clock_mono_ms() + (conn->deadline_ms ? conn->deadline_ms : CONN_STALL_MS);
}

static void finish_step(struct conn *conn, size_t *budget)
{
    finish_sending(conn, budget);
    if (conn->state == CONN_STATE_FINISHING && conn_pump_in(conn, budget))
        task_post(&conn->task);
    if (conn->state == CONN_STATE_FINISHING &&
        (conn->write_failed || (conn->end_sent && conn->eof)))
        conn_close(conn);
}

/* True: there may be more input than the buffer had room for. */
static bool progress(struct conn *conn, size_t *budget)
{
    switch (conn->state) {
    case CONN_STATE_CONNECTING:
    case CONN_STATE_FAILED:
    case CONN_STATE_CLOSED:
        return false;
    case CONN_STATE_SECURING:
        if (!conn_pump_handshake(conn))
            return false;
        conn->limit_at = 0;
        conn->moved_at = clock_mono_ms();
        conn_set_state(conn, CONN_STATE_OPEN);
        conn_raise(conn, CONN_SECURED);
        return true;
    case CONN_STATE_FINISHING:
        finish_step(conn, budget);
        return false;
    case CONN_STATE_OPEN:
        break;
    }
    size_t out_budget = CONN_WORK_BYTES;
    if (!conn->corked)
        conn_pump_out(conn, &out_budget);
    return conn->state == CONN_STATE_OPEN && conn_pump_in(conn, budget);
}

static void step(struct conn *conn)
{
    size_t budget = CONN_WORK_BYTES;
    bool more = true;
    while (more && budget > 0 && conn->state != CONN_STATE_CLOSED) {
        uint64_t before = conn->bytes_in + conn->bytes_out;
        more = progress(conn, &budget);
        if (conn->bytes_in + conn->bytes_out != before)
            conn_moved(conn);
        note_begin(conn);
        deliver(conn);
    }
}

static void leave(struct conn *conn)
{
    conn->busy = false;
    if (conn->state == CONN_STATE_CLOSED)
        return;
    if (conn->pending)
        task_post(&conn->task);
    conn_refresh(conn);
}

static void on_watch(void *arg, unsigned ready)
{
    struct conn *conn = arg;
    assert(conn->magic == CONN_MAGIC);
    conn->busy = true;
    if (ready & WATCH_READ)
        conn->emptied = false;
    if (conn->state == CONN_STATE_CONNECTING)
        connected(conn);
    step(conn);
    leave(conn);
}

static void on_task(void *arg)
{
    struct conn *conn = arg;
    assert(conn->magic == CONN_MAGIC);
    conn->busy = true;
    step(conn);
    leave(conn);
}

static void limit_reached(struct conn *conn)
{
    if (conn->state == CONN_STATE_FINISHING) {
        conn_close(conn);
        return;
    }
    const char *what =
        conn->state == CONN_STATE_CONNECTING ? "connection to" : "TLS handshake with";
    err_set(conn_err(conn), ERR_TIMEOUT, "no %s %s within %llu ms", what,
            conn->peer[0] != '\0' ? conn->peer : "the peer", (unsigned long long)conn->limit_ms);
    conn_fail(conn);
}

static void on_timer(void *arg)
{
    struct conn *conn = arg;
    assert(conn->magic == CONN_MAGIC);
    uint64_t now = clock_mono_ms();
    conn->busy = true;
    conn->timer_at = 0;
    if (conn->limit_at && now >= conn->limit_at)
        limit_reached(conn);
    if (conn->state == CONN_STATE_OPEN && conn->stream && !conn->rested &&
        now >= conn->moved_at + CONN_REST_MS) {
        stream_idle(conn->stream);
        conn->rested = true;
        loop_tidy(conn->loop);
    }
    bool late = conn->begun_at && now >= conn->begun_at + conn->within_ms;
    if (conn->state == CONN_STATE_OPEN &&
        (late || (conn->deadline_ms && now >= conn->moved_at + conn->deadline_ms))) {
        conn->within_ms = conn->begun_at = 0;
        conn->moved_at = now;
        conn_raise(conn, CONN_TIMED_OUT);
    }
    deliver(conn);
    leave(conn);
}

void conn_start(struct conn *conn)
{
    watch_init(&conn->watch, conn->loop, conn->fd, on_watch, conn);
    timer_init(&conn->timer, conn->loop, on_timer, conn);
    task_init(&conn->task, conn->loop, on_task, conn);
}
