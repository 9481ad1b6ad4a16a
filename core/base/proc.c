/* Processes: starting one with exactly the descriptors it is meant to have, running one to its end, and
 * finding executables. Descriptors, locks and sockets are in proc_fd.c. No shell is ever involved. */
#include "core/base/proc.h"

#include "core/base/file.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    FDS_MAX = 32,     /* descriptors that one process inherits */
    CHILD_FD_MAX = 255
};

/* ---- spawn ---- */

/* What the child could not do, through the error pipe. An exec that succeeds closes it instead. */
enum stage { STAGE_PARENT, STAGE_FDS, STAGE_CWD, STAGE_EXEC };
struct report {
    enum stage stage;
    int errno_value;
};

/* From here to the exec: only what is safe after fork (signal-safety(7)), no allocation. */

static NORETURN void child_fail(int error_fd, enum stage stage)
{
    struct report report = {stage, errno};
    ssize_t n = write(error_fd, &report, sizeof(report));
    (void)n; /* the parent then sees an end without a report, and our status */
    _exit(127);
}

/* Everything from 3 up is closed by the exec. */
static bool close_on_exec_all(void)
{
#ifdef CLOSE_RANGE_CLOEXEC
    if (close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC) == 0)
        return true;
#endif
    struct rlimit limit; /* a kernel before 5.11, or a filter that does not know the call */
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    rlim_t end = limit.rlim_cur < 1 << 20 ? limit.rlim_cur : 1 << 20;
    for (rlim_t fd = 3; fd < end; fd++)
        (void)fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    return true;
}

/* Sources go above all targets first, since a target may be another one's source. */
static bool child_fds(const struct proc_spec *spec, int *error_fd)
{
    int high[FDS_MAX], base = 3;
    for (size_t i = 0; i < spec->fd_count; i++)
        if (spec->fds[i].child_fd >= base)
            base = spec->fds[i].child_fd + 1;
    int moved = fcntl(*error_fd, F_DUPFD_CLOEXEC, base);
    if (moved < 0)
        return false;
    *error_fd = moved;
    for (size_t i = 0; i < spec->fd_count; i++)
        if ((high[i] = fcntl(spec->fds[i].fd, F_DUPFD_CLOEXEC, base)) < 0)
            return false;
    for (size_t i = 0; i < spec->fd_count; i++)
        if (dup2(high[i], spec->fds[i].child_fd) < 0)
            return false;
    if (!close_on_exec_all())
        return false;
    for (size_t i = 0; i < spec->fd_count; i++)
        if (fcntl(spec->fds[i].child_fd, F_SETFD, 0) != 0)
            return false;
    return true;
}

static NORETURN void child_run(const struct proc_spec *spec, int error_fd, pid_t parent)
{
    sigset_t none;
    /* The kernel's call, since libc's leaves out 32 and 33, which its own posix_spawn sets to be ignored (make
     * starts programs so). All zero is SIG_DFL in the kernel's struct, whose sets have 8 bytes. */
    const uint64_t plain[8] = {0};
    for (int number = 1; number < NSIG; number++)
        (void)syscall(SYS_rt_sigaction, number, plain, NULL, 8); /* SIGKILL and SIGSTOP cannot be changed */
    if (spec->new_session)
        (void)setsid();
    if (spec->die_with_parent) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        if (getppid() != parent)
            _exit(127); /* it died before we asked */
    }
    if (!child_fds(spec, &error_fd))
        child_fail(error_fd, STAGE_FDS);
    if (spec->cwd && chdir(spec->cwd) != 0)
        child_fail(error_fd, STAGE_CWD);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(spec->path ? spec->path : "/proc/self/exe", spec->argv, spec->envp ? spec->envp : environ);
    child_fail(error_fd, STAGE_EXEC);
}

