/* The operations table of state.db: rows, moves from state to state, results. Which moves are allowed is
 * the authority's to say; here a move names the state it starts from, so that two cannot both succeed. */
#include <stdlib.h>

#include "core/data/store_db.h"

#define COLUMNS                                                                                    \
    "id, session, connector, tool, operation, state, key, content_type, error, status, created, "    \
    "updated, coalesce(length(result), 0) - (sealed >> 1) * 32, truncated, collected"
_Static_assert(STORE_SEAL_BYTES == 32, "what the length of a result is told with");

void store_operation_clear(struct store_operation *row)
{
    char *texts[] = {row->id,    row->session,         row->connector,    row->tool, row->operation, row->args,
                     row->state, row->idempotency_key, row->content_type, row->error};
    for (size_t i = 0; i < COUNT(texts); i++)
        free(texts[i]);
    memset(row, 0, sizeof *row);
}

static void row_read(sqlite3_stmt *statement, struct store_operation *out)
{
    *out = (struct store_operation){
        .id = store_column(statement, 0),
        .session = store_column(statement, 1),
        .connector = store_column(statement, 2),
        .tool = store_column(statement, 3),
        .operation = store_column(statement, 4),
        .state = store_column(statement, 5),
        .idempotency_key = store_column(statement, 6),
        .content_type = store_column(statement, 7),
        .error = store_column(statement, 8),
        .status = sqlite3_column_int64(statement, 9),
        .created_ms = sqlite3_column_int64(statement, 10),
        .updated_ms = sqlite3_column_int64(statement, 11),
        .result_bytes = sqlite3_column_int64(statement, 12),
        .truncated = sqlite3_column_int(statement, 13) != 0,
        .collected = sqlite3_column_int(statement, 14) != 0,
    };
}

/* The first row, or none; resets. */
static bool one_row(struct store *store, sqlite3_stmt *statement, struct store_operation *out,
                    bool *found, struct err *err)
{
    int result = sqlite3_step(statement);
    *found = result == SQLITE_ROW;
    if (*found)
        row_read(statement, out);
    bool ok = *found || result == SQLITE_DONE || store_fail(store, err, "reading an operation");
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return ok;
}

static bool seal_args(struct store *store, const char *id, const char *args, struct buf *out, struct err *err)
{
    buf_init(out, 0);
    if (strlen(args) > STORE_ARGS_MAX)
        return err_set(err, ERR_LIMIT, "the arguments are longer than %d bytes", STORE_ARGS_MAX);
    return store_seal(store, NULL, id, "args", span_of(args), out, err);
}

bool store_operation_add(struct store *store, const struct store_operation *row, struct err *err)
{
    sqlite3_stmt *statement = store_statement(
        store, STORE_OPERATION_ADD,
        "INSERT INTO operation (id, session, connector, tool, operation, args, state, key, created, "
        "updated, sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", err);
    struct buf args CLEANUP(buf_wipe) = {0};
    if (!statement || !seal_args(store, row->id, row->args, &args, err))
        return false;
    return store_bind(statement, err, "tttttbttiii", row->id, row->session, row->connector, row->tool, row->operation,
                      args.data, args.len, row->state, row->idempotency_key, row->created_ms, row->updated_ms,
                      (int64_t)(store->sealing == STORE_UNLOCKED)) &&
           store_done(store, statement, "storing an operation", NULL, err);
}

char *store_operation_args(struct store *store, const char *id, struct err *err)
{
    sqlite3_stmt *statement = store_statement(store, STORE_OPERATION_ARGS,
                                              "SELECT args, sealed & 1 FROM operation WHERE id = ?", err);
    if (!statement || !store_bind(statement, err, "t", id))
        return NULL;
    return store_sealed_text(store, statement, id, "args", STORE_ARGS_MAX, err);
}

bool store_operation_get(struct store *store, const char *id, struct store_operation *out,
                         struct err *err)
{
    bool found = false;
    sqlite3_stmt *statement = store_statement(
        store, STORE_OPERATION_GET, "SELECT " COLUMNS " FROM operation WHERE id = ?", err);
    memset(out, 0, sizeof *out);
    if (!statement || !store_bind(statement, err, "t", id) ||
        !one_row(store, statement, out, &found, err))
        return false;
    return found || err_set(err, ERR_NOT_FOUND, "there is no operation %.40s", id);
}

bool store_operation_by_key(struct store *store, const char *session, const char *key,
                            struct store_operation *out, bool *found, struct err *err)
{
    sqlite3_stmt *statement = store_statement(
        store, STORE_OPERATION_BY_KEY,
        "SELECT " COLUMNS " FROM operation WHERE session = ? AND key = ?", err);
    memset(out, 0, sizeof *out);
    *found = false;
    return statement && store_bind(statement, err, "tt", session, key) &&
           one_row(store, statement, out, found, err);
}

