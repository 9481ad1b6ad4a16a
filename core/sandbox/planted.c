/* The look at the workspace: breadth first from a list of places where the table's directories are, so that a flood of
 * names elsewhere does not hide them; through descriptors that the kernel keeps beneath the workspace (openat2), so
 * that no link leads the walk out. It opens nothing but directories and regular files and changes nothing. */
#include "core/sandbox/planted_private.h"

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NAMES_BYTES = 32 << 20, CLOCK_EVERY = 256 };

/* The first reason is the one that is told. */
void planted_say_partial(struct planted_look *look, const char *why, const char *path)
{
    char shown[160];

    if (look->out->partial[0] != '\0')
        return;
    text_display(span_of(path[0] != '\0' ? path : "."), shown, sizeof shown);
    snprintf(look->out->partial, sizeof look->out->partial, "%s %s", why, shown);
}

bool planted_in_time(struct planted_look *look, const char *path)
{
    if (clock_mono_ms() < look->until_ms)
        return true;
    planted_say_partial(look, "the time for it was over at", path);
    return false;
}

/* Beneath the workspace, whatever links there are; -1 with errno. */
int planted_open_beneath(const struct planted_look *look, const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC | O_NOCTTY),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

    return (int)syscall(SYS_openat2, look->root, path, &how, sizeof how);
}

/* ---- one file ---- */

static void add_stat(struct sha256 *sum, const struct stat *st)
{
    sha256_add(sum, &st->st_ino, sizeof st->st_ino);
    sha256_add(sum, &st->st_size, sizeof st->st_size);
    sha256_add(sum, &st->st_mtim, sizeof st->st_mtim);
    sha256_add(sum, &st->st_ctim, sizeof st->st_ctim);
}

/* The contents of a regular file, or of the one that a link leads to. What cannot be read counts by its inode. */
static void add_contents(struct planted_look *look, const char *path, enum planted_how how, struct sha256 *sum)
{
    CLEANUP(file_close_ptr) int fd = planted_open_beneath(look, path, O_RDONLY | O_NONBLOCK);
    struct err err = {0};
    struct stat st;
    struct buf text;

    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        CLEANUP(file_close_ptr) int handle = fd < 0 ? planted_open_beneath(look, path, O_PATH) : -1;
        if (handle >= 0 && fstat(handle, &st) == 0 && S_ISREG(st.st_mode))
            add_stat(sum, &st);
        return;
    }
    mode_t mode = st.st_mode & 07111;
    sha256_add(sum, &mode, sizeof mode);
    if (st.st_size > PLANTED_FILE_BYTES || look->hashed > PLANTED_SUM_BYTES ||
        !file_read_fd(fd, PLANTED_FILE_BYTES, &text, &err)) {
        add_stat(sum, &st);
        return;
    }
    look->hashed += text.len;
    planted_digest(how, text.len > 0 ? (const char *)text.data : "", text.len, sum);
    buf_clear(&text);
}

/* What is at a path of the table; false: nothing. */
static bool digest_of(struct planted_look *look, const char *path, enum planted_how how,
                      uint8_t digest[CRYPTO_HASH_LEN])
{
    char target[PATH_MAX];
    struct sha256 sum;
    struct stat st;

    if (fstatat(look->root, path, &st, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR(st.st_mode))
        return false;
    mode_t kind = st.st_mode & S_IFMT;
    sha256_init(&sum);
    sha256_add(&sum, &kind, sizeof kind);
    ssize_t len = S_ISLNK(st.st_mode) ? readlinkat(look->root, path, target, sizeof target) : 0;
    if (len > 0)
        sha256_add(&sum, target, (size_t)len);
    if (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode))
        add_contents(look, path, how, &sum);
    sha256_end(&sum, digest);
    return true;
}

