/* Finds the file, reads it, and sorts its keys: what is built, what the sandbox gets, what is not taken. It starts
 * nothing and builds nothing; that it is under the agent's pen is why every path of it is resolved and must lie in the
 * workspace. */
#include "core/sandbox/devcontainer_private.h"

#include "core/base/file.h"
#include "core/data/jsonc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER ".devcontainer"
#define FILE_NAME "devcontainer.json"

void devcontainer_free(struct devcontainer *self)
{
    if (self == NULL)
        return;
    char *owned[] = {self->file,       self->dir,     self->workspace, self->name,    self->image,
                     self->dockerfile, self->context, self->target,    self->features};
    for (size_t i = 0; i < COUNT(owned); i++)
        free(owned[i]);
    for (size_t i = 0; i < self->note_count; i++) {
        free(self->notes[i].key);
        free(self->notes[i].why);
    }
    env_clear(&self->args);
    free(self);
}

/* ---- finding ---- */

static bool there(const char *workspace, const char *below)
{
    AUTOFREE char *path = file_join(workspace, below);

    return file_exists(path);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The folders that have a file, sorted; what has an odd name is left out. */
static size_t list_folders(const char *workspace, char *out[DEVCONTAINER_FOLDERS_MAX])
{
    AUTOFREE char *path = file_join(workspace, FOLDER);
    DIR *dir = opendir(path);
    size_t count = 0, seen = 0;

    for (struct dirent *entry; dir != NULL && seen < 16 * DEVCONTAINER_FOLDERS_MAX && (entry = readdir(dir)) != NULL;) {
        seen++;
        AUTOFREE char *below = mem_printf(FOLDER "/%s/" FILE_NAME, entry->d_name);
        if (entry->d_name[0] != '.' && count < DEVCONTAINER_FOLDERS_MAX && there(workspace, below))
            out[count++] = mem_strdup(entry->d_name);
    }
    if (dir != NULL)
        closedir(dir);
    if (count > 1)
        qsort(out, count, sizeof(*out), by_name);
    return count;
}

static bool several(char *const *folders, size_t count, struct err *err)
{
    char names[160] = "";

    for (size_t i = 0, used = 0; i < count; i++) {
        char shown[64];
        text_display(span_of(folders[i]), shown, sizeof(shown));
        int n = snprintf(names + used, sizeof(names) - used, "%s%s", i > 0 ? ", " : "", shown);
        if (n < 0 || used + (size_t)n >= sizeof(names))
            break;
        used += (size_t)n;
    }
    err_set(err, ERR_CONFIG, "the project has %zu dev containers", count);
    return err_hint(err, "Name one with --devcontainer=FOLDER: %s; none leaves them out", names);
}

bool devcontainer_find(const char *workspace, const char *name, char **out, struct err *err)
{
    static const char *const places[] = {FOLDER "/" FILE_NAME, "." FILE_NAME};
    char *folders[DEVCONTAINER_FOLDERS_MAX];

    *out = NULL;
    if (name != NULL) {
        if (strchr(name, '/') == NULL && name[0] != '.' && name[0] != '\0')
            *out = mem_printf(FOLDER "/%s/" FILE_NAME, name);
        if (*out != NULL && there(workspace, *out))
            return true;
        free(*out);
        *out = NULL;
        err_set(err, ERR_CONFIG, "there is no " FOLDER "/%s/" FILE_NAME " in the workspace", name);
        return err_hint(err, "--devcontainer takes a folder's name, or none");
    }
    for (size_t i = 0; *out == NULL && i < COUNT(places); i++)
        if (there(workspace, places[i]))
            *out = mem_strdup(places[i]);
    if (*out != NULL)
        return true;
    size_t count = list_folders(workspace, folders);
    bool good = count <= 1 || several(folders, count, err);
    if (count == 1)
        *out = mem_printf(FOLDER "/%s/" FILE_NAME, folders[0]);
    for (size_t i = 0; i < count; i++)
        free(folders[i]);
    return good;
}

/* ---- what is built ---- */

/* A path of the file, resolved: in the workspace, or refused. NULL and err. ".." is taken from the text, as the
 * devcontainer program does: behind a symlink it would lead elsewhere. */
static char *resolve(const struct devcontainer *self, const char *key, const char *path, mode_t type, struct err *err)
{
    const char *why;
    struct stat st;
    AUTOFREE char *text = devcontainer_expand(self, path, true, &why);

    if (text == NULL) {
        err_set(err, ERR_CONFIG, "%s: %s: %s", self->file, key, why);
        return NULL;
    }
    AUTOFREE char *full = devcontainer_path(self->dir, text);
    char *real = realpath(full, NULL);
    if (real == NULL || stat(real, &st) != 0) {
        err_errno(err, ERR_CONFIG, errno, "%s: %s: cannot use %s", self->file, key, text);
        err_hint(err, "It is looked for from the directory of that file");
    } else if (!plan_path_within(real, self->workspace)) {
        err_set(err, ERR_LAUNCH, "%s: %s: %s leads out of the workspace", self->file, key, text);
        err_hint(err, "An image is made of what is in the workspace; copy it there");
    } else if ((st.st_mode & S_IFMT) != type) {
        err_set(err, ERR_CONFIG, "%s: %s: %s is no %s", self->file, key, text, type == S_IFDIR ? "directory" : "file");
    } else {
        return real;
    }
    free(real);
    return NULL;
}

static bool take_args(struct devcontainer *self, const struct json_at *build, struct err *err)
{
    struct json_at map;
    bool present = false;
    const char *name, *why;
    json_t *value;

    if (!json_get_object(build, "args", JSON_MAY, &map, &present, err))
        return false;
    if (!present)
        return true;
    json_object_foreach(map.node, name, value)
    {
        if (!json_is_string(value) || !env_name_valid(name))
            return json_fail(&map, err, "%s is no argument's name with a text", name);
        AUTOFREE char *text = devcontainer_expand(self, json_string_value(value), false, &why);
        if (text == NULL)
            return json_fail(&map, err, "%s: %s", name, why);
        if (self->args.count >= DEVCONTAINER_ENV_MAX || !env_set(&self->args, name, text))
            return json_fail(&map, err, "more than %d arguments", DEVCONTAINER_ENV_MAX);
    }
    return true;
}

static bool take_target(struct devcontainer *self, const struct json_at *build, struct err *err)
{
    const char *target = NULL;

    if (!json_get_text(build, "target", JSON_MAY, 128, &target, err))
        return false;
    if (target == NULL || target[0] == '\0')
        return true;
    if (!isalnum((unsigned char)target[0]))
        return json_fail(build, err, "target: %s is no name of a stage", target);
    free(self->target);
    self->target = mem_strdup(target);
    return true;
}

static bool take_build(struct devcontainer *self, const struct json_at *build, const char *file_key, struct err *err)
{
    static const char *const taken[] = {"dockerfile", "context", "args", "target"};
    const char *dockerfile = NULL, *context = ".", *key;
    json_t *value;

    if (!json_get_text(build, file_key, JSON_NEED, 1024, &dockerfile, err) ||
        !json_get_text(build, "context", JSON_MAY, 1024, &context, err))
        return false;
    self->dockerfile = resolve(self, file_key, dockerfile, S_IFREG, err);
    self->context = self->dockerfile != NULL ? resolve(self, "context", context, S_IFDIR, err) : NULL;
    if (self->context == NULL)
        return false;
    if (strcmp(file_key, "dockerFile") == 0) /* the old form: beside it the whole document stands */
        return true;
    json_object_foreach(build->node, key, value)
    {
        bool known = false;
        for (size_t i = 0; i < COUNT(taken); i++)
            known = known || strcmp(key, taken[i]) == 0;
        AUTOFREE char *where = mem_printf("build.%s", key);
        if (!known)
            devcontainer_note(self, where, "the engine builds with its own settings");
    }
    return take_args(self, build, err) && take_target(self, build, err);
}

static bool take_image_text(struct devcontainer *self, const struct json_at *at, bool *taken, struct err *err)
{
    const char *image = NULL, *why;

    if (!json_get_text(at, "image", JSON_MAY, 255, &image, err))
        return false;
    *taken = image != NULL && image[0] != '\0';
    if (!*taken)
        return true;
    self->image = devcontainer_expand(self, image, false, &why);
    return self->image != NULL || json_fail(at, err, "image: %s", why);
}

static bool take_features(struct devcontainer *self, const struct json_at *root, struct err *err)
{
    struct json_at map;
    bool present = false;

    if (!json_get_object(root, "features", JSON_MAY, &map, &present, err))
        return false;
    if (!present || json_object_size(map.node) == 0)
        return true;
    if (self->tier == 2)
        devcontainer_note(self, "features", "customizations.aileron names the image, which is taken as it is");
    else
        self->features = json_canonical(map.node);
    return true;
}

/* customizations.aileron first: whoever wrote it knew of us. */
static bool take_image(struct devcontainer *self, const struct json_at *root, struct err *err)
{
    static const char *const own_keys[] = {"image", "build", NULL};
    struct json_at customs, own, build;
    bool present = false, taken = false;

    if (!json_get_object(root, "customizations", JSON_MAY, &customs, &present, err))
        return false;
    if (present && !json_get_object(&customs, "aileron", JSON_MAY, &own, &present, err))
        return false;
    if (present) {
        if (!json_only(&own, own_keys, err) || !take_image_text(self, &own, &taken, err))
            return false;
        self->tier = taken || json_member(&own, "build", &build) ? 2 : 0;
        if (self->tier == 2)
            return taken || (json_want_object(&build, err) && take_build(self, &build, "dockerfile", err));
    }
    self->tier = 1;
    if (!take_image_text(self, root, &taken, err))
        return false;
    if (taken)
        return true;
    if (json_member(root, "build", &build))
        return json_want_object(&build, err) && take_build(self, &build, "dockerfile", err);
    if (json_member(root, "dockerFile", &build))
        return take_build(self, root, "dockerFile", err);
    self->tier = 0;
    if (json_member(root, "dockerComposeFile", &build)) {
        json_fail(root, err, "it is made with Docker Compose, which a sandbox is not");
        return err_hint(err, "Name an image in customizations.aileron.image, or launch with --image=REF");
    }
    return true;
}

/* ---- the keys ---- */

static const char NO_HOOKS[] =
    "commands of a container's life are not run: put it into the image, or let the agent do it";
static const char NO_PORTS[] = "nothing listens for others in a sandbox";
static const char NO_POWER[] = "a sandbox gets no privilege from a project's file";
static const char FIXED_PLACE[] = "the workspace is always at " SANDBOX_WORKSPACE;
static const char ELSEWHERE[] = "it is for tools that run a dev container themselves";

/* What is read elsewhere has no reason. */
static const struct key {
    const char *name, *why;
} keys[] = {
    {"$schema", NULL},
    {"name", NULL},
    {"image", NULL},
    {"build", NULL},
    {"dockerFile", NULL},
    {"context", NULL},
    {"containerEnv", NULL},
    {"remoteEnv", NULL},
    {"mounts", NULL},
    {"remoteUser", NULL},
    {"containerUser", NULL},
    {"runArgs", NULL},
    {"customizations", NULL},
    {"features", NULL},
    {"overrideFeatureInstallOrder", NULL},
    {"init", NULL}, /* the supervisor is one */
    {"initializeCommand", "it would be run on the host"},
    {"onCreateCommand", NO_HOOKS},
    {"updateContentCommand", NO_HOOKS},
    {"postCreateCommand", NO_HOOKS},
    {"postStartCommand", NO_HOOKS},
    {"postAttachCommand", NO_HOOKS},
    {"waitFor", NO_HOOKS},
    {"forwardPorts", NO_PORTS},
    {"portsAttributes", NO_PORTS},
    {"otherPortsAttributes", NO_PORTS},
    {"appPort", NO_PORTS},
    {"privileged", NO_POWER},
    {"capAdd", NO_POWER},
    {"securityOpt", NO_POWER},
    {"secrets", "credentials come from bindings, and never into the sandbox"},
    {"workspaceFolder", FIXED_PLACE},
    {"workspaceMount", FIXED_PLACE},
    {"dockerComposeFile", "Docker Compose is not used"},
    {"service", "Docker Compose is not used"},
    {"runServices", "Docker Compose is not used"},
    {"updateRemoteUserUID", "the agent always has the ids of the workspace's owner"},
    {"userEnvProbe", ELSEWHERE},
    {"overrideCommand", ELSEWHERE},
    {"shutdownAction", ELSEWHERE},
    {"hostRequirements", ELSEWHERE},
};

static void note_rest(struct devcontainer *self, const struct json_at *root)
{
    const char *name;
    json_t *value;

    json_object_foreach(root->node, name, value)
    {
        const char *why = "it is not known";
        for (size_t i = 0; i < COUNT(keys); i++)
            if (strcmp(keys[i].name, name) == 0)
                why = keys[i].why;
        if (why != NULL)
            devcontainer_note(self, name, "%s", why);
    }
    json_object_foreach(json_object_get(root->node, "customizations"), name, value)
    {
        AUTOFREE char *key = mem_printf("customizations.%s", name);
        if (strcmp(name, "aileron") != 0)
            devcontainer_note(self, key, "it is for another program");
    }
}

/* What the devcontainer program does with the file when it builds: a command, options of the builder (secrets and
 * contexts from anywhere on the host), variables of the host in texts. */
static const char *find_on_host(const struct json_at *root)
{
    static const char *const sources[] = {"image", "build", "dockerFile", "dockerComposeFile"};
    AUTOFREE char *text = json_canonical(root->node);
    size_t count = 0;

    for (size_t i = 0; i < COUNT(sources); i++)
        count += json_object_get(root->node, sources[i]) != NULL;
    if (count > 1) /* it takes them in another order, and what was not taken was not checked */
        return "build what stands beside its image or build, from any place of this host";
    if (json_object_get(root->node, "initializeCommand") != NULL)
        return "run its initializeCommand on this host";
    if (json_object_get(json_object_get(root->node, "build"), "options") != NULL)
        return "pass its build.options, which may name files of this host";
    if (strstr(text, "${localEnv:") != NULL || strstr(text, "${env:") != NULL)
        return "put variables of this host into it (localEnv)";
    return NULL;
}

static bool take_env(struct devcontainer *self, struct plan *plan, const struct json_at *root, const char *key,
                     struct err *err)
{
    struct json_at map;
    bool present = false;
    const char *name;
    json_t *value;

    if (!json_get_object(root, key, JSON_MAY, &map, &present, err))
        return false;
    if (!present)
        return true;
    json_object_foreach(map.node, name, value)
    {
        if (json_is_string(value)) {
            devcontainer_set_env(self, plan, key, name, json_string_value(value));
        } else {
            AUTOFREE char *where = mem_printf("%s %s", key, name);
            devcontainer_note(self, where, "its value is no text");
        }
    }
    return true;
}

/* Whose name and home the agent gets; its ids are the workspace's owner's all the same. */
static bool take_user(struct devcontainer *self, struct plan *plan, const struct json_at *root, struct err *err)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    static const char *const names[] = {"remoteUser", "containerUser"};

    for (size_t i = 0; i < COUNT(names) && plan->remote_user == NULL; i++) {
        const char *user = NULL;
        if (!json_get_text(root, names[i], JSON_MAY, 64, &user, err))
            return false;
        if (user == NULL || user[0] == '\0')
            continue;
        if (user[strspn(user, letters)] != '\0' || user[0] == '-' || user[0] == '.')
            devcontainer_note(self, names[i], "it is not a user's name");
        else if (strcmp(user, "root") == 0 || strcmp(user, "0") == 0)
            devcontainer_note(self, names[i], "the agent has the ids of the workspace's owner");
        else
            plan->remote_user = mem_strdup(user);
    }
    return true;
}

