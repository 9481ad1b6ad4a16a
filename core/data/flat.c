/* Flat objects, both ways. Every length is checked against what is there before anything is read. */
#include "core/data/flat.h"

#include <assert.h>
#include <stdlib.h>

/* ---- writing ---- */

static unsigned index_of(const char *const *names, const char *name)
{
    unsigned index = 0;
    while (names[index] && (names[index][0] != name[0] || strcmp(names[index], name) != 0))
        index++;
    return index;
}

static void add(struct flat_out *out, const void *data, size_t len)
{
    out->good = out->good && buf_add(out->buf, data, len);
}

static void add_head(struct flat_out *out, const char *name, enum flat_type type)
{
    unsigned index = index_of(out->names, name);
    assert(out->names[index] && index < FLAT_NAMES_MAX);
    add(out, (uint8_t[]){(uint8_t)index, (uint8_t)type}, 2);
}

void flat_begin(struct flat_out *out, struct buf *buf, uint8_t kind, const char *const *names)
{
    *out = (struct flat_out){.buf = buf, .names = names, .start = buf->len, .good = true};
    add(out, (uint8_t[FLAT_HEAD_BYTES]){0, 0, 0, 0, kind}, FLAT_HEAD_BYTES);
}

static void add_text(struct flat_out *out, const char *name, enum flat_type type, struct span text)
{
    uint32_t len = (uint32_t)text.len;
    out->good = out->good && text.len <= out->buf->max;
    add_head(out, name, type);
    add(out, &len, sizeof(len));
    add(out, text.p, text.len);
    add(out, "", 1);
}

static bool text_good(struct span text)
{
    return text_is_plain(text) || (text_utf8_valid(text) && !memchr(text.p, 0, text.len));
}

void flat_put_span(struct flat_out *out, const char *name, struct span value)
{
    if (text_good(value)) {
        add_text(out, name, FLAT_TEXT, value);
        return;
    }
    size_t cap = value.len * 8 + 1; /* "\u{10FFFF}" stands for at least two bytes */
    AUTOFREE char *shown = mem_alloc(cap);
    text_display(value, shown, cap);
    add_text(out, name, FLAT_TEXT, span_of(shown));
}

void flat_put(struct flat_out *out, const char *name, const char *value)
{
    if (value)
        flat_put_span(out, name, span_of(value));
}

void flat_put_bytes(struct flat_out *out, const char *name, const void *data, size_t len)
{
    add_text(out, name, FLAT_BYTES, (struct span){data, len});
}

void flat_put_int(struct flat_out *out, const char *name, int64_t value)
{
    add_head(out, name, FLAT_INT);
    add(out, &value, sizeof(value));
}

void flat_put_bool(struct flat_out *out, const char *name, bool value)
{
    add_head(out, name, value ? FLAT_TRUE : FLAT_FALSE);
}

bool flat_end(struct flat_out *out)
{
    uint32_t len = (uint32_t)(out->buf->len - out->start - sizeof(len));
    if (out->good)
        memcpy(out->buf->data + out->start, &len, sizeof(len));
    else
        out->buf->len = out->start;
    return out->good;
}

/* ---- reading ---- */

static bool cut(struct span *rest, size_t len, const char **out)
{
    if (len > rest->len)
        return false;
    *out = rest->p;
    rest->p += len;
    rest->len -= len;
    return true;
}

static bool cut_u32(struct span *rest, uint32_t *out)
{
    const char *at;
    if (!cut(rest, sizeof(*out), &at))
        return false;
    memcpy(out, at, sizeof(*out));
    return true;
}

bool flat_take(struct span *rest, struct flat *flat, struct err *err)
{
    uint32_t len;
    const char *at;
    if (!cut_u32(rest, &len) || len == 0 || !cut(rest, len, &at))
        return err_set(err, ERR_DATA, "an object is cut short");
    flat->kind = (uint8_t)at[0];
    flat->names = NULL;
    flat->fields = (struct span){at + 1, len - 1};
    return true;
}

