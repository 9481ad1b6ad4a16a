/* YAML to a document: libyaml's events are turned into jansson's tree with an explicit stack, and each node's
 * line and column is written down. It knows no schema, resolves no anchors and makes no objects of tags. */
#include "core/data/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "core/base/file.h"
#include "core/data/json_marks.h"

struct level {
    json_t *node;   /* borrowed from the tree */
    char *key;      /* of a mapping: the key whose value comes next; NULL: a key comes next */
    unsigned key_line, key_column;
};
struct reader {
    const char *name;
    struct doc *doc;
    struct err *err;
    struct level levels[JSON_DEPTH_MAX];
    size_t depth, nodes, mark_cap;
    bool documents; /* one was begun */
};

static bool fail(struct reader *reader, yaml_mark_t at, const char *text)
{
    err_set(reader->err, ERR_CONFIG, "%s:%zu:%zu: %s", reader->name, at.line + 1, at.column + 1,
            text);
    return false;
}

static const char *stored_key(json_t *object, const char *key)
{
    void *iter = json_object_iter_at(object, key);
    return iter ? json_object_iter_key(iter) : NULL;
}

static void mark(struct reader *reader, const struct level *level, yaml_mark_t at)
{
    struct doc *doc = reader->doc;
    if (doc->mark_count == reader->mark_cap) {
        reader->mark_cap = reader->mark_cap ? reader->mark_cap * 2 : 64;
        doc->marks = mem_resize(doc->marks, reader->mark_cap, sizeof *doc->marks);
    }
    struct json_mark *entry = &doc->marks[doc->mark_count++];
    *entry = (struct json_mark){.line = (unsigned)at.line + 1, .column = (unsigned)at.column + 1};
    if (!level)
        return;
    entry->parent = level->node;
    if (level->key) {
        entry->key = stored_key(level->node, level->key);
        entry->key_line = level->key_line;
        entry->key_column = level->key_column;
    } else {
        entry->index = json_array_size(level->node) - 1;
    }
}

/* Hangs a value where the document has come to. Takes the reference, also on failure. */
static bool attach(struct reader *reader, json_t *value, yaml_mark_t at)
{
    struct level *level = reader->depth > 0 ? &reader->levels[reader->depth - 1] : NULL;
    if (!value)
        return fail(reader, at, "not valid UTF-8");
    if (++reader->nodes > JSON_NODES_MAX) {
        json_decref(value);
        return fail(reader, at, "too many values in one file");
    }
    if (!level) {
        reader->doc->root = value;
    } else if (json_is_array(level->node)) {
        if (json_array_append_new(level->node, value) != 0)
            abort(); /* out of memory */
    } else {
        if (json_object_set_new(level->node, level->key, value) != 0)
            return fail(reader, at, "key is not valid UTF-8");
    }
    mark(reader, level, at);
    if (level && level->key) {
        free(level->key);
        level->key = NULL;
    }
    return true;
}

static bool digits(const char *p, int (*is)(int))
{
    if (!*p)
        return false;
    while (is((unsigned char)*p))
        p++;
    return !*p;
}

static int is_octal(int c)
{
    return c >= '0' && c <= '7';
}

/* YAML 1.2 core schema, 10.3.2. Sets *out to NULL where the text is a string. False: out of range. */
static bool number_of(const char *text, json_t **out)
{
    const char *rest = text + (*text == '-' || *text == '+');
    char *end;
    *out = NULL;
    errno = 0;
    if (digits(rest, isdigit)) {
        long long value = strtoll(text, &end, 10);
        *out = errno == 0 ? json_integer(value) : NULL;
        return errno == 0;
    }
    bool hex = strncmp(text, "0x", 2) == 0 && digits(text + 2, isxdigit);
    if (hex || (strncmp(text, "0o", 2) == 0 && digits(text + 2, is_octal))) {
        long long value = strtoll(text + 2, &end, hex ? 16 : 8);
        *out = errno == 0 ? json_integer(value) : NULL;
        return errno == 0;
    }
    if (!strpbrk(rest, "0123456789") || strspn(rest, "0123456789.eE+-") != strlen(rest) ||
        !(isdigit((unsigned char)*rest) || *rest == '.'))
        return true;
    double value = strtod(text, &end);
    if (*end)
        return true; /* an address, a version, a date */
    if (!isfinite(value))
        return false;
    *out = json_real(value);
    return true;
}

static bool word_in(const char *text, const char *const *words)
{
    for (size_t i = 0; words[i]; i++) {
        if (strcmp(text, words[i]) == 0)
            return true;
    }
    return false;
}

static bool scalar(struct reader *reader, const yaml_event_t *event)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    const char *text = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    yaml_mark_t at = event->start_mark;
    struct level *level = reader->depth > 0 ? &reader->levels[reader->depth - 1] : NULL;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    json_t *value = NULL;

    if (strlen(text) != len)
        return fail(reader, at, "contains a NUL");
    if (level && json_is_object(level->node) && !level->key) {
        if (len == 0 || len > JSON_KEY_MAX)
            return fail(reader, at, "a key is empty or too long");
        if (json_object_get(level->node, text))
            return fail(reader, at, "this key stands here twice");
        level->key = mem_strdup(text);
        level->key_line = (unsigned)at.line + 1;
        level->key_column = (unsigned)at.column + 1;
        return true;
    }
    if (plain && word_in(text, nulls))
        value = json_null();
    else if (plain && word_in(text, trues))
        value = json_true();
    else if (plain && word_in(text, falses))
        value = json_false();
    else if (plain && !number_of(text, &value))
        return fail(reader, at, "this number is out of range; quote it if it is text");
    if (!value)
        value = json_stringn(text, len);
    return attach(reader, value, at);
}

