/* The event loop: tasks, timers, descriptors, signals, listeners, and what may be done inside a
 * callback. */
#include "core/loop/listen.h"
#include "core/loop/loop.h"
#include "core/loop/queue.h"
#include "core/loop/versions.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;
static struct err err;

static int setup(void **state)
{
    (void)state;
    loop = loop_new(&err);
    return loop ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

static char order[64];
static void note(void *arg)
{
    strncat(order, arg, sizeof(order) - strlen(order) - 1);
}

static struct task again;
static int again_count;
static void post_again(void *arg)
{
    (void)arg;
    again_count++;
    task_post(&again);
}

static void test_tasks(void **state)
{
    (void)state;
    struct task a, b, cancelled;
    char letters[] = "a\0b\0x\0d";
    order[0] = '\0';
    task_init(&a, loop, note, &letters[0]);
    task_init(&b, loop, note, &letters[2]);
    task_init(&cancelled, loop, note, &letters[4]);
    task_post(&a);
    task_post(&b);
    task_post(&a); /* once */
    task_post(&cancelled);
    loop_defer(loop, note, &letters[6]);
    task_cancel(&cancelled);
    assert_string_equal(order, ""); /* never from within the call */
    loop_turn(loop, true);
    assert_string_equal(order, "abd");

    /* One that always posts itself has its rounds, and no more in one turn. */
    task_init(&again, loop, post_again, NULL);
    again_count = 0;
    task_post(&again);
    loop_turn(loop, true);
    assert_int_equal(again_count, LOOP_TASK_ROUNDS);
    loop_turn(loop, true);
    assert_int_equal(again_count, 2 * LOOP_TASK_ROUNDS);
    task_cancel(&again);
}

static void count_ready(void *arg, unsigned ready)
{
    (void)ready;
    (*(int *)arg)++;
}

static void test_tasks_leave_descriptors_their_turn(void **state)
{
    (void)state;
    struct watch watch;
    struct timer timer;
    char letter[] = "t";
    int fds[2], seen = 0;
    order[0] = '\0';
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    watch_init(&watch, loop, fds[0], count_ready, &seen);
    assert_true(watch_set(&watch, WATCH_READ));
    timer_init(&timer, loop, note, letter);
    timer_start(&timer, 1);
    task_init(&again, loop, post_again, NULL);
    again_count = 0;
    task_post(&again);
    for (int i = 0; i < 1000 && order[0] == '\0'; i++) {
        loop_turn(loop, true);
        usleep(100);
    }
    assert_string_equal(order, "t");
    assert_true(seen > 0 && seen >= again_count / LOOP_TASK_ROUNDS - 1);
    task_cancel(&again);
    watch_stop(&watch);
    close(fds[0]);
    close(fds[1]);
}

static struct task victim;
static void cancel_victim(void *arg)
{
    (void)arg;
    task_cancel(&victim);
}

static void test_task_cancelled_by_another(void **state)
{
    (void)state;
    struct task killer;
    char letter[] = "x";
    order[0] = '\0';
    task_init(&killer, loop, cancel_victim, NULL);
    task_init(&victim, loop, note, letter);
    task_post(&killer);
    task_post(&victim);
    loop_turn(loop, true);
    loop_turn(loop, false);
    assert_string_equal(order, "");
}

static void test_deferred_runs_at_the_end(void **state)
{
    (void)state;
    struct loop *other = loop_new(&err);
    char letter[] = "z";
    order[0] = '\0';
    loop_defer(other, note, letter);
    loop_free(other);
    assert_string_equal(order, "z");
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop(loop);
}

static void test_timers(void **state)
{
    (void)state;
    struct timer soon, later, stopped;
    char letters[] = "s\0n";
    order[0] = '\0';
    timer_init(&soon, loop, note, &letters[0]);
    timer_init(&stopped, loop, note, &letters[2]);
    timer_init(&later, loop, stop, NULL);
    timer_start(&later, 40);
    timer_start(&soon, 5);
    timer_start(&stopped, 5);
    assert_true(timer_running(&soon));
    timer_stop(&stopped);
    assert_false(timer_running(&stopped));
    loop_run(loop);
    assert_string_equal(order, "s");
    assert_false(timer_running(&soon)); /* once */
}

struct seen {
    struct watch watch;
    int fd, reads, writes;
};
static void on_ready(void *arg, unsigned ready)
{
    struct seen *seen = arg;
    char byte;
    if (ready & WATCH_READ) {
        seen->reads++;
        assert_int_equal(read(seen->fd, &byte, 1), 1);
    }
    if (ready & WATCH_WRITE) {
        seen->writes++;
        watch_set(&seen->watch, WATCH_READ);
    }
}

static void test_watch(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct seen seen = {.fd = fds[0]};
    watch_init(&seen.watch, loop, fds[0], on_ready, &seen);
    assert_true(watch_set(&seen.watch, WATCH_READ | WATCH_WRITE));
    assert_int_equal(write(fds[1], "xy", 2), 2);
    loop_turn(loop, true);
    assert_int_equal(seen.reads, 1);
    assert_int_equal(seen.writes, 1);
    loop_turn(loop, true); /* level-triggered: the second byte is still there */
    assert_int_equal(seen.reads, 2);
    assert_int_equal(seen.writes, 1);
    assert_int_equal(write(fds[1], "z", 1), 1);
    watch_stop(&seen.watch);
    loop_turn(loop, false);
    assert_int_equal(seen.reads, 2);
    close(fds[0]);
    close(fds[1]);
}

static void test_watch_refused(void **state)
{
    (void)state;
    struct seen seen = {0};
    FILE *file = tmpfile();
    watch_init(&seen.watch, loop, fileno(file), on_ready, &seen);
    assert_false(watch_set(&seen.watch, WATCH_READ)); /* epoll knows no regular files */
    watch_stop(&seen.watch);
    fclose(file);
}

static int signals_seen;
static void on_signal(int signo, void *arg)
{
    (void)arg;
    assert_int_equal(signo, SIGUSR1);
    signals_seen++;
    loop_stop(loop);
}

static void test_signals(void **state)
{
    (void)state;
    assert_true(loop_on_signal(loop, SIGUSR1, on_signal, NULL, &err));
    raise(SIGUSR1);
    assert_int_equal(signals_seen, 0); /* not in the handler */
    loop_run(loop);
    assert_int_equal(signals_seen, 1);
}

/* ---- listeners ---- */

static int accepted[8], accepted_count;
static void on_accept(void *arg, int fd)
{
    (void)arg;
    accepted[accepted_count++] = fd;
}

static int listen_somewhere(struct sockaddr_un *address, socklen_t *len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    /* An abstract name that the kernel chooses. */
    assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof(sa_family_t)), 0);
    *len = sizeof(*address);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static int reach(const struct sockaddr_un *address, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)address, len), 0);
    return fd;
}

