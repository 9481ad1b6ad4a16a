/* Credentials that are lent, and the journal, as the monitor has them: a use is on the record whatever dies or is full,
 * is what the rules give, and ends with whatever could change the answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/resource.h>

#include "core/data/journal.h"
#include "tests/unit/monitor_world.h"

static const char bindings[] = "version: 1\n"
                               "bindings:\n"
                               "  - { name: user/api, hosts: [api.test], scheme: bearer }\n";
static const char policy[] = "version: 1\n"
                             "rules:\n"
                             "  - { name: without, host: api.test, paths: [\"/public\"], action: allow,\n"
                             "      credential: none }\n"
                             "  - { name: person, host: api.test, paths: [\"/asked\"], action: approve }\n";
static const char late[] = "by the rules and the vault as they were a moment before";

static struct journal *journal;
static uint64_t serial; /* of the sheet that is written */

static void open_journal(const struct world *world)
{
    AUTOFREE char *path = mem_printf("%s/run/private/%s/journal", world->home, world->session);
    struct err err = {0};
    int fd = open(path, O_RDWR);

    assert_true(fd >= 0);
    journal_unmap(journal);
    journal = journal_map(fd, &err);
    assert_non_null(journal);
    close(fd);
    serial = atomic_load(&journal->taken);
}

static int setup(void **state)
{
    struct world *world = world_with_rules(state, bindings, policy);

    if (world == NULL)
        return -1;
    put_secret(world, "user/api", "token", NULL, "MARKER-ghp-0123456789");
    start_session(world);
    open_journal(world);
    return 0;
}

static int teardown(void **state)
{
    journal_unmap(journal);
    journal = NULL;
    return world_teardown(state);
}

static json_t *ask_for(const char *path)
{
    return json_pack("{s:s, s:s, s:i, s:s, s:s}", "binding", "user/api", "host", "api.test", "port", 443, "method",
                     "GET", "path", path);
}

/* Asks for the credential; under which number it was lent, 0: for this once. */
static uint64_t lent(struct world *world)
{
    static char payload[FRAME_BYTES];
    struct err err = {0};
    struct flat flat;
    struct flat_field grant;
    size_t len;

    tell_ask(world, 7, ask_for("/first"));
    assert_int_equal(hear(world, payload, sizeof payload, &len).type, MESSAGE_CREDENTIAL);
    struct span rest = {payload, len};
    assert_true(flat_take(&rest, &flat, &err) && flat_check(&flat, message_answer_names, &err));
    return flat_find(&flat, "grant", &grant) ? (uint64_t)grant.number : 0;
}

/* ---- a sheet ---- */

static struct buf sheet_begin(void)
{
    struct journal_sheet *sheet = journal_begin(journal, ++serial);

    assert_non_null(sheet);
    return (struct buf){.data = sheet->bytes, .cap = JOURNAL_BYTES, .max = JOURNAL_BYTES};
}

static void add_use(struct buf *sheet, uint64_t grant, const char *path)
{
    struct flat_out out;

    flat_begin(&out, sheet, MESSAGE_FLAT_USED, message_ask_names);
    flat_put_int(&out, "grant", (int64_t)grant);
    flat_put(&out, "binding", "user/api");
    flat_put(&out, "host", "api.test");
    flat_put_int(&out, "port", 443);
    flat_put(&out, "method", "GET");
    flat_put(&out, "path", path);
    assert_true(flat_end(&out));
    atomic_store(&journal->sheets[serial % JOURNAL_SHEETS].len, (uint32_t)sheet->len);
}

static void send_sheet(struct world *world, const struct buf *sheet)
{
    tell_flags(world, MESSAGE_ROUND, MESSAGE_KEPT, (uint32_t)serial, sheet->data, sheet->len);
}

static void use(struct world *world, uint64_t grant, const char *path)
{
    struct buf sheet = sheet_begin();

    add_use(&sheet, grant, path);
    send_sheet(world, &sheet);
}

/* As `aileron audit list` does before it reads. */
static void collect(struct world *world)
{
    json_decref(ask(world, "GET", "/v1/audit/head", NULL));
}

static size_t uses(const struct world *world, const char *path)
{
    return count_lines(world, "credential", "path", path);
}

