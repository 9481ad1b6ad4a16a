/* Happy Eyeballs (RFC 8305) against loopback: listeners of both families, ports where nobody listens, and black holes
 * (listeners whose queue is full: the kernel drops what asks for a connection). */
#include "tests/unit/netns.h"

#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/loop/race.h"
#include "core/loop/sockaddr.h"
#include "core/sandbox/netlink.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { LONG_MS = 20000, FILL = 3 };

static struct loop *loop;
static struct {
    unsigned calls;
    struct conn *conn;
    struct err err;
} result;
static struct timer tick;
static struct race_memory memory;

static void on_tick(void *arg)
{
    timer_start(arg, 10);
}

static void ignore(struct conn *conn, enum conn_event event, void *arg)
{
    (void)conn;
    (void)event;
    (void)arg;
}

static int setup(void **state)
{
    struct err err;
    (void)state;
    memset(&result, 0, sizeof(result));
    memory = (struct race_memory){0};
    loop = loop_new(&err);
    timer_init(&tick, loop, on_tick, &tick);
    timer_start(&tick, 10);
    return loop ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    conn_close(result.conn);
    timer_stop(&tick);
    loop_free(loop);
    return 0;
}

static void on_race(void *arg, struct conn *conn, const struct err *err)
{
    (void)arg;
    assert_true((conn == NULL) != (err == NULL));
    result.calls++;
    result.conn = conn;
    if (conn)
        conn_set_handler(conn, ignore, NULL);
    else
        result.err = *err;
}

static void wait_end(void)
{
    for (uint64_t end = clock_mono_ms() + LONG_MS; result.calls == 0 && clock_mono_ms() < end;)
        loop_turn(loop, true);
    assert_int_equal(result.calls, 1);
}

static size_t descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

struct place {
    int fd;
    struct addr addr;
    int fill[FILL];
};

static struct place listen_at(const char *text, int backlog)
{
    struct place place = {.fill = {-1, -1, -1}};
    struct sockaddr_storage at;
    assert_true(addr_parse((struct span){text, strlen(text)}, &place.addr));
    socklen_t len = sockaddr_from(&place.addr, &at);
    place.fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(place.fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(place.fd, backlog), 0);
    assert_int_equal(getsockname(place.fd, (struct sockaddr *)&at, &len), 0);
    assert_true(sockaddr_to((struct sockaddr *)&at, &place.addr));
    return place;
}

static struct place black_hole(const char *text)
{
    struct place place = listen_at(text, 0);
    struct sockaddr_storage to;
    socklen_t len = sockaddr_from(&place.addr, &to);
    for (size_t i = 0; i < FILL; i++) {
        place.fill[i] = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(place.fill[i], (struct sockaddr *)&to, len);
    }
    return place;
}

static void place_close(struct place *place)
{
    for (size_t i = 0; i < FILL; i++)
        if (place->fill[i] >= 0)
            close(place->fill[i]);
    if (place->fd >= 0)
        close(place->fd);
    place->fd = -1;
}

static struct addr nobody_at(const char *text)
{
    struct place place = listen_at(text, 1);
    place_close(&place);
    return place.addr;
}

