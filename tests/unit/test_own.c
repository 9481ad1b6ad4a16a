/* Which addresses are this machine's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/loop/own.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static bool own(const char *text)
{
    struct addr addr;
    assert_true(addr_parse(span_of(text), &addr));
    return own_address(&addr);
}

static void by_the_routes(void **state)
{
    (void)state;
    assert_true(own("127.0.0.1"));
    assert_false(own("127.0.0.2")); /* loopback's, and sent to from another address */
    assert_false(own("192.0.2.1")); /* RFC 5737: with a route or without, nobody's */
    assert_false(own("2001:db8::1"));
}

/* What cannot be found out is not let pass. */
static void without_descriptors(void **state)
{
    (void)state;
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    bool said = own("192.0.2.1");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_the_routes),
        cmocka_unit_test(without_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
