/* Typed access to the members of a document: one function a type, each with its check and its words.
 * It converts nothing in silence: a number is not a string, "yes" is not true. */
#include "core/data/json.h"

static const char *type_word(const json_t *node)
{
    switch (json_typeof(node)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "empty";
    }
    return "of no known type";
}

static bool wrong_type(const struct json_at *at, struct err *err, const char *wanted)
{
    bool quotes = strcmp(wanted, "a string") == 0 && (json_is_number(at->node) || json_is_boolean(at->node));
    return json_fail(at, err, "must be %s, and is %s%s", wanted, type_word(at->node),
                     quotes ? ": put it in quotes" : "");
}

/* True: *out is the member. False: it is absent, and *ok says whether that is fine. */
static bool find(const struct json_at *at, const char *key, enum json_need need,
                 struct json_at *out, bool *ok, struct err *err)
{
    *ok = json_want_object(at, err);
    if (!*ok)
        return false;
    if (json_member(at, key, out))
        return true;
    if (need == JSON_NEED)
        *ok = json_fail(at, err, "'%s' is missing", key);
    return false;
}

bool json_want_object(const struct json_at *at, struct err *err)
{
    return json_is_object(at->node) || wrong_type(at, err, "an object");
}

static bool raw_of(const struct json_at *at, size_t max, const char **out, struct err *err)
{
    if (!json_is_string(at->node))
        return wrong_type(at, err, "a string");
    size_t len = json_string_length(at->node);
    const char *text = json_string_value(at->node);
    if (len > max)
        return json_fail(at, err, "is longer than %zu bytes", max);
    if (strlen(text) != len)
        return json_fail(at, err, "contains a NUL");
    *out = text;
    return true;
}

static bool line_of(const struct json_at *at, size_t max, const char **out, struct err *err)
{
    const char *text = NULL;
    if (!raw_of(at, max, &text, err))
        return false;
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return json_fail(at, err, "contains a control character");
    }
    *out = text;
    return true;
}

bool json_text_of(const struct json_at *at, size_t max, const char **out, struct err *err)
{
    const char *text = NULL;
    if (!line_of(at, max, &text, err))
        return false;
    if (!*text)
        return json_fail(at, err, "must not be empty");
    *out = text;
    return true;
}

bool json_get_text(const struct json_at *at, const char *key, enum json_need need, size_t max,
                   const char **out, struct err *err)
{
    struct json_at member;
    bool ok;
    if (!find(at, key, need, &member, &ok, err))
        return ok;
    return need == JSON_NEED ? json_text_of(&member, max, out, err)
                             : line_of(&member, max, out, err);
}

bool json_get_raw(const struct json_at *at, const char *key, enum json_need need, size_t max,
                  const char **out, struct err *err)
{
    struct json_at member;
    bool ok;
    return find(at, key, need, &member, &ok, err) ? raw_of(&member, max, out, err) : ok;
}

bool json_get_int(const struct json_at *at, const char *key, enum json_need need, int64_t min,
                  int64_t max, int64_t *out, struct err *err)
{
    struct json_at member;
    bool ok;
    if (!find(at, key, need, &member, &ok, err))
        return ok;
    if (!json_is_integer(member.node))
        return wrong_type(&member, err, "an integer");
    int64_t value = json_integer_value(member.node);
    if (value < min || value > max)
        return json_fail(&member, err, "must be from %lld to %lld", (long long)min, (long long)max);
    *out = value;
    return true;
}

bool json_get_bool(const struct json_at *at, const char *key, enum json_need need, bool *out,
                   struct err *err)
{
    struct json_at member;
    bool ok;
    if (!find(at, key, need, &member, &ok, err))
        return ok;
    if (!json_is_boolean(member.node))
        return wrong_type(&member, err, "true or false");
    *out = json_is_true(member.node);
    return true;
}

bool json_get_word(const struct json_at *at, const char *key, enum json_need need,
                   const char *const *words, size_t count, int *out, struct err *err)
{
    const char *text = NULL;
    struct json_at member;
    bool ok;
    if (!find(at, key, need, &member, &ok, err))
        return ok;
    if (!line_of(&member, JSON_KEY_MAX, &text, err))
        return false;
    struct buf known;
    buf_init(&known, 256);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], text) == 0) {
            *out = (int)i;
            buf_clear(&known);
            return true;
        }
        if (!buf_printf(&known, "%s%s", i == 0 ? "" : i + 1 == count ? " or " : ", ", words[i]))
            break;
    }
    json_fail(&member, err, "must be %s", buf_cstr(&known));
    buf_clear(&known);
    return false;
}

bool json_get_duration(const struct json_at *at, const char *key, enum json_need need,
                       uint64_t *out_ms, struct err *err)
{
    struct json_at member;
    bool ok;
    if (!find(at, key, need, &member, &ok, err))
        return ok;
    if (json_is_integer(member.node) && json_integer_value(member.node) >= 0 &&
        json_integer_value(member.node) < INT64_MAX / 1000) {
        *out_ms = (uint64_t)json_integer_value(member.node) * 1000;
        return true;
    }
    if (json_is_string(member.node) &&
        text_duration_ms(span_of(json_string_value(member.node)), out_ms))
        return true;
    return json_fail(&member, err, "must be a duration, like 90, 120s, 5m, 8h or 7d");
}

bool json_get_bytes(const struct json_at *at, const char *key, enum json_need need, uint64_t *out,
                    struct err *err)
{
    struct json_at member;
    bool ok;
    if (!find(at, key, need, &member, &ok, err))
        return ok;
    if (json_is_integer(member.node) && json_integer_value(member.node) >= 0) {
        *out = (uint64_t)json_integer_value(member.node);
        return true;
    }
    if (json_is_string(member.node) && text_bytes(span_of(json_string_value(member.node)), out))
        return true;
    return json_fail(&member, err, "must be a size, like 512m or 4g");
}

bool json_get_list(const struct json_at *at, const char *key, enum json_need need, size_t max,
                   struct json_at *out, size_t *count, struct err *err)
{
    bool ok;
    *count = 0;
    if (!find(at, key, need, out, &ok, err))
        return ok;
    if (!json_is_array(out->node))
        return wrong_type(out, err, "a list");
    if (json_array_size(out->node) > max)
        return json_fail(out, err, "has more than %zu entries", max);
    *count = json_array_size(out->node);
    return true;
}

bool json_get_object(const struct json_at *at, const char *key, enum json_need need,
                     struct json_at *out, bool *present, struct err *err)
{
    bool ok;
    *present = find(at, key, need, out, &ok, err);
    return *present ? json_want_object(out, err) : ok;
}

bool json_want_version(const struct json_at *at, int64_t version, struct err *err)
{
    int64_t found = 0;
    struct json_at member;
    if (!json_get_int(at, "version", JSON_NEED, 1, 1000000, &found, err))
        return false;
    if (found == version)
        return true;
    if (!json_member(at, "version", &member))
        return false;
    return json_fail(&member, err, "is %lld; this program knows version %lld", (long long)found,
                     (long long)version);
}