static void spawn_error(const struct proc_spec *spec, const struct report *report, struct err *err)
{
    const char *path = spec->path ? spec->path : "our own executable";
    int why = report->errno_value;
    switch (report->stage) {
    case STAGE_PARENT:
        err_errno(err, why == EAGAIN || why == ENOMEM || why == EMFILE || why == ENFILE ? ERR_LIMIT : ERR_IO,
                  why, "cannot start a process for %s", path);
        if (err->code == ERR_LIMIT)
            err_hint(err, "End other programs or raise the limits (ulimit -u, ulimit -n)");
        return;
    case STAGE_FDS:
        err_errno(err, ERR_INTERNAL, why, "cannot pass the descriptors to %s", path);
        return;
    case STAGE_CWD:
        err_errno(err, ERR_IO, why, "cannot start %s in %s", path,
                  spec->cwd ? spec->cwd : ".");
        return;
    case STAGE_EXEC:
        if (why == ENOENT && file_exists(path))
            err_set(err, ERR_NOT_EXECUTABLE, "cannot run %s: its interpreter or loader is missing", path);
        else
            err_errno(err, why == ENOENT || why == ENOTDIR ? ERR_NOT_FOUND_COMMAND : ERR_NOT_EXECUTABLE, why,
                      "cannot run %s", path);
        return;
    }
}

/* Whether the exec happened: the pipe then ends without a byte. */
static bool exec_happened(int fd, struct report *report)
{
    for (;;) {
        ssize_t n = read(fd, report, sizeof(*report));
        if (n == 0)
            return true;
        if (n == (ssize_t)sizeof(*report))
            return false;
        if (n < 0 && errno == EINTR)
            continue;
        *report = (struct report){STAGE_PARENT, n < 0 ? errno : EIO};
        return false;
    }
}

static void wait_for(pid_t pid, int *status)
{
    *status = 0;
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        ;
}

pid_t proc_spawn(const struct proc_spec *spec, struct err *err)
{
    struct report report = {STAGE_PARENT, 0};
    int ends[2];
    bool bad = spec->fd_count > FDS_MAX;
    for (size_t i = 0; !bad && i < spec->fd_count; i++)
        bad = spec->fds[i].child_fd < 0 || spec->fds[i].child_fd > CHILD_FD_MAX;
    if (bad) {
        err_set(err, ERR_INTERNAL, "too many descriptors, or too high, for a new process");
        return -1;
    }
    if (pipe2(ends, O_CLOEXEC) != 0) {
        report.errno_value = errno;
        spawn_error(spec, &report, err);
        return -1;
    }
    /* No handler of ours may run in the child, so all signals wait until it has reset them. */
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child_run(spec, ends[1], parent);
    }
    report.errno_value = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    if (pid < 0 || !exec_happened(ends[0], &report)) {
        int status;
        if (pid > 0)
            wait_for(pid, &status);
        spawn_error(spec, &report, err);
        pid = -1;
    }
    close(ends[0]);
    return pid;
}

bool proc_close_elsewhere(int fd, struct err *err)
{
    int ends[2], first;
    char byte;
    sigset_t all, before;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(err, ERR_LIMIT, errno, "cannot close a socket");
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[1]);
        while (read(ends[0], &byte, 1) < 0 && errno == EINTR) /* until ours is not the last reference */
            ;
        _exit(0);
    }
    first = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid > 0)
        close(fd);
    close(ends[0]);
    close(ends[1]);
    return pid > 0 || err_errno(err, ERR_LIMIT, first, "cannot close a socket");
}

/* ---- capture ---- */

/* Not clock_mono_ms: a test that fakes the clock must still see its programs end. */
static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct capture {
    pid_t pid;
    int pipe, pidfd; /* -1: closed; not known to this kernel */
    uint64_t deadline; /* 0: none */
    struct buf *out;
    bool ended;
};

enum { CAPTURE_CHUNK = 4096, REAP_MS = 10 };

/* Takes what the pipe has. False: more than the caller wants. */
static bool capture_read(struct capture *c)
{
    for (;;) {
        uint8_t chunk[CAPTURE_CHUNK];
        ssize_t n = read(c->pipe, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0) {
            file_close_ptr(&c->pipe);
            return true;
        }
        if (!buf_add(c->out, chunk, (size_t)n))
            return false;
    }
}

