/* The accounts of sessions, and a floor under the disk's free space. It refuses and counts; what is recorded, and
 * what a refused request is told, is for others. */
#include "core/authority/quota.h"

#include "core/authority/session.h"
#include "core/authority/worker.h"
#include "core/base/id.h"
#include "core/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

/* What a line has beside its fields: number, time, hash of the one before, session, names. An escaped byte is six. */
enum { LINE_EXTRA_BYTES = 512, LINE_TIMES = 6 };

struct quotas {
    struct monitor *monitor;
    struct timer timer;
    struct err low; /* the disk has less than the floor; ERR_NONE: it has more */
};

static uint64_t limit_of(const struct monitor *monitor, enum limit limit)
{
    return monitor->rules->config->limits[limit];
}

/* ---- a session's record ---- */

static double reserve_of(const struct session *session)
{
    double eighth = (double)limit_of(session->monitor, LIMIT_RECORD_BYTES) / 8;

    return eighth < QUOTA_RESERVE_BYTES ? eighth : QUOTA_RESERVE_BYTES;
}

static double left_of(struct session *session)
{
    struct quota *quota = &session->quota;
    uint64_t now = clock_mono_ms();
    double back = (double)(now - quota->since_ms) / 1000 * (double)limit_of(session->monitor, LIMIT_RECORD_RATE);

    quota->used = quota->used > back ? quota->used - back : 0;
    quota->since_ms = now;
    return (double)limit_of(session->monitor, LIMIT_RECORD_BYTES) - quota->used;
}

static void why_halted(const struct session *session, struct err *err)
{
    err_set(err, ERR_LIMIT, "this session has written to the record what limits.record_bytes (%llu) allows at once",
            (unsigned long long)limit_of(session->monitor, LIMIT_RECORD_BYTES));
    err_hint(err, "Nothing is sent until room has come back (limits.record_rate). Do less at a time, or ask the user "
                  "to raise these limits in config.yaml");
}

void quota_why(const struct session *session, struct err *err)
{
    err_set(err, ERR_LIMIT, "session %s is halted: it has written to the record what limits.record_bytes (%llu) allows",
            session->id, (unsigned long long)limit_of(session->monitor, LIMIT_RECORD_BYTES));
    err_hint(err, "It goes on when room has come back (limits.record_rate). Look at what it does: aileron audit list "
                  "--session=%s", session->id);
}

bool quota_open(const struct session *session, struct err *err)
{
    const struct quotas *quotas = session->monitor->quotas;

    if (quotas->low.code != ERR_NONE) {
        *err = quotas->low;
        return false;
    }
    if (!session->quota.halted)
        return true;
    why_halted(session, err);
    return false;
}

void quota_tell(struct session *session)
{
    json_t *halt JSON_AUTO = json_object();
    struct err err = {0};

    if (!quota_open(session, &err)) {
        json_put(halt, "code", err_word(err.code));
        json_put(halt, "message", err.message);
        json_put(halt, "hint", err.hint);
    }
    worker_send_json(session, MESSAGE_HALT, 0, halt);
}

/* The session's own line about itself: not charged, since there are few. */
static void tell_record(struct session *session, const char *state)
{
    struct quota *quota = &session->quota;
    json_t *event = record_event("session.flooded", session->id);

    json_put(event, "state", state);
    json_put_int(event, "limit", (int64_t)limit_of(session->monitor, LIMIT_RECORD_BYTES));
    json_put_int(event, "lost_lines", (int64_t)quota->lost_lines);
    json_put_int(event, "lost_bytes", (int64_t)quota->lost_bytes);
    record_note(session->monitor->record, event);
    quota->lost_lines = quota->lost_bytes = 0;
}

static void look_at(struct session *session)
{
    struct quota *quota = &session->quota;
    double left = left_of(session);

    if (!quota->halted && left < reserve_of(session)) {
        quota->halted = true;
        lease_end(session);
        log_warn("session %s has written its share of the record and is halted", session->id);
        tell_record(session, "halted");
        quota_tell(session);
    } else if (quota->halted && left >= 2 * reserve_of(session)) {
        quota->halted = false;
        tell_record(session, "goes on");
        quota_tell(session);
    }
}

static void look_soon(struct session *session)
{
    struct timer *timer = &session->monitor->quotas->timer;

    if (!timer_running(timer))
        timer_start(timer, QUOTA_LOOK_MS);
}

