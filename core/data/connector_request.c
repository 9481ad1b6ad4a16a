/* From an operation and its arguments to the request that goes out. A value is data wherever it lands: it adds no
 * segment to a path, no parameter to a query, no line to a head (threats C07, C10). */
#include "core/data/connector.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/data/binding.h"
#include "core/wire/target.h"

static bool type_ok(enum input_type type, const json_t *value)
{
    switch (type) {
    case INPUT_STRING:
        return json_is_string(value);
    case INPUT_INTEGER:
        return json_is_integer(value);
    case INPUT_NUMBER:
        return json_is_number(value);
    case INPUT_BOOLEAN:
        return json_is_boolean(value);
    case INPUT_ARRAY:
        return json_is_array(value);
    case INPUT_OBJECT:
        return json_is_object(value);
    }
    return false;
}

bool input_check(const struct input *input, const json_t *value, struct err *err)
{
    if (!type_ok(input->type, value))
        return err_set(err, ERR_DATA, "%s: must be %s %s", input->name,
                       strchr("aio", *input_type_word(input->type)) ? "an" : "a",
                       input_type_word(input->type));
    if (!input->choices)
        return true;
    struct buf known;
    buf_init(&known, 200);
    for (size_t i = 0; i < json_array_size(input->choices); i++) {
        const json_t *choice = json_array_get(input->choices, i);
        if (json_equal(choice, value)) {
            buf_clear(&known);
            return true;
        }
        AUTOFREE char *text = json_canonical(choice);
        if (!buf_printf(&known, "%s%s", i > 0 ? ", " : "", text))
            break;
    }
    err_set(err, ERR_DATA, "%s: must be one of %s", input->name, buf_cstr(&known));
    buf_clear(&known);
    return false;
}

static const struct input *input_named(const struct tool_operation *operation, const char *name)
{
    for (size_t i = 0; i < operation->input_count; i++) {
        if (strcmp(operation->inputs[i].name, name) == 0)
            return &operation->inputs[i];
    }
    return NULL;
}

static bool all_known(const struct tool_operation *operation, const json_t *args, struct err *err)
{
    for (void *iter = json_object_iter((json_t *)(uintptr_t)args); iter;
         iter = json_object_iter_next((json_t *)(uintptr_t)args, iter)) {
        const char *name = json_object_iter_key(iter);
        char shown[80], known[240] = "";
        size_t used = 0;
        if (input_named(operation, name))
            continue;
        text_display(span_of(name), shown, sizeof shown);
        for (size_t i = 0; i < operation->input_count && used + 1 < sizeof known; i++) {
            int n = snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                             operation->inputs[i].name);
            used += n > 0 ? (size_t)n : 0;
        }
        err_set(err, ERR_DATA, "%s: no such input of operation %s", shown, operation->name);
        return err_hint(err, "It takes: %s", known[0] ? known : "no inputs");
    }
    return true;
}

json_t *connector_check_args(const struct tool_operation *operation, const json_t *args,
                             struct err *err)
{
    err->hint[0] = '\0';
    if (!json_is_object(args)) {
        err_set(err, ERR_DATA, "the arguments must be an object");
        return NULL;
    }
    if (!all_known(operation, args, err))
        return NULL;
    json_t *checked = json_object();
    size_t size = 0;
    for (size_t i = 0; i < operation->input_count; i++) {
        const struct input *input = &operation->inputs[i];
        json_t *value = json_object_get(args, input->name);
        if (!value || json_is_null(value))
            value = input->fallback;
        if (!value && input->required) {
            err_set(err, ERR_DATA, "%s: is required by operation %s", input->name, operation->name);
            goto fail;
        }
        if (!value)
            continue;
        if (!input_check(input, value, err))
            goto fail;
        AUTOFREE char *text = json_canonical(value);
        size += strlen(text) + strlen(input->name);
        if (size > CONNECTOR_ARGS_MAX) {
            err_set(err, ERR_LIMIT, "the arguments are longer than %d bytes", CONNECTOR_ARGS_MAX);
            goto fail;
        }
        json_object_set_new(checked, input->name, json_deep_copy(value));
    }
    return checked;
fail:
    json_decref(checked);
    return NULL;
}

/* ---- pieces ---- */

