/* TLS in an untouched tunnel is for the tunnel's name (threat E09): a look at the hellos that go over in the clear. The
 * second one, which a server may ask for, may name somebody else: it is looked at as the first. */
#ifndef AILERON_PLANE_FRONTING_H
#define AILERON_PLANE_FRONTING_H

#include "core/plane/relay.h"
#include "core/wire/target.h"
#include "tls/hello.h"

struct fronting {
    const struct target_host *host;
    enum {
        FRONTING_FIRST,  /* the client's first bytes are awaited */
        FRONTING_ANSWER, /* its hello has gone, and nothing behind it: what does the server say? */
        FRONTING_SECOND  /* it wants another hello */
    } state;
};
void fronting_init(struct fronting *fronting, const struct target_host *host) NONNULL;
/* For a relay_gate_fn. RELAY_REFUSE: err. */
enum relay_gate fronting_look(struct fronting *fronting, const struct relay_look *look, size_t *len,
                              struct err *err) MUSTUSE NONNULL;
/* Whether a hello is for this name. */
bool fronting_check(const struct target_host *host, const struct hello *hello, struct err *err) MUSTUSE NONNULL;

#endif
