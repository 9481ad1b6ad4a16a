/* Approvals of operations in a real monitor: what waits, what a yes lets go and how often, what death, time and a
 * second decider make of it (A02, A05, A06, F01). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/approval_world.h"

/* ---- operations ---- */

static void an_operation_runs_once_it_is_approved(void **state)
{
    struct world *world = *state;
    AUTOFREE char *approval = run_op(world, 1, "a b", "k"), *op_id = operation_of(world, approval);
    uint32_t id;

    json_t *shown = look(world, approval);
    const json_t *what = json_object_get(shown, "shown");
    assert_string_equal(text_at(what, "kind"), "operation");
    assert_string_equal(text_at(what, "preview"), "drop a b");
    assert_string_equal(text_at(what, "method"), "DELETE");
    assert_string_equal(text_at(what, "path"), "/items/a%20b");
    assert_string_equal(text_at(what, "binding"), "user/api");
    json_decref(shown);
    /* The same key is the same operation, and asks nobody a second time. */
    AUTOFREE char *again = run_op(world, 2, "a b", "k");
    assert_string_equal(again, approval);
    expect_operation(world, 3, op_id, "pending");
    decide(world, approval, "approve", "once");
    json_t *start = hear_start(world, &id);
    assert_string_equal(text_at(start, "id"), op_id);
    assert_string_equal(text_at(start, "path"), "/items/a%20b");
    json_decref(start);
    expect_operation(world, 4, op_id, "running");
    tell(world, MESSAGE_OP_BODY, id, "gone", 4);
    tell_json(world, MESSAGE_OP_DONE, id,
              json_pack("{s:s, s:i, s:s}", "id", op_id, "status", 200, "state", "succeeded"));
    tell_json(world, MESSAGE_OP_GET, 5, json_pack("{s:s}", "id", op_id));
    json_t *done = hear_json(world, MESSAGE_OP_STATE, 5);
    assert_string_equal(text_at(done, "state"), "succeeded");
    assert_int_equal(json_integer_value(json_object_get(done, "result_bytes")), 4);
    json_decref(done);
    assert_int_equal(count_lines(world, "approval", "state", "pending"), 1);
    assert_int_equal(count_lines(world, "approval", "decision", "approve"), 1);
    assert_int_equal(count_lines(world, "operation", "from", "approved"), 1);
    record_is_whole(world);
}

static void a_denied_operation_never_runs(void **state)
{
    struct world *world = *state;
    AUTOFREE char *approval = run_op(world, 1, "x", NULL), *op_id = operation_of(world, approval);

    tell_json(world, MESSAGE_OP_GET, 2, json_pack("{s:s, s:i}", "id", op_id, "wait_ms", 600000));
    decide(world, approval, "deny", "once");
    json_t *shown = hear_json(world, MESSAGE_OP_STATE, 2); /* whoever waits is told */
    assert_string_equal(text_at(shown, "state"), "denied");
    assert_string_equal(text_at(json_object_get(shown, "error"), "code"), "denied");
    json_decref(shown);
    assert_int_equal(count_lines(world, "operation", "state", "running"), 0);
}

static void a02_a_decision_is_about_what_was_shown(void **state)
{
    struct world *world = *state;
    AUTOFREE char *one = run_op(world, 1, "one", NULL), *two = run_op(world, 2, "two", NULL);
    json_t *first JSON_AUTO = look(world, one);

    assert_int_equal(try_decide(world, two, text_at(first, "digest"), "approve", "once", NULL), ERR_CONFLICT);
    expect_approval(world, two, "pending");
    assert_int_equal(try_decide(world, one, "", "approve", "once", NULL), ERR_DATA);
    expect_approval(world, one, "pending");
    /* Two deciders: the first wins, and the other is told. */
    decide(world, one, "deny", "once");
    assert_int_equal(try_decide(world, one, text_at(first, "digest"), "approve", "once", NULL), ERR_CONFLICT);
    expect_approval(world, one, "denied");
    assert_int_equal(count_lines(world, "operation", "state", "running"), 0);
}

