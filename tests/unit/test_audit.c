/* The record: the chain, what breaks it, days, crashes, a full disk, and what may stand in a line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/id.h"
#include "tests/unit/flat_words.h"

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

static bool append(struct audit *audit, const char *event, const char *host, struct err *err)
{
    JSON_AUTO json_t *object = json_object();
    json_put(object, "event", event);
    json_put(object, "session", "s1");
    json_put(object, "host", host);
    if (!strchr(event, '.'))
        json_put(object, "decision", "allow");
    return audit_append(audit, object, false, err);
}

static void lines(struct audit *audit, int count)
{
    struct err err;
    for (int i = 0; i < count; i++) {
        if (!append(audit, "network", "a.example", &err))
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

static char *file_of(const char *day)
{
    return mem_printf("%s/audit-%s.jsonl", dir, day);
}

static void slurp(const char *day, struct buf *out)
{
    struct err err;
    AUTOFREE char *path = file_of(day);
    if (!file_read(path, 64 * 1024 * 1024, out, &err))
        fail_msg("%s", err.message);
}

static void spit(const char *day, const void *data, size_t len)
{
    struct err err;
    AUTOFREE char *path = file_of(day);
    assert_true(file_write_atomic(path, 0600, data, len, &err));
}

static void chain_over_days(void **state)
{
    (void)state;
    struct audit *audit = open_good();
    lines(audit, 3);
    clock_fake(start_ms + DAY_MS, 1);
    lines(audit, 2);
    clock_fake(start_ms, 1); /* backwards: stays in the newer file */
    lines(audit, 1);
    assert_int_equal(audit_seq(audit), 6);
    struct audit_report report = verified(audit_head(audit));
    assert_true(report.intact && report.anchor_found);
    assert_int_equal(report.files, 2);
    assert_int_equal(report.lines, 6);
    assert_string_equal(report.head, audit_head(audit));
    audit_close(audit);
    audit = open_good(); /* a restart counts on */
    assert_int_equal(audit_seq(audit), 6);
    lines(audit, 1);
    audit_close(audit);
    assert_true(verified(NULL).intact);
    assert_int_equal(verified(NULL).lines, 7);
    struct stat info;
    AUTOFREE char *path = file_of("2026-11-25");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void first_line_is_as_described(void **state)
{
    (void)state;
    struct buf text;
    struct audit *audit = open_good();
    lines(audit, 1);
    audit_close(audit);
    slurp("2026-11-24", &text);
    assert_string_equal(buf_cstr(&text),
                        "{\"ts\":\"2026-11-24T06:00:00.000Z\",\"seq\":1,\"event\":\"network\",\"session\":\"s1\","
                        "\"host\":\"a.example\",\"decision\":\"allow\",\"prev\":"
                        "\"0000000000000000000000000000000000000000000000000000000000000000\"}\n");
    buf_clear(&text);
}

/* Each way to change the record, on a fresh copy of five lines over two days. */
static void make_two_days(void)
{
    struct err err;
    assert_true(file_remove_tree(dir, &err));
    clock_fake(start_ms, 1);
    struct audit *audit = open_good();
    lines(audit, 3);
    clock_fake(start_ms + DAY_MS, 1);
    lines(audit, 2);
    audit_close(audit);
}

