/* state.db: opening, migration, transactions, and the sessions table. Operations are in
 * store_operation.c. It knows the states of nothing: words are the authority's. */
#include "core/data/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/data/store_db.h"

enum { BUSY_MS = 2000 };

static const char *const migrations[STORE_SCHEMA] = {
    "CREATE TABLE session (id TEXT PRIMARY KEY, created INTEGER NOT NULL, ended INTEGER NOT NULL "
    "DEFAULT 0, json TEXT NOT NULL) STRICT;"
    "CREATE TABLE operation (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, session TEXT NOT NULL, "
    "connector TEXT NOT NULL, tool TEXT NOT NULL, operation TEXT NOT NULL, args TEXT NOT NULL, "
    "state TEXT NOT NULL, key TEXT, content_type TEXT, error TEXT, status INTEGER NOT NULL DEFAULT 0, "
    "created INTEGER NOT NULL, updated INTEGER NOT NULL, result BLOB, "
    "truncated INTEGER NOT NULL DEFAULT 0, collected INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE UNIQUE INDEX operation_key ON operation (session, key) WHERE key IS NOT NULL;"
    "CREATE INDEX operation_session ON operation (session, seq);"
    "CREATE INDEX operation_state ON operation (state);",

    "CREATE TABLE approval (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, session TEXT NOT NULL, "
    "operation TEXT, digest TEXT NOT NULL, rule TEXT NOT NULL, shown TEXT NOT NULL, state TEXT NOT NULL, "
    "scope TEXT, reason TEXT, by TEXT, edited INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL, "
    "expires INTEGER NOT NULL, decided INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX approval_state ON approval (state);"
    "CREATE INDEX approval_session ON approval (session, digest);",

    /* Sealed: bit 1 the arguments, bit 2 the result. */
    "CREATE TABLE state_key (id INTEGER PRIMARY KEY, wrapped BLOB NOT NULL) STRICT;"
    "ALTER TABLE operation RENAME TO old_operation;"
    "DROP INDEX operation_key; DROP INDEX operation_session; DROP INDEX operation_state;"
    "CREATE TABLE operation (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, session TEXT NOT NULL, "
    "connector TEXT NOT NULL, tool TEXT NOT NULL, operation TEXT NOT NULL, args BLOB NOT NULL, "
    "state TEXT NOT NULL, key TEXT, content_type TEXT, error TEXT, status INTEGER NOT NULL DEFAULT 0, "
    "created INTEGER NOT NULL, updated INTEGER NOT NULL, result BLOB, truncated INTEGER NOT NULL DEFAULT 0, "
    "collected INTEGER NOT NULL DEFAULT 0, sealed INTEGER NOT NULL DEFAULT 0) STRICT;"
    "INSERT INTO operation SELECT seq, id, session, connector, tool, operation, CAST(args AS BLOB), state, key, "
    "content_type, error, status, created, updated, result, truncated, collected, 0 FROM old_operation;"
    "DROP TABLE old_operation;"
    "CREATE UNIQUE INDEX operation_key ON operation (session, key) WHERE key IS NOT NULL;"
    "CREATE INDEX operation_session ON operation (session, seq);"
    "CREATE INDEX operation_state ON operation (state);"
    "CREATE INDEX operation_clear ON operation (seq) WHERE sealed = 0;"
    "ALTER TABLE approval ADD COLUMN full BLOB; ALTER TABLE approval ADD COLUMN basis TEXT;"
    "ALTER TABLE approval ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0;"
    "UPDATE approval SET full = CAST(shown AS BLOB), "
    "shown = json_remove(shown, '$.args', '$.query', '$.type', '$.body', '$.body_base64');"
    "CREATE INDEX approval_clear ON approval (seq) WHERE sealed = 0;"
    "CREATE INDEX approval_operation ON approval (operation);",

    "ALTER TABLE state_key ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;",
};

