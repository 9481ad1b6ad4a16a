/* What shim and wait share: reaching the session, and showing how an operation ended. Both run in the sandbox. */
#ifndef AILERON_APPLETS_OUTCOME_H
#define AILERON_APPLETS_OUTCOME_H

#include "core/client/client.h"

/* The session's API: AILERON_TOKEN or the mounted token file, and the mounted socket (AILERON_SESSION_SOCKET
 * names another one). */
struct client *outcome_connect(struct err *err) MUSTUSE NONNULL;

/* An error as one line on standard error, or with json as {"error": ...}; returns its exit status. */
int outcome_error(const struct err *err, bool json) NONNULL;
/* An answer of 400 or more, in the one shape of denials (threats section 6). */
int outcome_denied(int status, const json_t *answer, bool json) NONNULL_AT(2);
/* The upstream's own failure: one line, then what of its body there is, on standard error. */
int outcome_upstream(const char *operation, int64_t status, const void *body, size_t len, bool json)
    NONNULL_AT(1);
/* A state as GET /v1/operations/{id} shows it, final or not: the result on standard output, or the failure on
 * standard error; returns the exit status (75 while it is not final). */
int outcome_state(const json_t *state, bool json) NONNULL;
bool outcome_final(const json_t *state) NONNULL;

/* GET /v1/operations/{id}?wait=seconds. NULL and *status where the answer is an error that has been shown. */
json_t *outcome_get(struct client *client, const char *id, uint64_t wait_s, bool json, int *status) MUSTUSE
    NONNULL;
/* A final state, as outcome_state shows it, and marked as collected once it is written. */
int outcome_show(struct client *client, const json_t *state, bool json) NONNULL;
/* Waits until it is final, for at most timeout_ms, and shows it. 124 where the time is up. A daemon that dies meanwhile
 * is waited for, too: *client is another one then, or NULL. */
int outcome_wait(struct client **client, const char *id, uint64_t timeout_ms, bool json) NONNULL_AT(1, 2);
/* Whether an answer that failed so may be asked for again. */
bool outcome_passes(enum err_code code);
void outcome_pause(uint64_t ms);
/* Tells the daemon that the result has arrived; failing is harmless (it is shown as uncollected again). */
void outcome_ack(struct client *client, const char *id) NONNULL;

#endif
