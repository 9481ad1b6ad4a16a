/* Talks to the control API about one session. The daemon owns the session; the launcher only asks for it, says
 * that it is alive, and gives it back. */
#include "applets/launch_session.h"

#include "core/data/policy.h"
#include "core/sandbox/attend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ATTEMPTS_MAX = 50,   /* to get the daemon back, ATTEND_RETRY_MS apart and more */
    HOLD_TIMEOUT_MS = 5000,
    END_TIMEOUT_MS = 10000 /* for a daemon that hangs: it sees the request, or that we have gone, when it goes on */
};

void launch_session_init(struct launch_session *session)
{
    *session = (struct launch_session){0};
}

/* Where an engine on another machine is: for the daemon, should it have to end what we leave behind. */
static json_t *engine_env(void)
{
    static const char *const names[] = {"DOCKER_HOST", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"};
    json_t *env = json_object();

    for (size_t i = 0; i < COUNT(names); i++)
        json_put(env, names[i], getenv(names[i]));
    return env;
}

static json_t *request_of(const struct plan *plan, const char *agent, const char *engine)
{
    json_t *request = json_object(), *command = json_array();

    for (size_t i = 0; i < plan->command_count; i++) {
        json_t *word = json_string(plan->command[i]);
        /* A word that is no UTF-8 is only shown to people; the command itself does not travel this way. */
        json_array_append_new(command, word != NULL ? word : json_string("?"));
    }
    json_object_set_new(request, "command", command);
    json_put(request, "agent", agent);
    json_put(request, "engine", engine);
    json_put(request, "network", plan->network == PLAN_OPEN ? "open" : "sealed");
    json_put(request, "image", plan->rootfs != NULL ? plan->rootfs : plan->image);
    json_put(request, "workspace", plan->workspace);
    json_put_int(request, "uid", plan->uid);
    json_put_int(request, "gid", plan->gid);
    json_put_int(request, "pid", getpid());
    json_put_int(request, "memory", (int64_t)plan->memory_bytes);
    json_put_int(request, "pids", plan->pids);
    json_put_bool(request, "detached", plan->detached);
    if (plan->far)
        json_object_set_new(request, "engine_env", engine_env());
    return request;
}

static bool take_env(const struct json_at *root, struct plan *plan, struct err *err)
{
    struct json_at map;
    bool present = false;
    const char *name;
    json_t *value;

    if (!json_get_object(root, "env", JSON_MAY, &map, &present, err))
        return false;
    if (!present)
        return true;
    json_object_foreach(map.node, name, value)
    {
        if (!json_is_string(value) || !env_name_valid(name) || env_name_reserved(name) ||
            !env_set(&plan->env, name, json_string_value(value))) {
            err_set(err, ERR_CONFIG, "a binding's sentinel cannot be in the variable %s", name);
            return err_hint(err, "Change sentinel.env in bindings.yaml");
        }
    }
    return true;
}

static bool take_answer(struct launch_session *session, json_t *answer, struct plan *plan, struct err *err)
{
    CLEANUP(doc_clear) struct doc doc = {0};
    const char *id, *dir, *home_id, *remote = NULL;
    struct stat st;

    doc_wrap(&doc, answer, "the daemon's answer", ERR_UNAVAILABLE);
    struct json_at root = json_root(&doc);
    if (!json_get_text(&root, "id", JSON_NEED, 64, &id, err))
        return false;
    session->id = mem_strdup(id); /* from here on it must be ended */
    if (!json_get_text(&root, "dir", JSON_NEED, 4096, &dir, err) ||
        !json_get_text(&root, "home_id", JSON_NEED, 64, &home_id, err) || !take_env(&root, plan, err))
        return false;
    if (stat(dir, &st) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "the session's directory %s is not there", dir);
    plan->session_id = mem_strdup(id);
    plan->session_dir = mem_strdup(dir);
    plan->home_id = mem_strdup(home_id);
    if (!json_get_text(&root, "remote", plan->far ? JSON_NEED : JSON_MAY, ADDR_TEXT_BYTES, &remote, err))
        return false;
    plan->remote = remote != NULL ? mem_strdup(remote) : NULL;
    return true;
}

static bool hold(struct launch_session *session, bool *gone, struct err *err)
{
    AUTOFREE char *path = mem_printf("/v1/sessions/%s/hold", session->id);
    int status = 0;

    *gone = false;
    session->hold = client_connect(session->home, false, err);
    if (session->hold == NULL)
        return false;
    client_timeout(session->hold, HOLD_TIMEOUT_MS);
    if (client_send(session->hold, "GET", path, NULL, 0, err) && client_head(session->hold, &status, err) &&
        status == 200)
        return true;
    *gone = status == 404;
    if (status != 0)
        err_set(err, ERR_UNAVAILABLE, "the daemon does not hold the session (status %d)", status);
    client_close(session->hold);
    session->hold = NULL;
    return false;
}

bool launch_session_start(struct launch_session *session, const char *home, struct plan *plan, const char *agent,
                          const char *engine, launch_meanwhile_fn meanwhile, void *arg, struct err *err)
{
    JSON_AUTO json_t *request = request_of(plan, agent, engine);
    struct policy *project = NULL;
    JSON_AUTO json_t *answer = NULL;
    struct client *client = client_connect(home, true, err);
    struct err refused = {0};
    bool gone;

    session->home = home;
    if (client == NULL || !policy_project_read(plan->workspace, &project, err)) {
        client_close(client);
        return false;
    }
    if (project != NULL)
        json_object_set(request, "project", policy_json(project));
    policy_free(project);
    bool asked = client_ask_begin(client, "POST", "/v1/sessions", request, err), ready = asked && meanwhile(arg, err);
    struct err *why = ready || !asked ? err : &refused; /* the session is made all the same, and has to be ended */
    bool good = asked && client_ask_end(client, &answer, why);
    client_close(client);
    return good && take_answer(session, answer, plan, why) && ready && hold(session, &gone, err);
}

int launch_session_hold(const struct launch_session *session)
{
    return session->hold != NULL ? client_fd(session->hold) : -1;
}

/* A process of its own, since starting the daemon may take seconds and the terminal must go on. */
static void start_daemon(struct launch_session *session)
{
    struct err err = {0};

    session->starter = fork();
    if (session->starter == 0)
        _exit(client_start_daemon(session->home, &err) ? 0 : 1);
    if (session->starter < 0)
        session->starter = 0;
}

int launch_session_recover(void *arg)
{
    struct launch_session *session = arg;
    struct err err = {0};
    bool gone;

    client_close(session->hold);
    session->hold = NULL;
    if (session->starter > 0) {
        if (waitpid(session->starter, NULL, WNOHANG) == 0)
            return ATTEND_RETRY;
        session->starter = 0;
        if (hold(session, &gone, &err)) {
            session->attempts = 0;
            return client_fd(session->hold);
        }
        if (gone)
            return ATTEND_OVER; /* ended on the host: the supervisor looks, and stops */
    }
    if (session->attempts++ >= ATTEMPTS_MAX)
        return -1;
    /* Not at the first call: the descriptors of a process that was killed go one after another, and its lock may
     * still be there when this connection has gone. */
    if (session->attempts > 1)
        start_daemon(session);
    return ATTEND_RETRY;
}

void launch_session_end(struct launch_session *session)
{
    struct err err = {0};
    int status;

    client_close(session->hold);
    session->hold = NULL;
    if (session->starter > 0)
        waitpid(session->starter, NULL, 0);
    session->starter = 0;
    if (session->id == NULL)
        return;
    AUTOFREE char *path = mem_printf("/v1/sessions/%s", session->id);
    JSON_AUTO json_t *end = json_object();
    json_put(end, "reason", session->reason != NULL ? session->reason : "not started");
    json_put_int(end, "status", session->reason != NULL ? session->status : err_exit(ERR_LAUNCH));
    struct client *client = client_connect(session->home, false, &err);
    /* A daemon that is not there ends the session when it is started: its launcher is gone. */
    if (client != NULL)
        client_timeout(client, END_TIMEOUT_MS);
    if (client != NULL && !client_call(client, "DELETE", path, end, &status, NULL, &err))
        status = 0;
    client_close(client);
    free(session->id);
    session->id = NULL;
}
