/* `aileron launch`: options and the agent's file become a plan, the daemon registers the session, an engine starts
 * the sandbox, and the launcher stays with it until it ends. It decides nothing about traffic and sees no
 * credential; what it gets from the daemon are the session's directory and stand-ins. */
#include "applets/launch.h"

#include "applets/applet.h"
#include "applets/launch_control.h"
#include "applets/launch_detach.h"
#include "applets/launch_planted.h"
#include "applets/launch_session.h"
#include "applets/launch_streams.h"
#include "core/base/file.h"
#include "core/base/text.h"
#include "core/client/client.h"
#include "core/data/config.h"
#include "core/data/yaml.h"
#include "core/sandbox/agent.h"
#include "core/sandbox/attend.h"
#include "core/sandbox/cache.h"
#include "core/sandbox/engine.h"
#include "core/sandbox/homefiles.h"
#include "core/sandbox/signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct options {
    const char *sandbox, *network, *image, *rootfs, *build, *devcontainer;
    bool detach;
    bool command; /* "--" stood before the operands: they are a command, else the first names an agent */
};

static const struct opt_row rows[] = {
    {0, "sandbox", OPT_STRING, "ENGINE",
     "Engine that runs the sandbox; auto takes docker, then podman, where an image is named and it works, else bwrap.",
     "auto|docker|podman|bwrap", offsetof(struct options, sandbox)},
    {0, "network", OPT_STRING, "KIND",
     "sealed: no network but the daemon. open: the engine's own (docker, podman); nothing is enforced.",
     "sealed|open", offsetof(struct options, network)},
    {0, "image", OPT_STRING, "REF", "Image of the sandbox (docker, podman); nothing has to be installed in it.", NULL,
     offsetof(struct options, image)},
    {0, "detach", OPT_FLAG, NULL,
     "Print the session's id and return when the command runs; see aileron attach.", NULL,
     offsetof(struct options, detach)},
    {0, "rootfs", OPT_STRING, "PATH",
     "Root of the sandbox (bwrap): a directory, an archive of one, or an image as an OCI layout.", NULL,
     offsetof(struct options, rootfs)},
    {0, "build", OPT_STRING, "WHEN",
     "Whether the project's image is built or pulled: auto where it is missing or what goes into it has changed.",
     "auto|always|never", offsetof(struct options, build)},
    {0, "devcontainer", OPT_STRING, "FOLDER",
     "Which dev container of the project, a folder of .devcontainer; none leaves them out, as --image does.", NULL,
     offsetof(struct options, devcontainer)},
    {0, "", OPT_DASHES, NULL, "What follows is a command, not an agent.", NULL,
     offsetof(struct options, command)},
};

static const struct opt_spec spec = {
    .command = "aileron launch",
    .synopsis = "[OPTION...] AGENT [ARG...] | -- COMMAND [ARG...]",
    .summary = "Run an agent, or any command, in a sandbox.",
    .details = "The current directory is the workspace: /home/agent/workspace in the sandbox, read and write. "
               "AGENT is the name of a file in ~/.aileron/agents or of one that is built in; COMMAND is looked "
               "for on the sandbox's PATH. Defaults come from config.yaml.\n\n"
               "Exits as the command does (128 and the number of the signal that ended it); 125 where the launch "
               "itself failed, 126 where the command cannot be executed, 127 where it is not there.",
    .rows = rows,
    .row_count = COUNT(rows),
    .stop_at_first = true,
};

struct launch {
    struct options options;
    char *home;
    struct config *config;
    struct agent *agent; /* NULL: a plain command */
    struct launch_image image;
    bool check; /* the command is only looked for, in the sandbox */
    const struct engine *engine;
    char why[512]; /* the engines that were passed over */
    struct plan plan;
    struct planted *before; /* what the host would run of the workspace, before the agent came */
    struct launch_session session;
    struct launch_detach detach;
};

static void launch_clear(struct launch *launch)
{
    launch_session_end(&launch->session);
    planted_free(launch->before);
    plan_clear(&launch->plan);
    agent_free(launch->agent);
    launch_image_clear(&launch->image);
    config_free(launch->config);
    free(launch->home);
}

