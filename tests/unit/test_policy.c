/* Policy: decisions by specificity, what must be opened, and every way in which a file can be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/data/policy.h"
#include "core/data/yaml.h"

static struct policy *load(const char *yaml, struct err *err)
{
    struct doc doc;
    *err = (struct err){0};
    if (!yaml_parse(yaml, strlen(yaml), "policy.yaml", &doc, err))
        return NULL;
    struct json_at root = json_root(&doc);
    struct policy *policy = policy_from(&root, err);
    doc_clear(&doc);
    return policy;
}

static struct policy *good(const char *yaml)
{
    struct err err;
    struct policy *policy = load(yaml, &err);
    if (!policy)
        fail_msg("%s", err.message);
    return policy;
}

static struct policy_decision decide(const struct policy *policy, const char *host, uint16_t port,
                                     const char *method, const char *path)
{
    struct match_query query = {.host = span_of(host), .port = port};
    struct policy_decision out;
    if (method)
        query.method = span_of(method);
    if (path)
        query.path = span_of(path);
    policy_decide(policy, &query, &out);
    return out;
}

static const char example[] =
    "version: 1\n"
    "network: { default: allow, private: deny, allow_private: ['10.1.2.3/32'] }\n"
    "rules:\n"
    "  - name: read the repository\n"
    "    host: api.github.com\n"
    "    methods: [GET, HEAD]\n"
    "    paths: ['/repos/acme/**']\n"
    "    action: allow\n"
    "    credential: user/github\n"
    "  - { host: api.github.com, action: deny, reason: only reading }\n"
    "  - { host: '*.internal.example', action: deny, reason: not from a sandbox }\n"
    "  - { host: '*.b.internal.example', action: allow, credential: none }\n"
    "  - { host: pay.example, methods: [POST], action: approve }\n"
    "exec:\n"
    "  default: allow\n"
    "  rules:\n"
    "    - { program: git, args: [push, '--force*'], action: approve }\n";

static void decides_by_specificity(void **state)
{
    (void)state;
    struct policy *policy = good(example);
    struct policy_decision out = decide(policy, "api.github.com", 443, "GET", "/repos/acme/x");
    assert_int_equal(out.action, POLICY_ALLOW);
    assert_string_equal(out.rule, "read the repository");
    assert_string_equal(out.credential, "user/github");
    out = decide(policy, "api.github.com", 443, "POST", "/repos/acme/x");
    assert_int_equal(out.action, POLICY_DENY);
    assert_string_equal(out.rule, "rules[1]");
    assert_string_equal(out.reason, "only reading");
    out = decide(policy, "api.github.com", 443, "GET", "/repos/acmex");
    assert_int_equal(out.action, POLICY_DENY);
    out = decide(policy, "a.b.internal.example", 80, "GET", "/");
    assert_int_equal(out.action, POLICY_ALLOW);
    out = decide(policy, "a.internal.example", 80, "GET", "/");
    assert_int_equal(out.action, POLICY_DENY);
    out = decide(policy, "pay.example", 443, "POST", "/");
    assert_int_equal(out.action, POLICY_APPROVE);
    out = decide(policy, "elsewhere.example", 443, "POST", "/");
    assert_int_equal(out.action, POLICY_ALLOW);
    assert_string_equal(out.rule, "network.default");
    policy_free(policy);
}

static void ties_go_to_the_stricter_then_the_first(void **state)
{
    (void)state;
    struct policy *policy = good("version: 1\nrules:\n"
                                 "  - { name: a, host: h.example, action: allow }\n"
                                 "  - { name: b, host: h.example, action: approve }\n"
                                 "  - { name: c, host: h.example, action: deny }\n"
                                 "  - { name: d, host: h.example, action: deny }\n");
    assert_string_equal(decide(policy, "h.example", 443, "GET", "/").rule, "c");
    policy_free(policy);
}

static void ambiguous_paths_meet_no_rule(void **state)
{
    (void)state;
    struct policy *policy = good(example);
    struct match_query query = {.host = SPAN("api.github.com"), .port = 443, .method = SPAN("GET"),
                                .path = SPAN("//repos/acme/x"), .ambiguous = true};
    struct policy_decision out;
    policy_decide(policy, &query, &out);
    assert_int_equal(out.action, POLICY_DENY);
    assert_true(out.ambiguous);
    query.host = SPAN("elsewhere.example"); /* no path rule: forwarded as it is */
    policy_decide(policy, &query, &out);
    assert_int_equal(out.action, POLICY_ALLOW);
    policy_free(policy);
}

