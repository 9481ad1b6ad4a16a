/* The monitor against a worker that was taken over, and against death: credentials are decided anew (C12, C13), no
 * record means no credential, workers and the daemon itself come back (F01, F02), sessions end with their
 * launcher. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/unit/monitor_world.h"

static const char secret[] = "MARKER-ghp-0123456789";
static const char bindings[] = "version: 1\n"
                               "bindings:\n"
                               "  - { name: user/api, hosts: [api.test], scheme: bearer,\n"
                               "      sentinel: { env: [API_TOKEN] } }\n"
                               "  - { name: user/paths, hosts: [paths.test], paths: [\"/ok/**\"], scheme: bearer }\n"
                               "  - { name: user/missing, hosts: [missing.test], scheme: bearer }\n"
                               "  - { name: user/basic, hosts: [basic.test], scheme: basic }\n"
                               "  - { name: user/kind, hosts: [kind.test], scheme: basic, entry: user/api }\n"
                               "  - { name: user/broken, hosts: [broken.test], scheme: bearer }\n";
static const char policy[] = "version: 1\n"
                             "rules:\n"
                             "  - { name: no deletes, host: api.test, methods: [DELETE], action: deny, reason: no }\n"
                             "  - { name: ask first, host: api.test, methods: [PATCH], action: approve }\n"
                             "  - { name: without, host: api.test, paths: [\"/public\"], action: allow,\n"
                             "      credential: none }\n";

static int setup(void **state)
{
    struct world *world = world_with_rules(state, bindings, policy);

    if (world == NULL)
        return -1;
    put_secret(world, "user/api", "token", NULL, secret);
    put_secret(world, "user/paths", "token", NULL, secret);
    put_secret(world, "user/basic", "basic", "alice", "pw");
    put_secret(world, "user/broken", "token", NULL, "a\r\nX-Injected: 1");
    start_session(world);
    return 0;
}

static json_t *ask_for(const char *binding, const char *host, const char *method, const char *path)
{
    return json_pack("{s:s, s:s, s:i, s:s, s:s}", "binding", binding, "host", host, "port", 443, "method", method,
                     "path", path);
}

/* Asks and expects to be refused with this code. */
static void expect_refused(struct world *world, json_t *question, const char *code)
{
    static uint32_t id = 1000;

    tell_ask(world, ++id, question);
    json_t *answer = hear_json(world, MESSAGE_REFUSED, id);
    assert_string_equal(text_at(answer, "code"), code);
    assert_true(text_at(answer, "message")[0] != 0);
    json_decref(answer);
}

static void expect_secret(struct world *world, json_t *question, const char *want)
{
    static char payload[FRAME_BYTES];
    size_t len;

    tell_ask(world, 7, question);
    struct frame_head head = hear(world, payload, sizeof payload, &len);
    if (head.type != MESSAGE_CREDENTIAL)
        fail_msg("%s", payload);
    assert_int_equal(head.flags, MESSAGE_SECRET);
    json_t *answer JSON_AUTO = flat_heard(payload, len);
    assert_int_equal(json_integer_value(json_object_get(answer, "id")), 7);
    assert_string_equal(text_at(answer, "secret"), want);
}

/* ---- credentials ---- */

static void gives_what_the_rules_give(void **state)
{
    struct world *world = *state;

    expect_secret(world, ask_for("user/api", "api.test", "GET", "/user"), secret);
    expect_secret(world, ask_for("user/paths", "paths.test", "GET", "/ok/a"), secret);
    expect_secret(world, ask_for("user/basic", "basic.test", "GET", "/"), "pw");
    assert_int_equal(count_lines(world, "credential", "decision", "allow"), 3);
    assert_false(record_holds(world, secret));
    record_is_whole(world);
}

