/* What the supervisor says while the agent runs. */
#ifndef AILERON_SANDBOX_SAY_H
#define AILERON_SANDBOX_SAY_H

#include "core/base/attr.h"

enum { SAY_MS = 200 /* that it may take */ };

/* Writes text to standard error, and gives up where that takes longer. */
void say_line(const char *text) NONNULL;

#endif
