/* Documents: strict parsing, writing, positions of nodes and the path to them in errors. It reads no
 * files and knows no schema; typed access to members is in json_get.c. */
#include "core/data/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/id.h"
#include "core/data/json_marks.h"

enum { PATH_MAX_SHOWN = 160, KEY_SHOWN = 64, WRITE_FIRST = 256 };

void doc_clear(struct doc *doc)
{
    json_decref(doc->root);
    free(doc->name);
    free(doc->marks);
    memset(doc, 0, sizeof *doc);
}

void doc_wrap(struct doc *doc, json_t *root, const char *name, enum err_code code)
{
    memset(doc, 0, sizeof *doc);
    doc->root = json_incref(root);
    doc->name = mem_strdup(name);
    doc->code = code;
}

void json_unref(json_t **node)
{
    json_decref(*node);
    *node = NULL;
}

struct place {
    unsigned line, column;
};

static struct place place_of(const char *bytes, size_t at)
{
    struct place place = {1, 1};
    for (size_t i = 0; i < at; i++) {
        if (bytes[i] == '\n') {
            place.line++;
            place.column = 1;
        } else {
            place.column++;
        }
    }
    return place;
}

/* jansson recurses up to a depth of its own (2048); ours is checked before it starts. */
static bool depth_ok(const char *bytes, size_t len, size_t *at)
{
    bool in_string = false;
    size_t depth = 0;
    for (size_t i = 0; i < len; i++) {
        char c = bytes[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX) {
                *at = i;
                return false;
            }
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

bool json_parse(const void *bytes, size_t len, size_t max, const char *name, enum err_code code,
                struct doc *out, struct err *err)
{
    json_error_t error;
    size_t at = 0;
    memset(out, 0, sizeof *out);
    if (len > max)
        return err_set(err, ERR_LIMIT, "%s: larger than the limit of %zu bytes", name, max);
    const char *text = len > 0 ? bytes : "";
    if (!depth_ok(text, len, &at)) {
        struct place place = place_of(text, at);
        return err_set(err, code, "%s:%u:%u: nested deeper than %d levels", name, place.line,
                       place.column, JSON_DEPTH_MAX);
    }
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!root) {
        char shown[JSON_ERROR_TEXT_LENGTH * 2];
        text_display(span_of(error.text), shown, sizeof shown);
        return err_set(err, code, "%s:%d:%d: not valid JSON: %s", name,
                       error.line > 0 ? error.line : 1, error.column > 0 ? error.column : 1, shown);
    }
    out->root = root;
    out->name = mem_strdup(name);
    out->code = code;
    return true;
}

/* Into the buffer itself, once more where the first room was too small: the library's callback is called for each
 * bracket and comma. */
bool json_write(const json_t *node, struct buf *out)
{
    size_t left = out->max - out->len, spare = out->cap - out->len, room = spare < WRITE_FIRST ? WRITE_FIRST : spare;
    if (room > left)
        room = left;
    for (;;) {
        char *to = (char *)buf_reserve(out, room);
        size_t need = json_dumpb(node, to, room, JSON_COMPACT | JSON_ENCODE_ANY);
        if (need > 0 && need <= room) {
            out->len += need;
            return true;
        }
        explicit_bzero(to, room); /* no buffer holds more than it says, for whoever wipes it */
        if (need == 0 || need > left)
            return false;
        room = need;
    }
}

char *json_canonical(const json_t *node)
{
    char *text = json_dumps(node, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    if (!text)
        abort(); /* out of memory: documents are bounded, see core/base/mem.h */
    return text;
}

static void put_new(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        abort(); /* not an object, or out of memory */
}

void json_put_span(json_t *object, const char *key, struct span value)
{
    const char *text = value.len > 0 ? value.p : "";
    json_t *node = memchr(text, '\0', value.len) ? NULL : json_stringn(text, value.len);
    if (!node) {
        size_t cap = value.len * 8 + 1; /* "\u{10FFFF}" stands for at least two bytes */
        AUTOFREE char *shown = mem_alloc(cap);
        text_display(value, shown, cap);
        node = json_string(shown);
    }
    put_new(object, key, node);
}

void json_put(json_t *object, const char *key, const char *value)
{
    if (value)
        json_put_span(object, key, span_of(value));
}

void json_put_int(json_t *object, const char *key, int64_t value)
{
    put_new(object, key, json_integer(value));
}

void json_put_bool(json_t *object, const char *key, bool value)
{
    put_new(object, key, json_boolean(value));
}

void json_put_time(json_t *object, const char *key, int64_t wall_ms)
{
    char text[32];

    clock_iso((uint64_t)wall_ms, text);
    json_put(object, key, text);
}

/* ---- where a node is ---- */

static const struct json_mark *mark_of(const struct json_at *at)
{
    const json_t *parent = at->up ? at->up->node : NULL;
    for (size_t i = 0; i < at->doc->mark_count; i++) {
        const struct json_mark *mark = &at->doc->marks[i];
        if (mark->parent != parent)
            continue;
        if (at->key ? mark->key && strcmp(mark->key, at->key) == 0
                    : !mark->key && mark->index == at->index)
            return mark;
    }
    return NULL;
}

static void path_of(const struct json_at *at, char *out, size_t cap)
{
    const struct json_at *way[JSON_DEPTH_MAX + 2];
    size_t depth = 0, used = 0;
    for (const struct json_at *step = at; step->up && depth < COUNT(way); step = step->up)
        way[depth++] = step;
    out[0] = '\0';
    while (depth-- > 0 && used + 1 < cap) {
        const struct json_at *step = way[depth];
        int n;
        if (step->key) {
            char key[KEY_SHOWN];
            text_display(span_of(step->key), key, sizeof key);
            n = snprintf(out + used, cap - used, "%s%s", used > 0 ? "." : "", key);
        } else {
            n = snprintf(out + used, cap - used, "[%zu]", step->index);
        }
        used += n > 0 ? (size_t)n : 0;
    }
}

static bool fail_at(const struct json_at *at, bool at_key, struct err *err, const char *text)
{
    char path[PATH_MAX_SHOWN], place[32] = "";
    const struct json_mark *mark = mark_of(at);
    path_of(at, path, sizeof path);
    if (mark) {
        bool key = at_key && mark->key_line > 0;
        snprintf(place, sizeof place, ":%u:%u", key ? mark->key_line : mark->line,
                 key ? mark->key_column : mark->column);
    }
    return err_set(err, at->doc->code, "%s%s: %s%s%s", at->doc->name, place, path,
                   path[0] ? ": " : "", text);
}

bool json_fail(const struct json_at *at, struct err *err, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    err->hint[0] = '\0';
    return fail_at(at, false, err, text);
}

struct json_at json_root(const struct doc *doc)
{
    return (struct json_at){.doc = doc, .node = doc->root};
}

bool json_member(const struct json_at *at, const char *key, struct json_at *out)
{
    json_t *node = json_object_get(at->node, key);
    if (!node || json_is_null(node))
        return false;
    *out = (struct json_at){.doc = at->doc, .up = at, .key = key, .node = node};
    return true;
}

struct json_at json_element(const struct json_at *at, size_t index)
{
    json_t *node = json_array_get(at->node, index);
    return (struct json_at){.doc = at->doc, .up = at, .index = index, .node = node};
}

bool json_only(const struct json_at *at, const char *const *keys, struct err *err)
{
    const char *key;
    json_t *value;
    if (!json_want_object(at, err))
        return false;
    json_object_foreach(at->node, key, value)
    {
        char known[240] = "";
        size_t used = 0, i = 0;
        while (keys[i] && strcmp(keys[i], key) != 0)
            i++;
        if (keys[i])
            continue;
        for (i = 0; keys[i] && used < sizeof known - 1; i++) {
            int n = snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "", keys[i]);
            used += n > 0 ? (size_t)n : 0;
        }
        struct json_at child = {.doc = at->doc, .up = at, .key = key, .node = value};
        fail_at(&child, true, err, "unknown key");
        return err_hint(err, "Known here: %s", known);
    }
    return true;
}
