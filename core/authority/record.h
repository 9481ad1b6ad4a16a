/* The record as the monitor writes it: lines at once, the disk in groups. Monitor only. */
#ifndef AILERON_AUTHORITY_RECORD_H
#define AILERON_AUTHORITY_RECORD_H

#include "core/data/audit.h"
#include "core/loop/loop.h"

enum { RECORD_SYNC_MS = 50 }; /* from a line to the fdatasync that covers it */

struct record;
struct record *record_open(struct loop *loop, const char *home, struct err *err) MUSTUSE NONNULL;
void record_close(struct record *record); /* syncs; NULL is fine */

/* A new event: {"event": word, "session": session}; session may be NULL. Fields are added with json_put. */
json_t *record_event(const char *word, const char *session) MUSTUSE NONNULL_AT(1);
/* Writes the line and drops the caller's reference. False: nothing was written (no space, lines before it that cannot
 * be put on the disk, ...), and what depends on it must not happen. */
bool record_write(struct record *record, json_t *event, struct err *err) MUSTUSE NONNULL;
/* As record_write where nothing depends on it: a failure is logged. */
void record_note(struct record *record, json_t *event) NONNULL;
/* Removes what is older than so many days (audit.retention; 0: nothing); a failure is logged. */
void record_retire(struct record *record, int64_t days) NONNULL;
/* Of the last line: its number (0: none yet) and its hash, hex. */
uint64_t record_seq(const struct record *record) NONNULL;
const char *record_head(const struct record *record) NONNULL;
/* Bytes that were written since the start. */
uint64_t record_bytes(const struct record *record) NONNULL;
/* As record_write for lines that come together: all of them, or none; borrowed. */
bool record_write_all(struct record *record, const struct audit_entry *entries, size_t count, struct err *err)
    MUSTUSE NONNULL;
/* As record_note for lines that come together; one that is too long takes no other with it. */
void record_note_all(struct record *record, const struct audit_entry *entries, size_t count) NONNULL;
/* As audit_on_line; fn NULL: nobody is called any more. */
void record_on_line(struct record *record, audit_line_fn fn, void *arg) NONNULL_AT(1);
/* Why the last line could not be written, or is not on the disk; code ERR_NONE while all is well. For status. */
const struct err *record_trouble(const struct record *record) NONNULL;

#endif
