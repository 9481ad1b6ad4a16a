/* Messages between processes: frame, descriptors, queueing, its bound, the end in both directions,
 * and that secrets do not stay in buffers. */
#include "core/base/id.h"
#include "core/loop/ipc.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct side {
    struct ipc *ipc;
    int messages, gone;
    bool gone_with_error;
    enum err_code code;
    uint16_t type, flags;
    uint32_t id;
    size_t len, bytes;
    uint8_t first, last;
    int kept_fd;
    const uint8_t *data; /* where the last payload was, for a look after its callback */
    bool free_on_message;
};

static struct loop *loop;
static struct err err;
static struct side a, b;
static int fds[2];

static void on_message(struct ipc *ipc, struct ipc_message *message, void *arg)
{
    struct side *side = arg;
    assert_ptr_equal(ipc, side->ipc);
    side->messages++;
    side->type = message->type;
    side->flags = message->flags;
    side->id = message->id;
    side->len = message->len;
    side->bytes += message->len;
    side->data = message->data;
    assert_int_equal(message->data[message->len], '\0');
    if (message->len) {
        side->first = message->data[0];
        side->last = message->data[message->len - 1];
    }
    if (message->fd_count) {
        side->kept_fd = message->fds[0];
        message->fds[0] = -1;
    }
    if (side->free_on_message) {
        ipc_free(ipc);
        side->ipc = NULL;
    }
}

static void on_gone(struct ipc *ipc, const struct err *why, void *arg)
{
    struct side *side = arg;
    assert_ptr_equal(ipc, side->ipc);
    side->gone++;
    side->gone_with_error = why != NULL;
    if (why)
        side->code = why->code;
}

static const struct ipc_handler handler = {on_message, on_gone};

static int setup(void **state)
{
    (void)state;
    a = b = (struct side){.kept_fd = -1};
    loop = loop_new(&err);
    if (!loop || !ipc_pair(fds, &err))
        return -1;
    a.ipc = ipc_new(loop, fds[0], &handler, &a);
    b.ipc = ipc_new(loop, fds[1], &handler, &b);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ipc_free(a.ipc);
    ipc_free(b.ipc);
    loop_free(loop);
    return 0;
}

static void turns(int count)
{
    for (int i = 0; i < count; i++)
        loop_turn(loop, false);
}

static void test_message(void **state)
{
    (void)state;
    assert_true(ipc_send(a.ipc, 7, 2, 0xfffffff1u, "hello", 5, NULL, 0));
    assert_int_equal(b.messages, 0);
    turns(2);
    assert_int_equal(b.messages, 1);
    assert_int_equal(b.type, 7);
    assert_int_equal(b.flags, 2);
    assert_int_equal(b.id, 0xfffffff1u);
    assert_int_equal(b.len, 5);
    assert_int_equal(b.first, 'h');
    assert_int_equal(b.last, 'o');
    assert_true(ipc_send(b.ipc, 9, 0, 1, NULL, 0, NULL, 0)); /* a header alone */
    turns(2);
    assert_int_equal(a.messages, 1);
    assert_int_equal(a.len, 0);
}

static void test_largest(void **state)
{
    (void)state;
    char *payload = malloc(IPC_PAYLOAD_MAX);
    memset(payload, 'm', IPC_PAYLOAD_MAX);
    payload[IPC_PAYLOAD_MAX - 1] = '!';
    assert_true(ipc_send(a.ipc, 1, 0, 1, payload, IPC_PAYLOAD_MAX, NULL, 0));
    turns(2);
    assert_int_equal(b.len, IPC_PAYLOAD_MAX);
    assert_int_equal(b.last, '!');
    free(payload);
}