static void one_byte_has_one_spelling(void **state)
{
    (void)state;
    struct policy *policy = good("version: 1\nrules:\n"
                                 "  - { name: a, host: h.example, action: deny,\n"
                                 "      paths: ['/v1/*:access', '/b%40c', '/d%2Ae*f'] }\n");
    static const char *const denied[] = {"/v1/x:access", "/v1/x%3Aaccess", "/b@c", "/b%40c", "/d*e1f", "/d%2Ae%2Af"};
    static const char *const allowed[] = {"/v1/x%2Faccess", "/v1/x", "/dxe1f", "/d%2A", "/b%2Ac"};
    for (size_t i = 0; i < COUNT(denied); i++)
        assert_int_equal(decide(policy, "h.example", 443, "GET", denied[i]).action, POLICY_DENY);
    for (size_t i = 0; i < COUNT(allowed); i++)
        assert_int_equal(decide(policy, "h.example", 443, "GET", allowed[i]).action, POLICY_ALLOW);
    policy_free(policy);
}

/* What a rule forbids is forbidden in either case of its letters; what one allows, in its own alone. */
static void letters_of_either_case(void **state)
{
    (void)state;
    struct policy *policy = good("version: 1\nnetwork: { default: deny }\n"
                                 "rules:\n"
                                 "  - { name: all, host: h.example, action: allow }\n"
                                 "  - { name: a, host: h.example, action: deny, paths: ['/repos/acme/s*t/**'] }\n"
                                 "  - { name: b, host: h.example, action: allow, paths: [/repos/acme/sort/Open/**] }\n"
                                 "  - { name: c, host: h.example, action: approve, paths: ['/Ask'] }\n"
                                 "  - { name: d, host: i.example, action: allow, paths: ['/open/**'] }\n"
                                 "  - { name: e, host: i.example, action: approve, paths: ['/Ask'] }\n");
    static const struct {
        const char *host, *path, *rule;
    } rows[] = {
        {"h.example", "/repos/acme/secret/x", "a"},    {"h.example", "/repos/ACME/Secret", "a"},
        {"h.example", "/Repos/acme/seCreT/x/y", "a"},  {"h.example", "/repos/acme/sort/Open/x", "b"},
        {"h.example", "/repos/acme/sort/open/x", "a"}, {"h.example", "/repos/ACME/sort/Open/x", "a"},
        {"h.example", "/ask", "c"},                   {"h.example", "/Ask", "c"},
        {"h.example", "/Ask/", "c"},                  {"h.example", "/ask//", "all"},
        {"h.example", "/asks", "all"},                {"i.example", "/open/x", "d"},
        {"i.example", "/OPEN/x", "network.default"},  {"i.example", "/Ask", "e"},
        {"i.example", "/ask", "network.default"}, /* nothing is wider than it was */
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        if (strcmp(decide(policy, rows[i].host, 443, "GET", rows[i].path).rule, rows[i].rule) != 0)
            fail_msg("%s%s", rows[i].host, rows[i].path);
    policy_free(policy);
}

static void what_must_be_opened(void **state)
{
    (void)state;
    struct policy *policy = good(example);
    assert_true(policy_needs_inside(policy, SPAN("api.github.com"), 443));
    assert_true(policy_needs_inside(policy, SPAN("pay.example"), 443));
    assert_false(policy_needs_inside(policy, SPAN("x.b.internal.example"), 443));
    assert_false(policy_needs_inside(policy, SPAN("x.internal.example"), 443));
    assert_false(policy_needs_inside(policy, SPAN("elsewhere.example"), 443));
    policy_free(policy);
    policy = good("version: 1\nrules:\n"
                  "  - { host: pinned.example.com, action: allow }\n"
                  "  - { host: '*.example.com', methods: [GET], action: allow }\n"
                  "  - { host: '*.example.com', port: 8443, action: approve }\n");
    assert_false(policy_needs_inside(policy, SPAN("pinned.example.com"), 443)); /* shadowed */
    assert_true(policy_needs_inside(policy, SPAN("x.example.com"), 443));
    policy_free(policy);
}

static void tunnels_pass_over_conditions(void **state)
{
    (void)state;
    struct policy *policy = good(example);
    assert_string_equal(decide(policy, "api.github.com", 443, NULL, NULL).rule, "rules[1]");
    assert_string_equal(decide(policy, "pay.example", 443, NULL, NULL).rule, "network.default");
    policy_free(policy);
}

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool own, allowed;
    } rows[] = {{"1.1.1.1", false, true},         {"10.1.2.3", false, true},
                {"10.1.2.4", false, false},       {"127.0.0.1", false, false},
                {"169.254.169.254", false, false}, {"::1", false, false},
                {"::ffff:10.1.2.3", false, true}, {"::ffff:10.9.9.9", false, false},
                {"192.168.1.1", false, false},    {"1.1.1.1", true, false},
                {"::ffff:1.1.1.1", true, false},  {"2a00::1", true, false},
                {"10.1.2.3", true, true},         {"8.8.8.8", true, true}};
    struct policy *policy = good("version: 1\nnetwork: { allow_private: ['10.1.2.3/32', '8.8.8.0/24'] }\n");
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct addr addr;
        const char *why = NULL;
        assert_true(addr_parse(span_of(rows[i].text), &addr));
        if (policy_address(policy, &addr, rows[i].own, &why) != rows[i].allowed)
            fail_msg("%s", rows[i].text);
        assert_true(rows[i].allowed || why != NULL);
    }
    policy_free(policy);
}

