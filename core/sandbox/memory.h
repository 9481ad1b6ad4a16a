/* The kernel's out-of-memory killer, seen from inside a sandbox: who goes first, and whether somebody went. */
#ifndef AILERON_SANDBOX_MEMORY_H
#define AILERON_SANDBOX_MEMORY_H

#include "core/base/attr.h"

#include <stdint.h>

/* The calling process, and what it starts, goes before the supervisor. Any user may; for what is not dumpable, as the
 * supervisor is, it must become so first. */
void memory_go_first(void);
/* How many processes of the sandbox the kernel has killed for want of memory; 0 too where that cannot be known: an
 * engine that shows no control group (bwrap). */
uint64_t memory_kills(void) MUSTUSE;

#endif
