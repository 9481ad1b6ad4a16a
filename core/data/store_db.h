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
    STORE_OPERATION_EDIT,
    STORE_APPROVAL_ADD,
    STORE_APPROVAL_GET,
    STORE_APPROVAL_LATEST,
    STORE_APPROVAL_COUNT,
    STORE_APPROVALS,
    STORE_APPROVAL_DECIDE,
    STORE_PRUNE_SESSIONS,
    STORE_QUERIES
};
struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[STORE_QUERIES];
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
char *store_column(sqlite3_stmt *statement, int column) MUSTUSE NONNULL; /* caller frees; NULL for null */

#endif
