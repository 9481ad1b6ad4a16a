/* Targets: one canonical form for the host, port, path and query of a request, or a refusal (threats E05, E10,
 * C07, C10). What is matched by policy and what is forwarded are both this form. Pure.
 *
 * Every refusal is ERR_DATA (the edge answers 400); a length above its bound is ERR_LIMIT. */
#ifndef AILERON_WIRE_TARGET_H
#define AILERON_WIRE_TARGET_H

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/wire/addr.h"

enum {
    TARGET_HOST_BYTES = 253,  /* of a name, without the trailing dot (RFC 1035) */
    TARGET_LABEL_BYTES = 63,
    TARGET_PATH_BYTES = 32768, /* of a path, and of a query */
    TARGET_AUTHORITY_BYTES = 272 /* room for a formatted authority and its NUL */
};

struct target_host {
    char name[256]; /* lower-case, without trailing dot; an address in its canonical text, v6 without brackets */
    bool is_ip;
    struct addr addr; /* where is_ip; its port is 0 */
};

/* A host as it stands in a URI, a Host field, an SNI or a document: a name of letters, digits, hyphens and
 * underscores, or an address: v4 in every form that inet_aton takes, v6 with or without brackets (a mapped one becomes
 * v4). Refused:
 * other bytes (so non-ASCII, percent, NUL, spaces), empty labels, a label that begins or ends with a hyphen,
 * a last label of digits that is no address, zones. One trailing dot is taken off. */
bool target_host_parse(struct span text, struct target_host *out, struct err *err) MUSTUSE NONNULL_AT(2, 3);
bool target_host_equal(const struct target_host *a, const struct target_host *b) NONNULL;

/* "host:port", "[v6]:port". default_port 0: the port must be there (CONNECT, RFC 9110 9.3.6); else it is used
 * where none is given (Host). Ports are 1..65535. No user information. */
bool target_authority_parse(struct span text, uint16_t default_port, struct target_host *host,
                            uint16_t *port, struct err *err) MUSTUSE NONNULL_AT(3, 4, 5);

/* The canonical form of an absolute path ("/..." or empty, which becomes "/"), without its query: unreserved
 * bytes decoded, the rest of the escapes in upper case, dot segments resolved (encoded ones too). Refused:
 * bytes that a path cannot hold, malformed escapes, escaped slashes, backslashes and controls, a dot segment
 * with parameters ("..;x", which some servers resolve). *ambiguous: it holds "//" or an escaped percent sign in
 * front of two hex digits; such a path is forwarded as it is, and no path rule may be matched against it.
 * NUL-terminated; the caller frees it. NULL on refusal. */
char *target_path_canonical(struct span path, bool *ambiguous, struct err *err) MUSTUSE NONNULL_AT(2, 3);
/* Whether a host and a path, as rules are matched against them, are as they are sent; else it is a lie, or no path (the
 * asterisk of OPTIONS). *ambiguous: of the path. ERR_DENIED, or what is wrong with them. */
bool target_is_canonical(const char *host, const char *path, bool *ambiguous, struct err *err) MUSTUSE NONNULL;

enum target_scheme { TARGET_HTTP, TARGET_HTTPS };
const char *target_scheme_word(enum target_scheme scheme) MUSTUSE;    /* "http", "https" */
uint16_t target_scheme_port(enum target_scheme scheme) MUSTUSE;       /* 80, 443 */

/* Where a request goes. path and query live in the arena they were parsed into. */
struct target {
    enum target_scheme scheme;
    struct target_host host;
    uint16_t port;
    const char *path;  /* canonical; "*" for OPTIONS in asterisk form */
    const char *query; /* without '?', as sent but checked; NULL: none. An empty one is "" */
    bool ambiguous;    /* of the path */
};

/* Absolute form: "http://host[:port][/path][?query]", https too. Refused: other schemes, user information, a
 * fragment. */
bool target_parse_absolute(struct span text, struct arena *arena, struct target *out, struct err *err)
    MUSTUSE NONNULL_AT(2, 3, 4);
/* Origin form ("/path?query"), or "*": sets path, query and ambiguous; scheme, host and port are the caller's. */
bool target_parse_origin(struct span text, struct arena *arena, struct target *out, struct err *err)
    MUSTUSE NONNULL_AT(2, 3, 4);
/* "host" or "host:port" where the port is not the scheme's own: what a Host field says. */
void target_authority(const struct target *target, char out[TARGET_AUTHORITY_BYTES]) NONNULL;
/* "/path?query" appended to out; false where it does not fit. */
bool target_write_origin(const struct target *target, struct buf *out) MUSTUSE NONNULL;

#endif
