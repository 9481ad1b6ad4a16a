/* The record's writer: lines that come together by one write(2), chained, in one file a day; recovery of what a crash
 * left.
 * What may be written is the table in audit_events.c. One writer at a time: the monitor, by daemon.lock. */
#include "core/data/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/data/audit_files.h"

enum { KEEP_BYTES = 64 * 1024, EVENT_BYTES = 64 * 1024 * 1024 /* what is too long on it is cut when it is written */ };

struct audit {
    char *dir;
    int fd;                             /* -1: no file yet */
    char name[AUDIT_NAME_LEN + 1];
    char head[AUDIT_HASH_HEX + 1];
    uint64_t seq, written_bytes;
    off_t size; /* of the file, as the line under way finds it */
    off_t keep; /* where a line that could not be taken back begins; -1: none */
    bool dirty;
    audit_line_fn line_fn; /* NULL: nobody listens */
    void *line_arg;
    struct buf text; /* of the lines under way; kept, as there will be more */
};

static bool cannot_write(struct err *err, int error, const char *what)
{
    err_errno(err, ERR_IO, error, "%s", what);
    if (error == ENOSPC || error == EDQUOT)
        return err_hint(err, "Free space on the disk of AILERON_HOME: without a record no credential "
                             "is used; work starts again by itself");
    if (error == EIO)
        return err_hint(err, "Check the disk of AILERON_HOME: without a record no credential "
                             "is used; work starts again by itself");
    return err_hint(err, "Make AILERON_HOME/audit writable: without a record no credential is used");
}

/* ---- recovery ---- */

static uint64_t seq_of(struct span line)
{
    json_t *object = json_loadb(line.p, line.len, 0, NULL);
    json_int_t seq = json_integer_value(json_object_get(object, "seq"));
    json_decref(object);
    return seq > 0 ? (uint64_t)seq : 0;
}

/* Takes head and seq from the whole lines of [from, end of file). *found: there was one. */
static bool read_state(struct audit *audit, int fd, off_t from, bool *found, struct err *err)
{
    enum audit_lines_result result;
    struct audit_lines lines;
    *found = false;
    audit_lines_init(&lines, fd, from, true);
    while ((result = audit_lines_next(&lines, err)) == LINES_LINE) {
        uint64_t seq = lines.too_long ? 0 : seq_of(lines.line);
        audit->seq = seq > 0 ? seq : audit->seq + 1;
        memcpy(audit->head, lines.hash, sizeof audit->head);
        *found = from == 0 || seq > 0;
    }
    audit_lines_clear(&lines);
    return result == LINES_END;
}

/* The last line alone as a rule; the whole file where that line cannot be read. */
static bool state_from(struct audit *audit, int fd, off_t size, bool *found, struct err *err)
{
    off_t start = 0;
    *found = false;
    if (size == 0)
        return true;
    if (!audit_file_line_start(fd, size - 1, &start, err) ||
        !read_state(audit, fd, start, found, err))
        return false;
    if (*found || start == 0)
        return true;
    audit->seq = 0;
    return read_state(audit, fd, 0, found, err);
}

/* Cuts a half-written line off. */
static bool cut_tail(int fd, off_t *size, off_t *lost, struct err *err)
{
    struct stat info;
    off_t whole = 0;
    if (fstat(fd, &info) != 0)
        return err_errno(err, ERR_IO, errno, "reading the record");
    if (!audit_file_line_start(fd, info.st_size, &whole, err))
        return false;
    *size = whole;
    *lost = info.st_size - whole;
    if (*lost > 0 && (ftruncate(fd, whole) != 0 || fdatasync(fd) != 0))
        return cannot_write(err, errno, "cutting a half-written line off the record");
    return true;
}

