/* Files: read whole and bounded, written so that a crash or a full disk leaves the old contents, and
 * checked for who owns them. Removing a tree is in file_tree.c. It knows no format. */
#include "core/base/file.h"

#include "core/base/id.h"
#include "core/base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_CHUNK = 16384, TEMP_RANDOM_BYTES = 8 };
#define TEMP_PREFIX ".new-" /* and TEMP_RANDOM_BYTES in hex */

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

void file_close_ptr(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- reading ---- */

/* Reads to the end of fd; out is the caller's, which frees it on failure. */
static bool read_to_end(int fd, struct buf *out, const char *what, struct err *err)
{
    for (;;) {
        size_t room = out->max - out->len;
        uint8_t beyond; /* at the bound: is there one byte more? */
        room = room < READ_CHUNK ? room : READ_CHUNK;
        uint8_t *to = room > 0 ? buf_reserve(out, room) : &beyond;
        ssize_t n = read(fd, to, room > 0 ? room : 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, ERR_IO, errno, "cannot read %s", what);
        if (n == 0)
            return true;
        if (room == 0) {
            err_set(err, ERR_LIMIT, "%s is larger than %zu bytes", what, out->max);
            return err_hint(err, "Is it the one that was meant?");
        }
        out->len += (size_t)n;
    }
}

bool file_read_fd(int fd, size_t max, struct buf *out, struct err *err)
{
    buf_init(out, max);
    if (read_to_end(fd, out, "the input", err))
        return true;
    buf_wipe(out);
    return false;
}

bool file_read(const char *path, size_t max, struct buf *out, struct err *err)
{
    buf_init(out, max);
    /* Nonblocking: opening a FIFO that someone put there must not hang. */
    CLEANUP(file_close_ptr) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        err_set(err, ERR_NOT_FOUND, "%s does not exist", path);
        return err_hint(err, "Check the name");
    }
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        err_errno(err, ERR_IO, errno, "cannot read %s", path);
        return err_hint(err, "Check the file's owner and mode");
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(err, ERR_DATA, "%s is not a regular file", path);
        return err_hint(err, "Is it the one that was meant?");
    }
    if (read_to_end(fd, out, path, err))
        return true;
    buf_wipe(out);
    return false;
}

/* ---- writing ---- */

