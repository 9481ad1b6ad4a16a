/* What the engines of containers make of an image. */
#include "core/sandbox/engine_container.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool take(const char *volumes, struct plan *plan, struct err *err)
{
    json_t *parsed JSON_AUTO = json_loads(volumes, JSON_DECODE_ANY, NULL);

    plan_clear(plan);
    plan->image = mem_strdup("image:1");
    assert_non_null(parsed);
    return container_take_volumes(plan, parsed, err);
}

/* pid 1 is started from a mount that is deeper than each of them; what is no plain path has no depth. */
static void test_image_volumes(void **state)
{
    static const char *const bad[] = {"{\"x\": {}}", "{\"\": {}}", "{\"/a\\\"b\": {}}", "{\"/a\\nb\": {}}"};
    CLEANUP(buf_clear) struct buf deep, deeper, many;
    struct plan plan;
    struct engine_run run = {0};
    struct err err = {0};

    (void)state;
    plan_init(&plan);
    assert_true(take("null", &plan, &err));
    assert_true(take("{\"/a//b/c/d/e/f\": {}}", &plan, &err));
    container_add_command(&plan, true, &run);
    assert_string_equal(run.argv[1], "--entrypoint=/opt/aileron/e/e/e/e/e/e/e/aileron-proxy");
    engine_run_clear(&run);
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(take(bad[i], &plan, &err));
        assert_int_equal(err.code, ERR_LAUNCH);
    }
    buf_init(&deep, 4096);
    buf_init(&deeper, 4096);
    buf_init(&many, 4096);
    for (size_t i = 0; i < 64; i++)
        assert_true(buf_adds(&deep, "/d"));
    assert_true(buf_printf(&deeper, "{\"%s/d\": {}}", buf_cstr(&deep)));
    AUTOFREE char *deepest = mem_printf("{\"%s\": {}}", buf_cstr(&deep));
    assert_true(take(deepest, &plan, &err));
    assert_false(take(buf_cstr(&deeper), &plan, &err));
    for (size_t i = 0; i < 32; i++)
        assert_true(buf_printf(&many, "%s\"/v%zu\": {}", i > 0 ? ", " : "", i));
    AUTOFREE char *most = mem_printf("{%s}", buf_cstr(&many));
    AUTOFREE char *more = mem_printf("{%s, \"/w\": {}}", buf_cstr(&many));
    assert_true(take(most, &plan, &err));
    assert_false(take(more, &plan, &err));
    for (size_t len = 1024; len <= 1025; len++) {
        AUTOFREE char *name = mem_alloc(len + 1);
        memset(name, 'n', len);
        name[0] = '/';
        AUTOFREE char *longest = mem_printf("{\"%s\": {}}", name);
        assert_int_equal(take(longest, &plan, &err), len == 1024);
    }
    plan_clear(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_image_volumes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
