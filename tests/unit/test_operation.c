/* Operations, asked for by a worker that does what the test says: states, results, idempotency keys, waiting, what
 * is refused, and what death makes of them (F01, C13). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "core/data/catalogue.h"
#include "tests/unit/monitor_world.h"

static const char connector[] =
    "{\"schema_version\": 1, \"connector\": {\"fqn\": \"test.example/api\", \"version\": \"1.0.0\"}, \"tools\": ["
    "{\"name\": \"svc\", \"description\": \"a service\", \"operations\": ["
    "{\"name\": \"get\", \"summary\": \"get\", \"method\": \"GET\", \"path\": \"/items/{id}\","
    " \"hosts\": [\"api.test\"],"
    " \"inputs\": [{\"name\": \"id\", \"type\": \"string\", \"required\": true, \"in\": \"path\"}]},"
    "{\"name\": \"drop\", \"summary\": \"drop\", \"method\": \"DELETE\", \"path\": \"/all\", \"hosts\": [\"api.test\"],"
    " \"approval\": \"required\", \"inputs\": []},"
    "{\"name\": \"asked\", \"summary\": \"asked\", \"method\": \"PATCH\", \"path\": \"/all\","
    " \"hosts\": [\"api.test\"], \"inputs\": []},"
    "{\"name\": \"forbidden\", \"summary\": \"no\", \"method\": \"GET\", \"path\": \"/\", \"hosts\": [\"evil.test\"],"
    " \"inputs\": []},"
    "{\"name\": \"named\", \"summary\": \"named\", \"method\": \"GET\", \"path\": \"/\", \"hosts\": [\"other.test\"],"
    " \"credential\": \"user/api\", \"inputs\": []},"
    "{\"name\": \"put\", \"summary\": \"put\", \"method\": \"POST\", \"path\": \"/items\", \"hosts\": [\"api.test\"],"
    " \"inputs\": [{\"name\": \"id\", \"type\": \"string\"}]}]}]}";

static int setup(void **state)
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
               "  - { name: not there, host: evil.test, action: deny, reason: a bad host }\n"
               "  - { name: ask first, host: api.test, methods: [PATCH], action: approve }\n");
    start_monitor(world);
    make_vault(world);
    put_secret(world, "user/api", "token", NULL, "MARKER");
    start_session(world);
    return 0;
}

static void run_op(struct world *world, uint32_t id, const char *operation, const char *item, const char *key)
{
    json_t *args = item != NULL ? json_pack("{s:s}", "id", item) : json_object();
    json_t *run = json_pack("{s:s, s:s, s:o}", "tool", "svc", "operation", operation, "args", args);

    json_put(run, "idempotency_key", key);
    tell_json(world, MESSAGE_OP_RUN, id, run);
}

/* Runs and expects to be told to send it; the operation's id. */
static char *begin(struct world *world, uint32_t id, const char *item, const char *key)
{
    run_op(world, id, "get", item, key);
    json_t *start = hear_json(world, MESSAGE_OP_START, id);
    char *op_id = mem_strdup(text_at(start, "id"));

    assert_true(id_valid(op_id, "op_"));
    json_decref(start);
    return op_id;
}

static void finish(struct world *world, uint32_t id, const char *op_id, const char *state, int status)
{
    tell_json(world, MESSAGE_OP_DONE, id,
              json_pack("{s:s, s:i, s:s}", "id", op_id, "status", status, "state", state));
}

static void get(struct world *world, uint32_t id, const char *op_id, int wait_ms)
{
    tell_json(world, MESSAGE_OP_GET, id, json_pack("{s:s, s:i}", "id", op_id, "wait_ms", wait_ms));
}

static void expect_state(struct world *world, uint32_t id, const char *op_id, const char *want)
{
    get(world, id, op_id, 0);
    json_t *shown = hear_json(world, MESSAGE_OP_STATE, id);

    assert_string_equal(text_at(shown, "id"), op_id);
    assert_string_equal(text_at(shown, "state"), want);
    json_decref(shown);
}

/* ---- tests ---- */

