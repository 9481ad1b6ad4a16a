/* One binary, four names: picks the applet by argv[0] (aileron, aileron-shim, aileron-proxy, aileron-wait;
 * any other name is a tool of the session's catalogue and goes to the shim), else by argv[1]. It does
 * nothing else but list, install and tell its version. */
#include "applets/applet.h"

#include "applets/about.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int run_named(const char *name, int argc, char **argv)
{
    const struct applet *applet = applet_find(name);
    struct err err = {0};

    if (applet != NULL)
        return applet->run(argc, argv);
    err_set(&err, ERR_USAGE, "unknown command %s", name);
    err_hint(&err, "See aileron --help");
    return err_print(&err, "aileron");
}

/* Standard output is checked once, here: a full disk or a closed pipe must not look like success. */
static int finish(int status)
{
    struct err err = {0};

    errno = 0; /* where an earlier write failed, what failed it is no longer known */
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return status;
    if (errno != 0)
        err_errno(&err, ERR_IO, errno, "cannot write to standard output");
    else
        err_set(&err, ERR_IO, "cannot write to standard output");
    err_hint(&err, "What was printed is not complete");
    int failed = err_print(&err, "aileron");
    return status != 0 ? status : failed;
}

/* A standard stream that is closed gets a file on which reading, or writing, fails as before: else the next socket or
 * file that is opened would be taken for it. */
static void occupy_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); /* the lowest that is free */
}

int main(int argc, char **argv)
{
    if (argc < 1)
        return err_exit(ERR_USAGE);
    occupy_standard_streams();
    signal(SIGCHLD, SIG_DFL); /* where whoever started us ignores it no end of a process would be told */
    const char *slash = strrchr(argv[0], '/');
    const char *self = slash != NULL ? slash + 1 : argv[0];

    if (strncmp(self, "aileron-", 8) == 0) /* aileron-shim and its like are `aileron shim` */
        return finish(run_named(self + 8, argc, argv));
    if (strcmp(self, "aileron") != 0)
        return finish(run_named("shim", argc, argv));
    if (argc < 2)
        return finish(about_help(NULL, stderr));
    if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)
        return finish(about_help(NULL, stdout));
    if (strcmp(argv[1], "help") == 0)
        return finish(about_help_command(argc - 1, argv + 1));
    if (strcmp(argv[1], "--list") == 0)
        return finish(about_list());
    if (strcmp(argv[1], "--version") == 0)
        return finish(about_version());
    if (strcmp(argv[1], "--install") == 0)
        return finish(about_install(argc - 2, argv + 2));
    return finish(run_named(argv[1], argc - 1, argv + 1));
}
