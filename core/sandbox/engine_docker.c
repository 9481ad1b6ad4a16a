/* The docker engine: its command line runs the container, its socket answers the few questions that must be quick. */
#include "core/sandbox/engine_container.h"

#include "core/base/text.h"
#include "core/data/json.h"
#include "core/sandbox/docker_api.h"
#include "core/sandbox/docker_left.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/* --mount takes a line of CSV: a field with a comma or a quote is quoted. */
static bool add_mount(struct engine_run *run, const char *source, const char *place, bool writable, struct err *err)
{
    CLEANUP(buf_clear) struct buf field;

    buf_init(&field, 16384);
    bool good = buf_adds(&field, "\"source=");
    for (const char *p = source; good && *p != '\0'; p++)
        good = buf_add(&field, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1);
    if (!good || !buf_adds(&field, "\""))
        return err_set(err, ERR_LAUNCH, "the path %.100s... is too long to be mounted", source);
    engine_run_add(run, "--mount");
    engine_run_add(run, "type=bind,%s,destination=%s%s", buf_cstr(&field), place, writable ? "" : ",readonly");
    return true;
}

/* docker would keep Ctrl-P back until the next key, and detach at Ctrl-P Ctrl-Q. No terminal sends these. */
static const struct container docker = {
    .name = "docker",
    .preamble = "Error response from daemon: ",
    .no_keys = "\xff,\xfe",
    .add_mount = add_mount,
};

static char *find(struct err *err)
{
    AUTOFREE char *cli = container_find(&docker, err);
    char version[128];
    int status;

    if (cli == NULL)
        return NULL;
    AUTOFREE char *socket_path = docker_socket(err);
    if (socket_path == NULL || !docker_ping(socket_path, &status, version, sizeof version, err))
        return NULL;
    if (status == 200)
        return mem_printf("%s %s", socket_path, version);
    err_set(err, ERR_UNAVAILABLE, "the docker engine answers with status %d", status);
    err_hint(err, "See what `docker version` says, or use --sandbox=bwrap");
    return NULL;
}

/* Its daemon starts containers for others, too; what differs between hosts is what it can limit. */
static bool try(struct engine_facts *facts, struct err *err)
{
    CLEANUP(doc_clear) struct doc doc = {0};
    CLEANUP(buf_clear) struct buf answer;
    AUTOFREE char *socket_path = docker_socket(err);
    bool memory = true, pids = true;
    const char *system = "";
    int status = 0;

    buf_init(&answer, 0);
    if (socket_path == NULL || !docker_call(socket_path, "GET", "/info", &status, &answer, err) ||
        !json_parse(answer.data, answer.len, DOCKER_ANSWER_BYTES, "docker", ERR_UNAVAILABLE, &doc, err))
        return false;
    struct json_at root = json_root(&doc);
    if (!json_get_bool(&root, "MemoryLimit", JSON_MAY, &memory, err) ||
        !json_get_bool(&root, "PidsLimit", JSON_MAY, &pids, err) ||
        !json_get_text(&root, "OSType", JSON_MAY, 64, &system, err))
        return false;
    if (system[0] != '\0' && strcmp(system, "linux") != 0) {
        err_set(err, ERR_UNAVAILABLE, "the docker engine runs containers of %s, not of Linux", system);
        return err_hint(err, "Switch it to Linux containers");
    }
    const json_t *option;
    size_t i;
    json_array_foreach(json_object_get(root.node, "SecurityOptions"), i, option)
        facts->rootless = facts->rootless || (json_is_string(option) &&
                                              strcmp(json_string_value(option), "name=rootless") == 0);
    facts->no_limits = !memory || !pids;
    if (facts->no_limits)
        snprintf(facts->note, sizeof facts->note, "it cannot limit memory and processes here");
    return true;
}

static bool check_image(struct plan *plan, struct buf *answer, struct err *err)
{
    CLEANUP(doc_clear) struct doc doc = {0};
    const char *architecture = "";

    if (!json_parse(answer->data, answer->len, DOCKER_ANSWER_BYTES, "docker", ERR_UNAVAILABLE, &doc, err))
        return false;
    struct json_at root = json_root(&doc);
    if (!json_get_text(&root, "Architecture", JSON_MAY, 64, &architecture, err))
        return false;
    return container_check_architecture(plan->image, architecture, err) &&
           container_take_volumes(plan, json_object_get(json_object_get(root.node, "Config"), "Volumes"), err);
}

/* The socket that was probed is the one that is used, whatever docker's context says. */
static bool use_socket(struct engine_run *run, const char *socket_path)
{
    AUTOFREE char *host = mem_printf("unix://%s", socket_path);

    env_unset(&run->env, "DOCKER_CONTEXT");
    return env_set(&run->env, "DOCKER_HOST", host);
}

