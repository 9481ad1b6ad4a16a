/* Connectors: the manifest read and checked as a whole, so that whatever is installed can be called. It sends
 * nothing; building a request from arguments is in connector_request.c. */
#include "core/data/connector.h"

#include <stdlib.h>

#include "core/data/binding.h"
#include "core/data/match.h"
#include "core/wire/target.h"
#include "tls/crypto.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
static const char *const type_words[] = {"string",  "integer", "number",
                                         "boolean", "array",   "object"}; /* order of the enum */
static const char *const in_words[] = {"path", "query", "header", "body"}; /* order of the enum */

const char *input_type_word(enum input_type type)
{
    return type_words[type];
}

const char *input_in_word(enum input_in in)
{
    return in_words[in];
}

void connector_free(struct connector *connector)
{
    if (!connector)
        return;
    for (size_t t = 0; t < connector->tool_count; t++) {
        struct tool *tool = &connector->tools[t];
        for (size_t o = 0; o < tool->operation_count; o++) {
            free(tool->operations[o].inputs);
            free(tool->operations[o].audit);
        }
        free(tool->operations);
    }
    free(connector->tools);
    free(connector->text);
    doc_clear(&connector->doc);
    free(connector);
}

/* Names come back as file names, command words and JSON keys. */
static bool name_ok(const char *name, const char *more)
{
    size_t rest = 0;
    if (!strchr(letters, *name))
        return false;
    while (name[rest] && (strchr(letters, name[rest]) || strchr(more, name[rest])))
        rest++;
    return !name[rest];
}

static bool name_from(const struct json_at *at, const char *key, size_t max, const char *more,
                      const char **out, struct err *err)
{
    struct json_at member;
    if (!json_get_text(at, key, JSON_NEED, max, out, err) || !json_member(at, key, &member))
        return false;
    return (name_ok(*out, more) && !strstr(*out, "..") && !strstr(*out, "//")) ||
           json_fail(&member, err, "must begin with a letter or digit and hold letters, digits and "
                                   "any of %s", more);
}

/* ---- inputs ---- */

static struct input *input_named(const struct tool_operation *operation, struct span name)
{
    for (size_t i = 0; i < operation->input_count; i++) {
        if (span_eqs(name, operation->inputs[i].name))
            return &operation->inputs[i];
    }
    return NULL;
}

/* Calls on each {name} of a template. False: a brace without its partner. */
static bool next_slot(const char **text, struct span *name, bool *found)
{
    const char *open = strpbrk(*text, "{}");
    *found = open != NULL;
    if (!open)
        return true;
    const char *close = *open == '{' ? strpbrk(open + 1, "{}") : NULL;
    if (!close || *close != '}' || close == open + 1)
        return false;
    *name = (struct span){open + 1, (size_t)(close - open - 1)};
    *text = close + 1;
    return true;
}

static bool path_names(const char *path, const char *name)
{
    struct span slot;
    bool found = true;
    while (next_slot(&path, &slot, &found) && found) {
        if (span_eqs(slot, name))
            return true;
    }
    return false;
}

static bool place_from(struct input *input, const struct tool_operation *operation,
                       const struct json_at *at, struct err *err)
{
    bool in_path = path_names(operation->path, input->name);
    bool in_query = strcmp(operation->method, "GET") == 0 ||
                    strcmp(operation->method, "HEAD") == 0 ||
                    strcmp(operation->method, "DELETE") == 0;
    int in = in_path ? INPUT_PATH : in_query ? INPUT_QUERY : INPUT_BODY;
    if (!json_get_word(at, "in", JSON_MAY, in_words, COUNT(in_words), &in, err))
        return false;
    input->in = (enum input_in)in;
    if ((input->in == INPUT_PATH) != in_path)
        return json_fail(at, err, in_path ? "stands in the path, so 'in' must be path"
                                          : "'in' is path, and the path has no {%s}", input->name);
    if (input->in != INPUT_BODY && input->type == INPUT_OBJECT)
        return json_fail(at, err, "an object can be in the body alone");
    if (input->in != INPUT_BODY && input->in != INPUT_QUERY && input->type == INPUT_ARRAY)
        return json_fail(at, err, "a list can be in the query or the body alone");
    if (input->in == INPUT_BODY && strcmp(operation->method, "HEAD") == 0)
        return json_fail(at, err, "a HEAD request has no body");
    if (input->in == INPUT_HEADER && !binding_header_free(input->name))
        return json_fail(at, err, "is no header that an argument may set");
    return true;
}

