/* A tool's command line against the catalogue: options become typed arguments, and what does not fit is refused
 * before anything is sent. The daemon checks all of it again: these checks are for the person's sake. */
#include "applets/shim_args.h"

#include "applets/show.h"
#include "core/base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void shim_call_clear(struct shim_call *call)
{
    json_decref(call->args);
    call->args = NULL;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

static const json_t *find_named(const json_t *list, const char *name)
{
    const json_t *row;
    size_t i;

    json_array_foreach(list, i, row) {
        if (strcmp(text_of(row, "name"), name) == 0)
            return row;
    }
    return NULL;
}

const json_t *shim_find_tool(const json_t *catalogue, const char *tool)
{
    return find_named(json_object_get(catalogue, "tools"), tool);
}

/* "--max-items" also finds the input max_items. */
static const json_t *find_input(const json_t *operation, const char *name)
{
    const json_t *inputs = json_object_get(operation, "inputs");
    const json_t *input = find_named(inputs, name);

    if (input != NULL)
        return input;
    AUTOFREE char *other = mem_strdup(name);
    for (char *c = other; *c != 0; c++)
        if (*c == '-')
            *c = '_';
    return find_named(inputs, other);
}

/* ---- values ---- */

static bool bad_value(const json_t *input, const char *want, struct err *err)
{
    err_set(err, ERR_DATA, "--%s must be %s", text_of(input, "name"), want);
    return err_hint(err, "See --help for the inputs");
}

static json_t *parse_json(const json_t *input, const char *text, struct err *err)
{
    json_error_t where;
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &where);

    if (value == NULL)
        err_set(err, ERR_DATA, "--%s is not JSON: %s at column %d", text_of(input, "name"), where.text,
                where.column);
    return value;
}

static json_t *parse_integer(const json_t *input, const char *text, struct err *err)
{
    char *end;

    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (text[0] != 0 && *end == 0 && errno == 0 && text[0] != ' ')
        return json_integer(number);
    bad_value(input, "a whole number", err);
    return NULL;
}

/* JSON's own numbers, so that "0x10" or "nan" are not. */
static json_t *parse_number(const json_t *input, const char *text, struct err *err)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

    if (json_is_number(value))
        return value;
    json_decref(value);
    bad_value(input, "a number", err);
    return NULL;
}

static json_t *parse_boolean(const json_t *input, const char *text, struct err *err)
{
    if (strcmp(text, "true") == 0)
        return json_true();
    if (strcmp(text, "false") == 0)
        return json_false();
    bad_value(input, "true or false", err);
    return NULL;
}

/* An array is JSON, or one element more for each time that the option is given. */
static json_t *parse_array(const json_t *input, const json_t *before, const char *text, struct err *err)
{
    if (text[0] == '[') {
        json_t *value = parse_json(input, text, err);
        if (value == NULL || json_is_array(value))
            return value;
        json_decref(value);
        bad_value(input, "an array", err);
        return NULL;
    }
    json_t *list = json_is_array(before) ? json_copy((json_t *)(uintptr_t)before) : json_array();
    if (json_array_append_new(list, json_string(text)) == 0)
        return list;
    json_decref(list);
    bad_value(input, "valid UTF-8", err);
    return NULL;
}

static json_t *parse_value(const json_t *input, const json_t *before, const char *text, struct err *err)
{
    const char *type = text_of(input, "type");
    json_t *value;

    if (strcmp(type, "integer") == 0)
        return parse_integer(input, text, err);
    if (strcmp(type, "number") == 0)
        return parse_number(input, text, err);
    if (strcmp(type, "boolean") == 0)
        return parse_boolean(input, text, err);
    if (strcmp(type, "array") == 0)
        return parse_array(input, before, text, err);
    if (strcmp(type, "object") == 0) {
        value = parse_json(input, text, err);
        if (value == NULL || json_is_object(value))
            return value;
        json_decref(value);
        bad_value(input, "a JSON object", err);
        return NULL;
    }
    value = json_string(text);
    if (value == NULL)
        bad_value(input, "valid UTF-8", err);
    return value;
}

