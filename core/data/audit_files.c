/* The files of the record, listed and read line by line in bounded memory, however long a damaged line may be.
 * It judges nothing: chain and fields are looked at by those who call. */
#include "core/data/audit_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/file.h"

enum { CHUNK = 64 * 1024 };

static bool name_ok(const char *name)
{
    static const char shape[] = "audit-dddd-dd-dd.jsonl";
    if (strlen(name) != AUDIT_NAME_LEN)
        return false;
    for (size_t i = 0; i < AUDIT_NAME_LEN; i++) {
        bool digit = name[i] >= '0' && name[i] <= '9';
        if (i > 5 && i < 16 && shape[i] == 'd' ? !digit : name[i] != shape[i])
            return false;
    }
    return true;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, AUDIT_NAME_LEN);
}

bool audit_files_list(const char *dir, struct audit_files *out, struct err *err)
{
    struct dirent *entry;
    size_t cap = 0;
    *out = (struct audit_files){0};
    DIR *stream = opendir(dir);
    if (!stream)
        return errno == ENOENT || err_errno(err, ERR_IO, errno, "reading %s", dir) ||
               err_hint(err, "Check the owner and the mode of the directory");
    while ((entry = readdir(stream)) && out->count < AUDIT_FILES_MAX) {
        if (!name_ok(entry->d_name))
            continue;
        if (out->count == cap) {
            cap = cap ? cap * 2 : 32;
            out->names = mem_resize(out->names, cap, sizeof *out->names);
        }
        memcpy(out->names[out->count++], entry->d_name, AUDIT_NAME_LEN + 1);
    }
    closedir(stream);
    if (out->count > 1)
        qsort(out->names, out->count, sizeof *out->names, compare);
    return true;
}

void audit_files_clear(struct audit_files *files)
{
    free(files->names);
    *files = (struct audit_files){0};
}

int audit_file_open(const char *dir, const char *name, int flags, struct err *err)
{
    AUTOFREE char *path = file_join(dir, name);
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        err_errno(err, ERR_IO, errno, "opening %s", path);
    return fd;
}

bool audit_file_line_start(int fd, off_t end, off_t *out, struct err *err)
{
    AUTOFREE char *chunk = mem_alloc(CHUNK);
    while (end > 0) {
        size_t want = end < CHUNK ? (size_t)end : CHUNK;
        ssize_t got = pread(fd, chunk, want, end - (off_t)want);
        if (got < 0 && errno == EINTR)
            continue;
        if (got != (ssize_t)want)
            return err_errno(err, ERR_IO, got < 0 ? errno : EIO, "reading the record");
        end -= (off_t)want;
        while (want > 0 && chunk[want - 1] != '\n')
            want--;
        if (want > 0) {
            *out = end + (off_t)want;
            return true;
        }
    }
    *out = 0;
    return true;
}

void audit_hash_hex(const void *data, size_t len, char out[AUDIT_HASH_HEX + 1])
{
    uint8_t hash[CRYPTO_HASH_LEN];
    crypto_sha256(data, len, hash);
    text_hex(hash, sizeof hash, out);
}

void audit_lines_init(struct audit_lines *lines, int fd, off_t offset, bool want_hash)
{
    *lines = (struct audit_lines){.fd = fd, .offset = offset, .want_hash = want_hash};
    buf_init(&lines->buf, AUDIT_READ_MAX + CHUNK);
}

void audit_lines_clear(struct audit_lines *lines)
{
    buf_clear(&lines->buf);
}

/* The line buf[0..len) is whole: give it out. */
static void give(struct audit_lines *lines, size_t len)
{
    uint8_t hash[CRYPTO_HASH_LEN];
    const char *text = (const char *)lines->buf.data;
    lines->given = len + 1;
    lines->scanned = 0;
    lines->too_long = lines->skipping || len > AUDIT_READ_MAX;
    lines->line = lines->too_long ? SPAN("") : (struct span){text, len};
    if (lines->want_hash && lines->skipping) {
        sha256_add(&lines->sum, text, len);
        sha256_end(&lines->sum, hash);
        text_hex(hash, sizeof hash, lines->hash);
    } else if (lines->want_hash) {
        audit_hash_hex(text, len, lines->hash);
    }
    lines->skipping = false;
}

enum audit_lines_result audit_lines_next(struct audit_lines *lines, struct err *err)
{
    if (lines->given > 0)
        buf_consume(&lines->buf, lines->given);
    lines->given = 0;
    for (;;) {
        size_t unseen = lines->buf.len - lines->scanned;
        const uint8_t *newline =
            unseen > 0 ? memchr(lines->buf.data + lines->scanned, '\n', unseen) : NULL;
        if (newline) {
            give(lines, (size_t)(newline - lines->buf.data));
            return LINES_LINE;
        }
        lines->scanned = lines->buf.len;
        if (lines->buf.len > AUDIT_READ_MAX) {
            if (!lines->skipping)
                sha256_init(&lines->sum);
            lines->skipping = true;
            sha256_add(&lines->sum, lines->buf.data, lines->buf.len);
            buf_consume(&lines->buf, lines->buf.len);
            lines->scanned = 0;
        }
        uint8_t *room = buf_reserve(&lines->buf, CHUNK);
        ssize_t got = room ? pread(lines->fd, room, CHUNK, lines->offset) : -1;
        if (got < 0 && room && errno == EINTR)
            continue;
        if (got < 0) {
            err_errno(err, ERR_IO, errno, "reading the record");
            return LINES_FAILED;
        }
        if (got == 0)
            return LINES_END;
        lines->buf.len += (size_t)got;
        lines->offset += got;
    }
}

size_t audit_lines_rest(const struct audit_lines *lines)
{
    return lines->buf.len > 0 ? lines->buf.len : lines->skipping;
}
