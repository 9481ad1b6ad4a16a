/* control.sock: so many connections are served at a time; further ones wait until one of them ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/un.h>

#include "core/base/proc.h"
#include "tests/unit/monitor_world.h"

enum { CONNECTIONS = 256 };

static int reach(const struct world *world)
{
    AUTOFREE char *path = file_join(world->home, "run/control.sock");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0 && strlen(path) < sizeof to.sun_path);
    memcpy(to.sun_path, path, strlen(path) + 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void say(int fd)
{
    static const char request[] = "GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n";

    assert_int_equal(write(fd, request, sizeof request - 1), sizeof request - 1);
}

/* Whether something comes in that time. */
static bool answers(int fd, int within_ms)
{
    struct pollfd at = {.fd = fd, .events = POLLIN};
    char text[4096];

    return poll(&at, 1, within_ms) == 1 && recv(fd, text, sizeof text, 0) > 0;
}

static void further_connections_wait(void **state)
{
    struct world *world = *state;
    int fds[CONNECTIONS + 1];

    start_monitor(world); /* it has a connection of the world's own, which is one of them */
    for (size_t i = 1; i < COUNT(fds); i++) {
        fds[i] = reach(world);
        say(fds[i]);
        if (i < CONNECTIONS)
            assert_true(answers(fds[i], ANSWER_MS));
    }
    assert_false(answers(fds[CONNECTIONS], 300));
    close(fds[1]);
    assert_true(answers(fds[CONNECTIONS], ANSWER_MS));
    for (size_t i = 2; i < COUNT(fds); i++)
        close(fds[i]);
}

int main(int argc, char **argv)
{
    monitor_world_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(further_connections_wait, world_setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