void planted_add_entry(struct planted_look *look, const char *path, const char *runs, enum planted_how how)
{
    struct planted *out = look->out;
    struct planted_entry *entry = &out->entries[out->count];

    if (out->count == PLANTED_FILES_MAX) {
        planted_say_partial(look, "too many such files: not looked at from", path);
        return;
    }
    entry->path = arena_strndup(out->names, path, strlen(path));
    entry->runs = runs;
    entry->how = how;
    if (entry->path == NULL)
        planted_say_partial(look, "names too long: not looked at from", path);
    else if (digest_of(look, path, how, entry->digest))
        out->count++;
}

/* ---- directories ---- */

struct planted_folder *planted_add_folder(struct planted_look *look, const char *path,
                                          const struct planted_folder *from, const uint64_t rows[PLANTED_ROW_WORDS],
                                          const char *runs, bool git)
{
    struct planted_folder *folder = arena_alloc(look->out->names, sizeof *folder);
    const char *copy = folder != NULL ? arena_strndup(look->out->names, path, strlen(path)) : NULL;

    if (copy == NULL) {
        planted_say_partial(look, "names too long: not looked at from", path);
        return NULL;
    }
    *folder = (struct planted_folder){.path = copy, .runs = runs, .git = git || (from != NULL && from->git)};
    if (rows != NULL)
        memcpy(folder->rows, rows, sizeof folder->rows);
    *look->last = folder;
    look->last = &folder->next;
    return folder;
}

/* Whether the row's directory is the end of this path. */
static bool ends_with(const char *path, const char *dir)
{
    size_t len = strlen(path), end = strlen(dir);

    return len >= end && strcmp(path + len - end, dir) == 0 && (len == end || path[len - end - 1] == '/');
}

static bool has_row(const uint64_t rows[PLANTED_ROW_WORDS], size_t i)
{
    return (rows[i / 64] >> (i % 64) & 1) != 0;
}

/* The rows that apply to names in this directory, and those that it hands down. */
static void rows_of(const struct planted_folder *folder, uint64_t here[PLANTED_ROW_WORDS],
                    uint64_t down[PLANTED_ROW_WORDS])
{
    memcpy(here, folder->rows, PLANTED_ROW_WORDS * sizeof *here);
    memcpy(down, folder->rows, PLANTED_ROW_WORDS * sizeof *down);
    for (size_t i = 0; i < planted_row_count; i++) {
        const struct planted_row *row = &planted_rows[i];
        bool elsewhere = row->dir != NULL && !ends_with(folder->path, row->dir);
        if (elsewhere || ((row->flags & PLANTED_GIT) != 0 && !folder->git))
            continue;
        here[i / 64] |= (uint64_t)1 << (i % 64);
        if ((row->flags & PLANTED_DEEP) != 0)
            down[i / 64] |= (uint64_t)1 << (i % 64);
    }
}

static const struct planted_row *row_of(const uint64_t rows[PLANTED_ROW_WORDS], const char *name)
{
    for (size_t i = 0; i < planted_row_count; i++) {
        const char *want = planted_rows[i].name;
        if (!has_row(rows, i) || (want[0] != '*' && want[0] != name[0]))
            continue;
        if (strcmp(want, name) == 0 || (strchr(want, '*') != NULL && fnmatch(want, name, 0) == 0))
            return &planted_rows[i];
    }
    return NULL;
}

static bool is_sample(const struct planted_row *row, const char *name)
{
    return (row->flags & PLANTED_GIT) != 0 && span_ends(span_of(name), ".sample");
}

/* What is looked at from the start and so not again from the workspace's top. */
static bool at_start(const char *name)
{
    for (size_t i = 0; i < planted_row_count; i++)
        if (planted_rows[i].dir != NULL && (planted_rows[i].flags & PLANTED_GIT) == 0 &&
            strcmp(planted_rows[i].dir, name) == 0)
            return true;
    return strcmp(name, ".git") == 0;
}

