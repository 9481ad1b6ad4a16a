/* A launch as far as nothing has been started, built, pulled or written, and the daemon has not been asked: for whoever
 * shows or prepares what `aileron launch` would do with the same words. */
#ifndef AILERON_APPLETS_LAUNCH_H
#define AILERON_APPLETS_LAUNCH_H

#include "applets/launch_image.h"
#include "core/sandbox/agent.h"

/* The words of the command line; NULL where one was not given. */
struct launch_choice {
    const char *sandbox, *network, *image, *rootfs, *build, *devcontainer;
    bool command; /* the operands are a command, else the first names an agent */
};
struct launch_view { /* borrowed, while the function runs */
    struct plan *plan;
    const struct engine *engine;
    struct launch_image *image;
    const struct agent *agent; /* NULL: a command, or nothing */
    const char *why;           /* the engines that were passed over */
};
typedef bool (*launch_look_fn)(const struct launch_view *view, void *arg, struct err *err);

/* Without operands the plan has no command. What use returns is returned. */
bool launch_look(const struct launch_choice *choice, char **operands, size_t count, launch_look_fn use, void *arg,
                 struct err *err) MUSTUSE NONNULL_AT(1, 2, 4, 6);

/* A launch whose command only looks at what the given one needs (sandbox_inside); prints, and returns its status.
 * Without operands there is nothing to look for. */
int launch_check(const struct launch_choice *choice, char **operands, size_t count) MUSTUSE NONNULL_AT(1, 2);

#endif
