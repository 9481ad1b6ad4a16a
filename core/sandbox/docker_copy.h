/* Files to a container of another machine's engine, and the workspace back from it. */
#ifndef AILERON_SANDBOX_DOCKER_COPY_H
#define AILERON_SANDBOX_DOCKER_COPY_H

#include "core/sandbox/plan.h"

/* Program, session directory and workspace, into a container that has not been started. plan->sent notes what went. */
bool docker_send(const struct plan *plan, const char *name, struct err *err) MUSTUSE NONNULL;
/* The workspace of one that has ended, laid over the one here (merge.h); says what it did. False also where both sides
 * have changed a file. */
bool docker_bring_back(const struct plan *plan, const char *name, struct err *err) MUSTUSE NONNULL;
/* Removes what had come for launchers that were killed; how many there were. */
size_t docker_prune_back(const char *aileron_home, struct err *err) MUSTUSE NONNULL;

#endif
