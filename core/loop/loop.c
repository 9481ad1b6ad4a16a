/* The event loop on libevent with epoll: timers, descriptors, signals, and the queue of tasks. It
 * decides nothing about what the descriptors carry. Priorities, threads and bufferevents are not
 * used. */
#include "core/loop/loop.h"
#include "core/base/mem.h"
#include "core/loop/base.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

struct signal_row {
    struct event event;
    int signo;
    loop_signal_fn fn;
    void *arg;
};

struct loop {
    struct event_base *base;
    struct event tasks_event; /* tasks run when it is active: after what is ready now */
    bool inside;              /* the loop has been entered: what posts now is one of its callbacks */
    bool scheduled, running;
    struct event tidy_event;
    struct task *first, *last;
    struct task fence; /* stands behind what runs in this round */
    struct signal_row signals[LOOP_SIGNALS_MAX];
    size_t signal_count;
};

/* ---- tasks ---- */

static void unlink_task(struct task *task)
{
    struct loop *loop = task->loop;
    if (task->prev)
        task->prev->next = task->next;
    else
        loop->first = task->next;
    if (task->next)
        task->next->prev = task->prev;
    else
        loop->last = task->prev;
    task->next = task->prev = NULL;
    task->queued = false;
}

static void run_task(struct task *task)
{
    loop_fn fn = task->fn;
    void *arg = task->arg;
    unlink_task(task);
    if (task->heap)
        free(task);
    fn(arg); /* may free what the task was embedded in */
}

/* Runs what was queued before now; what these tasks post waits for the next round. */
static void run_round(struct loop *loop)
{
    struct task *fence = &loop->fence;
    fence->queued = true;
    fence->prev = loop->last;
    if (loop->last)
        loop->last->next = fence;
    else
        loop->first = fence;
    loop->last = fence;
    while (loop->first != fence)
        run_task(loop->first);
    unlink_task(fence);
}

/* From a callback: behind those that are due already. From outside: once the kernel has said what is ready. */
static void schedule(struct loop *loop)
{
    static const struct timeval now = {0, 0};
    if (loop->scheduled)
        return;
    loop->scheduled = true;
    if (loop->inside && !loop->running)
        event_active(&loop->tasks_event, EV_TIMEOUT, 0);
    else
        event_add(&loop->tasks_event, &now);
}

/* A few rounds, since most of what a task posts is the next step of the same work and to ask the kernel between them
 * finds nothing. A task which posts itself again and again lets descriptors and timers have their turn. */
static void on_tasks(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;
    (void)fd;
    (void)what;
    loop->scheduled = false;
    loop->running = true;
    for (int round = 0; round < LOOP_TASK_ROUNDS && loop->first; round++)
        run_round(loop);
    if (loop->first)
        schedule(loop);
    loop->running = false;
}

void task_init(struct task *task, struct loop *loop, loop_fn fn, void *arg)
{
    *task = (struct task){.loop = loop, .fn = fn, .arg = arg};
}

void task_post(struct task *task)
{
    struct loop *loop = task->loop;
    if (task->queued)
        return;
    task->queued = true;
    task->prev = loop->last;
    if (loop->last)
        loop->last->next = task;
    else
        loop->first = task;
    loop->last = task;
    if (!loop->running)
        schedule(loop);
}

void task_cancel(struct task *task)
{
    if (task->queued)
        unlink_task(task);
}

bool task_posted(const struct task *task)
{
    return task->queued;
}

void loop_defer(struct loop *loop, loop_fn fn, void *arg)
{
    struct task *task = mem_alloc(sizeof(*task));
    task_init(task, loop, fn, arg);
    task->heap = true;
    task_post(task);
}

/* ---- memory ---- */

/* What is freed amid the heap stays with the process unless it is asked for: two thousand idle tunnels kept twice of
 * what they used. */
static void on_tidy(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    malloc_trim(0);
}

void loop_tidy(struct loop *loop)
{
    static const struct timeval later = {LOOP_TIDY_S, 0};
    if (!event_pending(&loop->tidy_event, EV_TIMEOUT, NULL))
        event_add(&loop->tidy_event, &later);
}

/* ---- the loop ---- */

static void on_library_log(int severity, const char *text)
{
    (void)severity;
    (void)text; /* errors come back as results; libevent's own text could quote a peer's bytes */
}

