/* The signals that the launcher takes while a sandbox runs, by signalfd(2). */
#ifndef AILERON_SANDBOX_SIGNALS_H
#define AILERON_SANDBOX_SIGNALS_H

#include "core/base/err.h"

/* Blocks them; called before the engine's process is spawned so that none is lost, and not before what may take long:
 * nobody looks at them until signals_open. */
bool signals_block(struct err *err) MUSTUSE NONNULL;
/* The descriptor, which does not block; -1: err says why. */
int signals_open(struct err *err) MUSTUSE NONNULL;
/* Whoever sent it wants an end of the sandbox. */
bool signals_end(int signo);
/* Takes what has come; whether one of them was such. */
bool signals_asked(int fd);

#endif
