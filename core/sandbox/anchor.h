/* Where programs and distributions look for certificates that an administrator adds, besides their file of roots:
 * links from there to the session's own files, which follow whatever the daemon writes into these. */
#ifndef AILERON_SANDBOX_ANCHOR_H
#define AILERON_SANDBOX_ANCHOR_H

#include "core/base/err.h"
#include "core/base/mem.h"

struct anchor {
    const char *place, *target;
    bool distribution; /* kept for a distribution's own program, and of use where its directory is */
};
enum { ANCHOR_COUNT = 9 };
extern const struct anchor anchor_table[ANCHOR_COUNT];

/* Makes them in a root, which stays the caller's: an open directory. What is there already stays; no symlink is
 * followed; where nothing can be written, nothing is. */
void anchor_make_all(int root);
/* Whether the browsers' are below a directory, given by its path. */
bool anchor_below(const char *directory) MUSTUSE NONNULL;

#endif
