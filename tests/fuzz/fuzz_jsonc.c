/* Any bytes as JSON with comments: blanking keeps the length and the lines, changes nothing of what is JSON already,
 * and has nothing left to do a second time. What is JSON then is read as a dev container's file, which takes nothing
 * that a project may not have (threats F09, F10). */
#include <stdlib.h>

#include "core/data/jsonc.h"
#include "core/sandbox/devcontainer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void blank(const uint8_t *data, size_t size)
{
    AUTOFREE char *text = mem_strndup((const char *)data, size), *again = NULL;
    struct doc doc;
    struct err err = {0};

    memcpy(text, data, size); /* NULs too */
    jsonc_blank(text, size);
    for (size_t i = 0; i < size; i++) {
        require(text[i] == (char)data[i] || text[i] == ' ');
        require(data[i] != '\n' || text[i] == '\n');
    }
    again = mem_alloc(size + 1);
    memcpy(again, text, size);
    jsonc_blank(again, size);
    require(memcmp(again, text, size) == 0);
    if (json_parse(data, size, JSON_FILE_MAX, "fuzz", ERR_DATA, &doc, &err)) {
        require(memcmp(text, data, size) == 0);
        doc_clear(&doc);
    }
}

static void read_as_file(const uint8_t *data, size_t size)
{
    struct plan plan;
    struct err err = {0};

    plan_init(&plan);
    plan.workspace = mem_strdup("/nonexistent/workspace");
    plan.aileron_home = mem_strdup("/nonexistent/home");
    plan.memory_bytes = 1 << 30;
    plan.pids = 100;
    struct devcontainer *dev = devcontainer_parse(&plan, ".devcontainer/devcontainer.json", data, size, &err);
    require(dev != NULL || (err.code != ERR_NONE && err.message[0] != '\0'));
    require(plan.memory_bytes <= 1 << 30 && plan.pids <= 100 && plan.env.count == 0);
    require(plan.mount_count <= PLAN_MOUNTS_MAX && plan.project_env.count <= DEVCONTAINER_ENV_MAX);
    for (size_t i = 0; i < plan.mount_count; i++)
        require(plan.mounts[i].volume && plan_place_valid(plan.mounts[i].place) &&
                strchr(plan.mounts[i].source, '/') == NULL);
    for (size_t i = 0; i < plan.project_env.count; i++) {
        AUTOFREE char *name = mem_strndup(plan.project_env.items[i], strcspn(plan.project_env.items[i], "="));
        require(env_name_valid(name) && !env_name_reserved(name));
    }
    require(dev == NULL || (dev->dockerfile == NULL && dev->note_count <= DEVCONTAINER_NOTES_MAX));
    devcontainer_free(dev);
    plan_clear(&plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    blank(data, size);
    read_as_file(data, size);
    return 0;
}
