/* C11, C13: workers that were taken over. What no worker of ours says ends the one that says it and is on the record;
 * and nothing of another session can be read, waited for, collected or used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/approval_world.h"

static void wait_for(const struct world *world, const char *reason)
{
    for (int i = 0; i < 500 && count_lines(world, "worker.protocol", "reason", reason) == 0; i++)
        pause_ms(10);
    if (count_lines(world, "worker.protocol", "reason", reason) == 0)
        fail_msg("no worker ended for: %s", reason);
}

/* Each in a session of its own: one that breaks the protocol too often is not started again. */
static void c13_what_no_worker_says_ends_it(void **state)
{
    static const struct {
        enum message_type type;
        uint32_t id;
        const char *payload, *reason;
        size_t len; /* 0: of the text */
    } rows[] = {
        {MESSAGE_OP_BODY, 5, "x", "a result for no operation", 0},
        {MESSAGE_OP_DONE, 5, "{\"id\":\"op_1\",\"state\":\"succeeded\"}", "the end of no operation", 0},
        {MESSAGE_SNAPSHOT, 0, "{}", "unexpected message 1", 0},
        {MESSAGE_CREDENTIAL, 5, "{}", "unexpected message 2", 0},
        {MESSAGE_OP_START, MESSAGE_UNASKED, "{}", "unexpected message 4", 0},
        {MESSAGE_APPROVED, 5, "{}", "unexpected message 10", 0},
        {MESSAGE_HALT, 0, "{}", "unexpected message 11", 0},
        {(enum message_type)65, 5, "{}", "unexpected message 65", 0},
        {(enum message_type)65535, 5, "{}", "unexpected message 65535", 0},
        {MESSAGE_APPROVAL_ASK, 5, "", "a request for approval is an object, a NUL and a body", 0},
        {MESSAGE_APPROVAL_ASK, 5, "{}", "a request for approval is an object, a NUL and a body", 0},
        {MESSAGE_APPROVAL_ASK, 5, "{}", "message: 'method' is missing", 3},
    };
    struct world *world = *state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        close(world->worker);
        start_session(world);
        tell(world, rows[i].type, rows[i].id, rows[i].payload, rows[i].len > 0 ? rows[i].len : strlen(rows[i].payload));
        wait_for(world, rows[i].reason);
        wait_for_death(world);
    }
    assert_int_equal(count_lines(world, "worker.protocol", NULL, NULL), COUNT(rows));
    record_is_whole(world);
}

/* A body of 64 KiB is what a person may be asked about; one byte more no worker sends. */
static void c13_a_body_beyond_its_bound(void **state)
{
    struct world *world = *state;
    AUTOFREE char *body = mem_alloc(MESSAGE_APPROVAL_BYTES + 2);

    memset(body, 'b', MESSAGE_APPROVAL_BYTES);
    ask_request(world, 1, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZA"), body);
    AUTOFREE char *approval = the_pending(world);
    decide(world, approval, "deny", "once");
    expect_refusal(world, 1, "denied");
    body[MESSAGE_APPROVAL_BYTES] = 'b';
    ask_request(world, 2, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZB"), body);
    wait_for(world, "a request for approval has a body of over 65536 bytes");
}

/* The end of one operation is not that of another one, and not twice. */
static void c13_ends_of_other_operations(void **state)
{
    struct world *world = *state;
    uint32_t id;

    AUTOFREE char *approval = run_op(world, 1, "a", NULL);
    AUTOFREE char *operation = operation_of(world, approval);
    decide(world, approval, "approve", "once");
    json_decref(hear_start(world, &id));
    tell_json(world, MESSAGE_OP_DONE, id, json_pack("{s:s, s:s}", "id", "op_01J00000000000000000000000", "state",
                                                     "succeeded"));
    wait_for(world, "the end of another operation");
    wait_for_death(world);
    expect_operation(world, 2, operation, "unknown");
    tell_json(world, MESSAGE_OP_DONE, id, json_pack("{s:s, s:s}", "id", operation, "state", "succeeded"));
    wait_for(world, "the end of no operation");
    wait_for_death(world);
    expect_operation(world, 3, operation, "unknown");
}

static void ask_credential(struct world *world, uint32_t id, const char *name)
{
    tell_ask(world, id, json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "binding", "user/api", "host", "api.test", "port",
                                  443, "method", "POST", "path", "/new", "request", name));
}

/* A second session knows all names of the first one, and gets nothing by them. */
static void c11_nothing_of_another_session(void **state)
{
    static const char name[] = "01HZZZZZZZZZZZZZZZZZZZZZZA";
    static char payload[FRAME_BYTES];
    struct world *world = *state;
    size_t len;

    AUTOFREE char *asked = run_op(world, 1, "a", "key");
    AUTOFREE char *operation = operation_of(world, asked);
    decide(world, asked, "deny", "once");
    expect_operation(world, 2, operation, "denied");
    ask_request(world, 3, request("POST", "/new", name), "");
    AUTOFREE char *approval = the_pending(world);
    decide(world, approval, "approve", "once");
    json_decref(hear_json(world, MESSAGE_APPROVED, 3));
    int first = world->worker;

    start_session(world);
    const char *const ids[] = {operation, asked, approval};
    for (size_t i = 0; i < COUNT(ids); i++) {
        tell_json(world, MESSAGE_OP_GET, 1, json_pack("{s:s, s:i}", "id", ids[i], "wait_ms", 1000));
        expect_refusal(world, 1, "not_found");
    }
    tell_json(world, MESSAGE_OP_ACK, 2, json_pack("{s:[s]}", "ids", operation));
    json_t *acked JSON_AUTO = hear_json(world, MESSAGE_OP_ACKED, 2);
    assert_int_equal(json_integer_value(json_object_get(acked, "acked")), 0);
    tell_json(world, MESSAGE_OP_LIST, 3, json_object());
    json_t *list JSON_AUTO = hear_json(world, MESSAGE_OP_LISTED, 3);
    assert_int_equal(json_array_size(json_object_get(list, "operations")), 0);
    ask_credential(world, 4, name); /* the yes was for the first session's request */
    expect_refusal(world, 4, "denied");
    ask_request(world, 5, request("POST", "/new", name), ""); /* and it is used up, for its own worker too */
    AUTOFREE char *again = the_pending(world);
    assert_string_not_equal(again, approval);
    AUTOFREE char *twin = run_op(world, 6, "a", "key"); /* an idempotency key is the session's own */
    assert_string_not_equal(twin, asked);

    close(world->worker);
    world->worker = first;
    ask_credential(world, 7, name);
    assert_int_equal(hear(world, payload, sizeof payload, &len).type, MESSAGE_CREDENTIAL);
    tell_json(world, MESSAGE_OP_ACK, 8, json_pack("{s:[s]}", "ids", operation));
    json_t *own JSON_AUTO = hear_json(world, MESSAGE_OP_ACKED, 8);
    assert_int_equal(json_integer_value(json_object_get(own, "acked")), 1);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
    const struct CMUnitTest tests[] = {T(c13_what_no_worker_says_ends_it), T(c13_a_body_beyond_its_bound),
                                       T(c13_ends_of_other_operations), T(c11_nothing_of_another_session)};

    monitor_world_main(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
