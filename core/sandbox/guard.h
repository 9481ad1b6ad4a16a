/* Keeps the user's terminal sane where the agent or the launcher is killed (threat F02): a child that holds the
 * terminal and a pipe, and puts the modes back when the pipe ends; the line's (termios), and those of the screen that a
 * program has switched on and not off. */
#ifndef AILERON_SANDBOX_GUARD_H
#define AILERON_SANDBOX_GUARD_H

#include "core/base/attr.h"

#include "core/sandbox/screen.h"

#include <stdbool.h>
#include <sys/types.h>

struct guard {
    pid_t pid; /* 0: none */
    int pipe;
    struct screen *screen; /* shared with the child; NULL: none */
};

/* Takes the terminal's modes as they are now. Without a terminal (-1), or where it cannot be had,
 * there is none, and the other functions do nothing. */
void guard_start(struct guard *guard, int terminal) NONNULL;
/* What was written to the terminal. */
void guard_follow(struct guard *guard, const uint8_t *bytes, size_t len) NONNULL;
/* While the launcher is suspended the modes are the shell's: not to be put back. */
void guard_rest(struct guard *guard, bool resting) NONNULL;
/* A normal end. The modes are put back now: the engine's own client may have been killed while they
 * were raw. */
void guard_stop(struct guard *guard) NONNULL;

#endif
