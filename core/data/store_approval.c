/* The approvals table of state.db: what a person is asked, and what they said. Which moves are allowed is the
 * authority's to say; a decision names the state that it starts from, so that of two deciders one wins. */
#include <stdlib.h>

#include "core/data/store_db.h"

#define COLUMNS                                                                                                  \
    "id, session, operation, digest, rule, shown, state, scope, reason, by, edited, created, expires, decided, basis"
/* What a filter asks; its values are bound by bind_filter. */
#define MATCHES                                                                                                  \
    "(?1 IS NULL OR session = ?1) AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR rule = ?3) AND "             \
    "(?4 IS NULL OR scope = ?4) AND (?5 IS NULL OR operation = ?5) AND (?6 = 0 OR expires < ?6) AND " \
    "(?8 IS NULL OR basis = ?8) AND (?9 = 0 OR (decided < ?9 AND operation IS NULL))"

void store_approval_clear(struct store_approval *row)
{
    char *texts[] = {row->id,    row->session, row->operation, row->digest, row->rule,
                     row->shown, row->state,   row->scope,     row->reason, row->by,   row->full, row->basis};
    for (size_t i = 0; i < COUNT(texts); i++)
        free(texts[i]);
    memset(row, 0, sizeof *row);
}

static void row_read(sqlite3_stmt *statement, struct store_approval *out)
{
    *out = (struct store_approval){
        .id = store_column(statement, 0),
        .session = store_column(statement, 1),
        .operation = store_column(statement, 2),
        .digest = store_column(statement, 3),
        .rule = store_column(statement, 4),
        .shown = store_column(statement, 5),
        .state = store_column(statement, 6),
        .scope = store_column(statement, 7),
        .reason = store_column(statement, 8),
        .by = store_column(statement, 9),
        .edited = sqlite3_column_int(statement, 10) != 0,
        .created_ms = sqlite3_column_int64(statement, 11),
        .expires_ms = sqlite3_column_int64(statement, 12),
        .decided_ms = sqlite3_column_int64(statement, 13),
        .basis = store_column(statement, 14),
    };
}

/* The first row, or none; resets. */
static bool one_row(struct store *store, sqlite3_stmt *statement, struct store_approval *out, bool *found,
                    struct err *err)
{
    int result = sqlite3_step(statement);
    *found = result == SQLITE_ROW;
    if (*found)
        row_read(statement, out);
    bool ok = *found || result == SQLITE_DONE || store_fail(store, err, "reading an approval");
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return ok;
}

static bool seal_full(struct store *store, const char *id, const char *full, struct buf *out, struct err *err)
{
    buf_init(out, 0);
    if (strlen(full) > STORE_SHOWN_MAX)
        return err_set(err, ERR_LIMIT, "what a person would have to read is longer than %d bytes", STORE_SHOWN_MAX);
    return store_seal(store, NULL, id, "full", span_of(full), out, err);
}

bool store_approval_add(struct store *store, const struct store_approval *row, struct err *err)
{
    sqlite3_stmt *statement = store_statement(
        store, STORE_APPROVAL_ADD,
        "INSERT INTO approval (id, session, operation, digest, rule, shown, state, created, expires, basis, full, "
        "sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", err);
    struct buf full CLEANUP(buf_wipe) = {0};
    return statement && seal_full(store, row->id, row->full, &full, err) &&
           store_bind(statement, err, "tttttttiitbi", row->id, row->session, row->operation, row->digest, row->rule,
                      row->shown, row->state, row->created_ms, row->expires_ms, row->basis, full.data, full.len,
                      (int64_t)(store->sealing == STORE_UNLOCKED)) &&
           store_done(store, statement, "storing an approval", NULL, err);
}

char *store_approval_full(struct store *store, const char *id, struct err *err)
{
    sqlite3_stmt *statement =
        store_statement(store, STORE_APPROVAL_FULL, "SELECT full, sealed FROM approval WHERE id = ?", err);
    if (!statement || !store_bind(statement, err, "t", id))
        return NULL;
    return store_sealed_text(store, statement, id, "full", STORE_SHOWN_MAX, err);
}

bool store_approval_get(struct store *store, const char *id, struct store_approval *out, struct err *err)
{
    bool found = false;
    sqlite3_stmt *statement =
        store_statement(store, STORE_APPROVAL_GET, "SELECT " COLUMNS " FROM approval WHERE id = ?", err);
    memset(out, 0, sizeof *out);
    if (!statement || !store_bind(statement, err, "t", id) || !one_row(store, statement, out, &found, err))
        return false;
    return found || err_set(err, ERR_NOT_FOUND, "there is no approval %.40s", id);
}

