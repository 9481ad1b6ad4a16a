/* The catalogue of a session's tools: which connectors go together, how a tool is found, and what is mounted about
 * them. The folder of installed connectors is in catalogue_store.c. */
#include "core/data/catalogue.h"

#include <stdio.h>
#include <stdlib.h>

struct catalogue *catalogue_new(void)
{
    return mem_alloc(sizeof(struct catalogue));
}

void catalogue_free(struct catalogue *catalogue)
{
    if (!catalogue)
        return;
    for (size_t i = 0; i < catalogue->count; i++)
        connector_free(catalogue->connectors[i]);
    for (size_t i = 0; i < catalogue->problem_count; i++)
        free(catalogue->problems[i]);
    free(catalogue);
}

const struct connector *catalogue_connector(const struct catalogue *catalogue, const char *fqn)
{
    for (size_t i = 0; i < catalogue->count; i++) {
        if (strcmp(catalogue->connectors[i]->fqn, fqn) == 0)
            return catalogue->connectors[i];
    }
    return NULL;
}

static const struct connector *owner_of(const struct catalogue *catalogue, const char *tool)
{
    for (size_t i = 0; i < catalogue->count; i++) {
        if (connector_tool(catalogue->connectors[i], tool))
            return catalogue->connectors[i];
    }
    return NULL;
}

bool catalogue_add(struct catalogue *catalogue, struct connector *connector, struct err *err)
{
    err->hint[0] = '\0';
    if (catalogue->count == CATALOGUE_CONNECTORS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d connectors", CATALOGUE_CONNECTORS_MAX);
    const struct connector *other = catalogue_connector(catalogue, connector->fqn);
    if (other)
        return err_set(err, ERR_CONFLICT, "connector %s %s and %s %s are the same connector",
                       other->fqn, other->version, connector->fqn, connector->version);
    for (size_t i = 0; i < connector->tool_count; i++) {
        other = owner_of(catalogue, connector->tools[i].name);
        if (!other)
            continue;
        err_set(err, ERR_CONFLICT, "connectors %s and %s both have a tool named %s", other->fqn,
                connector->fqn, connector->tools[i].name);
        return err_hint(err, "Remove one of them: aileron connector remove %s", other->fqn);
    }
    catalogue->connectors[catalogue->count++] = connector;
    return true;
}

bool catalogue_check_agent(const struct catalogue *catalogue, const char *agent, struct err *err)
{
    const struct connector *owner = *agent ? owner_of(catalogue, agent) : NULL;
    if (!owner)
        return true;
    err_set(err, ERR_CONFLICT, "the agent %s and a tool of connector %s have one name", agent,
            owner->fqn);
    return err_hint(err, "Remove the connector: aileron connector remove %s", owner->fqn);
}

static void hint_tools(const struct catalogue *catalogue, struct err *err)
{
    char known[220] = "";
    size_t used = 0;
    for (size_t i = 0; i < catalogue->count; i++) {
        const struct connector *connector = catalogue->connectors[i];
        for (size_t t = 0; t < connector->tool_count && used + 1 < sizeof known; t++) {
            int n = snprintf(known + used, sizeof known - used, "%s%s", used > 0 ? ", " : "",
                             connector->tools[t].name);
            used += n > 0 ? (size_t)n : 0;
        }
    }
    err_hint(err, known[0] ? "There are: %s" : "There are no tools in this session%s", known);
}

static void hint_operations(const struct tool *tool, struct err *err)
{
    char known[220] = "";
    size_t used = 0;
    for (size_t i = 0; i < tool->operation_count && used + 1 < sizeof known; i++) {
        int n = snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                         tool->operations[i].name);
        used += n > 0 ? (size_t)n : 0;
    }
    err_hint(err, "It has: %s", known);
}

const struct tool_operation *catalogue_find(const struct catalogue *catalogue,
                                            const char *connector_fqn, const char *tool_name,
                                            const char *operation, const struct connector **connector,
                                            struct err *err)
{
    char shown[128];
    const struct connector *owner = owner_of(catalogue, tool_name);
    const struct tool *tool = owner ? connector_tool(owner, tool_name) : NULL;
    if (!tool || (connector_fqn && strcmp(owner->fqn, connector_fqn) != 0)) {
        text_display(span_of(tool_name), shown, sizeof shown);
        err_set(err, ERR_NOT_FOUND, "there is no tool %s%s", shown,
                tool ? " of that connector" : " in this session");
        hint_tools(catalogue, err);
        return NULL;
    }
    const struct tool_operation *found = tool_operation(tool, operation);
    if (!found) {
        text_display(span_of(operation), shown, sizeof shown);
        err_set(err, ERR_NOT_FOUND, "tool %s has no operation %s", tool->name, shown);
        hint_operations(tool, err);
        return NULL;
    }
    if (connector)
        *connector = owner;
    return found;
}

