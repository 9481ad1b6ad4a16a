/* Two processes and a socket between them. The keeper is the launcher itself: it registers the session, starts the
 * engine and stays. The one that a person sees waits until it hears that the agent was started, answers, and ends; if
 * it is interrupted before, the keeper sees its end and stops the sandbox. */
#include "applets/launch_detach.h"

#include "applets/show.h"
#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/proc.h"
#include "core/sandbox/attend.h"
#include "core/sandbox/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static bool use_null(int first, int last)
{
    CLEANUP(file_close_ptr) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    bool good = null >= 0;

    for (int fd = first; good && fd <= last; fd++)
        good = dup2(null, fd) == fd;
    return good;
}

/* Reads a session's id and SUPERVISOR_RUNNING; false where the keeper ended before. */
static bool await_start(int fd, char id[ULID_LEN + 1])
{
    size_t len = 0;
    char byte = 0;

    for (; len <= ULID_LEN; len++) {
        ssize_t n = read(fd, &byte, 1);
        while (n < 0 && errno == EINTR)
            n = read(fd, &byte, 1);
        if (n != 1)
            return false;
        if (len < ULID_LEN)
            id[len] = byte;
    }
    return byte == SUPERVISOR_RUNNING;
}

static int wait_for_keeper(pid_t keeper, int fd)
{
    char id[ULID_LEN + 1] = "";
    int status = 0;

    if (await_start(fd, id) && id_valid(id, "")) {
        bool good = puts(id) >= 0 && fflush(stdout) == 0 && send(fd, "y", 1, MSG_NOSIGNAL) == 1;
        close(fd);
        if (good)
            return 0;
        fprintf(stderr, "aileron: the session's id cannot be printed; the sandbox stops.\n");
        show_none();
        status = err_exit(ERR_IO);
    } else {
        close(fd);
    }
    int ended = 0;
    while (waitpid(keeper, &ended, 0) < 0 && errno == EINTR)
        ;
    return status != 0 ? status : proc_exit_status(ended);
}

int launch_detach_start(struct launch_detach *detach, struct err *err)
{
    int ends[2];

    fflush(NULL);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        err_errno(err, ERR_LAUNCH, errno, "cannot start in the background");
        return -2;
    }
    pid_t pid = fork();
    if (pid < 0) {
        err_errno(err, ERR_LAUNCH, errno, "cannot start in the background");
        close(ends[0]);
        close(ends[1]);
        return -2;
    }
    if (pid > 0) {
        close(ends[1]);
        return wait_for_keeper(pid, ends[0]);
    }
    close(ends[0]);
    detach->starter_fd = ends[1];
    setsid();
    if (use_null(STDIN_FILENO, STDOUT_FILENO))
        return -1;
    err_errno(err, ERR_LAUNCH, errno, "cannot open /dev/null");
    return -2;
}

bool launch_detach_keep(struct launch_detach *detach, const struct plan *plan, int master, struct err *err)
{
    AUTOFREE char *path = mem_printf("%s/run/private/%s/attach.sock", plan->aileron_home, plan->session_id);

    detach->keeper = keeper_open(path, master, err);
    return detach->keeper != NULL && file_write_all(detach->starter_fd, plan->session_id, ULID_LEN, err);
}

void launch_detach_alone(void *arg)
{
    struct launch_detach *detach = arg;

    close(detach->starter_fd);
    detach->starter_fd = -1;
    (void)!chdir("/");
    /* What the launcher says from now on is for whoever attaches. */
    CLEANUP(file_close_ptr) int voice = keeper_voice(detach->keeper);
    if (voice < 0 || dup2(voice, STDERR_FILENO) < 0)
        (void)!use_null(STDERR_FILENO, STDERR_FILENO);
}

void launch_detach_end(struct launch_detach *detach, int status)
{
    bool started = status != err_exit(ERR_LAUNCH) && status != err_exit(ERR_NOT_EXECUTABLE) &&
                   status != err_exit(ERR_NOT_FOUND_COMMAND) && status >= 0;
    uint8_t running = SUPERVISOR_RUNNING;
    struct err ignored = {0};

    if (detach->starter_fd >= 0 && started) { /* it was over before anybody looked */
        (void)!send(detach->starter_fd, &running, 1, MSG_NOSIGNAL);
    } else if (detach->starter_fd >= 0 && detach->keeper != NULL) {
        CLEANUP(buf_clear) struct buf kept;
        keeper_kept(detach->keeper, &kept);
        (void)!file_write_all(STDERR_FILENO, kept.data, kept.len, &ignored);
    }
    keeper_close(detach->keeper, status >= 0 ? status : err_exit(ERR_LAUNCH));
    detach->keeper = NULL;
}
