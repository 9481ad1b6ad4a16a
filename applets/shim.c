/* The shim: a tool of the session's catalogue as a command. `github get-repo --owner acme` is found in tools.json,
 * checked, sent to the session's API, and its answer streamed to standard output. It holds no authority: what it
 * may do is decided on the host. */
#include "applets/applet.h"

#include "applets/outcome.h"
#include "applets/shim_args.h"
#include "core/base/file.h"
#include "core/sandbox/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ERROR_BODY_BYTES = 64 * 1024, ID_BYTES = 40 };

static const struct opt_spec spec = {
    .command = "aileron-shim",
    .synopsis = "TOOL OPERATION [--INPUT VALUE]... [--args JSON|@FILE|-] [--json] [--wait[=SECONDS]] "
                "[--idempotency-key K]",
    .summary = "Run an operation of a tool of the session's catalogue",
    .details = "A link of any other name to this program is the tool of that name. Without TOOL the tools are "
               "listed. The answer's body goes to standard output; errors go to standard error, with --json as "
               "an object. Exit status: 0 done, 1 failed, 64 usage, 65 bad data, 69 no session, 75 waits for a "
               "person, 77 denied, 79 nobody decided in time, 80 it may or may not have happened."};
static const struct opt_spec *const specs[] = {&spec};

/* ---- the catalogue ---- */

static bool load_catalogue(struct doc *doc, struct err *err)
{
    const char *path = getenv("AILERON_TOOLS_FILE");
    struct buf text;

    if (path == NULL || path[0] == 0)
        path = SANDBOX_TOOLS;
    if (!file_read(path, SHIM_CATALOGUE_BYTES, &text, err)) {
        if (err->code == ERR_NOT_FOUND) {
            err_set(err, ERR_UNAVAILABLE, "this is no session of Aileron: %s is not there", path);
            err_hint(err, "Run it in a sandbox: aileron launch -- COMMAND");
        }
        return false;
    }
    bool good = json_parse(text.data, text.len, SHIM_CATALOGUE_BYTES, "tools.json", ERR_DATA, doc, err);
    buf_clear(&text);
    return good;
}

/* ---- the answer ---- */

/* Streams what comes to standard output. An answer that is cut off is an error, whatever came before it. */
static bool stream(struct client *client, struct err *err)
{
    const uint8_t *data;
    size_t len;

    fflush(stdout);
    for (;;) {
        if (!client_read(client, &data, &len, err))
            return false;
        if (len == 0)
            return true;
        if (!file_write_all(STDOUT_FILENO, data, len, err))
            return err_wrap(err, "standard output");
    }
}

/* The beginning of an error's body, for standard error. The rest of it is of no use to anybody. */
static void read_some(struct client *client, struct buf *out)
{
    struct err ignored = {0};
    const uint8_t *data;
    size_t len;

    buf_init(out, ERROR_BODY_BYTES);
    while (client_read(client, &data, &len, &ignored) && len > 0)
        if (!buf_add(out, data, len < out->max - out->len ? len : out->max - out->len) || out->len == out->max)
            return;
}

static int show_upstream(struct client *client, const char *id, int64_t upstream, bool json)
{
    struct err err = {0};
    struct buf body;
    int status;

    if (upstream >= 200 && upstream < 300) {
        if (!stream(client, &err))
            return outcome_error(&err, json);
        outcome_ack(client, id);
        return 0;
    }
    read_some(client, &body);
    status = outcome_upstream(id, upstream, body.data != NULL ? body.data : (const uint8_t *)"", body.len, json);
    buf_clear(&body);
    return status;
}

/* The answer's JSON, or NULL with the status to exit with. */
static json_t *read_json(struct client *client, bool json, int *status)
{
    struct doc doc = {0};
    struct err err = {0};
    struct buf text;
    json_t *answer = NULL;

    if (!client_read_all(client, &text, &err)) {
        *status = outcome_error(&err, json);
        return NULL;
    }
    if (json_parse(text.data, text.len, CLIENT_BODY_BYTES, "answer", ERR_INTERNAL, &doc, &err))
        answer = json_incref(doc.root);
    else
        *status = outcome_error(&err, json);
    buf_clear(&text);
    doc_clear(&doc);
    return answer;
}

