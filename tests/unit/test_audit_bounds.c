/* The record's bounds: a text, a line that is written, a line that is read, its tail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/data/audit.h"
#include "core/data/audit_files.h"

static const uint64_t start_ms = 1795500000000; /* 2026-11-24 */
static char dir[64];
static struct audit *audit;

static int setup(void **state)
{
    (void)state;
    struct err err;
    memcpy(dir, "/tmp/aileron-audit.XXXXXX", 26);
    clock_fake(start_ms, 1);
    audit = mkdtemp(dir) ? audit_open(dir, &err) : NULL;
    return audit ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    struct err err;
    audit_close(audit);
    clock_fake(0, 0);
    return file_remove_tree(dir, &err) ? 0 : -1;
}

/* The length of the last line of the file, with its end. */
static size_t last_line(struct buf *file)
{
    struct err err;
    AUTOFREE char *path = mem_printf("%s/audit-2026-11-24.jsonl", dir);
    assert_true(file_read(path, 1024 * 1024, file, &err));
    size_t at = file->len - 1;
    while (at > 0 && file->data[at - 1] != '\n')
        at--;
    return file->len - at;
}

static void a_text_is_cut(void **state)
{
    (void)state;
    struct err err;
    char host[AUDIT_FIELD_MAX + 2];
    for (size_t more = 0; more < 2; more++) {
        struct buf file;
        memset(host, 'h', sizeof host);
        host[AUDIT_FIELD_MAX + more] = '\0';
        JSON_AUTO json_t *event = json_pack("{s:s, s:s, s:s}", "event", "network", "decision", "allow", "host", host);
        assert_true(audit_append(audit, event, false, &err));
        (void)last_line(&file);
        host[AUDIT_FIELD_MAX] = '\0';
        AUTOFREE char *shown = mem_printf("\"host\":\"%s%s\"", host, more ? "..." : "");
        assert_non_null(strstr(buf_cstr(&file), shown));
        buf_clear(&file);
    }
}

/* A line with a path of that length, and as much as else may stand in it. */
static bool append(size_t path_len, struct err *err)
{
    static const char *const full[] = {"rule", "reason", "message", "scheme", "method"};
    char text[AUDIT_FIELD_MAX + 1] = "", path[AUDIT_FIELD_MAX + 1] = "";
    JSON_AUTO json_t *event = json_pack("{s:s, s:s}", "event", "network", "decision", "allow");
    memset(text, 1, AUDIT_FIELD_MAX); /* each byte is six in JSON */
    for (size_t i = 0; i < COUNT(full); i++)
        json_put(event, full[i], text);
    memset(text, 'h', AUDIT_FIELD_MAX);
    json_put(event, "host", text);
    memset(path, 'p', path_len);
    json_put(event, "path", path);
    return audit_append(audit, event, false, err);
}

static void a_line_that_is_written_is_bounded(void **state)
{
    (void)state;
    struct err err;
    struct buf file;
    if (!append(0, &err))
        fail_msg("%s", err.message);
    size_t rest = AUDIT_LINE_MAX - last_line(&file);
    buf_clear(&file);
    assert_true(rest < AUDIT_FIELD_MAX);
    assert_true(append(rest, &err)); /* the line before has a number of as many digits */
    assert_int_equal(last_line(&file), AUDIT_LINE_MAX);
    buf_clear(&file);
    assert_false(append(rest + 1, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_true(append(1, &err)); /* the others go on */
}

static void a_line_that_is_read_is_bounded(void **state)
{
    (void)state;
    struct err err;
    struct audit_lines lines;
    AUTOFREE char *path = mem_printf("%s/lines", dir);
    AUTOFREE char *text = mem_alloc(2 * (AUDIT_READ_MAX + 2) + 1);
    memset(text, 'x', 2 * (AUDIT_READ_MAX + 2));
    text[AUDIT_READ_MAX] = '\n';
    text[2 * AUDIT_READ_MAX + 2] = '\n';
    assert_true(file_write_atomic(path, 0600, text, 2 * AUDIT_READ_MAX + 3, &err));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    audit_lines_init(&lines, fd, 0, false);
    assert_int_equal(audit_lines_next(&lines, &err), LINES_LINE);
    assert_false(lines.too_long);
    assert_int_equal(lines.line.len, AUDIT_READ_MAX);
    assert_int_equal(audit_lines_next(&lines, &err), LINES_LINE);
    assert_true(lines.too_long);
    audit_lines_clear(&lines);
    close(fd);
}

/* Lines of the last `bytes`, the first of them by its seq; 0: there is none. */
static size_t in_tail(uint64_t bytes, json_int_t *first)
{
    const struct audit_filter filter = {.event = "session.end", .tail_bytes = bytes};
    struct err err = {0};
    struct audit_reader *reader = audit_reader_open(dir, &filter, false, &err);
    struct span line;
    json_t *object;
    size_t count = 0;

    *first = 0;
    assert_non_null(reader);
    while (audit_reader_next(reader, &line, &object, &err) == AUDIT_LINE)
        if (count++ == 0)
            *first = json_integer_value(json_object_get(object, "seq"));
    audit_reader_close(reader);
    return count;
}

/* Whole lines, across a midnight; none that is further back. */
static void a_tail_is_bounded(void **state)
{
    (void)state;
    struct err err;
    json_int_t first;
    JSON_AUTO json_t *event = json_pack("{s:s, s:s}", "event", "session.end", "reason", "exit");
    for (int i = 0; i < 40; i++) {
        if (i == 30)
            clock_fake(start_ms + 86400 * 1000, 1);
        assert_true(audit_append(audit, event, false, &err));
    }
    uint64_t line = audit_written(audit) / 40;
    assert_int_equal(in_tail(0, &first), 40);
    assert_int_equal(in_tail(1024 * 1024, &first), 40);
    size_t count = in_tail(line, &first);
    assert_int_equal(count, 40 - first + 1);
    assert_in_range(first, 38, 40);
    count = in_tail(15 * line, &first);
    assert_int_equal(count, 40 - first + 1);
    assert_in_range(first, 24, 27);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_text_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_that_is_written_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_that_is_read_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tail_is_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
