/* A worker's round as the monitor takes it: lines and questions in their order, one write, one answer; and where that
 * cannot be, each for itself. No line means no credential (F03). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/resource.h>

#include "tests/unit/monitor_world.h"

static const char bindings[] = "version: 1\n"
                               "bindings:\n"
                               "  - { name: user/api, hosts: [api.test], scheme: bearer }\n";
static const char policy[] = "version: 1\n"
                             "rules:\n"
                             "  - { name: without, host: api.test, paths: [\"/public\"], action: allow,\n"
                             "      credential: none }\n";

static int setup(void **state)
{
    struct world *world = world_with_rules(state, bindings, policy);

    if (world == NULL)
        return -1;
    put_secret(world, "user/api", "token", NULL, "MARKER-ghp-0123456789");
    start_session(world);
    return 0;
}

static json_t *ask_for(const char *path)
{
    return json_pack("{s:s, s:s, s:i, s:s, s:s}", "binding", "user/api", "host", "api.test", "port", 443, "method",
                     "GET", "path", path);
}

/* One message with the answers to these two questions; second 0: to the first alone. */
static void hear_secrets(struct world *world, uint32_t first, uint32_t second)
{
    static char payload[FRAME_BYTES];
    struct err err = {0};
    struct flat flat;
    int64_t id = 0;
    size_t len;

    assert_int_equal(hear(world, payload, sizeof payload, &len).type, MESSAGE_CREDENTIAL);
    struct span rest = {payload, len};
    for (int i = 0; i < (second == 0 ? 1 : 2); i++) {
        assert_true(flat_take(&rest, &flat, &err) && flat_check(&flat, message_answer_names, &err));
        assert_true(flat_get_int(&flat, "id", 1, 1000, &id, &err));
        assert_int_equal(id, i == 0 ? first : second);
    }
    assert_int_equal(rest.len, 0);
}

static void add_line(struct buf *round, const char *host)
{
    AUTOFREE char *line = mem_printf("{\"event\":\"network\",\"host\":\"%s\"}", host);

    flat_lines(round, line, strlen(line));
}

static void add_ask(struct buf *round, uint32_t id, const char *path)
{
    json_t *question JSON_AUTO = ask_for(path);

    flat_question(round, id, question);
}

/* The hosts and paths of a session's lines about the network and credentials, in the order of the record. */
static void expect_order(const struct world *world, const char *want)
{
    AUTOFREE char *dir = file_join(world->home, "audit");
    struct audit_filter filter = {.session = world->session};
    struct err err = {0};
    struct span text;
    json_t *line;
    struct buf found CLEANUP(buf_clear);
    struct audit_reader *reader = audit_reader_open(dir, &filter, false, &err);

    assert_non_null(reader);
    buf_init(&found, 4096);
    while (audit_reader_next(reader, &text, &line, &err) == AUDIT_LINE) {
        if (strcmp(text_at(line, "event"), "network") == 0)
            assert_true(buf_printf(&found, "%s ", text_at(line, "host")));
        else if (strcmp(text_at(line, "event"), "credential") == 0)
            assert_true(buf_printf(&found, "%s%s ", text_at(line, "decision"), text_at(line, "path")));
    }
    audit_reader_close(reader);
    assert_string_equal(buf_cstr(&found), want);
}

/* Lines and questions of a round are one write in their order, and what is given is one answer. */
static void a_round_keeps_its_order(void **state)
{
    struct world *world = *state;
    struct buf round CLEANUP(buf_clear);

    buf_init(&round, FRAME_BYTES);
    add_line(&round, "a");
    add_ask(&round, 1, "/one");
    add_ask(&round, 2, "/public");
    add_line(&round, "b");
    add_ask(&round, 3, "/three");
    add_line(&round, "c");
    tell(world, MESSAGE_ROUND, 0, round.data, round.len);
    json_decref(hear_json(world, MESSAGE_REFUSED, 2));
    hear_secrets(world, 1, 3);
    expect_order(world, "a allow/one deny/public b allow/three c ");
    record_is_whole(world);
}

/* F03: a round that cannot be written gives nothing, and the next one can. */
static void f03_a_round_that_cannot_be_written_gives_nothing(void **state)
{
    struct world *world = *state;
    struct rlimit none = {.rlim_cur = 1, .rlim_max = RLIM_INFINITY}, old;
    struct buf round CLEANUP(buf_clear);

    if (geteuid() != 0)
        skip(); /* prlimit of a process that is not dumpable */
    buf_init(&round, FRAME_BYTES);
    add_ask(&round, 1, "/one");
    add_line(&round, "a");
    add_ask(&round, 2, "/two");
    assert_int_equal(prlimit(world->monitor, RLIMIT_FSIZE, &none, &old), 0);
    tell(world, MESSAGE_ROUND, 0, round.data, round.len);
    json_decref(hear_json(world, MESSAGE_REFUSED, 1));
    json_decref(hear_json(world, MESSAGE_REFUSED, 2));
    assert_int_equal(prlimit(world->monitor, RLIMIT_FSIZE, &old, NULL), 0);
    tell(world, MESSAGE_ROUND, 0, round.data, round.len);
    hear_secrets(world, 1, 2);
    expect_order(world, "allow/one a allow/two ");
    record_is_whole(world);
}

