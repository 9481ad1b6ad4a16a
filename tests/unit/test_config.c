/* config.yaml: defaults, every key of the contract, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdlib.h>

#include "core/base/file.h"
#include "core/data/config.h"
#include "core/data/yaml.h"

static struct config *load(const char *yaml, struct err *err)
{
    struct doc doc;
    *err = (struct err){0};
    if (!yaml_parse(yaml, strlen(yaml), "config.yaml", &doc, err))
        return NULL;
    struct json_at root = json_root(&doc);
    struct config *config = config_from(&root, "/home/x/.aileron", err);
    doc_clear(&doc);
    return config;
}

/* The block of the design, word for word. */
static const char contract[] =
    "version: 1\n"
    "sandbox:   { runtime: auto, network: sealed, image: \"\", memory: 4g, pids: 512, read_only: false }\n"
    "tls:       { ca_file: \"\", min_version: \"1.2\" }        # ca_file: added to the system's roots\n"
    "upstreams:                                            # per host, all optional\n"
    "  - { host: git.corp.example, ca_file: corp.pem, client_cert: user/corp-mtls }\n"
    "network:   { upstream_proxy: \"\", capture_ports: [80, 443] }\n"
    "approvals: { hold: 120s, expire: 7d, notify: [] }     # notify: a command\n"
    "vault:     { cache: none, cache_timeout: 8h }         # or: keyring\n"
    "audit:     { anchor: [], retention: 0 }\n"
    "daemon:    { page: true, workers_per_session: 1 }\n"
    "limits:    { }                                        # names as in aileron(7)\n";

static void same(const struct config *a, const struct config *b)
{
    assert_string_equal(a->sandbox.runtime, b->sandbox.runtime);
    assert_string_equal(a->sandbox.network, b->sandbox.network);
    assert_string_equal(a->sandbox.image, b->sandbox.image);
    assert_int_equal(a->sandbox.memory_bytes, b->sandbox.memory_bytes);
    assert_int_equal(a->sandbox.pids, b->sandbox.pids);
    assert_int_equal(a->sandbox.read_only, b->sandbox.read_only);
    assert_null(a->tls.ca_file);
    assert_int_equal(a->tls.tls13_only, b->tls.tls13_only);
    assert_int_equal(a->network.capture_port_count, b->network.capture_port_count);
    assert_memory_equal(a->network.capture_ports, b->network.capture_ports, 4);
    assert_int_equal(a->approvals.hold_ms, b->approvals.hold_ms);
    assert_int_equal(a->approvals.expire_ms, b->approvals.expire_ms);
    assert_int_equal(a->vault.cache_timeout_ms, b->vault.cache_timeout_ms);
    assert_int_equal(a->daemon.page, b->daemon.page);
    assert_int_equal(a->daemon.workers_per_session, b->daemon.workers_per_session);
    assert_memory_equal(a->limits, b->limits, sizeof a->limits);
}

static void the_contract_is_the_defaults(void **state)
{
    (void)state;
    struct err err;
    struct config *config = load(contract, &err), *defaults = config_from(NULL, "/", &err);
    if (!config)
        fail_msg("%s", err.message);
    same(config, defaults);
    assert_int_equal(config->sandbox.memory_bytes, (uint64_t)4 << 30);
    assert_int_equal(config->approvals.hold_ms, 120000);
    assert_false(config->approvals.notify_link);
    assert_int_equal(config->upstream_count, 1);
    assert_string_equal(config->upstreams[0].ca_file, "/home/x/.aileron/corp.pem");
    assert_string_equal(config->upstreams[0].client_cert, "user/corp-mtls");
    config_free(config);
    config_free(defaults);
}

