/* Which modes of its terminal a program has switched on, so that they can be switched off where it is killed: a shell
 * would have no cursor, and the mouse would type. It reads DEC's private modes alone (ESC [ ? ... h and l, ECMA-48 5.4;
 * their numbers are xterm's, "ctlseqs"), the keypad (ESC = and ESC >), and what keys send: xterm's modifyOtherKeys
 * (ESC [ > 4 ; ... m) and the keyboard protocol that kitty began (ESC [ > = < ... u), with which Ctrl-C is no byte that
 * a shell knows. */
#ifndef AILERON_SANDBOX_SCREEN_H
#define AILERON_SANDBOX_SCREEN_H

#include "core/base/attr.h"

#include <stddef.h>
#include <stdint.h>

enum {
    SCREEN_PARAMS = 16,   /* numbers of one sequence; of those behind nothing is known */
    SCREEN_UNDO_MAX = 256 /* bytes */
};

struct screen { /* zeroed: nothing is on */
    uint8_t state, prefix;
    uint8_t pushed; /* of the keyboard protocol, on the main screen: each screen has flags of its own */
    uint16_t params[SCREEN_PARAMS];
    size_t count;
    uint32_t changed; /* a bit for each mode that is not as a terminal begins */
};

/* What was written to the terminal, in any pieces. */
void screen_follow(struct screen *screen, const uint8_t *bytes, size_t len) NONNULL;
/* What puts the modes back; 0: they are as they should be. Never changed by what is read meanwhile: it may be another
 * process that asks. */
size_t screen_undo(const struct screen *screen, char out[SCREEN_UNDO_MAX]) NONNULL;

#endif
