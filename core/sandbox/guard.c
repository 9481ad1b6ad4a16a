/* The guard is forked, and holds two descriptors and the modes: none of the launcher's own, above
 * all not its connection to the daemon, whose end is what ends the session. It never touches a
 * terminal that a shell has already given to another job. */
#include "core/sandbox/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { TERMINAL = 0, PIPE = 1 }; /* its descriptors */

static void undo(const struct screen *screen)
{
    char text[SCREEN_UNDO_MAX];
    size_t len = screen_undo(screen, text);

    /* Not for long: Ctrl-S would hold us here. What does not fit the terminal's buffer is lost. */
    if (len > 0 && fcntl(TERMINAL, F_SETFL, O_NONBLOCK) == 0)
        (void)!write(TERMINAL, text, len);
}

static NORETURN void watch(int terminal, int pipe_end, const struct termios *modes, const struct screen *screen)
{
    char resting = 0;
    sigset_t all;
    ssize_t n;

    sigfillset(&all); /* SIGHUP and SIGTTOU: it acts when the terminal is losing its last user */
    sigprocmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_NAME, "aileron-guard", 0, 0, 0);
    terminal = fcntl(terminal, F_DUPFD, 10);
    pipe_end = fcntl(pipe_end, F_DUPFD, 10);
    if (terminal < 0 || pipe_end < 0 || dup2(terminal, TERMINAL) < 0 || dup2(pipe_end, PIPE) < 0)
        _exit(1);
    if (syscall(SYS_close_range, 2u, ~0u, 0u) != 0)
        for (int fd = 2; fd < 1024; fd++) /* before Linux 5.9 */
            close(fd);
    do
        n = read(PIPE, &resting, 1);
    while (n == 1 || (n < 0 && errno == EINTR));
    pid_t foreground = tcgetpgrp(TERMINAL);
    if (resting == 0 && (foreground < 0 || foreground == getpgrp())) {
        undo(screen);
        tcsetattr(TERMINAL, TCSANOW, modes); /* not DRAIN: Ctrl-S would hold us here */
    }
    _exit(0);
}

void guard_start(struct guard *guard, int terminal)
{
    struct termios modes;
    int ends[2];

    *guard = (struct guard){.pipe = -1};
    if (terminal < 0 || tcgetattr(terminal, &modes) != 0 || pipe2(ends, O_CLOEXEC) != 0)
        return;
    void *shared = mmap(NULL, sizeof(struct screen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    guard->screen = shared != MAP_FAILED ? shared : NULL;
    guard->pid = guard->screen != NULL ? fork() : -1;
    if (guard->pid == 0) {
        close(ends[1]);
        watch(terminal, ends[0], &modes, guard->screen);
    }
    close(ends[0]);
    guard->pipe = ends[1];
    if (guard->pid < 0)
        close(ends[1]);
}

void guard_follow(struct guard *guard, const uint8_t *bytes, size_t len)
{
    if (guard->screen != NULL)
        screen_follow(guard->screen, bytes, len);
}

void guard_rest(struct guard *guard, bool resting)
{
    char byte = resting ? 1 : 0;

    if (guard->pid > 0)
        (void)!write(guard->pipe, &byte, 1); /* to one that was killed: SIGPIPE is ignored here */
}

void guard_stop(struct guard *guard)
{
    if (guard->pid > 0) {
        close(guard->pipe);
        while (waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (guard->screen != NULL)
        munmap(guard->screen, sizeof(struct screen));
    *guard = (struct guard){.pipe = -1};
}