static bool input_from(struct input *input, const struct tool_operation *operation,
                       const struct json_at *at, struct err *err)
{
    static const char *const keys[] = {"name", "type",    "required", "description",
                                       "in",   "default", "enum",     NULL};
    struct json_at member;
    struct err why;
    int type = INPUT_STRING;
    size_t count;
    input->description = "";
    if (!json_only(at, keys, err) ||
        !name_from(at, "name", CONNECTOR_NAME_MAX, "_-.[]", &input->name, err) ||
        !json_get_word(at, "type", JSON_MAY, type_words, COUNT(type_words), &type, err) ||
        !json_get_bool(at, "required", JSON_MAY, &input->required, err) ||
        !json_get_raw(at, "description", JSON_MAY, CONNECTOR_TEXT_MAX, &input->description, err) ||
        !json_get_list(at, "enum", JSON_MAY, CONNECTOR_ENUM_MAX, &member, &count, err))
        return false;
    if (input_named(operation, span_of(input->name)))
        return json_fail(at, err, "a second input named %s", input->name);
    input->type = (enum input_type)type;
    if (!place_from(input, operation, at, err))
        return false;
    input->required = input->required || input->in == INPUT_PATH;
    for (size_t i = 0; i < count; i++) {
        struct json_at choice = json_element(&member, i);
        if (!input_check(input, choice.node, &why))
            return json_fail(&choice, err, "is no %s", type_words[input->type]);
    }
    if (count > 0)
        input->choices = member.node;
    if (!json_member(at, "default", &member))
        return true;
    if (!input_check(input, member.node, &why))
        return json_fail(&member, err, "%s", why.message);
    input->fallback = member.node;
    return true;
}

/* ---- operations ---- */

static bool slots_ok(const struct tool_operation *operation, const struct json_at *at,
                     const char *text, struct err *err)
{
    struct span slot;
    bool found = true;
    while (found) {
        if (!next_slot(&text, &slot, &found))
            return json_fail(at, err, "has a brace without its partner");
        if (found && !input_named(operation, slot))
            return json_fail(at, err, "names {%.*s}, and there is no such input",
                             slot.len < 64 ? (int)slot.len : 64, slot.p);
    }
    return true;
}

/* With letters in place of the templates the path must be canonical as it is. */
static bool path_ok(const struct tool_operation *operation, const struct json_at *at, struct err *err)
{
    struct buf plain;
    struct err why;
    bool ambiguous = false, ok = true;
    buf_init(&plain, CONNECTOR_PATH_MAX);
    for (const char *p = operation->path; *p && ok; p++) {
        const char *close = *p == '{' ? strchr(p, '}') : NULL;
        ok = buf_add(&plain, close ? "x" : p, 1);
        if (close)
            p = close;
    }
    const char *text = buf_cstr(&plain);
    AUTOFREE char *canonical = target_path_canonical(span_of(text), &ambiguous, &why);
    ok = ok && *text == '/' && !strpbrk(text, "?#") && canonical && !ambiguous &&
         strcmp(canonical, text) == 0;
    buf_clear(&plain);
    return ok || json_fail(at, err, "must be an absolute path in its canonical form (no query, no "
                                    "dot segments, no //)");
}

static bool host_from(struct tool_operation *operation, const struct json_at *at, struct err *err)
{
    struct json_at list;
    char host[256];
    size_t count;
    if (!json_get_list(at, "hosts", JSON_NEED, CONNECTOR_HOSTS_MAX, &list, &count, err))
        return false;
    if (count == 0)
        return json_fail(&list, err, "must name at least one host");
    for (size_t i = count; i-- > 0;) { /* all are checked; the first one stays */
        struct json_at entry = json_element(&list, i);
        const char *text = NULL;
        uint64_t port = 443;
        if (!json_text_of(&entry, 260, &text, err))
            return false;
        const char *colon = strrchr(text, ':');
        bool has_port = colon && (strchr(text, ':') == colon || (colon > text && colon[-1] == ']'));
        if (has_port && (!text_u64(span_of(colon + 1), 65535, &port) || port == 0))
            return json_fail(&entry, err, "has a bad port");
        AUTOFREE char *name = mem_strndup(text, has_port ? (size_t)(colon - text) : strlen(text));
        if (!match_canonical_host(&entry, name, host, err))
            return false;
        memcpy(operation->host, host, sizeof operation->host);
        operation->port = (uint16_t)port;
    }
    return true;
}

