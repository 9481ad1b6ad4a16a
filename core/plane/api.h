/* The session API (design section 13): what a sandbox may ask of the daemon. It asks the monitor, runs a
 * tool's request as a flow, and streams the answer. Nothing here decides an approval: there is no such call. */
#ifndef AILERON_PLANE_API_H
#define AILERON_PLANE_API_H

#include "core/plane/plane.h"

/* Takes conn and one of plane->connections. proven: the preamble carried the token; else each request must. */
void api_start(struct plane *plane, struct conn *conn, bool proven) NONNULL;

/* MESSAGE_OP_START that nobody here has asked for: a person has approved an operation, whose client has its answer
 * already. Its result is for the monitor to keep. */
void api_run_approved(struct plane *plane, const struct ipc_message *message) NONNULL;

#endif
