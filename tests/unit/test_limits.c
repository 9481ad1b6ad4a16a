/* The limits that the monitor keeps (F03: what a session may add to the record and to state.db, and the space that the
 * daemon keeps for itself), at the bound and one above it. The worker does what the test says, so that none of this
 * rests on a worker's own care (C13). A test named limit_NAME is that limit's; test_config sees to it that each
 * has one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "core/data/catalogue.h"
#include "tests/unit/monitor_world.h"

static const char connector[] =
    "{\"schema_version\": 1, \"connector\": {\"fqn\": \"test.example/api\", \"version\": \"1.0.0\"}, \"tools\": ["
    "{\"name\": \"svc\", \"description\": \"a service\", \"operations\": ["
    "{\"name\": \"get\", \"summary\": \"get\", \"method\": \"POST\", \"path\": \"/items\", \"hosts\": [\"api.test\"],"
    " \"inputs\": [{\"name\": \"q\", \"type\": \"string\"}]}]}]}";

static void start(struct world *world, const char *limits)
{
    AUTOFREE char *config = mem_printf("version: 1\nlimits: { %s }\n", limits);
    struct err err = {0};
    struct connector *parsed = connector_parse(connector, strlen(connector), "test", &err);

    assert_non_null(parsed);
    assert_true(catalogue_install(world->home, parsed, &err));
    connector_free(parsed);
    write_file(world, "config.yaml", config);
    write_file(world, "bindings.yaml",
               "version: 1\nbindings:\n  - { name: user/api, hosts: [api.test], scheme: bearer }\n");
    start_monitor(world);
    make_vault(world);
    put_secret(world, "user/api", "token", NULL, "MARKER");
    start_session(world);
}

static uint64_t record_size(const struct world *world)
{
    AUTOFREE char *dir = file_join(world->home, "audit");
    struct audit_report report = {0};
    struct err err = {0};

    assert_true(audit_verify(dir, NULL, &report, &err));
    assert_true(report.intact);
    return report.bytes;
}

static int64_t sum_of(const struct world *world, const char *event, const char *key)
{
    AUTOFREE char *dir = file_join(world->home, "audit");
    struct audit_filter filter = {.event = event};
    struct err err = {0};
    struct span text;
    json_t *line;
    int64_t sum = 0;
    struct audit_reader *reader = audit_reader_open(dir, &filter, false, &err);

    assert_non_null(reader);
    while (audit_reader_next(reader, &text, &line, &err) == AUDIT_LINE)
        sum += json_integer_value(json_object_get(line, key));
    audit_reader_close(reader);
    return sum;
}

static void ask_credential(struct world *world, uint32_t id)
{
    tell_ask(world, id,
              json_pack("{s:s, s:s, s:i, s:s, s:s}", "binding", "user/api", "host", "api.test", "port", 443, "method",
                        "GET", "path", "/"));
}

/* The next message that is neither a halt nor new rules; the last halt's code, or "". */
static struct frame_head hear_answer(struct world *world, char *payload, size_t cap, char halt[32])
{
    size_t len;

    for (;;) {
        struct frame_head head = hear(world, payload, cap, &len);
        if (head.type == MESSAGE_SNAPSHOT)
            continue;
        if (head.type != MESSAGE_HALT)
            return head;
        json_t *said = json_loadb(payload, len, 0, NULL);
        assert_non_null(said);
        snprintf(halt, 32, "%s", text_at(said, "code"));
        json_decref(said);
    }
}

static void say_lines(struct world *world, size_t count)
{
    struct buf lines;

    buf_init(&lines, FRAME_BYTES);
    for (size_t i = 0; i < count; i++)
        assert_true(buf_printf(&lines, "{\"event\":\"network\",\"decision\":\"allow\",\"host\":\"api.test\",\"path\":"
                                       "\"/%0900d\"}\n", (int)i));
    tell_lines(world, lines.data, lines.len);
    buf_clear(&lines);
}

static char payload[FRAME_BYTES];

/* A flood ends at the bound: the session is halted and told so, gets no credential, and what is not written is
 * counted; another session is not touched. */
