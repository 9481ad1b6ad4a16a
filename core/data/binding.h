/* Bindings: which credential goes to which host, method and path, and how it is written (design 8).
 *
 * A binding applies by itself to its hosts wherever the policy allows the request, unless the rule names
 * another or "none". The most specific binding wins, ordered as policy rules are. */
#ifndef AILERON_DATA_BINDING_H
#define AILERON_DATA_BINDING_H

#include "core/data/match.h"

enum { BINDINGS_MAX = 256, BINDING_HOSTS_MAX = 64, BINDING_ENV_MAX = 16, BINDING_NAME_MAX = 128 };

enum binding_scheme { BINDING_BEARER, BINDING_BASIC, BINDING_HEADER };
const char *binding_scheme_word(enum binding_scheme scheme);

struct binding {
    char *name;
    char *entry;    /* the vault's path; the name where none is given */
    enum binding_scheme scheme;
    char *header;   /* the field that is written: "Authorization" for bearer and basic */
    char *before;   /* template around the secret: "Bearer ", "Token "; "" for basic */
    char *after;
    char *username; /* basic: NULL means the vault's entry holds it */
    struct match *hosts; /* one a host pattern; all with the same ports, methods and paths */
    size_t host_count;
    char **env;     /* variables that carry the sentinel; NULL-terminated; NULL: none */
    char *like;     /* what the sentinel begins with; "" where not given */
};

struct bindings; /* immutable */
/* With NULL at: none. Schemes that this version cannot write are refused by name. */
struct bindings *bindings_from(const struct json_at *at, struct err *err) MUSTUSE NONNULL_AT(2);
void bindings_free(struct bindings *bindings);
json_t *bindings_json(const struct bindings *bindings) NONNULL; /* borrowed */
size_t bindings_count(const struct bindings *bindings) NONNULL;
const struct binding *bindings_at(const struct bindings *bindings, size_t index) NONNULL;
const struct binding *binding_named(const struct bindings *bindings, const char *name) NONNULL;

/* The binding for a request, or NULL. An ambiguous path never matches a binding that has paths. */
const struct binding *binding_for(const struct bindings *bindings, const struct match_query *query)
    NONNULL;
/* Whether this binding covers the request. */
bool binding_covers(const struct binding *binding, const struct match_query *query) MUSTUSE NONNULL;
/* Whether any binding can apply on this host and port (TLS must be opened to tell). */
bool binding_any(const struct bindings *bindings, struct span host, uint16_t port) MUSTUSE NONNULL;
/* A new random, well-formed stand-in: `like` and 36 letters and digits. Caller frees. */
char *binding_mint_sentinel(const struct binding *binding) MUSTUSE NONNULL;
/* Whether a tool may be given a header of this name to fill: a token, and neither framing, routing nor
 * a proxy's or credential's own (Host, Content-Length, Connection, Authorization, Cookie, ...). */
bool binding_header_free(const char *name) MUSTUSE NONNULL;

#endif