static void test_descriptors(void **state)
{
    (void)state;
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    /* The second is not kept by the receiver, and so must be closed there. */
    assert_true(ipc_send(a.ipc, 1, 0, 1, "x", 1, pipe_fds, 2));
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    turns(2);
    assert_true(b.kept_fd >= 0);
    char byte;
    assert_int_equal(fcntl(b.kept_fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(read(b.kept_fd, &byte, 1), 0); /* every writing end is closed */
    close(b.kept_fd);
}

static void test_secret_is_wiped(void **state)
{
    (void)state;
    assert_true(ipc_send(a.ipc, 1, IPC_SECRET, 1, "marker-secret", 13, NULL, 0));
    turns(2);
    assert_int_equal(b.len, 13);
    assert_int_equal(b.data[0], 0);
    assert_int_equal(b.data[12], 0);
    assert_true(ipc_send(a.ipc, 1, 0, 1, "ordinary", 8, NULL, 0));
    turns(2);
    assert_int_equal(b.data[0], 'o'); /* the test can see a difference */
}

static void test_queue_keeps_order(void **state)
{
    (void)state;
    static char payload[64 * 1024];
    uint32_t sent = 0;
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    while (ipc_queued(a.ipc) < 1024 * 1024)
        assert_true(ipc_send(a.ipc, 1, 0, ++sent, payload, sizeof(payload), NULL, 0));
    assert_true(ipc_send(a.ipc, 1, 0, ++sent, "end", 3, &file, 1));
    close(file); /* the queue has its own */
    for (int i = 0; i < 1000 && b.id != sent; i++)
        loop_turn(loop, true);
    assert_int_equal(b.messages, sent);
    assert_int_equal(b.last, 'd');
    assert_int_equal(ipc_queued(a.ipc), 0);
    assert_true(b.kept_fd >= 0);
    close(b.kept_fd);
}

static void test_queue_is_bounded(void **state)
{
    (void)state;
    static char payload[64 * 1024];
    int count = 0;
    while (ipc_send(a.ipc, 1, IPC_SECRET, 1, payload, sizeof(payload), NULL, 0) && count < 1000)
        count++;
    assert_in_range(count, 100, 200);
    assert_int_equal(a.gone, 0); /* not from within the call */
    assert_false(ipc_send(a.ipc, 1, 0, 1, "x", 1, NULL, 0));
    turns(2);
    assert_int_equal(a.gone, 1);
    assert_true(a.gone_with_error);
    assert_int_equal(a.code, ERR_LIMIT);
    for (int i = 0; i < 50; i++)
        turns(1);
    assert_int_equal(b.gone, 1); /* the peer sees the end */
    assert_int_equal(a.gone, 1); /* once */
}

/* A process that sends its last words and exits: they are heard, also where we were writing to it.
 */
static void test_last_words(void **state)
{
    (void)state;
    assert_true(ipc_send(b.ipc, 3, 0, 1, "record", 6, NULL, 0));
    assert_true(ipc_send(a.ipc, 1, 0, 1, "unread", 6, NULL,
                         0)); /* b closes with unread bytes: ECONNRESET */
    ipc_free(b.ipc);
    b.ipc = NULL;
    assert_false(ipc_send(a.ipc, 1, 0, 1, "too late", 8, NULL, 0)); /* EPIPE */
    turns(4);
    assert_int_equal(a.messages, 1);
    assert_int_equal(a.last, 'd');
    assert_int_equal(a.gone, 1);
    assert_false(a.gone_with_error);
}

static void test_last_words_to_a_reader(void **state)
{
    (void)state;
    assert_true(ipc_send(b.ipc, 3, 0, 1, "record", 6, NULL, 0));
    assert_true(ipc_send(a.ipc, 1, 0, 1, "unread", 6, NULL, 0));
    ipc_free(b.ipc);
    b.ipc = NULL;
    turns(4);
    assert_int_equal(a.messages, 1);
    assert_int_equal(a.gone, 1);
    assert_false(a.gone_with_error);
}

static void test_not_a_message(void **state)
{
    (void)state;
    assert_int_equal(send(fds[0], "short", 5, 0), 5);
    turns(3);
    assert_int_equal(b.messages, 0);
    assert_int_equal(b.gone, 1);
    assert_int_equal(b.code, ERR_DATA);
}

static void test_too_long(void **state)
{
    (void)state;
    char *payload = calloc(1, IPC_PAYLOAD_MAX + 9);
    assert_int_equal(send(fds[0], payload, IPC_PAYLOAD_MAX + 9, 0), IPC_PAYLOAD_MAX + 9);
    turns(3);
    assert_int_equal(b.messages, 0);
    assert_int_equal(b.code, ERR_DATA);
    free(payload);
}

static void test_too_many_descriptors(void **state)
{
    (void)state;
    int many[IPC_FDS_MAX + 1];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(many))];
    } control = {0};
    char payload[16] = {0};
    struct iovec iov = {payload, sizeof(payload)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    for (size_t i = 0; i < COUNT(many); i++)
        many[i] = STDERR_FILENO;
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(many));
    memcpy(CMSG_DATA(cmsg), many, sizeof(many));
    int next = dup(0);
    close(next);
    assert_int_equal(sendmsg(fds[0], &msg, 0), sizeof(payload));
    turns(3);
    assert_int_equal(b.messages, 0);
    assert_int_equal(b.code, ERR_DATA);
    int after = dup(0); /* all that came are closed again */
    assert_int_equal(after, next);
    close(after);
}