static bool approval_from(struct tool_operation *operation, const struct json_at *at,
                          struct err *err)
{
    static const char *const words[] = {"none", "required"};
    struct json_at member;
    int word = 0;
    if (json_member(at, "approval", &member) && json_is_boolean(member.node)) {
        operation->approval = json_is_true(member.node);
        return true;
    }
    if (!json_get_word(at, "approval", JSON_MAY, words, COUNT(words), &word, err))
        return false;
    operation->approval = word == 1;
    return true;
}

static bool extras_from(struct tool_operation *operation, const struct json_at *at, struct err *err)
{
    static const char *const idempotencies[] = {"none", "natural", "safe", "idempotent", "key"};
    bool natural = strcmp(operation->method, "POST") != 0 && strcmp(operation->method, "PATCH") != 0;
    struct json_at member;
    size_t count;
    int word = natural ? 1 : 0;
    if (!json_get_word(at, "idempotency", JSON_MAY, idempotencies, COUNT(idempotencies), &word, err) ||
        !approval_from(operation, at, err) ||
        !json_get_text(at, "credential", JSON_MAY, 128, &operation->credential, err) ||
        !json_get_raw(at, "preview", JSON_MAY, CONNECTOR_TEXT_MAX, &operation->preview, err) ||
        !json_get_list(at, "audit", JSON_MAY, CONNECTOR_INPUTS_MAX, &member, &count, err))
        return false;
    operation->idempotency = idempotencies[word];
    if (operation->credential && !*operation->credential)
        operation->credential = NULL;
    operation->audit = mem_array(count + 1, sizeof *operation->audit);
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&member, i);
        if (!json_text_of(&entry, CONNECTOR_NAME_MAX, &operation->audit[i], err))
            return false;
        if (!input_named(operation, span_of(operation->audit[i])))
            return json_fail(&entry, err, "there is no such input");
        operation->audit_count++;
    }
    return !json_member(at, "preview", &member) ||
           slots_ok(operation, &member, operation->preview, err);
}

static bool operation_from(const struct tool *tool, struct tool_operation *operation,
                           const struct json_at *at, struct err *err)
{
    static const char *const keys[] = {
        "name",     "summary",    "description", "method", "path",    "hosts", "idempotency",
        "approval", "credential", "inputs",      "audit",  "preview", NULL};
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
    struct json_at member, list;
    size_t count;
    int method = 0;
    operation->summary = operation->description = operation->preview = "";
    if (!json_only(at, keys, err) ||
        !name_from(at, "name", CONNECTOR_NAME_MAX, "_-.", &operation->name, err) ||
        !json_get_text(at, "summary", JSON_MAY, 512, &operation->summary, err) ||
        !json_get_raw(at, "description", JSON_MAY, CONNECTOR_TEXT_MAX, &operation->description,
                      err) ||
        !json_get_word(at, "method", JSON_NEED, methods, COUNT(methods), &method, err) ||
        !json_get_text(at, "path", JSON_NEED, 1024, &operation->path, err) ||
        !json_get_list(at, "inputs", JSON_MAY, CONNECTOR_INPUTS_MAX, &list, &count, err))
        return false;
    if (tool_operation(tool, operation->name))
        return json_fail(at, err, "a second operation named %s", operation->name);
    operation->method = methods[method];
    if (!host_from(operation, at, err))
        return false;
    operation->inputs = mem_array(count + 1, sizeof *operation->inputs);
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        if (!input_from(&operation->inputs[i], operation, &entry, err))
            return false;
        operation->input_count++;
    }
    return json_member(at, "path", &member) && slots_ok(operation, &member, operation->path, err) &&
           path_ok(operation, &member, err) && extras_from(operation, at, err);
}

/* ---- tools and the whole ---- */