bool store_approval_latest(struct store *store, const char *session, const char *digest,
                           struct store_approval *out, bool *found, struct err *err)
{
    sqlite3_stmt *statement = store_statement(
        store, STORE_APPROVAL_LATEST,
        "SELECT " COLUMNS " FROM approval WHERE session = ? AND digest = ? AND operation IS NULL "
        "ORDER BY seq DESC LIMIT 1", err);
    memset(out, 0, sizeof *out);
    *found = false;
    return statement && store_bind(statement, err, "tt", session, digest) &&
           one_row(store, statement, out, found, err);
}

static bool bind_filter(sqlite3_stmt *statement, const struct store_approval_filter *filter, struct err *err)
{
    size_t limit = filter->limit > 0 && filter->limit < STORE_LIST_MAX ? filter->limit : STORE_LIST_MAX;
    return store_bind(statement, err, "tttttiiti", filter->session, filter->state, filter->rule, filter->scope,
                      filter->operation, filter->expires_before_ms, (int64_t)limit, filter->basis,
                      filter->decided_before_ms);
}

bool store_approval_count(struct store *store, const struct store_approval_filter *filter, size_t *count,
                          struct err *err)
{
    sqlite3_stmt *statement = store_statement(
        store, STORE_APPROVAL_COUNT,
        "SELECT count(*) FROM (SELECT 1 FROM approval WHERE " MATCHES " LIMIT ?7)", err);
    if (!statement || !bind_filter(statement, filter, err))
        return false;
    int result = sqlite3_step(statement);
    *count = result == SQLITE_ROW ? (size_t)sqlite3_column_int64(statement, 0) : 0;
    bool ok = result == SQLITE_ROW || store_fail(store, err, "counting approvals");
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return ok;
}

bool store_approvals(struct store *store, const struct store_approval_filter *filter, store_approval_fn fn,
                     void *arg, struct err *err)
{
    sqlite3_stmt *statement = store_statement(
        store, STORE_APPROVALS, "SELECT " COLUMNS " FROM approval WHERE " MATCHES " ORDER BY seq LIMIT ?7", err);
    int result = SQLITE_DONE;
    bool more = true;
    if (!statement || !bind_filter(statement, filter, err))
        return false;
    while (more && (result = sqlite3_step(statement)) == SQLITE_ROW) {
        struct store_approval row;
        row_read(statement, &row);
        more = fn(arg, &row);
        store_approval_clear(&row);
    }
    bool ok = !more || result == SQLITE_DONE || store_fail(store, err, "reading approvals");
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return ok;
}

bool store_approval_decide(struct store *store, const char *id, const char *from,
                           const struct store_decision *decision, int64_t now_ms, struct err *err)
{
    size_t changes = 0;
    sqlite3_stmt *statement = store_statement(
        store, STORE_APPROVAL_DECIDE,
        "UPDATE approval SET state = ?1, scope = coalesce(?2, scope), reason = coalesce(?3, reason), "
        "by = coalesce(?4, by), edited = edited OR ?5 IS NOT NULL, shown = coalesce(?5, shown), "
        "digest = coalesce(?6, digest), decided = ?7, full = coalesce(?10, full), "
        "sealed = CASE WHEN ?10 IS NULL THEN sealed ELSE ?11 END WHERE id = ?8 AND state = ?9", err);
    struct buf full CLEANUP(buf_wipe) = {0};
    if (!statement || (decision->full && !seal_full(store, id, decision->full, &full, err)) ||
        !store_bind(statement, err, decision->full ? "ttttttittbi" : "ttttttitt", decision->state, decision->scope,
                    decision->reason, decision->by, decision->shown, decision->digest, now_ms, id, from, full.data,
                    full.len, (int64_t)(store->sealing == STORE_UNLOCKED)) ||
        !store_done(store, statement, "storing a decision", &changes, err))
        return false;
    if (changes == 1)
        return true;
    struct store_approval row;
    if (!store_approval_get(store, id, &row, err))
        return false;
    err_set(err, ERR_CONFLICT, "approval %.40s is %s, not %s", id, row.state, from);
    store_approval_clear(&row);
    return false;
}