static bool load_config(struct launch *launch, struct err *err)
{
    CLEANUP(doc_clear) struct doc doc = {0};
    AUTOFREE char *path = file_join(launch->home, "config.yaml");

    if (yaml_read(path, &doc, err)) {
        struct json_at root = json_root(&doc);
        launch->config = config_from(&root, launch->home, err);
    } else if (err->code == ERR_NOT_FOUND) {
        launch->config = config_from(NULL, launch->home, err);
    }
    return launch->config != NULL ||
           err_hint_default(err, "Correct it: aileron.yaml(5) says what may stand there");
}

static bool make_command(struct launch *launch, char **operands, size_t count, bool plain, struct err *err)
{
    struct plan *plan = &launch->plan;

    if (plain)
        return plan_set_command(plan, operands, count, err);
    launch->agent = agent_load(launch->home, operands[0], err);
    if (launch->agent == NULL)
        return false;
    struct agent *agent = launch->agent;
    AUTOFREE char **words = mem_array(agent->command_count + count, sizeof(char *));
    memcpy(words, agent->command, agent->command_count * sizeof(char *));
    memcpy(words + agent->command_count, operands + 1, (count - 1) * sizeof(char *));
    if (!plan_set_command(plan, words, agent->command_count + count - 1, err))
        return false;
    for (size_t i = 0; i < agent->expose_count; i++)
        if (!plan_add_expose(plan, agent->expose[i], err))
            return false;
    if (!homefiles_put(agent->json, &plan->env, err))
        return false;
    if (agent->env.items != NULL)
        env_add_all(&plan->env, agent->env.items);
    return true;
}

/* sandbox_inside, and the word that it is to find. */
static bool wrap_command(struct plan *plan, struct err *err)
{
    char *words[] = {(char[]){SANDBOX_BIN "/aileron"}, (char[]){"sandbox"}, (char[]){"inside"}, NULL, NULL};
    AUTOFREE char *word = plan->command_count > 0 ? mem_strdup(plan->command[0]) : NULL;

    words[3] = word;
    plan_clear_command(plan);
    return plan_set_command(plan, words, word != NULL ? 4 : 3, err);
}

static const char *engine_name(const struct launch *launch)
{
    const char *name = launch->options.sandbox != NULL ? launch->options.sandbox : launch->config->sandbox.runtime;

    return launch->options.rootfs != NULL && strcmp(name, "auto") == 0 ? engine_bwrap.name : name;
}

static bool make_plan(struct launch *launch, char **operands, size_t count, bool plain, struct err *err)
{
    struct plan *plan = &launch->plan;
    const struct config *config = launch->config;
    const struct options *options = &launch->options;
    const char *user_home = getenv("HOME");
    const char *network = options->network != NULL ? options->network : config->sandbox.network;

    plan->self_exe = proc_self_path(err);
    if (plan->self_exe == NULL)
        return false;
    plan->aileron_home = mem_strdup(launch->home);
    plan->user_home = user_home != NULL ? mem_strdup(user_home) : NULL;
    plan->network = strcmp(network, "open") == 0 ? PLAN_OPEN : PLAN_SEALED;
    plan->memory_bytes = config->sandbox.memory_bytes;
    plan->pids = (uint32_t)config->sandbox.pids;
    plan->read_only = config->sandbox.read_only;
    plan->detached = options->detach;
    plan->tty = options->detach || (isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1);
    for (size_t i = 0; i < config->network.capture_port_count && i < COUNT(plan->capture_ports); i++)
        plan->capture_ports[plan->capture_count++] = config->network.capture_ports[i];
    struct launch_image_wish wish = {.image = options->image, .build = options->build,
                                     .devcontainer = options->devcontainer, .usual = config->sandbox.image,
                                     .engine = engine_name(launch)};
    return plan_set_workspace(plan, ".", err) && launch_image_find(&launch->image, &wish, plan, err) &&
           (count == 0 || make_command(launch, operands, count, plain, err)) &&
           cache_add(plan, &config->sandbox.caches, err) && (!launch->check || wrap_command(plan, err));
}

