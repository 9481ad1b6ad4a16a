/* The order of the tiers: --image, the project's dev container, sandbox.image, the usual image where it is there. It
 * reads the project's file by core/sandbox/devcontainer and has images built by core/sandbox/image. */
#include "applets/launch_image.h"

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/client/client.h"
#include "core/sandbox/image.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_SHOWN = 10, MARK_BYTES = 32, FILE_SHOWN = 512 };

void launch_image_clear(struct launch_image *self)
{
    devcontainer_free(self->dev);
    free(self->tag);
    *self = (struct launch_image){0};
}

static const struct engine *engine_of(const char *name)
{
    for (size_t i = 0; engine_at(i) != NULL; i++)
        if (strcmp(engine_at(i)->name, name) == 0)
            return engine_at(i);
    return NULL;
}

/* Which engine had the usual image when it was last seen in one. */
static char *base_mark(const struct plan *plan)
{
    return mem_printf("%s/run/usual-image", plan->aileron_home);
}

void launch_image_base_in(const struct plan *plan, const struct engine *engine)
{
    AUTOFREE char *path = base_mark(plan);
    CLEANUP(buf_clear) struct buf mark = {0};
    struct err ignored = {0};

    if (file_read(path, MARK_BYTES, &mark, &ignored) && strcmp(buf_cstr(&mark), engine->name) == 0)
        return;
    if (!file_write_atomic(path, 0600, engine->name, strlen(engine->name), &ignored))
        return; /* no home yet, or no room: who names the engine finds it all the same */
}

static bool has_base(const struct plan *plan, const struct engine *engine)
{
    bool here = false;
    struct err ignored = {0};

    return engine->image_here != NULL && engine->image_here(plan, IMAGE_BASE, &here, &ignored) && here;
}

/* The engine that has the usual image, or NULL. Of engines that nobody named the first is asked, which answers within a
 * millisecond or is not there, and one that is known to have had it: the others cost a process each. */
static const struct engine *base_is_in(const struct plan *plan, const char *name)
{
    const struct engine *engine = engine_of(name);
    AUTOFREE char *path = base_mark(plan);
    CLEANUP(buf_clear) struct buf mark = {0};
    struct err ignored = {0};

    if (engine == NULL) {
        if (has_base(plan, engine_at(0)))
            return engine_at(0);
        engine = file_read(path, MARK_BYTES, &mark, &ignored) ? engine_of(buf_cstr(&mark)) : NULL;
        return engine != NULL && has_base(plan, engine) ? engine : NULL;
    }
    if (!has_base(plan, engine))
        return NULL;
    launch_image_base_in(plan, engine);
    return engine;
}

static void set_image(struct plan *plan, const char *image)
{
    free(plan->image);
    plan->image = image[0] != '\0' ? mem_strdup(image) : NULL;
}

/* The project's file; *used is false where it names no image. */
static bool read_project(struct launch_image *self, const struct launch_image_wish *wish, struct plan *plan, bool *used,
                         struct err *err)
{
    const struct engine *engine = engine_of(wish->engine);
    bool named;

    *used = false;
    if (wish->devcontainer != NULL && strcmp(wish->devcontainer, "none") == 0)
        return true;
    AUTOFREE char *file = NULL;
    if (!devcontainer_find(plan->workspace, wish->devcontainer, &file, err))
        return false;
    if (file == NULL)
        return true;
    if (engine != NULL && !engine->needs_image) {
        snprintf(self->unused, sizeof(self->unused), "the engine %s takes no image", engine->name);
        return true;
    }
    self->dev = devcontainer_load(plan, file, err);
    if (self->dev == NULL)
        return false;
    self->tag = image_tag(self->dev, &named, err);
    if (self->tag == NULL && !named)
        return false;
    if (self->tag != NULL)
        set_image(plan, self->tag);
    *used = self->dev->tier > 0 || self->tag != NULL;
    return true;
}

bool launch_image_find(struct launch_image *self, const struct launch_image_wish *wish, struct plan *plan,
                       struct err *err)
{
    const char *build = wish->build != NULL ? wish->build : "auto";
    bool used = false;

    plan->build = strcmp(build, "always") == 0  ? PLAN_BUILD_ALWAYS
                  : strcmp(build, "never") == 0 ? PLAN_BUILD_NEVER
                                                : PLAN_BUILD_AUTO;
    if (wish->image != NULL) {
        set_image(plan, wish->image);
        self->origin = "--image";
        return true;
    }
    if (!read_project(self, wish, plan, &used, err))
        return false;
    if (used) {
        self->origin = plan->tier == 2 ? "customizations.aileron of the project's dev container"
                                       : "the project's dev container";
    } else if (wish->usual[0] != '\0') {
        set_image(plan, wish->usual);
        self->origin = "sandbox.image of config.yaml";
    } else if ((self->base_in = base_is_in(plan, wish->engine)) != NULL) {
        set_image(plan, IMAGE_BASE);
        self->origin = "the usual one, which is on this machine";
        plan->build = PLAN_BUILD_AUTO; /* it is in no registry */
    }
    return true;
}

