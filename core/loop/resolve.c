/* The upstream resolver: literals, what is known (resolve_known.c), then DNS for both families.
 * libevent asks the servers; this file joins the two answers, bounds time, number and size, and
 * gives exactly one call back. It judges no address and opens no file. */
#include "core/loop/resolve.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/loop/base.h"
#include "core/loop/resolve_known.h"
#include "core/loop/sockaddr.h"

#include <assert.h>
#include <event2/dns.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

enum { RESOLVE_MAGIC = 0x52534c56, RESOLVE_NAME_MAX = 253, DNS_PORT = 53 };

struct resolver {
    struct loop *loop;
    struct evdns_base *dns;
    size_t servers;
    uint64_t timeout_ms; /* of a query */
    struct resolve_known *known;
    struct resolve_query *queries;
    size_t query_count;
};

/* One question to the name servers. libevent calls back exactly once, also long after a
 * cancellation: so it has memory of its own, and no query where nobody waits. */
struct lookup {
    struct resolve_query *query;
    struct evdns_request *request;
    bool v6;
};

struct resolve_query {
    uint32_t magic;
    struct resolver *resolver;
    struct resolve_query *next, *prev;
    resolve_fn fn;
    void *arg;
    uint16_t port;
    struct lookup *lookups[2]; /* A, AAAA; NULL: answered */
    struct resolve_answer found[2];
    uint32_t ttl_s;
    int dns_error; /* of the last family that failed */
    struct timer timer;
    struct task task; /* for what is known at once */
    struct err err;
    char name[RESOLVE_NAME_MAX + 1];
};

/* ---- the end of a query ---- */

static void release(void *arg)
{
    struct resolve_query *query = arg;
    query->magic = 0;
    free(query);
}

static void detach(struct resolve_query *query)
{
    struct resolver *resolver = query->resolver;
    for (size_t i = 0; i < COUNT(query->lookups); i++) {
        struct lookup *lookup = query->lookups[i];
        if (!lookup)
            continue;
        lookup->query = NULL;
        evdns_cancel_request(resolver->dns, lookup->request);
    }
    if (query->prev)
        query->prev->next = query->next;
    else
        resolver->queries = query->next;
    if (query->next)
        query->next->prev = query->prev;
    resolver->query_count--;
    timer_stop(&query->timer);
    task_cancel(&query->task);
    loop_defer(resolver->loop, release, query);
}

static void finish(struct resolve_query *query)
{
    struct resolve_answer all = {.count = 0};
    for (size_t family = 0; family < COUNT(query->found); family++)
        for (size_t i = 0; i < query->found[family].count; i++)
            resolve_answer_add(&all, &query->found[family].addrs[i]);
    for (size_t i = 0; i < all.count; i++)
        all.addrs[i].port = query->port;
    resolve_fn fn = query->fn;
    void *arg = query->arg;
    detach(query);
    fn(arg, all.addrs, all.count, all.count ? NULL : &query->err); /* released in the next round */
}

/* ---- DNS ---- */

static void failed(struct resolve_query *query)
{
    struct err *err = &query->err;
    switch (query->dns_error) {
    case DNS_ERR_NOTEXIST:
    case DNS_ERR_NODATA:
        err_set(err, ERR_UPSTREAM, "no such host: %s", query->name);
        err_hint(err, "Check the name");
        return;
    case DNS_ERR_TIMEOUT:
        err_set(err, ERR_TIMEOUT, "the name servers did not answer for %s", query->name);
        break;
    default:
        err_set(err, ERR_UPSTREAM, "cannot look up %s: %s", query->name,
                evdns_err_to_string(query->dns_error));
        break;
    }
    err_hint(err, "This is no rule. The user can check the network and the name servers of the host, outside of the "
                  "sandbox (/etc/resolv.conf there, network.resolvers in config.yaml)");
}

static void dns_done(struct resolve_query *query)
{
    struct resolve_answer all = query->found[0];
    for (size_t i = 0; i < query->found[1].count; i++)
        resolve_answer_add(&all, &query->found[1].addrs[i]);
    if (all.count)
        resolve_known_keep(query->resolver->known, query->name, &all, query->ttl_s);
    else
        failed(query);
    finish(query);
}

static void on_time(void *arg)
{
    struct resolve_query *query = arg;
    assert(query->magic == RESOLVE_MAGIC);
    query->dns_error = DNS_ERR_TIMEOUT;
    dns_done(query);
}

