/* The record as the monitor writes it. Each line is written before its caller goes on; fdatasync follows within
 * RECORD_SYNC_MS for all lines since the last one. Where that fails nothing may depend on a line until it succeeds
 * (F03); what has happened is written all the same. It decides nothing and knows no event by itself. */
#include "core/authority/record.h"

#include "core/base/file.h"
#include "core/base/log.h"

#include <stdlib.h>

enum { RETRY_MS = 1000 };

struct record {
    struct audit *audit;
    struct timer sync;
    struct err trouble, unsynced; /* unsynced: why the disk has not what was written; ERR_NONE: it has, or soon */
};

static void sync_now(void *arg)
{
    struct record *record = arg;
    struct err err = {0};

    if (audit_dirty(record->audit) && !audit_sync(record->audit, &err)) {
        if (record->unsynced.code == ERR_NONE)
            log_error("record sync failed: %s", err.message);
        timer_start(&record->sync, RETRY_MS);
    }
    record->unsynced = err;
}

/* Asked of the disk once in RETRY_MS alone: one that fails may take its time. */
static bool may_depend(const struct record *record, struct err *err)
{
    if (record->unsynced.code != ERR_NONE)
        *err = record->unsynced;
    return record->unsynced.code == ERR_NONE;
}

struct record *record_open(struct loop *loop, const char *home, struct err *err)
{
    AUTOFREE char *dir = file_join(home, "audit");
    struct audit *audit = audit_open(dir, err);

    if (audit == NULL)
        return NULL;
    struct record *record = mem_alloc(sizeof *record);
    record->audit = audit;
    timer_init(&record->sync, loop, sync_now, record);
    return record;
}

void record_close(struct record *record)
{
    if (record == NULL)
        return;
    timer_stop(&record->sync);
    audit_close(record->audit);
    free(record);
}

json_t *record_event(const char *word, const char *session)
{
    json_t *event = json_object();

    json_put(event, "event", word);
    json_put(event, "session", session);
    return event;
}

static bool written(struct record *record, bool good, const struct err *err)
{
    if (!good || record->trouble.code != ERR_NONE)
        record->trouble = good ? (struct err){0} : *err;
    if (good && !timer_running(&record->sync))
        timer_start(&record->sync, RECORD_SYNC_MS);
    return good;
}

static bool append(struct record *record, json_t *event, struct err *err)
{
    bool good = audit_append(record->audit, event, false, err);

    json_decref(event);
    return written(record, good, err);
}

bool record_write(struct record *record, json_t *event, struct err *err)
{
    if (may_depend(record, err))
        return append(record, event, err);
    json_decref(event);
    return false;
}

void record_note(struct record *record, json_t *event)
{
    struct err err = {0};
    bool trouble = record->trouble.code != ERR_NONE;

    if (!append(record, event, &err) && !trouble) /* once: a full disk has no room for a log, either */
        log_error("the record cannot be written, and lines are lost: %s", err.message);
}

static bool append_all(struct record *record, const struct audit_entry *entries, size_t count, struct err *err)
{
    return written(record, audit_append_all(record->audit, entries, count, false, err), err);
}

bool record_write_all(struct record *record, const struct audit_entry *entries, size_t count, struct err *err)
{
    return may_depend(record, err) && append_all(record, entries, count, err);
}

void record_on_line(struct record *record, audit_line_fn fn, void *arg)
{
    audit_on_line(record->audit, fn, arg);
}

void record_note_all(struct record *record, const struct audit_entry *entries, size_t count)
{
    struct err err = {0};
    bool trouble = record->trouble.code != ERR_NONE;

    if (count == 0 || append_all(record, entries, count, &err))
        return;
    for (size_t i = 0; i < count && count > 1 && err.code == ERR_LIMIT; i++)
        record_note_all(record, &entries[i], 1);
    if (!trouble && (count == 1 || err.code != ERR_LIMIT)) /* once: a full disk has no room for a log, either */
        log_error("the record cannot be written, and lines are lost: %s", err.message);
}

const struct err *record_trouble(const struct record *record)
{
    return record->unsynced.code != ERR_NONE ? &record->unsynced : &record->trouble;
}

uint64_t record_seq(const struct record *record)
{
    return audit_seq(record->audit);
}

const char *record_head(const struct record *record)
{
    return audit_head(record->audit);
}

uint64_t record_bytes(const struct record *record)
{
    return audit_written(record->audit);
}

void record_retire(struct record *record, int64_t days)
{
    size_t count = 0;
    struct err err = {0};

    if (days <= 0)
        return;
    if (!audit_retire(record->audit, days, &count, &err))
        log_warn("old files of the record stay: %s", err.message);
    else if (count > 0)
        log_info("%zu files of the record were older than %lld days and are removed", count, (long long)days);
}
