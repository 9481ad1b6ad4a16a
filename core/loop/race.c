/* Attempts to connect, a few at a time, until one is connected or all have failed. What is done with the connection,
 * TLS included, is the caller's. */
#include "core/loop/race.h"
#include "core/base/id.h"
#include "core/base/mem.h"

#include <assert.h>
#include <stdlib.h>

enum { RACE_MAGIC = 0x52414345 };

struct attempt {
    struct race *race;
    struct conn *conn; /* NULL: not begun, or over */
};

struct race {
    uint32_t magic;
    struct loop *loop;
    struct addr addrs[RACE_ADDRS_MAX];
    struct attempt attempts[RACE_ADDRS_MAX]; /* of the address with the same index */
    size_t count, next, under_way;
    uint64_t deadline_ms;
    struct race_memory *memory;
    struct timer stagger;
    race_fn fn;
    void *arg;
    struct err err; /* of the attempt that failed last */
};

/* RFC 8305 section 4, with one address of the first family at the front; within a family the order stays. */
static void interleave(struct race *race, const struct addr *addrs, size_t count)
{
    bool ipv4_first = race->memory && race->memory->ipv4_first_until_ms > clock_mono_ms();
    enum addr_family family = ipv4_first ? ADDR_V4 : ADDR_V6;
    size_t at[2] = {0, 0}; /* where to look on, for each family */
    while (race->count < count && race->count < RACE_ADDRS_MAX) {
        size_t *from = &at[family == ADDR_V6];
        while (*from < count && addrs[*from].family != family)
            (*from)++;
        if (*from < count)
            race->addrs[race->count++] = addrs[(*from)++];
        family = family == ADDR_V6 ? ADDR_V4 : ADDR_V6;
    }
}

static void release(void *arg)
{
    struct race *race = arg;
    race->magic = 0;
    free(race);
}

static void detach(struct race *race)
{
    timer_stop(&race->stagger);
    for (size_t i = 0; i < race->next; i++) {
        conn_close(race->attempts[i].conn);
        race->attempts[i].conn = NULL;
    }
    loop_defer(race->loop, release, race); /* attempts are the arguments of handlers */
}

static void end(struct race *race, struct conn *winner)
{
    race_fn fn = race->fn;
    void *arg = race->arg;
    detach(race);
    fn(arg, winner, winner ? NULL : &race->err);
}

static void on_attempt(struct conn *conn, enum conn_event event, void *arg);

/* The time of an attempt: what is left, shared by the groups of attempts that are still to come. */
static uint64_t share_ms(const struct race *race)
{
    uint64_t now = clock_mono_ms(), left = race->deadline_ms > now ? race->deadline_ms - now : 1;
    size_t groups = (race->count - race->next + RACE_ATTEMPTS_MAX - 1) / RACE_ATTEMPTS_MAX;
    return left / groups > 0 ? left / groups : 1;
}

static void begin_next(struct race *race)
{
    if (race->next == race->count || race->under_way == RACE_ATTEMPTS_MAX)
        return;
    struct attempt *attempt = &race->attempts[race->next];
    uint64_t ms = share_ms(race);
    attempt->race = race;
    attempt->conn = conn_connect(race->loop, &race->addrs[race->next++], ms, on_attempt, attempt);
    race->under_way++;
    timer_start(&race->stagger, RACE_STAGGER_MS);
}

static void on_stagger(void *arg)
{
    struct race *race = arg;
    assert(race->magic == RACE_MAGIC);
    begin_next(race);
}

/* IPv4 has won: was IPv6 silent, or refused, or not tried? Only silence costs the next race time. */
static void learn(struct race *race, size_t winner)
{
    if (!race->memory)
        return;
    if (race->addrs[winner].family == ADDR_V6)
        race->memory->ipv4_first_until_ms = 0;
    for (size_t i = 0; i < winner; i++)
        if (race->addrs[i].family == ADDR_V6 && race->attempts[i].conn)
            race->memory->ipv4_first_until_ms = clock_mono_ms() + RACE_MEMORY_MS;
}

static void on_attempt(struct conn *conn, enum conn_event event, void *arg)
{
    struct attempt *attempt = arg;
    struct race *race = attempt->race;
    assert(race->magic == RACE_MAGIC);
    if (event == CONN_CONNECTED) {
        attempt->conn = NULL;
        learn(race, (size_t)(attempt - race->attempts));
        end(race, conn);
    } else if (event == CONN_FAILED) {
        race->err = *conn_error(conn);
        attempt->conn = NULL;
        conn_close(conn);
        race->under_way--;
        begin_next(race);
        if (race->under_way == 0)
            end(race, NULL);
    }
}

struct race *race_start(struct loop *loop, const struct addr *addrs, size_t count, struct race_memory *memory,
                        uint64_t timeout_ms, race_fn fn, void *arg)
{
    struct race *race = mem_alloc(sizeof(*race));
    assert(count > 0);
    race->magic = RACE_MAGIC;
    race->loop = loop;
    race->memory = memory;
    race->fn = fn;
    race->arg = arg;
    race->deadline_ms = clock_mono_ms() + timeout_ms;
    interleave(race, addrs, count);
    timer_init(&race->stagger, loop, on_stagger, race);
    begin_next(race);
    return race;
}

void race_cancel(struct race *race)
{
    if (!race)
        return;
    assert(race->magic == RACE_MAGIC);
    detach(race);
}
