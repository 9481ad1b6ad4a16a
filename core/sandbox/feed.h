/* Standard input that is a file of the host's. Who has a descriptor of a file can open it again by /proc/self/fd, for
 * writing too, with the rights of the user whose id it has: under bwrap the launcher's own. So the sandbox gets a pipe,
 * and what it did not read of it is left to whoever reads the file next (a script that is its shell's input, a loop
 * that reads a list). */
#ifndef AILERON_SANDBOX_FEED_H
#define AILERON_SANDBOX_FEED_H

#include "core/base/err.h"

#include <sys/types.h>

struct feed {
    int file; /* not ours */
    int to;   /* for poll(2), writable; -1: all of it has been written, or there is none */
    int from; /* the sandbox's end; -1: there is none */
    off_t at; /* what was written comes before it */
};

void feed_init(struct feed *feed) NONNULL;
bool feed_open(struct feed *feed, int file, struct err *err) MUSTUSE NONNULL;
void feed_more(struct feed *feed) NONNULL;
/* The sandbox has ended: the file is read on from where it stopped. */
void feed_close(struct feed *feed) NONNULL;

#endif
