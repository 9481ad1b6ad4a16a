/* What approval.c (asking), approval_decide.c (deciding) share; for nobody else. */
#ifndef AILERON_AUTHORITY_APPROVAL_PRIVATE_H
#define AILERON_AUTHORITY_APPROVAL_PRIVATE_H

#include "core/authority/approval.h"
#include "core/base/id.h"

/* A request that its worker holds, or a question how an approval stands. */
struct approval_waiter {
    struct approval_waiter *next;
    struct session *session;
    uint32_t id;    /* of the worker's message */
    char approval[APPROVAL_ID_BYTES];
    bool request;   /* held; else a question, and what follows is not set */
    char digest[65];
    char what[65];  /* approval_what */
    char *rule;
    struct id name; /* the request's on the record */
    struct timer timer;
};
/* A request that a yes has let go. */
struct approval_used {
    struct approval_used *next;
    struct session *session;
    struct id request;
    char what[65];
};
struct approvals {
    struct monitor *monitor;
    struct approval_waiter *waiters;
    struct approval_used *used; /* the newest first */
    struct approval_watch *watches;
    uint64_t version;
};

enum approval_state approval_state_of(const struct store_approval *row) NONNULL;
/* over: the timer's. Not started. */
struct approval_waiter *approval_waiter_new(struct session *session, uint32_t id, const char *approval,
                                            void (*over)(void *)) MUSTUSE NONNULL;
void approval_waiter_free(struct approval_waiter *waiter) NONNULL; /* takes it off the list */
size_t approval_count_waiters(const struct session *session) NONNULL;
void approval_used_drop(struct approval_used **at) NONNULL;
/* A held request: answered by what stands, or by a new approval; the waiter is freed where it is answered. */
void approval_ask_person(struct approval_waiter *waiter, const json_t *shown) NONNULL;
/* As approval_ask_person, where another one like it has taken the yes that this one waited for. */
void approval_ask_again(struct approval_waiter *waiter) NONNULL;
/* What a credential goes by: a hash of host, port, method, path and binding. */
void approval_what(const struct match_query *query, const char *binding, char what[65]) NONNULL_AT(1, 3);
/* What a list shows of it, in clear: all but what agents write at length. Caller's reference. */
json_t *approval_summary(const json_t *shown) MUSTUSE NONNULL;
/* Answers it if there is something to say; false: it waits on. */
bool approval_settle(struct approval_waiter *waiter, const struct store_approval *row) MUSTUSE NONNULL;

json_t *approval_event(const struct store_approval *row, enum approval_state state) MUSTUSE NONNULL;
/* Those who wait for it are answered, where it is decided. */
void approval_wake(struct approvals *approvals, const char *id) NONNULL;
/* From a state to the next one, with its line on the record; not for decisions. */
bool approval_move(struct monitor *monitor, const struct store_approval *row, enum approval_state from,
                   enum approval_state to, const char *reason, struct err *err) MUSTUSE NONNULL_AT(1, 2, 6);

#endif
