/* What vault.c and vault_cache.c share; for nobody else. */
#ifndef AILERON_AUTHORITY_VAULT_PRIVATE_H
#define AILERON_AUTHORITY_VAULT_PRIVATE_H

#include "core/authority/vault.h"

#include <sys/stat.h>

struct vault {
    char *home, *path;
    struct secret *key;    /* NULL while locked */
    json_t *doc;           /* the checked file; NULL where it must be read */
    struct stat seen;      /* of the file that doc was read from */
    json_int_t generation; /* the newest that was seen while unlocked */
};

/* Reads the file where it changed. */
bool vault_load(struct vault *vault, struct err *err) MUSTUSE NONNULL;

#endif
