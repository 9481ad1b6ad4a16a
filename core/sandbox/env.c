/* The list and the table. It sets names and values; it reads no file and decides nothing about policy. The
 * values a program gets do not keep it in (threat E01: unsetting them changes nothing); they spare it the
 * detour of a captured connection and make it trust the session's CA. */
#include "core/sandbox/env.h"

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/sandbox/layout.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { GIT_CONFIG_MAX = 1000 }; /* entries of git's configuration in the environment */

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

/* What a sandbox's program gets. Kind R of the certificate variables replaces a program's roots and gets the bundle,
 * kind A adds to them and gets what is not public: the session's CA and tls.ca_file's. tests/clients asserts for each
 * program which of them it obeys. Proxies in both cases: curl reads http_proxy in lower case only, others in upper
 * case only. Not set, since what is here serves the same programs: SSL_CERT_DIR (OpenSSL, Go, rustls and uv read it
 * besides SSL_CERT_FILE, and an image's own may stay), NODE_USE_SYSTEM_CA, DENO_TLS_CA_STORE and UV_SYSTEM_CERTS (they
 * choose the system's store, which has no more), CLOUDSDK_PROXY_* and CARGO_HTTP_PROXY (both read HTTPS_PROXY). */
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
    {"NODE_USE_ENV_PROXY", "1", false},
    /* R */
    {"SSL_CERT_FILE", SANDBOX_BUNDLE, false},      /* OpenSSL and what is built on it, Go, rustls, uv */
    {"CURL_CA_BUNDLE", SANDBOX_BUNDLE, false},     /* curl */
    {"GIT_SSL_CAINFO", SANDBOX_BUNDLE, false},     /* git */
    {"REQUESTS_CA_BUNDLE", SANDBOX_BUNDLE, false}, /* Python's requests: conda, the Azure CLI */
    {"PIP_CERT", SANDBOX_BUNDLE, false},
    {"CONDA_SSL_VERIFY", SANDBOX_BUNDLE, false},
    {"AWS_CA_BUNDLE", SANDBOX_BUNDLE, false},
    {"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", SANDBOX_BUNDLE, false}, /* gcloud */
    {"HTTPLIB2_CA_CERTS", SANDBOX_BUNDLE, false},                  /* gsutil */
    {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", SANDBOX_BUNDLE, false},   /* gRPC's C core */
    {"CARGO_HTTP_CAINFO", SANDBOX_BUNDLE, false},
    {"CODEX_CA_CERTIFICATE", SANDBOX_BUNDLE, false},
    {"npm_config_cafile", SANDBOX_BUNDLE, false},
    {"COMPOSER_CAFILE", SANDBOX_BUNDLE, false},
    {"BUNDLE_SSL_CA_CERT", SANDBOX_BUNDLE, false},
    {"PERL_LWP_SSL_CA_FILE", SANDBOX_BUNDLE, false},
    {"HEX_CACERTS_PATH", SANDBOX_BUNDLE, false},
    {"NIX_SSL_CERT_FILE", SANDBOX_BUNDLE, false},
    /* A */
    {"NODE_EXTRA_CA_CERTS", SANDBOX_CA_EXTRA, false},
    {"DENO_CERT", SANDBOX_CA_EXTRA, false},
    {"AILERON_API_URL", SANDBOX_API_URL, true},
    {"AILERON_TOOLS_FILE", SANDBOX_TOOLS, false},
    {"AILERON_SHIMS_DIR", SANDBOX_SHIMS, false},
    {"HOME", SANDBOX_HOME, false},
};

/* Java reads no variable for proxy or roots, but options from this one, whatever starts the VM. JDK_JAVA_OPTIONS is
 * read by the program java alone, and not before JDK 9: javac's, Gradle's and an embedded VM would not know of it.
 * Both say on standard error that they were picked up. */
#define JAVA_OPTIONS "JAVA_TOOL_OPTIONS"
static const char java_options[] =
    "-Djavax.net.ssl.trustStore=" SANDBOX_KEYSTORE " -Djavax.net.ssl.trustStoreType=PKCS12"
    " -Dhttp.proxyHost=" SANDBOX_PROXY_HOST " -Dhttp.proxyPort=" SANDBOX_PROXY_PORT_TEXT
    " -Dhttps.proxyHost=" SANDBOX_PROXY_HOST " -Dhttps.proxyPort=" SANDBOX_PROXY_PORT_TEXT;