static void runs_and_keeps_the_result(void **state)
{
    struct world *world = *state;
    static char payload[FRAME_BYTES];
    size_t len;

    run_op(world, 1, "get", "a b?c", NULL);
    json_t *start = hear_json(world, MESSAGE_OP_START, 1);
    AUTOFREE char *op_id = mem_strdup(text_at(start, "id"));
    assert_string_equal(text_at(start, "method"), "GET");
    assert_string_equal(text_at(start, "host"), "api.test");
    assert_string_equal(text_at(start, "binding"), "user/api");
    assert_string_equal(text_at(start, "path"), "/items/a%20b%3Fc");
    json_decref(start);
    expect_state(world, 2, op_id, "running");
    tell(world, MESSAGE_OP_BODY, 1, "hello ", 6);
    tell(world, MESSAGE_OP_BODY, 1, "world", 5);
    finish(world, 1, op_id, "succeeded", 200);
    get(world, 3, op_id, 0);
    json_t *shown = hear_json(world, MESSAGE_OP_STATE, 3);
    assert_string_equal(text_at(shown, "state"), "succeeded");
    assert_int_equal(json_integer_value(json_object_get(shown, "result_bytes")), 11);
    assert_int_equal(json_integer_value(json_object_get(shown, "status")), 200);
    json_decref(shown);
    struct frame_head head = hear(world, payload, sizeof payload, &len);
    assert_int_equal(head.type, MESSAGE_OP_RESULT);
    assert_int_equal(head.flags, MESSAGE_LAST);
    assert_int_equal(len, 11);
    assert_string_equal(payload, "hello world");
    assert_int_equal(count_lines(world, "operation", "state", "running"), 1);
    assert_int_equal(count_lines(world, "operation", "state", "succeeded"), 1);
    assert_false(record_holds(world, "MARKER"));
}

static void keeps_the_first_mebibyte(void **state)
{
    struct world *world = *state;
    static char piece[MESSAGE_CHUNK_BYTES], payload[FRAME_BYTES];
    AUTOFREE char *op_id = begin(world, 1, "x", NULL);
    size_t len, total = 0;
    struct frame_head head;

    memset(piece, 'z', sizeof piece);
    for (int i = 0; i < 20; i++)
        tell(world, MESSAGE_OP_BODY, 1, piece, sizeof piece);
    finish(world, 1, op_id, "succeeded", 200);
    get(world, 2, op_id, 0);
    json_t *shown = hear_json(world, MESSAGE_OP_STATE, 2);
    assert_true(json_is_true(json_object_get(shown, "truncated")));
    assert_int_equal(json_integer_value(json_object_get(shown, "result_bytes")), MESSAGE_RESULT_BYTES);
    json_decref(shown);
    do {
        head = hear(world, payload, sizeof payload, &len);
        assert_int_equal(head.type, MESSAGE_OP_RESULT);
        total += len;
    } while ((head.flags & MESSAGE_LAST) == 0);
    assert_int_equal(total, MESSAGE_RESULT_BYTES);
}

static void one_key_is_one_operation(void **state)
{
    struct world *world = *state;
    AUTOFREE char *op_id = begin(world, 1, "x", "key-1");

    run_op(world, 2, "get", "x", "key-1");
    json_t *shown = hear_json(world, MESSAGE_OP_STATE, 2);
    assert_string_equal(text_at(shown, "id"), op_id);
    assert_string_equal(text_at(shown, "state"), "running");
    json_decref(shown);
    AUTOFREE char *other = begin(world, 3, "x", "key-2");
    assert_string_not_equal(op_id, other);
}

static void refuse_code(struct world *world, uint32_t id, const char *operation, const char *item, const char *code)
{
    run_op(world, id, operation, item, NULL);
    json_t *answer = hear_json(world, MESSAGE_REFUSED, id);

    assert_string_equal(text_at(answer, "code"), code);
    assert_true(text_at(answer, "message")[0] != 0);
    json_decref(answer);
}

static void refuses_before_anything_is_sent(void **state)
{
    struct world *world = *state;

    refuse_code(world, 3, "forbidden", NULL, "denied"); /* action: deny */
    refuse_code(world, 4, "named", NULL, "denied");     /* its credential does not go to that host */
    refuse_code(world, 5, "get", NULL, "bad_data");     /* a needed input is missing */
    refuse_code(world, 6, "get", "..", "bad_data");     /* C07 */
    refuse_code(world, 7, "get", "a/b", "bad_data");
    refuse_code(world, 8, "nothing", NULL, "not_found");
    assert_int_equal(count_lines(world, "operation", "state", "denied"), 6);
    json_t *list = ask(world, "GET", "/v1/operations", NULL);
    assert_int_equal(json_array_size(json_object_get(list, "operations")), 0);
    json_decref(list);
}

