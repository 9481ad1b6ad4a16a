/* The sandbox's listeners: names over UDP and TCP, and which name a captured connection was meant for. */
#include "core/sandbox/capture.h"

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/proc.h"
#include "core/sandbox/netlink.h"
#include "core/sandbox/handover.h"
#include "tests/unit/netns.h"
#include "tests/unit/passing.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static bool ready;
static struct loop *loop;
static struct relay *relay;
static struct capture *capture;
static char *dir;
static int daemon_fd = -1;
static int handed_over = -1; /* the daemon's end of the first hand-over, which nobody has answered so far */

static int set_up(void **state)
{
    static const uint16_t ports[] = {80, 443};
    struct err err = {0};

    (void)state;
    if (!netns_enter())
        return 0;
    dir = mem_strdup("/tmp/capture.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    AUTOFREE char *path = mem_printf("%s/s", dir);
    daemon_fd = proc_unix_listen(path, 0600, &err);
    loop = loop_new(&err);
    if (daemon_fd < 0 || !proc_set_nonblock(daemon_fd) || loop == NULL || !netlink_loopback_up(&err) ||
        !netlink_loopback_address(htonl(0x7f400001), 10, &err))
        return -1;
    relay = relay_new(loop, path, "tok");
    capture = capture_open(loop, ports, 2, true, &err);
    if (capture == NULL)
        return -1;
    capture_start(capture, relay);
    handed_over = accept4(daemon_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC); /* sent before anything else runs */
    ready = handed_over >= 0;
    return 0;
}

static int tear_down(void **state)
{
    struct err err = {0};

    (void)state;
    capture_close(capture);
    relay_free(relay);
    loop_free(loop);
    file_close_ptr(&daemon_fd);
    return dir == NULL || file_remove_tree(dir, &err) ? 0 : -1;
}

static int reach(int type, const char *address, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET, address, &to.sin_addr);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        close(fd);
        return -1;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static size_t get(int fd, uint8_t *out, size_t room)
{
    for (int i = 0; i < 200; i++) {
        loop_turn(loop, false);
        ssize_t n = read(fd, out, room);
        if (n >= 0 || (errno != EAGAIN && errno != EINTR))
            return n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* A query for the name: type 1 is A, 28 AAAA, 16 TXT. */
static size_t query(uint8_t *out, const char *name, uint8_t type)
{
    size_t len = 12;

    memset(out, 0, 12);
    out[0] = 0xab;
    out[1] = 0xcd;
    out[2] = 1; /* recursion desired */
    out[5] = 1;
    for (const char *p = name; *p != '\0';) {
        size_t label = strcspn(p, ".");
        out[len++] = (uint8_t)label;
        memcpy(out + len, p, label);
        len += label;
        p += label + (p[label] == '.');
    }
    out[len++] = 0;
    out[len++] = 0;
    out[len++] = type;
    out[len++] = 0;
    out[len++] = 1;
    return len;
}

/* The address that the name server gives; "" for an empty answer. */
static void resolve(const char *name, uint8_t type, char out[INET_ADDRSTRLEN])
{
    uint8_t message[512], answer[512];
    int fd = reach(SOCK_DGRAM, "127.0.0.1", 53);
    size_t len = query(message, name, type);

    assert_int_equal(write(fd, message, len), len);
    size_t n = get(fd, answer, sizeof(answer));
    close(fd);
    assert_true(n >= len);
    assert_memory_equal(answer, "\xab\xcd", 2);
    assert_int_equal(answer[3] & 15, 0);
    out[0] = '\0';
    if (answer[7] == 1)
        inet_ntop(AF_INET, answer + n - 4, out, INET_ADDRSTRLEN);
}

static int accept_one(void)
{
    int fd = -1;

    for (int i = 0; i < 2000 && fd < 0; i++) {
        loop_turn(loop, false);
        fd = accept4(daemon_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && i > 100)
            usleep(5000);
    }
    assert_true(fd >= 0);
    return fd;
}

static void expect_line(const char *line)
{
    uint8_t got[256];
    size_t have = 0;
    int fd = accept_one();

    have = get(fd, got, sizeof(got));
    assert_int_equal(have, strlen(line));
    assert_memory_equal(got, line, have);
    close(fd);
}

static void test_names(void **state)
{
    char first[INET_ADDRSTRLEN], again[INET_ADDRSTRLEN], other[INET_ADDRSTRLEN];

    (void)state;
    if (!ready)
        skip();
    resolve("api.example.com", 1, first);
    resolve("API.example.com", 1, again);
    resolve("other.example.com", 1, other);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
    resolve("localhost", 1, again);
    assert_string_equal(again, "127.0.0.1");
    resolve("api.example.com", 28, again);
    assert_string_equal(again, "");
    resolve("aGVsbG8.tunnel.example.com", 16, again); /* E03: TXT gets a well-formed empty answer */
    assert_string_equal(again, "");
}

static void test_names_over_tcp(void **state)
{
    uint8_t message[2 + 512], answer[1024];

    (void)state;
    if (!ready)
        skip();
    int fd = reach(SOCK_STREAM, "127.0.0.1", 53);
    size_t len = query(message + 2, "tcp.example.com", 1);
    message[0] = 0;
    message[1] = (uint8_t)len;
    /* Two queries, the first cut in the middle. */
    assert_int_equal(write(fd, message, 5), 5);
    loop_turn(loop, false);
    assert_int_equal(write(fd, message + 5, len - 3), len - 3);
    assert_int_equal(write(fd, message, len + 2), len + 2);
    size_t have = 0, want = 2 * (2 + len + 16);
    for (int i = 0; i < 10 && have < want; i++)
        have += get(fd, answer + have, sizeof(answer) - have);
    assert_int_equal(have, want);
    assert_int_equal(answer[2 + 7], 1);
    assert_memory_equal(answer, answer + want / 2, want / 2);
    /* A length that no query has ends the connection. */
    assert_int_equal(write(fd, "\xff\xff", 2), 2);
    assert_int_equal(get(fd, answer, sizeof(answer)), 0);
    close(fd);
}

static void test_captured(void **state)
{
    char address[INET_ADDRSTRLEN];

    (void)state;
    if (!ready)
        skip();
    resolve("Captured.Example.com", 1, address);
    int a = reach(SOCK_STREAM, address, 443);
    expect_line("AILERON tok capture captured.example.com 443\r\n");
    int b = reach(SOCK_STREAM, address, 80);
    expect_line("AILERON tok capture captured.example.com 80\r\n");
    int c = reach(SOCK_STREAM, "127.0.0.1", 443); /* no name: the literal, which the daemon refuses */
    expect_line("AILERON tok capture 127.0.0.1 443\r\n");
    int d = reach(SOCK_STREAM, "127.0.0.1", 3128);
    expect_line("AILERON tok proxy\r\n");
    assert_int_equal(reach(SOCK_STREAM, address, 8443), -1); /* not captured: refused at once */
    assert_int_equal(reach(SOCK_STREAM, address, 3128), -1); /* the proxy is on 127.0.0.1 alone */
    close(a);
    close(b);
    close(c);
    close(d);
}

/* Nothing comes by way of the relay. */
static void nobody_is_there(void)
{
    for (int i = 0; i < 20; i++)
        loop_turn(loop, false);
    assert_int_equal(accept4(daemon_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), -1);
}

/* The proxy port's socket, as the daemon gets it. */
static int get_handed(int control)
{
    char line[64] = "";
    int fd = -1;

    for (int i = 0; i < 200 && fd < 0; i++) {
        loop_turn(loop, false);
        (void)passed(control, line, sizeof(line) - 1, &fd);
    }
    assert_true(fd >= 0);
    assert_string_equal(line, "AILERON tok listener\r\n");
    return fd;
}

static void test_handed_over(void **state)
{
    (void)state;
    if (!ready)
        skip();
    int mine = get_handed(handed_over), a, b, c, d, e;
    /* Until the daemon says that it accepts, the relay does. */
    a = reach(SOCK_STREAM, "127.0.0.1", 3128);
    expect_line("AILERON tok proxy\r\n");
    assert_int_equal(write(handed_over, "AILERON listen", 14), 14);
    loop_turn(loop, false);
    assert_int_equal(write(handed_over, "ing\r\n", 5), 5);
    for (int i = 0; i < 5; i++)
        loop_turn(loop, false);
    b = reach(SOCK_STREAM, "127.0.0.1", 3128);
    nobody_is_there();
    int accepted = accept4(mine, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(accepted >= 0);
    assert_int_equal(write(b, "direct", 6), 6);
    uint8_t text[8];
    assert_int_equal(get(accepted, text, sizeof(text)), 6);
    /* One that the daemon has not accepted when it dies is the relay's, and the socket is handed over again. */
    c = reach(SOCK_STREAM, "127.0.0.1", 3128);
    close(mine);
    close(handed_over);
    expect_line("AILERON tok proxy\r\n");
    int again = accept_one();
    mine = get_handed(again);
    assert_int_equal(write(again, "HTTP/1.1 400 Bad Request\r\n", 26), 26); /* one that does not know the mode */
    close(mine);
    close(again);
    for (int i = 0; i < 5; i++)
        loop_turn(loop, false);
    d = reach(SOCK_STREAM, "127.0.0.1", 3128);
    expect_line("AILERON tok proxy\r\n");
    again = accept_one(); /* it is tried again all the same, later */
    mine = get_handed(again);
    assert_int_equal(write(again, "AILERON listening\r\n", 19), 19);
    for (int i = 0; i < 5; i++)
        loop_turn(loop, false);
    e = reach(SOCK_STREAM, "127.0.0.1", 3128);
    nobody_is_there();
    int more[] = {a, b, c, d, e, accepted, mine, again};
    for (size_t i = 0; i < COUNT(more); i++)
        close(more[i]);
}

static void test_ports(void **state)
{
    uint16_t ports[3];
    size_t count;

    (void)state;
    assert_true(capture_parse_ports("80,443", ports, 3, &count));
    assert_int_equal(count, 2);
    assert_int_equal(ports[1], 443);
    assert_false(capture_parse_ports("", ports, 3, &count));
    assert_false(capture_parse_ports("0", ports, 3, &count));
    assert_false(capture_parse_ports("65536", ports, 3, &count));
    assert_false(capture_parse_ports("3128", ports, 3, &count));
    assert_false(capture_parse_ports("53", ports, 3, &count));
    assert_false(capture_parse_ports("1,2,4,5", ports, 3, &count));
    assert_false(capture_parse_ports("a", ports, 3, &count));
}

/* So many at once; one more is closed, and the others go on. */
static void test_names_over_tcp_are_bounded(void **state)
{
    uint8_t message[2 + 512], answer[1024];
    int fds[65];

    (void)state;
    if (!ready)
        skip();
    size_t len = query(message + 2, "tcp.example.com", 1);
    message[0] = 0;
    message[1] = (uint8_t)len;
    for (size_t i = 0; i < COUNT(fds); i++) {
        fds[i] = reach(SOCK_STREAM, "127.0.0.1", 53);
        assert_true(fds[i] >= 0);
        for (int turn = 0; turn < 3; turn++)
            loop_turn(loop, false);
    }
    assert_int_equal(read(fds[64], answer, 1), 0); /* its end, not only silence */
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(write(fds[i], message, len + 2), len + 2);
        assert_int_equal(get(fds[i], answer, sizeof(answer)), 2 + len + 16);
    }
    for (size_t i = 0; i < COUNT(fds); i++)
        close(fds[i]);
    for (int turn = 0; turn < 5; turn++)
        loop_turn(loop, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), cmocka_unit_test(test_names_over_tcp),
        cmocka_unit_test(test_captured), cmocka_unit_test(test_handed_over),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_names_over_tcp_are_bounded),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