static bool next_text(struct span *rest, struct flat_field *field)
{
    uint32_t len;
    const char *end;
    if (!cut_u32(rest, &len) || !cut(rest, len, &field->text.p) || !cut(rest, 1, &end) || *end != 0)
        return false;
    field->text.len = len;
    return true;
}

bool flat_next(struct span *rest, struct flat_field *field)
{
    const char *head, *number;
    if (!cut(rest, 2, &head))
        return false;
    *field = (struct flat_field){.index = (uint8_t)head[0], .type = (enum flat_type)(uint8_t)head[1]};
    switch (field->type) {
    case FLAT_TEXT:
    case FLAT_BYTES:
        return next_text(rest, field);
    case FLAT_INT:
        if (!cut(rest, sizeof(field->number), &number))
            return false;
        memcpy(&field->number, number, sizeof(field->number));
        return true;
    case FLAT_TRUE:
    case FLAT_FALSE:
        return true;
    }
    return false;
}

bool flat_check(struct flat *flat, const char *const *names, struct err *err)
{
    struct span rest = flat->fields;
    struct flat_field field;
    unsigned count = 0;
    while (names[count])
        count++;
    assert(count <= FLAT_NAMES_MAX);
    flat->names = names;
    flat->bytes = false;
    memset(flat->at, 0, sizeof(flat->at));
    while (rest.len > 0) {
        uint32_t at = (uint32_t)(rest.p - flat->fields.p) + 1;
        if (!flat_next(&rest, &field))
            return err_set(err, ERR_DATA, "a field cannot be read");
        if (field.index >= count)
            return err_set(err, ERR_DATA, "field %u has no name", field.index);
        if (flat->at[field.index] > 0)
            return err_set(err, ERR_DATA, "'%s' is there twice", names[field.index]);
        if (field.type == FLAT_TEXT && !text_good(field.text))
            return err_set(err, ERR_DATA, "'%s' is not a text", names[field.index]);
        flat->at[field.index] = at;
        flat->bytes |= field.type == FLAT_BYTES;
    }
    return true;
}

bool flat_find_at(const struct flat *flat, unsigned index, struct flat_field *field)
{
    uint32_t at = index < FLAT_NAMES_MAX ? flat->at[index] : 0;
    if (at == 0)
        return false;
    struct span rest = {flat->fields.p + at - 1, flat->fields.len - at + 1};
    return flat_next(&rest, field);
}

bool flat_find(const struct flat *flat, const char *name, struct flat_field *field)
{
    unsigned index = index_of(flat->names, name);
    return flat->names[index] && flat_find_at(flat, index, field);
}

bool flat_get_text(const struct flat *flat, const char *name, enum flat_need need, size_t max, const char **out,
                   struct err *err)
{
    struct flat_field field;
    if (!flat_find(flat, name, &field))
        return need == FLAT_MAY || err_set(err, ERR_DATA, "'%s' is missing", name);
    if (field.type != FLAT_TEXT)
        return err_set(err, ERR_DATA, "'%s' must be a text", name);
    if (field.text.len > max || (need == FLAT_NEED && field.text.len == 0))
        return err_set(err, ERR_DATA, "'%s' must be of %d to %zu bytes", name, need == FLAT_NEED, max);
    for (size_t i = 0; i < field.text.len; i++)
        if ((unsigned char)field.text.p[i] < 0x20 || field.text.p[i] == 0x7f)
            return err_set(err, ERR_DATA, "'%s' contains a control character", name);
    *out = field.text.p;
    return true;
}

bool flat_get_int(const struct flat *flat, const char *name, int64_t min, int64_t max, int64_t *out, struct err *err)
{
    struct flat_field field;
    if (!flat_find(flat, name, &field))
        return err_set(err, ERR_DATA, "'%s' is missing", name);
    if (field.type != FLAT_INT || field.number < min || field.number > max)
        return err_set(err, ERR_DATA, "'%s' must be an integer from %lld to %lld", name, (long long)min,
                       (long long)max);
    *out = field.number;
    return true;
}
