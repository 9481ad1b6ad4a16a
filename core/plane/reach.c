/* What is open at a time is one of: a question to the resolver, a race of attempts, a visit to the proxy. It decides
 * about addresses by the policy, and knows nothing of TLS and requests. */
#include "core/plane/reach.h"
#include "core/loop/own.h"
#include "core/plane/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reach {
    struct plane *plane;
    const struct epoch *epoch;
    const struct target_host *host;
    uint16_t port;
    struct resolve_query *query;
    struct race *race;
    struct proxy_visit *visit;
    struct addr addrs[RESOLVE_ADDRS_MAX];
    size_t addr_count; /* 0: the name is the proxy's to resolve */
    struct addr proxy_addrs[RESOLVE_ADDRS_MAX];
    size_t proxy_addr_count, proxy_tries;
    struct task failing;
    reach_fn fn;
    void *arg;
    struct err err;
};

static const struct config *config_of(const struct reach *reach)
{
    return reach->epoch->snapshot->rules->config;
}

static uint64_t connect_ms(const struct reach *reach)
{
    return config_of(reach)->limits[LIMIT_CONNECT_MS];
}

static void release(struct reach *reach)
{
    task_cancel(&reach->failing);
    resolve_cancel(reach->query);
    race_cancel(reach->race);
    proxy_cancel(reach->visit);
    loop_defer(reach->plane->loop, free, reach);
}

static void give(struct reach *reach, struct conn *conn, const struct err *err)
{
    reach_fn fn = reach->fn;
    void *arg = reach->arg;
    release(reach); /* memory, err's too, goes in the next round */
    fn(arg, conn, err);
}

static void on_failing(void *arg)
{
    struct reach *reach = arg;
    give(reach, NULL, &reach->err);
}

/* With reach->err; not at once, since nobody may have the reach yet. */
static void fail(struct reach *reach)
{
    task_post(&reach->failing);
}

/* Where config.yaml says that a name is. */
static bool fixed_address(const struct reach *reach, const char *name, uint16_t port, struct addr *addr)
{
    const struct config_upstream *fixed = config_upstream(config_of(reach), span_of(name), port);
    if (!fixed || !fixed->has_address)
        return false;
    *addr = fixed->address;
    addr->port = addr->port ? addr->port : port;
    return true;
}

static void fail_to_reach(struct reach *reach, const struct err *err, const char *what, const char *host, uint16_t port)
{
    reach->err = *err;
    err_wrap(&reach->err, "cannot reach %s%s port %u", what, host, port);
    reach->err.code = reach->err.code == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_UPSTREAM;
    fail(reach);
}

static void on_raced(void *arg, struct conn *conn, const struct err *err)
{
    struct reach *reach = arg;
    reach->race = NULL;
    if (conn)
        give(reach, conn, NULL);
    else
        fail_to_reach(reach, err, "", reach->host->name, reach->port);
}

/* ---- through the proxy ---- */

static void connect_proxy(struct reach *reach);

static void on_proxy_answer(void *arg, const struct proxy_result *result)
{
    struct reach *reach = arg;
    reach->visit = NULL;
    if (result->conn) {
        give(reach, result->conn, NULL);
    } else if (result->elsewhere && ++reach->proxy_tries < REACH_PROXY_TRIES &&
               reach->proxy_tries < reach->addr_count) {
        connect_proxy(reach);
    } else {
        reach->err = *result->err;
        fail(reach);
    }
}

static void on_proxy_raced(void *arg, struct conn *conn, const struct err *err)
{
    struct reach *reach = arg;
    const struct config_proxy *proxy = &config_of(reach)->network.proxy;
    char authority[TARGET_AUTHORITY_BYTES];
    reach->race = NULL;
    if (!conn) {
        fail_to_reach(reach, err, "the upstream proxy ", proxy->host, proxy->port);
        return;
    }
    /* E06: what was checked is what is asked for. */
    if (reach->addr_count > 0)
        addr_format_port(&reach->addrs[reach->proxy_tries], authority);
    else
        snprintf(authority, sizeof(authority), "%s:%u", reach->host->name, reach->port);
    struct proxy_request request = {.proxy = proxy, .host = reach->host, .port = reach->port, .authority = authority,
                                    .timeout_ms = connect_ms(reach)};
    reach->visit = proxy_open(reach->plane, conn, &request, on_proxy_answer, reach);
}

static void connect_proxy(struct reach *reach)
{
    reach->race = race_start(reach->plane->loop, reach->proxy_addrs, reach->proxy_addr_count, &reach->plane->families,
                             connect_ms(reach), on_proxy_raced, reach);
}

