/* The snapshot: files loaded as one, the document there and back, and the decision that both sides take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "core/base/file.h"
#include "core/data/snapshot.h"
#include "tls/crypto.h"

static char home[64];

static int setup(void **state)
{
    (void)state;
    memcpy(home, "/tmp/aileron-snapshot.XXXXXX", 29);
    return mkdtemp(home) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    struct err err;
    return file_remove_tree(home, &err) ? 0 : -1;
}

static void put(const char *name, const char *text)
{
    struct err err;
    AUTOFREE char *path = file_join(home, name);
    assert_true(file_write_atomic(path, 0600, text, strlen(text), &err));
}

static const char policy_text[] =
    "version: 1\n"
    "rules:\n"
    "  - { name: issues, host: api.github.com, paths: ['/issues/**'], action: allow, credential: user/other }\n"
    "  - { name: public, host: api.github.com, paths: ['/public/**'], action: allow, credential: none }\n"
    "  - { name: gists, host: api.github.com, paths: ['/gists/**'], action: allow, credential: narrow }\n"
    "  - { name: no, host: bad.example, action: deny }\n"
    "  - { name: pinned, host: pinned.example, action: allow, credential: none }\n";
static const char bindings_text[] =
    "version: 1\n"
    "bindings:\n"
    "  - { name: user/github, hosts: [api.github.com, pinned.example, bad.example], scheme: bearer,\n"
    "      sentinel: { env: [GH_TOKEN], like: ghp_ } }\n"
    "  - { name: user/other, hosts: [api.github.com], methods: [PATCH], scheme: bearer }\n"
    "  - { name: narrow, hosts: [api.github.com], paths: ['/gists/mine/**'], scheme: bearer }\n"
    "  - { name: by-path, hosts: [paths.example], paths: ['/v1/**'], scheme: bearer }\n";

static struct rules *load(struct err *err)
{
    *err = (struct err){0};
    return rules_load(home, err);
}

static struct rules *load_good(void)
{
    struct err err;
    struct rules *rules = load(&err);
    if (!rules)
        fail_msg("%s", err.message);
    return rules;
}

static void nothing_there_means_defaults(void **state)
{
    (void)state;
    struct rules *rules = load_good();
    assert_int_equal(bindings_count(rules->bindings), 0);
    assert_int_equal(rules->catalogue->count, 0);
    rules_unref(rules);
}

static void files_are_checked_together(void **state)
{
    (void)state;
    struct err err;
    put("policy.yaml", policy_text);
    assert_null(load(&err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_memory_equal(err.message, "policy.yaml:3:93: rules[0].credential: there is no binding named user/other", 75);
    put("bindings.yaml", "version: 1\nbindings:\n  - { name: user/other, hosts: [b.example], scheme: bearer }\n");
    assert_null(load(&err));
    assert_non_null(strstr(err.message, "binding user/other does not go to this rule's host"));
    put("bindings.yaml", bindings_text);
    rules_unref(load_good());
    put("bindings.yaml", "version: 1\nbindings: [\n");
    assert_null(load(&err));
    assert_memory_equal(err.message, "bindings.yaml:3:1: not valid YAML", 33);
    put("bindings.yaml", bindings_text);
    put("config.yaml", "version: 1\nx: 1\n");
    assert_null(load(&err));
    assert_string_equal(err.message, "config.yaml:2:1: x: unknown key");
    AUTOFREE char *path = file_join(home, "config.yaml");
    assert_true(file_remove_tree(path, &err));
    assert_true(file_mkdirs(path, 0700, &err)); /* unreadable is not the same as missing */
    assert_null(load(&err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.message, "config.yaml"));
}

static struct snapshot *make(void)
{
    struct err err;
    JSON_AUTO json_t *env = json_object();
    put("policy.yaml", policy_text);
    put("bindings.yaml", bindings_text);
    put("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    put("config.yaml", "version: 1\ntls: { ca_file: ca.pem }\nupstreams:\n"
                       "  - { host: up.test, ca_file: ca.pem, address: '127.0.0.1:8443' }\n");
    put("hosts", "127.0.0.1 localhost # me\n::1\tLocalHost ip6\nfe80::1%eth0 zone\nbad line\n"
                 "#10.0.0.1 no\n10.1.1.1 Some.Host. other_host b*d\n");
    put("resolv", "# x\nsearch a.b\nnameserver 10.0.0.53\nnameserver fe80::1%eth0\nnameserver ::1\n");
    AUTOFREE char *hosts = file_join(home, "hosts"), *resolv = file_join(home, "resolv");
    struct rules *rules = load_good();
    struct snapshot *snapshot = snapshot_new(rules);
    rules_unref(rules);
    free(snapshot->session);
    snapshot->session = mem_strdup("01ARZ3NDEKTSV4RRFFQ69G5FAV");
    crypto_sha256("token", 5, snapshot->token_hash);
    if (!snapshot_add_host_files(snapshot, hosts, resolv, &err) ||
        !snapshot_add_roots(snapshot, SPAN("ROOTS\n"), &err))
        fail_msg("%s", err.message);
    snapshot_mint_sentinels(snapshot, env);
    assert_string_equal(json_string_value(json_object_get(env, "GH_TOKEN")), snapshot->sentinels[0].value);
    snapshot->ca_cert_pem = mem_strdup("-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n");
    snapshot->ca_key_pem = mem_strdup("-----BEGIN EC PRIVATE KEY-----\nKEY+/=\n-----END EC PRIVATE KEY-----\n");
    return snapshot;
}

