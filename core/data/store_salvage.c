/* A state.db that is damaged (threat F04): put aside whole, so that nothing of it is lost for good, and its sessions
 * copied, so that sandboxes that run go on. Results of operations stay in the file that was put aside. */
#include "core/data/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/id.h"
#include "core/data/store_db.h"

bool store_put_aside(const char *path, char **aside, struct err *err)
{
    static const char *const parts[] = {"", "-wal", "-journal"};
    char time[32];
    clock_iso(clock_wall_ms(), time);
    AUTOFREE char *name = mem_printf("%s.damaged-%s", path, time);
    for (size_t i = 0; i < COUNT(parts); i++) {
        AUTOFREE char *from = mem_printf("%s%s", path, parts[i]);
        AUTOFREE char *to = mem_printf("%s%s", name, parts[i]);
        if (rename(from, to) != 0 && errno != ENOENT) {
            err_errno(err, ERR_IO, errno, "putting %s aside", from);
            return err_hint(err, "Move state.db* away yourself");
        }
    }
    *aside = name;
    name = NULL;
    return true;
}

size_t store_salvage_sessions(struct store *store, const char *aside)
{
    sqlite3 *old = NULL;
    sqlite3_stmt *statement = NULL;
    size_t count = 0;
    struct err ignored;
    /* Its write-ahead log is read too; the index of that log lives in our memory, as always. */
    if (sqlite3_open_v2(aside, &old, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL) ==
            SQLITE_OK &&
        sqlite3_exec(old, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF;", NULL, NULL, NULL) ==
            SQLITE_OK &&
        sqlite3_prepare_v2(old, "SELECT id, created, json FROM session WHERE ended = 0", -1, &statement, NULL) ==
            SQLITE_OK)
        while (sqlite3_step(statement) == SQLITE_ROW) {
            AUTOFREE char *id = store_column(statement, 0);
            AUTOFREE char *json = store_column(statement, 2);
            count += id && json && id_valid(id, "") &&
                     store_session_add(store, id, sqlite3_column_int64(statement, 1), json, &ignored);
        }
    sqlite3_finalize(statement);
    sqlite3_close(old);
    return count;
}
