/* The decision on one credential for one request. Monitor only. */
#ifndef AILERON_AUTHORITY_CREDENTIAL_H
#define AILERON_AUTHORITY_CREDENTIAL_H

#include "core/authority/session.h"
#include "core/authority/vault.h"
#include "core/data/audit.h"

/* A question of a worker (MESSAGE_FLAT_ASK), or a use of what it was lent (MESSAGE_FLAT_USED), and what was decided
 * about it. */
struct credential {
    int64_t id, grant, port; /* id of a question, grant of a use */
    bool used;     /* it has happened, and nothing is answered */
    bool lendable; /* the rules alone give it, and would again */
    const char *binding, *host, *method, *path, *rule, *operation, *request; /* borrowed from the message */
    struct decision decision;
    const struct binding *given; /* NULL: it is refused, and why says so */
    struct secret *secret;       /* where it is given */
    char username[VAULT_USERNAME_BYTES + 1];
    struct err why;
    struct buf text; /* entry's bytes */
    struct audit_entry entry; /* its line for the record */
};
/* Reads a question of the session's worker and decides it from the session's own snapshot; the line is not written
 * yet, and until it is, nothing may leave. dead: that worker is no more, and what it used is told in any case. NULL: it
 * broke the protocol. */
struct credential *credential_new(struct session *session, struct flat *ask, bool dead, struct err *err)
    MUSTUSE NONNULL;
/* It cannot be given after all. */
void credential_refuse(struct session *session, struct credential *credential, const struct err *why) NONNULL;
void credential_free(struct credential *credential); /* NULL is fine */

#endif