static bool recover(struct audit *audit, const struct audit_files *files, off_t *lost,
                    struct err *err)
{
    off_t size = 0;
    bool found = false;
    memcpy(audit->name, files->names[files->count - 1], sizeof audit->name);
    audit->fd = audit_file_open(audit->dir, audit->name, O_RDWR | O_APPEND, err);
    if (audit->fd < 0 || !cut_tail(audit->fd, &size, lost, err) ||
        !state_from(audit, audit->fd, size, &found, err))
        return false;
    for (size_t i = files->count - 1; !found && i-- > 0;) {
        struct stat info;
        CLEANUP(file_close_ptr) int fd =
            audit_file_open(audit->dir, files->names[i], O_RDONLY, err);
        if (fd < 0)
            return false;
        if (fstat(fd, &info) != 0)
            return err_errno(err, ERR_IO, errno, "reading the record");
        if (!state_from(audit, fd, info.st_size, &found, err))
            return false;
    }
    return true;
}

static bool note_recovery(struct audit *audit, off_t lost, struct err *err)
{
    JSON_AUTO json_t *event = json_object();
    json_put(event, "event", "record.recovered");
    json_put(event, "file", audit->name);
    json_put_int(event, "bytes", lost);
    json_put(event, "message", "a half-written last line was cut off");
    return audit_append(audit, event, true, err);
}

struct audit *audit_open(const char *dir, struct err *err)
{
    struct audit_files files;
    off_t lost = 0;
    if (!file_mkdirs(dir, 0700, err) || !audit_files_list(dir, &files, err))
        return NULL;
    struct audit *audit = mem_alloc(sizeof *audit);
    audit->dir = mem_strdup(dir);
    audit->fd = -1;
    audit->keep = -1;
    memcpy(audit->head, AUDIT_FIRST_PREV, sizeof audit->head);
    bool ok = files.count == 0 || recover(audit, &files, &lost, err);
    audit_files_clear(&files);
    /* Where the note cannot be written the disk is full: each line after it will say so. */
    struct err ignored;
    if (ok && lost > 0 && !note_recovery(audit, lost, &ignored))
        ok = true;
    if (!ok) {
        audit_close(audit);
        return NULL;
    }
    return audit;
}

void audit_close(struct audit *audit)
{
    if (!audit)
        return;
    struct err ignored;
    if (audit->dirty && !audit_sync(audit, &ignored))
        audit->dirty = true; /* nobody is left to tell: the next open checks the tail */
    file_close_ptr(&audit->fd);
    buf_clear(&audit->text);
    free(audit->dir);
    free(audit);
}

/* ---- the day's file ---- */

