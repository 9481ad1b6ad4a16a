/* A session whose sandbox is on another machine: where its engine is, and the TCP listener by which the sandbox reaches
 * its worker (core/plane/remote.h). The monitor binds it, the worker serves it; sessions of local engines have none. */
#ifndef AILERON_AUTHORITY_SESSION_REMOTE_H
#define AILERON_AUTHORITY_SESSION_REMOTE_H

#include "core/authority/session_private.h"

enum { SESSION_ENGINE_TEXT = 1024 };

/* Takes "engine_env" of a launch request into meta: {"DOCKER_HOST": "tcp://...", ..}, a few names and no others. */
bool session_remote_request(const struct json_at *request, json_t *meta, struct err *err) MUSTUSE NONNULL;
/* Where meta has it: listens at sandbox.remote_listen, and at the same address and port again after a restart of the
 * daemon, since the sandbox was told them. Sets remote_fd and remote. ERR_CONFIG where the key is not there. */
bool session_remote_open(struct session *session, struct err *err) MUSTUSE NONNULL;

#endif
