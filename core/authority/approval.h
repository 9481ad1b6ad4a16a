/* Approvals (design 10): what waits for a person, what the person said, and who waits for it. Monitor only.
 *
 *   pending -> approved -> used            the yes to a request, until its one retry takes it, or
 *      |           \-----> expired         until APPROVAL_GRANT_MS after the decision
 *      |---> denied
 *      \---> expired                       approvals.expire, or the session's end
 *
 * A decision is about the bytes that were shown: `shown` is canonical JSON, `digest` its SHA-256, and the decider
 * sends the digest back (A02). An approval belongs to one session; a yes "once" is taken by one request, a yes for
 * the "session" holds for what the same rule asks there. An operation's approval goes with the operation, which
 * runs as soon as its session's worker can. Every change is on the disk and on the record before it has an effect. */
#ifndef AILERON_AUTHORITY_APPROVAL_H
#define AILERON_AUTHORITY_APPROVAL_H

#include "core/authority/session.h"
#include "core/data/match.h"

enum {
    APPROVAL_GRANT_MS = 15 * 60 * 1000, /* a yes or a no to a request, after the decision */
    APPROVAL_WAITERS = 256,             /* held requests and waiting questions of one session */
    APPROVAL_USED = 64,                 /* requests of one session that a yes has let go, for their credential */
    APPROVAL_REASON_BYTES = 1024,
    APPROVAL_ID_BYTES = 40
};

enum approval_state {
    APPROVAL_PENDING,
    APPROVAL_APPROVED,
    APPROVAL_USED_UP,
    APPROVAL_DENIED,
    APPROVAL_EXPIRED,
    APPROVAL_STATES
};
const char *approval_word(enum approval_state state);
bool approval_parse(const char *word, enum approval_state *state) MUSTUSE NONNULL;

struct approvals; /* who waits, and what a yes has let go */
struct approvals *approvals_new(struct monitor *monitor) MUSTUSE NONNULL;
void approvals_free(struct approvals *approvals); /* NULL is fine */

/* ---- for operations ---- */
/* One more pending approval for an operation, with its line on the record; to be called within a transaction. rule:
 * what asks. operation NULL: a request. ERR_LIMIT above limits.approvals. id gets its name. */
bool approval_add(struct session *session, const char *operation, const char *rule, const json_t *shown,
                  char id[APPROVAL_ID_BYTES], struct err *err) MUSTUSE NONNULL_AT(1, 3, 4, 6);
/* Whether the person has said yes to this rule for the whole session, under the rules as they are now. */
bool approval_granted(struct session *session, const char *rule) MUSTUSE NONNULL;
/* SHA-256 of the canonical text, in hex; and the text (caller frees). */
char *approval_digest(const json_t *shown, char digest[65]) MUSTUSE NONNULL;
/* Something about approvals has changed: those who watch are told, and a new one (NULL: none) is notified. */
void approval_changed(struct monitor *monitor, const char *new_id) NONNULL_AT(1);

/* ---- the messages of a worker; false: it broke the protocol ---- */
/* MESSAGE_APPROVAL_ASK: a held request. Answered when it is decided, or refused with ERR_PENDING after
 * approvals.hold. */
bool approval_ask(struct session *session, uint32_t id, const void *payload, size_t len, struct err *err)
    MUSTUSE NONNULL_AT(1, 5);
/* MESSAGE_OP_GET with an approval's id. */
void approval_get(struct session *session, uint32_t id, const char *approval, int64_t wait_ms) NONNULL;
void approval_cancel(struct session *session, uint32_t id) NONNULL;
void approval_forget(struct session *session) NONNULL; /* its worker is gone */
/* Whether a yes has let this request of the session go: its credential may be asked for. request: the ULID. */
bool approval_covers(const struct session *session, const char *request, const struct match_query *query,
                     const char *binding) MUSTUSE NONNULL_AT(1, 3, 4);

/* ---- the session's and the time's end ---- */
void approval_session_over(struct monitor *monitor, const char *session) NONNULL;
void approval_expire(struct monitor *monitor) NONNULL; /* from the housekeeping */

/* ---- deciding, for control.sock and the page alone (A01) ---- */
struct approval_decision {
    bool approve, for_session;
    const char *digest; /* of what the decider saw */
    json_t *args;       /* other arguments for the operation; NULL: as they are. Borrowed */
    const char *reason; /* NULL: none */
    const char *by;     /* "cli", "page", ... */
};
/* ERR_CONFLICT where it is decided already, or is not what the decider saw; nothing has changed then, nor where it
 * could not be stored or recorded (A06). */
bool approval_decide(struct monitor *monitor, const char *id, const struct approval_decision *decision,
                     struct err *err) MUSTUSE NONNULL;
/* As a list shows it: without what is sealed. Caller's reference. */
json_t *approval_json(const struct store_approval *row) MUSTUSE NONNULL;
/* With all that would be done; "sealed": true instead, where the vault is locked. Caller's reference. */
json_t *approval_json_full(struct monitor *monitor, const struct store_approval *row) MUSTUSE NONNULL;
/* Oldest first, without arguments and bodies. Caller's reference. */
json_t *approval_rows(struct monitor *monitor, const struct store_approval_filter *filter, struct err *err)
    MUSTUSE NONNULL;
/* Counts up with every change since the daemon began. */
uint64_t approval_version(const struct monitor *monitor) NONNULL;
/* fn is called after the next change, once; or never, after approval_unwatch. */
typedef void (*approval_watch_fn)(void *arg);
struct approval_watch {
    struct approval_watch *next;
    approval_watch_fn fn;
    void *arg;
};
void approval_watch(struct monitor *monitor, struct approval_watch *watch) NONNULL;
void approval_unwatch(struct monitor *monitor, struct approval_watch *watch) NONNULL;

#endif
