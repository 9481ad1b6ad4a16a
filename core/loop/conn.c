/* What the owner of a connection calls: birth, input, output, end. These functions note, and move
 * bytes where that is at hand; the handler is called elsewhere (conn_step.c). They do not look into
 * the bytes. */
#include "core/loop/conn.h"
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/loop/conn_state.h"
#include "core/loop/sockaddr.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- birth ---- */

static struct conn *conn_new(struct loop *loop, int fd, conn_fn fn, void *arg)
{
    struct conn *conn = mem_alloc(sizeof(*conn));
    conn->magic = CONN_MAGIC;
    conn->state = CONN_STATE_OPEN;
    conn->fd = fd;
    conn->passed_fd = -1;
    conn->loop = loop;
    conn->fn = fn;
    conn->arg = arg;
    conn->moved_at = clock_mono_ms();
    queue_init(&conn->in, CONN_IN_BYTES);
    queue_init(&conn->out, CONN_OUT_BYTES);
    queue_init(&conn->raw, CONN_RAW_BYTES);
    conn_start(conn);
    return conn;
}

static void prepare_socket(int fd)
{
    int on = 1;
    /* Fails on a Unix socket, which needs neither. Each send and receive says MSG_DONTWAIT. */
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

struct conn *conn_new_fd(struct loop *loop, int fd, conn_fn fn, void *arg)
{
    prepare_socket(fd);
    struct conn *conn = conn_new(loop, fd, fn, arg);
    conn_refresh(conn);
    return conn;
}

struct conn *conn_connect(struct loop *loop, const struct addr *addr, uint64_t timeout_ms,
                          conn_fn fn, void *arg)
{
    struct sockaddr_storage to;
    socklen_t len = sockaddr_from(addr, &to);
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = fd < 0 ? errno : 0;
    struct conn *conn = conn_new(loop, fd, fn, arg);
    addr_format_port(addr, conn->peer);
    conn->state = CONN_STATE_CONNECTING;
    conn->limit_ms = timeout_ms;
    conn->limit_at = conn->moved_at + timeout_ms;
    if (fd >= 0) {
        prepare_socket(fd);
        if (connect(fd, (const struct sockaddr *)&to, len) != 0 && errno != EINPROGRESS)
            error = errno;
    }
    if (error) {
        err_errno(conn_err(conn), error == EMFILE || error == ENFILE ? ERR_LIMIT : ERR_UPSTREAM,
                  error, "cannot connect to %s", conn->peer);
        conn_fail(conn);
    } else {
        conn_refresh(conn);
    }
    return conn;
}

void conn_secure(struct conn *conn, struct stream *stream, uint64_t timeout_ms)
{
    assert(!conn->stream);
    struct stream_io io = conn_stream_io(conn);
    stream_set_io(stream, &io);
    conn->stream = stream;
    if (conn->state != CONN_STATE_OPEN)
        return; /* it has failed: FAILED is on its way, and the stream goes with the connection */
    /* The plain bytes that came early are the beginning of the handshake. */
    struct span early = queue_peek(&conn->in);
    if (early.len > conn->raw.max)
        conn->raw.max = early.len;
    queue_add(&conn->raw, early.p, early.len);
    queue_clear(&conn->in);
    conn->transport_eof = conn->eof;
    conn->eof = conn->truncated = false;
    conn->pending &= ~(1u << CONN_READABLE | 1u << CONN_EOF);
    conn->handshake_wants = WATCH_READ;
    conn->limit_ms = timeout_ms;
    conn->limit_at = clock_mono_ms() + timeout_ms;
    conn_set_state(conn, CONN_STATE_SECURING);
    task_post(&conn->task);
}

void conn_want_fd(struct conn *conn)
{
    conn->wants_fd = true;
}

int conn_take_fd(struct conn *conn)
{
    int fd = conn->passed_fd;
    conn->wants_fd = false;
    conn->passed_fd = -1;
    if (conn->passed <= 1 || fd < 0)
        return fd;
    close(fd);
    return -1;
}

void conn_set_handler(struct conn *conn, conn_fn fn, void *arg)
{
    conn->fn = fn;
    conn->arg = arg;
}

void conn_limits(struct conn *conn, size_t in_bytes, size_t out_bytes)
{
    assert(in_bytes <= CONN_BUFFER_MAX && out_bytes <= CONN_BUFFER_MAX);
    if (in_bytes)
        conn->in.max = in_bytes;
    if (out_bytes)
        conn->out.max = out_bytes;
    conn_refresh(conn);
}

/* ---- input ---- */

struct span conn_peek(const struct conn *conn)
{
    return queue_peek(&conn->in);
}

void conn_consume(struct conn *conn, size_t len)
{
    if (len == 0)
        return;
    queue_take(&conn->in, len);
    conn_refresh(conn);
}

void conn_read_pause(struct conn *conn)
{
    conn->paused = true;
    conn_refresh(conn);
}

void conn_read_resume(struct conn *conn)
{
    if (!conn->paused)
        return;
    conn->paused = false;
    if (conn->in.len > 0)
        conn_raise(conn, CONN_READABLE);
    conn_refresh(conn);
}

/* ---- output ---- */

size_t conn_room(const struct conn *conn)
{
    if (conn->state != CONN_STATE_OPEN || conn->write_failed || conn->end_wanted)
        return 0;
    return queue_room(&conn->out);
}

bool conn_write(struct conn *conn, const void *data, size_t len)
{
    if (len == 0)
        return true;
    if (len > conn_room(conn))
        return false;
    size_t done = 0;
    if (conn->out.len == 0 && !conn->corked) {
        done = conn_write_now(conn, data, len);
        if (done > 0)
            conn_moved(conn);
    }
    if (done < len && !conn->write_failed) {
        queue_add(&conn->out, (const uint8_t *)data + done, len - done);
        if (conn->out.len > conn->out.max / 4)
            conn->above_low = true;
    }
    conn_refresh(conn);
    return true;
}

void conn_cork(struct conn *conn)
{
    conn->corked = true;
}

void conn_uncork(struct conn *conn)
{
    if (!conn->corked)
        return;
    conn->corked = false;
    if (conn->state != CONN_STATE_OPEN || conn->out.len == 0)
        return;
    size_t budget = CONN_WORK_BYTES;
    conn_pump_out(conn, &budget);
    conn_moved(conn);
    conn_refresh(conn);
}

size_t conn_unsent(const struct conn *conn)
{
    return conn->out.len;
}

void conn_shutdown(struct conn *conn)
{
    if (conn->state != CONN_STATE_OPEN || conn->end_wanted)
        return;
    conn->end_wanted = true;
    conn->corked = false;
    task_post(&conn->task);
}

void conn_deadline(struct conn *conn, uint64_t ms)
{
    conn->deadline_ms = ms;
    conn->within_ms = conn->begun_at = 0;
    conn->moved_at = clock_mono_ms();
    conn_refresh(conn);
}

void conn_within(struct conn *conn, uint64_t ms)
{
    conn->within_ms = ms;
    conn->begun_at = conn->in.len > 0 ? clock_mono_ms() : 0;
    conn_refresh(conn);
}

/* ---- the end ---- */

static void release(void *arg)
{
    struct conn *conn = arg;
    loop_fn gone_fn = conn->gone_fn;
    void *gone_arg = conn->gone_arg;
    assert(conn->magic == CONN_MAGIC);
    conn->magic = 0;
    queue_clear(&conn->in);
    queue_clear(&conn->out);
    queue_clear(&conn->raw);
    if (conn->passed_fd >= 0)
        close(conn->passed_fd);
    stream_free(conn->stream);
    free(conn->err);
    loop_tidy(conn->loop);
    free(conn);
    if (gone_fn)
        gone_fn(gone_arg);
}

void conn_close(struct conn *conn)
{
    if (!conn || conn->state == CONN_STATE_CLOSED)
        return;
    watch_stop(&conn->watch);
    timer_stop(&conn->timer);
    task_cancel(&conn->task);
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
    conn->pending = 0;
    conn_set_state(conn, CONN_STATE_CLOSED);
    loop_defer(conn->loop, release, conn);
}

void conn_finish(struct conn *conn, uint64_t ms)
{
    if (conn->state != CONN_STATE_OPEN || conn->write_failed) {
        conn_close(conn);
        return;
    }
    conn->pending = 0;
    conn->paused = conn->corked = false;
    conn->end_wanted = true;
    queue_clear(&conn->in);
    conn->limit_ms = ms;
    conn->limit_at = clock_mono_ms() + (conn->end_sent       ? ms /* by conn_shutdown: nothing is left to send */
                                        : conn->deadline_ms ? conn->deadline_ms
                                                            : CONN_STALL_MS);
    conn_set_state(conn, CONN_STATE_FINISHING);
    task_post(&conn->task);
}

void conn_finish_then(struct conn *conn, uint64_t ms, loop_fn fn, void *arg)
{
    conn->gone_fn = fn;
    conn->gone_arg = arg;
    conn_finish(conn, ms);
}

/* ---- questions ---- */

const struct err *conn_error(const struct conn *conn)
{
    static const struct err none = {ERR_INTERNAL, "the connection has not failed", ""};
    return conn->err ? conn->err : &none;
}

enum stream_cause conn_cause(const struct conn *conn)
{
    return conn->cause;
}

bool conn_eof(const struct conn *conn)
{
    return conn->eof;
}

bool conn_truncated(const struct conn *conn)
{
    return conn->truncated;
}

bool conn_gone(const struct conn *conn)
{
    struct pollfd look = {.fd = conn->fd};
    uint8_t byte;
    if (conn->truncated || (poll(&look, 1, 0) > 0 && look.revents & (POLLHUP | POLLERR)))
        return true;
    /* close_notify alone is half a close (RFC 8446 6.1): who means to read on leaves the transport open behind it. */
    return conn->stream && conn->eof &&
           (conn->transport_eof || recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0);
}

struct stream *conn_stream(const struct conn *conn)
{
    return conn->stream;
}

bool conn_quiet(const struct conn *conn)
{
    if (conn->state != CONN_STATE_OPEN || conn->eof || conn->write_failed || conn->end_wanted ||
        conn->corked || conn->in.len > 0 || conn->out.len > 0 || conn_has_buffered(conn))
        return false;
    if (conn->pending &
        (1u << CONN_READABLE | 1u << CONN_EOF | 1u << CONN_FAILED | 1u << CONN_TIMED_OUT))
        return false;
    return !conn->stream || !stream_unsent(conn->stream);
}

bool conn_at_rest(const struct conn *conn)
{
    if (!conn_quiet(conn))
        return false;
    /* The peer's end, or bytes nobody asked for, may be here before the loop has looked. */
    uint8_t byte;
    return recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

int conn_fd(const struct conn *conn)
{
    return conn->fd;
}

struct loop *conn_loop(const struct conn *conn)
{
    return conn->loop;
}

uint64_t conn_bytes_in(const struct conn *conn)
{
    return conn->bytes_in;
}

uint64_t conn_bytes_out(const struct conn *conn)
{
    return conn->bytes_out;
}
