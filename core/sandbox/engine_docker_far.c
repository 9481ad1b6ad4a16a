/* The docker engine of another machine (DOCKER_HOST=tcp://, ssh://), by docker's own command line. The container has
 * the engine's network, which pid 1 leaves (privilege_leave_network) behind the process that carries its traffic here
 * (carrier.h). Program, session directory and workspace are copied into it before it starts, and the workspace is
 * brought back when it has ended; it is removed when that is done, and never before. */
#include "core/sandbox/engine_container.h"

#include "core/base/id.h"
#include "core/base/text.h"
#include "core/sandbox/docker_cli.h"
#include "core/sandbox/docker_copy.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    STOP_S = 12, /* more than the supervisor gives the agent (SUPERVISOR_STOP_MS) */
    STOP_MS = 60000,
    SIGNAL_TRIES = 20, /* SIGNAL_AGAIN_MS apart */
    SIGNAL_AGAIN_MS = 250,
    LEFT_MAX = 4096
};

/* Another name than for engines of this machine: what is theirs and left is removed, and an engine that is reached by
 * an address may be the same one. */
#define AWAY "dev.aileron.away"

/* ---- the probe ---- */

static char *find(struct err *err)
{
    AUTOFREE char *cli = container_find(&docker_cli, err);
    CLEANUP(buf_clear) struct buf out = {0};

    if (cli == NULL || !docker_order(WORDS("version", "--format", "{{.Server.Version}}"), DOCKER_ASK_MS, &out, err))
        return NULL;
    AUTOFREE char *version = docker_line(&out);
    return mem_printf("%s %s", getenv("DOCKER_HOST"), version);
}

static bool try(struct engine_facts *facts, struct err *err)
{
    CLEANUP(buf_clear) struct buf out = {0};

    static const char *const words[] = {"info", "--format", "{{.OSType}} {{.MemoryLimit}} {{.PidsLimit}}", NULL};

    if (!docker_order(words, DOCKER_ASK_MS, &out, err))
        return false;
    AUTOFREE char *line = docker_line(&out);
    if (strncmp(line, "linux ", 6) != 0) {
        err_set(err, ERR_UNAVAILABLE, "the docker engine runs containers of %.*s, not of Linux",
                (int)strcspn(line, " "), line);
        return err_hint(err, "Switch it to Linux containers");
    }
    facts->no_limits = strstr(line, "false") != NULL;
    snprintf(facts->note, sizeof facts->note, "on another machine: the workspace is copied there and back%s",
             facts->no_limits ? "; it cannot limit memory and processes" : "");
    return true;
}

/* ---- the image ---- */

/* line: its architecture and its volumes, an array of JSON; caller frees. NULL: it is not there. */
static bool inspect(const char *image, char **line, struct err *err)
{
    static const char format[] = "[{{json .Architecture}},{{with .Config}}{{json .Volumes}}{{else}}null{{end}}]";
    CLEANUP(buf_clear) struct buf out = {0};
    int status = 0;

    *line = NULL;
    const char *const words[] = {"image", "inspect", "--format", format, image, NULL};
    if (!container_check_name(image, err) || !docker_ask(words, DOCKER_ASK_MS, &status, &out, err))
        return false;
    if (status == 0)
        *line = docker_line(&out);
    if (status == 0 || strstr(buf_cstr(&out), "No such") != NULL)
        return true;
    buf_clear(&out); /* it is in trouble, and says it once more */
    return docker_order(WORDS("image", "inspect", image), DOCKER_ASK_MS, &out, err);
}

static bool image_command(const struct plan *plan, struct engine_run *run, struct err *err)
{
    (void)plan;
    run->path = container_find(&docker_cli, err);
    if (run->path == NULL)
        return false;
    engine_run_add(run, "docker");
    return docker_environment(&run->env, NULL, err);
}

static bool image_here(const struct plan *plan, const char *image, bool *here, struct err *err)
{
    char *line;

    (void)plan;
    if (!inspect(image, &line, err))
        return false;
    *here = line != NULL;
    free(line);
    return true;
}

static bool check_image(struct plan *plan, const char *line, struct err *err)
{
    CLEANUP(doc_clear) struct doc doc = {0};

    if (!json_parse(line, strlen(line), DOCKER_SAYS_BYTES, "docker", ERR_UNAVAILABLE, &doc, err))
        return false;
    const char *architecture = json_string_value(json_array_get(doc.root, 0));
    return container_check_architecture(plan->image, architecture != NULL ? architecture : "", err) &&
           container_take_volumes(plan, json_array_get(doc.root, 1), err);
}

