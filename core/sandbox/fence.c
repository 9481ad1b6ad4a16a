/* The probes. Each address is one that a host with any network would route: a public one, the clouds' metadata
 * service, a public resolver. Nothing is sent where the fence is whole: connect(2) itself is refused by the
 * kernel for want of a route. What takes time, or works, is a hole. */
#include "core/sandbox/fence.h"

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/base/proc.h"
#include "core/sandbox/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct probe {
    int family, type;
    const char *address;
    uint16_t port;
    const char *what;
} probes[] = {
    {AF_INET, SOCK_STREAM, "1.1.1.1", 443, "an outside address"},
    {AF_INET, SOCK_STREAM, "10.0.0.1", 443, "a private address"},
    {AF_INET, SOCK_STREAM, "169.254.169.254", 80, "the metadata service"},
    {AF_INET, SOCK_DGRAM, "8.8.8.8", 53, "a resolver outside"},
    {AF_INET6, SOCK_STREAM, "2606:4700:4700::1111", 443, "an outside address"},
    {AF_INET6, SOCK_STREAM, "fd00:ec2::254", 80, "the metadata service"},
    {AF_INET6, SOCK_DGRAM, "2001:4860:4860::8888", 53, "a resolver outside"},
};

static bool hole(const struct probe *probe, const char *how, struct err *err)
{
    err_set(err, ERR_LAUNCH, "the sandbox's fence has a hole: %s (%s port %u) %s", probe->what,
            probe->address, probe->port, how);
    return err_hint(err, "The agent was not started. Look at the engine's network settings");
}

static bool check(const struct probe *probe, struct err *err)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } to = {0};
    CLEANUP(file_close_ptr) int fd =
        socket(probe->family, probe->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) /* no IPv6 in this kernel: nothing leaves by it */
        return errno == EAFNOSUPPORT ? true : err_errno(err, ERR_LAUNCH, errno, "cannot probe the fence");
    to.any.sa_family = (sa_family_t)probe->family;
    if (probe->family == AF_INET)
        inet_pton(AF_INET, probe->address, &to.v4.sin_addr);
    else
        inet_pton(AF_INET6, probe->address, &to.v6.sin6_addr);
    to.v4.sin_port = htons(probe->port); /* the same place in both */
    if (connect(fd, &to.any, probe->family == AF_INET ? sizeof(to.v4) : sizeof(to.v6)) == 0)
        return hole(probe, "can be reached", err);
    switch (errno) {
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
    case ENETDOWN:
    case EACCES:
    case EPERM:
        return true;
    case EINPROGRESS:
        return hole(probe, "is being connected to", err);
    default: /* ECONNREFUSED and the like: something answered */
        return hole(probe, strerror(errno), err);
    }
}

bool fence_check_outside(struct err *err)
{
    char name[32];

    if (!netlink_foreign_interface(name, err))
        return err_wrap(err, "the fence could not be checked");
    if (name[0] != '\0') {
        err_set(err, ERR_LAUNCH, "the sandbox's fence has a hole: the network interface %s is up", name);
        return err_hint(err, "The agent was not started. Look at the engine's network settings");
    }
    for (size_t i = 0; i < COUNT(probes); i++)
        if (!check(&probes[i], err))
            return false;
    return true;
}

enum ask { ASK_GOOD, ASK_AGAIN, ASK_BAD };

static enum ask ask_once(const char *socket_path, const char *token, uint64_t deadline, struct err *err)
{
    char answer[64] = "", request[512];
    size_t have = 0;
    CLEANUP(file_close_ptr) int fd = proc_unix_connect(socket_path, err);

    if (fd < 0)
        return ASK_AGAIN; /* the daemon may be starting */
    int n = snprintf(request, sizeof(request),
                     "AILERON %s api\r\nGET /v1/session HTTP/1.1\r\nHost: aileron.internal\r\n"
                     "Connection: close\r\n\r\n", token);
    if (n < 0 || (size_t)n >= sizeof(request)) {
        err_set(err, ERR_LAUNCH, "the session's token is too long");
        return ASK_BAD;
    }
    if (!file_write_all(fd, request, (size_t)n, err))
        return ASK_AGAIN;
    while (have < sizeof("HTTP/1.1 200") - 1) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        uint64_t now = clock_mono_ms();
        if (now >= deadline || poll(&wait, 1, (int)(deadline - now)) <= 0) {
            err_set(err, ERR_LAUNCH, "the daemon does not answer on the session's socket");
            return ASK_BAD;
        }
        ssize_t got = read(fd, answer + have, sizeof(answer) - 1 - have);
        if (got <= 0) { /* a worker that is being started again */
            err_set(err, ERR_LAUNCH, "the daemon closed the session's socket without an answer");
            return ASK_AGAIN;
        }
        have += (size_t)got;
    }
    if (strncmp(answer, "HTTP/1.1 200", 12) == 0)
        return ASK_GOOD;
    answer[12] = '\0';
    err_set(err, ERR_LAUNCH, "the daemon refuses this session (it answered \"%s\")", answer);
    return ASK_BAD;
}

bool fence_check_daemon(const char *socket_path, const char *token, struct err *err)
{
    uint64_t deadline = clock_mono_ms() + FENCE_DAEMON_MS;

    for (;;) {
        switch (ask_once(socket_path, token, deadline, err)) {
        case ASK_GOOD:
            return true;
        case ASK_AGAIN:
            if (clock_mono_ms() < deadline)
                break;
            /* fall through */
        case ASK_BAD:
            err->code = ERR_LAUNCH;
            return err_hint(err, "See aileron status on the host");
        }
        poll(NULL, 0, 20);
    }
}