bool store_fail(struct store *store, struct err *err, const char *what)
{
    int code = sqlite3_extended_errcode(store->db);
    switch (code & 0xff) {
    case SQLITE_FULL:
        err_set(err, ERR_IO, "%s: no space left for state.db", what);
        return err_hint(err, "Free space on the disk of AILERON_HOME; work goes on by itself");
    case SQLITE_READONLY:
        err_set(err, ERR_IO, "%s: state.db is read-only", what);
        return err_hint(err, "Make AILERON_HOME writable");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        err_set(err, ERR_DATA, "%s: state.db is damaged (%s)", what, sqlite3_errmsg(store->db));
        err_hint(err, "Start the daemon anew: it puts the file aside and keeps what can be read; the vault and the "
                      "record are whole");
        store->trouble = *err;
        return false;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        err_set(err, ERR_IO, "%s: another process holds state.db", what);
        return err_hint(err, "Only the daemon may use it; look for a second one");
    case SQLITE_CONSTRAINT:
        return err_set(err, ERR_CONFLICT, "%s: exists already", what);
    default:
        return err_set(err, ERR_IO, "%s: %s", what, sqlite3_errmsg(store->db));
    }
}

const struct err *store_trouble(const struct store *store)
{
    return &store->trouble;
}

static bool run_sql(struct store *store, const char *sql, const char *what, struct err *err)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK ||
           store_fail(store, err, what);
}

/* ---- statements ---- */

sqlite3_stmt *store_statement(struct store *store, enum store_query query, const char *sql,
                              struct err *err)
{
    sqlite3_stmt **slot = &store->statements[query];
    if (!*slot && sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, slot, NULL) !=
                      SQLITE_OK) {
        store_fail(store, err, "preparing a statement");
        return NULL;
    }
    return *slot;
}

bool store_bind(sqlite3_stmt *statement, struct err *err, const char *types, ...)
{
    va_list args;
    bool ok = true;
    va_start(args, types);
    for (int i = 1; types[i - 1]; i++) {
        if (types[i - 1] == 'i') {
            ok = sqlite3_bind_int64(statement, i, va_arg(args, int64_t)) == SQLITE_OK && ok;
        } else if (types[i - 1] == 't') {
            const char *text = va_arg(args, const char *);
            ok = (text ? sqlite3_bind_text(statement, i, text, -1, SQLITE_STATIC)
                       : sqlite3_bind_null(statement, i)) == SQLITE_OK && ok;
        } else { /* 'b': a blob and its length */
            const void *data = va_arg(args, const void *);
            size_t len = va_arg(args, size_t);
            ok = sqlite3_bind_blob64(statement, i, len > 0 ? data : "", len, SQLITE_STATIC) ==
                     SQLITE_OK && ok;
        }
    }
    va_end(args);
    return ok || err_set(err, ERR_LIMIT, "a value is too large for state.db");
}

bool store_done(struct store *store, sqlite3_stmt *statement, const char *what, size_t *changes,
                struct err *err)
{
    int result = sqlite3_step(statement);
    bool ok = result == SQLITE_DONE || result == SQLITE_ROW;
    if (!ok)
        store_fail(store, err, what);
    else if (changes)
        *changes = (size_t)sqlite3_changes(store->db);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return ok;
}

char *store_column(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    return text ? mem_strdup((const char *)text) : NULL;
}

/* ---- the file ---- */

static bool migrate(struct store *store, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int version = -1;
    if (sqlite3_prepare_v2(store->db, "PRAGMA user_version", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        version = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    if (version < 0)
        return store_fail(store, err, "opening state.db");
    if (version > STORE_SCHEMA) {
        err_set(err, ERR_CONFLICT, "state.db was written by a newer version (%d, this knows %d)",
                version, STORE_SCHEMA);
        return err_hint(err, "Use that version, or move state.db* away");
    }
    for (; version < STORE_SCHEMA; version++) {
        AUTOFREE char *sql = mem_printf("BEGIN IMMEDIATE; %s PRAGMA user_version = %d; COMMIT;",
                                        migrations[version], version + 1);
        if (!run_sql(store, sql, "migrating state.db", err)) {
            store_rollback(store);
            return false;
        }
    }
    return true;
}

/* EXCLUSIVE keeps the write-ahead index in our own memory (no shared file to corrupt) and keeps every
 * other process out for as long as we live. */
static const char setup[] =
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
    "PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
    "PRAGMA cache_size = -512; PRAGMA journal_size_limit = 4194304; PRAGMA temp_store = MEMORY;";

struct store *store_open(const char *path, struct err *err)
{
    struct store *store = mem_alloc(sizeof *store);
    /* Made by us first, so that it is never open to others, whatever the umask. */
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        err_errno(err, ERR_IO, errno, "opening %s", path);
        free(store);
        return NULL;
    }
    close(fd);
    int opened = sqlite3_open_v2(path, &store->db,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                                     SQLITE_OPEN_NOFOLLOW, NULL);
    if (!store->db)
        abort(); /* out of memory */
    bool ok = opened == SQLITE_OK || store_fail(store, err, "opening state.db");
    sqlite3_busy_timeout(store->db, BUSY_MS);
    sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, 2 * STORE_RESULT_MAX);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    ok = ok && run_sql(store, setup, "opening state.db", err) && migrate(store, err);
    if (!ok) {
        store_close(store);
        return NULL;
    }
    return store;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < COUNT(store->statements); i++)
        sqlite3_finalize(store->statements[i]);
    secret_free(store->key);
    sqlite3_close(store->db);
    free(store);
}

