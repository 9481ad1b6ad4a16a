/* Names and the addresses that stand for them. */
#include "core/sandbox/names.h"

#include "core/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint32_t address(struct names *names, const char *name)
{
    return names_address(names, name, strlen(name));
}

static void test_keeps_its_address(void **state)
{
    struct names *names = names_new(100);
    uint32_t a = address(names, "api.example.com"), b = address(names, "b.example.com");

    (void)state;
    assert_int_not_equal(a, 0);
    assert_int_not_equal(a, b);
    assert_int_equal(address(names, "API.Example.COM."), a);
    assert_string_equal(names_lookup(names, a), "api.example.com");
    assert_string_equal(names_lookup(names, b), "b.example.com");
    assert_null(names_lookup(names, b + 1));
    /* 127.64.0.0/10, and never the loopback interface's own 127.64.0.1. */
    assert_int_equal(a >> 22, 0x7f400001 >> 22);
    assert_int_not_equal(a, 0x7f400001);
    names_free(names);
}

static void test_localhost(void **state)
{
    struct names *names = names_new(4);

    (void)state;
    assert_int_equal(address(names, "localhost"), 0x7f000001);
    assert_int_equal(address(names, "App.LocalHost."), 0x7f000001);
    assert_int_not_equal(address(names, "notlocalhost"), 0x7f000001);
    assert_null(names_lookup(names, 0x7f000001));
    names_free(names);
}

static void test_bad_names(void **state)
{
    static const char *const bad[] = {"", ".", "..", "a..b", ".a", "a b", "a\rb", "a\nb", "a/b", "a:b", "\xc3\xa9.x"};
    struct names *names = names_new(4);
    char longest[300];

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(address(names, bad[i]), 0);
    assert_int_equal(names_address(names, "a\0b", 3), 0);
    memset(longest, 'a', sizeof(longest));
    for (int i = 63; i < 253; i += 64)
        longest[i] = '.';
    assert_int_not_equal(names_address(names, longest, 253), 0);
    assert_int_equal(names_address(names, longest, 255), 0);
    memset(longest, 'a', 64);
    assert_int_not_equal(names_address(names, longest, 63), 0);
    assert_int_equal(names_address(names, longest, 64), 0);
    names_free(names);
}

static void test_forgets_the_least_recently_used(void **state)
{
    struct names *names = names_new(3);
    uint32_t a = address(names, "a"), b = address(names, "b"), c = address(names, "c");

    (void)state;
    assert_non_null(names_lookup(names, a)); /* a is used: b is the oldest now */
    uint32_t d = address(names, "d");
    assert_null(names_lookup(names, b));
    assert_string_equal(names_lookup(names, a), "a");
    assert_string_equal(names_lookup(names, c), "c");
    assert_string_equal(names_lookup(names, d), "d");
    assert_int_not_equal(d, b); /* an old address is refused, not given to another name */
    assert_int_not_equal(address(names, "b"), b);
    names_free(names);
}

/* More names than addresses: nothing is lost track of, and names in use keep theirs. */
static void test_wraps_around(void **state)
{
    struct names *names = names_new(8);
    uint32_t kept = address(names, "kept.example");
    char name[32];

    (void)state;
    for (uint32_t i = 0; i < (1u << 22) + 1000; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        uint32_t at = address(names, name);
        if (i % 4 == 0 && (at == kept || address(names, "kept.example") != kept))
            fail_msg("address lost or taken at %u", i);
    }
    assert_string_equal(names_lookup(names, kept), "kept.example");
    names_free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_its_address), cmocka_unit_test(test_localhost),
        cmocka_unit_test(test_bad_names), cmocka_unit_test(test_forgets_the_least_recently_used),
        cmocka_unit_test(test_wraps_around),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