static void other_values(void **state)
{
    (void)state;
    struct err err;
    struct config *config = load(
        "version: 1\n"
        "sandbox: { runtime: bwrap, network: open, image: 'x:1', memory: 512m, pids: 64, read_only: true,\n"
        "  remote_listen: '10.1.2.3:7400' }\n"
        "tls: { ca_file: /etc/ca.pem, min_version: '1.3' }\n"
        "upstreams:\n"
        "  - { host: A.test, address: '127.0.0.1:8443' }\n"
        "  - { host: b.test, port: 8443, address: '::1' }\n"
        "network: { capture_ports: [], resolvers: ['10.0.0.53', '10.0.0.54:5353'] }\n"
        "approvals: { hold: 1m, notify: [notify-send, aileron], notify_link: true }\n"
        "vault: { cache: keyring }\n"
        "audit: { anchor: [tee, x], retention: 90 }\n"
        "daemon: { page: false, workers_per_session: 2 }\n"
        "limits: { idle_ms: 5000, connections: 100 }\n", &err);
    if (!config)
        fail_msg("%s", err.message);
    assert_string_equal(config->sandbox.runtime, "bwrap");
    assert_int_equal(config->sandbox.memory_bytes, 512 << 20);
    assert_int_equal(config->sandbox.remote_listen.family, ADDR_V4);
    assert_int_equal(config->sandbox.remote_listen.port, 7400);
    assert_true(config->approvals.notify_link);
    assert_string_equal(config->tls.ca_file, "/etc/ca.pem");
    assert_true(config->tls.tls13_only);
    const struct config_upstream *a = config_upstream(config, SPAN("a.test"), 443);
    assert_non_null(a);
    assert_true(a->has_address && a->address.port == 8443);
    assert_null(config_upstream(config, SPAN("b.test"), 443));
    assert_non_null(config_upstream(config, SPAN("b.test"), 8443));
    assert_int_equal(config->network.capture_port_count, 0);
    assert_int_equal(config->network.resolvers[0].port, 53);
    assert_int_equal(config->network.resolvers[1].port, 5353);
    assert_string_equal(config->approvals.notify[0], "notify-send");
    assert_true(config->vault.cache_keyring);
    assert_int_equal(config->audit.retention_days, 90);
    assert_int_equal(config->limits[LIMIT_IDLE_MS], 5000);
    assert_int_equal(config->limits[LIMIT_CONNECTIONS], 100);
    config_free(config);
}

static bool proxied(const struct config *config, const char *host, const char *address)
{
    struct addr addr;
    if (address)
        assert_true(addr_parse_port(span_of(address), &addr));
    return config_proxy_for(&config->network.proxy, span_of(host), &addr, address ? 1 : 0);
}

