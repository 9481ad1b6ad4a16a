/* state.db: sessions and operations in SQLite (WAL). The monitor alone opens it for writing.
 *
 * Every call is one transaction unless it stands between store_begin and store_commit. Times are Unix
 * milliseconds. Strings of rows are owned by the row struct. Errors: ERR_IO with the next step (no space,
 * read-only), ERR_DATA (damaged), ERR_CONFLICT, ERR_NOT_FOUND. */
#ifndef AILERON_DATA_STORE_H
#define AILERON_DATA_STORE_H

#include "core/base/secret.h"
#include "core/data/json.h"

enum {
    STORE_SCHEMA = 4,
    STORE_RESULT_MAX = 1024 * 1024, /* bytes of a result */
    STORE_ARGS_MAX = 256 * 1024,
    STORE_SHOWN_MAX = 512 * 1024, /* of what a person is shown: arguments, or a request with its body */
    STORE_LIST_MAX = 1000,
    STORE_KEY_BYTES = 32
};

struct store;
/* Creates and migrates. Refuses a database of a newer version, a damaged one, and one that another
 * process holds. */
struct store *store_open(const char *path, struct err *err) MUSTUSE NONNULL;
void store_close(struct store *store);
/* Renames a damaged database, with what belongs to it, to PATH.damaged-TIME; *aside gets that name (caller frees). */
bool store_put_aside(const char *path, char **aside, struct err *err) MUSTUSE NONNULL;
/* Copies those sessions of a damaged database that can be read; how many. Nothing else in it is looked at. */
size_t store_salvage_sessions(struct store *store, const char *aside) NONNULL;
/* What was found damaged since it was opened (ERR_DATA); ERR_NONE: nothing. The next start mends it. */
const struct err *store_trouble(const struct store *store) NONNULL;
bool store_begin(struct store *store, struct err *err) MUSTUSE NONNULL;
bool store_commit(struct store *store, struct err *err) MUSTUSE NONNULL;
void store_rollback(struct store *store) NONNULL;
/* FULL: commits reach the disk before the call returns (decisions); NORMAL: they survive a crash of the
 * process, not of the machine. */
bool store_set_full(struct store *store, bool full, struct err *err) MUSTUSE NONNULL;
/* "ok", or what SQLite's quick check says. Caller frees. */
char *store_check(struct store *store) MUSTUSE NONNULL;

/* ---- sealing (store_seal.c) ----
 * Arguments and results of operations, and what a person is shown in full, are sealed (AES-256-GCM; row and column are
 * associated data) under a key of this file's own, which is in it under a key that the vault gives. What a list shows
 * is in clear. While the vault is locked nothing that would have to be sealed is taken, and nothing sealed is read:
 * ERR_LOCKED. Where there is no vault everything is in clear, and is sealed when there is one. */
enum store_sealing { STORE_CLEAR, STORE_LOCKED, STORE_UNLOCKED };
enum store_sealing store_sealing(const struct store *store) NONNULL;
void store_lock(struct store *store, bool vault) NONNULL; /* vault: there is one */
bool store_unlock(struct store *store, const struct secret *vault_key, struct err *err) MUSTUSE NONNULL;
/* The key of one row, for whoever may have to seal its result after the vault was locked; NULL: not unlocked. */
struct secret *store_row_key(const struct store *store, const char *id) MUSTUSE NONNULL;
/* The generation of the vault that this store was unlocked with last, kept beside its key; 0: none yet. The store is
 * unlocked. */
bool store_generation(struct store *store, int64_t *generation, struct err *err) MUSTUSE NONNULL;
bool store_set_generation(struct store *store, int64_t generation, struct err *err) MUSTUSE NONNULL;

struct store_session {
    char *id;
    int64_t created_ms, ended_ms; /* ended 0: alive */
    char *json;                   /* the authority's own */
};
bool store_session_add(struct store *store, const char *id, int64_t created_ms, const char *json,
                       struct err *err) MUSTUSE NONNULL;
bool store_session_set(struct store *store, const char *id, const char *json, struct err *err)
    MUSTUSE NONNULL;
bool store_session_end(struct store *store, const char *id, int64_t ended_ms, struct err *err)
    MUSTUSE NONNULL;
/* Returning false from fn ends the walk (no error). The row is borrowed. */
typedef bool (*store_session_fn)(void *arg, const struct store_session *row);
/* Oldest first; alive ones alone, or all. */
bool store_sessions(struct store *store, bool alive_only, store_session_fn fn, void *arg,
                    struct err *err) MUSTUSE NONNULL_AT(1, 3, 5);

struct store_operation {
    char *id, *session, *connector, *tool, *operation;
    char *args;            /* canonical JSON; for store_operation_add alone */
    char *state;           /* a word of the authority's enum */
    char *idempotency_key; /* NULL: none */
    char *content_type;    /* of the result; NULL */
    char *error;           /* JSON object; NULL */
    int64_t status;        /* upstream's HTTP status; 0: none came */
    int64_t created_ms, updated_ms;
    int64_t result_bytes;  /* kept */
    bool truncated;        /* the result was longer than what is kept */
    bool collected;
};
void store_operation_clear(struct store_operation *row) NONNULL; /* zeroed is fine */
/* ERR_CONFLICT where the session has that idempotency key already. */
bool store_operation_add(struct store *store, const struct store_operation *row, struct err *err)
    MUSTUSE NONNULL;
bool store_operation_get(struct store *store, const char *id, struct store_operation *out,
                         struct err *err) MUSTUSE NONNULL;
/* Caller frees. ERR_LOCKED. */
char *store_operation_args(struct store *store, const char *id, struct err *err) MUSTUSE NONNULL;
/* *found tells; out is filled where it is true. */
bool store_operation_by_key(struct store *store, const char *session, const char *key,
                            struct store_operation *out, bool *found, struct err *err)
    MUSTUSE NONNULL;
