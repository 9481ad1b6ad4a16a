/* fork, then everything that must be so before the agent's first instruction, then exec; a pipe that exec closes
 * says how it went. Between fork and exec it may use memory freely: the supervisor has no threads. */
#include "core/sandbox/child.h"

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/proc.h"
#include "core/base/text.h"
#include "core/sandbox/homefiles.h"
#include "core/sandbox/layout.h"
#include "core/sandbox/memory.h"
#include "core/sandbox/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A file of that name that is on the PATH without being executable: 126 rather than 127. */
static bool on_path_at_all(const char *name, const char *path)
{
    struct span rest = span_of(path), dir;
    struct stat st;

    while (span_cut(&rest, ':', &dir)) {
        AUTOFREE char *full = mem_printf("%.*s/%s", SPAN_ARG(dir), name);
        if (stat(full, &st) == 0 && S_ISREG(st.st_mode))
            return true;
    }
    return false;
}

static char *find(const struct child_spec *spec, struct err *err)
{
    const char *name = spec->command[0], *path = env_get(spec->env, "PATH");
    char *found = NULL;

    if (strchr(name, '/') != NULL) {
        struct stat st;
        if (fstatat(AT_FDCWD, name, &st, 0) == 0)
            return mem_strdup(name);
    } else {
        found = proc_which(name, path);
    }
    if (found != NULL)
        return found;
    if (strchr(name, '/') == NULL && on_path_at_all(name, path)) {
        err_set(err, ERR_NOT_EXECUTABLE, "%s is on the sandbox's PATH but cannot be executed", name);
        err_hint(err, "Give it the permission (chmod +x)");
        return NULL;
    }
    char shown[128];
    text_display(span_of(name), shown, sizeof(shown));
    err_set(err, ERR_NOT_FOUND_COMMAND, "there is no command %s in the sandbox", shown);
    if (strchr(name, '/') != NULL)
        err_hint(err, "Is that its path in the image, or under /home/agent/workspace?");
    else
        err_hint(err, "Its PATH is %s; is it in the image, or installed in a place the sandbox shows?", path);
    return NULL;
}

static void reset_signals(void)
{
    sigset_t none;

    for (int signo = 1; signo < NSIG; signo++)
        signal(signo, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool become_agent(const struct child_spec *spec, struct err *err)
{
    struct rlimit files;

    setpgid(0, 0);
    if (spec->terminal >= 0) {
        signal(SIGTTOU, SIG_IGN); /* tcsetpgrp from the background, once */
        tcsetpgrp(spec->terminal, getpid());
    }
    reset_signals();
    if (spec->open_files > 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = spec->open_files;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (chdir(spec->cwd) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot change to %s", spec->cwd);
    memory_go_first();
    if (spec->nest && !privilege_nest(spec->uid, spec->gid, spec->pids, err))
        return false;
    if (!privilege_filter(err) || (spec->wide && !privilege_filter_admin(err)))
        return false;
    /* Whatever the engine let us inherit, the agent does not. */
    if (syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
        for (int fd = 3; fd < 1024; fd++) /* before Linux 5.11 */
            fcntl(fd, F_SETFD, FD_CLOEXEC);
    return true;
}

static NORETURN void run(const struct child_spec *spec, const char *path, int report)
{
    struct err err = {0};

    if (become_agent(spec, &err)) {
        homefiles_take(spec->env);
        execve(path, spec->command, spec->env->items);
        int why = errno;
        char shown[128];
        text_display(span_of(path), shown, sizeof(shown));
        if (why == ENOENT || why == ENOTDIR) {
            err_set(&err, ERR_NOT_EXECUTABLE, "%s cannot be executed: its interpreter is not in the sandbox",
                    shown);
            err_hint(&err, "Its first line, or the program's header, names one; is that in the image?");
        } else {
            err_errno(&err, ERR_NOT_EXECUTABLE, why, "%s cannot be executed", shown);
            err_hint(&err, "Is it a program for this machine, and executable (chmod +x)?");
        }
    }
    (void)!write(report, &err, sizeof(err));
    _exit(err_exit(err.code));
}

pid_t child_start(const struct child_spec *spec, struct err *err)
{
    AUTOFREE char *path = NULL;
    struct err report = {0};
    int ends[2];

    if (chdir(spec->cwd) != 0) {
        err_errno(err, ERR_LAUNCH, errno, "cannot change to %s", spec->cwd);
        return -1;
    }
    path = find(spec, err);
    if (path == NULL)
        return -1;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        err_errno(err, ERR_LAUNCH, errno, "cannot start the agent");
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        run(spec, path, ends[1]);
    }
    close(ends[1]);
    if (pid < 0)
        err_errno(err, ERR_LAUNCH, errno, "cannot start the agent");
    else
        setpgid(pid, pid); /* both sides, so that neither races */
    ssize_t n;
    do
        n = pid < 0 ? 0 : read(ends[0], &report, sizeof(report));
    while (n < 0 && errno == EINTR);
    close(ends[0]);
    if (n == 0)
        return pid;
    waitpid(pid, NULL, 0); /* until then it holds what exec would have closed, the listeners among it */
    *err = report;
    return -1;
}