static void there_and_back(void **state)
{
    (void)state;
    struct err err;
    struct buf bytes;
    struct snapshot *a = make();
    if (!snapshot_write(a, &bytes, &err))
        fail_msg("%s", err.message);
    struct snapshot *b = snapshot_parse(bytes.data, bytes.len, &err);
    if (!b)
        fail_msg("%s", err.message);
    buf_wipe(&bytes);
    assert_string_equal(b->session, a->session);
    assert_string_equal(b->ca_key_pem, a->ca_key_pem);
    assert_string_equal(b->ca_cert_pem, a->ca_cert_pem);
    assert_string_equal(b->roots_pem, a->roots_pem);
    assert_non_null(strstr(b->roots_pem, "ROOTS\n\n-----BEGIN"));
    assert_int_equal(b->upstream_root_count, 1);
    assert_string_equal(b->upstream_roots[0].host, "up.test");
    assert_true(b->sealed);
    assert_int_equal(b->host_count, 5);
    assert_string_equal(b->hosts[1].name, "localhost");
    assert_int_equal(b->hosts[1].addr.family, ADDR_V6);
    assert_string_equal(b->hosts[3].name, "some.host");
    assert_int_equal(b->resolver_count, 2);
    assert_int_equal(b->resolvers[0].port, 53);
    assert_int_equal(b->sentinel_count, 1);
    assert_string_equal(b->sentinels[0].value, a->sentinels[0].value);
    assert_true(snapshot_token_ok(b, SPAN("token")));
    assert_false(snapshot_token_ok(b, SPAN("tokeN")));
    assert_false(snapshot_token_ok(b, SPAN("")));
    assert_non_null(config_upstream(b->rules->config, SPAN("up.test"), 443));
    snapshot_free(a);
    snapshot_free(b);
}

static void damaged_documents(void **state)
{
    (void)state;
    struct err err;
    struct buf bytes;
    struct snapshot *a = make();
    assert_true(snapshot_write(a, &bytes, &err));
    assert_null(snapshot_parse(bytes.data, bytes.len - 1, &err));
    assert_null(snapshot_parse("{}", 2, &err));
    assert_null(snapshot_parse("[]", 2, &err));
    const char *document = buf_cstr(&bytes) + strlen(buf_cstr(&bytes)) + 1; /* behind the roots */
    assert_null(snapshot_parse(document, bytes.len - (size_t)(document - buf_cstr(&bytes)), &err));
    char *at = strstr(document, "\"token_hash\":\"");
    at[16] = 'x';
    assert_null(snapshot_parse(bytes.data, bytes.len, &err));
    assert_non_null(strstr(err.message, "token_hash"));
    buf_wipe(&bytes);
    snapshot_free(a);
}

static struct decision decide(const struct snapshot *snapshot, const char *host, const char *method,
                              const char *path, bool ambiguous)
{
    struct match_query query = {.host = span_of(host), .port = 443, .ambiguous = ambiguous};
    struct decision out;
    if (method)
        query.method = span_of(method);
    if (path)
        query.path = span_of(path);
    snapshot_decide(snapshot, &query, &out);
    return out;
}

static void decisions(void **state)
{
    (void)state;
    struct snapshot *snapshot = make();
    struct decision out = decide(snapshot, "api.github.com", "GET", "/user", false);
    assert_int_equal(out.action, POLICY_ALLOW); /* a binding applies by itself */
    assert_string_equal(out.binding->name, "user/github");
    out = decide(snapshot, "api.github.com", "GET", "/public/x", false);
    assert_int_equal(out.action, POLICY_ALLOW); /* the rule says none */
    assert_null(out.binding);
    out = decide(snapshot, "api.github.com", "PATCH", "/issues/1", false);
    assert_string_equal(out.binding->name, "user/other");
    out = decide(snapshot, "api.github.com", "GET", "/issues/1", false);
    assert_int_equal(out.action, POLICY_DENY); /* named, but not for GET: never another instead */
    assert_null(out.binding);
    assert_non_null(out.reason);
    out = decide(snapshot, "api.github.com", "GET", "/gists/mine/1", false);
    assert_string_equal(out.binding->name, "narrow");
    out = decide(snapshot, "api.github.com", "GET", "/gists/yours/1", false);
    assert_int_equal(out.action, POLICY_DENY);
    out = decide(snapshot, "api.github.com", "GET", "//user", true);
    assert_int_equal(out.action, POLICY_DENY);
    assert_true(out.ambiguous);
    out = decide(snapshot, "paths.example", "GET", "/v1/x", false);
    assert_string_equal(out.binding->name, "by-path");
    out = decide(snapshot, "paths.example", "GET", "/v2", false);
    assert_true(out.action == POLICY_ALLOW && !out.binding);
    out = decide(snapshot, "paths.example", "GET", "//v1/x", true); /* with it or without? neither */
    assert_true(out.action == POLICY_DENY && out.ambiguous);
    out = decide(snapshot, "bad.example", "GET", "/", false);
    assert_int_equal(out.action, POLICY_DENY); /* denied hosts get no credential */
    assert_null(out.binding);
    assert_string_equal(out.rule, "no");
    out = decide(snapshot, "else.example", "GET", "//x", true);
    assert_int_equal(out.action, POLICY_ALLOW);
    assert_null(out.binding);
    snapshot_free(snapshot);
}