/* Too many files, none of which the host runs by itself. */
static bool passed_over(const struct planted_folder *folder, const char *name)
{
    static const char *const stores[] = {"objects", "refs", "logs", "lfs", "annex"};

    for (size_t i = 0; folder->git && i < COUNT(stores); i++)
        if (strcmp(name, stores[i]) == 0)
            return true;
    return strcmp(name, "node_modules") == 0;
}

/* Where the name is one of git's own: what it leads to. */
static void follow_git(struct planted_look *look, const struct planted_folder *folder, const char *path,
                       const char *name)
{
    if (folder->worktree != NULL && (strcmp(name, "index") == 0 || strncmp(name, "sharedindex.", 12) == 0))
        planted_git_index(look, path, folder->worktree);
    if (strcmp(name, ".git") == 0)
        planted_git_file(look, path, folder->path);
}

static void add_named(struct planted_look *look, const struct planted_folder *folder, const char *path,
                      const struct planted_row *row)
{
    if (row != NULL && row->how == PLANTED_GIT_CONFIG)
        planted_git_config(look, path, row->runs, folder->worktree);
    else
        planted_add_entry(look, path, row != NULL ? row->runs : folder->runs, row != NULL ? row->how : PLANTED_WHOLE);
}

static void add_git(struct planted_look *look, const struct planted_folder *folder, const char *path,
                    const uint64_t down[PLANTED_ROW_WORDS])
{
    struct planted_folder *git = planted_add_folder(look, path, folder, down, NULL, true);

    if (git != NULL)
        git->worktree = folder->path;
}

/* A link is followed where a directory of the table is one, and is itself told where it leads out. */
static void visit_link(struct planted_look *look, const struct planted_folder *folder, const char *path,
                       const char *name, const struct planted_row *row, const uint64_t down[PLANTED_ROW_WORDS])
{
    char target[PATH_MAX];
    ssize_t len = readlinkat(look->root, path, target, sizeof target - 1);

    if (len < 0)
        return;
    target[len] = '\0';
    follow_git(look, folder, path, name);
    if (planted_leads_out(folder->path, target)) {
        planted_add_entry(look, path, "a link that leads out of the workspace", PLANTED_WHOLE);
        return;
    }
    bool git = strcmp(name, ".git") == 0;
    if (git || at_start(name) || (folder->git && strcmp(name, "hooks") == 0)) {
        planted_add_entry(look, path, "a link to what is run", PLANTED_WHOLE);
        if (git)
            add_git(look, folder, path, down);
        else
            planted_add_folder(look, path, folder, down, NULL, false);
    } else if (row != NULL || folder->runs != NULL) {
        add_named(look, folder, path, row);
    }
}

