/* The names that the sandbox's programs asked for, and the addresses of 127.64.0.0/10 that stand for them. A
 * name keeps its address while it is remembered; the least recently used name is forgotten at the bound, and
 * its address is not given to another name before the whole range has been used, so that a program with an
 * old address is refused rather than sent to the wrong host. No I/O. */
#ifndef AILERON_SANDBOX_NAMES_H
#define AILERON_SANDBOX_NAMES_H

#include "core/base/attr.h"

enum {
    NAMES_MAX = 65536,
    NAMES_NAME_MAX = 253
};

struct names;
struct names *names_new(size_t max) MUSTUSE; /* max: at most NAMES_MAX */
void names_free(struct names *names);
/* The address (host byte order) for a name of letters, digits, '-', '_' and '.'; any case, one trailing dot is
 * dropped. "localhost" and what ends in ".localhost" is 127.0.0.1. 0: the name is not of that form. */
uint32_t names_address(struct names *names, const char *name, size_t len) MUSTUSE NONNULL;
/* The name an address was given for, lower case; NULL: none. Borrowed until the next names_address. */
const char *names_lookup(struct names *names, uint32_t address) MUSTUSE NONNULL;

#endif