static bool choose_engine(struct launch *launch, struct err *err)
{
    struct plan *plan = &launch->plan;
    const char *name = engine_name(launch);
    const char *rootfs = launch->options.rootfs != NULL ? launch->options.rootfs : launch->config->sandbox.rootfs;

    if (launch->options.rootfs != NULL && (strcmp(name, engine_bwrap.name) != 0 || launch->options.image != NULL)) {
        err_set(err, ERR_USAGE, "--rootfs is for the engine bwrap, and takes the place of an image");
        return err_hint(err, "Give --image to docker and podman, --rootfs to bwrap");
    }
    struct engine_wish wish = {.name = name, .have_image = plan->image != NULL, .has_it = launch->image.base_in,
                               .far = launch->config->sandbox.remote_listen.family != ADDR_NONE, .home = launch->home};
    launch->engine = engine_choose(&wish, &plan->facts, launch->why, sizeof(launch->why), err);
    if (launch->engine == NULL)
        return false;
    plan->far = launch->engine->far;
    if (rootfs != NULL && launch->engine == &engine_bwrap && !plan_set_rootfs(plan, rootfs, err))
        return false;
    if (plan->network == PLAN_OPEN && !launch->engine->can_open) {
        err_set(err, ERR_USAGE, "--network=open needs the engine docker or podman; %s is always sealed",
                launch->engine->name);
        return err_hint(err, "Use --sandbox=docker or --sandbox=podman with --image=REF, or leave --network out");
    }
    if (launch->options.image != NULL && !launch->engine->needs_image) {
        bool asked = launch->why[0] == '\0'; /* else docker was passed over: not the person's mistake */
        err_set(err, asked ? ERR_USAGE : ERR_UNAVAILABLE, "the engine %s takes no image (%s)", launch->engine->name,
                launch->why[0] != '\0' ? launch->why : "it shows the host's own programs");
        return err_hint(err, "Leave --image out, or start docker or podman");
    }
    if (launch->engine->no_memory_limit || plan->facts.no_limits)
        plan->memory_bytes = 0; /* and so it is on the record */
    if (!launch->engine->needs_image)
        launch_image_drop(&launch->image, launch->engine->name, plan);
    return true;
}

static bool prepare(struct launch *launch, struct err *err)
{
    return launch_image_make(&launch->image, launch->engine, &launch->plan, err) &&
           (launch->engine->prepare == NULL || launch->engine->prepare(&launch->plan, err));
}

static void say(const struct launch *launch)
{
    const struct plan *plan = &launch->plan;
    const char *image = launch->engine->needs_image ? plan->image : plan->rootfs;

    fprintf(stderr, "aileron: sandbox %s%s%s%s%s%s, network %s, session %s\n", launch->engine->name,
            image != NULL ? " " : "", image != NULL ? image : "",
            launch->why[0] != '\0' ? " (" : "", launch->why, launch->why[0] != '\0' ? ")" : "",
            plan->network == PLAN_OPEN ? "open (not enforced)" : "sealed", plan->session_id);
}

/* What programs inside may want to know of their sandbox. */
static bool describe(struct launch *launch, struct err *err)
{
    struct plan *plan = &launch->plan;
    const char *image = launch->engine->needs_image ? plan->image : plan->rootfs != NULL ? "rootfs" : "host";
    AUTOFREE char *tier = mem_printf("%u", plan->tier);

    return (env_set(&plan->env, SANDBOX_ENV_SESSION, plan->session_id) &&
            env_set(&plan->env, SANDBOX_ENV_RUNTIME, launch->engine->name) &&
            env_set(&plan->env, SANDBOX_ENV_IMAGE, image) && env_set(&plan->env, SANDBOX_ENV_TIER, tier)) ||
           err_set(err, ERR_LAUNCH, "the environment is too large");
}

/* For the daemon, and where its status alone would not tell, for the person. */
static void tell_end(struct launch *launch, enum attend_end end, int status)
{
    static const struct {
        const char *reason, *said;
    } ends[] = {
        [ATTEND_NOT_STARTED] = {"not started", NULL},
        [ATTEND_EXIT] = {"exit", NULL},
        [ATTEND_MEMORY] = {"out of memory", NULL}, /* the supervisor has said it */
        [ATTEND_KILLED] = {"killed", "the sandbox was killed from outside"},
        [ATTEND_ENGINE_GONE] = {"engine gone", "the engine ended before the command did; the sandbox was stopped"},
    };

    launch->session.reason = ends[end].reason;
    launch->session.status = status >= 0 ? status : err_exit(ERR_LAUNCH);
    if (ends[end].said != NULL)
        fprintf(stderr, "aileron: %s.\n", ends[end].said);
}

