/* core/base/mem: the arena and the buffer at their bounds. */
#include "core/base/mem.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

static void copies(void **state)
{
    (void)state;
    AUTOFREE char *a = mem_strdup("text"), *b = mem_strndup("text", 2), *c = mem_printf("%d-%s", 5, "x");
    assert_string_equal(a, "text");
    assert_string_equal(b, "te");
    assert_string_equal(c, "5-x");
    AUTOFREE uint8_t *zero = mem_array(100, 3);
    for (int i = 0; i < 300; i++)
        assert_int_equal(zero[i], 0);
    zero = mem_resize(zero, 1000, 1);
    assert_int_equal(zero[299], 0);
    void *p = mem_alloc(0);
    assert_non_null(p);
    mem_free_ptr(&p);
    assert_null(p);
}

static void arena_keeps_its_bound(void **state)
{
    (void)state;
    struct arena *arena = arena_new(64);
    assert_non_null(arena_alloc(arena, 33)); /* 48 in steps of 16 */
    assert_null(arena_alloc(arena, 17));
    assert_non_null(arena_alloc(arena, 16));
    assert_null(arena_alloc(arena, 0)); /* even nothing costs something: the sum stays bounded */
    assert_null(arena_alloc(arena, SIZE_MAX));
    assert_null(arena_strndup(arena, "x", 1));
    arena_reset(arena);
    char *text = arena_strndup(arena, "hello", 3);
    assert_string_equal(text, "hel");
    arena_free(arena);
    arena_free(NULL);
}

static void arena_is_zeroed_and_aligned(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20);
    for (int round = 0; round < 3; round++) {
        for (size_t size = 1; size < 9000; size = size * 3 + 1) {
            uint8_t *p = arena_alloc(arena, size);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 16, 0);
            for (size_t i = 0; i < size; i++)
                assert_int_equal(p[i], 0);
            memset(p, 0xff, size);
        }
        arena_reset(arena);
    }
    arena_free(arena);
}

static void buffer_keeps_its_maximum(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 10);
    assert_null(buf.data);
    assert_string_equal(buf_cstr(&buf), "");
    assert_true(buf_adds(&buf, "12345"));
    assert_false(buf_adds(&buf, "678901"));
    assert_int_equal(buf.len, 5);
    assert_true(buf_printf(&buf, "%d", 67890));
    assert_false(buf_printf(&buf, "%d", 1));
    assert_null(buf_reserve(&buf, 1));
    assert_null(buf_reserve(&buf, SIZE_MAX));
    assert_string_equal(buf_cstr(&buf), "1234567890"); /* the NUL may pass the maximum */
    assert_int_equal(buf.len, 10);
    buf_consume(&buf, 4);
    assert_string_equal(buf_cstr(&buf), "567890");
    buf_consume(&buf, 6);
    assert_null(buf.data);
    assert_int_equal(buf.max, 10);
    assert_true(buf_add(&buf, NULL, 0));
    buf_wipe(&buf);
}

static void buffer_grows(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100000);
    for (int i = 0; i < 100000; i++) {
        uint8_t byte = (uint8_t)(i * 7);
        assert_true(buf_add(&buf, &byte, 1));
    }
    assert_false(buf_add(&buf, "", 1));
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buf.data[i], (uint8_t)(i * 7));
    assert_true(buf.cap <= 100000);
    uint8_t *to;
    buf_clear(&buf);
    assert_non_null(to = buf_reserve(&buf, 100000));
    to[99999] = 1;
    buf_clear(&buf);
}

static void too_much_aborts(void)
{
    void *p = mem_array(SIZE_MAX, 2);
    free(p);
}

static void overflow_is_no_small_block(void **state)
{
    (void)state;
    /* It aborts, so it happens in a child. */
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        close(STDERR_FILENO);
#if defined(__SANITIZE_ADDRESS__)
        __sanitizer_set_report_fd(NULL); /* it is what we want: not to be counted as a finding */
#endif
        signal(SIGABRT, SIG_DFL);
        too_much_aborts();
        _exit(0);
    }
    assert_true(waitpid(pid, &status, 0) == pid);
    assert_true(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies),
        cmocka_unit_test(arena_keeps_its_bound),
        cmocka_unit_test(arena_is_zeroed_and_aligned),
        cmocka_unit_test(buffer_keeps_its_maximum),
        cmocka_unit_test(buffer_grows),
        cmocka_unit_test(overflow_is_no_small_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
