/* One request, from its canonical target to the end of its answer: decide, dial, ask for the credential,
 * inject, forward, stream, record (design section 6, steps 3 to 10). Where it came from and where the answer
 * goes is the client's: a connection of the sandbox (exchange), or a tool's call (api).
 *
 * Nothing is held whole: the client gives request bytes while flow_room says so, and takes answer bytes while
 * its room says so. Exactly one of end, refused and upgraded ends a flow; the flow is gone after that call. */
#ifndef AILERON_PLANE_FLOW_H
#define AILERON_PLANE_FLOW_H

#include "core/plane/denial.h"
#include "core/plane/plane.h"
#include "core/wire/http1.h"
#include "core/wire/target.h"

struct flow;
struct flow_client {
    /* A head of the answer, hop-by-hop fields removed; 1xx heads may come before the final one. */
    void (*head)(void *arg, struct msg *msg);
    /* Bytes of the answer's body that `body` would take now. */
    size_t (*room)(void *arg);
    void (*body)(void *arg, struct span data);
    /* No more of the answer is here for now: what was held back to go out with it goes. NULL: nothing ever is. */
    void (*pause)(void *arg);
    /* The answer is complete; trailers are in msg. */
    void (*end)(void *arg, const struct msg *msg);
    /* Refused, or broken off. head_sent: a final head has been given already, so the answer can only be cut. */
    void (*refused)(void *arg, const struct denial *denial, bool head_sent);
    /* flow_room has grown. */
    void (*more)(void *arg);
    /* After a 101 head: the connection is the client's now, to relay. Where the upstream is a stream (flow_request's
     * websocket alone) it is not called: both bodies go on, as the other protocol's bytes. */
    void (*upgraded)(void *arg, struct conn *upstream);
};

struct flow_request {
    struct epoch *epoch;       /* a reference is taken */
    const struct target *target;  /* borrowed until the flow's end, as is msg with its arena */
    struct msg *msg;           /* the request's head; changed by the flow */
    const char *operation;     /* "op_..." of a tool's call, whose decision the monitor has made; or NULL */
    const char *binding;       /* of a tool's call: the credential the monitor named; or NULL */
    bool captured;             /* for the record */
    bool websocket;            /* msg->upgrade is for WebSocket, and the client leaves the handshake to us (RFC 8441) */
};

struct flow *flow_start(struct plane *plane, const struct flow_request *request,
                        const struct flow_client *client, void *arg) MUSTUSE NONNULL_AT(1, 2, 3);
size_t flow_room(const struct flow *flow) NONNULL; /* request body bytes that flow_body takes now */
void flow_body(struct flow *flow, struct span data) NONNULL;
void flow_body_end(struct flow *flow) NONNULL; /* trailers are in the request's msg */
void flow_drained(struct flow *flow) NONNULL;  /* the client has room again */
void flow_cancel(struct flow *flow, const char *why) NONNULL; /* the client has gone; no call comes any more */

#endif
