/* The image of a launch: who names it (design 4, its three tiers), and its making. */
#ifndef AILERON_APPLETS_LAUNCH_IMAGE_H
#define AILERON_APPLETS_LAUNCH_IMAGE_H

#include "core/sandbox/devcontainer.h"
#include "core/sandbox/engine.h"

struct launch_image {
    struct devcontainer *dev; /* NULL: the project has none, or it is not used */
    char *tag;                /* of what is built; NULL: nothing is */
    const char *origin;       /* who named the image, in words */
    const struct engine *base_in; /* the image is the usual one, and this engine has it; NULL: it is another */
    char unused[160];         /* why the project's dev container is not used; "" */
};

struct launch_image_wish {
    const char *image;        /* --image, or NULL; "" is none */
    const char *build;        /* --build, or NULL */
    const char *devcontainer; /* --devcontainer, or NULL */
    const char *usual;        /* sandbox.image of config.yaml, "" where there is none */
    const char *engine;       /* "auto" or an engine's name */
};

void launch_image_clear(struct launch_image *self) NONNULL;
/* Sets what the plan gets of the project's file and who names the image; plan->image stays NULL where nobody does.
 * The plan's workspace, homes and limits are set before. Reads, and asks an engine whether the usual image is here. */
bool launch_image_find(struct launch_image *self, const struct launch_image_wish *wish, struct plan *plan,
                       struct err *err) MUSTUSE NONNULL;
/* Remembers that the engine has the usual image, so that it is asked for it where no engine is named. */
void launch_image_base_in(const struct plan *plan, const struct engine *engine) NONNULL;
/* The engine that was chosen has no images: what the project's file asked for goes. */
void launch_image_drop(struct launch_image *self, const char *engine, struct plan *plan) NONNULL;
/* Says what is not taken; builds where that is due. What is only named is the engine's to pull (engine->prepare). */
bool launch_image_make(struct launch_image *self, const struct engine *engine, struct plan *plan, struct err *err)
    MUSTUSE NONNULL;

#endif
