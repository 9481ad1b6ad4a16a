/* The supervisor as a process: its exit status, what the agent gets and does not get, signals, the session's end. It
 * runs in a network namespace of its own, as a child that may give up what it has. */
#include "core/sandbox/supervisor.h"

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/base/proc.h"
#include "core/sandbox/privilege.h"
#include "tests/unit/netns.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool ready;
static char dir[] = "/tmp/supervisor.XXXXXX";
static char *run_dir, *work, *out_path;
static pid_t daemon_pid;

static void serve(int fd)
{
    char request[1024];
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

    fcntl(fd, F_SETFL, 0);
    for (;;) {
        int one = accept(fd, NULL, NULL);
        size_t len = 0;
        ssize_t n;
        /* All of it: a socket that is closed over unread bytes resets the peer's answer away. */
        while (len < sizeof(request) && (n = read(one, request + len, sizeof(request) - len)) > 0) {
            len += (size_t)n;
            if (memmem(request, len, "\r\n\r\n", 4) == NULL)
                continue;
            (void)!write(one, answer, sizeof(answer) - 1);
            break;
        }
        close(one);
    }
}

static bool make_session(void)
{
    struct err err = {0};
    AUTOFREE char *path = mem_printf("%s/session.sock", run_dir);
    AUTOFREE char *token = mem_printf("%s/token", run_dir);

    if (!file_mkdirs(run_dir, 0755, &err) || !file_write_atomic(token, 0644, "tok\n", 4, &err))
        return false;
    int fd = proc_unix_listen(path, 0666, &err);
    if (fd < 0)
        return false;
    daemon_pid = fork();
    if (daemon_pid == 0)
        serve(fd);
    close(fd);
    return daemon_pid > 0;
}

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL || chmod(dir, 0755) != 0)
        return -1;
    run_dir = mem_printf("%s/run", dir);
    work = mem_printf("%s/work", dir);
    out_path = mem_printf("%s/out", dir);
    if (!netns_enter())
        return 0;
    if (mkdir(work, 0755) != 0 || chmod(work, 0777) != 0 || !make_session())
        return -1;
    ready = true;
    return 0;
}

static int tear_down(void **state)
{
    struct err err = {0};

    (void)state;
    if (daemon_pid > 0) {
        kill(daemon_pid, SIGKILL);
        waitpid(daemon_pid, NULL, 0);
    }
    free(run_dir);
    free(work);
    free(out_path);
    return file_remove_tree(dir, &err) ? 0 : -1;
}

static int control_fd = -1;

static pid_t start(char *const *command, uid_t uid)
{
    struct supervisor_spec spec = {.command = command, .cwd = work, .have_id = true, .uid = uid, .gid = uid,
                                   .control_fd = control_fd, .run_dir = run_dir};
    pid_t pid = fork();

    if (pid == 0) {
        int fd = open(out_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
        int null = open("/dev/null", O_RDONLY);
        dup2(null, 0);
        dup2(fd, 1);
        dup2(fd, 2);
        setenv("PATH", "/usr/bin:/bin", 1);
        setenv("LEAK", "of-the-image", 1);
        _exit(supervisor_run(&spec));
    }
    return pid;
}

/* The proxy port's listening socket was sent to our daemon, which may not have read that message yet: as long the next
 * supervisor, in the same network namespace, could not have the port. */
static void await_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(3128), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    for (int i = 0; i < 500; i++) {
        int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        bool free_now = bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
        close(fd);
        if (free_now)
            return;
        usleep(10000);
    }
}

static int finish(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    await_port();
    return proc_exit_status(status);
}

static int run_as(uid_t uid, const char *script)
{
    AUTOFREE char *copy = mem_strdup(script);
    char *command[] = {(char[]){"sh"}, (char[]){"-c"}, copy, NULL};

    return finish(start(command, uid));
}

static int run(const char *script)
{
    return run_as(geteuid(), script);
}

static char *output(void)
{
    struct buf text;
    struct err err = {0};

    assert_true(file_read(out_path, 65536, &text, &err));
    char *copy = mem_strdup(buf_cstr(&text));
    buf_clear(&text);
    return copy;
}

static void says(const char *text)
{
    AUTOFREE char *out = output();

    if (strstr(out, text) == NULL)
        fail_msg("\"%s\" is not in: %s", text, out);
}

static void test_exit_status(void **state)
{
    (void)state;
    if (!ready)
        skip();
    assert_int_equal(run("exit 0"), 0);
    assert_int_equal(run("exit 7"), 7);
    assert_int_equal(run("kill -TERM $$"), 143);
    assert_int_equal(run("kill -KILL $$"), 137);
}

