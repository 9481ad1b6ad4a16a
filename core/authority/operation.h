/* Operations (design 10): what an agent asked for through a tool, its state and its result, in state.db.
 *
 *   pending -> approved | denied | expired
 *   approved -> running | failed
 *   running -> succeeded | failed | unknown
 *
 * What needs no person begins as running. Every change is committed before it is acted on. An operation that a dead
 * daemon or worker left running is `unknown`, and is never run again by itself. Monitor only. */
#ifndef AILERON_AUTHORITY_OPERATION_H
#define AILERON_AUTHORITY_OPERATION_H

#include "core/authority/session.h"

enum operation_state {
    OPERATION_PENDING,
    OPERATION_APPROVED,
    OPERATION_RUNNING,
    OPERATION_SUCCEEDED,
    OPERATION_FAILED,
    OPERATION_DENIED,
    OPERATION_EXPIRED,
    OPERATION_UNKNOWN,
    OPERATION_STATES
};
const char *operation_word(enum operation_state state);
bool operation_parse(const char *word, enum operation_state *state) MUSTUSE NONNULL;
bool operation_final(enum operation_state state);

enum {
    OPERATION_WAIT_MS = 600 * 1000, /* of OP_GET */
    OPERATION_WAITERS = 256,        /* of one session */
    OPERATION_LISTED = 100
};

struct operations; /* what runs and who waits */
/* Sweeps what an earlier daemon left running. */
struct operations *operations_open(struct monitor *monitor, struct err *err) MUSTUSE NONNULL;
void operations_close(struct operations *operations); /* NULL is fine */
size_t operations_swept(const struct operations *operations) NONNULL; /* unknown since this daemon's start */

/* The messages of a worker. False: it broke the protocol. */
bool operation_run(struct session *session, uint32_t id, const struct json_at *run, struct err *err)
    MUSTUSE NONNULL;
bool operation_body(struct session *session, uint32_t id, const void *data, size_t len, struct err *err)
    MUSTUSE NONNULL_AT(1, 5);
bool operation_done(struct session *session, uint32_t id, const struct json_at *done, struct err *err)
    MUSTUSE NONNULL;
bool operation_get(struct session *session, uint32_t id, const struct json_at *get, struct err *err)
    MUSTUSE NONNULL;
/* More wait than may: refused, since an answer at once would only be asked for again. */
void operation_refuse_waiter(struct session *session, uint32_t id, size_t most) NONNULL;
void operation_cancel(struct session *session, uint32_t id) NONNULL;
bool operation_list(struct session *session, uint32_t id, const struct json_at *list, struct err *err)
    MUSTUSE NONNULL;
bool operation_ack(struct session *session, uint32_t id, const struct json_at *ack, struct err *err)
    MUSTUSE NONNULL;
/* For approval_decide.c, within its transaction. edit: other arguments for a pending one, checked; what a person
 * then has decided about (caller's reference). decided: to approved or denied. */
json_t *operation_edit(struct session *session, const char *op_id, json_t *args, struct err *err) MUSTUSE NONNULL;
bool operation_decided(struct session *session, const char *op_id, bool approve, const char *reason, struct err *err)
    MUSTUSE NONNULL_AT(1, 2, 5);
/* After it: one that is approved runs, if the worker is there; whoever waits for a denied one is told. */
void operation_follow(struct session *session, const char *op_id) NONNULL;
/* Within the transaction that expires its approval; whoever waits is told by operation_told, after it. */
bool operation_expire(struct monitor *monitor, const char *op_id, const char *reason, struct err *err)
    MUSTUSE NONNULL;
void operation_told(struct monitor *monitor, const char *op_id) NONNULL;
/* Runs what a person has approved, the oldest first, as far as worker, vault and limits.operations let it: after a
 * decision, the end of another one, the start of a worker, an unlocked vault. */
void operation_kick(struct session *session) NONNULL;
void operation_kick_all(struct monitor *monitor) NONNULL;
/* What the session left approved or pending ends. */
void operation_session_over(struct monitor *monitor, const char *session) NONNULL;
/* What runs by state.db and by nothing else, since its end could not be stored: unknown. From the housekeeping. */
void operation_sweep_lost(struct monitor *monitor) NONNULL;
/* The session's worker is gone: what it ran is `unknown`, nobody waits any more. */
void operation_worker_gone(struct session *session) NONNULL;

/* The binding of an operation of this session that runs now, by the connector's word or by the rules; false
 * where the request is not what the operation is about, or may not be sent (err). */
bool operation_credential(struct session *session, const char *operation_id, const struct match_query *query,
                          struct decision *decision, struct err *err) MUSTUSE NONNULL;
/* For the control API: newest first. filter's strings are borrowed. Caller's reference. */
json_t *operation_rows(struct monitor *monitor, const struct store_operation_filter *filter,
                       struct err *err) MUSTUSE NONNULL;
json_t *operation_json(const struct store_operation *row) MUSTUSE NONNULL;

#endif
