/* Two system calls that valgrind does not have, for tests of the monitor: pidfd_open, for which a pipe stands that a
 * process of its own closes in time, and an exec of /proc/self/exe, which is valgrind itself there. The functions
 * stand in front of libc's in the test's program, and outside of valgrind they are the same as those. */
#ifndef AILERON_TESTS_VALGRIND_WORLD_H
#define AILERON_TESTS_VALGRIND_WORLD_H

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int pidfd_by_pipe(pid_t pid)
{
    const struct timespec pause = {.tv_nsec = 10 * 1000000L};
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        if (fork() != 0) /* nobody's child, so that no test waits for it */
            _exit(0);
        for (int fd = 0; fd < 1024; fd++) /* a lock among them */
            if (fd != ends[1])
                close(fd);
        while (kill(pid, 0) == 0)
            nanosleep(&pause, NULL);
        _exit(0);
    }
    close(ends[1]);
    waitpid(child, NULL, 0);
    return ends[0];
}

/* It takes six arguments, however many were given, as libc's does: a sanitizer would see that. */
__attribute__((no_sanitize_address)) long syscall(long number, ...)
{
    static long (*real)(long, ...);
    long arg[6];
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++)
        arg[i] = va_arg(args, long);
    va_end(args);
    if (number == SYS_pidfd_open && getenv("UNDER_VALGRIND") != NULL)
        return pidfd_by_pipe((pid_t)arg[0]);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    return real(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

int execve(const char *path, char *const argv[], char *const envp[])
{
    char self[PATH_MAX] = "";

    if (strcmp(path, "/proc/self/exe") == 0 && readlink(path, self, sizeof self - 1) > 0)
        path = self;
    return (int)syscall(SYS_execve, path, argv, envp);
}

#endif
