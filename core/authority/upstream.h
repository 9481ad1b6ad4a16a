/* What connections to upstreams need before a request is on them: the proxy's credential, a client's certificate. */
#ifndef AILERON_AUTHORITY_UPSTREAM_H
#define AILERON_AUTHORITY_UPSTREAM_H

#include "core/authority/session.h"
#include "core/data/json.h"

/* MESSAGE_UPSTREAM_ASK: decides from the session's own snapshot, writes the record, then answers. False: the message
 * breaks the protocol. */
bool upstream_ask(struct session *session, uint32_t id, const struct json_at *ask, struct err *err) MUSTUSE NONNULL;

#endif
