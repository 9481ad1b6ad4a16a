/* One entry of a passwd file, as images write them. */
#include "core/sandbox/account.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/bash\nshort:x:5\n"
                             "bare:x:6:6::\nslash:x:7:7::/:/bin/sh\nrel:x:8:8::home:/bin/sh\n\nlast:x:9:9::/l";

static void test_parse(void **state)
{
    struct account account;

    (void)state;
    assert_true(account_parse(passwd, "node", &account));
    assert_string_equal(account.name, "node");
    assert_string_equal(account.home, "/home/node");
    assert_true(account_parse(passwd, "1000", &account));
    assert_string_equal(account.name, "node");
    assert_true(account_parse(passwd, "last", &account));
    assert_string_equal(account.home, "/l");
    static const char *const missing[] = {"nod", "nodes", "short", "bare", "slash", "rel", "x", "", "/home/node"};
    for (size_t i = 0; i < sizeof(missing) / sizeof(*missing); i++)
        assert_false(account_parse(passwd, missing[i], &account));
    assert_false(account_parse("", "node", &account));
}

static void test_bounds(void **state)
{
    char text[512], name[ACCOUNT_NAME_BYTES + 1] = "";
    struct account account;

    (void)state;
    memset(name, 'a', ACCOUNT_NAME_BYTES - 1);
    snprintf(text, sizeof(text), "%s:x:1:1::/%0*d:", name, ACCOUNT_HOME_BYTES - 2, 0);
    assert_true(account_parse(text, name, &account));
    snprintf(text, sizeof(text), "%s:x:1:1::/%0*d:", name, ACCOUNT_HOME_BYTES - 1, 0);
    assert_false(account_parse(text, name, &account));
    memset(name, 'a', ACCOUNT_NAME_BYTES);
    snprintf(text, sizeof(text), "%s:x:1:1::/h:", name);
    assert_false(account_parse(text, name, &account));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_bounds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
