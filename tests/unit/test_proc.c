/* core/base/proc: what a child gets and does not get, captures, locks, local sockets. */
#include "core/base/proc.h"

#include "core/base/file.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *dir; /* one a test */

static int setup(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    AUTOFREE char *pattern = file_join(base ? base : "/tmp", "aileron-proc-XXXXXX");
    if (!mkdtemp(pattern))
        return -1;
    dir = mem_strdup(pattern);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    struct err err = {0};
    bool good = file_remove_tree(dir, &err);
    free(dir);
    return good ? 0 : -1;
}

/* argv for a shell script; the words live as long as the test. */
#define SHELL(script) ((char *const[]){shell_name, dash_c, (char[]){script}, NULL})
static char shell_name[] = "/bin/sh", dash_c[] = "-c";

static int run(const struct proc_spec *spec)
{
    struct err err = {0};
    int status;
    pid_t pid = proc_spawn(spec, &err);
    assert_string_equal(err.message, "");
    assert_true(pid > 0);
    assert_true(waitpid(pid, &status, 0) == pid);
    return proc_exit_status(status);
}

static void statuses(void **state)
{
    (void)state;
    assert_int_equal(run(&(struct proc_spec){.path = "/bin/sh", .argv = SHELL("exit 7")}), 7);
    assert_int_equal(run(&(struct proc_spec){.path = "/bin/sh", .argv = SHELL("kill -9 $$")}), 137);
}

static void environment_and_directory(void **state)
{
    (void)state;
    char variable[] = "ONLY=this";
    char *envp[] = {variable, NULL};
    AUTOFREE char *made = file_join(dir, "made");
    const struct proc_spec spec = {.path = "/bin/sh", .cwd = dir, .envp = envp,
                                   .argv = SHELL("test \"$ONLY\" = this && test -z \"$HOME\" && : > made")};
    assert_int_equal(run(&spec), 0);
    assert_true(file_exists(made));
}

/* 3 and 4 change places, 9 is a third, and nothing else but 0, 1, 2 is open (ls has one for the listing). */
static void exactly_these_descriptors(void **state)
{
    (void)state;
    AUTOFREE char *a_path = file_join(dir, "a"), *b_path = file_join(dir, "b");
    int a = open(a_path, O_RDWR | O_CREAT, 0600), b = open(b_path, O_RDWR | O_CREAT, 0600);
    int low_a = a, low_b = b; /* without close-on-exec, so that only the spawn can close them */
    assert_true(a >= 3 && b >= 3);
    for (int i = 0; i < 20; i++)
        assert_true(dup(a) >= 0);
    const struct proc_fd fds[] = {{a, low_b}, {b, low_a}, {b, 99}};
    AUTOFREE char *script = mem_printf("set -e; ls /proc/self/fd > list; echo for-b >&%d; echo for-a >&%d; "
                                       "test -e /proc/self/fd/99; test $(wc -l < list) -eq 7",
                                       low_a, low_b);
    char *argv[] = {shell_name, dash_c, script, NULL};
    const struct proc_spec spec = {.path = "/bin/sh", .argv = argv, .cwd = dir, .fds = fds, .fd_count = 3};
    assert_int_equal(run(&spec), 0);
    struct err err = {0};
    struct buf text;
    assert_true(file_read(a_path, 100, &text, &err));
    assert_string_equal(buf_cstr(&text), "for-a\n");
    buf_clear(&text);
    assert_true(file_read(b_path, 100, &text, &err));
    assert_string_equal(buf_cstr(&text), "for-b\n");
    buf_clear(&text);
    for (int fd = 3; fd < 30; fd++)
        close(fd);
}

