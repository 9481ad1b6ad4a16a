/* Lines for the record: gathered over a round, sent in order and ahead of a question, within their time and bounds. */
#include "core/plane/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/id.h"
#include "core/data/message.h"

static struct loop *loop;
static struct ipc *here, *there;
static struct lines lines;
static char heard[65536]; /* the hosts of lines, "?" and the id of questions; "|" behind each message */
static struct journal *journal;
static unsigned serials[16]; /* of the messages that are sheets; 0: it is none */
static unsigned messages;

static void hear(const char *text)
{
    if (strlen(heard) + strlen(text) + 2 < sizeof heard)
        strcat(heard, text);
}

static void on_message(struct ipc *ipc, struct ipc_message *message, void *arg)
{
    struct span rest = {(const char *)message->data, message->len};
    (void)ipc;
    (void)arg;
    assert_int_equal(message->type, MESSAGE_ROUND);
    if ((size_t)messages < COUNT(serials))
        serials[messages] = message->flags & MESSAGE_KEPT ? message->id : 0;
    messages++;
    while (rest.len > 0) {
        struct audit_entry entry;
        struct span ahead = rest;
        struct flat flat;
        struct err err;
        int64_t id;
        assert_true(flat_take(&ahead, &flat, &err));
        if (flat.kind == MESSAGE_FLAT_USED) {
            rest = ahead;
            hear("!");
        } else if (flat.kind == MESSAGE_FLAT_ASK) {
            assert_true(flat_check(&flat, message_ask_names, &err) && flat_get_int(&flat, "id", 1, 9, &id, &err));
            rest = ahead;
            hear((char[]){'?', (char)('0' + id), 0});
        } else {
            assert_true(audit_entry_take(&rest, true, &entry, &err));
            hear(audit_entry_text(&entry, "host"));
        }
    }
    hear("|");
}

static void on_gone(struct ipc *ipc, const struct err *err, void *arg)
{
    (void)ipc;
    (void)err;
    (void)arg;
}

static int setup(void **state)
{
    static const struct ipc_handler handler = {on_message, on_gone};
    struct err err;
    int fds[2];
    (void)state;
    loop = loop_new(&err);
    assert_true(loop && ipc_pair(fds, &err));
    here = ipc_new(loop, fds[0], &handler, NULL);
    there = ipc_new(loop, fds[1], &handler, NULL);
    lines_init(&lines, loop, here);
    heard[0] = '\0';
    messages = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lines_clear(&lines);
    ipc_free(here);
    ipc_free(there);
    loop_free(loop);
    return 0;
}

static void add(const char *word, bool late)
{
    flat_put(lines_event(&lines, "network"), "host", word);
    lines_add(&lines, late ? LINES_LATE : LINES_NOW);
}

static void ask(int id)
{
    flat_put_int(lines_ask(&lines), "id", id);
    lines_add(&lines, LINES_NOW);
}

/* For so long, and on a machine that was away meanwhile for as many rounds as a message takes. */
static void turns(uint64_t ms)
{
    uint64_t end = clock_mono_ms() + ms;
    for (int round = 0; round < 10 || clock_mono_ms() <= end; round++)
        loop_turn(loop, false);
}

static void test_one_message_a_round(void **state)
{
    (void)state;
    add("a", true);
    add("b", false);
    add("c", true);
    assert_string_equal(heard, "");
    turns(1);
    assert_string_equal(heard, "abc|");
    turns(2 * LINES_LATE_MS);
    assert_int_equal(messages, 1);
}

/* A question goes with what came before it, in its place, and with those of other requests. */
static void test_questions_in_their_order(void **state)
{
    (void)state;
    add("a", true);
    ask(1);
    add("b", false);
    ask(2);
    turns(1);
    assert_string_equal(heard, "a?1b?2|");
    ask(3);
    lines_flush(&lines);
    turns(1);
    assert_string_equal(heard, "a?1b?2|?3|");
}

static void ask_now(void *arg)
{
    (void)arg;
    ask(1);
}

/* What the next step of the same work asks goes with the line that led to it. */
static void test_a_question_of_the_next_step(void **state)
{
    (void)state;
    struct task next;
    task_init(&next, loop, ask_now, NULL);
    add("a", false);
    task_post(&next);
    turns(1);
    assert_string_equal(heard, "a?1|");
}

static void test_what_is_over_waits_a_little(void **state)
{
    (void)state;
    uint64_t begun = clock_mono_ms();
    add("a", true);
    for (int i = 0; i < 10; i++)
        loop_turn(loop, false);
    bool early = messages > 0;
    if (clock_mono_ms() - begun < LINES_LATE_MS / 2) /* a machine that was away says nothing about this */
        assert_false(early);
    for (uint64_t end = clock_mono_ms() + 5000; messages == 0 && clock_mono_ms() < end;)
        loop_turn(loop, false);
    assert_string_equal(heard, "a|");
}

static void test_flushed_before_others(void **state)
{
    (void)state;
    add("a", false);
    lines_flush(&lines);
    lines_flush(&lines);
    add("b", true);
    lines_flush(&lines);
    turns(2 * LINES_LATE_MS);
    assert_string_equal(heard, "a|b|");
}

