/* What operation.c (running them) and operation_read.c (reading them back) share; for nobody else. */
#ifndef AILERON_AUTHORITY_OPERATION_PRIVATE_H
#define AILERON_AUTHORITY_OPERATION_PRIVATE_H

#include "core/authority/operation.h"
#include "core/data/connector.h"

/* An operation that a worker carries out now. */
struct running {
    struct running *next;
    struct session *session;
    uint32_t id; /* of the OP_RUN */
    char *op_id, *connector, *tool, *operation;
    json_t *args;
    struct buf result;
    bool truncated;
    struct secret *key; /* its row's, for a result that comes after the vault was locked; NULL: no vault */
};
/* An OP_GET that waits. */
struct waiter {
    struct waiter *next;
    struct session *session;
    uint32_t id; /* of the OP_GET */
    char *op_id;
    struct timer timer;
};
/* A result on its way to a worker, in pieces as its channel takes them; or one that waits until those of its session
 * that came before have gone, and is not read yet. */
struct delivery {
    struct delivery *next;
    struct session *session;
    uint32_t id; /* of the OP_GET */
    char *op_id;
    bool begun;
    struct buf result;
    size_t sent;
    struct timer timer;
};
/* One operation while it is being decided and begun. */
struct run {
    const struct tool_operation *tool;
    const struct connector *connector;
    json_t *args; /* checked */
    struct connector_request request;
    struct decision decision;
    struct store_operation row;
    char *ask; /* the rule, or the operation itself, that asks for a person; NULL: nothing does */
    bool granted; /* the person has said yes to it for the whole session */
};
struct operations {
    struct monitor *monitor;
    struct running *running;
    struct waiter *waiters;
    struct delivery *deliveries; /* the oldest first */
    uint32_t last_unasked;
    size_t swept; /* unknown since this daemon's start */
    bool lost;    /* the end of one could not be stored */
};

/* operation.c. prepare: everything that can refuse before anything is written; run->row has the names. */
bool operation_prepare(struct session *session, struct run *run, const json_t *args, struct err *err)
    MUSTUSE NONNULL;
/* Stored as running, on the record, and told to the worker, as the answer to `id`. A row that is approved goes on
 * from there, another one is added. */
bool operation_begin(struct session *session, uint32_t id, struct run *run, struct err *err) MUSTUSE NONNULL;
void run_clear(struct run *run) NONNULL;
size_t operation_count_running(const struct session *session) NONNULL;
bool operation_room(const struct session *session, struct err *err) MUSTUSE NONNULL; /* for one more that runs */
/* An operation that this session asked for and nothing tracks any more. */
bool operation_tracked(const struct operations *operations, const char *op_id) MUSTUSE NONNULL;
json_t *operation_line(const char *session, const struct store_operation *row, const char *state,
                       const char *from) MUSTUSE NONNULL_AT(1, 2, 3);
/* operation_approve.c: what asks for a person, and whether one has said yes to it already. */
void operation_ask(struct session *session, struct run *run) NONNULL;
/* Kept as pending, with an approval, and the worker is told so. */
bool operation_hold(struct session *session, uint32_t id, struct run *run, struct err *err) MUSTUSE NONNULL;
json_t *operation_shown(const struct run *run) MUSTUSE NONNULL; /* what a person decides about */

void waiter_free(struct waiter *waiter) NONNULL; /* takes it off the list */
void delivery_free(struct delivery *delivery) NONNULL;
/* OP_STATE and the result, to the question `id`. */
void operation_answer(struct session *session, uint32_t id, const struct store_operation *row) NONNULL;
/* The operation is final: answers everybody who waits for it. */
void operation_wake(struct operations *operations, const char *op_id) NONNULL;
void operation_forget_waiters(struct session *session) NONNULL;

#endif
