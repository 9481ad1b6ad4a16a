/* The inside of a flow, for flow.c (deciding) and flow_forward.c (streaming). */
#ifndef AILERON_PLANE_FLOW_PRIVATE_H
#define AILERON_PLANE_FLOW_PRIVATE_H

#include "core/plane/dial.h"
#include "core/plane/flow.h"

/* What the monitor records before it hands a credential out. */
enum { FLOW_CREDENTIAL_PATH_BYTES = 16 * 1024, FLOW_CREDENTIAL_METHOD_BYTES = 32 };

enum flow_state {
    FLOW_DECIDING,   /* until the loop's next round */
    FLOW_DIALING,    /* resolve, check, connect, verify */
    FLOW_ASKING,     /* the credential, from the monitor */
    FLOW_FORWARDING, /* head sent, bodies under way */
    FLOW_OVER
};

struct flow {
    struct plane *plane;
    struct epoch *epoch;
    const struct target *target;
    struct msg *request;
    const char *operation, *binding_name;
    bool captured;
    const struct flow_client *client;
    void *arg;

    enum flow_state state;
    struct task task;
    struct id id;               /* the request's on the record */
    struct decision decision;
    struct dial *dial;
    struct ask *ask;
    struct conn *upstream;
    bool reused, fresh_tried;
    bool body_done;             /* of the request */
    bool body_begun;            /* some of it was sent: it cannot be sent again */
    bool answered;              /* a byte of an answer came */
    bool head_given;            /* a final head was given to the client */
    bool pumping;               /* the answer is being read: no second time below it */
    struct http1 *parser;
    struct arena *arena;        /* of the answer's head */
    struct msg answer;
    uint64_t sent_bytes, received_bytes, began_ms;
};

const char *flow_mode(const struct flow *flow) NONNULL;
void flow_set_state(struct flow *flow, enum flow_state state) NONNULL;
void flow_dial(struct flow *flow, bool fresh) NONNULL;
/* Writes the head and streams. credential: the field's bytes that the head borrows, wiped here. */
void flow_forward(struct flow *flow) NONNULL;
/* Ends the flow: what it holds goes, then the client is told. */
void flow_refuse(struct flow *flow, const struct err *err, int status, const char *rule,
                 const char *reason) NONNULL_AT(1, 2);
void flow_release(struct flow *flow, int status, const struct err *err) NONNULL_AT(1);
void flow_lost(struct flow *flow, const struct err *err) NONNULL; /* the upstream failed: try afresh or refuse */

#endif
