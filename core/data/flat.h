/* Flat objects: what travels for each request between a worker and the monitor, and what a line of the record is
 * printed from. They say what a JSON object of texts, integers, true and false says, without a tree of it.
 *
 * An object is {u32 length of what follows, u8 kind, fields}; a field is {u8 index of its name, u8 type} and then, for
 * text and bytes, {u32 length, the bytes, one NUL}; for an integer eight bytes. The order of the fields is kept, and
 * the machine's own byte order is used: both ends are the same program. What the names are is the kind's affair
 * (audit_events.c, message.c): a table that ends with NULL and has at most FLAT_NAMES_MAX of them.
 *
 * Reading is strict and copies nothing: flat_take finds where an object ends, flat_check refuses whatever flat_put
 * would not have written (an unknown name, one that comes twice, text that is not UTF-8 or holds a NUL, bytes left
 * over). */
#ifndef AILERON_DATA_FLAT_H
#define AILERON_DATA_FLAT_H

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/text.h"

enum { FLAT_NAMES_MAX = 32, FLAT_HEAD_BYTES = 5, FLAT_FIELD_BYTES = 7 /* beside a text's own */ };
enum flat_type { FLAT_TEXT = 1, FLAT_BYTES, FLAT_INT, FLAT_TRUE, FLAT_FALSE };

/* ---- writing: begin, put, end ---- */
struct flat_out {
    struct buf *buf;
    const char *const *names;
    size_t start;
    bool good; /* false: no room; flat_end takes back what was written */
};
void flat_begin(struct flat_out *out, struct buf *buf, uint8_t kind, const char *const *names) NONNULL;
/* The name must be one of the kind's (asserted), and put once. Invalid UTF-8 and what holds a NUL is shown escaped
 * (text_display). NULL value: nothing is put. */
void flat_put(struct flat_out *out, const char *name, const char *value) NONNULL_AT(1, 2);
void flat_put_span(struct flat_out *out, const char *name, struct span value) NONNULL;
void flat_put_bytes(struct flat_out *out, const char *name, const void *data, size_t len) NONNULL_AT(1, 2);
void flat_put_int(struct flat_out *out, const char *name, int64_t value) NONNULL;
void flat_put_bool(struct flat_out *out, const char *name, bool value) NONNULL;
/* False: over buf->max; buf is as it was. */
bool flat_end(struct flat_out *out) MUSTUSE NONNULL;

/* ---- reading ---- */
struct flat {
    uint8_t kind;
    const char *const *names;    /* set by flat_check, as are the two below fields */
    struct span fields;          /* borrowed */
    uint32_t at[FLAT_NAMES_MAX]; /* where in fields each begins, plus one; 0: it has none of that name */
    bool bytes;                  /* one of them is bytes */
};
struct flat_field {
    unsigned index;
    enum flat_type type;
    struct span text; /* of text and bytes: a NUL stands behind it */
    int64_t number;   /* of an integer */
};
/* The next object of *rest; names and fields are not looked at yet. ERR_DATA. */
bool flat_take(struct span *rest, struct flat *flat, struct err *err) MUSTUSE NONNULL;
bool flat_check(struct flat *flat, const char *const *names, struct err *err) MUSTUSE NONNULL;
/* The fields in their order; rest begins as flat->fields. False: there is none left. */
bool flat_next(struct span *rest, struct flat_field *field) MUSTUSE NONNULL;
/* Of a checked object. False: it has none of that name. */
bool flat_find(const struct flat *flat, const char *name, struct flat_field *field) MUSTUSE NONNULL;
bool flat_find_at(const struct flat *flat, unsigned index, struct flat_field *field) MUSTUSE NONNULL;

enum flat_need { FLAT_MAY, FLAT_NEED };
/* A text of at most max bytes without control characters, not empty where it is needed; *out, which ends with a NUL,
 * is borrowed, and left as it is where the field may be absent and is. ERR_DATA names the field. */
bool flat_get_text(const struct flat *flat, const char *name, enum flat_need need, size_t max, const char **out,
                   struct err *err) MUSTUSE NONNULL;
bool flat_get_int(const struct flat *flat, const char *name, int64_t min, int64_t max, int64_t *out, struct err *err)
    MUSTUSE NONNULL;

#endif