/* With what it said, where it ends otherwise. */
static void ends(pid_t pid, int wanted)
{
    int status = finish(pid);

    if (status != wanted) {
        AUTOFREE char *said = output();
        print_error("status %d: %s\n", status, said);
    }
    assert_int_equal(status, wanted);
}

static void test_agent_that_cannot_run(void **state)
{
    char *missing[] = {(char[]){"no-such-command"}, NULL};
    char *not_executable[] = {(char[]){"./data"}, NULL};
    char *no_interpreter[] = {(char[]){"./script"}, NULL};
    AUTOFREE char *data = mem_printf("%s/data", work);
    AUTOFREE char *script = mem_printf("%s/script", work);
    struct err err = {0};

    (void)state;
    if (!ready)
        skip();
    assert_true(file_write_atomic(data, 0644, "x", 1, &err));
    assert_true(file_write_atomic(script, 0755, "#!/no/such/interpreter\n", 23, &err));
    ends(start(missing, geteuid()), 127);
    says("there is no command no-such-command in the sandbox");
    if (getenv("UNDER_VALGRIND") != NULL)
        return; /* it ends the child itself where an exec fails for these reasons */
    ends(start(not_executable, geteuid()), 126);
    ends(start(no_interpreter, geteuid()), 126);
    says("its interpreter is not in the sandbox");
}

static void test_no_privileges(void **state)
{
    (void)state;
    if (!ready)
        skip();
    assert_int_equal(run("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; ls /proc/self/fd | wc -w"), 0);
    says("CapPrm:\t0000000000000000");
    says("CapEff:\t0000000000000000");
    says("CapBnd:\t0000000000000000");
    says("NoNewPrivs:\t1");
    says("Seccomp:\t2");
    says("\n4\n"); /* 0, 1, 2 and what ls opened itself: nothing is inherited */
}

static void test_another_user(void **state)
{
    (void)state;
    if (!ready || geteuid() != 0 || !privilege_uid_mapped(1234))
        skip();
    assert_int_equal(run_as(1234, "id -u; id -g; id -G; touch made"), 0);
    says("1234\n1234\n1234\n");
    /* The supervisor is the agent's parent; its memory and environment are out of reach. */
    assert_int_equal(run_as(1234, "cat /proc/$PPID/environ || exit 9"), 9);
}

static void test_environment(void **state)
{
    (void)state;
    if (!ready)
        skip();
    assert_int_equal(run("env; pwd"), 0);
    says("AILERON_TOKEN=tok\n");
    says("LEAK=of-the-image\n"); /* the image's own variables stay */
    says("https_proxy=http://127.0.0.1:3128\n");
    says("PATH=/opt/aileron/shims:/opt/aileron/bin:/usr/bin:/bin\n");
    says(work);
}

/* Families that know no network namespace, and terminal injection. */
static void test_filter(void **state)
{
    static const char script[] =
        "/usr/bin/python3 -c 'import socket, fcntl, ctypes\n"
        "for family in (40, 38, 17, 31):\n"
        "    try: socket.socket(family, 1); print(\"opened\", family)\n"
        "    except OSError as e: print(\"errno\", e.errno)\n"
        "for family in (1, 2, 10): socket.socket(family, 1).close()\n"
        "try: fcntl.ioctl(0, 0x5412, b\"x\"); print(\"injected\")\n"
        "except OSError as e: print(\"ioctl\", e.errno)\n"
        "print(\"keyctl\", ctypes.CDLL(None, use_errno=True).syscall(250, 0, 0), ctypes.get_errno())\n'";

    (void)state;
    if (!ready || !file_exists("/usr/bin/python3"))
        skip();
    assert_int_equal(run(script), 0);
    says("errno 97\nerrno 97\nerrno 97\nerrno 97\nioctl 1\n");
#ifdef __x86_64__
    says("keyctl -1 1\n");
#endif
}

/* Where the engine's own filter would let it: no user namespace, whichever call is used; processes and threads' calls
 * go on. */
static int more_refused(void)
{
    struct err err = {0};
    uint64_t args[8] = {CLONE_NEWUSER};

    if (!privilege_filter(&err) || !privilege_filter_admin(&err))
        return 1;
    if (unshare(CLONE_NEWUSER) == 0 || errno != EPERM)
        return 2;
    if (syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL) != -1 || errno != EPERM)
        return 3;
    if (syscall(SYS_clone3, args, sizeof args) != -1 || errno != ENOSYS)
        return 4;
    if (syscall(SYS_syslog, 10, NULL, 0) != -1 || errno != EPERM || syscall(SYS_fanotify_init, 0, 0) != -1 ||
        errno != EPERM)
        return 5;
    pid_t pid = fork();
    if (pid == 0)
        _exit(unshare(CLONE_FILES));
    int status = -1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 6;
}

