/* config.yaml: every key of the contract read, checked and defaulted; the table of limits. It opens none of the
 * files that are named in it. */
#include "core/data/config.h"

#include <stdlib.h>

#include "core/base/file.h"
#include "core/data/match.h"

static const struct limit_row limit_rows[LIMITS] = {
    [LIMIT_CONNECTIONS] = {"connections", 16384, 16, 262144},
    [LIMIT_SESSIONS] = {"sessions", 64, 1, 1024},
    [LIMIT_OPERATIONS] = {"operations", 256, 1, 10000},
    [LIMIT_APPROVALS] = {"approvals", 20, 1, 1000},
    [LIMIT_HEAD_BYTES] = {"head_bytes", 65536, 4096, 65536},
    [LIMIT_HEAD_FIELDS] = {"head_fields", 100, 16, 100},
    [LIMIT_BODY_BYTES] = {"body_bytes", 1048576, 65536, 1048576},
    [LIMIT_IDLE_MS] = {"idle_ms", 900000, 1000, 86400000},
    [LIMIT_HALF_CLOSED_MS] = {"half_closed_ms", 30000, 500, 86400000},
    [LIMIT_HEAD_MS] = {"head_ms", 30000, 100, 600000},
    [LIMIT_CONNECT_MS] = {"connect_ms", 15000, 100, 600000},
    [LIMIT_FIRST_BYTE_MS] = {"first_byte_ms", 600000, 100, 86400000},
    [LIMIT_RESOLVE_MS] = {"resolve_ms", 5000, 100, 60000},
    [LIMIT_DRAIN_MS] = {"drain_ms", 10000, 0, 600000},
    [LIMIT_POOL_IDLE_MS] = {"pool_idle_ms", 30000, 0, 600000},
    [LIMIT_POOL_TOTAL] = {"pool_total", 256, 0, 4096},
    [LIMIT_RESULT_BYTES] = {"result_bytes", 1048576, 0, 1048576},
    [LIMIT_RESULT_DAYS] = {"result_days", 30, 1, 36500},
    [LIMIT_RECORD_BYTES] = {"record_bytes", 268435456, 65536, (uint64_t)1 << 40},
    [LIMIT_RECORD_RATE] = {"record_rate", 16384, 0, 1 << 30},
    [LIMIT_STORED_OPERATIONS] = {"stored_operations", 10000, 1, 1000000},
    [LIMIT_STORED_BYTES] = {"stored_bytes", 67108864, 65536, (uint64_t)1 << 36},
    [LIMIT_DISK_FREE] = {"disk_free", 134217728, 0, (uint64_t)1 << 40},
};

const struct limit_row *limit_row(enum limit limit)
{
    return &limit_rows[limit];
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->upstream_count; i++) {
        free(config->upstreams[i].host);
        free(config->upstreams[i].ca_file);
        free(config->upstreams[i].client_cert);
    }
    free(config->upstreams);
    free(config->sandbox.runtime);
    free(config->sandbox.network);
    free(config->sandbox.image);
    free(config->sandbox.rootfs);
    config_caches_clear(&config->sandbox.caches);
    free(config->tls.ca_file);
    config_proxy_clear(&config->network.proxy);
    match_texts_free(config->approvals.notify);
    match_texts_free(config->audit.anchor);
    json_decref(config->json);
    free(config);
}

/* An object that may be absent: its keys are checked where it is there. False: an error; *present tells. */
static bool section(const struct json_at *root, const char *key, const char *const *keys,
                    struct json_at *at, bool *present, struct err *err)
{
    return json_get_object(root, key, JSON_MAY, at, present, err) &&
           (!*present || json_only(at, keys, err));
}

static void replace(char **slot, const char *text)
{
    free(*slot);
    *slot = mem_strdup(text);
}

static bool file_from(const struct json_at *at, const char *key, const char *dir, char **out,
                      struct err *err)
{
    const char *text = "";
    if (!json_get_text(at, key, JSON_MAY, 4096, &text, err))
        return false;
    if (*text)
        *out = *text == '/' ? mem_strdup(text) : file_join(dir, text);
    return true;
}

/* What a sandbox on another machine can be told: an address of this host, and no name, which would have to be looked up
 * where the agent may have a say. */
