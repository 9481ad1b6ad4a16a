/* The TLS listener of a session whose sandbox is elsewhere: what gets in, and that what does not is closed without a
 * word, bounded in number. Everybody on the network may try. */
#include "plane_world.h"

#include "core/plane/remote.h"

#include <fcntl.h>

static struct world world;
static struct remote *remote;
static int listen_fd;
static struct sockaddr_in place;

static int setup(void **state)
{
    socklen_t len = sizeof(place);
    struct err err;
    (void)state;
    world = (struct world){.home = ""};
    world_start(&world);
    world_load(&world);
    listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    place = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(bind(listen_fd, (struct sockaddr *)&place, sizeof(place)), 0);
    assert_int_equal(listen(listen_fd, 128), 0);
    assert_int_equal(getsockname(listen_fd, (struct sockaddr *)&place, &len), 0);
    remote = remote_open(&world.plane, listen_fd, &err);
    assert_non_null(remote);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remote_close(remote);
    world_stop(&world);
    close(listen_fd);
    return 0;
}

static int reach(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&place, sizeof(place)), 0);
    return fd;
}

/* Under TLS, for a certificate of this name from the session's CA. */
static struct peer *secured(const char *name)
{
    struct err err;
    struct peer *peer = peer_new(&world.peers, "c", world.plane.loop, reach());
    struct stream_io io = conn_stream_io(peer->conn);
    struct stream *stream = stream_client(world.client_tls, name, (struct span){NULL, 0}, &io, &err);
    assert_non_null(stream);
    conn_secure(peer->conn, stream, WORLD_MS);
    return peer;
}

static bool heard(const struct peer *peer, const char *text)
{
    return peer->heard.len > 0 && memmem(peer->heard.data, peer->heard.len, text, strlen(text)) != NULL;
}

static void expect(struct peer *peer, const char *text)
{
    for (uint64_t end = clock_mono_ms() + WORLD_MS; clock_mono_ms() < end && !heard(peer, text);)
        world_turn(&world);
    if (!heard(peer, text))
        fail_msg("not said: %s; but: %.*s", text, (int)peer->heard.len, (const char *)peer->heard.data);
}

static void expect_closed(struct peer *peer)
{
    for (uint64_t end = clock_mono_ms() + WORLD_MS; clock_mono_ms() < end && !peer->eof && !peer->failed;)
        world_turn(&world);
    assert_true(peer->eof || peer->failed);
    assert_int_equal(peer->heard.len, 0);
    assert_int_equal(world.plane.connections, 0);
}

static void say(struct peer *peer, const char *text)
{
    peer_say(peer, text, strlen(text));
}

static void refused(const char *first)
{
    struct peer *peer = secured("aileron.internal");
    say(peer, first);
    expect_closed(peer);
    peers_free(&world.peers);
}

static size_t denied(void)
{
    size_t count = 0, i;
    const json_t *event;
    world_wait(&world, WORLD_QUIET_MS);
    json_array_foreach(world.records, i, event)
        count += strcmp(json_string_value(json_object_get(event, "event")), "session.denied") == 0;
    return count;
}

#define PROXY "AILERON " WORLD_TOKEN " proxy\r\n"

