/* Whether an address is one of this machine's own, by which its services would be reached from the outside and, with no
 * packet leaving, from here. */
#ifndef AILERON_LOOP_OWN_H
#define AILERON_LOOP_OWN_H

#include "core/base/attr.h"
#include "core/wire/addr.h"

/* The kernel's routes are asked, so that an address of the last minute counts. Sends nothing. True too where the kernel
 * cannot be asked for want of descriptors or ports. */
bool own_address(const struct addr *addr) MUSTUSE NONNULL;

#endif
