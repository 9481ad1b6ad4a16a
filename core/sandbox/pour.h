/* Bytes on their way to the user's terminal, or to the pipe in its place, which may take none for a while (a connection
 * that hangs, Ctrl-S): whoever copies them has signals to hear meanwhile. One piece is kept, and no more are read until
 * it has gone. */
#ifndef AILERON_SANDBOX_POUR_H
#define AILERON_SANDBOX_POUR_H

#include "core/base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { POUR_BYTES = 65536 };

struct pour {
    int fd;   /* for poll(2); -1: there is nothing that shows it */
    bool own;
    size_t at, len;
    uint8_t bytes[POUR_BYTES]; /* the caller's to fill while nothing is kept */
};

/* Non-blocking without making it so for others that have fd; where that cannot be had, and for a file, it may block. */
void pour_open(struct pour *pour, int fd) NONNULL;
void pour_close(struct pour *pour) NONNULL;
bool pour_kept(const struct pour *pour) NONNULL;
void pour_drop(struct pour *pour) NONNULL;
/* Writes the first len bytes, as many as are taken now. False: it cannot be written to, and nothing is kept. */
bool pour_out(struct pour *pour, size_t len) NONNULL;
/* The same with what is kept, when poll(2) says that some would be taken. */
bool pour_more(struct pour *pour) NONNULL;

#endif
