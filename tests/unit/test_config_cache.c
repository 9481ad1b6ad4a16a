/* sandbox.cache: what is read, and what is refused. What a mount of it is good for is e2e/cache_bwrap.bats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/data/config_cache.h"

static bool read_text(const char *text, struct config_caches *caches, struct err *err)
{
    CLEANUP(doc_clear) struct doc doc = {0};

    *caches = (struct config_caches){.count = 0};
    *err = (struct err){0};
    assert_true(json_parse(text, strlen(text), JSON_FILE_MAX, "config.yaml", ERR_CONFIG, &doc, err));
    struct json_at at = json_root(&doc);
    return config_caches_from(caches, &at, err);
}

static bool takes(const char *place)
{
    AUTOFREE char *text = mem_printf("{\"cache\": {\"one\": \"%s\"}}", place);
    struct config_caches caches;
    struct err err;
    bool good = read_text(text, &caches, &err);

    assert_true(good || err.code == ERR_CONFIG);
    config_caches_clear(&caches);
    return good;
}

static void caches_are_read(void **state)
{
    struct config_caches caches;
    struct err err;

    (void)state;
    assert_true(read_text("{}", &caches, &err));
    assert_int_equal(caches.count, 0);
    assert_true(read_text("{\"cache\": {\"npm\": \"~/.npm\", \"go\": \"~/go/pkg/mod\"}}", &caches, &err));
    assert_int_equal(caches.count, 2);
    assert_string_equal(caches.rows[0].name, "npm");
    assert_string_equal(caches.rows[1].place, "go/pkg/mod");
    config_caches_clear(&caches);
}

static void places_are_below_the_home(void **state)
{
    static const char *const good[] = {"~/.npm", "~/a/b/c", "~/workspace2", "~/.workspace", "~/x@1+2_3"};
    static const char *const bad[] = {"", "~", "~/", "/etc", "/home/agent/.npm", "a", "~/..", "~/../x",
                                      "~/a/../../etc", "~/./a", "~//a", "~/a/", "~/workspace", "~/workspace/x",
                                      "~/a b", "~/a,b", "~/a:b", "~/a\\\\b", "~/a\\n", "~root/.npm"};

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        if (!takes(good[i]))
            fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < COUNT(bad); i++)
        if (takes(bad[i]))
            fail_msg("%s is taken", bad[i]);
}

static void none_holds_another(void **state)
{
    static const char *const pairs[][2] = {{"~/a", "~/a"}, {"~/a", "~/a/b"}, {"~/a/b/c", "~/a/b"}};
    struct config_caches caches;
    struct err err;

    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        AUTOFREE char *text = mem_printf("{\"cache\": {\"one\": \"%s\", \"two\": \"%s\"}}", pairs[i][0], pairs[i][1]);
        assert_false(read_text(text, &caches, &err));
        config_caches_clear(&caches);
    }
    assert_true(read_text("{\"cache\": {\"one\": \"~/a\", \"two\": \"~/ab\"}}", &caches, &err));
    config_caches_clear(&caches);
}

static void caches_are_bounded(void **state)
{
    struct config_caches caches;
    struct err err;
    struct buf text;

    (void)state;
    for (int count = CONFIG_CACHES_MAX; count <= CONFIG_CACHES_MAX + 1; count++) {
        buf_init(&text, 4096);
        assert_true(buf_adds(&text, "{\"cache\": {"));
        for (int i = 0; i < count; i++)
            assert_true(buf_printf(&text, "%s\"c%d\": \"~/c%d\"", i > 0 ? ", " : "", i, i));
        assert_true(buf_adds(&text, "}}"));
        assert_int_equal(read_text(buf_cstr(&text), &caches, &err), count == CONFIG_CACHES_MAX);
        config_caches_clear(&caches);
        buf_clear(&text);
    }
    for (int len = CONFIG_CACHE_NAME; len <= CONFIG_CACHE_NAME + 1; len++) {
        AUTOFREE char *row = mem_printf("{\"cache\": {\"%0*d\": \"~/a\"}}", len, 1);
        assert_int_equal(read_text(row, &caches, &err), len == CONFIG_CACHE_NAME);
        config_caches_clear(&caches);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(caches_are_read),
        cmocka_unit_test(places_are_below_the_home),
        cmocka_unit_test(none_holds_another),
        cmocka_unit_test(caches_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
