/* `aileron session`: lists the sessions that run, shows one, stops it, attaches to it, removes what is dead. The daemon
 * does all but attaching. `aileron sessions list|end` is what list and stop were called first, and goes on working. */
#include "applets/applet.h"

#include "applets/attach.h"
#include "applets/session_prune.h"
#include "applets/show.h"
#include "core/base/id.h"
#include "core/client/client.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
    STOP_MS = 15000, /* more than the supervisor gives a command (10 s) */
    LOOK_MS = 20
};

struct options {
    bool json;
};
static const struct opt_row json_rows[] = {
    {0, "json", OPT_FLAG, NULL, "Print the daemon's answer as JSON.", NULL, offsetof(struct options, json)},
};
static const struct opt_spec list_spec = {.command = "aileron session list", .alone = true, .synopsis = "[--json]",
                                          .summary = "List the running sessions", .rows = json_rows,
                                          .row_count = COUNT(json_rows)};
static const struct opt_spec show_spec = {.command = "aileron session show", .synopsis = "[--json] ID",
                                          .summary = "Show a session, the hosts it talks to, and what waits",
                                          .rows = json_rows, .row_count = COUNT(json_rows)};
static const struct opt_spec stop_spec = {.command = "aileron session stop", .synopsis = "ID...",
                                          .summary = "End sessions: revoke the token, stop and remove the sandbox",
                                          .details = "Returns when their commands have ended, which have 10 seconds "
                                                     "for it, or after 15 seconds."};
static const struct opt_spec *const specs[] = {&list_spec, &show_spec, &stop_spec, &attach_session_spec,
                                               &session_prune_spec};
extern const struct applet applet_session, applet_sessions;

static int run_list(int argc, char **argv)
{
    struct options options = {0};
    struct err err = {0};
    const json_t *row;
    char **operands;
    size_t count, i;
    int status = 0;

    if (!applet_parse(&list_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    json_t *answer JSON_AUTO = NULL;
    if (!client_ask_once(false, "GET", "/v1/sessions", &answer, &err))
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
        show_string(json_is_true(json_object_get(row, "detached")) ? "detached" : "terminal", 9);
        show_string(agent != NULL && agent[0] != 0 ? agent : program, 12);
        show_text(row, "workspace", 0);
        putchar('\n');
    }
    return 0;
}

/* ---- show ---- */

static void line(const char *name, const json_t *session, const char *key)
{
    printf("%-10s ", name);
    show_text(session, key, 0);
    putchar('\n');
}

static void show_uptime(const json_t *session)
{
    long long seconds = (long long)json_integer_value(json_object_get(session, "uptime_ms")) / 1000;

    printf("%-10s %lld:%02lld:%02lld, since ", "uptime", seconds / 3600, seconds / 60 % 60, seconds % 60);
    show_text(session, "created", 0);
    putchar('\n');
}

static void show_limits(const json_t *session)
{
    long long memory = (long long)json_integer_value(json_object_get(session, "memory"));

    printf("%-10s ", "limits");
    if (memory > 0)
        printf("memory %lld MiB", memory >> 20);
    else
        fputs("memory none", stdout);
    printf(", processes %lld\n", (long long)json_integer_value(json_object_get(session, "pids")));
}

static void show_command(const json_t *session)
{
    const json_t *word;
    size_t i;

    printf("%-10s", "command");
    json_array_foreach(json_object_get(session, "command"), i, word) {
        putchar(' ');
        show_string(json_string_value(word), 0);
    }
    putchar('\n');
}

static void show_hosts(const json_t *session)
{
    const json_t *row;
    size_t i;

    json_array_foreach(json_object_get(session, "hosts"), i, row) {
        const char *host = json_string_value(json_object_get(row, "host"));
        printf("%-10s ", i == 0 ? "hosts" : "");
        show_string(host != NULL && host[0] != 0 ? host : "(others)", 0);
        printf(": %lld allowed, %lld denied, %lld asked, %lld with a credential\n",
               (long long)json_integer_value(json_object_get(row, "allowed")),
               (long long)json_integer_value(json_object_get(row, "denied")),
               (long long)json_integer_value(json_object_get(row, "asked")),
               (long long)json_integer_value(json_object_get(row, "credential")));
    }
}

static void show_waiting(const json_t *session)
{
    const json_t *row;
    size_t i;

    json_array_foreach(json_object_get(session, "approvals"), i, row) {
        printf("%-10s ", i == 0 ? "waiting" : "");
        show_text(row, "id", 0);
        fputs(": ", stdout);
        show_text(row, "preview", 0);
        putchar('\n');
    }
}

static void show_session(const json_t *session)
{
    line("id", session, "id");
    line("state", session, "state");
    line("agent", session, "agent");
    show_command(session);
    line("engine", session, "engine");
    line("image", session, "image");
    line("network", session, "network");
    line("workspace", session, "workspace");
    show_limits(session);
    printf("%-10s %s\n", "terminal", json_is_true(json_object_get(session, "detached"))
                                         ? "detached: aileron attach" : "the one that it was launched from");
    line("pid", session, "pid");
    show_uptime(session);
    show_hosts(session);
    show_waiting(session);
}

/* It becomes a part of a path. */
static bool is_id(const char *text, struct err *err)
{
    if (id_valid(text, ""))
        return true;
    err_set(err, ERR_NOT_FOUND, "there is no session %s", text);
    return err_hint(err, "See aileron session list");
}

static int run_show(int argc, char **argv)
{
    struct options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&show_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count != 1)
        return applet_usage(&show_spec, "takes one session; see aileron session list");
    AUTOFREE char *path = mem_printf("/v1/sessions/%s", operands[0]);
    json_t *answer JSON_AUTO = NULL;
    if (!is_id(operands[0], &err) || !client_ask_once(false, "GET", path, &answer, &err))
        return err_print(&err, "aileron");
    if (options.json)
        return show_json(answer);
    show_session(answer);
    return 0;
}

