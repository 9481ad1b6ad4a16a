/* Descriptors over a Unix socket, as a hostile or an honest peer passes them. */
#ifndef AILERON_TESTS_PASSING_H
#define AILERON_TESTS_PASSING_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

enum { PASS_MAX = 4 };

/* The bytes with count descriptors; what sendmsg says. */
static inline ssize_t pass(int over, const char *text, const int *fds, size_t count)
{
    union {
        struct cmsghdr head;
        uint8_t bytes[CMSG_SPACE(PASS_MAX * sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec part = {(void *)(uintptr_t)text, strlen(text)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0) {
        control.head = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.head), fds, count * sizeof(int));
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    }
    return sendmsg(over, &message, MSG_NOSIGNAL);
}

/* Reads bytes and the one descriptor that came with them (-1: none); what recvmsg says. */
static inline ssize_t passed(int over, char *text, size_t cap, int *fd)
{
    union {
        struct cmsghdr head;
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {text, cap};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(over, &message, MSG_CMSG_CLOEXEC);
    const struct cmsghdr *head = n >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
    *fd = -1;
    if (head && head->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(head), sizeof(int));
    return n;
}

#endif
