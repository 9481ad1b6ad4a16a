/* Looks at three descriptors. docker's and podman's programs read and write them themselves; bwrap has its sandbox
 * inherit them. */
#include "applets/launch_streams.h"

#include <sys/stat.h>
#include <unistd.h>

bool launch_streams_check(struct err *err)
{
    struct stat st;

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
            err_set(err, ERR_USAGE, "standard %s is a directory", fd == STDIN_FILENO ? "input" : "output");
            return err_hint(err, "Give it a file, a pipe or /dev/null");
        }
    return true;
}

int launch_streams_terminal(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (isatty(fd) == 1)
            return fd;
    return -1;
}

bool launch_streams_pass(const struct engine *engine, const struct tty *tty, struct feed *feed, struct engine_run *run,
                         struct err *err)
{
    struct stat st;

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (tty->slave >= 0 && (tty->fd < 0 || isatty(fd) == 1))
            engine_run_pass(run, tty->slave, fd);
    if (engine != &engine_bwrap || (tty->slave >= 0 && tty->fd < 0) || fstat(STDIN_FILENO, &st) != 0 ||
        !S_ISREG(st.st_mode))
        return true;
    if (!feed_open(feed, STDIN_FILENO, err))
        return false;
    engine_run_pass(run, feed->from, STDIN_FILENO);
    return true;
}
