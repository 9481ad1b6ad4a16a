/* core/wire/target: hosts, authorities, paths, request targets (threats E05, E10, C07, C10). */
#include "core/wire/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct pair {
    const char *text, *canonical; /* NULL: refused */
};

static void test_hosts(void **state)
{
    static const struct pair rows[] = {
        {"Example.COM", "example.com"},
        {"example.com.", "example.com"},
        {"example.com..", NULL},
        {".example.com", NULL},
        {"a..b", NULL},
        {".", NULL},
        {"", NULL},
        {"under_score.example", "under_score.example"},
        {"_acme.example", "_acme.example"},
        {"-a.example", NULL},
        {"a-.example", NULL},
        {"a--b.example", "a--b.example"},
        {"xn--bcher-kva.example", "xn--bcher-kva.example"},
        {"b\xc3\xbc" "cher.example", NULL},
        {"exa%6dple.com", NULL},
        {"user@example.com", NULL},
        {"exa mple.com", NULL},
        {"example.com/", NULL},
        {"exam\tple", NULL},
        {"localhost", "localhost"},
        /* addresses in every form */
        {"127.0.0.1", "127.0.0.1"},
        {"127.1", "127.0.0.1"},
        {"2130706433", "127.0.0.1"},
        {"0x7F.1", "127.0.0.1"},
        {"0177.1", "127.0.0.1"},
        {"127.0.0.1.", "127.0.0.1"},
        {"1.2.3.4.5", NULL},
        {"example.1", NULL},
        {"0X7F.0X1", "127.0.0.1"},
        {"0x7f.0xg", "0x7f.0xg"},
        {"example.0x1f", NULL},
        {"example.0XAF", NULL},
        {"example.0x", NULL},
        {"example.0xag", "example.0xag"},
        {"example.0a", "example.0a"},
        {"4294967296", NULL},
        {"1.example", "1.example"},
        {"[::1]", "::1"},
        {"::1", "::1"},
        {"[::FFFF:7f00:1]", "127.0.0.1"},
        {"::ffff:93.184.216.34", "93.184.216.34"},
        {"[::93.184.216.34]", "::5db8:d822"},
        {"[fe80::1%25eth0]", NULL},
        {"[127.0.0.1]", NULL},
        {"[::1", NULL},
        {"::1]", NULL},
        {"[]", NULL},
        {"[", NULL},
        {"example.com:80", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct target_host host;
        struct err err = {0};
        bool ok = target_host_parse(span_of(rows[i].text), &host, &err);
        if (ok != (rows[i].canonical != NULL))
            fail_msg("%s: %s", rows[i].text, ok ? host.name : err.message);
        if (ok)
            assert_string_equal(host.name, rows[i].canonical);
        else
            assert_int_equal(err.code, ERR_DATA);
        if (ok)
            assert_int_equal(host.is_ip, host.addr.family != ADDR_NONE);
    }
}

static void test_host_bounds(void **state)
{
    struct target_host host;
    struct err err;
    char name[300];
    (void)state;
    memset(name, 'a', sizeof(name));
    assert_true(target_host_parse((struct span){name, 63}, &host, &err));
    assert_false(target_host_parse((struct span){name, 64}, &host, &err));
    for (size_t i = 50; i < sizeof(name); i += 50)
        name[i] = '.';
    assert_true(target_host_parse((struct span){name, 253}, &host, &err));
    assert_int_equal(strlen(host.name), 253);
    assert_false(target_host_parse((struct span){name, 254}, &host, &err));
    name[253] = '.';
    assert_true(target_host_parse((struct span){name, 254}, &host, &err));
    assert_false(target_host_parse((struct span){"a\0b", 3}, &host, &err));
}

static void test_authorities(void **state)
{
    static const struct {
        const char *text;
        uint16_t fallback;
        const char *host; /* NULL: refused */
        uint16_t port;
    } rows[] = {
        {"a.example:443", 0, "a.example", 443},  {"a.example", 0, NULL, 0},
        {"a.example", 80, "a.example", 80},      {"a.example:", 80, NULL, 0},
        {"a.example:0", 80, NULL, 0},            {"a.example:65536", 0, NULL, 0},
        {"a.example:65535", 0, "a.example", 65535}, {"a.example:+1", 0, NULL, 0},
        {"a.example: 1", 0, NULL, 0},            {"[::1]:8443", 0, "::1", 8443},
        {"[::1]", 443, "::1", 443},              {"[::1]", 0, NULL, 0},
        {"[::1]8443", 0, NULL, 0},               {"::1", 443, NULL, 0},
        {"u@a.example:1", 0, NULL, 0},           {":443", 0, NULL, 0},
        {"", 443, NULL, 0},                      {"0x7f.1:22", 0, "127.0.0.1", 22},
        {"a.example:0443", 0, "a.example", 443},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct target_host host;
        struct err err;
        uint16_t port = 0;
        bool ok = target_authority_parse(span_of(rows[i].text), rows[i].fallback, &host, &port, &err);
        if (ok != (rows[i].host != NULL))
            fail_msg("%s: %s", rows[i].text, ok ? host.name : err.message);
        if (!ok)
            continue;
        assert_string_equal(host.name, rows[i].host);
        assert_int_equal(port, rows[i].port);
    }
}

static void test_paths(void **state)
{
    static const struct {
        const char *text, *canonical;
        bool ambiguous;
    } rows[] = {
        {"", "/", false},
        {"/", "/", false},
        {"/a/b", "/a/b", false},
        {"/a/./b", "/a/b", false},
        {"/a/../b", "/b", false},
        {"/a/b/..", "/a/", false},
        {"/a/b/.", "/a/b/", false},
        {"/..", "/", false},
        {"/../../etc", "/etc", false},
        {"/a/%2e%2E/b", "/b", false},
        {"/a/.%2e/b", "/b", false},
        {"/%2e", "/", false},
        {"/a/...", "/a/...", false},
        {"/a/..b", "/a/..b", false},
        {"/%61%7E%2D", "/a~-", false},
        {"/%c3%a9", "/%C3%A9", false},
        {"/a%20b", "/a%20b", false},
        {"/a%3ab", "/a%3Ab", false},
        {"/a:b@c!$&'()*+,=", "/a:b@c!$&'()*+,=", false},
        {"/repos/acme/**", "/repos/acme/**", false},
        {"/[x]{y}|\"", "/%5Bx%5D%7By%7D%7C%22", false},
        {"/%5bx%5D", "/%5Bx%5D", false},
        /* forwarded, and never matched by a path rule */
        {"//a", "//a", true},
        {"/a//b", "/a//b", true},
        {"/a//../b", "/a/b", true},
        {"/a/%252e%252e/b", "/a/%252e%252e/b", true},
        {"/%25%32%65", "/%252e", true},
        {"/100%25", "/100%25", false},
        {"/100%25zz", "/100%25zz", false},
        {"/a;v=1/b", "/a;v=1/b", true},
        {"/a%3Bv", "/a%3Bv", true},
        {"/%c0%af", "/%C0%AF", true},
        {"/%e9", "/%E9", true},
        /* refused */
        {"a", NULL, false},
        {"/a%2fb", NULL, false},
        {"/a%2Fb", NULL, false},
        {"/a%5cb", NULL, false},
        {"/a\\b", NULL, false},
        {"/a%00", NULL, false},
        {"/a%0d%0aX", NULL, false},
        {"/a%7f", NULL, false},
        {"/a%", NULL, false},
        {"/a%2", NULL, false},
        {"/a%zz", NULL, false},
        {"/a b", NULL, false},
        {"/a\r\n", NULL, false},
        {"/a#b", NULL, false},
        {"/a?b", NULL, false},
        {"/\xc3\xa9", NULL, false},
        {"/a/..;x/b", NULL, false},
        {"/a/.;/b", NULL, false},
        {"/a/..%3Bx/b", NULL, false},
        {"/a/%2e%2e;x/b", NULL, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err = {0};
        bool ambiguous = !rows[i].ambiguous;
        char *path = target_path_canonical(span_of(rows[i].text), &ambiguous, &err);
        if ((path != NULL) != (rows[i].canonical != NULL))
            fail_msg("%s: %s", rows[i].text, path ? path : err.message);
        if (path) {
            assert_string_equal(path, rows[i].canonical);
            if (ambiguous != rows[i].ambiguous)
                fail_msg("%s: %s", rows[i].text, ambiguous ? "ambiguous" : "not ambiguous");
        }
        free(path);
    }
}

static void test_path_bound(void **state)
{
    char *text = malloc(TARGET_PATH_BYTES + 1);
    struct err err;
    bool ambiguous;
    (void)state;
    memset(text, '"', TARGET_PATH_BYTES + 1);
    text[0] = '/';
    char *path = target_path_canonical((struct span){text, TARGET_PATH_BYTES}, &ambiguous, &err);
    assert_non_null(path);
    assert_int_equal(strlen(path), 3 * TARGET_PATH_BYTES - 2);
    free(path);
    assert_null(target_path_canonical((struct span){text, TARGET_PATH_BYTES + 1}, &ambiguous, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    free(text);
}

static void test_absolute(void **state)
{
    static const struct pair rows[] = {
        /* written back as scheme://authority + origin form */
        {"http://A.example", "http://a.example/"},
        {"HTTPS://a.example:443/x?y=1", "https://a.example/x?y=1"},
        {"http://a.example:443/", "http://a.example:443/"},
        {"http://a.example?q", "http://a.example/?q"},
        {"http://a.example/?", "http://a.example/?"},
        {"http://[2001:DB8::1]:8080/a/../b", "http://[2001:db8::1]:8080/b"},
        {"http://0x7f.1/", "http://127.0.0.1/"},
        {"http://a.example/x?a=%0d%0a&b=\"", "http://a.example/x?a=%0d%0a&b=\""},
        {"http://u:p@a.example/", NULL},
        {"http:///x", NULL},
        {"http:/x", NULL},
        {"ftp://a.example/", NULL},
        {"http://a.example/#x", NULL},
        {"http://a.example#x", NULL},
        {"http://a.example?x#y", NULL},
        {"http://a.example\\@b.example/", NULL},
        {"http://a.example/?a b", NULL},
        {"http://a.example/?a\nb", NULL},
        {"http://a.example/?\xe9", NULL},
        {"a.example:443", NULL},
        {"/x", NULL},
        {"", NULL},
        {"http://a.example:99999/", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena *arena = arena_new(256 * 1024);
        struct target target = {0};
        struct err err = {0};
        bool ok = target_parse_absolute(span_of(rows[i].text), arena, &target, &err);
        if (ok != (rows[i].canonical != NULL))
            fail_msg("%s: %s", rows[i].text, ok ? "accepted" : err.message);
        if (ok) {
            char authority[TARGET_AUTHORITY_BYTES];
            struct buf out;
            buf_init(&out, 4096);
            target_authority(&target, authority);
            assert_true(buf_printf(&out, "%s://%s", target_scheme_word(target.scheme), authority));
            assert_true(target_write_origin(&target, &out));
            assert_string_equal(buf_cstr(&out), rows[i].canonical);
            buf_clear(&out);
        }
        if (!ok)
            assert_null(strstr(err.message, "u:p"));
        arena_free(arena);
    }
}

static void test_origin(void **state)
{
    struct arena *arena = arena_new(4096);
    struct target target = {.scheme = TARGET_HTTPS, .port = 8443};
    struct err err;
    (void)state;
    assert_true(target_parse_origin(SPAN("/a/../b?c?d"), arena, &target, &err));
    assert_string_equal(target.path, "/b");
    assert_string_equal(target.query, "c?d");
    assert_int_equal(target.port, 8443);
    assert_true(target_parse_origin(SPAN("/a"), arena, &target, &err));
    assert_null(target.query);
    assert_true(target_parse_origin(SPAN("*"), arena, &target, &err));
    assert_string_equal(target.path, "*");
    assert_false(target_parse_origin(SPAN("a"), arena, &target, &err));
    assert_false(target_parse_origin(SPAN(""), arena, &target, &err));
    assert_false(target_parse_origin(SPAN("http://a/"), arena, &target, &err));
    char big[5000];
    memset(big, 'a', sizeof(big));
    big[0] = '/';
    assert_false(target_parse_origin((struct span){big, sizeof(big)}, arena, &target, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    arena_free(arena);
}

static void test_write_bound(void **state)
{
    struct target target = {.path = "/abc", .query = "d"};
    struct buf out;
    (void)state;
    buf_init(&out, 5);
    assert_false(target_write_origin(&target, &out));
    assert_int_equal(out.len, 0);
    buf_clear(&out);
}

/* C13: what a worker that was taken over may say to be what it decided on. */
static void test_is_canonical(void **state)
{
    static const struct {
        const char *host, *path;
        bool canonical, ambiguous;
    } rows[] = {
        {"api.test", "/a", true, false},     {"api.test", "/", true, false},        {"127.0.0.1", "/a", true, false},
        {"::1", "/a", true, false},          {"api.test", "/a//b", true, true},     {"api.test", "/a;b", true, true},
        {"api.test", "/%C3%A9", true, false}, {"api.test", "/%c3%a9", false, false}, {"API.test", "/a", false, false},
        {"api.test.", "/a", false, false},   {"api.test:443", "/a", false, false},  {"0x7f.1", "/a", false, false},
        {"[::1]", "/a", false, false},       {"a b", "/a", false, false},           {"", "/a", false, false},
        {"api.test", "", false, false},      {"api.test", "a", false, false},       {"api.test", "*", false, false},
        {"api.test", "/a/../b", false, false}, {"api.test", "/a/..", false, false}, {"api.test", "/%61", false, false},
        {"api.test", "/a?b", false, false},  {"api.test", "/a#b", false, false},    {"api.test", "/%2f", false, false},
        {"api.test", "/a\\b", false, false}, {"api.test", "/a b", false, false},    {"api.test", "/%00", false, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err = {0};
        bool ambiguous = false, canonical = target_is_canonical(rows[i].host, rows[i].path, &ambiguous, &err);
        if (canonical != rows[i].canonical || (canonical && ambiguous != rows[i].ambiguous))
            fail_msg("%s%s: %d, %d", rows[i].host, rows[i].path, canonical, ambiguous);
        assert_true(canonical || err.code != ERR_NONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),      cmocka_unit_test(test_host_bounds),
        cmocka_unit_test(test_authorities), cmocka_unit_test(test_paths),
        cmocka_unit_test(test_path_bound), cmocka_unit_test(test_absolute),
        cmocka_unit_test(test_origin),     cmocka_unit_test(test_write_bound),
        cmocka_unit_test(test_is_canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
