/* One piece at a time between two descriptors. With lines the end of what is typed is typed, too. */
#include "core/sandbox/keys.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

void keys_read(struct keys *keys, const struct tty *tty, short ready)
{
    ssize_t n = read(tty->fd, keys->bytes, sizeof(keys->bytes) - 1);
    bool gone = !tty->lines || (ready & (POLLHUP | POLLERR)) != 0; /* else only this end, or another job's terminal */

    keys->ended = gone && (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN));
    keys->at = 0;
    keys->len = n > 0 ? (size_t)n : 0;
    if (tty->lines && n >= 0 && (n == 0 || keys->bytes[n - 1] != '\n'))
        keys->bytes[keys->len++] = TTY_END;
}

void keys_write(struct keys *keys, const struct tty *tty)
{
    if (keys->at < keys->len) {
        ssize_t n = write(tty->master, keys->bytes + keys->at, keys->len - keys->at);
        keys->at += n > 0 ? (size_t)n : 0;
        if (n < 0 && errno == EIO)
            keys->at = keys->len;
    }
    if (keys->at == keys->len)
        keys->at = keys->len = 0;
}

int keys_signal(struct keys *keys, const struct tty *tty)
{
    const cc_t *special = tty->saved.c_cc;

    if (tty->lines || (tty->saved.c_lflag & ISIG) == 0)
        return 0;
    for (size_t i = 0; i < keys->len; i++)
        if (keys->bytes[i] == special[VINTR] || keys->bytes[i] == special[VQUIT]) {
            keys->len = 0;
            return keys->bytes[i] == special[VINTR] ? SIGINT : SIGQUIT;
        }
    return 0;
}
