/* The store of saved TLS sessions: the newest of a place first, each once, bounds. That a stream resumes with what
 * comes out is test_stream's, and that the data plane does is test_conn_tls's. */
#include "tls/resume.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct resume *store;

static int setup(void **state)
{
    (void)state;
    store = resume_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    resume_free(store);
    return 0;
}

static void put(const char *key, const char *bytes)
{
    struct buf saved;
    buf_init(&saved, 100);
    assert_true(buf_adds(&saved, bytes));
    resume_put(store, span_of(key), &saved);
    assert_int_equal(saved.len, 0); /* they are the store's now */
    assert_null(saved.data);
}

static void take(const char *key, const char *bytes)
{
    struct buf saved;
    assert_int_equal(resume_take(store, span_of(key), &saved), bytes != NULL);
    assert_string_equal(buf_cstr(&saved), bytes != NULL ? bytes : "");
    buf_wipe(&saved);
}

static void test_newest_first_and_once(void **state)
{
    (void)state;
    take("a.test:443", NULL);
    put("a.test:443", "one");
    put("a.test:443", "two");
    put("b.test:443", "three");
    take("a.test:44", NULL);
    take("a.test:4433", NULL);
    take("a.test:443", "two");
    take("a.test:443", "one");
    take("a.test:443", NULL);
    take("b.test:443", "three");
    assert_int_equal(resume_count(store), 0);
}

static void test_bounds(void **state)
{
    (void)state;
    char name[32];
    put("other", "kept");
    for (int i = 0; i < RESUME_PER_KEY + 3; i++) {
        snprintf(name, sizeof name, "%d", i);
        put("a", name);
    }
    assert_int_equal(resume_count(store), RESUME_PER_KEY + 1);
    take("other", "kept"); /* one place takes nothing from another */
    for (int i = RESUME_PER_KEY + 2; i >= 3; i--) {
        snprintf(name, sizeof name, "%d", i);
        take("a", name);
    }
    take("a", NULL);
    for (int i = 0; i < RESUME_MAX + 1; i++) {
        snprintf(name, sizeof name, "h%d", i);
        put(name, "x");
    }
    assert_int_equal(resume_count(store), RESUME_MAX);
    take("h0", NULL);
    take("h1", "x");
    resume_empty(store);
    assert_int_equal(resume_count(store), 0);
    take("h2", NULL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {T(test_newest_first_and_once), T(test_bounds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
