/* What processes share: descriptor flags, lock files, and local sockets with who is at the other end. */
#include "core/base/proc.h"

#include "core/base/file.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { STATUS_BYTES = 16 * 1024 }; /* of /proc/PID/status */

bool proc_set_cloexec(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFD);
    return flags >= 0 && fcntl(fd, F_SETFD, on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC) == 0;
}

bool proc_set_nonblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

int proc_lock(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EROFS) /* a lock that is there can be asked for all the same */
        fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        err_errno(err, ERR_IO, errno, "cannot open the lock %s", path);
        return -1;
    }
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR)
            continue;
        if (errno == EWOULDBLOCK)
            err_set(err, ERR_CONFLICT, "%s is held by another process", path);
        else
            err_errno(err, ERR_IO, errno, "cannot lock %s", path);
        close(fd);
        return -1;
    }
    return fd;
}

bool proc_peer(int fd, pid_t *pid, uid_t *uid)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || len != sizeof(peer))
        return false;
    *pid = peer.pid;
    *uid = peer.uid;
    return true;
}

/* How many PID namespaces of those that /proc shows a process has a number in (proc(5), NSpid); 0: not known. */
static size_t namespace_depth(pid_t pid)
{
    static const char name[] = "\nNSpid:";
    AUTOFREE char *path = pid > 0 ? mem_printf("/proc/%ld/status", (long)pid) : mem_strdup("/proc/self/status");
    struct buf text;
    struct err ignored;
    size_t depth = 0;
    if (!file_read(path, STATUS_BYTES, &text, &ignored))
        return 0;
    const char *line = strstr(buf_cstr(&text), name);
    if (line) {
        line += sizeof(name) - 1;
        struct span rest = {line, strcspn(line, "\n")}, number;
        while (span_cut(&rest, '\t', &number))
            depth += number.len > 0;
    }
    buf_clear(&text);
    return depth;
}

bool proc_is_beside_us(pid_t pid)
{
    size_t its = pid > 0 ? namespace_depth(pid) : 0;
    return its > 0 && its == namespace_depth(0);
}

/* ---- local sockets (unix(7)) ---- */

static bool set_address(struct sockaddr_un *address, const char *path, struct err *err)
{
    size_t len = strlen(path);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len == 0 || len >= sizeof(address->sun_path)) {
        err_set(err, ERR_CONFIG, "the socket path %s has %zu bytes; the system allows 1 to %zu", path, len,
                sizeof(address->sun_path) - 1);
        return err_hint(err, "Set AILERON_HOME to a directory with a shorter path");
    }
    memcpy(address->sun_path, path, len);
    return true;
}

static int connect_to(int fd, const struct sockaddr_un *address)
{
    while (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

static int open_socket(int type, struct err *err)
{
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        err_errno(err, errno == EMFILE || errno == ENFILE ? ERR_LIMIT : ERR_IO, errno,
                  "cannot create a socket");
    return fd;
}

/* A socket that nobody listens on any more is removed; anything else that is there stays. */
static bool clear_the_way(const struct sockaddr_un *address, int type, struct err *err)
{
    const char *path = address->sun_path;
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT || err_errno(err, ERR_IO, errno, "cannot look at %s", path);
    if (!S_ISSOCK(st.st_mode)) {
        err_set(err, ERR_CONFLICT, "%s is in the way: it is not a socket", path);
        return err_hint(err, "Move it away, then try again");
    }
    CLEANUP(file_close_ptr) int fd = open_socket(type, err);
    /* Nonblocking: a listener that does not accept is still a listener (EAGAIN: its queue is full). */
    if (fd < 0 || !proc_set_nonblock(fd))
        return fd >= 0 && err_errno(err, ERR_IO, errno, "cannot look at %s", path);
    if (connect_to(fd, address) != ECONNREFUSED)
        return err_set(err, ERR_CONFLICT, "another process listens on %s", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return err_errno(err, ERR_IO, errno, "cannot remove the stale socket %s", path);
    return true;
}

static int listen_on(const char *path, int type, mode_t mode, struct err *err)
{
    struct sockaddr_un address;
    if (!set_address(&address, path, err) || !clear_the_way(&address, type, err))
        return -1;
    int fd = open_socket(type, err);
    if (fd < 0)
        return -1;
    /* fchmod before bind: the name never exists with a wider mode than asked for. chmod after it: the
     * umask may have taken bits away. */
    if (fchmod(fd, mode) != 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        err_errno(err, errno == EADDRINUSE ? ERR_CONFLICT : ERR_IO, errno, "cannot listen on %s", path);
        close(fd);
        return -1;
    }
    if (chmod(path, mode) != 0 || listen(fd, SOMAXCONN) != 0) {
        err_errno(err, ERR_IO, errno, "cannot listen on %s", path);
        close(fd);
        unlink(path);
        return -1;
    }
    return fd;
}

int proc_unix_listen(const char *path, mode_t mode, struct err *err)
{
    return listen_on(path, SOCK_STREAM, mode, err);
}

int proc_unix_listen_packets(const char *path, mode_t mode, struct err *err)
{
    return listen_on(path, SOCK_SEQPACKET, mode, err);
}

static int connect_with(const char *path, int type, struct err *err)
{
    struct sockaddr_un address;
    if (!set_address(&address, path, err))
        return -1;
    int fd = open_socket(type, err);
    if (fd < 0)
        return -1;
    int failed = connect_to(fd, &address);
    if (failed == 0)
        return fd;
    close(fd);
    err_errno(err, failed == EACCES || failed == EPERM ? ERR_DENIED : ERR_UNAVAILABLE, failed,
              "cannot connect to %s", path);
    return -1;
}

int proc_unix_connect(const char *path, struct err *err)
{
    return connect_with(path, SOCK_STREAM, err);
}

int proc_unix_connect_packets(const char *path, struct err *err)
{
    return connect_with(path, SOCK_SEQPACKET, err);
}