static void waiting_ends_with_the_operation(void **state)
{
    struct world *world = *state;
    AUTOFREE char *op_id = begin(world, 1, "x", NULL);

    get(world, 2, op_id, 60000);
    get(world, 3, op_id, 50); /* this one's time is up first */
    json_t *early = hear_json(world, MESSAGE_OP_STATE, 3);
    assert_string_equal(text_at(early, "state"), "running");
    json_decref(early);
    get(world, 4, op_id, 60000);
    tell(world, MESSAGE_CANCEL, 4, "", 0);
    finish(world, 1, op_id, "failed", 500);
    json_t *late = hear_json(world, MESSAGE_OP_STATE, 2);
    assert_string_equal(text_at(late, "state"), "failed");
    json_decref(late);
    expect_state(world, 5, op_id, "failed"); /* nothing came for the cancelled one */
}

/* Who waits is forgotten before the sessions are: their memory is gone then. */
static void the_daemon_ends_while_somebody_waits(void **state)
{
    struct world *world = *state;
    AUTOFREE char *op_id = begin(world, 1, "x", NULL);

    get(world, 2, op_id, 60000);
    expect_state(world, 3, op_id, "running"); /* the wait before it was taken */
    assert_int_equal(stop_monitor(world, SIGTERM), 0);
}

/* A list that one message cannot hold is refused with a reason: a question without an answer would hang. */
static void a_list_that_is_too_long_is_refused(void **state)
{
    struct world *world = *state;
    AUTOFREE char *words = mem_alloc(1200);

    memset(words, '"', 1199); /* each is two bytes in JSON, four in JSON in JSON */
    for (uint32_t id = 1; id <= 100; id++) {
        AUTOFREE char *op_id = begin(world, id, "x", NULL);
        tell_json(world, MESSAGE_OP_DONE, id,
                  json_pack("{s:s, s:i, s:s, s:{s:s, s:s}}", "id", op_id, "status", 0, "state", "failed", "error",
                            "code", "denied", "message", words));
    }
    tell_json(world, MESSAGE_OP_LIST, 200, json_object());
    json_t *answer = hear_json(world, MESSAGE_REFUSED, 200);
    assert_string_equal(text_at(answer, "code"), "limit");
    json_decref(answer);
}

/* Quotes of quotes: arguments that one message held become a request that none does. */
static void a_request_that_is_too_long_is_refused(void **state)
{
    struct world *world = *state;
    AUTOFREE char *words = mem_alloc(60001);

    memset(words, '"', 60000);
    refuse_code(world, 1, "put", words, "limit");
    json_t *list = ask(world, "GET", "/v1/operations", NULL);
    assert_int_equal(json_array_size(json_object_get(list, "operations")), 0);
    json_decref(list);
}

static json_t *credential_of(const char *op_id, const char *path)
{
    return json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "binding", "user/api", "host", "api.test", "port", 443,
                     "method", "GET", "path", path, "operation", op_id);
}

static void c13_a_credential_is_for_its_own_request(void **state)
{
    struct world *world = *state;
    static char payload[FRAME_BYTES];
    AUTOFREE char *op_id = begin(world, 1, "x", NULL);
    size_t len;

    tell_ask(world, 2, credential_of(op_id, "/items/x"));
    assert_int_equal(hear(world, payload, sizeof payload, &len).type, MESSAGE_CREDENTIAL);
    tell_ask(world, 3, credential_of(op_id, "/items/y"));
    json_decref(hear_json(world, MESSAGE_REFUSED, 3));
    finish(world, 1, op_id, "succeeded", 200);
    tell_ask(world, 4, credential_of(op_id, "/items/x")); /* it is over */
    json_decref(hear_json(world, MESSAGE_REFUSED, 4));
}

static void another_sessions_operation_is_not_there(void **state)
{
    struct world *world = *state;
    AUTOFREE char *op_id = begin(world, 1, "x", NULL);

    close(world->worker);
    start_session(world);
    get(world, 2, op_id, 0);
    json_t *answer = hear_json(world, MESSAGE_REFUSED, 2);
    assert_string_equal(text_at(answer, "code"), "not_found");
    json_decref(answer);
    tell_json(world, MESSAGE_OP_ACK, 3, json_pack("{s:[s]}", "ids", op_id));
    answer = hear_json(world, MESSAGE_OP_ACKED, 3);
    assert_int_equal(json_integer_value(json_object_get(answer, "acked")), 0);
    json_decref(answer);
}

static size_t uncollected(struct world *world, uint32_t id)
{
    tell_json(world, MESSAGE_OP_LIST, id, json_pack("{s:b}", "uncollected", 1));
    json_t *list = hear_json(world, MESSAGE_OP_LISTED, id);
    size_t count = json_array_size(json_object_get(list, "operations"));

    json_decref(list);
    return count;
}

