/* Errors: what failed, why, and what to do next.
 *
 * A function that can fail takes `struct err *` last and returns bool or a pointer; it writes the
 * error only on failure. The caller owns the struct (usually on its stack). err_wrap puts context in
 * front of the message on the way up; the edge prints it once with err_print. The code decides the
 * exit status (design 14) and the HTTP status of the control API, from the one table in err.c. */
#ifndef AILERON_BASE_ERR_H
#define AILERON_BASE_ERR_H

#include "core/base/attr.h"

enum err_code {
    ERR_NONE,
    ERR_FAILED,      /* the operation or the upstream failed */
    ERR_USAGE,       /* unknown flag, missing argument */
    ERR_DATA,        /* malformed input */
    ERR_UNAVAILABLE, /* daemon or engine cannot be reached */
    ERR_INTERNAL,    /* our own mistake */
    ERR_IO,          /* read, write, sync, no space */
    ERR_PENDING,     /* waits for a person */
    ERR_DENIED,      /* policy, token, or peer check */
    ERR_CONFIG,      /* configuration file */
    ERR_TIMEOUT,
    ERR_LAUNCH,      /* launch's own failure, 125 */
    ERR_NOT_EXECUTABLE, /* 126 */
    ERR_NOT_FOUND_COMMAND, /* 127 */
    ERR_NOT_FOUND,   /* no such session, operation, entry */
    ERR_CONFLICT,    /* exists already, or in another state */
    ERR_LOCKED,      /* the vault is locked */
    ERR_LIMIT,       /* a bound of the limits table */
    ERR_EXPIRED,     /* nobody decided in time */
    ERR_UNKNOWN,     /* it may or may not have happened */
    ERR_UPSTREAM,    /* upstream unreachable, bad certificate, bad answer */
    ERR_CODES
};

struct err {
    enum err_code code;
    char message[512];
    char hint[256]; /* the next step; may be empty */
};

/* The stable word of a code ("denied"), its exit status and its HTTP status. */
const char *err_word(enum err_code code);
int err_exit(enum err_code code);
int err_http(enum err_code code);
/* ERR_FAILED for an unknown word. */
enum err_code err_from_word(const char *word) NONNULL;

/* Sets the error; returns false so that `return err_set(...)` reads well. */
bool err_set(struct err *err, enum err_code code, const char *fmt, ...) NONNULL PRINTF(3, 4);
/* As err_set, and appends ": " and strerror(errno_value). */
bool err_errno(struct err *err, enum err_code code, int errno_value, const char *fmt, ...) NONNULL
    PRINTF(4, 5);
/* Puts "context: " in front of the message; the code stays. Returns false. */
bool err_wrap(struct err *err, const char *fmt, ...) NONNULL PRINTF(2, 3);
/* Sets the hint (the next step). Returns false. */
bool err_hint(struct err *err, const char *fmt, ...) NONNULL PRINTF(2, 3);
/* The next step where nobody has said a better one. Returns false. */
bool err_hint_default(struct err *err, const char *fmt, ...) NONNULL PRINTF(2, 3);
/* "NAME: message. hint" on standard error, one line, control bytes escaped; returns err_exit(code). */
int err_print(const struct err *err, const char *name) NONNULL;

#endif
