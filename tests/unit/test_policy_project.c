/* A project's own policy, which whoever writes into the workspace writes: it narrows what the user's allows, and
 * nothing in it widens anything, in the monitor and in what a worker is told alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/data/snapshot.h"

static char home[64];

static int setup(void **state)
{
    (void)state;
    memcpy(home, "/tmp/aileron-project.XXXXXX", 28);
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

static void refused(const char *text, const char *why)
{
    struct err err = {0};
    struct policy *policy;
    put(POLICY_PROJECT_FILE, text);
    assert_false(policy_project_read(home, &policy, &err));
    assert_null(policy);
    assert_int_equal(err.code, ERR_CONFIG);
    if (!strstr(err.message, why))
        fail_msg("%s", err.message);
}

static void what_would_widen_is_refused(void **state)
{
    (void)state;
    struct err err;
    struct policy *policy;
    assert_true(policy_project_read(home, &policy, &err)); /* there is none */
    assert_null(policy);
    refused("version: 1\nnetwork: { allow_private: ['10.0.0.0/8'] }\n", "cannot open private addresses");
    refused("version: 1\nnetwork: { private: allow }\n", "private");
    refused("version: 1\nnetwork: { private: deny }\n", "cannot open private addresses");
    refused("version: 1\nrules: [{ host: a.test, action: allow, credential: none }]\n", "names no credentials");
    refused("version: 1\nrules: [{ host: a.test, action: deny }, { host: b.test, action: allow, credential: x }]\n",
            "rules[1].credential: a project's file names no credentials");
    refused("version: 1\nbindings: []\n", "unknown key");
    refused("version: 1\nrules: {}\n", "rules");
    refused("[]\n", "");
    refused("version: 1\nrules:\n  - &a [*a]\n", "");
    AUTOFREE char *path = file_join(home, POLICY_PROJECT_FILE);
    assert_true(file_remove_tree(path, &err));
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_false(policy_project_read(home, &policy, &err));
    assert_true(file_remove_tree(path, &err));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(policy_project_read(home, &policy, &err));
    assert_null(policy);
}

static struct snapshot *make(const char *user, const char *project)
{
    struct err err = {0};
    put("policy.yaml", user);
    put("bindings.yaml", "version: 1\nbindings:\n  - { name: user/api, hosts: [api.test], scheme: bearer }\n");
    struct rules *rules = rules_load(home, &err);
    if (!rules)
        fail_msg("%s", err.message);
    struct snapshot *snapshot = snapshot_new(rules);
    rules_unref(rules);
    put(POLICY_PROJECT_FILE, project);
    if (!policy_project_read(home, &snapshot->project, &err))
        fail_msg("%s", err.message);
    free(snapshot->session);
    snapshot->session = mem_strdup("01ARZ3NDEKTSV4RRFFQ69G5FAV");
    snapshot->ca_cert_pem = mem_strdup("cert");
    snapshot->ca_key_pem = mem_strdup("key");
    return snapshot;
}

/* As a worker has it. */
static struct snapshot *sent(const struct snapshot *snapshot)
{
    struct err err = {0};
    struct buf bytes;
    assert_true(snapshot_write(snapshot, &bytes, &err));
    struct snapshot *read = snapshot_parse(bytes.data, bytes.len, &err);
    if (!read)
        fail_msg("%s", err.message);
    buf_wipe(&bytes);
    return read;
}

static const char user_text[] = "version: 1\n"
                                "network: { default: deny }\n"
                                "rules:\n"
                                "  - { name: never, host: closed.test, action: deny, reason: not for agents }\n"
                                "  - { name: ask, host: asked.test, action: approve }\n"
                                "  - { name: free, host: '*.test', action: allow }\n";