/* A line that is too long for the record takes no credential's with it. */
static void a_round_with_a_line_too_long(void **state)
{
    struct world *world = *state;
    struct buf round CLEANUP(buf_clear);
    struct flat_out out;
    char text[2001] = "";

    memset(text, 1, sizeof text - 1);
    buf_init(&round, FRAME_BYTES);
    add_ask(&round, 1, "/one");
    assert_true(audit_event_begin(&out, &round, "network"));
    for (size_t i = AUDIT_LEADING; i < AUDIT_LEADING + 7; i++)
        flat_put(&out, audit_event_find("network")->fields[i], text);
    assert_true(flat_end(&out));
    add_ask(&round, 2, "/two");
    tell(world, MESSAGE_ROUND, 0, round.data, round.len);
    hear_secrets(world, 1, 2);
    expect_order(world, "allow/one allow/two ");
    record_is_whole(world);
}

/* A line that is too long for the record (the sandbox may have made it so) hides none of its neighbours. */
static void a_line_too_long_is_lost_alone(void **state)
{
    static const char *const fields[] = {"request", "rule", "reason", "message", "scheme", "method", "path"};
    struct world *world = *state;
    struct buf text;

    buf_init(&text, 192 * 1024);
    assert_true(buf_adds(&text, "{\"event\": \"network\", \"host\": \"before\"}\n"
                                "{\"event\": \"network\", \"host\": \"long\""));
    for (size_t i = 0; i < COUNT(fields); i++) {
        assert_true(buf_printf(&text, ", \"%s\": \"", fields[i]));
        for (int n = 0; n < 2000; n++)
            assert_true(buf_adds(&text, "\\u0001"));
        assert_true(buf_adds(&text, "\""));
    }
    assert_true(buf_adds(&text, "}\n{\"event\": \"network\", \"host\": \"behind\"}\n"));
    tell_lines(world, text.data, text.len);
    buf_clear(&text);
    tell_ask(world, 1, ask_for("/"));
    hear_secrets(world, 1, 0);
    assert_int_equal(count_lines(world, "network", "host", "before"), 1);
    assert_int_equal(count_lines(world, "network", "host", "behind"), 1);
    assert_int_equal(count_lines(world, "network", "host", "long"), 0);
}

/* More secrets than one message holds come in several. */
static void limit_answer_of_a_round(void **state)
{
    enum { ASKED = 4, SECRET_BYTES = 60 * 1024 };
    struct world *world = *state;
    struct buf round CLEANUP(buf_clear);
    AUTOFREE char *big = mem_alloc(SECRET_BYTES + 1);
    static char payload[FRAME_BYTES];
    size_t len, messages = 0;
    unsigned answered = 0;

    memset(big, 'x', SECRET_BYTES);
    put_secret(world, "user/api", "token", NULL, big);
    buf_init(&round, FRAME_BYTES);
    for (uint32_t id = 1; id <= ASKED; id++)
        add_ask(&round, id, "/");
    tell(world, MESSAGE_ROUND, 0, round.data, round.len);
    for (; answered < ASKED; messages++) {
        assert_int_equal(hear(world, payload, sizeof payload, &len).type, MESSAGE_CREDENTIAL);
        struct span rest = {payload, len};
        struct err err;
        struct flat flat;
        for (; rest.len > 0; answered++)
            assert_true(flat_take(&rest, &flat, &err) && flat_check(&flat, message_answer_names, &err));
    }
    assert_int_equal(messages, 2); /* three, and one */
}

static void add_odd_line(struct buf *round, const char *name, size_t host_bytes, char letter)
{
    AUTOFREE char *host = mem_alloc(host_bytes + 1);
    struct flat_out out;

    memset(host, letter, host_bytes);
    assert_true(audit_event_begin(&out, round, "network"));
    flat_put(&out, "host", host);
    flat_put_int(&out, name, INT64_MIN);
    assert_true(flat_end(&out));
}

/* C13: what a worker says of a host that no host can be called is not kept by its name. */
static void c13_names_too_long_for_a_host(void **state)
{
    enum { NAMES = 20, BYTES = 180 * 1024 };
    struct world *world = *state;
    struct buf round CLEANUP(buf_clear);
    AUTOFREE char *path = mem_printf("/v1/sessions/%s", world->session);

    buf_init(&round, FRAME_BYTES);
    for (int i = 0; i < NAMES; i++) {
        round.len = 0;
        add_odd_line(&round, "port", i == 0 ? 255 : i == 1 ? 256 : BYTES, (char)('a' + i));
        tell(world, MESSAGE_ROUND, 0, round.data, round.len);
    }
    tell_ask(world, 1, ask_for("/"));
    hear_secrets(world, 1, 0);
    json_t *answer JSON_AUTO = ask(world, "GET", path, NULL);
    const json_t *hosts = json_object_get(answer, "hosts"), *host;
    size_t i;
    assert_int_equal(json_array_size(hosts), 3); /* api.test, the longest that may be, all others */
    json_array_foreach(hosts, i, host) {
        assert_true(strlen(text_at(host, "host")) <= 255);
        if (text_at(host, "host")[0] == 0)
            assert_int_equal(json_integer_value(json_object_get(host, "allowed")), NAMES - 1);
    }
    record_is_whole(world);
}

int main(int argc, char **argv)
{
    monitor_world_main(argc, argv);
#define T(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
    const struct CMUnitTest tests[] = {T(a_round_keeps_its_order), T(f03_a_round_that_cannot_be_written_gives_nothing),
                                       T(a_round_with_a_line_too_long), T(a_line_too_long_is_lost_alone),
                                       T(limit_answer_of_a_round), T(c13_names_too_long_for_a_host)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
