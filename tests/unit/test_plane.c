/* The plane where the order of events matters more than the bytes: questions that are cancelled, a loop that is
 * turned one round at a time, a monitor that does not read. What bytes can say is in tests/proxy. */
#include "plane_world.h"

#include "core/plane/dial.h"
#include "core/plane/exchange.h"
#include "core/plane/flow.h"

static struct world world;

static int setup(void **state)
{
    (void)state;
    world = (struct world){.home = ""};
    world_start(&world);
    world_load(&world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_stop(&world);
    return 0;
}

/* ---- questions ---- */

static int answers;

static struct ask *ask_state(ask_fn fn, void *arg)
{
    json_t *payload JSON_AUTO = json_object();
    return plane_ask(&world.plane, MESSAGE_OP_GET, payload, fn, arg);
}

static bool count_answer(void *arg, const struct ipc_message *message)
{
    (void)arg;
    (void)message;
    answers++;
    return false;
}

static bool cancel_itself(void *arg, const struct ipc_message *message)
{
    struct ask **ask = arg;
    (void)message;
    answers++;
    ask_cancel(*ask);
    return true;
}

static void answer(uint32_t id)
{
    assert_true(ipc_send(world.monitor, MESSAGE_OP_STATE, 0, id, "{}", 2, NULL, 0));
    world_wait(&world, 30);
}

/* A cancelled question is forgotten at once: the monitor may never answer it (MESSAGE_CANCEL). */
static void test_cancelled_ask_is_freed(void **state)
{
    (void)state;
    answers = 0;
    struct ask *kept = ask_state(count_answer, &answers);
    for (int i = 0; i < 1000; i++)
        ask_cancel(ask_state(count_answer, &answers));
    uint32_t id = ask_id(kept);
    assert_ptr_equal(world.plane.asks, kept);
    answer(id + 1);
    assert_int_equal(answers, 0);
    answer(id);
    assert_int_equal(answers, 1);
    assert_null(world.plane.asks);
}

/* Also from within its own answer, though more was to follow. */
static void test_ask_cancelled_by_its_answer(void **state)
{
    struct ask *ask;
    (void)state;
    answers = 0;
    ask = ask_state(cancel_itself, &ask);
    uint32_t id = ask_id(ask);
    answer(id);
    answer(id);
    assert_int_equal(answers, 1);
    assert_null(world.plane.asks);
}

/* Ids come round: those from MESSAGE_UNASKED on are the monitor's, and 0 is nobody's. */
static void test_ids_of_questions_come_round(void **state)
{
    (void)state;
    answers = 0;
    world.plane.last_ask = MESSAGE_UNASKED - 2;
    struct ask *last = ask_state(count_answer, &answers), *first = ask_state(count_answer, &answers);
    assert_int_equal(ask_id(last), MESSAGE_UNASKED - 1);
    assert_int_equal(ask_id(first), 1);
    ask_cancel(last);
    ask_cancel(first);
}

/* ---- a client that goes ---- */

static void nothing(struct conn *conn, enum conn_event event, void *arg)
{
    (void)conn;
    (void)event;
    (void)arg;
}

static void wait_over(const struct peer *peer)
{
    for (uint64_t end = clock_mono_ms() + WORLD_MS; !peer->eof && !peer->failed && clock_mono_ms() < end;)
        world_turn(&world);
    assert_true(peer->eof || peer->failed);
}

/* Its end is seen while bytes of its body still wait for the upstream: nothing tells of the end a second time. */
static void test_client_gone_while_upstream_stalls(void **state)
{
    static const char head[] =
        "POST http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 90000000\r\n\r\n";
    int fds[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    struct conn *conn = conn_new_fd(world.plane.loop, fds[0], nothing, NULL);
    struct peer *client = peer_new(&world.peers, "c", world.plane.loop, fds[1]);
    world.plane.connections++;
    exchange_start(&world.plane, conn, NULL, false, true);
    peer_say(client, head, sizeof(head) - 1);
    struct peer *upstream = upstream_accept(&world, "u", NULL, NULL);
    peer_hold(upstream, true);
    for (int quiet = 0; quiet < 50;) {
        loop_turn(world.plane.loop, false);
        quiet = conn_peek(conn).len > 0 ? quiet + 1 : 0;
        if (quiet == 0)
            peer_say_pattern(client, 5000);
    }
    peer_close(client, false);
    while (!conn_eof(conn))
        world_turn(&world);
    assert_true(conn_peek(conn).len > 0);
    peer_hold(upstream, false);
    wait_over(upstream);
    assert_int_equal(world.plane.connections, 0);
}

/* ---- a kept connection that dies ---- */

static struct conn *dialed;

static void on_dialed(void *arg, const struct dial_result *result)
{
    (void)arg;
    assert_null(result->err);
    assert_false(result->reused);
    dialed = result->conn;
}

/* Between the moment when it is taken and the loop's next round, in which it is handed over. */
static void kept_connection_dies(bool reset)
{
    struct target_host host;
    struct err err;
    struct peer *client = client_open(&world, "c", "AILERON " WORLD_TOKEN " proxy\r\n");
    static const char first[] = "GET http://plain.test/1 HTTP/1.1\r\nHost: plain.test\r\n\r\n",
                      answered[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    peer_say(client, first, sizeof(first) - 1);
    struct peer *upstream = upstream_accept(&world, "u", NULL, NULL);
    peer_say(upstream, answered, sizeof(answered) - 1);
    while (pool_count(world.plane.pool) == 0)
        world_turn(&world);
    assert_true(target_host_parse(SPAN("plain.test"), &host, &err));
    dialed = NULL;
    struct dial_request request = {.host = &host, .port = 80};
    assert_non_null(dial_start(&world.plane, world.plane.epoch, &request, on_dialed, NULL));
    assert_int_equal(pool_count(world.plane.pool), 0);
    peer_close(upstream, reset);
    assert_non_null(upstream_accept(&world, "v", NULL, NULL));
    while (!dialed)
        world_turn(&world);
    conn_close(dialed);
}

static void test_kept_connection_ends(void **state)
{
    (void)state;
    kept_connection_dies(false);
}

static void test_kept_connection_is_reset(void **state)
{
    (void)state;
    kept_connection_dies(true);
}

/* ---- a monitor that does not read ---- */

static int deaf_fd; /* the monitor's end, read by nobody until deaf_hears */
static bool channel_ended;
static size_t heard_lines, heard_body_bytes;

static void channel_message(struct ipc *ipc, struct ipc_message *message, void *arg)
{
    (void)ipc;
    (void)message;
    (void)arg;
}

static void channel_gone(struct ipc *ipc, const struct err *err, void *arg)
{
    (void)ipc;
    (void)err;
    (void)arg;
    channel_ended = true;
}

static void make_deaf(void)
{
    static const struct ipc_handler handler = {channel_message, channel_gone};
    struct err err;
    int fds[2];
    assert_true(ipc_pair(fds, &err));
    ipc_free(world.plane.ipc);
    world.plane.ipc = ipc_new(world.plane.loop, fds[0], &handler, &world);
    world.plane.lines.ipc = world.plane.ipc;
    deaf_fd = fds[1];
    channel_ended = false;
    heard_lines = heard_body_bytes = 0;
    world_wait(&world, 20); /* the old channel's end */
    world.plane_gone = false;
}

/* Takes all that is there; it must be within the channel's bounds whatever was sent. */
static void deaf_hears(void)
{
    static char bytes[IPC_PAYLOAD_MAX + 16];
    ssize_t n;
    while ((n = recv(deaf_fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
        uint16_t type;
        memcpy(&type, bytes, sizeof(type));
        struct span rest = {bytes + 8, (size_t)n - 8};
        struct flat flat;
        struct err err;
        while (type == MESSAGE_ROUND && rest.len > 0 && flat_take(&rest, &flat, &err))
            heard_lines++;
        if (type == MESSAGE_OP_BODY)
            heard_body_bytes += (size_t)n - 8;
    }
}

/* How long a test goes on: what comes slowly on a busy machine comes, and what has not moved for so long does not. */
struct patience {
    uint64_t end_ms;
    size_t had;
};
static bool moves(struct patience *patience, size_t have)
{
    if (patience->end_ms == 0 || have != patience->had)
        *patience = (struct patience){clock_mono_ms() + WORLD_MS, have};
    return clock_mono_ms() < patience->end_ms;
}

/* A tool's call that the monitor lets go ahead; its upstream. */
static struct peer *start_operation(struct peer *client)
{
    static const char call[] = "POST /v1/connector-operations/run HTTP/1.1\r\nHost: aileron.internal\r\n"
                               "Content-Length: 30\r\n\r\n{\"tool\":\"t\",\"operation\":\"get\"}";
    static const char started[] = "{\"id\":\"op_01J00000000000000000000000\",\"method\":\"GET\","
                                  "\"host\":\"api.test\",\"path\":\"/x\"}";
    uint32_t before = world.plane.last_ask;
    peer_say(client, call, sizeof(call) - 1);
    while (world.plane.last_ask == before)
        world_turn(&world);
    struct ipc_message message = {.type = MESSAGE_OP_START, .id = world.plane.last_ask,
                                  .data = (const uint8_t *)started, .len = sizeof(started) - 1};
    plane_answer(&world.plane, &message);
    return upstream_accept(&world, "u", "api.test", NULL);
}

static void answer_with(struct peer *upstream, size_t len)
{
    char head[128];
    int n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n", len);
    peer_say(upstream, head, (size_t)n);
    peer_say_pattern(upstream, len);
}

static bool hears_all(struct peer *const *clients, size_t count, size_t len)
{
    bool all = true;
    for (size_t i = 0; i < count; i++)
        all = all && clients[i]->heard.len > len;
    return all;
}

/* Of a result the monitor keeps a MiB: the rest of the answer is not sent to it. */
static void test_operation_body_is_bounded(void **state)
{
    (void)state;
    make_deaf();
    struct peer *client = client_open(&world, "c", "AILERON " WORLD_TOKEN " api\r\n");
    answer_with(start_operation(client), 20 * 1024 * 1024);
    struct patience patience = {0};
    while (!channel_ended && !hears_all(&client, 1, 20 * 1024 * 1024) && moves(&patience, client->heard.len))
        world_turn(&world);
    assert_false(channel_ended);
    assert_true(hears_all(&client, 1, 20 * 1024 * 1024));
    for (int i = 0; i < 100; i++) {
        deaf_hears();
        world_turn(&world);
    }
    assert_int_equal(heard_body_bytes, MESSAGE_RESULT_BYTES + 1); /* one more, so that it is marked as cut */
    close(deaf_fd);
}

/* Many results at once wait for a monitor that is slow, and the channel holds. */
static void test_operation_bodies_wait(void **state)
{
    enum { CALLS = 12, LEN = 1024 * 1024 };
    struct peer *clients[CALLS], *upstreams[CALLS];
    (void)state;
    make_deaf();
    for (size_t i = 0; i < CALLS; i++) { /* all of them begin: a later call would wait as well */
        clients[i] = client_open(&world, "c", "AILERON " WORLD_TOKEN " api\r\n");
        upstreams[i] = start_operation(clients[i]);
    }
    for (size_t i = 0; i < CALLS; i++)
        answer_with(upstreams[i], LEN);
    world_wait(&world, 300);
    assert_false(channel_ended);
    assert_false(hears_all(clients, CALLS, LEN));
    struct patience patience = {0};
    while (!hears_all(clients, CALLS, LEN) && moves(&patience, heard_body_bytes)) {
        deaf_hears();
        world_turn(&world);
    }
    assert_true(hears_all(clients, CALLS, LEN));
    deaf_hears();
    close(deaf_fd);
}

/* So do requests, each of which is a line on the record. */
static void test_requests_wait_for_the_record(void **state)
{
    enum { REQUESTS = 40000 };
    static const char request[] = "GET http://10.0.0.1/ HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n";
    size_t answers_len = 0;
    (void)state;
    make_deaf();
    struct peer *client = client_open(&world, "c", "AILERON " WORLD_TOKEN " proxy\r\n");
    for (int i = 0; i < REQUESTS; i++)
        peer_say(client, request, sizeof(request) - 1);
    world_wait(&world, 1000);
    assert_false(channel_ended);
    assert_true(client->said.len > 0);
    struct patience patience = {0};
    while (heard_lines < 3 * REQUESTS && moves(&patience, heard_lines)) {
        deaf_hears();
        world_turn(&world);
        answers_len += client->heard.len;
        buf_clear(&client->heard);
    }
    assert_int_equal(heard_lines, 3 * REQUESTS); /* of each: allowed by the rules, denied for its address, its end */
    assert_true(answers_len > REQUESTS * 100);
    close(deaf_fd);
}

/* So does whatever is refused before any rule is asked. One kind of connection after another, until it waits. */
static void refusals_wait(const char *first, const char *more)
{
    enum { ROUNDS = 60000, MANY = 200 };
    struct peer *peers[MANY];
    size_t opened = 0, heard = 0;
    make_deaf();
    for (size_t round = 0; round < ROUNDS && ipc_queued(world.plane.ipc) < IPC_QUEUE_BYTES / 2; round += MANY) {
        for (opened = 0; opened < MANY; opened++) {
            peers[opened] = client_open(&world, "c", first);
            peer_say(peers[opened], more, strlen(more));
        }
        heard = 0;
        for (uint64_t end = clock_mono_ms() + 2000; heard < opened && clock_mono_ms() < end;) {
            world_turn(&world);
            heard = 0;
            for (size_t i = 0; i < opened; i++)
                heard += peers[i]->heard.len > 0;
        }
        if (heard < opened)
            break; /* they wait */
        peers_free(&world.peers);
    }
    assert_false(channel_ended);
    assert_true(heard < opened);
    assert_in_range(ipc_queued(world.plane.ipc), IPC_QUEUE_BYTES / 8, IPC_QUEUE_BYTES / 4);
    struct patience patience = {0};
    while (heard < opened && moves(&patience, heard)) {
        deaf_hears();
        world_turn(&world);
        heard = 0;
        for (size_t i = 0; i < opened; i++)
            heard += peers[i]->heard.len > 0;
    }
    assert_int_equal(heard, opened);
    assert_false(channel_ended);
    peers_free(&world.peers);
    close(deaf_fd);
}

static void test_wrong_tokens_wait_for_the_record(void **state)
{
    (void)state;
    refusals_wait("AILERON 00000000000000000000000000000000 proxy\r\n", "");
}

static void test_calls_that_are_not_there_wait_for_the_record(void **state)
{
    (void)state;
    refusals_wait("AILERON " WORLD_TOKEN " api\r\n", "GET /v1/vault HTTP/1.1\r\nHost: aileron.internal\r\n\r\n");
}

static void tell(void *arg)
{
    *(bool *)arg = true;
}

/* Who waits for the record and goes meanwhile leaves nothing behind: the next one waits as well, and is told. */
static void test_one_that_waits_for_the_record_goes(void **state)
{
    static const char bytes[64 * 1024];
    struct plane *plane = &world.plane;
    struct calm first = {.link = NULL}, second = {.link = NULL};
    struct task task;
    bool told = false;
    (void)state;
    make_deaf();
    task_init(&task, plane->loop, tell, &told);
    while (ipc_queued(plane->ipc) <= IPC_QUEUE_BYTES / 8)
        assert_true(ipc_send(plane->ipc, MESSAGE_OP_BODY, 0, 1, bytes, sizeof(bytes), NULL, 0));
    assert_false(plane_calm(plane, &first, &task));
    calm_cancel(&first);
    assert_false(plane_calm(plane, &second, &task));
    world_wait(&world, 50);
    assert_false(told);
    for (uint64_t end = clock_mono_ms() + WORLD_MS; !told && clock_mono_ms() < end;) {
        deaf_hears();
        world_turn(&world);
    }
    assert_true(told);
    world_wait(&world, 50);
    assert_true(plane_calm(plane, &second, &task));
    close(deaf_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cancelled_ask_is_freed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ask_cancelled_by_its_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids_of_questions_come_round, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_gone_while_upstream_stalls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kept_connection_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kept_connection_is_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_operation_body_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_operation_bodies_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_requests_wait_for_the_record, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_that_waits_for_the_record_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_tokens_wait_for_the_record, setup, teardown),
        cmocka_unit_test_setup_teardown(test_calls_that_are_not_there_wait_for_the_record, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
