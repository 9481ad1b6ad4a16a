/* The agent's process: found, forked, given its terminal and its ids, and executed. Inside the sandbox, by the
 * supervisor, after it has given up its own privileges. */
#ifndef AILERON_SANDBOX_CHILD_H
#define AILERON_SANDBOX_CHILD_H

#include "core/base/err.h"
#include "core/sandbox/env.h"

struct child_spec {
    char *const *command; /* NULL-terminated; the first word is looked for on env's PATH */
    const char *cwd;
    struct env *env;      /* homefiles_take, in the child */
    bool nest; /* become uid:gid in a nested user namespace */
    bool wide; /* the engine lets its containers do more than others do (privilege_filter_admin) */
    uid_t uid;
    gid_t gid;
    uint32_t pids;      /* with nest; 0: no limit */
    int terminal;       /* a terminal that becomes the agent's, the caller leading its session; -1: none */
    uint64_t open_files; /* the soft limit to go back to; 0: as it is */
};

/* The agent's pid (it leads a process group of its own), or -1 with ERR_NOT_FOUND_COMMAND,
 * ERR_NOT_EXECUTABLE or ERR_LAUNCH. Returns when exec has succeeded or failed. */
pid_t child_start(const struct child_spec *spec, struct err *err) MUSTUSE NONNULL;

#endif
