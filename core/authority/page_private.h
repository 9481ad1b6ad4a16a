/* What page.c (socket, worker, messages), page_call.c (what is asked) and page_stream.c (what is told) share; for
 * nobody else. */
#ifndef AILERON_AUTHORITY_PAGE_PRIVATE_H
#define AILERON_AUTHORITY_PAGE_PRIVATE_H

#include "core/authority/approval.h"
#include "core/authority/page.h"
#include "core/authority/page_login.h"
#include "core/authority/recent.h"
#include "core/data/page_message.h"
#include "core/loop/ipc.h"

enum { PAGE_REASON_COUNT = 6, PAGE_RESTARTS = 5, PAGE_RESTARTS_MS = 10 * 1000 };

struct page_stream {
    struct page_stream *next;
    struct page *page;
    uint32_t id; /* of the worker's question */
    uint64_t login, after, approvals; /* the record's number and the approvals' version that were told last */
    bool state, beat;                 /* to be told */
    bool waits;                       /* for PAGE_MORE */
    struct timer pace;
};
struct page {
    struct monitor *monitor;
    int fd;
    char *address;
    struct watch waiting; /* for the first connection, while there is no worker */
    struct timer again;   /* after too many deaths */
    pid_t pid;            /* 0: none */
    struct ipc *ipc;
    uint64_t first_start_ms;
    unsigned starts;
    struct page_logins *logins;
    struct recent *recent;
    struct page_stream *streams; /* the newest first */
    struct approval_watch watch;
    bool watching; /* it is in the list */
    struct task news;
    struct timer beat;
    struct {
        uint64_t since_ms; /* 0: never */
        uint64_t count;    /* since then, not on the record yet */
    } refused[PAGE_REASON_COUNT];
};

/* A question, taken apart. */
struct page_ask {
    uint32_t id;
    const char *call;
    const char *approval, *session; /* NULL: not named */
    int64_t limit, after;
    uint64_t login; /* 0: none */
    struct span body;
};

/* ---- page.c ---- */
/* Drops the reference. cookie: NULL, or what the browser is to keep. */
void page_reply(struct page *page, uint32_t id, int status, json_t *answer, const char *cookie) NONNULL_AT(1, 4);
void page_fail(struct page *page, uint32_t id, const struct err *err) NONNULL;
void page_send(struct page *page, enum page_message type, unsigned flags, uint32_t id, const struct buf *payload)
    NONNULL;
void page_note(struct page *page, const char *action) NONNULL; /* on the record */
/* Counts it, and writes it down; false: no such reason. */
bool page_refused(struct page *page, const char *reason) NONNULL;

/* ---- page_call.c ---- */
/* False: the worker broke the protocol. */
bool page_ask(struct page *page, uint32_t id, const void *payload, size_t len, struct err *err)
    MUSTUSE NONNULL_AT(1, 5);

/* ---- page_stream.c ---- */
void page_stream_open(struct page *page, const struct page_ask *ask) NONNULL;
void page_stream_more(struct page *page, uint32_t id) NONNULL;
void page_stream_gone(struct page *page, uint32_t id) NONNULL;
void page_streams_end(struct page *page, uint64_t login) NONNULL; /* of a login; 0: all, and nobody is told */
void page_streams_start(struct page *page) NONNULL; /* listens to approvals and to the record */
void page_streams_stop(struct page *page) NONNULL;

#endif
