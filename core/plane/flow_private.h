/* The inside of a flow, for flow.c (deciding), flow_forward.c (streaming) and its two carriers. */
#ifndef AILERON_PLANE_FLOW_PRIVATE_H
#define AILERON_PLANE_FLOW_PRIVATE_H

#include "core/plane/dial.h"
#include "core/plane/flow.h"
#include "core/plane/guard.h"
#include "core/plane/secrets.h"
#include "core/plane/trunk.h"
#include "core/plane/websocket.h"
#include "core/wire/form.h"

/* What the monitor takes of a request for a credential or for a person's approval. */
enum { FLOW_ASKED_PATH_BYTES = 16 * 1024, FLOW_ASKED_METHOD_BYTES = 32 };
enum { FLOW_REFUSALS_MAX = 3, FLOW_KEPT_BYTES = 64 * 1024 + HTTP2_OUT_BYTES };
/* The next piece of what is on its way comes sooner; who waits for the last bytes of a message does not feel it. */
enum { FLOW_SHOW_MS = 20 };

enum flow_state {
    FLOW_DECIDING,   /* until the loop's next round */
    FLOW_COLLECTING, /* the whole body, for a person to see */
    FLOW_WAITING,    /* for that person, by the monitor */
    FLOW_DIALING,    /* resolve, check, connect, verify */
    FLOW_ASKING,     /* the credential, from the monitor */
    FLOW_FORWARDING, /* head sent, bodies under way */
    FLOW_OVER
};

/* How a flow's bytes travel. */
struct flow_carrier {
    bool (*begin)(struct flow *flow, struct err *err); /* writes the head */
    size_t (*room)(const struct flow *flow);
    bool (*body)(struct flow *flow, struct span data);
    void (*body_end)(struct flow *flow);
    void (*drained)(struct flow *flow); /* the client has room: the answer goes on */
    void (*drop)(struct flow *flow);    /* lets go of the upstream, whatever the state */
};
extern const struct flow_carrier flow_http1; /* a connection of its own (flow_http1.c) */
extern const struct flow_carrier flow_http2; /* a stream of a trunk (flow_http2.c) */
extern const struct http2_handler flow_http2_events;

struct flow {
    struct plane *plane;
    struct epoch *epoch;
    const struct target *target;
    struct msg *request;
    const char *operation, *binding_name;
    bool captured;
    const struct flow_client *client;
    void *arg;
    struct buf held;      /* the body that a person was shown; empty where nobody is asked */
    size_t held_sent;
    char approval[32];    /* by which it went; "": none was needed */
    char override[FLOW_ASKED_METHOD_BYTES]; /* the method of a field that asks for a person; "": none does */

    enum flow_state state;
    struct task task;
    struct id id;               /* the request's on the record */
    struct decision decision;
    struct dial *dial;
    struct ask *ask;
    const struct flow_carrier *carrier; /* NULL: no upstream yet */
    struct conn *upstream;              /* HTTP/1.1 */
    struct trunk *trunk;                /* HTTP/2, with the request's stream once it is sent */
    struct http2_stream *stream;
    struct timer timer;                 /* of the stream; a connection has its own, until it fails */
    bool failed;                        /* the connection, and what came before is not read to its end */
    uint64_t moved_ms;
    bool reused, fresh_tried;
    bool untouched;             /* the upstream says that it did nothing: it may be sent again */
    unsigned refusals;          /* how often it said so */
    bool http1_wanted;          /* the upstream insists */
    bool websocket;             /* the handshake is ours: the client's side is HTTP/2 */
    bool switched;              /* and it succeeded, over HTTP/2 too: the bodies are the other protocol's */
    char accept[WEBSOCKET_ACCEPT_BYTES]; /* over HTTP/1.1: what the upstream has to say */
    bool body_done;             /* of the request */
    bool kept;                  /* what was sent of it is in `sent`: it can go again */
    struct buf sent;
    size_t resent;              /* of `sent`, to the upstream that is at the other end now */
    bool answered;              /* a byte of an answer came */
    bool head_given;            /* a final head was given to the client */
    bool pumping;               /* the answer is being read: no second time below it */
    struct http1 *parser;
    struct arena *arena;        /* of the answer's head */
    struct msg answer;
    uint64_t sent_bytes, received_bytes, began_ms;

