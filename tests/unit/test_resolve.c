/* The upstream resolver, against a name server in the same loop: both families, the host's table,
 * literals, the cache with its time, silence, errors, bounds and cancellation. */
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/loop/resolve.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { TYPE_A = 1, TYPE_AAAA = 28, RCODE_NXDOMAIN = 3 };

static struct loop *loop;
static struct resolver *resolver;
static struct err err;

/* ---- the name server ---- */

static int dns_fd;
static struct watch dns_watch;
static struct addr dns_addr;
static int asked;

struct reply {
    uint8_t bytes[1024];
    size_t len;
    int answers;
};

static void put(struct reply *reply, const void *data, size_t len)
{
    memcpy(reply->bytes + reply->len, data, len);
    reply->len += len;
}

static void put_address(struct reply *reply, int type, uint32_t ttl, const char *text)
{
    uint8_t head[12] = {0xc0,
                        12,
                        0,
                        (uint8_t)type,
                        0,
                        1,
                        (uint8_t)(ttl >> 24),
                        (uint8_t)(ttl >> 16),
                        (uint8_t)(ttl >> 8),
                        (uint8_t)ttl,
                        0,
                        type == TYPE_A ? 4 : 16};
    uint8_t raw[16];
    assert_int_equal(inet_pton(type == TYPE_A ? AF_INET : AF_INET6, text, raw), 1);
    put(reply, head, sizeof(head));
    put(reply, raw, head[11]);
    reply->answers++;
}

/* False: says nothing. */
static bool answer_for(const char *name, int type, struct reply *reply, int *rcode)
{
    if (strcasecmp(name, "both.test") == 0) {
        put_address(reply, type, 60, type == TYPE_A ? "192.0.2.1" : "2001:db8::1");
    } else if (strcasecmp(name, "only4.test") == 0) {
        if (type == TYPE_A)
            put_address(reply, type, 60, "192.0.2.4");
    } else if (strcasecmp(name, "short.test") == 0) {
        if (type == TYPE_A)
            put_address(reply, type, 0, "192.0.2.5");
    } else if (strcasecmp(name, "half.test") == 0) {
        if (type == TYPE_AAAA)
            return false;
        put_address(reply, type, 3600, "192.0.2.6");
    } else if (strcasecmp(name, "many.test") == 0) {
        for (int i = 0; i < 20; i++)
            put_address(reply, type, 60, type == TYPE_A ? "192.0.2.7" : "2001:db8::7");
    } else if (strncasecmp(name, "kept", 4) == 0) {
        if (type == TYPE_A)
            put_address(reply, type, 60, "192.0.2.8");
    } else if (strcasecmp(name, "silent.test") == 0) {
        return false;
    } else {
        *rcode = RCODE_NXDOMAIN;
    }
    return true;
}

static void on_dns(void *arg, unsigned ready)
{
    uint8_t query[512];
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    char name[256] = "";
    struct reply reply = {.len = 0};
    int rcode = 0;
    (void)arg;
    (void)ready;
    ssize_t n = recvfrom(dns_fd, query, sizeof(query), 0, (struct sockaddr *)&from, &from_len);
    if (n < 17)
        return;
    asked++;
    size_t at = 12, out = 0;
    while (query[at] != 0) {
        memcpy(name + out, query + at + 1, query[at]);
        out += query[at];
        at += 1u + query[at];
        name[out++] = '.';
    }
    name[out - 1] = '\0';
    int type = query[at + 2];
    put(&reply, query, at + 5); /* head and question as they came */
    if (!answer_for(name, type, &reply, &rcode))
        return;
    reply.bytes[2] = 0x81;
    reply.bytes[3] = (uint8_t)(0x80 | rcode);
    reply.bytes[7] = (uint8_t)reply.answers;
    memset(reply.bytes + 8, 0, 4);
    sendto(dns_fd, reply.bytes, reply.len, 0, (struct sockaddr *)&from, from_len);
}

/* ---- the client ---- */

struct result {
    int calls;
    size_t count;
    struct addr addrs[RESOLVE_ADDRS_MAX];
    enum err_code code;
    char message[512];
};

static void on_result(void *arg, const struct addr *addrs, size_t count, const struct err *why)
{
    struct result *result = arg;
    result->calls++;
    result->count = count;
    assert_true((count > 0) == (why == NULL));
    if (count)
        memcpy(result->addrs, addrs, count * sizeof(*addrs));
    if (why) {
        result->code = why->code;
        snprintf(result->message, sizeof(result->message), "%s", why->message);
    }
}

static struct result resolve(const char *name)
{
    struct result result = {0};
    assert_non_null(resolve_start(resolver, span_of(name), 443, on_result, &result));
    assert_int_equal(result.calls, 0); /* never from within the call */
    while (result.calls == 0)
        loop_turn(loop, true);
    loop_turn(loop, false);
    assert_int_equal(result.calls, 1);
    return result;
}

