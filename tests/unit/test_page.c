/* The monitor's half of the page, and a page worker that says whatever the test says, as one that was taken over: what
 * it gets without a login (nothing), with one (what the page shows), and what ends it (A01, A02, A04). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/authority/page.h"
#include "core/data/page_message.h"
#include "tests/unit/approval_world.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define NOBODY "0000000000000000000000000000000000000000000000000000000000000000"

static char cookie[PAGE_TOKEN_HEX + 1], key[PAGE_TOKEN_HEX + 1];
static uint32_t last_id;

/* ---- the worker's side: fd 3 is the monitor, fd 4 the page's socket, where the test connects ---- */

static int fake_page_worker(void)
{
    struct frame_head ready = {.type = PAGE_READY};
    struct pollfd waiting = {.fd = 4, .events = POLLIN};

    if (send(3, &ready, sizeof ready, MSG_NOSIGNAL) < 0 || poll(&waiting, 1, -1) != 1)
        return 1;
    int test = accept(4, NULL, NULL);
    for (;;) {
        struct pollfd fds[] = {{.fd = 3, .events = POLLIN}, {.fd = test, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 || (fds[0].revents != 0 && !pass(3, test, false)) ||
            (fds[1].revents != 0 && !pass(test, 3, true)))
            return 1;
    }
}

/* ---- the test's side ---- */

static char *page_of(struct world *world)
{
    AUTOFREE char *path = file_join(world->home, "run/daemon.json");
    struct buf text CLEANUP(buf_clear);
    struct err err = {0};

    assert_true(file_read(path, 4096, &text, &err));
    json_t *mark JSON_AUTO = json_loadb((const char *)text.data, text.len, 0, NULL);
    return mem_strdup(text_at(mark, "page"));
}

/* From here on world->worker is the page's. */
static void connect_page(struct world *world)
{
    AUTOFREE char *page = page_of(world);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    uint64_t port;

    assert_memory_equal(page, "http://127.0.0.1:", 17);
    assert_true(text_u64(span_of(page + 17), 65535, &port));
    at.sin_port = htons((uint16_t)port);
    close(world->worker);
    world->worker = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(world->worker, (struct sockaddr *)&at, sizeof at), 0);
}

static uint32_t say(struct world *world, json_t *head, const char *body)
{
    AUTOFREE char *text = json_dumps(head, JSON_COMPACT);
    size_t head_len = strlen(text) + 1, len = strlen(body);
    AUTOFREE char *payload = mem_alloc(head_len + len + 1);

    memcpy(payload, text, head_len);
    memcpy(payload + head_len, body, len);
    tell(world, (enum message_type)PAGE_ASK, ++last_id, payload, head_len + len);
    json_decref(head);
    return last_id;
}

/* The whole answer to a question: its status, and its JSON. */
static int answer_to(struct world *world, uint32_t id, json_t **answer, json_t **head)
{
    static char payload[FRAME_BYTES], text[PAGE_ANSWER_BYTES];
    size_t len, at = 0;
    struct frame_head frame = hear(world, payload, sizeof payload, &len);

    assert_int_equal(frame.type, PAGE_ANSWER);
    assert_int_equal(frame.id, id);
    *head = json_loads(payload, 0, NULL);
    assert_non_null(*head);
    size_t skip = strlen(payload) + 1;
    for (;;) {
        memcpy(text + at, payload + skip, len - skip);
        at += len - skip;
        if (frame.flags & PAGE_LAST)
            break;
        frame = hear(world, payload, sizeof payload, &len);
        assert_int_equal(frame.type, PAGE_DATA);
        assert_int_equal(frame.id, id);
        assert_true(len <= PAGE_PIECE_BYTES);
        skip = 0;
    }
    *answer = json_loadb(text, at, 0, NULL);
    assert_non_null(*answer);
    return (int)json_integer_value(json_object_get(*head, "status"));
}

static json_t *question(const char *call)
{
    return json_pack("{s:s, s:s, s:s}", "call", call, "cookie", cookie, "key", key);
}

/* Must be answered by this status; the answer. */
static json_t *expect(struct world *world, int status, json_t *head, const char *body)
{
    json_t *answer, *got;
    int seen = answer_to(world, say(world, head, body), &answer, &got);

    json_decref(got);
    if (seen != status) {
        AUTOFREE char *text = json_dumps(answer, 0);
        fail_msg("status %d: %s", seen, text);
    }
    return answer;
}