static void what_must_be_opened(void **state)
{
    (void)state;
    struct snapshot *snapshot = make();
    assert_true(snapshot_needs_inside(snapshot, SPAN("api.github.com"), 443));
    assert_false(snapshot_needs_inside(snapshot, SPAN("pinned.example"), 443));
    assert_false(snapshot_needs_inside(snapshot, SPAN("bad.example"), 443));
    assert_false(snapshot_needs_inside(snapshot, SPAN("else.example"), 443));
    snapshot_free(snapshot);
}

static void bad_ca_files(void **state)
{
    (void)state;
    struct err err;
    struct snapshot *snapshot = make();
    put("ca.pem", "no certificate");
    assert_false(snapshot_add_roots(snapshot, SPAN("ROOTS"), &err));
    assert_int_equal(err.code, ERR_CONFIG);
    AUTOFREE char *path = file_join(home, "ca.pem");
    assert_true(file_remove_tree(path, &err));
    assert_false(snapshot_add_roots(snapshot, SPAN("ROOTS"), &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.message, "ca_file"));
    assert_non_null(snapshot->roots_pem); /* what was there stays */
    assert_null(rules_load(home, &err)); /* and no session is made to find out */
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.message, "ca_file"));
    snapshot_free(snapshot);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
/* Names of /etc/hosts and name servers: the first ones are used. */
static void a_host_file_is_bounded(void **state)
{
    (void)state;
    struct err err;
    for (int more = 0; more < 2; more++) {
        struct buf text;
        buf_init(&text, 1024 * 1024);
        for (int i = 0; i < SNAPSHOT_HOSTS_MAX + more; i++)
            assert_true(buf_printf(&text, "10.0.0.1 h%d.test\n", i));
        put("hosts", buf_cstr(&text));
        buf_clear(&text);
        for (int i = 0; i < SNAPSHOT_RESOLVERS_MAX + more; i++)
            assert_true(buf_printf(&text, "nameserver 10.0.0.%d\n", i + 1));
        put("resolv", buf_cstr(&text));
        buf_clear(&text);
        AUTOFREE char *hosts = file_join(home, "hosts"), *resolv = file_join(home, "resolv");
        struct rules *rules = load_good();
        struct snapshot *snapshot = snapshot_new(rules);
        rules_unref(rules);
        assert_true(snapshot_add_host_files(snapshot, hosts, resolv, &err));
        assert_int_equal(snapshot->host_count, SNAPSHOT_HOSTS_MAX);
        assert_string_equal(snapshot->hosts[SNAPSHOT_HOSTS_MAX - 1].name, "h4095.test");
        assert_int_equal(snapshot->resolver_count, SNAPSHOT_RESOLVERS_MAX);
        snapshot_free(snapshot);
    }
}

/* A session's rules as a worker reads them, padded to the bound and one above. */
static void rules_are_bounded(void **state)
{
    (void)state;
    struct err err;
    struct buf bytes;
    struct snapshot *a = make();
    assert_true(snapshot_write(a, &bytes, &err));
    AUTOFREE char *text = mem_alloc(SNAPSHOT_MAX + 2);
    memset(text, ' ', SNAPSHOT_MAX + 1);
    memcpy(text, bytes.data, bytes.len);
    struct snapshot *b = snapshot_parse(text, SNAPSHOT_MAX, &err);
    assert_non_null(b);
    assert_null(snapshot_parse(text, SNAPSHOT_MAX + 1, &err));
    snapshot_free(b);
    buf_wipe(&bytes);
    snapshot_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_there_means_defaults), TEST(files_are_checked_together), TEST(there_and_back),
        TEST(damaged_documents), TEST(decisions), TEST(what_must_be_opened), TEST(bad_ca_files),
        cmocka_unit_test_setup_teardown(a_host_file_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(rules_are_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
