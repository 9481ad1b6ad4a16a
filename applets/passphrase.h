/* Secrets from a person: a terminal without echo, a file, standard input or the environment, never an argument. */
#ifndef AILERON_APPLETS_PASSPHRASE_H
#define AILERON_APPLETS_PASSPHRASE_H

#include "core/base/err.h"
#include "core/base/secret.h"

enum { PASSPHRASE_BYTES = 1024 };

/* Asks on the terminal (/dev/tty), without echo. NULL: ERR_UNAVAILABLE where there is none. The terminal is
 * restored, also on Ctrl-C. */
struct secret *secret_from_terminal(const char *prompt, size_t max, struct err *err) MUSTUSE NONNULL;
/* A file's contents, or standard input's for "-", without one line end. ERR_DATA where it is empty or over max. */
struct secret *secret_from_file(const char *path, size_t max, struct err *err) MUSTUSE NONNULL;
/* The vault's passphrase: file (may be NULL), else AILERON_VAULT_PASSPHRASE, else the terminal; twice where it
 * is a new one. NULL: ERR_LOCKED where there is no source. */
struct secret *passphrase_read(const char *file, bool is_new, struct err *err) MUSTUSE NONNULL_AT(3);

#endif