static char *new_link(struct world *world)
{
    json_t *answer JSON_AUTO = ask(world, "POST", "/v1/page/link", NULL);
    const char *token = strstr(text_at(answer, "link"), "#login=");

    assert_non_null(token);
    return mem_printf("{\"token\":\"%s\"}", token + 7);
}

static void log_in(struct world *world)
{
    AUTOFREE char *body = new_link(world);
    json_t *answer, *head;

    connect_page(world);
    int status = answer_to(world, say(world, json_pack("{s:s}", "call", "login"), body), &answer, &head);
    assert_int_equal(status, 200);
    snprintf(cookie, sizeof cookie, "%s", text_at(head, "cookie"));
    snprintf(key, sizeof key, "%s", text_at(answer, "key"));
    json_decref(answer);
    json_decref(head);
    json_decref(expect(world, 403, json_pack("{s:s}", "call", "login"), body)); /* the link is used up */
}

/* The next piece of a stream. */
static const char *hear_piece(struct world *world, uint32_t id)
{
    static char payload[FRAME_BYTES];
    size_t len;
    struct frame_head frame = hear(world, payload, sizeof payload, &len);

    assert_int_equal(frame.id, id);
    assert_true(frame.type == PAGE_ANSWER || frame.type == PAGE_DATA);
    return payload;
}

static bool is_quiet(struct world *world, int ms)
{
    struct pollfd fd = {.fd = world->worker, .events = POLLIN};

    return poll(&fd, 1, ms) == 0;
}

/* ---- calls ---- */

static void nothing_without_a_login(void **state)
{
    static const char *const calls[] = {"state", "approvals", "approval", "decide",
                                        "hosts", "lock",      "events",   "logout"};
    struct world *world = *state;
    AUTOFREE char *approval = run_op(world, 1, "x", NULL);
    json_t *seen JSON_AUTO = look(world, approval);
    AUTOFREE char *body = mem_printf("{\"decision\":\"approve\",\"digest\":\"%s\"}", text_at(seen, "digest"));

    log_in(world);
    for (size_t i = 0; i < COUNT(calls); i++) {
        json_t *none = json_pack("{s:s, s:s}", "call", calls[i], "id", approval);
        json_decref(expect(world, 403, none, body));
        json_decref(expect(world, 403, json_pack("{s:s, s:s, s:s, s:s}", "call", calls[i], "id", approval, "cookie",
                                                 cookie, "key", NOBODY), body));
        none = json_pack("{s:s, s:s, s:s}", "call", calls[i], "id", approval, "key", key);
        json_decref(expect(world, 403, none, body));
    }
    expect_approval(world, approval, "pending");
    assert_int_equal(count_lines(world, "page", "reason", "login"), 1); /* one line for all, in a minute */
    assert_int_equal(count_lines(world, "page", "reason", "link"), 1);
    assert_false(record_holds(world, cookie));
    assert_false(record_holds(world, key));
}

static void what_is_seen_is_decided(void **state)
{
    struct world *world = *state;
    AUTOFREE char *one = run_op(world, 1, "one", NULL), *two = run_op(world, 2, "two", NULL);
    json_t *head;

    log_in(world);
    json_t *list JSON_AUTO = expect(world, 200, question("approvals"), "");
    assert_int_equal(json_integer_value(json_object_get(list, "pending")), 2);
    const json_t *row = json_array_get(json_object_get(list, "approvals"), 0);
    assert_string_equal(text_at(row, "id"), one);
    assert_null(json_object_get(row, "digest")); /* a row is not what one decides about */
    head = question("approval");
    json_put(head, "id", one);
    json_t *shown JSON_AUTO = expect(world, 200, head, "");
    assert_non_null(strstr(text_at(shown, "args_text"), "\"one\""));
    AUTOFREE char *body = mem_printf("{\"decision\":\"deny\",\"digest\":\"%s\",\"reason\":\"no\"}",
                                     text_at(shown, "digest"));
    head = question("decide");
    json_put(head, "id", two);
    json_decref(expect(world, 409, head, body)); /* the digest of another (A02) */
    head = question("decide");
    json_put(head, "id", one);
    json_decref(expect(world, 200, head, body));
    head = question("decide");
    json_put(head, "id", one);
    json_decref(expect(world, 409, head, body));
    expect_approval(world, one, "denied");
    expect_approval(world, two, "pending");
    assert_int_equal(count_lines(world, "approval", "by", "page"), 1);
    head = question("decide");
    json_put(head, "id", "apr_nonsense");
    json_decref(expect(world, 400, head, body));
}