static bool tool_name_reserved(const char *name)
{
    static const char *const names[] = {"sh",     "claude", "codex",  "gemini",  "aider", "opencode",
                                        "goose",  "amp",    "crush",  "copilot", "cursor-agent",
                                        "qwen",   "droid",  "pi",     "openhands"};
    if (strncmp(name, "aileron", 7) == 0)
        return true;
    for (size_t i = 0; i < COUNT(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static bool tool_from(const struct connector *connector, struct tool *tool, const struct json_at *at,
                      struct err *err)
{
    static const char *const keys[] = {"name", "description", "operations", NULL};
    struct json_at list, member;
    size_t count;
    tool->description = "";
    if (!json_only(at, keys, err) ||
        !name_from(at, "name", CONNECTOR_NAME_MAX, "_-", &tool->name, err) ||
        !json_get_raw(at, "description", JSON_MAY, CONNECTOR_TEXT_MAX, &tool->description, err) ||
        !json_get_list(at, "operations", JSON_NEED, CONNECTOR_OPERATIONS_MAX, &list, &count, err) ||
        !json_member(at, "name", &member))
        return false;
    if (tool_name_reserved(tool->name))
        return json_fail(&member, err, "tool name '%s' of connector '%s' is reserved", tool->name,
                         connector->fqn);
    if (connector_tool(connector, tool->name))
        return json_fail(&member, err, "a second tool named %s", tool->name);
    if (count == 0)
        return json_fail(&list, err, "must hold at least one operation");
    tool->operations = mem_array(count, sizeof *tool->operations);
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        bool ok = operation_from(tool, &tool->operations[i], &entry, err);
        tool->operation_count++; /* also where it failed, so that it is freed */
        if (!ok)
            return false;
    }
    return true;
}

static bool schema_ok(const struct json_at *root, struct err *err)
{
    static const char *const words[] = {"1", "1.0", "v1", "aileron.connector.v1"};
    struct json_at member;
    if (!json_member(root, "schema_version", &member))
        return json_fail(root, err, "'schema_version' is missing");
    if (json_is_integer(member.node) && json_integer_value(member.node) == 1)
        return true;
    for (size_t i = 0; json_is_string(member.node) && i < COUNT(words); i++) {
        if (strcmp(json_string_value(member.node), words[i]) == 0)
            return true;
    }
    return json_fail(&member, err, "must be 1: this program knows no other");
}

static bool load(struct connector *connector, struct err *err)
{
    static const char *const keys[] = {"schema_version", "connector", "tools", NULL};
    static const char *const about_keys[] = {"fqn",      "version", "name", "description",
                                             "homepage", "license", NULL};
    struct json_at root = json_root(&connector->doc), about, list;
    bool present;
    size_t count;
    if (!json_only(&root, keys, err) || !schema_ok(&root, err) ||
        !json_get_object(&root, "connector", JSON_NEED, &about, &present, err) ||
        !json_only(&about, about_keys, err) ||
        !name_from(&about, "fqn", 128, "_-./@", &connector->fqn, err) ||
        !name_from(&about, "version", 64, "_-.+", &connector->version, err) ||
        !json_get_list(&root, "tools", JSON_NEED, CONNECTOR_TOOLS_MAX, &list, &count, err))
        return false;
    if (count == 0)
        return json_fail(&list, err, "must hold at least one tool");
    connector->tools = mem_array(count, sizeof *connector->tools);
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        bool ok = tool_from(connector, &connector->tools[i], &entry, err);
        connector->tool_count++; /* also where it failed, so that it is freed */
        if (!ok)
            return false;
    }
    return true;
}

struct connector *connector_from_json(json_t *root, const char *name, struct err *err)
{
    struct connector *connector = mem_alloc(sizeof *connector);
    uint8_t hash[CRYPTO_HASH_LEN];
    doc_wrap(&connector->doc, root, name, ERR_DATA);
    if (!load(connector, err)) {
        connector_free(connector);
        return NULL;
    }
    connector->text = json_canonical(root);
    crypto_sha256(connector->text, strlen(connector->text), hash);
    text_hex(hash, sizeof hash, connector->hash);
    return connector;
}

struct connector *connector_parse(const void *bytes, size_t len, const char *name, struct err *err)
{
    struct doc doc;
    if (!json_parse(bytes, len, CONNECTOR_FILE_MAX, name, ERR_DATA, &doc, err))
        return NULL;
    struct connector *connector = connector_from_json(doc.root, name, err);
    doc_clear(&doc);
    return connector;
}

const struct tool *connector_tool(const struct connector *connector, const char *name)
{
    for (size_t i = 0; i < connector->tool_count; i++) {
        if (connector->tools[i].name && strcmp(connector->tools[i].name, name) == 0)
            return &connector->tools[i];
    }
    return NULL;
}

const struct tool_operation *tool_operation(const struct tool *tool, const char *name)
{
    for (size_t i = 0; i < tool->operation_count; i++) {
        if (strcmp(tool->operations[i].name, name) == 0)
            return &tool->operations[i];
    }
    return NULL;
}
