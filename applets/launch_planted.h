/* What the agent left in the workspace for the host to run (threat F11): a look before it starts, one after it has
 * ended, told to the person and to the record. */
#ifndef AILERON_APPLETS_LAUNCH_PLANTED_H
#define AILERON_APPLETS_LAUNCH_PLANTED_H

#include "core/sandbox/planted.h"

/* The look before: after this nothing but the agent should change the workspace. NULL where it could not be taken,
 * which is said. */
struct planted *launch_planted_look(const char *workspace) MUSTUSE NONNULL;
/* The look after, when nothing of the sandbox runs any more: on standard error, and to the daemon for the record, also
 * where the session has been ended by another. Takes the first look, which may be NULL: then nothing happens. */
void launch_planted_tell(struct planted *before, const char *home, const char *session_id) NONNULL_AT(2, 3);

#endif
