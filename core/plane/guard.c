/* Looks into heads; bodies are scanned by whoever streams them. It refuses nothing itself. */
#include "core/plane/guard.h"

#include <string.h>

struct needles *guard_sentinels(const struct snapshot *snapshot)
{
    struct needles *needles = NULL;
    for (size_t i = 0; i < snapshot->sentinel_count; i++) {
        if (!needles)
            needles = needles_new();
        needles_add(needles, span_of(snapshot->sentinels[i].value), (unsigned)i);
    }
    return needles;
}

static const char *sentinel_of(const struct snapshot *snapshot, const struct binding *binding)
{
    for (size_t i = 0; i < snapshot->sentinel_count; i++)
        if (strcmp(snapshot->sentinels[i].binding, binding->name) == 0)
            return snapshot->sentinels[i].value;
    return NULL;
}

static bool is_slot(const struct binding *binding, struct span name)
{
    return span_eqis(name, "Authorization") || span_eqis(name, binding->header);
}

/* RFC 7617: the stand-in as the password, or as the user name, as some clients have it. */
static bool basic_holds(struct span value, struct span sentinel)
{
    uint8_t pair[1024];
    size_t len = 0;
    struct span scheme;
    bool holds = span_cut(&value, ' ', &scheme) && span_eqis(scheme, "Basic") &&
                 text_unbase64(span_trim(value), pair, sizeof(pair), &len) &&
                 memmem(pair, len, sentinel.p, sentinel.len) != NULL;
    return holds;
}

enum guard_slot guard_slot(const struct snapshot *snapshot, const struct binding *binding, const struct msg *msg)
{
    const char *sentinel = sentinel_of(snapshot, binding);
    enum guard_slot slot = GUARD_EMPTY;
    for (size_t i = 0; i < msg->fields.count; i++) {
        const struct msg_field *field = &msg->fields.items[i];
        if (!is_slot(binding, field->name))
            continue;
        if (sentinel && field->value.len && (memmem(field->value.p, field->value.len, sentinel, strlen(sentinel)) ||
                                             basic_holds(field->value, span_of(sentinel))))
            return GUARD_SENTINEL;
        slot = GUARD_OTHER;
    }
    return slot;
}

static bool found(const struct needles *needles, struct span text, unsigned *tag)
{
    struct needle_hit hit;
    if (!text.p || !needles_find(needles, text, &hit))
        return false;
    *tag = hit.tag;
    return true;
}

static void put_place(char place[GUARD_PLACE_BYTES], struct span name)
{
    text_display(name, place, GUARD_PLACE_BYTES);
}

/* Whatever the client chose to escape, the receiver reads it unescaped. */
static bool found_in_query(const struct needles *needles, const char *query, unsigned *tag)
{
    AUTOFREE char *plain = mem_strdup(query);
    size_t len = 0;
    for (const char *c = query; *c; c++) {
        uint8_t byte;
        bool escaped = c[0] == '%' && c[1] && c[2] && text_unhex((struct span){c + 1, 2}, &byte, 1);
        plain[len++] = escaped ? (char)byte : *c;
        c += escaped ? 2 : 0;
    }
    bool here = found(needles, (struct span){plain, len}, tag) || found(needles, span_of(query), tag);
    explicit_bzero(plain, len);
    return here;
}

static bool leak_in_fields(const struct needles *sentinels, const struct msg_fields *fields, const struct binding *own,
                           char place[GUARD_PLACE_BYTES], unsigned *tag)
{
    for (size_t i = 0; i < fields->count; i++) {
        const struct msg_field *field = &fields->items[i];
        if (own && is_slot(own, field->name))
            continue;
        if (found(sentinels, field->value, tag) || found(sentinels, field->name, tag)) {
            put_place(place, field->name);
            return true;
        }
    }
    return false;
}

bool guard_leak(const struct needles *sentinels, const struct target *target, const struct msg *msg,
                const struct binding *own, char place[GUARD_PLACE_BYTES], unsigned *tag)
{
    if (found(sentinels, msg->method, tag)) {
        put_place(place, SPAN("method"));
        return true;
    }
    if (found(sentinels, span_of(target->path), tag)) {
        put_place(place, SPAN("path"));
        return true;
    }
    if (target->query && found_in_query(sentinels, target->query, tag)) {
        put_place(place, SPAN("query"));
        return true;
    }
    return leak_in_fields(sentinels, &msg->fields, own, place, tag);
}

bool guard_leak_trailers(const struct needles *sentinels, const struct msg *msg, char place[GUARD_PLACE_BYTES],
                         unsigned *tag)
{
    return leak_in_fields(sentinels, &msg->trailers, NULL, place, tag);
}

/* instead: where the arena is full: rather that than a credential. */
static size_t mask(const struct needles *secrets, struct span *text, struct arena *arena, struct span instead)
{
    struct needle_hit hit;
    if (!text->p || !needles_find(secrets, *text, &hit))
        return 0;
    char *masked = arena_strndup(arena, text->p, text->len);
    size_t count = masked ? needles_mask(secrets, masked, text->len) : 1;
    *text = masked ? (struct span){masked, text->len} : instead;
    return count;
}

static size_t mask_fields(const struct needles *secrets, struct msg_fields *fields, struct arena *arena)
{
    size_t count = 0;
    for (size_t i = 0; i < fields->count; i++)
        count += mask(secrets, &fields->items[i].name, arena, SPAN("*")) +
                 mask(secrets, &fields->items[i].value, arena, SPAN(""));
    return count;
}

size_t guard_mask(const struct needles *secrets, struct msg *answer, struct arena *arena)
{
    return mask(secrets, &answer->reason, arena, SPAN("")) + mask_fields(secrets, &answer->fields, arena) +
           mask_fields(secrets, &answer->trailers, arena);
}
