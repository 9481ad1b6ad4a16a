/* The worker's life: take the snapshot, enter the jail, serve, drain. */
#include "core/plane/worker.h"
#include "core/base/log.h"
#include "core/base/proc.h"
#include "core/loop/jail.h"
#include "core/loop/listen.h"
#include "core/plane/api.h"
#include "core/plane/front.h"
#include "core/plane/inlet.h"
#include "core/plane/remote.h"
#include "tls/crypto.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct worker {
    struct plane plane;
    struct listener *listener;
    struct remote *remote; /* NULL: the sandbox is on this machine */
    struct timer timer; /* the first snapshot, then the drain */
    struct task drained;
    bool ready;
    int status;
};

static const char *const server_alpn[] = {"h2", "http/1.1", NULL};

static void stop(struct worker *worker, int status)
{
    worker->status = status;
    loop_stop(worker->plane.loop);
}

static void fatal(struct worker *worker, struct err *err, const char *what)
{
    err_wrap(err, "%s", what);
    err_print(err, "aileron worker");
    stop(worker, err_exit(err->code));
}

/* ---- the snapshot ---- */

static struct snapshot *read_snapshot(int fd, struct err *err)
{
    off_t size = lseek(fd, 0, SEEK_END); /* the jail has no fstat */
    if (size <= 0 || size > SNAPSHOT_MAX) {
        err_set(err, ERR_INTERNAL, "the snapshot's size is out of bounds");
        return NULL;
    }
    size_t len = (size_t)size;
    void *bytes = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED) {
        err_set(err, ERR_INTERNAL, "the snapshot cannot be mapped");
        return NULL;
    }
    struct snapshot *snapshot = snapshot_parse(bytes, len, err);
    munmap(bytes, len);
    return snapshot;
}

static bool configure_resolver(struct plane *plane, const struct snapshot *snapshot, struct err *err)
{
    struct resolve_host *hosts = mem_array(snapshot->host_count, sizeof(*hosts));
    for (size_t i = 0; i < snapshot->host_count; i++)
        hosts[i] = (struct resolve_host){snapshot->hosts[i].name, snapshot->hosts[i].addr};
    bool done = resolver_configure(plane->resolver, snapshot->resolvers, snapshot->resolver_count, hosts,
                                   snapshot->host_count, err);
    free(hosts);
    return done;
}

static bool take_snapshot(struct worker *worker, int fd, struct err *err)
{
    struct plane *plane = &worker->plane;
    struct snapshot *snapshot = read_snapshot(fd, err);
    if (!snapshot)
        return false;
    struct epoch *epoch = epoch_new(snapshot, err);
    if (!epoch) {
        snapshot_free(snapshot);
        return false;
    }
    if (!plane->ca && !(plane->ca = ca_load(span_of(snapshot->ca_cert_pem), span_of(snapshot->ca_key_pem), err))) {
        epoch_unref(epoch);
        return false;
    }
    if (!configure_resolver(plane, snapshot, err)) {
        epoch_unref(epoch);
        return false;
    }
    plane_follow(plane, epoch);
    return true;
}

/* ---- serving ---- */

static void on_accept(void *arg, int fd)
{
    struct worker *worker = arg;
    front_accept(&worker->plane, fd);
}

/* What the first snapshot came with: the journal, and a TLS listener. */
static bool take_journal(struct worker *worker, const struct ipc_message *message, int *remote_fd, struct err *err)
{
    size_t at = 1;
    *remote_fd = -1;
    if (message->flags & MESSAGE_KEPT && message->fd_count > at) {
        struct journal *journal = journal_map(message->fds[at++], err);
        if (!journal)
            return false;
        lines_journal(&worker->plane.lines, journal, message->id);
    }
    if (message->fd_count > at)
        *remote_fd = message->fds[at];
    return true;
}

static void become_ready(struct worker *worker, const struct ipc_message *message)
{
    int remote_fd;
    struct plane *plane = &worker->plane;
    struct err err = {0};
    struct buf text CLEANUP(buf_clear) = {0};
    timer_stop(&worker->timer);
    if (!take_journal(worker, message, &remote_fd, &err)) {
        fatal(worker, &err, "cannot keep a journal");
        return;
    }
    if (!jail_enter(JAIL_WORKER, &err)) {
        fatal(worker, &err, "cannot confine the worker");
        return;
    }
    worker->listener = listener_new(plane->loop, WORKER_LISTEN_FD, on_accept, worker, &err);
    bool good = worker->listener != NULL;
    if (good && remote_fd >= 0) {
        worker->remote = remote_open(plane, remote_fd, &err);
        good = worker->remote != NULL;
    }
    if (!good) {
        fatal(worker, &err, "cannot listen");
        return;
    }
    worker->ready = true;
    buf_init(&text, 256);
    if (buf_printf(&text, "{\"version\": \"%s\"}", AILERON_VERSION))
        ipc_send(plane->ipc, MESSAGE_READY, 0, 0, text.data, text.len, NULL, 0);
}

