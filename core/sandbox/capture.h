/* The sandbox's listeners (design 5): the proxy port, the name server, and the capture ports on every loopback
 * address. Accepted connections go to the relay; captured ones with the name that was meant. */
#ifndef AILERON_SANDBOX_CAPTURE_H
#define AILERON_SANDBOX_CAPTURE_H

#include "core/base/err.h"
#include "core/loop/loop.h"
#include "core/sandbox/names.h"
#include "core/sandbox/relay.h"

struct capture;
/* Binds everything (needs the right to ports below 1024). sealed false: the proxy port alone. */
struct capture *capture_open(struct loop *loop, const uint16_t *ports, size_t count, bool sealed,
                             struct err *err) MUSTUSE NONNULL_AT(1, 5);
/* From now on accepts and answers; before it, connections wait in the kernel's queue. */
void capture_start(struct capture *capture, struct relay *relay) NONNULL;
void capture_close(struct capture *capture); /* NULL is fine */
/* "80,443" into ports; false: malformed, zero, or more than max. */
bool capture_parse_ports(const char *text, uint16_t *ports, size_t max, size_t *count) MUSTUSE NONNULL;

#endif