static void the_state_and_the_lock(void **state)
{
    struct world *world = *state;
    AUTOFREE char *approval = run_op(world, 1, "x", NULL);

    log_in(world);
    json_t *before JSON_AUTO = expect(world, 200, question("state"), "");
    assert_string_equal(text_at(before, "vault"), "unlocked");
    const json_t *session = json_array_get(json_object_get(before, "sessions"), 0);
    assert_string_equal(text_at(session, "id"), world->session);
    assert_string_equal(text_at(session, "command"), "true");
    json_decref(expect(world, 200, question("lock"), "{}"));
    json_t *after JSON_AUTO = expect(world, 200, question("state"), "");
    assert_string_equal(text_at(after, "vault"), "locked");
    assert_int_equal(count_lines(world, "vault", "action", "lock"), 1);
    json_t *sealed JSON_AUTO = look(world, approval); /* as locked as by the command */
    assert_true(json_is_true(json_object_get(sealed, "sealed")));
    assert_int_equal(try_decide(world, approval, text_at(sealed, "digest"), "approve", "once", NULL), ERR_LOCKED);
    json_t *head = question("hosts");
    json_put(head, "session", world->session);
    json_t *hosts JSON_AUTO = expect(world, 200, head, "");
    assert_int_equal(json_array_size(json_object_get(hosts, "hosts")), 0);
    json_decref(expect(world, 200, question("logout"), "{}"));
    json_decref(expect(world, 403, question("state"), ""));
}

static void a_list_is_as_long_as_asked_for(void **state)
{
    struct world *world = *state;
    AUTOFREE char *one = run_op(world, 1, "1", NULL), *two = run_op(world, 2, "2", NULL);
    json_t *head;

    log_in(world);
    head = question("approvals");
    json_put_int(head, "limit", 1);
    json_t *list JSON_AUTO = expect(world, 200, head, "");
    assert_int_equal(json_array_size(json_object_get(list, "approvals")), 1);
    assert_int_equal(json_integer_value(json_object_get(list, "pending")), 2);
}

/* ---- streams ---- */

static void a_stream_tells_and_waits(void **state)
{
    struct world *world = *state;
    int session_worker = dup(world->worker);

    log_in(world);
    int page_worker = world->worker;
    uint32_t id = say(world, question("events"), "");
    assert_non_null(strstr(hear_piece(world, id), "200"));
    const char *piece = hear_piece(world, id);
    assert_non_null(strstr(piece, "event: approvals\n"));
    assert_non_null(strstr(piece, "event: state\n"));
    assert_non_null(strstr(piece, "daemon.start"));
    world->worker = session_worker;
    AUTOFREE char *approval = run_op(world, 1, "x", NULL);
    world->worker = page_worker;
    assert_true(is_quiet(world, 300)); /* the browser has not taken the first piece */
    tell(world, (enum message_type)PAGE_MORE, id, "", 0);
    piece = hear_piece(world, id);
    assert_non_null(strstr(piece, "event: approvals\n"));
    assert_non_null(strstr(piece, approval)); /* its line */
    tell(world, (enum message_type)PAGE_MORE, id, "", 0);
    json_decref(ask(world, "POST", "/v1/vault/lock", NULL));
    piece = hear_piece(world, id);
    assert_non_null(strstr(piece, "event: state\n"));
    tell(world, (enum message_type)PAGE_CANCEL, id, "", 0);
    json_decref(ask(world, "POST", "/v1/reload", NULL));
    assert_true(is_quiet(world, 300));
    close(session_worker);
}