static void c13_refuses_what_no_rule_gives(void **state)
{
    struct world *world = *state;

    expect_refused(world, ask_for("user/api", "evil.test", "GET", "/"), "denied");
    expect_refused(world, ask_for("user/api", "paths.test", "GET", "/ok/a"), "denied");
    expect_refused(world, ask_for("user/paths", "paths.test", "GET", "/other"), "denied");
    expect_refused(world, ask_for("user/nothing", "api.test", "GET", "/"), "denied");
    expect_refused(world, ask_for("user/api", "api.test", "DELETE", "/"), "denied");
    expect_refused(world, ask_for("user/api", "api.test", "PATCH", "/"), "denied");
    expect_refused(world, ask_for("user/api", "api.test", "GET", "/public"), "denied");
    /* Other forms of the same request are lies: a worker sends the canonical one. */
    expect_refused(world, ask_for("user/api", "API.test", "GET", "/"), "denied");
    expect_refused(world, ask_for("user/paths", "paths.test", "GET", "/ok/../other"), "denied");
    expect_refused(world, ask_for("user/paths", "paths.test", "GET", "/ok/%2e%2e/x"), "denied");
    assert_int_equal(count_lines(world, "credential", "decision", "deny"), 10);
    assert_int_equal(count_lines(world, "credential", "decision", "allow"), 0);
}

/* The end of a session is the end of its authority, though its worker drains for some seconds more (C11). */
static void c11_gives_nothing_after_the_sessions_end(void **state)
{
    struct world *world = *state;
    static char payload[FRAME_BYTES];
    size_t len;

    expect_secret(world, ask_for("user/api", "api.test", "GET", "/user"), secret);
    AUTOFREE char *path = mem_printf("/v1/sessions/%s", world->session);
    json_decref(ask(world, "DELETE", path, NULL));
    assert_int_equal(hear(world, payload, sizeof payload, &len).type, MESSAGE_SHUTDOWN);
    expect_refused(world, ask_for("user/api", "api.test", "GET", "/user"), "denied");
    tell_json(world, MESSAGE_OP_RUN, 9, json_pack("{s:s, s:s}", "tool", "svc", "operation", "get"));
    json_t *answer = hear_json(world, MESSAGE_REFUSED, 9);
    assert_string_equal(text_at(answer, "code"), "denied");
    json_decref(answer);
}

static void c12_refuses_what_the_vault_cannot_give(void **state)
{
    struct world *world = *state;

    expect_refused(world, ask_for("user/missing", "missing.test", "GET", "/"), "not_found");
    expect_refused(world, ask_for("user/kind", "kind.test", "GET", "/"), "conflict");
    expect_refused(world, ask_for("user/broken", "broken.test", "GET", "/"), "bad_data"); /* C10 */
    json_decref(ask(world, "POST", "/v1/vault/lock", NULL));
    expect_refused(world, ask_for("user/api", "api.test", "GET", "/"), "vault_locked");
    assert_int_equal(count_lines(world, "credential", "decision", "deny"), 4);
}

static void f03_no_record_no_credential(void **state)
{
    struct world *world = *state;
    struct rlimit none = {.rlim_cur = 1, .rlim_max = RLIM_INFINITY}, old;

    if (geteuid() != 0)
        skip(); /* prlimit of a process that is not dumpable */
    assert_int_equal(prlimit(world->monitor, RLIMIT_FSIZE, &none, &old), 0);
    expect_refused(world, ask_for("user/api", "api.test", "GET", "/"), "io");
    assert_int_equal(prlimit(world->monitor, RLIMIT_FSIZE, &old, NULL), 0);
    expect_secret(world, ask_for("user/api", "api.test", "GET", "/"), secret);
    record_is_whole(world);
}

static void a_worker_that_breaks_the_protocol_is_replaced(void **state)
{
    static const char *const bad[] = {"", "{", "\1\0\0\0\xff"}; /* with what follows: WORKER_RESTARTS */
    struct world *world = *state;

    for (size_t i = 0; i < 3; i++) {
        tell(world, MESSAGE_ROUND, 0, bad[i], i == 2 ? 5 : strlen(bad[i]));
        wait_for_death(world);
        expect_secret(world, ask_for("user/api", "api.test", "GET", "/"), secret);
    }
    assert_int_equal(count_lines(world, "worker.protocol", NULL, NULL), 3);
    assert_int_equal(count_lines(world, "worker.exit", NULL, NULL), 3);
    /* A session cannot be forged on the record, nor an event of the monitor's own. */
    static const char forged[] = "{\"event\":\"network\",\"session\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"host\":\"h\"}",
                      own[] = "{\"event\":\"network\",\"host\":\"h\"}", stop[] = "{\"event\":\"daemon.stop\"}";
    tell_lines(world, own, sizeof own - 1);
    tell_lines(world, forged, sizeof forged - 1);
    wait_for_death(world);
    expect_secret(world, ask_for("user/api", "api.test", "GET", "/"), secret);
    assert_int_equal(count_lines(world, "network", NULL, NULL), 1);
    assert_int_equal(count_lines(world, "network", "session", world->session), 1);
    tell_lines(world, stop, sizeof stop - 1);
    wait_for_death(world);
    assert_int_equal(count_lines(world, "daemon.stop", NULL, NULL), 0);
}

