/* Where a rule or a binding applies: host pattern, ports, methods, path globs, and how specific that is.
 * Shared by policy and bindings, so that both are read, matched and ordered in one way. */
#ifndef AILERON_DATA_MATCH_H
#define AILERON_DATA_MATCH_H

#include "core/base/text.h"
#include "core/data/json.h"

enum {
    MATCH_HOST_MAX = 253,
    MATCH_GLOB_MAX = 256,    /* bytes of one path glob */
    MATCH_PORTS_MAX = 16,
    MATCH_METHODS_MAX = 16,
    MATCH_PATHS_MAX = 32
};

/* Glob over a canonical path: `*` is any run of bytes but '/', `**` any run; a final "/" "**" also matches
 * the path without it ("/a/" "**" matches "/a"). Time is at most len(glob) * len(path). */
bool glob_match(const char *glob, struct span path) MUSTUSE NONNULL;
/* The same where ASCII letters match in either case. */
bool glob_match_any_case(const char *glob, struct span path) MUSTUSE NONNULL;
/* The literal bytes before the first `*`. */
size_t glob_literal(const char *glob) NONNULL;

/* What is asked about. Canonical forms (core/wire/target.h). path without its query. */
struct match_query {
    struct span host;
    uint16_t port;
    struct span method; /* p NULL: not known yet (a tunnel before it is opened) */
    struct span path;   /* p NULL: not known yet */
    bool ambiguous;     /* the path could be read in two ways (target's flag): no path glob may decide */
};

/* Puts query's path into the form that globs were read into: what servers decode without a change of meaning (":",
 * "@", "+" and their like) has one spelling there (C07). *memory: what it lies in, for the caller to free; NULL: as it
 * was. */
void match_fold(struct match_query *query, char **memory) NONNULL;

struct match {
    char *host;      /* canonical; without "*." where wild */
    bool wild;       /* any name below host, at any depth; not host itself */
    uint16_t ports[MATCH_PORTS_MAX];
    size_t port_count; /* 0: any */
    char **methods;    /* upper case as written; NULL-terminated; NULL: any */
    char **paths;      /* globs; NULL-terminated; NULL: any */
};
void match_clear(struct match *match) NONNULL;

/* The canonical form (core/wire/target.h) of a host that stands in a document; false: json_fail at `at`. */
bool match_canonical_host(const struct json_at *at, const char *text, char out[256], struct err *err)
    MUSTUSE NONNULL;
/* One host pattern: exact, or one leading "*.". Sets match->host and ->wild. */
bool match_host_from(struct match *match, const struct json_at *at, struct err *err) MUSTUSE NONNULL;
/* Reads `port` or `ports`, `methods`, `paths` of the object. */
bool match_limits_from(struct match *match, const struct json_at *at, struct err *err) MUSTUSE NONNULL;
/* A list of 1 to max texts, copied, NULL-terminated; *out stays NULL where it is absent. */
bool match_texts_from(const struct json_at *at, const char *key, enum json_need need, size_t max,
                      size_t text_max, char ***out, struct err *err) MUSTUSE NONNULL;
void match_texts_free(char **texts); /* NULL is fine */
char **match_texts_copy(char *const *texts) MUSTUSE; /* NULL gives NULL */
bool match_host(const struct match *match, struct span host) MUSTUSE NONNULL;
bool match_port(const struct match *match, uint16_t port) MUSTUSE NONNULL;
bool match_method(const struct match *match, struct span method) MUSTUSE NONNULL;

/* One row of an ordered table: a match with one of its paths (NULL: any path). */
struct match_row {
    const struct match *match;
    const char *path;
    size_t owner; /* index of the rule or binding */
    int weight;   /* breaks ties before owner: the higher first */
};
/* Most specific first: exact host, longer wildcard, shorter; longer literal path; methods; ports; weight; owner. */
void match_sort(struct match_row *rows, size_t count) NONNULL_AT(1);

#endif
