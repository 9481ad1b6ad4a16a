/* What a credential is looked for by in answers (C06): made once and shared by the requests that carry it, since making
 * it costs more than a request's head where the credential is long. A second after the last of them it is wiped, as
 * TLS's own buffers are: an idle worker holds no secret. */
#ifndef AILERON_PLANE_SECRETS_H
#define AILERON_PLANE_SECRETS_H

#include "core/plane/plane.h"
#include "core/wire/needle.h"

enum { SECRETS_REST_MS = 1000, SECRETS_RESTING_MAX = 8 };

struct secrets;
/* A reference to the set for this credential. */
struct secrets *secrets_take(struct plane *plane, struct span secret) MUSTUSE NONNULL_AT(1);

/* What a credential may be used for without asking (MESSAGE_FLAT_ANSWER's "grant"): until it is wiped, for
 * SECRETS_LENT_MS at most, since the monitor looks at the vault only where it is asked. One place for each secret. */
enum { SECRETS_LENT_MS = 2000 };
struct secrets_use {
    const char *binding, *host; /* copied by secrets_lend */
    uint16_t port;
};
void secrets_lend(struct secrets *secrets, const struct secrets_use *use, const char *username, uint64_t grant) NONNULL;
/* A reference to what may be used for that now; NULL: it is to be asked for. */
struct secrets *secrets_lent(struct plane *plane, const struct secrets_use *use) MUSTUSE NONNULL;
struct span secrets_text(const struct secrets *secrets) NONNULL;
const char *secrets_username(const struct secrets *secrets) NONNULL; /* "": none. Of what is lent */
uint64_t secrets_grant(const struct secrets *secrets) NONNULL;
void secrets_give(struct secrets *secrets); /* NULL is fine */
const struct needles *secrets_needles(const struct secrets *secrets) NONNULL;
void secrets_forget(struct plane *plane) NONNULL; /* wipes those that nobody uses */

#endif
