/* What `aileron approvals` and its live list share. */
#ifndef AILERON_APPLETS_APPROVALS_H
#define AILERON_APPLETS_APPROVALS_H

#include "core/client/client.h"

#include <stdio.h>

/* One line: id, age, session, what is asked, escaped (threat A03). */
void approvals_print_row(const json_t *row) NONNULL;
/* What the locked vault has cost, of an answer that lists approvals; nothing where it was nothing. */
void approvals_print_refused(FILE *out, const json_t *answer) NONNULL;
/* All that a person decides about, in lines. */
void approvals_print(const json_t *approval) NONNULL;
/* POST .../decide for what `approval` shows. args NULL: as they are; reason NULL: none. */
bool approvals_decide(struct client *client, const json_t *approval, bool approve, bool for_session, json_t *args,
                      const char *reason, struct err *err) MUSTUSE NONNULL_AT(1, 2, 7);
/* GET /v1/approvals/ID. Caller's reference. */
json_t *approvals_get(struct client *client, const char *id, struct err *err) MUSTUSE NONNULL;
/* Until it is interrupted. Returns the exit status. */
int approvals_watch(struct client *client, bool json) NONNULL;

#endif