static void on_proxy_resolved(void *arg, const struct addr *addrs, size_t count, const struct err *err)
{
    struct reach *reach = arg;
    reach->query = NULL;
    if (err) {
        fail_to_reach(reach, err, "the upstream proxy ", config_of(reach)->network.proxy.host,
                      config_of(reach)->network.proxy.port);
        return;
    }
    memcpy(reach->proxy_addrs, addrs, count * sizeof(*addrs));
    reach->proxy_addr_count = count;
    connect_proxy(reach);
}

/* The proxy is the user's own: wherever it is, it may be reached. */
static void go_through_proxy(struct reach *reach)
{
    const struct config_proxy *proxy = &config_of(reach)->network.proxy;
    struct addr addr;
    if (fixed_address(reach, proxy->host, proxy->port, &addr))
        on_proxy_resolved(reach, &addr, 1, NULL);
    else
        reach->query =
            resolve_start(reach->plane->resolver, span_of(proxy->host), proxy->port, on_proxy_resolved, reach);
}

/* ---- addresses ---- */

/* One bad address among good ones refuses the name: which one a client gets must not be chance (E06). */
static bool check_addresses(struct reach *reach)
{
    const struct policy *policy = reach->epoch->snapshot->rules->policy;
    for (size_t i = 0; i < reach->addr_count; i++) {
        const struct addr *addr = &reach->addrs[i];
        const char *why;
        if (policy_address(policy, addr, addr_class(addr) == ADDR_PUBLIC && own_address(addr), &why))
            continue;
        char text[ADDR_TEXT_BYTES];
        addr_format(addr, text);
        err_set(&reach->err, ERR_DENIED, "%s is at %s, a %s address, and these are not reachable from the sandbox",
                reach->host->name, text, why);
        return err_hint(&reach->err, strcmp(why, "metadata") == 0
                                         ? "It hands out the machine's own credentials: nothing opens it. Ask the user"
                                         : "The user can list it in network.allow_private of policy.yaml");
    }
    return true;
}

static void take_addresses(struct reach *reach, const struct addr *addrs, size_t count)
{
    memcpy(reach->addrs, addrs, count * sizeof(*addrs));
    reach->addr_count = count;
    if (!check_addresses(reach)) {
        fail(reach);
    } else if (config_proxy_for(&config_of(reach)->network.proxy, span_of(reach->host->name), addrs, count)) {
        go_through_proxy(reach);
    } else {
        reach->race = race_start(reach->plane->loop, addrs, count, &reach->plane->families, connect_ms(reach), on_raced,
                                 reach);
    }
}

static void on_resolved(void *arg, const struct addr *addrs, size_t count, const struct err *err)
{
    struct reach *reach = arg;
    reach->query = NULL;
    if (err) {
        reach->err = *err;
        if (config_of(reach)->network.proxy.host)
            err_hint(&reach->err, "Check the name; where the proxy alone can look names up, the user can set "
                                  "network.upstream_proxy_resolves");
        fail(reach);
        return;
    }
    take_addresses(reach, addrs, count);
}

/* Names that only the proxy may look up have no addresses that could be checked here; it was the user's decision to
 * leave that to it. What is known here is not left to it. */
static bool left_to_proxy(const struct reach *reach)
{
    const struct config_proxy *proxy = &config_of(reach)->network.proxy;
    struct span name = span_of(reach->host->name);
    return proxy->resolves && config_proxy_for(proxy, name, NULL, 0) && !resolver_knows(reach->plane->resolver, name);
}

static void resolve(struct reach *reach)
{
    struct addr addr = reach->host->addr;
    addr.port = reach->port;
    if (fixed_address(reach, reach->host->name, reach->port, &addr) || reach->host->is_ip)
        take_addresses(reach, &addr, 1);
    else if (left_to_proxy(reach))
        go_through_proxy(reach);
    else
        reach->query =
            resolve_start(reach->plane->resolver, span_of(reach->host->name), reach->port, on_resolved, reach);
}

struct reach *reach_start(struct plane *plane, const struct epoch *epoch, const struct target_host *host, uint16_t port,
                          reach_fn fn, void *arg)
{
    struct reach *reach = mem_alloc(sizeof(*reach));
    *reach = (struct reach){.plane = plane, .epoch = epoch, .host = host, .port = port, .fn = fn, .arg = arg};
    task_init(&reach->failing, plane->loop, on_failing, reach);
    resolve(reach);
    return reach;
}

void reach_cancel(struct reach *reach)
{
    if (reach)
        release(reach);
}
