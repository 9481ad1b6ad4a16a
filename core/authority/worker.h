/* Session workers as the monitor sees them: one process a session, executed afresh, talked to by typed messages,
 * started again where it dies. What a worker says is hostile until it is checked (threat C13). Monitor only. */
#ifndef AILERON_AUTHORITY_WORKER_H
#define AILERON_AUTHORITY_WORKER_H

#include "core/authority/session.h"
#include "core/data/message.h"
#include "core/loop/ipc.h"

enum {
    WORKER_RESTARTS = 5,           /* within WORKER_RESTARTS_MS; one more and the session has failed */
    WORKER_RESTARTS_MS = 10 * 1000,
    WORKER_JSON_BYTES = 512 * 1024 /* of a message's payload; the channel bounds it below that */
};

/* Starts the process on the session's listening socket and sends it the snapshot. */
bool worker_start(struct session *session, struct err *err) MUSTUSE NONNULL;
/* A new snapshot to a running worker. */
bool worker_update(struct session *session, struct err *err) MUSTUSE NONNULL;
/* Asks it to drain, and kills it where it does not; session->worker is gone when it has ended, and
 * session_gone is called then. */
void worker_stop(struct worker *worker, uint64_t drain_ms) NONNULL;
/* Ends it at once and frees it; nothing is called. */
void worker_free(struct worker *worker); /* NULL is fine */
/* A child of ours ended (SIGCHLD). False: it is no worker. */
bool worker_reaped(struct monitor *monitor, pid_t pid, int wait_status) NONNULL;
/* For any worker process, the page's too: executed afresh as that applet, with nothing of the daemon's environment;
 * fd 3 is its end of the channel that is returned, fd 4 the listening socket. NULL: nothing was started, and *pid is as
 * it was. */
struct ipc *worker_spawn(struct loop *loop, const char *applet, int listen_fd, const struct ipc_handler *for_messages,
                         void *arg, pid_t *pid, struct err *err) MUSTUSE NONNULL_AT(1, 2, 4, 6, 7);
pid_t worker_pid(const struct worker *worker) NONNULL;

/* Answers to a worker's question; false where it is gone (which needs no care). */
bool worker_send(struct session *session, enum message_type type, unsigned flags, uint32_t id,
                 const void *payload, size_t len) NONNULL_AT(1);
/* What no message can hold is answered with a refusal instead: a question without an answer would hang. */
bool worker_send_json(struct session *session, enum message_type type, uint32_t id, const json_t *payload)
    NONNULL;
/* MESSAGE_CREDENTIAL: answers to these questions, in as few messages as hold them. */
struct worker_secret {
    uint32_t id;
    const char *binding, *username; /* NULL or "": none */
    const struct secret *secret;
    uint64_t grant; /* 0: for this question alone */
};
void worker_send_secrets(struct session *session, const struct worker_secret *secrets, size_t count) NONNULL;
bool worker_fits(const json_t *payload, struct err *err) MUSTUSE NONNULL; /* into one message; ERR_LIMIT */
/* MESSAGE_REFUSED; rule and operation may be NULL. */
void worker_refuse(struct session *session, uint32_t id, const struct err *err, const char *rule,
                   const char *operation) NONNULL_AT(1, 3);
/* Bytes that the worker has not taken yet. */
size_t worker_queued(const struct session *session) NONNULL;

/* Implemented by session.c: the worker that was asked to stop has ended. */
void session_gone(struct session *session) NONNULL;

#endif
