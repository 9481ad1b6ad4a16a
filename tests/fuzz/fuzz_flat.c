/* Any bytes as the payload of a round: whatever is taken can be written again to the same bytes, prints as JSON of the
 * bound's length, and no field is outside of the input. */
#include <stdlib.h>

#include "core/data/audit.h"
#include "core/data/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void put_again(struct flat_out *out, const char *name, const struct flat_field *field)
{
    if (field->type == FLAT_INT)
        flat_put_int(out, name, field->number);
    else if (field->type == FLAT_TEXT)
        flat_put_span(out, name, field->text);
    else if (field->type == FLAT_BYTES)
        flat_put_bytes(out, name, field->text.p, field->text.len);
    else
        flat_put_bool(out, name, field->type == FLAT_TRUE);
}

/* Checked: it is what the writer would have made of it. */
static void is_canonical(const struct flat *flat, struct span whole)
{
    struct buf buf CLEANUP(buf_clear);
    struct span rest = flat->fields;
    struct flat_field field;
    struct flat_out out;
    buf_init(&buf, whole.len);
    flat_begin(&out, &buf, flat->kind, flat->names);
    while (flat_next(&rest, &field))
        put_again(&out, flat->names[field.index], &field);
    require(flat_end(&out) && buf.len == whole.len && memcmp(buf.data, whole.p, whole.len) == 0);
}

static void prints(const struct audit_entry *entry)
{
    struct buf text CLEANUP(buf_clear);
    buf_init(&text, AUDIT_LINE_MAX);
    if (!buf_adds(&text, "{") || !audit_entry_members(entry, &text) || !buf_adds(&text, "}"))
        return; /* too long: it is lost alone */
    json_t *object = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    require(object != NULL);
    require(strcmp(json_string_value(json_object_get(object, "event")), audit_entry_word(entry)) == 0);
    json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf copy CLEANUP(buf_clear); /* of exactly its size, so that a sanitizer sees what is read beyond */
    struct err err;
    buf_init(&copy, size);
    require(buf_add(&copy, data, size));
    struct span rest = {(const char *)copy.data, size};
    while (rest.len > 0) {
        struct span ahead = rest, whole = rest;
        struct audit_entry entry;
        struct flat flat;
        if (!flat_take(&ahead, &flat, &err))
            break;
        whole.len -= ahead.len;
        if (audit_entry_take(&rest, (size & 1) != 0, &entry, &err)) {
            is_canonical(&entry.flat, whole);
            prints(&entry);
        } else if (flat_check(&flat, flat.kind & 1 ? message_ask_names : message_answer_names, &err)) {
            is_canonical(&flat, whole);
        }
        rest = ahead;
    }
    return 0;
}
