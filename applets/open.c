/* `aileron open`: a one-time link to the page, printed, and given to a browser where there is one. */
#include "applets/applet.h"
#include "core/base/file.h"
#include "core/base/proc.h"
#include "core/base/secret.h"
#include "core/client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct open_options {
    bool print;
};
static const struct opt_row rows[] = {
    {0, "print", OPT_FLAG, NULL, "Print the link and start no browser.", NULL, offsetof(struct open_options, print)},
};
static const struct opt_spec spec = {
    .command = "aileron open",
    .synopsis = "[--print]",
    .alone = true,
    .summary = "Open the page: what waits, the sessions, the live record",
    .details = "Prints a link that works once, within a minute, in a browser on this machine. It is opened with "
               "$BROWSER, or with xdg-open where a display is there.",
    .rows = rows,
    .row_count = COUNT(rows)};
static const struct opt_spec *const specs[] = {&spec};

static bool has_text(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != 0;
}

/* The browser's command line is for everybody on the machine to read, so the link goes into a file of our own that
 * leads to it; nothing in a link needs to be quoted there. */
static bool write_page(const char *link, char **path, struct err *err)
{
    AUTOFREE char *home = client_home(err);
    AUTOFREE char *text = mem_printf("<!doctype html><meta charset=utf-8><meta name=referrer content=no-referrer>"
                                     "<meta http-equiv=refresh content=\"0;url=%s\"><title>Aileron</title>\n",
                                     link);

    *path = home != NULL ? file_join(home, "run/open.html") : NULL;
    return *path != NULL && file_write_atomic(*path, 0600, text, strlen(text), err);
}

static bool start_browser(const char *link, struct err *err)
{
    char sh[] = "sh", c[] = "-c", name[] = "aileron";
    char browser[] = "exec $BROWSER \"$1\" > /dev/null 2>&1", xdg[] = "exec xdg-open \"$1\" > /dev/null 2>&1";
    AUTOFREE char *path = NULL;

    if (!write_page(link, &path, err))
        return false;
    char *argv[] = {sh, c, has_text("BROWSER") ? browser : xdg, name, path, NULL};
    return proc_spawn(&(struct proc_spec){.path = "/bin/sh", .argv = argv, .new_session = true}, err) > 0;
}

static int run(int argc, char **argv)
{
    struct open_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&spec, argc, argv, &options, &operands, &count, &status))
        return status;
    json_t *answer JSON_AUTO = NULL;
    if (!client_ask_once(true, "POST", "/v1/page/link", &answer, &err))
        return err_print(&err, "aileron");
    const char *link = json_string_value(json_object_get(answer, "link"));
    if (link == NULL || printf("%s\n", link) < 0 || fflush(stdout) != 0)
        return err_exit(ERR_IO);
    bool display = has_text("BROWSER") || has_text("DISPLAY") || has_text("WAYLAND_DISPLAY");
    if (!options.print && display && !start_browser(link, &err)) {
        err_hint(&err, "Open the link yourself");
        err_print(&err, "aileron");
    }
    return 0;
}

const struct applet applet_open = {"open", "Open the page in a browser", run, specs, COUNT(specs), false};
