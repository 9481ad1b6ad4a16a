/* Idle upstream connections: a short list, newest first, since the newest is the likeliest to be
 * alive. It makes no connection and verifies none: who puts one vouches for its key. */
#include "core/loop/pool.h"
#include "core/base/mem.h"

#include <assert.h>
#include <stdlib.h>

enum { POOL_MAGIC = 0x504f4f4c };

struct idle {
    uint32_t magic;
    struct pool *pool;
    struct idle *next, *prev;
    struct conn *conn;
    uint16_t port;
    bool tls;
    size_t host_len, identity_len;
    char names[]; /* host, then identity */
};

struct pool {
    struct loop *loop;
    struct idle *first, *last; /* newest first */
    size_t count;
    uint64_t idle_ms, most;
};

struct pool *pool_new(struct loop *loop)
{
    struct pool *pool = mem_alloc(sizeof(*pool));
    pool->loop = loop;
    return pool;
}

void pool_limits(struct pool *pool, uint64_t idle_ms, uint64_t most)
{
    pool->idle_ms = idle_ms;
    pool->most = most;
}

static void release(void *arg)
{
    struct idle *idle = arg;
    idle->magic = 0;
    free(idle);
}

/* Takes the entry out of the list; it is the handler's argument, so its memory goes later. */
static struct conn *remove_idle(struct idle *idle)
{
    struct pool *pool = idle->pool;
    struct conn *conn = idle->conn;
    if (idle->prev)
        idle->prev->next = idle->next;
    else
        pool->first = idle->next;
    if (idle->next)
        idle->next->prev = idle->prev;
    else
        pool->last = idle->prev;
    pool->count--;
    loop_defer(pool->loop, release, idle);
    return conn;
}

static bool matches(const struct idle *idle, const struct pool_key *key)
{
    struct span host = {idle->names, idle->host_len};
    struct span identity = {idle->names + idle->host_len, idle->identity_len};
    return idle->port == key->port && idle->tls == key->tls && span_eq(host, key->host) &&
           span_eq(identity, key->identity);
}

/* Whatever happens to an idle connection, bytes nobody asked for included, it is of no use any
 * more. */
static void on_idle(struct conn *conn, enum conn_event event, void *arg)
{
    struct idle *idle = arg;
    assert(idle->magic == POOL_MAGIC);
    if (event == CONN_DRAINED)
        return;
    (void)remove_idle(idle);
    conn_close(conn);
}

/* The handler that a taken connection has until its new owner sets one; events come only from the
 * loop. */
static void on_nobody(struct conn *conn, enum conn_event event, void *arg)
{
    (void)arg;
    if (event != CONN_DRAINED)
        conn_close(conn);
}

struct conn *pool_take(struct pool *pool, const struct pool_key *key)
{
    for (struct idle *idle = pool->first, *next; idle; idle = next) {
        next = idle->next;
        if (!matches(idle, key))
            continue;
        struct conn *conn = remove_idle(idle);
        if (!conn_at_rest(conn)) { /* its end is here and the loop has not told yet */
            conn_close(conn);
            continue;
        }
        conn_set_handler(conn, on_nobody, NULL);
        conn_deadline(conn, 0);
        return conn;
    }
    return NULL;
}

void pool_put(struct pool *pool, const struct pool_key *key, struct conn *conn)
{
    if (pool->most == 0 || pool->idle_ms == 0 || !conn_quiet(conn) || (key->tls && !conn_stream(conn))) {
        conn_close(conn);
        return;
    }
    while (pool->count >= pool->most)
        conn_close(remove_idle(pool->last));
    struct idle *idle = mem_alloc(sizeof(*idle) + key->host.len + key->identity.len);
    idle->magic = POOL_MAGIC;
    idle->pool = pool;
    idle->conn = conn;
    idle->port = key->port;
    idle->tls = key->tls;
    idle->host_len = key->host.len;
    idle->identity_len = key->identity.len;
    memcpy(idle->names, key->host.p, key->host.len);
    if (key->identity.len)
        memcpy(idle->names + key->host.len, key->identity.p, key->identity.len);
    idle->next = pool->first;
    if (pool->first)
        pool->first->prev = idle;
    else
        pool->last = idle;
    pool->first = idle;
    pool->count++;
    conn_set_handler(conn, on_idle, idle);
    conn_read_resume(conn);
    conn_deadline(conn, pool->idle_ms);
}

void pool_empty(struct pool *pool)
{
    while (pool->first)
        conn_close(remove_idle(pool->first));
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    pool_empty(pool);
    free(pool);
}

size_t pool_count(const struct pool *pool)
{
    return pool->count;
}
