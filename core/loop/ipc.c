/* The message channel between two of our processes. It checks the frame of each message (size,
 * header, number of descriptors) and nothing of its meaning. A secret's bytes are wiped from the
 * queue and from the receive buffer as soon as they have been passed on. */
#include "core/loop/ipc.h"
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/base/secret.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    IPC_MAGIC = 0x49504321,
    IPC_SOCKET_BYTES = 1024 * 1024, /* asked for; a message needs IPC_PAYLOAD_MAX */
    IPC_FDS_SENT_MAX = 253 /* the kernel's bound: none is left to it to close */
};

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* The machine's own byte order: both ends are the same program on the same machine. */
struct header {
    uint16_t type, flags;
    uint32_t id;
};
_Static_assert(sizeof(struct header) == 8, "the header is eight bytes");

struct item {
    struct item *next;
    struct header header;
    int fds[IPC_FDS_MAX];
    size_t fd_count, len;
    uint8_t data[];
};

struct ipc {
    uint32_t magic;
    struct loop *loop;
    int fd;
    struct watch watch;
    struct task end_task;
    const struct ipc_handler *handler;
    void *arg;
    struct item *first, **tail;
    size_t queued_bytes, queued_fds;
    uint8_t *input; /* IPC_PAYLOAD_MAX + 2: one more to see what is too long, one for the NUL */
    bool ended, freed, no_fds;
    bool peer_gone;  /* sending failed; what it sent before is still to be received, then its end */
    struct err *why; /* NULL: the peer closed */
};

bool ipc_pair(int fds[2], struct err *err)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
        err_errno(err, ERR_INTERNAL, errno, "cannot make a message channel");
        return err_hint(err, "Look at the limit of open files (ulimit -n)");
    }
    return true;
}

/* ---- descriptors that come ---- */

/* Whatever it is, and whoever has set it up. */
static void close_at_once(int fd)
{
    static const struct linger none;
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    close(fd);
}

/* Out of the control data; more than a message may have are closed. False: too many. */
static bool take_fds(const struct ipc *ipc, struct msghdr *msg, struct ipc_message *message)
{
    size_t most = ipc->no_fds ? 0 : IPC_FDS_MAX;
    bool fits = true;
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
            if (message->fd_count < most) {
                message->fds[message->fd_count++] = fd;
            } else {
                close_at_once(fd);
                fits = false;
            }
        }
    }
    return fits && !(msg->msg_flags & MSG_CTRUNC);
}

static void close_fds(struct ipc_message *message)
{
    for (size_t i = 0; i < message->fd_count; i++)
        if (message->fds[i] >= 0)
            close_at_once(message->fds[i]);
}

