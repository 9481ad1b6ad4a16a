/* Connections that have come to their end and are not gone yet: what is left to send goes out, at the pace of whoever
 * takes it, and until then they count. */
#include "plane_world.h"

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

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {T(test_unread_answer_counts), T(test_drain_waits_for_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