static bool sync_dir(const struct audit *audit, struct err *err)
{
    CLEANUP(file_close_ptr) int fd = open(audit->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return (fd >= 0 && fsync(fd) == 0) || cannot_write(err, errno, "syncing the record's directory");
}

/* The file for `name`, or the one that is open where that is newer (the clock went back). A file that was
 * removed under us is made again: verify will show the gap. */
static bool day_file(struct audit *audit, const char *name, struct err *err)
{
    struct stat info = {.st_size = 0};
    bool lost = audit->fd >= 0 && (fstat(audit->fd, &info) != 0 || info.st_nlink == 0);
    audit->size = info.st_size;
    if (audit->fd >= 0 && !lost && strcmp(name, audit->name) <= 0)
        return true;
    if (audit->fd >= 0 && audit->dirty && !audit_sync(audit, err))
        return false;
    const char *wanted = strcmp(name, audit->name) > 0 ? name : audit->name;
    int fd = audit_file_open(audit->dir, wanted, O_RDWR | O_APPEND | O_CREAT, err);
    if (fd < 0)
        return cannot_write(err, errno, "opening the record");
    file_close_ptr(&audit->fd);
    audit->fd = fd;
    if (fstat(fd, &info) != 0)
        return cannot_write(err, errno, "reading the record's size");
    audit->size = info.st_size;
    audit->keep = -1;
    if (wanted != audit->name)
        memcpy(audit->name, wanted, sizeof audit->name);
    return sync_dir(audit, err);
}

/* ---- appending ---- */

/* The line's text: the object's members between what the chain needs. */
static bool put_line(struct buf *out, uint64_t seq, const char *head, const struct audit_entry *entry, const char *ts)
{
    char number[21];
    size_t len = text_decimal(seq, number);
    return buf_adds(out, "{\"ts\":\"") && buf_adds(out, ts) && buf_adds(out, "\",\"seq\":") &&
           buf_add(out, number, len) && buf_adds(out, ",") && audit_entry_members(entry, out) &&
           buf_adds(out, ",\"prev\":\"") && buf_add(out, head, AUDIT_HASH_HEX) && buf_adds(out, "\"}");
}

/* What an earlier failure left behind goes first: a line is whole or is not there. */
static bool take_back(struct audit *audit, struct err *err)
{
    if (audit->keep < 0)
        return true;
    if (ftruncate(audit->fd, audit->keep) != 0)
        return cannot_write(err, errno, "taking a half-written line back from the record");
    audit->keep = -1;
    return true;
}

static bool write_lines(struct audit *audit, const struct buf *text, struct err *err)
{
    ssize_t put;
    do
        put = write(audit->fd, text->data, text->len);
    while (put < 0 && errno == EINTR);
    if (put == (ssize_t)text->len)
        return true;
    int error = put < 0 ? errno : ENOSPC; /* a short write on a file means that there is no more room */
    if (put > 0) {
        struct err ignored;
        audit->keep = audit->size;
        if (!take_back(audit, &ignored))
            audit->dirty = true; /* the next line tries again first */
    }
    return cannot_write(err, error, "the record cannot be written");
}

static void tell_lines(struct audit *audit, const struct audit_entry *entries, size_t count)
{
    struct span rest = {(const char *)audit->text.data, audit->text.len}, line;
    for (size_t i = 0; i < count && span_cut(&rest, '\n', &line); i++)
        audit->line_fn(audit->line_arg, audit->seq + 1 + i, line, &entries[i]);
}

bool audit_append_all(struct audit *audit, const struct audit_entry *entries, size_t count, bool durable,
                      struct err *err)
{
    char ts[32], name[AUDIT_NAME_LEN + 1], head[AUDIT_HASH_HEX + 1];
    struct buf *text = &audit->text;
    uint64_t seq = audit->seq;
    clock_iso(clock_wall_ms(), ts);
    memcpy(name, "audit-YYYY-MM-DD.jsonl", sizeof name);
    memcpy(name + sizeof "audit-" - 1, ts, sizeof "YYYY-MM-DD" - 1);
    if (!take_back(audit, err) || !day_file(audit, name, err))
        return false;
    memcpy(head, audit->head, sizeof head);
    if (text->cap > KEEP_BYTES)
        buf_clear(text);
    text->len = 0;
    text->max = count * AUDIT_LINE_MAX;
    for (size_t i = 0; i < count; i++) {
        size_t start = text->len;
        bool ok = put_line(text, ++seq, head, &entries[i], ts);
        size_t len = text->len - start;
        if (!ok || len >= AUDIT_LINE_MAX || !buf_adds(text, "\n"))
            return err_set(err, ERR_LIMIT, "a line of the record would be longer than %d bytes", AUDIT_LINE_MAX);
        audit_hash_hex(text->data + start, len, head);
    }
    if (!write_lines(audit, text, err))
        return false;
    if (audit->line_fn)
        tell_lines(audit, entries, count);
    audit->seq = seq;
    audit->written_bytes += text->len;
    memcpy(audit->head, head, sizeof audit->head);
    audit->dirty = true;
    return !durable || audit_sync(audit, err);
}

void audit_on_line(struct audit *audit, audit_line_fn fn, void *arg)
{
    audit->line_fn = fn;
    audit->line_arg = arg;
}

bool audit_append(struct audit *audit, const json_t *event, bool durable, struct err *err)
{
    struct buf flat CLEANUP(buf_clear);
    struct audit_entry entry;
    buf_init(&flat, EVENT_BYTES);
    if (!audit_event_flat(event, &flat, err))
        return false;
    struct span rest = {(const char *)flat.data, flat.len};
    return audit_entry_take(&rest, false, &entry, err) && audit_append_all(audit, &entry, 1, durable, err);
}

bool audit_sync(struct audit *audit, struct err *err)
{
    if (audit->fd >= 0 && fdatasync(audit->fd) != 0)
        return cannot_write(err, errno, "the record cannot be put on the disk");
    audit->dirty = false;
    return true;
}

bool audit_dirty(const struct audit *audit)
{
    return audit->dirty;
}

const char *audit_head(const struct audit *audit)
{
    return audit->head;
}

uint64_t audit_seq(const struct audit *audit)
{
    return audit->seq;
}

uint64_t audit_written(const struct audit *audit)
{
    return audit->written_bytes;
}

/* ---- what is old enough ---- */

/* The last whole line's hash and seq; *seq 0: there is no line. */
static bool last_line(const struct audit *audit, const char *name, char head[AUDIT_HASH_HEX + 1], uint64_t *seq,
                      struct err *err)
{
    struct audit_lines lines;
    enum audit_lines_result result;
    struct stat info;
    off_t start = 0;
    *seq = 0;
    CLEANUP(file_close_ptr) int fd = audit_file_open(audit->dir, name, O_RDONLY, err);
    if (fd < 0)
        return false;
    if (fstat(fd, &info) != 0)
        return err_errno(err, ERR_IO, errno, "reading the record");
    if (info.st_size == 0)
        return true;
    if (!audit_file_line_start(fd, info.st_size - 1, &start, err))
        return false;
    audit_lines_init(&lines, fd, start, true);
    result = audit_lines_next(&lines, err);
    bool ok = result == LINES_LINE && !lines.too_long && (*seq = seq_of(lines.line)) > 0;
    if (ok)
        memcpy(head, lines.hash, AUDIT_HASH_HEX + 1);
    audit_lines_clear(&lines);
    if (ok || result == LINES_FAILED)
        return ok;
    return err_set(err, ERR_DATA, "%s is too old to be kept, but its last line is damaged, so that it stays", name);
}

static bool retire(struct audit *audit, const char *name, struct err *err)
{
    char head[AUDIT_HASH_HEX + 1];
    uint64_t seq;
    if (!last_line(audit, name, head, &seq, err))
        return false;
    if (seq > 0) {
        JSON_AUTO json_t *event = json_object();
        json_put(event, "event", "record.retired");
        json_put(event, "file", name);
        json_put(event, "last_hash", head);
        json_put_int(event, "last_seq", (int64_t)seq);
        if (!audit_append(audit, event, true, err))
            return false;
    }
    AUTOFREE char *path = file_join(audit->dir, name);
    return unlink(path) == 0 || err_errno(err, ERR_IO, errno, "removing %s", path);
}

bool audit_retire(struct audit *audit, int64_t days, size_t *count, struct err *err)
{
    char ts[32], oldest[AUDIT_NAME_LEN + 1];
    struct audit_files files;
    uint64_t now = clock_wall_ms(), kept = (uint64_t)days * 86400 * 1000;
    bool ok = true;
    *count = 0;
    clock_iso(now > kept ? now - kept : 0, ts);
    snprintf(oldest, sizeof oldest, "audit-%.10s.jsonl", ts);
    if (!audit_files_list(audit->dir, &files, err))
        return false;
    for (size_t i = 0; ok && i + 1 < files.count && strcmp(files.names[i], oldest) < 0; i++) {
        ok = retire(audit, files.names[i], err);
        *count += ok;
    }
    audit_files_clear(&files);
    return ok;
}
