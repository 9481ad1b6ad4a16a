/* Agent files: what an agent's name stands for. Data in contrib/agents/NAME.yaml, embedded in the binary,
 * overridden by $AILERON_HOME/agents/NAME.yaml:
 *
 *   version: 1
 *   name: claude
 *   summary: Claude Code
 *   command: [claude]              the launch's own arguments follow
 *   env: { NAME: value }           plain settings; credentials come from bindings
 *   hosts: [api.anthropic.com]     what it talks to, for the person who writes a policy
 *   expose: [~/.local/bin/claude]  host paths of an agent that is installed in a home (bwrap; read-only)
 *   install: npm install -g ...    how to get it, shown where it is not found */
#ifndef AILERON_SANDBOX_AGENT_H
#define AILERON_SANDBOX_AGENT_H

#include "core/base/err.h"
#include "core/sandbox/env.h"

enum {
    AGENT_FILE_BYTES = 64 * 1024,
    AGENT_LIST_MAX = 32 /* items of command, hosts, expose, env */
};

struct agent {
    char *name, *summary, *install; /* install may be NULL */
    char *command[AGENT_LIST_MAX];
    size_t command_count;
    char *hosts[AGENT_LIST_MAX];
    size_t host_count;
    char *expose[AGENT_LIST_MAX];
    size_t expose_count;
    struct env env;
};

/* Letters, digits, '-', '_' and '.', a letter or digit first, at most 64 bytes. */
bool agent_name_valid(const char *name) NONNULL;
/* ERR_NOT_FOUND (the hint lists the names there are) or ERR_CONFIG with line and column. */
struct agent *agent_load(const char *aileron_home, const char *name, struct err *err) MUSTUSE NONNULL;
struct agent *agent_parse(const char *file, const void *text, size_t len, struct err *err) MUSTUSE NONNULL;
void agent_free(struct agent *agent); /* NULL is fine */
void agent_free_ptr(struct agent **agent);

#endif
