/* What a jailed process says on standard error, which is a file of the daemon's: it arrives, and it fills no disk. */
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/loop/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PIECE = 1024 * 1024, BEFORE = 3 * PIECE };

static struct err err;

/* valgrind makes system calls of its own in our name; the jail would kill it. */
static void not_under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");
    if (preload && strstr(preload, "vgpreload"))
        skip();
}

static void test_log_line(void **state)
{
    (void)state;
    not_under_valgrind();
    int status, out[2];
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], STDERR_FILENO);
        log_open("test", LOG_DEBUG);
        if (!jail_enter(JAIL_WORKER, &err))
            _exit(99);
        log_debug("a line with a date"); /* the time zone must not be read now */
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    char line[200] = "";
    assert_true(read(out[0], line, sizeof(line) - 1) > 0);
    assert_non_null(strstr(line, "a line with a date"));
    close(out[0]);
    close(out[1]);
}

/* As long as it is let. */
static _Noreturn void flood(enum jail_profile profile)
{
    static char piece[PIECE];
    if (!jail_enter(profile, &err))
        _exit(99);
    for (size_t done = 0; done < (size_t)JAIL_LOG_BYTES + 4 * PIECE;) {
        ssize_t n = write(STDERR_FILENO, piece, sizeof(piece));
        if (n < 0)
            _exit(errno == EFBIG ? 0 : 98);
        done += (size_t)n;
    }
    _exit(97);
}

/* F03: a worker that was taken over writes the log, and stops where the disk would be full. It is not killed by it. */
static void test_log_is_bounded(void **state)
{
    (void)state;
    not_under_valgrind();
    for (int profile = 0; profile < JAIL_PROFILES; profile++) {
        char path[] = "/tmp/aileron-jail-log.XXXXXX";
        struct stat info;
        int status, fd = mkstemp(path);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, BEFORE), 0); /* what is there counts for nobody */
        pid_t pid = fork();
        if (pid == 0) {
            int log = open(path, O_WRONLY | O_APPEND);
            dup2(log, STDERR_FILENO);
            flood((enum jail_profile)profile);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(fstat(fd, &info), 0);
        close(fd);
        unlink(path);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_int_equal(info.st_size, BEFORE + JAIL_LOG_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_line),
        cmocka_unit_test(test_log_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
