/* What one round of a worker's loop gave rise to: lines for the record and questions for credentials, in the order in
 * which they happened, written by one write(2) and answered by one message. Monitor only. */
#ifndef AILERON_AUTHORITY_ROUND_H
#define AILERON_AUTHORITY_ROUND_H

#include "core/authority/session.h"

/* MESSAGE_ROUND, or what a sheet of the journal holds. Each line is on the record before anything behind it is
 * answered.
 * ROUND_DEAD: there is no worker any more that its questions could be answered to; they are passed over. False: the
 * worker broke the protocol; what came before is written and answered. */
enum round_from { ROUND_LIVE, ROUND_DEAD };
bool round_take(struct session *session, enum round_from from, const void *payload, size_t len, struct err *err)
    MUSTUSE NONNULL_AT(1, 5);

#endif