/* What the sandbox was made of goes, and what it made comes back, where it was not made here. Its status. */
static int clear_up(struct launch *launch, bool started, struct attend *attend, int status)
{
    const struct engine *engine = launch->engine;
    struct engine_end end;
    struct err err = {0};

    if (engine->fetch == NULL) {
        if (engine->reap != NULL)
            engine->reap(launch->plan.session_id);
        return status;
    }
    if (!engine->fetch(&launch->plan, started, &end, &err))
        err_print(&err, "aileron");
    if (end.status >= 0)
        status = end.status;
    else if (started)
        status = err_exit(ERR_LAUNCH);
    bool failed = status == err_exit(ERR_LAUNCH) || status == err_exit(ERR_NOT_EXECUTABLE) ||
                  status == err_exit(ERR_NOT_FOUND_COMMAND);
    attend->end = end.memory           ? ATTEND_MEMORY
                  : end.running        ? ATTEND_ENGINE_GONE
                  : !started || failed ? ATTEND_NOT_STARTED
                                       : ATTEND_EXIT;
    return status;
}

static void send_signal(void *arg, int signo)
{
    struct launch *launch = arg;

    launch->engine->signal(&launch->plan, signo);
}

static int start_and_attend(struct launch *launch, struct err *err)
{
    struct engine_run run = {0};
    struct tty tty = {.master = -1, .slave = -1};
    struct guard guard;
    struct launch_control control = {.ours = -1, .theirs = -1, .listen_fd = -1};
    struct feed feed;
    struct attend attend = {.guard = &guard, .feed = &feed, .control_fd = -1, .control_listen_fd = -1,
                            .hold_fd = launch_session_hold(&launch->session),
                            .daemon_gone = launch_session_recover, .arg = &launch->session,
                            .starter_fd = launch->detach.starter_fd, .alone = launch_detach_alone,
                            .starter = &launch->detach, .end_with_session = launch->engine->far,
                            .signal = launch->engine->signal != NULL ? send_signal : NULL, .signal_arg = launch};
    int status = -1;
    bool detach = launch->options.detach, lines = !launch->plan.tty;
    int terminal = detach ? -1 : launch_streams_terminal();
    bool with_tty = !lines || terminal >= 0;

    feed_init(&feed);
    guard_start(&guard, launch->plan.tty && !detach ? STDIN_FILENO : -1);
    if (signals_block(err) && launch_control_open(&control, launch->engine, &launch->plan, &attend, err) &&
        launch->engine->build(&launch->plan, &run, err) &&
        (!with_tty || tty_open(&tty, terminal, lines, err)) &&
        (!detach || launch_detach_keep(&launch->detach, &launch->plan, tty.master, err)) &&
        launch_streams_pass(launch->engine, &tty, &feed, &run, err)) {
        struct proc_spec child = {.path = run.path, .argv = run.argv, .envp = run.env.items, .fds = run.fds,
                                  .fd_count = run.fd_count, .new_session = true, .die_with_parent = true};
        attend.child = proc_spawn(&child, err);
        tty_close_slave(&tty);
        launch_control_given(&control, &launch->plan);
        attend.tty = with_tty ? &tty : NULL;
        attend.keeper = launch->detach.keeper;
        if (attend.child > 0)
            status = attend_run(&attend);
        /* The supervisor connects before anything else: where it has not, these are the engine's own. */
        if (attend.control_listen_fd >= 0 &&
            (status == 0 || status == err_exit(ERR_NOT_EXECUTABLE) || status == err_exit(ERR_NOT_FOUND_COMMAND)))
            status = err_exit(ERR_LAUNCH);
    }
    tty_close(&tty);
    feed_close(&feed);
    guard_stop(&guard);
    launch_control_close(&control, &launch->plan, &attend);
    engine_run_clear(&run);
    status = clear_up(launch, attend.child > 0, &attend, status);
    tell_end(launch, attend.end, status);
    return status;
}

