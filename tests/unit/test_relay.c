/* The relay: the preamble, bytes both ways, half-close, a slow peer, a daemon that is away and comes back. */
#include "core/sandbox/relay.h"

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/base/proc.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;
static struct relay *relay;
static char *dir, *path;
static int listener = -1;

static int set_up(void **state)
{
    struct err err = {0};
    const char *tmp = getenv("TMPDIR");

    (void)state;
    dir = mem_printf("%s/relay.XXXXXX", tmp != NULL && strlen(tmp) < 80 ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        return -1;
    path = mem_printf("%s/s.sock", dir);
    listener = proc_unix_listen(path, 0600, &err);
    loop = loop_new(&err);
    relay = relay_new(loop, path, "tok");
    return listener >= 0 && loop != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    struct err err = {0};

    (void)state;
    relay_free(relay);
    loop_free(loop);
    file_close_ptr(&listener);
    bool good = file_remove_tree(dir, &err);
    free(dir);
    free(path);
    return good ? 0 : -1;
}

/* A client of the relay: one end of a pair. */
static int client(const char *name, uint16_t port)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    relay_take(relay, ends[1], name, port);
    return ends[0];
}

static int accept_one(void)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    assert_true(fd >= 0);
    return fd;
}

static void turns(int n)
{
    while (n-- > 0)
        loop_turn(loop, false);
}

static void expect(int fd, const char *text)
{
    char got[2048];
    size_t want = strlen(text), have = 0;

    for (int i = 0; i < 100 && have < want; i++) {
        turns(1);
        ssize_t n = read(fd, got + have, want - have);
        if (n > 0)
            have += (size_t)n;
    }
    assert_int_equal(have, want);
    assert_memory_equal(got, text, want);
}

static bool ended(int fd)
{
    char byte;

    for (int i = 0; i < 100; i++) {
        turns(1);
        ssize_t n = read(fd, &byte, 1);
        if (n == 0)
            return true;
        if (n > 0 || (errno != EAGAIN && errno != EINTR))
            return n < 0 && errno == ECONNRESET;
    }
    return false;
}

static void test_preambles(void **state)
{
    int a = client(NULL, 0), b = client("api.example.com", 443);
    int sa = accept_one(), sb = accept_one();

    (void)state;
    expect(sa, "AILERON tok proxy\r\n");
    expect(sb, "AILERON tok capture api.example.com 443\r\n");
    assert_int_equal(write(a, "hello", 5), 5);
    expect(sa, "hello");
    assert_int_equal(write(sa, "world", 5), 5);
    expect(a, "world");
    assert_int_equal(relay_count(relay), 2);
    close(a);
    assert_true(ended(sa));
    close(sa);
    close(b);
    close(sb);
    turns(5);
    assert_int_equal(relay_count(relay), 0);
}

/* One direction ends and the other goes on, either way round. */
static void test_half_close(void **state)
{
    int a = client(NULL, 0), s = accept_one();

    (void)state;
    expect(s, "AILERON tok proxy\r\n");
    assert_int_equal(write(a, "request", 7), 7);
    shutdown(a, SHUT_WR);
    expect(s, "request");
    assert_true(ended(s));
    assert_int_equal(write(s, "answer", 6), 6);
    expect(a, "answer");
    close(s);
    assert_true(ended(a));
    turns(5);
    assert_int_equal(relay_count(relay), 0);
    close(a);

    a = client(NULL, 0);
    s = accept_one();
    expect(s, "AILERON tok proxy\r\n");
    shutdown(s, SHUT_WR);
    assert_true(ended(a));
    assert_int_equal(write(a, "more", 4), 4);
    expect(s, "more");
    assert_int_equal(relay_count(relay), 1);
    close(a);
    assert_true(ended(s));
    turns(5);
    assert_int_equal(relay_count(relay), 0);
    close(s);
}

/* 8 MiB to a reader that pauses: all arrives, in order, and the relay holds one buffer at the most. */
static void test_back_pressure(void **state)
{
    int a = client(NULL, 0), s = accept_one();
    enum { TOTAL = 8 * 1024 * 1024 };
    uint8_t chunk[8192], got[8192];
    size_t sent = 0, received = 0;

    (void)state;
    expect(s, "AILERON tok proxy\r\n");
    for (int round = 0; received < TOTAL && round < 100000; round++) {
        while (sent < TOTAL) {
            for (size_t i = 0; i < sizeof(chunk); i++)
                chunk[i] = (uint8_t)((sent + i) * 7);
            size_t part = TOTAL - sent < sizeof(chunk) ? TOTAL - sent : sizeof(chunk);
            ssize_t n = send(a, chunk, part, MSG_DONTWAIT);
            if (n <= 0)
                break;
            sent += (size_t)n;
        }
        turns(2);
        if (round < 10)
            continue; /* the reader sleeps; the sender must come to a stop far from the end */
        if (round == 10)
            assert_true(sent < TOTAL / 2);
        ssize_t n = recv(s, got, sizeof(got), MSG_DONTWAIT);
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(got[i], (uint8_t)((received + (size_t)i) * 7));
        received += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(received, TOTAL);
    close(a);
    close(s);
    turns(5);
    assert_int_equal(relay_count(relay), 0);
}

/* The daemon answers and closes while the client still sends: the client gets the whole answer. */
static void test_early_answer(void **state)
{
    int a = client(NULL, 0), s = accept_one();

    (void)state;
    expect(s, "AILERON tok proxy\r\n");
    assert_int_equal(write(a, "first part", 10), 10);
    turns(2);
    assert_int_equal(write(s, "413 too large", 13), 13);
    close(s); /* with "first part" unread */
    turns(5);
    (void)!send(a, "second part", 11, MSG_NOSIGNAL);
    expect(a, "413 too large");
    assert_true(ended(a));
    close(a);
    turns(5);
    assert_int_equal(relay_count(relay), 0);
}

static void test_daemon_comes_back(void **state)
{
    struct err err = {0};

    (void)state;
    close(listener);
    int a = client(NULL, 0);
    assert_int_equal(write(a, "patient", 7), 7);
    turns(5);
    assert_int_equal(relay_count(relay), 1);
    listener = proc_unix_listen(path, 0600, &err);
    assert_true(listener >= 0);
    struct pollfd wait = {.fd = listener, .events = POLLIN};
    for (int i = 0; i < 100 && poll(&wait, 1, 10) == 0; i++)
        turns(1);
    int s = accept_one();
    expect(s, "AILERON tok proxy\r\npatient");
    close(a);
    close(s);
    turns(5);
}

/* It stays away: a proxy's client gets the denial, a captured one is closed. */
static void test_daemon_stays_away(void **state)
{
    (void)state;
    file_close_ptr(&listener);
    listener = -1;
    clock_fake(1000, 1000000);
    int a = client(NULL, 0), b = client("x.example", 443);
    turns(3);
    clock_fake(1000, 1000000 + RELAY_WAIT_MS);
    usleep(2 * RELAY_RETRY_MS * 1000);
    turns(5);
    clock_fake(0, 0);
    expect(a, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n");
    char rest[2048] = "";
    assert_true(read(a, rest, sizeof(rest) - 1) > 0);
    assert_non_null(strstr(rest, "{\"error\":{\"code\":\"unavailable\""));
    assert_true(ended(b));
    close(a);
    close(b);
    turns(5);
    assert_int_equal(relay_count(relay), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preambles),    cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_back_pressure), cmocka_unit_test(test_early_answer),
        cmocka_unit_test(test_daemon_comes_back), cmocka_unit_test(test_daemon_stays_away),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