/* From one state to another; ERR_CONFLICT, and nothing changed, where it is in a third. */
bool store_operation_move(struct store *store, const char *id, const char *from, const char *to,
                          int64_t now_ms, struct err *err) MUSTUSE NONNULL;
/* Other arguments for an operation that is in that state. */
bool store_operation_edit(struct store *store, const char *id, const char *state, const char *args, int64_t now_ms,
                          struct err *err) MUSTUSE NONNULL;
struct store_outcome {
    const char *state;
    int64_t status;
    const char *content_type, *error; /* NULL: none */
    const void *result;
    size_t result_len; /* at most STORE_RESULT_MAX */
    bool truncated;
    const struct secret *key; /* store_row_key, of when it began; NULL: the store's own, or none */
};
/* As move, with the result, in one commit. A result that nothing can seal is left out, and counts as truncated. */
bool store_operation_finish(struct store *store, const char *id, const char *from,
                            const struct store_outcome *outcome, int64_t now_ms, struct err *err)
    MUSTUSE NONNULL;
/* out is initialised here. ERR_LOCKED. */
bool store_operation_result(struct store *store, const char *id, struct buf *out, struct err *err)
    MUSTUSE NONNULL;
/* Marks as collected those of ids that belong to the session and are final by the caller's words. */
bool store_operation_collect(struct store *store, const char *session, const char *id, bool *changed,
                             struct err *err) MUSTUSE NONNULL;
/* Daemon start: whatever is in `from` goes to `to`; *count of them. */
bool store_operation_sweep(struct store *store, const char *from, const char *to, int64_t now_ms,
                           size_t *count, struct err *err) MUSTUSE NONNULL;
struct store_operation_filter {
    const char *session, *state; /* NULL: any */
    bool uncollected;
    size_t limit; /* 0: STORE_LIST_MAX */
};
typedef bool (*store_operation_fn)(void *arg, const struct store_operation *row);
/* Newest first. */
bool store_operations(struct store *store, const struct store_operation_filter *filter,
                      store_operation_fn fn, void *arg, struct err *err) MUSTUSE NONNULL_AT(1, 2, 3, 5);
/* How many operations a session has, and their bytes: row_bytes each, and what they hold. */
bool store_usage(struct store *store, const char *session, size_t row_bytes, uint64_t *count, uint64_t *bytes,
                 struct err *err) MUSTUSE NONNULL;
/* Drops a session's collected operations; of those with an idempotency key, which must not run again, the result. */
bool store_make_room(struct store *store, const char *session, struct err *err) MUSTUSE NONNULL;
/* Drops what was last changed before then: collected operations, approvals that are decided, and all that belongs to
 * sessions that ended before then, with these themselves; *count of operations and approvals. */
bool store_prune(struct store *store, int64_t before_ms, size_t *count, struct err *err)
    MUSTUSE NONNULL;

/* What waits for a person, and what was decided. */
struct store_approval {
    char *id, *session;
    char *operation; /* NULL: a request, which has no operation */
    char *digest;    /* of shown, hex */
    char *rule;      /* what asked for a person */
    char *shown;     /* JSON: what a list shows of it; in clear */
    char *full;      /* canonical JSON: what the person decides about; for store_approval_add alone */
    char *basis;     /* of a yes for the session: the rules it was given under */
    char *state;     /* a word of the authority's enum */
    char *scope;     /* how far the yes goes; NULL: not decided */
    char *reason, *by; /* of the decision; NULL */
    bool edited;
    int64_t created_ms, expires_ms, decided_ms;
};
void store_approval_clear(struct store_approval *row) NONNULL; /* zeroed is fine */
bool store_approval_add(struct store *store, const struct store_approval *row, struct err *err) MUSTUSE NONNULL;
bool store_approval_get(struct store *store, const char *id, struct store_approval *out, struct err *err)
    MUSTUSE NONNULL;
/* Caller frees. ERR_LOCKED. */
char *store_approval_full(struct store *store, const char *id, struct err *err) MUSTUSE NONNULL;
/* The session's newest of that digest without an operation; *found tells. */
bool store_approval_latest(struct store *store, const char *session, const char *digest,
                           struct store_approval *out, bool *found, struct err *err) MUSTUSE NONNULL;
/* Those of a session (NULL: any) in a state (NULL: any), with that rule and scope (NULL: any). */
struct store_approval_filter {
    const char *session, *state, *rule, *scope, *operation, *basis;
    int64_t expires_before_ms; /* 0: any */
    int64_t decided_before_ms; /* those of requests alone; 0: any */
    size_t limit;              /* 0: STORE_LIST_MAX */
};
bool store_approval_count(struct store *store, const struct store_approval_filter *filter, size_t *count,
                          struct err *err) MUSTUSE NONNULL;
typedef bool (*store_approval_fn)(void *arg, const struct store_approval *row);
/* Oldest first. As with operations, false from fn ends the walk. fn changes nothing in the store. */
bool store_approvals(struct store *store, const struct store_approval_filter *filter, store_approval_fn fn,
                     void *arg, struct err *err) MUSTUSE NONNULL_AT(1, 2, 3, 5);
/* From one state to another with what was decided (strings may be NULL); ERR_CONFLICT where it is in a third. */
struct store_decision {
    const char *state, *scope, *reason, *by;
    const char *shown, *full, *digest; /* of edited arguments; NULL: as they were */
};
bool store_approval_decide(struct store *store, const char *id, const char *from,
                           const struct store_decision *decision, int64_t now_ms, struct err *err) MUSTUSE NONNULL;

const char *store_library_version(void); /* SQLite's, for --version */

#endif