static const char project_text[] = "version: 1\n"
                                   "rules:\n"
                                   "  - { name: mine, host: closed.test, action: allow }\n"
                                   "  - { name: ask, host: asked.test, action: allow }\n"
                                   "  - { name: read, host: api.test, methods: [POST], action: deny, reason: reads }\n"
                                   "  - { name: free, host: api.test, paths: ['/asked/**'], action: approve }\n"
                                   "  - { host: tree.test, paths: ['/secret/**'], action: deny }\n"
                                   "  - { host: '*.test', action: allow }\n";

static void it_narrows_and_no_more(void **state)
{
    static const char unsaid[] = "the project's .aileron.yaml says so";
    static const struct {
        const char *host, *method, *path;
        enum policy_action action;
        const char *rule, *reason, *binding;
    } rows[] = {
        {"closed.test", "GET", "/", POLICY_DENY, "never", "not for agents", NULL},
        {"asked.test", "GET", "/", POLICY_APPROVE, "ask", NULL, NULL},
        {"api.test", "GET", "/", POLICY_ALLOW, "free", NULL, "user/api"},
        {"api.test", "POST", "/", POLICY_DENY, ".aileron.yaml read", "reads", NULL},
        {"api.test", "GET", "/asked/x", POLICY_APPROVE, ".aileron.yaml free", unsaid, "user/api"},
        {"tree.test", "GET", "/secret/x", POLICY_DENY, ".aileron.yaml rules[4]", unsaid, NULL},
        {"tree.test", "GET", "/open", POLICY_ALLOW, "free", NULL, NULL},
        {"elsewhere.example", "GET", "/", POLICY_DENY, "network.default", NULL, NULL},
    };
    (void)state;
    struct snapshot *own = make(user_text, project_text), *read = sent(own);
    const struct snapshot *const both[] = {own, read};
    for (size_t i = 0; i < 2 * COUNT(rows); i++) {
        size_t row = i / 2;
        struct match_query query = {.host = span_of(rows[row].host), .port = 443, .method = span_of(rows[row].method),
                                    .path = span_of(rows[row].path)};
        struct decision decision;
        snapshot_decide(both[i % 2], &query, &decision);
        if (decision.action != rows[row].action || strcmp(decision.rule, rows[row].rule) != 0)
            fail_msg("%s %s%s: %d by %s", rows[row].method, rows[row].host, rows[row].path, decision.action,
                     decision.rule);
        if (rows[row].reason)
            assert_string_equal(decision.reason, rows[row].reason);
        if (rows[row].binding)
            assert_string_equal(decision.binding->name, rows[row].binding);
        else
            assert_null(decision.binding);
        /* What can be read in two ways is refused where the project's rules alone go by paths. */
        query.ambiguous = true;
        snapshot_decide(both[i % 2], &query, &decision);
        if (strcmp(rows[row].host, "tree.test") == 0)
            assert_true(decision.action == POLICY_DENY && decision.ambiguous);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_true(snapshot_needs_inside(both[i], SPAN("tree.test"), 443)); /* for the project's paths */
        assert_false(snapshot_needs_inside(both[i], SPAN("free.test"), 443));
    }
    snapshot_free(own);
    snapshot_free(read);
}

/* Its default closes what it does not name, and opens nothing. */
static void its_default(void **state)
{
    (void)state;
    struct decision decision;
    struct match_query query = {.host = SPAN("other.test"), .port = 443, .method = SPAN("GET"), .path = SPAN("/")};
    struct snapshot *snapshot = make(user_text, "version: 1\nrules: []\nnetwork: { default: deny }\n");
    snapshot_decide(snapshot, &query, &decision);
    assert_int_equal(decision.action, POLICY_DENY);
    assert_string_equal(decision.rule, ".aileron.yaml network.default");
    snapshot_free(snapshot);
    snapshot = make("version: 1\nnetwork: { default: deny }\n", "version: 1\nnetwork: { default: allow }\n");
    snapshot_decide(snapshot, &query, &decision);
    assert_int_equal(decision.action, POLICY_DENY);
    assert_string_equal(decision.rule, "network.default");
    snapshot_free(snapshot);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {T(what_would_widen_is_refused), T(it_narrows_and_no_more), T(its_default)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