/* The launcher of a session; 0: not known. */
static pid_t launcher_of(struct client *client, const char *path)
{
    struct err ignored = {0};
    json_t *answer JSON_AUTO = NULL;

    return client_ask(client, "GET", path, NULL, &answer, &ignored)
               ? (pid_t)json_integer_value(json_object_get(answer, "pid"))
               : 0;
}

/* The command has time to stop, and writes to the workspace until it has: who goes on with that is told by our end. */
static void await_end(pid_t launcher)
{
    uint64_t until = clock_mono_ms() + STOP_MS;

    while (launcher > 1 && kill(launcher, 0) == 0 && clock_mono_ms() < until)
        poll(NULL, 0, LOOK_MS);
}

static int run_stop(int argc, char **argv)
{
    struct options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&stop_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count == 0)
        return applet_usage(&stop_spec, "which session? See aileron session list");
    struct client *client = client_connect(NULL, false, &err);
    if (client == NULL)
        return err_print(&err, "aileron");
    AUTOFREE pid_t *launchers = mem_array(count, sizeof(*launchers));
    status = 0;
    for (size_t i = 0; i < count; i++) {
        AUTOFREE char *path = mem_printf("/v1/sessions/%s", operands[i]);
        bool good = is_id(operands[i], &err);
        launchers[i] = good ? launcher_of(client, path) : 0;
        if (!good || !client_ask(client, "DELETE", path, NULL, NULL, &err))
            status = err_print(&err, "aileron");
    }
    client_close(client);
    for (size_t i = 0; i < count; i++)
        await_end(launchers[i]);
    return status;
}

static int run(int argc, char **argv)
{
    static const struct applet_verb verbs[] = {{"list", &list_spec, run_list},
                                               {"show", &show_spec, run_show},
                                               {"stop", &stop_spec, run_stop},
                                               {"attach", &attach_session_spec, attach_session_run},
                                               {"prune", &session_prune_spec, session_prune_run}};

    return applet_verbs(&applet_session, verbs, COUNT(verbs), argc, argv);
}

static int run_old(int argc, char **argv)
{
    static const struct applet_verb verbs[] = {{"list", &list_spec, run_list}, {"end", &stop_spec, run_stop}};

    return applet_verbs(&applet_sessions, verbs, COUNT(verbs), argc, argv);
}

const struct applet applet_session = {"session", "List, show, stop and attach to sessions; remove what is dead", run,
                                      specs, COUNT(specs), false};
const struct applet applet_sessions = {"sessions", "The first name of aileron session", run_old, NULL, 0, true};
