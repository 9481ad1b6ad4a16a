/* The launcher's side of a session: registered at the daemon, held by an open connection, carried on when the
 * daemon dies, ended with the sandbox. */
#ifndef AILERON_APPLETS_LAUNCH_SESSION_H
#define AILERON_APPLETS_LAUNCH_SESSION_H

#include "core/client/client.h"
#include "core/sandbox/plan.h"

struct launch_session {
    const char *home;    /* borrowed */
    char *id;            /* NULL: not registered */
    struct client *hold; /* NULL: no daemon holds it at the moment */
    pid_t starter;       /* a process of ours that starts the daemon; 0: none */
    unsigned attempts;   /* in a row that found no daemon */
    const char *reason;  /* how the sandbox ended, for the record; NULL: it was never begun */
    int status;          /* what the launcher exits with */
};

void launch_session_init(struct launch_session *session) NONNULL;
/* What else has to be done before the sandbox can start: called once while the daemon makes the session. */
typedef bool (*launch_meanwhile_fn)(void *arg, struct err *err);
/* Registers the session and takes over what the answer says: the plan's session_id, session_dir and variables
 * (stand-ins for credentials). The daemon is started where none runs. */
bool launch_session_start(struct launch_session *session, const char *home, struct plan *plan, const char *agent,
                          const char *engine, launch_meanwhile_fn meanwhile, void *arg, struct err *err)
    MUSTUSE NONNULL_AT(1, 2, 3, 5, 6, 8);
/* The descriptor of the hold connection; -1: none. */
int launch_session_hold(const struct launch_session *session) NONNULL;
/* attend's daemon_gone: starts the daemon in a process of its own, then holds the session again. */
int launch_session_recover(void *session);
/* Tells the daemon that the sandbox has ended; harmless when nothing was registered. */
void launch_session_end(struct launch_session *session) NONNULL;

#endif
