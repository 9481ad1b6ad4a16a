/* Approvals in a real monitor, asked for by a worker that does what the test says and decided over control.sock:
 * what waits, what a yes lets go and how often, what death, time and a second decider make of it (A02, A05, A06,
 * F01). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/data/catalogue.h"
#include "tests/unit/monitor_world.h"

static const char connector[] =
    "{\"schema_version\": 1, \"connector\": {\"fqn\": \"test.example/api\", \"version\": \"1.0.0\"}, \"tools\": ["
    "{\"name\": \"svc\", \"description\": \"a service\", \"operations\": ["
    "{\"name\": \"drop\", \"summary\": \"drop\", \"method\": \"DELETE\", \"path\": \"/items/{id}\","
    " \"hosts\": [\"api.test\"], \"approval\": \"required\", \"preview\": \"drop {id}\","
    " \"inputs\": [{\"name\": \"id\", \"type\": \"string\", \"required\": true, \"in\": \"path\"}]},"
    "{\"name\": \"asked\", \"summary\": \"asked\", \"method\": \"PATCH\", \"path\": \"/all\","
    " \"hosts\": [\"api.test\"], \"inputs\": []}]}]}";

static void configure(struct world *world, const char *hold)
{
    AUTOFREE char *config = mem_printf("version: 1\napprovals: { hold: %s, expire: 1h }\nlimits: { approvals: 3 }\n",
                                       hold);

    write_file(world, "config.yaml", config);
}

static int setup_with(void **state, const char *hold)
{
    struct err err = {0};

    if (world_setup(state) != 0)
        return -1;
    struct world *world = *state;
    struct connector *parsed = connector_parse(connector, strlen(connector), "test", &err);
    if (parsed == NULL || !catalogue_install(world->home, parsed, &err)) {
        err_print(&err, "setup");
        return -1;
    }
    connector_free(parsed);
    write_file(world, "bindings.yaml",
               "version: 1\nbindings:\n  - { name: user/api, hosts: [api.test], scheme: bearer }\n");
    write_file(world, "policy.yaml",
               "version: 1\nrules:\n"
               "  - { name: ask first, host: api.test, methods: [PATCH, POST], action: approve }\n"
               "  - { name: never, host: api.test, methods: [PUT], action: deny }\n");
    configure(world, hold);
    start_monitor(world);
    make_vault(world);
    put_secret(world, "user/api", "token", NULL, "MARKER");
    start_session(world);
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, "60s");
}

static int setup_short(void **state)
{
    return setup_with(state, "1s");
}

/* ---- words ---- */

static char *run_op(struct world *world, uint32_t id, const char *item, const char *key)
{
    json_t *run = json_pack("{s:s, s:s, s:{s:s}}", "tool", "svc", "operation", "drop", "args", "id", item);

    json_put(run, "idempotency_key", key);
    tell_json(world, MESSAGE_OP_RUN, id, run);
    json_t *shown = hear_json(world, MESSAGE_OP_STATE, id);
    assert_string_equal(text_at(shown, "state"), "pending");
    char *approval = mem_strdup(text_at(shown, "approval"));
    assert_true(id_valid(approval, "apr_"));
    json_decref(shown);
    return approval;
}

static json_t *request(const char *method, const char *path, const char *name)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:s, s:s}", "method", method, "scheme", "https", "host", "api.test",
                     "port", 443, "path", path, "request", name);
}

static void ask_request(struct world *world, uint32_t id, json_t *object, const char *body)
{
    AUTOFREE char *text = json_dumps(object, JSON_COMPACT);
    size_t head = strlen(text) + 1, len = strlen(body);
    AUTOFREE char *payload = mem_alloc(head + len + 1);

    memcpy(payload, text, head);
    memcpy(payload + head, body, len);
    tell(world, MESSAGE_APPROVAL_ASK, id, payload, head + len);
    json_decref(object);
}

static json_t *look(struct world *world, const char *approval)
{
    AUTOFREE char *path = mem_printf("/v1/approvals/%s", approval);

    return ask(world, "GET", path, NULL);
}

/* The only one that waits; waits for it. */
static char *the_pending(struct world *world)
{
    for (int i = 0; i < 500; i++) {
        json_t *list = ask(world, "GET", "/v1/approvals?state=pending", NULL);
        json_t *rows = json_object_get(list, "approvals");
        char *id = json_array_size(rows) == 1 ? mem_strdup(text_at(json_array_get(rows, 0), "id")) : NULL;
        json_decref(list);
        if (id != NULL)
            return id;
        pause_ms(10);
    }
    fail_msg("nothing waits for a person");
    return NULL;
}

/* ERR_NONE, or why not. */
static enum err_code try_decide(struct world *world, const char *approval, const char *digest, const char *decision,
                                const char *scope, json_t *args)
{
    AUTOFREE char *path = mem_printf("/v1/approvals/%s/decide", approval);
    json_t *body JSON_AUTO = json_pack("{s:s, s:s, s:s}", "decision", decision, "digest", digest, "scope", scope);
    struct err err = {0};

    if (args != NULL)
        json_object_set_new(body, "args", args);
    return client_ask(world->client, "POST", path, body, NULL, &err) ? ERR_NONE : err.code;
}

