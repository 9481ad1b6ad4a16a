/* A layer is read twice: first its whiteouts, which are about the layers below it, then the rest. An archive that is
 * compressed is read from a program's pipe. */
#include "core/sandbox/unpack.h"

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/proc.h"
#include "core/sandbox/layout.h"
#include "core/wire/tar.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024, MAGIC_BYTES = 6, PATIENCE_MS = 250 };

#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"

struct unpack {
    int root;
    bool layer, whiteouts; /* whiteouts: this time only they */
    bool over;             /* the archive's end was there */
    bool skip;             /* what cannot be made is left out */
    int stall_ms;          /* for a byte of a pipe; -1: as long as it takes */
    bool (*stop)(void);    /* NULL: nobody stops it */
    int file;              /* that is being written, or -1 */
    struct tar_entry entry;
    struct unpack_left *left;
};

/* ---- inside the directory ---- */

static int open_below(int root, const char *path, int flags)
{
    struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

    return (int)syscall(SYS_openat2, root, *path != '\0' ? path : ".", &how, sizeof(how));
}

/* The directory that `name` is in; where it is missing it is made, as an entry of its own, unless left is NULL. */
static int open_parent(int root, const char *name, struct unpack_left *left)
{
    const char *slash = strrchr(name, '/');
    AUTOFREE char *path = mem_strndup(name, slash != NULL ? (size_t)(slash - name) : 0);
    int fd = open_below(root, path, O_PATH | O_DIRECTORY);

    if (fd >= 0 || left == NULL || errno != ENOENT || slash == NULL)
        return fd;
    CLEANUP(file_close_ptr) int above = open_parent(root, path, left);
    const char *last = strrchr(path, '/');
    if (above < 0 || left->entries == 0)
        return -1;
    left->entries--;
    if (mkdirat(above, last != NULL ? last + 1 : path, 0755) != 0)
        return -1; /* a link that leads nowhere is in its place */
    return open_below(root, path, O_PATH | O_DIRECTORY);
}

static const char *base_of(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash != NULL ? slash + 1 : name;
}

static bool remove_in(int dir, const char *name, struct err *err)
{
    AUTOFREE char *path = mem_printf("/proc/self/fd/%d/%s", dir, name);

    return file_remove_tree(path, err);
}

