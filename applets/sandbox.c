/* `aileron sandbox`: writes a project's dev container, shows what a launch would make of it, builds its image, and
 * checks a sandbox by starting one. All but init goes the way that `aileron launch` goes. */
#include "applets/sandbox.h"

#include "applets/applet.h"
#include "applets/launch.h"
#include "applets/show.h"
#include "core/base/file.h"
#include "core/sandbox/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    struct launch_choice choice;
    bool json;
};

/* A row of aileron launch. */
#define AS_LAUNCH(name, value, choices, field)                                                                       \
    {0, name, OPT_STRING, value, "As aileron launch takes it.", choices, offsetof(struct options, choice.field)}
#define CHOICE_ROWS                                                                                                  \
    AS_LAUNCH("sandbox", "ENGINE", NULL, sandbox), AS_LAUNCH("image", "REF", NULL, image),                           \
        AS_LAUNCH("rootfs", "PATH", NULL, rootfs), AS_LAUNCH("devcontainer", "FOLDER", NULL, devcontainer)
#define COMMAND_ROW                                                                                                  \
    {0, "", OPT_DASHES, NULL, "What follows is a command, not an agent.", NULL,                                      \
     offsetof(struct options, choice.command)}

static const struct opt_row plan_rows[] = {
    CHOICE_ROWS,
    AS_LAUNCH("network", "KIND", "sealed|open", network),
    {0, "json", OPT_FLAG, NULL, "Print it as JSON.", NULL, offsetof(struct options, json)},
    COMMAND_ROW,
};
static const struct opt_row build_rows[] = {CHOICE_ROWS};
static const struct opt_row check_rows[] = {
    CHOICE_ROWS,
    AS_LAUNCH("build", "WHEN", "auto|always|never", build),
    COMMAND_ROW,
};

static const struct opt_spec plan_spec = {
    .command = "aileron sandbox plan",
    .synopsis = "[OPTION...] [AGENT | -- COMMAND [ARG...]]",
    .summary = "Show what a launch here would run, and why",
    .details = "Engine, image and who names it, mounts, variables, limits, and every setting of the project's dev "
               "container that is not taken, with the reason. Nothing is built, pulled or started.",
    .rows = plan_rows,
    .row_count = COUNT(plan_rows),
    .stop_at_first = true,
};
static const struct opt_spec build_spec = {
    .command = "aileron sandbox build",
    .alone = true,
    .synopsis = "[OPTION...]",
    .summary = "Build the image that a launch here needs",
    .details = "The project's, whether it is here already or not; in a project that names none the usual image, "
               "aileron-base. The steps of a build run outside of the sandbox, with the engine's network.",
    .rows = build_rows,
    .row_count = COUNT(build_rows),
};
static const struct opt_spec check_spec = {
    .command = "aileron sandbox check",
    .synopsis = "[OPTION...] [AGENT | -- COMMAND]",
    .summary = "Start a sandbox once and look from inside",
    .details = "The command is on the PATH of the agent's user and made for this machine, the workspace can be "
               "written to, the session's socket answers. Exits with 0, or as a launch would have ended.",
    .rows = check_rows,
    .row_count = COUNT(check_rows),
    .stop_at_first = true,
};
static const struct opt_spec *const specs[] = {&sandbox_init_spec, &plan_spec, &build_spec, &check_spec};

/* ---- plan ---- */

static json_t *pairs_of(const struct env *first, const struct env *second)
{
    const struct env *both[] = {first, second};
    json_t *object = json_object();

    for (size_t i = 0; i < COUNT(both); i++)
        for (size_t j = 0; j < both[i]->count; j++) {
            AUTOFREE char *name = mem_strndup(both[i]->items[j], strcspn(both[i]->items[j], "="));
            json_put(object, name, both[i]->items[j] + strlen(name) + 1);
        }
    return object;
}

