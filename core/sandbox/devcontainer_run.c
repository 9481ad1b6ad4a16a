/* What a dev container asks of the container itself: mounts and runArgs. Both are lists of what is taken; everything
 * else is told by name, and a mount of what would hand over the host ends the launch (threat F10). */
#include "core/sandbox/devcontainer_private.h"

#include "tls/crypto.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- mounts ---- */

struct wish {
    char *type, *source, *place;
    bool read_only;
};

static void wish_clear(struct wish *wish)
{
    free(wish->type);
    free(wish->source);
    free(wish->place);
}

/* One key of a mount, in its object or its line; false: not known. */
static bool wish_set(struct wish *wish, struct span key, struct span value)
{
    char **field = NULL;

    if (span_eqs(key, "type"))
        field = &wish->type;
    else if (span_eqs(key, "source") || span_eqs(key, "src"))
        field = &wish->source;
    else if (span_eqs(key, "target") || span_eqs(key, "destination") || span_eqs(key, "dst"))
        field = &wish->place;
    else if (span_eqs(key, "readonly") || span_eqs(key, "ro"))
        wish->read_only = !span_eqs(value, "false");
    else
        return span_eqs(key, "consistency"); /* it says how fast, on other systems */
    if (field != NULL) {
        free(*field);
        *field = mem_strndup(value.p, value.len);
    }
    return true;
}

/* "type=volume,source=cache,target=/cache" */
static bool wish_from_line(struct wish *wish, const char *line, const char **why)
{
    struct span rest = span_of(line), field, key;

    while (span_cut(&rest, ',', &field)) {
        struct span value = field;
        if (!span_cut(&value, '=', &key) || !wish_set(wish, span_trim(key), value)) {
            *why = "one of its fields is not known";
            return false;
        }
    }
    return true;
}

static bool wish_from_object(const struct devcontainer *self, struct wish *wish, json_t *object, const char **why)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        AUTOFREE char *text = json_is_string(value) ? devcontainer_expand(self, json_string_value(value), true, why)
                                                    : mem_strdup(json_is_false(value) ? "false" : "true");
        if (text == NULL)
            return false;
        if (!wish_set(wish, span_of(key), span_of(text))) {
            *why = "one of its fields is not known";
            return false;
        }
    }
    return true;
}

/* A volume is the workspace's own, whatever its name: another project's may hold what this one must not see. */
static char *volume_name(const struct devcontainer *self, const char *source, struct err *err)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    uint8_t hash[CRYPTO_HASH_LEN];
    char own[17];

    if (source[0] == '\0' || strlen(source) > 64 || source[strspn(source, letters)] != '\0') {
        err_set(err, ERR_CONFIG, "a volume needs a name of letters, digits, '_', '.' and '-'");
        return NULL;
    }
    crypto_sha256(self->workspace, strlen(self->workspace), hash);
    text_hex(hash, 8, own);
    return mem_printf("aileron-%s-%s", own, source);
}

/* A directory of the workspace, wherever its symlinks lead. What lies elsewhere stays there; a mount of what must never
 * be shown ends the launch (ERR_LAUNCH): somebody has tried. */
static char *own_directory(const struct devcontainer *self, const struct plan *plan, const char *source,
                           struct err *err)
{
    AUTOFREE char *path = source[0] == '/' ? mem_strdup(source) : mem_printf("%s/%s", self->workspace, source);
    char *real = realpath(path, NULL);

    if (real == NULL) {
        err_errno(err, ERR_CONFIG, errno, "it cannot be reached");
        return NULL;
    }
    if (plan_path_within(real, self->workspace))
        return real;
    const char *never = plan_unmountable(plan, real);
    if (never != NULL) {
        err_set(err, ERR_LAUNCH, "%s asks for a mount of %s: %s", self->file, real, never);
        err_hint(err, "Take it out, and see who put it there; --devcontainer=none launches without the file");
    } else {
        err_set(err, ERR_CONFIG, "it is a path of the host outside the workspace");
    }
    free(real);
    return NULL;
}

static bool add_wish(const struct devcontainer *self, struct plan *plan, const struct wish *wish, struct err *err)
{
    const char *type = wish->type != NULL ? wish->type : "", *from = wish->source != NULL ? wish->source : "";
    bool volume = strcmp(type, "volume") == 0;

    if (!volume && strcmp(type, "bind") != 0)
        return err_set(err, ERR_CONFIG, "its type is neither volume nor bind");
    AUTOFREE char *source = volume ? volume_name(self, from, err) : own_directory(self, plan, from, err);
    if (source == NULL)
        return false;
    if (wish->place == NULL || !plan_place_valid(wish->place))
        return err_set(err, ERR_CONFIG,
                       "its target is no path of at most %d names outside /proc, /sys, /dev, the "
                       "workspace and Aileron's own places",
                       PLAN_PLACE_DEPTH);
    return plan_add_mount(plan, source, wish->place, volume, wish->read_only, err);
}

