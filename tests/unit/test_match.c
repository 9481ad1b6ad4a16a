/* Globs, host patterns, and the order of rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/data/match.h"
#include "core/data/yaml.h"

static void globs(void **state)
{
    (void)state;
    static const struct {
        const char *glob, *path;
        bool matches;
    } rows[] = {
        {"/a", "/a", true},
        {"/a", "/a/", false},
        {"/a", "/ab", false},
        {"/a/", "/a/", true},
        {"/a/*", "/a/b", true},
        {"/a/*", "/a/b/c", false},
        {"/a/*", "/a/", true},
        {"/a/*", "/a", false},
        {"/a/**", "/a", true},
        {"/a/**", "/a/", true},
        {"/a/**", "/a/b/c", true},
        {"/a/**", "/ab", false},
        {"/a**", "/ab/c", true},
        {"/**", "/", true},
        {"/**", "/x/y", true},
        {"/a/*/c", "/a/b/c", true},
        {"/a/*/c", "/a/b/b/c", false},
        {"/a/**/c", "/a/b/b/c", true},
        {"/a/**/c", "/a/c", false},
        {"/repos/*/x-*.git/**", "/repos/o/x-1.git/info/refs", true},
        {"/repos/*/x-*.git/**", "/repos/o/x-1.git", true},
        {"/repos/*/x-*.git/**", "/repos/o/y-1.git/info", false},
        {"/a/*b*c", "/a/xbxbxc", true},
        {"/a/*b*c", "/a/xbx/bxc", false},
        {"/**/a*b/c", "/x/a1/a2b/c", true},
        {"/**a*b/c", "/a/ab/c", true},
        {"/a;p/*", "/a;p/1", true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (glob_match(rows[i].glob, span_of(rows[i].path)) != rows[i].matches)
            fail_msg("%s %s", rows[i].glob, rows[i].path);
    }
    assert_int_equal(glob_literal("/a/**"), 2);
    assert_int_equal(glob_literal("/a/*"), 3);
    assert_int_equal(glob_literal("/**"), 1);
    assert_int_equal(glob_literal("/a/b"), 4);
}

/* Patterns of many stars must not cost more than their length says. */
static void globs_take_linear_time(void **state)
{
    (void)state;
    char glob[MATCH_GLOB_MAX + 1] = "/";
    char path[8192];
    for (size_t i = 1; i + 3 < sizeof glob; i += 3)
        memcpy(glob + i, "**a", 4);
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = 'b';
    for (int i = 0; i < 20; i++)
        assert_false(glob_match(glob, (struct span){path, sizeof path}));
}

static bool host_from(const char *yaml, struct match *match, struct err *err)
{
    struct doc doc;
    *match = (struct match){0};
    if (!yaml_parse(yaml, strlen(yaml), "t", &doc, err))
        fail_msg("%s", err->message);
    struct json_at root = json_root(&doc), at;
    bool ok = json_member(&root, "host", &at) && match_host_from(match, &at, err) &&
              match_limits_from(match, &root, err);
    doc_clear(&doc);
    return ok;
}

static void hosts(void **state)
{
    (void)state;
    struct match match;
    struct err err;
    assert_true(host_from("host: API.GitHub.com.", &match, &err));
    assert_true(match_host(&match, SPAN("api.github.com")));
    assert_false(match_host(&match, SPAN("xapi.github.com")));
    assert_false(match_host(&match, SPAN("github.com")));
    match_clear(&match);
    assert_true(host_from("host: '*.github.com'", &match, &err));
    assert_true(match_host(&match, SPAN("api.github.com")));
    assert_true(match_host(&match, SPAN("a.b.github.com")));
    assert_false(match_host(&match, SPAN("github.com")));
    assert_false(match_host(&match, SPAN(".github.com")));
    assert_false(match_host(&match, SPAN("evilgithub.com")));
    match_clear(&match);
    assert_true(host_from("host: 0x7f.1", &match, &err)); /* one canonical form, E05 */
    assert_true(match_host(&match, SPAN("127.0.0.1")));
    match_clear(&match);
    static const char *const bad[] = {"host: '*'",       "host: 'a*.b'",     "host: '*.*.b'",
                                      "host: a b",       "host: 'http://a'", "host: a/b",
                                      "host: 'a:443'",   "host: ''",         "host: 7",
                                      "host: '*.1.2.3.4'", "host: 'a..b'",   "host: 'a%41'",
                                      "host: '*.'"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (host_from(bad[i], &match, &err))
            fail_msg("taken: %s", bad[i]);
        match_clear(&match);
    }
}

static void limits(void **state)
{
    (void)state;
    struct match match;
    struct err err;
    assert_true(host_from("{host: a.b, ports: [443, 8443], methods: [GET, HEAD], paths: ['/%7Ea/*']}",
                          &match, &err));
    assert_true(match_port(&match, 8443) && !match_port(&match, 80));
    assert_true(match_method(&match, SPAN("GET")) && match_method(&match, SPAN("get")));
    assert_false(match_method(&match, SPAN("POST")));
    assert_string_equal(match.paths[0], "/~a/*");
    match_clear(&match);
    static const char *const bad[] = {"{host: a.b, port: 0}",         "{host: a.b, ports: [70000]}",
                                      "{host: a.b, port: 1, ports: [2]}", "{host: a.b, ports: []}",
                                      "{host: a.b, methods: [get]}",  "{host: a.b, methods: ['G T']}",
                                      "{host: a.b, methods: []}",     "{host: a.b, paths: [x]}",
                                      "{host: a.b, paths: ['/a?b']}", "{host: a.b, paths: ['/a%2fb']}",
                                      "{host: a.b, paths: ['//a']}",  "{host: a.b, paths: []}"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (host_from(bad[i], &match, &err))
            fail_msg("taken: %s", bad[i]);
        match_clear(&match);
    }
}

static void order(void **state)
{
    (void)state;
    char *get[] = {(char[]){"GET"}, NULL};
    struct match exact = {.host = (char[]){"a.b.c"}};
    struct match longer = {.host = (char[]){"b.c"}, .wild = true};
    struct match shorter = {.host = (char[]){"c"}, .wild = true};
    struct match with_method = {.host = (char[]){"a.b.c"}, .methods = get};
    struct match with_port = {.host = (char[]){"a.b.c"}, .ports = {443}, .port_count = 1};
    struct match_row rows[] = {
        {.match = &shorter, .path = "/very/long/path", .owner = 0},
        {.match = &longer, .owner = 1},
        {.match = &exact, .owner = 2},
        {.match = &exact, .owner = 3, .weight = 2},
        {.match = &with_port, .owner = 4},
        {.match = &with_method, .owner = 5},
        {.match = &exact, .path = "/a/**", .owner = 6},
        {.match = &exact, .path = "/a/b/*", .owner = 7},
        {.match = &exact, .path = "/a", .owner = 8},
    };
    static const size_t wanted[] = {7, 8, 6, 5, 4, 3, 2, 1, 0};
    match_sort(rows, COUNT(rows));
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(rows[i].owner, wanted[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(globs), cmocka_unit_test(globs_take_linear_time), cmocka_unit_test(hosts),
        cmocka_unit_test(limits), cmocka_unit_test(order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