static void test_wide(void **state)
{
    int status = -1;
    pid_t pid = fork();

    (void)state;
    if (pid == 0)
        _exit(more_refused());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(proc_exit_status(status), 0);
}

static void wait_for_output(const char *text)
{
    for (int i = 0; i < 500; i++) {
        AUTOFREE char *out = output();
        if (strstr(out, text) != NULL)
            return;
        usleep(10000);
    }
    fail_msg("%s did not come", text);
}

static void test_signals(void **state)
{
    char *command[] = {(char[]){"sh"}, (char[]){"-c"},
                       (char[]){"trap 'echo got usr1' USR1; trap 'echo got term; exit 5' TERM; echo up;"
                                "while :; do sleep 0.05; done"}, NULL};

    (void)state;
    if (!ready)
        skip();
    pid_t pid = start(command, geteuid());
    wait_for_output("up");
    kill(pid, SIGUSR1);
    wait_for_output("got usr1");
    kill(pid, SIGTERM);
    assert_int_equal(finish(pid), 5);
    says("got term");
}

static void test_orphans_are_reaped(void **state)
{
    (void)state;
    if (!ready)
        skip();
    /* A grandchild whose parent is gone becomes the supervisor's and must not stay a zombie. */
    assert_int_equal(run("sh -c 'sh -c \"exit 3\" & echo $! > orphan' ; sleep 0.3; test ! -e /proc/$(cat orphan)"), 0);
}

static void test_session_end(void **state)
{
    char *command[] = {(char[]){"sh"}, (char[]){"-c"},
                       (char[]){"trap 'exit 4' TERM; echo up; while :; do sleep 0.05; done"}, NULL};
    AUTOFREE char *token = mem_printf("%s/token", run_dir);
    AUTOFREE char *away = mem_printf("%s/away", run_dir);

    (void)state;
    if (!ready)
        skip();
    pid_t pid = start(command, geteuid());
    wait_for_output("up");
    assert_int_equal(rename(token, away), 0);
    assert_int_equal(finish(pid), 4);
    says("the session was ended");
    assert_int_equal(rename(away, token), 0);
}

/* A launcher that knows it says so, and nobody waits for the next look. (A machine may be busy: three tries.) */
static void test_session_end_is_told(void **state)
{
    char *command[] = {(char[]){"sh"}, (char[]){"-c"},
                       (char[]){"trap 'exit 4' TERM; echo up; while :; do sleep 0.05; done"}, NULL};
    AUTOFREE char *token = mem_printf("%s/token", run_dir);
    AUTOFREE char *away = mem_printf("%s/away", run_dir);
    const uint8_t look = SUPERVISOR_LOOK;
    bool at_once = false;

    (void)state;
    if (!ready)
        skip();
    for (int i = 0; i < 3 && !at_once; i++) {
        int ends[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        control_fd = ends[1];
        assert_int_equal(truncate(out_path, 0), 0); /* of the one before */
        uint64_t began = clock_mono_ms();
        pid_t pid = start(command, geteuid());
        close(ends[1]);
        wait_for_output("up");
        assert_int_equal(send(ends[0], &look, 1, MSG_NOSIGNAL), 1); /* it goes on */
        assert_int_equal(rename(token, away), 0);
        assert_int_equal(send(ends[0], &look, 1, MSG_NOSIGNAL), 1);
        assert_int_equal(finish(pid), 4);
        at_once = clock_mono_ms() - began < SUPERVISOR_POLL_MS;
        assert_int_equal(rename(away, token), 0);
        close(ends[0]);
    }
    control_fd = -1;
    says("the session was ended");
    assert_true(at_once);
}

static void test_bad_start(void **state)
{
    char *saved = run_dir, *saved_work = work;

    (void)state;
    if (!ready)
        skip();
    run_dir = mem_strdup("/no/such/directory");
    assert_int_equal(run("exit 0"), 125);
    says("/no/such/directory is not there");
    free(run_dir);
    run_dir = saved;
    work = mem_printf("%s/none", dir);
    assert_int_equal(run("exit 0"), 125);
    free(work);
    work = saved_work;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_status), cmocka_unit_test(test_agent_that_cannot_run),
        cmocka_unit_test(test_no_privileges), cmocka_unit_test(test_another_user),
        cmocka_unit_test(test_environment), cmocka_unit_test(test_filter), cmocka_unit_test(test_wide),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_orphans_are_reaped), cmocka_unit_test(test_session_end),
        cmocka_unit_test(test_session_end_is_told),
        cmocka_unit_test(test_bad_start),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
