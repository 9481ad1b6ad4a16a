/* The directories of sandbox.cache on this host: $AILERON_HOME/cache/<name>, made at the first launch that wants
 * them. */
#ifndef AILERON_SANDBOX_CACHE_H
#define AILERON_SANDBOX_CACHE_H

#include "core/data/config_cache.h"
#include "core/sandbox/plan.h"

/* Makes what is missing, for the plan's user, and adds the mounts to the plan. Refused: a directory that is another
 * user's, or none at all. */
bool cache_add(struct plan *plan, const struct config_caches *caches, struct err *err) MUSTUSE NONNULL;

#endif