static void charge(struct session *session, uint64_t before)
{
    session->quota.used += (double)(record_bytes(session->monitor->record) - before);
    look_at(session);
    look_soon(session);
}

bool quota_write(struct session *session, json_t *event, struct err *err)
{
    struct record *record = session->monitor->record;
    uint64_t before = record_bytes(record);

    if (!quota_open(session, err)) {
        json_decref(event);
        return false;
    }
    bool good = record_write(record, event, err);
    charge(session, before);
    return good;
}

bool quota_write_entry(struct session *session, const struct audit_entry *entry, struct err *err)
{
    uint64_t before = record_bytes(session->monitor->record);

    if (!quota_open(session, err))
        return false;
    bool good = record_write_all(session->monitor->record, entry, 1, err);
    charge(session, before);
    return good;
}

bool quota_write_used(struct session *session, const struct audit_entry *entry, struct err *err)
{
    uint64_t before = record_bytes(session->monitor->record);

    if (left_of(session) + QUOTA_USED_BYTES <= 0)
        return err_set(err, ERR_LIMIT, "the session's share of the record is used");
    bool good = record_write_all(session->monitor->record, entry, 1, err);
    charge(session, before);
    return good;
}

/* More than these lines can come to. */
static double most_bytes(const struct audit_entry *entries, size_t count)
{
    size_t bytes = count * LINE_EXTRA_BYTES;

    for (size_t i = 0; i < count; i++)
        bytes += entries[i].flat.fields.len * LINE_TIMES;
    return (double)bytes;
}

bool quota_write_all(struct session *session, const struct audit_entry *entries, size_t count, struct err *err)
{
    uint64_t before = record_bytes(session->monitor->record);

    if (!quota_open(session, err))
        return false;
    if (left_of(session) <= reserve_of(session) + most_bytes(entries, count))
        return err_set(err, ERR_LIMIT, "the session's share of the record is nearly used");
    bool good = record_write_all(session->monitor->record, entries, count, err);
    charge(session, before);
    return good;
}

static size_t length_of(const struct audit_entry *entry)
{
    struct buf text CLEANUP(buf_clear);

    buf_init(&text, AUDIT_LINE_MAX);
    return audit_entry_members(entry, &text) ? text.len + 2 : AUDIT_LINE_MAX; /* its brackets */
}

void quota_lose(struct session *session, const struct audit_entry *entry)
{
    session->quota.lost_lines++;
    session->quota.lost_bytes += length_of(entry);
}

/* A halted session's refusals are many, and all say the same. */
static bool is_worth_a_line(const struct session *session, const char *word)
{
    return !session->quota.halted || strcmp(word, "session.denied") != 0;
}

void quota_note(struct session *session, json_t *event)
{
    struct record *record = session->monitor->record;
    struct quota *quota = &session->quota;
    const char *word = json_string_value(json_object_get(event, "event"));
    uint64_t before = record_bytes(record);

    look_soon(session);
    if (left_of(session) > 0 && is_worth_a_line(session, word != NULL ? word : "")) {
        record_note(record, event);
        charge(session, before);
        return;
    }
    quota->lost_lines++;
    quota->lost_bytes += json_dumpb(event, NULL, 0, JSON_COMPACT);
    json_decref(event);
}

static void note_entry(struct session *session, const struct audit_entry *entry)
{
    struct record *record = session->monitor->record;
    uint64_t before = record_bytes(record);

    if (left_of(session) > 0 && is_worth_a_line(session, audit_entry_word(entry))) {
        record_note_all(record, entry, 1);
        charge(session, before);
        return;
    }
    quota_lose(session, entry);
}

void quota_note_all(struct session *session, const struct audit_entry *entries, size_t count)
{
    struct record *record = session->monitor->record;
    uint64_t before = record_bytes(record);

    look_soon(session);
    if (!session->quota.halted && left_of(session) > most_bytes(entries, count)) {
        record_note_all(record, entries, count);
        charge(session, before);
        return;
    }
    for (size_t i = 0; i < count; i++)
        note_entry(session, &entries[i]);
}

void quota_end(struct session *session)
{
    if (session->quota.lost_lines > 0)
        tell_record(session, "ended");
}

/* ---- the disk ---- */

