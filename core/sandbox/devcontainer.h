/* A project's dev container: .devcontainer/devcontainer.json, .devcontainer.json or
 * .devcontainer/FOLDER/devcontainer.json. The file is under the agent's pen, so it may choose among what the user's
 * configuration allows and never widens it: an image or how to build one, variables, volumes, directories of the
 * workspace, lower limits. No privilege, no network, no path of the host, no variable of the host. What is not taken
 * is kept with the reason, to be shown. */
#ifndef AILERON_SANDBOX_DEVCONTAINER_H
#define AILERON_SANDBOX_DEVCONTAINER_H

#include "core/base/err.h"
#include "core/sandbox/plan.h"

enum {
    DEVCONTAINER_FILE_BYTES = 256 * 1024,
    DEVCONTAINER_FOLDERS_MAX = 64, /* of .devcontainer that are looked at */
    DEVCONTAINER_TEXT_MAX = 4096,  /* one text, before and after its variables */
    DEVCONTAINER_ENV_MAX = 128,    /* variables, build arguments */
    DEVCONTAINER_LIST_MAX = 64,    /* elements of runArgs, of mounts */
    DEVCONTAINER_NOTES_MAX = 100   /* settings that are not taken and told apart */
};

/* What was not taken: where it stands ("runArgs --privileged"), and why. */
struct devcontainer_note {
    char *key, *why;
};

struct devcontainer {
    char *file;      /* shown: ".devcontainer/devcontainer.json" */
    char *dir;       /* canonical: where its relative paths begin */
    char *workspace; /* canonical */
    char *name;      /* its own, else NULL */
    unsigned tier;   /* 2: customizations.aileron names the image; 1: the file's own; 0: it names none */
    char *image;     /* NULL where it is built */
    char *dockerfile, *context, *target; /* canonical, in the workspace; target may be NULL */
    struct env args; /* of the build */
    char *features;  /* canonical JSON; NULL: none */
    /* What in the file the devcontainer program, which reads it by itself to build features, would do on this
     * host; NULL: nothing. */
    const char *on_host;
    struct devcontainer_note notes[DEVCONTAINER_NOTES_MAX];
    size_t note_count, notes_left; /* notes_left: what had no room */
};

/* The file of a workspace: name is a folder of .devcontainer, or NULL where there is one file only. *out (caller frees)
 * is below the workspace, NULL where there is none and name is NULL. ERR_CONFIG: several, and the hint lists them. */
bool devcontainer_find(const char *workspace, const char *name, char **out, struct err *err)
    MUSTUSE NONNULL_AT(1, 3, 4);
/* Reads the file (as devcontainer_find gave it) and puts what the sandbox gets of it into the plan, whose workspace,
 * homes and limits are set: project_env, mounts, remote_user, limits, tier; image where one is named. NULL and err:
 * it cannot be used; ERR_LAUNCH where it asks for what is never given (F10). */
struct devcontainer *devcontainer_load(struct plan *plan, const char *file, struct err *err) MUSTUSE NONNULL;
/* As devcontainer_load, of a text; the file need not be there, its directory does. */
struct devcontainer *devcontainer_parse(struct plan *plan, const char *file, const void *text, size_t len,
                                        struct err *err) MUSTUSE NONNULL_AT(1, 2, 5);
void devcontainer_free(struct devcontainer *self); /* NULL is fine */

#endif
