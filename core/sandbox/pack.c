/* A walk with directory descriptors, so that a name that is exchanged meanwhile leads nowhere else, and a pipe that is
 * never waited for without a bound. */
#include "core/sandbox/pack.h"

#include "core/base/file.h"
#include "core/base/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEAD_BYTES = 64 * 1024, CHUNK = 64 * 1024, PATIENCE_MS = 250 };

/* ---- what was sent ---- */

void pack_list_clear(struct pack_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->entries[i].path);
    free(list->entries);
    *list = (struct pack_list){0};
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct pack_entry *)a)->path, ((const struct pack_entry *)b)->path);
}

const struct pack_entry *pack_list_find(const struct pack_list *list, const char *path)
{
    struct pack_entry key = {.path = (char *)(uintptr_t)path};

    return list->count > 0 ? bsearch(&key, list->entries, list->count, sizeof(key), by_path) : NULL;
}

static void note(struct pack_list *list, const char *path, const struct stat *st)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 256 : 2 * list->cap;
        list->entries = mem_resize(list->entries, list->cap, sizeof(*list->entries));
    }
    list->entries[list->count++] = (struct pack_entry){.path = mem_strdup(path), .mode = st->st_mode,
                                                       .size = (uint64_t)st->st_size, .mtime = st->st_mtim,
                                                       .ctime = st->st_ctim};
}

/* ---- the pipe ---- */

static const int asking[] = {SIGINT, SIGTERM, SIGHUP};

bool pack_asked_to_end(void)
{
    sigset_t waiting;
    bool asked = false;

    for (size_t i = 0; sigpending(&waiting) == 0 && i < COUNT(asking); i++)
        asked = asked || sigismember(&waiting, asking[i]) == 1;
    return asked;
}

void pack_forget_asked(void)
{
    const struct timespec now = {0};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < COUNT(asking); i++)
        sigaddset(&set, asking[i]);
    while (sigtimedwait(&set, NULL, &now) > 0)
        ;
}

static bool put(struct pack *pack, const void *data, size_t len, struct err *err)
{
    const uint8_t *p = data;
    unsigned waited_ms = 0;

    while (len > 0) {
        struct pollfd wait = {.fd = pack->fd, .events = POLLOUT};
        ssize_t n = write(pack->fd, p, len);
        if (n > 0) {
            p += n;
            len -= (size_t)n;
            waited_ms = 0;
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return err_errno(err, ERR_LAUNCH, errno, "the engine does not take the files");
        if (pack_asked_to_end())
            return err_set(err, ERR_FAILED, "interrupted");
        if (waited_ms >= PACK_STALL_MS)
            return err_set(err, ERR_TIMEOUT, "the engine takes no more of the files");
        if (poll(&wait, 1, PATIENCE_MS) == 0)
            waited_ms += PATIENCE_MS;
    }
    return true;
}

static bool put_head(struct pack *pack, const struct tar_entry *entry, struct tar_owner owner, struct err *err)
{
    if (pack->entries_left == 0 || entry->size > pack->bytes_left) {
        err_set(err, ERR_LIMIT, "the workspace has more than %zu files or %llu GiB, and all of it is copied to a "
                                "remote engine", PACK_ENTRIES_MAX, (unsigned long long)(PACK_BYTES_MAX >> 30));
        return err_hint(err, "Launch in a smaller directory, or with an engine of this machine");
    }
    pack->entries_left--;
    pack->bytes_left -= entry->size;
    pack->head.len = 0;
    if (!tar_write_head(&pack->head, entry, owner))
        return err_set(err, ERR_LIMIT, "the name %.100s... is too long to be copied", entry->name);
    return put(pack, pack->head.data, pack->head.len, err);
}

/* Exactly size bytes, as the head has said, whatever becomes of the file meanwhile. */
static bool put_file(struct pack *pack, int fd, uint64_t size, struct err *err)
{
    static uint8_t chunk[CHUNK];
    uint64_t left = size + tar_write_padding(size), real = size;

    while (left > 0) {
        size_t want = left < sizeof(chunk) ? (size_t)left : sizeof(chunk);
        ssize_t n = real > 0 ? read(fd, chunk, real < want ? (size_t)real : want) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) { /* shorter than it was, or over: zeros */
            real = 0;
            memset(chunk, 0, want);
            n = (ssize_t)want;
        } else {
            real -= (uint64_t)n;
        }
        if (!put(pack, chunk, (size_t)n, err))
            return false;
        left -= (uint64_t)n;
    }
    return true;
}

void pack_init(struct pack *pack, int fd)
{
    *pack = (struct pack){.fd = fd, .bytes_left = PACK_BYTES_MAX, .entries_left = PACK_ENTRIES_MAX};
    buf_init(&pack->head, HEAD_BYTES);
    (void)!proc_set_nonblock(fd);
}

void pack_clear(struct pack *pack)
{
    buf_clear(&pack->head);
}

/* ---- entries ---- */

