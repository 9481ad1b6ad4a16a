/* The launcher's terminal: raw mode that is always undone, and a pseudo-terminal for the sandbox. */
#ifndef AILERON_SANDBOX_TTY_H
#define AILERON_SANDBOX_TTY_H

#include "core/base/err.h"
#include <termios.h>

struct tty {
    int fd;      /* the user's terminal; -1: none, whoever attaches has one */
    int master;  /* -1: none */
    int slave;   /* closed by tty_close_slave once the child has it */
    struct termios saved;
    bool raw;
};

/* A pty with the size and the modes of the terminal fd; with -1 a usual one of 24 lines. */
bool tty_open(struct tty *tty, int fd, struct err *err) MUSTUSE NONNULL;
bool tty_raw(struct tty *tty, struct err *err) MUSTUSE NONNULL;
void tty_restore(struct tty *tty) NONNULL; /* async-signal-safe; harmless when not raw */
void tty_resize(struct tty *tty) NONNULL;  /* the terminal's size to the pty */
void tty_close_slave(struct tty *tty) NONNULL;
void tty_close(struct tty *tty) NONNULL;   /* restores */

#endif
