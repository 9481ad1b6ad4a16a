/* What a probe has found out of an engine on this host, and where that is kept between launches: starting a container
 * for the truth costs a second, so it is done once for an engine, its version and a boot. */
#ifndef AILERON_SANDBOX_FACTS_H
#define AILERON_SANDBOX_FACTS_H

#include "core/base/err.h"

enum { FACTS_FILE_BYTES = 64 * 1024 };

struct engine_facts {
    char runtime[256]; /* podman: the program that starts containers here; "" elsewhere */
    char cgroups[16];  /* podman: its cgroup manager; "" elsewhere */
    bool no_limits;    /* neither memory nor processes can be limited */
    bool rootless;     /* docker: its root is the user himself, and his id another's in it */
    bool no_cgroups;   /* podman: containers start without any cgroup only */
    char note[256];    /* what a person should know; "" where there is nothing */
};

/* Whether home/run/engines.json knows this engine under this key (what the answer depends on: its file, its version)
 * since the machine was started. *works tells what it knows: the facts, or the error. */
bool facts_recall(const char *home, const char *engine, const char *key, struct engine_facts *facts, bool *works,
                  struct err *err) MUSTUSE NONNULL;
/* Whether it knows that the engine has worked here, under whatever key, since the file was made. */
bool facts_worked(const char *home, const char *engine) MUSTUSE NONNULL;
/* Keeps an answer: error NULL where it works. What cannot be written is found out again next time. */
void facts_keep(const char *home, const char *engine, const char *key, const struct engine_facts *facts,
                const struct err *error) NONNULL_AT(1, 2, 3, 4);

#endif