    struct needle_scan outbound; /* the request's body, for stand-ins */
    struct secrets *secrets;     /* the credential that was put in; NULL: none */
    struct needle_scan inbound;  /* the answer's body, for it */
    size_t reflected;            /* how often it came back in a head */
    struct form_scan *form;      /* the same, for a field _method; NULL: it may have one */
    struct decision form_denied; /* why it may not */
    struct timer body;           /* until more of a body that is collected has to come */
    struct timer show;           /* what a scan holds back goes on where nothing follows it */
    bool leaking;                /* found in the body or behind it, a stand-in or such a field: nothing more is sent */
    char leak_place[GUARD_PLACE_BYTES];
    unsigned leak_tag;
};

/* flow_override.c: the decision is the strictest of those on all that the request's fields ask for. */
void flow_decide_overrides(struct flow *flow, const struct match_query *query) NONNULL;
/* flow_form.c: what the query or the body may ask for. Denied, or flow->form looks for it. */
void flow_form_decide(struct flow *flow, const struct match_query *query) NONNULL;
bool flow_form_asks(struct flow *flow, struct span data, bool end) MUSTUSE NONNULL;
void flow_form_refuse(struct flow *flow) NONNULL;
/* flow_approve.c: the request is held until a person has decided; then flow_dial, or it is refused. */
void flow_approve(struct flow *flow) NONNULL;
size_t flow_approve_room(const struct flow *flow) NONNULL;
void flow_approve_body(struct flow *flow, struct span data) NONNULL;
void flow_approve_end(struct flow *flow) NONNULL;
void flow_approve_late(void *flow) NONNULL; /* the body has stopped coming */
void flow_record_decision(struct flow *flow, const char *decision, const struct err *err) NONNULL_AT(1, 2);
/* The carrier has room: what was held goes on, or the client gives more. */
void flow_more(struct flow *flow) NONNULL;

const char *flow_mode(const struct flow *flow) NONNULL;
void flow_set_state(struct flow *flow, enum flow_state state) NONNULL;
uint64_t flow_limit(const struct flow *flow, enum limit limit) NONNULL;
void flow_dial(struct flow *flow, bool fresh) NONNULL;
void flow_show(void *flow) NONNULL; /* the timer's */
/* limits.head_bytes and head_fields, in either version of HTTP. False: ERR_LIMIT. */
bool flow_head_fits(const struct flow *flow, const struct msg *head, struct err *err) MUSTUSE NONNULL;
/* Writes the head and streams. The head borrows the credential's bytes, which the caller wipes afterwards. */
void flow_forward(struct flow *flow) NONNULL;
/* Ends the flow: what it holds goes, then the client is told. */
void flow_refuse(struct flow *flow, const struct err *err, int status, const char *rule,
                 const char *reason) NONNULL_AT(1, 2);
void flow_release(struct flow *flow, int status, const struct err *err) NONNULL_AT(1);
void flow_lost(struct flow *flow, const struct err *err) NONNULL; /* the upstream failed: try afresh or refuse */

/* flow_again.c: the body's bytes that were just sent. */
void flow_keep(struct flow *flow, struct span data) NONNULL;
/* The upstream has what an earlier one had; flow_resend gives it more of that, as it has room, and says the same. */
bool flow_resent(const struct flow *flow) MUSTUSE NONNULL;
bool flow_resend(struct flow *flow) MUSTUSE NONNULL;
bool flow_body_gone(const struct flow *flow) MUSTUSE NONNULL; /* all of the request has, to that upstream */

/* A stand-in where it does not belong: on the record, and 403. place: for people. */
void flow_refuse_leak(struct flow *flow, unsigned tag, const char *place) NONNULL;

/* ---- for the carriers: the answer ---- */
/* Bytes of the answer's body that flow_take_body takes now. */
size_t flow_answer_room(const struct flow *flow) NONNULL;
/* flow->answer is a head, 1xx or final. False: the flow is over. */
bool flow_take_head(struct flow *flow) MUSTUSE NONNULL;
void flow_take_body(struct flow *flow, struct span data) NONNULL; /* no more than the client's room */
void flow_finish(struct flow *flow) NONNULL; /* the answer is complete, and the upstream let go */
void flow_broken(struct flow *flow, struct err *err) NONNULL;

#endif