/* ---- what is mounted ---- */

/* The first line of a text, for one line of a list. */
static void first_line(const char *text, char *out, size_t cap)
{
    text_display((struct span){text, strcspn(text, "\r\n")}, out, cap);
}

static bool operation_text(const struct tool_operation *operation, struct buf *out)
{
    char summary[256];
    first_line(*operation->summary ? operation->summary : operation->description, summary,
               sizeof summary);
    bool ok = buf_printf(out, "  %-24s %s%s\n", operation->name, summary,
                         operation->approval ? " (a person must approve)" : "");
    for (size_t i = 0; ok && i < operation->input_count; i++) {
        const struct input *input = &operation->inputs[i];
        char about[200];
        first_line(input->description, about, sizeof about);
        ok = buf_printf(out, "      --%-20s %s%s%s%s\n", input->name, input_type_word(input->type),
                        input->required ? ", required" : "", *about ? ": " : "", about);
    }
    return ok;
}

bool catalogue_text(const struct catalogue *catalogue, struct buf *out)
{
    bool ok = buf_adds(out, "Tools of this session. Each is a command:\n"
                            "  TOOL OPERATION [--INPUT VALUE]... [--args JSON]\n"
                            "TOOL --help and TOOL OPERATION --help tell more.\n");
    for (size_t i = 0; i < catalogue->count; i++) {
        const struct connector *connector = catalogue->connectors[i];
        for (size_t t = 0; ok && t < connector->tool_count; t++) {
            const struct tool *tool = &connector->tools[t];
            char about[256];
            first_line(tool->description, about, sizeof about);
            ok = buf_printf(out, "\n%s%s%s\n", tool->name, *about ? "  " : "", about);
            for (size_t o = 0; ok && o < tool->operation_count; o++)
                ok = operation_text(&tool->operations[o], out);
        }
    }
    return ok && (catalogue->count > 0 || buf_adds(out, "\nThere are none.\n"));
}

static json_t *input_json(const struct input *input)
{
    json_t *object = json_object();
    json_put(object, "name", input->name);
    json_put(object, "type", input_type_word(input->type));
    json_put(object, "in", input_in_word(input->in));
    json_put_bool(object, "required", input->required);
    json_put(object, "description", input->description);
    if (input->fallback)
        json_object_set(object, "default", input->fallback);
    if (input->choices)
        json_object_set(object, "enum", input->choices);
    return object;
}

static json_t *operation_json_of(const struct tool_operation *operation)
{
    json_t *object = json_object(), *inputs = json_array();
    json_put(object, "name", operation->name);
    json_put(object, "summary", operation->summary);
    json_put(object, "description", operation->description);
    json_put(object, "method", operation->method);
    json_put(object, "path", operation->path);
    json_put(object, "host", operation->host);
    json_put(object, "approval", operation->approval ? "required" : "none");
    json_put(object, "idempotency", operation->idempotency);
    for (size_t i = 0; i < operation->input_count; i++)
        json_array_append_new(inputs, input_json(&operation->inputs[i]));
    json_object_set_new(object, "inputs", inputs);
    return object;
}

json_t *catalogue_json(const struct catalogue *catalogue)
{
    json_t *root = json_object(), *tools = json_array();
    json_put_int(root, "version", 1);
    for (size_t i = 0; i < catalogue->count; i++) {
        const struct connector *connector = catalogue->connectors[i];
        for (size_t t = 0; t < connector->tool_count; t++) {
            const struct tool *tool = &connector->tools[t];
            json_t *object = json_object(), *operations = json_array();
            json_put(object, "name", tool->name);
            json_put(object, "connector", connector->fqn);
            json_put(object, "description", tool->description);
            for (size_t o = 0; o < tool->operation_count; o++)
                json_array_append_new(operations, operation_json_of(&tool->operations[o]));
            json_object_set_new(object, "operations", operations);
            json_array_append_new(tools, object);
        }
    }
    json_object_set_new(root, "tools", tools);
    return root;
}
