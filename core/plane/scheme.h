/* Schemes: how a credential is written into a request (design section 8). One row a scheme: every slot that
 * the scheme has is emptied of what the client sent, then one field is written (threat C03). */
#ifndef AILERON_PLANE_SCHEME_H
#define AILERON_PLANE_SCHEME_H

#include "core/data/binding.h"
#include "core/wire/msg.h"

enum { SCHEME_VALUE_BYTES = 32 * 1024 }; /* of the field's value that is written */

/* Writes the secret into msg. value is initialised here and holds the field's bytes, which msg borrows: it
 * lives until the head has been written and is then wiped by the caller (buf_wipe). username: from the
 * credential's message, "" where the binding has its own. ERR_DENIED where the secret cannot stand in a field (CR,
 * LF, NUL: C10), with what to do. */
bool scheme_apply(const struct binding *binding, const char *username, struct span secret,
                  struct msg *msg, struct buf *value, struct err *err) MUSTUSE NONNULL_AT(1, 2, 4, 5, 6);
/* "Basic ..." appended to value. False: a user name with a colon, or too long for value. */
bool scheme_write_basic(const char *user, struct span secret, struct buf *value) MUSTUSE NONNULL_AT(1, 3);

#endif
