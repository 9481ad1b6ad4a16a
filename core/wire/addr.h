/* Internet addresses: parsing, formatting, what kind of network they belong to, and whether an upstream
 * connection may be made to them (threats E05, E06, E07). Pure; no resolver, no sockets. */
#ifndef AILERON_WIRE_ADDR_H
#define AILERON_WIRE_ADDR_H

#include "core/base/text.h"

enum addr_family { ADDR_NONE = 0, ADDR_V4 = 4, ADDR_V6 = 6 };

struct addr {
    uint8_t family;    /* enum addr_family */
    uint8_t bytes[16]; /* network order; a v4 address uses the first 4, the others are 0 */
    uint16_t port;     /* host order; 0: none */
};

enum { ADDR_TEXT_BYTES = 64 }; /* room for every formatted address with its port and the NUL */

/* Strict text forms: dotted decimal with four parts and no leading zeros, or RFC 4291 for v6 (no zone, no
 * brackets). The port becomes 0. */
bool addr_parse(struct span text, struct addr *out) MUSTUSE NONNULL_AT(2);
/* The forms that inet_aton(3) takes too: 1 to 4 parts, each decimal, octal (0) or hexadecimal (0x). Programs
 * connect to what they say, so a host name that looks like one is one. */
bool addr_parse_loose(struct span text, struct addr *out) MUSTUSE NONNULL_AT(2);
/* An address with an optional port: "10.0.0.1", "10.0.0.1:53", "::1", "[::1]", "[::1]:53". */
bool addr_parse_port(struct span text, struct addr *out) MUSTUSE NONNULL_AT(2);
/* Canonical text without the port (v6 as RFC 5952, without brackets). */
void addr_format(const struct addr *addr, char out[ADDR_TEXT_BYTES]) NONNULL;
/* "10.0.0.1:53", "[::1]:53"; without ":N" where the port is 0. */
void addr_format_port(const struct addr *addr, char out[ADDR_TEXT_BYTES]) NONNULL;
/* Same family and bytes; the port is not looked at. */
bool addr_equal(const struct addr *a, const struct addr *b) NONNULL;

enum addr_class {
    ADDR_PUBLIC,
    ADDR_LOOPBACK,
    ADDR_PRIVATE,     /* RFC 1918, unique local, site local */
    ADDR_LINK_LOCAL,
    ADDR_METADATA,    /* where clouds hand out credentials */
    ADDR_CGNAT,       /* 100.64/10 */
    ADDR_MULTICAST,
    ADDR_UNSPECIFIED,
    ADDR_BROADCAST,
    ADDR_RESERVED,    /* documentation, benchmarking, not assigned */
    ADDR_CLASSES
};
/* Addresses that embed a v4 address (mapped, compatible, NAT64, 6to4, Teredo) have the class of that one
 * where it is not public. A translator's public address is public, but for Teredo and the local NAT64 prefix:
 * these are reserved. */
enum addr_class addr_class(const struct addr *addr) MUSTUSE NONNULL;
/* "public", "loopback", "private", "link-local", "metadata", ... */
const char *addr_class_word(enum addr_class class) MUSTUSE;

struct cidr {
    struct addr base; /* bits behind the prefix are 0 */
    unsigned bits;    /* 0..32 or 0..128 */
};
/* "10.1.2.3/32", "fc00::/7"; without a slash the one address. Bits behind the prefix must be 0. */
bool cidr_parse(struct span text, struct cidr *out) MUSTUSE NONNULL_AT(2);
/* A v4-mapped address matches a v4 range; other embedded forms match only ranges of their own family. */
bool cidr_match(const struct cidr *cidr, const struct addr *addr) MUSTUSE NONNULL;
/* The range holds a metadata address, in plain or in an embedded form (E07). */
bool cidr_has_metadata(const struct cidr *cidr) MUSTUSE NONNULL;

/* May a connection go there? Public: yes. Metadata, multicast, unspecified, broadcast: never, whatever the
 * list says. Everything else: where `allowed` has a range that holds it. allow_private allows the classes
 * private and cgnat without a range. On false *why is the class's word (static). */
bool addr_verdict(const struct addr *addr, const struct cidr *allowed, size_t allowed_count,
                  bool allow_private, const char **why) MUSTUSE NONNULL_AT(1, 5);

#endif
