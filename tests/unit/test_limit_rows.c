/* Every fixed limit that the manual names has a test at its bound and one above (threats section 5): tests/limits.rows
 * says where, and this says whether the two tables have the same rows and whether what is named is there and runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/text.h"

enum { FILE_BYTES = 1024 * 1024, ROWS_MAX = 256, NONE_MAX = 12, REASON_BYTES = 20 };

struct row {
    struct span name, tests; /* tests: "WHERE | WHERE" */
};
static struct row told[ROWS_MAX], tested[ROWS_MAX];
static size_t told_count, tested_count;
static struct buf manual, rows;

/* What stands behind the first `mark`; false: it is not there. */
static bool cut_behind(struct span *text, const char *mark)
{
    const char *at = memmem(text->p, text->len, mark, strlen(mark));
    if (!at)
        return false;
    at += strlen(mark);
    *text = (struct span){at, (size_t)(text->p + text->len - at)};
    return true;
}

static bool cut_text(struct span *text, const char *mark, struct span *before)
{
    struct span rest = *text;
    if (!cut_behind(&rest, mark))
        return false;
    *before = (struct span){text->p, text->len - rest.len - strlen(mark)};
    *text = rest;
    return true;
}

static void add(struct row *table, size_t *count, struct row row)
{
    for (size_t i = 0; i < *count; i++)
        if (span_eq(table[i].name, row.name))
            fail_msg("two rows are called '%.*s'", SPAN_ARG(row.name));
    assert_true(*count < ROWS_MAX);
    table[(*count)++] = row;
}

/* Lines ".It NAME Ta BOUND Ta ACTION" of the manual's table; one with .Em heads a part of it. */
static void read_manual(void)
{
    struct err err;
    struct span text, line, name;
    assert_true(file_read("man/aileron.7", FILE_BYTES, &manual, &err));
    text = (struct span){(const char *)manual.data, manual.len};
    assert_true(cut_behind(&text, "\n.Ss Fixed limits\n"));
    while (span_cut(&text, '\n', &line) && !span_eqs(line, ".El")) {
        if (!span_starts(line, ".It ") || span_starts(line, ".It Em "))
            continue;
        line = (struct span){line.p + 4, line.len - 4};
        if (!cut_text(&line, " Ta ", &name) || !cut_behind(&line, " Ta "))
            fail_msg("a row of the manual without bound or action: %.*s", SPAN_ARG(line));
        add(told, &told_count, (struct row){.name = name});
    }
}

static void read_rows(void)
{
    struct err err;
    struct span text, line, name;
    assert_true(file_read("tests/limits.rows", FILE_BYTES, &rows, &err));
    text = (struct span){(const char *)rows.data, rows.len};
    while (span_cut(&text, '\n', &line)) {
        if (line.len == 0 || line.p[0] == '#')
            continue;
        if (!cut_text(&line, " | ", &name))
            fail_msg("a row without a test: %.*s", SPAN_ARG(line));
        add(tested, &tested_count, (struct row){.name = name, .tests = line});
    }
}

static bool has(const struct row *table, size_t count, struct span name)
{
    for (size_t i = 0; i < count; i++)
        if (span_eq(table[i].name, name))
            return true;
    return false;
}

static void both_tables_have_the_same_rows(void **state)
{
    (void)state;
    assert_true(told_count > 50); /* the table was found */
    for (size_t i = 0; i < told_count; i++)
        if (!has(tested, tested_count, told[i].name))
            fail_msg("tests/limits.rows has no row '%.*s'", SPAN_ARG(told[i].name));
    for (size_t i = 0; i < tested_count; i++)
        if (!has(told, told_count, tested[i].name))
            fail_msg("the fixed limits of aileron(7) have no row '%.*s'", SPAN_ARG(tested[i].name));
}

static bool file_has(const char *path, const char *text)
{
    struct buf file;
    struct err err;
    if (!file_read(path, FILE_BYTES, &file, &err))
        return false;
    bool there = memmem(file.data, file.len, text, strlen(text)) != NULL;
    buf_clear(&file);
    return there;
}

/* A function that is written down but not in its program's list never runs. */
static bool unit_runs(const char *path, const char *function)
{
    AUTOFREE char *definition = mem_printf("\nstatic void %s(void **state)\n{", function);
    AUTOFREE char *alone = mem_printf("(%s)", function);
    AUTOFREE char *with_setup = mem_printf("(%s,", function);
    return file_has(path, definition) && (file_has(path, alone) || file_has(path, with_setup));
}

static bool is_there(struct span where)
{
    struct span path;
    if (span_starts(where, "tests/proxy/") && span_ends(where, ".case")) {
        AUTOFREE char *file = mem_strndup(where.p, where.len);
        return file_exists(file);
    }
    if (!span_cut(&where, ':', &path))
        return false;
    AUTOFREE char *file = mem_strndup(path.p, path.len);
    AUTOFREE char *name = mem_strndup(where.p, where.len);
    if (span_starts(path, "tests/unit/test_") && span_ends(path, ".c"))
        return unit_runs(file, name);
    if (!span_ends(path, ".bats") || where.len < 2)
        return false;
    AUTOFREE char *story = mem_printf("\n@test \"%s\" {", name + 1); /* behind ": " */
    return file_has(file, story);
}

static void each_row_names_a_test_that_is_there(void **state)
{
    size_t none = 0;
    (void)state;
    for (size_t i = 0; i < tested_count; i++) {
        struct span rest = tested[i].tests, where;
        if (span_starts(rest, "none: ")) {
            none++;
            if (rest.len < strlen("none: ") + REASON_BYTES)
                fail_msg("%.*s: why is there no test?", SPAN_ARG(tested[i].name));
            continue;
        }
        for (bool more = true; more;) {
            more = cut_text(&rest, " | ", &where);
            if (!more)
                where = rest;
            if (!is_there(where))
                fail_msg("%.*s: there is no test %.*s", SPAN_ARG(tested[i].name), SPAN_ARG(where));
        }
    }
    assert_in_range(none, 0, NONE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_tables_have_the_same_rows),
        cmocka_unit_test(each_row_names_a_test_that_is_there),
    };
    read_manual();
    read_rows();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_clear(&manual);
    buf_clear(&rows);
    return failed;
}