static void take_addresses(struct lookup *lookup, int count, const void *addresses)
{
    struct resolve_answer *found = &lookup->query->found[lookup->v6];
    for (int i = 0; i < count; i++) {
        struct sockaddr_in v4 = {.sin_family = AF_INET};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
        struct addr addr;
        if (lookup->v6)
            memcpy(&v6.sin6_addr, (const uint8_t *)addresses + (size_t)i * 16, 16);
        else
            memcpy(&v4.sin_addr, (const uint8_t *)addresses + (size_t)i * 4, 4);
        if (sockaddr_to(lookup->v6 ? (const struct sockaddr *)&v6 : (const struct sockaddr *)&v4,
                        &addr))
            resolve_answer_add(found, &addr);
    }
}

static void on_answer(int result, char type, int count, int ttl, void *addresses, void *arg)
{
    struct lookup *lookup = arg;
    struct resolve_query *query = lookup->query;
    if (!query) {
        free(lookup);
        return;
    }
    assert(query->magic == RESOLVE_MAGIC);
    query->lookups[lookup->v6] = NULL;
    if (result == DNS_ERR_NONE && type == (lookup->v6 ? DNS_IPv6_AAAA : DNS_IPv4_A) && count > 0) {
        take_addresses(lookup, count, addresses);
        uint32_t seconds = ttl > 0 ? (uint32_t)ttl : 0;
        if (seconds < query->ttl_s)
            query->ttl_s = seconds;
        timer_start(&query->timer, RESOLVE_SECOND_MS);
    } else {
        query->dns_error = result == DNS_ERR_NONE ? DNS_ERR_NODATA : result;
    }
    free(lookup);
    if (!query->lookups[0] && !query->lookups[1])
        dns_done(query);
}

static void ask(struct resolve_query *query, bool v6)
{
    struct evdns_base *dns = query->resolver->dns;
    struct lookup *lookup = mem_alloc(sizeof(*lookup));
    lookup->query = query;
    lookup->v6 = v6;
    lookup->request =
        v6 ? evdns_base_resolve_ipv6(dns, query->name, DNS_QUERY_NO_SEARCH, on_answer, lookup)
           : evdns_base_resolve_ipv4(dns, query->name, DNS_QUERY_NO_SEARCH, on_answer, lookup);
    if (lookup->request) {
        query->lookups[v6] = lookup;
        return;
    }
    free(lookup);
    query->dns_error = DNS_ERR_FORMAT;
}

/* ---- the beginning of a query ---- */

static bool is_localhost(struct span name) /* RFC 6761 6.3 */
{
    return span_eqs(name, "localhost") || span_ends(name, ".localhost");
}

bool resolver_knows(const struct resolver *resolver, struct span name)
{
    struct resolve_answer found[2] = {{.count = 0}, {.count = 0}};
    struct addr literal;
    char text[RESOLVE_NAME_MAX + 1] = "";
    if (name.len > RESOLVE_NAME_MAX)
        return false;
    memcpy(text, name.p, name.len);
    return addr_parse(name, &literal) || is_localhost(name) || resolve_known_host(resolver->known, text, found);
}

/* RFC 6762 22.1: names of the link, asked of all who are on it, which is not done here; not a name server's to know. */
static bool is_of_link(struct span name)
{
    return span_ends(name, ".local") || span_eqs(name, "local");
}

/* True: the answer, or the error, is known without asking anyone. */
static bool known(struct resolve_query *query, struct span name)
{
    struct resolver *resolver = query->resolver;
    struct err *err = &query->err;
    if (name.len == 0 || name.len > RESOLVE_NAME_MAX || memchr(name.p, '\0', name.len)) {
        err_set(err, ERR_DATA, "not a host name of 1 to %d bytes", RESOLVE_NAME_MAX);
        return true;
    }
    memcpy(query->name, name.p, name.len);
    struct addr literal;
    if (addr_parse(name, &literal)) {
        resolve_answer_add(&query->found[0], &literal);
        return true;
    }
    if (resolve_known_host(resolver->known, query->name, query->found))
        return true;
    if (is_localhost(name)) {
        err_set(err, ERR_UPSTREAM, "no such host: %s is not in the host's table", query->name);
        return true;
    }
    if (is_of_link(name)) {
        err_set(err, ERR_UPSTREAM, "no such host: names below .local belong to a link, and no name server is asked for "
                "%s", query->name);
        err_hint(err, "The user can give its address in /etc/hosts, or in an entry of upstreams in config.yaml");
        return true;
    }
    const struct resolve_answer *cached = resolve_known_cached(resolver->known, query->name);
    if (cached) {
        query->found[0] = *cached;
        return true;
    }
    if (resolver->servers == 0) {
        err_set(err, ERR_UPSTREAM, "cannot look up %s: no name server is known", query->name);
        err_hint(err, "The user can name one in /etc/resolv.conf, or under network.resolvers in config.yaml");
        return true;
    }
    if (resolver->query_count > RESOLVE_QUERIES_MAX) {
        err_set(err, ERR_LIMIT, "more than %d names are being looked up", RESOLVE_QUERIES_MAX);
        err_hint(err, "Try again in a moment");
        return true;
    }
    return false;
}

