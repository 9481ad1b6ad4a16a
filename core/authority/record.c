/* The record as the monitor writes it. Each line is written before its caller goes on; fdatasync follows within
 * RECORD_SYNC_MS for all lines since the last one. It decides nothing and knows no event by itself. */
#include "core/authority/record.h"

#include "core/base/file.h"
#include "core/base/log.h"

#include <stdlib.h>

struct record {
    struct audit *audit;
    struct timer sync;
    struct err trouble;
};

static void sync_now(void *arg)
{
    struct record *record = arg;
    struct err err = {0};

    if (audit_dirty(record->audit) && !audit_sync(record->audit, &err)) {
        log_error("record sync failed: %s", err.message);
        record->trouble = err;
        timer_start(&record->sync, 1000);
    }
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

bool record_write(struct record *record, json_t *event, struct err *err)
{
    bool good = audit_append(record->audit, event, false, err);

    json_decref(event);
    record->trouble = good ? (struct err){0} : *err;
    if (good && !timer_running(&record->sync))
        timer_start(&record->sync, RECORD_SYNC_MS);
    return good;
}

void record_note(struct record *record, json_t *event)
{
    struct err err = {0};

    if (!record_write(record, event, &err))
        log_error("record line lost: %s", err.message);
}

bool record_from_worker(struct record *record, const char *session, json_t *event, struct err *err)
{
    if (!audit_event_check(event, true, err))
        return false;
    json_put(event, "session", session);
    record_note(record, json_incref(event));
    return true;
}

void record_on_line(struct record *record, audit_line_fn fn, void *arg)
{
    audit_on_line(record->audit, fn, arg);
}

const struct err *record_trouble(const struct record *record)
{
    return &record->trouble;
}
