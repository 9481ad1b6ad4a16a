/* The agent's place in the sandbox: which ids it gets, its home, its name in /etc/passwd, its directory. */
#ifndef AILERON_SANDBOX_PLACE_H
#define AILERON_SANDBOX_PLACE_H

#include "core/base/err.h"
#include "core/sandbox/account.h"
#include "core/sandbox/supervisor.h"

struct place {
    uid_t uid;
    gid_t gid;
    bool nest;       /* the ids are not mapped here: a nested user namespace is needed */
    const char *cwd; /* borrowed from the spec */
    const struct supervisor_spec *spec;
    struct account account; /* the agent's name and home */
};

/* The ids are the spec's, else those of the workspace's owner. Refused: a workspace that is another directory than
 * the one that was launched from (F10: an engine mounts a name, and whoever can write beside it can change what that
 * leads to meanwhile). */
bool place_find(const struct supervisor_spec *spec, struct place *out, struct err *err) MUSTUSE NONNULL;
/* With the privileges of the start: bwrap's /dev has the host's own devices, whose mode and times their owner may
 * change without any capability; where that is the agent (root's) they are made read-only, which is not for what is
 * written to them. ERR_LAUNCH where that cannot be done. */
bool place_protect(const struct place *place, struct err *err) MUSTUSE NONNULL;
/* With the privileges of the start: the session's CA among the image's roots; /tmp, the home and an entry in
 * /etc/passwd where the image has none. What cannot be made (a read-only root) is left out: the agent may do
 * without. */
void place_prepare(const struct place *place) NONNULL;
/* Whether an id has an entry in the text of a passwd or group file: programs ask for their own name (node's
 * os.userInfo, ssh, git). */
bool place_has_entry(const char *text, unsigned id) NONNULL;
/* With the agent's own rights: the directory is there and can be written to. */
bool place_check(const struct place *place, struct err *err) MUSTUSE NONNULL;

#endif
