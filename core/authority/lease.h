/* Credentials that a worker keeps for a moment, and the journal (core/data/journal.h) that makes it possible: what was
 * given once for an ordinary request may be used again for the same binding and host without asking, where the line
 * that says so is in the journal first. The monitor decides on each such use anew when the line comes, within 20 ms; a
 * worker that says it used what the rules do not give it has broken the protocol. Whatever could change the answer
 * (rules, vault, a decision of the person, a session that is halted or ends, a record that cannot be written) takes all
 * leases back at once: the number that they were given under is no more the journal's. Monitor only. */
#ifndef AILERON_AUTHORITY_LEASE_H
#define AILERON_AUTHORITY_LEASE_H

#include "core/data/audit.h"
#include "core/data/journal.h"

enum { LEASE_UNWRITTEN_BYTES = 2 * JOURNAL_SHEETS * JOURNAL_SHEET_BYTES };

struct monitor;
struct session;
struct ipc_message;

/* A session's. */
struct lease {
    int fd; /* of the journal; -1: the session has none, and nothing is lent */
    struct journal *journal;
    uint64_t grant;        /* the number of what is lent now, or was last */
    uint64_t taken;        /* the last sheet whose message came */
    struct {
        uint64_t serial;
        size_t bytes;
    } ahead[JOURNAL_SHEETS]; /* what was taken of a sheet before its message */
    struct buf unwritten;  /* lines of uses that the record could not take: flat objects; nothing is lent meanwhile */
};

/* Opens the session's journal. What an earlier daemon's worker left in it goes on the record. */
bool lease_open(struct session *session, struct err *err) MUSTUSE NONNULL;
void lease_close(struct session *session) NONNULL;
/* The number to lend under now; 0: nothing is lent. */
uint64_t lease_give(struct session *session) MUSTUSE NONNULL;
void lease_end(struct session *session) NONNULL;
void leases_end(struct monitor *monitor) NONNULL;
/* MESSAGE_ROUND with MESSAGE_KEPT. False: the worker broke the protocol. */
bool lease_round(struct session *session, const struct ipc_message *message, struct err *err) MUSTUSE NONNULL;
/* Takes what is in the journal and has not come yet, so that who reads the record finds it. */
void lease_collect(struct session *session) NONNULL;
/* The same of a worker that has died; the next one begins afresh. */
void lease_collect_last(struct session *session) NONNULL;
/* A use that could not be written: it is kept, and written when the record takes it. False: too many are kept. */
bool lease_keep(struct session *session, const struct buf *line) MUSTUSE NONNULL;
/* Writes what is kept, where the record takes lines again. */
void lease_retry(struct session *session) NONNULL;

#endif