static void limit_record_bytes(void **state)
{
    struct world *world = *state;
    char halt[32] = "";

    start(world, "record_bytes: 65536, record_rate: 0");
    uint64_t before = record_size(world);
    ask_credential(world, 1);
    assert_int_equal(hear_answer(world, payload, sizeof payload, halt).type, MESSAGE_CREDENTIAL);
    assert_string_equal(halt, "");
    for (int i = 0; i < 10; i++)
        say_lines(world, 40);
    ask_credential(world, 2);
    assert_int_equal(hear_answer(world, payload, sizeof payload, halt).type, MESSAGE_REFUSED);
    assert_non_null(strstr(payload, "\"limit\""));
    assert_non_null(strstr(payload, "record_bytes"));
    assert_string_equal(halt, "limit");
    assert_int_equal(count_lines(world, "session.flooded", "state", "halted"), 1);
    assert_int_equal(count_lines(world, "credential", "decision", "allow"), 1);
    uint64_t added = record_size(world) - before;
    assert_in_range(added, 65536, 65536 + 4096); /* the last line, and those about the session itself */
    /* One that was refused adds nothing; its operations are refused as well. */
    tell_json(world, MESSAGE_OP_RUN, 3, json_pack("{s:s, s:s}", "tool", "svc", "operation", "get"));
    assert_int_equal(hear_answer(world, payload, sizeof payload, halt).type, MESSAGE_REFUSED);
    assert_non_null(strstr(payload, "\"limit\""));
    assert_int_equal(record_size(world) - before, added);
    AUTOFREE char *flooded = mem_strdup(world->session);
    close(world->worker);
    start_session(world);
    ask_credential(world, 1);
    assert_int_equal(hear_answer(world, payload, sizeof payload, halt).type, MESSAGE_CREDENTIAL);
    AUTOFREE char *path = mem_printf("/v1/sessions/%s", flooded);
    json_decref(ask(world, "DELETE", path, NULL));
    assert_int_equal(count_lines(world, "session.flooded", "state", "ended"), 1);
    size_t written = count_lines(world, "network", NULL, NULL);
    assert_in_range(written, 50, 80);
    assert_int_equal(sum_of(world, "session.flooded", "lost_lines"), 400 - (int64_t)written + 2);
}

/* A halted session's refusals take nothing from what is kept for the ends of requests. */
static void a_halted_session_still_tells_how_requests_end(void **state)
{
    static const char denied[] = "{\"event\":\"session.denied\",\"code\":\"limit\"}\n";
    static const char over[] = "{\"event\":\"network.end\",\"status\":200}\n";
    struct world *world = *state;
    char halt[32] = "";

    start(world, "record_bytes: 65536, record_rate: 0");
    say_lines(world, 53); /* nine tenths */
    for (int i = 0; i < 100; i++)
        tell_lines(world, denied, sizeof denied - 1);
    tell_lines(world, over, sizeof over - 1);
    ask_credential(world, 1);
    assert_int_equal(hear_answer(world, payload, sizeof payload, halt).type, MESSAGE_REFUSED);
    assert_string_equal(halt, "limit");
    assert_int_equal(count_lines(world, "network.end", NULL, NULL), 1);
    assert_int_equal(count_lines(world, "session.denied", NULL, NULL), 0);
}

static void limit_record_rate(void **state)
{
    struct world *world = *state;
    char halt[32] = "";

    start(world, "record_bytes: 65536, record_rate: 65536");
    say_lines(world, 64);
    ask_credential(world, 1);
    assert_int_equal(hear_answer(world, payload, sizeof payload, halt).type, MESSAGE_REFUSED);
    assert_string_equal(halt, "limit");
    size_t len;
    struct frame_head head = hear(world, payload, sizeof payload, &len);
    assert_int_equal(head.type, MESSAGE_HALT);
    assert_string_equal(payload, "{}");
    ask_credential(world, 2);
    assert_int_equal(hear_answer(world, payload, sizeof payload, halt).type, MESSAGE_CREDENTIAL);
    assert_int_equal(count_lines(world, "session.flooded", "state", "goes on"), 1);
}

/* A limit that is raised holds at once. */
static void a_raised_limit_lets_it_go_on(void **state)
{
    struct world *world = *state;
    char halt[32] = "";

    start(world, "record_bytes: 65536, record_rate: 0");
    say_lines(world, 64);
    ask_credential(world, 1);
    assert_int_equal(hear_answer(world, payload, sizeof payload, halt).type, MESSAGE_REFUSED);
    write_file(world, "config.yaml", "version: 1\nlimits: { record_bytes: 1048576 }\n");
    json_decref(ask(world, "POST", "/v1/reload", NULL));
    ask_credential(world, 2);
    struct frame_head head = hear_answer(world, payload, sizeof payload, halt);
    assert_int_equal(head.type, MESSAGE_CREDENTIAL);
    assert_string_equal(halt, "");
}

