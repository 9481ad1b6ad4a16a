/* Accepts connections in bounded batches. Where the process or the system has no descriptor left it
 * waits a moment; the kernel keeps the connections meanwhile. */
#include "core/loop/listen.h"
#include "core/base/log.h"
#include "core/base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTEN_MAGIC = 0x4c53544e };

struct listener {
    uint32_t magic;
    struct loop *loop;
    int fd;
    struct watch watch;
    struct timer timer;
    listen_fn fn;
    void (*ended)(void *arg); /* NULL: the socket is ours alone */
    void *arg;
    bool paused, freed, starved;
};

static void refresh(struct listener *listener)
{
    bool on = !listener->paused && !listener->starved && !listener->freed;
    watch_set(&listener->watch, on ? WATCH_READ : WATCH_NONE);
}

static void on_timer(void *arg)
{
    struct listener *listener = arg;
    assert(listener->magic == LISTEN_MAGIC);
    listener->starved = false;
    refresh(listener);
}

/* False: stop for now. */
static bool accept_failed(struct listener *listener, int error)
{
    switch (error) {
    case EINTR:
    case ECONNABORTED: /* the client went away while it waited */
    case EPROTO:
        return true;
    case EAGAIN:
        return false;
    case EINVAL: /* shut down */
        if (!listener->ended)
            break;
        listener->paused = true;
        refresh(listener);
        listener->ended(listener->arg);
        return false;
    default:
        break;
    }
    log_warn("cannot accept a connection, waiting errno=%d", error);
    listener->starved = true;
    timer_start(&listener->timer, LISTEN_PAUSE_MS);
    refresh(listener);
    return false;
}

static void on_watch(void *arg, unsigned ready)
{
    struct listener *listener = arg;
    (void)ready;
    assert(listener->magic == LISTEN_MAGIC);
    for (int count = 0; count < LISTEN_BATCH && !listener->paused && !listener->freed; count++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            listener->fn(listener->arg, fd);
        else if (!accept_failed(listener, errno))
            break;
    }
}

struct listener *listener_new(struct loop *loop, int listen_fd, listen_fn fn, void *arg,
                              struct err *err)
{
    if (fcntl(listen_fd, F_SETFL, O_NONBLOCK) != 0) {
        err_errno(err, ERR_INTERNAL, errno, "cannot listen");
        return NULL;
    }
    struct listener *listener = mem_alloc(sizeof(*listener));
    listener->magic = LISTEN_MAGIC;
    listener->loop = loop;
    listener->fd = listen_fd;
    listener->fn = fn;
    listener->arg = arg;
    watch_init(&listener->watch, loop, listen_fd, on_watch, listener);
    timer_init(&listener->timer, loop, on_timer, listener);
    if (!watch_set(&listener->watch, WATCH_READ)) {
        err_errno(err, ERR_INTERNAL, errno, "cannot watch a listening socket");
        free(listener);
        return NULL;
    }
    return listener;
}

void listener_on_end(struct listener *listener, void (*fn)(void *arg))
{
    listener->ended = fn;
}

void listener_pause(struct listener *listener, bool paused)
{
    listener->paused = paused;
    refresh(listener);
}

static void release(void *arg)
{
    struct listener *listener = arg;
    listener->magic = 0;
    free(listener);
}

void listener_free(struct listener *listener)
{
    if (!listener || listener->freed)
        return;
    listener->freed = true;
    watch_stop(&listener->watch);
    timer_stop(&listener->timer);
    loop_defer(listener->loop, release, listener);
}
