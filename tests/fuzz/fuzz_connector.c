/* A connector's manifest, and after a line with "--" the arguments of a call: a request that is built has a path that
 * is canonical already and holds no line ends (threats C07, C10). */
#include <stdlib.h>

#include "core/data/connector.h"
#include "core/wire/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_plain(const char *text)
{
    for (const char *p = text; p && *p; p++) {
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
            abort();
    }
}

static void call(const struct tool_operation *operation, const json_t *args)
{
    struct connector_request request;
    struct err err;
    char preview[200];
    JSON_AUTO json_t *checked = connector_check_args(operation, args, &err);
    if (!checked)
        return;
    connector_preview(operation, checked, preview, sizeof preview);
    if (!connector_build_request(operation, checked, &request, &err))
        return;
    bool ambiguous = false;
    AUTOFREE char *canonical = target_path_canonical(span_of(request.path), &ambiguous, &err);
    if (!canonical || strcmp(canonical, request.path) != 0)
        abort();
    must_be_plain(request.path);
    must_be_plain(request.query);
    const char *name;
    json_t *value;
    json_object_foreach(request.headers, name, value)
    {
        if (strpbrk(name, "\r\n: ") || strpbrk(json_string_value(value), "\r\n"))
            abort();
    }
    connector_request_clear(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char separator[] = "\n--\n";
    struct err err;
    const uint8_t *cut = memmem(data, size, separator, sizeof separator - 1);
    size_t len = cut ? (size_t)(cut - data) : size;
    struct connector *connector = connector_parse(data, len, "fuzz.json", &err);
    if (!connector)
        return 0;
    struct connector *again = connector_parse(connector->text, strlen(connector->text), "again", &err);
    if (!again || strcmp(again->hash, connector->hash) != 0)
        abort();
    connector_free(again);
    const char *text = cut ? (const char *)cut + sizeof separator - 1 : "{}";
    struct doc args;
    if (json_parse(text, cut ? size - len - (sizeof separator - 1) : 2, JSON_FILE_MAX, "args", ERR_DATA,
                   &args, &err)) {
        for (size_t t = 0; t < connector->tool_count; t++) {
            for (size_t o = 0; o < connector->tools[t].operation_count; o++)
                call(&connector->tools[t].operations[o], args.root);
        }
        doc_clear(&args);
    }
    connector_free(connector);
    return 0;
}