static void results_stay_until_they_are_collected(void **state)
{
    struct world *world = *state;
    AUTOFREE char *one = begin(world, 1, "x", NULL);
    AUTOFREE char *two = begin(world, 2, "y", NULL);

    finish(world, 1, one, "succeeded", 200);
    assert_int_equal(uncollected(world, 3), 2);
    tell_json(world, MESSAGE_OP_ACK, 4, json_pack("{s:[s, s]}", "ids", one, two)); /* the second still runs */
    json_t *answer = hear_json(world, MESSAGE_OP_ACKED, 4);
    assert_int_equal(json_integer_value(json_object_get(answer, "acked")), 1);
    json_decref(answer);
    assert_int_equal(uncollected(world, 5), 1);
}

static void f01_what_ran_is_unknown_after_death(void **state)
{
    struct world *world = *state;
    AUTOFREE char *path = mem_printf("/v1/sessions/%s", world->session);
    AUTOFREE char *one = begin(world, 1, "x", "k");

    json_t *session = ask(world, "GET", path, NULL);
    kill((pid_t)json_integer_value(json_object_get(session, "worker_pid")), SIGKILL);
    json_decref(session);
    for (int i = 0; i < 500 && count_lines(world, "operation", "state", "unknown") == 0; i++)
        pause_ms(10);
    close(world->worker);
    connect_worker(world);
    expect_state(world, 2, one, "unknown");
    AUTOFREE char *two = begin(world, 3, "y", NULL);
    stop_monitor(world, SIGKILL);
    start_monitor(world);
    connect_worker(world);
    expect_state(world, 4, two, "unknown");
    /* The key still stands for it: nothing runs twice. */
    run_op(world, 5, "get", "x", "k");
    json_t *shown = hear_json(world, MESSAGE_OP_STATE, 5);
    assert_string_equal(text_at(shown, "id"), one);
    assert_string_equal(text_at(shown, "state"), "unknown");
    json_decref(shown);
    record_is_whole(world);
}

/* However much of a denial is escaped, it is an operation's error; one byte above the bound is no denial. */
static void an_error_is_kept_up_to_its_bound(void **state)
{
    enum { FRAME = sizeof "{\"message\":\"\"}" - 1 };
    struct world *world = *state;
    static char text[MESSAGE_ERROR_BYTES + 2];
    AUTOFREE char *one = begin(world, 1, "x", NULL);
    AUTOFREE char *two = begin(world, 2, "y", NULL);

    memset(text, 'a', MESSAGE_ERROR_BYTES - FRAME);
    tell_json(world, MESSAGE_OP_DONE, 1,
              json_pack("{s:s, s:s, s:{s:s}}", "id", one, "state", "failed", "error", "message", text));
    expect_state(world, 3, one, "failed");
    text[MESSAGE_ERROR_BYTES - FRAME] = 'a';
    tell_json(world, MESSAGE_OP_DONE, 2,
              json_pack("{s:s, s:s, s:{s:s}}", "id", two, "state", "failed", "error", "message", text));
    for (int i = 0; i < 500 && count_lines(world, "worker.protocol", NULL, NULL) == 0; i++)
        pause_ms(10);
    assert_int_equal(count_lines(world, "worker.protocol", NULL, NULL), 1);
}

/* The fake worker has taken all that it was told. */
static void wait_until_taken(const struct world *world)
{
    int left = 1;

    for (int i = 0; i < 1000 && left > 0; i++) {
        assert_int_equal(ioctl(world->worker, SIOCOUTQ, &left), 0);
        pause_ms(5);
    }
    assert_int_equal(left, 0);
    pause_ms(50); /* the last one is passed on */
}

