/* Two files of the kernel. A container sees its own control group at the top of /sys/fs/cgroup, with either version of
 * control groups. It limits nothing: that is the engine's. */
#include "core/sandbox/memory.h"

#include "core/base/file.h"
#include "core/base/text.h"

#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { COUNTS_BYTES = 4096 };
#define AGENT_SCORE "500" /* of 1000: as if it had half of all memory besides; the supervisor's 0 is never above it */

void memory_go_first(void)
{
    /* Else the file is root's. exec makes the agent dumpable anyway, and nothing of another user runs before. */
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    CLEANUP(file_close_ptr) int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)!write(fd, AGENT_SCORE, sizeof(AGENT_SCORE) - 1); /* no /proc: the kernel's own choice */
}

/* "oom_kill 3" among other lines. */
static uint64_t count_in(const char *path)
{
    static const char word[] = "oom_kill ";
    struct buf text;
    struct err err = {0};
    struct span rest, line;
    uint64_t count = 0;

    if (!file_read(path, COUNTS_BYTES, &text, &err))
        return 0;
    rest = span_of(buf_cstr(&text));
    while (span_cut(&rest, '\n', &line))
        if (span_starts(line, word) &&
            !text_u64((struct span){line.p + sizeof(word) - 1, line.len - (sizeof(word) - 1)}, UINT64_MAX, &count))
            count = 0;
    buf_clear(&text);
    return count;
}

uint64_t memory_kills(void)
{
    return count_in("/sys/fs/cgroup/memory.events") + count_in("/sys/fs/cgroup/memory/memory.oom_control");
}