static void on_known(void *arg)
{
    struct resolve_query *query = arg;
    assert(query->magic == RESOLVE_MAGIC);
    finish(query);
}

struct resolve_query *resolve_start(struct resolver *resolver, struct span name, uint16_t port,
                                    resolve_fn fn, void *arg)
{
    struct resolve_query *query = mem_alloc(sizeof(*query));
    query->magic = RESOLVE_MAGIC;
    query->resolver = resolver;
    query->fn = fn;
    query->arg = arg;
    query->port = port;
    query->ttl_s = UINT32_MAX;
    timer_init(&query->timer, resolver->loop, on_time, query);
    task_init(&query->task, resolver->loop, on_known, query);
    query->next = resolver->queries;
    if (query->next)
        query->next->prev = query;
    resolver->queries = query;
    resolver->query_count++;
    if (known(query, name)) {
        task_post(&query->task);
        return query;
    }
    ask(query, false);
    ask(query, true);
    if (!query->lookups[0] && !query->lookups[1]) {
        failed(query);
        task_post(&query->task);
    } else {
        timer_start(&query->timer, resolver->timeout_ms);
    }
    return query;
}

void resolve_cancel(struct resolve_query *query)
{
    if (!query)
        return;
    assert(query->magic == RESOLVE_MAGIC);
    detach(query);
}

/* ---- the resolver ---- */

struct resolver *resolver_new(struct loop *loop, struct err *err)
{
    static const struct {
        const char *name, *value;
    } options[] = {
        {"attempts", "3"},  /* with other servers, if there are any */
        {"max-inflight", "256"},
        {"initial-probe-timeout", "2"},
    };
    struct evdns_base *dns = evdns_base_new(loop_base(loop), EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (!dns) {
        err_set(err, ERR_INTERNAL, "cannot start the resolver");
        return NULL;
    }
    for (size_t i = 0; i < COUNT(options); i++)
        if (evdns_base_set_option(dns, options[i].name, options[i].value) != 0)
            log_debug("resolver option not known name=%s", options[i].name);
    struct resolver *resolver = mem_alloc(sizeof(*resolver));
    resolver->loop = loop;
    resolver->dns = dns;
    resolver->known = resolve_known_new();
    resolver_timeout(resolver, RESOLVE_TIMEOUT_MS);
    return resolver;
}

/* Three tries, and a little for the way. */
void resolver_timeout(struct resolver *resolver, uint64_t ms)
{
    char seconds[32];
    uint64_t try_ms = ms * 3 / 10;
    snprintf(seconds, sizeof(seconds), "%llu.%03u", (unsigned long long)(try_ms / 1000), (unsigned)(try_ms % 1000));
    if (evdns_base_set_option(resolver->dns, "timeout", seconds) != 0)
        log_debug("resolver option not known name=timeout");
    resolver->timeout_ms = ms;
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    while (resolver->queries)
        detach(resolver->queries);
    evdns_base_free(resolver->dns, 1);
    resolve_known_free(resolver->known);
    free(resolver);
}

bool resolver_configure(struct resolver *resolver, const struct addr *servers, size_t server_count,
                        const struct resolve_host *hosts, size_t host_count, struct err *err)
{
    if (server_count > RESOLVE_SERVERS_MAX || host_count > RESOLVE_HOSTS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d name servers or %d hosts", RESOLVE_SERVERS_MAX,
                       RESOLVE_HOSTS_MAX);
    resolve_known_set_hosts(resolver->known, hosts, host_count);
    evdns_base_clear_nameservers_and_suspend(resolver->dns);
    resolver->servers = 0;
    for (size_t i = 0; i < server_count; i++) {
        struct addr server = servers[i];
        struct sockaddr_storage to;
        char text[ADDR_TEXT_BYTES];
        if (server.port == 0)
            server.port = DNS_PORT;
        socklen_t len = sockaddr_from(&server, &to);
        if (evdns_base_nameserver_sockaddr_add(resolver->dns, (const struct sockaddr *)&to, len,
                                               0) == 0) {
            resolver->servers++;
        } else { /* no route to it from here (IPv6, say); the others serve */
            addr_format_port(&server, text);
            log_warn("name server not usable address=%s", text);
        }
    }
    evdns_base_resume(resolver->dns);
    return true;
}
