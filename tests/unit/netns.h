/* For tests that need a network namespace of their own: ports below 1024, loopback alone. */
#ifndef AILERON_TESTS_UNIT_NETNS_H
#define AILERON_TESTS_UNIT_NETNS_H

#include "core/base/attr.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static inline bool netns_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return good;
}

/* The whole process goes; false where the host does not let it. */
static inline bool netns_enter(void)
{
    char map[64];
    unsigned uid = geteuid(), gid = getegid();

    if (uid == 0)
        return unshare(CLONE_NEWNET) == 0;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0 || !netns_write("/proc/self/setgroups", "deny"))
        return false;
    snprintf(map, sizeof(map), "0 %u 1", uid);
    if (!netns_write("/proc/self/uid_map", map))
        return false;
    snprintf(map, sizeof(map), "0 %u 1", gid);
    return netns_write("/proc/self/gid_map", map);
}

#endif
