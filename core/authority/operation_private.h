/* What operation.c (running them) and operation_read.c (reading them back) share; for nobody else. */
#ifndef AILERON_AUTHORITY_OPERATION_PRIVATE_H
#define AILERON_AUTHORITY_OPERATION_PRIVATE_H

#include "core/authority/operation.h"

/* An operation that a worker carries out now. */
struct running {
    struct running *next;
    struct session *session;
    uint32_t id; /* of the OP_RUN */
    char *op_id, *connector, *tool, *operation;
    json_t *args;
    struct buf result;
    bool truncated;
};
/* An OP_GET that waits. */
struct waiter {
    struct waiter *next;
    struct session *session;
    uint32_t id; /* of the OP_GET */
    char *op_id;
    struct timer timer;
};
/* A result on its way to a worker, in pieces as its channel takes them. */
struct delivery {
    struct delivery *next;
    struct session *session;
    uint32_t id;
    struct buf result;
    size_t sent;
    struct timer timer;
};
struct operations {
    struct monitor *monitor;
    struct running *running;
    struct waiter *waiters;
    struct delivery *deliveries;
    size_t swept; /* unknown since this daemon's start */
};

void waiter_free(struct waiter *waiter) NONNULL; /* takes it off the list */
void delivery_free(struct delivery *delivery) NONNULL;
/* OP_STATE and the result, to the question `id`. */
void operation_answer(struct session *session, uint32_t id, const struct store_operation *row) NONNULL;
/* The operation is final: answers everybody who waits for it. */
void operation_wake(struct operations *operations, const char *op_id) NONNULL;
void operation_forget_waiters(struct session *session) NONNULL;

#endif
