/* What podman can do here, found out by starting a container; and its command line's beginning, which both that and a
 * launch have. Used by the podman engine. */
#ifndef AILERON_SANDBOX_PODMAN_TRIAL_H
#define AILERON_SANDBOX_PODMAN_TRIAL_H

#include "core/sandbox/engine_container.h"

extern const struct container podman;

/* Sets run's path, its environment, and its words up to the command of podman's. */
bool podman_begin(const struct engine_facts *facts, struct engine_run *run, struct err *err)
    MUSTUSE NONNULL;
/* The options of a container that depend on what was found out: who is who in it, its cgroups, its bounds. */
void podman_add_facts(const struct plan *plan, struct engine_run *run) NONNULL;
/* engine.h's try: takes seconds. */
bool podman_try(struct engine_facts *facts, struct err *err) MUSTUSE NONNULL;

#endif
