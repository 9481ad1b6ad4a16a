/* The monitor: the process of `aileron daemon`. It owns vault, rules, operations, record, the sessions and their
 * workers, and answers control.sock. Everything of core/authority runs in it and nowhere else. */
#ifndef AILERON_AUTHORITY_MONITOR_H
#define AILERON_AUTHORITY_MONITOR_H

#include "core/authority/record.h"
#include "core/authority/vault.h"
#include "core/data/snapshot.h"
#include "core/data/store.h"
#include "core/loop/loop.h"

struct session;
struct operations;
struct approvals;
struct control;
struct page;
struct reload;
struct quotas;

struct monitor {
    struct loop *loop;
    char *home;
    char *home_id; /* session_prune.h */
    const char *version;
    struct rules *rules;     /* the last good ones; never NULL once started */
    struct err rules_error;  /* why what is on the disk now was not taken; ERR_NONE: it was */
    struct store *store;
    struct err state_trouble; /* what became of a damaged state.db at the start; ERR_NONE: it was good */
    struct record *record;
    struct vault *vault;
    struct buf roots;        /* the system's, PEM */
    struct session *sessions; /* the list that session.h walks */
    size_t session_count;
    struct operations *operations;
    struct approvals *approvals;
    uint64_t locked_refusals; /* requests that the locked vault has cost, since it was locked (notify.h) */
    struct control *control;
    struct page *page;       /* NULL: config.yaml wants none, or it cannot be had */
    struct err page_trouble; /* why it cannot */
    struct reload *reload;
    struct quotas *quotas; /* of the sessions, and of the disk */
    uint64_t started_ms;
    int lock_fd;
    bool stopping;
    uint64_t prune_at_ms; /* engines are to be asked then what they still have (monotonic); 0: need not be */
};

struct monitor_options {
    const char *home;
    const char *version;
    int ready_fd; /* one byte is written when control.sock answers, then it is closed; -1: none */
};
/* Until SIGTERM, SIGINT or a stop on the control API. ERR_CONFLICT where another daemon runs. */
bool monitor_run(const struct monitor_options *options, struct err *err) MUSTUSE NONNULL;

/* Loads the user's files anew. On an error the last good ones stay (threat F07), err and
 * monitor->rules_error say why. On success every session gets a new snapshot. */
bool monitor_reload(struct monitor *monitor, struct err *err) NONNULL;
/* The same where no person asked for it, but files were seen to change: that policy.yaml is gone is an error then. */
bool monitor_follow_files(struct monitor *monitor, struct err *err) NONNULL;
void monitor_stop(struct monitor *monitor) NONNULL; /* ends the loop after what is under way was answered */

#endif
