/* Reads an agent's file: the user's own, else the embedded one. Every key is checked and an unknown one is an
 * error; it knows no agent by name, and decides nothing. */
#include "core/sandbox/agent.h"

#include "core/base/embed.h"
#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/data/yaml.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define EMBEDDED "contrib/agents/"
#define SUFFIX ".yaml"

enum { ITEM_BYTES = 1024, RECIPE_LINE_BYTES = 2048 };

static const char *const family_words[] = {"debian", "alpine", "fedora", NULL}; /* order of the enum */

const char *agent_family_word(enum agent_family family)
{
    return family_words[family];
}

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
    match_texts_free(agent->probe);
    match_texts_free(agent->headless);
    match_texts_free(agent->optional_hosts);
    match_texts_free(agent->keeps);
    for (size_t i = 0; i < AGENT_FAMILIES; i++)
        match_texts_free(agent->recipe[i]);
    bindings_free(agent->bindings);
    json_decref(agent->json);
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
        if (!json_text_of(&at, ITEM_BYTES, &text, err))
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

/* Names as policy.yaml has them: what is no host there would be one that is never asked for. */
static bool check_hosts(const struct json_at *root, const char *key, struct err *err)
{
    struct json_at list;
    size_t count;

    if (!json_get_list(root, key, JSON_MAY, AGENT_LIST_MAX, &list, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_at at = json_element(&list, i);
        struct match match = {0};
        bool good = match_host_from(&match, &at, err);
        match_clear(&match);
        if (!good)
            return false;
    }
    return true;
}

/* They are below the home that the sandbox has, and nowhere else. */
static bool check_keeps(const struct json_at *root, char *const *keeps, struct err *err)
{
    struct json_at list;
    size_t count;

    if (keeps == NULL)
        return true;
    if (!json_get_list(root, "keeps", JSON_MAY, AGENT_LIST_MAX, &list, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_at at = json_element(&list, i);
        if (strncmp(keeps[i], "~/", 2) != 0 || keeps[i][2] == '\0' || strstr(keeps[i], "..") != NULL)
            return json_fail(&at, err, "must be a path that begins with ~/ and has no .. in it");
    }
    return true;
}

/* A list as bindings.yaml has it, read by the same function: an entry that is shown can be written there. */
static bool get_bindings(struct agent *agent, const struct json_at *root, struct err *err)
{
    JSON_AUTO json_t *file = json_pack("{s:i}", "version", 1);
    struct json_at list, at = *root;
    size_t count;

    if (!json_get_list(root, "bindings", JSON_MAY, AGENT_LIST_MAX, &list, &count, err))
        return false;
    if (count > 0)
        json_object_set(file, "bindings", list.node);
    at.node = file;
    agent->bindings = bindings_from(&at, err);
    return agent->bindings != NULL;
}

static bool get_recipe(struct agent *agent, const struct json_at *root, struct err *err)
{
    struct json_at map;
    bool present = false;

    if (!json_get_object(root, "recipe", JSON_MAY, &map, &present, err))
        return false;
    if (!present)
        return true;
    if (!json_only(&map, family_words, err))
        return false;
    for (size_t i = 0; i < AGENT_FAMILIES; i++) {
        struct json_at list;
        if (!match_texts_from(&map, family_words[i], JSON_MAY, AGENT_LIST_MAX, RECIPE_LINE_BYTES, &agent->recipe[i],
                              err))
            return false;
        char **lines = agent->recipe[i];
        for (size_t j = 0; lines != NULL && lines[j] != NULL; j++) {
            if (strncmp(lines[j], "RUN ", 4) == 0 || strncmp(lines[j], "ENV ", 4) == 0)
                continue;
            if (!json_member(&map, family_words[i], &list))
                return false;
            struct json_at at = json_element(&list, j);
            return json_fail(&at, err, "must begin with RUN or ENV");
        }
    }
    return true;
}

static bool get_texts(struct agent *agent, const struct json_at *root, struct err *err)
{
    const struct {
        const char *key;
        char ***out;
    } lists[] = {{"probe", &agent->probe},
                 {"headless", &agent->headless},
                 {"optional_hosts", &agent->optional_hosts},
                 {"keeps", &agent->keeps}};

    for (size_t i = 0; i < COUNT(lists); i++)
        if (!match_texts_from(root, lists[i].key, JSON_MAY, AGENT_LIST_MAX, ITEM_BYTES, lists[i].out, err))
            return false;
    return true;
}

static bool fill(struct agent *agent, const struct json_at *root, struct err *err)
{
    static const char *const keys[] = {"version", "name",           "summary",  "command", "probe",  "headless", "env",
                                       "hosts",   "optional_hosts", "bindings", "keeps",   "expose", "install",
                                       "recipe",  NULL};
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
    agent->json = json_incref(root->node);
    if (!get_list(root, "command", JSON_NEED, agent->command, &agent->command_count, err) ||
        !get_list(root, "hosts", JSON_MAY, agent->hosts, &agent->host_count, err) ||
        !get_list(root, "expose", JSON_MAY, agent->expose, &agent->expose_count, err) ||
        !get_env(root, &agent->env, err) || !get_texts(agent, root, err) || !check_hosts(root, "hosts", err) ||
        !check_hosts(root, "optional_hosts", err) || !check_keeps(root, agent->keeps, err) ||
        !get_bindings(agent, root, err) || !get_recipe(agent, root, err))
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

/* The name in "NAME.yaml"; NULL where it is none. Caller frees. */
static char *name_of(const char *file)
{
    size_t len = strlen(file), suffix = sizeof(SUFFIX) - 1;

    if (len <= suffix || strcmp(file + len - suffix, SUFFIX) != 0)
        return NULL;
    char *name = mem_strndup(file, len - suffix);
    if (agent_name_valid(name))
        return name;
    free(name);
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_own(const char *aileron_home, char **names, size_t *count)
{
    AUTOFREE char *path = mem_printf("%s/agents", aileron_home);
    DIR *dir = opendir(path);
    size_t end = *count + AGENT_OWN_MAX;

    for (struct dirent *entry; dir != NULL && *count < end && (entry = readdir(dir)) != NULL;) {
        char *name = name_of(entry->d_name);
        if (name != NULL)
            names[(*count)++] = name;
    }
    if (dir != NULL)
        closedir(dir);
}

char **agent_names(const char *aileron_home)
{
    char **names = mem_array(embed_count + AGENT_OWN_MAX + 1, sizeof(*names));
    size_t count = 0, kept = 0;

    for (size_t i = 0; i < embed_count; i++)
        if (strncmp(embed_files[i].path, EMBEDDED, sizeof(EMBEDDED) - 1) == 0)
            names[count++] = name_of(embed_files[i].path + sizeof(EMBEDDED) - 1);
    add_own(aileron_home, names, &count);
    qsort(names, count, sizeof(*names), by_name);
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && strcmp(names[kept - 1], names[i]) == 0)
            free(names[i]);
        else
            names[kept++] = names[i];
    }
    names[kept] = NULL;
    return names;
}

static void list_names(const char *aileron_home, struct err *err)
{
    char **names = agent_names(aileron_home);
    char text[400] = "";
    size_t used = 0;

    for (size_t i = 0; names[i] != NULL; i++) {
        int n = snprintf(text + used, sizeof(text) - used, "%s%s", used > 0 ? ", " : "", names[i]);
        used += n > 0 && used + (size_t)n < sizeof(text) ? (size_t)n : 0;
        text[used] = '\0';
    }
    match_texts_free(names);
    err_hint(err, "Agents here: %s. For any other program: aileron launch -- COMMAND", text);
}

struct agent *agent_load(const char *aileron_home, const char *name, struct err *err)
{
    CLEANUP(buf_clear) struct buf text;
    struct err reason = {0};

    buf_init(&text, 0);
    if (!agent_name_valid(name)) {
        err_set(err, ERR_USAGE, "%s is not an agent's name", name);
        list_names(aileron_home, err);
        return NULL;
    }
    AUTOFREE char *file = mem_printf("%s.yaml", name);
    AUTOFREE char *path = mem_printf("%s/agents/%s", aileron_home, file);
    if (file_read(path, AGENT_FILE_BYTES, &text, &reason)) {
        struct agent *agent = agent_parse(path, text.data != NULL ? (const void *)text.data : "", text.len, err);
        if (agent != NULL)
            agent->own = true;
        else
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
        list_names(aileron_home, err);
        return NULL;
    }
    return agent_parse(file, embedded->data, embedded->len, err);
}