void launch_image_drop(struct launch_image *self, const char *engine, struct plan *plan)
{
    if (self->dev != NULL) {
        snprintf(self->unused, sizeof(self->unused), "the engine %s takes no image", engine);
        plan_drop_project(plan);
    }
    devcontainer_free(self->dev);
    self->dev = NULL;
    free(self->tag);
    self->tag = NULL;
    self->origin = NULL;
}

static void say_notes(const struct devcontainer *dev)
{
    size_t count = dev->note_count < KEYS_SHOWN ? dev->note_count : KEYS_SHOWN;
    char file[FILE_SHOWN];

    if (dev->note_count == 0)
        return;
    text_display(span_of(dev->file), file, sizeof(file)); /* its folder is named by whoever writes in the workspace */
    fprintf(stderr, "aileron: %s: not taken: ", file);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%s%s", i > 0 ? ", " : "", dev->notes[i].key);
    if (dev->note_count + dev->notes_left > count)
        fprintf(stderr, " and %zu more", dev->note_count + dev->notes_left - count);
    fprintf(stderr, " (aileron sandbox plan says why)\n");
}

static bool not_here(const struct launch_image *self, const struct plan *plan, struct err *err)
{
    err_set(err, ERR_LAUNCH, "there is no image %s on this machine, and --build=never neither builds nor pulls",
            plan->image);
    return err_hint(err, self->tag != NULL ? "Leave it out, or build with aileron sandbox build"
                                           : "Leave it out, or pull the image");
}

/* One that was told to end has its time to do so, for as long as its launcher is there. */
static bool runs(const json_t *session)
{
    const char *state = json_string_value(json_object_get(session, "state"));
    pid_t launcher = (pid_t)json_integer_value(json_object_get(session, "pid"));

    return state == NULL || strcmp(state, "ending") != 0 || (launcher > 0 && kill(launcher, 0) == 0);
}

/* shown: the workspace as the daemon shows it, since a path may be no UTF-8. */
static bool overlaps(const json_t *session, const char *shown)
{
    const char *theirs = json_string_value(json_object_get(session, "workspace"));

    return theirs != NULL && runs(session) && (plan_path_within(theirs, shown) || plan_path_within(shown, theirs));
}

/* A builder goes to files by their names, one after another: an agent that runs beside it could put a link to any
 * directory of this host in the place of one, and have it in the image. */
static bool nobody_writes(const struct plan *plan, struct err *err)
{
    struct client *client = client_connect(plan->aileron_home, true, err);
    JSON_AUTO json_t *answer = NULL, *ours = json_object();
    const json_t *row;
    size_t i;
    bool good = client != NULL && client_ask(client, "GET", "/v1/sessions", NULL, &answer, err);

    client_close(client);
    json_put(ours, "workspace", plan->workspace);
    const char *shown = json_string_value(json_object_get(ours, "workspace"));
    json_array_foreach(json_object_get(answer, "sessions"), i, row)
    {
        if (!good || !overlaps(row, shown))
            continue;
        err_set(err, ERR_UNAVAILABLE, "a sandbox runs in %s, and could change what the image is made of while it is "
                "built", json_string_value(json_object_get(row, "workspace")));
        good = err_hint(err, "Stop it (aileron session stop %s), or name an image that is there with --image",
                        json_string_value(json_object_get(row, "id")));
    }
    return good;
}

bool launch_image_make(struct launch_image *self, const struct engine *engine, struct plan *plan, struct err *err)
{
    bool here = false;

    if (self->unused[0] != '\0')
        fprintf(stderr, "aileron: the project's dev container is not used: %s\n", self->unused);
    if (self->dev != NULL)
        say_notes(self->dev);
    if (plan->image == NULL || engine->image_here == NULL || (self->tag == NULL && plan->build != PLAN_BUILD_NEVER))
        return true;
    if (!engine->image_here(plan, plan->image, &here, err))
        return false;
    if (plan->build == PLAN_BUILD_NEVER)
        return here || not_here(self, plan, err);
    if ((!here || plan->build == PLAN_BUILD_ALWAYS) &&
        (!nobody_writes(plan, err) || !image_build(engine, plan, self->dev, self->tag, err)))
        return false;
    plan->build = PLAN_BUILD_AUTO; /* there is nothing to pull */
    return true;
}
