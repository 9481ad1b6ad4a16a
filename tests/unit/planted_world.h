/* A workspace of its own for each test, and what two looks at it tell. */
#ifndef AILERON_TESTS_PLANTED_WORLD_H
#define AILERON_TESTS_PLANTED_WORLD_H

#include "core/sandbox/planted_private.h"

#include "core/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[4096];

static inline char *place(const char *below)
{
    return mem_printf("%s/%s", root, below);
}

static inline void folder(const char *below)
{
    AUTOFREE char *path = place(below);
    struct err err = {0};

    assert_true(file_mkdirs(path, 0755, &err));
}

static inline void put(const char *below, const char *text)
{
    AUTOFREE char *path = place(below);
    AUTOFREE char *dir = mem_strdup(path);
    struct err err = {0};

    *strrchr(dir, '/') = '\0';
    assert_true(file_mkdirs(dir, 0755, &err));
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static inline void put_link(const char *target, const char *below)
{
    AUTOFREE char *path = place(below);

    assert_int_equal(symlink(target, path), 0);
}

static inline int set_up(void **state)
{
    const char *tmp = getenv("TMPDIR");
    AUTOFREE char *template = mem_printf("%s/planted.XXXXXX", tmp != NULL ? tmp : "/tmp");
    struct err err = {0};

    (void)state;
    return tls_init(&err) && mkdtemp(template) != NULL && realpath(template, root) != NULL ? 0 : -1;
}

static inline int tear_down(void **state)
{
    struct err err = {0};

    (void)state;
    return file_remove_tree(root, &err) ? 0 : -1;
}

static inline struct planted *take(const char *path)
{
    struct err err = {0};
    struct planted *taken = planted_take(root, path, &err);

    assert_non_null(taken);
    return taken;
}

/* The report as text: a line a change, then why it is partial. */
static inline char *changes(struct planted *before)
{
    struct planted_report report;
    struct err err = {0};
    struct buf text;

    buf_init(&text, 1 << 20);
    assert_true(planted_compare(before, &report, &err));
    for (size_t i = 0; i < report.count; i++)
        assert_true(buf_printf(&text, "%s %s\n", planted_word(report.changes[i].kind), report.changes[i].path));
    if (report.total > report.count)
        assert_true(buf_printf(&text, "of %zu\n", report.total));
    if (report.partial[0] != '\0')
        assert_true(buf_printf(&text, "partial: %s\n", report.partial));
    planted_report_clear(&report);
    planted_free(before);
    char *copy = mem_strdup(buf_cstr(&text));
    buf_clear(&text);
    return copy;
}

static inline void expect(struct planted *before, const char *want)
{
    AUTOFREE char *got = changes(before);

    assert_string_equal(got, want);
}

#define PLANTED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