struct loop *loop_new(struct err *err)
{
    event_set_log_callback(on_library_log);
    struct event_config *config = event_config_new();
    if (!config) {
        err_set(err, ERR_INTERNAL, "cannot start an event loop: out of memory");
        return NULL;
    }
    event_config_require_features(config, EV_FEATURE_O1);
    event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    if (!base) {
        err_errno(err, ERR_INTERNAL, errno, "cannot start an event loop");
        err_hint(err, "Look at the limit of open files (ulimit -n)");
        return NULL;
    }
    struct loop *loop = mem_alloc(sizeof(*loop));
    loop->base = base;
    loop->fence.loop = loop;
    event_assign(&loop->tasks_event, base, -1, 0, on_tasks, loop);
    event_assign(&loop->tidy_event, base, -1, 0, on_tidy, loop);
    return loop;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    /* Only what nobody else will free: embedded tasks belong to owners that may be gone already. A
     * deferred call may defer another, so until there is none; the bound stops one that always
     * does. */
    for (int round = 0; round < 1000; round++) {
        struct task *task = loop->first;
        while (task && !task->heap)
            task = task->next;
        if (!task)
            break;
        run_task(task);
    }
    event_del(&loop->tasks_event);
    event_del(&loop->tidy_event);
    for (size_t i = 0; i < loop->signal_count; i++)
        event_del(&loop->signals[i].event);
    event_base_free(loop->base);
    free(loop);
}

void loop_run(struct loop *loop)
{
    loop->inside = true;
    event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
    loop->inside = false;
}

void loop_turn(struct loop *loop, bool wait)
{
    loop->inside = true;
    event_base_loop(loop->base, wait ? EVLOOP_ONCE : EVLOOP_NONBLOCK);
    loop->inside = false;
}

void loop_stop(struct loop *loop)
{
    event_base_loopbreak(loop->base);
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

/* ---- timers ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct timer *timer = arg;
    (void)fd;
    (void)what;
    timer->fn(timer->arg);
}

void timer_init(struct timer *timer, struct loop *loop, loop_fn fn, void *arg)
{
    *timer = (struct timer){.fn = fn, .arg = arg};
    event_assign(&timer->event, loop->base, -1, 0, on_timer, timer);
}

void timer_start(struct timer *timer, uint64_t ms)
{
    struct timeval delay = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    event_add(&timer->event, &delay);
}

void timer_stop(struct timer *timer)
{
    event_del(&timer->event);
}

bool timer_running(const struct timer *timer)
{
    return event_pending(&timer->event, EV_TIMEOUT, NULL) != 0;
}

/* ---- descriptors ---- */

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    struct watch *watch = arg;
    (void)fd;
    watch->fn(watch->arg, what & EV_READ ? WATCH_READ : WATCH_WRITE);
}

void watch_init(struct watch *watch, struct loop *loop, int fd, watch_fn fn, void *arg)
{
    *watch = (struct watch){.fn = fn, .arg = arg};
    event_assign(&watch->read, loop->base, fd, EV_READ | EV_PERSIST, on_watch, watch);
    event_assign(&watch->write, loop->base, fd, EV_WRITE | EV_PERSIST, on_watch, watch);
}

bool watch_set(struct watch *watch, unsigned interest)
{
    unsigned change = interest ^ watch->interest;
    bool done = true;
    /* Additions first: dropping the last interest would take the descriptor out of the kernel's
     * set. */
    if (change & interest & WATCH_READ)
        done = event_add(&watch->read, NULL) == 0 && done;
    if (change & interest & WATCH_WRITE)
        done = event_add(&watch->write, NULL) == 0 && done;
    if (change & ~interest & WATCH_READ)
        event_del(&watch->read);
    if (change & ~interest & WATCH_WRITE)
        event_del(&watch->write);
    watch->interest = interest;
    return done;
}

void watch_stop(struct watch *watch)
{
    watch_set(watch, WATCH_NONE);
}

/* ---- signals ---- */

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
    struct signal_row *row = arg;
    (void)what;
    row->fn((int)signo, row->arg);
}

bool loop_on_signal(struct loop *loop, int signo, loop_signal_fn fn, void *arg, struct err *err)
{
    assert(loop->signal_count < LOOP_SIGNALS_MAX);
    struct signal_row *row = &loop->signals[loop->signal_count];
    *row = (struct signal_row){.signo = signo, .fn = fn, .arg = arg};
    event_assign(&row->event, loop->base, signo, EV_SIGNAL | EV_PERSIST, on_signal, row);
    if (event_add(&row->event, NULL) != 0)
        return err_errno(err, ERR_INTERNAL, errno, "cannot watch signal %d", signo);
    loop->signal_count++;
    return true;
}
