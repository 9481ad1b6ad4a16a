/* Operations and approvals beside a vault that is locked, and ends that must come: a locked vault takes nothing in and
 * shows nothing, what was approved waits for it, and nothing is left in a state that has no end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/resource.h>

#include "tests/unit/approval_world.h"

static void lock_vault(struct world *world)
{
    json_decref(ask(world, "POST", "/v1/vault/lock", NULL));
}

static void run_plain(struct world *world, uint32_t id, const char *operation)
{
    tell_json(world, MESSAGE_OP_RUN, id, json_pack("{s:s, s:s}", "tool", "svc", "operation", operation));
}

static void a_locked_vault_takes_nothing_in(void **state)
{
    struct world *world = *state;
    AUTOFREE char *approval = run_op(world, 1, "secret words", NULL), *other = run_op(world, 2, "more", NULL);
    json_t *seen JSON_AUTO = look(world, approval);

    assert_string_equal(text_at(json_object_get(json_object_get(seen, "shown"), "args"), "id"), "secret words");
    lock_vault(world);
    tell_json(world, MESSAGE_OP_RUN, 3,
              json_pack("{s:s, s:s, s:{s:s}}", "tool", "svc", "operation", "drop", "args", "id", "x"));
    expect_refusal(world, 3, "vault_locked");
    ask_request(world, 4, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZZ"), "body");
    expect_refusal(world, 4, "vault_locked");
    /* What waits can be listed, not shown in full, and not approved. */
    json_t *locked JSON_AUTO = look(world, approval);
    assert_true(json_is_true(json_object_get(locked, "sealed")));
    assert_null(json_object_get(json_object_get(locked, "shown"), "args"));
    assert_string_equal(text_at(json_object_get(locked, "shown"), "preview"), "drop secret words");
    const char *digest = text_at(seen, "digest");
    assert_int_equal(try_decide(world, approval, digest, "approve", "once", NULL), ERR_LOCKED);
    expect_approval(world, approval, "pending");
    json_t *second JSON_AUTO = look(world, other);
    assert_int_equal(try_decide(world, other, text_at(second, "digest"), "deny", "once", NULL), ERR_NONE);
    unlock_vault(world);
    assert_int_equal(try_decide(world, approval, digest, "approve", "once", NULL), ERR_NONE);
    uint32_t id;
    json_decref(hear_start(world, &id));
    assert_false(record_holds(world, "\"id\":\"secret words\""));
    record_is_whole(world);
}

static void a_result_that_comes_late_is_kept(void **state)
{
    struct world *world = *state;
    AUTOFREE char *approval = run_op(world, 1, "x", NULL), *op_id = operation_of(world, approval);
    uint32_t id;

    decide(world, approval, "approve", "once");
    json_decref(hear_start(world, &id));
    lock_vault(world);
    tell(world, MESSAGE_OP_BODY, id, "late", 4);
    tell_json(world, MESSAGE_OP_DONE, id, json_pack("{s:s, s:i, s:s}", "id", op_id, "status", 200, "state",
                                                    "succeeded"));
    tell_json(world, MESSAGE_OP_GET, 2, json_pack("{s:s}", "id", op_id));
    expect_refusal(world, 2, "vault_locked");
    unlock_vault(world);
    tell_json(world, MESSAGE_OP_GET, 3, json_pack("{s:s}", "id", op_id));
    json_t *done JSON_AUTO = hear_json(world, MESSAGE_OP_STATE, 3);
    assert_string_equal(text_at(done, "state"), "succeeded");
    assert_int_equal(json_integer_value(json_object_get(done, "result_bytes")), 4);
}

/* Approved, and the daemon died before it ran: the new one has a locked vault. */
static void f01_what_was_approved_waits_for_the_vault(void **state)
{
    struct world *world = *state;
    AUTOFREE char *approval = run_op(world, 1, "later", NULL), *op_id = operation_of(world, approval);
    json_t *sessions JSON_AUTO = ask(world, "GET", "/v1/sessions", NULL);
    pid_t worker = (pid_t)json_integer_value(
        json_object_get(json_array_get(json_object_get(sessions, "sessions"), 0), "worker_pid"));
    uint32_t id;

    /* Its worker's last breath: five restarts later the session has failed, and nothing can run. */
    for (int i = 0; i < 8 && worker > 0; i++) {
        kill(worker, SIGKILL);
        pause_ms(200);
        json_t *now = ask(world, "GET", "/v1/sessions", NULL);
        worker = (pid_t)json_integer_value(
            json_object_get(json_array_get(json_object_get(now, "sessions"), 0), "worker_pid"));
        json_decref(now);
    }
    decide(world, approval, "approve", "once");
    stop_monitor(world, SIGKILL);
    start_monitor(world);
    connect_worker(world);
    expect_operation(world, 2, op_id, "approved");
    unlock_vault(world);
    json_t *start JSON_AUTO = hear_start(world, &id);
    assert_string_equal(text_at(start, "path"), "/items/later");
}