static bool empty(int parent, struct err *err)
{
    int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    bool good = dir != NULL;

    if (dir == NULL)
        file_close_ptr(&fd);
    for (struct dirent *entry; good && (entry = readdir(dir)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            good = remove_in(parent, entry->d_name, err);
    if (dir != NULL)
        closedir(dir);
    return good || err_hint_default(err, "Is the file system below $AILERON_HOME in order?");
}

static bool take_away(const struct unpack *self, const char *name, struct err *err)
{
    const char *base = base_of(name), *gone = base + sizeof(WHITEOUT) - 1;
    CLEANUP(file_close_ptr) int parent = open_parent(self->root, name, NULL);

    if (parent < 0)
        return true; /* there was nothing */
    if (strcmp(base, OPAQUE) == 0)
        return empty(parent, err);
    if (*gone == '\0' || strcmp(gone, ".") == 0 || strcmp(gone, "..") == 0)
        return err_set(err, ERR_DATA, "a layer takes away what has no name");
    return remove_in(parent, gone, err);
}

/* ---- entries ---- */

static bool failed(const struct unpack *self, struct err *err)
{
    int why = errno;

    err_errno(err, why == ENOSPC || why == EDQUOT ? ERR_IO : ERR_DATA, why, "cannot unpack %s", self->entry.name);
    return err_hint(err, "Is the archive whole, and is there room below $AILERON_HOME?");
}

static bool too_large(struct err *err)
{
    err_set(err, ERR_LIMIT, "the image has more than %llu entries or %llu GiB", (unsigned long long)UNPACK_ENTRIES_MAX,
            (unsigned long long)(UNPACK_BYTES_MAX >> 30));
    return err_hint(err, "Unpack it yourself and name the directory, if you trust it");
}

static bool make_directory(const struct unpack *self, int parent, const char *base, struct err *err)
{
    mode_t mode = (self->entry.mode & 0777) | S_IRWXU;
    struct stat st;
    bool there = fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) == 0;

    if (there && !S_ISDIR(st.st_mode)) {
        if (!remove_in(parent, base, err))
            return false;
        there = false;
    }
    if (!there && mkdirat(parent, base, mode) != 0)
        return failed(self, err);
    CLEANUP(file_close_ptr) int fd = openat(parent, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return (fd >= 0 && fchmod(fd, mode) == 0) || failed(self, err);
}

static bool make_hard_link(const struct unpack *self, int parent, const char *base, struct err *err)
{
    const char *target = base_of(self->entry.target);
    CLEANUP(file_close_ptr) int from = open_parent(self->root, self->entry.target, NULL);
    struct stat st, old;

    if (from < 0 || fstatat(from, target, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return failed(self, err);
    if (fstatat(parent, base, &old, AT_SYMLINK_NOFOLLOW) == 0) {
        if (old.st_dev == st.st_dev && old.st_ino == st.st_ino)
            return true;
        if (!remove_in(parent, base, err))
            return false;
    }
    return linkat(from, target, parent, base, 0) == 0 || failed(self, err);
}

static bool make(struct unpack *self, struct err *err)
{
    const struct tar_entry *entry = &self->entry;
    const char *base = base_of(entry->name);
    CLEANUP(file_close_ptr) int parent = open_parent(self->root, entry->name, self->left);

    if (parent < 0 && self->left->entries == 0)
        return too_large(err);
    if (parent < 0)
        return failed(self, err);
    if (entry->type == TAR_DIRECTORY)
        return make_directory(self, parent, base, err);
    if (entry->type == TAR_HARDLINK)
        return make_hard_link(self, parent, base, err);
    if (!remove_in(parent, base, err))
        return false;
    if (entry->type == TAR_SYMLINK)
        return symlinkat(entry->target, parent, base) == 0 || failed(self, err);
    self->file = openat(parent, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return self->file >= 0 || failed(self, err);
}

/* The file that was written is over. */
static bool finish(struct unpack *self, struct err *err)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = self->entry.mtime}};
    bool good = self->file < 0 ||
                (fchmod(self->file, (self->entry.mode & 0777) | S_IRUSR) == 0 && futimens(self->file, times) == 0) ||
                err_errno(err, ERR_IO, errno, "cannot set the mode of a file that was unpacked");

    file_close_ptr(&self->file);
    return good;
}

static bool on_entry(struct unpack *self, struct err *err)
{
    const struct tar_entry *entry = &self->entry;
    bool whiteout = self->layer && strncmp(base_of(entry->name), WHITEOUT, sizeof(WHITEOUT) - 1) == 0;
    bool dev = strncmp(entry->name, "dev/", 4) == 0; /* the sandbox has its own */

    if (self->left->entries == 0 || entry->size > self->left->bytes)
        return too_large(err);
    self->left->entries--;
    self->left->bytes -= entry->size;
    if (self->whiteouts)
        return !whiteout || take_away(self, entry->name, err);
    if (whiteout || dev || entry->name[0] == '\0')
        return true;
    if (entry->type == TAR_OTHER && self->skip)
        return true;
    if (entry->type == TAR_OTHER) {
        err_set(err, ERR_DATA, "the image has a device or a FIFO, %s", entry->name);
        return err_hint(err, "Leave it out of the archive: the sandbox has a /dev of its own");
    }
    return make(self, err);
}

static bool take_bytes(struct unpack *self, struct tar *tar, struct span input, struct err *err)
{
    struct tar_entry entry;
    struct span data;

    for (;;) {
        switch (tar_next(tar, &input, &entry, &data, err)) {
        case TAR_NEED_MORE:
            return true;
        case TAR_ENTRY:
            if (!finish(self, err))
                return false;
            self->entry = entry;
            if (!on_entry(self, err))
                return false;
            break;
        case TAR_DATA:
            if (self->file >= 0 && !file_write_all(self->file, data.p, data.len, err))
                return err_wrap(err, "cannot unpack %s", self->entry.name);
            break;
        case TAR_END:
            self->over = true;
            return true;
        case TAR_ERROR:
            return false;
        }
    }
}

/* ---- the archive ---- */

static ssize_t read_some(const struct unpack *self, int fd, char *chunk)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    for (int waited_ms = 0;;) {
        if (self->stop != NULL && self->stop()) {
            errno = ECANCELED;
            return -1;
        }
        int ready = self->stall_ms >= 0 ? poll(&wait, 1, PATIENCE_MS) : 1;
        if (ready > 0)
            return read(fd, chunk, CHUNK);
        if (ready == 0 && (waited_ms += PATIENCE_MS) > self->stall_ms) {
            errno = ETIMEDOUT;
            return -1;
        }
    }
}

/* Up to its end: what follows that may be as long as it likes. */
static bool take_all(struct unpack *self, int fd, struct err *err)
{
    AUTOFREE char *chunk = mem_alloc(CHUNK);
    struct tar *tar = tar_new();
    bool good = true;
    ssize_t n = 1;

    self->over = false;
    while (good && n > 0 && !self->over) {
        n = read_some(self, fd, chunk);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n < 0 && errno == ECANCELED)
            good = err_set(err, ERR_FAILED, "interrupted");
        else if (n < 0)
            good = err_errno(err, ERR_IO, errno, "cannot read the archive");
        else if (n > 0)
            good = take_bytes(self, tar, (struct span){chunk, (size_t)n}, err);
    }
    good = good && tar_eof(tar, err) && finish(self, err);
    file_close_ptr(&self->file);
    tar_free(tar);
    return good;
}

