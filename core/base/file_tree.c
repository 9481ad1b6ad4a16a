/* Removing a tree that someone hostile may have filled: without recursion, without long paths, without
 * following a link. Directories in directories are first moved up to the top, so that two descriptors
 * and any depth are enough. */
#include "core/base/file.h"

#include "core/base/id.h"
#include "core/base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A pass over the top removes one level. A bound, should somebody go on filling it meanwhile. */
enum { PASSES_MAX = 100000 };

struct removal {
    const char *path;
    int top;
    struct err *err;
};

static bool failed(const struct removal *r, int errno_value, const char *name)
{
    return err_errno(r->err, ERR_IO, errno_value, "cannot remove %s in %s", name, r->path);
}

static void dir_close_ptr(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

/* Opens a directory for reading, whatever its mode was. *missing is set where it is gone or no directory. */
static DIR *open_dir(int parent, const char *name, bool *missing, const struct removal *r)
{
    *missing = false;
    CLEANUP(file_close_ptr) int handle = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct statx st;
    if (handle < 0 || statx(handle, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st) != 0) {
        *missing = errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
        if (!*missing)
            failed(r, errno, name);
        return NULL;
    }
    if (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) {
        err_set(r->err, ERR_CONFLICT, "%s in %s is a mounted file system", name, r->path);
        err_hint(r->err, "Unmount it, then try again");
        return NULL;
    }
    if ((st.stx_mode & 0700) != 0700) {
        char proc[64]; /* fchmod does not take an O_PATH descriptor, and the name may be another by now */
        snprintf(proc, sizeof(proc), "/proc/self/fd/%d", handle);
        (void)chmod(proc, 0700); /* the open tells */
    }
    int fd = openat(handle, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        failed(r, errno, name);
        if (fd >= 0)
            close(fd);
    }
    return dir;
}

static const char *next_name(DIR *dir)
{
    for (;;) {
        struct dirent *entry = readdir(dir);
        if (!entry)
            return NULL;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return entry->d_name;
    }
}

/* 0, or why not; ENOTEMPTY for a directory that has to be emptied first. */
static int remove_entry(int dir, const char *name)
{
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return errno;
    if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    return errno == EEXIST ? ENOTEMPTY : errno;
}

/* What is in a directory of the top: files go, directories move up. */
static bool empty_child(const struct removal *r, const char *child)
{
    bool missing;
    CLEANUP(dir_close_ptr) DIR *dir = open_dir(r->top, child, &missing, r);
    if (!dir)
        return missing;
    for (const char *name; (name = next_name(dir)) != NULL;) {
        int why = remove_entry(dirfd(dir), name);
        if (why == 0)
            continue;
        if (why != ENOTEMPTY)
            return failed(r, why, name);
        /* Moving a directory writes its "..", so it must be writable: opening it sees to that. */
        DIR *inner = open_dir(dirfd(dir), name, &missing, r);
        if (!inner && !missing)
            return false;
        if (inner)
            closedir(inner);
        uint8_t random[12];
        char up[2 * sizeof(random) + 1];
        random_bytes(random, sizeof(random));
        text_hex(random, sizeof(random), up);
        if (renameat(dirfd(dir), name, r->top, up) != 0 && errno != ENOENT)
            return failed(r, errno, name);
    }
    return true;
}

static bool empty_top(const struct removal *r, DIR *top)
{
    for (int pass = 0; pass < PASSES_MAX; pass++) {
        bool found = false;
        rewinddir(top);
        for (const char *name; (name = next_name(top)) != NULL;) {
            found = true;
            int why = remove_entry(r->top, name);
            if (why == 0)
                continue;
            if (why != ENOTEMPTY)
                return failed(r, why, name);
            if (!empty_child(r, name))
                return false;
            (void)unlinkat(r->top, name, AT_REMOVEDIR); /* what came meanwhile goes in the next pass */
        }
        if (!found)
            return true;
    }
    err_set(r->err, ERR_LIMIT, "cannot remove %s: something still writes there", r->path);
    return err_hint(r->err, "End the programs that use it, then try again");
}

bool file_remove_tree(const char *path, struct err *err)
{
    struct removal r = {.path = path, .err = err};
    bool missing;
    if (unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR)
        return true;
    CLEANUP(dir_close_ptr) DIR *top = open_dir(AT_FDCWD, path, &missing, &r);
    if (!top)
        return missing;
    r.top = dirfd(top);
    if (!empty_top(&r, top))
        return false;
    if (rmdir(path) != 0 && errno != ENOENT)
        return err_errno(err, ERR_IO, errno, "cannot remove %s", path);
    return true;
}
