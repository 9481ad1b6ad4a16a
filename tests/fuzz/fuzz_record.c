/* Any bytes as a day's file of the record (F04): it is read, proven or found damaged, and opened for writing again;
 * a line that is then written can be read, and what was intact stays intact. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/data/audit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/dev/shm/fuzz-record.XXXXXX"; /* in memory: each input syncs */

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void end(void)
{
    struct err err;
    (void)!file_remove_tree(dir, &err);
}

static size_t lines_about(const char *event)
{
    struct audit_filter filter = {.event = event};
    struct err err;
    struct span line;
    json_t *object;
    size_t count = 0;
    struct audit_reader *reader = audit_reader_open(dir, &filter, false, &err);
    require(reader != NULL);
    while (audit_reader_next(reader, &line, &object, &err) == AUDIT_LINE)
        count++;
    audit_reader_close(reader);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    struct audit_report before = {0}, after = {0};
    struct err err = {0};
    if (!begun) {
        require(mkdtemp(dir) != NULL && atexit(end) == 0);
        begun = true;
    }
    require(file_remove_tree(dir, &err) && file_mkdirs(dir, 0700, &err));
    AUTOFREE char *path = file_join(dir, "audit-2026-01-02.jsonl");
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    require(fd >= 0 && file_write_all(fd, data, size, &err) && close(fd) == 0);
    require(audit_verify(dir, NULL, &before, &err));
    size_t had = lines_about("daemon.stop");
    struct audit *audit = audit_open(dir, &err);
    if (!audit) {
        require(err.code == ERR_IO || err.code == ERR_DATA);
        return 0;
    }
    json_t *event = json_pack("{s:s, s:s}", "event", "daemon.stop", "reason", "stopped");
    require(audit_append(audit, event, false, &err));
    json_decref(event);
    audit_close(audit);
    require(lines_about("daemon.stop") == had + 1);
    require(audit_verify(dir, NULL, &after, &err));
    require(after.intact || !before.intact || before.open_tail);
    return 0;
}
