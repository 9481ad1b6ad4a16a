/* What the two files of `aileron agents` share: agents.c reads and shows, agents_check.c tries. */
#ifndef AILERON_APPLETS_AGENTS_H
#define AILERON_APPLETS_AGENTS_H

#include "applets/applet.h"

extern const struct opt_spec agents_check_spec;
int agents_check(int argc, char **argv) NONNULL; /* `agents check`; returns the exit status */

#endif