/* A scalar as text. Caller frees; NULL for an array or object. */
static char *value_text(const json_t *value)
{
    if (json_is_string(value))
        return mem_strdup(json_string_value(value));
    return json_is_array(value) || json_is_object(value) ? NULL : json_canonical(value);
}

static bool one_line(const char *name, const char *text, struct err *err)
{
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return err_set(err, ERR_DATA, "%s: must not hold control characters", name);
    }
    return true;
}

/* RFC 3986 section 2.3: all but unreserved characters is encoded. */
static bool add_encoded(struct buf *out, const char *text)
{
    bool ok = true;
    for (const unsigned char *p = (const unsigned char *)text; ok && *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || strchr("-._~", *p);
        ok = plain ? buf_add(out, p, 1) : buf_printf(out, "%%%02X", *p);
    }
    return ok;
}

static bool too_long(const char *what, struct err *err)
{
    return err_set(err, ERR_LIMIT, "the %s would be longer than %d bytes", what, CONNECTOR_PATH_MAX);
}

static bool segment_value(const struct input *input, const json_t *value, struct buf *out,
                          struct err *err)
{
    AUTOFREE char *text = value ? value_text(value) : NULL;
    if (!text || !*text)
        return err_set(err, ERR_DATA, "%s: must not be empty: it is part of the path", input->name);
    if (strpbrk(text, "/\\"))
        return err_set(err, ERR_DATA, "%s: must not hold a slash: it is one segment of the path",
                       input->name);
    return one_line(input->name, text, err) && (add_encoded(out, text) || too_long("path", err));
}

/* A segment that became "." or ".." would climb; %2E is the same to many servers. */
static bool no_dots(const char *path, struct err *err)
{
    for (const char *p = path; p; p = strchr(p + 1, '/')) {
        const char *segment = p + 1;
        size_t len = strcspn(segment, "/");
        if ((len == 1 && segment[0] == '.') || (len == 2 && strncmp(segment, "..", 2) == 0))
            return err_set(err, ERR_DATA, "an argument makes a dot segment in the path");
    }
    return true;
}

/* What goes out is in the one spelling that rules are matched with, or it is not sent: "..;x" is not. */
static bool one_spelling(const char *path, struct err *err)
{
    bool ambiguous;
    AUTOFREE char *canonical = target_path_canonical(span_of(path), &ambiguous, err);
    if (!canonical)
        return err_wrap(err, "an argument cannot stand in the path");
    return strcmp(canonical, path) == 0 || err_set(err, ERR_DATA, "an argument changes what the path means");
}

static bool build_path(const struct tool_operation *operation, const json_t *args, char **out,
                       struct err *err)
{
    struct buf path;
    bool ok = true;
    buf_init(&path, CONNECTOR_PATH_MAX);
    for (const char *p = operation->path; ok && *p; p++) {
        const char *close = *p == '{' ? strchr(p, '}') : NULL;
        if (!close) {
            ok = buf_add(&path, p, 1) || too_long("path", err);
            continue;
        }
        AUTOFREE char *name = mem_strndup(p + 1, (size_t)(close - p - 1));
        const struct input *input = input_named(operation, name);
        ok = input ? segment_value(input, json_object_get(args, name), &path, err)
                   : err_set(err, ERR_INTERNAL, "the path names an unknown input");
        p = close;
    }
    ok = ok && no_dots(buf_cstr(&path), err) && one_spelling(buf_cstr(&path), err);
    if (ok)
        *out = mem_strdup(buf_cstr(&path));
    buf_clear(&path);
    return ok;
}

static bool query_pair(const struct input *input, const json_t *value, struct buf *out,
                       struct err *err)
{
    AUTOFREE char *text = value_text(value);
    if (!text)
        return err_set(err, ERR_DATA, "%s: a list in the query holds plain values alone",
                       input->name);
    return one_line(input->name, text, err) &&
           (((out->len == 0 || buf_adds(out, "&")) && add_encoded(out, input->name) &&
             buf_adds(out, "=") && add_encoded(out, text)) || too_long("query", err));
}

