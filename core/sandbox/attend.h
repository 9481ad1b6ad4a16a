/* Attends a running sandbox from the launcher: copies the terminal, forwards signals, follows a stopped agent
 * (Ctrl-Z), watches the connection that the daemon holds, and returns when the engine's process has ended. */
#ifndef AILERON_SANDBOX_ATTEND_H
#define AILERON_SANDBOX_ATTEND_H

#include "core/base/err.h"
#include "core/sandbox/feed.h"
#include "core/sandbox/guard.h"
#include "core/sandbox/tty.h"

struct keeper;

enum attend_end {
    ATTEND_NOT_STARTED, /* the agent never ran */
    ATTEND_EXIT,        /* it ended; the status is its own */
    ATTEND_MEMORY,      /* the kernel killed it for want of memory */
    ATTEND_KILLED,      /* the sandbox was killed from outside, or died */
    ATTEND_ENGINE_GONE  /* the engine's process ended, and the sandbox was still there: it has been ended */
};

struct attend {
    pid_t child;        /* the engine's process, our child */
    struct tty *tty;    /* NULL: standard streams are inherited */
    struct feed *feed;  /* of standard input */
    struct keeper *keeper; /* of a detached sandbox: it has the terminal's other end; NULL: the user's has */
    struct guard *guard; /* of the user's terminal, whoever sets its modes */
    int control_fd;     /* our end of the control channel; -1: signals go to the child itself */
    int control_listen_fd; /* where the supervisor connects to become it (SANDBOX_CONTROL); -1: none */
    const char *control_path; /* of that; removed when it has connected */
    int hold_fd;        /* ends when the daemon died, or after ATTEND_ENDED; -1: none */
    /* The daemon died: gets it started again and returns the new descriptor. The terminal waits meanwhile, so
     * it must not block: ATTEND_RETRY asks to be called again after ATTEND_RETRY_MS; -1 gives up, and the supervisor
     * looks whether the session goes on; ATTEND_OVER: it does not. */
    int (*daemon_gone)(void *arg);
    /* --detach: the process that waits for the start; it gets SUPERVISOR_RUNNING, and when it knows that the sandbox
     * runs it sends a byte, and alone is called. Where it ends before, so does the sandbox. -1: none. */
    int starter_fd;
    void (*alone)(void *starter);
    void *starter, *arg;
    void (*signal)(void *arg, int signo); /* how pid 1 is sent one where there is no channel; NULL: by the child */
    void *signal_arg;
    bool end_with_session; /* the sandbox does not see the session's end: it is asked to end then */
    enum attend_end end; /* set by attend_run: how the sandbox ended, as far as it could say so itself */
};

/* In what the daemon says last of a session that it ended: it may be stopped then, and nobody starts it for that. */
#define ATTEND_ENDED "\"ended\":true"

enum { ATTEND_RETRY = -2, ATTEND_OVER = -3, ATTEND_RETRY_MS = 100 };

/* Returns the child's exit status (128+n for a signal). When it returns the sandbox is over, also where its engine was
 * killed: it is asked to end itself then. */
int attend_run(struct attend *attend) NONNULL;

#endif
