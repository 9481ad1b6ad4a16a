/* state.db at the daemon's start: opened, or replaced where it is damaged (threat F04). Monitor only. */
#ifndef AILERON_AUTHORITY_STATE_H
#define AILERON_AUTHORITY_STATE_H

#include "core/authority/monitor.h"

/* Sets monitor->store and monitor->operations; monitor->record and monitor->home are there. A damaged file is put
 * aside and what can be read of its sessions carried over: monitor->state_trouble and the record tell so. */
bool state_open(struct monitor *monitor, struct err *err) MUSTUSE NONNULL;
/* The vault was made, unlocked or locked: so is what state.db keeps sealed. What was approved meanwhile runs. */
void state_follow_vault(struct monitor *monitor) NONNULL;
/* The same for one that was just unlocked. False, and locked again: its file is older than the one that was used last
 * (ERR_DATA), and the person has not said (older) that it is meant. */
bool state_take_vault(struct monitor *monitor, bool older, struct err *err) MUSTUSE NONNULL;
/* An entry was put or removed. */
void state_saw_vault(struct monitor *monitor) NONNULL;

#endif
