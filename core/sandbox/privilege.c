/* The order in which privileges go, once and for all. Raw system calls for capabilities (no libcap) and a BPF
 * program written out (a page of it; libseccomp is not needed for so few questions). It grants nothing. */
#include "core/sandbox/privilege.h"

#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

bool privilege_uid_mapped(uid_t uid)
{
    FILE *map = fopen("/proc/self/uid_map", "re");
    unsigned long inside, outside, count;
    bool mapped = false;

    if (map == NULL)
        return true; /* no /proc (an image of nothing): an engine that maps all */
    while (!mapped && fscanf(map, "%lu %lu %lu", &inside, &outside, &count) == 3)
        mapped = uid >= inside && uid - inside < count;
    fclose(map);
    return mapped;
}

static bool drop_bounding(struct err *err)
{
    for (unsigned long cap = 0; cap <= CAP_LAST_CAP || prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 &&
            errno != EPERM) /* EPERM: without CAP_SETPCAP it stays, but no_new_privs makes it useless */
            return err_errno(err, ERR_LAUNCH, errno, "cannot drop capability %lu", cap);
    return true;
}

/* keep: one capability that stays, or -1. */
static bool drop_capabilities(int keep, struct err *err)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct left[2] = {{0}, {0}};
    uint32_t kept = keep >= 0 ? UINT32_C(1) << keep : 0; /* those of the first word are all there are to keep */

    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* absent before Linux 4.3 */
    left[0].permitted = left[0].effective = kept;
    if (syscall(SYS_capset, &head, left) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot drop the capabilities");
    if (syscall(SYS_capget, &head, left) != 0 || left[0].permitted != kept || left[1].permitted != 0)
        return err_set(err, ERR_LAUNCH, "the capabilities are still there after they were dropped");
    return true;
}

static bool become(uid_t uid, gid_t gid, struct err *err)
{
    /* Root's too: an image may have put it into a dozen. EPERM: a user namespace that denies it. */
    if (setgroups(0, NULL) != 0 && errno != EPERM)
        return err_errno(err, ERR_LAUNCH, errno, "cannot give up the supplementary groups");
    if (geteuid() == uid && getegid() == gid)
        return true;
    if (setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0) {
        err_errno(err, ERR_LAUNCH, errno, "cannot become user %u:%u", (unsigned)uid, (unsigned)gid);
        return err_hint(err, "The sandbox needs CAP_SETUID and CAP_SETGID until the agent starts");
    }
    return true;
}

bool privilege_drop(uid_t uid, gid_t gid, bool will_nest, struct err *err)
{
    struct rlimit none = {0, 0};

    if (!drop_bounding(err) || !become(uid, gid, err) || !drop_capabilities(will_nest ? CAP_SETFCAP : -1, err))
        return false;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot set no_new_privs");
    /* An empty session keyring: the one we came with may lead to the host user's keys. */
    syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0);
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot refuse core files");
    return true;
}

bool privilege_leave_network(struct err *err)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {{0}, {0}};
    const uint32_t admin = UINT32_C(1) << CAP_SYS_ADMIN; /* of the first word */

    if (unshare(CLONE_NEWNET) != 0) {
        err_errno(err, ERR_LAUNCH, errno, "the sandbox cannot leave the engine's network, and would not be sealed");
        return err_hint(err, "The remote engine must let a container have CAP_SYS_ADMIN and make a network namespace "
                             "(its seccomp profile, user.max_net_namespaces), or launch on its machine");
    }
    if (syscall(SYS_capget, &head, sets) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot read the capabilities");
    sets[0].effective &= ~admin;
    sets[0].permitted &= ~admin;
    sets[0].inheritable &= ~admin;
    prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0); /* again with all others in privilege_drop, which looks at it */
    return syscall(SYS_capset, &head, sets) == 0 || err_errno(err, ERR_LAUNCH, errno, "cannot drop CAP_SYS_ADMIN");
}

bool privilege_drop_rest(struct err *err)
{
    return drop_capabilities(-1, err);
}

static bool write_map(const char *path, const char *text, struct err *err)
{
    CLEANUP(file_close_ptr) int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        return err_errno(err, ERR_LAUNCH, errno, "cannot write %s", path);
    return true;
}

/* Mapping the parent namespace's id 0 needs that the parent could set file capabilities (Linux 5.12). */
bool privilege_nest(uid_t uid, gid_t gid, uint32_t pids, struct err *err)
{
    char uids[64], gids[64];
    struct rlimit limit = {pids, pids};

    snprintf(uids, sizeof(uids), "%u %u 1\n", (unsigned)uid, (unsigned)geteuid());
    snprintf(gids, sizeof(gids), "%u %u 1\n", (unsigned)gid, (unsigned)getegid());
    /* /proc/self of a process that is not dumpable belongs to root, and so would the maps. Nothing of another
     * user runs yet, and exec makes the agent dumpable anyway. */
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    if (unshare(CLONE_NEWUSER) != 0) {
        err_errno(err, ERR_LAUNCH, errno, "cannot give the agent its user's id (user namespace)");
        return err_hint(err, "See user.max_user_namespaces in /proc/sys");
    }
    if (!write_map("/proc/self/setgroups", "deny", err) || !write_map("/proc/self/uid_map", uids, err) ||
        !write_map("/proc/self/gid_map", gids, err))
        return false;
    /* Counted per namespace, so other processes of the user do not count (Linux 5.14). */
    if (pids > 0)
        setrlimit(RLIMIT_NPROC, &limit);
    return drop_bounding(err) && drop_capabilities(-1, err);
}

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#define FOREIGN_BIT 0x40000000u /* x32 */
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#define FOREIGN_BIT 0x80000000u
#else
#error "which architecture is this?"
#endif

