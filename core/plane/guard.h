/* What must not pass: a stand-in on its way out to anywhere but its own slot at its own host (threat C02), and a
 * credential on its way back in (C06). */
#ifndef AILERON_PLANE_GUARD_H
#define AILERON_PLANE_GUARD_H

#include "core/data/snapshot.h"
#include "core/wire/msg.h"
#include "core/wire/needle.h"
#include "core/wire/target.h"

/* The session's stand-ins, tagged by their index in the snapshot; NULL where it has none. The caller frees. */
struct needles *guard_sentinels(const struct snapshot *snapshot) MUSTUSE NONNULL;

/* What the client put where this binding's credential goes. */
enum guard_slot {
    GUARD_EMPTY,
    GUARD_SENTINEL, /* the binding's own stand-in, also within Basic */
    GUARD_OTHER     /* something of the client's own */
};
enum guard_slot guard_slot(const struct snapshot *snapshot, const struct binding *binding, const struct msg *msg)
    MUSTUSE NONNULL;

/* Where in a request's head a stand-in stands that does not belong there: "path", "query", or the field's name
 * (borrowed from msg, copied to place); own: whose slot is not looked at, NULL: none is. False: nowhere. */
enum { GUARD_PLACE_BYTES = 64 };
bool guard_leak(const struct needles *sentinels, const struct target *target, const struct msg *msg,
                const struct binding *own, char place[GUARD_PLACE_BYTES], unsigned *tag) MUSTUSE
    NONNULL_AT(1, 2, 3, 5, 6);

/* The same for what comes behind a body. */
bool guard_leak_trailers(const struct needles *sentinels, const struct msg *msg, char place[GUARD_PLACE_BYTES],
                         unsigned *tag) MUSTUSE NONNULL;

/* Masks what is found in an answer's reason, fields and trailers. How many there were. */
size_t guard_mask(const struct needles *secrets, struct msg *answer, struct arena *arena) NONNULL;

#endif
