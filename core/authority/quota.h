/* What one session may add to the record and to state.db, and the space on the disk that the daemon keeps for itself
 * (threat F03): a sandbox that fills the disk would take the credentials from every other one. Monitor only.
 *
 * The record: limits.record_bytes, of which limits.record_rate come back each second. An eighth of it (8 MiB at the
 * most) is for the lines of what is under way: below that the session is halted, and nothing new begins for it
 * until as much again is there. What comes when nothing is left is counted, and told when the session goes on or
 * ends. A credential's line is never among it: without its line no credential is given. */
#ifndef AILERON_AUTHORITY_QUOTA_H
#define AILERON_AUTHORITY_QUOTA_H

#include "core/data/audit.h"

enum {
    QUOTA_RESERVE_BYTES = 8 * 1024 * 1024,
    QUOTA_USED_BYTES = 1024 * 1024,
    QUOTA_LOOK_MS = 250,   /* at the disk and at halted sessions, while lines are written or something is halted */
    QUOTA_ROW_BYTES = 1024 /* of an operation in state.db, beside its arguments, error and result */
};

struct monitor;
struct session;

/* A session's account. */
struct quota {
    double used;       /* bytes of the record that have not come back yet */
    uint64_t since_ms; /* when that was so */
    bool halted;
    uint64_t lost_lines, lost_bytes;      /* counted instead of written, since it is halted */
    uint64_t operations, operation_bytes; /* in state.db */
    bool collected;                       /* some of them were, since room was made last */
};

struct quotas; /* the monitor's */
struct quotas *quotas_open(struct monitor *monitor) MUSTUSE NONNULL;
void quotas_close(struct quotas *quotas); /* NULL is fine */
/* Looks at the disk and at each session now; tells workers what has changed for them. */
void quotas_look(struct quotas *quotas) NONNULL;
/* What is short: ERR_NONE where nothing is. For status. */
const struct err *quotas_trouble(const struct quotas *quotas) NONNULL;
/* False: too little space for a further session (ERR_IO). Looks at the disk. */
bool quotas_may_launch(struct quotas *quotas, struct err *err) MUSTUSE NONNULL;

/* What is in state.db of an earlier daemon's session. */
bool quota_load(struct session *session, struct err *err) MUSTUSE NONNULL;
/* Tells the session's worker, which has just begun, where it is halted. */
void quota_tell(struct session *session) NONNULL;
/* What the session still had to tell, before its end is told. */
void quota_end(struct session *session) NONNULL;
/* Of a session that is halted: for the person. */
void quota_why(const struct session *session, struct err *err) NONNULL;
/* False: the session is halted, and gets nothing that would need a line (ERR_LIMIT, or ERR_IO: the disk). */
bool quota_open(const struct session *session, struct err *err) MUSTUSE NONNULL;
/* Records a line that something depends on; false: nothing was written, and it must not happen. Takes event. */
bool quota_write(struct session *session, json_t *event, struct err *err) MUSTUSE NONNULL;
/* Records what has happened, or counts it where nothing is left. Takes event. */
void quota_note(struct session *session, json_t *event) NONNULL;
/* The same for lines that come together, borrowed. False also where there may not be room for all: each is then to be
 * written by itself. */
bool quota_write_all(struct session *session, const struct audit_entry *entries, size_t count, struct err *err)
    MUSTUSE NONNULL;
/* A use of a credential that was lent: it has happened. QUOTA_USED_BYTES more than the session's share are for such
 * lines: what a worker can have done before it sees that nothing is lent any more. */
bool quota_write_used(struct session *session, const struct audit_entry *entry, struct err *err) MUSTUSE NONNULL;
bool quota_write_entry(struct session *session, const struct audit_entry *entry, struct err *err) MUSTUSE NONNULL;
void quota_note_all(struct session *session, const struct audit_entry *entries, size_t count) NONNULL;

/* Counts a line instead of writing it. */
void quota_lose(struct session *session, const struct audit_entry *entry) NONNULL;

/* Room for one more operation with these arguments: what was collected makes some. False: ERR_LIMIT. */
bool quota_operation(struct session *session, size_t bytes, struct err *err) MUSTUSE NONNULL;
/* It is stored. */
void quota_stored(struct session *session, size_t bytes) NONNULL;
/* How much of a result may be kept. */
size_t quota_result(const struct session *session, size_t bytes) MUSTUSE NONNULL;

#endif