static void the_sessions_end_ends_what_was_approved(void **state)
{
    struct world *world = *state;
    AUTOFREE char *approval = run_op(world, 1, "x", NULL);
    AUTOFREE char *path = mem_printf("/v1/sessions/%s", world->session);

    decide(world, approval, "approve", "session");
    uint32_t id;
    json_decref(hear_start(world, &id));
    /* limits.operations is 1 here: these wait for their turn. */
    run_plain(world, 2, "asked");
    json_t *held = hear_json(world, MESSAGE_OP_STATE, 2);
    AUTOFREE char *second = mem_strdup(text_at(held, "approval")), *op_id = mem_strdup(text_at(held, "id"));
    json_decref(held);
    decide(world, second, "approve", "once");
    expect_operation(world, 3, op_id, "approved");
    json_decref(ask(world, "DELETE", path, NULL));
    assert_int_equal(count_lines(world, "operation", "state", "expired"), 1);
}

static void what_is_approved_takes_its_turn(void **state)
{
    struct world *world = *state;
    AUTOFREE char *one = run_op(world, 1, "one", NULL), *two = run_op(world, 2, "two", NULL);
    AUTOFREE char *op_one = operation_of(world, one), *op_two = operation_of(world, two);
    uint32_t id;

    decide(world, one, "approve", "once");
    decide(world, two, "approve", "once");
    json_decref(hear_start(world, &id));
    expect_operation(world, 3, op_two, "approved");
    tell_json(world, MESSAGE_OP_DONE, id, json_pack("{s:s, s:i, s:s}", "id", op_one, "status", 200, "state",
                                                    "succeeded"));
    json_t *start JSON_AUTO = hear_start(world, &id);
    assert_string_equal(text_at(start, "path"), "/items/two");
}

/* A yes for the session is for the rules that were there: the same name may stand for something else now. */
static void a_yes_for_the_session_ends_with_its_rules(void **state)
{
    struct world *world = *state;

    ask_request(world, 1, request("POST", "/a", "01HZZZZZZZZZZZZZZZZZZZZZZZ"), "");
    AUTOFREE char *approval = the_pending(world);
    decide(world, approval, "approve", "session");
    json_decref(hear_json(world, MESSAGE_APPROVED, 1));
    ask_request(world, 2, request("POST", "/b", "01HZZZZZZZZZZZZZZZZZZZZZZY"), "");
    json_decref(hear_json(world, MESSAGE_APPROVED, 2));
    write_file(world, "policy.yaml", "version: 1\nrules:\n"
               "  - { name: ask first, host: api.test, action: approve }\n");
    json_decref(ask(world, "POST", "/v1/reload", NULL));
    char payload[FRAME_BYTES];
    ask_request(world, 3, request("POST", "/b", "01HZZZZZZZZZZZZZZZZZZZZZZX"), "");
    AUTOFREE char *anew = the_pending(world);
    decide(world, anew, "deny", "once");
    for (;;) { /* the new rules are on their way to the worker, too */
        size_t len;
        struct frame_head head = hear(world, payload, sizeof payload, &len);
        if (head.id != 3)
            continue;
        assert_int_equal(head.type, MESSAGE_REFUSED);
        break;
    }
}

static int setup_one(void **state)
{
    if (setup(state) != 0)
        return -1;
    struct world *world = *state;
    write_file(world, "config.yaml", "version: 1\napprovals: { hold: 60s, expire: 1h }\nlimits: { operations: 1 }\n");
    json_decref(ask(world, "POST", "/v1/reload", NULL));
    char payload[FRAME_BYTES];
    size_t len;
    assert_int_equal(hear_any(world, payload, sizeof payload, &len).type, MESSAGE_SNAPSHOT);
    return 0;
}

int main(int argc, char **argv)
{
    monitor_world_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_locked_vault_takes_nothing_in, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_result_that_comes_late_is_kept, setup, world_teardown),
        cmocka_unit_test_setup_teardown(f01_what_was_approved_waits_for_the_vault, setup, world_teardown),
        cmocka_unit_test_setup_teardown(the_sessions_end_ends_what_was_approved, setup_one, world_teardown),
        cmocka_unit_test_setup_teardown(what_is_approved_takes_its_turn, setup_one, world_teardown),
        cmocka_unit_test_setup_teardown(a_yes_for_the_session_ends_with_its_rules, setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
