/* The sandbox's listening socket in the worker: what is taken for one, what is accepted from it, and when it ends. The
 * sandbox that hands it over may be hostile. */
#include "plane_world.h"

#include "core/plane/inlet.h"
#include "tests/unit/passing.h"

#include <fcntl.h>
#include <sys/un.h>

static struct world world;
static struct sockaddr_in place; /* where `listening` listens */

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
    inlet_close(world.plane.inlet);
    world_stop(&world);
    return 0;
}

static int tcp(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    return fd;
}

static int listening(void)
{
    socklen_t len = sizeof(place);
    int fd = tcp();
    place = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(bind(fd, (struct sockaddr *)&place, sizeof(place)), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&place, &len), 0);
    return fd;
}

/* A connection to `listening`, as a program of the sandbox makes it. */
static int reach(void)
{
    int fd = tcp();
    assert_int_equal(connect(fd, (struct sockaddr *)&place, sizeof(place)), 0);
    return fd;
}

/* Says the preamble with descriptors, which are then closed here. The connection. */
static int hand_over(const char *text, const int *fds, size_t count)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    front_accept(&world.plane, ends[0]);
    assert_int_equal(pass(ends[1], text, fds, count), strlen(text));
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    return ends[1];
}

#define LINE "AILERON " WORLD_TOKEN " listener\r\n"

/* What is said on a connection within a time, up to its end or the text. */
static void expect(int fd, const char *text)
{
    char got[4096] = "";
    size_t len = 0;
    for (uint64_t end = clock_mono_ms() + WORLD_MS; clock_mono_ms() < end && strstr(got, text) == NULL;) {
        world_turn(&world);
        ssize_t n = recv(fd, got + len, sizeof(got) - 1 - len, MSG_DONTWAIT);
        if (n == 0)
            break;
        len += n > 0 ? (size_t)n : 0;
    }
    if (strstr(got, text) == NULL)
        fail_msg("not said: %s; but: %s", text, got);
}

static void expect_end(int fd)
{
    char byte;
    ssize_t n = -1;
    for (uint64_t end = clock_mono_ms() + WORLD_MS; clock_mono_ms() < end && n != 0;) {
        world_turn(&world);
        n = recv(fd, &byte, 1, MSG_DONTWAIT);
        assert_false(n < 0 && errno != EAGAIN);
    }
    assert_int_equal(n, 0);
}

static int hand_over_good(void)
{
    int fd = listening(), control = hand_over(LINE, &fd, 1);
    expect(control, "AILERON listening\r\n");
    assert_non_null(world.plane.inlet);
    assert_int_equal(world.plane.connections, 0);
    return control;
}

/* A program's connection is a proxy connection of the session, as if the relay had brought it. */
static void served(void)
{
    static const char request[] = "GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nConnection: close\r\n\r\n";
    int client = reach();
    assert_int_equal(write(client, request, strlen(request)), strlen(request));
    struct peer *upstream = upstream_accept(&world, "u", NULL, NULL);
    peer_say(upstream, "HTTP/1.1 204 No Content\r\n\r\n", 27);
    expect(client, "HTTP/1.1 204 ");
    close(client);
    peers_free(&world.peers);
}

static void wait_for_inlet_end(void)
{
    for (uint64_t end = clock_mono_ms() + WORLD_MS; clock_mono_ms() < end && world.plane.inlet;)
        world_turn(&world);
    assert_null(world.plane.inlet);
}

static void test_served(void **state)
{
    (void)state;
    int control = hand_over_good();
    served();
    served();
    close(control);
    wait_for_inlet_end();
}

/* The supervisor has gone, or says what it should not: what is open goes on, and nothing new is accepted. */
static void test_ends_with_its_connection(void **state)
{
    (void)state;
    int control = hand_over_good();
    int client = reach();
    for (uint64_t end = clock_mono_ms() + WORLD_MS; clock_mono_ms() < end && world.plane.connections == 0;)
        world_turn(&world);
    assert_int_equal(write(control, "?", 1), 1);
    wait_for_inlet_end();
    expect_end(control);
    assert_int_equal(world.plane.connections, 1);
    assert_int_equal(write(client, "GET / HTTP/1.1\r\n\r\n", 18), 18);
    expect(client, "HTTP/1.1 4");
    close(client);
    close(control);
    struct sockaddr_in gone = place;
    int fd = tcp(); /* its last holder was the worker */
    assert_int_equal(connect(fd, (struct sockaddr *)&gone, sizeof(gone)), -1);
    close(fd);
    close(hand_over_good()); /* and another one may come */
    wait_for_inlet_end();
}

static void refused(int control, const char *why)
{
    expect(control, why);
    expect_end(control);
    close(control);
}

static void test_what_does_not_listen(void **state)
{
    (void)state;
    static const char none[] = "is no listening TCP socket";
    int pipes[2], ends[2], fd, connected, other = listening();
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    refused(hand_over(LINE, pipes, 1), none);
    close(pipes[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    refused(hand_over(LINE, ends, 1), none);
    close(ends[1]);
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    refused(hand_over(LINE, &fd, 1), none);
    fd = tcp(); /* neither bound nor listening */
    refused(hand_over(LINE, &fd, 1), none);
    connected = reach();
    refused(hand_over(LINE, &connected, 1), none);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* listens, but it is the wrong family */
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(fd, 1), 0);
    refused(hand_over(LINE, &fd, 1), none);
    fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && listen(fd, 1) == 0)
        refused(hand_over(LINE, &fd, 1), none);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP); /* a listener, with rules of its own */
    if (fd >= 0 && listen(fd, 1) == 0)
        refused(hand_over(LINE, &fd, 1), none);
    close(other);
    assert_null(world.plane.inlet);
}

