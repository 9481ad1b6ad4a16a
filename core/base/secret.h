/* Secrets: locked, excluded from core dumps, wiped when freed, and without a format of their own.
 * secret_bytes is the one way to read them; never pass what it returns to anything that prints. */
#ifndef AILERON_BASE_SECRET_H
#define AILERON_BASE_SECRET_H

#include "core/base/attr.h"

struct secret;
struct secret *secret_new(const void *data, size_t len) MUSTUSE; /* copies; the caller wipes its own */
struct secret *secret_zeroed(size_t len) MUSTUSE;
void secret_free(struct secret *secret);          /* wipes; NULL is fine */
void secret_free_ptr(struct secret **secret);     /* for CLEANUP */
const uint8_t *secret_bytes(const struct secret *secret) NONNULL;
uint8_t *secret_writable(struct secret *secret) NONNULL;
size_t secret_len(const struct secret *secret) NONNULL;
bool secret_equal(const void *a, const void *b, size_t len) NONNULL; /* constant time */
void secret_wipe(void *data, size_t len) NONNULL;                    /* never optimised away */
/* Not dumpable, no core files; called first in every process that may hold a secret. */
void secret_harden_process(void);

#endif
