/* A daemon that dies at a chosen point (threat F01): around every statement and commit of state.db, every line of the
 * record and every message to a worker, it counts down the number in AILERON_HOME/crash-at and kills itself at 0. The
 * linker puts this around those functions in build/CONFIG/crash alone: no part of it is in the program that ships. */
#include "core/data/audit.h"
#include "core/data/store_db.h"
#include "core/loop/ipc.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool __real_store_done(struct store *store, sqlite3_stmt *statement, const char *what, size_t *changes,
                       struct err *err);
bool __wrap_store_done(struct store *store, sqlite3_stmt *statement, const char *what, size_t *changes,
                       struct err *err);
bool __real_store_commit(struct store *store, struct err *err);
bool __wrap_store_commit(struct store *store, struct err *err);
bool __real_audit_append(struct audit *audit, json_t *event, bool sync, struct err *err);
bool __wrap_audit_append(struct audit *audit, json_t *event, bool sync, struct err *err);
bool __real_audit_append_all(struct audit *audit, const struct audit_entry *entries, size_t count, bool sync,
                             struct err *err);
bool __wrap_audit_append_all(struct audit *audit, const struct audit_entry *entries, size_t count, bool sync,
                             struct err *err);
bool __real_ipc_send(struct ipc *ipc, uint16_t type, uint16_t flags, uint32_t id, const void *payload, size_t len,
                     const int *fds, size_t fd_count);
bool __wrap_ipc_send(struct ipc *ipc, uint16_t type, uint16_t flags, uint32_t id, const void *payload, size_t len,
                     const int *fds, size_t fd_count);

/* The file is taken away when it is read: one file, one death. A worker has no AILERON_HOME. */
static void point(void)
{
    static long left;
    const char *home = getenv("AILERON_HOME");
    char path[256];

    if (home == NULL)
        return;
    if (left == 0) {
        snprintf(path, sizeof path, "%s/crash-at", home);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            return;
        if (fscanf(file, "%ld", &left) != 1)
            left = 0;
        fclose(file);
        unlink(path);
    }
    if (left > 0 && --left == 0)
        kill(getpid(), SIGKILL);
}

bool __wrap_store_done(struct store *store, sqlite3_stmt *statement, const char *what, size_t *changes,
                       struct err *err)
{
    point();
    bool good = __real_store_done(store, statement, what, changes, err);
    point();
    return good;
}

bool __wrap_store_commit(struct store *store, struct err *err)
{
    point();
    bool good = __real_store_commit(store, err);
    point();
    return good;
}

bool __wrap_audit_append(struct audit *audit, json_t *event, bool sync, struct err *err)
{
    point();
    bool good = __real_audit_append(audit, event, sync, err);
    point();
    return good;
}

/* As the monitor calls it; from within audit.c the linker does not come between. */
bool __wrap_audit_append_all(struct audit *audit, const struct audit_entry *entries, size_t count, bool sync,
                             struct err *err)
{
    point();
    bool good = __real_audit_append_all(audit, entries, count, sync, err);
    point();
    return good;
}

bool __wrap_ipc_send(struct ipc *ipc, uint16_t type, uint16_t flags, uint32_t id, const void *payload, size_t len,
                     const int *fds, size_t fd_count)
{
    point();
    bool good = __real_ipc_send(ipc, type, flags, id, payload, len, fds, fd_count);
    point();
    return good;
}
