/* The control channel between launcher and supervisor: a descriptor that the engine passes on, or a socket in the
 * session's directory that the supervisor connects to before any agent is there. */
#ifndef AILERON_APPLETS_LAUNCH_CONTROL_H
#define AILERON_APPLETS_LAUNCH_CONTROL_H

#include "core/sandbox/attend.h"
#include "core/sandbox/engine.h"

struct launch_control {
    int ours, theirs; /* a pair; -1: none */
    int listen_fd;    /* attend closes it when the supervisor has come; -1: none */
    char *path;
};

/* Before the engine's command is made: sets the plan's control_fd or control_socket, and attend's descriptors. */
bool launch_control_open(struct launch_control *control, const struct engine *engine, struct plan *plan,
                         struct attend *attend, struct err *err) MUSTUSE NONNULL;
/* The engine's process has its end. */
void launch_control_given(struct launch_control *control, struct plan *plan) NONNULL;
void launch_control_close(struct launch_control *control, struct plan *plan, struct attend *attend) NONNULL;

#endif
