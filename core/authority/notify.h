/* Telling the person: approvals.notify of config.yaml, a command that gets what there is to tell as JSON on its standard
 * input. It is not waited for. Monitor only. */
#ifndef AILERON_AUTHORITY_NOTIFY_H
#define AILERON_AUTHORITY_NOTIFY_H

#include "core/authority/session.h"

/* {"kind": "approval", and the approval as `approvals show` has it}. With approvals.notify_link also "url": a one-time
 * link to the page that shows it. */
void notify_approval(struct monitor *monitor, const char *id) NONNULL;
/* A request of the session was refused since the vault is locked: counted, and the first one since it was locked is told
 * and recorded: {"kind": "vault.unlock", "summary", "session", "command", "url"?}. */
void notify_locked(struct session *session) NONNULL;
/* It is unlocked: the next time is the first again. */
void notify_unlocked(struct monitor *monitor) NONNULL;

#endif
