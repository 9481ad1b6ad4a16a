/* What all of a worker's connections share: the loop, the session's CA, the resolver, idle upstream
 * connections, the channel to the monitor, and the rules in force. */
#ifndef AILERON_PLANE_PLANE_H
#define AILERON_PLANE_PLANE_H

#include "core/data/message.h"
#include "core/data/snapshot.h"
#include "core/loop/conn.h"
#include "core/loop/ipc.h"
#include "core/loop/pool.h"
#include "core/loop/race.h"
#include "core/loop/resolve.h"
#include "core/plane/lines.h"
#include "tls/ca.h"
#include "tls/resume.h"

/* One snapshot with what is derived from it. A reload makes a new one; a request keeps the one that it
 * began with until it ends. */
struct needles;
struct epoch_own { /* of an upstream with roots of its own */
    struct trust *trust;
    struct stream_config *client[2]; /* [1]: offers http/1.1 alone */
};
struct epoch {
    struct snapshot *snapshot;
    struct trust *trust;          /* the system's roots and tls.ca_file */
    struct stream_config *client; /* verifies upstreams against trust; offers h2 and http/1.1 */
    struct stream_config *client_http1; /* the same, but offers http/1.1 alone: for upgrades */
    struct epoch_own *own;        /* for each of snapshot->upstream_roots, in that order; zero: not needed yet */
    struct needles *sentinels;    /* the session's stand-ins; NULL: it has none */
    unsigned refs;
};
struct epoch *epoch_new(struct snapshot *snapshot, struct err *err) MUSTUSE NONNULL; /* takes it on success */
struct epoch *epoch_ref(struct epoch *epoch) MUSTUSE NONNULL;
void epoch_unref(struct epoch *epoch); /* NULL is fine */
/* The config for an upstream: its own roots where the configuration names a ca_file. A reference. identity: PEM of the
 * client's certificate and key, for which the config is made anew, and never shared; empty: none. */
struct stream_config *epoch_client(struct epoch *epoch, struct span host, bool http1, struct span identity,
                                   struct err *err) MUSTUSE NONNULL_AT(1, 5);

struct ask; /* a question to the monitor that is open */
/* The answer: a message of one of the types that message.h gives for the question, borrowed for the call. Never
 * called after ask_cancel, and never where the monitor goes: the worker ends with it. Returns true where more will
 * follow (OP_RESULT). */
typedef bool (*ask_fn)(void *arg, const struct ipc_message *message);

enum { PLANE_PLACES = 256 };
struct trunk;
struct dial;
struct secrets;

struct plane {
    struct loop *loop;
    struct ipc *ipc;
    struct epoch *epoch; /* the newest */
    struct ca *ca;
    struct stream_config *server;     /* towards the sandbox, for an upstream's name: h2 and http/1.1 */
    struct stream_config *server_api; /* for our own name: http/1.1 */
    struct resolver *resolver;
    struct race_memory families; /* whether IPv6 leads anywhere */
    struct pool *pool;
    struct resume *resume; /* TLS sessions of upstreams */
    struct trunk *trunks;  /* HTTP/2 connections to upstreams, shared by requests */
    struct dial *dials;    /* under way that others may wait for */
    uint64_t http1_places[PLANE_PLACES]; /* hashes of where HTTP/2 was not agreed: nobody waits for a dial there */
    struct secrets *secrets; /* credentials that answers are searched for (secrets.h) */
    struct lines lines; /* for the record */
    struct ask *asks;
    uint32_t last_ask;
    struct calm *waiting;     /* until the monitor has taken what is queued for it */
    struct timer calm_timer;
    bool calm_timed;          /* the timer was made */
    struct inlet *inlet;      /* the sandbox's listening socket; NULL: its supervisor accepts itself */
    uint64_t turned_away_at;  /* front.c: when TURNED_AWAY_MAX began to count */
    unsigned turned_away;
    size_t connections; /* open ones of the sandbox, bounded by limits.connections */
    bool crowded;       /* the last one that came was over that bound */
    bool draining;
    struct err halted; /* ERR_NONE, or what MESSAGE_HALT said */
    struct task *drained; /* posted when the last connection of a draining plane has gone; NULL: nobody waits */
};

/* A connection of the sandbox has gone. */
void plane_leave(struct plane *plane) NONNULL;
/* conn_finish of one: until what is left has gone out it is one of plane->connections. */
void plane_finish(struct plane *plane, struct conn *conn, uint64_t ms) NONNULL;
/* The session ends: what is under way is finished, and nothing new is begun on connections that are open. */
void plane_drain(struct plane *plane, struct task *drained) NONNULL;
/* False: the session has ended (ERR_DENIED), or is halted (the monitor's words). */
bool plane_may_begin(const struct plane *plane, struct err *err) MUSTUSE NONNULL;

/* Takes epoch as the newest. Connections and TLS sessions from before it are dropped: what they were verified against
 * may have changed. */
void plane_follow(struct plane *plane, struct epoch *epoch) NONNULL;
/* Whether a question fits into one message. False: ERR_LIMIT. */
bool plane_fits(const json_t *payload, struct err *err) MUSTUSE NONNULL;
/* Sends a question; fn gets its answer. */
/* The same with a payload of another shape. */
struct ask *plane_ask_bytes(struct plane *plane, enum message_type type, const void *payload, size_t len, ask_fn fn,
                            void *arg) MUSTUSE NONNULL_AT(1, 5);
struct ask *plane_ask(struct plane *plane, enum message_type type, const json_t *payload, ask_fn fn,
                      void *arg) MUSTUSE NONNULL;
/* A question for a credential goes with the round's lines: its id is to be put into it by the caller. */
struct ask *plane_ask_later(struct plane *plane, ask_fn fn, void *arg) MUSTUSE NONNULL_AT(1, 2);
uint32_t ask_id(const struct ask *ask) NONNULL;
void ask_cancel(struct ask *ask); /* the answer, should it come, is dropped; NULL is fine */
/* For the worker. A message with several credentials answers several questions. */
void plane_answer(struct plane *plane, const struct ipc_message *message) NONNULL;
void plane_halt(struct plane *plane, const struct ipc_message *message) NONNULL; /* MESSAGE_HALT, for the worker */
/* What adds to the channel without the monitor's asking looks here first: the channel ends where too much waits in
 * it, and the worker with it. False: too much waits now; task is posted when it is less. Once at a time. */
struct calm {
    struct calm *next, **link; /* link NULL: not waiting */
    struct task *task;
};
bool plane_calm(struct plane *plane, struct calm *calm, struct task *task) MUSTUSE NONNULL;
void calm_cancel(struct calm *calm) NONNULL;
/* An error of the monitor's REFUSED payload. */
void plane_refusal(const struct ipc_message *message, struct err *err) NONNULL;
/* The answer to a question for a credential, borrowed from message. False: what the monitor says against it, or that it
 * is malformed. */
struct plane_credential {
    const char *username; /* "": none */
    struct span secret;
    uint64_t grant; /* 0: for this question alone */
};
bool plane_credential(const struct ipc_message *message, struct plane_credential *out, struct err *err) MUSTUSE
    NONNULL;

#endif
