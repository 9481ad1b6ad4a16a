/* A record that somebody wrote anew, with hashes that are right: what the proof says of it all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/data/audit.h"
#include "core/data/audit_files.h"

static char dir[64];
static struct buf file; /* lines of a day */
static char head[AUDIT_HASH_HEX + 1];

static int setup(void **state)
{
    (void)state;
    memcpy(dir, "/tmp/aileron-audit.XXXXXX", 26);
    buf_init(&file, 1024 * 1024);
    memcpy(head, AUDIT_FIRST_PREV, sizeof head);
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    struct err err;
    buf_clear(&file);
    return file_remove_tree(dir, &err) ? 0 : -1;
}

static void add_text(const char *text)
{
    audit_hash_hex(text, strlen(text), head);
    assert_true(buf_adds(&file, text) && buf_adds(&file, "\n"));
}

static void add(int seq, const char *members)
{
    static const char shape[] = "{\"ts\":\"2026-11-24T06:00:00.000Z\",\"seq\":%d,%s,\"prev\":\"%s\"}";
    AUTOFREE char *text = mem_printf(shape, seq, members, head);
    add_text(text);
}

static void end_day(const char *day)
{
    struct err err;
    AUTOFREE char *path = mem_printf("%s/audit-%s.jsonl", dir, day);
    assert_true(file_write_atomic(path, 0600, file.data, file.len, &err));
    buf_clear(&file);
}

/* Verifies, and begins another record. */
static void proves(const char *problem)
{
    struct err err;
    struct audit_report report;
    if (file.len > 0)
        end_day("2026-11-24");
    assert_true(audit_verify(dir, NULL, &report, &err));
    assert_string_equal(report.problem, problem);
    assert_int_equal(report.intact, problem[0] == '\0');
    assert_true(file_remove_tree(dir, &err) && file_mkdirs(dir, 0700, &err));
    memcpy(head, AUDIT_FIRST_PREV, sizeof head);
}

#define EVENT "\"event\":\"network\",\"host\":\"h\""
#define FIRST "audit-2026-11-24.jsonl:"
#define REMOVED "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define RETIRED(seq, hash) "\"event\":\"record.retired\",\"last_seq\":" seq ",\"last_hash\":\"" hash "\""

static void numbers_count_on(void **state)
{
    (void)state;
    add(1, EVENT);
    add(2, EVENT);
    proves("");
    add(1, EVENT);
    add(3, EVENT);
    proves(FIRST "2: 'seq' does not count on");
    add(1, EVENT);
    add(1, EVENT);
    proves(FIRST "2: 'seq' does not count on");
    add(1, EVENT);
    end_day("2026-11-23");
    add(1, EVENT); /* a day that begins anew */
    proves(FIRST "1: 'seq' does not count on");
}

static void lines_are_objects(void **state)
{
    (void)state;
    add_text("[]");
    proves(FIRST "1: not a JSON object: changed or damaged");
    add(1, EVENT);
    add_text("");
    proves(FIRST "2: not a JSON object: changed or damaged");
    add(1, EVENT);
    add(2, EVENT ",\"host\":\"another\""); /* two readers would read two records */
    proves(FIRST "2: not a JSON object: changed or damaged");
    add(1, EVENT);
    AUTOFREE char *two = mem_printf("{\"seq\":2,\"prev\":\"%s\"} {\"seq\":3}", head);
    add_text(two);
    proves(FIRST "2: not a JSON object: changed or damaged");
}

/* Lines at the beginning go by audit.retention alone, which says so on the record, with what it removed. */
static void beginnings_are_told(void **state)
{
    static const char hash[] = REMOVED;
    static const char removed[] = FIRST "1: not the first line of a record: earlier lines were removed";
    static const char untold[] = FIRST "1: not the first line of a record: earlier lines were removed, and no line "
                                       "says that audit.retention did so";
    (void)state;
    add(2, EVENT);
    proves(untold);
    memcpy(head, hash, sizeof head);
    add(1, EVENT);
    proves(removed);
    memcpy(head, "0011", 5);
    add(8, EVENT);
    proves(removed);
    memcpy(head, hash, sizeof head);
    add(8, EVENT);
    proves(untold);
    memcpy(head, hash, sizeof head);
    add(8, EVENT);
    add(9, RETIRED("6", REMOVED));
    proves(untold);
    memcpy(head, hash, sizeof head);
    add(8, EVENT);
    add(9, RETIRED("7", "1" REMOVED));
    proves(untold);
    memcpy(head, hash, sizeof head);
    add(8, EVENT);
    add(9, RETIRED("7", REMOVED));
    proves("");
}

/* Half a line is what a crash leaves at the very end; anywhere else somebody left it. */
static void ends_are_whole(void **state)
{
    (void)state;
    add(1, EVENT);
    assert_true(buf_adds(&file, "{\"ts\":"));
    end_day("2026-11-23");
    add(2, EVENT);
    proves("audit-2026-11-23.jsonl:2: the file ends within a line");
    add(1, EVENT);
    end_day("2026-11-23");
    add(2, EVENT);
    assert_true(buf_adds(&file, "{\"ts\":"));
    proves("");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {T(numbers_count_on), T(lines_are_objects), T(beginnings_are_told),
                                       T(ends_are_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
