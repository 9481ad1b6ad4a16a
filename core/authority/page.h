/* The page of the browser (design 10), the monitor's half: it owns the listening socket on loopback and starts the page
 * worker on it when somebody connects first; it answers what the worker asks, for whoever holds a login. The worker is
 * trusted with nothing: a call without a login gets nothing, and what it sends is checked as a session worker's is.
 * Monitor only. */
#ifndef AILERON_AUTHORITY_PAGE_H
#define AILERON_AUTHORITY_PAGE_H

#include "core/authority/monitor.h"

enum {
    PAGE_STREAMS = 16,     /* of server-sent events; one more, and the oldest ends */
    PAGE_PACE_MS = 50,     /* between two pieces of one stream */
    PAGE_BEAT_MS = 15000,  /* a stream on which nothing happens says so: a browser that is gone is found out */
    PAGE_ROWS = 50,        /* of a list, unless more are asked for */
    PAGE_ROWS_MAX = 1000,
    PAGE_REFUSED_MS = 60 * 1000 /* refusals for one reason are one line on the record in this time, with their count */
};

struct page;
/* As config.yaml says, at the start and after each reload: listens, or does not. What goes wrong is logged and shown by
 * status; everything else works without a page. */
void page_follow(struct monitor *monitor) NONNULL;
void page_close(struct monitor *monitor) NONNULL;
/* "http://127.0.0.1:PORT"; NULL: there is none. */
const char *page_address(const struct monitor *monitor) NONNULL;
/* A child of ours ended. False: it is not the page's worker. */
bool page_reaped(struct monitor *monitor, pid_t pid, int wait_status) NONNULL;
/* recent_hosts() of a session; NULL where there is no page. Caller's reference. */
json_t *page_hosts(const struct monitor *monitor, const char *session) MUSTUSE NONNULL;
/* A one-time link to the page. Caller frees, and wipes it. */
char *page_link(struct monitor *monitor, struct err *err) MUSTUSE NONNULL;
/* One for a notification, that shows this approval; NULL: the page. */
char *page_link_show(struct monitor *monitor, const char *approval, struct err *err) MUSTUSE NONNULL_AT(1, 3);

#endif