/* Jumps count the rows to skip; the numbers in front of the rows below are for the reader. */
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define EQUALS(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), yes, no)
#define REFUSE(code) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (code))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define AT_LEAST(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)(value), yes, no)

static bool install(struct sock_filter *rows, size_t count, struct err *err)
{
    struct sock_fprog program = {.len = (unsigned short)count, .filter = rows};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot install the agent's system call filter");
    return true;
}

/* The supervisor has the agent's id, and would be the agent's to set back: below processes that never rest it would not
 * come to end anybody, nor die itself. */
static bool filter_supervisor(struct err *err)
{
    struct sock_filter rows[] = {
        /* 0 */ LOAD(nr),
        /* 1 */ EQUALS(SYS_sched_setscheduler, 6, 0),
        /* 2 */ EQUALS(SYS_sched_setattr, 5, 0),
        /* 3 */ EQUALS(SYS_sched_setparam, 4, 0),
        /* 4 */ EQUALS(SYS_sched_setaffinity, 3, 0),
        /* 5 */ EQUALS(SYS_prlimit64, 2, 0),
        /* 6 */ EQUALS(SYS_setpriority, 4, 0),
        /* 7 */ ALLOW,
        /* 8 */ LOAD(args[0]),
        /* 9 */ EQUALS(1, 5, 0), /* pid 1 */
        /* 10 */ ALLOW,
        /* 11 */ LOAD(args[0]),
        /* 12 */ EQUALS(PRIO_USER, 2, 0),
        /* 13 */ LOAD(args[1]),
        /* 14 */ EQUALS(1, 0, 1), /* and its group */
        /* 15 */ REFUSE(EPERM),
        /* 16 */ ALLOW,
    };

    return install(rows, COUNT(rows), err);
}

bool privilege_filter(struct err *err)
{
    /* args[n] are 64 bits; the low word is what the kernel reads as int and as unsigned int. */
    struct sock_filter rows[] = {
        /* 0 */ LOAD(arch),
        /* 1 */ EQUALS(NATIVE_ARCH, 1, 0),
        /* 2 */ REFUSE(ENOSYS), /* 32-bit calls would be a way around the numbers below */
        /* 3 */ LOAD(nr),
        /* 4 */ AT_LEAST(FOREIGN_BIT, 0, 1),
        /* 5 */ REFUSE(ENOSYS),
        /* 6 */ EQUALS(SYS_socket, 9, 0),
        /* 7 */ EQUALS(SYS_socketpair, 8, 0), /* makes two sockets before it asks whether they can be a pair */
        /* 8 */ EQUALS(SYS_ioctl, 13, 0),
        /* 9 */ EQUALS(SYS_io_uring_setup, 16, 0), /* would open sockets that no filter sees */
        /* 10 */ EQUALS(SYS_keyctl, 15, 0),        /* the host user's keyring may hold the vault's key */
        /* 11 */ EQUALS(SYS_add_key, 14, 0),
        /* 12 */ EQUALS(SYS_request_key, 13, 0),
        /* 13 */ EQUALS(SYS_bpf, 12, 0),
        /* 14 */ EQUALS(SYS_perf_event_open, 11, 0),
        /* 15 */ ALLOW,
        /* 16 */ LOAD(args[0]),
        /* 17 */ EQUALS(AF_UNIX, 3, 0),
        /* 18 */ EQUALS(AF_INET, 2, 0),
        /* 19 */ EQUALS(AF_INET6, 1, 0),
        /* 20 */ EQUALS(AF_NETLINK, 0, 6), /* vsock, bluetooth, can, alg ... know no network namespace */
        /* 21 */ ALLOW,
        /* 22 */ LOAD(args[1]),
        /* 23 */ EQUALS(TIOCSTI, 2, 0),
        /* 24 */ EQUALS(TIOCLINUX, 1, 0),
        /* 25 */ ALLOW,
        /* 26 */ REFUSE(EPERM),
        /* 27 */ REFUSE(EAFNOSUPPORT),
    };

    /* The other one goes by the numbers of this one's architecture, and so behind it. */
    return install(rows, COUNT(rows), err) && filter_supervisor(err);
}

/* Behind privilege_filter, which lets no foreign numbers through. */
bool privilege_filter_admin(struct err *err)
{
    struct sock_filter rows[] = {
        /* 0 */ LOAD(nr),
        /* 1 */ EQUALS(SYS_clone3, 9, 0), /* its flags are in memory; C libraries go on with clone */
        /* 2 */ EQUALS(SYS_clone, 4, 0),
        /* 3 */ EQUALS(SYS_unshare, 3, 0),
        /* 4 */ EQUALS(SYS_syslog, 5, 0),
        /* 5 */ EQUALS(SYS_fanotify_init, 4, 0),
        /* 6 */ ALLOW,
        /* 7 */ LOAD(args[0]),
        /* 8 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_NEWUSER, 1, 0),
        /* 9 */ ALLOW,
        /* 10 */ REFUSE(EPERM),
        /* 11 */ REFUSE(ENOSYS),
    };

    return install(rows, COUNT(rows), err);
}
