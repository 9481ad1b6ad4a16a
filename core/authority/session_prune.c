/* Finding what is dead. The engines' own words are not ours: a process of the command line knows them, and asks us
 * which sessions live after it has seen what the engine has, so that none that has just begun is taken for dead. */
#include "core/authority/session_prune.h"

#include "core/authority/session_private.h"
#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/proc.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { ID_BYTES = 64, ENGINES = 8, META_BYTES = 1024 * 1024 };

bool home_id_load(struct monitor *monitor, struct err *err)
{
    AUTOFREE char *path = file_join(monitor->home, "id");
    struct err why = {0};
    struct buf text;

    if (file_read(path, ID_BYTES, &text, &why)) {
        struct span id = span_trim(span_of(buf_cstr(&text)));
        monitor->home_id = mem_strndup(id.p, strcspn(id.p, "\n"));
        buf_clear(&text);
        if (id_valid(monitor->home_id, ""))
            return true;
        err_set(err, ERR_CONFIG, "%s does not hold an identifier", path);
        return err_hint(err, "Remove it: the daemon writes another");
    }
    if (why.code != ERR_NOT_FOUND) {
        *err = why;
        return false;
    }
    monitor->home_id = mem_strdup(id_new("").text);
    AUTOFREE char *line = mem_printf("%s\n", monitor->home_id);
    return file_write_atomic(path, 0600, line, strlen(line), err);
}

/* ---- engines ---- */

struct engines {
    char *names[ENGINES];
    size_t count;
};

static bool add_engine(void *arg, const struct store_session *row)
{
    struct engines *engines = arg;
    CLEANUP(doc_clear) struct doc doc = {0};
    struct err ignored;

    if (!json_parse(row->json, strlen(row->json), META_BYTES, "session", ERR_DATA, &doc, &ignored))
        return true;
    const char *name = json_string_value(json_object_get(doc.root, "engine"));
    for (size_t i = 0; name != NULL && i < engines->count; i++)
        if (strcmp(engines->names[i], name) == 0)
            return true;
    if (name != NULL && name[0] != '\0')
        engines->names[engines->count++] = mem_strdup(name);
    return engines->count < ENGINES;
}

void session_store_end(struct monitor *monitor, const char *id)
{
    struct err err = {0};

    if (!store_session_end(monitor->store, id, (int64_t)clock_wall_ms(), &err))
        log_error("session %s: %s", id, err.message);
}

void session_prune_later(struct monitor *monitor)
{
    monitor->prune_at_ms = clock_mono_ms() + PRUNE_LAUNCHER_MS;
}

void session_prune_engines(struct monitor *monitor, bool first)
{
    static char name[] = "aileron", applet[] = "session", verb[] = "prune", only[] = "--engines-only";
    char *argv[ENGINES + 5] = {name, applet, verb, only};
    struct engines engines = {.count = 0};
    struct err err = {0};

    if (!first && (monitor->prune_at_ms == 0 || clock_mono_ms() < monitor->prune_at_ms))
        return;
    if (!first)
        monitor->prune_at_ms = 0;
    if (!store_sessions(monitor->store, false, add_engine, &engines, &err))
        log_warn("%s", err.message);
    memcpy(argv + 4, engines.names, engines.count * sizeof *argv);
    /* A state.db that was lost says nothing of what the engines still have: then all of them are asked. */
    if ((engines.count > 0 || monitor->state_trouble.code != ERR_NONE) &&
        proc_spawn(&(struct proc_spec){.argv = argv, .cwd = "/", .new_session = true}, &err) < 0)
        log_warn("what engines still have is not looked at: %s", err.message);
    for (size_t i = 0; i < engines.count; i++)
        free(engines.names[i]);
}

/* ---- directories and launchers ---- */

static bool end_launcher(void *arg, const struct store_session *row)
{
    size_t *count = arg;
    CLEANUP(doc_clear) struct doc doc = {0};
    struct err ignored;

    if (row->ended_ms == 0 || (int64_t)clock_wall_ms() - row->ended_ms < PRUNE_LAUNCHER_MS ||
        !json_parse(row->json, strlen(row->json), META_BYTES, "session", ERR_DATA, &doc, &ignored) ||
        !session_launcher_lives(doc.root))
        return true;
    pid_t pid = (pid_t)json_integer_value(json_object_get(doc.root, "pid"));
    log_info("session %s: its launcher %ld is still there and is ended", row->id, (long)pid);
    *count += kill(pid, SIGKILL) == 0;
    return true;
}

void session_prune(struct monitor *monitor, size_t *directories, size_t *launchers)
{
    struct err err = {0};

    *launchers = 0;
    *directories = session_sweep(monitor);
    if (!store_sessions(monitor->store, false, end_launcher, launchers, &err))
        log_warn("%s", err.message);
}
