/* The jail: process attributes, limits, and a seccomp allow-list as a table of rows. A row says
 * which call and, where its arguments matter, which of them; what is not in the table kills the
 * process. It opens nothing and changes no identity: a worker runs as its monitor's user and is
 * held by this list alone. */
#include "core/loop/jail.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum compare { ANY, EQUAL, MASKED_ZERO, SOCKET_TYPE };

/* Several rows of one call are alternatives. */
struct row {
    int call;
    enum compare compare; /* of argument arg with value */
    unsigned arg;
    uint64_t value;
};

#define CALL(name)                                                                                 \
    {                                                                                              \
        SCMP_SYS(name), ANY, 0, 0                                                                  \
    }

static const struct row common_rows[] = {
    /* bytes on descriptors that are open */
    CALL(read),
    CALL(write),
    CALL(readv),
    CALL(writev),
    CALL(recvfrom),
    CALL(sendto),
    CALL(recvmsg),
    CALL(sendmsg),
    CALL(close),
    CALL(shutdown),
    CALL(fstat),
    CALL(lseek),
    {SCMP_SYS(fcntl), EQUAL, 1, F_GETFL},
    {SCMP_SYS(fcntl), EQUAL, 1, F_SETFL},
    {SCMP_SYS(fcntl), EQUAL, 1, F_GETFD},
    {SCMP_SYS(fcntl), EQUAL, 1, F_SETFD},
    {SCMP_SYS(fcntl), EQUAL, 1, F_DUPFD_CLOEXEC},
    {SCMP_SYS(fcntl), EQUAL, 1, F_GET_SEALS},
    {SCMP_SYS(ioctl), EQUAL, 1, FIONBIO},
    {SCMP_SYS(ioctl), EQUAL, 1, FIONREAD},
    /* waiting */
    CALL(epoll_wait),
    CALL(epoll_pwait),
    CALL(epoll_pwait2),
    CALL(epoll_ctl),
    CALL(poll),
    CALL(ppoll),
    CALL(restart_syscall),
    CALL(futex),
    CALL(sched_yield),
    /* memory; none of it becomes code */
    {SCMP_SYS(mmap), MASKED_ZERO, 2, PROT_EXEC},
    {SCMP_SYS(mprotect), MASKED_ZERO, 2, PROT_EXEC},
    CALL(munmap),
    CALL(mremap),
    CALL(brk),
    {SCMP_SYS(madvise), EQUAL, 2, MADV_DONTNEED}, /* not MADV_REMOVE: the journal is the monitor's too */
    {SCMP_SYS(madvise), EQUAL, 2, MADV_FREE},
    {SCMP_SYS(madvise), EQUAL, 2, MADV_DONTDUMP},
    {SCMP_SYS(madvise), EQUAL, 2, MADV_DODUMP},
    {SCMP_SYS(madvise), EQUAL, 2, MADV_WIPEONFORK},
    {SCMP_SYS(madvise), EQUAL, 2, MADV_KEEPONFORK},
    CALL(mlock),
    CALL(mlock2),
    CALL(munlock),
    /* clocks (mostly the vDSO), random bytes, ourselves */
    CALL(clock_gettime),
    CALL(clock_getres),
    CALL(gettimeofday),
    CALL(time),
    CALL(nanosleep),
    CALL(clock_nanosleep),
    CALL(getrandom),
    CALL(getpid),
    CALL(gettid),
    CALL(getuid),
    CALL(geteuid),
    CALL(getgid),
    CALL(getegid),
    CALL(getrusage),
    CALL(exit),
    CALL(exit_group),
    /* signals; tgkill for abort() is pinned to ourselves in fill() */
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(sigaltstack),
    {SCMP_SYS(prctl), EQUAL, 0, PR_SET_NAME},
    {SCMP_SYS(prctl), EQUAL, 0, PR_GET_DUMPABLE},
};

static const struct row page_rows[] = {
    CALL(accept4),
    CALL(getsockopt),
    CALL(setsockopt),
    CALL(getsockname),
    CALL(getpeername),
};

static const struct row worker_rows[] = { /* besides those of a page */
    CALL(connect),
    {SCMP_SYS(socket), SOCKET_TYPE, 0, AF_INET},
    {SCMP_SYS(socket), SOCKET_TYPE, 0, AF_INET6},
    {SCMP_SYS(socketpair), EQUAL, 0, AF_UNIX}, /* plane/remote.c; it leads nowhere but back */
};

/* Address and leak sanitizers: their own memory maps, and what they need to print a report. A
 * release build is never compiled with this. */
