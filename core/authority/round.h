/* What one round of a worker's loop gave rise to: lines for the record and questions for credentials, in the order in
 * which they happened, written by one write(2) and answered by one message. Monitor only. */
#ifndef AILERON_AUTHORITY_ROUND_H
#define AILERON_AUTHORITY_ROUND_H

#include "core/authority/session.h"

/* MESSAGE_ROUND. Each line is on the record before anything behind it is answered. False: the worker broke the
 * protocol; what came before is written and answered. */
bool round_take(struct session *session, const void *payload, size_t len, struct err *err) MUSTUSE NONNULL;

#endif