bool file_write_all(int fd, const void *data, size_t len, struct err *err)
{
    for (const uint8_t *p = data; len > 0;) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_errno(err, ERR_IO, n < 0 ? errno : EIO, "cannot write");
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* The error of a write that did not happen, with what the person can do. */
static bool write_failed(struct err *err, int errno_value, const char *path, const char *dir)
{
    err_errno(err, ERR_IO, errno_value, "cannot write %s", path);
    if (errno_value == ENOSPC || errno_value == EDQUOT)
        return err_hint(err, "Nothing was changed. Free some space where %s is, then try again", dir);
    if (errno_value == EROFS || errno_value == EACCES || errno_value == EPERM)
        return err_hint(err, "Nothing was changed. Make %s writable, then try again", dir);
    if (errno_value == ENOENT)
        return err_hint(err, "Create the directory %s first", dir);
    return err_hint(err, "Nothing was changed");
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return mem_strdup(".");
    while (slash > path && slash[-1] == '/')
        slash--;
    return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}

/* Makes the rename outlive a power cut. Some file systems cannot sync a directory and say EINVAL. */
static bool sync_dir(const char *dir)
{
    CLEANUP(file_close_ptr) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && (fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP);
}

static int write_temp(int fd, mode_t mode, const void *data, size_t len)
{
    struct err ignored;
    errno = 0;
    if (fchmod(fd, mode) != 0 || (len > 0 && !file_write_all(fd, data, len, &ignored)) ||
        fsync(fd) != 0)
        return errno ? errno : EIO;
    return 0;
}

bool file_write_atomic(const char *path, mode_t mode, const void *data, size_t len, struct err *err)
{
    AUTOFREE char *dir = parent_of(path);
    uint8_t random[TEMP_RANDOM_BYTES];
    char hex[2 * sizeof(random) + 1];
    random_bytes(random, sizeof(random));
    text_hex(random, sizeof(random), hex);
    AUTOFREE char *temp = mem_printf("%s/" TEMP_PREFIX "%s", dir, hex);

    CLEANUP(file_close_ptr) int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return write_failed(err, errno, path, dir);
    int failed = write_temp(fd, mode, data, len);
    if (failed == 0 && rename(temp, path) != 0)
        failed = errno;
    if (failed != 0) {
        unlink(temp);
        return write_failed(err, failed, path, dir);
    }
    if (!sync_dir(dir)) {
        err_errno(err, ERR_IO, errno, "%s is written, but may not outlive a power cut", path);
        return err_hint(err, "Check the disk, then do this again");
    }
    return true;
}

static bool is_temp(const char *name)
{
    const char *hex = name + sizeof(TEMP_PREFIX) - 1;
    return strncmp(name, TEMP_PREFIX, sizeof(TEMP_PREFIX) - 1) == 0 && strlen(hex) == 2 * TEMP_RANDOM_BYTES &&
           strspn(hex, "0123456789abcdef") == 2 * TEMP_RANDOM_BYTES;
}

void file_sweep_unfinished(const char *dir)
{
    DIR *stream = opendir(dir);
    for (struct dirent *entry; stream && (entry = readdir(stream)) != NULL;)
        if (is_temp(entry->d_name))
            (void)unlinkat(dirfd(stream), entry->d_name, 0); /* one that stays harms nobody */
    if (stream)
        closedir(stream);
}

int file_sealed(const char *name, const void *data, size_t len, struct err *err)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) /* a kernel that does not know the flag */
        fd = memfd_create(name, flags);
    if (fd < 0) {
        err_errno(err, ERR_IO, errno, "cannot create memory for %s", name);
        return -1;
    }
    if (len > 0 && !file_write_all(fd, data, len, err)) {
        err_wrap(err, "%s", name);
    } else if (lseek(fd, 0, SEEK_SET) != 0 ||
               fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
        err_errno(err, ERR_IO, errno, "cannot seal %s", name);
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

/* ---- directories ---- */

static bool make_dir(const char *path, mode_t mode, struct err *err)
{
    struct stat st;
    if (mkdir(path, mode) == 0) {
        if (chmod(path, mode) == 0) /* whatever the umask is: the caller said which mode */
            return true;
        return err_errno(err, ERR_IO, errno, "cannot set the mode of %s", path);
    }
    int failed = errno;
    if (stat(path, &st) != 0) {
        AUTOFREE char *dir = parent_of(path);
        err_errno(err, ERR_IO, failed, "cannot create the directory %s", path);
        if (failed == ENOSPC || failed == EDQUOT)
            return err_hint(err, "Free some space where %s is, then try again", dir);
        if (failed == EROFS || failed == EACCES || failed == EPERM)
            return err_hint(err, "Make %s writable, then try again", dir);
        return err_hint(err, "Check what %s is and whether you may write there", dir);
    }
    if (!S_ISDIR(st.st_mode))
        return err_set(err, ERR_CONFLICT, "%s is in the way: it is not a directory", path);
    return true;
}

bool file_mkdirs(const char *path, mode_t mode, struct err *err)
{
    AUTOFREE char *part = mem_strdup(path);
    for (char *p = part; *p;) {
        p += strspn(p, "/");
        p += strcspn(p, "/");
        char end = *p;
        *p = '\0';
        if (!make_dir(part, mode, err))
            return false;
        *p = end;
    }
    return true;
}

bool file_check_private_dir(const char *path, struct err *err)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return err_set(err, ERR_NOT_FOUND, "%s does not exist", path);
        return err_errno(err, ERR_IO, errno, "cannot look at %s", path);
    }
    if (!S_ISDIR(st.st_mode)) {
        err_set(err, ERR_CONFIG, "%s is %s, not a directory", path,
                S_ISLNK(st.st_mode) ? "a symbolic link" : "a file");
        return err_hint(err, "Name a directory of your own");
    }
    if (st.st_uid != geteuid()) {
        err_set(err, ERR_CONFIG, "%s belongs to user %u, not to you (%u)", path, (unsigned)st.st_uid,
                (unsigned)geteuid());
        return err_hint(err, "Use a directory of your own");
    }
    if ((st.st_mode & 077) != 0) {
        err_set(err, ERR_CONFIG, "%s is open to other users (mode %04o)", path,
                (unsigned)(st.st_mode & 07777));
        if ((st.st_mode & S_ISVTX) != 0 || strcmp(path, "/") == 0) /* it is meant for them */
            return err_hint(err, "Name a directory of your own");
        return err_hint(err, "Run: chmod 700 %s", path);
    }
    return true;
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

char *file_join(const char *dir, const char *name)
{
    size_t len = strlen(dir);
    while (*name == '/')
        name++;
    return mem_printf("%s%s%s", dir, len > 0 && dir[len - 1] != '/' ? "/" : "", name);
}
