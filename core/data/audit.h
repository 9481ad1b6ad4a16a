/* The record (design section 11): one JSON object a line, chained by hash, in one file a day (UTC).
 *
 * {"ts": "...", "seq": N, "event": "...", "session"?: "...", ...fields, "prev": "<hex SHA-256 of the line before,
 * without its newline>"}. The first line of all has 64 zeros; the first of each file has the hash of the
 * last line of the file before it. seq counts on across files. A clock that goes backwards does not go
 * back to an older file.
 *
 * What may be written is a table (audit_events.c): event word -> fields. An unknown event or field is
 * refused, so masking is by construction. Strings over AUDIT_FIELD_MAX are cut. The monitor alone
 * appends (it holds daemon.lock); readers may run at any time in any process. */
#ifndef AILERON_DATA_AUDIT_H
#define AILERON_DATA_AUDIT_H

#include "core/data/flat.h"
#include "core/data/json.h"

enum {
    AUDIT_LEADING = 2, /* fields of any event: session, id */
    AUDIT_LINE_MAX = 64 * 1024, /* of a line that is written */
    AUDIT_READ_MAX = 1024 * 1024, /* of a line that is read; longer ones are reported as damage */
    AUDIT_FIELD_MAX = 2048,
    AUDIT_HASH_HEX = 64
};

/* ---- events ---- */
struct audit_event {
    const char *word;
    const char *const *fields; /* NULL-terminated: session, id, then its own; besides ts, seq, event and prev */
    bool from_worker;          /* a worker may send it (MESSAGE_ROUND) */
};
const struct audit_event *audit_event_find(const char *word) NONNULL;
/* All rows, for the manual; ends with a NULL word. */
const struct audit_event *audit_event_table(void);
/* An event as a flat object, whose kind is its row in the table. Begins one; false: there is no such event. */
const struct audit_event *audit_event_at(unsigned kind); /* NULL: none */
bool audit_event_begin(struct flat_out *out, struct buf *buf, const char *word) MUSTUSE NONNULL;
/* The same of {"event": "...", fields}: known event, known fields, plain values alone. False: ERR_DATA, or ERR_LIMIT
 * where buf has no room. */
bool audit_event_flat(const json_t *event, struct buf *buf, struct err *err) MUSTUSE NONNULL;

/* An event that may be written; borrowed. */
struct audit_entry {
    struct flat flat;
    const char *session; /* NULL: the object's own, if it has one */
};
/* The next one of *rest, checked as audit_event_flat does. from_worker: also that the row allows it, and that it names
 * no session. ERR_DATA. */
bool audit_entry_take(struct span *rest, bool from_worker, struct audit_entry *entry, struct err *err) MUSTUSE NONNULL;
const char *audit_entry_word(const struct audit_entry *entry) NONNULL;
/* A field that is a text (session: whichever holds); "" where there is none. */
const char *audit_entry_text(const struct audit_entry *entry, const char *name) NONNULL;
/* The object of a line without ts, seq and prev: what its bytes are. */
bool audit_entry_members(const struct audit_entry *entry, struct buf *out) MUSTUSE NONNULL;

/* ---- writing ---- */
struct audit;
/* dir: $AILERON_HOME/audit, made where missing. A half-written last line is cut off, and a
 * "record.recovered" line tells so. */
struct audit *audit_open(const char *dir, struct err *err) MUSTUSE NONNULL;
void audit_close(struct audit *audit); /* syncs */
/* Writes one line by one write(2). event: as audit_event_flat takes it; borrowed. durable: on the disk before it
 * returns. On an error nothing of the line stays in the file (but for a durable line that was written and could not be
 * synced), and what depends on it must not happen (ERR_IO, with the next step). */
bool audit_append(struct audit *audit, const json_t *event, bool durable, struct err *err)
    MUSTUSE NONNULL;
/* Called with each line that has been written (without its newline) and what it was made of; all borrowed. */
typedef void (*audit_line_fn)(void *arg, uint64_t seq, struct span line, const struct audit_entry *entry);
void audit_on_line(struct audit *audit, audit_line_fn fn, void *arg) NONNULL_AT(1);
/* The same for lines that come together, by one write(2): all of them, or none. */
bool audit_append_all(struct audit *audit, const struct audit_entry *entries, size_t count, bool durable,
                      struct err *err) MUSTUSE NONNULL;
/* fdatasync of what was appended since the last one; the caller's timer groups. */
bool audit_sync(struct audit *audit, struct err *err) MUSTUSE NONNULL;
bool audit_dirty(const struct audit *audit) NONNULL;
/* Removes the files of days more than `days` before today; *count of them. Each is told by a line of its own first
 * (record.retired: its last hash and seq), so that what is left still proves itself. The newest file stays. */
bool audit_retire(struct audit *audit, int64_t days, size_t *count, struct err *err) MUSTUSE NONNULL;
/* The hash of the last line, hex; and its seq (0: none yet). */
const char *audit_head(const struct audit *audit) NONNULL;
uint64_t audit_seq(const struct audit *audit) NONNULL;
/* Bytes that were appended since it was opened. */
uint64_t audit_written(const struct audit *audit) NONNULL;

/* ---- reading ---- */
struct audit_filter { /* NULL or 0: any */
    const char *session, *event, *host, *decision, *id;
    int64_t since_ms, until_ms;
    uint64_t tail_bytes; /* only lines in about that many at the record's end */
};
struct audit_reader;
/* Reads dir from its first day; from_end: only what is appended from now on (tail). */
struct audit_reader *audit_reader_open(const char *dir, const struct audit_filter *filter,
                                       bool from_end, struct err *err) MUSTUSE NONNULL;
void audit_reader_close(struct audit_reader *reader);
enum audit_read { AUDIT_LINE, AUDIT_END, AUDIT_FAILED };
/* The next line that matches; *line (without newline) and *object are borrowed until the next call. After
 * AUDIT_END it may be called again for what has been appended since. Damaged lines are passed over. */
enum audit_read audit_reader_next(struct audit_reader *reader, struct span *line, json_t **object,
                                  struct err *err) MUSTUSE NONNULL;

struct audit_report {
    uint64_t files, lines, bytes;
    bool intact;
    bool open_tail;              /* the last line has no newline yet: being written, or cut off */
    bool anchor_found;           /* the given hash is that of a line */
    uint64_t retired_lines;      /* before the first one, as a later line says */
    char first[AUDIT_HASH_HEX + 1], head[AUDIT_HASH_HEX + 1];
    char problem[512];           /* "audit-2026-11-24.jsonl:17: ..." where not intact */
};
/* Proves that nothing was removed, changed or reordered. anchor: a hash kept elsewhere, or NULL. False
 * only where it cannot be read; a broken chain is true with intact false. */
bool audit_verify(const char *dir, const char *anchor, struct audit_report *report, struct err *err)
    MUSTUSE NONNULL_AT(1, 3, 4);

#endif
