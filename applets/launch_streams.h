/* What a sandbox gets as its standard streams: never a descriptor of the host's by which more could be reached. */
#ifndef AILERON_APPLETS_LAUNCH_STREAMS_H
#define AILERON_APPLETS_LAUNCH_STREAMS_H

#include "core/sandbox/engine.h"
#include "core/sandbox/feed.h"
#include "core/sandbox/tty.h"

/* ERR_USAGE: one of them is a directory. */
bool launch_streams_check(struct err *err) MUSTUSE;
/* The first of them that is a terminal; -1: none is. */
int launch_streams_terminal(void);
/* For those that are a terminal the pty, where there is one; for a file as standard input a pipe, where the engine
 * passes descriptors on. */
bool launch_streams_pass(const struct engine *engine, const struct tty *tty, struct feed *feed, struct engine_run *run,
                         struct err *err) MUSTUSE NONNULL;

#endif
