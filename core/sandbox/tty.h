/* The launcher's terminal: raw mode that is always undone, and a pseudo-terminal for the sandbox.
 *
 * Where standard input or output is no terminal the others may still be one, and the sandbox does not get that either:
 * it could read what is typed for a shell, or at its question for a password, since no job control holds it. It gets a
 * pseudo-terminal that passes everything on as it is (lines), and the user's stays in its modes. */
#ifndef AILERON_SANDBOX_TTY_H
#define AILERON_SANDBOX_TTY_H

#include "core/base/err.h"
#include <termios.h>

struct tty {
    int fd;      /* the user's terminal; -1: none, whoever attaches has one */
    int out;     /* where the sandbox's output is shown; -1: nowhere */
    bool lines;
    bool keys;   /* fd is standard input */
    int master;  /* -1: none */
    int slave;   /* closed by tty_close_slave once the child has it */
    struct termios saved;
    bool raw;
};

enum { TTY_END = 0x04 }; /* with lines: typed into the pty, the end of what is typed, or of a line without its own */

/* A pty with the size and the modes of the terminal fd; with -1 a usual one of 24 lines. */
bool tty_open(struct tty *tty, int fd, bool lines, struct err *err) MUSTUSE NONNULL;
/* Whether what is typed is for the sandbox. With lines it is not where another job has the terminal, or somebody has
 * set it to read keys or a password. */
bool tty_types(const struct tty *tty) NONNULL;
bool tty_raw(struct tty *tty, struct err *err) MUSTUSE NONNULL; /* with lines nothing is done */
void tty_restore(struct tty *tty) NONNULL; /* async-signal-safe; harmless when not raw */
/* What was typed and not read, while the terminal is still raw: that is no command of the shell's. */
void tty_forget(int fd);
void tty_resize(struct tty *tty) NONNULL;  /* the terminal's size to the pty */
void tty_close_slave(struct tty *tty) NONNULL;
void tty_close(struct tty *tty) NONNULL;   /* restores */

#endif
