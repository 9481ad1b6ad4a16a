/* `aileron session prune`: removes what sessions that are over have left behind. Which sessions live is the daemon's to
 * say, and it is asked after the engine has said what it has: a session that has only begun is in the second answer. */
#include "applets/session_prune.h"

#include "applets/applet.h"
#include "core/base/file.h"
#include "core/client/client.h"
#include "core/sandbox/docker_copy.h"
#include "core/sandbox/engine.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    bool caches, engines_only;
};
static const struct opt_row rows[] = {
    {0, "caches", OPT_FLAG, NULL, "Also the directories of sandbox.cache, where no session runs.", NULL,
     offsetof(struct options, caches)},
    {0, "engines-only", OPT_FLAG, NULL, "For the daemon's own use: the operands are engines.", NULL,
     offsetof(struct options, engines_only)},
};
const struct opt_spec session_prune_spec = {
    .command = "aileron session prune",
    .synopsis = "[--caches]",
    .summary = "Remove what sessions that are over have left behind",
    .details = "Containers that have this home's label and no session that lives, directories of no session, and "
               "launchers whose session is over. The daemon does the same for containers when it starts, and a while "
               "after a session that did not end by itself.",
    .rows = rows,
    .row_count = COUNT(rows)};

struct found {
    char **ids; /* of the sessions whose sandboxes an engine has */
    size_t count;
};

static void add_found(const char *session_id, void *arg)
{
    struct found *found = arg;

    found->ids = mem_resize(found->ids, found->count + 1, sizeof *found->ids);
    found->ids[found->count++] = mem_strdup(session_id);
}

/* Sets *home_id where it is asked for. Caller's reference. */
static json_t *living(struct client *client, const char **home_id, struct err *err)
{
    json_t *answer = NULL;

    if (!client_ask(client, "GET", "/v1/sessions", NULL, &answer, err))
        return NULL;
    *home_id = json_string_value(json_object_get(answer, "home_id"));
    return answer;
}

static bool lives(const json_t *answer, const char *id)
{
    const json_t *row;
    size_t i;

    json_array_foreach(json_object_get(answer, "sessions"), i, row) {
        const char *state = json_string_value(json_object_get(row, "state"));
        const char *its = json_string_value(json_object_get(row, "id"));
        if (its != NULL && strcmp(its, id) == 0)
            return state == NULL || strcmp(state, "ending") != 0;
    }
    return false;
}

static bool wanted(const struct engine *engine, char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], engine->name) == 0)
            return true;
    return count == 0;
}

/* An engine that could not be asked. One that has never worked here has nothing of ours; for another it is said, and
 * the rest is done all the same. */
static void missed(const struct engine *engine, const struct err *why, struct err *err)
{
    struct err ignored = {0};
    AUTOFREE char *home = client_home(&ignored);

    if (home == NULL || !facts_worked(home, engine->name))
        return;
    *err = *why;
    err_wrap(err, "what %s still has is not known", engine->name);
}

/* Of one engine; how many were removed. */
static size_t prune_engine(const struct engine *engine, struct client *client, struct err *err)
{
    struct found found = {0};
    struct err absent = {0};
    const char *home_id = NULL;
    size_t removed = 0;

    JSON_AUTO json_t *before = living(client, &home_id, err);
    if (before != NULL && home_id != NULL && !engine->left(home_id, add_found, &found, &absent))
        missed(engine, &absent, err);
    if (found.count > 0) {
        JSON_AUTO json_t *now = living(client, &home_id, err);
        for (size_t i = 0; now != NULL && i < found.count; i++) {
            if (lives(now, found.ids[i]))
                continue;
            engine->reap(found.ids[i]);
            removed++;
        }
    }
    for (size_t i = 0; i < found.count; i++)
        free(found.ids[i]);
    free(found.ids);
    return removed;
}

static bool prune_caches(struct client *client, struct err *err)
{
    const char *home_id;
    JSON_AUTO json_t *answer = living(client, &home_id, err);
    AUTOFREE char *home = answer != NULL ? client_home(err) : NULL;

    if (home == NULL)
        return false;
    if (json_array_size(json_object_get(answer, "sessions")) > 0) {
        err_set(err, ERR_CONFLICT, "the caches stay: sessions are running");
        return err_hint(err, "See aileron session list");
    }
    AUTOFREE char *path = file_join(home, "cache");
    if (!file_exists(path))
        return true;
    if (!file_remove_tree(path, err))
        return false;
    puts("removed the caches");
    return true;
}

static void say(size_t count, const char *what)
{
    if (count > 0)
        printf("removed %zu %s\n", count, what);
}

static bool prune(struct client *client, const struct options *options, char **names, size_t count, struct err *err)
{
    struct err why = {0};
    size_t removed = 0;

    for (size_t i = 0; engine_at(i) != NULL; i++)
        if (engine_at(i)->left != NULL && wanted(engine_at(i), names, count))
            removed += prune_engine(engine_at(i), client, &why);
    *err = why;
    if (options->engines_only)
        return why.code == ERR_NONE;
    JSON_AUTO json_t *answer = NULL;
    if (!client_ask(client, "POST", "/v1/sessions/prune", NULL, &answer, err))
        return false;
    AUTOFREE char *home = client_home(err);
    size_t directories = (size_t)json_integer_value(json_object_get(answer, "directories"));
    directories += home != NULL ? docker_prune_back(home, err) : 0;
    size_t launchers = (size_t)json_integer_value(json_object_get(answer, "launchers"));
    say(removed, "containers");
    say(directories, "directories");
    say(launchers, "launchers");
    if (removed + directories + launchers == 0 && why.code == ERR_NONE)
        puts("nothing was left behind");
    return err->code == ERR_NONE && (!options->caches || prune_caches(client, err));
}

int session_prune_run(int argc, char **argv)
{
    struct options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&session_prune_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count > 0 && !options.engines_only)
        return applet_usage(&session_prune_spec, "no operand is expected");
    struct client *client = client_connect(NULL, !options.engines_only, &err);
    bool good = client != NULL && prune(client, &options, operands, count, &err);
    client_close(client);
    return good ? 0 : err_print(&err, "aileron");
}
