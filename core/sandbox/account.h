/* The image's user that a dev container names (remoteUser): its name and its home, out of passwd(5). Its numbers do not
 * count; the agent always has the workspace's owner's. */
#ifndef AILERON_SANDBOX_ACCOUNT_H
#define AILERON_SANDBOX_ACCOUNT_H

#include "core/base/err.h"

enum { ACCOUNT_NAME_BYTES = 65, ACCOUNT_HOME_BYTES = 256, ACCOUNT_FILE_BYTES = 1024 * 1024 };

struct account {
    char name[ACCOUNT_NAME_BYTES];
    char home[ACCOUNT_HOME_BYTES];
};

/* name may also be a number. False: no such entry, or one whose home is no absolute path of that size, or is /. */
bool account_parse(const char *passwd, const char *name, struct account *out) MUSTUSE NONNULL;
/* The file's. ERR_LAUNCH where there is none. */
bool account_find(const char *path, const char *name, struct account *out, struct err *err) MUSTUSE NONNULL;

#endif
