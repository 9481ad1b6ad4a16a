/* What the page shows of the record without reading it again: the newest lines, and for each session the hosts that it
 * talks to. In memory, bounded, since the daemon began; the record itself is the truth. Monitor only. */
#ifndef AILERON_AUTHORITY_RECENT_H
#define AILERON_AUTHORITY_RECENT_H

#include "core/data/audit.h"

enum {
    RECENT_LINES = 300,
    RECENT_LINE_BYTES = 8 * 1024, /* a longer one is kept without its fields, and says so */
    RECENT_HOSTS = 256,           /* of one session; the others are one row together */
    RECENT_HOST_BYTES = 255,      /* what a worker says of longer names is among the others: no host has one */
    RECENT_SESSIONS = 1024        /* as many as limits.sessions can be */
};

struct recent;
struct recent *recent_new(void) MUSTUSE;
void recent_free(struct recent *recent); /* NULL is fine */
/* A line that has been written, and what it was made of. */
void recent_line(struct recent *recent, uint64_t seq, struct span line, const struct audit_entry *entry) NONNULL;
uint64_t recent_seq(const struct recent *recent) NONNULL; /* of the newest line; 0: none */
/* Appends {"missed": N, "lines": [...]}: those above *after, the oldest first, as many as fit into max bytes; *after
 * becomes that of the last one. missed: how many are not kept any more. */
bool recent_lines(const struct recent *recent, uint64_t *after, size_t max, struct buf *out) MUSTUSE NONNULL;
/* [{"host", "allowed", "denied", "asked", "credential", "last"}]; a host "" is all others together. NULL: nothing is
 * known of that session. Caller's reference. */
json_t *recent_hosts(const struct recent *recent, const char *session) MUSTUSE NONNULL;

#endif