static void changes_are_found(void **state)
{
    (void)state;
    struct buf text;
    make_two_days();
    slurp("2026-11-24", &text); /* one byte changed */
    *strstr(buf_cstr(&text), "a.example") = 'b';
    spit("2026-11-24", text.data, text.len);
    buf_clear(&text);
    struct audit_report report = verified(NULL);
    assert_false(report.intact);
    assert_memory_equal(report.problem, "audit-2026-11-24.jsonl:2: ", 26);

    make_two_days();
    slurp("2026-11-24", &text); /* the second line removed */
    char *second = strchr(buf_cstr(&text), '\n') + 1, *third = strchr(second, '\n') + 1;
    size_t rest = text.len - (size_t)(third - (char *)text.data);
    memmove(second, third, rest);
    spit("2026-11-24", text.data, (size_t)(second - (char *)text.data) + rest);
    report = verified(NULL);
    assert_memory_equal(report.problem, "audit-2026-11-24.jsonl:2: ", 26);

    make_two_days(); /* the end of a day cut off */
    spit("2026-11-24", text.data, (size_t)(second - (char *)text.data));
    buf_clear(&text);
    report = verified(NULL);
    assert_memory_equal(report.problem, "audit-2026-11-25.jsonl:1: ", 26);

    make_two_days(); /* two lines swapped */
    slurp("2026-11-25", &text);
    second = strchr(buf_cstr(&text), '\n') + 1;
    size_t one = (size_t)(second - (char *)text.data);
    AUTOFREE char *swapped = mem_printf("%s%.*s", second, (int)one, (char *)text.data);
    spit("2026-11-25", swapped, text.len);
    buf_clear(&text);
    assert_false(verified(NULL).intact);

    make_two_days(); /* the first day removed */
    struct err err;
    AUTOFREE char *path = file_of("2026-11-24");
    assert_true(file_remove_tree(path, &err));
    assert_non_null(strstr(verified(NULL).problem, "earlier lines were removed"));

    make_two_days(); /* the last day removed: only a hash kept elsewhere can tell */
    struct audit_report whole = verified(NULL);
    AUTOFREE char *last = file_of("2026-11-25");
    assert_true(file_remove_tree(last, &err));
    assert_true(verified(NULL).intact);
    report = verified(whole.head);
    assert_false(report.intact || report.anchor_found);
    assert_true(verified(whole.first).intact);
}

static void F04_a_half_written_line(void **state)
{
    (void)state;
    struct buf text;
    struct audit *audit = open_good();
    lines(audit, 2);
    audit_close(audit);
    slurp("2026-11-24", &text);
    size_t whole = text.len;
    assert_true(buf_adds(&text, "{\"ts\":\"2026"));
    spit("2026-11-24", text.data, text.len);
    buf_clear(&text);
    assert_true(verified(NULL).intact && verified(NULL).open_tail);
    audit = open_good();
    assert_int_equal(audit_seq(audit), 3);
    audit_close(audit);
    slurp("2026-11-24", &text);
    assert_non_null(strstr(buf_cstr(&text) + whole, "\"event\":\"record.recovered\""));
    assert_non_null(strstr(buf_cstr(&text) + whole, "\"bytes\":11"));
    buf_clear(&text);
    assert_true(verified(NULL).intact && !verified(NULL).open_tail);
}

static void F04_odd_ends(void **state)
{
    (void)state;
    struct audit *audit;
    struct buf text;
    /* nothing but half a line */
    spit("2026-11-23", "{\"ts", 4);
    audit = open_good();
    assert_int_equal(audit_seq(audit), 1);
    lines(audit, 1);
    audit_close(audit);
    assert_true(verified(NULL).intact);
    /* an empty file of a later day: the state is the day's before it */
    spit("2026-11-25", "", 0);
    audit = open_good();
    assert_int_equal(audit_seq(audit), 2);
    lines(audit, 1);
    audit_close(audit);
    assert_true(verified(NULL).intact);
    /* a line of two MiB at the end: the chain goes on from it, and verify reports it */
    slurp("2026-11-25", &text);
    struct buf more;
    buf_init(&more, 8 * 1024 * 1024);
    assert_true(buf_add(&more, text.data, text.len));
    buf_clear(&text);
    for (int i = 0; i < 2 * 1024 * 1024 / 16; i++)
        assert_true(buf_adds(&more, "0123456789abcdef"));
    assert_true(buf_adds(&more, "\n"));
    spit("2026-11-25", more.data, more.len);
    buf_clear(&more);
    audit = open_good();
    assert_int_equal(audit_seq(audit), 4);
    lines(audit, 1);
    audit_close(audit);
    struct audit_report report = verified(NULL);
    assert_false(report.intact);
    assert_non_null(strstr(report.problem, "audit-2026-11-25.jsonl:2: longer than any line"));
}