static bool remote_from(struct config *config, const struct json_at *sandbox, struct err *err)
{
    const char *text = "";
    struct json_at at;
    if (!json_get_text(sandbox, "remote_listen", JSON_MAY, ADDR_TEXT_BYTES, &text, err))
        return false;
    if (!*text)
        return true;
    struct addr *addr = &config->sandbox.remote_listen;
    if (addr_parse_port(span_of(text), addr) && addr_class(addr) != ADDR_UNSPECIFIED &&
        addr_class(addr) != ADDR_MULTICAST && addr_class(addr) != ADDR_BROADCAST)
        return true;
    return json_member(sandbox, "remote_listen", &at) &&
           json_fail(&at, err, "must be an address of this host, or one with a port: 10.1.2.3, 10.1.2.3:7400");
}

static bool sandbox_from(struct config *config, const struct json_at *root, const char *dir, struct err *err)
{
    static const char *const keys[] = {"runtime", "network", "image", "rootfs", "memory", "pids", "read_only", "cache",
                                       "remote_listen", NULL};
    static const char *const runtimes[] = {"auto", "docker", "podman", "bwrap", "off"};
    static const char *const networks[] = {"sealed", "open"};
    const char *image = "";
    struct json_at at;
    bool present;
    int runtime = 0, network = 0;
    if (!section(root, "sandbox", keys, &at, &present, err))
        return false;
    if (!present)
        return true;
    if (!json_get_word(&at, "runtime", JSON_MAY, runtimes, COUNT(runtimes), &runtime, err) ||
        !json_get_word(&at, "network", JSON_MAY, networks, COUNT(networks), &network, err) ||
        !json_get_text(&at, "image", JSON_MAY, 512, &image, err) ||
        !file_from(&at, "rootfs", dir, &config->sandbox.rootfs, err) ||
        !json_get_bytes(&at, "memory", JSON_MAY, &config->sandbox.memory_bytes, err) ||
        !json_get_int(&at, "pids", JSON_MAY, 8, 4194304, &config->sandbox.pids, err) ||
        !json_get_bool(&at, "read_only", JSON_MAY, &config->sandbox.read_only, err) ||
        !remote_from(config, &at, err) || !config_caches_from(&config->sandbox.caches, &at, err))
        return false;
    replace(&config->sandbox.runtime, runtimes[runtime]);
    replace(&config->sandbox.network, networks[network]);
    replace(&config->sandbox.image, image);
    struct json_at memory;
    if (config->sandbox.memory_bytes < 6 * 1024 * 1024 && json_member(&at, "memory", &memory))
        return json_fail(&memory, err, "must be at least 6m: no engine starts with less");
    return true;
}

static bool tls_from(struct config *config, const struct json_at *root, const char *dir,
                     struct err *err)
{
    static const char *const keys[] = {"ca_file", "min_version", NULL};
    static const char *const versions[] = {"1.2", "1.3"};
    struct json_at at;
    bool present;
    int version = 0;
    if (!section(root, "tls", keys, &at, &present, err))
        return false;
    if (!present)
        return true;
    if (!file_from(&at, "ca_file", dir, &config->tls.ca_file, err) ||
        !json_get_word(&at, "min_version", JSON_MAY, versions, COUNT(versions), &version, err))
        return false;
    config->tls.tls13_only = version == 1;
    return true;
}

static bool upstream_from(struct config_upstream *upstream, const struct json_at *at,
                          const char *dir, struct err *err)
{
    static const char *const keys[] = {"host", "port", "ca_file", "client_cert", "address", NULL};
    const char *host = NULL, *cert = "", *address = "";
    struct json_at member;
    char canonical[256];
    int64_t port = 0;
    if (!json_only(at, keys, err) || !json_get_text(at, "host", JSON_NEED, 256, &host, err) ||
        !json_member(at, "host", &member) || !match_canonical_host(&member, host, canonical, err) ||
        !json_get_int(at, "port", JSON_MAY, 1, 65535, &port, err) ||
        !file_from(at, "ca_file", dir, &upstream->ca_file, err) ||
        !json_get_text(at, "client_cert", JSON_MAY, 128, &cert, err) ||
        !json_get_text(at, "address", JSON_MAY, 64, &address, err))
        return false;
    upstream->host = mem_strdup(canonical);
    upstream->port = (uint16_t)port;
    if (*cert)
        upstream->client_cert = mem_strdup(cert);
    if (!*address)
        return true;
    upstream->has_address = addr_parse_port(span_of(address), &upstream->address);
    return upstream->has_address || !json_member(at, "address", &member) ||
           json_fail(&member, err, "must be an address, like 10.1.2.3 or 10.1.2.3:8443");
}