bool pack_add(struct pack *pack, enum tar_type type, const char *name, const char *target, mode_t mode, struct err *err)
{
    struct tar_entry entry = {.type = type, .name = name, .target = target, .mode = mode};

    return put_head(pack, &entry, (struct tar_owner){0, 0}, err);
}

bool pack_file(struct pack *pack, const char *path, const char *name, mode_t mode, struct err *err)
{
    CLEANUP(file_close_ptr) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot read %s", path);
    struct tar_entry entry = {.type = TAR_FILE, .name = name, .mode = mode, .size = (uint64_t)st.st_size,
                              .mtime = st.st_mtim.tv_sec};
    return put_head(pack, &entry, (struct tar_owner){0, 0}, err) && put_file(pack, fd, entry.size, err);
}

/* ---- a tree ---- */

struct walk {
    struct pack *pack;
    struct pack_list *list;
    const char *name;
    size_t depth;
};

static bool walk(struct walk *self, int dir, const char *path, struct err *err);

static bool one(struct walk *self, int dir, const char *base, const char *path, struct err *err)
{
    AUTOFREE char *name = mem_printf("%s/%s", self->name, path);
    char target[TAR_NAME_MAX + 1];
    struct stat st;
    struct tar_entry entry = {.name = name};
    CLEANUP(file_close_ptr) int fd = -1;

    if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || err_errno(err, ERR_LAUNCH, errno, "cannot read %s", path);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode))
        return true;
    if (S_ISLNK(st.st_mode)) {
        ssize_t len = readlinkat(dir, base, target, TAR_NAME_MAX);
        if (len < 0)
            return err_errno(err, ERR_LAUNCH, errno, "cannot read %s", path);
        target[len] = '\0';
        entry.type = TAR_SYMLINK;
        entry.target = target;
    } else {
        entry.type = S_ISDIR(st.st_mode) ? TAR_DIRECTORY : TAR_FILE;
        fd = openat(dir, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC |
                                   (S_ISDIR(st.st_mode) ? O_DIRECTORY : 0));
        if (fd < 0 || fstat(fd, &st) != 0) {
            err_errno(err, ERR_LAUNCH, errno, "cannot read %s of the workspace", path);
            return err_hint(err, "All of it is copied to a remote engine: give it the permission, or launch elsewhere");
        }
        entry.size = entry.type == TAR_FILE ? (uint64_t)st.st_size : 0;
    }
    entry.mode = st.st_mode & 07777;
    entry.mtime = st.st_mtim.tv_sec;
    if (self->list != NULL)
        note(self->list, path, &st);
    if (!put_head(self->pack, &entry, (struct tar_owner){st.st_uid, st.st_gid}, err))
        return false;
    return entry.type == TAR_FILE        ? put_file(self->pack, fd, entry.size, err)
           : entry.type == TAR_DIRECTORY ? walk(self, fd, path, err)
                                         : true;
}

static bool walk(struct walk *self, int dir, const char *path, struct err *err)
{
    int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = again >= 0 ? fdopendir(again) : NULL;
    bool good = true;

    if (list == NULL) {
        file_close_ptr(&again);
        return err_errno(err, ERR_LAUNCH, errno, "cannot read the directory %s", path);
    }
    if (self->depth++ >= PACK_DEPTH_MAX)
        good = err_set(err, ERR_LIMIT, "the directory %.200s is more than %d deep in the workspace", path,
                       PACK_DEPTH_MAX);
    for (struct dirent *entry; good && (entry = readdir(list)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        AUTOFREE char *below = path[0] != '\0' ? mem_printf("%s/%s", path, entry->d_name) : mem_strdup(entry->d_name);
        good = one(self, dir, entry->d_name, below, err);
    }
    self->depth--;
    closedir(list);
    return good;
}

bool pack_tree(struct pack *pack, const char *path, const char *name, struct pack_list *list, struct err *err)
{
    CLEANUP(file_close_ptr) int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (dir < 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot read %s", path);
    return pack_directory(pack, dir, name, list, err);
}

bool pack_directory(struct pack *pack, int dir, const char *name, struct pack_list *list, struct err *err)
{
    struct walk self = {.pack = pack, .list = list, .name = name};
    struct stat st;

    if (fstat(dir, &st) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot read the directory %s", name);
    struct tar_entry entry = {.type = TAR_DIRECTORY, .name = name, .mode = st.st_mode & 07777,
                              .mtime = st.st_mtim.tv_sec};
    if (!put_head(pack, &entry, (struct tar_owner){st.st_uid, st.st_gid}, err) || !walk(&self, dir, "", err))
        return false;
    if (list != NULL && list->count > 1)
        qsort(list->entries, list->count, sizeof(*list->entries), by_path);
    return true;
}

bool pack_end(struct pack *pack, struct err *err)
{
    pack->head.len = 0;
    return tar_write_end(&pack->head) ? put(pack, pack->head.data, pack->head.len, err)
                                      : err_set(err, ERR_INTERNAL, "no room for an archive's end");
}
