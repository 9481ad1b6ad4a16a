/* Results on their way to a worker that asks for many and reads none: the monitor holds one, not all (F05). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "tests/unit/approval_world.h"

enum { ASKED = 300, MOST = 256, FIRST = 100, MIB = 1024 * 1024 };

/* Of the monitor, in bytes. */
static size_t resident(pid_t pid)
{
    AUTOFREE char *path = mem_printf("/proc/%ld/statm", (long)pid);
    unsigned long size, pages;
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &size, &pages), 2);
    assert_int_equal(fclose(file), 0);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Its state says how long the result is; the result itself is left out here. */
static void expect_done(struct world *world, const char *op_id)
{
    json_t *shown JSON_AUTO = ask(world, "GET", "/v1/operations", NULL);
    const json_t *row = json_array_get(json_object_get(shown, "operations"), 0);

    assert_string_equal(text_at(row, "id"), op_id);
    assert_string_equal(text_at(row, "state"), "succeeded");
    assert_int_equal(json_integer_value(json_object_get(row, "result_bytes")), MIB);
}

/* An operation whose result is as long as one is kept; its id. */
static char *with_result(struct world *world)
{
    static char piece[MESSAGE_CHUNK_BYTES];
    AUTOFREE char *approval = run_op(world, 1, "x", NULL);
    char *op_id = operation_of(world, approval);
    uint32_t id;

    decide(world, approval, "approve", "once");
    json_decref(hear_start(world, &id));
    memset(piece, 'z', sizeof piece);
    for (int i = 0; i < MIB / MESSAGE_CHUNK_BYTES; i++)
        tell(world, MESSAGE_OP_BODY, id, piece, sizeof piece);
    tell_json(world, MESSAGE_OP_DONE, id,
              json_pack("{s:s, s:i, s:s}", "id", op_id, "status", 200, "state", "succeeded"));
    for (int i = 0; i < 500 && count_lines(world, "operation", "state", "succeeded") == 0; i++)
        pause_ms(10);
    expect_done(world, op_id);
    return op_id;
}

/* All that is asked lies before the monitor when it answers the first: our worker passes on nothing while it waits for
 * us to read. In one write, since small ones would fill the socket's buffer. */
static void ask_often(struct world *world, const char *op_id)
{
    struct buf frames CLEANUP(buf_clear);
    struct err err = {0};
    int left = 1; /* what our worker has not taken */

    buf_init(&frames, FRAME_BYTES);
    for (uint32_t i = 0; i < ASKED; i++) {
        AUTOFREE char *text = mem_printf("{\"id\":\"%s\"}", op_id);
        struct frame_head head = {.type = MESSAGE_OP_GET, .id = FIRST + i};
        uint32_t len = (uint32_t)(sizeof head + strlen(text));
        assert_true(buf_add(&frames, &len, sizeof len) && buf_add(&frames, &head, sizeof head) &&
                    buf_adds(&frames, text));
    }
    kill(world->monitor, SIGSTOP);
    assert_true(file_write_all(world->worker, frames.data, frames.len, &err));
    for (int i = 0; i < 1000 && left > 0; i++) {
        pause_ms(10);
        assert_int_equal(ioctl(world->worker, SIOCOUTQ, &left), 0);
    }
    pause_ms(50); /* the last one is passed on */
    kill(world->monitor, SIGCONT);
    assert_int_equal(left, 0);
}

static void many_are_asked_for_and_none_is_read(void **state)
{
    struct world *world = *state;
    static char payload[FRAME_BYTES];
    AUTOFREE char *op_id = with_result(world);
    size_t before = resident(world->monitor), got[ASKED] = {0}, len, whole = 0, refused = 0;
    bool told[ASKED] = {false};

    ask_often(world, op_id);
    for (int i = 0; i < ASKED; i++) /* a round of its loop takes one, and it is not busy with them */
        json_decref(ask(world, "GET", "/v1/health", NULL));
    assert_true(resident(world->monitor) < before + 64 * MIB);
    while (whole + refused < ASKED) { /* and all of them come, but those that were too many */
        struct frame_head head = hear(world, payload, sizeof payload, &len);
        uint32_t at = head.id - FIRST;
        assert_true(at < ASKED);
        assert_true(head.type != MESSAGE_REFUSED || strstr(payload, "\"limit\"") != NULL);
        refused += head.type == MESSAGE_REFUSED;
        if (head.type == MESSAGE_REFUSED)
            continue;
        if (head.type == MESSAGE_OP_STATE) {
            assert_false(told[at]);
            told[at] = true;
            continue;
        }
        assert_int_equal(head.type, MESSAGE_OP_RESULT);
        assert_true(told[at]);
        got[at] += len;
        if (head.flags & MESSAGE_LAST) {
            assert_int_equal(got[at], MIB);
            whole++;
        }
    }
    assert_true(refused > 0 && whole >= MOST);
}

/* One that is not wanted any more makes room for the next. */
static void what_is_cancelled_lets_the_next_one_go(void **state)
{
    struct world *world = *state;
    static char payload[FRAME_BYTES];
    AUTOFREE char *op_id = with_result(world);
    size_t len, got = 0;

    for (uint32_t i = 0; i < 8; i++)
        tell_json(world, MESSAGE_OP_GET, FIRST + i, json_pack("{s:s}", "id", op_id));
    for (uint32_t i = 0; i < 7; i++)
        tell(world, MESSAGE_CANCEL, FIRST + i, "", 0);
    for (bool last = false; !last;) {
        struct frame_head head = hear(world, payload, sizeof payload, &len);
        if (head.id != FIRST + 7 || head.type != MESSAGE_OP_RESULT)
            continue;
        got += len;
        last = head.flags & MESSAGE_LAST;
    }
    assert_int_equal(got, MIB);
    expect_done(world, op_id);
}

int main(int argc, char **argv)
{
    monitor_world_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_are_asked_for_and_none_is_read, setup, world_teardown),
        cmocka_unit_test_setup_teardown(what_is_cancelled_lets_the_next_one_go, setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