static void a_proxy_and_its_exceptions(void **state)
{
    (void)state;
    struct err err;
    struct config *config = load("version: 1\nnetwork:\n"
                                 "  upstream_proxy: 'http://Proxy.Corp.example:3128/'\n"
                                 "  upstream_proxy_credential: user/corp\n"
                                 "  upstream_proxy_resolves: true\n"
                                 "  no_proxy: [Direct.test, '*.below.test', 10.0.0.0/8, '::1', 192.0.2.7]\n", &err);
    if (!config)
        fail_msg("%s", err.message);
    const struct config_proxy *proxy = &config->network.proxy;
    assert_string_equal(proxy->host, "proxy.corp.example");
    assert_int_equal(proxy->port, 3128);
    assert_string_equal(proxy->credential, "user/corp");
    assert_true(proxy->resolves);
    assert_true(proxied(config, "a.test", NULL));
    assert_true(proxied(config, "a.test", "203.0.113.1"));
    assert_false(proxied(config, "direct.test", NULL));
    assert_false(proxied(config, "direct.test", "203.0.113.1"));
    assert_true(proxied(config, "a.direct.test", NULL));
    assert_true(proxied(config, "below.test", NULL));
    assert_false(proxied(config, "a.b.below.test", NULL));
    assert_false(proxied(config, "a.test", "10.1.2.3"));
    assert_false(proxied(config, "a.test", "::1"));
    assert_false(proxied(config, "192.0.2.7", "192.0.2.7"));
    assert_true(proxied(config, "192.0.2.8", "192.0.2.8"));
    struct addr both[2];
    assert_true(addr_parse(SPAN("10.1.2.3"), &both[0]) && addr_parse(SPAN("203.0.113.1"), &both[1]));
    assert_true(config_proxy_for(proxy, SPAN("a.test"), both, 2)); /* not all of them */
    config_free(config);
    config = load("version: 1\nnetwork: { upstream_proxy: 'http://[::1]:8080' }\n", &err);
    assert_non_null(config);
    assert_string_equal(config->network.proxy.host, "::1");
    assert_false(config->network.proxy.resolves);
    config_free(config);
    config = load("version: 1\nnetwork: { upstream_proxy: '', no_proxy: [a.test] }\n", &err);
    assert_non_null(config);
    assert_false(proxied(config, "b.test", NULL));
    config_free(config);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *message;
    } rows[] = {
        {"version: 1\nsandbox: { runtim: auto }\n", "config.yaml:2:12: sandbox.runtim: unknown key"},
        {"version: 1\nsandbox: { runtime: lxc }\n", "config.yaml:2:21: sandbox.runtime: must be auto, docker"},
        {"version: 1\nsandbox: { memory: lots }\n", "config.yaml:2:20: sandbox.memory: must be a size"},
        {"version: 1\nsandbox: { memory: 1m }\n", "config.yaml:2:20: sandbox.memory: must be at least"},
        {"version: 1\nsandbox: { remote_listen: myhost }\n", "config.yaml:2:27: sandbox.remote_listen: must be an"},
        {"version: 1\nsandbox: { remote_listen: 0.0.0.0 }\n", "config.yaml:2:27: sandbox.remote_listen: must be an"},
        {"version: 1\nsandbox: { pids: many }\n", "config.yaml:2:18: sandbox.pids: must be an integer"},
        {"version: 1\ntls: { min_version: '1.1' }\n", "config.yaml:2:21: tls.min_version: must be 1.2 or 1.3"},
        {"version: 1\ntls: { min_version: 1.2 }\n", "config.yaml:2:21: tls.min_version: must be a string"},
        {"version: 1\nupstreams:\n  - { ca_file: x }\n", "config.yaml:3:5: upstreams[0]: 'host' is missing"},
        {"version: 1\nupstreams:\n  - { host: a, address: b }\n", "config.yaml:3:25: upstreams[0].address: must be"},
        {"version: 1\nnetwork: { upstream_proxy: 'proxy:3128' }\n",
         "config.yaml:2:28: network.upstream_proxy: must be "},
        {"version: 1\nnetwork: { upstream_proxy: 'http://proxy' }\n",
         "config.yaml:2:28: network.upstream_proxy: must be "},
        {"version: 1\nnetwork: { upstream_proxy: 'http://proxy:1/x' }\n",
         "config.yaml:2:28: network.upstream_proxy: must"},
        {"version: 1\nnetwork: { upstream_proxy: 'https://proxy:1' }\n",
         "config.yaml:2:28: network.upstream_proxy: this "},
        {"version: 1\nnetwork: { upstream_proxy: 'http://u:s3cret@proxy:1' }\n",
         "config.yaml:2:28: network.upstream_proxy: must hold no user name or password: put them into the vault"},
        {"version: 1\nnetwork: { no_proxy: ['a/b'] }\n", "config.yaml:2:23: network.no_proxy[0]: must be a host"},
        {"version: 1\nnetwork: { no_proxy: [10.0.0.1/8] }\n", "config.yaml:2:23: network.no_proxy[0]: must be a host"},
        {"version: 1\nnetwork: { no_proxy: ['a.*'] }\n", "config.yaml:2:23: network.no_proxy[0]: must be one host"},
        {"version: 1\nnetwork: { capture_ports: [53] }\n", "config.yaml:2:28: network.capture_ports[0]: must be"},
        {"version: 1\napprovals: { hold: soon }\n", "config.yaml:2:20: approvals.hold: must be a duration"},
        {"version: 1\nvault: { cache: disk }\n", "config.yaml:2:17: vault.cache: must be none or keyring"},
        {"version: 1\naudit: { retention: -1 }\n", "config.yaml:2:21: audit.retention: must be from 0"},
        {"version: 1\ndaemon: { page: yes }\n", "config.yaml:2:17: daemon.page: must be true or false"},
        {"version: 1\nlimits: { idle: 1 }\n", "config.yaml:2:11: limits.idle: unknown key"},
        {"version: 1\nlimits: { idle_ms: 1 }\n", "config.yaml:2:20: limits.idle_ms: must be from 1000"},
        {"version: 1\ntls: 7\n", "config.yaml:2:6: tls: must be an object"},
        {"sandbox: {}\n", "config.yaml:1:1: 'version' is missing"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err;
        struct config *config = load(rows[i].yaml, &err);
        if (config)
            fail_msg("taken: %s", rows[i].yaml);
        assert_int_equal(err.code, ERR_CONFIG);
        if (strncmp(err.message, rows[i].message, strlen(rows[i].message)) != 0)
            fail_msg("%s\n  wanted %s", err.message, rows[i].message);
        assert_null(strstr(err.message, "s3cret"));
    }
}

