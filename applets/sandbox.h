/* The parts of `aileron sandbox` that have a file of their own. */
#ifndef AILERON_APPLETS_SANDBOX_H
#define AILERON_APPLETS_SANDBOX_H

#include "core/base/opt.h"

extern const struct opt_spec sandbox_init_spec;
int sandbox_init(int argc, char **argv) NONNULL;
/* In a sandbox, as the agent: looks at what a command needs (words[0], if any) and prints a line for each. */
int sandbox_inside(char *const *words) NONNULL;

#endif
