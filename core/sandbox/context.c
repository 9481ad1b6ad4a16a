/* Walks a build's context with descriptors, in the order of names, and hashes what it finds. The tree is under the
 * agent's pen: its size, its depth and its names are bounded, and nothing outside of it is opened. */
#include "core/sandbox/context.h"

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/data/match.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IGNORE_FILE_BYTES = 64 * 1024, READ_BYTES = 64 * 1024, PATH_BYTES = 4096, PATTERN_BYTES = 256 };

/* ---- .dockerignore ---- */

void context_ignores_clear(struct context_ignores *ignores)
{
    for (size_t i = 0; i < ignores->count; i++)
        free(ignores->patterns[i]);
    ignores->count = 0;
}

/* Without the slashes and the "./" around it, as the engines clean it. */
static struct span clean(struct span line)
{
    for (;;) {
        if (span_starts(line, "./"))
            line = (struct span){line.p + 2, line.len - 2};
        else if (line.len > 0 && line.p[0] == '/')
            line = (struct span){line.p + 1, line.len - 1};
        else if (line.len > 0 && line.p[line.len - 1] == '/')
            line.len--;
        else
            return line;
    }
}

void context_ignores_parse(struct context_ignores *ignores, const char *text)
{
    struct span rest = span_of(text), line;

    ignores->count = 0;
    while (span_cut(&rest, '\n', &line)) {
        if (line.len > 0 && line.p[line.len - 1] == '\r')
            line.len--;
        if (line.len > 0 && line.p[0] == '#')
            continue;
        line = span_trim(line);
        bool keeps = line.len > 0 && line.p[0] == '!';
        if (keeps)
            line = span_trim((struct span){line.p + 1, line.len - 1});
        line = clean(line);
        bool odd = line.len > PATTERN_BYTES;
        for (size_t i = 0; i < line.len; i++)
            odd = odd || strchr("?[\\", line.p[i]) != NULL;
        if (line.len == 0 || (odd && !keeps))
            continue;
        if (ignores->count == CONTEXT_IGNORES_MAX) {
            context_ignores_clear(ignores);
            return;
        }
        ignores->keeps[ignores->count] = keeps;
        ignores->patterns[ignores->count++] = odd ? mem_strdup("**") : mem_strndup(line.p, line.len);
    }
}

static bool matches(const char *pattern, struct span path)
{
    /* Two stars and a slash also stand for no directory at all. */
    return glob_match(pattern, path) || (strncmp(pattern, "**/", 3) == 0 && glob_match(pattern + 3, path));
}

/* A pattern is for a path and for all below it; the last one decides. */
bool context_ignored(const struct context_ignores *ignores, const char *path)
{
    bool ignored = false;

    for (size_t i = 0; i < ignores->count; i++) {
        bool hit = matches(ignores->patterns[i], span_of(path));
        for (const char *slash = strchr(path, '/'); !hit && slash != NULL; slash = strchr(slash + 1, '/'))
            hit = matches(ignores->patterns[i], (struct span){path, (size_t)(slash - path)});
        if (hit)
            ignored = !ignores->keeps[i];
    }
    return ignored;
}

/* ---- the Dockerfile ---- */

bool context_is_used(const char *dockerfile)
{
    static const char *const words[] = {"COPY", "ADD", "--mount"};

    for (const char *p = dockerfile; *p != '\0'; p++) {
        if (p > dockerfile && (isalnum((unsigned char)p[-1]) || p[-1] == '_'))
            continue;
        for (size_t i = 0; i < COUNT(words); i++)
            if (strncasecmp(p, words[i], strlen(words[i])) == 0)
                return true;
    }
    return false;
}

/* ---- the walk ---- */

struct walk {
    struct sha256 *hash;
    struct context_ignores ignores;
    size_t files;
    uint64_t bytes;
    const char *except;    /* relative; NULL: none */
    char path[PATH_BYTES]; /* relative, of what is looked at */
    struct err *err;
};

static bool too_large(struct walk *walk)
{
    err_set(walk->err, ERR_LIMIT,
            "the build's context is too large (at most %d files, %llu bytes, %d directories deep)", CONTEXT_FILES_MAX,
            (unsigned long long)CONTEXT_BYTES_MAX, CONTEXT_DEPTH_MAX);
    return err_hint(walk->err, "Leave out what the image does not need: .dockerignore, or a smaller build.context");
}

static bool cannot_read(struct walk *walk)
{
    return err_errno(walk->err, ERR_IO, errno, "the build's context: cannot read %s", walk->path);
}

/* With its NUL, so that two texts are never read as two others. */
static void add_text(struct walk *walk, const char *kind, const char *text)
{
    sha256_add(walk->hash, kind, 1);
    sha256_add(walk->hash, text, strlen(text) + 1);
}

