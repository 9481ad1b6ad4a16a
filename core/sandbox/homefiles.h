/* Files that an agent's file puts into the home (`home:`), settings that keep it from asking what a sandbox has
 * answered. The launcher gives them to the supervisor in a variable, which the agent does not see; they are written as
 * the agent, and what is there already stays. */
#ifndef AILERON_SANDBOX_HOMEFILES_H
#define AILERON_SANDBOX_HOMEFILES_H

#include "core/data/json.h"
#include "core/sandbox/env.h"

#define HOMEFILES_ENV "AILERON_HOME_FILES"
enum { HOMEFILES_MAX = 16, HOMEFILES_BYTES = 16 * 1024 /* of one */ };

/* Checks the member `home` of an agent's file: paths below the home, and texts. */
bool homefiles_check(const struct json_at *agent, struct err *err) MUSTUSE NONNULL;
/* Sets the variable where the file (as it was read) has any. */
bool homefiles_put(const json_t *agent, struct env *env, struct err *err) MUSTUSE NONNULL;
/* Takes the variable out of env, and writes what it says below env's HOME, by whoever calls. What cannot be written is
 * left out: an agent that lacks a setting asks. */
void homefiles_take(struct env *env) NONNULL;

#endif
