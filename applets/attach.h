/* `aileron attach`, which is `aileron session attach` too. */
#ifndef AILERON_APPLETS_ATTACH_H
#define AILERON_APPLETS_ATTACH_H

#include "core/base/opt.h"

extern const struct opt_spec attach_session_spec;
int attach_session_run(int argc, char **argv);

#endif
