/* audit.retention: old days of the record go, and what is left proves itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/data/audit.h"

enum { DAY_MS = 24 * 3600 * 1000 };
static const uint64_t start_ms = 1795500000000; /* 2026-11-24 */
static char dir[64];

static int setup(void **state)
{
    (void)state;
    memcpy(dir, "/tmp/aileron-audit.XXXXXX", 26);
    clock_fake(start_ms, 1);
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    struct err err;
    clock_fake(0, 0);
    return file_remove_tree(dir, &err) ? 0 : -1;
}

static struct audit *open_good(void)
{
    struct err err = {0};
    struct audit *audit = audit_open(dir, &err);
    if (!audit)
        fail_msg("%s", err.message);
    return audit;
}

static void lines(struct audit *audit, int count)
{
    struct err err;
    for (int i = 0; i < count; i++) {
        JSON_AUTO json_t *object = json_pack("{s:s, s:s}", "event", "network", "host", "a.example");
        if (!audit_append(audit, object, false, &err))
            fail_msg("%s", err.message);
    }
}

static struct audit_report verified(const char *anchor)
{
    struct audit_report report;
    struct err err;
    if (!audit_verify(dir, anchor, &report, &err))
        fail_msg("%s", err.message);
    return report;
}

static size_t retire(struct audit *audit, int64_t days)
{
    struct err err;
    size_t count;
    if (!audit_retire(audit, days, &count, &err))
        fail_msg("%s", err.message);
    return count;
}

/* What retention leaves proves itself, again and again; what somebody else removes does not. */
static void old_days_go_and_the_rest_proves_itself(void **state)
{
    (void)state;
    char kept[AUDIT_HASH_HEX + 1];
    struct audit *audit = open_good();
    for (uint64_t day = 0; day < 4; day++) {
        clock_fake(start_ms + day * DAY_MS, 1);
        lines(audit, 3);
        if (day == 0)
            memcpy(kept, audit_head(audit), sizeof kept);
    }
    assert_int_equal(retire(audit, 3), 0); /* the oldest is three days old: at the bound */
    assert_int_equal(retire(audit, 2), 1);
    struct audit_report report = verified(kept); /* a head that was kept elsewhere is the link to what is gone */
    if (!report.intact)
        fail_msg("%s", report.problem);
    assert_true(report.anchor_found);
    assert_int_equal(report.retired_lines, 3);
    assert_int_equal(report.lines, 10);
    assert_int_equal(report.files, 3);
    assert_int_equal(retire(audit, 2), 0);
    clock_fake(start_ms + 40 * (uint64_t)DAY_MS, 1);
    assert_int_equal(retire(audit, 1), 2); /* the one that is written stays until there is a newer one */
    assert_int_equal(retire(audit, 1), 1);
    report = verified(NULL);
    assert_true(report.intact);
    assert_int_equal(report.files, 1);
    audit_close(audit);
    audit = open_good();
    lines(audit, 1);
    clock_fake(start_ms + 41 * (uint64_t)DAY_MS, 1);
    lines(audit, 1);
    audit_close(audit);
    assert_true(verified(NULL).intact);
    AUTOFREE char *path = mem_printf("%s/audit-2027-01-03.jsonl", dir);
    assert_int_equal(unlink(path), 0); /* by nobody that the record knows of */
    report = verified(NULL);
    assert_false(report.intact);
    assert_non_null(strstr(report.problem, "no line says that audit.retention did so"));
}

/* A file whose last line is damaged cannot be told of: it stays, and so do the later ones. */
static void damage_is_kept(void **state)
{
    (void)state;
    struct err err;
    size_t count;
    struct audit *audit = open_good();
    lines(audit, 1);
    clock_fake(start_ms + 5 * (uint64_t)DAY_MS, 1);
    lines(audit, 1);
    AUTOFREE char *path = mem_printf("%s/audit-2026-11-24.jsonl", dir);
    assert_true(file_write_atomic(path, 0600, "{}\n", 3, &err));
    assert_false(audit_retire(audit, 1, &count, &err));
    assert_non_null(strstr(err.message, "audit-2026-11-24.jsonl"));
    assert_true(file_exists(path));
    audit_close(audit);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {TEST(old_days_go_and_the_rest_proves_itself), TEST(damage_is_kept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