/* A conditional update changed nothing: why. */
static bool not_moved(struct store *store, const char *id, const char *from, struct err *err)
{
    struct store_operation row;
    if (!store_operation_get(store, id, &row, err))
        return false;
    err_set(err, ERR_CONFLICT, "operation %.40s is %s, not %s", id, row.state, from);
    store_operation_clear(&row);
    return false;
}

bool store_operation_move(struct store *store, const char *id, const char *from, const char *to,
                          int64_t now_ms, struct err *err)
{
    size_t changes = 0;
    sqlite3_stmt *statement = store_statement(
        store, STORE_OPERATION_MOVE,
        "UPDATE operation SET state = ?, updated = ? WHERE id = ? AND state = ?", err);
    return statement && store_bind(statement, err, "titt", to, now_ms, id, from) &&
           store_done(store, statement, "storing an operation's state", &changes, err) &&
           (changes == 1 || not_moved(store, id, from, err));
}

bool store_operation_edit(struct store *store, const char *id, const char *state, const char *args, int64_t now_ms,
                          struct err *err)
{
    size_t changes = 0;
    sqlite3_stmt *statement = store_statement(
        store, STORE_OPERATION_EDIT,
        "UPDATE operation SET args = ?, sealed = (sealed & 2) | ?, updated = ? WHERE id = ? AND state = ?", err);
    struct buf sealed CLEANUP(buf_wipe) = {0};
    return statement && seal_args(store, id, args, &sealed, err) &&
           store_bind(statement, err, "biitt", sealed.data, sealed.len, (int64_t)(store->sealing == STORE_UNLOCKED),
                      now_ms, id, state) &&
           store_done(store, statement, "storing an operation's arguments", &changes, err) &&
           (changes == 1 || not_moved(store, id, state, err));
}

bool store_operation_finish(struct store *store, const char *id, const char *from,
                            const struct store_outcome *outcome, int64_t now_ms, struct err *err)
{
    size_t changes = 0;
    sqlite3_stmt *statement = store_statement(
        store, STORE_OPERATION_FINISH,
        "UPDATE operation SET state = ?, updated = ?, status = ?, content_type = ?, error = ?, "
        "result = ?, truncated = ?, sealed = (sealed & 1) | ? WHERE id = ? AND state = ?", err);
    struct span result = {outcome->result, outcome->result_len};
    struct err locked = {0};
    struct buf kept CLEANUP(buf_wipe) = {0};
    if (outcome->result_len > STORE_RESULT_MAX)
        return err_set(err, ERR_LIMIT, "a result is longer than %d bytes", STORE_RESULT_MAX);
    bool seal = result.len > 0 && (outcome->key || store->sealing == STORE_UNLOCKED);
    bool lost = result.len > 0 && !store_seal(store, outcome->key, id, "result", result, &kept, &locked);
    return statement &&
           store_bind(statement, err, "tiittbiitt", outcome->state, now_ms, outcome->status,
                      outcome->content_type, outcome->error, kept.data, kept.len,
                      (int64_t)(outcome->truncated || lost), (int64_t)(seal && !lost) * 2, id, from) &&
           store_done(store, statement, "storing an operation's result", &changes, err) &&
           (changes == 1 || not_moved(store, id, from, err));
}

