/* The inside of struct store and its few helpers, shared by store.c and store_operation.c. */
#ifndef AILERON_DATA_STORE_DB_H
#define AILERON_DATA_STORE_DB_H

#include <sqlite3.h>
#include <stdarg.h>

#include "core/data/store.h"

enum store_query { /* one prepared statement each, made at first use */
    STORE_SESSION_ADD,
    STORE_SESSION_SET,
    STORE_SESSION_END,
    STORE_SESSIONS,
    STORE_OPERATION_ADD,
    STORE_OPERATION_GET,
    STORE_OPERATION_BY_KEY,
    STORE_OPERATION_MOVE,
    STORE_OPERATION_FINISH,
    STORE_OPERATION_RESULT,
    STORE_OPERATION_COLLECT,
    STORE_OPERATION_SWEEP,
    STORE_OPERATIONS,
    STORE_USAGE,
    STORE_MAKE_ROOM,
    STORE_EMPTY,
    STORE_PRUNE,
    STORE_PRUNE_APPROVALS,
    STORE_PRUNE_SESSIONS,
    STORE_OPERATION_EDIT,
    STORE_OPERATION_ARGS,
    STORE_APPROVAL_ADD,
    STORE_APPROVAL_GET,
    STORE_APPROVAL_LATEST,
    STORE_APPROVAL_COUNT,
    STORE_APPROVALS,
    STORE_APPROVAL_DECIDE,
    STORE_APPROVAL_FULL,
    STORE_GENERATION,
    STORE_SET_GENERATION,
    STORE_QUERIES
};
struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[STORE_QUERIES];
    enum store_sealing sealing;
    uint32_t key_id;     /* of state_key */
    struct secret *key;  /* NULL unless unlocked */
    struct err trouble;
};
/* Sets err from SQLite's last error; returns false. */
bool store_fail(struct store *store, struct err *err, const char *what) NONNULL;
sqlite3_stmt *store_statement(struct store *store, enum store_query query, const char *sql,
                              struct err *err) MUSTUSE NONNULL;
/* types: 'i' int64_t, 't' const char * (NULL: SQL's null), 'b' const void * and size_t. Borrowed until
 * the statement is reset. */
bool store_bind(sqlite3_stmt *statement, struct err *err, const char *types, ...) MUSTUSE
    NONNULL_AT(1, 2, 3);
/* One step of a statement that gives no rows, then reset. changes may be NULL. */
bool store_done(struct store *store, sqlite3_stmt *statement, const char *what, size_t *changes,
                struct err *err) MUSTUSE NONNULL_AT(1, 2, 3, 5);
/* out: as the column takes it, sealed where the store is (STORE_UNLOCKED). key NULL: the store's own for that row. */
enum { STORE_SEAL_BYTES = 32 }; /* more than the plain text: key, nonce, tag */
bool store_seal(struct store *store, const struct secret *key, const char *id, const char *column, struct span plain,
                struct buf *out, struct err *err) MUSTUSE NONNULL_AT(1, 3, 4, 6, 7);
bool store_open_sealed(const struct store *store, const char *id, const char *column, struct span sealed,
                       struct buf *out, struct err *err) MUSTUSE NONNULL;
/* The statement's two columns, bytes and whether they are sealed, of its one row; then resets. Caller frees. */
char *store_sealed_text(struct store *store, sqlite3_stmt *statement, const char *id, const char *column, size_t max,
                        struct err *err) MUSTUSE NONNULL;
char *store_column(sqlite3_stmt *statement, int column) MUSTUSE NONNULL; /* caller frees; NULL for null */

#endif
