/* What is written into a credential's field, and how much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/plane/scheme.h"

/* The length of the field's value, 0: it is refused. */
static size_t written(struct binding *binding, size_t secret_len)
{
    struct arena *arena = arena_new(MSG_ARENA_BYTES);
    AUTOFREE char *secret = mem_alloc(secret_len + 1);
    struct msg msg;
    struct buf value;
    struct err err = {0};
    memset(secret, 's', secret_len);
    msg_init(&msg, arena);
    bool good = scheme_apply(binding, "", (struct span){secret, secret_len}, &msg, &value, &err);
    if (good)
        assert_ptr_equal(msg_get(&msg, "Authorization").p, value.data);
    else
        assert_int_equal(err.code, ERR_DENIED);
    size_t len = good ? msg_get(&msg, "Authorization").len : 0;
    buf_wipe(&value);
    arena_free(arena);
    return len;
}

static void a_value_is_bounded(void **state)
{
    (void)state;
    char name[] = "user/api", header[] = "Authorization", before[] = "Bearer ", nothing[] = "", user[] = "me";
    struct binding bearer = {.name = name, .entry = name, .scheme = BINDING_BEARER, .header = header,
                             .before = before, .after = nothing};
    struct binding basic = {.name = name, .entry = name, .scheme = BINDING_BASIC, .header = header,
                            .before = nothing, .after = nothing, .username = user};
    size_t most = SCHEME_VALUE_BYTES - strlen(before), pair = SCHEME_VALUE_BYTES / 2 - strlen("me:");
    assert_int_equal(written(&bearer, most), SCHEME_VALUE_BYTES);
    assert_int_equal(written(&bearer, most + 1), 0);
    assert_int_equal(written(&basic, pair), strlen("Basic ") + (SCHEME_VALUE_BYTES / 2 + 2) / 3 * 4);
    assert_int_equal(written(&basic, pair + 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_value_is_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
