/* Any bytes as git's index and as its configuration, as an agent may leave them (threats F09, F11): every name that is
 * read is a whole text, every path that is made of one stays in the workspace. */
#include <stdlib.h>
#include <string.h>

#include "core/sandbox/planted_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

static bool on_gitlink(const char *name, size_t len, void *arg)
{
    (void)arg;
    require(strlen(name) == len && len > 0 && len < PATH_MAX && name[0] != '/');
    return true;
}

static void on_named(enum planted_named named, const char *name, void *arg)
{
    char path[PATH_MAX];

    (void)named;
    (void)arg;
    if (!planted_join("/home/me/ws", "a/b", name, path))
        return;
    require(path[0] != '\0' && path[0] != '/' && strlen(path) < PATH_MAX);
    AUTOFREE char *inside = mem_printf("/%s/", path);
    require(strstr(inside, "/../") == NULL && strstr(inside, "/./") == NULL && strstr(inside, "//") == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTOFREE uint8_t *copy = mem_alloc(size + 1); /* with a NUL behind, as a buffer has */

    if (size > 0)
        memcpy(copy, data, size);
    (void)!planted_gitlinks(data, size, on_gitlink, NULL);
    planted_config_paths((const char *)copy, size, on_named, NULL);
    return 0;
}
