/* The event loop of a process: timers, signals, descriptors and deferred calls on one libevent base
 * (epoll).
 *
 * One loop a process, made before jail_enter. Every callback runs on the loop's own stack, one
 * after another; none is called from within the function that asked for it. Embedded structs
 * (timer, watch, task) belong to their owner, must not move while in use, and are stopped before
 * their memory goes; stopping is allowed anywhere, also in their own callback, and after it the
 * callback does not come. What a callback works on is freed by loop_defer or a task, never inside
 * the callback. */
#ifndef AILERON_LOOP_LOOP_H
#define AILERON_LOOP_LOOP_H

#include "core/base/err.h"
#include <event2/event_struct.h>

struct loop;
typedef void (*loop_fn)(void *arg);

struct loop *loop_new(struct err *err) MUSTUSE NONNULL;
/* Runs nothing any more but what loop_defer has queued (so that owners' memory is freed). NULL is
 * fine. */
void loop_free(struct loop *loop);
/* Until loop_stop, also where nothing is being watched. */
void loop_run(struct loop *loop) NONNULL;
/* One round: what is ready now; wait: at least one event first. For tests and programs with a loop
 * of their own. */
void loop_turn(struct loop *loop, bool wait) NONNULL;
void loop_stop(struct loop *loop) NONNULL; /* after the callback that called it */

/* Memory was freed that may not be needed soon: LOOP_TIDY_S later the holes that it left go back to the system. */
enum { LOOP_TIDY_S = 5 };
void loop_tidy(struct loop *loop) NONNULL;

/* ---- tasks: a call soon, in the order of posting, and never from within the call that posts it ----
 * What tasks post runs in the round after theirs, LOOP_TASK_ROUNDS in a row; then it is the turn of descriptors and
 * timers, however much more is posted. */
enum { LOOP_TASK_ROUNDS = 4 };
struct task {
    struct loop *loop;
    loop_fn fn;
    void *arg;
    struct task *next, *prev; /* in the queue; NULL while not queued */
    bool queued;
    bool heap; /* made by loop_defer */
};
void task_init(struct task *task, struct loop *loop, loop_fn fn, void *arg) NONNULL_AT(1, 2, 3);
void task_post(struct task *task) NONNULL; /* once, however often it is posted before it runs */
void task_cancel(struct task *task) NONNULL;
bool task_posted(const struct task *task) NONNULL;
/* The same without a struct; cannot be cancelled. Runs in loop_free at the latest. */
void loop_defer(struct loop *loop, loop_fn fn, void *arg) NONNULL_AT(1, 2);

/* ---- timers: once, unless started again ---- */
struct timer {
    struct event event;
    loop_fn fn;
    void *arg;
};
void timer_init(struct timer *timer, struct loop *loop, loop_fn fn, void *arg) NONNULL_AT(1, 2, 3);
/* From now; an earlier start is forgotten. */
void timer_start(struct timer *timer, uint64_t ms) NONNULL;
void timer_stop(struct timer *timer) NONNULL; /* also on one that is not running */
bool timer_running(const struct timer *timer) NONNULL;

/* ---- descriptors: level-triggered ---- */
enum watch_interest { WATCH_NONE = 0, WATCH_READ = 1, WATCH_WRITE = 2 };
/* ready: WATCH_READ, WATCH_WRITE or both (both are called one after the other). */
typedef void (*watch_fn)(void *arg, unsigned ready);
struct watch {
    struct event read, write;
    watch_fn fn;
    void *arg;
    unsigned interest;
};
/* The descriptor stays the owner's and is nonblocking. */
void watch_init(struct watch *watch, struct loop *loop, int fd, watch_fn fn, void *arg)
    NONNULL_AT(1, 2, 4);
/* interest: an or of enum watch_interest. False: the kernel refuses the descriptor (a regular file,
 * no memory). */
bool watch_set(struct watch *watch, unsigned interest) NONNULL;
void watch_stop(struct watch *watch) NONNULL; /* before the descriptor is closed */

/* ---- signals ---- */
typedef void (*loop_signal_fn)(int signo, void *arg);
enum { LOOP_SIGNALS_MAX = 16 };
/* Called in the loop, not in the handler. Until loop_free. */
bool loop_on_signal(struct loop *loop, int signo, loop_signal_fn fn, void *arg,
                    struct err *err) MUSTUSE NONNULL_AT(1, 3, 5);

#endif