static void test_served(void **state)
{
    (void)state;
    struct peer *client = secured("aileron.internal");
    say(client, PROXY "GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n");
    struct peer *upstream = upstream_accept(&world, "u", NULL, NULL);
    say(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    expect(client, "\r\n\r\nhi");
    assert_int_equal(remote_pending(remote), 0);
    assert_int_equal(world.plane.connections, 1);
    /* Half a close is half a close: the answer still comes. */
    say(client, "GET http://plain.test/2 HTTP/1.1\r\nHost: plain.test\r\n\r\n");
    client->ending = true;
    peer_flush(client);
    world_wait(&world, WORLD_QUIET_MS);
    say(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbye");
    expect(client, "\r\n\r\nbye");
    for (uint64_t end = clock_mono_ms() + WORLD_MS; clock_mono_ms() < end && !client->eof;)
        world_turn(&world);
    assert_true(client->eof);
    assert_int_equal(world.plane.connections, 0);
    assert_int_equal(denied(), 0);
}

/* A megabyte each way, through the bounds of every buffer between. */
static void test_much(void **state)
{
    enum { MUCH = 1024 * 1024 };
    static char body[MUCH];
    (void)state;
    struct peer *client = secured("aileron.internal");
    AUTOFREE char *head = mem_printf(PROXY "POST http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n"
                                     "Content-Length: %d\r\n\r\n", MUCH);
    memset(body, 'x', sizeof(body));
    say(client, head);
    peer_say(client, body, sizeof(body));
    struct peer *upstream = upstream_accept(&world, "u", NULL, NULL);
    for (uint64_t end = clock_mono_ms() + WORLD_MS; clock_mono_ms() < end && upstream->heard.len < MUCH;)
        world_turn(&world);
    assert_in_range(upstream->heard.len, MUCH, MUCH + 1024);
    AUTOFREE char *answer = mem_printf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", MUCH);
    say(upstream, answer);
    peer_say(upstream, body, sizeof(body));
    for (uint64_t end = clock_mono_ms() + WORLD_MS; clock_mono_ms() < end && client->heard.len < MUCH;)
        world_turn(&world);
    assert_in_range(client->heard.len, MUCH, MUCH + 1024);
}

static void test_api_and_capture(void **state)
{
    (void)state;
    struct peer *client = secured("aileron.internal");
    say(client, "AILERON " WORLD_TOKEN " api\r\nGET /v1/session HTTP/1.1\r\nHost: aileron.internal\r\n\r\n");
    expect(client, "HTTP/1.1 200 ");
    client = secured("aileron.internal");
    say(client, "AILERON " WORLD_TOKEN " capture plain.test 80\r\nGET / HTTP/1.1\r\nHost: plain.test\r\n\r\n");
    say(upstream_accept(&world, "u", NULL, NULL), "HTTP/1.1 204 No Content\r\n\r\n");
    expect(client, "HTTP/1.1 204 ");
}

/* The sandbox trusts its session's CA alone, and the certificate has our own name: who sits in between has neither. */
static void test_name(void **state)
{
    (void)state;
    struct peer *client = secured("plain.test");
    expect_closed(client);
    assert_true(client->failed && !client->secured);
}

static void test_without_the_token(void **state)
{
    (void)state;
    refused("AILERON 0123456789abcdef0123456789abcdeX proxy\r\nGET http://plain.test/ HTTP/1.1\r\n\r\n");
    assert_int_equal(denied(), 1);
    refused("GET http://plain.test/ HTTP/1.1\r\nProxy-Authorization: Bearer " WORLD_TOKEN "\r\n\r\n");
    refused("AILERON\r\n");
    refused("AILERON  proxy\r\n");
    refused("AILERON " WORLD_TOKEN "\r\n");
    refused("AILERON " WORLD_TOKEN " listener\r\n"); /* no descriptor comes by the network */
    refused("AILERON " WORLD_TOKEN " proxyx\r\n");
    AUTOFREE char *wide = mem_alloc(2000);
    memset(wide, 'A', 1999);
    memcpy(wide, "AILERON ", 8);
    refused(wide);
    assert_int_equal(denied(), 1); /* one line a minute: anybody can cause them */
    assert_int_equal(remote_pending(remote), 0);
}

static void test_no_tls(void **state)
{
    (void)state;
    struct peer *peer = peer_new(&world.peers, "c", world.plane.loop, reach());
    say(peer, PROXY "GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n");
    for (uint64_t end = clock_mono_ms() + WORLD_MS; clock_mono_ms() < end && !peer->eof && !peer->failed;)
        world_turn(&world);
    assert_true(peer->eof || peer->failed);
    assert_false(heard(peer, "HTTP")); /* a TLS alert at the most */
    assert_int_equal(world.plane.connections, 0);
    assert_int_equal(remote_pending(remote), 0);
}

static bool closed(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

/* Connections that say nothing cost those that wait longest their place, and never a newcomer his. */
static void test_bounded(void **state)
{
    int silent[REMOTE_PENDING_MAX];
    (void)state;
    for (size_t i = 0; i < COUNT(silent); i++)
        silent[i] = reach();
    for (uint64_t end = clock_mono_ms() + WORLD_MS; clock_mono_ms() < end && remote_pending(remote) < COUNT(silent);)
        world_turn(&world);
    assert_int_equal(remote_pending(remote), REMOTE_PENDING_MAX);
    assert_false(closed(silent[0]));
    struct peer *client = secured("aileron.internal");
    say(client, "AILERON " WORLD_TOKEN " api\r\nGET /v1/session HTTP/1.1\r\nHost: aileron.internal\r\n\r\n");
    expect(client, "HTTP/1.1 200 ");
    assert_true(closed(silent[0]));
    assert_false(closed(silent[1]));
    assert_int_equal(remote_pending(remote), REMOTE_PENDING_MAX - 1);
    for (size_t i = 0; i < COUNT(silent); i++)
        close(silent[i]);
    for (uint64_t end = clock_mono_ms() + WORLD_MS; clock_mono_ms() < end && remote_pending(remote) > 0;)
        world_turn(&world);
    assert_int_equal(remote_pending(remote), 0);
}

/* A byte every tenth of a second keeps no place: the time is from the connection to the whole line. */
static void test_slow(void **state)
{
    (void)state;
    struct peer *peer = secured("aileron.internal");
    uint64_t begin = clock_mono_ms(), next = 0;
    say(peer, "AILERON ");
    while (!peer->eof && !peer->failed && clock_mono_ms() - begin < 2 * REMOTE_FIRST_MS) {
        world_turn(&world);
        if (clock_mono_ms() < next || !peer->secured || peer->said.len > 0)
            continue;
        next = clock_mono_ms() + 100;
        say(peer, "x");
    }
    assert_true(peer->eof || peer->failed);
    assert_true(clock_mono_ms() - begin >= REMOTE_FIRST_MS - 1000);
    assert_int_equal(denied(), 0); /* it never came to be looked at */
}

static size_t descriptors(void)
{
    size_t count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* A client that does not read its answer: the plane gives up, and nothing of the way to it stays behind. */
static void test_unread(void **state)
{
    (void)state;
    set_text(&world.config, mem_strdup("limits: { idle_ms: 1000 }\n"));
    world_load(&world);
    size_t before = descriptors();
    struct peer *client = secured("aileron.internal");
    peer_hold(client, true);
    say(client, PROXY "GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n");
    struct peer *upstream = upstream_accept(&world, "u", NULL, NULL);
    say(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n");
    peer_say_pattern(upstream, 8000000);
    for (uint64_t end = clock_mono_ms() + 2 * WORLD_MS; clock_mono_ms() < end && descriptors() > before + 2;)
        world_turn(&world);
    assert_int_equal(world.plane.connections, 0);
    assert_in_range(descriptors(), before, before + 2); /* the client's own, and the upstream's */
}

static void test_closed_with_the_session(void **state)
{
    (void)state;
    int fd = reach();
    for (uint64_t end = clock_mono_ms() + WORLD_MS; clock_mono_ms() < end && remote_pending(remote) == 0;)
        world_turn(&world);
    remote_close(remote);
    remote = NULL;
    world_turn(&world);
    assert_true(closed(fd));
    close(fd);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_served), T(test_much),    T(test_api_and_capture), T(test_name), T(test_without_the_token),
        T(test_no_tls), T(test_bounded), T(test_slow),            T(test_closed_with_the_session),
        T(test_unread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
