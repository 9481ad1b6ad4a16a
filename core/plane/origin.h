/* What an opened connection speaks for: one scheme, host and port. A request on it is for that place or refused. */
#ifndef AILERON_PLANE_ORIGIN_H
#define AILERON_PLANE_ORIGIN_H

#include "core/wire/msg.h"
#include "core/wire/target.h"

struct origin {
    enum target_scheme scheme;
    struct target_host host;
    uint16_t port;
};

/* The target of a request in origin form (RFC 9112 3.2); its Host, where it has one, must be the origin's (threats
 * E09, C08). False: *status is 400 or 421. arena holds target's strings. */
bool origin_target(const struct origin *origin, const struct msg *msg, struct arena *arena, struct target *target,
                   int *status, struct err *err) MUSTUSE NONNULL;

#endif
