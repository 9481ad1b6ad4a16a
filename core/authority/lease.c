/* The monitor's side of the journal. The map is shared with a process that may be hostile: its own numbers are the ones
 * in struct lease. */
#include "core/authority/lease.h"

#include "core/authority/quota.h"
#include "core/authority/round.h"
#include "core/authority/session.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/loop/ipc.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- what is lent ---- */

uint64_t lease_give(struct session *session)
{
    struct lease *lease = &session->lease;

    if (lease->journal == NULL || lease->unwritten.len > 0 || !session_may_ask(session, &(struct err){0}))
        return 0;
    atomic_store_explicit(&lease->journal->grant, lease->grant, memory_order_release);
    return lease->grant;
}

void lease_end(struct session *session)
{
    struct lease *lease = &session->lease;

    if (lease->journal == NULL)
        return;
    lease->grant++;
    atomic_store_explicit(&lease->journal->grant, 0, memory_order_release);
}

void leases_end(struct monitor *monitor)
{
    for (struct session *session = monitor->sessions; session != NULL; session = session->next)
        lease_end(session);
}

/* ---- what comes ---- */

static void now_taken(struct lease *lease)
{
    if (lease->unwritten.len == 0)
        atomic_store_explicit(&lease->journal->taken, lease->taken, memory_order_release);
}

static size_t *ahead_of(struct lease *lease, uint64_t serial)
{
    size_t at = serial % JOURNAL_SHEETS;

    if (lease->ahead[at].serial != serial) {
        lease->ahead[at].serial = serial;
        lease->ahead[at].bytes = 0;
    }
    return &lease->ahead[at].bytes;
}

bool lease_round(struct session *session, const struct ipc_message *message, struct err *err)
{
    struct lease *lease = &session->lease;
    uint64_t serial = lease->taken + 1;

    if (lease->journal == NULL || message->id != (uint32_t)serial)
        return err_set(err, ERR_DATA, "a sheet of the journal that is not the next one");
    size_t *ahead = ahead_of(lease, serial), skip = *ahead;
    if (skip > message->len)
        return err_set(err, ERR_DATA, "a sheet of the journal that is shorter than it was");
    lease_retry(session);
    *ahead = message->len; /* also where it is bad: what came before the bad one is written once */
    if ((skip < message->len || skip == 0) &&
        !round_take(session, ROUND_LIVE, (const uint8_t *)message->data + skip, message->len - skip, err))
        return false;
    lease->taken = serial;
    now_taken(lease);
    return true;
}

/* Returns the last sheet that was begun. */
static uint64_t collect(struct session *session, enum round_from from)
{
    struct lease *lease = &session->lease;
    uint64_t serial = lease->taken + 1;
    struct buf text;

    buf_init(&text, JOURNAL_BYTES);
    lease_retry(session);
    for (; serial <= lease->taken + JOURNAL_SHEETS; serial++) {
        size_t *ahead = ahead_of(lease, serial);
        struct err err = {0};
        text.len = 0;
        if (!journal_copy(lease->journal, serial, *ahead, &text))
            break;
        if (text.len > 0 && !round_take(session, from, text.data, text.len, &err))
            log_warn("session %s: its journal: %s", session->id, err.message);
        *ahead += text.len;
    }
    buf_clear(&text);
    return serial - 1;
}

void lease_collect(struct session *session)
{
    if (session->lease.journal != NULL)
        collect(session, ROUND_LIVE);
}

void lease_collect_last(struct session *session)
{
    struct lease *lease = &session->lease;

    if (lease->journal == NULL)
        return;
    lease->taken = collect(session, ROUND_DEAD);
    lease_end(session);
    now_taken(lease);
}

/* ---- a record that takes nothing ---- */

bool lease_keep(struct session *session, const struct buf *line)
{
    lease_end(session);
    return buf_add(&session->lease.unwritten, line->data, line->len);
}

void lease_retry(struct session *session)
{
    struct lease *lease = &session->lease;
    struct span rest = {(const char *)lease->unwritten.data, lease->unwritten.len};
    struct audit_entry entry;
    struct err err = {0};
    size_t written = 0;

    while (rest.len > 0 && audit_entry_take(&rest, false, &entry, &err)) {
        entry.session = session->id;
        if (!quota_write_used(session, &entry, &err))
            break;
        written = lease->unwritten.len - rest.len;
    }
    if (written == 0)
        return;
    buf_consume(&lease->unwritten, written);
    now_taken(lease);
}

/* ---- its life ---- */

bool lease_open(struct session *session, struct err *err)
{
    struct lease *lease = &session->lease;
    AUTOFREE char *path = file_join(session->private_dir, "journal");

    buf_init(&lease->unwritten, LEASE_UNWRITTEN_BYTES);
    lease->fd = journal_open(path, err);
    lease->journal = lease->fd < 0 ? NULL : journal_map(lease->fd, err);
    if (lease->journal == NULL)
        return false;
    lease->taken = atomic_load_explicit(&lease->journal->taken, memory_order_acquire);
    lease_collect_last(session);
    return true;
}

void lease_close(struct session *session)
{
    struct lease *lease = &session->lease;

    if (lease->unwritten.len > 0)
        log_error("session %s: the record cannot be written, and lines of %zu bytes about credentials are lost",
                  session->id, lease->unwritten.len);
    buf_clear(&lease->unwritten);
    journal_unmap(lease->journal);
    lease->journal = NULL;
    if (lease->fd >= 0)
        close(lease->fd);
    lease->fd = -1;
}
