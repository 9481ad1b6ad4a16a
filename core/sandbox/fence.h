/* The fence check (design 5, threat E11): the sandbox proves from inside that there is no way out but the
 * session's socket. The same probes are `aileron doctor --sandbox`. Blocking, in the sandbox, before the agent. */
#ifndef AILERON_SANDBOX_FENCE_H
#define AILERON_SANDBOX_FENCE_H

#include "core/base/err.h"

enum { FENCE_DAEMON_MS = 10000 }; /* how long the daemon may take to answer at the start */

/* Only loopback is up, and an outside address, a metadata address and a raw DNS query, in IPv4 and IPv6, fail
 * at once. ERR_LAUNCH names the hole. */
bool fence_check_outside(struct err *err) MUSTUSE NONNULL;
/* The daemon answers GET /v1/session on the session's socket for this token. */
bool fence_check_daemon(const char *socket_path, const char *token, struct err *err) MUSTUSE NONNULL;

#endif