static void test_listener(void **state)
{
    (void)state;
    struct sockaddr_un address;
    socklen_t len;
    int server = listen_somewhere(&address, &len);
    struct listener *listener = listener_new(loop, server, on_accept, NULL, &err);
    assert_non_null(listener);
    accepted_count = 0;
    int a = reach(&address, len), b = reach(&address, len);
    loop_turn(loop, true);
    assert_int_equal(accepted_count, 2);

    listener_pause(listener, true);
    int c = reach(&address, len);
    loop_turn(loop, false);
    assert_int_equal(accepted_count, 2);
    listener_pause(listener, false);
    loop_turn(loop, true);
    assert_int_equal(accepted_count, 3);

    /* F06: out of descriptors it waits, and recovers by itself. */
    struct rlimit before, now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int d = reach(&address, len);
    now = before;
    now.rlim_cur = (rlim_t)d + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    loop_turn(loop, true);
    assert_int_equal(accepted_count, 3);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    loop_turn(loop, true); /* the timer; valgrind loses the connection that met the limit */
    int e = reach(&address, len);
    for (int i = 0; i < 3 && accepted_count < 4; i++)
        loop_turn(loop, true);
    assert_in_range(accepted_count, 4, 5);

    listener_free(listener);
    int all[] = {a, b, c, d, e, server};
    for (size_t i = 0; i < COUNT(all); i++)
        close(all[i]);
    for (int i = 0; i < accepted_count; i++)
        close(accepted[i]);
}

/* ---- the byte queue ---- */

static void test_queue(void **state)
{
    (void)state;
    struct queue queue;
    uint8_t in = 0, out = 0;
    queue_init(&queue, 1000);
    srand(1);
    for (int round = 0; round < 20000; round++) {
        uint8_t chunk[400];
        size_t add = (size_t)rand() % sizeof(chunk);
        if (add > queue_room(&queue))
            add = queue_room(&queue);
        for (size_t i = 0; i < add; i++)
            chunk[i] = in++;
        queue_add(&queue, chunk, add);
        size_t take = (size_t)rand() % (queue.len + 1);
        struct span have = queue_peek(&queue);
        for (size_t i = 0; i < take; i++)
            assert_int_equal((uint8_t)have.p[i], out++);
        queue_take(&queue, take);
        assert_true(queue.cap <= 1250);
    }
    queue_take(&queue, queue.len);
    assert_null(queue.data); /* empty: holds nothing */
    uint8_t *space = queue_space(&queue, 1000);
    memset(space, 'x', 1000);
    queue_added(&queue, 1000);
    assert_int_equal(queue_room(&queue), 0);
    queue_clear(&queue);
}

static void test_versions(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 100);
    assert_true(loop_versions(&text));
    assert_non_null(strstr(buf_cstr(&text), "libevent 2."));
    assert_non_null(strstr(buf_cstr(&text), ", libseccomp 2."));
    buf_clear(&text);
    buf_init(&text, 5);
    assert_false(loop_versions(&text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tasks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tasks_leave_descriptors_their_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_task_cancelled_by_another, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deferred_runs_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watch_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listener, setup, teardown),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
