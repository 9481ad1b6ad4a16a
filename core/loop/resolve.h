/* Names of upstreams to addresses: literals, then the host's own table, then the configured name
 * servers by libevent's resolver (A and AAAA). Opens no file; works in the jail. It does not judge
 * addresses: the caller checks each one (threats E05, E06) and connects to what it checked. */
#ifndef AILERON_LOOP_RESOLVE_H
#define AILERON_LOOP_RESOLVE_H

#include "core/base/err.h"
#include "core/base/text.h"
#include "core/loop/loop.h"
#include "core/wire/addr.h"

enum {
    RESOLVE_ADDRS_MAX = 16, /* in one answer; more are dropped */
    RESOLVE_TIMEOUT_MS = 5000, /* unless resolver_timeout says otherwise */
    RESOLVE_SECOND_MS = 300, /* for the other family, once one has answered with addresses */
    RESOLVE_CACHE_NAMES = 256,
    RESOLVE_TTL_MAX_S = 30,
    RESOLVE_QUERIES_MAX = 1024, /* under way at once; above it ERR_LIMIT */
    RESOLVE_SERVERS_MAX = 4,
    RESOLVE_HOSTS_MAX = 4096
};

struct resolver;
struct resolve_query;
struct resolve_host {
    const char *name; /* canonical, lower case */
    struct addr addr; /* its port is not looked at */
};

struct resolver *resolver_new(struct loop *loop, struct err *err) MUSTUSE NONNULL;
/* Cancels every query without a call. NULL is fine. */
void resolver_free(struct resolver *resolver);
/* The host's table and name servers (port 0: 53), copied; takes the place of earlier ones, empties
 * the cache. Queries under way are asked again of the new servers. A name of the table is never
 * asked for; "localhost" is the table's or unknown. */
bool resolver_configure(struct resolver *resolver, const struct addr *servers, size_t server_count,
                        const struct resolve_host *hosts, size_t host_count,
                        struct err *err) MUSTUSE NONNULL_AT(1, 6);

/* How long a query may take in all, from now on; its tries share that. */
void resolver_timeout(struct resolver *resolver, uint64_t ms) NONNULL;
/* addrs: IPv4 first, at most RESOLVE_ADDRS_MAX, with the query's port; borrowed for the call. count
 * 0: err says why (ERR_UPSTREAM unknown name or failing servers, ERR_TIMEOUT, ERR_LIMIT); else err
 * is NULL. */
typedef void (*resolve_fn)(void *arg, const struct addr *addrs, size_t count,
                           const struct err *err);
/* name: canonical (lower case, no trailing dot), or an IP literal without brackets. Calls fn
 * exactly once, from the loop and never from here, unless cancelled; the query is gone when fn is
 * called. */
struct resolve_query *resolve_start(struct resolver *resolver, struct span name, uint16_t port,
                                    resolve_fn fn, void *arg) MUSTUSE NONNULL_AT(1, 4);
/* What is never asked of a name server: literals, names of the host's table, and "localhost". */
bool resolver_knows(const struct resolver *resolver, struct span name) MUSTUSE NONNULL_AT(1);
void resolve_cancel(struct resolve_query *query); /* fn is not called; NULL is fine */

#endif