static void streams_are_bounded_and_end_with_the_login(void **state)
{
    struct world *world = *state;

    log_in(world);
    uint32_t first = last_id + 1;
    for (int i = 0; i < PAGE_STREAMS; i++) {
        uint32_t id = say(world, question("events"), "");
        assert_non_null(strstr(hear_piece(world, id), "200"));
        hear_piece(world, id);
    }
    say(world, question("events"), "");
    assert_non_null(strstr(hear_piece(world, first), "too many pages"));
    hear_piece(world, first + PAGE_STREAMS);
    hear_piece(world, first + PAGE_STREAMS);
    json_t *answer, *head;
    assert_int_equal(answer_to(world, say(world, question("logout"), "{}"), &answer, &head), 200);
    assert_string_equal(text_at(head, "cookie"), ""); /* the browser forgets it */
    json_decref(answer);
    json_decref(head);
    for (int i = PAGE_STREAMS; i > 0; i--)
        assert_non_null(strstr(hear_piece(world, first + (uint32_t)i), "logged out"));
    json_decref(expect(world, 403, question("events"), ""));
}

/* ---- what a worker must not say ---- */

static void ends_for(struct world *world, enum page_message type, const char *payload, size_t len)
{
    struct pollfd fd = {.events = POLLIN};
    char byte;

    connect_page(world);
    tell(world, (enum message_type)type, 7, payload, len);
    fd.fd = world->worker;
    assert_int_equal(poll(&fd, 1, ANSWER_MS), 1);
    if (recv(world->worker, &byte, 1, 0) > 0)
        fail_msg("message %d was answered: %.60s", type, payload);
}

static void a_worker_that_breaks_the_protocol_is_ended(void **state)
{
    static const char with_nul[] = "{\"call\":\"nothing\"}\0";
    struct world *world = *state;

    ends_for(world, (enum page_message)1, "{}", 2);
    ends_for(world, PAGE_ASK, "{\"call\":\"state\"}", 16); /* no NUL */
    ends_for(world, PAGE_ASK, with_nul, sizeof with_nul - 1);
    ends_for(world, PAGE_REFUSED, "{\"reason\":\"x\"}", 14);
    assert_int_equal(count_lines(world, "worker.protocol", NULL, NULL), 4);
    connect_page(world); /* and the next connection has a new one */
    json_decref(expect(world, 403, json_pack("{s:s}", "call", "state"), ""));
    assert_int_equal(count_lines(world, "worker.exit", "reason", "page"), 4);
    tell(world, (enum message_type)PAGE_ASK, 8, "x", 1); /* the fifth, too: now nobody serves for a while */
    struct pollfd fd = {.fd = world->worker, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, ANSWER_MS), 1);
    for (int i = 0; i < 500 && count_lines(world, "worker.exit", "reason", "page") < 5; i++)
        pause_ms(10);
    connect_page(world);
    say(world, json_pack("{s:s}", "call", "state"), "");
    assert_true(is_quiet(world, 500));
    assert_int_equal(count_lines(world, "worker.exit", "reason", "page"), 5);
    record_is_whole(world);
}

static void there_is_no_page_where_none_is_wanted(void **state)
{
    struct world *world = *state;
    struct err err = {0};

    write_file(world, "config.yaml", "version: 1\ndaemon: { page: false }\n");
    json_decref(ask(world, "POST", "/v1/reload", NULL));
    AUTOFREE char *none = page_of(world);
    assert_string_equal(none, "");
    assert_false(client_ask(world->client, "POST", "/v1/page/link", NULL, NULL, &err));
    assert_non_null(strstr(err.message, "daemon.page"));
    write_file(world, "config.yaml", "version: 1\n");
    json_decref(ask(world, "POST", "/v1/reload", NULL));
    log_in(world);
    json_decref(expect(world, 200, question("state"), ""));
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "page-worker") == 0)
        return fake_page_worker();
    monitor_world_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_without_a_login, setup, world_teardown),
        cmocka_unit_test_setup_teardown(what_is_seen_is_decided, setup, world_teardown),
        cmocka_unit_test_setup_teardown(the_state_and_the_lock, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_list_is_as_long_as_asked_for, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_stream_tells_and_waits, setup, world_teardown),
        cmocka_unit_test_setup_teardown(streams_are_bounded_and_end_with_the_login, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_worker_that_breaks_the_protocol_is_ended, setup, world_teardown),
        cmocka_unit_test_setup_teardown(there_is_no_page_where_none_is_wanted, setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
