/* `aileron status`: the daemon, the vault, the sessions, and everything that is wrong. */
#include "applets/applet.h"

#include "applets/show.h"
#include "core/client/client.h"

#include <stdio.h>
#include <string.h>

struct status_options {
    bool json;
};
static const struct opt_row rows[] = {
    {0, "json", OPT_FLAG, NULL, "Print the daemon's answer as JSON.", NULL, offsetof(struct status_options, json)},
};
static const struct opt_spec spec = {
    .command = "aileron status",
    .synopsis = "[--json]",
    .alone = true,
    .summary = "Show the daemon, the vault, the sessions, and what is wrong",
    .details = "Exits with 69 where no daemon runs, which is no error: it starts with the first command that "
               "needs it. Exits with 78 where a file does not load.",
    .rows = rows,
    .row_count = COUNT(rows)};
static const struct opt_spec *const specs[] = {&spec};

static void line(const char *name, const json_t *health, const char *key)
{
    printf("%-10s ", name);
    show_text(health, key, 0);
    putchar('\n');
}

/* What is wrong, one line each on standard error; the exit status. */
static int print_problems(const json_t *health)
{
    const json_t *problem;
    size_t i;
    int status = 0;

    json_array_foreach(json_object_get(health, "problems"), i, problem) {
        struct err err = {0};
        json_t *wrapped JSON_AUTO = json_pack("{s:O}", "error", problem);
        client_error(500, wrapped, &err);
        status = err_print(&err, "aileron");
    }
    return status;
}

static int run(int argc, char **argv)
{
    struct status_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&spec, argc, argv, &options, &operands, &count, &status))
        return status;
    struct client *client = client_connect_any_version(NULL, &err);
    json_t *health JSON_AUTO = NULL;
    bool good = client != NULL && client_ask(client, "GET", "/v1/health", NULL, &health, &err);
    client_close(client);
    if (!good)
        return err_print(&err, "aileron");
    if (options.json)
        return show_json(health);
    line("daemon", health, "version");
    line("pid", health, "pid");
    line("home", health, "home");
    line("page", health, "page");
    line("sessions", health, "sessions");
    line("vault", health, "vault");
    line("rules", health, "rules");
    line("bindings", health, "bindings");
    line("connectors", health, "connectors");
    return print_problems(health);
}

const struct applet applet_status = {"status", "Show the daemon, the vault, the sessions, what is wrong", run, specs,
                                     COUNT(specs), false};