static void wait_for_lines(const struct world *world, const char *event, size_t count)
{
    for (int i = 0; i < 500 && count_lines(world, event, NULL, NULL) < count; i++)
        pause_ms(10);
    assert_int_equal(count_lines(world, event, NULL, NULL), count);
}

static void is_ended(struct world *world)
{
    wait_for_death(world);
    (void)lent(world); /* there is another worker, which begins behind what the monitor has */
    serial = atomic_load(&journal->taken);
}

/* ---- */

static void a_use_is_on_the_record_once(void **state)
{
    struct world *world = *state;
    uint64_t grant = lent(world);

    assert_true(grant > 0);
    assert_int_equal(atomic_load(&journal->grant), grant);
    struct buf sheet = sheet_begin();
    add_use(&sheet, grant, "/one");
    collect(world);
    assert_int_equal(uses(world, "/one"), 1);
    add_use(&sheet, grant, "/two");
    collect(world);
    add_use(&sheet, grant, "/three");
    send_sheet(world, &sheet);
    use(world, grant, "/four");
    assert_true(lent(world) == grant); /* a question behind them: they were taken */
    assert_int_equal(atomic_load(&journal->taken), serial);
    assert_int_equal(uses(world, "/one"), 1);
    assert_int_equal(uses(world, "/two"), 1);
    assert_int_equal(uses(world, "/three"), 1);
    assert_int_equal(uses(world, "/four"), 1);
    assert_int_equal(count_lines(world, "credential", "reason", late), 0);
    assert_int_equal(count_lines(world, "credential", "entry", "user/api"), 6);
    record_is_whole(world);
}

/* C13: what was not lent, a number that was never given, and sheets that are not the next ones, or shrink. */
static void c13_a_use_that_was_not_lent_ends_the_worker(void **state)
{
    struct world *world = *state;
    uint64_t grant = lent(world);

    use(world, grant, "/public");
    is_ended(world);
    grant = lent(world);
    use(world, grant, "/asked");
    is_ended(world);
    grant = lent(world);
    use(world, grant + 1, "/never");
    is_ended(world);
    serial++;
    use(world, lent(world), "/gap");
    is_ended(world);
    grant = lent(world);
    struct buf sheet = sheet_begin();
    add_use(&sheet, grant, "/cut");
    size_t less = sheet.len;
    add_use(&sheet, grant, "/cut");
    collect(world);
    sheet.len = less; /* what was read is not taken back */
    send_sheet(world, &sheet);
    is_ended(world);
    wait_for_lines(world, "worker.protocol", 5);
    assert_int_equal(uses(world, "/cut"), 2);
    assert_int_equal(uses(world, "/public") + uses(world, "/asked") + uses(world, "/never"), 0);
}

/* C12, F07: the vault, the rules, and any word of the person's takes back what was lent. */
static void what_could_change_the_answer_takes_it_back(void **state)
{
    struct world *world = *state;
    uint64_t before = lent(world), after;

    json_decref(ask(world, "POST", "/v1/reload", NULL));
    assert_int_equal(atomic_load(&journal->grant), 0);
    use(world, before, "/late");
    after = lent(world);
    assert_true(after > before);
    assert_int_equal(count_lines(world, "credential", "reason", late), 1);
    json_decref(ask(world, "POST", "/v1/vault/lock", NULL));
    assert_int_equal(atomic_load(&journal->grant), 0);
    use(world, after, "/locked");
    tell_ask(world, 8, ask_for("/refused"));
    json_decref(hear_json(world, MESSAGE_REFUSED, 8));
    assert_int_equal(uses(world, "/late") + uses(world, "/locked"), 2);
    assert_int_equal(count_lines(world, "credential", "reason", late), 2);
    assert_int_equal(atomic_load(&journal->grant), 0);
}

