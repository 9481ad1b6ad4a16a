/* What a Docker engine has of our sandboxes: engine.h's left, by a question to its API. */
#ifndef AILERON_SANDBOX_DOCKER_LEFT_H
#define AILERON_SANDBOX_DOCKER_LEFT_H

#include "core/sandbox/engine.h"

bool docker_left(const char *home_id, engine_left_fn found, void *arg, struct err *err) MUSTUSE NONNULL_AT(1, 2, 4);

#endif
