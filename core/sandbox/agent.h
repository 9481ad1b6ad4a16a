/* Agent files: what an agent's name stands for. Data in contrib/agents/NAME.yaml, embedded in the binary,
 * overridden by $AILERON_HOME/agents/NAME.yaml:
 *
 *   version: 1
 *   name: claude
 *   summary: Claude Code
 *   command: [claude]               the launch's own arguments follow
 *   probe: [--version]              arguments with which it says its version and ends (agents check)
 *   headless: [-p]                  arguments in front of a prompt, for a run without a person
 *   env: { NAME: value }            plain settings; credentials come from bindings
 *   hosts: [api.anthropic.com]      what it cannot do without, for the person who writes a policy
 *   optional_hosts: [...]           what it contacts besides
 *   bindings: [...]                 as in bindings.yaml: how its credential is bound; one of them is enough
 *   keeps: [~/.claude]              what it leaves in its home: settings, histories, logins
 *   expose: [~/.local/bin/claude]   host paths of an agent that is installed in a home (bwrap; read-only)
 *   install: npm install -g ...     how to get it, shown where it is not found
 *   recipe: { debian: [RUN ...] }   the same as lines of a Dockerfile, by the image's family
 *
 * Nothing follows from hosts, bindings and keeps by themselves: what an agent may do is the person's to write. */
#ifndef AILERON_SANDBOX_AGENT_H
#define AILERON_SANDBOX_AGENT_H

#include "core/data/binding.h"
#include "core/sandbox/env.h"

enum {
    AGENT_FILE_BYTES = 64 * 1024,
    AGENT_LIST_MAX = 32, /* items of each list, and of env */
    AGENT_OWN_MAX = 256  /* files of a person's own that are listed */
};

enum agent_family { AGENT_DEBIAN, AGENT_ALPINE, AGENT_FEDORA, AGENT_FAMILIES };
const char *agent_family_word(enum agent_family family); /* "debian": ID or ID_LIKE of os-release(5) */

struct agent {
    char *name, *summary, *install; /* install may be NULL */
    bool own;     /* of $AILERON_HOME/agents, not built in */
    json_t *json; /* the file as it was read */
    char *command[AGENT_LIST_MAX];
    size_t command_count;
    char *hosts[AGENT_LIST_MAX];
    size_t host_count;
    char *expose[AGENT_LIST_MAX];
    size_t expose_count;
    char **probe, **headless, **optional_hosts, **keeps; /* NULL-terminated; NULL: none */
    char **recipe[AGENT_FAMILIES];                       /* RUN and ENV lines; NULL: none for this family */
    struct bindings *bindings;
    struct env env;
};

/* Letters, digits, '-', '_' and '.', a letter or digit first, at most 64 bytes. */
bool agent_name_valid(const char *name) NONNULL;
/* ERR_NOT_FOUND (the hint lists the names there are) or ERR_CONFIG with line and column. */
struct agent *agent_load(const char *aileron_home, const char *name, struct err *err) MUSTUSE NONNULL;
struct agent *agent_parse(const char *file, const void *text, size_t len, struct err *err) MUSTUSE NONNULL;
/* The names that agent_load takes, sorted, NULL-terminated; free with match_texts_free. A person's own files beyond
 * AGENT_OWN_MAX are left out. */
char **agent_names(const char *aileron_home) MUSTUSE NONNULL;
void agent_free(struct agent *agent); /* NULL is fine */
void agent_free_ptr(struct agent **agent);

#endif
