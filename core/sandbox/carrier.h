/* The way out of a sandbox whose session's socket is on another machine: a process of pid 1's that stays in the network
 * that the engine gave, when pid 1 and all that it starts have left it. It listens where the session's socket would be
 * mounted, and carries each connection to the host's TLS listener (core/plane/remote.h), whose certificate must be of
 * the session's CA. It connects to that one address, whatever anybody says; it has no capability, opens no file, and
 * cannot be traced by the agent. */
#ifndef AILERON_SANDBOX_CARRIER_H
#define AILERON_SANDBOX_CARRIER_H

#include "core/base/err.h"
#include "core/wire/addr.h"

#include <sys/types.h>

enum {
    CARRIER_CONNECTIONS_MAX = 4096, /* at once; above it new ones are closed */
    CARRIER_CONNECT_MS = 8000,      /* to reach the host, TLS included: again and again, it may be restarting */
    CARRIER_RETRY_MS = 200
};

/* Returns when it listens at socket_path. ca_path: the session's CA, PEM. -1 and err on failure. Before pid 1 has a
 * loop of its own. */
pid_t carrier_start(const struct addr *to, const char *socket_path, const char *ca_path, struct err *err)
    MUSTUSE NONNULL;

#endif
