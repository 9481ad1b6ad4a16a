/* The text of a record's line, straight from an event's fields: JSON as json_dumpb writes it (compact, UTF-8 as it is),
 * with the three members that lead first. */
#include "core/data/audit.h"

const char *audit_entry_word(const struct audit_entry *entry)
{
    const struct audit_event *row = audit_event_at(entry->flat.kind);
    return row ? row->word : "";
}

const char *audit_entry_text(const struct audit_entry *entry, const char *name)
{
    struct flat_field field;
    if (entry->session && strcmp(name, "session") == 0)
        return entry->session;
    return flat_find(&entry->flat, name, &field) && field.type == FLAT_TEXT ? field.text.p : "";
}

/* ---- text ---- */

/* The letter behind the backslash; 'u': four digits follow; 0: it stands for itself. */
static char escape_of(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\b':
        return 'b';
    case '\t':
        return 't';
    case '\n':
        return 'n';
    case '\f':
        return 'f';
    case '\r':
        return 'r';
    default:
        return c < 0x20 ? 'u' : 0;
    }
}

static size_t escaped_len(struct span text)
{
    size_t len = text.len;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c < 0x20 || c == '"' || c == '\\')
            len += escape_of(c) == 'u' ? 5 : 1;
    }
    return len;
}

static uint8_t *put_escaped(uint8_t *to, struct span text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];
        char letter = escape_of(c);
        if (letter == 0) {
            *to++ = c;
            continue;
        }
        *to++ = '\\';
        *to++ = (uint8_t)letter;
        if (letter == 'u') {
            *to++ = '0';
            *to++ = '0';
            *to++ = (uint8_t)digits[c >> 4];
            *to++ = (uint8_t)digits[c & 15];
        }
    }
    return to;
}

/* A long value is cut between characters; a record line must not fail for a long path. */
static bool put_text(struct buf *out, struct span text)
{
    bool whole = text.len <= AUDIT_FIELD_MAX;
    if (!whole)
        text.len = AUDIT_FIELD_MAX;
    while (!whole && text.len > 0 && ((unsigned char)text.p[text.len] & 0xc0) == 0x80)
        text.len--;
    size_t len = text_is_plain(text) ? text.len : escaped_len(text);
    uint8_t *to = buf_reserve(out, len + sizeof("\"...\"") - 1);
    if (!to)
        return false;
    uint8_t *start = to;
    *to++ = '"';
    if (len == text.len && len > 0)
        to = (uint8_t *)memcpy(to, text.p, len) + len;
    else
        to = put_escaped(to, text);
    if (!whole)
        to = (uint8_t *)memcpy(to, "...", 3) + 3;
    *to++ = '"';
    out->len += (size_t)(to - start);
    return true;
}

/* ---- members ---- */

/* The key is one of the table's: plain letters. */
static bool put_key(struct buf *out, const char *key)
{
    size_t len = strlen(key);
    uint8_t *to = buf_reserve(out, len + 4);
    if (!to)
        return false;
    memcpy(to, ",\"", 2);
    memcpy(to + 2, key, len);
    memcpy(to + 2 + len, "\":", 2);
    out->len += len + 4;
    return true;
}

static bool put_int(struct buf *out, int64_t value)
{
    char digits[21];
    size_t len = text_decimal(value < 0 ? -(uint64_t)value : (uint64_t)value, digits);
    return (value >= 0 || buf_adds(out, "-")) && buf_add(out, digits, len);
}

static bool put_value(struct buf *out, const struct flat_field *field)
{
    switch (field->type) {
    case FLAT_TEXT:
        return put_text(out, field->text);
    case FLAT_INT:
        return put_int(out, field->number);
    case FLAT_TRUE:
        return buf_adds(out, "true");
    case FLAT_FALSE:
        return buf_adds(out, "false");
    case FLAT_BYTES:
        break;
    }
    return false; /* flat_check lets none in */
}

bool audit_entry_members(const struct audit_entry *entry, struct buf *out)
{
    struct span rest = entry->flat.fields;
    struct flat_field field;
    const char *const *names = entry->flat.names;
    bool good = buf_adds(out, "\"event\":\"") && buf_adds(out, audit_entry_word(entry)) && buf_adds(out, "\"");
    for (unsigned i = 0; i < AUDIT_LEADING && good; i++) {
        bool given = i == 0 && entry->session;
        if (given)
            good = put_key(out, names[i]) && put_text(out, span_of(entry->session));
        else if (flat_find_at(&entry->flat, i, &field))
            good = put_key(out, names[i]) && put_value(out, &field);
    }
    while (good && flat_next(&rest, &field))
        good = field.index < AUDIT_LEADING || (put_key(out, names[field.index]) && put_value(out, &field));
    return good;
}