/* F01: what is in the journal is on the record whoever dies, and a question in it that nobody hears gives nothing. */
static void f01_the_journal_outlives_the_worker_and_the_daemon(void **state)
{
    struct world *world = *state;
    uint64_t grant = lent(world);
    struct buf sheet = sheet_begin();

    add_use(&sheet, grant, "/worker");
    json_t *question JSON_AUTO = ask_for("/unheard");
    flat_question(&sheet, 9, question);
    atomic_store(&journal->sheets[serial % JOURNAL_SHEETS].len, (uint32_t)sheet.len);
    sheet = sheet_begin();
    add_use(&sheet, grant, "/worker");
    tell(world, MESSAGE_ROUND, 0, "", 0);
    is_ended(world);
    wait_for_lines(world, "worker.exit", 1);
    assert_int_equal(uses(world, "/worker"), 2);
    assert_int_equal(uses(world, "/unheard"), 0);

    uint64_t next = lent(world);
    assert_true(next > grant);
    sheet = sheet_begin();
    add_use(&sheet, next, "/taken-back"); /* and nothing is lent any more when the daemon dies */
    json_decref(ask(world, "POST", "/v1/vault/lock", NULL));
    sheet = sheet_begin();
    add_use(&sheet, next, "/daemon");
    collect(world);
    add_use(&sheet, next, "/daemon");
    assert_int_equal(stop_monitor(world, SIGKILL), 128 + SIGKILL);
    start_monitor(world);
    wait_for_lines(world, "session.restore", 1);
    assert_in_range(uses(world, "/taken-back"), 1, 2);
    assert_in_range(uses(world, "/daemon"), 2, 3); /* the first may be told twice, and none is lost */
    connect_worker(world);
    unlock_vault(world);
    open_journal(world);
    assert_true(lent(world) > 0);
    record_is_whole(world);
}

/* Makes the record longer than anything else that a daemon writes: under a limit of so much, it alone cannot grow. */
enum { LIMIT_BYTES = 512 * 1024, LONG_BYTES = 2000, LONG_LINES = 320 };
static void fill_record(struct world *world)
{
    char word[LONG_BYTES + 1];
    AUTOFREE char *line = NULL;

    memset(word, 'w', LONG_BYTES);
    word[LONG_BYTES] = 0;
    line = mem_printf("{\"event\":\"network\",\"host\":\"%s\"}", word);
    for (int i = 0; i < LONG_LINES; i++)
        tell_lines(world, line, strlen(line));
}

/* F03: a use that the record cannot take is kept, nothing is lent meanwhile, and it is written when there is room. */
static void f03_a_use_that_cannot_be_written_is_written_later(void **state)
{
    struct world *world = *state;
    struct rlimit none = {.rlim_cur = LIMIT_BYTES, .rlim_max = RLIM_INFINITY}, old;
    uint64_t grant, taken = serial;

    fill_record(world);
    grant = lent(world);
    if (geteuid() != 0)
        skip(); /* prlimit of a process that is not dumpable */
    assert_int_equal(prlimit(world->monitor, RLIMIT_FSIZE, &none, &old), 0);
    use(world, grant, "/full");
    tell_ask(world, 8, ask_for("/refused"));
    json_decref(hear_json(world, MESSAGE_REFUSED, 8));
    assert_int_equal(uses(world, "/full"), 0);
    assert_int_equal(atomic_load(&journal->grant), 0);
    assert_int_equal(atomic_load(&journal->taken), taken); /* a daemon that dies now finds it */
    tell(world, MESSAGE_ROUND, 0, "", 0); /* a worker that dies meanwhile has a successor that goes on behind it */
    wait_for_death(world);
    tell_ask(world, 8, ask_for("/refused"));
    json_decref(hear_json(world, MESSAGE_REFUSED, 8));
    use(world, grant, "/behind");
    assert_int_equal(prlimit(world->monitor, RLIMIT_FSIZE, &old, NULL), 0);
    collect(world);
    assert_int_equal(uses(world, "/full"), 1);
    assert_int_equal(uses(world, "/behind"), 1);
    assert_int_equal(atomic_load(&journal->taken), serial);
    assert_true(lent(world) > grant);
    record_is_whole(world);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {T(a_use_is_on_the_record_once), T(c13_a_use_that_was_not_lent_ends_the_worker),
                                       T(what_could_change_the_answer_takes_it_back),
                                       T(f01_the_journal_outlives_the_worker_and_the_daemon),
                                       T(f03_a_use_that_cannot_be_written_is_written_later)};

    monitor_world_main(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