static void test_bounds(void **state)
{
    (void)state;
    for (int i = 0; i < MESSAGE_ROUND_MAX + 1; i++)
        add("x", false);
    turns(1);
    assert_int_equal(messages, 2);
    messages = 0;
    AUTOFREE char *word = mem_alloc(IPC_PAYLOAD_MAX / 3 + 1);
    memset(word, 'w', IPC_PAYLOAD_MAX / 3);
    for (int i = 0; i < 6; i++)
        add(word, false);
    turns(1);
    assert_int_equal(messages, 3); /* two fit into one */
    messages = 0;
    AUTOFREE char *huge = mem_alloc(IPC_PAYLOAD_MAX + 1);
    memset(huge, 'w', IPC_PAYLOAD_MAX);
    add(huge, false); /* fits into none: said in the log, and the next ones are whole */
    add("after", false);
    turns(1);
    assert_int_equal(messages, 1);
    assert_non_null(strstr(heard, "after|"));
}

/* ---- with a journal ---- */

static int setup_journal(void **state)
{
    char name[] = "/tmp/aileron-journal.XXXXXX";
    struct err err;
    int fd = mkstemp(name);
    close(fd);
    unlink(name);
    if (setup(state) != 0 || (fd = journal_open(name, &err)) < 0 || !(journal = journal_map(fd, &err)))
        return -1;
    close(fd);
    unlink(name);
    lines_journal(&lines, journal, 0);
    memset(serials, 0, sizeof(serials));
    return 0;
}

static int teardown_journal(void **state)
{
    teardown(state);
    journal_unmap(journal);
    journal = NULL;
    return 0;
}

static bool use(void)
{
    flat_put_int(lines_use(&lines), "grant", 1);
    return lines_keep(&lines);
}

static void kept(const char *word)
{
    flat_put(lines_event(&lines, "network"), "host", word);
    lines_add(&lines, LINES_KEPT);
}

/* What is kept is in the sheet before anything is sent, and waits; a question takes it along. */
static void test_kept_before_it_is_sent(void **state)
{
    struct buf text CLEANUP(buf_clear);
    struct span rest;
    struct flat flat;
    struct err err;
    (void)state;
    buf_init(&text, JOURNAL_BYTES);
    kept("a");
    assert_true(use());
    assert_true(journal_copy(journal, 1, 0, &text));
    rest = (struct span){(const char *)text.data, text.len};
    assert_true(flat_take(&rest, &flat, &err) && flat_take(&rest, &flat, &err));
    assert_int_equal(flat.kind, MESSAGE_FLAT_USED);
    assert_int_equal(rest.len, 0);
    assert_string_equal(heard, "");
    ask(1);
    turns(1);
    assert_string_equal(heard, "a!?1|");
    assert_int_equal(serials[0], 1);
}

/* Where the monitor has taken none of all sheets, what is told travels at once, and nothing is used. */
static void test_no_sheet_is_free(void **state)
{
    (void)state;
    for (int i = 0; i < JOURNAL_SHEETS; i++) {
        assert_true(use());
        lines_flush(&lines);
    }
    assert_false(use());
    kept("b");
    turns(1);
    assert_string_equal(heard, "!|!|!|!|b|");
    assert_int_equal(serials[JOURNAL_SHEETS - 1], JOURNAL_SHEETS);
    assert_int_equal(serials[JOURNAL_SHEETS], 0);
    assert_false(use());
    atomic_store(&journal->taken, 2);
    assert_true(use());
    lines_flush(&lines);
    turns(1);
    assert_int_equal(serials[JOURNAL_SHEETS + 1], JOURNAL_SHEETS + 1);
}

/* A round is a sheet's worth at the most; what no sheet holds travels without one, and the serials have no gap. */
static void test_bounds_of_a_sheet(void **state)
{
    AUTOFREE char *word = mem_alloc(JOURNAL_BYTES + 1), *half = mem_alloc(JOURNAL_BYTES / 2 + 1);
    (void)state;
    memset(word, 'w', JOURNAL_BYTES);
    memset(half, 'h', JOURNAL_BYTES / 2);
    kept(half);
    kept(half);
    kept(word);
    lines_flush(&lines);
    for (int i = 0; i < MESSAGE_ROUND_MAX + 1; i++)
        kept("x");
    lines_flush(&lines);
    turns(1);
    static const unsigned want[] = {1, 2, 0, 3, 4};
    assert_int_equal(messages, COUNT(want));
    for (size_t i = 0; i < COUNT(want); i++)
        assert_int_equal(serials[i], want[i]);
}

/* Behind the last sheet that came, also where the monitor could not yet tick off what is in it. */
static void test_behind_the_last(void **state)
{
    (void)state;
    atomic_store(&journal->taken, 0xffffffff);
    lines_journal(&lines, journal, 2); /* 0x1'0000'0002 */
    assert_true(use());
    lines_flush(&lines);
    assert_false(use());
    turns(1);
    assert_int_equal(serials[0], 3);
    assert_int_equal(atomic_load(&journal->sheets[3].serial), 0x100000003);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define K(name) cmocka_unit_test_setup_teardown(name, setup_journal, teardown_journal)
    const struct CMUnitTest tests[] = {T(test_one_message_a_round), T(test_what_is_over_waits_a_little),
                                       T(test_flushed_before_others), T(test_bounds),
                                       T(test_questions_in_their_order), T(test_a_question_of_the_next_step),
                                       K(test_kept_before_it_is_sent), K(test_no_sheet_is_free),
                                       K(test_bounds_of_a_sheet), K(test_behind_the_last)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