/* What a machine that shares nothing with this one cannot do. */
static bool check_plan(struct plan *plan, struct err *err)
{
    const char *what = plan->detached          ? "--detach"
                       : plan->read_only       ? "sandbox.read_only"
                       : plan->mount_count > 0 ? "a mount of the project's file"
                                               : NULL;

    if (what != NULL) {
        err_set(err, ERR_LAUNCH, "%s is not possible with an engine on another machine", what);
        return err_hint(err, "Leave it out, or use an engine of this machine");
    }
    if (plan->cache_count > 0)
        fprintf(stderr, "aileron: sandbox.cache is left out: the engine is on another machine.\n");
    for (; plan->cache_count > 0; plan->cache_count--) {
        free(plan->caches[plan->cache_count - 1].source);
        free(plan->caches[plan->cache_count - 1].place);
    }
    plan->sent = mem_alloc(sizeof(*plan->sent));
    return true;
}

static bool prepare(struct plan *plan, struct err *err)
{
    CLEANUP(engine_run_clear) struct engine_run run = {0};
    AUTOFREE char *line = NULL;

    if (!check_plan(plan, err) || !inspect(plan->image, &line, err))
        return false;
    if (line == NULL || plan->build == PLAN_BUILD_ALWAYS) {
        AUTOFREE char *old = line;
        line = NULL;
        if (!image_command(plan, &run, err) || !container_pull(&docker_cli, &run, plan->image, err) ||
            !inspect(plan->image, &line, err))
            return false;
    }
    return line != NULL ? check_image(plan, line, err)
                        : err_set(err, ERR_LAUNCH, "the image %s is gone, as soon as it was pulled", plan->image);
}

/* ---- the container ---- */

static bool add_variables(const struct plan *plan, struct engine_run *run, struct err *err)
{
    if (!docker_environment(&run->env, plan, err))
        return false;
    for (size_t i = 0; i < plan->env.count; i++) {
        const char *item = plan->env.items[i], *equals = strchr(item, '=');
        AUTOFREE char *name = mem_strndup(item, (size_t)(equals - item));
        if (!env_set(&run->env, name, equals + 1))
            return err_set(err, ERR_LAUNCH, "the environment is too large");
        engine_run_add(run, "--env=%s", name);
    }
    return true;
}

/* Empty, and not with what the image has there: what is copied into one of them is not seen where another lies on top
 * of it (their order is docker's), and with the image's files that would be another pid 1. */
static void add_volumes(const struct plan *plan, struct engine_run *run)
{
    for (size_t i = 0; i < plan->volume_count; i++)
        engine_run_add(run, "--mount=type=volume,volume-nocopy,\"destination=%s\"", plan->volumes[i]);
}

static bool create(const struct plan *plan, const char *name, struct err *err)
{
    CLEANUP(engine_run_clear) struct engine_run run = {0};
    CLEANUP(buf_clear) struct buf out = {0};
    char why[256];
    int status = 0;

    engine_run_add(&run, "docker");
    engine_run_add(&run, "create");
    engine_run_add(&run, "--interactive");
    if (plan->tty)
        engine_run_add(&run, "--tty");
    engine_run_add(&run, "--stop-signal=TERM"); /* the image may have another */
    engine_run_add(&run, "--name=%s", name);
    engine_run_add(&run, "--label=dev.aileron.session=%s", plan->session_id);
    engine_run_add(&run, "--label=" AWAY "=%s", plan->home_id);
    if (plan->network == PLAN_SEALED) { /* the supervisor answers; what is left of the engine's would lead nowhere */
        engine_run_add(&run, "--dns=127.0.0.1");
        engine_run_add(&run, "--dns-search=.");
    }
    container_add_isolation(plan, &run);
    engine_add_project(plan, &run);
    add_volumes(plan, &run);
    if (!add_variables(plan, &run, err))
        return false;
    container_add_command(plan, true, &run);
    if (!proc_capture_all(run.argv, run.env.items, DOCKER_SAYS_BYTES, &out, &status, DOCKER_ASK_MS, err))
        return false;
    if (status == 0)
        return true;
    container_first_words(&docker_cli, &out, why, sizeof(why));
    return err_set(err, ERR_LAUNCH, "the container cannot be made: %s", why);
}

static bool build(const struct plan *plan, struct engine_run *run, struct err *err)
{
    AUTOFREE char *name = mem_printf("aileron-%s", plan->session_id);

    run->path = container_find(&docker_cli, err);
    if (run->path == NULL || !create(plan, name, err) || !docker_send(plan, name, err) ||
        !docker_environment(&run->env, plan, err))
        return false;
    engine_run_add(run, "docker");
    engine_run_add(run, "start");
    engine_run_add(run, "--attach");
    engine_run_add(run, "--interactive");
    if (plan->tty)
        engine_run_add(run, "--detach-keys=%s", docker_cli.no_keys);
    engine_run_add(run, "%s", name);
    return true;
}

/* ---- the end ---- */