static void decide(struct world *world, const char *approval, const char *decision, const char *scope)
{
    json_t *shown JSON_AUTO = look(world, approval);

    assert_int_equal(try_decide(world, approval, text_at(shown, "digest"), decision, scope, NULL), ERR_NONE);
}

static void expect_approval(struct world *world, const char *approval, const char *state)
{
    json_t *shown JSON_AUTO = look(world, approval);

    assert_string_equal(text_at(shown, "state"), state);
}

static void expect_operation(struct world *world, uint32_t id, const char *op_id, const char *want)
{
    tell_json(world, MESSAGE_OP_GET, id, json_pack("{s:s, s:i}", "id", op_id, "wait_ms", 0));
    json_t *shown JSON_AUTO = hear_json(world, MESSAGE_OP_STATE, id);

    assert_string_equal(text_at(shown, "state"), want);
}

static char *operation_of(struct world *world, const char *approval)
{
    json_t *shown JSON_AUTO = look(world, approval);

    return mem_strdup(text_at(shown, "operation"));
}

/* What the worker is told to send, unasked. */
static json_t *hear_start(struct world *world, uint32_t *id)
{
    static char payload[FRAME_BYTES];
    size_t len;
    struct frame_head head = hear(world, payload, sizeof payload, &len);

    if (head.type != MESSAGE_OP_START)
        fail_msg("message %u for %u: %s", head.type, head.id, payload);
    assert_true(head.id >= MESSAGE_UNASKED);
    *id = head.id;
    return json_loadb(payload, len, 0, NULL);
}

static void expect_refusal(struct world *world, uint32_t id, const char *code)
{
    json_t *answer JSON_AUTO = hear_json(world, MESSAGE_REFUSED, id);

    assert_string_equal(text_at(answer, "code"), code);
}

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

static void a05_so_many_wait_and_no_more(void **state)
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

/* ---- requests ---- */

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

    tell_json(world, MESSAGE_CREDENTIAL_ASK, 1, credential("POST", "/new", one)); /* before anybody said yes */
    expect_refusal(world, 1, "denied");
    ask_request(world, 2, request("POST", "/new", one), "");
    AUTOFREE char *approval = the_pending(world);
    decide(world, approval, "approve", "once");
    json_decref(hear_json(world, MESSAGE_APPROVED, 2));
    tell_json(world, MESSAGE_CREDENTIAL_ASK, 3, credential("POST", "/new", two));
    expect_refusal(world, 3, "denied");
    tell_json(world, MESSAGE_CREDENTIAL_ASK, 4, credential("POST", "/other", one));
    expect_refusal(world, 4, "denied");
    tell_json(world, MESSAGE_CREDENTIAL_ASK, 5, credential("PATCH", "/new", one));
    expect_refusal(world, 5, "denied");
    tell_json(world, MESSAGE_CREDENTIAL_ASK, 6, credential("POST", "/new", one));
    assert_int_equal(hear(world, payload, sizeof payload, &len).type, MESSAGE_CREDENTIAL);
    assert_false(record_holds(world, "MARKER"));
}

static void a_yes_is_for_one_request_and_these_bytes(void **state)
{
    struct world *world = *state;

    ask_request(world, 1, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZA"), "one");
    AUTOFREE char *first = the_pending(world);
    tell(world, MESSAGE_CANCEL, 1, "", 0); /* its client has gone: the yes waits for a retry */
    decide(world, first, "approve", "once");
    ask_request(world, 2, request("POST", "/new", "01HZZZZZZZZZZZZZZZZZZZZZZB"), "other");
    AUTOFREE char *second = the_pending(world);
    assert_string_not_equal(first, second);
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
    stop_monitor(world, SIGKILL);
    start_monitor(world);
    connect_worker(world);
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

int main(int argc, char **argv)
{
    monitor_world_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_operation_runs_once_it_is_approved, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_denied_operation_never_runs, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a02_a_decision_is_about_what_was_shown, setup, world_teardown),
        cmocka_unit_test_setup_teardown(edited_arguments_are_what_runs, setup, world_teardown),
        cmocka_unit_test_setup_teardown(for_the_session_asks_no_second_time, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a05_so_many_wait_and_no_more, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_held_request_goes_on, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_yes_gives_the_credential_to_that_request_alone, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_yes_is_for_one_request_and_these_bytes, setup, world_teardown),
        cmocka_unit_test_setup_teardown(two_that_are_alike_take_one_yes_each, setup, world_teardown),
        cmocka_unit_test_setup_teardown(what_nobody_decides_is_answered_in_time, setup_short, world_teardown),
        cmocka_unit_test_setup_teardown(what_the_rules_decide_needs_nobody, setup, world_teardown),
        cmocka_unit_test_setup_teardown(f01_what_waits_survives_the_daemon, setup, world_teardown),
        cmocka_unit_test_setup_teardown(the_sessions_end_ends_what_waits, setup, world_teardown),
        cmocka_unit_test_setup_teardown(c13_a_worker_cannot_decide_or_lie, setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