/* Fairness: whoever floods has one turn a round, as everybody else. Both have asked while the daemon stood still. */
static void a_flood_waits_its_turn(void **state)
{
    enum { FLOOD = 60 };
    struct world *world = *state;
    AUTOFREE char *dir = file_join(world->home, "audit");
    struct err err = {0};
    struct span text;
    json_t *line;
    size_t before = 0, after = 0;

    int flooding = world->worker;
    start_session(world);
    run_op(world, 1, "get", "y", NULL);
    json_decref(hear_json(world, MESSAGE_OP_START, 1));
    int other = world->worker;
    kill(world->monitor, SIGSTOP);
    world->worker = flooding;
    for (uint32_t i = 0; i < FLOOD; i++)
        run_op(world, 100 + i, "get", "z", NULL);
    wait_until_taken(world);
    world->worker = other;
    run_op(world, 2, "get", "late", NULL);
    wait_until_taken(world);
    kill(world->monitor, SIGCONT);
    json_decref(hear_json(world, MESSAGE_OP_START, 2));
    world->worker = flooding;
    for (uint32_t i = 0; i < FLOOD; i++)
        json_decref(hear_json(world, MESSAGE_OP_START, 100 + i));
    close(other);
    struct audit_filter filter = {.event = "operation"};
    struct audit_reader *reader = audit_reader_open(dir, &filter, false, &err);
    assert_non_null(reader);
    bool late = false;
    while (audit_reader_next(reader, &text, &line, &err) == AUDIT_LINE) {
        late = late || strcmp(text_at(line, "path"), "/items/late") == 0;
        if (strcmp(text_at(line, "path"), "/items/z") == 0)
            (*(late ? &after : &before))++;
    }
    audit_reader_close(reader);
    assert_int_equal(before + after, FLOOD);
    assert_in_range(before, 0, 2);
}

/* As many wait as may; one more is refused at once. */
static void so_many_wait(void **state)
{
    enum { WAITERS = 256 };
    struct world *world = *state;
    AUTOFREE char *op_id = begin(world, 1, "x", NULL);

    for (uint32_t id = 2; id <= 1 + WAITERS; id++)
        get(world, id, op_id, 60000);
    get(world, 1000, op_id, 60000);
    json_t *answer = hear_json(world, MESSAGE_REFUSED, 1000); /* the first answer of all */
    assert_string_equal(text_at(answer, "code"), "limit");
    json_decref(answer);
    finish(world, 1, op_id, "succeeded", 200);
    for (uint32_t i = 0; i < WAITERS; i++) {
        static char payload[FRAME_BYTES];
        size_t len;
        assert_int_equal(hear(world, payload, sizeof payload, &len).type, MESSAGE_OP_STATE);
    }
}

static char *last_listed(struct world *world, uint32_t id)
{
    tell_json(world, MESSAGE_OP_LIST, id, json_object());
    json_t *all JSON_AUTO = hear_json(world, MESSAGE_OP_LISTED, id);
    json_t *rows = json_object_get(all, "operations");
    assert_int_equal(json_array_size(rows), 100);
    return mem_strdup(text_at(json_array_get(rows, 99), "id"));
}

static void the_newest_are_listed(void **state)
{
    struct world *world = *state;
    AUTOFREE char *oldest = begin(world, 1, "x", NULL), *kept = begin(world, 2, "x", NULL);

    for (uint32_t id = 3; id <= 100; id++)
        free(begin(world, id, "x", NULL));
    AUTOFREE char *last = last_listed(world, 200);
    assert_string_equal(last, oldest);
    free(begin(world, 101, "x", NULL));
    AUTOFREE char *other = last_listed(world, 201);
    assert_string_equal(other, kept);
}

int main(int argc, char **argv)
{
    monitor_world_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(runs_and_keeps_the_result, setup, world_teardown),
        cmocka_unit_test_setup_teardown(keeps_the_first_mebibyte, setup, world_teardown),
        cmocka_unit_test_setup_teardown(one_key_is_one_operation, setup, world_teardown),
        cmocka_unit_test_setup_teardown(refuses_before_anything_is_sent, setup, world_teardown),
        cmocka_unit_test_setup_teardown(waiting_ends_with_the_operation, setup, world_teardown),
        cmocka_unit_test_setup_teardown(the_daemon_ends_while_somebody_waits, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_list_that_is_too_long_is_refused, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_request_that_is_too_long_is_refused, setup, world_teardown),
        cmocka_unit_test_setup_teardown(c13_a_credential_is_for_its_own_request, setup, world_teardown),
        cmocka_unit_test_setup_teardown(another_sessions_operation_is_not_there, setup, world_teardown),
        cmocka_unit_test_setup_teardown(results_stay_until_they_are_collected, setup, world_teardown),
        cmocka_unit_test_setup_teardown(an_error_is_kept_up_to_its_bound, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_flood_waits_its_turn, setup, world_teardown),
        cmocka_unit_test_setup_teardown(f01_what_ran_is_unknown_after_death, setup, world_teardown),
        cmocka_unit_test_setup_teardown(so_many_wait, setup, world_teardown),
        cmocka_unit_test_setup_teardown(the_newest_are_listed, setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
