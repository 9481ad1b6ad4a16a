/* Processes: spawn, our own executable, descriptor passing, locks, peer credentials. */
#ifndef AILERON_BASE_PROC_H
#define AILERON_BASE_PROC_H

#include "core/base/err.h"
#include "core/base/mem.h"

struct proc_fd { /* child_fd in the child is a duplicate of fd here */
    int fd, child_fd;
};
struct proc_spec {
    const char *path;        /* executable, from cwd where relative, no PATH search; NULL: our own (/proc/self/exe) */
    char *const *argv;       /* NULL-terminated */
    char *const *envp;       /* NULL: inherited */
    const char *cwd;         /* NULL: inherited */
    const struct proc_fd *fds; /* everything else is closed but 0, 1, 2 */
    size_t fd_count;         /* at most 32; child_fd at most 255 */
    bool new_session;        /* setsid */
    bool die_with_parent;    /* PR_SET_PDEATHSIG SIGKILL */
};
/* The child starts with no signal blocked and all dispositions at their default. -1 on failure, exec failure
 * included: ERR_NOT_FOUND_COMMAND or ERR_NOT_EXECUTABLE. */
pid_t proc_spawn(const struct proc_spec *spec, struct err *err) MUSTUSE NONNULL;
/* Runs to the end, standard output captured (at most max bytes, else ERR_LIMIT); status as of waitpid. argv[0] is
 * looked for on PATH; standard input is /dev/null, standard error is inherited. timeout_ms 0: none; past it
 * the program and what it started are killed (ERR_TIMEOUT). out is initialised here, and empty on failure. */
bool proc_capture(char *const *argv, size_t max, struct buf *out, int *status, uint64_t timeout_ms,
                  struct err *err) MUSTUSE NONNULL;
/* The same with standard error in between, and in this environment. */
bool proc_capture_all(char *const *argv, char *const *envp, size_t max, struct buf *out, int *status,
                      uint64_t timeout_ms, struct err *err) MUSTUSE NONNULL;
/* Closes a socket that hostile processes write to, in a child, by its end: what such a socket holds (descriptors on
 * their way, with SO_LINGER) may make close() wait for as long as they like; an exit does not wait. False: there can
 * be no child, and fd stays open. */
bool proc_close_elsewhere(int fd, struct err *err) MUSTUSE NONNULL;
int proc_exit_status(int wait_status); /* 128+n for a signal */
char *proc_self_path(struct err *err) MUSTUSE NONNULL; /* the executable's path; caller frees */
/* NULL: not on that PATH, whose relative entries are skipped. A name with a slash is itself. Caller frees. */
char *proc_which(const char *name, const char *path) MUSTUSE NONNULL;
/* flock: returns the fd, or -1 with ERR_CONFLICT where another holds it. */
int proc_lock(const char *path, struct err *err) MUSTUSE NONNULL;
bool proc_peer(int fd, pid_t *pid, uid_t *uid) MUSTUSE NONNULL; /* SO_PEERCRED */
/* Whether a process is in our own PID namespace and not in one below it, as a sandbox's are; false where it is gone. */
bool proc_is_beside_us(pid_t pid) MUSTUSE;
bool proc_set_cloexec(int fd, bool on) MUSTUSE;
bool proc_set_nonblock(int fd) MUSTUSE;
/* Unix stream sockets, close-on-exec, blocking. listen: removes a stale socket (ERR_CONFLICT where one listens),
 * mode exactly as given. connect: ERR_UNAVAILABLE where nobody listens. Both refuse a path over 107 bytes
 * with a hint. */
int proc_unix_listen(const char *path, mode_t mode, struct err *err) MUSTUSE NONNULL;
int proc_unix_connect(const char *path, struct err *err) MUSTUSE NONNULL;
/* The same of SOCK_SEQPACKET: what is sent at once arrives at once. */
int proc_unix_listen_packets(const char *path, mode_t mode, struct err *err) MUSTUSE NONNULL;
int proc_unix_connect_packets(const char *path, struct err *err) MUSTUSE NONNULL;

#endif