#if defined(__SANITIZE_ADDRESS__)
static const struct row sanitizer_rows[] = {
    CALL(mmap),
    CALL(mprotect),
    CALL(madvise),
    CALL(openat),
    CALL(open),
    CALL(readlink),
    CALL(readlinkat),
    CALL(newfstatat),
    CALL(stat),
    CALL(lstat),
    CALL(access),
    CALL(dup),
    CALL(pipe),
    CALL(pipe2),
    CALL(clone),
    CALL(ptrace),
    CALL(wait4),
    CALL(tgkill),
    CALL(getppid),
    CALL(prctl),
    CALL(getcwd),
    CALL(sched_getaffinity),
    CALL(process_vm_readv),
    CALL(prlimit64),
    CALL(uname),
    CALL(ioctl),
    CALL(getdents),
    CALL(getdents64),
    CALL(fcntl),
    CALL(set_tid_address),
};
#else
static const struct row sanitizer_rows[1]; /* none: not added */
#endif

static int add_row(scmp_filter_ctx filter, const struct row *row)
{
    switch (row->compare) {
    case ANY:
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, row->call, 0);
    case EQUAL:
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, row->call, 1,
                                SCMP_CMP64(row->arg, SCMP_CMP_EQ, row->value));
    case MASKED_ZERO:
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, row->call, 1,
                                SCMP_CMP64(row->arg, SCMP_CMP_MASKED_EQ, row->value, 0));
    case SOCKET_TYPE:
        break;
    }
    /* A family with stream and datagram sockets, whatever the flags beside the type; no raw ones.
     */
    const uint64_t types[] = {SOCK_STREAM, SOCK_DGRAM};
    const uint64_t mask = 0xf; /* SOCK_TYPE_MASK of the kernel */
    for (size_t i = 0; i < COUNT(types); i++) {
        int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, row->call, 2,
                                      SCMP_CMP64(0, SCMP_CMP_EQ, row->value),
                                      SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, mask, types[i]));
        if (result != 0)
            return result;
    }
    return 0;
}

static int add_rows(scmp_filter_ctx filter, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].call == __NR_SCMP_ERROR)
            continue; /* a call that this architecture does not have */
        int result = add_row(filter, &rows[i]);
        /* EDOM: the call exists only as a number of libseccomp's own here (open on arm64). */
        if (result != 0 && result != -EDOM)
            return result;
    }
    return 0;
}

static int fill(scmp_filter_ctx filter, enum jail_profile profile)
{
    int result = add_rows(filter, common_rows, COUNT(common_rows));
#if defined(__SANITIZE_ADDRESS__)
    if (result == 0)
        result = add_rows(filter, sanitizer_rows, COUNT(sanitizer_rows));
#else
    (void)sanitizer_rows;
#endif
    /* glibc's fstat() by path. It could look at the file system, so it fails; standard output bears
     * that. */
    if (result == 0 && COUNT(sanitizer_rows) == 1)
        result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(newfstatat), 0);
    /* abort() and raise() send to our own process, and to no other. */
    if (result == 0)
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                                  SCMP_CMP64(0, SCMP_CMP_EQ, (uint64_t)getpid()));
    if (result == 0)
        result = add_rows(filter, page_rows, COUNT(page_rows));
    switch (profile) {
    case JAIL_WORKER:
        if (result == 0)
            result = add_rows(filter, worker_rows, COUNT(worker_rows));
        break;
    case JAIL_PAGE:
        break;
    case JAIL_PROFILES:
        return -EINVAL;
    }
    return result;
}

static void limit(int resource, rlim_t value)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now) != 0)
        return;
    if (now.rlim_max != RLIM_INFINITY && now.rlim_max < value)
        value = now.rlim_max;
    struct rlimit next = {.rlim_cur = value, .rlim_max = value};
    (void)setrlimit((__rlimit_resource_t)resource, &next); /* lowering is always allowed */
}

/* Standard error is the daemon's log, as a rule, which others write too and nobody watches all the time. Above the
 * limit a write fails. */
static void limit_log(void)
{
    struct stat log;
    signal(SIGXFSZ, SIG_IGN);
    off_t size = fstat(STDERR_FILENO, &log) == 0 && S_ISREG(log.st_mode) ? log.st_size : 0;
    limit(RLIMIT_FSIZE, (rlim_t)size + JAIL_LOG_BYTES);
}

bool jail_enter(enum jail_profile profile, struct err *err)
{
    tzset(); /* reads the time zone's file now, since it would be read at the first date */
    limit(RLIMIT_NOFILE, JAIL_FILES_MAX);
    limit(RLIMIT_CORE, 0);
    limit_log();
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_errno(err, ERR_INTERNAL, errno, "cannot confine the process");
#if !defined(__SANITIZE_ADDRESS__)
    limit(RLIMIT_DATA, JAIL_DATA_BYTES);
    limit(RLIMIT_NPROC, 0); /* no effect on root, who cannot fork either: the list has no clone */
#endif
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter)
        return err_set(err, ERR_INTERNAL, "cannot confine the process: out of memory");
    int result = fill(filter, profile);
    if (result == 0)
        result =
            seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary search, not a list */
    if (result == 0)
        result = seccomp_load(filter);
    seccomp_release(filter);
    if (result != 0) {
        err_errno(err, ERR_UNAVAILABLE, -result, "cannot install the system call filter");
        return err_hint(err, "Aileron needs a kernel with seccomp filters (CONFIG_SECCOMP_FILTER)");
    }
    return true;
}
