/* core/base/err: the table, context, cutting, and the printed line. */
#include "core/base/err.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void codes_are_complete(void **state)
{
    (void)state;
    for (int i = 0; i < ERR_CODES; i++) {
        enum err_code code = (enum err_code)i;
        assert_non_null(err_word(code));
        assert_true(err_from_word(err_word(code)) == code);
        assert_in_range(err_http(code), 200, 599);
        if (code == ERR_NONE)
            assert_int_equal(err_exit(code), 0);
        else
            assert_in_range(err_exit(code), 1, 127);
    }
    assert_int_equal(err_from_word("no such word"), ERR_FAILED);
}

/* Design 14. */
static void exit_codes_are_the_contract(void **state)
{
    (void)state;
    static const struct {
        enum err_code code;
        int exit;
    } rows[] = {{ERR_FAILED, 1},       {ERR_UPSTREAM, 1},  {ERR_USAGE, 64}, {ERR_DATA, 65},
                {ERR_UNAVAILABLE, 69}, {ERR_INTERNAL, 70}, {ERR_IO, 74},    {ERR_PENDING, 75},
                {ERR_DENIED, 77},      {ERR_CONFIG, 78},   {ERR_TIMEOUT, 124}, {ERR_LAUNCH, 125},
                {ERR_NOT_EXECUTABLE, 126}, {ERR_NOT_FOUND_COMMAND, 127}};
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(err_exit(rows[i].code), rows[i].exit);
    assert_int_equal(err_exit((enum err_code)9999), 70);
}

static void set_and_wrap(void **state)
{
    (void)state;
    struct err err = {0};
    assert_false(err_set(&err, ERR_DENIED, "no rule for %s", "host"));
    assert_string_equal(err.hint, "");
    assert_false(err_hint(&err, "Add %d rule", 1));
    assert_false(err_wrap(&err, "request %d", 7));
    assert_string_equal(err.message, "request 7: no rule for host");
    assert_string_equal(err.hint, "Add 1 rule");
    assert_false(err_hint_default(&err, "Or do nothing"));
    assert_string_equal(err.hint, "Add 1 rule");
    assert_int_equal(err.code, ERR_DENIED);
    err_errno(&err, ERR_IO, ENOSPC, "cannot write %s", "x");
    assert_string_equal(err.message, "cannot write x: No space left on device");
    assert_string_equal(err.hint, "");
    err_hint_default(&err, "Free %s", "space");
    assert_string_equal(err.hint, "Free space");
    /* The message may be made of itself. */
    err_set(&err, ERR_IO, "again: %s", err.message);
    assert_string_equal(err.message, "again: cannot write x: No space left on device");
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    struct err err = {0};
    char path[2000];
    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    err_errno(&err, ERR_IO, EACCES, "cannot read %s", path);
    assert_non_null(strstr(err.message, ": Permission denied"));
    err_wrap(&err, "%s", path);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
    assert_non_null(strstr(err.message, ": cannot read aaa"));
    err_hint(&err, "%s", path);
    assert_int_equal(strlen(err.hint), sizeof(err.hint) - 1);
}

/* What err_print writes on standard error. */
static int printed(const struct err *err, char *out, size_t cap)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    int saved = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    int status = err_print(err, "aileron");
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    size_t len = fread(out, 1, cap - 1, file);
    out[len] = '\0';
    fclose(file);
    return status;
}

static void prints_one_safe_line(void **state)
{
    (void)state;
    struct err err = {0};
    char line[2048];
    err_set(&err, ERR_DENIED, "host %s is refused", "a\nb\033[2J");
    err_hint(&err, "See the policy");
    assert_int_equal(printed(&err, line, sizeof(line)), 77);
    assert_string_equal(line, "aileron: host a\\x0ab\\x1b[2J is refused. See the policy\n");
    err_set(&err, ERR_FAILED, "It ended.");
    printed(&err, line, sizeof(line));
    assert_string_equal(line, "aileron: It ended.\n");
    err_hint(&err, "Again");
    printed(&err, line, sizeof(line));
    assert_string_equal(line, "aileron: It ended. Again\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_complete),  cmocka_unit_test(exit_codes_are_the_contract),
        cmocka_unit_test(set_and_wrap),        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(prints_one_safe_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