static void assert_addr(const struct addr *addr, const char *text)
{
    char shown[ADDR_TEXT_BYTES];
    addr_format_port(addr, shown);
    assert_string_equal(shown, text);
}

static int setup(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    (void)state;
    loop = loop_new(&err);
    resolver = loop ? resolver_new(loop, &err) : NULL;
    if (!resolver)
        return -1;
    dns_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(dns_fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
        getsockname(dns_fd, (struct sockaddr *)&at, &len) != 0)
        return -1;
    dns_addr =
        (struct addr){.family = ADDR_V4, .bytes = {127, 0, 0, 1}, .port = ntohs(at.sin_port)};
    watch_init(&dns_watch, loop, dns_fd, on_dns, NULL);
    watch_set(&dns_watch, WATCH_READ);
    asked = 0;
    const struct resolve_host hosts[] = {
        {"localhost", {.family = ADDR_V6, .bytes = {[15] = 1}}},
        {"git.corp", {.family = ADDR_V4, .bytes = {10, 0, 0, 9}}},
        {"localhost", {.family = ADDR_V4, .bytes = {127, 0, 0, 1}}},
    };
    return resolver_configure(resolver, &dns_addr, 1, hosts, COUNT(hosts), &err) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    watch_stop(&dns_watch);
    close(dns_fd);
    resolver_free(resolver);
    for (int i = 0; i < 3; i++)
        loop_turn(loop, false); /* libevent gives back what it still held */
    loop_free(loop);
    return 0;
}

static void test_both_families(void **state)
{
    (void)state;
    struct result result = resolve("both.test");
    assert_int_equal(result.count, 2);
    assert_addr(&result.addrs[0], "192.0.2.1:443");
    assert_addr(&result.addrs[1], "[2001:db8::1]:443");
    result = resolve("only4.test");
    assert_int_equal(result.count, 1);
    assert_addr(&result.addrs[0], "192.0.2.4:443");
}

static void test_literals(void **state)
{
    (void)state;
    struct result result = resolve("198.51.100.7");
    assert_int_equal(result.count, 1);
    assert_addr(&result.addrs[0], "198.51.100.7:443");
    result = resolve("2001:db8::8");
    assert_addr(&result.addrs[0], "[2001:db8::8]:443");
    assert_int_equal(asked, 0);
}

static void test_hosts_table(void **state)
{
    (void)state;
    struct result result = resolve("localhost");
    assert_int_equal(result.count, 2);
    assert_addr(&result.addrs[0], "127.0.0.1:443"); /* IPv4 first */
    assert_addr(&result.addrs[1], "[::1]:443");
    result = resolve("git.corp");
    assert_addr(&result.addrs[0], "10.0.0.9:443");
    result = resolve("other.localhost");
    assert_int_equal(result.code, ERR_UPSTREAM);
    result = resolve("printer.local");
    assert_int_equal(result.code, ERR_UPSTREAM);
    assert_int_equal(asked, 0); /* none of these is anyone else's business */
}

static void test_cache(void **state)
{
    (void)state;
    resolve("both.test");
    assert_int_equal(asked, 2);
    struct result result = resolve("both.test");
    assert_int_equal(result.count, 2);
    assert_addr(&result.addrs[0], "192.0.2.1:443");
    assert_int_equal(asked, 2);
    uint64_t wall = clock_wall_ms(), mono = clock_mono_ms();
    clock_fake(wall, mono + RESOLVE_TTL_MAX_S * 1000 + 1);
    resolve("both.test");
    assert_int_equal(asked, 4); /* 60 seconds were said, 30 are believed */
    clock_fake(0, 0);
    resolve("short.test");
    resolve("short.test");
    assert_int_equal(asked, 8); /* a time of zero is not kept */
    assert_true(resolver_configure(resolver, &dns_addr, 1, NULL, 0, &err));
    resolve("both.test");
    assert_int_equal(asked, 10);
}

/* So many names are kept, and one more takes another's place. */
static void test_cache_is_bounded(void **state)
{
    (void)state;
    char name[32];
    for (int i = 0; i < RESOLVE_CACHE_NAMES; i++) {
        snprintf(name, sizeof(name), "kept%d.test", i);
        resolve(name);
    }
    assert_int_equal(asked, 2 * RESOLVE_CACHE_NAMES);
    for (int i = 0; i < RESOLVE_CACHE_NAMES; i++) {
        snprintf(name, sizeof(name), "kept%d.test", i);
        resolve(name);
    }
    assert_int_equal(asked, 2 * RESOLVE_CACHE_NAMES); /* all of them were there */
    resolve("kept-more.test");
    resolve("kept-more.test");
    assert_int_equal(asked, 2 * RESOLVE_CACHE_NAMES + 2);
    for (int i = RESOLVE_CACHE_NAMES; i-- > 0;) {
        snprintf(name, sizeof(name), "kept%d.test", i);
        resolve(name);
    }
    assert_true(asked > 2 * RESOLVE_CACHE_NAMES + 2);
}