static bool fill(struct devcontainer *self, struct plan *plan, const struct json_at *root, struct err *err)
{
    const char *name = NULL;

    if (!json_want_object(root, err) || !take_image(self, root, err) || !take_features(self, root, err) ||
        !json_get_text(root, "name", JSON_MAY, 256, &name, err) || !take_env(self, plan, root, "containerEnv", err) ||
        !take_env(self, plan, root, "remoteEnv", err) || !take_user(self, plan, root, err) ||
        !devcontainer_take_mounts(self, plan, root, err) || !devcontainer_take_run_args(self, plan, root, err))
        return false;
    self->name = name != NULL && name[0] != '\0' ? mem_strdup(name) : NULL;
    note_rest(self, root);
    self->on_host = find_on_host(root);
    plan->tier = self->tier;
    if (self->image != NULL && self->features == NULL) {
        free(plan->image);
        plan->image = mem_strdup(self->image);
    }
    return true;
}

struct devcontainer *devcontainer_parse(struct plan *plan, const char *file, const void *text, size_t len,
                                        struct err *err)
{
    CLEANUP(doc_clear) struct doc doc = {0};
    struct devcontainer *self = mem_alloc(sizeof(*self));
    const char *slash = strrchr(file, '/');

    self->file = mem_strdup(file);
    self->workspace = mem_strdup(plan->workspace);
    self->dir =
        slash != NULL ? mem_printf("%s/%.*s", plan->workspace, (int)(slash - file), file) : mem_strdup(plan->workspace);
    if (jsonc_parse(text, len, DEVCONTAINER_FILE_BYTES, file, ERR_CONFIG, &doc, err)) {
        struct json_at root = json_root(&doc);
        if (fill(self, plan, &root, err))
            return self;
    }
    err_hint_default(err, "Correct it; --devcontainer=none launches without the file");
    devcontainer_free(self);
    return NULL;
}

struct devcontainer *devcontainer_load(struct plan *plan, const char *file, struct err *err)
{
    AUTOFREE char *path = file_join(plan->workspace, file);
    AUTOFREE char *real = realpath(path, NULL);
    CLEANUP(buf_clear) struct buf text;

    buf_init(&text, 0);
    if (real == NULL || !plan_path_within(real, plan->workspace)) {
        err_set(err, ERR_LAUNCH, "%s leads out of the workspace", file);
        err_hint(err, "A project's file is in the project; --devcontainer=none launches without it");
        return NULL;
    }
    if (!file_read(real, DEVCONTAINER_FILE_BYTES, &text, err)) {
        err_wrap(err, "cannot read the project's dev container");
        return NULL;
    }
    return devcontainer_parse(plan, file, text.data != NULL ? (const void *)text.data : "", text.len, err);
}
