/* The way to an upstream: both families, addresses that are refused, and the deadlines of connecting. */
#include "plane_world.h"

#include "core/loop/sockaddr.h"
#include "core/plane/dial.h"

static struct world world;
static struct {
    unsigned calls;
    struct conn *conn;
    struct trunk *trunk;
    struct err err;
} result;

static int setup(void **state)
{
    (void)state;
    world = (struct world){.home = ""};
    memset(&result, 0, sizeof(result));
    world_start(&world);
    world_load(&world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    conn_close(result.conn);
    world_stop(&world);
    return 0;
}

static void on_result(void *arg, const struct dial_result *dialed)
{
    (void)arg;
    result.calls++;
    result.conn = dialed->conn;
    result.trunk = dialed->trunk;
    if (dialed->err)
        result.err = *dialed->err;
}

static struct dial *dial_to(const char *name, uint16_t port, bool tls)
{
    struct target_host host;
    struct err err;
    assert_true(target_host_parse(span_of(name), &host, &err));
    struct dial_request request = {.host = &host, .port = port, .tls = tls};
    return dial_start(&world.plane, world.plane.epoch, &request, on_result, NULL);
}

static void wait_result(void)
{
    for (uint64_t end = clock_mono_ms() + 4 * WORLD_MS; result.calls == 0 && clock_mono_ms() < end;)
        world_turn(&world);
    assert_int_equal(result.calls, 1);
}

/* A listener on IPv6's loopback, at the port of the world's upstream, that lets nobody in. */
static void black_hole(int fds[4], uint16_t port)
{
    struct addr addr = {.family = ADDR_V6, .bytes = {[15] = 1}, .port = port};
    struct sockaddr_storage at;
    socklen_t len = sockaddr_from(&addr, &at);
    fds[0] = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fds[0], (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fds[0], 0), 0);
    for (size_t i = 1; i < 4; i++) {
        fds[i] = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(fds[i], (struct sockaddr *)&at, len);
    }
}

static void close_all(const int fds[4])
{
    for (size_t i = 0; i < 4; i++)
        close(fds[i]);
}

static void test_dead_ipv6_is_passed(void **state)
{
    int fds[4];
    (void)state;
    black_hole(fds, world.plain.number);
    assert_non_null(dial_to("both.test", world.plain.number, false));
    wait_result();
    assert_non_null(result.conn);
    assert_non_null(upstream_accept(&world, "u", NULL, NULL));
    close_all(fds);
}

/* E06: the good address is not tried first to see whether it does. */
static void test_one_bad_address_refuses(void **state)
{
    (void)state;
    assert_non_null(dial_to("mixed.test", world.plain.number, false));
    wait_result();
    assert_int_equal(result.err.code, ERR_DENIED);
    assert_non_null(strstr(result.err.message, "fd00::1"));
    world_wait(&world, WORLD_QUIET_MS);
    assert_int_equal(world.plain.accepted, 0);
}

static void with_connect_ms(const char *ms)
{
    world.config = mem_printf("limits: { connect_ms: %s }\n", ms);
    world_load(&world);
}

static void test_connect_deadline(void **state)
{
    int fds[4];
    (void)state;
    with_connect_ms("300");
    black_hole(fds, world.plain.number);
    assert_non_null(dial_to("::1", world.plain.number, false));
    wait_result();
    assert_int_equal(result.err.code, ERR_TIMEOUT);
    assert_non_null(strstr(result.err.message, "cannot reach ::1 port"));
    close_all(fds);
}

/* The upstream takes the connection and says nothing. */
static void test_handshake_deadline(void **state)
{
    (void)state;
    with_connect_ms("300");
    assert_non_null(dial_to("api.test", 443, true));
    wait_result();
    assert_int_equal(world.tls.accepted, 1);
    assert_int_equal(result.err.code, ERR_TIMEOUT);
}

/* What is kept belongs to the rules in force: a request of earlier ones gets none of it. */
static void test_kept_for_the_newest_rules(void **state)
{
    struct target_host host;
    struct err err;
    (void)state;
    assert_true(target_host_parse(SPAN("plain.test"), &host, &err));
    struct epoch *old = epoch_ref(world.plane.epoch);
    world_load(&world);
    assert_non_null(dial_to("plain.test", 80, false));
    wait_result();
    dial_keep(&world.plane, world.plane.epoch, &host, 80, false, result.conn);
    assert_int_equal(pool_count(world.plane.pool), 1);
    result.calls = 0;
    struct dial_request request = {.host = &host, .port = 80};
    assert_non_null(dial_start(&world.plane, old, &request, on_result, NULL));
    wait_result();
    assert_int_equal(pool_count(world.plane.pool), 1);
    dial_keep(&world.plane, old, &host, 80, false, result.conn); /* and leaves none behind */
    assert_int_equal(pool_count(world.plane.pool), 1);
    result.calls = 0;
    assert_non_null(dial_to("plain.test", 80, false));
    assert_int_equal(pool_count(world.plane.pool), 0);
    wait_result();
    epoch_unref(old);
}

static void test_cancelled_in_every_state(void **state)
{
    (void)state;
    for (int turns = 0; turns < 12; turns++) {
        struct dial *dial = dial_to("both.test", world.plain.number, true);
        for (int i = 0; i < turns && result.calls == 0; i++)
            loop_turn(world.plane.loop, false);
        if (result.calls == 0)
            dial_cancel(dial);
        result.calls = 0;
    }
    world_wait(&world, WORLD_QUIET_MS);
    assert_int_equal(result.calls, 0);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(test_dead_ipv6_is_passed), ROW(test_one_bad_address_refuses), ROW(test_connect_deadline),
        ROW(test_handshake_deadline), ROW(test_kept_for_the_newest_rules),
        ROW(test_cancelled_in_every_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
