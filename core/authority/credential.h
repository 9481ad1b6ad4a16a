/* The decision on one credential for one request. Monitor only. */
#ifndef AILERON_AUTHORITY_CREDENTIAL_H
#define AILERON_AUTHORITY_CREDENTIAL_H

#include "core/authority/session.h"

/* MESSAGE_CREDENTIAL_ASK: decides from the session's own snapshot, writes the record, then answers. False: the
 * worker broke the protocol. */
bool credential_ask(struct session *session, uint32_t id, const struct json_at *ask, struct err *err)
    MUSTUSE NONNULL;

/* Host and path as they are matched are as they are sent, or it is a lie. *ambiguous: of the path. */
bool credential_canonical(const char *host, const char *path, bool *ambiguous, struct err *err) MUSTUSE NONNULL;

#endif