/* Whether it has ever run; *end says how it is now. */
static bool look(const char *name, bool *ran, struct engine_end *end, struct err *err)
{
    static const char format[] = "{{.State.Status}} {{.State.OOMKilled}} {{.State.ExitCode}}";
    const char *const words[] = {"inspect", "--type=container", "--format", format, name, NULL};
    CLEANUP(buf_clear) struct buf out = {0};
    struct span state, memory, code;
    uint64_t status = 0;

    if (!docker_order(words, DOCKER_ASK_MS, &out, err))
        return false;
    AUTOFREE char *line = docker_line(&out);
    struct span rest = span_of(line);
    if (!span_cut(&rest, ' ', &state) || !span_cut(&rest, ' ', &memory) || !span_cut(&rest, ' ', &code))
        return err_set(err, ERR_UNAVAILABLE, "docker inspect says \"%.100s\"", line);
    *ran = !span_eqs(state, "created");
    end->running = span_eqs(state, "running") || span_eqs(state, "paused");
    end->memory = span_eqs(memory, "true");
    end->status = *ran && !end->running && text_u64(code, 255, &status) ? (int)status : -1;
    return true;
}

static bool stop(const char *name, struct err *err)
{
    AUTOFREE char *seconds = mem_printf("--time=%d", STOP_S);
    CLEANUP(buf_clear) struct buf out = {0};

    return docker_order(WORDS("stop", seconds, name), STOP_MS, &out, err);
}

static bool fetch(const struct plan *plan, bool started, struct engine_end *end, struct err *err)
{
    AUTOFREE char *name = mem_printf("aileron-%s", plan->session_id);
    CLEANUP(buf_clear) struct buf out = {0};
    struct err why = {0};
    bool ran = false;

    *end = (struct engine_end){.status = -1};
    bool good = !started || (look(name, &ran, end, err) && (!end->running || stop(name, err)) &&
                             (!ran || docker_bring_back(plan, name, err)));
    if (!good)
        return err_hint(err, "Its container is kept: docker cp %s:" SANDBOX_WORKSPACE " DIRECTORY, then docker rm -v "
                        "%s", name, name);
    if (!docker_order(WORDS("rm", "--force", "--volumes", name), DOCKER_ASK_MS, &out, &why) && started)
        err_print(&why, "aileron");
    return true;
}

/* By the engine, and not by the process that is attached: that one ends when it is asked to, and says nothing more. A
 * process of our own, since the terminal must go on; and again, since the container may only be starting. */
static void send_signal(const struct plan *plan, int signo)
{
    AUTOFREE char *name = mem_printf("aileron-%s", plan->session_id), *word = mem_printf("--signal=%d", signo);

    if (fork() != 0)
        return;
    for (int i = 0; i < SIGNAL_TRIES; i++) {
        struct buf out;
        struct err err = {0};
        if (docker_order(WORDS("kill", word, name), DOCKER_ASK_MS, &out, &err))
            break;
        poll(NULL, 0, SIGNAL_AGAIN_MS);
    }
    _exit(0);
}

/* For others than the launcher, who cannot know where the workspace belongs: it is stopped, and kept. One that never
 * ran has nobody's work in it, and the session's token: without --force, should it begin to run meanwhile. */
static void reap(const char *session_id)
{
    AUTOFREE char *name = mem_printf("aileron-%s", session_id);
    CLEANUP(buf_clear) struct buf out = {0};
    struct engine_end end;
    struct err err = {0};
    bool ran = true;

    if (look(name, &ran, &end, &err) && !ran)
        (void)!docker_order(WORDS("rm", "--volumes", name), DOCKER_ASK_MS, &out, &err);
    else
        (void)!stop(name, &err);
}

/* Of those that run, or never have: one that has been stopped has somebody's work in it, and stays until it is
 * fetched. */
static bool left(const char *home_id, engine_left_fn found, void *arg, struct err *err)
{
    AUTOFREE char *filter = mem_printf("--filter=label=" AWAY "=%s", home_id);
    CLEANUP(buf_clear) struct buf out = {0};
    struct span rest, line;

    const char *const words[] = {"ps", "--all", filter, "--filter=status=created", "--filter=status=running",
                                 "--filter=status=paused", "--format={{.Label \"dev.aileron.session\"}}", NULL};

    if (!docker_order(words, DOCKER_ASK_MS, &out, err))
        return false;
    rest = span_of(buf_cstr(&out));
    for (size_t i = 0; i < LEFT_MAX && rest.len > 0 && span_cut(&rest, '\n', &line); i++) {
        AUTOFREE char *id = mem_strndup(line.p, line.len);
        if (id_valid(id, ""))
            found(id, arg);
    }
    return true;
}

const struct engine engine_docker_far = {
    .name = "docker",
    .needs_image = true,
    .own_terminal = true,
    .can_open = true,
    .far = true,
    .find = find,
    .try = try,
    .prepare = prepare,
    .image_here = image_here,
    .image_command = image_command,
    .build = build,
    .signal = send_signal,
    .fetch = fetch,
    .left = left,
    .reap = reap,
};
