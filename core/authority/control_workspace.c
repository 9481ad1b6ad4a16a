/* The route by which a launcher says what its agent has left in the workspace for the host to run (threat F11). The
 * launcher is the host's; the names are the agent's, and bounded here once more. */
#include "core/authority/control.h"

#include <string.h>

enum { FILES_MAX = 100, PATH_BYTES = 1024, WORD_BYTES = 128, PARTIAL_BYTES = 512 };

struct search {
    struct span id;
    bool found;
};

static bool is_it(void *arg, const struct store_session *row)
{
    struct search *search = arg;

    search->found = span_eqs(search->id, row->id);
    return !search->found;
}

/* Also one that has ended: somebody may have stopped it while its agent wrote. */
static bool known(struct monitor *monitor, struct span id, struct err *err)
{
    struct search search = {.id = id, .found = session_find(monitor, id) != NULL};

    if (!search.found && !store_sessions(monitor->store, false, is_it, &search, err))
        return false;
    return search.found ||
           err_set(err, ERR_NOT_FOUND, "there is no session %.*s", id.len < 64 ? (int)id.len : 64, id.p);
}

static bool read_file(const struct json_at *at, const char *session, json_t **event, struct err *err)
{
    static const char *const keys[] = {"path", "change", "runs", NULL};
    static const char *const changes[] = {"new", "changed", "removed"};
    const char *path, *runs;
    int change;

    if (!json_want_object(at, err) || !json_only(at, keys, err) ||
        !json_get_text(at, "path", JSON_NEED, PATH_BYTES, &path, err) ||
        !json_get_text(at, "runs", JSON_NEED, WORD_BYTES, &runs, err) ||
        !json_get_word(at, "change", JSON_NEED, changes, COUNT(changes), &change, err))
        return false;
    *event = record_event("workspace.executable", session);
    json_put(*event, "change", changes[change]);
    json_put(*event, "path", path);
    json_put(*event, "runs", runs);
    return true;
}

/* All of it, or nothing: a line a file, then one for what was not told. */
static bool read_all(const struct json_at *at, const char *session, json_t *events, struct err *err)
{
    static const char *const keys[] = {"files", "total", "partial", NULL};
    const char *partial = "";
    struct json_at files;
    int64_t total = 0;
    size_t count;
    json_t *event;

    if (!json_only(at, keys, err) || !json_get_list(at, "files", JSON_NEED, FILES_MAX, &files, &count, err) ||
        !json_get_int(at, "total", JSON_NEED, (int64_t)count, INT32_MAX, &total, err) ||
        !json_get_text(at, "partial", JSON_MAY, PARTIAL_BYTES, &partial, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_at file = json_element(&files, i);
        if (!read_file(&file, session, &event, err))
            return false;
        json_array_append_new(events, event);
    }
    if (partial[0] == '\0' && total == (int64_t)count)
        return true;
    event = record_event("workspace.executable", session);
    json_put_int(event, "more", total - (int64_t)count);
    json_put(event, "message", partial[0] != '\0' ? partial : NULL);
    json_array_append_new(events, event);
    return true;
}

static void post_executable(struct monitor *monitor, struct service_request *req, struct span id)
{
    JSON_AUTO json_t *events = json_array();
    AUTOFREE char *session = mem_strndup(id.p, id.len);
    struct doc doc = {0};
    struct err err = {0};

    if (!control_body(req, &doc))
        return;
    struct json_at at = json_root(&doc);
    bool good = known(monitor, id, &err) && read_all(&at, session, events, &err);
    for (size_t i = 0; good && i < json_array_size(events); i++)
        good = record_write(monitor->record, json_incref(json_array_get(events, i)), &err);
    if (good)
        control_reply(req, 201, json_pack("{s:i}", "recorded", (int)json_array_size(events)));
    else
        control_fail(req, &err);
    doc_clear(&doc);
}

const struct control_route control_workspace_routes[] = {
    {"POST", "/v1/sessions/{id}/executable", post_executable},
    {NULL, NULL, NULL},
};