static bool pull(const char *image, const char *socket_path, struct err *err)
{
    CLEANUP(engine_run_clear) struct engine_run run = {0};

    run.path = container_find(&docker, err);
    if (run.path == NULL)
        return false;
    engine_run_add(&run, "docker");
    env_add_all(&run.env, environ);
    if (!use_socket(&run, socket_path))
        return err_set(err, ERR_LAUNCH, "the environment is too large");
    return container_pull(&docker, &run, image, err);
}

/* answer is initialised here; empty where there is no such image. */
static bool inspect(const char *image, struct buf *answer, bool *here, struct err *err)
{
    int status = 0;

    buf_init(answer, 0);
    if (!container_check_name(image, err))
        return false;
    AUTOFREE char *socket_path = docker_socket(err);
    AUTOFREE char *path = mem_printf("/images/%s/json", image);
    if (socket_path == NULL || !docker_call(socket_path, "GET", path, &status, answer, err))
        return false;
    *here = status == 200;
    return true;
}

static bool prepare(struct plan *plan, struct err *err)
{
    CLEANUP(buf_clear) struct buf answer = {0};
    bool here = false;

    if (!inspect(plan->image, &answer, &here, err))
        return false;
    if (!here || plan->build == PLAN_BUILD_ALWAYS) {
        AUTOFREE char *socket_path = docker_socket(err);
        buf_clear(&answer);
        if (socket_path == NULL || !pull(plan->image, socket_path, err) || !inspect(plan->image, &answer, &here, err))
            return false;
    }
    return here ? check_image(plan, &answer, err)
                : err_set(err, ERR_LAUNCH, "the image %s is gone, as soon as it was pulled", plan->image);
}

static bool image_here(const struct plan *plan, const char *image, bool *here, struct err *err)
{
    CLEANUP(buf_clear) struct buf answer = {0};

    (void)plan;
    return inspect(image, &answer, here, err);
}

static bool image_command(const struct plan *plan, struct engine_run *run, struct err *err)
{
    AUTOFREE char *socket_path = docker_socket(err);

    (void)plan;
    run->path = socket_path != NULL ? container_find(&docker, err) : NULL;
    if (run->path == NULL)
        return false;
    engine_run_add(run, "docker");
    env_add_all(&run->env, environ);
    return use_socket(run, socket_path) || err_set(err, ERR_LAUNCH, "the environment is too large");
}

/* docker itself would put in the host's proxies from its config.json, with whatever password is in their URLs; but
 * not where a variable is given, and empty is given too. The supervisor sets what the agent needs of them, and adds to
 * NO_PROXY, which may be the image's own. */
static void add_no_proxies(struct engine_run *run)
{
    static const char *const names[] = {"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY",
                                        "http_proxy", "https_proxy", "ftp_proxy", "all_proxy"};

    for (size_t i = 0; i < COUNT(names); i++)
        engine_run_add(run, "--env=%s=", names[i]);
}

static bool add_environment(const struct plan *plan, const char *socket_path, struct engine_run *run,
                            struct err *err)
{
    add_no_proxies(run);
    env_add_all(&run->env, environ);
    for (size_t i = 0; i < plan->env.count; i++) {
        const char *item = plan->env.items[i], *equals = strchr(item, '=');
        AUTOFREE char *name = mem_strndup(item, (size_t)(equals - item));
        if (!env_set(&run->env, name, equals + 1))
            return err_set(err, ERR_LAUNCH, "the environment is too large");
        engine_run_add(run, "--env=%s", name);
    }
    /* The user's own configuration of docker would add its proxies' variables, which may hold a password. */
    AUTOFREE char *none = mem_printf("%s/run/docker", plan->aileron_home);
    return (use_socket(run, socket_path) && env_set(&run->env, "DOCKER_CONFIG", none)) ||
           err_set(err, ERR_LAUNCH, "the environment is too large");
}

static bool build(const struct plan *plan, struct engine_run *run, struct err *err)
{
    AUTOFREE char *socket_path = docker_socket(err);

    run->path = socket_path != NULL ? container_find(&docker, err) : NULL;
    if (run->path == NULL)
        return false;
    engine_run_add(run, "docker");
    if (!container_add_run(&docker, plan, run, err) || !add_environment(plan, socket_path, run, err))
        return false;
    container_add_command(plan, !plan->facts.rootless, run);
    return true;
}

static void reap(const char *session_id)
{
    struct err err = {0};
    AUTOFREE char *socket_path = docker_socket(&err);
    AUTOFREE char *path = mem_printf("/containers/aileron-%s?force=1&v=1", session_id);
    int status;

    if (socket_path != NULL && docker_call(socket_path, "DELETE", path, &status, NULL, &err))
        return; /* 404: docker run has removed it already */
}

const struct engine engine_docker = {
    .name = "docker",
    .needs_image = true,
    .own_terminal = true,
    .can_open = true,
    .find = find,
    .try = try,
    .prepare = prepare,
    .image_here = image_here,
    .image_command = image_command,
    .build = build,
    .left = docker_left,
    .reap = reap,
};
