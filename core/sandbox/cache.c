/* What is in a cache is an agent's; the directory itself, its parent and its owner are ours and are looked at here. */
#include "core/sandbox/cache.h"

#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool refuse(struct err *err, const char *path, const char *why)
{
    err_set(err, ERR_LAUNCH, "the cache %s cannot be used: %s", path, why);
    return err_hint(err, "Remove it: aileron session prune --caches");
}

/* Relative to the directory of caches, which nobody else can write to. */
static bool make(int parent, const char *name, const char *path, const struct plan *plan, struct err *err)
{
    struct stat st;
    bool made = mkdirat(parent, name, 0700) == 0;

    if (!made && errno != EEXIST)
        return err_errno(err, ERR_LAUNCH, errno, "cannot make %s", path);
    CLEANUP(file_close_ptr) int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return refuse(err, path, "it is no directory");
    /* Root launches for the workspace's owner. */
    if (made && st.st_uid != plan->uid && fchown(fd, plan->uid, plan->gid) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot give %s to user %u", path, (unsigned)plan->uid);
    return made || st.st_uid == plan->uid || refuse(err, path, "it is another user's than the workspace");
}

bool cache_add(struct plan *plan, const struct config_caches *caches, struct err *err)
{
    AUTOFREE char *dir = file_join(plan->aileron_home, "cache");

    if (caches->count == 0)
        return true;
    if (!file_mkdirs(dir, 0700, err))
        return false;
    CLEANUP(file_close_ptr) int parent = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (parent < 0)
        return refuse(err, dir, "it is no directory");
    for (size_t i = 0; i < caches->count; i++) {
        const struct config_cache *row = &caches->rows[i];
        char *path = file_join(dir, row->name);
        if (!make(parent, row->name, path, plan, err)) {
            free(path);
            return false;
        }
        plan->caches[plan->cache_count++] = (struct plan_cache){.source = path,
                                                                .place = file_join(SANDBOX_HOME, row->place)};
    }
    return true;
}
