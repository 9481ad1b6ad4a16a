/* What an agent may leave behind in the workspace for the host to run (threat F11): files that a program of the host
 * executes, or takes its commands from, without being asked again (git's hooks and configuration, an editor's tasks,
 * direnv, a package manager), links that lead out, set-user-id files. Which ones is a table (planted_table.c). A
 * snapshot is taken before the agent starts and compared when it has ended; nothing is executed or followed out of the
 * workspace, and a hostile tree costs a bounded time and memory. Launcher only. */
#ifndef AILERON_SANDBOX_PLANTED_H
#define AILERON_SANDBOX_PLANTED_H

#include "core/base/err.h"

enum {
    PLANTED_ENTRIES_MAX = 200000, /* names of the workspace that are looked at */
    PLANTED_FOLDER_MAX = 50000,   /* names of one directory */
    PLANTED_FILES_MAX = 4096,     /* files that a snapshot keeps */
    PLANTED_FILE_BYTES = 1 << 20, /* of one file that are hashed; beyond that its size, inode and times count */
    PLANTED_SUM_BYTES = 64 << 20, /* of all of them */
    PLANTED_MS = 3000,            /* for one look */
    PLANTED_CHANGES_MAX = 100     /* changes that are told; the others are counted */
};

enum planted_kind { PLANTED_NEW, PLANTED_CHANGED, PLANTED_REMOVED };
const char *planted_word(enum planted_kind kind); /* "new", "changed", "removed" */

struct planted_change {
    enum planted_kind kind;
    char *path;       /* from the workspace, as it is on the disk: any bytes */
    const char *runs; /* what would run it: "git"; static */
};
struct planted_report {
    struct planted_change changes[PLANTED_CHANGES_MAX];
    size_t count; /* of changes */
    size_t total; /* with those that did not fit */
    char partial[256]; /* why not everything was looked at, printable; "" where it was */
};

struct planted; /* a snapshot */
/* path: the host's PATH, whose directories in the workspace count; may be NULL. NULL and err where the workspace
 * cannot be opened. */
struct planted *planted_take(const char *workspace, const char *path, struct err *err) MUSTUSE NONNULL_AT(1, 3);
/* What has changed since then. Clear the report. False: the workspace cannot be opened. */
bool planted_compare(const struct planted *before, struct planted_report *report, struct err *err) MUSTUSE NONNULL;
void planted_free(struct planted *planted); /* NULL is fine */
void planted_report_clear(struct planted_report *report) NONNULL;

#endif
