/* The files of the record: which there are, in order, and their lines one by one. */
#ifndef AILERON_DATA_AUDIT_FILES_H
#define AILERON_DATA_AUDIT_FILES_H

#include "core/data/audit.h"
#include "tls/crypto.h"

#define AUDIT_NAME_LEN 22 /* audit-YYYY-MM-DD.jsonl */
#define AUDIT_FIRST_PREV "0000000000000000000000000000000000000000000000000000000000000000"
enum { AUDIT_FILES_MAX = 40000 }; /* more than a hundred years of days */

struct audit_files {
    char (*names)[AUDIT_NAME_LEN + 1]; /* sorted: oldest first */
    size_t count;
};
/* A directory that is not there has no files. audit_files_clear the result. */
bool audit_files_list(const char *dir, struct audit_files *out, struct err *err) MUSTUSE NONNULL;
void audit_files_clear(struct audit_files *files) NONNULL;
/* -1 and err on failure. */
int audit_file_open(const char *dir, const char *name, int flags, struct err *err) MUSTUSE NONNULL;
/* The offset behind the last newline before `end`; 0 where there is none. */
bool audit_file_line_start(int fd, off_t end, off_t *out, struct err *err) MUSTUSE NONNULL;
void audit_hash_hex(const void *data, size_t len, char out[AUDIT_HASH_HEX + 1]) NONNULL;

/* Complete lines of one file from an offset on; may be asked again after LINES_END. */
struct audit_lines {
    int fd; /* borrowed */
    bool want_hash;
    off_t offset;   /* of the next byte to read */
    struct buf buf; /* read and not given out yet */
    size_t given;   /* of buf, given out by the last call */
    size_t scanned; /* of buf, without a newline */
    bool skipping;  /* in a line over AUDIT_READ_MAX */
    struct sha256 sum;
    struct span line;                /* without newline; empty where too long */
    bool too_long;
    char hash[AUDIT_HASH_HEX + 1];   /* where want_hash */
};
enum audit_lines_result { LINES_LINE, LINES_END, LINES_FAILED };
void audit_lines_init(struct audit_lines *lines, int fd, off_t offset, bool want_hash) NONNULL;
void audit_lines_clear(struct audit_lines *lines) NONNULL;
enum audit_lines_result audit_lines_next(struct audit_lines *lines, struct err *err) MUSTUSE NONNULL;
/* Bytes behind the last newline, seen at LINES_END. */
size_t audit_lines_rest(const struct audit_lines *lines) NONNULL;

#endif