static void look_at_disk(struct quotas *quotas)
{
    uint64_t floor = limit_of(quotas->monitor, LIMIT_DISK_FREE);
    struct statvfs disk;

    quotas->low = (struct err){0};
    if (floor == 0 || statvfs(quotas->monitor->home, &disk) != 0)
        return;
    uint64_t left = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (left >= floor)
        return;
    err_set(&quotas->low, ERR_IO, "no space to spare on the disk of AILERON_HOME: %llu bytes are free, and the last "
            "%llu are kept for what is under way", (unsigned long long)left, (unsigned long long)floor);
    err_hint(&quotas->low, "Free space; work starts again by itself. limits.disk_free in config.yaml says how much is "
                           "kept");
}

static void tell_space(struct quotas *quotas, bool low)
{
    json_t *event = record_event("daemon.space", NULL);

    json_put_bool(event, "low", low);
    json_put_int(event, "limit", (int64_t)limit_of(quotas->monitor, LIMIT_DISK_FREE));
    json_put(event, "message", low ? quotas->low.message : NULL);
    record_note(quotas->monitor->record, event);
    if (low)
        log_warn("%s", quotas->low.message);
}

static bool look_again(const struct quotas *quotas)
{
    bool again = quotas->low.code != ERR_NONE;

    for (const struct session *session = quotas->monitor->sessions; session != NULL; session = session->next)
        again = again || session->quota.halted || session->lease.unwritten.len > 0;
    return again;
}

void quotas_look(struct quotas *quotas)
{
    bool was_low = quotas->low.code != ERR_NONE;

    look_at_disk(quotas);
    bool low = quotas->low.code != ERR_NONE;
    if (low != was_low) {
        leases_end(quotas->monitor);
        tell_space(quotas, low);
    }
    for (struct session *session = quotas->monitor->sessions; session != NULL; session = session->next) {
        look_at(session);
        lease_retry(session);
        if (low != was_low)
            quota_tell(session);
    }
    if (look_again(quotas) && !timer_running(&quotas->timer))
        timer_start(&quotas->timer, QUOTA_LOOK_MS);
}

static void on_time(void *arg)
{
    quotas_look(arg);
}

struct quotas *quotas_open(struct monitor *monitor)
{
    struct quotas *quotas = mem_alloc(sizeof *quotas);

    quotas->monitor = monitor;
    timer_init(&quotas->timer, monitor->loop, on_time, quotas);
    return quotas;
}

void quotas_close(struct quotas *quotas)
{
    if (quotas == NULL)
        return;
    timer_stop(&quotas->timer);
    free(quotas);
}

bool quotas_may_launch(struct quotas *quotas, struct err *err)
{
    quotas_look(quotas);
    if (quotas->low.code == ERR_NONE)
        return true;
    *err = quotas->low;
    return false;
}

const struct err *quotas_trouble(const struct quotas *quotas)
{
    return &quotas->low;
}

/* ---- state.db ---- */

bool quota_load(struct session *session, struct err *err)
{
    return store_usage(session->monitor->store, session->id, QUOTA_ROW_BYTES, &session->quota.operations,
                       &session->quota.operation_bytes, err);
}

static bool fits(const struct session *session, size_t bytes)
{
    const struct quota *quota = &session->quota;

    return quota->operations < limit_of(session->monitor, LIMIT_STORED_OPERATIONS) &&
           quota->operation_bytes + QUOTA_ROW_BYTES + bytes <= limit_of(session->monitor, LIMIT_STORED_BYTES);
}

bool quota_operation(struct session *session, size_t bytes, struct err *err)
{
    struct quota *quota = &session->quota;

    if (fits(session, bytes))
        return true;
    if (quota->collected && (!store_make_room(session->monitor->store, session->id, err) || !quota_load(session, err)))
        return false;
    quota->collected = false;
    if (fits(session, bytes))
        return true;
    err_set(err, ERR_LIMIT, "this session keeps %llu operations of %llu bytes, and limits.stored_operations and "
            "limits.stored_bytes allow no more", (unsigned long long)quota->operations,
            (unsigned long long)quota->operation_bytes);
    return err_hint(err, "Collect their results (aileron-wait --drain), or ask the user to raise these limits in "
                         "config.yaml");
}

void quota_stored(struct session *session, size_t bytes)
{
    session->quota.operations++;
    session->quota.operation_bytes += QUOTA_ROW_BYTES + bytes;
}

size_t quota_result(const struct session *session, size_t bytes)
{
    uint64_t used = session->quota.operation_bytes, most = limit_of(session->monitor, LIMIT_STORED_BYTES);
    uint64_t left = used < most ? most - used : 0;

    return bytes < left ? bytes : (size_t)left;
}