static void edited_arguments_are_what_runs(void **state)
{
    struct world *world = *state;
    AUTOFREE char *approval = run_op(world, 1, "all", NULL), *op_id = operation_of(world, approval);
    json_t *seen JSON_AUTO = look(world, approval);
    const char *digest = text_at(seen, "digest");
    uint32_t id;

    assert_int_equal(try_decide(world, approval, digest, "approve", "once", json_pack("{s:i}", "id", 7)), ERR_DATA);
    assert_int_equal(try_decide(world, approval, digest, "approve", "once", json_pack("{s:s}", "no", "x")), ERR_DATA);
    assert_int_equal(try_decide(world, approval, digest, "deny", "once", json_pack("{s:s}", "id", "x")), ERR_USAGE);
    expect_approval(world, approval, "pending");
    expect_operation(world, 2, op_id, "pending");
    assert_int_equal(try_decide(world, approval, digest, "approve", "once", json_pack("{s:s}", "id", "one")), ERR_NONE);
    json_t *start JSON_AUTO = hear_start(world, &id);
    assert_string_equal(text_at(start, "path"), "/items/one");
    json_t *after JSON_AUTO = look(world, approval);
    assert_true(json_is_true(json_object_get(after, "edited")));
    assert_string_equal(text_at(json_object_get(json_object_get(after, "shown"), "args"), "id"), "one");
}

static void for_the_session_asks_no_second_time(void **state)
{
    struct world *world = *state;
    AUTOFREE char *approval = run_op(world, 1, "one", NULL);
    uint32_t id;

    decide(world, approval, "approve", "session");
    json_decref(hear_start(world, &id));
    tell_json(world, MESSAGE_OP_RUN, 2,
              json_pack("{s:s, s:s, s:{s:s}}", "tool", "svc", "operation", "drop", "args", "id", "two"));
    json_decref(hear_json(world, MESSAGE_OP_START, 2));
    /* Another operation of the same tool does. */
    tell_json(world, MESSAGE_OP_RUN, 3, json_pack("{s:s, s:s}", "tool", "svc", "operation", "asked"));
    json_t *shown JSON_AUTO = hear_json(world, MESSAGE_OP_STATE, 3);
    assert_string_equal(text_at(shown, "state"), "pending");
}

/* A yes for what the tool does, said once and for all, is none to a rule of the user's that asks about some of it. */
static void a_yes_to_the_tool_is_none_to_a_rule(void **state)
{
    struct world *world = *state;
    AUTOFREE char *approval = run_op(world, 1, "one", NULL);
    uint32_t id;

    decide(world, approval, "approve", "session");
    json_decref(hear_start(world, &id));
    AUTOFREE char *dear = run_op(world, 2, "dear", NULL);
    json_t *shown JSON_AUTO = look(world, dear);
    assert_non_null(strstr(text_at(shown, "rule"), "the dear ones"));
    assert_non_null(strstr(text_at(shown, "rule"), "svc drop"));
    decide(world, dear, "approve", "session");
    json_decref(hear_start(world, &id));
    tell_json(world, MESSAGE_OP_RUN, 3,
              json_pack("{s:s, s:s, s:{s:s}}", "tool", "svc", "operation", "drop", "args", "id", "dear"));
    json_decref(hear_json(world, MESSAGE_OP_START, 3));
}

