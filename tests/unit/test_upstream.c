/* What the monitor hands out for connections: the proxy's credential and client certificates, to the places that its
 * own files name, and to no other whatever a worker says (C12, C13). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/monitor_world.h"

static const char password[] = "proxy-secret-1", pem[] = "-----BEGIN what stands for a certificate and its key";

static const char config[] =
    "version: 1\n"
    "network: { upstream_proxy: 'http://proxy.corp.example:3128', upstream_proxy_credential: user/proxy }\n"
    "upstreams:\n"
    "  - { host: mtls.test, client_cert: user/mtls }\n"
    "  - { host: port.test, port: 8443, client_cert: user/mtls }\n"
    "  - { host: denied.test, client_cert: user/mtls }\n"
    "  - { host: partly.test, client_cert: user/mtls }\n"
    "  - { host: missing.test, client_cert: user/missing }\n"
    "  - { host: kind.test, client_cert: user/token }\n"
    "  - { host: plain.test }\n";
static const char policy[] = "version: 1\n"
                             "rules:\n"
                             "  - { host: denied.test, action: deny }\n"
                             "  - { host: partly.test, methods: [DELETE], action: deny }\n";

static int setup(void **state)
{
    if (world_setup(state) != 0)
        return -1;
    struct world *world = *state;
    write_file(world, "config.yaml", config);
    write_file(world, "policy.yaml", policy);
    start_monitor(world);
    make_vault(world);
    put_secret(world, "user/proxy", "basic", "corp", password);
    put_secret(world, "user/mtls", "certificate", NULL, pem);
    put_secret(world, "user/token", "token", NULL, "t");
    start_session(world);
    return 0;
}

static json_t *ask_for(const char *purpose, const char *host, int port)
{
    return json_pack("{s:s, s:s, s:i}", "for", purpose, "host", host, "port", port);
}

static void expect_refused(struct world *world, json_t *question, const char *code)
{
    static uint32_t id = 1000;

    tell_json(world, MESSAGE_UPSTREAM_ASK, ++id, question);
    json_t *answer = hear_json(world, MESSAGE_REFUSED, id);
    assert_string_equal(text_at(answer, "code"), code);
    assert_true(text_at(answer, "message")[0] != 0);
    json_decref(answer);
}

static void expect_secret(struct world *world, json_t *question, const char *username, const char *want)
{
    static char payload[FRAME_BYTES];
    size_t len;

    tell_json(world, MESSAGE_UPSTREAM_ASK, 7, question);
    struct frame_head frame = hear(world, payload, sizeof payload, &len);
    if (frame.type != MESSAGE_CREDENTIAL)
        fail_msg("%s", payload);
    assert_int_equal(frame.flags, MESSAGE_SECRET);
    json_t *answer JSON_AUTO = flat_heard(payload, len);
    assert_int_equal(json_integer_value(json_object_get(answer, "id")), 7);
    assert_string_equal(text_at(answer, "username"), username);
    assert_string_equal(text_at(answer, "secret"), want);
}

static void gives_what_the_files_name(void **state)
{
    struct world *world = *state;

    expect_secret(world, ask_for("proxy", "anything.test", 80), "corp", password);
    expect_secret(world, ask_for("certificate", "mtls.test", 443), "", pem);
    expect_secret(world, ask_for("certificate", "port.test", 8443), "", pem);
    expect_secret(world, ask_for("certificate", "partly.test", 443), "", pem);
    assert_int_equal(count_lines(world, "credential", "decision", "allow"), 4);
    assert_int_equal(count_lines(world, "credential", "scheme", "proxy"), 1);
    assert_int_equal(count_lines(world, "credential", "entry", "user/mtls"), 3);
    assert_false(record_holds(world, password));
    assert_false(record_holds(world, pem));
    record_is_whole(world);
}

static void c13_gives_nothing_to_another_place(void **state)
{
    struct world *world = *state;

    expect_refused(world, ask_for("certificate", "evil.test", 443), "denied");
    expect_refused(world, ask_for("certificate", "plain.test", 443), "denied");
    expect_refused(world, ask_for("certificate", "port.test", 443), "denied");
    expect_refused(world, ask_for("certificate", "denied.test", 443), "denied");
    expect_refused(world, ask_for("certificate", "MTLS.test", 443), "denied");
    expect_refused(world, ask_for("certificate", "a.mtls.test", 443), "denied");
    assert_int_equal(count_lines(world, "credential", "decision", "deny"), 6);
    assert_int_equal(count_lines(world, "credential", "decision", "allow"), 0);
    write_file(world, "config.yaml", "version: 1\nnetwork: { upstream_proxy_credential: user/proxy }\n");
    json_decref(ask(world, "POST", "/v1/reload", NULL));
    static char payload[FRAME_BYTES];
    size_t len;
    assert_int_equal(hear_any(world, payload, sizeof payload, &len).type, MESSAGE_SNAPSHOT);
    expect_refused(world, ask_for("proxy", "anything.test", 80), "denied"); /* no proxy, no credential for it */
    expect_refused(world, ask_for("certificate", "mtls.test", 443), "denied");
}

static void c12_refuses_what_the_vault_cannot_give(void **state)
{
    struct world *world = *state;

    expect_refused(world, ask_for("certificate", "missing.test", 443), "not_found");
    expect_refused(world, ask_for("certificate", "kind.test", 443), "conflict");
    json_decref(ask(world, "POST", "/v1/vault/lock", NULL));
    expect_refused(world, ask_for("certificate", "mtls.test", 443), "vault_locked");
    expect_refused(world, ask_for("proxy", "anything.test", 80), "vault_locked");
    assert_int_equal(count_lines(world, "credential", "decision", "deny"), 4);
}

static void c11_gives_nothing_after_the_sessions_end(void **state)
{
    struct world *world = *state;
    static char payload[FRAME_BYTES];
    size_t len;

    expect_secret(world, ask_for("certificate", "mtls.test", 443), "", pem);
    AUTOFREE char *path = mem_printf("/v1/sessions/%s", world->session);
    json_decref(ask(world, "DELETE", path, NULL));
    assert_int_equal(hear(world, payload, sizeof payload, &len).type, MESSAGE_SHUTDOWN);
    expect_refused(world, ask_for("certificate", "mtls.test", 443), "denied");
    expect_refused(world, ask_for("proxy", "mtls.test", 443), "denied");
}

static void a_malformed_question_ends_the_worker(void **state)
{
    static const char *const bad[] = {"{}", "{\"for\": \"vault\", \"host\": \"a\", \"port\": 1}",
                                      "{\"for\": \"proxy\", \"host\": \"a\", \"port\": 0}",
                                      "{\"for\": \"proxy\", \"host\": 5, \"port\": 1}"};
    struct world *world = *state;

    for (size_t i = 0; i < COUNT(bad); i++) {
        tell(world, MESSAGE_UPSTREAM_ASK, 1, bad[i], strlen(bad[i]));
        wait_for_death(world);
    }
    assert_int_equal(count_lines(world, "worker.protocol", NULL, NULL), COUNT(bad));
}

int main(int argc, char **argv)
{
    monitor_world_main(argc, argv);
#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, world_teardown)
    const struct CMUnitTest tests[] = {
        ROW(gives_what_the_files_name), ROW(c13_gives_nothing_to_another_place),
        ROW(c12_refuses_what_the_vault_cannot_give), ROW(c11_gives_nothing_after_the_sessions_end),
        ROW(a_malformed_question_ends_the_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