/* 202: waits for a person, or an idempotency key that is known. */
static int show_pending(struct client **client, const struct shim_call *call, const json_t *state)
{
    const char *id = json_string_value(json_object_get(state, "id"));

    if (id == NULL)
        id = json_string_value(json_object_get(state, "operation"));
    if (id != NULL && (outcome_final(state) || call->wait))
        return outcome_wait(client, id, call->wait_ms > 0 ? call->wait_ms : UINT64_MAX, call->json);
    return outcome_state(state, call->json);
}

static int show_answer(struct client **connection, const struct shim_call *call)
{
    struct client *client = *connection;
    struct err err = {0};
    int http, status = 0;

    if (!client_head(client, &http, &err))
        return outcome_error(&err, call->json);
    const char *upstream_text = client_field(client, "Aileron-Status");
    const char *id_text = client_field(client, "Aileron-Operation");
    uint64_t upstream;
    if (http == 200 && upstream_text != NULL && id_text != NULL &&
        text_u64(span_of(upstream_text), 999, &upstream)) {
        AUTOFREE char *id = mem_strndup(id_text, strlen(id_text) < ID_BYTES ? strlen(id_text) : ID_BYTES);
        return show_upstream(client, id, (int64_t)upstream, call->json);
    }
    json_t *answer JSON_AUTO = read_json(client, call->json, &status);
    if (answer == NULL)
        return status;
    return http >= 400 ? outcome_denied(http, answer, call->json) : show_pending(connection, call, answer);
}

/* ---- the call ---- */

static int call_tool(const json_t *tool, const struct shim_call *call)
{
    struct err err = {0};
    json_t *body JSON_AUTO = json_pack("{s:O, s:s, s:O, s:O}", "connector_fqn", json_object_get(tool, "connector"),
                                       "tool", call->tool, "operation",
                                       json_object_get(call->operation, "name"), "args", call->args);
    json_put(body, "idempotency_key", call->idempotency_key);
    AUTOFREE char *text = json_dumps(body, JSON_COMPACT);
    struct client *client = outcome_connect(&err);
    int status;

    if (client == NULL || text == NULL ||
        !client_send(client, "POST", "/v1/connector-operations/run", text, strlen(text), &err))
        status = outcome_error(&err, call->json);
    else
        status = show_answer(&client, call);
    client_close(client);
    return status;
}

static int run_tool(const json_t *tool, int argc, char **argv)
{
    struct shim_call call;
    struct err err = {0};
    int status = 0;

    if (!shim_parse(tool, argc, argv, &call, &err))
        status = outcome_error(&err, call.json);
    else if (call.help)
        shim_print_help(tool, call.operation);
    else
        status = call_tool(tool, &call);
    shim_call_clear(&call);
    return status;
}

/* argv[0] is the tool, or our own name with the tool behind it. */
static int run(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    const char *name = slash != NULL ? slash + 1 : argv[0];
    struct doc doc = {0};
    struct err err = {0};
    int status = 0;

    if (strcmp(name, "shim") == 0 || strcmp(name, "aileron-shim") == 0) {
        argc--;
        argv++;
        if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
            opt_print(&spec, OPT_FORMAT_HELP);
            return 0;
        }
        name = argc > 0 ? argv[0] : NULL;
    }
    if (!load_catalogue(&doc, &err))
        return err_print(&err, "aileron");
    const json_t *tool = name != NULL ? shim_find_tool(doc.root, name) : NULL;
    if (tool != NULL) {
        status = run_tool(tool, argc - 1, argv + 1);
    } else if (name == NULL && json_array_size(json_object_get(doc.root, "tools")) == 0) {
        fputs("aileron: this session has no tools: no connector is installed on the host. Programs use services as "
              "they are\n", stderr);
    } else if (name == NULL) {
        shim_print_tools(doc.root);
    } else {
        err_set(&err, ERR_USAGE, "the session's catalogue has no tool %s", name);
        err_hint(&err, "aileron-shim lists the tools");
        status = err_print(&err, "aileron");
    }
    doc_clear(&doc);
    return status;
}

const struct applet applet_shim = {"shim", "Run a tool of the session's catalogue (in the sandbox)", run, specs,
                                   COUNT(specs), false};
