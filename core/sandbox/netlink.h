/* The few questions and orders for the kernel's routing tables that a sandbox needs (rtnetlink(7)), in the
 * network namespace of the caller. Blocking; used by the supervisor before it starts the agent. */
#ifndef AILERON_SANDBOX_NETLINK_H
#define AILERON_SANDBOX_NETLINK_H

#include "core/base/err.h"

/* Brings the loopback interface up; nothing where it is. */
bool netlink_loopback_up(struct err *err) MUSTUSE NONNULL;
/* Adds an IPv4 address (network byte order) to loopback; true where it is there already. */
bool netlink_loopback_address(uint32_t address, uint8_t prefix, struct err *err) MUSTUSE NONNULL;
/* The name of an interface other than loopback that is up, into out; "" where there is none. */
bool netlink_foreign_interface(char out[32], struct err *err) MUSTUSE NONNULL;

#endif
