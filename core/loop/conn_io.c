/* Moves bytes between a connection's buffers and its socket, through TLS where there is one. It
 * raises events but delivers none, and knows nothing of deadlines. */
#include "core/loop/conn_state.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum io_result { IO_DONE, IO_BLOCKED, IO_END, IO_CUT_OFF, IO_FAILED };

/* ---- the socket ---- */

/* With room for one descriptor: the kernel closes what is beyond it, and says so. */
static ssize_t recv_with_fd(struct conn *conn, uint8_t *data, size_t cap)
{
    union {
        struct cmsghdr head;
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {data, cap};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))};
    ssize_t n = recvmsg(conn->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *head = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (n > 0 && (message.msg_flags & MSG_CTRUNC))
        conn->passed++;
    if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS ||
        head->cmsg_len != CMSG_LEN(sizeof(int)))
        return n;
    if (conn->passed_fd >= 0)
        close(conn->passed_fd);
    memcpy(&conn->passed_fd, CMSG_DATA(head), sizeof(int));
    conn->passed++;
    return n;
}

static ssize_t socket_recv(struct conn *conn, uint8_t *data, size_t cap)
{
    ssize_t n;
    do
        n = conn->wants_fd ? recv_with_fd(conn, data, cap) : recv(conn->fd, data, cap, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n == 0 ? STREAM_IO_EOF : n;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return STREAM_IO_BLOCK;
    conn->io_errno = errno;
    return STREAM_IO_ERROR;
}

static ssize_t socket_send(struct conn *conn, const uint8_t *data, size_t len)
{
    ssize_t n;
    do
        n = send(conn->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        return n;
    if (n == 0 || errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
        return STREAM_IO_BLOCK;
    conn->io_errno = errno;
    return STREAM_IO_ERROR;
}

/* ---- TLS's transport ---- */

static ssize_t stream_recv(void *arg, uint8_t *data, size_t cap)
{
    struct conn *conn = arg;
    assert(conn->magic == CONN_MAGIC);
    if (conn->raw.len == 0) {
        if (conn->transport_eof)
            return STREAM_IO_EOF;
        if (conn->emptied)
            return STREAM_IO_BLOCK;
        ssize_t n = socket_recv(conn, queue_space(&conn->raw, conn->raw.max), conn->raw.max);
        queue_added(&conn->raw, n > 0 ? (size_t)n : 0);
        conn->emptied = n == STREAM_IO_BLOCK || (n > 0 && (size_t)n < conn->raw.max);
        if (n == STREAM_IO_EOF)
            conn->transport_eof = true;
        if (n <= 0)
            return n;
    }
    struct span have = queue_peek(&conn->raw);
    size_t len = have.len < cap ? have.len : cap;
    memcpy(data, have.p, len);
    queue_take(&conn->raw, len);
    return (ssize_t)len;
}

static ssize_t stream_send(void *arg, const uint8_t *data, size_t len)
{
    struct conn *conn = arg;
    assert(conn->magic == CONN_MAGIC);
    ssize_t n = socket_send(conn, data, len);
    if (n == STREAM_IO_ERROR && conn->state != CONN_STATE_SECURING) {
        /* Not told to TLS, which could not be read from any more then. */
        conn->send_dead = true;
        return STREAM_IO_BLOCK;
    }
    return n;
}

struct stream_io conn_stream_io(struct conn *conn)
{
    return (struct stream_io){.send = stream_send, .recv = stream_recv, .arg = conn};
}

/* ---- errors ---- */

static void say_why(struct conn *conn, const char *doing)
{
    struct err *err = conn_err(conn);
    if (conn->stream && !conn->send_dead) {
        *err = *stream_error(conn->stream);
        conn->cause = stream_cause(conn->stream);
        if (conn->cause != STREAM_CAUSE_IO || conn->io_errno == 0)
            return;
    }
    if (conn->peer[0] != '\0')
        err_errno(err, ERR_UPSTREAM, conn->io_errno, "cannot %s %s", doing, conn->peer);
    else
        err_errno(err, ERR_IO, conn->io_errno, "cannot %s the peer", doing);
}

static void fail_read(struct conn *conn)
{
    if (!conn->write_failed) /* the first error is the one that explains */
        say_why(conn, "read from");
    conn_fail(conn);
}

/* The peer may have answered before it closed: what it sent is read first, then FAILED is raised.
 */
static void fail_write(struct conn *conn)
{
    say_why(conn, "write to");
    conn->write_failed = true;
    conn->above_low = false;
    queue_clear(&conn->out);
    if (conn->stream && !conn->send_dead)
        conn_fail(conn); /* TLS itself has failed: it is beyond reading */
    else if (!conn->busy)
        task_post(&conn->task);
}

/* ---- one piece in, one piece out ---- */

static enum io_result piece_in(struct conn *conn, uint8_t *data, size_t cap, size_t *got)
{
    *got = 0;
    if (!conn->stream) {
        ssize_t n = socket_recv(conn, data, cap);
        if (n > 0)
            *got = (size_t)n;
        return n > 0                  ? IO_DONE
               : n == STREAM_IO_EOF   ? IO_END
               : n == STREAM_IO_BLOCK ? IO_BLOCKED
                                      : IO_FAILED;
    }
    conn->read_wants_write = false;
    switch (stream_read(conn->stream, data, cap, got)) {
    case STREAM_DONE:
        return IO_DONE;
    case STREAM_WANT_WRITE:
        conn->read_wants_write = true;
        return conn->send_dead ? IO_FAILED : IO_BLOCKED;
    case STREAM_WANT_READ:
        return IO_BLOCKED;
    case STREAM_EOF:
        return IO_END;
    case STREAM_TRUNCATED:
        return IO_CUT_OFF;
    case STREAM_FAILED:
        break;
    }
    return IO_FAILED;
}

static enum io_result piece_out(struct conn *conn, const uint8_t *data, size_t len, size_t *taken)
{
    *taken = 0;
    if (!conn->stream || conn->state == CONN_STATE_SECURING) {
        ssize_t n = socket_send(conn, data, len);
        if (n > 0)
            *taken = (size_t)n;
        return n > 0 ? IO_DONE : n == STREAM_IO_BLOCK ? IO_BLOCKED : IO_FAILED;
    }
    switch (stream_write(conn->stream, data, len, taken)) {
    case STREAM_DONE:
        return conn->send_dead ? IO_FAILED : IO_DONE;
    case STREAM_WANT_READ:
    case STREAM_WANT_WRITE:
        return conn->send_dead ? IO_FAILED : IO_BLOCKED;
    case STREAM_EOF:
    case STREAM_TRUNCATED:
    case STREAM_FAILED:
        break;
    }
    return IO_FAILED;
}

/* ---- in ---- */

bool conn_has_buffered(const struct conn *conn)
{
    return conn->stream && conn->state != CONN_STATE_SECURING &&
           (conn->raw.len > 0 || stream_pending(conn->stream) > 0);
}

static void input_ended(struct conn *conn, bool cut_off)
{
    conn->eof = true;
    conn->truncated = cut_off;
    if (conn->write_failed)
        conn_fail(conn);
    else
        conn_raise(conn, CONN_EOF);
}

/* While finishing, input is thrown away so that the kernel does not answer it with a reset, which would take our last
 * answer from a client that still sends its request. Time is the bound: some read nothing before all of it is sent. */
static bool drop_input(struct conn *conn)
{
    uint8_t sink[4096];
    size_t got;
    for (int turn = 0; turn < 16; turn++) {
        enum io_result result = piece_in(conn, sink, sizeof(sink), &got);
        if (result == IO_BLOCKED)
            return false;
        if (result != IO_DONE) {
            conn->eof = true;
            return false;
        }
    }
    return true;
}

bool conn_pump_in(struct conn *conn, size_t *budget)
{
    if (conn->state == CONN_STATE_FINISHING)
        return !conn->eof && drop_input(conn);
    bool any = false, more = false;
    while (conn->state == CONN_STATE_OPEN && !conn->paused && !conn->eof) {
        size_t room = queue_room(&conn->in);
        if (room > *budget)
            room = *budget;
        if (room == 0) {
            more = any;
            break;
        }
        size_t got;
        enum io_result result = piece_in(conn, queue_space(&conn->in, room), room, &got);
        queue_added(&conn->in, got);
        conn->bytes_in += got;
        *budget -= got;
        if (got > 0)
            any = true;
        if (result == IO_END || result == IO_CUT_OFF)
            input_ended(conn, result == IO_CUT_OFF);
        else if (result == IO_FAILED)
            fail_read(conn);
        /* A plain read that did not fill the room has emptied the socket; the kernel tells when
         * there is more. */
        if (result != IO_DONE || (!conn->stream && got < room))
            break;
    }
    if (any)
        conn_raise(conn, CONN_READABLE);
    return more;
}

/* ---- out ---- */

static void note_drained(struct conn *conn)
{
    if (conn->above_low && conn->out.len <= conn->out.max / 4) {
        conn->above_low = false;
        conn_raise(conn, CONN_DRAINED);
    } else if (conn->out.len == 0) {
        conn_raise(conn, CONN_DRAINED);
    }
}

/* close_notify and the half-close, once everything before them has gone. */
static void send_end(struct conn *conn)
{
    if (conn->stream) {
        switch (stream_close_notify(conn->stream)) {
        case STREAM_WANT_READ:
        case STREAM_WANT_WRITE:
            if (conn->send_dead)
                fail_write(conn);
            return;
        case STREAM_FAILED:
            fail_write(conn);
            return;
        case STREAM_DONE:
        case STREAM_EOF:
        case STREAM_TRUNCATED:
            break;
        }
    }
    conn->end_sent = true;
    (void)shutdown(conn->fd, SHUT_WR); /* ENOTCONN: the peer has gone, reading tells */
}

void conn_pump_out(struct conn *conn, size_t *budget)
{
    if (conn->write_failed || conn->end_sent)
        return;
    bool any = false;
    while (conn->out.len > 0 && *budget > 0) {
        struct span have = queue_peek(&conn->out);
        size_t taken, len = have.len < *budget ? have.len : *budget;
        enum io_result result = piece_out(conn, (const uint8_t *)have.p, len, &taken);
        if (taken > 0) {
            any = true;
            queue_take(&conn->out, taken);
            conn->bytes_out += taken;
            *budget -= taken;
        }
        if (result == IO_FAILED) {
            fail_write(conn);
            return;
        }
        if (result == IO_BLOCKED)
            break;
    }
    if (any)
        note_drained(conn);
    if (conn->stream && conn->out.len == 0 && stream_unsent(conn->stream)) {
        enum stream_result result = stream_flush(conn->stream);
        if (result == STREAM_FAILED || conn->send_dead)
            fail_write(conn);
        if (result != STREAM_DONE)
            return;
    }
    if (conn->end_wanted && conn->out.len == 0)
        send_end(conn);
}

size_t conn_write_now(struct conn *conn, const uint8_t *data, size_t len)
{
    size_t done = 0;
    while (done < len) {
        size_t taken;
        enum io_result result = piece_out(conn, data + done, len - done, &taken);
        done += taken;
        if (result == IO_FAILED)
            fail_write(conn);
        if (result != IO_DONE || (!conn->stream && done < len))
            break;
    }
    conn->bytes_out += done;
    return done;
}

/* ---- the handshake ---- */

bool conn_pump_handshake(struct conn *conn)
{
    while (conn->out.len > 0) { /* at most one buffer's worth: no one adds to it meanwhile */
        struct span have = queue_peek(&conn->out);
        size_t taken;
        conn->handshake_wants = WATCH_WRITE;
        enum io_result result = piece_out(conn, (const uint8_t *)have.p, have.len, &taken);
        queue_take(&conn->out, taken);
        if (result == IO_FAILED) {
            err_errno(conn_err(conn), ERR_IO, conn->io_errno, "cannot write to the peer");
            conn_fail(conn);
        }
        if (result != IO_DONE)
            return false;
    }
    switch (stream_handshake(conn->stream)) {
    case STREAM_DONE:
        return true;
    case STREAM_WANT_READ:
        conn->handshake_wants = WATCH_READ;
        return false;
    case STREAM_WANT_WRITE:
        conn->handshake_wants = WATCH_WRITE;
        return false;
    case STREAM_EOF:
    case STREAM_TRUNCATED:
    case STREAM_FAILED:
        break;
    }
    say_why(conn, "make TLS with");
    conn_fail(conn);
    return false;
}
