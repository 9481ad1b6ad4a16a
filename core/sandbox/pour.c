/* A terminal's descriptor is shared with the shell and with all that it starts, and O_NONBLOCK belongs to what they
 * share: so the terminal is opened once more, by its descriptor. A file is not: it would be written from its start. */
#include "core/sandbox/pour.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void pour_open(struct pour *pour, int fd)
{
    char again[32];
    struct stat st;

    pour->fd = fd;
    pour->own = false;
    pour->at = pour->len = 0;
    if (fd < 0 || fstat(fd, &st) != 0 || !(S_ISFIFO(st.st_mode) || isatty(fd) == 1))
        return;
    snprintf(again, sizeof again, "/proc/self/fd/%d", fd);
    int own = open(again, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own < 0) /* another user's, after su */
        return;
    pour->fd = own;
    pour->own = true;
}

void pour_close(struct pour *pour)
{
    if (pour->own)
        close(pour->fd);
    pour->fd = -1;
    pour->own = false;
    pour_drop(pour);
}

void pour_drop(struct pour *pour)
{
    pour->at = pour->len = 0;
}

bool pour_kept(const struct pour *pour)
{
    return pour->at < pour->len;
}

static bool write_on(struct pour *pour)
{
    while (pour->at < pour->len) {
        ssize_t n = write(pour->fd, pour->bytes + pour->at, pour->len - pour->at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0) {
            pour_drop(pour);
            return false;
        }
        pour->at += (size_t)n;
    }
    pour_drop(pour);
    return true;
}

bool pour_out(struct pour *pour, size_t len)
{
    pour->len = pour->fd >= 0 ? len : 0;
    return write_on(pour);
}

bool pour_more(struct pour *pour)
{
    size_t at = pour->at;
    bool good = write_on(pour);

    if (pour_kept(pour) && pour->at == at)
        poll(NULL, 0, 5); /* a terminal that has room for one byte, and the next is a line's end, which is two */
    return good;
}
