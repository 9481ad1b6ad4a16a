/* Addresses as the kernel wants them: struct addr to and from struct sockaddr. */
#ifndef AILERON_LOOP_SOCKADDR_H
#define AILERON_LOOP_SOCKADDR_H

#include "core/base/attr.h"
#include "core/wire/addr.h"
#include <sys/socket.h>

socklen_t sockaddr_from(const struct addr *addr, struct sockaddr_storage *out) NONNULL;
/* False: neither IPv4 nor IPv6. */
bool sockaddr_to(const struct sockaddr *from, struct addr *out) MUSTUSE NONNULL;

#endif