/* ---- the disk ---- */

static void limit_disk_free(void **state)
{
    struct world *world = *state;
    struct statvfs disk;
    struct err err = {0};
    json_t *answer = NULL;
    char halt[32] = "";

    start(world, "disk_free: 0");
    assert_int_equal(statvfs(world->home, &disk), 0);
    if ((uint64_t)disk.f_bavail * disk.f_frsize >= (uint64_t)1 << 40)
        skip(); /* no limit can be set above what is free here */
    write_file(world, "config.yaml", "version: 1\nlimits: { disk_free: 1099511627776 }\n");
    json_decref(ask(world, "POST", "/v1/reload", NULL));
    ask_credential(world, 1);
    struct frame_head head = hear_answer(world, payload, sizeof payload, halt);
    assert_int_equal(head.type, MESSAGE_REFUSED);
    assert_string_equal(halt, "io");
    assert_non_null(strstr(payload, "no space to spare"));
    assert_non_null(strstr(payload, "disk_free"));
    json_t *request = json_pack("{s:[s], s:i}", "command", "true", "pid", getpid());
    assert_false(client_ask(world->client, "POST", "/v1/sessions", request, &answer, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.message, "no space to spare"));
    json_decref(request);
    /* What was decided before is still written. */
    say_lines(world, 1);
    ask_credential(world, 2);
    assert_int_equal(hear_answer(world, payload, sizeof payload, halt).type, MESSAGE_REFUSED);
    assert_int_equal(count_lines(world, "network", NULL, NULL), 1);
    assert_int_equal(count_lines(world, "daemon.space", NULL, NULL), 1);
    json_t *health = ask(world, "GET", "/v1/health", NULL);
    json_t *problem = json_array_get(json_object_get(health, "problems"), 0);
    assert_non_null(strstr(text_at(problem, "message"), "no space to spare"));
    json_decref(health);
    write_file(world, "config.yaml", "version: 1\nlimits: { disk_free: 0 }\n");
    json_decref(ask(world, "POST", "/v1/reload", NULL));
    ask_credential(world, 3);
    head = hear_answer(world, payload, sizeof payload, halt);
    assert_int_equal(head.type, MESSAGE_CREDENTIAL);
    assert_string_equal(halt, "");
}

/* ---- state.db ---- */

static void run(struct world *world, uint32_t id, size_t args_bytes, const char *key)
{
    AUTOFREE char *text = mem_alloc(args_bytes + 1);
    memset(text, 'x', args_bytes);
    json_t *call = json_pack("{s:s, s:s, s:{s:s}}", "tool", "svc", "operation", "get", "args", "q", text);

    json_put(call, "idempotency_key", key);
    tell_json(world, MESSAGE_OP_RUN, id, call);
}

static char *begin(struct world *world, uint32_t id, const char *key)
{
    run(world, id, 8, key);
    json_t *answer = hear_json(world, MESSAGE_OP_START, id);
    char *op_id = mem_strdup(text_at(answer, "id"));
    json_decref(answer);
    return op_id;
}

static void finish(struct world *world, uint32_t id, const char *op_id)
{
    tell_json(world, MESSAGE_OP_DONE, id,
              json_pack("{s:s, s:i, s:s}", "id", op_id, "status", 200, "state", "succeeded"));
}

static void collect(struct world *world, uint32_t id, const char *op_id)
{
    tell_json(world, MESSAGE_OP_ACK, id, json_pack("{s:[s]}", "ids", op_id));
    json_decref(hear_json(world, MESSAGE_OP_ACKED, id));
}

static void expect_full(struct world *world, uint32_t id)
{
    json_t *answer = hear_json(world, MESSAGE_REFUSED, id);

    assert_string_equal(text_at(answer, "code"), "limit");
    assert_non_null(strstr(text_at(answer, "message"), "stored_operations"));
    assert_non_null(strstr(text_at(answer, "hint"), "aileron-wait --drain"));
    json_decref(answer);
}