static void signals_are_as_new(void **state)
{
    (void)state;
    sigset_t some, before;
    sigemptyset(&some);
    sigaddset(&some, SIGTERM);
    sigprocmask(SIG_BLOCK, &some, &before);
    signal(SIGPIPE, SIG_IGN);
    /* No shell in between: it would clear the mask by itself. */
    char name[] = "grep", whole[] = "-qzP", file[] = "/proc/self/status",
         pattern[] = "\\nSigBlk:\\t0*\\nSigIgn:\\t0*\\n";
    char *argv[] = {name, whole, pattern, file, NULL};
    AUTOFREE char *grep = proc_which("grep", "/usr/bin:/bin");
    assert_non_null(grep);
    assert_int_equal(run(&(struct proc_spec){.path = grep, .argv = argv}), 0);
    signal(SIGPIPE, SIG_DFL);
    sigset_t now;
    sigprocmask(SIG_SETMASK, &before, &now);
    assert_true(sigismember(&now, SIGTERM)); /* ours is as it was */
}

static void failures_are_told(void **state)
{
    (void)state;
    struct err err = {0};
    AUTOFREE char *plain = file_join(dir, "plain"), *script = file_join(dir, "script");
    assert_true(file_write_atomic(plain, 0600, "x", 1, &err));
    assert_true(file_write_atomic(script, 0700, "#!/no/such/shell\n", 17, &err));
    struct proc_spec spec = {.path = "/no/such/program", .argv = SHELL("")};
    assert_true(proc_spawn(&spec, &err) == -1);
    assert_int_equal(err.code, ERR_NOT_FOUND_COMMAND);
    spec.path = plain;
    assert_true(proc_spawn(&spec, &err) == -1);
    assert_int_equal(err.code, ERR_NOT_EXECUTABLE);
    /* valgrind ends the child itself where an exec fails for this reason. */
    const char *preload = getenv("LD_PRELOAD");
    if (!preload || !strstr(preload, "vgpreload")) {
        spec.path = script;
        assert_true(proc_spawn(&spec, &err) == -1);
        assert_int_equal(err.code, ERR_NOT_EXECUTABLE);
        assert_non_null(strstr(err.message, "interpreter"));
    }
    spec = (struct proc_spec){.path = "/bin/sh", .argv = SHELL(""), .cwd = "/no/such/place"};
    assert_true(proc_spawn(&spec, &err) == -1);
    assert_non_null(strstr(err.message, "/no/such/place"));
    const struct proc_fd bad = {-1, 3}, high = {0, 256};
    spec = (struct proc_spec){.path = "/bin/sh", .argv = SHELL(""), .fds = &bad, .fd_count = 1};
    assert_true(proc_spawn(&spec, &err) == -1);
    spec.fds = &high;
    assert_true(proc_spawn(&spec, &err) == -1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left behind */
}

static void session_and_parent(void **state)
{
    (void)state;
    const struct proc_spec spec = {.path = "/bin/sh", .new_session = true,
                                   .argv = SHELL("set -- $(cat /proc/$$/stat); test $1 = $6")};
    assert_int_equal(run(&spec), 0);
    /* A child in between dies; what it started must go with it. The pipe's end tells. */
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t between = fork();
    if (between == 0) {
        struct err err = {0};
        const struct proc_fd out = {ends[1], 1};
        const struct proc_spec sleeper = {.path = "/bin/sh", .argv = SHELL("exec sleep 60"), .fds = &out,
                                          .fd_count = 1, .die_with_parent = true};
        _exit(proc_spawn(&sleeper, &err) > 0 ? 0 : 1);
    }
    close(ends[1]);
    int status;
    assert_true(waitpid(between, &status, 0) == between);
    assert_int_equal(status, 0);
    char byte;
    alarm(20);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    alarm(0);
    close(ends[0]);
}

static void captures(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf out;
    int status;
    assert_true(proc_capture(SHELL("cat; echo text; exit 3"), 100, &out, &status, 10000, &err));
    assert_string_equal(buf_cstr(&out), "text\n");
    assert_int_equal(proc_exit_status(status), 3);
    buf_clear(&out);
    assert_true(proc_capture(SHELL("head -c 100000 /dev/zero"), 100000, &out, &status, 0, &err));
    assert_int_equal(out.len, 100000);
    buf_clear(&out);
    assert_false(proc_capture(SHELL("head -c 100001 /dev/zero"), 100000, &out, &status, 10000, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_null(out.data);
    char missing[] = "no-such-program-anywhere";
    char *argv[] = {missing, NULL};
    assert_false(proc_capture(argv, 10, &out, &status, 0, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND_COMMAND);
}

static void a_capture_ends_in_time(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf out;
    int status;
    time_t before = time(NULL);
    assert_false(proc_capture(SHELL("sleep 60 & sleep 60"), 100, &out, &status, 200, &err));
    assert_int_equal(err.code, ERR_TIMEOUT);
    /* A child that holds the pipe open does not keep us; nor does a closed pipe end the waiting. */
    AUTOFREE char *pid_file = file_join(dir, "pid");
    AUTOFREE char *script = mem_printf("echo on; sleep 30 & echo $! > %s", pid_file);
    char *argv[] = {shell_name, dash_c, script, NULL};
    assert_true(proc_capture(argv, 100, &out, &status, 20000, &err));
    assert_string_equal(buf_cstr(&out), "on\n");
    buf_clear(&out);
    assert_true(proc_capture(SHELL("exec >&-; sleep 0.3; exit 4"), 100, &out, &status, 20000, &err));
    assert_int_equal(proc_exit_status(status), 4);
    assert_true(time(NULL) - before < 15);
    assert_true(file_read(pid_file, 20, &out, &err));
    assert_int_equal(kill((pid_t)strtol(buf_cstr(&out), NULL, 10), SIGKILL), 0);
    buf_clear(&out);
}

static void finds_programs(void **state)
{
    (void)state;
    struct err err = {0};
    AUTOFREE char *program = file_join(dir, "tool"), *plain = file_join(dir, "plain"),
                  *path = mem_printf("/no/such::relative:%s:/bin", dir);
    assert_true(file_write_atomic(program, 0755, "", 0, &err));
    assert_true(file_write_atomic(plain, 0644, "", 0, &err));
    AUTOFREE char *found = proc_which("tool", path), *shell = proc_which("sh", path);
    assert_string_equal(found, program);
    assert_string_equal(shell, "/bin/sh");
    assert_null(proc_which("plain", path));
    assert_null(proc_which("", path));
    assert_null(proc_which(dir, path));
    assert_int_equal(chdir(dir), 0);
    assert_null(proc_which("tool", "::.:relative")); /* never from the current directory */
    AUTOFREE char *itself = proc_which("./tool", "");
    assert_string_equal(itself, "./tool");
    assert_int_equal(chdir("/"), 0);
    AUTOFREE char *self = proc_self_path(&err);
    assert_true(file_exists(self));
}

static void one_holds_a_lock(void **state)
{
    (void)state;
    struct err err = {0};
    AUTOFREE char *path = file_join(dir, "lock"), *nowhere = file_join(dir, "no/lock");
    int fd = proc_lock(path, &err);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(proc_lock(path, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    close(fd);
    fd = proc_lock(path, &err);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(proc_lock(nowhere, &err), -1);
    assert_int_equal(err.code, ERR_IO);
}

static void local_sockets(void **state)
{
    (void)state;
    struct err err = {0};
    struct stat st;
    AUTOFREE char *path = file_join(dir, "control.sock");
    assert_int_equal(proc_unix_connect(path, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    mode_t before = umask(0777);
    int listener = proc_unix_listen(path, 0600, &err);
    umask(before);
    assert_true(listener >= 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    int client = proc_unix_connect(path, &err);
    assert_true(client >= 0);
    assert_true(fcntl(client, F_GETFD) & FD_CLOEXEC);
    pid_t pid;
    uid_t uid;
    assert_true(proc_peer(client, &pid, &uid));
    assert_int_equal(pid, getpid());
    assert_int_equal(uid, geteuid());
    assert_false(proc_peer(-1, &pid, &uid));
    assert_int_equal(proc_unix_listen(path, 0600, &err), -1); /* someone listens */
    assert_int_equal(err.code, ERR_CONFLICT);
    close(client);
    close(listener);
    assert_int_equal(proc_unix_connect(path, &err), -1); /* stale now */
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    listener = proc_unix_listen(path, 0666, &err);
    assert_true(listener >= 0);
    close(listener);
    assert_int_equal(unlink(path), 0);
    assert_true(file_write_atomic(path, 0600, "mine", 4, &err));
    assert_int_equal(proc_unix_listen(path, 0600, &err), -1); /* a file is never removed */
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_true(file_exists(path));
}

static void socket_paths_have_a_bound(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(chdir(dir), 0);
    char path[109];
    memset(path, 'a', sizeof(path));
    path[108] = '\0';
    assert_int_equal(proc_unix_listen(path, 0600, &err), -1);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.hint, "AILERON_HOME"));
    assert_int_equal(proc_unix_connect(path, &err), -1);
    assert_int_equal(err.code, ERR_CONFIG);
    path[107] = '\0';
    int fd = proc_unix_listen(path, 0600, &err);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(proc_unix_listen("", 0600, &err), -1);
    assert_int_equal(chdir("/"), 0);
}

static void flags(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_true(proc_set_cloexec(ends[0], true));
    assert_true(fcntl(ends[0], F_GETFD) & FD_CLOEXEC);
    assert_true(proc_set_cloexec(ends[0], false));
    assert_false(fcntl(ends[0], F_GETFD) & FD_CLOEXEC);
    assert_true(proc_set_nonblock(ends[0]));
    assert_true(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
    close(ends[0]);
    close(ends[1]);
    assert_false(proc_set_cloexec(ends[0], true));
    assert_false(proc_set_nonblock(ends[0]));
}

/* A listener with a connection that nobody accepted, which brings a socket whose close() waits for one that reads
 * nothing and comes with it. */
static void a_close_that_would_wait_is_done_elsewhere(void **state)
{
    static const struct linger patient = {1, 20};
    static const char filler[64 * 1024];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    struct err err = {0};
    char path[256], byte = 'x';
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    struct timespec before, after;
    int status;
    (void)state;
    snprintf(path, sizeof(path), "%s/socket", dir);
    int listener = proc_unix_listen(path, 0600, &err), client = proc_unix_connect(path, &err);
    int tcp = socket(AF_INET, SOCK_STREAM, 0), pair[2] = {socket(AF_INET, SOCK_STREAM, 0), -1};
    assert_int_equal(bind(tcp, (struct sockaddr *)&at, len) + listen(tcp, 1), 0);
    assert_int_equal(getsockname(tcp, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(connect(pair[0], (struct sockaddr *)&at, len), 0);
    pair[1] = accept(tcp, NULL, NULL);
    while (send(pair[0], filler, sizeof(filler), MSG_DONTWAIT) > 0)
        ;
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &patient, sizeof(patient)), 0);
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(pair));
    memcpy(CMSG_DATA(cmsg), pair, sizeof(pair));
    assert_int_equal(sendmsg(client, &msg, 0), 1);
    close(pair[0]);
    close(pair[1]);
    close(tcp);
    close(client);
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_true(proc_close_elsewhere(listener, &err));
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_in_range(after.tv_sec - before.tv_sec, 0, 5);
    assert_true(wait(&status) > 0);
    assert_int_equal(status, 0);
    assert_int_equal(proc_unix_connect(path, &err), -1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(statuses),
        T(environment_and_directory),
        T(exactly_these_descriptors),
        T(signals_are_as_new),
        T(failures_are_told),
        T(session_and_parent),
        T(captures),
        T(a_capture_ends_in_time),
        T(finds_programs),
        T(one_holds_a_lock),
        T(local_sockets),
        T(socket_paths_have_a_bound),
        T(flags),
        T(a_close_that_would_wait_is_done_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
