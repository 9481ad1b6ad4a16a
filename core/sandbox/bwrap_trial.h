/* Whether bwrap can do here what a sandbox needs of it. Used by the bwrap engine. */
#ifndef AILERON_SANDBOX_BWRAP_TRIAL_H
#define AILERON_SANDBOX_BWRAP_TRIAL_H

#include "core/sandbox/facts.h"

/* The program on PATH, or NULL. Caller frees. */
char *bwrap_find(void) MUSTUSE;
/* engine.h's find and try. */
char *bwrap_key(struct err *err) MUSTUSE NONNULL;
bool bwrap_try(struct engine_facts *facts, struct err *err) MUSTUSE NONNULL;

#endif