/* So many and no more; what was collected makes room, but for those whose key must not run again. */
static void limit_stored_operations(void **state)
{
    struct world *world = *state;

    start(world, "stored_operations: 3");
    AUTOFREE char *one = begin(world, 1, "k");
    AUTOFREE char *two = begin(world, 2, NULL);
    AUTOFREE char *three = begin(world, 3, NULL);
    finish(world, 1, one);
    finish(world, 2, two);
    run(world, 4, 8, NULL);
    expect_full(world, 4);
    collect(world, 5, one);
    run(world, 6, 8, NULL);
    expect_full(world, 6);
    collect(world, 7, two);
    AUTOFREE char *four = begin(world, 8, NULL);
    run(world, 9, 8, NULL);
    expect_full(world, 9);
    run(world, 10, 8, "k");
    json_t *known = hear_json(world, MESSAGE_OP_STATE, 10);
    assert_string_equal(text_at(known, "id"), one);
    json_decref(known);
    /* A daemon that starts again counts what is there. */
    stop_monitor(world, SIGKILL);
    start_monitor(world);
    connect_worker(world);
    run(world, 11, 8, NULL);
    expect_full(world, 11);
}

/* A result is kept as far as there is room, and says so; arguments that do not fit are refused. */
static void limit_stored_bytes(void **state)
{
    static char piece[MESSAGE_CHUNK_BYTES];
    struct world *world = *state;

    start(world, "stored_bytes: 65536");
    AUTOFREE char *one = begin(world, 1, NULL);
    tell(world, MESSAGE_OP_BODY, 1, piece, sizeof piece);
    finish(world, 1, one);
    tell_json(world, MESSAGE_OP_GET, 2, json_pack("{s:s}", "id", one));
    json_t *shown = hear_json(world, MESSAGE_OP_STATE, 2);
    assert_int_equal(json_integer_value(json_object_get(shown, "result_bytes")), 65536 - 1024 - 16);
    assert_true(json_is_true(json_object_get(shown, "truncated")));
    json_decref(shown);
    size_t len;
    assert_int_equal(hear(world, payload, sizeof payload, &len).type, MESSAGE_OP_RESULT);
    run(world, 3, 8, NULL);
    expect_full(world, 3);
    collect(world, 4, one);
    run(world, 5, 65536 - 1024 - 8 + 1, NULL);
    expect_full(world, 5);
    AUTOFREE char *two = begin(world, 6, NULL);
    finish(world, 6, two);
}

static void limit_result_bytes(void **state)
{
    struct world *world = *state;
    size_t len;

    start(world, "result_bytes: 10");
    for (uint32_t more = 0; more < 2; more++) {
        AUTOFREE char *op_id = begin(world, 1 + more, NULL);
        tell(world, MESSAGE_OP_BODY, 1 + more, "0123456789A", 10 + more);
        finish(world, 1 + more, op_id);
        tell_json(world, MESSAGE_OP_GET, 3, json_pack("{s:s}", "id", op_id));
        json_t *shown = hear_json(world, MESSAGE_OP_STATE, 3);
        assert_int_equal(json_integer_value(json_object_get(shown, "result_bytes")), 10);
        assert_int_equal(json_is_true(json_object_get(shown, "truncated")), more);
        json_decref(shown);
        assert_int_equal(hear(world, payload, sizeof payload, &len).type, MESSAGE_OP_RESULT);
        assert_string_equal(payload, "0123456789");
    }
}

/* ---- numbers of things ---- */

static void limit_operations(void **state)
{
    struct world *world = *state;

    start(world, "operations: 2");
    AUTOFREE char *one = begin(world, 1, NULL);
    AUTOFREE char *two = begin(world, 2, NULL);
    run(world, 3, 8, NULL);
    json_t *answer = hear_json(world, MESSAGE_REFUSED, 3);
    assert_string_equal(text_at(answer, "code"), "limit");
    assert_non_null(strstr(text_at(answer, "message"), "2 operations"));
    json_decref(answer);
    finish(world, 1, one);
    AUTOFREE char *three = begin(world, 4, NULL);
}

