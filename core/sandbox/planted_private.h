/* Between the files of planted: the table's rows, and what a file's contents come down to. */
#ifndef AILERON_SANDBOX_PLANTED_PRIVATE_H
#define AILERON_SANDBOX_PLANTED_PRIVATE_H

#include "core/sandbox/planted.h"

#include "tls/crypto.h"

#include <time.h>

enum planted_how {
    PLANTED_WHOLE,      /* all of the contents */
    PLANTED_GIT_CONFIG, /* without the lines that can run nothing: those that every push adds */
    PLANTED_PACKAGE     /* the members of package.json that name commands */
};
enum { PLANTED_DEEP = 1, /* any depth below the directory */
       PLANTED_GIT = 2   /* in a git directory */ };

struct planted_row {
    const char *dir;  /* the directory that it is in: the last names of its path; NULL: any */
    const char *name; /* as fnmatch has it */
    const char *runs;
    int flags;
    enum planted_how how;
};
extern const struct planted_row planted_rows[];
extern const size_t planted_row_count; /* at most 128 */

enum { PLANTED_PATHS_MAX = 32 };
struct planted_entry {
    const char *path; /* in the arena */
    const char *runs;
    enum planted_how how;
    uint8_t digest[CRYPTO_HASH_LEN];
};
struct planted {
    char *workspace;
    struct timespec taken;
    char *extra[PLANTED_PATHS_MAX]; /* directories on the host's PATH, from the workspace; "" is itself */
    size_t extra_count;
    struct arena *names;
    struct planted_entry *entries; /* sorted by path, each once */
    size_t count;
    char partial[256];
};
/* Fills a snapshot that has a workspace. since: set-user-id files from then on are entries, too; may be NULL. */
bool planted_walk(struct planted *out, const struct timespec *since, struct err *err) MUSTUSE NONNULL_AT(1, 3);
/* What is at an entry's path now, whatever a walk has seen; false: nothing. */
bool planted_still(const struct planted *planted, const struct planted_entry *entry, uint8_t digest[CRYPTO_HASH_LEN])
    MUSTUSE NONNULL;

/* Adds what of these contents can make something run. */
void planted_digest(enum planted_how how, const char *text, size_t len, struct sha256 *sum) NONNULL;
/* core.hooksPath of a git configuration where it is a plain relative path; out is "" where it is none. */
void planted_hooks_path(const char *text, size_t len, char *out, size_t cap) NONNULL;
/* Whether a link with this text is one that leads out of the workspace: dir is where it lies, "" at the top. What
 * every user may read and none may write (/usr, /bin, ...) is not counted. */
bool planted_leads_out(const char *dir, const char *target) NONNULL;

#endif
