/* The few questions to a Docker engine that must be quick: HTTP/1.0 on its Unix socket (the command line costs
 * 30 ms a call). Blocking; used by the docker engine. */
#ifndef AILERON_SANDBOX_DOCKER_API_H
#define AILERON_SANDBOX_DOCKER_API_H

#include "core/base/err.h"
#include "core/base/mem.h"

enum {
    DOCKER_ANSWER_BYTES = 1024 * 1024,
    DOCKER_TIMEOUT_MS = 5000
};

/* Whether DOCKER_HOST names an engine on another machine (tcp://, ssh://). */
bool docker_is_far(void);
/* The socket's path: DOCKER_HOST where it is unix://, else the usual places. NULL with err (ERR_UNAVAILABLE)
 * where there is none, or DOCKER_HOST is of another kind. Caller frees. */
char *docker_socket(struct err *err) MUSTUSE NONNULL;
/* One call; *status is the HTTP status, body (may be NULL; else initialised here) the answer's. */
bool docker_call(const char *socket_path, const char *method, const char *path, int *status, struct buf *body,
                 struct err *err) MUSTUSE NONNULL_AT(1, 2, 3, 4, 6);
/* Whether it is there, and what it calls itself and its version: "" where it does not say. */
bool docker_ping(const char *socket_path, int *status, char *version, size_t cap, struct err *err) MUSTUSE NONNULL;

#endif