/* Behind the options that are there already (an image's, an agent file's): of one property the last value holds. */
static bool add_java_options(struct env *env)
{
    const char *old = env_get(env, JAVA_OPTIONS);
    AUTOFREE char *both = mem_printf("%s%s%s", old != NULL ? old : "", old != NULL && old[0] != '\0' ? " " : "",
                                     java_options);

    return env_set(env, JAVA_OPTIONS, both);
}

static bool has_word(const char *list, const char *word)
{
    struct span rest = span_of(list), entry;

    while (span_cut(&rest, ',', &entry))
        if (span_eqs(span_trim(entry), word))
            return true;
    return false;
}

/* Whom programs reach without the proxy: the sandbox itself, behind what an image or an agent's file says. That leads
 * nowhere else: in a sealed sandbox the connection is captured by its name. */
static bool add_no_proxy(struct env *env)
{
    static const char *const names[] = {"NO_PROXY", "no_proxy"}, *const own[] = {"localhost", "127.0.0.1", "::1"};
    CLEANUP(buf_clear) struct buf list;
    bool good = true;

    buf_init(&list, ENV_VALUE_MAX);
    for (size_t i = 0; i < COUNT(names); i++) {
        const char *value = env_get(env, names[i]);
        if (value != NULL && value[0] != '\0' && strcmp(value, buf_cstr(&list)) != 0)
            good = buf_printf(&list, "%s%s", list.len > 0 ? "," : "", value) && good;
    }
    for (size_t i = 0; i < COUNT(own); i++)
        if (!has_word(buf_cstr(&list), own[i]))
            good = buf_printf(&list, "%s%s", list.len > 0 ? "," : "", own[i]) && good;
    return good && env_set(env, names[0], buf_cstr(&list)) && env_set(env, names[1], buf_cstr(&list));
}

/* git has HTTP/1.1 by its configuration, which it also takes from the environment. Over HTTP/2 its large pushes hang
 * with the curl of Debian 12 (7.88): where the last bytes wait for the stream's window, curl asks git for more behind
 * the end of the body, and git then waits for itself. Behind the entries that are there already. */
static bool add_git_config(struct env *env)
{
    const char *count = env_get(env, "GIT_CONFIG_COUNT");
    uint64_t number = 0;

    if (count != NULL && !text_u64(span_of(count), GIT_CONFIG_MAX, &number))
        return true; /* git will say what is wrong with it */
    AUTOFREE char *key = mem_printf("GIT_CONFIG_KEY_%u", (unsigned)number);
    AUTOFREE char *value = mem_printf("GIT_CONFIG_VALUE_%u", (unsigned)number);
    AUTOFREE char *next = mem_printf("%u", (unsigned)number + 1);
    return env_set(env, key, "http.version") && env_set(env, value, "HTTP/1.1") &&
           env_set(env, "GIT_CONFIG_COUNT", next);
}

bool env_name_reserved(const char *name)
{
    /* Some of these are an engine's client's own: the values that an agent gets pass through its environment. */
    static const char *const prefixes[] = {"AILERON_",   "LD_",      "DOCKER_", "BUILDKIT_", "COMPOSE_",
                                           "CONTAINER_", "CONTAINERS_", "STORAGE_", "PODMAN_", "BUILDAH_"};
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
    /* The resolver's: every name has an address here, so that the first one that it makes of a name would be taken. */
    static const char *const renaming[] = {"LOCALDOMAIN", "RES_OPTIONS", "HOSTALIASES"};
    bool good = true;
    const char *image_path = sandbox->image_path;

    for (size_t i = 0; i < COUNT(table); i++)
        if (sandbox->sealed || !table[i].sealed_only)
            good = env_set(env, table[i].name, table[i].value) && good;
    if (image_path == NULL || image_path[0] == '\0')
        image_path = SANDBOX_PATH;
    AUTOFREE char *path = mem_printf("%s:%s:%s", SANDBOX_SHIMS, SANDBOX_BIN, image_path);
    good = env_set(env, "PATH", path) && add_java_options(env) && add_git_config(env) && add_no_proxy(env) &&
           good;
    if (sandbox->sealed)
        for (size_t i = 0; i < COUNT(renaming); i++)
            env_unset(env, renaming[i]);
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
