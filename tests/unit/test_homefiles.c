/* The files of an agent in its home: what an agent's file may say, and what is written where. */
#include "core/sandbox/homefiles.h"

#include "core/base/file.h"
#include "core/data/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static bool accepts(const char *yaml, struct err *err)
{
    CLEANUP(doc_clear) struct doc doc = {0};

    *err = (struct err){0};
    assert_true(yaml_parse(yaml, strlen(yaml), "a.yaml", &doc, err));
    struct json_at root = json_root(&doc);
    return homefiles_check(&root, err);
}

static void test_what_may_stand_there(void **state)
{
    static const char *const bad[] = {"/etc/passwd", "../x", "a/../x", "a//x", "a/", "./a"};
    struct err err;

    (void)state;
    assert_true(accepts("home: { .a/b.json: '{}', c: '' }", &err));
    assert_true(accepts("{}", &err));
    for (size_t i = 0; i < COUNT(bad); i++) {
        AUTOFREE char *yaml = mem_printf("home:\n  %s: x\n", bad[i]);
        if (accepts(yaml, &err))
            fail_msg("%s was accepted", bad[i]);
        assert_non_null(strstr(err.message, "a.yaml:2"));
    }
    assert_false(accepts("home: { a: 1 }", &err));
    assert_false(accepts("home: [a]", &err));
}

/* At each bound, and one above. */
static void test_bounds(void **state)
{
    struct err err;

    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct buf yaml;
        buf_init(&yaml, 4096);
        assert_true(buf_adds(&yaml, "home:\n"));
        for (size_t i = 0; i < HOMEFILES_MAX + more; i++)
            assert_true(buf_printf(&yaml, "  f%zu: x\n", i));
        assert_int_equal(accepts(buf_cstr(&yaml), &err), more == 0);
        buf_clear(&yaml);
        AUTOFREE char *text = mem_alloc(HOMEFILES_BYTES + more + 1);
        memset(text, 'x', HOMEFILES_BYTES + more);
        AUTOFREE char *one = mem_printf("home:\n  f: %s\n", text);
        assert_int_equal(accepts(one, &err), more == 0);
    }
}

static void is(const char *home, const char *name, const char *want)
{
    AUTOFREE char *path = mem_printf("%s/%s", home, name);
    CLEANUP(buf_clear) struct buf text = {0};
    struct err err = {0};

    if (want == NULL) {
        assert_false(file_exists(path));
        return;
    }
    assert_true(file_read(path, 1024, &text, &err));
    assert_string_equal(buf_cstr(&text), want);
}

static void test_written(void **state)
{
    char home[] = "/tmp/homefiles.XXXXXX", outside[] = "/tmp/homefiles.XXXXXX";
    CLEANUP(env_clear) struct env env = {0};
    struct err err = {0};

    (void)state;
    assert_non_null(mkdtemp(home));
    assert_non_null(mkdtemp(outside));
    AUTOFREE char *link = mem_printf("%s/link", home), *there = mem_printf("%s/there", home);
    assert_int_equal(symlink(outside, link), 0);
    assert_true(file_write_atomic(there, 0600, "mine", 4, &err));
    JSON_AUTO json_t *agent = json_pack(
        "{s:{s:s,s:s,s:s,s:s,s:s,s:s,s:s}}", "home", "a/b/c", "key ${KEY}, end ${KEY:3}, all ${KEY:99}, none${NO:3}.",
        "needs", "${NO}", "there", "other", "link/x", "x", "../y", "y", "plain", "{\"$\":\"}\"}", "open", "${KEY");
    assert_true(env_set(&env, "HOME", home) && env_set(&env, "KEY", "abcdef"));
    assert_true(homefiles_put(agent, &env, &err));
    homefiles_take(&env);
    assert_null(env_get(&env, HOMEFILES_ENV));
    is(home, "a/b/c", "key abcdef, end def, all abcdef, none.");
    is(home, "needs", NULL);
    is(home, "there", "mine");
    is(outside, "x", NULL);
    is(home, "../y", NULL);
    is(home, "plain", "{\"$\":\"}\"}");
    is(home, "open", "${KEY");
    assert_true(file_remove_tree(home, &err) && file_remove_tree(outside, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_may_stand_there), cmocka_unit_test(test_bounds),
                                       cmocka_unit_test(test_written)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
