/* The file and its mapping; who may believe what of it is said in the header. */
#include "core/data/journal.h"

#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(struct journal) == JOURNAL_HEAD_BYTES + JOURNAL_SHEETS * JOURNAL_SHEET_BYTES, "no padding");

/* A file system that reserves nothing gets it written. */
static bool allocate(int fd, struct err *err)
{
    static const uint8_t zeros[sizeof(struct journal)];
    struct stat now;

    if (fstat(fd, &now) != 0)
        return err_errno(err, ERR_IO, errno, "cannot look at the session's journal");
    if (now.st_size == sizeof zeros)
        return true;
    if (ftruncate(fd, 0) == 0 && fallocate(fd, 0, 0, sizeof zeros) == 0)
        return true;
    if (errno != EOPNOTSUPP && errno != ENOSYS)
        return err_errno(err, ERR_IO, errno, "cannot make room for the session's journal");
    return file_write_all(fd, zeros, sizeof zeros, err) || err_wrap(err, "the session's journal");
}

int journal_open(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0) {
        err_errno(err, ERR_IO, errno, "cannot open %s", path);
    } else if (allocate(fd, err)) {
        return fd;
    } else {
        close(fd);
    }
    return -1;
}

struct journal *journal_map(int fd, struct err *err)
{
    void *map = mmap(NULL, sizeof(struct journal), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (map != MAP_FAILED)
        return map;
    err_errno(err, ERR_IO, errno, "cannot map the session's journal");
    return NULL;
}

void journal_unmap(struct journal *journal)
{
    if (journal != NULL)
        munmap(journal, sizeof *journal);
}

struct journal_sheet *journal_begin(struct journal *journal, uint64_t serial)
{
    struct journal_sheet *sheet = &journal->sheets[serial % JOURNAL_SHEETS];

    if (serial > atomic_load_explicit(&journal->taken, memory_order_acquire) + JOURNAL_SHEETS)
        return NULL;
    atomic_store_explicit(&sheet->len, 0, memory_order_relaxed);
    atomic_store_explicit(&sheet->serial, serial, memory_order_release);
    return sheet;
}

bool journal_copy(const struct journal *journal, uint64_t serial, size_t skip, struct buf *out)
{
    const struct journal_sheet *sheet = &journal->sheets[serial % JOURNAL_SHEETS];

    if (serial == 0 || atomic_load_explicit(&sheet->serial, memory_order_acquire) != serial)
        return false;
    size_t len = atomic_load_explicit(&sheet->len, memory_order_acquire);
    if (len > JOURNAL_BYTES)
        len = JOURNAL_BYTES;
    return len <= skip || buf_add(out, sheet->bytes + skip, len - skip);
}
