/* The list and the table. It sets names and values; it reads no file and decides nothing about policy. The
 * values a program gets do not keep it in (threat E01: unsetting them changes nothing); they spare it the
 * detour of a captured connection and make it trust the session's CA. */
#include "core/sandbox/env.h"

#include "core/base/mem.h"
#include "core/sandbox/layout.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void env_clear(struct env *env)
{
    for (size_t i = 0; i < env->count; i++)
        free(env->items[i]);
    free(env->items);
    *env = (struct env){0};
}

static size_t find(const struct env *env, const char *name, size_t len)
{
    for (size_t i = 0; i < env->count; i++)
        if (strncmp(env->items[i], name, len) == 0 && env->items[i][len] == '=')
            return i;
    return env->count;
}

bool env_set(struct env *env, const char *name, const char *value)
{
    size_t len = strlen(name), at = find(env, name, len);

    if (len + 1 + strlen(value) >= ENV_VALUE_MAX || (at == env->count && at >= ENV_COUNT_MAX))
        return false;
    char *item = mem_printf("%s=%s", name, value);
    if (at < env->count) {
        free(env->items[at]);
        env->items[at] = item;
        return true;
    }
    if (env->count + 2 > env->cap) {
        env->cap = env->cap == 0 ? 64 : env->cap * 2;
        env->items = mem_resize(env->items, env->cap, sizeof(*env->items));
    }
    env->items[env->count++] = item;
    env->items[env->count] = NULL;
    return true;
}

void env_unset(struct env *env, const char *name)
{
    size_t at = find(env, name, strlen(name));

    if (at == env->count)
        return;
    free(env->items[at]);
    memmove(env->items + at, env->items + at + 1, (env->count - at) * sizeof(*env->items));
    env->count--;
}

const char *env_get(const struct env *env, const char *name)
{
    size_t len = strlen(name), at = find(env, name, len);

    return at < env->count ? env->items[at] + len + 1 : NULL;
}

void env_add_all(struct env *env, char *const *items)
{
    for (; *items != NULL; items++) {
        const char *equals = strchr(*items, '=');
        if (equals == NULL || equals == *items)
            continue;
        AUTOFREE char *name = mem_strndup(*items, (size_t)(equals - *items));
        env_set(env, name, equals + 1);
    }
}

bool env_name_valid(const char *name)
{
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

    return len > 0 && len <= 128 && name[len] == '\0' && !isdigit((unsigned char)name[0]);
}

/* What a sandbox's program gets; NULL value: from struct env_sandbox. Kind R of the certificate variables
 * replaces a program's roots and gets the bundle, kind A adds to them and gets the CA alone. Proxies in both
 * cases: curl reads http_proxy in lower case only, others in upper case only. */
static const struct env_row {
    const char *name, *value;
    bool sealed_only;
} table[] = {
    {"HTTP_PROXY", SANDBOX_PROXY_URL, false},
    {"http_proxy", SANDBOX_PROXY_URL, false},
    {"HTTPS_PROXY", SANDBOX_PROXY_URL, false},
    {"https_proxy", SANDBOX_PROXY_URL, false},
    {"ALL_PROXY", SANDBOX_PROXY_URL, false},
    {"all_proxy", SANDBOX_PROXY_URL, false},
    {"NO_PROXY", "localhost,127.0.0.1,::1", false},
    {"no_proxy", "localhost,127.0.0.1,::1", false},
    {"NODE_USE_ENV_PROXY", "1", false},
    {"SSL_CERT_FILE", SANDBOX_BUNDLE, false},
    {"CURL_CA_BUNDLE", SANDBOX_BUNDLE, false},
    {"REQUESTS_CA_BUNDLE", SANDBOX_BUNDLE, false},
    {"PIP_CERT", SANDBOX_BUNDLE, false},
    {"GIT_SSL_CAINFO", SANDBOX_BUNDLE, false},
    {"AWS_CA_BUNDLE", SANDBOX_BUNDLE, false},
    {"CARGO_HTTP_CAINFO", SANDBOX_BUNDLE, false},
    {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", SANDBOX_BUNDLE, false},
    {"NODE_EXTRA_CA_CERTS", SANDBOX_CA, false},
    {"DENO_CERT", SANDBOX_CA, false},
    {"AILERON_API_URL", SANDBOX_API_URL, true},
    {"AILERON_TOOLS_FILE", SANDBOX_TOOLS, false},
    {"AILERON_SHIMS_DIR", SANDBOX_SHIMS, false},
    {"HOME", SANDBOX_HOME, false},
};

bool env_name_reserved(const char *name)
{
    static const char *const prefixes[] = {"AILERON_", "LD_", "DOCKER_", "BUILDKIT_", "COMPOSE_"};
    static const char *const names[] = {"PATH", "USER", "LOGNAME", "PWD", "SHELL", "TERM", "IFS"};

    for (size_t i = 0; i < COUNT(prefixes); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    for (size_t i = 0; i < COUNT(table); i++)
        if (strcmp(name, table[i].name) == 0)
            return true;
    return false;
}

void env_add_terminal(struct env *env, char *const *host)
{
    static const char *const names[] = {"TERM", "COLORTERM", "LANG", "LANGUAGE", "TZ", "NO_COLOR"};

    for (; *host != NULL; host++) {
        const char *equals = strchr(*host, '=');
        if (equals == NULL)
            continue;
        AUTOFREE char *name = mem_strndup(*host, (size_t)(equals - *host));
        bool taken = strncmp(name, "LC_", 3) == 0;
        for (size_t i = 0; i < COUNT(names); i++)
            taken = taken || strcmp(name, names[i]) == 0;
        if (taken)
            env_set(env, name, equals + 1);
    }
}

bool env_apply_sandbox(struct env *env, const struct env_sandbox *sandbox, struct err *err)
{
    bool good = true;
    const char *image_path = sandbox->image_path;

    for (size_t i = 0; i < COUNT(table); i++)
        if (sandbox->sealed || !table[i].sealed_only)
            good = env_set(env, table[i].name, table[i].value) && good;
    if (image_path == NULL || image_path[0] == '\0')
        image_path = SANDBOX_PATH;
    AUTOFREE char *path = mem_printf("%s:%s:%s", SANDBOX_SHIMS, SANDBOX_BIN, image_path);
    good = env_set(env, "PATH", path) && good;
    good = env_set(env, "AILERON_TOKEN", sandbox->token) && good;
    good = env_set(env, "USER", sandbox->user) && good;
    good = env_set(env, "LOGNAME", sandbox->user) && good;
    if (!good) {
        err_set(err, ERR_LAUNCH, "the environment is too large (%d variables, %d bytes each at most)",
                ENV_COUNT_MAX, ENV_VALUE_MAX);
        return err_hint(err, "Look at the image's environment");
    }
    return true;
}