static void lines_come_together(void **state)
{
    static const char line[] = "{\"event\": \"network\", \"host\": \"many\"}\n",
                      bad[] = "{\"event\": \"network\", \"host\": \"one\"}\n{\"event\": \"daemon.stop\"}\n";
    struct world *world = *state;
    struct buf text;

    buf_init(&text, 65536);
    for (int i = 0; i < MESSAGE_ROUND_MAX; i++)
        assert_true(buf_adds(&text, line));
    tell_lines(world, text.data, text.len);
    expect_secret(world, ask_for("user/api", "api.test", "GET", "/"), secret);
    assert_int_equal(count_lines(world, "network", "host", "many"), MESSAGE_ROUND_MAX);
    assert_true(buf_adds(&text, line)); /* one above the bound: what is within it is written, the worker is ended */
    tell_lines(world, text.data, text.len);
    wait_for_death(world);
    assert_int_equal(count_lines(world, "network", "host", "many"), 2 * MESSAGE_ROUND_MAX);
    buf_clear(&text);
    tell_lines(world, bad, sizeof(bad) - 1);
    wait_for_death(world);
    tell(world, MESSAGE_ROUND, 0, "", 0);
    wait_for_death(world);
    assert_int_equal(count_lines(world, "network", "host", "one"), 1);
    assert_int_equal(count_lines(world, "worker.protocol", NULL, NULL), 3);
}

static pid_t worker_pid_of(struct world *world)
{
    AUTOFREE char *path = mem_printf("/v1/sessions/%s", world->session);
    json_t *session = ask(world, "GET", path, NULL);
    pid_t pid = (pid_t)json_integer_value(json_object_get(session, "worker_pid"));

    json_decref(session);
    return pid;
}

static void f02_a_worker_that_dies_too_often_fails_its_session(void **state)
{
    struct world *world = *state;
    AUTOFREE char *path = mem_printf("/v1/sessions/%s", world->session);
    bool failed = false;

    for (int i = 0; i < 200 && !failed; i++) {
        pid_t pid = worker_pid_of(world);
        if (pid > 0)
            kill(pid, SIGKILL);
        pause_ms(20);
        json_t *session = ask(world, "GET", path, NULL);
        failed = strcmp(text_at(session, "state"), "failed") == 0;
        json_decref(session);
    }
    assert_true(failed);
    assert_int_equal(count_lines(world, "worker.exit", NULL, NULL), 6);
    json_decref(ask(world, "DELETE", path, NULL));
}

/* A worker that was started and could not be told its rules: the session has failed, and stays so. */
static void f02_a_session_that_failed_is_not_started_again(void **state)
{
    struct world *world = *state;
    struct rlimit small = {.rlim_cur = 64 * 1024, .rlim_max = RLIM_INFINITY}, old;
    AUTOFREE char *path = mem_printf("/v1/sessions/%s", world->session);

    if (geteuid() != 0)
        skip(); /* prlimit of a process that is not dumpable */
    /* The rules are told in a sealed file, in which the roots alone are larger; the record is smaller. */
    pid_t pid = worker_pid_of(world);
    assert_true(pid > 0);
    assert_int_equal(prlimit(world->monitor, RLIMIT_FSIZE, &small, &old), 0);
    kill(pid, SIGKILL);
    for (int i = 0; i < 500 && count_lines(world, "worker.exit", NULL, NULL) < 2; i++)
        pause_ms(10);
    pause_ms(300); /* a third one would be started, and end, now */
    assert_int_equal(count_lines(world, "worker.exit", NULL, NULL), 2);
    assert_int_equal(prlimit(world->monitor, RLIMIT_FSIZE, &old, NULL), 0);
    json_t *session = ask(world, "GET", path, NULL);
    assert_string_equal(text_at(session, "state"), "failed");
    assert_int_equal(json_integer_value(json_object_get(session, "worker_pid")), 0);
    json_decref(session);
    json_decref(ask(world, "DELETE", path, NULL));
}

/* ---- sessions ---- */

