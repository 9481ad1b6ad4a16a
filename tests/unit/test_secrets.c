/* core/plane/secrets: a credential's needles are made once, shared, and wiped a second after their last use. */
#include "core/base/id.h"
#include "core/plane/secrets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct plane plane;

static int setup(void **state)
{
    struct err err;
    (void)state;
    plane = (struct plane){.loop = loop_new(&err)};
    return plane.loop == NULL;
}

static int teardown(void **state)
{
    (void)state;
    secrets_forget(&plane);
    loop_free(plane.loop);
    return 0;
}

static bool finds(const struct secrets *secrets, const char *text)
{
    struct needle_hit hit;
    return needles_find(secrets_needles(secrets), span_of(text), &hit);
}

static void test_shared(void **state)
{
    (void)state;
    struct secrets *one = secrets_take(&plane, SPAN("the first credential"));
    struct secrets *same = secrets_take(&plane, SPAN("the first credential"));
    struct secrets *other = secrets_take(&plane, SPAN("the other credential")); /* of the same length */
    assert_ptr_equal(one, same);
    assert_ptr_not_equal(one, other);
    assert_true(finds(one, "It is: the first credential.") && !finds(one, "It is: the other credential."));
    assert_true(finds(other, "It is: the other credential.") && !finds(other, "It is: the first credential."));
    secrets_give(one);
    secrets_forget(&plane); /* what is used stays */
    assert_true(finds(same, "It is: the first credential."));
    secrets_give(same);
    secrets_give(other);
    secrets_give(NULL);
    assert_ptr_equal(secrets_take(&plane, SPAN("the first credential")), one); /* it rested */
    secrets_give(one);
}

static void test_wiped(void **state)
{
    (void)state;
    uint64_t begin = clock_mono_ms();
    secrets_give(secrets_take(&plane, SPAN("a credential")));
    assert_non_null(plane.secrets);
    while (plane.secrets && clock_mono_ms() < begin + 60000)
        loop_turn(plane.loop, true);
    assert_null(plane.secrets);
    assert_true(clock_mono_ms() >= begin + SECRETS_REST_MS / 2);
}

/* The ones that rest are few: of a hundred the first stay, and the last are made anew each time. */
static void test_bounded(void **state)
{
    (void)state;
    struct secrets *sets[100];
    char text[32];
    for (int i = 0; i < 100; i++) {
        int len = snprintf(text, sizeof(text), "credential number %d", i);
        sets[i] = secrets_take(&plane, (struct span){text, (size_t)len});
    }
    struct secrets *last = plane.secrets;
    assert_ptr_equal(last, sets[99]);
    for (int i = 0; i < 100; i++)
        secrets_give(sets[i]);
    assert_ptr_equal(plane.secrets, sets[SECRETS_RESTING_MAX - 1]); /* those behind it in the list are older */
}

/* C02, C14: what is lent is lent for one binding at one host and port, under one number, for a while. */
static void test_lent(void **state)
{
    static const struct secrets_use use = {"user/api", "api.test", 443};
    static const struct secrets_use others[] = {
        {"user/other", "api.test", 443}, {"user/api", "api.test.", 443}, {"user/api", "other.test", 443},
        {"user/api", "api.test", 8443}, {"", "", 0},
    };
    struct journal *journal = mem_alloc(sizeof(*journal));
    (void)state;
    struct secrets *given = secrets_take(&plane, SPAN("a credential"));
    assert_null(secrets_lent(&plane, &use)); /* no journal */
    plane.lines.journal = journal;
    atomic_store(&journal->grant, 7);
    assert_null(secrets_lent(&plane, &use)); /* given, and not lent */
    secrets_lend(given, &use, "me", 7);
    secrets_give(given);
    for (size_t i = 0; i < COUNT(others); i++)
        assert_null(secrets_lent(&plane, &others[i]));
    assert_ptr_equal(secrets_lent(&plane, &use), given);
    assert_true(span_eqs(secrets_text(given), "a credential"));
    assert_string_equal(secrets_username(given), "me");
    assert_int_equal(secrets_grant(given), 7);
    secrets_give(given);
    atomic_store(&journal->grant, 0); /* the monitor has taken all back */
    assert_null(secrets_lent(&plane, &use));
    atomic_store(&journal->grant, 8); /* and lends others */
    assert_null(secrets_lent(&plane, &use));
    given = secrets_take(&plane, SPAN("a credential"));
    secrets_lend(given, &others[0], "", 8); /* for something else from now on */
    assert_null(secrets_lent(&plane, &use));
    assert_ptr_equal(secrets_lent(&plane, &others[0]), given);
    for (uint64_t end = clock_mono_ms() + SECRETS_LENT_MS; clock_mono_ms() < end;)
        usleep(10000);
    assert_null(secrets_lent(&plane, &others[0]));
    secrets_give(given);
    secrets_give(given);
    plane.lines.journal = NULL;
    free(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wiped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lent, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
