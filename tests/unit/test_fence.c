/* The fence check in namespaces with and without a hole (threat E11), and loopback's set-up. */
#include "core/sandbox/fence.h"

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/proc.h"
#include "core/sandbox/netlink.h"
#include "tests/unit/netns.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool have_netns;

static int set_up(void **state)
{
    (void)state;
    have_netns = netns_enter();
    return 0;
}

static bool ip(const char *line)
{
    char *argv[16] = {NULL}, *copy = mem_strdup(line), *rest = copy;
    struct buf out;
    struct err err = {0};
    int status = -1;

    for (size_t i = 0; i < COUNT(argv) - 1 && (argv[i] = strsep(&rest, " ")) != NULL; i++)
        ;
    bool good = proc_capture(argv, 4096, &out, &status, 10000, &err) && status == 0;
    if (err.code == ERR_NONE)
        buf_clear(&out);
    free(copy);
    return good;
}

static bool can_bind(const char *address)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET, address, &at.sin_addr);
    bool good = bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
    close(fd);
    return good;
}

static void test_loopback(void **state)
{
    struct err err = {0};
    char name[32] = "x";

    (void)state;
    if (!have_netns)
        skip();
    assert_true(netlink_loopback_up(&err));
    assert_true(netlink_loopback_up(&err)); /* again is fine */
    assert_true(netlink_loopback_address(htonl(0x7f400001), 10, &err));
    assert_true(netlink_loopback_address(htonl(0x7f400001), 10, &err));
    assert_true(can_bind("127.64.0.1"));
    assert_true(netlink_foreign_interface(name, &err));
    assert_string_equal(name, "");
}

static void test_whole_fence(void **state)
{
    struct err err = {0};

    (void)state;
    if (!have_netns)
        skip();
    if (!fence_check_outside(&err))
        fail_msg("%s", err.message);
}

/* Routes without an interface of their own: only the probes see them. */
static void test_route_is_a_hole(void **state)
{
    static const char *const routes[][2] = {
        {"ip route add 1.1.1.1/32 dev lo", "1.1.1.1"},
        {"ip route add 169.254.169.254/32 dev lo", "metadata"},
        {"ip route add 8.8.8.8/32 dev lo", "8.8.8.8"},
        {"ip route add default dev lo", "hole"},
    };

    (void)state;
    if (!have_netns || !ip("ip link show lo"))
        skip();
    for (size_t i = 0; i < COUNT(routes); i++) {
        struct err err = {0};
        AUTOFREE char *undo = mem_printf("ip route del %s", routes[i][0] + strlen("ip route add "));
        assert_true(ip(routes[i][0]));
        assert_false(fence_check_outside(&err));
        assert_int_equal(err.code, ERR_LAUNCH);
        assert_non_null(strstr(err.message, routes[i][1]));
        assert_true(ip(undo));
    }
    test_whole_fence(state);
}

static void test_interface_is_a_hole(void **state)
{
    struct err err = {0};

    (void)state;
    if (!have_netns || (!ip("ip link add hole0 type dummy") && !ip("ip link add hole0 type veth peer hole1")))
        skip();
    assert_true(fence_check_outside(&err)); /* down: nothing leaves by it */
    assert_true(ip("ip link set hole0 up"));
    assert_false(fence_check_outside(&err));
    assert_non_null(strstr(err.message, "hole0"));
    assert_true(ip("ip link del hole0"));
    assert_true(fence_check_outside(&err));
}

/* A daemon that gives this answer, to as many as ask. */
static pid_t serve(const char *path, const char *answer)
{
    struct err err = {0};
    int fd = proc_unix_listen(path, 0600, &err);
    pid_t pid = fork();

    assert_true(fd >= 0);
    if (pid != 0) {
        close(fd);
        return pid;
    }
    fcntl(fd, F_SETFL, 0);
    for (;;) {
        char request[1024];
        int one = accept(fd, NULL, NULL);
        ssize_t n = read(one, request, sizeof(request) - 1);
        request[n > 0 ? n : 0] = '\0';
        if (strncmp(request, "AILERON tok api\r\nGET /v1/session HTTP/1.1\r\n", 43) != 0)
            answer = "HTTP/1.1 400 Bad\r\n\r\n";
        (void)!write(one, answer, strlen(answer));
        close(one);
    }
}

static bool ask(const char *path, const char *answer, struct err *err)
{
    pid_t pid = serve(path, answer);
    bool good = fence_check_daemon(path, "tok", err);

    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return good;
}

static void test_daemon(void **state)
{
    char dir[] = "/tmp/fence.XXXXXX";
    struct err err = {0};

    (void)state;
    assert_non_null(mkdtemp(dir));
    AUTOFREE char *path = mem_printf("%s/s", dir);
    assert_true(ask(path, "HTTP/1.1 200 OK\r\n\r\n{}", &err));
    assert_false(ask(path, "HTTP/1.1 403 Forbidden\r\n\r\n", &err));
    assert_int_equal(err.code, ERR_LAUNCH);
    assert_non_null(strstr(err.message, "403"));
    assert_true(file_remove_tree(dir, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loopback), cmocka_unit_test(test_whole_fence),
        cmocka_unit_test(test_route_is_a_hole), cmocka_unit_test(test_interface_is_a_hole),
        cmocka_unit_test(test_daemon),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
