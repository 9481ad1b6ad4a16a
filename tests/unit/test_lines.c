/* Lines for the record: gathered over a round, sent in order and ahead of a question, within their time and bounds. */
#include "core/plane/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/base/id.h"
#include "core/data/message.h"

static struct loop *loop;
static struct ipc *here, *there;
static struct lines lines;
static char heard[65536]; /* the payloads, "|" behind each */
static unsigned messages;

static void on_message(struct ipc *ipc, struct ipc_message *message, void *arg)
{
    (void)ipc;
    (void)arg;
    assert_int_equal(message->type, MESSAGE_RECORD);
    messages++;
    if (strlen(heard) + message->len + 2 < sizeof heard) {
        strncat(heard, (const char *)message->data, message->len);
        strcat(heard, "|");
    }
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
    json_t *event = json_object();
    json_put(event, "event", word);
    lines_add(&lines, event, late);
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
    assert_string_equal(heard, "{\"event\":\"a\"}\n{\"event\":\"b\"}\n{\"event\":\"c\"}\n|");
    turns(2 * LINES_LATE_MS);
    assert_int_equal(messages, 1);
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
    assert_string_equal(heard, "{\"event\":\"a\"}\n|");
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
    assert_string_equal(heard, "{\"event\":\"a\"}\n|{\"event\":\"b\"}\n|");
}

static void test_bounds(void **state)
{
    (void)state;
    for (int i = 0; i < MESSAGE_LINES_MAX + 1; i++)
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
    assert_non_null(strstr(heard, "{\"event\":\"after\"}\n|"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {T(test_one_message_a_round), T(test_what_is_over_waits_a_little),
                                       T(test_flushed_before_others), T(test_bounds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