static bool in_enum(const json_t *input, const json_t *value, struct err *err)
{
    const json_t *choices = json_object_get(input, "enum"), *choice;
    size_t i;

    if (!json_is_array(choices))
        return true;
    json_array_foreach(choices, i, choice) {
        if (json_equal(choice, value))
            return true;
    }
    AUTOFREE char *shown = json_dumps(choices, JSON_COMPACT | JSON_ENSURE_ASCII);
    err_set(err, ERR_DATA, "--%s must be one of %s", text_of(input, "name"), shown);
    return false;
}

/* ---- the options ---- */

/* --args JSON, @FILE or "-". */
static bool take_args(struct shim_call *call, const char *text, struct err *err)
{
    struct doc doc = {0};
    struct buf file;
    bool good;

    if (text[0] == '@' || strcmp(text, "-") == 0) {
        good = text[0] == '@' ? file_read(text + 1, SHIM_ARGS_BYTES, &file, err)
                              : file_read_fd(STDIN_FILENO, SHIM_ARGS_BYTES, &file, err);
        if (!good)
            return err_wrap(err, "--args");
        good = json_parse(file.data, file.len, SHIM_ARGS_BYTES, "--args", ERR_DATA, &doc, err);
        buf_clear(&file);
    } else {
        good = json_parse(text, strlen(text), SHIM_ARGS_BYTES, "--args", ERR_DATA, &doc, err);
    }
    if (good && !json_is_object(doc.root))
        good = err_set(err, ERR_DATA, "--args must be a JSON object");
    if (good)
        json_object_update(call->args, doc.root);
    doc_clear(&doc);
    return good;
}

/* One of our own options; *known tells. value NULL: none was written with "=". */
static bool take_own(struct shim_call *call, const char *name, const char *value, char **next, bool *used_next,
                     bool *known, struct err *err)
{
    bool needs_value = strcmp(name, "args") == 0 || strcmp(name, "idempotency-key") == 0;

    *known = true;
    if (needs_value && value == NULL) {
        value = *next;
        *used_next = true;
        if (value == NULL)
            return err_set(err, ERR_USAGE, "--%s needs a value", name);
    }
    if (strcmp(name, "args") == 0)
        return take_args(call, value, err);
    if (strcmp(name, "idempotency-key") == 0) {
        call->idempotency_key = value;
        return true;
    }
    if (strcmp(name, "json") == 0) {
        call->json = true;
        return true;
    }
    if (strcmp(name, "wait") == 0) {
        call->wait = true;
        return value == NULL || text_duration_ms(span_of(value), &call->wait_ms) ||
               err_set(err, ERR_USAGE, "--wait=%s is no time; use --wait=60", value);
    }
    *known = false;
    return true;
}

static bool take_input(struct shim_call *call, const char *name, const char *value, char **next, bool *used_next,
                       struct err *err)
{
    const json_t *input = find_input(call->operation, name);

    if (input == NULL) {
        err_set(err, ERR_USAGE, "unknown option --%s", name);
        return err_hint(err, "See %s %s --help", call->tool, text_of(call->operation, "name"));
    }
    bool boolean = strcmp(text_of(input, "type"), "boolean") == 0;
    if (value == NULL && boolean &&
        (*next == NULL || (strcmp(*next, "true") != 0 && strcmp(*next, "false") != 0)))
        value = "true"; /* a flag */
    if (value == NULL) {
        value = *next;
        *used_next = true;
        if (value == NULL)
            return err_set(err, ERR_USAGE, "--%s needs a value", name);
    }
    const char *key = text_of(input, "name");
    json_t *parsed = parse_value(input, json_object_get(call->args, key), value, err);
    if (parsed == NULL)
        return false;
    bool good = in_enum(input, parsed, err);
    json_object_set_new(call->args, key, parsed);
    return good;
}