bool store_operation_result(struct store *store, const char *id, struct buf *out, struct err *err)
{
    sqlite3_stmt *statement = store_statement(
        store, STORE_OPERATION_RESULT, "SELECT result, sealed >> 1 FROM operation WHERE id = ?", err);
    buf_init(out, STORE_RESULT_MAX);
    if (!statement || !store_bind(statement, err, "t", id))
        return false;
    int result = sqlite3_step(statement);
    bool ok = result == SQLITE_ROW;
    if (ok) {
        struct span kept = {sqlite3_column_blob(statement, 0), (size_t)sqlite3_column_bytes(statement, 0)};
        if (sqlite3_column_int(statement, 1) != 0)
            ok = store_open_sealed(store, id, "result", kept, out, err);
        else
            ok = kept.len == 0 || buf_add(out, kept.p, kept.len) ||
                 err_set(err, ERR_LIMIT, "a stored result is longer than %d bytes", STORE_RESULT_MAX);
    } else if (result == SQLITE_DONE) {
        err_set(err, ERR_NOT_FOUND, "there is no operation %.40s", id);
    } else {
        store_fail(store, err, "reading a result");
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return ok;
}

bool store_operation_collect(struct store *store, const char *session, const char *id, bool *changed,
                             struct err *err)
{
    size_t changes = 0;
    sqlite3_stmt *statement = store_statement(
        store, STORE_OPERATION_COLLECT,
        "UPDATE operation SET collected = 1 WHERE id = ? AND session = ? AND collected = 0", err);
    bool ok = statement && store_bind(statement, err, "tt", id, session) &&
              store_done(store, statement, "marking a result as collected", &changes, err);
    *changed = ok && changes == 1;
    return ok;
}

bool store_operation_sweep(struct store *store, const char *from, const char *to, int64_t now_ms,
                           size_t *count, struct err *err)
{
    sqlite3_stmt *statement = store_statement(
        store, STORE_OPERATION_SWEEP,
        "UPDATE operation SET state = ?, updated = ? WHERE state = ?", err);
    *count = 0;
    return statement && store_bind(statement, err, "tit", to, now_ms, from) &&
           store_done(store, statement, "storing operations' states", count, err);
}

bool store_operations(struct store *store, const struct store_operation_filter *filter,
                      store_operation_fn fn, void *arg, struct err *err)
{
    sqlite3_stmt *statement = store_statement(
        store, STORE_OPERATIONS,
        "SELECT " COLUMNS " FROM operation WHERE (?1 IS NULL OR session = ?1) AND "
        "(?2 IS NULL OR state = ?2) AND (?3 = 0 OR collected = 0) ORDER BY seq DESC LIMIT ?4", err);
    size_t limit = filter->limit > 0 && filter->limit < STORE_LIST_MAX ? filter->limit
                                                                        : STORE_LIST_MAX;
    int result = SQLITE_DONE;
    bool more = true;
    if (!statement || !store_bind(statement, err, "ttii", filter->session, filter->state,
                                  (int64_t)filter->uncollected, (int64_t)limit))
        return false;
    while (more && (result = sqlite3_step(statement)) == SQLITE_ROW) {
        struct store_operation row;
        row_read(statement, &row);
        more = fn(arg, &row);
        store_operation_clear(&row);
    }
    bool ok = !more || result == SQLITE_DONE || store_fail(store, err, "reading operations");
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return ok;
}

bool store_usage(struct store *store, const char *session, size_t row_bytes, uint64_t *count, uint64_t *bytes,
                 struct err *err)
{
    sqlite3_stmt *statement = store_statement(
        store, STORE_USAGE,
        "SELECT count(*), coalesce(sum(?2 + length(CAST(args AS BLOB)) + coalesce(length(result), 0) + "
        "coalesce(length(CAST(error AS BLOB)), 0)), 0) FROM operation WHERE session = ?1", err);
    if (!statement || !store_bind(statement, err, "ti", session, (int64_t)row_bytes))
        return false;
    bool ok = sqlite3_step(statement) == SQLITE_ROW || store_fail(store, err, "counting operations");
    *count = ok ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
    *bytes = ok ? (uint64_t)sqlite3_column_int64(statement, 1) : 0;
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return ok;
}

bool store_make_room(struct store *store, const char *session, struct err *err)
{
    sqlite3_stmt *drop = store_statement(
        store, STORE_MAKE_ROOM, "DELETE FROM operation WHERE session = ? AND collected = 1 AND key IS NULL", err);
    sqlite3_stmt *empty = store_statement(
        store, STORE_EMPTY,
        "UPDATE operation SET result = NULL, sealed = sealed & 1, truncated = 1 WHERE session = ? AND "
        "collected = 1 AND length(result) > 0", err);
    return drop && empty && store_bind(drop, err, "t", session) &&
           store_done(store, drop, "dropping collected results", NULL, err) && store_bind(empty, err, "t", session) &&
           store_done(store, empty, "dropping collected results", NULL, err);
}

#define ENDED "session NOT IN (SELECT id FROM session WHERE ended = 0 OR ended >= ?1)"
bool store_prune(struct store *store, int64_t before_ms, size_t *count, struct err *err)
{
    sqlite3_stmt *operations = store_statement(
        store, STORE_PRUNE, "DELETE FROM operation WHERE updated < ?1 AND (collected = 1 OR " ENDED ")", err);
    sqlite3_stmt *approvals = store_statement(
        store, STORE_PRUNE_APPROVALS,
        "DELETE FROM approval WHERE max(created, decided) < ?1 AND (decided > 0 OR " ENDED ")", err);
    sqlite3_stmt *sessions = store_statement(
        store, STORE_PRUNE_SESSIONS, "DELETE FROM session WHERE ended > 0 AND ended < ?", err);
    size_t decided = 0;
    *count = 0;
    if (!operations || !approvals || !sessions || !store_bind(operations, err, "i", before_ms) ||
        !store_done(store, operations, "dropping old results", count, err) ||
        !store_bind(approvals, err, "i", before_ms) ||
        !store_done(store, approvals, "dropping old decisions", &decided, err) ||
        !store_bind(sessions, err, "i", before_ms) ||
        !store_done(store, sessions, "dropping old sessions", NULL, err))
        return false;
    *count += decided;
    return true;
}
