/* Approvals of requests in a real monitor: held, let go once and as they were shown, or answered in time (A02, C08,
 * C13). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/approval_world.h"

static void a_held_request_goes_on(void **state)
{
    struct world *world = *state;

    ask_request(world, 1, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZA"), "{\"a\":1}");
    AUTOFREE char *approval = the_pending(world);
    json_t *seen JSON_AUTO = look(world, approval);
    const json_t *what = json_object_get(seen, "shown");
    assert_string_equal(text_at(what, "kind"), "request");
    assert_string_equal(text_at(what, "body"), "{\"a\":1}");
    assert_string_equal(text_at(what, "rule"), "ask first");
    assert_string_equal(text_at(what, "binding"), "user/api");
    decide(world, approval, "approve", "once");
    json_t *answer JSON_AUTO = hear_json(world, MESSAGE_APPROVED, 1);
    assert_string_equal(text_at(answer, "approval"), approval);
    expect_approval(world, approval, "used");
}

static json_t *credential(const char *method, const char *path, const char *name)
{
    return json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "binding", "user/api", "host", "api.test", "port", 443,
                     "method", method, "path", path, "request", name);
}

static void a_yes_gives_the_credential_to_that_request_alone(void **state)
{
    struct world *world = *state;
    static const char one[] = "01HZZZZZZZZZZZZZZZZZZZZZZA", two[] = "01HZZZZZZZZZZZZZZZZZZZZZZB";
    static char payload[FRAME_BYTES];
    size_t len;

    tell_ask(world, 1, credential("POST", "/new", one)); /* before anybody said yes */
    expect_refusal(world, 1, "denied");
    ask_request(world, 2, request("POST", "/new", one), "");
    AUTOFREE char *approval = the_pending(world);
    decide(world, approval, "approve", "once");
    json_decref(hear_json(world, MESSAGE_APPROVED, 2));
    tell_ask(world, 3, credential("POST", "/new", two));
    expect_refusal(world, 3, "denied");
    tell_ask(world, 4, credential("POST", "/other", one));
    expect_refusal(world, 4, "denied");
    tell_ask(world, 5, credential("PATCH", "/new", one));
    expect_refusal(world, 5, "denied");
    tell_ask(world, 6, credential("POST", "/new", one));
    assert_int_equal(hear(world, payload, sizeof payload, &len).type, MESSAGE_CREDENTIAL);
    assert_false(record_holds(world, "MARKER"));
}