static void E07_metadata_is_refused_at_load(void **state)
{
    (void)state;
    static const char *const listed[] = {"169.254.169.254/32", "169.254.169.254", "169.254.0.0/16",
                                         "0.0.0.0/0", "fd00:ec2::254/128", "::/0",
                                         "::ffff:169.254.169.254/128"};
    for (size_t i = 0; i < COUNT(listed); i++) {
        struct err err;
        AUTOFREE char *yaml = mem_printf(
            "version: 1\nnetwork:\n  allow_private:\n    - 10.0.0.0/8\n    - '%s'\n", listed[i]);
        struct policy *policy = load(yaml, &err);
        if (policy)
            fail_msg("taken: %s", listed[i]);
        assert_memory_equal(err.message, "policy.yaml:5:7: network.allow_private[1]: ", 43);
        assert_non_null(strstr(err.message, "metadata"));
    }
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *message;
    } rows[] = {
        {"rules: []\n", "policy.yaml:1:1: 'version' is missing"},
        {"version: 2\n", "policy.yaml:1:10: version: is 2"},
        {"version: 1\nrulez: []\n", "policy.yaml:2:1: rulez: unknown key"},
        {"version: 1\nnetwork: { defualt: deny }\n", "policy.yaml:2:12: network.defualt: unknown key"},
        {"version: 1\nnetwork: { default: maybe }\n", "policy.yaml:2:21: network.default: must be allow or deny"},
        {"version: 1\nnetwork: { allow_private: [10.1.2.3/33] }\n",
         "policy.yaml:2:28: network.allow_private[0]: must be"},
        {"version: 1\nrules:\n  - host: a.b\n", "policy.yaml:3:5: rules[0]: 'action' is missing"},
        {"version: 1\nrules:\n  - action: deny\n", "policy.yaml:3:5: rules[0]: 'host' is missing"},
        {"version: 1\nrules:\n  - { host: a.b, action: maybe }\n",
         "policy.yaml:3:26: rules[0].action: must be allow, approve or deny"},
        {"version: 1\nrules:\n  - { host: a.b, action: deny, credential: x }\n",
         "policy.yaml:3:44: rules[0].credential: a rule that denies"},
        {"version: 1\nrules:\n  - { host: '*', action: deny }\n", "policy.yaml:3:13: rules[0].host: "},
        {"version: 1\nrules: { host: a.b }\n", "policy.yaml:2:8: rules: must be a list, and is an object"},
        {"version: 1\nrules: [x]\n", "policy.yaml:2:9: rules[0]: must be an object, and is a string"},
        {"version: 1\nexec: { rules: [ { program: git } ] }\n",
         "policy.yaml:2:18: exec.rules[0]: 'action' is missing"},
        {"- 1\n", "policy.yaml:1:1: must be an object, and is a list"},
        {"", "policy.yaml"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err;
        struct policy *policy = load(rows[i].yaml, &err);
        if (policy)
            fail_msg("taken: %s", rows[i].yaml);
        assert_int_equal(err.code, ERR_CONFIG);
        if (strncmp(err.message, rows[i].message, strlen(rows[i].message)) != 0)
            fail_msg("%s\n  wanted %s", err.message, rows[i].message);
    }
}