static void on_drain_tick(void *arg)
{
    struct worker *worker = arg;
    struct err err;
    if (worker->ready) {
        stop(worker, 0);
        return;
    }
    err_set(&err, ERR_TIMEOUT, "the monitor sent no snapshot");
    fatal(worker, &err, "cannot start");
}

static void on_drained(void *arg)
{
    stop(arg, 0);
}

static void drain(struct worker *worker)
{
    struct plane *plane = &worker->plane;
    listener_free(worker->listener);
    worker->listener = NULL;
    remote_close(worker->remote);
    worker->remote = NULL;
    inlet_close(plane->inlet);
    task_init(&worker->drained, plane->loop, on_drained, worker);
    plane_drain(plane, &worker->drained);
    if (plane->epoch)
        timer_start(&worker->timer, plane->epoch->snapshot->rules->config->limits[LIMIT_DRAIN_MS]);
}

static void on_message(struct ipc *ipc, struct ipc_message *message, void *arg)
{
    struct worker *worker = arg;
    struct err err;
    (void)ipc;
    if (message->type == MESSAGE_SNAPSHOT && message->fd_count >= 1) {
        if (!take_snapshot(worker, message->fds[0], &err)) {
            if (!worker->ready)
                fatal(worker, &err, "cannot take the snapshot");
            else
                log_error("snapshot refused: %s", err.message); /* the last good one stays */
        } else if (!worker->ready) {
            become_ready(worker, message);
            if (worker->remote)
                message->fds[message->fd_count - 1] = -1; /* ours now, to the end */
        }
    } else if (message->type == MESSAGE_OP_START && message->id >= MESSAGE_UNASKED) {
        api_run_approved(&worker->plane, message);
    } else if (message->type == MESSAGE_HALT) {
        plane_halt(&worker->plane, message);
    } else if (message->type == MESSAGE_SHUTDOWN) {
        drain(worker);
    } else {
        plane_answer(&worker->plane, message);
    }
}

/* Without the monitor nothing can be recorded: nothing goes on. */
static void on_monitor_gone(struct ipc *ipc, const struct err *err, void *arg)
{
    struct worker *worker = arg;
    (void)ipc;
    (void)err;
    stop(worker, 0);
}

static const struct ipc_handler ipc_handler = {.message = on_message, .gone = on_monitor_gone};

static bool prepare(struct worker *worker, struct err *err)
{
    struct plane *plane = &worker->plane;
    struct stream_server_options options = {.alpn = server_alpn}, api_options = {.alpn = server_alpn + 1};
    log_open("worker", LOG_WARN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* the terminal's; the monitor decides when a worker ends */
    if (!tls_init(err))
        return false;
    plane->loop = loop_new(err);
    if (!plane->loop)
        return false;
    plane->server = stream_config_server(&options, err);
    plane->server_api = plane->server ? stream_config_server(&api_options, err) : NULL;
    plane->resolver = plane->server_api ? resolver_new(plane->loop, err) : NULL;
    if (!plane->resolver)
        return false;
    plane->pool = pool_new(plane->loop);
    plane->resume = resume_new();
    plane->ipc = ipc_new(plane->loop, WORKER_IPC_FD, &ipc_handler, worker);
    lines_init(&plane->lines, plane->loop, plane->ipc);
    timer_init(&worker->timer, plane->loop, on_drain_tick, worker);
    timer_start(&worker->timer, WORKER_SNAPSHOT_MS);
    return true;
}

int worker_main(void)
{
    static struct worker worker; /* until the very end: what it holds is no leak */
    struct err err;
    if (!prepare(&worker, &err))
        return err_print(&err, "aileron worker");
    loop_run(worker.plane.loop);
    lines_flush(&worker.plane.lines);
    ipc_flush(worker.plane.ipc, 1000);
    /* The process ends here: what it holds goes with it, keys are in memory that no one can read. */
    return worker.status;
}
