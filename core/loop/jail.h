/* The jail of a process that reads hostile bytes (design 2): from here on no file, no program, no
 * other process; sockets, memory, clocks and random bytes only. A call outside the list kills the
 * process.
 *
 * Everything that opens a file is done before: the loop, tls_init, log_open, the time zone (done
 * here). Descriptors that are open stay open; fstat() fails there (lseek tells a size). There is no
 * way back. */
#ifndef AILERON_LOOP_JAIL_H
#define AILERON_LOOP_JAIL_H

#include "core/base/err.h"

enum jail_profile {
    JAIL_WORKER, /* event loop, accepted Unix sockets, TCP out, DNS over UDP; no new Unix socket */
    JAIL_PAGE,   /* event loop, accepted sockets; none of its own, in no direction */
    JAIL_PROFILES
};
enum { JAIL_FILES_MAX = 20000 }; /* RLIMIT_NOFILE is raised to the hard limit, this at most */
/* RLIMIT_FSIZE: what may come to the file that standard error is, on top of what it holds. */
enum { JAIL_LOG_BYTES = 16 * 1024 * 1024 };
/* RLIMIT_DATA: some 100 KiB for each of the connections that JAIL_FILES_MAX allows. Each buffer has its bound, but a
 * sandbox has many of them to fill; at this one the process ends, and the host's memory is not gone. */
#define JAIL_DATA_BYTES ((size_t)2 << 30)

/* No new privileges, not dumpable, no core file, no child processes, bounded memory and log; then the seccomp list.
 * ERR_UNAVAILABLE where the kernel has no seccomp filters. */
bool jail_enter(enum jail_profile profile, struct err *err) MUSTUSE NONNULL;

#endif