static const char *const programs[][3] = {
    {"\x1f\x8b", "gzip", NULL},
    {"\x28\xb5\x2f\xfd", "zstd", NULL},
    {"\xfd" "7zXZ", "xz", "--memlimit-decompress=512MiB"},
};

/* Its index in the table, or -1: not compressed. */
static int program_for(int fd)
{
    char magic[MAGIC_BYTES] = "";

    if (pread(fd, magic, sizeof(magic), 0) <= 0)
        return -1;
    for (size_t i = 0; i < COUNT(programs); i++)
        if (memcmp(magic, programs[i][0], strlen(programs[i][0])) == 0)
            return (int)i;
    return -1;
}

static bool take_piped(struct unpack *self, int fd, const char *const *program, struct err *err)
{
    const char *search = getenv("PATH"), *name = program[1];
    AUTOFREE char *path = proc_which(name, search != NULL ? search : SANDBOX_PATH);
    char *argv[] = {mem_strdup(name), mem_strdup("-dc"), program[2] != NULL ? mem_strdup(program[2]) : NULL, NULL};
    int ends[2] = {-1, -1}, status = 0;
    pid_t pid = -1;

    if (path == NULL) {
        err_set(err, ERR_UNAVAILABLE, "the archive is compressed, and there is no %s on PATH", name);
        err_hint(err, "Install %s, or unpack the archive yourself", name);
    } else if (pipe2(ends, O_CLOEXEC) != 0) {
        err_errno(err, ERR_LAUNCH, errno, "cannot start %s", name);
    } else {
        struct proc_fd fds[] = {{fd, STDIN_FILENO}, {ends[1], STDOUT_FILENO}};
        struct proc_spec child = {.path = path, .argv = argv, .fds = fds, .fd_count = 2, .die_with_parent = true};
        pid = proc_spawn(&child, err);
    }
    file_close_ptr(&ends[1]);
    bool good = pid > 0 && take_all(self, ends[0], err);
    file_close_ptr(&ends[0]); /* where we stopped early it ends by SIGPIPE */
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    for (size_t i = 0; i < COUNT(argv); i++)
        free(argv[i]);
    return good && (status == 0 || self->over || err_set(err, ERR_DATA, "%s could not read the archive", name));
}

static bool take_once(struct unpack *self, const char *archive, struct err *err)
{
    CLEANUP(file_close_ptr) int fd = open(archive, O_RDONLY | O_CLOEXEC);
    int program = fd >= 0 ? program_for(fd) : -1;

    if (fd < 0)
        return err_errno(err, ERR_IO, errno, "cannot open %s", archive);
    return program >= 0 ? take_piped(self, fd, programs[program], err) : take_all(self, fd, err);
}

bool unpack_archive(const char *archive, const char *dir, bool layer, struct unpack_left *left, struct err *err)
{
    CLEANUP(file_close_ptr) int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct unpack_left first = *left; /* each reading by itself keeps to the bounds */
    struct unpack self = {.root = root, .layer = layer, .whiteouts = layer, .file = -1, .left = &first,
                          .stall_ms = -1};

    if (root < 0)
        return err_errno(err, ERR_IO, errno, "cannot open %s", dir);
    if (layer && !take_once(&self, archive, err))
        return false;
    self.whiteouts = false;
    self.left = left;
    return take_once(&self, archive, err);
}

bool unpack_stream(int fd, const char *dir, int stall_ms, bool (*stop)(void), struct unpack_left *left, struct err *err)
{
    CLEANUP(file_close_ptr) int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct unpack self = {.root = root, .file = -1, .left = left, .skip = true, .stall_ms = stall_ms,
                          .stop = stop};

    if (root < 0)
        return err_errno(err, ERR_IO, errno, "cannot open %s", dir);
    return take_all(&self, fd, err) && (self.over || err_set(err, ERR_DATA, "the archive is cut off"));
}
