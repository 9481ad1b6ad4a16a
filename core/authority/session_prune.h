/* What sessions may have left behind although they are over: sandboxes that an engine still has, directories,
 * launchers. Monitor only. */
#ifndef AILERON_AUTHORITY_SESSION_PRUNE_H
#define AILERON_AUTHORITY_SESSION_PRUNE_H

#include "core/authority/monitor.h"

enum { PRUNE_LAUNCHER_MS = 20 * 1000 /* a launcher has that long to end after its session */ };

/* Reads or makes what names this home on the labels of its containers: an engine may serve other homes and other
 * machines with the same paths. */
bool home_id_load(struct monitor *monitor, struct err *err) MUSTUSE NONNULL;
/* Starts a helper that asks the engines which our sessions have used for sandboxes of sessions that are over. At the
 * daemon's start, and a while after a session that did not end by itself: an engine that was told to make a container
 * makes it even when whoever told it is dead, and that may be after the container was removed for the first time. A
 * launcher that lives has a while to stop its sandbox by itself. */
void session_prune_later(struct monitor *monitor) NONNULL;
void session_prune_engines(struct monitor *monitor, bool first) NONNULL;
/* Directories that belong to no session, and launchers whose session is over. */
void session_prune(struct monitor *monitor, size_t *directories, size_t *launchers) NONNULL;

#endif
