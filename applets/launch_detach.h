/* `aileron launch --detach`: the launcher goes on in the background, as the keeper of the sandbox's terminal, and the
 * command returns when the agent has been started. */
#ifndef AILERON_APPLETS_LAUNCH_DETACH_H
#define AILERON_APPLETS_LAUNCH_DETACH_H

#include "core/sandbox/engine.h"
#include "core/sandbox/keeper.h"

struct launch_detach {
    bool wanted;
    int starter_fd; /* in the keeper: to the process that waits */
    struct keeper *keeper;
};

/* Forks. In the keeper, which has a session of its own and no terminal: -1. In the other process: the exit status of
 * the launch, after the session's id was printed or the keeper has said why there is none. -2 and err: it cannot. */
int launch_detach_start(struct launch_detach *detach, struct err *err) MUSTUSE NONNULL;
/* In the keeper, once the session is registered: tells its id, and listens for who attaches. */
bool launch_detach_keep(struct launch_detach *detach, const struct plan *plan, int master, struct err *err)
    MUSTUSE NONNULL;
/* attend's alone: lets go of the terminal that it was started from. */
void launch_detach_alone(void *launch_detach);
/* The sandbox has ended: tells who is attached, and, where nobody could be yet, shows what it said. */
void launch_detach_end(struct launch_detach *detach, int status) NONNULL;

#endif