static void a_yes_is_for_one_request_and_these_bytes(void **state)
{
    struct world *world = *state;

    ask_request(world, 1, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZA"), "one");
    AUTOFREE char *first = the_pending(world);
    tell(world, MESSAGE_CANCEL, 1, "", 0); /* its client has gone: the yes waits for a retry */
    tell_json(world, MESSAGE_OP_GET, 9, json_pack("{s:s}", "id", "op_none")); /* the answer comes after that */
    expect_refusal(world, 9, "not_found");
    decide(world, first, "approve", "once");
    ask_request(world, 2, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZB"), "other");
    AUTOFREE char *second = the_pending(world);
    assert_string_not_equal(first, second);
    /* A field may carry what is done: with another one it is another request. */
    json_t *with_field = request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZD");
    json_object_set_new(with_field, "fields", json_pack("[s]", "destination: /elsewhere"));
    ask_request(world, 4, with_field, "one");
    json_t *waits = NULL;
    for (int i = 0; i < 500 && json_array_size(json_object_get(waits, "approvals")) != 2; i++) {
        json_decref(waits);
        pause_ms(10);
        waits = ask(world, "GET", "/v1/approvals?state=pending", NULL);
    }
    json_t *rows = json_object_get(waits, "approvals");
    assert_int_equal(json_array_size(rows), 2);
    size_t other = strcmp(text_at(json_array_get(rows, 0), "id"), second) == 0; /* whichever comes first */
    AUTOFREE char *field = mem_strdup(text_at(json_array_get(rows, other), "id"));
    json_decref(waits);
    decide(world, field, "deny", "once"); /* so that one is waiting at a time */
    expect_refusal(world, 4, "denied");
    ask_request(world, 3, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZC"), "one");
    json_decref(hear_json(world, MESSAGE_APPROVED, 3));
    expect_approval(world, first, "used");
    decide(world, second, "deny", "once");
    expect_refusal(world, 2, "denied");
    ask_request(world, 4, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZD"), "one"); /* a third time asks anew */
    AUTOFREE char *third = the_pending(world);
    assert_string_not_equal(first, third);
    /* What was denied is so at once, and wakes nobody. */
    ask_request(world, 5, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZE"), "other");
    expect_refusal(world, 5, "denied");
    record_is_whole(world);
}

static void two_that_are_alike_take_one_yes_each(void **state)
{
    struct world *world = *state;

    ask_request(world, 1, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZA"), "one");
    ask_request(world, 2, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZB"), "one");
    AUTOFREE char *first = the_pending(world);
    expect_operation(world, 9, first, "pending"); /* both have arrived: messages are in order */
    decide(world, first, "approve", "once");
    static char payload[FRAME_BYTES];
    size_t len;
    struct frame_head head = hear(world, payload, sizeof payload, &len);
    assert_int_equal(head.type, MESSAGE_APPROVED);
    uint32_t other = head.id == 1 ? 2 : 1;
    AUTOFREE char *second = the_pending(world);
    assert_string_not_equal(first, second);
    decide(world, second, "approve", "once");
    json_decref(hear_json(world, MESSAGE_APPROVED, other));
}

static void what_nobody_decides_is_answered_in_time(void **state)
{
    struct world *world = *state;

    ask_request(world, 1, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZA"), "");
    json_t *answer JSON_AUTO = hear_json(world, MESSAGE_REFUSED, 1);
    assert_string_equal(text_at(answer, "code"), "pending");
    assert_true(id_valid(text_at(answer, "id"), "apr_"));
    /* A question waits for the decision; the retry then goes. */
    tell_json(world, MESSAGE_OP_GET, 2, json_pack("{s:s, s:i}", "id", text_at(answer, "id"), "wait_ms", 600000));
    decide(world, text_at(answer, "id"), "approve", "once");
    json_t *shown JSON_AUTO = hear_json(world, MESSAGE_OP_STATE, 2);
    assert_string_equal(text_at(shown, "state"), "approved");
    ask_request(world, 3, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZB"), "");
    json_decref(hear_json(world, MESSAGE_APPROVED, 3));
}

static void what_the_rules_decide_needs_nobody(void **state)
{
    struct world *world = *state;

    ask_request(world, 1, request("PUT", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZA"), "");
    expect_refusal(world, 1, "denied");
    ask_request(world, 2, request("GET", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZB"), "");
    json_decref(hear_json(world, MESSAGE_APPROVED, 2));
    /* C08: a field that asks for another method asks for its rule as well. */
    json_t *tunnelled = request("GET", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZC");
    json_put(tunnelled, "override", "PUT");
    ask_request(world, 3, tunnelled, "");
    expect_refusal(world, 3, "denied");
    json_t *list JSON_AUTO = ask(world, "GET", "/v1/approvals", NULL);
    assert_int_equal(json_array_size(json_object_get(list, "approvals")), 0);
}

static void c13_a_worker_cannot_decide_or_lie(void **state)
{
    struct world *world = *state;
    json_t *odd = request("POST", "/a/../new", "01HZZZZZZZZZZZZZZZZZZZZZZA");

    ask_request(world, 1, odd, "");
    expect_refusal(world, 1, "denied");
    tell(world, MESSAGE_APPROVAL_ASK, 2, "{}", 2); /* no NUL: the protocol is broken, and the worker ends */
    for (int i = 0; i < 500 && count_lines(world, "worker.protocol", "reason", NULL) == 0; i++)
        pause_ms(10);
    assert_int_equal(count_lines(world, "worker.protocol", "reason", NULL), 1);
}

/* As many are held or wait as may; one more wait is refused, one more request answered at once as pending. */
static void so_many_are_held(void **state)
{
    struct world *world = *state;
    static char payload[FRAME_BYTES];
    size_t len;

    ask_request(world, 1, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZA"), "");
    AUTOFREE char *approval = the_pending(world);
    for (uint32_t id = 2; id <= 256; id++)
        tell_json(world, MESSAGE_OP_GET, id, json_pack("{s:s, s:i}", "id", approval, "wait_ms", 60000));
    tell_json(world, MESSAGE_OP_GET, 1000, json_pack("{s:s, s:i}", "id", approval, "wait_ms", 60000));
    json_decref(hear_json(world, MESSAGE_REFUSED, 1000)); /* the first answer of all */
    ask_request(world, 1001, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZB"), "");
    json_t *answer JSON_AUTO = hear_json(world, MESSAGE_REFUSED, 1001);
    assert_string_equal(text_at(answer, "code"), "pending");
    decide(world, approval, "approve", "once");
    for (int i = 0; i < 256; i++)
        (void)hear(world, payload, sizeof payload, &len);
    expect_approval(world, approval, "used");
}

/* What a person said so long ago, the daemon being away meanwhile. */
static void decided_ago(struct world *world, const char *approval, int64_t ago_ms)
{
    AUTOFREE char *path = file_join(world->home, "state.db");
    struct store_decision decision = {.state = "approved", .scope = "once", .by = "test"};
    struct err err = {0};

    stop_monitor(world, SIGKILL);
    struct store *store = store_open(path, &err);
    assert_non_null(store);
    if (!store_approval_decide(store, approval, "approved", &decision, (int64_t)clock_wall_ms() - ago_ms, &err))
        fail_msg("%s", err.message);
    store_close(store);
    start_monitor(world);
    unlock_vault(world);
    connect_worker(world);
}

static void expect_listed(struct world *world, const char *id, const char *want)
{
    json_t *answer = ask(world, "GET", "/v1/approvals", NULL), *row;
    const char *found = "";
    size_t i;

    json_array_foreach(json_object_get(answer, "approvals"), i, row)
    {
        if (strcmp(text_at(row, "id"), id) == 0)
            found = text_at(row, "state");
    }
    assert_string_equal(found, want);
    json_decref(answer);
}

static void a_yes_is_good_for_a_quarter_of_an_hour(void **state)
{
    enum { GRANT_MS = 15 * 60 * 1000, SLACK_MS = 60 * 1000 };
    struct world *world = *state;

    ask_request(world, 1, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZA"), "");
    AUTOFREE char *first = the_pending(world);
    tell(world, MESSAGE_CANCEL, 1, "", 0);
    expect_operation(world, 90, first, "pending");
    decide(world, first, "approve", "once");
    decided_ago(world, first, GRANT_MS - SLACK_MS);
    ask_request(world, 2, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZB"), "");
    json_decref(hear_json(world, MESSAGE_APPROVED, 2));
    ask_request(world, 3, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZC"), "");
    AUTOFREE char *second = the_pending(world);
    tell(world, MESSAGE_CANCEL, 3, "", 0);
    expect_operation(world, 91, second, "pending");
    decide(world, second, "approve", "once");
    decided_ago(world, second, GRANT_MS - SLACK_MS);
    expect_listed(world, second, "approved");
    decided_ago(world, second, GRANT_MS + 1);
    expect_listed(world, second, "expired"); /* and a list does not say that it is still good */
    expect_listed(world, first, "used");
    ask_request(world, 4, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZD"), "");
    AUTOFREE char *third = the_pending(world); /* the person is asked anew */
    assert_string_not_equal(second, third);
}

/* A02: with a token of the agent's own it is another request: it says so, and gets no credential. */
static void a_token_of_its_own_is_part_of_it(void **state)
{
    struct world *world = *state;
    json_t *mine = request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZ1"),
           *other = request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZ2");

    ask_request(world, 1, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZ0"), "");
    AUTOFREE char *lent = the_pending(world);
    tell(world, MESSAGE_CANCEL, 1, "", 0);
    expect_operation(world, 90, lent, "pending"); /* it holds nothing any more */
    decide(world, lent, "approve", "once");
    json_put(mine, "own", "5f31c085");
    json_put(other, "own", "00000000");
    ask_request(world, 2, mine, "");
    AUTOFREE char *own = the_pending(world);
    json_t *shown JSON_AUTO = look(world, own);
    assert_null(json_object_get(json_object_get(shown, "shown"), "binding"));
    assert_string_equal(text_at(json_object_get(shown, "shown"), "own"), "5f31c085");
    decide(world, own, "approve", "once");
    json_decref(hear_json(world, MESSAGE_APPROVED, 2));
    tell_ask(world, 3, json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "binding", "user/api", "host", "api.test",
                                 "port", 443, "method", "POST", "path", "/new",
                                 "request", "01HZZZZZZZZZZZZZZZZZZZZZZ1"));
    expect_refusal(world, 3, "denied");
    ask_request(world, 4, other, "");
    AUTOFREE char *third = the_pending(world);
    assert_string_not_equal(third, own);
}

static int setup_at_once(void **state)
{
    if (setup(state) != 0)
        return -1;
    write_file(*state, "config.yaml", "version: 1\napprovals: { hold: 60s, expire: 0s, notify: [\"true\"] }\n");
    json_decref(ask(*state, "POST", "/v1/reload", NULL));
    return 0;
}

/* Who watches the list is told of a new one, looks, and so ends it, while it is being asked. */
static void one_that_is_over_when_it_is_told(void **state)
{
    struct world *world = *state;
    AUTOFREE char *path = mem_printf("%s/run/control.sock", world->home);
    struct err err = {0};

    for (uint32_t id = 1; id < 6; id++) {
        json_t *now JSON_AUTO = ask(world, "GET", "/v1/approvals", NULL);
        AUTOFREE char *text = mem_printf("GET /v1/approvals?wait=60&after=%lld HTTP/1.1\r\nHost: a\r\n\r\n",
                                         json_integer_value(json_object_get(now, "version")));
        CLEANUP(file_close_ptr) int watcher = proc_unix_connect(path, &err);
        assert_true(watcher >= 0 && file_write_all(watcher, text, strlen(text), &err));
        json_decref(ask(world, "GET", "/v1/health", NULL)); /* it watches */
        char name[] = "01HZZZZZZZZZZZZZZZZZZZZZZ0";
        name[ULID_LEN - 1] = (char)('0' + id);
        ask_request(world, id, request("POST", "/new", name), "body");
        for (int i = 0; i < 500 && count_lines(world, "approval", "state", "pending") < id; i++)
            pause_ms(10);
        pause_ms(2);
        json_decref(ask(world, "GET", "/v1/approvals", NULL)); /* at the latest */
        expect_refusal(world, id, "expired");
    }
}

int main(int argc, char **argv)
{
    monitor_world_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_held_request_goes_on, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_yes_gives_the_credential_to_that_request_alone, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_yes_is_for_one_request_and_these_bytes, setup, world_teardown),
        cmocka_unit_test_setup_teardown(two_that_are_alike_take_one_yes_each, setup, world_teardown),
        cmocka_unit_test_setup_teardown(what_nobody_decides_is_answered_in_time, setup_short, world_teardown),
        cmocka_unit_test_setup_teardown(what_the_rules_decide_needs_nobody, setup, world_teardown),
        cmocka_unit_test_setup_teardown(c13_a_worker_cannot_decide_or_lie, setup, world_teardown),
        cmocka_unit_test_setup_teardown(so_many_are_held, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_yes_is_good_for_a_quarter_of_an_hour, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_token_of_its_own_is_part_of_it, setup, world_teardown),
        cmocka_unit_test_setup_teardown(one_that_is_over_when_it_is_told, setup_at_once, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
