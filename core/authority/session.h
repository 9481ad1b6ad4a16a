/* Sessions: the registry, the launch token, the session's certificate authority, and its life from the launch to
 * the end. A session survives the daemon: what it needs is in state.db and run/private/<id>. Monitor only.
 *
 *   STARTING -> READY (its worker answers) -> ENDING -> freed
 *        \________\-> FAILED (its worker died too often) -> ENDING */
#ifndef AILERON_AUTHORITY_SESSION_H
#define AILERON_AUTHORITY_SESSION_H

#include "core/authority/lease.h"
#include "core/authority/monitor.h"
#include "core/authority/quota.h"
#include "tls/ca.h"

enum { SESSION_TOKEN_BYTES = 32, SESSION_COMMAND_WORDS = 4096, SESSION_TEXT_BYTES = 4096 };

enum session_state { SESSION_STARTING, SESSION_READY, SESSION_FAILED, SESSION_ENDING };
const char *session_state_word(enum session_state state);

struct worker;
struct service_request;
struct session {
    struct session *next;
    struct monitor *monitor;
    enum session_state state;
    char *id;
    char *dir;         /* run/sessions/<id>: mounted */
    char *private_dir; /* run/private/<id>: never mounted */
    json_t *meta;      /* as in state.db */
    struct snapshot *snapshot; /* the monitor's own, without the CA's key */
    char basis[65];            /* approval.c's digest of what the snapshot lets and asks; "": not made yet */
    struct ca *ca;
    int listen_fd;     /* session.sock; -1 once it is closed */
    int remote_fd;     /* the TLS listener of a sandbox on another machine (session_remote.h); -1: none */
    char *remote;      /* where it listens, "10.1.2.3:4567"; NULL */
    int launcher_fd;   /* pidfd; -1 */
    struct watch launcher;
    struct worker *worker;
    struct service_request *hold; /* the launcher's open request; NULL */
    int64_t created_ms;
    int end_status; /* the launcher's, where it lived to tell; else -1 */
    struct quota quota;
    struct lease lease;
    struct timer renew; /* of the CA's certificate */
};

/* {"command": [..], "agent"?, "engine"?, "network"?, "image"?, "workspace"?, "uid"?, "gid"?, "pid", "memory"?, "pids"?,
 * "detached"?, "engine_env"?} -> a running session; *answer gets {"id", "dir", "token_file", "env": {..}, "home_id",
 * "remote"?} (caller's reference). engine_env: where an engine on another machine is, by the variables of its own
 * program; the session gets a TLS listener then, and "remote" says where. */
struct session *session_create(struct monitor *monitor, const struct json_at *request, json_t **answer,
                               struct err *err) MUSTUSE NONNULL;
/* Whether the process that meta names as the launcher is still that one. */
bool session_launcher_lives(const json_t *meta) MUSTUSE NONNULL;
struct session *session_find(struct monitor *monitor, struct span id) NONNULL;
/* Ends it: token and directory go at once, the worker drains, the record says why ("exit", "launcher gone", ..).
 * reap: nobody attends to the sandbox, and whatever the engine has of it is removed. The struct is freed later, from
 * the loop. */
void session_end(struct session *session, const char *reason, bool reap) NONNULL;
/* Carries on with the sessions of an earlier daemon whose launcher lives; ends the others; removes what belongs
 * to none. */
bool session_restore_all(struct monitor *monitor, struct err *err) MUSTUSE NONNULL;
/* New rules for all sessions. False: one that they do not fit keeps what it has; err says which and why. */
bool session_update_all(struct monitor *monitor, struct err *err) MUSTUSE NONNULL;
/* Daemon's exit: workers end, sessions stay alive for the next daemon. */
void session_close_all(struct monitor *monitor) NONNULL;
/* As the control API shows it; never the token. Caller's reference. */
json_t *session_json(const struct session *session) MUSTUSE NONNULL;

/* False: the session is ending, and its worker only drains; or it is halted. It gets nothing. */
bool session_may_ask(const struct session *session, struct err *err) MUSTUSE NONNULL;
void session_set_state(struct session *session, enum session_state state) NONNULL;
/* The document for a worker, with the CA's key; out is initialised here, buf_wipe it. */
bool session_snapshot_bytes(struct session *session, struct buf *out, struct err *err) MUSTUSE NONNULL;

#endif
