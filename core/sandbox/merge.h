/* What an agent on another machine made of the workspace, laid over the workspace here. The tree that came is hostile:
 * nothing is made outside the workspace, no symbolic link is followed, none is made that leads out of it. What this
 * host has changed meanwhile stays as it is here. */
#ifndef AILERON_SANDBOX_MERGE_H
#define AILERON_SANDBOX_MERGE_H

#include "core/sandbox/pack.h"

struct merge_report {
    size_t changed, removed; /* files and links here */
    size_t links;            /* symbolic links that lead out, not made */
    size_t conflicts;        /* changed on both sides: left as they are here */
};
struct merge_spec {
    const char *from;            /* what came: a directory that is ours alone */
    int workspace;               /* its directory */
    const struct pack_list *sent; /* what was there when it was sent */
    uid_t uid;                   /* whose files they become */
    gid_t gid;
    uint64_t bytes_max; /* of all files that came, once for each of their names (hard links) */
};
/* False: it stopped in between; the report counts what was done. Nothing, where it is too much (ERR_LIMIT). */
bool merge(const struct merge_spec *spec, struct merge_report *report, struct err *err) MUSTUSE NONNULL;

#endif