static ssize_t receive(const struct ipc *ipc, struct header *header, size_t len, struct ipc_message *message,
                       bool *fits)
{
    struct iovec iov[2] = {{header, sizeof(*header)}, {ipc->input, len}};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * IPC_FDS_SENT_MAX)];
    struct msghdr msg = {
        .msg_iov = iov, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(ipc->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    *message = (struct ipc_message){.data = ipc->input};
    *fits = n < 0 || take_fds(ipc, &msg, message);
    return n;
}

/* What was not received would go with the socket, and its descriptors as they are. */
static void drain(struct ipc *ipc)
{
    struct ipc_message message;
    struct header header;
    bool fits;
    if (!ipc->no_fds)
        return;
    (void)shutdown(ipc->fd, SHUT_RDWR);
    while (receive(ipc, &header, 0, &message, &fits) > 0)
        ;
}

void ipc_take_no_fds(struct ipc *ipc)
{
    static const int no = 0;
    ipc->no_fds = true;
    (void)setsockopt(ipc->fd, SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof(no));
}

/* ---- the end ---- */

static void free_item(struct item *item)
{
    for (size_t i = 0; i < item->fd_count; i++)
        close(item->fds[i]);
    if (item->header.flags & IPC_SECRET)
        secret_wipe(item->data, item->len);
    free(item);
}

static void drop_first(struct ipc *ipc)
{
    struct item *item = ipc->first;
    ipc->first = item->next;
    if (!ipc->first)
        ipc->tail = &ipc->first;
    ipc->queued_bytes -= item->len + sizeof(*item);
    ipc->queued_fds -= item->fd_count;
    free_item(item);
}

/* err NULL: the peer closed. gone follows from the loop. */
static void end(struct ipc *ipc, const struct err *err)
{
    if (ipc->ended)
        return;
    ipc->ended = true;
    if (err) {
        ipc->why = mem_alloc(sizeof(*ipc->why));
        *ipc->why = *err;
    }
    watch_stop(&ipc->watch);
    while (ipc->first)
        drop_first(ipc);
    /* The peer sees the end too, also where the owner takes its time. */
    (void)shutdown(ipc->fd, SHUT_RDWR);
    task_post(&ipc->end_task);
}

static void on_end(void *arg)
{
    struct ipc *ipc = arg;
    assert(ipc->magic == IPC_MAGIC);
    ipc->handler->gone(ipc, ipc->why, ipc->arg);
}

static void release(void *arg)
{
    struct ipc *ipc = arg;
    ipc->magic = 0;
    free(ipc->input);
    free(ipc->why);
    free(ipc);
}

void ipc_free(struct ipc *ipc)
{
    if (!ipc || ipc->freed)
        return;
    ipc->freed = ipc->ended = true;
    watch_stop(&ipc->watch);
    task_cancel(&ipc->end_task);
    while (ipc->first)
        drop_first(ipc);
    drain(ipc);
    close(ipc->fd);
    loop_defer(ipc->loop, release, ipc);
}

/* ---- out ---- */

/* 1: sent, 0: the kernel's buffer is full, -1: errno. */
static int send_now(int fd, const struct header *header, const void *data, size_t len,
                    const int *fds, size_t fd_count)
{
    struct iovec iov[2] = {{.iov_base = &(struct header){header->type, header->flags, header->id},
                            .iov_len = sizeof(*header)},
                           {.iov_len = len}};
    memcpy(&iov[1].iov_base, &data, sizeof(data)); /* sendmsg only reads it; iovec has no const */
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * IPC_FDS_MAX)] = {0};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = len ? 2 : 1};
    if (fd_count) {
        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * fd_count);
    }
    ssize_t n;
    do
        n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return 1;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : -1;
}

static void end_on_send(struct ipc *ipc, int error)
{
    struct err err;
    if (error == EPIPE || error == ECONNRESET) {
        ipc->peer_gone = true;
        while (ipc->first)
            drop_first(ipc);
        watch_set(&ipc->watch, WATCH_READ);
        return;
    }
    err_errno(&err, ERR_INTERNAL, error, "cannot send a message to the other process");
    end(ipc, &err);
}

/* True: the queue is empty. */
static bool send_queue(struct ipc *ipc)
{
    while (ipc->first) {
        struct item *item = ipc->first;
        int sent =
            send_now(ipc->fd, &item->header, item->data, item->len, item->fds, item->fd_count);
        if (sent < 0) {
            end_on_send(ipc, errno);
            return false;
        }
        if (sent == 0)
            return false;
        drop_first(ipc);
    }
    watch_set(&ipc->watch, WATCH_READ);
    return true;
}

static bool enqueue(struct ipc *ipc, const struct header *header, const void *payload, size_t len,
                    const int *fds, size_t fd_count)
{
    struct err err;
    if (ipc->queued_bytes + len + sizeof(struct item) > IPC_QUEUE_BYTES ||
        ipc->queued_fds + fd_count > IPC_QUEUE_FDS) {
        err_set(&err, ERR_LIMIT, "the other process does not read: %zu bytes of messages wait",
                ipc->queued_bytes);
        end(ipc, &err);
        return false;
    }
    struct item *item = mem_alloc(sizeof(*item) + len);
    item->header = *header;
    item->len = len;
    if (len)
        memcpy(item->data, payload, len);
    for (; item->fd_count < fd_count; item->fd_count++) {
        item->fds[item->fd_count] = fcntl(fds[item->fd_count], F_DUPFD_CLOEXEC, 3);
        if (item->fds[item->fd_count] < 0) {
            err_errno(&err, ERR_LIMIT, errno, "cannot keep a descriptor to send");
            free_item(item);
            end(ipc, &err);
            return false;
        }
    }
    *ipc->tail = item;
    ipc->tail = &item->next;
    ipc->queued_bytes += len + sizeof(*item);
    ipc->queued_fds += fd_count;
    watch_set(&ipc->watch, WATCH_READ | WATCH_WRITE);
    return true;
}

