/* `aileron daemon`: start (detached, or in the foreground), stop, status, reload. The process itself is
 * core/authority/monitor.c; here is only how it is asked for. `reap` is the monitor's own: it removes what an
 * engine left behind, in a process of its own, since an engine may take its time. */
#include "applets/applet.h"

#include "core/authority/monitor.h"
#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/proc.h"
#include "core/client/client.h"
#include "core/sandbox/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STOP_MS = 5000 };

struct daemon_options {
    bool foreground, force;
    uint64_t ready_fd; /* 0: none */
};

static const struct opt_row run_rows[] = {
    {0, "foreground", OPT_FLAG, NULL, "Stay in the foreground and log to standard error.", NULL,
     offsetof(struct daemon_options, foreground)},
    {0, "ready-fd", OPT_NUMBER, "FD", "Tell on this descriptor how the start went (for the program's own use).",
     NULL, offsetof(struct daemon_options, ready_fd)},
};
static const struct opt_spec run_spec = {
    .command = "aileron daemon",
    .synopsis = "[--foreground] | stop [--force] | status | reload",
    .summary = "Start the daemon, or stop it, show its state, reload its files",
    .details = "The daemon holds credentials, policy, sessions and the record. Every command that needs it starts "
               "it, so this is rarely typed. There is one for each $AILERON_HOME.",
    .rows = run_rows,
    .row_count = COUNT(run_rows),
};
static const struct opt_row stop_rows[] = {
    {0, "force", OPT_FLAG, NULL,
     "Also while sessions run: their launchers start a new daemon, which carries them on.", NULL,
     offsetof(struct daemon_options, force)},
};
static const struct opt_spec stop_spec = {.command = "aileron daemon stop", .alone = true, .synopsis = "[--force]",
                                          .summary = "Stop the daemon", .rows = stop_rows,
                                          .row_count = COUNT(stop_rows)};
static const struct opt_spec status_spec = {.command = "aileron daemon status", .alone = true, .synopsis = "",
                                            .summary = "Say whether the daemon runs, and its version"};
static const struct opt_spec reload_spec = {.command = "aileron daemon reload", .alone = true, .synopsis = "",
                                            .summary = "Load config.yaml, policy.yaml and bindings.yaml anew"};
static const struct opt_spec *const specs[] = {&run_spec, &stop_spec, &status_spec, &reload_spec};

/* ---- start ---- */

static void report_failure(int fd, const struct err *err)
{
    AUTOFREE char *text = mem_printf("E\n%s\n%s\n%s\n", err_word(err->code), err->message, err->hint);
    struct err ignored;

    if (!file_write_all(fd, text, strlen(text), &ignored))
        log_warn("nobody waits for the start any more");
}

static int run_foreground(const char *home, int ready_fd)
{
    struct err err = {0};
    struct monitor_options options = {.home = home, .version = AILERON_VERSION, .ready_fd = ready_fd};

    log_open("daemon", getenv("AILERON_LOG") != NULL ? LOG_DEBUG : LOG_INFO);
    if (client_home_check(home, &err) && monitor_run(&options, &err))
        return 0;
    if (ready_fd < 0)
        return err_print(&err, "aileron");
    log_error("%s", err.message);
    report_failure(ready_fd, &err);
    return err_exit(err.code);
}

static int run_daemon(int argc, char **argv)
{
    struct daemon_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&run_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count > 0) {
        err_set(&err, ERR_USAGE, "unknown command daemon %s", operands[0]);
        err_hint(&err, "See aileron daemon --help");
        return err_print(&err, "aileron");
    }
    AUTOFREE char *home = client_home(&err);
    if (home == NULL)
        return err_print(&err, "aileron");
    if (options.foreground)
        return run_foreground(home, options.ready_fd > 2 ? (int)options.ready_fd : -1);
    if (client_answers(home)) {
        puts("The daemon runs already.");
        return 0;
    }
    if (!client_start_daemon(home, &err))
        return err_print(&err, "aileron");
    puts("The daemon runs.");
    return 0;
}

/* ---- the others ---- */

/* One call without a body of interest; true and *answer, or printed and *status. */
static bool ask(const char *method, const char *path, const json_t *body, json_t **answer, int *status)
{
    struct err err = {0};
    struct client *client = client_connect_any_version(NULL, &err);

    if (client != NULL && client_ask(client, method, path, body, answer, &err)) {
        client_close(client);
        return true;
    }
    client_close(client);
    *status = err_print(&err, "aileron");
    return false;
}

/* Until the daemon has let go of its lock, so that whatever comes next finds none. */
static int await_end(void)
{
    const struct timespec pause = {.tv_nsec = 10 * 1000000L};
    uint64_t end_ms = clock_mono_ms() + STOP_MS;
    struct err err = {0};
    AUTOFREE char *home = client_home(&err);
    AUTOFREE char *path = home != NULL ? file_join(home, "run/daemon.lock") : NULL;

    while (path != NULL && clock_mono_ms() < end_ms) {
        CLEANUP(file_close_ptr) int fd = proc_lock(path, &err);
        if (fd >= 0) {
            puts("The daemon has stopped.");
            return 0;
        }
        nanosleep(&pause, NULL);
    }
    err_set(&err, ERR_TIMEOUT, "the daemon has not ended within %d ms", STOP_MS);
    return err_print(&err, "aileron");
}

static int run_stop(int argc, char **argv)
{
    struct daemon_options options = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&stop_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    json_t *body JSON_AUTO = json_pack("{s:b}", "force", options.force);
    json_t *answer JSON_AUTO = NULL;
    if (!ask("POST", "/v1/stop", body, &answer, &status))
        return status;
    return await_end();
}

static int run_status(int argc, char **argv)
{
    struct daemon_options options = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&status_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    json_t *answer JSON_AUTO = NULL;
    if (!ask("GET", "/v1/health", NULL, &answer, &status))
        return status;
    printf("running, version %s, pid %lld, %lld sessions\n", json_string_value(json_object_get(answer, "version")),
           (long long)json_integer_value(json_object_get(answer, "pid")),
           (long long)json_integer_value(json_object_get(answer, "sessions")));
    return 0;
}

static int run_reload(int argc, char **argv)
{
    struct daemon_options options = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&reload_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    json_t *answer JSON_AUTO = NULL;
    if (!ask("POST", "/v1/reload", NULL, &answer, &status))
        return status;
    puts("Loaded.");
    return 0;
}

/* reap ENGINE SESSION */
static int run_reap(int argc, char **argv)
{
    for (size_t i = 0; argc == 3 && engine_at(i) != NULL; i++)
        if (strcmp(engine_at(i)->name, argv[1]) == 0 && engine_at(i)->reap != NULL &&
            id_valid(argv[2], ""))
            engine_at(i)->reap(argv[2]);
    return 0;
}

static int run(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } verbs[] = {{"stop", run_stop}, {"status", run_status}, {"reload", run_reload}, {"reap", run_reap}};

    for (size_t i = 0; argc > 1 && i < COUNT(verbs); i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    return run_daemon(argc, argv);
}

const struct applet applet_daemon = {"daemon", "Start, stop or show the daemon (it starts by itself)", run, specs,
                                     COUNT(specs), false};
