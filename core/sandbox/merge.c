/* First what is gone goes, the deepest first; then the tree that came is walked. Each step is made in a directory that
 * was opened below the workspace without a symbolic link on the way. A file is written beside its place and renamed. */
#include "core/sandbox/merge.h"

#include "core/base/file.h"
#include "core/base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024 };

struct merging {
    const struct merge_spec *spec;
    struct merge_report *report;
    int root; /* the workspace */
    int came;
};

static int open_below(int root, const char *path, int flags)
{
    struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};

    return (int)syscall(SYS_openat2, root, *path != '\0' ? path : ".", &how, sizeof(how));
}

/* The directory of a path, and its last component. */
static int open_parent(int root, const char *path, const char **base)
{
    const char *slash = strrchr(path, '/');
    AUTOFREE char *above = mem_strndup(path, slash != NULL ? (size_t)(slash - path) : 0);

    *base = slash != NULL ? slash + 1 : path;
    return open_below(root, above, O_PATH | O_DIRECTORY);
}

static bool stat_below(int root, const char *path, struct stat *st)
{
    const char *base;
    CLEANUP(file_close_ptr) int parent = open_parent(root, path, &base);

    return parent >= 0 && fstatat(parent, base, st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* As it was when it was sent. Of a directory only that it is one: what is in it is asked by itself. */
static bool untouched(const struct pack_entry *sent, const struct stat *now)
{
    return sent != NULL && (sent->mode & S_IFMT) == (now->st_mode & S_IFMT) &&
           (S_ISDIR(now->st_mode) ||
            (sent->size == (uint64_t)now->st_size && same_time(&sent->mtime, &now->st_mtim) &&
             same_time(&sent->ctime, &now->st_ctim)));
}

static bool failed(const char *path, struct err *err)
{
    err_errno(err, ERR_IO, errno, "cannot bring %.200s back into the workspace", path);
    return false;
}

/* ---- whether it can be taken ---- */

/* Before anything is changed here. Each name counts: what came once may have many (hard links), and becomes a file here
 * for each. */
static bool survey(const char *path, int dir, size_t depth, uint64_t *bytes_left, struct err *err)
{
    int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = again >= 0 ? fdopendir(again) : NULL;
    struct stat st;
    bool good = true;

    if (list == NULL) {
        file_close_ptr(&again);
        return failed(path, err);
    }
    if (depth > PACK_DEPTH_MAX)
        good = err_set(err, ERR_LIMIT, "the directory %.200s is more than %d deep", path, PACK_DEPTH_MAX);
    for (struct dirent *entry; good && (entry = readdir(list)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        AUTOFREE char *below = path[0] != '\0' ? mem_printf("%s/%s", path, entry->d_name) : mem_strdup(entry->d_name);
        good = fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 || failed(below, err);
        uint64_t bytes = good && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
        if (good && bytes > *bytes_left)
            good = err_set(err, ERR_LIMIT, "with all of its names it is larger than what is copied at most");
        *bytes_left -= good ? bytes : 0;
        if (!good || !S_ISDIR(st.st_mode))
            continue;
        CLEANUP(file_close_ptr) int inner = openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        good = inner >= 0 ? survey(below, inner, depth + 1, bytes_left, err) : failed(below, err);
    }
    closedir(list);
    return good;
}

/* ---- what is gone ---- */

static bool remove_one(struct merging *self, const struct pack_entry *sent, struct err *err)
{
    struct stat here, there;
    const char *base;

    if (stat_below(self->came, sent->path, &there) && (there.st_mode & S_IFMT) == (sent->mode & S_IFMT))
        return true;
    CLEANUP(file_close_ptr) int parent = open_parent(self->root, sent->path, &base);
    if (parent < 0 || fstatat(parent, base, &here, AT_SYMLINK_NOFOLLOW) != 0)
        return true; /* here too */
    if (!untouched(sent, &here)) {
        self->report->conflicts++;
        return true;
    }
    if (unlinkat(parent, base, S_ISDIR(here.st_mode) ? AT_REMOVEDIR : 0) == 0) {
        self->report->removed += !S_ISDIR(here.st_mode);
        return true;
    }
    /* Something new is in it. */
    return errno == ENOTEMPTY || errno == EEXIST || failed(sent->path, err);
}

/* ---- what came ---- */

/* Absolute, or above the workspace; depth: components of the directory that it is in. Behind a name no ".." is taken:
 * the name may be another link, and several that each stay inside would lead out together. */
static bool leads_out(const char *target, size_t depth)
{
    struct span rest = span_of(target), word;
    bool down = false;

    if (target[0] == '/' || target[0] == '\0')
        return true;
    while (span_cut(&rest, '/', &word)) {
        if (span_eqs(word, "..")) {
            if (down || depth == 0)
                return true;
            depth--;
        } else if (word.len > 0 && !span_eqs(word, ".")) {
            down = true;
        }
    }
    return false;
}

static bool same_link(int a, const char *base_a, int b, const char *base_b)
{
    char one[TAR_NAME_MAX + 1], two[TAR_NAME_MAX + 1];
    ssize_t one_len = readlinkat(a, base_a, one, sizeof(one)), two_len = readlinkat(b, base_b, two, sizeof(two));

    return one_len >= 0 && one_len == two_len && memcmp(one, two, (size_t)one_len) == 0;
}

static bool same_bytes(int a, int b)
{
    static uint8_t one[CHUNK], two[CHUNK];

    for (off_t at = 0;;) {
        ssize_t one_len = pread(a, one, sizeof(one), at), two_len = pread(b, two, sizeof(two), at);
        if (one_len != two_len || one_len < 0 || memcmp(one, two, (size_t)one_len) != 0)
            return false;
        if (one_len == 0)
            return true;
        at += one_len;
    }
}

/* Whoever is no root has what is made as the own anyway. */
static bool give(const struct merging *self, int fd)
{
    return fchown(fd, self->spec->uid, self->spec->gid) == 0 || geteuid() != 0;
}

static bool copy(int from, int to)
{
    static uint8_t chunk[CHUNK];
    struct err ignored = {0};
    ssize_t n;

    while ((n = read(from, chunk, sizeof(chunk))) > 0)
        if (!file_write_all(to, chunk, (size_t)n, &ignored))
            return false;
    return n == 0;
}

/* Whether it is what it was when it was looked at; here NULL: nothing. */
static bool still(int parent, const char *base, const struct stat *here)
{
    struct stat now;
    bool there = fstatat(parent, base, &now, AT_SYMLINK_NOFOLLOW) == 0;

    return there == (here != NULL) && (!there || (now.st_ino == here->st_ino && now.st_size == here->st_size &&
                                                  same_time(&now.st_ctim, &here->st_ctim)));
}

static bool write_file(struct merging *self, int from, const struct stat *came, int parent, const char *base,
                       const char *path, const struct stat *here, struct err *err)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, came->st_mtim};
    AUTOFREE char *temp = mem_printf(".aileron-%ld.new", (long)getpid());
    CLEANUP(file_close_ptr) int to = -1;

    unlinkat(parent, temp, 0); /* of an earlier one that was killed, and had our number */
    to = openat(parent, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        return failed(path, err);
    bool good = copy(from, to) && give(self, to) && fchmod(to, came->st_mode & 0777) == 0 && futimens(to, times) == 0;
    bool conflict = good && !still(parent, base, here); /* a large file takes a while, and somebody works here */
    if (good && !conflict && renameat(parent, temp, parent, base) == 0) {
        self->report->changed++;
        return true;
    }
    self->report->conflicts += conflict;
    if (!conflict)
        failed(path, err);
    unlinkat(parent, temp, 0);
    return conflict;
}

/* Whether what is here in that place may be replaced; a conflict is counted where not. here NULL: there is nothing. */
static bool may_replace(struct merging *self, const char *path, const struct stat *here, const struct stat *came)
{
    const struct pack_entry *sent = pack_list_find(self->spec->sent, path);
    bool good;

    if (here != NULL)
        good = !S_ISDIR(here->st_mode) && untouched(sent, here);
    else /* removed here: that stands, unless the agent has written to it */
        good = sent == NULL || (uint64_t)came->st_size != sent->size || came->st_mtim.tv_sec != sent->mtime.tv_sec;
    self->report->conflicts += !good && here != NULL;
    return good;
}

static bool take_file(struct merging *self, int came_dir, int parent, const char *base, const char *path,
                      const struct stat *came, const struct stat *here, struct err *err)
{
    CLEANUP(file_close_ptr) int from = openat(came_dir, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (from < 0)
        return failed(path, err);
    if (here != NULL && S_ISREG(here->st_mode) && here->st_size == came->st_size) {
        CLEANUP(file_close_ptr) int ours = openat(parent, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (ours >= 0 && same_bytes(from, ours)) {
            if (((here->st_mode ^ came->st_mode) & 0777) == 0)
                return true;
            if (!may_replace(self, path, here, came))
                return true;
            self->report->changed++;
            return fchmod(ours, came->st_mode & 0777) == 0 || failed(path, err);
        }
    }
    return !may_replace(self, path, here, came) || write_file(self, from, came, parent, base, path, here, err);
}

static bool take_link(struct merging *self, int came_dir, int parent, const char *base, const char *path, size_t depth,
                      const struct stat *came, const struct stat *here, struct err *err)
{
    char target[TAR_NAME_MAX + 1];
    ssize_t len = readlinkat(came_dir, base, target, sizeof(target) - 1);

    if (len < 0)
        return failed(path, err);
    target[len] = '\0';
    if (here != NULL && S_ISLNK(here->st_mode) && same_link(came_dir, base, parent, base))
        return true;
    if (leads_out(target, depth)) {
        self->report->links++;
        return true;
    }
    if (!may_replace(self, path, here, came))
        return true;
    if ((here != NULL && unlinkat(parent, base, 0) != 0) || symlinkat(target, parent, base) != 0)
        return failed(path, err);
    if (geteuid() == 0)
        (void)!fchownat(parent, base, self->spec->uid, self->spec->gid, AT_SYMLINK_NOFOLLOW);
    self->report->changed++;
    return true;
}

static bool take_all(struct merging *self, int came_dir, int parent, const char *path, size_t depth, struct err *err);

static bool take_directory(struct merging *self, int came_dir, int parent, const char *base, const char *path,
                           size_t depth, const struct stat *came, const struct stat *here, struct err *err)
{
    if (here != NULL && !S_ISDIR(here->st_mode)) {
        if (!may_replace(self, path, here, came))
            return true;
        if (unlinkat(parent, base, 0) != 0)
            return failed(path, err);
        here = NULL;
    }
    if (here == NULL && mkdirat(parent, base, 0700) != 0)
        return failed(path, err);
    CLEANUP(file_close_ptr) int from = openat(came_dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    CLEANUP(file_close_ptr) int to = openat(parent, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0 || to < 0)
        return failed(path, err);
    if (here == NULL && (!give(self, to) || fchmod(to, came->st_mode & 0777) != 0))
        return failed(path, err);
    const struct pack_entry *sent = pack_list_find(self->spec->sent, path);
    bool good = take_all(self, from, to, path, depth + 1, err);
    if (here == NULL && sent != NULL && S_ISDIR(sent->mode)) /* removed here: that stands, unless something came in */
        (void)unlinkat(parent, base, AT_REMOVEDIR);
    return good;
}

static bool take(struct merging *self, int came_dir, int parent, const char *base, const char *path, size_t depth,
                 struct err *err)
{
    struct stat came, now;
    const struct stat *here = fstatat(parent, base, &now, AT_SYMLINK_NOFOLLOW) == 0 ? &now : NULL;

    if (fstatat(came_dir, base, &came, AT_SYMLINK_NOFOLLOW) != 0)
        return failed(path, err);
    if (S_ISDIR(came.st_mode))
        return take_directory(self, came_dir, parent, base, path, depth, &came, here, err);
    if (S_ISLNK(came.st_mode))
        return take_link(self, came_dir, parent, base, path, depth, &came, here, err);
    return !S_ISREG(came.st_mode) || take_file(self, came_dir, parent, base, path, &came, here, err);
}

static bool take_all(struct merging *self, int came_dir, int parent, const char *path, size_t depth, struct err *err)
{
    int again = openat(came_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = again >= 0 ? fdopendir(again) : NULL;
    bool good = true;

    if (list == NULL) {
        file_close_ptr(&again);
        return failed(path, err);
    }
    for (struct dirent *entry; good && (entry = readdir(list)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        AUTOFREE char *below = path[0] != '\0' ? mem_printf("%s/%s", path, entry->d_name) : mem_strdup(entry->d_name);
        good = take(self, came_dir, parent, entry->d_name, below, depth, err);
    }
    closedir(list);
    return good;
}

bool merge(const struct merge_spec *spec, struct merge_report *report, struct err *err)
{
    CLEANUP(file_close_ptr) int came = open(spec->from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct merging self = {.spec = spec, .report = report, .root = spec->workspace, .came = came};
    uint64_t bytes_left = spec->bytes_max;

    *report = (struct merge_report){0};
    if (came < 0)
        return err_errno(err, ERR_IO, errno, "cannot open what came back");
    bool good = survey("", came, 0, &bytes_left, err);
    for (size_t i = spec->sent->count; good && i > 0; i--)
        good = remove_one(&self, &spec->sent->entries[i - 1], err);
    return good && take_all(&self, came, spec->workspace, "", 0, err);
}