static bool check_required(const struct shim_call *call, struct err *err)
{
    const json_t *inputs = json_object_get(call->operation, "inputs"), *input;
    size_t i;

    json_array_foreach(inputs, i, input) {
        if (!json_is_true(json_object_get(input, "required")) || json_object_get(input, "default") != NULL ||
            json_object_get(call->args, text_of(input, "name")) != NULL)
            continue;
        err_set(err, ERR_USAGE, "--%s is needed", text_of(input, "name"));
        return err_hint(err, "See %s %s --help", call->tool, text_of(call->operation, "name"));
    }
    return true;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

bool shim_parse(const json_t *tool, int argc, char **argv, struct shim_call *call, struct err *err)
{
    *call = (struct shim_call){.tool = text_of(tool, "name"), .args = json_object()};
    if (argc < 1 || is_help(argv[0])) {
        call->help = argc >= 1;
        err_set(err, ERR_USAGE, "%s needs an operation", call->tool);
        return call->help || err_hint(err, "See %s --help", call->tool);
    }
    call->operation = find_named(json_object_get(tool, "operations"), argv[0]);
    if (call->operation == NULL) {
        err_set(err, ERR_USAGE, "%s has no operation %s", call->tool, argv[0]);
        return err_hint(err, "See %s --help", call->tool);
    }
    for (int i = 1; i < argc; i++) {
        bool used_next = false, known = false;
        if (is_help(argv[i])) {
            call->help = true;
            return true;
        }
        if (strncmp(argv[i], "--", 2) != 0 || argv[i][2] == 0)
            return err_set(err, ERR_USAGE, "unexpected word %s: inputs are given as --NAME VALUE", argv[i]);
        const char *equals = strchr(argv[i], '=');
        AUTOFREE char *name = equals != NULL ? mem_strndup(argv[i] + 2, (size_t)(equals - argv[i]) - 2)
                                             : mem_strdup(argv[i] + 2);
        const char *value = equals != NULL ? equals + 1 : NULL;
        if (!take_own(call, name, value, &argv[i + 1], &used_next, &known, err) ||
            (!known && !take_input(call, name, value, &argv[i + 1], &used_next, err)))
            return false;
        i += used_next;
    }
    return check_required(call, err);
}

/* ---- help ---- */

static void print_indented(const char *text)
{
    if (text[0] == 0)
        return;
    show_string(text, 0);
    fputs("\n\n", stdout);
}

static void print_operation(const char *tool, const json_t *operation)
{
    const json_t *inputs = json_object_get(operation, "inputs"), *input;
    size_t i;

    fputs("usage: ", stdout);
    show_string(tool, 0);
    putchar(' ');
    show_text(operation, "name", 0);
    fputs(" [--INPUT VALUE]... [--args JSON|@FILE|-] [--json] [--wait[=SECONDS]] [--idempotency-key K]\n\n", stdout);
    print_indented(text_of(operation, "summary"));
    print_indented(text_of(operation, "description"));
    if (json_array_size(inputs) > 0)
        puts("Inputs:");
    json_array_foreach(inputs, i, input) {
        AUTOFREE char *name = mem_printf("--%s", text_of(input, "name"));
        fputs("  ", stdout);
        show_string(name, 22);
        show_text(input, "type", 8);
        if (json_is_true(json_object_get(input, "required")))
            fputs("(needed) ", stdout);
        show_string(text_of(input, "description"), 0);
        AUTOFREE char *choices = json_dumps(json_object_get(input, "enum"), JSON_COMPACT | JSON_ENSURE_ASCII);
        if (choices != NULL)
            printf(" one of %s", choices);
        AUTOFREE char *fallback =
            json_dumps(json_object_get(input, "default"), JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
        if (fallback != NULL)
            printf(" (default %s)", fallback);
        putchar('\n');
    }
}

void shim_print_help(const json_t *tool, const json_t *operation)
{
    const json_t *row;
    size_t i;

    if (operation != NULL) {
        print_operation(text_of(tool, "name"), operation);
        return;
    }
    fputs("usage: ", stdout);
    show_text(tool, "name", 0);
    fputs(" OPERATION [--INPUT VALUE]...\n\n", stdout);
    print_indented(text_of(tool, "description"));
    puts("Operations:");
    json_array_foreach(json_object_get(tool, "operations"), i, row) {
        fputs("  ", stdout);
        show_text(row, "name", 24);
        show_string(text_of(row, "summary"), 0);
        putchar('\n');
    }
    puts("\nOPERATION --help lists its inputs.");
}

void shim_print_tools(const json_t *catalogue)
{
    const json_t *tool;
    size_t i;

    json_array_foreach(json_object_get(catalogue, "tools"), i, tool) {
        show_text(tool, "name", 24);
        show_string(text_of(tool, "description"), 0);
        putchar('\n');
    }
}