/* Until the program has ended; what its children still hold open does not matter then. */
static bool capture_run(struct capture *c, const char *name, int *status, struct err *err)
{
    while (!c->ended) {
        uint64_t now = now_ms();
        if (c->deadline && now >= c->deadline)
            return err_set(err, ERR_TIMEOUT, "%s did not end in time", name);
        uint64_t left = c->deadline ? c->deadline - now : INT_MAX;
        if (c->pidfd < 0 && left > REAP_MS)
            left = REAP_MS; /* nothing wakes us at its end, so look */
        struct pollfd fds[] = {{c->pipe, POLLIN, 0}, {c->pidfd, POLLIN, 0}};
        if (poll(fds, COUNT(fds), left < INT_MAX ? (int)left : INT_MAX) < 0 && errno != EINTR)
            return err_errno(err, ERR_IO, errno, "cannot wait for %s", name);
        pid_t got = waitpid(c->pid, status, WNOHANG);
        if (got < 0 && errno != EINTR)
            return err_errno(err, ERR_IO, errno, "cannot wait for %s", name);
        c->ended = got == c->pid;
        if (c->pipe >= 0 && !capture_read(c))
            return err_set(err, ERR_LIMIT, "%s wrote more than %zu bytes", name, c->out->max);
    }
    return true;
}

static bool capture(char *const *argv, char *const *envp, bool errors_too, struct buf *out, int *status,
                    uint64_t timeout_ms, struct err *err)
{
    const char *path = getenv("PATH");
    AUTOFREE char *program = proc_which(argv[0], path ? path : "/usr/local/bin:/usr/bin:/bin");
    if (!program)
        return err_set(err, ERR_NOT_FOUND_COMMAND, "%s: command not found", argv[0]);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(err, ERR_LIMIT, errno, "cannot start %s", argv[0]);
    CLEANUP(file_close_ptr) int write_end = ends[1];
    CLEANUP(file_close_ptr) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct capture c = {.pipe = ends[0], .pidfd = -1, .out = out};
    const struct proc_fd fds[] = {{null, 0}, {write_end, 1}, {write_end, 2}};
    const struct proc_spec spec = {.path = program, .argv = argv, .envp = envp, .fds = fds,
                                   .fd_count = errors_too ? 3 : 2, .new_session = true, .die_with_parent = true};
    if (!proc_set_nonblock(c.pipe) || (c.pid = proc_spawn(&spec, err)) < 0) {
        file_close_ptr(&c.pipe);
        return false;
    }
    file_close_ptr(&write_end);
    c.pidfd = (int)syscall(SYS_pidfd_open, c.pid, 0);
    c.deadline = timeout_ms ? now_ms() + timeout_ms : 0;
    bool done = capture_run(&c, argv[0], status, err);
    if (!c.ended) {
        kill(-c.pid, SIGKILL); /* its session's own group: whatever it started, too */
        wait_for(c.pid, status);
    }
    file_close_ptr(&c.pipe);
    file_close_ptr(&c.pidfd);
    if (!done)
        buf_clear(out);
    return done;
}

bool proc_capture(char *const *argv, size_t max, struct buf *out, int *status, uint64_t timeout_ms,
                  struct err *err)
{
    buf_init(out, max);
    return capture(argv, NULL, false, out, status, timeout_ms, err);
}

bool proc_capture_all(char *const *argv, char *const *envp, size_t max, struct buf *out, int *status,
                      uint64_t timeout_ms, struct err *err)
{
    buf_init(out, max);
    return capture(argv, envp, true, out, status, timeout_ms, err);
}

int proc_exit_status(int wait_status)
{
    if (WIFEXITED(wait_status))
        return WEXITSTATUS(wait_status);
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : 1;
}

/* ---- executables ---- */

char *proc_self_path(struct err *err)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (len < 0) {
        err_errno(err, ERR_IO, errno, "cannot find our own executable");
        err_hint(err, "Is /proc mounted?");
        return NULL;
    }
    path[len] = '\0';
    struct span name = {path, (size_t)len};
    if (span_ends(name, " (deleted)") && !file_exists(path)) {
        err_set(err, ERR_UNAVAILABLE, "our own executable was replaced while we run");
        err_hint(err, "Start the command again; for the daemon: aileron daemon stop");
        return NULL;
    }
    return mem_strdup(path);
}

static bool is_executable(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
}

char *proc_which(const char *name, const char *path)
{
    if (strchr(name, '/'))
        return is_executable(name) ? mem_strdup(name) : NULL;
    struct span rest = span_of(path), dir;
    while (*name && span_cut(&rest, ':', &dir)) {
        if (dir.len == 0 || dir.p[0] != '/')
            continue; /* relative: whoever fills the current directory would choose the program */
        AUTOFREE char *full = mem_printf("%.*s/%s", SPAN_ARG(dir), name);
        if (is_executable(full))
            return mem_strdup(full);
    }
    return NULL;
}
