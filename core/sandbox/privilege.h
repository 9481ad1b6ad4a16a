/* Giving up privileges, inside the sandbox: for the supervisor once its ports are bound, and for the agent. */
#ifndef AILERON_SANDBOX_PRIVILEGE_H
#define AILERON_SANDBOX_PRIVILEGE_H

#include "core/base/err.h"

/* Whether this id means a user of the namespace (/proc/self/uid_map). */
bool privilege_uid_mapped(uid_t uid);
/* The supervisor: becomes uid:gid where they differ, without supplementary groups; empties every capability set
 * and the bounding set; no_new_privs; not dumpable; no core files. will_nest: CAP_SETFCAP stays until
 * privilege_drop_rest, since privilege_nest in the agent's process needs it. */
bool privilege_drop(uid_t uid, gid_t gid, bool will_nest, struct err *err) MUSTUSE NONNULL;
/* For a sandbox whose engine is on another machine: a network namespace of our own, without an interface, in the place
 * of the engine's; CAP_SYS_ADMIN, which that needs, goes at once. ERR_LAUNCH where the engine does not allow it. */
bool privilege_leave_network(struct err *err) MUSTUSE NONNULL;
bool privilege_drop_rest(struct err *err) MUSTUSE NONNULL; /* once the agent runs */
/* The agent's process, after fork, where its id is not mapped (bwrap): a nested user namespace in which it is
 * uid:gid, again without any capability. pids: RLIMIT_NPROC in there, 0: as it is. */
bool privilege_nest(uid_t uid, gid_t gid, uint32_t pids, struct err *err) MUSTUSE NONNULL;
/* The agent's process, last before exec: a seccomp filter that leaves only socket families which the network
 * namespace confines (unix, inet, inet6, netlink); no terminal injection (TIOCSTI, TIOCLINUX); no keyrings,
 * io_uring, bpf and perf events; no priorities and limits for pid 1. */
bool privilege_filter(struct err *err) MUSTUSE NONNULL;
/* And one more where a container may have CAP_SYS_ADMIN. Its engine's filter then lets the agent, too, do what it
 * refuses in all other containers and the kernel does not: make user namespaces, in which it has every capability and
 * the kernel's whole surface for them, read the kernel's log, watch file systems. */
bool privilege_filter_admin(struct err *err) MUSTUSE NONNULL;

#endif