static void without_a_file(void **state)
{
    (void)state;
    struct err err;
    struct policy *policy = policy_from(NULL, &err);
    struct addr addr;
    const char *why;
    assert_int_equal(decide(policy, "a.b", 443, "GET", "/").action, POLICY_ALLOW);
    assert_true(addr_parse(SPAN("192.168.0.1"), &addr));
    assert_false(policy_address(policy, &addr, false, &why));
    policy_free(policy);
}

static void explains_and_keeps_exec(void **state)
{
    (void)state;
    struct policy *policy = good(example);
    struct buf out;
    size_t count;
    buf_init(&out, 10000);
    assert_true(policy_explain(policy, &out));
    assert_non_null(strstr(buf_cstr(&out), "allow   GET,HEAD api.github.com/repos/acme/**  (read the "
                                           "repository, credential user/github)\n"));
    assert_non_null(strstr(buf_cstr(&out), "allow   everything else  (network.default)\n"));
    buf_clear(&out);
    const struct policy_exec_rule *rules = policy_exec_rules(policy, &count);
    assert_int_equal(count, 1);
    assert_string_equal(rules[0].program, "git");
    assert_string_equal(rules[0].args[1], "--force*");
    assert_int_equal(rules[0].action, POLICY_APPROVE);
    assert_int_equal(policy_exec_default(policy), POLICY_ALLOW);
    policy_free(policy);
}

/* So many times the entry between head and tail. */
static bool loads(const char *head, size_t count, const char *entry, const char *tail)
{
    struct buf text;
    struct err err;
    buf_init(&text, 1024 * 1024);
    assert_true(buf_adds(&text, head));
    for (size_t i = 0; i < count; i++)
        assert_true(buf_adds(&text, entry));
    assert_true(buf_adds(&text, tail));
    struct policy *policy = load(buf_cstr(&text), &err);
    buf_clear(&text);
    if (!policy && !strstr(err.message, "more than") && !strstr(err.message, "longer than"))
        fail_msg("%s", err.message);
    bool loaded = policy != NULL;
    policy_free(policy);
    return loaded;
}

static void files_are_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *head, *entry, *tail;
        size_t most;
    } rows[] = {
        {"version: 1\nrules:\n", "  - { host: a.b, action: deny }\n", "", POLICY_RULES_MAX},
        {"version: 1\nnetwork: { allow_private: [", "10.0.0.0/8, ", "] }\n", POLICY_CIDRS_MAX},
        {"version: 1\nrules: [ { host: a.b, action: deny, reason: '", "r", "' } ]\n", POLICY_TEXT_MAX},
        {"version: 1\nrules: [ { host: a.b, action: deny, paths: [", "/a, ", "] } ]\n", MATCH_PATHS_MAX},
        {"version: 1\nrules: [ { host: a.b, action: deny, paths: ['/", "p", "'] } ]\n", MATCH_GLOB_MAX - 1},
        {"version: 1\nrules: [ { host: a.b, action: deny, ports: [", "443, ", "] } ]\n", MATCH_PORTS_MAX},
        {"version: 1\nrules: [ { host: a.b, action: deny, methods: [", "GET, ", "] } ]\n", MATCH_METHODS_MAX},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (!loads(rows[i].head, rows[i].most, rows[i].entry, rows[i].tail))
            fail_msg("row %zu at its bound", i);
        if (loads(rows[i].head, rows[i].most + 1, rows[i].entry, rows[i].tail))
            fail_msg("row %zu above its bound", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decides_by_specificity),
        cmocka_unit_test(ties_go_to_the_stricter_then_the_first),
        cmocka_unit_test(ambiguous_paths_meet_no_rule),
        cmocka_unit_test(one_byte_has_one_spelling),
        cmocka_unit_test(letters_of_either_case),
        cmocka_unit_test(what_must_be_opened),
        cmocka_unit_test(tunnels_pass_over_conditions),
        cmocka_unit_test(addresses),
        cmocka_unit_test(E07_metadata_is_refused_at_load),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(without_a_file),
        cmocka_unit_test(explains_and_keeps_exec),
        cmocka_unit_test(files_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