static bool open_level(struct reader *reader, json_t *node, yaml_mark_t at)
{
    struct level *level = reader->depth > 0 ? &reader->levels[reader->depth - 1] : NULL;
    if (level && json_is_object(level->node) && !level->key) {
        json_decref(node);
        return fail(reader, at, "a key must be plain text");
    }
    if (reader->depth == JSON_DEPTH_MAX) {
        json_decref(node);
        return fail(reader, at, "nested too deep");
    }
    if (!attach(reader, node, at))
        return false;
    reader->levels[reader->depth++] = (struct level){.node = node};
    return true;
}

static bool untagged(struct reader *reader, const yaml_event_t *event, const yaml_char_t *anchor,
                     const yaml_char_t *tag)
{
    if (anchor)
        return fail(reader, event->start_mark, "anchors are not allowed here");
    if (tag)
        return fail(reader, event->start_mark, "tags are not allowed here");
    return true;
}

static bool step(struct reader *reader, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (reader->documents)
            return fail(reader, event->start_mark, "a second document begins here");
        reader->documents = true;
        return true;
    case YAML_ALIAS_EVENT:
        return fail(reader, event->start_mark, "aliases are not allowed here");
    case YAML_SCALAR_EVENT:
        return untagged(reader, event, event->data.scalar.anchor, event->data.scalar.tag) &&
               scalar(reader, event);
    case YAML_SEQUENCE_START_EVENT:
        return untagged(reader, event, event->data.sequence_start.anchor,
                        event->data.sequence_start.tag) &&
               open_level(reader, json_array(), event->start_mark);
    case YAML_MAPPING_START_EVENT:
        return untagged(reader, event, event->data.mapping_start.anchor,
                        event->data.mapping_start.tag) &&
               open_level(reader, json_object(), event->start_mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        reader->depth--;
        return true;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return true;
    }
    return true;
}

/* libyaml's reader counts bytes; people count lines, and characters in them. */
static yaml_mark_t mark_of(const uint8_t *bytes, size_t offset)
{
    yaml_mark_t at = {0};
    for (size_t i = 0; i < offset; i++) {
        at.column += (bytes[i] & 0xc0) != 0x80;
        if (bytes[i] == '\n')
            at = (yaml_mark_t){.line = at.line + 1};
    }
    return at;
}

static bool parser_error(struct reader *reader, const yaml_parser_t *parser, const void *bytes, size_t len)
{
    char shown[256];
    bool text = parser->error != YAML_READER_ERROR;
    size_t offset = parser->problem_offset < len ? parser->problem_offset : len;
    yaml_mark_t at = text ? parser->problem_mark : mark_of(bytes, offset);
    text_display(span_of(parser->problem ? parser->problem : "unreadable"), shown, sizeof shown);
    return err_set(reader->err, ERR_CONFIG, "%s:%zu:%zu: not valid %s: %s", reader->name, at.line + 1, at.column + 1,
                   text ? "YAML" : "text", shown);
}

bool yaml_parse(const void *bytes, size_t len, const char *name, struct doc *out, struct err *err)
{
    struct reader reader = {.name = name, .doc = out, .err = err};
    yaml_parser_t parser;
    bool ok = true, done = false;
    memset(out, 0, sizeof *out);
    if (len > JSON_FILE_MAX)
        return err_set(err, ERR_CONFIG, "%s: larger than the limit of %d bytes", name,
                       JSON_FILE_MAX);
    if (!yaml_parser_initialize(&parser))
        abort(); /* out of memory */
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, len > 0 ? bytes : (const unsigned char *)"", len);
    while (ok && !done) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            ok = parser_error(&reader, &parser, bytes, len);
            break;
        }
        done = event.type == YAML_STREAM_END_EVENT;
        ok = step(&reader, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    for (size_t i = 0; i < COUNT(reader.levels); i++)
        free(reader.levels[i].key);
    out->name = mem_strdup(name);
    out->code = ERR_CONFIG;
    if (ok && !out->root)
        out->root = json_null();
    if (!ok)
        doc_clear(out);
    return ok;
}

bool yaml_read(const char *path, struct doc *out, struct err *err)
{
    struct buf text;
    const char *slash = strrchr(path, '/');
    memset(out, 0, sizeof *out);
    buf_init(&text, JSON_FILE_MAX);
    bool ok = file_read(path, JSON_FILE_MAX, &text, err) &&
              yaml_parse(text.data, text.len, slash ? slash + 1 : path, out, err);
    buf_clear(&text);
    if (!ok && (err->code == ERR_LIMIT || err->code == ERR_DATA)) /* a file that is no configuration at all */
        err->code = ERR_CONFIG;
    return ok;
}

const char *yaml_library_version(void)
{
    return yaml_get_version_string();
}
