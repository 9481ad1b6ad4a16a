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
void secrets_give(struct secrets *secrets); /* NULL is fine */
const struct needles *secrets_needles(const struct secrets *secrets) NONNULL;
void secrets_forget(struct plane *plane) NONNULL; /* wipes those that nobody uses */

#endif
