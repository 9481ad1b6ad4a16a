/* `aileron connector`: add, list, show, check, remove. The store below $AILERON_HOME is written here; a running
 * daemon is told to load it anew. */
#include "applets/applet.h"

#include "applets/show.h"
#include "core/base/file.h"
#include "core/client/client.h"
#include "core/data/catalogue.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct connector_options {
    bool json;
};
static const struct opt_row json_rows[] = {
    {0, "json", OPT_FLAG, NULL, "Print JSON.", NULL, offsetof(struct connector_options, json)},
};
static const struct opt_spec add_spec = {
    .command = "aileron connector add",
    .synopsis = "FILE|DIR...",
    .summary = "Install connectors; another version of the same one is replaced",
    .details = "A directory is one that holds " CONNECTOR_FILE ". Running sessions get the new tools at once."};
static const struct opt_spec list_spec = {.command = "aileron connector list", .alone = true, .synopsis = "[--json]",
                                          .summary = "List the installed connectors and their tools",
                                          .rows = json_rows, .row_count = COUNT(json_rows)};
static const struct opt_spec show_spec = {.command = "aileron connector show", .synopsis = "FQN",
                                          .summary = "Print an installed connector's file"};
static const struct opt_spec check_spec = {.command = "aileron connector check", .synopsis = "FILE|DIR...",
                                           .summary = "Check connector files without installing them"};
static const struct opt_spec remove_spec = {.command = "aileron connector remove", .synopsis = "FQN...",
                                            .summary = "Remove installed connectors"};
static const struct opt_spec *const specs[] = {&add_spec, &list_spec, &show_spec, &check_spec, &remove_spec};
extern const struct applet applet_connector;

/* FILE, or the connector's file in DIR. */
static struct connector *read_connector(const char *path, struct err *err)
{
    struct stat st;
    AUTOFREE char *file = stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? file_join(path, CONNECTOR_FILE)
                                                                     : mem_strdup(path);
    struct buf text;

    if (!file_read(file, CONNECTOR_FILE_MAX, &text, err)) {
        err->code = err->code == ERR_LIMIT ? ERR_DATA : err->code;
        return NULL;
    }
    struct connector *connector = connector_parse(text.data, text.len, file, err);
    buf_clear(&text);
    if (connector == NULL)
        err_hint_default(err, "Correct it, and see aileron connector check %s", path);
    return connector;
}

/* A daemon that does not run needs not be told; one that refuses says why. */
static bool tell_daemon(const char *home, struct err *err)
{
    struct err none = {0};
    struct client *client = client_connect(home, false, &none);

    if (client == NULL)
        return true;
    bool good = client_ask(client, "POST", "/v1/reload", NULL, NULL, err);
    client_close(client);
    return good || err_wrap(err, "installed, but the daemon did not take it");
}

static bool add_one(const char *home, const char *path, struct err *err)
{
    struct connector *connector = read_connector(path, err);
    bool good = connector != NULL && catalogue_install(home, connector, err);

    if (good) {
        fputs("added ", stdout);
        show_string(connector->fqn, 0);
        fputs(" ", stdout);
        show_string(connector->version, 0);
        printf(" (%.12s)\n", connector->hash);
    }
    connector_free(connector);
    return good;
}

static int run_add(int argc, char **argv)
{
    struct connector_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&add_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count == 0)
        return applet_usage(&add_spec, "a file or a directory is needed");
    AUTOFREE char *home = client_home(&err);
    bool good = home != NULL && client_home_check(home, &err);
    for (size_t i = 0; good && i < count; i++)
        good = add_one(home, operands[i], &err);
    return good && tell_daemon(home, &err) ? 0 : err_print(&err, "aileron");
}

static int run_check(int argc, char **argv)
{
    struct connector_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&check_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count == 0)
        return applet_usage(&check_spec, "a file or a directory is needed");
    for (size_t i = 0; i < count; i++) {
        struct connector *connector = read_connector(operands[i], &err);
        if (connector == NULL) {
            status = err_print(&err, "aileron");
            continue;
        }
        size_t operations = 0;
        for (size_t t = 0; t < connector->tool_count; t++)
            operations += connector->tools[t].operation_count;
        show_string(connector->fqn, 0);
        printf(": good, %zu tools, %zu operations\n", connector->tool_count, operations);
        connector_free(connector);
    }
    return status;
}

/* The installed connectors, or NULL with err. */
static struct catalogue *load(struct err *err)
{
    AUTOFREE char *home = client_home(err);

    return home != NULL ? catalogue_load(home, err) : NULL;
}

static int run_list(int argc, char **argv)
{
    struct connector_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&list_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    struct catalogue *catalogue = load(&err);
    if (catalogue == NULL)
        return err_print(&err, "aileron");
    if (options.json) {
        json_t *shown JSON_AUTO = catalogue_json(catalogue);
        status = show_json(shown);
    }
    for (size_t i = 0; !options.json && i < catalogue->count; i++) {
        const struct connector *connector = catalogue->connectors[i];
        show_string(connector->fqn, 32);
        show_string(connector->version, 10);
        for (size_t t = 0; t < connector->tool_count; t++)
            show_string(connector->tools[t].name, t + 1 < connector->tool_count ? 1 : 0);
        putchar('\n');
    }
    for (size_t i = 0; i < catalogue->problem_count; i++) {
        err_set(&err, ERR_CONFIG, "left out: %s", catalogue->problems[i]);
        err_print(&err, "aileron");
    }
    catalogue_free(catalogue);
    return status;
}

static int run_show(int argc, char **argv)
{
    struct connector_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&show_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count != 1)
        return applet_usage(&show_spec, "one name is needed, as in aileron connector list");
    struct catalogue *catalogue = load(&err);
    if (catalogue == NULL)
        return err_print(&err, "aileron");
    const struct connector *connector = catalogue_connector(catalogue, operands[0]);
    if (connector != NULL) {
        AUTOFREE char *text = json_dumps(connector->doc.root, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        puts(text);
    } else {
        err_set(&err, ERR_NOT_FOUND, "no connector %s is installed", operands[0]);
        err_hint(&err, "See aileron connector list");
        status = err_print(&err, "aileron");
    }
    catalogue_free(catalogue);
    return status;
}

static int run_remove(int argc, char **argv)
{
    struct connector_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&remove_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count == 0)
        return applet_usage(&remove_spec, "a name is needed, as in aileron connector list");
    AUTOFREE char *home = client_home(&err);
    bool good = home != NULL;
    for (size_t i = 0; good && i < count; i++)
        good = catalogue_remove(home, operands[i], &err);
    return good && tell_daemon(home, &err) ? 0 : err_print(&err, "aileron");
}

static int run(int argc, char **argv)
{
    static const struct applet_verb verbs[] = {
        {"add", &add_spec, run_add},       {"list", &list_spec, run_list},       {"show", &show_spec, run_show},
        {"check", &check_spec, run_check}, {"remove", &remove_spec, run_remove},
    };

    return applet_verbs(&applet_connector, verbs, COUNT(verbs), argc, argv);
}

const struct applet applet_connector = {"connector", "Install and show connectors: tools made of an API", run, specs,
                                        COUNT(specs), false};
