/* What this room links, as the libraries themselves say it. */
#include "core/loop/versions.h"

#include <event2/event.h>
#include <seccomp.h>

bool loop_versions(struct buf *out)
{
    const char *libevent = event_get_version(); /* "2.1.12-stable" */
    int len = 0;
    while (libevent[len] != '\0' && libevent[len] != '-')
        len++;
    const struct scmp_version *seccomp = seccomp_version();
    return buf_printf(out, "libevent %.*s, libseccomp %u.%u.%u", len, libevent, seccomp->major,
                      seccomp->minor, seccomp->micro);
}
