/* Two looks at a workspace, and what has become of the first one's files. */
#include "core/sandbox/planted_private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *planted_word(enum planted_kind kind)
{
    static const char *const words[] = {"new", "changed", "removed"};

    return words[kind];
}

static void tell(struct planted_report *report, enum planted_kind kind, const struct planted_entry *entry)
{
    if (report->count < PLANTED_CHANGES_MAX)
        report->changes[report->count++] =
            (struct planted_change){.kind = kind, .path = mem_strdup(entry->path), .runs = entry->runs};
    report->total++;
}

/* Not met by the second look: it is gone, or that look did not come so far. */
static void tell_missing(const struct planted *before, const struct planted_entry *entry, struct planted_report *report)
{
    uint8_t digest[CRYPTO_HASH_LEN];

    if (!planted_still(before, entry, digest))
        tell(report, PLANTED_REMOVED, entry);
    else if (memcmp(digest, entry->digest, sizeof digest) != 0)
        tell(report, PLANTED_CHANGED, entry);
}

/* Where the first look did not see everything, what it missed may be old: the time of the inode's last change tells,
 * which no program can set (a clock that is wound back can). */
static bool is_new(const struct planted *before, const struct planted_entry *entry)
{
    AUTOFREE char *path = mem_printf("%s/%s", before->workspace, entry->path);
    struct stat st;

    return before->partial[0] == '\0' || lstat(path, &st) != 0 || st.st_ctim.tv_sec >= before->taken.tv_sec;
}

bool planted_compare(const struct planted *before, struct planted_report *report, struct err *err)
{
    struct planted now = {.workspace = mem_strdup(before->workspace), .extra_count = before->extra_count};
    size_t old = 0, new = 0;

    *report = (struct planted_report){.count = 0};
    memcpy(now.extra, before->extra, sizeof now.extra); /* borrowed */
    bool good = planted_walk(&now, &before->taken, err);
    while (good && (old < before->count || new < now.count)) {
        const struct planted_entry *was = &before->entries[old], *is = &now.entries[new];
        int order = old == before->count ? 1 : new == now.count ? -1 : strcmp(was->path, is->path);
        if (order < 0)
            tell_missing(before, was, report);
        else if (order > 0 && is_new(before, is))
            tell(report, PLANTED_NEW, is);
        else if (order == 0 && memcmp(was->digest, is->digest, sizeof is->digest) != 0)
            tell(report, PLANTED_CHANGED, is);
        old += order <= 0;
        new += order >= 0;
    }
    memcpy(report->partial, now.partial[0] != '\0' ? now.partial : before->partial, sizeof report->partial);
    arena_free(now.names);
    free(now.entries);
    free(now.workspace);
    return good;
}

void planted_report_clear(struct planted_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        free(report->changes[i].path);
    *report = (struct planted_report){.count = 0};
}