static bool meanwhile(void *arg, struct err *err)
{
    struct launch *launch = arg;

    launch->before = launch_planted_look(launch->plan.workspace);
    return launch->engine->survey == NULL || launch->engine->survey(&launch->plan, err);
}

/* -1 and err: it failed. */
static int launch_run(struct launch *launch, char **operands, size_t count, bool plain, struct err *err)
{
    launch->home = client_home(err);
    if (launch->home == NULL || !client_home_check(launch->home, err) || !launch_streams_check(err) ||
        !load_config(launch, err) || !make_plan(launch, operands, count, plain, err) ||
        !choose_engine(launch, err) || !prepare(launch, err))
        return -1;
    int elsewhere = launch->options.detach ? launch_detach_start(&launch->detach, err) : -1;
    if (elsewhere != -1)
        return elsewhere; /* the keeper goes on with it */
    signal(SIGPIPE, SIG_IGN);
    if (!launch_session_start(&launch->session, launch->home, &launch->plan,
                              launch->agent != NULL ? launch->agent->name : NULL, launch->engine->name, meanwhile,
                              launch, err) ||
        !describe(launch, err))
        return -1;
    say(launch);
    int status = start_and_attend(launch, err);
    launch_planted_tell(launch->before, launch->home, launch->plan.session_id);
    launch->before = NULL;
    launch_detach_end(&launch->detach, status);
    return status;
}

static int launch_whole(struct launch *launch, char **operands, size_t count)
{
    struct err err = {0};

    plan_init(&launch->plan);
    launch_session_init(&launch->session);
    launch->detach.starter_fd = -1;
    int status = launch_run(launch, operands, count, launch->options.command, &err);
    if (status < 0) {
        if (err.code != ERR_USAGE)
            err.code = ERR_LAUNCH; /* whatever failed, the launch did (design 14) */
        status = err_print(&err, "aileron");
    } else if (status == err_exit(ERR_NOT_FOUND_COMMAND) && launch->agent != NULL && launch->agent->install != NULL &&
               (!launch->options.detach || launch->detach.starter_fd >= 0)) {
        fprintf(stderr, "aileron: if %s is not installed: %s\n", launch->agent->name, launch->agent->install);
    }
    launch_clear(launch);
    return status;
}

static int run(int argc, char **argv)
{
    struct launch launch = {0};
    char **operands;
    size_t count;
    int status;

    if (!applet_parse(&spec, argc, argv, &launch.options, &operands, &count, &status))
        return status;
    if (count == 0)
        return applet_usage(&spec, "needs an agent, or -- and a command");
    return launch_whole(&launch, operands, count);
}

static void take_choice(struct options *options, const struct launch_choice *choice)
{
    *options = (struct options){.sandbox = choice->sandbox, .network = choice->network, .image = choice->image,
                                .rootfs = choice->rootfs, .build = choice->build, .devcontainer = choice->devcontainer,
                                .command = choice->command};
}

bool launch_look(const struct launch_choice *choice, char **operands, size_t count, launch_look_fn use, void *arg,
                 struct err *err)
{
    struct launch launch = {0};

    take_choice(&launch.options, choice);
    plan_init(&launch.plan);
    launch_session_init(&launch.session);
    launch.home = client_home(err);
    bool good = launch.home != NULL && client_home_check(launch.home, err) && load_config(&launch, err) &&
                make_plan(&launch, operands, count, choice->command, err) && choose_engine(&launch, err);
    struct launch_view view = {.plan = &launch.plan, .engine = launch.engine, .image = &launch.image, .why = launch.why,
                               .agent = launch.agent};
    good = good && use(&view, arg, err);
    launch_clear(&launch);
    return good;
}

int launch_check(const struct launch_choice *choice, char **operands, size_t count)
{
    struct launch launch = {.check = true};

    take_choice(&launch.options, choice);
    return launch_whole(&launch, operands, count);
}

static const struct opt_spec *const specs[] = {&spec};

extern const struct applet applet_launch;
const struct applet applet_launch = {
    .name = "launch",
    .summary = "Run an agent, or any command, in a sandbox",
    .run = run,
    .specs = specs,
    .spec_count = COUNT(specs),
};
