/* Accept, connect, TLS, join. It looks at no byte. What comes from the sandbox is as hostile here as anywhere, and this
 * process is in a network: so it is in the jail of a worker. */
#include "core/sandbox/carrier.h"

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/proc.h"
#include "core/loop/jail.h"
#include "core/loop/join.h"
#include "core/loop/listen.h"
#include "core/sandbox/privilege.h"
#include "tls/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DAEMON_NAME "aileron.internal" /* of the certificate */

enum { CA_BYTES = 64 * 1024 };

struct carrier {
    struct loop *loop;
    struct listener *listener;
    struct stream_config *tls;
    struct addr to;
    size_t count;
};

/* One connection on its way; the join has it afterwards. */
struct load {
    struct carrier *carrier;
    struct conn *near, *far; /* far NULL: between two attempts */
    struct timer timer;
    uint64_t give_up_ms;
};

static void load_over(void *arg)
{
    struct carrier *carrier = arg;

    carrier->count--;
    loop_tidy(carrier->loop);
}

static void load_free(struct load *load)
{
    timer_stop(&load->timer);
    loop_defer(load->carrier->loop, free, load);
}

static void load_close(struct load *load)
{
    conn_close(load->near);
    conn_close(load->far);
    load_over(load->carrier);
    load_free(load);
}

/* The daemon, or its worker, is being started again; or there is no way to it. */
static void try_again(struct load *load)
{
    conn_close(load->far);
    load->far = NULL;
    if (clock_mono_ms() < load->give_up_ms)
        timer_start(&load->timer, CARRIER_RETRY_MS);
    else
        load_close(load);
}

static void secure(struct load *load)
{
    struct carrier *carrier = load->carrier;
    struct stream_io io = conn_stream_io(load->far);
    struct err err = {0};
    struct stream *stream = stream_client(carrier->tls, DAEMON_NAME, (struct span){NULL, 0}, &io, &err);

    if (stream != NULL)
        conn_secure(load->far, stream, CARRIER_CONNECT_MS);
    else
        load_close(load);
}

static void on_far(struct conn *conn, enum conn_event event, void *arg)
{
    struct load *load = arg;

    switch (event) {
    case CONN_CONNECTED:
        secure(load);
        return;
    case CONN_SECURED:
        join_start(load->near, conn, JOIN_PATIENCE_MS, load_over, load->carrier);
        load_free(load);
        return;
    case CONN_FAILED:
    case CONN_EOF:
    case CONN_TIMED_OUT:
        try_again(load);
        return;
    case CONN_READABLE:
    case CONN_DRAINED:
        return;
    }
}

static void reach(void *arg)
{
    struct load *load = arg;

    load->far = conn_connect(load->carrier->loop, &load->carrier->to, CARRIER_CONNECT_MS, on_far, load);
}

/* Its bytes wait in its buffer, and its end is seen by the join. */
static void on_near(struct conn *conn, enum conn_event event, void *arg)
{
    (void)conn;
    if (event == CONN_FAILED)
        load_close(arg);
}

static void on_accept(void *arg, int fd)
{
    struct carrier *carrier = arg;

    if (carrier->count >= CARRIER_CONNECTIONS_MAX) {
        close(fd);
        return;
    }
    struct load *load = mem_alloc(sizeof *load);
    carrier->count++;
    *load = (struct load){.carrier = carrier, .give_up_ms = clock_mono_ms() + CARRIER_CONNECT_MS};
    load->near = conn_new_fd(carrier->loop, fd, on_near, load);
    timer_init(&load->timer, carrier->loop, reach, load);
    reach(load);
}

/* ---- the process ---- */

static bool trust_session(struct carrier *carrier, const char *ca_path, struct err *err)
{
    struct buf pem;

    if (!file_read(ca_path, CA_BYTES, &pem, err))
        return false;
    struct trust *trust = trust_new();
    struct stream_client_options options = {.trust = trust};
    bool good = trust_add(trust, (struct span){(const char *)pem.data, pem.len}, TRUST_COPY, err) &&
                (carrier->tls = stream_config_client(&options, err)) != NULL;
    buf_clear(&pem);
    trust_unref(trust);
    return good;
}

/* Nothing of pid 1's stays open: its terminal, its control channel. */
static bool let_go(int report, struct err *err)
{
    CLEANUP(file_close_ptr) int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = 0; fd <= 2; fd++)
        if (null < 0 || dup2(null, fd) < 0)
            close(fd); /* an image of nothing, without a /dev */
    if (dup2(report, 3) < 0 || syscall(SYS_close_range, 4u, ~0u, 0u) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot close what the carrier does not need");
    return proc_set_cloexec(3, true) || err_set(err, ERR_LAUNCH, "the carrier's pipe is gone");
}

static bool prepare(struct carrier *carrier, const char *socket_path, const char *ca_path, struct err *err)
{
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);
    carrier->loop = tls_init(err) ? loop_new(err) : NULL;
    if (carrier->loop == NULL || !trust_session(carrier, ca_path, err))
        return false;
    int fd = proc_unix_listen(socket_path, 0666, err);
    carrier->listener = fd >= 0 ? listener_new(carrier->loop, fd, on_accept, carrier, err) : NULL;
    return carrier->listener != NULL && privilege_drop(geteuid(), getegid(), false, err) &&
           jail_enter(JAIL_WORKER, err);
}

static NORETURN void run(const struct addr *to, const char *socket_path, const char *ca_path, int report)
{
    static struct carrier carrier;
    struct err err = {0};

    carrier.to = *to;
    bool open = let_go(report, &err);
    if (open && prepare(&carrier, socket_path, ca_path, &err)) {
        close(3);
        loop_run(carrier.loop);
        _exit(0);
    }
    (void)!write(open ? 3 : report, &err, sizeof err);
    _exit(1);
}

pid_t carrier_start(const struct addr *to, const char *socket_path, const char *ca_path, struct err *err)
{
    struct err report = {0};
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0) {
        err_errno(err, ERR_LAUNCH, errno, "cannot start the carrier");
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0)
        run(to, socket_path, ca_path, ends[1]);
    close(ends[1]);
    if (pid < 0)
        err_errno(err, ERR_LAUNCH, errno, "cannot start the carrier");
    ssize_t n;
    do
        n = pid < 0 ? 0 : read(ends[0], &report, sizeof report);
    while (n < 0 && errno == EINTR);
    close(ends[0]);
    if (n == 0)
        return pid;
    waitpid(pid, NULL, 0);
    *err = report;
    err->code = ERR_LAUNCH;
    err_wrap(err, "the way to the host cannot be made");
    return -1;
}
