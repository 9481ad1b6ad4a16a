/* A session as others see it: on the record when it starts, and in the control API. */
#include "core/authority/session_private.h"

#include "core/authority/worker.h"

/* NULL: the engine is on this machine. */
static const char *engine_host(const struct session *session)
{
    return json_string_value(json_object_get(json_object_get(session->meta, "engine_env"), "DOCKER_HOST"));
}

/* The first words of the command, for the record: what comes after may hold anything. */
void session_record_start(struct session *session)
{
    json_t *event = record_event("session.start", session->id);
    const json_t *command = json_object_get(session->meta, "command");
    const char *program = json_string_value(json_array_get(command, 0));

    json_put(event, "agent", session_meta_text(session, "agent"));
    json_put(event, "command", program);
    json_put(event, "engine", session_meta_text(session, "engine"));
    json_put(event, "network", session_meta_text(session, "network"));
    json_put_bool(event, "enforced", session->snapshot->sealed);
    json_put(event, "image", session_meta_text(session, "image"));
    json_put(event, "workspace", session_meta_text(session, "workspace"));
    if (session->snapshot->project != NULL)
        json_put_int(event, "project_rules", (int64_t)policy_rule_count(session->snapshot->project));
    json_put_int(event, "uid", json_integer_value(json_object_get(session->meta, "uid")));
    json_put_int(event, "pid", json_integer_value(json_object_get(session->meta, "pid")));
    json_put_int(event, "memory", json_integer_value(json_object_get(session->meta, "memory")));
    json_put_int(event, "pids", json_integer_value(json_object_get(session->meta, "pids")));
    json_put_bool(event, "detached", json_is_true(json_object_get(session->meta, "detached")));
    json_put(event, "engine_host", engine_host(session));
    json_put(event, "remote", session->remote);
    record_note(session->monitor->record, event);
}

json_t *session_json(const struct session *session)
{
    static const char *const fields[] = {"command", "agent", "engine", "network", "image", "workspace", "pid",
                                         "detached", "memory", "pids"};
    json_t *shown = json_object();

    json_put(shown, "id", session->id);
    json_put(shown, "state", session_state_word(session->state));
    json_put_time(shown, "created", session->created_ms);
    if (session->quota.halted)
        json_put_bool(shown, "halted", true);
    for (size_t i = 0; i < COUNT(fields); i++)
        json_object_set(shown, fields[i], json_object_get(session->meta, fields[i]));
    json_put(shown, "engine_host", engine_host(session));
    json_put(shown, "remote", session->remote);
    if (session->worker != NULL)
        json_put_int(shown, "worker_pid", worker_pid(session->worker));
    return shown;
}
