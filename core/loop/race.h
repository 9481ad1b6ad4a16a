/* A connection to the first of several addresses that takes one (Happy Eyeballs, RFC 8305): the families take turns,
 * IPv6 first where it is not known to be silent; an attempt begins when the one before it has failed, or
 * RACE_STAGGER_MS after it; the first that is connected wins and the others are closed. It judges no address: the
 * caller has checked every one (threats E05, E06). Unlike the RFC it never begins before both families are known, since
 * one bad address refuses the name. */
#ifndef AILERON_LOOP_RACE_H
#define AILERON_LOOP_RACE_H

#include "core/loop/conn.h"

enum {
    RACE_ADDRS_MAX = 16,    /* more are not tried */
    RACE_STAGGER_MS = 250,  /* RFC 8305 section 8: Connection Attempt Delay */
    RACE_ATTEMPTS_MAX = 4,  /* at a time: what a name with many dead addresses may hold in descriptors */
    RACE_MEMORY_MS = 600000 /* RFC 6555 section 4.2: how long a family that was silent goes second */
};
/* What races learn from each other: where IPv6 leads nowhere, only the first of them waits for it. */
struct race_memory {
    uint64_t ipv4_first_until_ms;
};

struct race;
/* Exactly one of conn and err. conn: connected, the callee's, who sets its handler at once. err: of the attempt that
 * failed last, ERR_TIMEOUT where the time was up; its words name the address. */
typedef void (*race_fn)(void *arg, struct conn *conn, const struct err *err);
/* addrs: at least one, copied. memory: outlives the race; NULL: none. timeout_ms: for all of it; where there are more
 * than RACE_ATTEMPTS_MAX addresses each has its share, so that the last is tried too. fn is called once, from the loop
 * and never from here; the race is gone then. */
struct race *race_start(struct loop *loop, const struct addr *addrs, size_t count, struct race_memory *memory,
                        uint64_t timeout_ms, race_fn fn, void *arg) MUSTUSE NONNULL_AT(1, 2, 6);
void race_cancel(struct race *race); /* closes what is under way; fn is not called; NULL is fine */

#endif