static bool upstreams_from(struct config *config, const struct json_at *root, const char *dir,
                           struct err *err)
{
    struct json_at list;
    size_t count;
    if (!json_get_list(root, "upstreams", JSON_MAY, CONFIG_UPSTREAMS_MAX, &list, &count, err))
        return false;
    config->upstreams = mem_array(count + 1, sizeof *config->upstreams);
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        config->upstream_count++;
        if (!upstream_from(&config->upstreams[i], &entry, dir, err))
            return false;
    }
    return true;
}

static bool capture_from(struct config *config, const struct json_at *at, struct err *err)
{
    struct json_at list;
    size_t count;
    if (!json_get_list(at, "capture_ports", JSON_MAY, CONFIG_PORTS_MAX, &list, &count, err))
        return false;
    if (!json_member(at, "capture_ports", &list))
        return true;
    config->network.capture_port_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        json_int_t port = json_is_integer(entry.node) ? json_integer_value(entry.node) : 0;
        if (port < 1 || port > 65535 || port == 53 || port == 3128)
            return json_fail(&entry, err, "must be a port from 1 to 65535, and neither 53 nor 3128, "
                                          "which the sandbox uses itself");
        config->network.capture_ports[config->network.capture_port_count++] = (uint16_t)port;
    }
    return true;
}

