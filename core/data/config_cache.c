/* Where a cache may be mounted is decided here, from text alone (threat F10): below the agent's home and nowhere else,
 * so that none can cover the program's own files, the system's or the workspace. */
#include "core/data/config_cache.h"

#include <stdlib.h>
#include <string.h>

static const char WORKSPACE[] = "workspace"; /* layout.h's, below the home */

static bool name_valid(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= CONFIG_CACHE_NAME && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

/* Whether inner is outer or lies in it. */
static bool holds(const char *outer, const char *inner)
{
    size_t len = strlen(outer);

    return strncmp(outer, inner, len) == 0 && (inner[len] == '\0' || inner[len] == '/');
}

/* Plain names between single slashes: what a mount's option, a shell and a person read alike. */
static bool segments_valid(const char *place)
{
    struct span rest = span_of(place), segment;

    if (place[0] == '\0' || place[strlen(place) - 1] == '/')
        return false;
    while (span_cut(&rest, '/', &segment)) {
        if (segment.len == 0 || span_eqs(segment, ".") || span_eqs(segment, ".."))
            return false;
        for (size_t i = 0; i < segment.len; i++) {
            char c = segment.p[i];
            if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  strchr("._-+@", c) != NULL))
                return false;
        }
    }
    return true;
}

static bool place_valid(const struct config_caches *caches, const struct json_at *at, const char *text,
                        struct err *err)
{
    const char *place = text + 2;

    if (strncmp(text, "~/", 2) != 0 || !segments_valid(place))
        return json_fail(at, err, "must be a path below the agent's home, like ~/.npm, of plain names");
    if (holds(WORKSPACE, place))
        return json_fail(at, err, "must not be the workspace, or lie in it");
    for (size_t i = 0; i < caches->count; i++)
        if (holds(caches->rows[i].place, place) || holds(place, caches->rows[i].place))
            return json_fail(at, err, "must not hold the place of another cache, or lie in one");
    return true;
}

bool config_caches_from(struct config_caches *caches, const struct json_at *sandbox, struct err *err)
{
    struct json_at map;
    bool present = false;
    const char *name;
    json_t *value;

    if (!json_get_object(sandbox, "cache", JSON_MAY, &map, &present, err))
        return false;
    if (!present)
        return true;
    if (json_object_size(map.node) > CONFIG_CACHES_MAX)
        return json_fail(&map, err, "must have at most %d rows", CONFIG_CACHES_MAX);
    json_object_foreach(map.node, name, value) {
        struct json_at entry;
        const char *text = NULL;
        if (!json_member(&map, name, &entry)) /* ~ alone is YAML's null */
            return json_fail(&map, err, "must be names with a place each, like npm: ~/.npm");
        if (!name_valid(name))
            return json_fail(&entry, err, "is no name of a cache: at most %d letters, digits, '-', '_' and '.'",
                             CONFIG_CACHE_NAME);
        if (!json_text_of(&entry, CONFIG_CACHE_PLACE, &text, err) || !place_valid(caches, &entry, text, err))
            return false;
        caches->rows[caches->count++] = (struct config_cache){.name = mem_strdup(name), .place = mem_strdup(text + 2)};
    }
    return true;
}

void config_caches_clear(struct config_caches *caches)
{
    for (size_t i = 0; i < caches->count; i++) {
        free(caches->rows[i].name);
        free(caches->rows[i].place);
    }
    caches->count = 0;
}
