/* Which they are, and which are left alone. */
#include "core/sandbox/signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int handled[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT};

static void handled_set(sigset_t *set)
{
    struct sigaction now;

    sigemptyset(set);
    for (size_t i = 0; i < COUNT(handled); i++)
        if (handled[i] == SIGCHLD || sigaction(handled[i], NULL, &now) != 0 || now.sa_handler != SIG_IGN)
            sigaddset(set, handled[i]); /* nohup, or a script's `&`, has them ignored: they stay so */
}

bool signals_block(struct err *err)
{
    sigset_t set;

    handled_set(&set);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot block signals");
    return true;
}

int signals_open(struct err *err)
{
    sigset_t set;

    handled_set(&set);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        err_errno(err, ERR_LAUNCH, errno, "cannot watch signals");
    return fd;
}

bool signals_end(int signo)
{
    return signo == SIGTERM || signo == SIGINT || signo == SIGHUP || signo == SIGQUIT;
}

bool signals_asked(int fd)
{
    struct signalfd_siginfo info;
    bool asked = false;

    while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        asked = asked || signals_end((int)info.ssi_signo);
    return asked;
}