static bool exists(const struct world *world, const char *kind, const char *name)
{
    AUTOFREE char *path = mem_printf("%s/run/%s/%s/%s", world->home, kind, world->session, name);

    return file_exists(path);
}

static void a_session_has_its_files_and_leaves_none(void **state)
{
    static const char *const names[] = {"session.sock", "ca.pem", "ca-extra.pem", "ca-bundle.pem",
                                        "ca-bundle.p12", "tools.txt", "tools.json", "shims", "token",
                                        "profile.sh"};
    struct world *world = *state;
    AUTOFREE char *path = mem_printf("/v1/sessions/%s", world->session);

    for (size_t i = 0; i < COUNT(names); i++)
        assert_true(exists(world, "sessions", names[i]));
    assert_false(exists(world, "sessions", "ca.key"));
    assert_true(exists(world, "private", "ca.key"));
    json_decref(ask(world, "DELETE", path, NULL));
    assert_false(exists(world, "sessions", ""));
    assert_false(exists(world, "private", ""));
    assert_int_equal(count_lines(world, "session.end", "session", world->session), 1);
    json_t *list = ask(world, "GET", "/v1/sessions", NULL);
    json_decref(list);
}

static void a_session_ends_with_its_launcher(void **state)
{
    struct world *world = *state;
    pid_t launcher = fork();

    if (launcher == 0) {
        pause();
        _exit(0);
    }
    json_t *answer = ask(world, "POST", "/v1/sessions",
                         json_pack("{s:[s], s:i}", "command", "true", "pid", (int)launcher));
    snprintf(world->session, sizeof world->session, "%s", text_at(answer, "id"));
    json_decref(answer);
    assert_true(exists(world, "sessions", "token"));
    kill(launcher, SIGKILL);
    waitpid(launcher, NULL, 0);
    for (int i = 0; i < 500 && exists(world, "sessions", ""); i++)
        pause_ms(10);
    assert_false(exists(world, "sessions", ""));
    for (int i = 0; i < 500 && count_lines(world, "session.end", "reason", "launcher gone") == 0; i++)
        pause_ms(10); /* the line comes behind the files */
    assert_int_equal(count_lines(world, "session.end", "reason", "launcher gone"), 1);
}

static void sentinels_are_the_sessions_own(void **state)
{
    struct world *world = *state;
    json_t *request = json_pack("{s:[s], s:i}", "command", "true", "pid", getpid());
    json_t *one = ask(world, "POST", "/v1/sessions", json_incref(request));
    json_t *two = ask(world, "POST", "/v1/sessions", request);
    const char *first = text_at(json_object_get(one, "env"), "API_TOKEN");
    const char *second = text_at(json_object_get(two, "env"), "API_TOKEN");

    assert_true(strlen(first) >= 16);
    assert_string_not_equal(first, second);
    assert_null(strstr(first, "MARKER"));
    json_decref(one);
    json_decref(two);
}