static void test_one_and_no_more(void **state)
{
    (void)state;
    int two[2] = {listening(), listening()}, kept = dup(two[1]);
    refused(hand_over(LINE, NULL, 0), "no socket came with the preamble");
    refused(hand_over(LINE, two, 2), "or more than one");
    assert_null(world.plane.inlet);
    close(kept);
    int control = hand_over_good();
    struct sockaddr_in first = place;
    int second = listening();
    refused(hand_over(LINE, &second, 1), "is here already");
    place = first;
    served(); /* the first one goes on */
    close(control);
    wait_for_inlet_end();
}

static void test_token(void **state)
{
    (void)state;
    int fd = listening();
    int control = hand_over("AILERON 0123456789abcdef0123456789abcdeX listener\r\n", &fd, 1);
    refused(control, "this is not the session's token");
    assert_null(world.plane.inlet);
}

/* A descriptor that comes with another preamble is closed, and the mode is served. */
static void test_descriptor_that_nobody_wants(void **state)
{
    (void)state;
    int pipes[2];
    char byte;
    assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
    int client = hand_over("AILERON " WORLD_TOKEN " proxy\r\nGET / HTTP/1.1\r\n\r\n", pipes + 1, 1);
    expect(client, "HTTP/1.1 4");
    assert_int_equal(read(pipes[0], &byte, 1), 0); /* nobody holds the other end */
    close(pipes[0]);
    close(client);
}

/* The socket's flags and options are the sandbox's to change: each accepted one has its own. */
static void test_flags_and_options(void **state)
{
    (void)state;
    struct linger linger = {.l_onoff = 1, .l_linger = 3600};
    int fd = listening(), kept = dup(fd), control = hand_over(LINE, &fd, 1);
    expect(control, "AILERON listening\r\n");
    assert_int_equal(setsockopt(kept, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    int client = reach();
    world_wait(&world, 50);
    assert_int_equal(world.plane.connections, 1);
    for (int i = 3; i < 256; i++) {
        struct sockaddr_in peer, mine;
        socklen_t len = sizeof(peer), mine_len = sizeof(mine), linger_len = sizeof(linger);
        if (getpeername(i, (struct sockaddr *)&peer, &len) != 0 || peer.sin_family != AF_INET ||
            getsockname(client, (struct sockaddr *)&mine, &mine_len) != 0 || peer.sin_port != mine.sin_port)
            continue;
        assert_int_equal(getsockopt(i, SOL_SOCKET, SO_LINGER, &linger, &linger_len), 0);
        assert_int_equal(linger.l_onoff, 0);
        assert_true(fcntl(i, F_GETFL) & O_NONBLOCK);
        linger.l_onoff = 2; /* seen */
    }
    assert_int_equal(linger.l_onoff, 2);
    close(client);
    /* Shut down by its other owner, it listens no more: the worker lets go instead of asking again and again. */
    assert_int_equal(shutdown(kept, SHUT_RDWR), 0);
    wait_for_inlet_end();
    expect_end(control);
    close(kept);
    close(control);
}

/* Above limits.connections a client is told so, though it has sent its request already. */
static void test_bounded(void **state)
{
    (void)state;
    int clients[17];
    set_text(&world.config, mem_strdup("limits: { connections: 16 }\n"));
    world_load(&world);
    int control = hand_over_good();
    for (size_t i = 0; i < COUNT(clients); i++) {
        clients[i] = reach();
        assert_int_equal(write(clients[i], "CONNECT", 7), 7);
    }
    expect(clients[16], "HTTP/1.1 429 ");
    expect_end(clients[16]);
    assert_int_equal(world.plane.connections, 16);
    for (size_t i = 0; i < COUNT(clients); i++)
        close(clients[i]);
    for (uint64_t end = clock_mono_ms() + WORLD_MS; clock_mono_ms() < end && world.plane.connections > 0;)
        world_turn(&world);
    served();
    close(control);
    wait_for_inlet_end();
}

/* Of those above the bound 256 in two seconds are told so; the next one is only closed. */
static void test_turned_away(void **state)
{
    (void)state;
    int clients[16], told = 0;
    char byte;
    set_text(&world.config, mem_strdup("limits: { connections: 16 }\n"));
    world_load(&world);
    int control = hand_over_good();
    for (size_t i = 0; i < COUNT(clients); i++)
        clients[i] = reach();
    while (world.plane.connections < 16)
        world_turn(&world);
    clock_fake(clock_wall_ms(), clock_mono_ms()); /* it is all at once, however long it takes */
    for (ssize_t n = 1; n > 0 && told <= 2 * 256;) {
        int fd = reach();
        for (n = -1; n < 0;) {
            world_turn(&world);
            n = recv(fd, &byte, 1, MSG_DONTWAIT);
            assert_true(n >= 0 || errno == EAGAIN || errno == ECONNRESET);
            if (n < 0 && errno == ECONNRESET)
                n = 0;
        }
        told += n > 0;
        close(fd);
    }
    clock_fake(0, 0);
    assert_int_equal(told, 256);
    for (size_t i = 0; i < COUNT(clients); i++)
        close(clients[i]);
    close(control);
    wait_for_inlet_end();
}

static void test_not_while_draining(void **state)
{
    (void)state;
    world.plane.draining = true;
    int fd = listening();
    refused(hand_over(LINE, &fd, 1), "this session has ended");
    assert_null(world.plane.inlet);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_served),          T(test_ends_with_its_connection),
        T(test_what_does_not_listen), T(test_one_and_no_more),
        T(test_token),           T(test_descriptor_that_nobody_wants),
        T(test_flags_and_options), T(test_bounded),
        T(test_turned_away),
        T(test_not_while_draining),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
