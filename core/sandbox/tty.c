/* The user's terminal in raw mode, so that every key reaches the sandbox's own terminal, and a pty whose other
 * end the sandbox gets. The host's terminal itself is never given to the agent. */
#include "core/sandbox/tty.h"

#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { FORGET_TURNS = 50, FORGET_MS = 5 };

/* The user's terminal has edited the line, echoed it, and makes the line's end of what is shown. */
static struct termios plain_modes(const struct termios *saved)
{
    struct termios modes = *saved;

    modes.c_iflag = modes.c_oflag = 0;
    modes.c_lflag = ICANON;
    for (size_t i = 0; i < NCCS; i++)
        modes.c_cc[i] = _POSIX_VDISABLE;
    modes.c_cc[VEOF] = TTY_END;
    return modes;
}

static int shown_at(int fd)
{
    if (fd < 0)
        return -1;
    return isatty(STDOUT_FILENO) == 1 ? STDOUT_FILENO : isatty(STDERR_FILENO) == 1 ? STDERR_FILENO : -1;
}

bool tty_open(struct tty *tty, int fd, bool lines, struct err *err)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};

    *tty = (struct tty){.fd = fd, .master = -1, .slave = -1, .lines = lines, .out = shown_at(fd),
                        .keys = fd == STDIN_FILENO};
    if (fd >= 0 && tcgetattr(fd, &tty->saved) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot read the terminal's modes");
    /* Not blocking: a sandbox that does not read what was typed is not read from either while we wait. */
    tty->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (tty->master < 0 || grantpt(tty->master) != 0 || unlockpt(tty->master) != 0)
        goto fail;
    tty->slave = ioctl(tty->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios modes = lines ? plain_modes(&tty->saved) : tty->saved;
    if (tty->slave < 0 || (fd >= 0 && tcsetattr(tty->slave, TCSANOW, &modes) != 0))
        goto fail;
    if (fd < 0 || ioctl(fd, TIOCGWINSZ, &size) == 0)
        ioctl(tty->slave, TIOCSWINSZ, &size);
    return true;
fail:
    err_errno(err, ERR_LAUNCH, errno, "cannot make a terminal for the sandbox");
    tty_close(tty);
    return false;
}

bool tty_types(const struct tty *tty)
{
    struct termios now;

    if (tty->fd < 0 || !tty->keys || !tty->lines)
        return tty->fd >= 0 && tty->keys;
    pid_t foreground = tcgetpgrp(tty->fd);
    return (foreground < 0 || foreground == getpgrp()) && tcgetattr(tty->fd, &now) == 0 &&
           ((now.c_lflag ^ tty->saved.c_lflag) & (ICANON | ECHO)) == 0;
}

bool tty_raw(struct tty *tty, struct err *err)
{
    struct termios raw = tty->saved;

    if (tty->lines)
        return true;
    cfmakeraw(&raw);
    if (tcsetattr(tty->fd, TCSADRAIN, &raw) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot set the terminal to raw mode");
    tty->raw = true;
    return true;
}

/* What is thrown away makes room for what stands behind it in the kernel: most of a large paste. */
void tty_forget(int fd)
{
    struct pollfd more = {.fd = fd, .events = POLLIN};

    for (int i = 0; i < FORGET_TURNS && tcflush(fd, TCIFLUSH) == 0 && poll(&more, 1, FORGET_MS) > 0; i++)
        ;
}

void tty_restore(struct tty *tty)
{
    if (!tty->raw)
        return;
    tty->raw = false;
    tty_forget(tty->fd);
    tcsetattr(tty->fd, TCSAFLUSH, &tty->saved);
}

void tty_resize(struct tty *tty)
{
    struct winsize size;

    if (ioctl(tty->fd, TIOCGWINSZ, &size) == 0)
        ioctl(tty->master, TIOCSWINSZ, &size);
}

void tty_close_slave(struct tty *tty)
{
    file_close_ptr(&tty->slave);
    tty->slave = -1;
}

void tty_close(struct tty *tty)
{
    tty_restore(tty);
    tty_close_slave(tty);
    file_close_ptr(&tty->master);
    tty->master = -1;
}
