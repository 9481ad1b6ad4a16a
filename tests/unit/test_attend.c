/* The launcher's loop, with a process that is engine and supervisor at once: it has the other end of control channel
 * and the daemon's connection. Its exit status is what it has seen. Real ones are e2e/life_bwrap.bats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/id.h"
#include "core/sandbox/attend.h"
#include "core/sandbox/signals.h"
#include "core/sandbox/guard.h"
#include "core/sandbox/supervisor.h"
#include "core/sandbox/tty.h"

enum { PAST_SIZE_AGAIN_MS = 1300, HEARS_MS = 10000, HEARD_NOTHING = 99 };

struct ends {
    int control, hold;
};
typedef int (*sandbox_fn)(struct ends *ends, const char *word);

static volatile sig_atomic_t sizes_told;

static void on_winch(int signo)
{
    (void)signo;
    sizes_told++;
}

static int count_gone(void *arg)
{
    ++*(int *)arg;
    return -1;
}

/* What attend_run returns, with the sandbox in a child. */
static int run(sandbox_fn sandbox, const char *word, bool with_tty, int *gone)
{
    struct tty tty = {.fd = -1, .out = -1, .master = -1, .slave = -1};
    struct feed feed;
    struct guard guard;
    struct err err = {0};
    int control[2], hold[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, hold), 0);
    assert_true(!with_tty || tty_open(&tty, -1, false, &err));
    tty.fd = with_tty ? dup(tty.slave) : -1; /* the user's */
    signal(SIGWINCH, on_winch);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct ends ends = {.control = control[1], .hold = hold[1]};
        close(control[0]);
        close(hold[0]);
        _exit(sandbox(&ends, word));
    }
    close(control[1]);
    close(hold[1]);
    feed_init(&feed);
    guard_start(&guard, -1);
    assert_true(signals_block(&err));
    struct attend attend = {.child = child, .tty = with_tty ? &tty : NULL, .guard = &guard, .feed = &feed,
                            .control_fd = control[0], .control_listen_fd = -1, .hold_fd = hold[0],
                            .daemon_gone = count_gone, .arg = gone, .starter_fd = -1};
    int status = attend_run(&attend);
    guard_stop(&guard);
    tty_close(&tty);
    if (with_tty)
        close(tty.fd);
    close(control[0]);
    close(hold[0]);
    return status;
}

static void say(int fd, const char *what)
{
    if (send(fd, what, strlen(what), MSG_NOSIGNAL) != (ssize_t)strlen(what))
        _exit(HEARD_NOTHING);
}

/* An engine's client that is told of a size when its container has been removed may forget the status. */
static int ends_at_once(struct ends *ends, const char *word)
{
    uint64_t until = clock_mono_ms() + PAST_SIZE_AGAIN_MS, now;

    say(ends->control, word);
    while ((now = clock_mono_ms()) < until)
        poll(NULL, 0, (int)(until - now));
    return (int)sizes_told;
}

static void test_no_size_is_told_after_the_end(void **state)
{
    static const char word[] = {SUPERVISOR_RUNNING, SUPERVISOR_ENDED, '\0'};
    int gone = 0;

    (void)state;
    assert_true(run(ends_at_once, word, true, &gone) <= 1);
}

/* The daemon goes with this word; then the supervisor is to be told to look. */
static int hears_look(struct ends *ends, const char *word)
{
    struct pollfd wait = {.fd = ends->control, .events = POLLIN};
    uint8_t byte = 0;

    say(ends->hold, word);
    close(ends->hold);
    if (poll(&wait, 1, HEARS_MS) != 1 || recv(ends->control, &byte, 1, 0) != 1)
        return HEARD_NOTHING;
    return byte == SUPERVISOR_LOOK ? 0 : HEARD_NOTHING;
}

/* The daemon may have been stopped since: whoever asks for it starts it. */
static void test_the_daemon_of_a_session_that_ended_is_not_asked_for(void **state)
{
    int gone = 0;

    (void)state;
    assert_int_equal(run(hears_look, "e\r\n{\"held\":true}\n\r\n10\r\n{\"ended\":true}\n\r\n", false, &gone), 0);
    assert_int_equal(gone, 0);
}

static void test_the_daemon_of_a_session_that_goes_on_is(void **state)
{
    int gone = 0;

    (void)state;
    assert_int_equal(run(hears_look, "e\r\n{\"held\":true}\n\r\n", false, &gone), 0);
    assert_int_equal(gone, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_size_is_told_after_the_end),
        cmocka_unit_test(test_the_daemon_of_a_session_that_ended_is_not_asked_for),
        cmocka_unit_test(test_the_daemon_of_a_session_that_goes_on_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