static void limit_sessions(void **state)
{
    struct world *world = *state;
    struct err err = {0};

    start(world, "sessions: 2");
    AUTOFREE char *first = mem_printf("/v1/sessions/%s", world->session);
    int workers[3] = {world->worker}; /* open: one of them that cannot pass a message on ends */
    start_session(world);
    json_t *request JSON_AUTO = json_pack("{s:[s], s:i}", "command", "true", "pid", getpid());
    assert_false(client_ask(world->client, "POST", "/v1/sessions", request, NULL, &err));
    assert_non_null(strstr(err.hint, "End one, or raise limits.sessions"));
    for (int i = 1; i < 3; i++) { /* one whose worker drains takes no place, up to as many again */
        AUTOFREE char *path = mem_printf("/v1/sessions/%s", world->session);
        json_decref(ask(world, "DELETE", path, NULL));
        workers[i] = world->worker;
        start_session(world);
    }
    json_decref(ask(world, "DELETE", first, NULL));
    assert_false(client_ask(world->client, "POST", "/v1/sessions", request, NULL, &err));
    assert_non_null(strstr(err.message, "not over yet"));
    for (size_t i = 0; i < COUNT(workers); i++)
        close(workers[i]);
}

/* ---- times ---- */

/* A worker that does not end when it is told to is killed then, and not before. */
static void limit_drain_ms(void **state)
{
    struct world *world = *state;
    struct pollfd fd = {.events = POLLIN};
    size_t len;

    start(world, "drain_ms: 500");
    AUTOFREE char *path = mem_printf("/v1/sessions/%s", world->session);
    ask_credential(world, 1);
    assert_int_equal(hear(world, payload, sizeof payload, &len).type, MESSAGE_CREDENTIAL); /* it is there */
    uint64_t before = clock_mono_ms();
    json_decref(ask(world, "DELETE", path, NULL));
    assert_int_equal(hear(world, payload, sizeof payload, &len).type, MESSAGE_SHUTDOWN);
    fd.fd = world->worker;
    assert_int_equal(poll(&fd, 1, ANSWER_MS), 1); /* the end of the connection that it holds */
    assert_int_equal(recv(world->worker, payload, 1, 0), 0);
    assert_true(clock_mono_ms() - before >= 450); /* the loop's clock is a coarse one */
}

static void put_old(struct store *store, const char *id, const char *session, int64_t age_ms, bool collected)
{
    struct err err = {0};
    char text[] = "x", args[] = "{}", running[] = "succeeded";
    bool changed;
    AUTOFREE char *own_id = mem_strdup(id), *own_session = mem_strdup(session);
    int64_t at = (int64_t)clock_wall_ms() - age_ms;
    struct store_operation row = {.id = own_id, .session = own_session, .connector = text, .tool = text,
                                  .operation = text, .args = args, .state = running, .created_ms = at,
                                  .updated_ms = at};

    assert_true(store_operation_add(store, &row, &err));
    if (collected)
        assert_true(store_operation_collect(store, session, id, &changed, &err));
}

static void limit_result_days(void **state)
{
    enum { DAY_MS = 86400 * 1000, SLACK_MS = 60 * 1000 };
    struct world *world = *state;
    AUTOFREE char *path = file_join(world->home, "state.db");
    struct err err = {0};
    struct store_operation row;
    struct store *store = store_open(path, &err);

    assert_non_null(store);
    put_old(store, "op_01J00000000000000000000001", "s", DAY_MS + SLACK_MS, true);
    put_old(store, "op_01J00000000000000000000002", "s", DAY_MS - SLACK_MS, true);
    put_old(store, "op_01J00000000000000000000003", "s", DAY_MS + SLACK_MS, false); /* of a session that is over */
    put_old(store, "op_01J00000000000000000000004", "s", DAY_MS - SLACK_MS, false);
    store_close(store);
    start(world, "result_days: 1");
    stop_monitor(world, SIGTERM);
    store = store_open(path, &err);
    assert_false(store_operation_get(store, "op_01J00000000000000000000001", &row, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_true(store_operation_get(store, "op_01J00000000000000000000002", &row, &err));
    store_operation_clear(&row);
    assert_false(store_operation_get(store, "op_01J00000000000000000000003", &row, &err));
    assert_true(store_operation_get(store, "op_01J00000000000000000000004", &row, &err));
    store_operation_clear(&row);
    store_close(store);
}

int main(int argc, char **argv)
{
    monitor_world_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(limit_record_bytes, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_halted_session_still_tells_how_requests_end, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(limit_record_rate, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_raised_limit_lets_it_go_on, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(limit_disk_free, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(limit_stored_operations, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(limit_stored_bytes, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(limit_result_bytes, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(limit_operations, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(limit_sessions, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(limit_drain_ms, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(limit_result_days, world_setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
