/* `aileron session prune`: the row of applets/session.c, which holds all of aileron session. */
#ifndef AILERON_APPLETS_SESSION_PRUNE_H
#define AILERON_APPLETS_SESSION_PRUNE_H

#include "core/base/opt.h"

extern const struct opt_spec session_prune_spec;
int session_prune_run(int argc, char **argv);

#endif
