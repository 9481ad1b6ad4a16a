/* sandbox.cache of config.yaml: directories of this host that sandboxes share, below the agent's home. */
#ifndef AILERON_DATA_CONFIG_CACHE_H
#define AILERON_DATA_CONFIG_CACHE_H

#include "core/data/json.h"

enum { CONFIG_CACHES_MAX = 16, CONFIG_CACHE_NAME = 32, CONFIG_CACHE_PLACE = 256 };

struct config_cache {
    char *name;  /* a directory of $AILERON_HOME/cache: letters, digits, "-", "_" and ".", no dot first */
    char *place; /* below the agent's home, without a slash at either end: "~/.npm" is ".npm" */
};
struct config_caches {
    struct config_cache rows[CONFIG_CACHES_MAX];
    size_t count;
};
/* Reads {NAME: "~/PLACE"} of the section "sandbox". Refused: a place that is not below the home, has "." or ".." in it,
 * is the workspace or lies in it, and one that holds another. False: what is there is still the caller's to clear. */
bool config_caches_from(struct config_caches *caches, const struct json_at *sandbox, struct err *err) MUSTUSE NONNULL;
void config_caches_clear(struct config_caches *caches) NONNULL;

#endif