static bool asked(const struct place *place)
{
    int fd = accept4(place->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void set_nonblocking(const struct place *place)
{
    assert_int_equal(fcntl(place->fd, F_SETFL, O_NONBLOCK), 0);
}

static struct race *start(const struct addr *addrs, size_t count, uint64_t ms)
{
    return race_start(loop, addrs, count, &memory, ms, on_race, NULL);
}

static void test_one_family(void **state)
{
    static const char *const texts[] = {"127.0.0.1", "::1"};
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct place place = listen_at(texts[i], 4);
        assert_non_null(start(&place.addr, 1, LONG_MS));
        assert_int_equal(result.calls, 0); /* never from within */
        wait_end();
        assert_non_null(result.conn);
        assert_true(asked(&place));
        conn_close(result.conn);
        result.conn = NULL;
        result.calls = 0;
        place_close(&place);
    }
}

static void test_ipv6_goes_first(void **state)
{
    (void)state;
    struct place four = listen_at("127.0.0.1", 4), six = listen_at("::1", 4);
    struct addr addrs[] = {four.addr, six.addr};
    set_nonblocking(&four);
    set_nonblocking(&six);
    assert_non_null(start(addrs, 2, LONG_MS));
    wait_end();
    assert_non_null(result.conn);
    assert_true(asked(&six));
    assert_false(asked(&four));
    place_close(&four);
    place_close(&six);
}

/* And what lost is closed: nothing of it is left. */
static void test_black_hole_is_passed(void **state)
{
    (void)state;
    struct place four = listen_at("127.0.0.1", 4), six = black_hole("::1");
    struct addr addrs[] = {four.addr, six.addr};
    size_t before = descriptors();
    uint64_t began = clock_mono_ms();
    assert_non_null(start(addrs, 2, LONG_MS));
    wait_end();
    assert_non_null(result.conn);
    assert_in_range(clock_mono_ms() - began, RACE_STAGGER_MS - 50, LONG_MS); /* the loop may look at the clock late */
    assert_true(asked(&four));
    assert_int_equal(descriptors(), before + 1);
    /* The next one does not wait for it again. */
    conn_close(result.conn);
    result.calls = 0;
    assert_non_null(start(addrs, 2, LONG_MS));
    assert_int_equal(descriptors(), before + 1);
    wait_end();
    assert_int_equal(descriptors(), before + 1);
    assert_true(asked(&four));
    place_close(&four);
    place_close(&six);
}

/* What refuses is heard at once, and what answers is first again: neither is held against IPv6. */
static void test_silence_alone_is_remembered(void **state)
{
    (void)state;
    struct place four = listen_at("127.0.0.1", 4), six = listen_at("::1", 4);
    struct addr dead[] = {four.addr, nobody_at("::1")}, good[] = {six.addr, four.addr};
    set_nonblocking(&four);
    assert_non_null(start(dead, 2, LONG_MS));
    wait_end();
    assert_true(asked(&four));
    assert_int_equal(memory.ipv4_first_until_ms, 0);
    conn_close(result.conn);
    result.calls = 0;
    memory.ipv4_first_until_ms = clock_mono_ms() + LONG_MS;
    assert_non_null(start(good, 1, LONG_MS));
    wait_end();
    assert_int_equal(memory.ipv4_first_until_ms, 0);
    place_close(&four);
    place_close(&six);
}

/* A refusal does not wait for the next attempt's turn: fifteen staggers would be longer than the time there is. */
static void test_refused_is_passed_at_once(void **state)
{
    (void)state;
    struct place good = listen_at("127.0.0.1", 4);
    struct addr addrs[RACE_ADDRS_MAX], dead = nobody_at("127.0.0.1");
    for (size_t i = 0; i < RACE_ADDRS_MAX; i++)
        addrs[i] = i + 1 < RACE_ADDRS_MAX ? dead : good.addr;
    assert_non_null(start(addrs, RACE_ADDRS_MAX, 14 * RACE_STAGGER_MS));
    wait_end();
    assert_non_null(result.conn);
    place_close(&good);
}

static void test_all_refused(void **state)
{
    (void)state;
    struct addr addrs[] = {nobody_at("127.0.0.1"), nobody_at("::1")};
    size_t before = descriptors();
    assert_non_null(start(addrs, 2, LONG_MS));
    wait_end();
    assert_null(result.conn);
    assert_int_equal(result.err.code, ERR_UPSTREAM);
    assert_non_null(strstr(result.err.message, "refused"));
    assert_int_equal(descriptors(), before);
}

/* No more at a time than the bound says, and never longer than the time there is. */
static void test_all_silent(void **state)
{
    (void)state;
    struct place hole = black_hole("127.0.0.1");
    struct addr addrs[RACE_ADDRS_MAX];
    size_t before = descriptors(), most = 0;
    uint64_t began = clock_mono_ms();
    for (size_t i = 0; i < RACE_ADDRS_MAX; i++)
        addrs[i] = hole.addr;
    assert_non_null(start(addrs, RACE_ATTEMPTS_MAX, 1200));
    wait_end();
    assert_null(result.conn);
    assert_int_equal(result.err.code, ERR_TIMEOUT);
    assert_int_equal(descriptors(), before);
    assert_in_range(clock_mono_ms() - began, 1100, LONG_MS);
    struct race *race = start(addrs, RACE_ADDRS_MAX, LONG_MS);
    for (uint64_t end = clock_mono_ms() + 7 * RACE_STAGGER_MS; clock_mono_ms() < end; loop_turn(loop, true)) {
        size_t now = descriptors() - before;
        most = now > most ? now : most;
    }
    assert_int_equal(most, RACE_ATTEMPTS_MAX);
    race_cancel(race);
    place_close(&hole);
}

/* More silent addresses than attempts at a time: the good one behind them has its share of the time. */
static void test_good_one_behind_silent_ones(void **state)
{
    (void)state;
    struct place hole = black_hole("127.0.0.1"), good = listen_at("127.0.0.1", 4);
    struct addr addrs[RACE_ATTEMPTS_MAX + 1];
    for (size_t i = 0; i < COUNT(addrs); i++)
        addrs[i] = i < RACE_ATTEMPTS_MAX ? hole.addr : good.addr;
    uint64_t began = clock_mono_ms();
    assert_non_null(start(addrs, COUNT(addrs), 6000));
    wait_end();
    assert_non_null(result.conn);
    assert_in_range(clock_mono_ms() - began, 2500, 5000); /* half of the time is the silent ones' */
    place_close(&hole);
    place_close(&good);
}

static void test_cancelled(void **state)
{
    (void)state;
    struct place hole = black_hole("127.0.0.1");
    struct addr addrs[] = {hole.addr, hole.addr};
    size_t before = descriptors();
    struct race *race = start(addrs, 2, LONG_MS);
    for (uint64_t end = clock_mono_ms() + LONG_MS; descriptors() < before + 2 && clock_mono_ms() < end;)
        loop_turn(loop, true);
    race_cancel(race);
    race_cancel(NULL);
    assert_int_equal(descriptors(), before);
    loop_turn(loop, true);
    assert_int_equal(result.calls, 0);
    place_close(&hole);
}

/* The whole process goes into a network of its own, so this one is the last. */
static void test_host_without_ipv6(void **state)
{
    struct err err;
    (void)state;
    if (!netns_enter() || !netlink_loopback_up(&err) || !netns_write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"))
        skip();
    struct place four = listen_at("127.0.0.1", 4);
    struct addr addrs[] = {four.addr, {.family = ADDR_V6, .bytes = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}, .port = 443}};
    assert_non_null(start(addrs, 2, LONG_MS));
    wait_end();
    assert_non_null(result.conn);
    assert_true(asked(&four));
    conn_close(result.conn);
    result.conn = NULL;
    result.calls = 0;
    assert_non_null(start(&addrs[1], 1, LONG_MS)); /* and that family alone: a plain error */
    wait_end();
    assert_int_equal(result.err.code, ERR_UPSTREAM);
    place_close(&four);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(test_one_family), ROW(test_ipv6_goes_first), ROW(test_black_hole_is_passed),
        ROW(test_silence_alone_is_remembered),
        ROW(test_refused_is_passed_at_once), ROW(test_all_refused), ROW(test_all_silent),
        ROW(test_good_one_behind_silent_ones), ROW(test_cancelled), ROW(test_host_without_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
