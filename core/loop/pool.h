/* Idle upstream connections of one worker, kept for the next request to the same place. A worker
 * serves one session, so no connection is ever seen by another (threat C14). Only connections at
 * rest may be put: the answer read to its end, nothing unsent, TLS verified for exactly the key's
 * host. One that gets bytes or its peer's end while idle, or had them already, is dropped. */
#ifndef AILERON_LOOP_POOL_H
#define AILERON_LOOP_POOL_H

#include "core/loop/conn.h"

struct pool_key {
    struct span host; /* canonical */
    uint16_t port;
    bool tls;
    struct span identity; /* of the client's certificate; empty: none */
};

struct pool;
struct pool *pool_new(struct loop *loop) MUSTUSE NONNULL;
void pool_free(struct pool *pool); /* closes all; NULL is fine */
/* How long a connection is kept, and how many: beyond it the longest idle one goes. Until the first call none are. */
void pool_limits(struct pool *pool, uint64_t idle_ms, uint64_t most) NONNULL;
/* The one that was put last; the caller owns it and sets its handler at once. NULL: none. */
struct conn *pool_take(struct pool *pool, const struct pool_key *key) MUSTUSE NONNULL;
/* Takes the connection; closes it where it is not at rest. */
void pool_put(struct pool *pool, const struct pool_key *key, struct conn *conn) NONNULL;
/* Closes all: after a reload of what connections depend on. */
void pool_empty(struct pool *pool) NONNULL;
size_t pool_count(const struct pool *pool) NONNULL;

#endif
