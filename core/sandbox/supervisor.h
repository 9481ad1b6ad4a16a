/* The supervisor: pid 1 of a sandbox. Sets up loopback, listeners and the fence, gives up every privilege,
 * starts the agent on its terminal, carries its traffic, reaps orphans, forwards signals, and exits as the
 * agent did. It ends the sandbox when the session's directory has gone (the session was ended). */
#ifndef AILERON_SANDBOX_SUPERVISOR_H
#define AILERON_SANDBOX_SUPERVISOR_H

#include "core/base/err.h"
#include "core/sandbox/layout.h"
#include "core/wire/addr.h"

enum {
    SUPERVISOR_POLL_MS = 3000,  /* between two looks at the session's directory */
    SUPERVISOR_GRACE_MS = 5000, /* from SIGTERM to SIGKILL where the session was ended, or the launcher has gone */
    SUPERVISOR_STOP_MS = 10000  /* the same where somebody sent the launcher a SIGTERM */
};

/* Bytes on the control channel, whose end tells each side that the other has gone. To the supervisor: a signal's number
 * (SIGCONT wakes a stopped agent), or that it is to look at once whether the session goes on. To the launcher: that the
 * agent has been started, that it was stopped; and as the last word one of the others. Without a last word the sandbox
 * was killed. */
enum {
    SUPERVISOR_LOOK = 'L', /* no signal: those end at 64 */
    SUPERVISOR_RUNNING = 'R',
    SUPERVISOR_STOPPED = 'S',
    SUPERVISOR_ENDED = 'E',  /* the agent has ended; the status is its own */
    SUPERVISOR_MEMORY = 'M', /* the kernel killed it for want of memory */
    SUPERVISOR_FAILED = 'F'  /* it was not started */
};

struct supervisor_spec {
    char *const *command; /* NULL-terminated */
    const char *cwd;      /* NULL: the workspace */
    bool have_workspace;  /* which directory it must be; else it is not looked at */
    uint64_t workspace_dev, workspace_ino;
    const char *const *directories; /* "DEV:INODE:PLACE", which must be that directory */
    size_t directory_count;
    const char *const *volumes; /* places that become the agent's where they are root's */
    size_t volume_count;
    const char *agent_user; /* the image's user whose name and home the agent gets; NULL: the sandbox's own */
    bool have_id;         /* uid and gid are given; else those of the workspace's owner */
    uid_t uid;
    gid_t gid;
    uint32_t pids;        /* 0: no limit of our own */
    bool open;            /* --network=open: relay and variables only */
    bool have_remote;     /* the session's socket is on another machine: where its TLS listener is */
    struct addr remote;
    int control_fd;       /* -1: none */
    uint16_t ports[SANDBOX_CAPTURE_PORTS_MAX];
    size_t port_count;    /* 0: 80 and 443 */
    const char *run_dir;  /* NULL: /run/aileron */
    const char *const *caches; /* mounted below the agent's home; what the engine made above them becomes the agent's */
    size_t cache_count;
};

/* Returns the exit status of the sandbox: the agent's own (128+n for a signal); 125, 126, 127 for what went
 * wrong before it ran, said on standard error. */
int supervisor_run(const struct supervisor_spec *spec) NONNULL;

#endif
