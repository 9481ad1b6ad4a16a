/* Opens state.db as far as a start needs it, and begins a new one where that cannot be read: a daemon that does not
 * start would take vault, policy and record out of reach over the file that matters least. */
#include "core/authority/state.h"

#include "core/authority/notify.h"
#include "core/authority/operation.h"
#include "core/base/file.h"
#include "core/base/log.h"

#include <stdlib.h>

static bool pass(void *arg, const struct store_session *row)
{
    (void)arg;
    (void)row;
    return true;
}

/* All rows that the start reads are read here, so that damage shows before anything is done about a session. */
static bool try_open(struct monitor *monitor, const char *path, struct err *err)
{
    monitor->store = store_open(path, err);
    if (monitor->store != NULL && store_sessions(monitor->store, true, pass, NULL, err)) {
        monitor->operations = operations_open(monitor, err);
        if (monitor->operations != NULL)
            return true;
    }
    store_close(monitor->store);
    monitor->store = NULL;
    return false;
}

static void tell(struct monitor *monitor, const char *aside, size_t sessions, const struct err *why)
{
    json_t *event = record_event("state.recovered", NULL);

    json_put(event, "file", aside);
    json_put_int(event, "sessions", (int64_t)sessions);
    json_put(event, "message", why->message);
    record_note(monitor->record, event);
    log_error("%s; put aside as %s, %zu sessions carried over", why->message, aside, sessions);
    err_set(&monitor->state_trouble, ERR_DATA,
            "state.db was damaged and is put aside as %s: %zu sessions were carried over, results of operations were "
            "not", aside, sessions);
    err_hint(&monitor->state_trouble, "Check the disk; the new state.db is good, and the next start forgets this");
}

/* Each entry and the whole file prove whose they are, not when they were written: yesterday's file holds, with what was
 * replaced or removed since. */
static bool is_newest(struct monitor *monitor, struct err *err)
{
    long long now = vault_generation(monitor->vault);
    int64_t seen = 0;
    struct err why = {0};

    if (!store_generation(monitor->store, &seen, &why))
        log_error("%s", why.message); /* a state.db in trouble keeps nobody from the vault */
    if (now >= seen)
        return true;
    err_set(err, ERR_DATA, "vault.json is older than the one that was used last (generation %lld, was %lld)", now,
            (long long)seen);
    return err_hint(err, "If you put a backup back: aileron vault unlock --older. If not, find out who did");
}

void state_saw_vault(struct monitor *monitor)
{
    struct err err = {0};

    if (store_sealing(monitor->store) == STORE_UNLOCKED &&
        !store_set_generation(monitor->store, vault_generation(monitor->vault), &err))
        log_error("%s", err.message);
}

bool state_take_vault(struct monitor *monitor, bool older, struct err *err)
{
    CLEANUP(secret_free_ptr) struct secret *key = vault_derive(monitor->vault, "aileron state.db");
    struct err why = {0};

    if (key == NULL) {
        store_lock(monitor->store, vault_state(monitor->vault, &why) != VAULT_ABSENT);
        return true;
    }
    if (!store_unlock(monitor->store, key, &why)) {
        log_error("%s", why.message);
        return true;
    }
    if (!older && !is_newest(monitor, err)) {
        vault_lock(monitor->vault);
        store_lock(monitor->store, true);
        return false;
    }
    state_saw_vault(monitor);
    operation_kick_all(monitor);
    notify_unlocked(monitor);
    return true;
}

void state_follow_vault(struct monitor *monitor)
{
    struct err err = {0};

    if (!state_take_vault(monitor, false, &err))
        log_error("%s", err.message);
}

bool state_open(struct monitor *monitor, struct err *err)
{
    AUTOFREE char *path = file_join(monitor->home, "state.db");
    AUTOFREE char *aside = NULL;
    struct err why = {0};

    if (try_open(monitor, path, &why))
        return true;
    if (why.code != ERR_DATA) {
        *err = why;
        return false;
    }
    if (!store_put_aside(path, &aside, err) || !try_open(monitor, path, err))
        return false;
    tell(monitor, aside, store_salvage_sessions(monitor->store, aside), &why);
    return true;
}
