/* The record's readers: lines by filter, with following, and the proof of the chain. They take no lock and
 * write nothing; a line that is being written is not seen yet. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/data/audit_files.h"

struct audit_reader {
    char *dir;
    char *session, *event, *host, *decision, *id; /* the filter's; NULL: any */
    char since[32], until[32];                    /* "": any */
    char name[AUDIT_NAME_LEN + 1];                /* of the open file; "": none yet */
    int fd;
    struct audit_lines lines;
    json_t *object;
};

static char *copy(const char *text)
{
    return text && *text ? mem_strdup(text) : NULL;
}

/* tail: how many bytes at its end; -1: all. */
static bool enter(struct audit_reader *reader, const char *name, off_t tail, struct err *err)
{
    struct stat info;
    off_t offset = 0;
    int fd = audit_file_open(reader->dir, name, O_RDONLY, err);
    if (fd < 0)
        return false;
    if (tail >= 0 && (fstat(fd, &info) != 0 ||
                      !audit_file_line_start(fd, info.st_size > tail ? info.st_size - tail : 0, &offset, err))) {
        file_close_ptr(&fd);
        return err_set(err, ERR_IO, "%s cannot be read", name);
    }
    if (reader->fd >= 0)
        audit_lines_clear(&reader->lines);
    file_close_ptr(&reader->fd);
    reader->fd = fd;
    snprintf(reader->name, sizeof reader->name, "%s", name);
    audit_lines_init(&reader->lines, fd, offset, false);
    return true;
}

/* The file where the record's last `tail` bytes begin. */
static bool enter_tail(struct audit_reader *reader, const struct audit_files *files, off_t tail, struct err *err)
{
    for (size_t i = files->count; i-- > 0;) {
        struct stat info;
        if (!enter(reader, files->names[i], tail, err))
            return false;
        if (i == 0 || fstat(reader->fd, &info) != 0 || info.st_size >= tail)
            return true;
        tail -= info.st_size;
    }
    return true;
}

struct audit_reader *audit_reader_open(const char *dir, const struct audit_filter *filter,
                                       bool from_end, struct err *err)
{
    struct audit_files files;
    if (!audit_files_list(dir, &files, err))
        return NULL;
    struct audit_reader *reader = mem_alloc(sizeof *reader);
    reader->fd = -1;
    reader->dir = mem_strdup(dir);
    reader->session = copy(filter->session);
    reader->event = copy(filter->event);
    reader->host = copy(filter->host);
    reader->decision = copy(filter->decision);
    reader->id = copy(filter->id);
    if (filter->since_ms > 0)
        clock_iso((uint64_t)filter->since_ms, reader->since);
    if (filter->until_ms > 0)
        clock_iso((uint64_t)filter->until_ms, reader->until);
    bool ok = from_end ? enter_tail(reader, &files, 0, err)
                       : filter->tail_bytes == 0 || enter_tail(reader, &files, (off_t)filter->tail_bytes, err);
    audit_files_clear(&files);
    if (!ok) {
        audit_reader_close(reader);
        return NULL;
    }
    return reader;
}

void audit_reader_close(struct audit_reader *reader)
{
    if (!reader)
        return;
    char *texts[] = {reader->dir, reader->session, reader->event, reader->host, reader->decision,
                     reader->id};
    for (size_t i = 0; i < COUNT(texts); i++)
        free(texts[i]);
    if (reader->fd >= 0)
        audit_lines_clear(&reader->lines);
    file_close_ptr(&reader->fd);
    json_decref(reader->object);
    free(reader);
}

/* ---- the filter ---- */