static void visit_file(struct planted_look *look, const struct planted_folder *folder, const char *path,
                       const char *name, const struct planted_row *row)
{
    struct stat st;

    follow_git(look, folder, path, name);
    if (row != NULL || folder->runs != NULL) {
        add_named(look, folder, path, row);
    } else if (look->since != NULL && fstatat(look->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
               S_ISREG(st.st_mode) && (st.st_mode & (S_ISUID | S_ISGID)) != 0 &&
               st.st_ctim.tv_sec >= look->since->tv_sec) {
        planted_add_entry(look, path, "anybody, with the owner's rights (set-user-id)", PLANTED_WHOLE);
    }
}

static void visit_name(struct planted_look *look, struct planted_folder *folder, const struct dirent *name,
                       const uint64_t here[PLANTED_ROW_WORDS], const uint64_t down[PLANTED_ROW_WORDS])
{
    const struct planted_row *row = row_of(here, name->d_name);
    char path[PATH_MAX];
    struct stat st;
    unsigned char type = name->d_type;

    if ((size_t)snprintf(path, sizeof path, "%s%s%s", folder->path, folder->path[0] != '\0' ? "/" : "",
                         name->d_name) >= sizeof path) {
        planted_say_partial(look, "names too long: not looked at below", folder->path);
        return;
    }
    if (type == DT_UNKNOWN && fstatat(look->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
        type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISLNK(st.st_mode) ? DT_LNK : DT_REG;
    if (row != NULL && is_sample(row, name->d_name))
        row = NULL;
    if (type == DT_LNK)
        visit_link(look, folder, path, name->d_name, row, down);
    else if (type != DT_DIR)
        visit_file(look, folder, path, name->d_name, row);
    else if (passed_over(folder, name->d_name) || (folder->path[0] == '\0' && at_start(name->d_name)))
        return;
    else if (strcmp(name->d_name, ".git") == 0)
        add_git(look, folder, path, down);
    else
        planted_add_folder(look, path, folder, down, NULL, false);
}

/* A directory with these is a repository to git, whatever its name is: HEAD, and objects and refs, or a file that says
 * where those are. */
struct bare {
    bool head, objects, refs, elsewhere;
};

static bool names_bare(struct bare *bare, const struct dirent *name)
{
    bare->head = bare->head || strcmp(name->d_name, "HEAD") == 0;
    bare->objects = bare->objects || strcmp(name->d_name, "objects") == 0;
    bare->refs = bare->refs || strcmp(name->d_name, "refs") == 0;
    bare->elsewhere = bare->elsewhere || strcmp(name->d_name, "commondir") == 0;
    return bare->head && ((bare->objects && bare->refs) || bare->elsewhere);
}

static void visit(struct planted_look *look, struct planted_folder *folder)
{
    const char *path = folder->path[0] != '\0' ? folder->path : ".";
    int fd = planted_open_beneath(look, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct bare bare = {0};
    uint64_t here[PLANTED_ROW_WORDS], down[PLANTED_ROW_WORDS];
    size_t count = 0;
    bool is_bare = false;

    if (dir == NULL) {
        bool enters = errno != EACCES || faccessat(look->root, folder->path, X_OK, AT_EACCESS) == 0;
        if (enters && errno != ENOENT && errno != ENOTDIR && errno != ELOOP && errno != EXDEV)
            planted_say_partial(look, "cannot be read:", folder->path);
        if (fd >= 0)
            close(fd);
        return;
    }
    rows_of(folder, here, down);
    for (const struct dirent *name; (name = readdir(dir)) != NULL;) {
        if (strcmp(name->d_name, ".") == 0 || strcmp(name->d_name, "..") == 0)
            continue;
        if (count++ == PLANTED_FOLDER_MAX || look->seen++ == PLANTED_ENTRIES_MAX) {
            planted_say_partial(look, "too many names: not all are known of", folder->path);
            break;
        }
        if (count % CLOCK_EVERY == 0 && !planted_in_time(look, folder->path))
            break;
        visit_name(look, folder, name, here, down);
        is_bare = names_bare(&bare, name) || is_bare;
    }
    if (is_bare && !folder->git) /* once more, as a repository; it is a directory like others, too */
        planted_add_folder(look, folder->path, folder, folder->rows, NULL, true);
    closedir(dir);
}

/* ---- a look ---- */

static int by_path(const void *a, const void *b)
{
    const struct planted_entry *one = a, *other = b;
    int order = strcmp(one->path, other->path);

    return order != 0 ? order : strcmp(one->runs, other->runs);
}

/* A directory may be met twice: as a place of the table, on PATH, and by its name. The same one stays each time. */
static void sort(struct planted *planted)
{
    size_t kept = 0;

    qsort(planted->entries, planted->count, sizeof *planted->entries, by_path);
    for (size_t i = 0; i < planted->count; i++)
        if (kept == 0 || strcmp(planted->entries[kept - 1].path, planted->entries[i].path) != 0)
            planted->entries[kept++] = planted->entries[i];
    planted->count = kept;
}

static void start(struct planted_look *look)
{
    const struct planted *out = look->out;

    struct planted_folder *top = planted_add_folder(look, ".git", NULL, NULL, NULL, true);
    if (top != NULL)
        top->worktree = "";
    planted_add_folder(look, ".git/hooks", NULL, NULL, NULL, true);
    for (size_t i = 0; i < planted_row_count; i++) {
        const struct planted_row *row = &planted_rows[i];
        if (row->dir == NULL && (row->flags & PLANTED_GIT) == 0 && strchr(row->name, '*') == NULL)
            planted_add_entry(look, row->name, row->runs, row->how);
        if (row->dir != NULL && (row->flags & PLANTED_GIT) == 0)
            planted_add_folder(look, row->dir, NULL, NULL, NULL, false);
    }
    for (size_t i = 0; i < out->extra_count; i++)
        planted_add_folder(look, out->extra[i], NULL, NULL, "whoever types its name (PATH)", false);
    planted_add_folder(look, "", NULL, NULL, NULL, false);
}

bool planted_walk(struct planted *out, const struct timespec *since, struct err *err)
{
    struct planted_look look = {.out = out, .since = since, .until_ms = clock_mono_ms() + PLANTED_MS};

    look.last = &look.first;
    out->names = arena_new(NAMES_BYTES);
    out->entries = mem_array(PLANTED_FILES_MAX, sizeof *out->entries);
    look.root = open(out->workspace, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (look.root < 0)
        return err_errno(err, ERR_IO, errno, "cannot look at the workspace %s", out->workspace);
    start(&look);
    for (struct planted_folder *folder = look.first; folder != NULL; folder = folder->next) {
        if (!planted_in_time(&look, folder->path))
            break;
        if (look.seen > PLANTED_ENTRIES_MAX)
            break;
        visit(&look, folder);
    }
    close(look.root);
    sort(out);
    return true;
}

bool planted_still(const struct planted *planted, const struct planted_entry *entry, uint8_t digest[CRYPTO_HASH_LEN])
{
    struct planted nothing = {.names = arena_new(NAMES_BYTES)}; /* for the hooks of a configuration */
    struct planted_look look = {.out = &nothing};

    look.last = &look.first;
    look.root = open(planted->workspace, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool there = look.root >= 0 && digest_of(&look, entry->path, entry->how, digest);
    file_close_ptr(&look.root);
    arena_free(nothing.names);
    return there;
}

/* The directories of PATH that are in the workspace; what is relative is so wherever the person stands. */
static void take_path(struct planted *out, const char *path)
{
    struct span rest = span_of(path), word;

    while (out->extra_count < PLANTED_PATHS_MAX && span_cut(&rest, ':', &word)) {
        AUTOFREE char *name = mem_strndup(word.p, word.len);
        AUTOFREE char *full = word.len > 0 && name[0] == '/' ? mem_strdup(name) : file_join(out->workspace, name);
        AUTOFREE char *real = realpath(full, NULL);
        size_t len = strlen(out->workspace);
        const char *shown = real != NULL ? real : full;
        if (strncmp(shown, out->workspace, len) == 0 && (shown[len] == '/' || shown[len] == '\0') &&
            strstr(shown, "/../") == NULL)
            out->extra[out->extra_count++] = mem_strdup(shown + len + (shown[len] == '/'));
    }
}

struct planted *planted_take(const char *workspace, const char *path, struct err *err)
{
    struct planted *out = mem_alloc(sizeof *out);

    out->workspace = mem_strdup(workspace);
    clock_gettime(CLOCK_REALTIME_COARSE, &out->taken); /* the one that file systems use */
    if (path != NULL)
        take_path(out, path);
    if (planted_walk(out, NULL, err))
        return out;
    planted_free(out);
    return NULL;
}

void planted_free(struct planted *planted)
{
    if (planted == NULL)
        return;
    for (size_t i = 0; i < planted->extra_count; i++)
        free(planted->extra[i]);
    arena_free(planted->names);
    free(planted->entries);
    free(planted->workspace);
    free(planted);
}