static bool network_from(struct config *config, const struct json_at *root, struct err *err)
{
    static const char *const keys[] = {"upstream_proxy", "upstream_proxy_credential", "upstream_proxy_resolves",
                                       "no_proxy",       "capture_ports",             "resolvers",
                                       NULL};
    struct json_at at, list;
    bool present;
    size_t count;
    if (!section(root, "network", keys, &at, &present, err))
        return false;
    if (!present)
        return true;
    if (!config_proxy_from(&config->network.proxy, &at, err) || !capture_from(config, &at, err) ||
        !json_get_list(&at, "resolvers", JSON_MAY, COUNT(config->network.resolvers), &list, &count,
                       err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        struct addr *addr = &config->network.resolvers[i];
        const char *text = NULL;
        if (!json_text_of(&entry, 64, &text, err))
            return false;
        if (!addr_parse_port(span_of(text), addr))
            return json_fail(&entry, err, "must be an address, like 10.0.0.53 or 10.0.0.53:5353");
        if (addr->port == 0)
            addr->port = 53;
        config->network.resolver_count++;
    }
    return true;
}

/* approvals, vault, audit, daemon: small sections. */
static bool rest_from(struct config *config, const struct json_at *root, struct err *err)
{
    static const char *const approval_keys[] = {"hold", "expire", "notify", "notify_link", NULL};
    static const char *const vault_keys[] = {"cache", "cache_timeout", NULL};
    static const char *const audit_keys[] = {"anchor", "retention", NULL};
    static const char *const daemon_keys[] = {"page", "workers_per_session", NULL};
    static const char *const caches[] = {"none", "keyring"};
    struct json_at at, list;
    bool present;
    size_t count;
    int cache = 0;
    if (!section(root, "approvals", approval_keys, &at, &present, err))
        return false;
    if (present && (!json_get_duration(&at, "hold", JSON_MAY, &config->approvals.hold_ms, err) ||
                    !json_get_duration(&at, "expire", JSON_MAY, &config->approvals.expire_ms, err) ||
                    !json_get_bool(&at, "notify_link", JSON_MAY, &config->approvals.notify_link, err) ||
                    !json_get_list(&at, "notify", JSON_MAY, CONFIG_WORDS_MAX, &list, &count, err) ||
                    (count > 0 && !match_texts_from(&at, "notify", JSON_MAY, CONFIG_WORDS_MAX, 4096,
                                                    &config->approvals.notify, err))))
        return false;
    if (!section(root, "vault", vault_keys, &at, &present, err))
        return false;
    if (present && (!json_get_word(&at, "cache", JSON_MAY, caches, COUNT(caches), &cache, err) ||
                    !json_get_duration(&at, "cache_timeout", JSON_MAY,
                                       &config->vault.cache_timeout_ms, err)))
        return false;
    config->vault.cache_keyring = cache == 1;
    if (!section(root, "audit", audit_keys, &at, &present, err))
        return false;
    if (present && (!json_get_list(&at, "anchor", JSON_MAY, CONFIG_WORDS_MAX, &list, &count, err) ||
                    (count > 0 && !match_texts_from(&at, "anchor", JSON_MAY, CONFIG_WORDS_MAX, 4096,
                                                    &config->audit.anchor, err)) ||
                    !json_get_int(&at, "retention", JSON_MAY, 0, 36500,
                                  &config->audit.retention_days, err)))
        return false;
    if (!section(root, "daemon", daemon_keys, &at, &present, err))
        return false;
    return !present || (json_get_bool(&at, "page", JSON_MAY, &config->daemon.page, err) &&
                        json_get_int(&at, "workers_per_session", JSON_MAY, 1, 8,
                                     &config->daemon.workers_per_session, err));
}

static bool limits_from(struct config *config, const struct json_at *root, struct err *err)
{
    const char *keys[LIMITS + 1] = {NULL};
    struct json_at at;
    bool present;
    for (size_t i = 0; i < LIMITS; i++)
        keys[i] = limit_rows[i].name;
    if (!section(root, "limits", keys, &at, &present, err))
        return false;
    for (size_t i = 0; present && i < LIMITS; i++) {
        int64_t value = (int64_t)config->limits[i];
        if (!json_get_int(&at, limit_rows[i].name, JSON_MAY, (int64_t)limit_rows[i].least,
                          (int64_t)limit_rows[i].most, &value, err))
            return false;
        config->limits[i] = (uint64_t)value;
    }
    return true;
}

static struct config *defaults(void)
{
    struct config *config = mem_alloc(sizeof *config);
    config->sandbox.runtime = mem_strdup("auto");
    config->sandbox.network = mem_strdup("sealed");
    config->sandbox.image = mem_strdup("");
    config->sandbox.memory_bytes = (uint64_t)4 << 30;
    config->sandbox.pids = 512;
    config->network.capture_ports[0] = 80;
    config->network.capture_ports[1] = 443;
    config->network.capture_port_count = 2;
    config->approvals.hold_ms = 120 * 1000;
    config->approvals.expire_ms = (uint64_t)7 * 24 * 3600 * 1000;
    config->vault.cache_timeout_ms = (uint64_t)8 * 3600 * 1000;
    config->daemon.page = true;
    config->daemon.workers_per_session = 1;
    for (size_t i = 0; i < LIMITS; i++)
        config->limits[i] = limit_rows[i].fallback;
    return config;
}

struct config *config_from(const struct json_at *at, const char *dir, struct err *err)
{
    static const char *const keys[] = {"version", "sandbox", "tls",    "upstreams", "network",
                                       "approvals", "vault", "audit", "daemon",    "limits", NULL};
    struct config *config = defaults();
    if (!at) {
        config->json = json_pack("{s:i}", "version", 1);
        return config;
    }
    config->json = json_incref(at->node);
    if (json_only(at, keys, err) && json_want_version(at, 1, err) &&
        sandbox_from(config, at, dir, err) && tls_from(config, at, dir, err) &&
        upstreams_from(config, at, dir, err) && network_from(config, at, err) &&
        rest_from(config, at, err) && limits_from(config, at, err))
        return config;
    config_free(config);
    return NULL;
}

const struct config_upstream *config_upstream(const struct config *config, struct span host,
                                              uint16_t port)
{
    for (size_t i = 0; i < config->upstream_count; i++) {
        const struct config_upstream *upstream = &config->upstreams[i];
        if (span_eqs(host, upstream->host) && (upstream->port == 0 || upstream->port == port))
            return upstream;
    }
    return NULL;
}

const char *config_client_cert(const struct config *config, struct span host, uint16_t port)
{
    for (size_t i = 0; i < config->upstream_count; i++) {
        const struct config_upstream *upstream = &config->upstreams[i];
        if (upstream->client_cert && span_eqs(host, upstream->host) && (upstream->port == 0 || upstream->port == port))
            return upstream->client_cert;
    }
    return NULL;
}