static bool add_contents(struct walk *walk, int dir, const char *name)
{
    CLEANUP(file_close_ptr) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    AUTOFREE uint8_t *bytes = mem_alloc(READ_BYTES);
    uint8_t size[8];
    uint64_t total = 0;

    if (fd < 0)
        return cannot_read(walk);
    for (;;) {
        ssize_t n = read(fd, bytes, READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cannot_read(walk);
        if (n == 0)
            break;
        sha256_add(walk->hash, bytes, (size_t)n);
        total += (uint64_t)n;
        walk->bytes += (uint64_t)n;
        if (walk->bytes > CONTEXT_BYTES_MAX)
            return too_large(walk);
    }
    for (size_t i = 0; i < sizeof(size); i++)
        size[i] = (uint8_t)(total >> (8 * i));
    sha256_add(walk->hash, size, sizeof(size));
    return true;
}

static bool add_directory(struct walk *walk, int dir, size_t depth);

static bool add_entry(struct walk *walk, int dir, const char *name, size_t depth)
{
    struct stat st;
    char target[PATH_BYTES];

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || cannot_read(walk);
    bool ignored = context_ignored(&walk->ignores, walk->path);
    if (S_ISDIR(st.st_mode)) { /* something in it may be kept */
        int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return ignored || cannot_read(walk);
        if (!ignored)
            add_text(walk, "d", walk->path);
        return add_directory(walk, fd, depth + 1);
    }
    if (ignored || (walk->except != NULL && strcmp(walk->path, walk->except) == 0))
        return true;
    if (S_ISLNK(st.st_mode)) {
        ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);
        if (n < 0)
            return cannot_read(walk);
        target[n] = '\0';
        add_text(walk, "l", walk->path);
        add_text(walk, "t", target);
        return true;
    }
    add_text(walk, S_ISREG(st.st_mode) ? (st.st_mode & S_IXUSR) != 0 ? "x" : "f" : "o", walk->path);
    return !S_ISREG(st.st_mode) || add_contents(walk, dir, name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of a directory; counted against the whole walk, so that no list is longer than that allows. */
static bool read_names(struct walk *walk, DIR *dir, char ***names, size_t *count)
{
    size_t cap = 0;

    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || strcmp(entry->d_name, ".git") == 0)
            continue;
        if (++walk->files > CONTEXT_FILES_MAX)
            return too_large(walk);
        if (*count == cap) {
            cap = cap == 0 ? 64 : cap * 2;
            *names = mem_resize(*names, cap, sizeof(**names));
        }
        (*names)[(*count)++] = mem_strdup(entry->d_name);
    }
    return true;
}

/* Takes the descriptor. */
static bool add_directory(struct walk *walk, int fd, size_t depth)
{
    size_t used = strlen(walk->path), count = 0;
    char **names = NULL;
    DIR *dir = fdopendir(fd);

    if (dir == NULL) {
        close(fd);
        return cannot_read(walk);
    }
    bool good = depth < CONTEXT_DEPTH_MAX ? read_names(walk, dir, &names, &count) : too_large(walk);
    if (good && count > 1)
        qsort(names, count, sizeof(*names), by_name);
    for (size_t i = 0; good && i < count; i++) {
        int n = snprintf(walk->path + used, sizeof(walk->path) - used, "%s%s", used > 0 ? "/" : "", names[i]);
        good = (n > 0 && used + (size_t)n < sizeof(walk->path)) ? add_entry(walk, dirfd(dir), names[i], depth)
                                                                : too_large(walk);
        walk->path[used] = '\0';
    }
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    closedir(dir);
    return good;
}

bool context_hash(struct sha256 *hash, const char *context, const char *except, struct err *err)
{
    struct walk walk = {.hash = hash, .err = err};
    AUTOFREE char *path = file_join(context, ".dockerignore");
    struct buf text;
    struct err reason = {0};
    size_t len = strlen(context);

    if (strncmp(except, context, len) == 0 && except[len] == '/')
        walk.except = except + len + 1;
    if (file_read(path, IGNORE_FILE_BYTES, &text, &reason)) {
        context_ignores_parse(&walk.ignores, buf_cstr(&text));
        buf_clear(&text);
    } else if (reason.code != ERR_NOT_FOUND) {
        *err = reason;
        return false;
    }
    int fd = open(context, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool good = fd >= 0 ? add_directory(&walk, fd, 0)
                        : err_errno(err, ERR_IO, errno, "cannot read the build's context %s", context);
    context_ignores_clear(&walk.ignores);
    return good;
}