bool store_begin(struct store *store, struct err *err)
{
    return run_sql(store, "BEGIN IMMEDIATE", "beginning a transaction", err);
}

bool store_commit(struct store *store, struct err *err)
{
    if (run_sql(store, "COMMIT", "committing", err))
        return true;
    store_rollback(store);
    return false;
}

void store_rollback(struct store *store)
{
    if (!sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

bool store_set_full(struct store *store, bool full, struct err *err)
{
    return run_sql(store, full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL",
                   "setting durability", err);
}

char *store_check(struct store *store)
{
    sqlite3_stmt *statement = NULL;
    char *text = NULL;
    if (sqlite3_prepare_v2(store->db, "PRAGMA quick_check(1)", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        text = store_column(statement, 0);
    if (!text)
        text = mem_strdup(sqlite3_errmsg(store->db));
    sqlite3_finalize(statement);
    return text;
}

/* ---- sessions ---- */

bool store_session_add(struct store *store, const char *id, int64_t created_ms, const char *json,
                       struct err *err)
{
    sqlite3_stmt *statement = store_statement(
        store, STORE_SESSION_ADD, "INSERT INTO session (id, created, json) VALUES (?, ?, ?)", err);
    return statement && store_bind(statement, err, "tit", id, created_ms, json) &&
           store_done(store, statement, "storing a session", NULL, err);
}

static bool one_session(const char *id, size_t changes, struct err *err)
{
    return changes == 1 || err_set(err, ERR_NOT_FOUND, "there is no session %.40s", id);
}

bool store_session_set(struct store *store, const char *id, const char *json, struct err *err)
{
    size_t changes = 0;
    sqlite3_stmt *statement = store_statement(store, STORE_SESSION_SET,
                                              "UPDATE session SET json = ? WHERE id = ?", err);
    return statement && store_bind(statement, err, "tt", json, id) &&
           store_done(store, statement, "storing a session", &changes, err) &&
           one_session(id, changes, err);
}

bool store_session_end(struct store *store, const char *id, int64_t ended_ms, struct err *err)
{
    size_t changes = 0;
    sqlite3_stmt *statement = store_statement(
        store, STORE_SESSION_END, "UPDATE session SET ended = ? WHERE id = ?", err);
    return statement && store_bind(statement, err, "it", ended_ms, id) &&
           store_done(store, statement, "ending a session", &changes, err) &&
           one_session(id, changes, err);
}

bool store_sessions(struct store *store, bool alive_only, store_session_fn fn, void *arg,
                    struct err *err)
{
    sqlite3_stmt *statement = store_statement(
        store, STORE_SESSIONS,
        "SELECT id, created, ended, json FROM session WHERE ended = 0 OR ?1 = 0 "
        "ORDER BY created, id", err);
    int result = SQLITE_DONE;
    if (!statement || !store_bind(statement, err, "i", (int64_t)alive_only))
        return false;
    bool more = true;
    while (more && (result = sqlite3_step(statement)) == SQLITE_ROW) {
        struct store_session row = {.id = store_column(statement, 0),
                                    .created_ms = sqlite3_column_int64(statement, 1),
                                    .ended_ms = sqlite3_column_int64(statement, 2),
                                    .json = store_column(statement, 3)};
        more = fn(arg, &row);
        free(row.id);
        free(row.json);
    }
    bool ok = !more || result == SQLITE_DONE || store_fail(store, err, "reading sessions");
    sqlite3_reset(statement);
    return ok;
}

const char *store_library_version(void)
{
    return sqlite3_libversion();
}
