/* Between the files of planted: the table's rows, and what a file's contents come down to. */
#ifndef AILERON_SANDBOX_PLANTED_PRIVATE_H
#define AILERON_SANDBOX_PLANTED_PRIVATE_H

#include "core/sandbox/planted.h"

#include "tls/crypto.h"

#include <limits.h>
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
extern const size_t planted_row_count;
enum { PLANTED_ROW_WORDS = 3 /* of 64 bits, a row a bit */ };

enum {
    PLANTED_PATHS_MAX = 32,
    PLANTED_INCLUDES_MAX = 8,         /* configurations that include one another, as deep */
    PLANTED_INDEX_BYTES = 64 << 20
};
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
/* A directory that waits for its turn. */
struct planted_folder {
    struct planted_folder *next;
    const char *path;    /* "" is the workspace itself */
    uint64_t rows[PLANTED_ROW_WORDS];    /* those that a directory above it handed down */
    const char *runs;    /* everything in it is run by that; NULL */
    bool git;            /* in a git directory */
    const char *worktree; /* whose repository it is, where that is known: "" is the workspace; NULL */
};
struct planted_look {
    struct planted *out;
    int root;
    struct planted_folder *first, **last;
    size_t seen, hashed;
    uint64_t until_ms;
    const struct timespec *since; /* set-user-id files since then; NULL: none are looked for */
};
void planted_say_partial(struct planted_look *look, const char *why, const char *path) NONNULL;
bool planted_in_time(struct planted_look *look, const char *path) NONNULL;
int planted_open_beneath(const struct planted_look *look, const char *path, int flags) MUSTUSE NONNULL;
void planted_add_entry(struct planted_look *look, const char *path, const char *runs, enum planted_how how) NONNULL;
/* rows and from: what is handed down; may be NULL, as runs. NULL where there is no room, which is told. */
struct planted_folder *planted_add_folder(struct planted_look *look, const char *path,
                                          const struct planted_folder *from, const uint64_t rows[PLANTED_ROW_WORDS],
                                          const char *runs, bool git) NONNULL_AT(1, 2);

/* A git configuration and what it names; worktree: as in a folder. */
void planted_git_config(struct planted_look *look, const char *path, const char *runs, const char *worktree)
    NONNULL_AT(1, 2, 3);
/* The repositories that an index knows of in node_modules. */
void planted_git_index(struct planted_look *look, const char *path, const char *worktree) NONNULL;
/* The repository that a file .git in worktree names. */
void planted_git_file(struct planted_look *look, const char *path, const char *worktree) NONNULL;

/* Fills a snapshot that has a workspace. since: set-user-id files from then on are entries, too; may be NULL. */
bool planted_walk(struct planted *out, const struct timespec *since, struct err *err) MUSTUSE NONNULL_AT(1, 3);
/* What is at an entry's path now, whatever a walk has seen; false: nothing. */
bool planted_still(const struct planted *planted, const struct planted_entry *entry, uint8_t digest[CRYPTO_HASH_LEN])
    MUSTUSE NONNULL;

/* Adds what of these contents can make something run. */
void planted_digest(enum planted_how how, const char *text, size_t len, struct sha256 *sum) NONNULL;
/* The paths that a git configuration names: what they are for decides where they begin. */
enum planted_named { PLANTED_NAMED_HOOKS, PLANTED_NAMED_INCLUDE, PLANTED_NAMED_PROGRAM };
typedef void planted_named_fn(enum planted_named named, const char *name, void *arg);
void planted_config_paths(const char *text, size_t len, planted_named_fn *fn, void *arg) NONNULL_AT(1, 3);
/* The places in an index of git that are repositories of their own (mode 160000); fn says whether to go on. False: it
 * is no index, or of a kind that is not known. */
typedef bool planted_gitlink_fn(const char *name, size_t len, void *arg);
bool planted_gitlinks(const uint8_t *index, size_t len, planted_gitlink_fn *fn, void *arg) MUSTUSE NONNULL_AT(3);
/* name as git takes it in dir, a directory of the workspace, without "." and "..", as a path of the workspace. False:
 * it leads out, or is too long. */
bool planted_join(const char *workspace, const char *dir, const char *name, char out[PATH_MAX]) MUSTUSE NONNULL;
/* Whether a link with this text is one that leads out of the workspace: dir is where it lies, "" at the top. What
 * every user may read and none may write (/usr, /bin, ...) is not counted. */
bool planted_leads_out(const char *dir, const char *target) NONNULL;

#endif
