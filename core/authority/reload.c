/* Notices changes of the user's files by inotify on their directory (editors replace files, so that watching the
 * files themselves would lose them). What loading means is monitor_follow_files'. */
#include "core/authority/reload.h"

#include "core/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { EVENT_BYTES = 4096 };

struct reload {
    struct monitor *monitor;
    int fd;
    struct watch watch;
    struct timer settle;
};

static bool is_ours(const char *name)
{
    static const char *const names[] = {"config.yaml", "policy.yaml", "bindings.yaml"};

    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Takes all events there are; true if one of them is about a file of ours. */
static bool drain(struct reload *reload)
{
    char events[EVENT_BYTES] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool changed = false;
    ssize_t len;

    while ((len = read(reload->fd, events, sizeof events)) > 0 || (len < 0 && errno == EINTR)) {
        for (ssize_t at = 0; at < len;) {
            struct inotify_event event;
            memcpy(&event, events + at, sizeof event);
            changed = changed || (event.mask & IN_Q_OVERFLOW) != 0 ||
                      (event.len > 0 && is_ours(events + at + sizeof event));
            at += (ssize_t)(sizeof event + event.len);
        }
    }
    return changed;
}

static void on_event(void *arg, unsigned ready)
{
    struct reload *reload = arg;

    (void)ready;
    if (drain(reload))
        timer_start(&reload->settle, RELOAD_SETTLE_MS);
}

static void on_settled(void *arg)
{
    struct reload *reload = arg;
    struct err err = {0};

    monitor_follow_files(reload->monitor, &err);
}

struct reload *reload_open(struct monitor *monitor)
{
    struct reload *reload = mem_alloc(sizeof *reload);

    reload->monitor = monitor;
    timer_init(&reload->settle, monitor->loop, on_settled, reload);
    reload->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (reload->fd >= 0 &&
        inotify_add_watch(reload->fd, monitor->home,
                          IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE) >= 0) {
        watch_init(&reload->watch, monitor->loop, reload->fd, on_event, reload);
        if (watch_set(&reload->watch, WATCH_READ))
            return reload;
    }
    log_warn("changes of policy.yaml need `aileron policy reload`: %s", strerror(errno));
    if (reload->fd >= 0)
        close(reload->fd);
    free(reload);
    return NULL;
}

void reload_close(struct reload *reload)
{
    if (reload == NULL)
        return;
    timer_stop(&reload->settle);
    watch_stop(&reload->watch);
    close(reload->fd);
    free(reload);
}

void reload_now(struct monitor *monitor)
{
    struct reload *reload = monitor->reload;

    if (reload != NULL && (drain(reload) || timer_running(&reload->settle))) {
        timer_stop(&reload->settle);
        on_settled(reload);
    }
}
