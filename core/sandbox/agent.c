/* Reads an agent's file: the user's own, else the embedded one. Every key is checked and an unknown one is an
 * error; it knows no agent by name. */
#include "core/sandbox/agent.h"

#include "core/base/embed.h"
#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/data/yaml.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define EMBEDDED "contrib/agents/"

bool agent_name_valid(const char *name)
{
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.");

    return len > 0 && len <= 64 && name[len] == '\0' && isalnum((unsigned char)name[0]);
}

static void free_list(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i]);
}

void agent_free(struct agent *agent)
{
    if (agent == NULL)
        return;
    free(agent->name);
    free(agent->summary);
    free(agent->install);
    free_list(agent->command, agent->command_count);
    free_list(agent->hosts, agent->host_count);
    free_list(agent->expose, agent->expose_count);
    env_clear(&agent->env);
    free(agent);
}

void agent_free_ptr(struct agent **agent)
{
    agent_free(*agent);
}

static bool get_list(const struct json_at *root, const char *key, enum json_need need, char **out,
                     size_t *out_count, struct err *err)
{
    struct json_at list;
    size_t count = 0;

    if (!json_get_list(root, key, need, AGENT_LIST_MAX, &list, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_at at = json_element(&list, i);
        const char *text;
        if (!json_text_of(&at, 1024, &text, err))
            return false;
        out[(*out_count)++] = mem_strdup(text);
    }
    return true;
}

static bool get_env(const struct json_at *root, struct env *env, struct err *err)
{
    struct json_at map;
    bool present = false;
    const char *name;
    json_t *value;

    if (!json_get_object(root, "env", JSON_MAY, &map, &present, err))
        return false;
    if (!present)
        return true;
    json_object_foreach(map.node, name, value)
    {
        struct json_at at;
        const char *text;
        if (!json_member(&map, name, &at) || !json_text_of(&at, 4096, &text, err))
            return json_fail(&map, err, "%s needs a text", name);
        if (!env_name_valid(name))
            return json_fail(&at, err, "%s is not a variable's name", name);
        if (env_name_reserved(name))
            return json_fail(&at, err, "the sandbox sets %s by itself", name);
        if (env->count >= AGENT_LIST_MAX || !env_set(env, name, text))
            return json_fail(&at, err, "more than %d variables", AGENT_LIST_MAX);
    }
    return true;
}

static bool fill(struct agent *agent, const struct json_at *root, struct err *err)
{
    static const char *const keys[] = {"version", "name",  "summary", "command", "env",
                                       "hosts",   "expose", "install", NULL};
    const char *name, *summary = "", *install = NULL;

    if (!json_want_object(root, err) || !json_only(root, keys, err) || !json_want_version(root, 1, err) ||
        !json_get_text(root, "name", JSON_NEED, 64, &name, err) ||
        !json_get_text(root, "summary", JSON_MAY, 200, &summary, err) ||
        !json_get_text(root, "install", JSON_MAY, 200, &install, err))
        return false;
    if (!agent_name_valid(name))
        return json_fail(root, err, "name: %s is not an agent's name", name);
    agent->name = mem_strdup(name);
    agent->summary = mem_strdup(summary);
    agent->install = install != NULL ? mem_strdup(install) : NULL;
    if (!get_list(root, "command", JSON_NEED, agent->command, &agent->command_count, err) ||
        !get_list(root, "hosts", JSON_MAY, agent->hosts, &agent->host_count, err) ||
        !get_list(root, "expose", JSON_MAY, agent->expose, &agent->expose_count, err) ||
        !get_env(root, &agent->env, err))
        return false;
    return agent->command_count > 0 || json_fail(root, err, "command: needs at least one word");
}

struct agent *agent_parse(const char *file, const void *text, size_t len, struct err *err)
{
    CLEANUP(doc_clear) struct doc doc = {0};

    if (!yaml_parse(text, len, file, &doc, err))
        return NULL;
    struct agent *agent = mem_alloc(sizeof(*agent));
    struct json_at root = json_root(&doc);
    if (fill(agent, &root, err))
        return agent;
    agent_free(agent);
    return NULL;
}

static const struct embed_file *find_embedded(const char *name)
{
    AUTOFREE char *path = mem_printf(EMBEDDED "%s.yaml", name);

    for (size_t i = 0; i < embed_count; i++)
        if (strcmp(embed_files[i].path, path) == 0)
            return &embed_files[i];
    return NULL;
}

static void list_names(struct err *err)
{
    char names[200] = "";
    size_t used = 0;

    for (size_t i = 0; i < embed_count; i++) {
        const char *path = embed_files[i].path, *dot = strrchr(path, '.');
        if (strncmp(path, EMBEDDED, sizeof(EMBEDDED) - 1) != 0 || dot == NULL)
            continue;
        path += sizeof(EMBEDDED) - 1;
        int n = snprintf(names + used, sizeof(names) - used, "%s%.*s", used > 0 ? ", " : "",
                         (int)(dot - path), path);
        used += n > 0 && used + (size_t)n < sizeof(names) ? (size_t)n : 0;
    }
    err_hint(err, "Agents here: %s. For any other program: aileron launch -- COMMAND", names);
}

struct agent *agent_load(const char *aileron_home, const char *name, struct err *err)
{
    CLEANUP(buf_clear) struct buf text;
    struct err reason = {0};

    buf_init(&text, 0);
    if (!agent_name_valid(name)) {
        err_set(err, ERR_USAGE, "%s is not an agent's name", name);
        list_names(err);
        return NULL;
    }
    AUTOFREE char *file = mem_printf("%s.yaml", name);
    AUTOFREE char *path = mem_printf("%s/agents/%s", aileron_home, file);
    if (file_read(path, AGENT_FILE_BYTES, &text, &reason)) {
        struct agent *agent = agent_parse(path, text.data != NULL ? (const void *)text.data : "", text.len, err);
        if (agent == NULL)
            err_hint_default(err, "Correct it: aileron.yaml(5) says what may stand there");
        return agent;
    }
    if (reason.code != ERR_NOT_FOUND) {
        *err = reason;
        return NULL;
    }
    const struct embed_file *embedded = find_embedded(name);
    if (embedded == NULL) {
        err_set(err, ERR_NOT_FOUND, "there is no agent %s", name);
        list_names(err);
        return NULL;
    }
    return agent_parse(file, embedded->data, embedded->len, err);
}
