/* core/base/id: ULIDs, the clocks and their text; core/base/log writes one line. */
#include "core/base/id.h"

#include "core/base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void ids_are_ordered(void **state)
{
    (void)state;
    struct id last = id_new("op_");
    for (int i = 0; i < 10000; i++) {
        struct id next = id_new("op_");
        assert_true(id_valid(next.text, "op_"));
        assert_true(strcmp(last.text, next.text) < 0);
        last = next;
    }
    clock_fake(1000, 1); /* a clock that goes back must not make an older one */
    struct id late = id_new("op_");
    clock_fake(0, 0);
    assert_true(strcmp(last.text, late.text) < 0);
}

static void ids_tell_their_time(void **state)
{
    (void)state;
    clock_fake(UINT64_C(281474976710655), 1); /* 2^48 - 1, the last that there is */
    struct id id = id_new("");
    clock_fake(0, 0);
    assert_int_equal(strlen(id.text), ULID_LEN);
    assert_memory_equal(id.text, "7ZZZZZZZZZ", 10);
}

static void ids_are_checked(void **state)
{
    (void)state;
    assert_true(id_valid("op_01ARZ3NDEKTSV4RRFFQ69G5FAV", "op_"));
    assert_true(id_valid("01ARZ3NDEKTSV4RRFFQ69G5FAV", ""));
    static const char *const bad[] = {"", "op_", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "op_01ARZ3NDEKTSV4RRFFQ69G5FA",
                                      "op_01ARZ3NDEKTSV4RRFFQ69G5FAVX", "op_81ARZ3NDEKTSV4RRFFQ69G5FAV",
                                      "op_01ARZ3NDEKTSV4RRFFQ69G5FAU", "op_01arz3ndektsv4rrffq69g5fav",
                                      "op_../../../../../etc/passwd0", "apr_01ARZ3NDEKTSV4RRFFQ69G5FAV"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(id_valid(bad[i], "op_"));
}

static void clocks(void **state)
{
    (void)state;
    assert_true(clock_wall_ms() > UINT64_C(1600000000000));
    uint64_t before = clock_mono_ms();
    assert_true(clock_mono_ms() >= before);
    clock_fake(5, 6);
    assert_int_equal(clock_wall_ms(), 5);
    assert_int_equal(clock_mono_ms(), 6);
    clock_fake(0, 0);
    assert_true(clock_wall_ms() > 5);
}

static void iso_dates(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {{0, "1970-01-01T00:00:00.000Z"},
                {UINT64_C(951782399999), "2000-02-28T23:59:59.999Z"},
                {UINT64_C(951782400000), "2000-02-29T00:00:00.000Z"},
                {UINT64_C(1795496941123), "2026-11-24T05:09:01.123Z"},
                {UINT64_C(4107542400000), "2100-03-01T00:00:00.000Z"},
                {UINT64_C(253402300799999), "9999-12-31T23:59:59.999Z"}};
    char out[32];
    for (size_t i = 0; i < COUNT(rows); i++) {
        clock_iso(rows[i].ms, out);
        assert_string_equal(out, rows[i].text);
    }
    clock_iso(UINT64_MAX, out);
    assert_int_equal(strlen(out), 24);
    for (uint64_t day = 0; day < 100000; day++) { /* 270 years, against the C library */
        time_t seconds = (time_t)(day * 86400 + day % 86400);
        struct tm tm;
        char want[32];
        gmtime_r(&seconds, &tm);
        strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
        clock_iso((uint64_t)seconds * 1000, out);
        assert_string_equal(out, want);
    }
}

static void random_is_random(void **state)
{
    (void)state;
    uint8_t a[32], b[32];
    random_bytes(a, sizeof(a));
    random_bytes(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    random_bytes(a, 0);
}

static void log_is_one_line(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    int saved = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    log_open("worker", LOG_INFO);
    log_info("host=%s", "a\nb");
    log_debug("not shown");
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    char text[512];
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = '\0';
    fclose(file);
    assert_non_null(strstr(text, " info worker["));
    assert_non_null(strstr(text, " host=a\\x0ab\n"));
    assert_null(strstr(text, "not shown"));
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_ordered), cmocka_unit_test(ids_are_checked),
        cmocka_unit_test(clocks),          cmocka_unit_test(iso_dates),
        cmocka_unit_test(random_is_random), cmocka_unit_test(log_is_one_line),
        cmocka_unit_test(ids_tell_their_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