static void f01_a_killed_daemon_carries_its_sessions_on(void **state)
{
    struct world *world = *state;
    AUTOFREE char *token_path = mem_printf("%s/run/sessions/%s/token", world->home, world->session);
    struct stat before, after;

    assert_int_equal(stat(token_path, &before), 0);
    assert_int_equal(stop_monitor(world, SIGKILL), 128 + SIGKILL);
    start_monitor(world);
    assert_int_equal(stat(token_path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    connect_worker(world);
    /* The vault is locked again, and the session goes on. */
    expect_refused(world, ask_for("user/api", "api.test", "GET", "/"), "vault_locked");
    assert_int_equal(count_lines(world, "session.restore", "session", world->session), 1);
    assert_int_equal(count_lines(world, "session.end", NULL, NULL), 0);
    record_is_whole(world);
    /* An ordinary stop leaves the session for the next daemon too. */
    assert_int_equal(stop_monitor(world, SIGTERM), 0);
    start_monitor(world);
    connect_worker(world);
    expect_refused(world, ask_for("user/api", "evil.test", "GET", "/"), "denied");
}

static void a_second_daemon_is_refused(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct monitor_options options = {.home = world->home, .version = AILERON_VERSION, .ready_fd = -1};
        _exit(monitor_run(&options, &err) ? 0 : (int)err.code);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(proc_exit_status(status), ERR_CONFLICT);
    json_decref(ask(world, "GET", "/v1/health", NULL)); /* the first one is unharmed */
}

/* ---- rules ---- */

static void f07_a_broken_policy_leaves_the_last_good_one(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    json_t *answer = NULL;

    write_file(world, "policy.yaml", "version: 1\nrules:\n  - { host: api.test, action: perhaps }\n");
    assert_false(client_ask(world->client, "POST", "/v1/reload", NULL, &answer, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.message, "policy.yaml:3:"));
    expect_refused(world, ask_for("user/api", "api.test", "DELETE", "/"), "denied");
    expect_secret(world, ask_for("user/api", "api.test", "GET", "/"), secret);
    json_t *health = ask(world, "GET", "/v1/health", NULL);
    assert_int_equal(json_array_size(json_object_get(health, "problems")), 1);
    json_decref(health);
    /* A new session does not start on rules that its person has changed. */
    json_t *request = json_pack("{s:[s], s:i}", "command", "true", "pid", getpid());
    assert_false(client_ask(world->client, "POST", "/v1/sessions", request, &answer, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    json_decref(request);
}

static void a_new_policy_is_noticed_by_itself(void **state)
{
    struct world *world = *state;

    write_file(world, "policy.yaml", "version: 1\nnetwork: { default: deny }\n");
    for (int i = 0; i < 200 && count_lines(world, "policy.load", NULL, NULL) == 0; i++)
        pause_ms(10);
    char payload[64];
    size_t len;
    struct frame_head head = hear_any(world, payload, sizeof payload, &len);
    assert_int_equal(head.type, MESSAGE_SNAPSHOT);
    expect_refused(world, ask_for("user/api", "api.test", "GET", "/"), "denied");
}

static void old_days_of_the_record_go(void **state)
{
    struct world *world = *state;
    AUTOFREE char *dir = file_join(world->home, "audit"), *old = file_join(dir, "audit-2025-01-01.jsonl");
    struct err err = {0};

    clock_fake(1735732800000, 1); /* 2025-01-01 */
    struct audit *audit = audit_open(dir, &err);
    json_t *event = json_pack("{s:s}", "event", "daemon.stop");
    assert_non_null(audit);
    assert_true(audit_append(audit, event, true, &err));
    json_decref(event);
    audit_close(audit);
    clock_fake(0, 0);
    start_monitor(world);
    assert_true(file_exists(old)); /* for ever, as long as nothing else is asked for */
    stop_monitor(world, SIGTERM);
    write_file(world, "config.yaml", "version: 1\naudit: { retention: 30 }\n");
    start_monitor(world);
    for (int i = 0; i < 500 && file_exists(old); i++)
        pause_ms(10);
    assert_false(file_exists(old));
    assert_int_equal(count_lines(world, "record.retired", "file", "audit-2025-01-01.jsonl"), 1);
    record_is_whole(world);
}

int main(int argc, char **argv)
{
    monitor_world_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gives_what_the_rules_give, setup, world_teardown),
        cmocka_unit_test_setup_teardown(c13_refuses_what_no_rule_gives, setup, world_teardown),
        cmocka_unit_test_setup_teardown(c11_gives_nothing_after_the_sessions_end, setup, world_teardown),
        cmocka_unit_test_setup_teardown(c12_refuses_what_the_vault_cannot_give, setup, world_teardown),
        cmocka_unit_test_setup_teardown(f03_no_record_no_credential, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_worker_that_breaks_the_protocol_is_replaced, setup, world_teardown),
        cmocka_unit_test_setup_teardown(lines_come_together, setup, world_teardown),
        cmocka_unit_test_setup_teardown(f02_a_worker_that_dies_too_often_fails_its_session, setup, world_teardown),
        cmocka_unit_test_setup_teardown(f02_a_session_that_failed_is_not_started_again, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_session_has_its_files_and_leaves_none, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_session_ends_with_its_launcher, setup, world_teardown),
        cmocka_unit_test_setup_teardown(sentinels_are_the_sessions_own, setup, world_teardown),
        cmocka_unit_test_setup_teardown(f01_a_killed_daemon_carries_its_sessions_on, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_second_daemon_is_refused, setup, world_teardown),
        cmocka_unit_test_setup_teardown(f07_a_broken_policy_leaves_the_last_good_one, setup, world_teardown),
        cmocka_unit_test_setup_teardown(old_days_of_the_record_go, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_new_policy_is_noticed_by_itself, setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