/* A connection whose close() waits for a peer that takes nothing. */
static int reluctant(int *peer)
{
    static const struct linger patient = {1, 20};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    static const char filler[64 * 1024];
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, len) + listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, len), 0);
    *peer = accept(listener, NULL, NULL);
    close(listener);
    while (send(fd, filler, sizeof(filler), MSG_DONTWAIT) > 0)
        ;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &patient, sizeof(patient)), 0);
    return fd;
}

/* Who takes no descriptors is not held up by closing one, received or not. Where the kernel lets none be sent, none is;
 * elsewhere the channel ends. */
static void test_descriptors_that_are_not_taken(void **state)
{
    int peer, fd = reluctant(&peer), messages = 0;
    char payload[16] = {0};
    (void)state;
    ipc_take_no_fds(b.ipc);
    for (int i = 0; i < 2; i++) {
        union {
            struct cmsghdr align;
            char bytes[CMSG_SPACE(sizeof(int))];
        } control = {0};
        struct iovec iov = {payload, sizeof(payload)};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof(control)};
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
        messages += sendmsg(fds[0], &msg, 0) > 0;
    }
    static const struct linger none;
    if (messages == 0) /* else the last reference is the other side's to close */
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    close(fd);
    uint64_t began = clock_mono_ms();
    turns(3);
    ipc_free(b.ipc);
    b.ipc = NULL;
    turns(3);
    assert_in_range(clock_mono_ms() - began, 0, 5000);
    assert_int_equal(b.messages, 0);
    close(peer);
}

static void test_freed_inside(void **state)
{
    (void)state;
    b.free_on_message = true;
    for (int i = 0; i < 3; i++)
        assert_true(ipc_send(a.ipc, 1, IPC_SECRET, 1, "x", 1, NULL, 0));
    turns(3);
    assert_int_equal(b.messages, 1); /* nothing after the free */
    assert_int_equal(b.gone, 0);
    assert_int_equal(a.gone, 1);
}

static void test_flush(void **state)
{
    (void)state;
    static char payload[64 * 1024];
    while (ipc_queued(a.ipc) == 0)
        assert_true(ipc_send(a.ipc, 1, 0, 1, payload, sizeof(payload), NULL, 0));
    assert_false(ipc_flush(a.ipc, 20)); /* nobody reads */
    turns(1);                           /* somebody does */
    assert_true(ipc_flush(a.ipc, 1000));
    assert_int_equal(ipc_queued(a.ipc), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_message),
        T(test_largest),
        T(test_descriptors),
        T(test_secret_is_wiped),
        T(test_queue_keeps_order),
        T(test_queue_is_bounded),
        T(test_last_words),
        T(test_last_words_to_a_reader),
        T(test_not_a_message),
        T(test_too_long),
        T(test_too_many_descriptors),
        T(test_descriptors_that_are_not_taken),
        T(test_freed_inside),
        T(test_flush),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