/* ---- the table of limits ---- */

static bool somewhere(const char *pattern, const char *text)
{
    glob_t found = {0};
    bool there = false;
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc && !there; i++) {
        struct buf file;
        struct err err;
        assert_true(file_read(found.gl_pathv[i], 1024 * 1024, &file, &err));
        there = memmem(file.data, file.len, text, strlen(text)) != NULL;
        buf_clear(&file);
    }
    globfree(&found);
    return there;
}

/* Each limit is in the manual with its bounds and its default, and has a test of its own: tests/proxy/limit-NAME.case,
 * or a unit test limit_NAME. */
static void each_limit_is_told_and_tested(void **state)
{
    (void)state;
    for (int i = 0; i < LIMITS; i++) {
        const struct limit_row *row = limit_row((enum limit)i);
        AUTOFREE char *line = mem_printf("\n.It %s Ta %llu-%llu Ta %llu Ta ", row->name, (unsigned long long)row->least,
                                         (unsigned long long)row->most, (unsigned long long)row->fallback);
        AUTOFREE char *proxy_case = mem_printf("tests/proxy/limit-%s.case", row->name);
        AUTOFREE char *unit = mem_printf("static void limit_%s(void **state)", row->name);
        if (!somewhere("man/aileron.7", line))
            fail_msg("man/aileron.7 has no line%s", line);
        if (!file_exists(proxy_case) && !somewhere("tests/unit/test_*.c", unit))
            fail_msg("limits.%s has no test: neither %s nor a unit test limit_%s", row->name, proxy_case, row->name);
    }
}

/* What is written is taken at its bounds and refused one beyond them. */
static void each_limit_has_bounds(void **state)
{
    (void)state;
    for (int i = 0; i < LIMITS; i++) {
        const struct limit_row *row = limit_row((enum limit)i);
        const struct {
            uint64_t value;
            bool good;
        } tries[] = {{row->least, true}, {row->most, true}, {row->fallback, true}, {row->most + 1, false},
                     {row->least - 1, false}};
        for (size_t n = 0; n < COUNT(tries); n++) {
            struct err err;
            AUTOFREE char *text =
                mem_printf("version: 1\nlimits: { %s: %lld }\n", row->name, (long long)tries[n].value);
            struct config *config = load(text, &err);
            if ((config != NULL) != tries[n].good)
                fail_msg("%s: %s", text, err.message);
            if (config)
                assert_int_equal(config->limits[i], tries[n].value);
            config_free(config);
        }
    }
}

/* A list of `count` entries behind a key of network. */
static bool list_loads(const char *key, size_t count, const char *entry)
{
    struct buf text;
    struct err err;
    buf_init(&text, 64 * 1024);
    assert_true(buf_printf(&text, "version: 1\nnetwork: { %s: [", key));
    for (size_t i = 0; i < count; i++)
        assert_true(buf_printf(&text, "%s%s%zu", i ? ", " : "", entry, i + 1));
    assert_true(buf_adds(&text, "] }\n"));
    struct config *config = load(buf_cstr(&text), &err);
    buf_clear(&text);
    bool loaded = config != NULL;
    if (!loaded && !strstr(err.message, "has more than"))
        fail_msg("%s", err.message);
    config_free(config);
    return loaded;
}

static void lists_are_bounded(void **state)
{
    (void)state;
    assert_true(list_loads("no_proxy", CONFIG_NO_PROXY_MAX, "a.test"));
    assert_false(list_loads("no_proxy", CONFIG_NO_PROXY_MAX + 1, "a.test"));
    assert_true(list_loads("capture_ports", CONFIG_PORTS_MAX, "10"));
    assert_false(list_loads("capture_ports", CONFIG_PORTS_MAX + 1, "10"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contract_is_the_defaults),
        cmocka_unit_test(other_values),
        cmocka_unit_test(a_proxy_and_its_exceptions),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(each_limit_is_told_and_tested),
        cmocka_unit_test(each_limit_has_bounds),
        cmocka_unit_test(lists_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
