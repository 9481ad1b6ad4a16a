/* The plane where the order of events matters more than the bytes: questions that are cancelled, a loop that is
 * turned one round at a time, a monitor that does not read. What bytes can say is in tests/proxy. */
#include "plane_world.h"

#include "core/plane/exchange.h"

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
    struct peer *upstream = upstream_accept(&world, "u", NULL);
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

/* Between the moment when it is taken and the loop's next round, in which it is handed over. */
static void kept_connection_dies(bool reset)
{
    struct peer *client = client_open(&world, "c", "AILERON " WORLD_TOKEN " proxy\r\n");
    static const char first[] = "GET http://plain.test/1 HTTP/1.1\r\nHost: plain.test\r\n\r\n",
                      answered[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                      second[] = "POST http://plain.test/2 HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 0\r\n\r\n";
    peer_say(client, first, sizeof(first) - 1);
    struct peer *upstream = upstream_accept(&world, "u", NULL);
    peer_say(upstream, answered, sizeof(answered) - 1);
    while (pool_count(world.plane.pool) == 0)
        world_turn(&world);
    peer_say(client, second, sizeof(second) - 1);
    while (pool_count(world.plane.pool) == 1)
        world_turn(&world); /* one round, no more */
    peer_close(upstream, reset);
    struct peer *fresh = upstream_accept(&world, "v", NULL);
    world_wait(&world, WORLD_QUIET_MS);
    assert_true(fresh->heard.len > 6 && memcmp(fresh->heard.data, "POST /2", 7) == 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cancelled_ask_is_freed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ask_cancelled_by_its_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_gone_while_upstream_stalls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kept_connection_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kept_connection_is_reset, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