static json_t *mounts_of(const struct plan *plan)
{
    json_t *list = json_array();

    for (size_t i = 0; i < plan->mount_count; i++) {
        json_t *mount = json_object();
        json_put(mount, "type", plan->mounts[i].volume ? "volume" : "bind");
        json_put(mount, "source", plan->mounts[i].source);
        json_put(mount, "target", plan->mounts[i].place);
        json_put_bool(mount, "read_only", plan->mounts[i].read_only);
        json_array_append_new(list, mount);
    }
    return list;
}

static json_t *notes_of(const struct devcontainer *dev)
{
    json_t *list = json_array();

    for (size_t i = 0; dev != NULL && i < dev->note_count; i++) {
        json_t *note = json_object();
        json_put(note, "key", dev->notes[i].key);
        json_put(note, "why", dev->notes[i].why);
        json_array_append_new(list, note);
    }
    return list;
}

/* What becomes of the image before the sandbox starts. */
static const char *image_state(const struct launch_view *view)
{
    bool here = false;
    struct err ignored = {0};

    if (view->plan->image == NULL || view->engine->image_here == NULL)
        return NULL;
    if (!view->engine->image_here(view->plan, view->plan->image, &here, &ignored))
        return "not known";
    return here ? "is here" : view->image->tag != NULL ? "will be built" : "will be pulled";
}

static json_t *plan_json(const struct launch_view *view)
{
    const struct plan *plan = view->plan;
    const struct devcontainer *dev = view->image->dev;
    json_t *root = json_object(), *command = json_array();

    json_put(root, "engine", view->engine->name);
    json_put(root, "passed_over", view->why[0] != '\0' ? view->why : NULL);
    json_put(root, "network", plan->network == PLAN_OPEN ? "open" : "sealed");
    json_put_int(root, "tier", plan->tier);
    json_put(root, "image", view->engine->needs_image ? plan->image : plan->rootfs != NULL ? plan->rootfs : "host");
    json_put(root, "image_from", view->engine->needs_image ? view->image->origin : NULL);
    json_put(root, "image_state", image_state(view));
    if (view->image->tag != NULL) {
        json_put(root, "dockerfile", dev->dockerfile);
        json_put(root, "context", dev->context);
        json_put(root, "target", dev->target);
        json_put(root, "features", dev->features);
    }
    json_put(root, "workspace", plan->workspace);
    json_put_int(root, "uid", plan->uid);
    json_put_int(root, "gid", plan->gid);
    json_put(root, "user", plan->remote_user);
    json_put_int(root, "memory", (int64_t)plan->memory_bytes);
    json_put_int(root, "pids", plan->pids);
    if (plan->shm_bytes > 0)
        json_put_int(root, "shm", (int64_t)plan->shm_bytes);
    json_put_bool(root, "read_only", plan->read_only);
    json_object_set_new(root, "mounts", mounts_of(plan));
    json_object_set_new(root, "env", pairs_of(&plan->project_env, &plan->env));
    for (size_t i = 0; i < plan->command_count; i++) {
        json_t *word = json_string(plan->command[i]);
        json_array_append_new(command, word != NULL ? word : json_string("?"));
    }
    json_object_set_new(root, "command", command);
    json_put(root, "dev_container", dev != NULL ? dev->file : NULL);
    json_put(root, "not_used", view->image->unused[0] != '\0' ? view->image->unused : NULL);
    json_object_set_new(root, "not_taken", notes_of(dev));
    if (dev != NULL && dev->notes_left > 0)
        json_put_int(root, "not_taken_besides", (int64_t)dev->notes_left);
    return root;
}

static void print_value(const json_t *value)
{
    if (json_is_string(value))
        show_string(json_string_value(value), 0);
    else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "yes" : "no", stdout);
    else
        printf("%lld", (long long)json_integer_value(value));
}