/* A05: so many wait and no more. */
static void limit_approvals(void **state)
{
    struct world *world = *state;

    for (uint32_t i = 1; i <= 3; i++) {
        char name[] = "x0";
        name[1] = (char)('0' + i);
        AUTOFREE char *approval = run_op(world, i, name, NULL);
        assert_non_null(approval);
    }
    tell_json(world, MESSAGE_OP_RUN, 4,
              json_pack("{s:s, s:s, s:{s:s}}", "tool", "svc", "operation", "drop", "args", "id", "x4"));
    expect_refusal(world, 4, "limit");
    ask_request(world, 5, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZZ"), "");
    expect_refusal(world, 5, "limit");
}

/* ---- death, time, the session's end ---- */

static void f01_what_waits_survives_the_daemon(void **state)
{
    struct world *world = *state;
    AUTOFREE char *waiting = run_op(world, 1, "waiting", NULL);
    AUTOFREE char *approved = run_op(world, 2, "approved", NULL), *op_id = operation_of(world, approved);
    uint32_t id;

    /* Approved while its worker is not there. */
    json_t *session = ask(world, "GET", "/v1/sessions", NULL);
    pid_t worker = (pid_t)json_integer_value(
        json_object_get(json_array_get(json_object_get(session, "sessions"), 0), "worker_pid"));
    json_decref(session);
    kill(worker, SIGSTOP);
    decide(world, approved, "approve", "once");
    close(world->worker);
    world->worker = -1;
    kill(worker, SIGKILL);
    for (int i = 0; i < 500 && count_lines(world, "operation", "state", "unknown") == 0; i++)
        pause_ms(10);
    connect_worker(world); /* the next one has begun: between fork and exec it holds the monitor's lock */
    expect_operation(world, 3, op_id, "unknown");
    stop_monitor(world, SIGKILL);
    start_monitor(world);
    connect_worker(world);
    unlock_vault(world);
    expect_approval(world, waiting, "pending");
    expect_operation(world, 3, op_id, "unknown"); /* it had been told to the worker: never a second time */
    decide(world, waiting, "approve", "once");
    json_t *start JSON_AUTO = hear_start(world, &id);
    assert_string_equal(text_at(start, "path"), "/items/waiting");
    record_is_whole(world);
}

static void the_sessions_end_ends_what_waits(void **state)
{
    struct world *world = *state;
    AUTOFREE char *approval = run_op(world, 1, "x", NULL);
    json_t *seen JSON_AUTO = look(world, approval);
    AUTOFREE char *path = mem_printf("/v1/sessions/%s", world->session);

    json_decref(ask(world, "DELETE", path, NULL));
    expect_approval(world, approval, "expired");
    assert_int_equal(try_decide(world, approval, text_at(seen, "digest"), "approve", "once", NULL), ERR_CONFLICT);
    assert_int_equal(count_lines(world, "operation", "state", "expired"), 1);
}

static int setup_brief(void **state)
{
    if (setup(state) != 0)
        return -1;
    write_file(*state, "config.yaml", "version: 1\napprovals: { hold: 60s, expire: 1s }\n");
    json_decref(ask(*state, "POST", "/v1/reload", NULL));
    return 0;
}

/* The first answer looks at the approvals, whose time is over: that wakes all that wait, itself among them. */
static void a_wait_ends_after_the_approval(void **state)
{
    struct world *world = *state;
    static char payload[FRAME_BYTES];
    AUTOFREE char *one = run_op(world, 1, "one", NULL), *first = operation_of(world, one);
    AUTOFREE char *two = run_op(world, 2, "two", NULL), *second = operation_of(world, two);
    unsigned answered = 0;
    size_t len;

    for (uint32_t id = 3; id < 9; id++)
        tell_json(world, MESSAGE_OP_GET, id,
                  json_pack("{s:s, s:i}", "id", id % 2 ? first : second, "wait_ms", id == 5 ? 1500 : 60000));
    for (uint32_t id = 3; id < 9; id++) {
        struct frame_head head = hear(world, payload, sizeof payload, &len);
        assert_int_equal(head.type, MESSAGE_OP_STATE);
        assert_int_equal(answered & 1u << head.id, 0);
        answered |= 1u << head.id;
    }
    expect_operation(world, 9, first, "expired");
    expect_operation(world, 10, second, "expired");
}

int main(int argc, char **argv)
{
    monitor_world_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_operation_runs_once_it_is_approved, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_denied_operation_never_runs, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a02_a_decision_is_about_what_was_shown, setup, world_teardown),
        cmocka_unit_test_setup_teardown(edited_arguments_are_what_runs, setup, world_teardown),
        cmocka_unit_test_setup_teardown(for_the_session_asks_no_second_time, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_yes_to_the_tool_is_none_to_a_rule, setup, world_teardown),
        cmocka_unit_test_setup_teardown(limit_approvals, setup, world_teardown),
        cmocka_unit_test_setup_teardown(f01_what_waits_survives_the_daemon, setup, world_teardown),
        cmocka_unit_test_setup_teardown(the_sessions_end_ends_what_waits, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_wait_ends_after_the_approval, setup_brief, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