static void F03_a_full_disk(void **state)
{
    (void)state;
    struct err err;
    struct rlimit old, tight;
    struct stat info;
    struct audit *audit = open_good();
    lines(audit, 2);
    AUTOFREE char *path = file_of("2026-11-24");
    assert_int_equal(stat(path, &info), 0);
    off_t before = info.st_size;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (off_t room = 0; room < 100; room += 33) { /* no byte fits, or some do */
        tight = (struct rlimit){.rlim_cur = (rlim_t)(before + room), .rlim_max = old.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
        bool ok = append(audit, "network", "a.example", &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_false(ok);
        assert_int_equal(err.code, ERR_IO);
        assert_true(err.hint[0] != '\0');
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_size, before);
    }
    lines(audit, 1); /* and goes on by itself */
    assert_int_equal(audit_seq(audit), 3);
    audit_close(audit);
    assert_true(verified(NULL).intact);
}

static int count_lines(struct audit_reader *reader)
{
    struct span line;
    json_t *object;
    struct err err;
    int count = 0;
    enum audit_read result;
    while ((result = audit_reader_next(reader, &line, &object, &err)) == AUDIT_LINE) {
        assert_true(line.len > 0 && json_is_object(object));
        count++;
    }
    assert_int_equal(result, AUDIT_END);
    return count;
}

static int count_filtered(const struct audit_filter *filter)
{
    struct err err;
    struct audit_reader *reader = audit_reader_open(dir, filter, false, &err);
    int count = count_lines(reader);
    audit_reader_close(reader);
    return count;
}

static json_t *network(const char *host)
{
    return json_pack("{s:s,s:s}", "event", "network", "host", host);
}

/* Lines that come together are one chain, and all on the record or none. */
static void together(void **state)
{
    (void)state;
    struct err err;
    struct rlimit old, tight;
    struct audit *audit = open_good();
    json_t *events[] = {network("a"), network("b"), network("c")}, *bad[] = {network("d"), json_object()};
    assert_true(flat_append_all(audit, events, 3, false, &err));
    lines(audit, 1);
    assert_int_equal(audit_seq(audit), 4);
    struct audit_report report = verified(audit_head(audit));
    assert_true(report.intact && report.anchor_found && report.lines == 4);
    assert_false(flat_append_all(audit, bad, 2, false, &err));
    char text[AUDIT_FIELD_MAX + 1] = "";
    memset(text, 1, AUDIT_FIELD_MAX);
    json_put(bad[1], "event", "network");
    for (size_t i = 0; i < 7; i++) /* six bytes a character: 84 KiB */
        json_put(bad[1], audit_event_find("network")->fields[i], text);
    assert_false(flat_append_all(audit, bad, 2, false, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0); /* the first line fits, the third does not */
    signal(SIGXFSZ, SIG_IGN);
    tight = (struct rlimit){.rlim_cur = (rlim_t)report.bytes + 300, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_false(flat_append_all(audit, events, 3, false, &err));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_true(err.code == ERR_IO && verified(NULL).lines == 4);
    assert_true(flat_append_all(audit, events, 3, true, &err));
    assert_true(!audit_dirty(audit) && audit_seq(audit) == 7);
    audit_close(audit);
    assert_true(verified(NULL).intact);
    assert_int_equal(count_filtered(&(struct audit_filter){.host = "c"}), 2);
    assert_int_equal(count_filtered(&(struct audit_filter){.host = "d"}), 0);
    for (size_t i = 0; i < 5; i++)
        json_decref(i < 3 ? events[i] : bad[i - 3]);
}

static void a_removed_file_is_made_again(void **state)
{
    (void)state;
    struct err err;
    struct audit *audit = open_good();
    lines(audit, 2);
    AUTOFREE char *path = file_of("2026-11-24");
    assert_true(file_remove_tree(path, &err));
    lines(audit, 1);
    assert_true(file_exists(path));
    audit_close(audit);
    assert_false(verified(NULL).intact);
}

static void only_what_the_table_has(void **state)
{
    (void)state;
    struct err err;
    struct audit *audit = open_good();
    assert_false(append(audit, "nonsense", "a", &err));
    assert_int_equal(err.code, ERR_DATA);
    static const char *const bad[] = {
        "{\"event\":\"network\",\"authorization\":\"Bearer x\"}", "{\"event\":\"network\",\"query\":\"a=b\"}",
        "{\"event\":\"network\",\"body\":\"x\"}", "{\"event\":\"network\",\"host\":{\"a\":1}}",
        "{\"event\":\"network\",\"seq\":7}", "{\"event\":\"network\",\"prev\":\"x\"}", "{\"host\":\"a\"}",
        "{\"event\":7}"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        json_t *event = json_loads(bad[i], 0, NULL);
        if (audit_append(audit, event, false, &err))
            fail_msg("taken: %s", bad[i]);
        json_decref(event);
    }
    assert_int_equal(audit_seq(audit), 0);
    audit_close(audit);
}

static void every_row_is_sound(void **state)
{
    (void)state;
    static const char *const never[] = {"query", "body", "header", "headers", "value", "secret", "token",
                                        "password", "ts", "seq", "prev", "event", "session"};
    for (const struct audit_event *row = audit_event_table(); row->word; row++) {
        assert_ptr_equal(audit_event_find(row->word), row); /* no word twice */
        assert_string_equal(row->fields[0], "session");
        assert_string_equal(row->fields[1], "id");
        for (size_t i = AUDIT_LEADING; row->fields[i]; i++) {
            assert_true(i < FLAT_NAMES_MAX);
            for (size_t n = 0; n < COUNT(never); n++)
                assert_string_not_equal(row->fields[i], never[n]);
        }
    }
}

static void long_values_are_cut(void **state)
{
    (void)state;
    struct err err;
    struct buf text;
    struct audit *audit = open_good();
    char host[3 * AUDIT_FIELD_MAX + 1];
    for (size_t i = 0; i + 2 < sizeof host; i += 2)
        memcpy(host + i, "\xc3\xa9", 2);
    host[0] = 'x'; /* so that the cut falls within a character */
    host[1] = 'x';
    memmove(host + 1, host + 2, sizeof host - 3);
    host[sizeof host - 2] = '\0';
    assert_true(append(audit, "network", host, &err));
    audit_close(audit);
    slurp("2026-11-24", &text);
    assert_true(text.len < AUDIT_FIELD_MAX + 400);
    assert_non_null(strstr(buf_cstr(&text), "..."));
    assert_true(text_utf8_valid((struct span){(char *)text.data, text.len}));
    buf_clear(&text);
    assert_true(verified(NULL).intact);
}

static void readers_filter_and_follow(void **state)
{
    (void)state;
    struct err err;
    struct audit_filter all = {0};
    assert_int_equal(count_filtered(&all), 0);
    struct audit *audit = open_good();
    struct audit_reader *tail = audit_reader_open(dir, &all, true, &err);
    assert_int_equal(count_lines(tail), 0);
    assert_true(append(audit, "network", "a.example", &err));
    assert_true(append(audit, "network.end", "b.example", &err));
    assert_int_equal(count_lines(tail), 2);
    clock_fake(start_ms + DAY_MS, 1);
    assert_true(append(audit, "sentinel", "a.example", &err));
    assert_int_equal(count_lines(tail), 1); /* over the change of the day */
    assert_int_equal(count_lines(tail), 0);
    audit_reader_close(tail);
    assert_int_equal(count_filtered(&all), 3);
    assert_int_equal(count_filtered(&(struct audit_filter){.event = "network"}), 2);
    assert_int_equal(count_filtered(&(struct audit_filter){.event = "net"}), 0);
    assert_int_equal(count_filtered(&(struct audit_filter){.event = "network.end"}), 1);
    assert_int_equal(count_filtered(&(struct audit_filter){.host = "a.example"}), 2);
    assert_int_equal(count_filtered(&(struct audit_filter){.session = "s2"}), 0);
    assert_int_equal(count_filtered(&(struct audit_filter){.id = "s1"}), 3);
    assert_int_equal(count_filtered(&(struct audit_filter){.decision = "deny"}), 0);
    assert_int_equal(count_filtered(&(struct audit_filter){.since_ms = (int64_t)start_ms + 1}), 1);
    assert_int_equal(count_filtered(&(struct audit_filter){.until_ms = (int64_t)start_ms}), 2);
    tail = audit_reader_open(dir, &all, true, &err);
    assert_int_equal(count_lines(tail), 0);
    audit_reader_close(tail);
    audit_close(audit);
}

static void durable_lines_and_sync(void **state)
{
    (void)state;
    struct err err;
    struct audit *audit = open_good();
    assert_false(audit_dirty(audit));
    lines(audit, 1);
    assert_true(audit_dirty(audit));
    assert_true(audit_sync(audit, &err));
    assert_false(audit_dirty(audit));
    JSON_AUTO json_t *event = json_pack("{s:s}", "event", "daemon.stop");
    assert_true(audit_append(audit, event, true, &err));
    assert_false(audit_dirty(audit));
    audit_close(audit);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(chain_over_days), TEST(first_line_is_as_described), TEST(changes_are_found),
        TEST(F04_a_half_written_line), TEST(F04_odd_ends), TEST(F03_a_full_disk), TEST(together),
        TEST(a_removed_file_is_made_again), TEST(only_what_the_table_has), TEST(every_row_is_sound),
        TEST(long_values_are_cut), TEST(readers_filter_and_follow), TEST(durable_lines_and_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