bool ipc_send(struct ipc *ipc, uint16_t type, uint16_t flags, uint32_t id, const void *payload,
              size_t len, const int *fds, size_t fd_count)
{
    assert(len <= IPC_PAYLOAD_MAX && fd_count <= IPC_FDS_MAX);
    if (ipc->ended || ipc->peer_gone || len > IPC_PAYLOAD_MAX || fd_count > IPC_FDS_MAX)
        return false;
    struct header header = {type, flags, id};
    if (!ipc->first) {
        int sent = send_now(ipc->fd, &header, payload, len, fds, fd_count);
        if (sent < 0)
            end_on_send(ipc, errno);
        if (sent != 0)
            return sent > 0;
    }
    return enqueue(ipc, &header, payload, len, fds, fd_count);
}

size_t ipc_queued(const struct ipc *ipc)
{
    return ipc->queued_bytes;
}

bool ipc_flush(struct ipc *ipc, uint64_t ms)
{
    uint64_t until = clock_mono_ms() + ms;
    while (!ipc->ended && !send_queue(ipc)) {
        uint64_t now = clock_mono_ms();
        if (ipc->ended || ipc->peer_gone || now >= until)
            return false;
        struct pollfd poll_fd = {.fd = ipc->fd, .events = POLLOUT};
        (void)poll(&poll_fd, 1, (int)(until - now));
    }
    return !ipc->ended && !ipc->peer_gone;
}

/* ---- in ---- */

static void receive_one(struct ipc *ipc)
{
    struct ipc_message message;
    struct header header;
    struct err err;
    bool fits = true;
    ssize_t n = -1;
    /* ECONNRESET says once that the peer closed without reading all of ours; its messages come
     * after. */
    for (int tries = 0; tries < 3; tries++) {
        n = receive(ipc, &header, IPC_PAYLOAD_MAX + 1, &message, &fits);
        if (n >= 0 || (errno != EINTR && errno != ECONNRESET))
            break;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return;
    if (n < 0) {
        err_errno(&err, ERR_INTERNAL, errno, "cannot receive a message from the other process");
        end(ipc, &err);
        return;
    }
    if (n == 0) {
        end(ipc, NULL);
        return;
    }
    size_t len = (size_t)n < sizeof(header) ? 0 : (size_t)n - sizeof(header);
    if (!fits || (size_t)n < sizeof(header) || len > IPC_PAYLOAD_MAX) {
        close_fds(&message);
        secret_wipe(ipc->input, len);
        err_set(&err, ERR_DATA, "the other process sent what is not a message");
        end(ipc, &err);
        return;
    }
    ipc->input[len] = '\0';
    message.type = header.type;
    message.flags = header.flags;
    message.id = header.id;
    message.len = len;
    ipc->handler->message(ipc, &message, ipc->arg);
    close_fds(&message);
    if (header.flags & IPC_SECRET)
        secret_wipe(ipc->input, len);
}

static void on_watch(void *arg, unsigned ready)
{
    struct ipc *ipc = arg;
    assert(ipc->magic == IPC_MAGIC);
    if (ready & WATCH_WRITE) {
        send_queue(ipc);
        return;
    }
    if (!ipc->input)
        ipc->input = mem_resize(NULL, IPC_PAYLOAD_MAX + 2, 1);
    receive_one(ipc); /* one: to look for a second is a system call that finds nothing, as a rule */
}

struct ipc *ipc_new(struct loop *loop, int fd, const struct ipc_handler *handler, void *arg)
{
    struct ipc *ipc = mem_alloc(sizeof(*ipc));
    int size = IPC_SOCKET_BYTES;
    ipc->magic = IPC_MAGIC;
    ipc->loop = loop;
    ipc->fd = fd;
    ipc->handler = handler;
    ipc->arg = arg;
    ipc->tail = &ipc->first;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    watch_init(&ipc->watch, loop, fd, on_watch, ipc);
    task_init(&ipc->end_task, loop, on_end, ipc);
    if (!watch_set(&ipc->watch, WATCH_READ)) {
        struct err err;
        err_errno(&err, ERR_INTERNAL, errno, "cannot watch a message channel");
        end(ipc, &err);
    }
    return ipc;
}