static const char *field(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool is(const json_t *object, const char *key, const char *wanted)
{
    return !wanted || strcmp(field(object, key), wanted) == 0;
}

/* "network" also stands for "network.end". */
static bool event_is(const json_t *object, const char *wanted)
{
    const char *word = field(object, "event");
    size_t len = wanted ? strlen(wanted) : 0;
    return !wanted || (strncmp(word, wanted, len) == 0 && (!word[len] || word[len] == '.'));
}

static bool id_is(const json_t *object, const char *wanted)
{
    static const char *const keys[] = {"id", "request", "operation", "approval", "connection",
                                       "session"};
    for (size_t i = 0; wanted && i < COUNT(keys); i++) {
        if (is(object, keys[i], wanted))
            return true;
    }
    return !wanted;
}

static bool matches(const struct audit_reader *reader, const json_t *object)
{
    const char *ts = field(object, "ts");
    return is(object, "session", reader->session) && event_is(object, reader->event) &&
           is(object, "host", reader->host) && is(object, "decision", reader->decision) &&
           id_is(object, reader->id) && (!reader->since[0] || strcmp(ts, reader->since) >= 0) &&
           (!reader->until[0] || strcmp(ts, reader->until) <= 0);
}

/* ---- the way through the files ---- */

/* The file after the one that is open, if there is one. */
static bool next_file(struct audit_reader *reader, bool *moved, struct err *err)
{
    struct audit_files files;
    char name[AUDIT_NAME_LEN + 1] = "", since[AUDIT_NAME_LEN + 1] = "";
    *moved = false;
    if (!audit_files_list(reader->dir, &files, err))
        return false;
    /* Lines of a day stand in its file or, after a clock that went back, in a later one. */
    if (reader->since[0])
        snprintf(since, sizeof since, "audit-%.10s.jsonl", reader->since);
    for (size_t i = 0; i < files.count && !name[0]; i++) {
        if (strcmp(files.names[i], reader->name) > 0 && strcmp(files.names[i], since) >= 0)
            memcpy(name, files.names[i], sizeof name);
    }
    audit_files_clear(&files);
    if (!name[0])
        return true;
    *moved = true;
    return enter(reader, name, -1, err);
}

enum audit_read audit_reader_next(struct audit_reader *reader, struct span *line, json_t **object,
                                  struct err *err)
{
    for (;;) {
        enum audit_lines_result result = LINES_END;
        if (reader->fd >= 0)
            result = audit_lines_next(&reader->lines, err);
        if (result == LINES_FAILED)
            return AUDIT_FAILED;
        if (result == LINES_END) {
            bool moved;
            if (!next_file(reader, &moved, err))
                return AUDIT_FAILED;
            if (!moved)
                return AUDIT_END;
            continue;
        }
        json_decref(reader->object);
        reader->object = reader->lines.too_long
                             ? NULL
                             : json_loadb(reader->lines.line.p, reader->lines.line.len,
                                          JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(reader->object) || !matches(reader, reader->object))
            continue;
        *line = reader->lines.line;
        *object = reader->object;
        return AUDIT_LINE;
    }
}

/* ---- the proof ---- */

struct proof {
    struct audit_report *report;
    const char *anchor;
    uint64_t seq;
    char start[AUDIT_HASH_HEX + 1]; /* prev of the first line, where that is not the first of all */
    bool retired;                   /* a later line says that what was before it was removed */
};

static bool broken(struct audit_report *report, const char *name, uint64_t line, const char *text)
{
    report->intact = false;
    snprintf(report->problem, sizeof report->problem, "%s:%llu: %s", name, (unsigned long long)line,
             text);
    return false;
}

/* The first line of what is left after audit.retention: some later line must say so. */
static bool begins(struct proof *proof, const char *name, const char *prev, json_int_t seq)
{
    struct audit_report *report = proof->report;
    if (seq == 1 && strcmp(prev, AUDIT_FIRST_PREV) == 0)
        return true;
    if (seq <= 1 || strlen(prev) != AUDIT_HASH_HEX)
        return broken(report, name, 1, "not the first line of a record: earlier lines were removed");
    memcpy(proof->start, prev, sizeof proof->start);
    memcpy(report->head, prev, sizeof report->head);
    proof->seq = report->retired_lines = (uint64_t)seq - 1;
    report->anchor_found = proof->anchor && strcmp(proof->anchor, prev) == 0;
    return true;
}

static void note_retired(struct proof *proof, const json_t *object)
{
    if (proof->start[0] && strcmp(field(object, "event"), "record.retired") == 0 &&
        strcmp(field(object, "last_hash"), proof->start) == 0 &&
        (uint64_t)json_integer_value(json_object_get(object, "last_seq")) == proof->report->retired_lines)
        proof->retired = true;
}

static bool line_good(struct proof *proof, const char *name, uint64_t number,
                      const struct audit_lines *lines)
{
    struct audit_report *report = proof->report;
    if (lines->too_long)
        return broken(report, name, number, "longer than any line that is written");
    JSON_AUTO json_t *object =
        json_loadb(lines->line.p, lines->line.len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(object))
        return broken(report, name, number, "not a JSON object: changed or damaged");
    const char *prev = field(object, "prev");
    json_int_t seq = json_integer_value(json_object_get(object, "seq"));
    if (report->lines == 0 && !begins(proof, name, prev, seq))
        return false;
    if (strcmp(prev, report->head) != 0)
        return broken(report, name, number, "'prev' is not the hash of the line before: lines were "
                                            "changed, removed or reordered");
    if ((uint64_t)seq != proof->seq + 1)
        return broken(report, name, number, "'seq' does not count on");
    note_retired(proof, object);
    proof->seq++;
    report->lines++;
    report->bytes += lines->line.len + 1;
    memcpy(report->head, lines->hash, sizeof report->head);
    if (report->lines == 1)
        memcpy(report->first, lines->hash, sizeof report->first);
    if (proof->anchor && strcmp(proof->anchor, lines->hash) == 0)
        report->anchor_found = true;
    return true;
}

/* False with report->intact false: broken. False with it true: cannot be read. */
static bool file_good(struct proof *proof, const char *dir, const char *name, bool last,
                      struct err *err)
{
    struct audit_lines lines;
    enum audit_lines_result result;
    uint64_t number = 0;
    bool good = true;
    CLEANUP(file_close_ptr) int fd = audit_file_open(dir, name, O_RDONLY, err);
    if (fd < 0)
        return false;
    audit_lines_init(&lines, fd, 0, true);
    while (good && (result = audit_lines_next(&lines, err)) != LINES_END)
        good = result == LINES_LINE && line_good(proof, name, ++number, &lines);
    if (good && audit_lines_rest(&lines) > 0) {
        proof->report->open_tail = last;
        good = last || broken(proof->report, name, number + 1, "the file ends within a line");
    }
    audit_lines_clear(&lines);
    return good;
}

bool audit_verify(const char *dir, const char *anchor, struct audit_report *report, struct err *err)
{
    struct proof proof = {.report = report, .anchor = anchor};
    struct audit_files files;
    *report = (struct audit_report){.intact = true};
    memcpy(report->head, AUDIT_FIRST_PREV, sizeof report->head);
    if (!audit_files_list(dir, &files, err))
        return false;
    bool good = true;
    for (size_t i = 0; good && i < files.count; i++) {
        report->files++;
        good = file_good(&proof, dir, files.names[i], i + 1 == files.count, err);
    }
    if (good && proof.start[0] && !proof.retired)
        good = broken(report, files.names[0], 1, "not the first line of a record: earlier lines were removed, and no "
                                                 "line says that audit.retention did so");
    audit_files_clear(&files);
    if (good && anchor && !report->anchor_found) {
        report->intact = false;
        snprintf(report->problem, sizeof report->problem,
                 "no line has the hash %.64s that was kept elsewhere: lines at the end were removed, "
                 "or all was written anew", anchor);
    }
    return good || !report->intact;
}
