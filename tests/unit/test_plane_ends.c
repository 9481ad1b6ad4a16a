/* Connections that have come to their end and are not gone yet: what is left to send goes out, at the pace of whoever
 * takes it, and until then they count. And a client that is found to be gone
 * when it is asked for more. */
#include "plane_world.h"

#include "core/plane/flow.h"

static struct world world;

static int setup(void **state)
{
    (void)state;
    world = (struct world){.home = ""};
    world_start(&world);
    set_text(&world.config, mem_strdup("limits: { connections: 16 }\n"));
    world_load(&world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_stop(&world);
    return 0;
}

static void tell(void *arg)
{
    *(bool *)arg = true;
}

/* More than a socket and its reader's buffer hold, and less than that with the plane's own. */
enum { ANSWER_BYTES = 360 * 1024 };

static bool recorded(const char *word)
{
    const json_t *line;
    size_t i;
    json_array_foreach(world.records, i, line)
        if (strcmp(json_string_value(json_object_get(line, "event")), word) == 0)
            return true;
    return false;
}

static void until_recorded(const char *word)
{
    for (uint64_t end = clock_mono_ms() + WORLD_MS; !recorded(word) && clock_mono_ms() < end;)
        world_turn(&world);
    assert_true(recorded(word));
}

static void until_gone(void)
{
    for (uint64_t end = clock_mono_ms() + WORLD_MS; world.plane.connections > 0 && clock_mono_ms() < end;)
        world_turn(&world);
    assert_int_equal(world.plane.connections, 0);
}

static void answer_whole(struct peer *upstream)
{
    char head[128];
    int n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", ANSWER_BYTES);
    peer_say(upstream, head, (size_t)n);
    peer_say_pattern(upstream, ANSWER_BYTES);
}

/* One whose answer is complete, and who reads nothing of it. */
static struct peer *unread(void)
{
    static const char request[] = "AILERON " WORLD_TOKEN " proxy\r\n"
                                  "GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nConnection: close\r\n\r\n";
    struct peer *client = client_open(&world, "c", request);
    peer_hold(client, true);
    answer_whole(upstream_accept(&world, "u", NULL, NULL));
    until_recorded("network.end");
    return client;
}

static void test_unread_answer_counts(void **state)
{
    (void)state;
    struct peer *client = unread();
    assert_int_equal(world.plane.connections, 1);
    peer_hold(client, false);
    peer_hear(client);
    for (uint64_t end = clock_mono_ms() + WORLD_MS; client->heard.len < ANSWER_BYTES && clock_mono_ms() < end;)
        world_turn(&world);
    assert_in_range(client->heard.len, ANSWER_BYTES, ANSWER_BYTES + 1024);
    peer_close(client, false);
    until_gone();
}

/* The session ends when it has been sent, not before. */
static void test_drain_waits_for_it(void **state)
{
    (void)state;
    bool drained = false;
    struct task task;
    struct peer *client = unread();
    task_init(&task, world.plane.loop, tell, &drained);
    plane_drain(&world.plane, &task);
    world_wait(&world, WORLD_QUIET_MS);
    assert_false(drained);
    peer_hold(client, false);
    peer_hear(client);
    for (uint64_t end = clock_mono_ms() + WORLD_MS; !drained && clock_mono_ms() < end;)
        world_turn(&world);
    assert_true(drained);
    assert_in_range(client->heard.len, ANSWER_BYTES, ANSWER_BYTES + 1024);
}

/* A byte a second of what must come first: the time is from the first byte to the last. */
static void trickle(const char *first, const char *rest, uint64_t least_ms)
{
    struct peer *peer = client_open(&world, "c", first);
    uint64_t begin = clock_mono_ms(), next = 0;
    while (*rest && !peer->eof && !peer->failed && clock_mono_ms() - begin < 2 * least_ms) {
        world_turn(&world);
        if (clock_mono_ms() < next)
            continue;
        next = clock_mono_ms() + 500;
        peer_say(peer, rest++, 1);
    }
    assert_true(peer->eof || peer->failed);
    assert_true(clock_mono_ms() - begin >= least_ms - 1000);
    until_gone();
}

static void test_slow_preamble(void **state)
{
    (void)state;
    trickle("AILERON ", "0123456789abcdef0123456789abcdef0123456789abcdef", 10000);
}

/* Its greeting says that 255 methods follow. */
static void test_slow_socks(void **state)
{
    (void)state;
    trickle("AILERON " WORLD_TOKEN " proxy\r\n\x05\xff", "0123456789abcdef0123456789abcdef0123456789abcdef", 10000);
}

/* ---- a client that goes ---- */

static struct flow *going;
static unsigned calls;

static void go_away(void *arg, struct msg *msg)
{
    (void)arg;
    (void)msg;
    flow_cancel(going, "the client has gone");
    calls = 0;
}

static void count_call(void *arg)
{
    (void)arg;
    calls++;
}

/* It is asked for the body that a person is to see, and is found to be gone: it hears no more of it. */
static void test_client_gone_when_asked_for_its_body(void **state)
{
    static const struct flow_client client = {.head = go_away, .more = count_call};
    static const char url[] = "http://plain.test/a";
    struct arena *arena = arena_new(MSG_ARENA_BYTES);
    struct target target;
    struct msg msg;
    struct err err;
    (void)state;
    set_text(&world.policy, mem_strdup("rules:\n  - { host: plain.test, action: approve }\n"));
    world_load(&world);
    msg_init(&msg, arena);
    assert_true(target_parse_absolute(SPAN(url), arena, &target, &err));
    assert_true(msg_request(&msg, SPAN("POST"), SPAN("/a"), &err));
    msg.framing = MSG_LENGTH;
    msg.has_length = msg.expect_continue = true;
    msg.content_length = 4;
    struct flow_request request = {.epoch = world.plane.epoch, .target = &target, .msg = &msg};
    calls = 1;
    going = flow_start(&world.plane, &request, &client, NULL);
    for (int i = 0; i < 10; i++)
        loop_turn(world.plane.loop, false);
    assert_int_equal(calls, 0);
    arena_free(arena);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {T(test_unread_answer_counts), T(test_drain_waits_for_it),
                                       T(test_slow_preamble), T(test_slow_socks),
                                       T(test_client_gone_when_asked_for_its_body)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
