/* `aileron sandbox init`: a dev container to begin with, in the current directory. With --agent its image is built with
 * that agent in it, by the recipe of the agent's file. */
#include "applets/sandbox.h"

#include "applets/applet.h"
#include "core/base/file.h"
#include "core/client/client.h"
#include "core/data/json.h"
#include "core/sandbox/agent.h"
#include "core/sandbox/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER ".devcontainer"
#define FILE_NAME FOLDER "/devcontainer.json"
#define RECIPE FOLDER "/Dockerfile"

#define IMAGE_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@"

enum { TEXT_BYTES = 64 * 1024 };

struct init_options {
    const char *agent, *image;
    bool force;
};
static const struct opt_row rows[] = {
    {0, "agent", OPT_STRING, "NAME", "Write a Dockerfile that installs this agent.", NULL,
     offsetof(struct init_options, agent)},
    {0, "image", OPT_STRING, "REF", "Image to begin with; a small Debian by default.", NULL,
     offsetof(struct init_options, image)},
    {0, "force", OPT_FLAG, NULL, "Replace the files that are there.", NULL, offsetof(struct init_options, force)},
};
const struct opt_spec sandbox_init_spec = {
    .command = "aileron sandbox init",
    .alone = true,
    .synopsis = "[--agent=NAME] [--image=REF] [--force]",
    .summary = "Write a dev container for the project",
    .details =
        "Writes .devcontainer/devcontainer.json, and with --agent a Dockerfile beside it, in the current directory. "
        "Both are yours to change: an edit of what goes into the image builds it again at the next launch.",
    .rows = rows,
    .row_count = COUNT(rows),
};

/* Images are named after what is in them. */
static enum agent_family family_of(const char *image)
{
    return strstr(image, "alpine") != NULL   ? AGENT_ALPINE
           : strstr(image, "fedora") != NULL ? AGENT_FEDORA
                                             : AGENT_DEBIAN;
}

static bool write_recipe(const struct agent *agent, const char *image, struct err *err)
{
    enum agent_family family = family_of(image);
    CLEANUP(buf_clear) struct buf text;

    buf_init(&text, TEXT_BYTES);
    if (agent->recipe[family] == NULL) {
        err_set(err, ERR_NOT_FOUND, "the agent's file of %s has no recipe for %s", agent->name,
                agent_family_word(family));
        return err_hint(err, "Leave --agent out and write the Dockerfile yourself%s%s",
                        agent->install != NULL ? "; to install it: " : "",
                        agent->install != NULL ? agent->install : "");
    }
    bool good = buf_printf(&text,
                           "# Made by aileron sandbox init. Change it as you like: the next launch builds it again. "
                           "The steps run outside\n"
                           "# of the sandbox, with the engine's network; no credential of yours is in reach of them.\n"
                           "FROM %s\n",
                           image);
    for (char **line = agent->recipe[family]; good && *line != NULL; line++)
        good = buf_printf(&text, "%s\n", *line);
    return good ? file_write_atomic(RECIPE, 0644, text.data, text.len, err)
                : err_set(err, ERR_LIMIT, "the recipe of %s is too long", agent->name);
}

static bool write_file(const char *workspace, const char *image, bool recipe, struct err *err)
{
    const char *slash = strrchr(workspace, '/');
    json_t *name JSON_AUTO = json_string(slash != NULL && slash[1] != '\0' ? slash + 1 : "project");
    json_t *from JSON_AUTO = json_string(image);
    AUTOFREE char *name_text = json_canonical(name != NULL ? name : from);
    AUTOFREE char *from_text = json_canonical(from);
    AUTOFREE char *text = mem_printf(
        "// What `aileron launch` runs here. `aileron sandbox plan` shows what it makes of this file.\n"
        "{\n    \"name\": %s,\n    %s%s%s\n}\n",
        name_text, recipe ? "\"build\": { \"dockerfile\": \"Dockerfile\" }" : "\"image\": ", recipe ? "" : from_text,
        ",\n    \"containerEnv\": {},\n    \"mounts\": []");
    return file_write_atomic(FILE_NAME, 0644, text, strlen(text), err);
}

/* The folder is in the project, whatever an agent has made of its name. */
static bool make_folder(char **workspace, struct err *err)
{
    *workspace = realpath(".", NULL);
    if (*workspace == NULL || !file_mkdirs(FOLDER, 0755, err))
        return *workspace != NULL || err_errno(err, ERR_IO, errno, "cannot use the current directory");
    AUTOFREE char *real = realpath(FOLDER, NULL);
    if (real != NULL && plan_path_within(real, *workspace))
        return true;
    err_set(err, ERR_CONFLICT, FOLDER " leads out of the project");
    return err_hint(err, "Take that symlink away");
}

static bool free_to_write(const struct init_options *options, struct err *err)
{
    static const char *const files[] = {FILE_NAME, ".devcontainer.json", RECIPE};

    for (size_t i = 0; !options->force && i < COUNT(files); i++)
        if (file_exists(files[i])) {
            err_set(err, ERR_CONFLICT, "%s is there already", files[i]);
            return err_hint(err, "Edit it, or write it anew with --force");
        }
    return true;
}

static bool write_all(const struct init_options *options, struct err *err)
{
    CLEANUP(agent_free_ptr) struct agent *agent = NULL;
    AUTOFREE char *workspace = NULL;
    const char *image = options->image != NULL ? options->image : "debian:12-slim";

    if (image[strspn(image, IMAGE_LETTERS)] != '\0' || image[0] == '\0' || image[0] == '-')
        return err_set(err, ERR_USAGE, "%s is not an image's name", image);

    if (options->agent != NULL) {
        AUTOFREE char *home = client_home(err);
        agent = home != NULL ? agent_load(home, options->agent, err) : NULL;
        if (agent == NULL)
            return false;
    }
    if (!free_to_write(options, err) || !make_folder(&workspace, err) ||
        (agent != NULL && !write_recipe(agent, image, err)) || !write_file(workspace, image, agent != NULL, err))
        return false;
    puts(FILE_NAME);
    if (agent != NULL)
        puts(RECIPE);
    return true;
}

int sandbox_init(int argc, char **argv)
{
    struct init_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&sandbox_init_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    return write_all(&options, &err) ? 0 : err_print(&err, "aileron");
}
