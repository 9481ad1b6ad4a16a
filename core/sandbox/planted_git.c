/* Where git's own files lead: hooks, further configurations and programs that a configuration names, the repository
 * that a file .git names, repositories that an index has in places that the walk passes over. What is found is watched
 * as if the walk had come there. */
#include "core/sandbox/planted_private.h"

#include "core/base/file.h"
#include "core/base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { NAMED_MAX = 256 /* paths of one configuration that are looked for */ };

struct led {
    struct planted_look *look;
    const char *path, *worktree;
    size_t depth, count;
};

static bool read_file(const struct planted_look *look, const char *path, size_t max, struct buf *text)
{
    CLEANUP(file_close_ptr) int fd = planted_open_beneath(look, path, O_RDONLY | O_NONBLOCK);
    struct err err = {0};
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && file_read_fd(fd, max, text, &err);
}

static void add_git_folder(struct planted_look *look, const char *path, const char *worktree)
{
    struct planted_folder *folder = planted_add_folder(look, path, NULL, NULL, NULL, true);

    if (folder != NULL)
        folder->worktree = arena_strndup(look->out->names, worktree, strlen(worktree));
}

/* ---- configurations ---- */

static void add_config(struct planted_look *look, const char *path, const char *runs, const char *worktree,
                       size_t depth);

/* Hooks and programs are looked for from the worktree, a further configuration from beside the one that names it. */
static void on_named(enum planted_named named, const char *name, void *arg)
{
    struct led *config = arg;
    struct planted_look *look = config->look;
    bool include = named == PLANTED_NAMED_INCLUDE;
    const char *slash = strrchr(config->path, '/');
    AUTOFREE char *beside = mem_strndup(config->path, slash != NULL ? (size_t)(slash - config->path) : 0);
    const char *dir = include || config->worktree == NULL ? beside : config->worktree;
    char path[PATH_MAX];
    struct stat st;

    if (config->count++ >= NAMED_MAX) {
        planted_say_partial(look, "too many paths are named in", config->path);
        return;
    }
    if ((name[0] != '/' && !include && config->worktree == NULL) ||
        !planted_join(look->out->workspace, dir, name, path))
        return;
    if (named == PLANTED_NAMED_HOOKS)
        planted_add_folder(look, path, NULL, NULL, "git (core.hooksPath)", false);
    else if (include && config->depth < PLANTED_INCLUDES_MAX)
        add_config(look, path, "git, whose configuration includes it", config->worktree, config->depth + 1);
    else if (fstatat(look->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
        planted_add_entry(look, path, "git, whose configuration names it", PLANTED_WHOLE);
}

static void add_config(struct planted_look *look, const char *path, const char *runs, const char *worktree,
                       size_t depth)
{
    CLEANUP(buf_clear) struct buf text = {0};
    struct led config = {look, path, worktree, depth, 0};

    planted_add_entry(look, path, runs, PLANTED_GIT_CONFIG);
    if (planted_in_time(look, path) && read_file(look, path, PLANTED_FILE_BYTES, &text))
        planted_config_paths(buf_cstr(&text), text.len, on_named, &config);
}

void planted_git_config(struct planted_look *look, const char *path, const char *runs, const char *worktree)
{
    add_config(look, path, runs, worktree, 0);
}

/* ---- repositories ---- */

void planted_git_file(struct planted_look *look, const char *path, const char *worktree)
{
    static const char key[] = "gitdir: ";
    CLEANUP(buf_clear) struct buf text = {0};
    char gitdir[PATH_MAX];

    if (!read_file(look, path, PATH_MAX, &text) || strncmp(buf_cstr(&text), key, sizeof key - 1) != 0)
        return;
    const char *value = buf_cstr(&text) + sizeof key - 1;
    AUTOFREE char *name = mem_strndup(value, strcspn(value, "\r\n"));
    if (planted_join(look->out->workspace, worktree, name, gitdir))
        add_git_folder(look, gitdir, worktree);
}

/* A repository that `git status` asks for its state, with its own configuration. */
static bool on_gitlink(const char *name, size_t len, void *arg)
{
    struct led *index = arg;
    struct planted_look *look = index->look;
    char worktree[PATH_MAX], path[PATH_MAX];
    struct stat st;
    bool fits = (size_t)snprintf(worktree, sizeof worktree, "%s%s%.*s", index->worktree,
                                 index->worktree[0] != '\0' ? "/" : "", (int)len, name) < sizeof worktree &&
                (size_t)snprintf(path, sizeof path, "%.*s/.git", PATH_MAX - 8, worktree) < sizeof path;

    if (fits && strstr(worktree, "node_modules") != NULL &&
        fstatat(look->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (!S_ISDIR(st.st_mode))
            planted_add_entry(look, path, "git", PLANTED_WHOLE);
        if (S_ISREG(st.st_mode))
            planted_git_file(look, path, worktree);
        else
            add_git_folder(look, path, worktree);
    }
    return look->seen++ < PLANTED_ENTRIES_MAX && planted_in_time(look, index->path);
}

void planted_git_index(struct planted_look *look, const char *path, const char *worktree)
{
    CLEANUP(buf_clear) struct buf text = {0};
    struct led index = {look, path, worktree, 0, 0};

    if (!planted_in_time(look, path))
        return;
    if (!read_file(look, path, PLANTED_INDEX_BYTES, &text) || text.data == NULL ||
        !planted_gitlinks(text.data, text.len, on_gitlink, &index))
        planted_say_partial(look, "not understood, as an index of git:", path);
}