static void test_unknown_name(void **state)
{
    (void)state;
    struct result result = resolve("none.test");
    assert_int_equal(result.count, 0);
    assert_int_equal(result.code, ERR_UPSTREAM);
    assert_string_equal(result.message, "no such host: none.test");
}

static void test_one_family_is_silent(void **state)
{
    (void)state;
    uint64_t before = clock_mono_ms();
    struct result result = resolve("half.test");
    assert_int_equal(result.count, 1);
    assert_addr(&result.addrs[0], "192.0.2.6:443");
    assert_true(clock_mono_ms() - before < 2000); /* not the whole time limit */
}

static void test_silence(void **state)
{
    (void)state;
    uint64_t before = clock_mono_ms();
    struct result result = resolve("silent.test");
    assert_int_equal(result.code, ERR_TIMEOUT);
    assert_in_range(clock_mono_ms() - before, 3000, RESOLVE_TIMEOUT_MS + 500);
}

static void limit_resolve_ms(void **state)
{
    (void)state;
    resolver_timeout(resolver, 400);
    uint64_t before = clock_mono_ms();
    struct result result = resolve("silent.test");
    assert_int_equal(result.code, ERR_TIMEOUT);
    uint64_t took = clock_mono_ms() - before;
    resolver_timeout(resolver, RESOLVE_TIMEOUT_MS);
    assert_in_range(took, 300, 2500);
}

static void test_many_addresses(void **state)
{
    (void)state;
    struct result result = resolve("many.test");
    assert_int_equal(result.count, RESOLVE_ADDRS_MAX);
}

static void test_bad_names(void **state)
{
    (void)state;
    char label[80], longest[300];
    memset(label, 'a', 64);
    snprintf(label + 64, sizeof(label) - 64,
             ".test"); /* a label of 64 bytes: nobody can be asked for it */
    assert_int_equal(resolve(label).count, 0);
    memset(longest, 'a', sizeof(longest));
    longest[254] = '\0';
    assert_int_equal(resolve(longest).code, ERR_DATA);
    assert_int_equal(resolve("").code, ERR_DATA);
    assert_int_equal(asked, 0);
}

static void test_cancel(void **state)
{
    (void)state;
    struct result result = {0};
    struct resolve_query *query = resolve_start(resolver, SPAN("both.test"), 1, on_result, &result);
    resolve_cancel(query);
    query = resolve_start(resolver, SPAN("git.corp"), 1, on_result, &result); /* known at once */
    resolve_cancel(query);
    query = resolve_start(resolver, SPAN("silent.test"), 1, on_result, &result);
    loop_turn(loop, true);
    resolve_cancel(query);
    resolve_cancel(NULL);
    for (int i = 0; i < 10; i++)
        loop_turn(loop, false);
    assert_int_equal(result.calls, 0);
    assert_int_equal(resolve("both.test").count, 2);
}

static void test_too_many(void **state)
{
    (void)state;
    static struct result results[RESOLVE_QUERIES_MAX + 1];
    static struct resolve_query *queries[RESOLVE_QUERIES_MAX + 1];
    for (int i = 0; i <= RESOLVE_QUERIES_MAX; i++)
        queries[i] = resolve_start(resolver, SPAN("silent.test"), 1, on_result, &results[i]);
    loop_turn(loop, true);
    assert_int_equal(results[RESOLVE_QUERIES_MAX].calls, 1);
    assert_int_equal(results[RESOLVE_QUERIES_MAX].code, ERR_LIMIT);
    assert_int_equal(results[0].calls, 0);
    for (int i = 0; i < RESOLVE_QUERIES_MAX; i++)
        resolve_cancel(queries[i]);
    for (int i = 0; i < 10; i++)
        loop_turn(loop, false);
}

static void test_no_servers(void **state)
{
    (void)state;
    assert_true(resolver_configure(resolver, NULL, 0, NULL, 0, &err));
    struct result result = resolve("both.test");
    assert_int_equal(result.code, ERR_UPSTREAM);
    assert_non_null(strstr(result.message, "no name server"));
    assert_int_equal(resolve("localhost").code, ERR_UPSTREAM);
}

static void test_freed_with_queries(void **state)
{
    struct result result = {0};
    assert_non_null(resolve_start(resolver, SPAN("silent.test"), 1, on_result, &result));
    assert_non_null(resolve_start(resolver, SPAN("both.test"), 1, on_result, &result));
    loop_turn(loop, true);
    resolver_free(resolver);
    resolver = resolver_new(loop, &err);
    assert_non_null(resolver);
    for (int i = 0; i < 10; i++)
        loop_turn(loop, false);
    assert_int_equal(result.calls, 0);
    (void)state;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_both_families),
        T(test_literals),
        T(test_hosts_table),
        T(test_cache),
        T(test_cache_is_bounded),
        T(test_unknown_name),
        T(test_one_family_is_silent),
        T(test_silence),
        T(limit_resolve_ms),
        T(test_many_addresses),
        T(test_bad_names),
        T(test_cancel),
        T(test_too_many),
        T(test_no_servers),
        T(test_freed_with_queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
