/* Documents: a JSON tree (jansson's json_t), where it came from, and strict typed access to it.
 *
 * A struct doc is a parsed file with its name and, for YAML, the line and column of every node, so that
 * whatever is found wrong later is reported as "policy.yaml:12:5: rules[2].action: ...". A struct json_at
 * is a cursor: a node and the way to it. Cursors live on the caller's stack, borrow the doc, and keep a
 * pointer to the cursor they came from: a child never outlives its parent.
 *
 * The json_get_* functions read one member of an object. With JSON_NEED an absent member is an error, with
 * JSON_MAY an absent (or null) one leaves *out untouched, so defaults are set before. Strings that come
 * out are borrowed from the doc, hold no NUL and are valid UTF-8. */
#ifndef AILERON_DATA_JSON_H
#define AILERON_DATA_JSON_H

#include <jansson.h>

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/text.h"

enum {
    JSON_DEPTH_MAX = 32,          /* nesting of any document */
    JSON_NODES_MAX = 20000,       /* nodes of a YAML document */
    JSON_FILE_MAX = 1024 * 1024,  /* bytes of a file a person writes, of an API body */
    JSON_KEY_MAX = 256            /* bytes of one key in YAML */
};

struct json_mark; /* positions, see yaml.c */
struct doc {
    json_t *root;
    enum err_code code; /* of errors found in it: ERR_CONFIG for the user's files, else ERR_DATA */
    char *name;         /* shown in errors: "policy.yaml" */
    struct json_mark *marks;
    size_t mark_count;
};
void doc_clear(struct doc *doc) NONNULL; /* frees what it holds; a zeroed doc is fine */
/* A doc around a tree that exists already; takes a reference of its own. */
void doc_wrap(struct doc *doc, json_t *root, const char *name, enum err_code code) NONNULL;

/* Strict JSON: one value, no duplicate keys, no NUL, UTF-8, at most max bytes and JSON_DEPTH_MAX deep.
 * Errors: "NAME:line:col: ..." with `code`. */
bool json_parse(const void *bytes, size_t len, size_t max, const char *name, enum err_code code,
                struct doc *out, struct err *err) MUSTUSE NONNULL_AT(4, 6, 7);
/* Compact text, object members in their order; out is not initialised here. False: over out->max. */
bool json_write(const json_t *node, struct buf *out) MUSTUSE NONNULL;
/* Compact with sorted keys: the same tree gives the same bytes. Caller frees. */
char *json_canonical(const json_t *node) MUSTUSE NONNULL;
/* Sets key to a string; invalid UTF-8 is shown escaped (text_display). NULL value: nothing is set. */
void json_put(json_t *object, const char *key, const char *value) NONNULL_AT(1, 2);
void json_put_span(json_t *object, const char *key, struct span value) NONNULL;
void json_put_int(json_t *object, const char *key, int64_t value) NONNULL;
void json_put_bool(json_t *object, const char *key, bool value) NONNULL;
void json_put_time(json_t *object, const char *key, int64_t wall_ms) NONNULL; /* as clock_iso writes it */
void json_unref(json_t **node); /* for CLEANUP */
#define JSON_AUTO CLEANUP(json_unref)

struct json_at {
    const struct doc *doc;
    const struct json_at *up; /* NULL at the root */
    const char *key;          /* of a member; NULL for an element or the root */
    size_t index;             /* of an element */
    json_t *node;             /* borrowed */
};
enum json_need { JSON_MAY, JSON_NEED };

struct json_at json_root(const struct doc *doc) NONNULL;
/* False: absent or null. */
bool json_member(const struct json_at *at, const char *key, struct json_at *out) MUSTUSE NONNULL;
struct json_at json_element(const struct json_at *at, size_t index) NONNULL;
/* Sets err to "NAME:line:col: path: message" with the doc's code; returns false. */
bool json_fail(const struct json_at *at, struct err *err, const char *fmt, ...) NONNULL PRINTF(3, 4);

/* at is an object and has no member but these (NULL-terminated); the error is at the unknown one. */
bool json_only(const struct json_at *at, const char *const *keys, struct err *err) MUSTUSE NONNULL;
bool json_want_object(const struct json_at *at, struct err *err) MUSTUSE NONNULL;
/* at itself is a string of 1 to max bytes without control characters. */
bool json_text_of(const struct json_at *at, size_t max, const char **out, struct err *err)
    MUSTUSE NONNULL;

bool json_get_text(const struct json_at *at, const char *key, enum json_need need, size_t max,
                   const char **out, struct err *err) MUSTUSE NONNULL; /* as json_text_of; "" too if JSON_MAY */
bool json_get_raw(const struct json_at *at, const char *key, enum json_need need, size_t max,
                  const char **out, struct err *err) MUSTUSE NONNULL; /* any characters */
bool json_get_int(const struct json_at *at, const char *key, enum json_need need, int64_t min,
                  int64_t max, int64_t *out, struct err *err) MUSTUSE NONNULL;
bool json_get_bool(const struct json_at *at, const char *key, enum json_need need, bool *out,
                   struct err *err) MUSTUSE NONNULL;
/* One of words; *out is its index. */
bool json_get_word(const struct json_at *at, const char *key, enum json_need need,
                   const char *const *words, size_t count, int *out, struct err *err) MUSTUSE NONNULL;
/* "120s", "7d"; a plain number means seconds. */
bool json_get_duration(const struct json_at *at, const char *key, enum json_need need,
                       uint64_t *out_ms, struct err *err) MUSTUSE NONNULL;
/* "512", "64k", "4g", or a plain number of bytes. */
bool json_get_bytes(const struct json_at *at, const char *key, enum json_need need, uint64_t *out,
                    struct err *err) MUSTUSE NONNULL;
/* An array of at most max elements; *count is set to 0 where it is absent. */
bool json_get_list(const struct json_at *at, const char *key, enum json_need need, size_t max,
                   struct json_at *out, size_t *count, struct err *err) MUSTUSE NONNULL;
/* An object; *present tells. */
bool json_get_object(const struct json_at *at, const char *key, enum json_need need,
                     struct json_at *out, bool *present, struct err *err) MUSTUSE NONNULL;
/* {"version": 1} is there. */
bool json_want_version(const struct json_at *at, int64_t version, struct err *err) MUSTUSE NONNULL;

#endif