static bool build_query(const struct tool_operation *operation, const json_t *args, char **out,
                        struct err *err)
{
    struct buf query;
    bool ok = true;
    buf_init(&query, CONNECTOR_PATH_MAX);
    for (size_t i = 0; ok && i < operation->input_count; i++) {
        const struct input *input = &operation->inputs[i];
        const json_t *value = json_object_get(args, input->name);
        if (input->in != INPUT_QUERY || !value)
            continue;
        if (!json_is_array(value))
            ok = query_pair(input, value, &query, err);
        for (size_t v = 0; ok && json_is_array(value) && v < json_array_size(value); v++)
            ok = query_pair(input, json_array_get(value, v), &query, err);
    }
    if (ok && query.len > 0)
        *out = mem_strdup(buf_cstr(&query));
    buf_clear(&query);
    return ok;
}

static bool has_header(const json_t *headers, const char *name)
{
    for (void *iter = json_object_iter((json_t *)(uintptr_t)headers); iter;
         iter = json_object_iter_next((json_t *)(uintptr_t)headers, iter)) {
        if (span_eqis(span_of(json_object_iter_key(iter)), name))
            return true;
    }
    return false;
}

static bool build_headers(const struct tool_operation *operation, const json_t *args,
                          json_t *headers, struct err *err)
{
    for (size_t i = 0; i < operation->input_count; i++) {
        const struct input *input = &operation->inputs[i];
        const json_t *value = json_object_get(args, input->name);
        if (input->in != INPUT_HEADER || !value)
            continue;
        AUTOFREE char *text = value_text(value);
        if (!text || strlen(text) > CONNECTOR_PATH_MAX)
            return err_set(err, ERR_DATA, "%s: is no value for a header", input->name);
        if (!one_line(input->name, text, err))
            return false;
        json_put(headers, input->name, text);
    }
    if (!has_header(headers, "Accept"))
        json_put(headers, "Accept", "application/json");
    if (!has_header(headers, "User-Agent"))
        json_put(headers, "User-Agent", "aileron");
    return true;
}

static char *build_body(const struct tool_operation *operation, const json_t *args)
{
    JSON_AUTO json_t *body = NULL;
    for (size_t i = 0; i < operation->input_count; i++) {
        const struct input *input = &operation->inputs[i];
        json_t *value = json_object_get(args, input->name);
        if (input->in != INPUT_BODY)
            continue;
        if (!body)
            body = json_object();
        if (value)
            json_object_set(body, input->name, value);
    }
    return body ? json_canonical(body) : NULL;
}

bool connector_build_request(const struct tool_operation *operation, const json_t *checked_args,
                             struct connector_request *out, struct err *err)
{
    *out = (struct connector_request){.method = operation->method,
                                      .host = operation->host,
                                      .port = operation->port,
                                      .headers = json_object()};
    err->hint[0] = '\0';
    if (!build_path(operation, checked_args, &out->path, err) ||
        !build_query(operation, checked_args, &out->query, err) ||
        !build_headers(operation, checked_args, out->headers, err)) {
        connector_request_clear(out);
        return false;
    }
    out->body = build_body(operation, checked_args);
    if (out->body && !has_header(out->headers, "Content-Type"))
        json_put(out->headers, "Content-Type", "application/json");
    return true;
}

void connector_request_clear(struct connector_request *request)
{
    free(request->path);
    free(request->query);
    free(request->body);
    json_decref(request->headers);
    *request = (struct connector_request){0};
}

void connector_preview(const struct tool_operation *operation, const json_t *checked_args, char *out,
                       size_t cap)
{
    const char *template = *operation->preview ? operation->preview : operation->path;
    struct buf text;
    bool ok = true;
    buf_init(&text, 64 * 1024);
    if (!*operation->preview)
        ok = buf_printf(&text, "%s ", operation->method);
    for (const char *p = template; ok && *p; p++) {
        const char *close = *p == '{' ? strchr(p, '}') : NULL;
        if (!close) {
            ok = buf_add(&text, p, 1);
            continue;
        }
        AUTOFREE char *name = mem_strndup(p + 1, (size_t)(close - p - 1));
        const json_t *value = json_object_get(checked_args, name);
        AUTOFREE char *shown = !value ? NULL
                               : json_is_string(value) ? mem_strdup(json_string_value(value))
                                                       : json_canonical(value);
        ok = !shown || buf_adds(&text, shown);
        p = close;
    }
    text_display((struct span){(const char *)text.data, text.len}, out, cap);
    buf_clear(&text);
}
