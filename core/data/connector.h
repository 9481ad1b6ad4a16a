/* Connectors: aileron.connector.v1.json of design section 9, parsed, checked, hashed; and the HTTPS
 * request that an operation with its arguments stands for. */
#ifndef AILERON_DATA_CONNECTOR_H
#define AILERON_DATA_CONNECTOR_H

#include "core/data/json.h"

#define CONNECTOR_FILE "aileron.connector.v1.json"
enum {
    CONNECTOR_FILE_MAX = 4 * 1024 * 1024,
    CONNECTOR_TOOLS_MAX = 64,
    CONNECTOR_OPERATIONS_MAX = 256, /* of one tool */
    CONNECTOR_INPUTS_MAX = 64,      /* of one operation */
    CONNECTOR_HOSTS_MAX = 16,
    CONNECTOR_ENUM_MAX = 256,
    CONNECTOR_NAME_MAX = 64,
    CONNECTOR_TEXT_MAX = 4096,      /* descriptions */
    CONNECTOR_ARGS_MAX = 256 * 1024, /* bytes of the arguments of one call */
    CONNECTOR_PATH_MAX = 8192       /* of a path or query that was built */
};

enum input_type { INPUT_STRING, INPUT_INTEGER, INPUT_NUMBER, INPUT_BOOLEAN, INPUT_ARRAY, INPUT_OBJECT };
enum input_in { INPUT_PATH, INPUT_QUERY, INPUT_HEADER, INPUT_BODY };
struct input {
    const char *name, *description;
    enum input_type type;
    enum input_in in; /* worked out where the file is silent */
    bool required;
    json_t *fallback; /* "default"; NULL: none. Borrowed from the connector */
    json_t *choices;  /* "enum": array; NULL: any. Borrowed */
};
struct tool_operation {
    const char *name, *summary, *description; /* "" where not given */
    const char *method;                       /* upper case */
    const char *path;                         /* template */
    char host[256];                           /* the first of hosts: an argument may not choose another */
    uint16_t port;
    const char *idempotency;                  /* a word of connector.c's table: "none", "natural", "key", ... */
    bool approval;                            /* the manifest asks for a person's approval */
    const char *credential;                   /* a binding's name, "none", or NULL */
    const char *preview;                      /* template for the person who decides; "" */
    struct input *inputs;
    size_t input_count;
    const char **audit;                       /* inputs whose values may be shown on the record */
    size_t audit_count;
};
struct tool {
    const char *name, *description;
    struct tool_operation *operations;
    size_t operation_count;
};
struct connector {
    struct doc doc;      /* owns every string */
    const char *fqn, *version;
    char *text;          /* canonical: what is stored and hashed */
    char hash[65];       /* lower-case hex SHA-256 of text */
    struct tool *tools;
    size_t tool_count;
};

/* name: shown in errors. Reserved tool names (aileron*, sh, agents') are refused here. */
struct connector *connector_parse(const void *bytes, size_t len, const char *name, struct err *err)
    MUSTUSE NONNULL_AT(3, 4);
struct connector *connector_from_json(json_t *root, const char *name, struct err *err)
    MUSTUSE NONNULL; /* borrows root */
void connector_free(struct connector *connector);
const struct tool *connector_tool(const struct connector *connector, const char *name) NONNULL;
const struct tool_operation *tool_operation(const struct tool *tool, const char *name) NONNULL;

const char *input_type_word(enum input_type type);
const char *input_in_word(enum input_in in);
/* Whether a value is of the input's type and among its enum; the message begins with the input's name. */
bool input_check(const struct input *input, const json_t *value, struct err *err) MUSTUSE NONNULL;

/* Checks args against the inputs (types, enum, required, unknown names) and returns them with the
 * defaults filled in: the canonical arguments that are stored, shown and sent. The error names the
 * input (ERR_DATA). Caller drops the reference. */
json_t *connector_check_args(const struct tool_operation *operation, const json_t *args,
                             struct err *err) MUSTUSE NONNULL_AT(1, 3);

/* What goes out. A value never adds a path segment, a dot segment (C07) or a line (C10). */
struct connector_request {
    const char *method, *host; /* borrowed from the operation */
    uint16_t port;
    char *path;      /* canonical, percent-encoded */
    char *query;     /* NULL: none */
    json_t *headers; /* object name -> value; never NULL */
    char *body;      /* JSON text; NULL: none */
};
bool connector_build_request(const struct tool_operation *operation, const json_t *checked_args,
                             struct connector_request *out, struct err *err) MUSTUSE NONNULL;
void connector_request_clear(struct connector_request *request) NONNULL;
/* One line for people and for the record, arguments escaped and cut to cap: the preview, or method and path. */
void connector_preview(const struct tool_operation *operation, const json_t *checked_args, char *out,
                       size_t cap) NONNULL;

#endif