/* One line a value; what is empty is left out. */
static void print_plan(json_t *root)
{
    const char *key, *name;
    json_t *value, *row, *field;
    size_t i;

    json_object_foreach(root, key, value)
    {
        if (!json_is_array(value) && !json_is_object(value)) {
            printf("%-14s ", key);
            print_value(value);
            putchar('\n');
        }
        json_object_foreach(value, name, field)
        {
            printf("%-14s ", key);
            show_string(name, 0);
            putchar('=');
            print_value(field);
            putchar('\n');
        }
        json_array_foreach(value, i, row)
        {
            printf("%-14s ", key);
            if (!json_is_object(row))
                print_value(row);
            json_object_foreach(row, name, field)
            {
                if (json_is_boolean(field)) {
                    fputs(json_is_true(field) ? name : "", stdout);
                    continue;
                }
                print_value(field);
                fputs(strcmp(name, "key") == 0 ? ": " : " ", stdout);
            }
            putchar('\n');
        }
    }
}

static bool show_plan(const struct launch_view *view, void *arg, struct err *err)
{
    const struct options *options = arg;
    json_t *root JSON_AUTO = plan_json(view);

    (void)err;
    if (options->json)
        (void)show_json(root); /* main says where standard output took nothing */
    else
        print_plan(root);
    return true;
}

static int run_plan(int argc, char **argv)
{
    struct options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&plan_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    return launch_look(&options.choice, operands, count, show_plan, &options, &err) ? 0 : err_print(&err, "aileron");
}

/* ---- build ---- */

/* Of engines that nobody named, the first that works. */
static const struct engine *builder(const char *name, struct plan *plan, struct err *err)
{
    char why[512];
    struct engine_wish wish = {.name = name != NULL ? name : "auto", .have_image = true, .far = true,
                               .home = plan->aileron_home};
    const struct engine *engine = engine_choose(&wish, &plan->facts, why, sizeof(why), err);

    if (engine != NULL && engine->image_command == NULL) {
        err_set(err, ERR_UNAVAILABLE, "no engine that builds images can be used%s%s", why[0] != '\0' ? ": " : "", why);
        err_hint(err, "Start docker, or install podman");
        return NULL;
    }
    return engine;
}

static bool build_image(const struct launch_view *view, void *arg, struct err *err)
{
    struct options *options = arg;

    if (view->image->tag != NULL) {
        view->plan->build = PLAN_BUILD_ALWAYS;
        if (!launch_image_make(view->image, view->engine, view->plan, err))
            return false;
    } else if (view->engine->needs_image && view->image->dev != NULL && view->plan->tier > 0) {
        fprintf(stderr, "aileron: the project names an image; nothing is built\n");
    } else if (options->choice.image != NULL) {
        return err_set(err, ERR_USAGE, "--image names an image that is there; nothing is built");
    } else {
        const struct engine *engine = builder(options->choice.sandbox, view->plan, err);
        if (engine == NULL || !image_build_base(engine, view->plan, err))
            return false;
        launch_image_base_in(view->plan, engine);
        puts(IMAGE_BASE);
        return true;
    }
    puts(view->plan->image);
    return true;
}

static int run_build(int argc, char **argv)
{
    struct options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&build_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    return launch_look(&options.choice, operands, 0, build_image, &options, &err) ? 0 : err_print(&err, "aileron");
}

/* ---- check ---- */

static int run_check(int argc, char **argv)
{
    struct options options = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&check_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    return launch_check(&options.choice, operands, count);
}

extern const struct applet applet_sandbox;

static int run(int argc, char **argv)
{
    static const struct applet_verb verbs[] = {
        {"init", &sandbox_init_spec, sandbox_init},
        {"plan", &plan_spec, run_plan},
        {"build", &build_spec, run_build},
        {"check", &check_spec, run_check},
    };

    if (argc >= 2 && strcmp(argv[1], "inside") == 0) /* what check starts in the sandbox */
        return sandbox_inside(argv + 2);
    return applet_verbs(&applet_sandbox, verbs, COUNT(verbs), argc, argv);
}

const struct applet applet_sandbox = {
    "sandbox", "Make, show and check the sandbox of a project", run, specs, COUNT(specs), false};
