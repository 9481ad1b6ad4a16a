/* What the resolver knows without asking anyone: the host's own table, and answers that are still
 * fresh. */
#ifndef AILERON_LOOP_RESOLVE_KNOWN_H
#define AILERON_LOOP_RESOLVE_KNOWN_H

#include "core/loop/resolve.h"

struct resolve_answer {
    struct addr addrs[RESOLVE_ADDRS_MAX];
    size_t count;
};
/* Drops what is over the bound. */
void resolve_answer_add(struct resolve_answer *answer, const struct addr *addr) NONNULL;

struct resolve_known;
struct resolve_known *resolve_known_new(void) MUSTUSE;
void resolve_known_free(struct resolve_known *known);
/* Copies the table, at most RESOLVE_HOSTS_MAX rows, in place of the earlier one; empties the cache.
 */
void resolve_known_set_hosts(struct resolve_known *known, const struct resolve_host *hosts,
                             size_t count) NONNULL_AT(1);
/* Adds the table's addresses of a name: IPv4 to found[0], IPv6 to found[1]. False: it has no such
 * name. */
bool resolve_known_host(const struct resolve_known *known, const char *name,
                        struct resolve_answer found[2]) MUSTUSE NONNULL;
/* NULL: not in the cache, or no longer fresh. Borrowed until the cache changes. */
const struct resolve_answer *resolve_known_cached(const struct resolve_known *known,
                                                  const char *name) MUSTUSE NONNULL;
/* Keeps an answer for ttl_s seconds, RESOLVE_TTL_MAX_S at most; 0: not at all. */
void resolve_known_keep(struct resolve_known *known, const char *name,
                        const struct resolve_answer *answer, uint32_t ttl_s) NONNULL;

#endif
