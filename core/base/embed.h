/* Data files that are part of the program: contrib/agents, contrib/bindings, contrib/page (.gz). The build writes the
 * table
 * (its file is made under build/); it is sorted by path and constant. */
#ifndef AILERON_BASE_EMBED_H
#define AILERON_BASE_EMBED_H

#include "core/base/attr.h"

struct embed_file {
    const char *path; /* "contrib/agents/claude.yaml" */
    const unsigned char *data; /* len bytes, and a NUL after them that len does not count */
    size_t len;
};

extern const struct embed_file embed_files[];
extern const size_t embed_count; /* may be 0 */

#endif
