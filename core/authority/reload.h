/* Notices changes of the user's files and loads them (threat F07). Monitor only. */
#ifndef AILERON_AUTHORITY_RELOAD_H
#define AILERON_AUTHORITY_RELOAD_H

#include "core/authority/monitor.h"

enum { RELOAD_SETTLE_MS = 150 }; /* from a change to the loading: editors write in several steps */

/* Watches config.yaml, policy.yaml and bindings.yaml. NULL where the kernel cannot: then only SIGHUP and the
 * control API reload (the log says so). */
struct reload *reload_open(struct monitor *monitor) MUSTUSE NONNULL;
void reload_close(struct reload *reload); /* NULL is fine */
/* Loads at once what has changed and was not loaded yet. */
void reload_now(struct monitor *monitor) NONNULL;

#endif
