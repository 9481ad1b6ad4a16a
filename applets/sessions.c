/* `aileron sessions`: lists the sessions that run, and ends one. The daemon does both. */
#include "applets/applet.h"

#include "applets/show.h"
#include "core/client/client.h"

#include <stdio.h>
#include <string.h>

struct sessions_options {
    bool json;
};
static const struct opt_row list_rows[] = {
    {0, "json", OPT_FLAG, NULL, "Print the daemon's answer as JSON.", NULL, offsetof(struct sessions_options, json)},
};
static const struct opt_spec list_spec = {.command = "aileron sessions list", .synopsis = "[--json]",
                                          .summary = "List the running sessions", .rows = list_rows,
                                          .row_count = COUNT(list_rows)};
static const struct opt_spec end_spec = {.command = "aileron sessions end", .synopsis = "ID...",
                                         .summary = "End sessions: revoke the token, remove the sandbox"};
static const struct opt_spec *const specs[] = {&list_spec, &end_spec};
extern const struct applet applet_sessions;

static int run_list(int argc, char **argv)
{
    struct sessions_options options = {0};
    struct err err = {0};
    const json_t *row;
    char **operands;
    size_t count, i;
    int status = 0;

    if (!applet_parse(&list_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    struct client *client = client_connect(NULL, false, &err);
    json_t *answer JSON_AUTO = NULL;
    bool good = client != NULL && client_ask(client, "GET", "/v1/sessions", NULL, &answer, &err);
    client_close(client);
    if (!good)
        return err_print(&err, "aileron");
    if (options.json)
        return show_json(answer);
    json_array_foreach(json_object_get(answer, "sessions"), i, row) {
        const char *agent = json_string_value(json_object_get(row, "agent"));
        const char *program = json_string_value(json_array_get(json_object_get(row, "command"), 0));
        show_text(row, "id", 27);
        show_text(row, "state", 9);
        show_text(row, "engine", 7);
        show_text(row, "network", 7);
        show_string(agent != NULL && agent[0] != 0 ? agent : program, 12);
        show_text(row, "workspace", 0);
        putchar('\n');
    }
    return 0;
}

static int run_end(int argc, char **argv)
{
    struct sessions_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&end_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count == 0)
        return applet_usage(&end_spec, "which session? See aileron sessions list");
    struct client *client = client_connect(NULL, false, &err);
    if (client == NULL)
        return err_print(&err, "aileron");
    status = 0;
    for (size_t i = 0; i < count; i++) {
        AUTOFREE char *path = mem_printf("/v1/sessions/%s", operands[i]);
        if (!client_ask(client, "DELETE", path, NULL, NULL, &err))
            status = err_print(&err, "aileron");
    }
    client_close(client);
    return status;
}

static int run(int argc, char **argv)
{
    static const struct applet_verb verbs[] = {{"list", &list_spec, run_list}, {"end", &end_spec, run_end}};

    return applet_verbs(&applet_sessions, verbs, COUNT(verbs), argc, argv);
}

const struct applet applet_sessions = {"sessions", "List the running sessions, or end one", run, specs,
                                       COUNT(specs), false};
