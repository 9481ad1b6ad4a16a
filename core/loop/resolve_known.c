/* The resolver's memory: the host's table, sorted, and a small cache whose oldest row goes first.
 * It asks nobody. */
#include "core/loop/resolve_known.h"
#include "core/base/id.h"
#include "core/base/mem.h"

#include <stdlib.h>

struct host {
    char *name;
    struct addr addr;
};

struct cached {
    char *name; /* NULL: free */
    uint32_t hash;
    uint64_t until_ms;
    struct resolve_answer answer;
};

struct resolve_known {
    struct host *hosts; /* sorted by name; one name may have several rows */
    size_t host_count;
    struct cached *cache; /* RESOLVE_CACHE_NAMES rows, made when first needed */
};

/* ---- the cache ---- */

static uint32_t hash_of(const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a: an attacker can only crowd its own session's cache */
    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619u;
    return hash;
}

const struct resolve_answer *resolve_known_cached(const struct resolve_known *known,
                                                  const char *name)
{
    uint32_t hash = hash_of(name);
    uint64_t now = clock_mono_ms();
    for (size_t i = 0; known->cache && i < RESOLVE_CACHE_NAMES; i++) {
        const struct cached *row = &known->cache[i];
        if (row->name && row->hash == hash && row->until_ms > now && strcmp(row->name, name) == 0)
            return &row->answer;
    }
    return NULL;
}

void resolve_known_keep(struct resolve_known *known, const char *name,
                        const struct resolve_answer *answer, uint32_t ttl_s)
{
    if (ttl_s == 0)
        return;
    if (!known->cache)
        known->cache = mem_array(RESOLVE_CACHE_NAMES, sizeof(*known->cache));
    uint32_t hash = hash_of(name);
    struct cached *victim = &known->cache[0];
    for (size_t i = 0; i < RESOLVE_CACHE_NAMES; i++) {
        struct cached *row = &known->cache[i];
        if (row->name && row->hash == hash && strcmp(row->name, name) == 0) {
            victim = row;
            break;
        }
        if (row->until_ms < victim->until_ms) /* free rows have 0 */
            victim = row;
    }
    free(victim->name);
    *victim = (struct cached){.name = mem_strdup(name), .hash = hash, .answer = *answer};
    victim->until_ms =
        clock_mono_ms() + 1000 * (ttl_s < RESOLVE_TTL_MAX_S ? ttl_s : RESOLVE_TTL_MAX_S);
}

static void cache_empty(struct resolve_known *known)
{
    for (size_t i = 0; known->cache && i < RESOLVE_CACHE_NAMES; i++)
        free(known->cache[i].name);
    free(known->cache);
    known->cache = NULL;
}

/* ---- the host's table ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct host *)a)->name, ((const struct host *)b)->name);
}

static void hosts_clear(struct resolve_known *known)
{
    for (size_t i = 0; i < known->host_count; i++)
        free(known->hosts[i].name);
    free(known->hosts);
    known->hosts = NULL;
    known->host_count = 0;
}

void resolve_answer_add(struct resolve_answer *answer, const struct addr *addr)
{
    if (answer->count < RESOLVE_ADDRS_MAX)
        answer->addrs[answer->count++] = *addr;
}

bool resolve_known_host(const struct resolve_known *known, const char *name,
                        struct resolve_answer found[2])
{
    size_t low = 0, high = known->host_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(known->hosts[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool any = false;
    for (; low < known->host_count && strcmp(known->hosts[low].name, name) == 0; low++) {
        const struct addr *addr = &known->hosts[low].addr;
        resolve_answer_add(&found[addr->family == ADDR_V6], addr);
        any = true;
    }
    return any;
}

void resolve_known_set_hosts(struct resolve_known *known, const struct resolve_host *hosts,
                             size_t count)
{
    cache_empty(known);
    hosts_clear(known);
    known->hosts = mem_array(count, sizeof(*known->hosts));
    for (size_t i = 0; i < count; i++)
        known->hosts[i] = (struct host){mem_strdup(hosts[i].name), hosts[i].addr};
    known->host_count = count;
    qsort(known->hosts, count, sizeof(*known->hosts), by_name);
}

struct resolve_known *resolve_known_new(void)
{
    return mem_alloc(sizeof(struct resolve_known));
}

void resolve_known_free(struct resolve_known *known)
{
    if (!known)
        return;
    cache_empty(known);
    hosts_clear(known);
    free(known);
}
