/* What is typed at the user's terminal, on its way to the sandbox's. What that does not take stays here, and no more is
 * read meanwhile. */
#ifndef AILERON_SANDBOX_KEYS_H
#define AILERON_SANDBOX_KEYS_H

#include "core/sandbox/tty.h"

#include <stdint.h>

enum { KEYS_BYTES = 4096 };

struct keys { /* zeroed: nothing was typed yet */
    uint8_t bytes[KEYS_BYTES];
    size_t at, len;
    bool ended; /* there will be no more */
};

/* Reads, where nothing is kept; ready is what poll(2) said of the terminal. */
void keys_read(struct keys *keys, const struct tty *tty, short ready) NONNULL;
/* Writes what the pty takes now. */
void keys_write(struct keys *keys, const struct tty *tty) NONNULL;
/* The signal that the user's terminal would have made of what was just read, which is forgotten then; 0: none. For as
 * long as nobody in the sandbox has the pty as a terminal of its own. */
int keys_signal(struct keys *keys, const struct tty *tty) MUSTUSE NONNULL;

#endif