static bool take_mount(struct devcontainer *self, struct plan *plan, const char *key, json_t *node, struct err *err)
{
    CLEANUP(wish_clear) struct wish wish = {0};
    struct err reason = {0};
    const char *why = "it is neither a text nor an object";
    bool good = json_is_object(node) && wish_from_object(self, &wish, node, &why);

    if (json_is_string(node)) {
        AUTOFREE char *line = devcontainer_expand(self, json_string_value(node), true, &why);
        good = line != NULL && wish_from_line(&wish, line, &why);
    }
    if (!good) {
        devcontainer_note(self, key, "%s", why);
    } else if (!add_wish(self, plan, &wish, &reason)) {
        if (reason.code == ERR_LAUNCH) {
            *err = reason;
            return false;
        }
        devcontainer_note(self, key, "%s", reason.message);
    }
    return true;
}

bool devcontainer_take_mounts(struct devcontainer *self, struct plan *plan, const struct json_at *root, struct err *err)
{
    struct json_at list;
    size_t count = 0;

    if (!json_get_list(root, "mounts", JSON_MAY, DEVCONTAINER_LIST_MAX, &list, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        AUTOFREE char *key = mem_printf("mounts[%zu]", i);
        if (!take_mount(self, plan, key, json_array_get(list.node, i), err))
            return false;
    }
    return true;
}

/* ---- runArgs ---- */

static void lower(uint64_t *limit, uint64_t value)
{
    if (*limit == 0 || value < *limit)
        *limit = value;
}

/* The ones that are taken. A limit only lowers the user's own. */
static bool take_value(struct devcontainer *self, struct plan *plan, const char *name, const char *value,
                       const char **why)
{
    uint64_t number = 0;

    *why = "its value is not understood";
    if (strcmp(name, "--memory") == 0 || strcmp(name, "-m") == 0) {
        if (!text_bytes(span_of(value), &number) || number < 6 * 1024 * 1024)
            return false;
        lower(&plan->memory_bytes, number);
    } else if (strcmp(name, "--pids-limit") == 0) {
        uint64_t pids = plan->pids;
        if (!text_u64(span_of(value), UINT32_MAX, &number) || number < 8)
            return false;
        lower(&pids, number);
        plan->pids = (uint32_t)pids;
    } else if (strcmp(name, "--shm-size") == 0) {
        if (!text_bytes(span_of(value), &number) || number == 0)
            return false;
        plan->shm_bytes = number;
    } else if (strcmp(name, "--env") == 0 || strcmp(name, "-e") == 0) {
        const char *equals = strchr(value, '=');
        *why = "without a value it would be the host's own variable";
        if (equals == NULL)
            return false;
        AUTOFREE char *variable = mem_strndup(value, (size_t)(equals - value));
        devcontainer_set_env(self, plan, "runArgs --env", variable, equals + 1);
    } else {
        *why = "it is not among the arguments that are taken (--memory, --pids-limit, --shm-size, --env, --read-only, "
               "--init)";
        return false;
    }
    return true;
}

static bool has_own_value(const char *name)
{
    static const char *const names[] = {"--memory", "-m", "--pids-limit", "--shm-size", "--env", "-e"};

    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

bool devcontainer_take_run_args(struct devcontainer *self, struct plan *plan, const struct json_at *root,
                                struct err *err)
{
    struct json_at list;
    size_t count = 0;

    if (!json_get_list(root, "runArgs", JSON_MAY, DEVCONTAINER_LIST_MAX, &list, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_at at = json_element(&list, i);
        const char *word, *next = NULL, *why = "";
        if (!json_text_of(&at, DEVCONTAINER_TEXT_MAX, &word, err))
            return false;
        if (i + 1 < count)
            next = json_string_value(json_array_get(list.node, i + 1));
        const char *equals = word[0] == '-' ? strchr(word, '=') : NULL;
        AUTOFREE char *name = mem_strndup(word, equals != NULL ? (size_t)(equals - word) : strlen(word));
        if (strcmp(word, "--init") == 0) /* what it is for is the supervisor's work */
            continue;
        if (strcmp(word, "--read-only") == 0) {
            plan->read_only = true;
            continue;
        }
        const char *value = equals != NULL ? equals + 1 : "";
        /* The next word is its value where it has one, or, of those we do not know, looks like one. */
        if (equals == NULL && next != NULL && word[0] == '-' && (has_own_value(word) || next[0] != '-')) {
            value = next;
            i++;
        }
        if (!take_value(self, plan, name, value, &why)) {
            AUTOFREE char *key = mem_printf("runArgs %s%s%s", name, value[0] != '\0' ? " " : "", value);
            devcontainer_note(self, key, "%s", why);
        }
    }
    return true;
}
