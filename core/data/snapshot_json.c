/* The snapshot: written by the monitor into a sealed memfd, read by the worker. The roots in PEM, as they are, and a
 * NUL (200 KB that each start would else quote and unquote), then one JSON document, read with the same functions as
 * the user's files, so that both hold the same structs. The session CA's key is in it, at its end, and is never
 * copied through a JSON tree on the way out. */
#include <stdlib.h>

#include "core/base/secret.h"
#include "core/data/snapshot.h"

static json_t *addr_json(const struct addr *addr)
{
    char text[ADDR_TEXT_BYTES];
    addr_format_port(addr, text);
    return json_string(text);
}

static json_t *connectors_json(const struct catalogue *catalogue)
{
    json_t *list = json_array();
    for (size_t i = 0; i < catalogue->count; i++)
        json_array_append(list, catalogue->connectors[i]->doc.root);
    return list;
}

static json_t *session_lists(const struct snapshot *snapshot, json_t *root)
{
    json_t *hosts = json_array(), *resolvers = json_array(), *roots = json_array(),
           *sentinels = json_array();
    for (size_t i = 0; i < snapshot->host_count; i++) {
        json_t *item = json_object();
        json_put(item, "name", snapshot->hosts[i].name);
        json_object_set_new(item, "address", addr_json(&snapshot->hosts[i].addr));
        json_array_append_new(hosts, item);
    }
    for (size_t i = 0; i < snapshot->resolver_count; i++)
        json_array_append_new(resolvers, addr_json(&snapshot->resolvers[i]));
    for (size_t i = 0; i < snapshot->upstream_root_count; i++) {
        json_t *item = json_object();
        json_put(item, "host", snapshot->upstream_roots[i].host);
        json_put(item, "pem", snapshot->upstream_roots[i].pem);
        json_array_append_new(roots, item);
    }
    for (size_t i = 0; i < snapshot->sentinel_count; i++) {
        json_t *item = json_object();
        json_put(item, "binding", snapshot->sentinels[i].binding);
        json_put(item, "value", snapshot->sentinels[i].value);
        json_array_append_new(sentinels, item);
    }
    json_object_set_new(root, "hosts", hosts);
    json_object_set_new(root, "resolvers", resolvers);
    json_object_set_new(root, "upstream_roots", roots);
    json_object_set_new(root, "sentinels", sentinels);
    return root;
}

/* {...} becomes {...,"ca_key_pem":"..."}. PEM needs no escape but that of its line ends. */
static bool append_key(const char *pem, struct buf *out)
{
    if (out->len < 2 || !buf_reserve(out, 2 * strlen(pem) + 32))
        return false;
    out->len--;
    bool ok = buf_adds(out, ",\"ca_key_pem\":\"");
    for (const char *p = pem; ok && *p; p++) {
        if (*p == '\n')
            ok = buf_adds(out, "\\n");
        else if (*p != '\r')
            ok = (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\' && buf_add(out, p, 1);
    }
    return ok && buf_adds(out, "\"}");
}

bool snapshot_write(const struct snapshot *snapshot, struct buf *out, struct err *err)
{
    const struct rules *rules = snapshot->rules;
    char hash[2 * sizeof snapshot->token_hash + 1];
    JSON_AUTO json_t *root = json_object();
    json_put_int(root, "format", 1);
    json_put(root, "session", snapshot->session);
    json_put(root, "agent", snapshot->agent);
    json_put(root, "engine", snapshot->engine);
    json_put_bool(root, "sealed", snapshot->sealed);
    text_hex(snapshot->token_hash, sizeof snapshot->token_hash, hash);
    json_put(root, "token_hash", hash);
    json_object_set(root, "config", rules->config->json);
    json_object_set(root, "policy", policy_json(rules->policy));
    if (snapshot->project)
        json_object_set(root, "project", policy_json(snapshot->project));
    json_object_set(root, "bindings", bindings_json(rules->bindings));
    json_object_set_new(root, "connectors", connectors_json(rules->catalogue));
    session_lists(snapshot, root);
    json_put(root, "ca_cert_pem", snapshot->ca_cert_pem);
    const char *roots = snapshot->roots_pem ? snapshot->roots_pem : "";
    buf_init(out, SNAPSHOT_MAX);
    if (buf_add(out, roots, strlen(roots) + 1) && json_write(root, out) &&
        (!snapshot->ca_key_pem || append_key(snapshot->ca_key_pem, out)))
        return true;
    buf_wipe(out);
    return err_set(err, ERR_LIMIT, "the session's rules are larger than %d bytes", SNAPSHOT_MAX);
}

/* ---- reading ---- */

static bool documents_from(struct rules *rules, const struct json_at *root, struct err *err)
{
    struct json_at config, policy, bindings, list;
    bool present;
    size_t count;
    /* Relative files were read by the monitor: nothing in the worker opens them. */
    if (!json_get_object(root, "config", JSON_NEED, &config, &present, err) ||
        !(rules->config = config_from(&config, "/", err)) ||
        !json_get_object(root, "policy", JSON_NEED, &policy, &present, err) ||
        !(rules->policy = policy_from(&policy, err)) ||
        !json_get_object(root, "bindings", JSON_NEED, &bindings, &present, err) ||
        !(rules->bindings = bindings_from(&bindings, err)) ||
        !json_get_list(root, "connectors", JSON_NEED, CATALOGUE_CONNECTORS_MAX, &list, &count, err))
        return false;
    rules->catalogue = catalogue_new();
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        struct connector *connector = connector_from_json(entry.node, "connector", err);
        if (!connector)
            return false;
        if (!catalogue_add(rules->catalogue, connector, err)) {
            connector_free(connector);
            return false;
        }
    }
    return true;
}

static bool hosts_from(struct snapshot *snapshot, const struct json_at *root, struct err *err)
{
    struct json_at list;
    const char *text = NULL;
    size_t count;
    if (!json_get_list(root, "hosts", JSON_NEED, SNAPSHOT_HOSTS_MAX, &list, &count, err))
        return false;
    snapshot->hosts = mem_array(count + 1, sizeof *snapshot->hosts);
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        struct snapshot_host *host = &snapshot->hosts[i];
        if (!json_get_text(&entry, "address", JSON_NEED, ADDR_TEXT_BYTES, &text, err))
            return false;
        if (!addr_parse_port(span_of(text), &host->addr))
            return json_fail(&entry, err, "has a bad address");
        if (!json_get_text(&entry, "name", JSON_NEED, 253, &text, err))
            return false;
        host->name = mem_strdup(text);
        snapshot->host_count++;
    }
    if (!json_get_list(root, "resolvers", JSON_NEED, SNAPSHOT_RESOLVERS_MAX, &list, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        if (!json_text_of(&entry, ADDR_TEXT_BYTES, &text, err))
            return false;
        if (!addr_parse_port(span_of(text), &snapshot->resolvers[i]))
            return json_fail(&entry, err, "is no address");
        snapshot->resolver_count++;
    }
    return true;
}

static bool pems_from(struct snapshot *snapshot, const struct json_at *root, struct err *err)
{
    struct json_at list;
    size_t count;
    const char *host = NULL, *pem = NULL;
    if (!json_get_list(root, "upstream_roots", JSON_NEED, CONFIG_UPSTREAMS_MAX, &list, &count, err))
        return false;
    snapshot->upstream_roots = mem_array(count + 1, sizeof *snapshot->upstream_roots);
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        if (!json_get_text(&entry, "host", JSON_NEED, 256, &host, err) ||
            !json_get_raw(&entry, "pem", JSON_NEED, SNAPSHOT_PEM_MAX, &pem, err))
            return false;
        snapshot->upstream_roots[snapshot->upstream_root_count++] =
            (struct snapshot_pem){.host = mem_strdup(host), .pem = mem_strdup(pem)};
    }
    if (!json_get_list(root, "sentinels", JSON_NEED, BINDINGS_MAX, &list, &count, err))
        return false;
    snapshot->sentinels = mem_array(count + 1, sizeof *snapshot->sentinels);
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        const char *binding = NULL, *value = NULL;
        if (!json_get_text(&entry, "binding", JSON_NEED, BINDING_NAME_MAX, &binding, err) ||
            !json_get_text(&entry, "value", JSON_NEED, 256, &value, err))
            return false;
        snapshot->sentinels[snapshot->sentinel_count++] = (struct snapshot_sentinel){
            .binding = mem_strdup(binding), .value = mem_strdup(value)};
    }
    return true;
}

/* A text that stands in the document, into a slot that may hold one already. */
static bool take_text(const struct json_at *root, const char *key, enum json_need need, size_t max,
                      char **slot, struct err *err)
{
    const char *text = NULL;
    if (!json_get_raw(root, key, need, max, &text, err))
        return false;
    if (text) {
        free(*slot);
        *slot = mem_strdup(text);
    }
    return true;
}

static bool project_from(struct snapshot *snapshot, const struct json_at *root, struct err *err)
{
    struct json_at project;
    bool present = false;
    if (!json_get_object(root, "project", JSON_MAY, &project, &present, err))
        return false;
    snapshot->project = present ? policy_project_from(&project, err) : NULL;
    return !present || snapshot->project != NULL;
}

static bool session_from(struct snapshot *snapshot, const struct json_at *root, struct err *err)
{
    const char *hash = NULL;
    if (!take_text(root, "session", JSON_NEED, 64, &snapshot->session, err) ||
        !take_text(root, "agent", JSON_NEED, 128, &snapshot->agent, err) ||
        !take_text(root, "engine", JSON_NEED, 64, &snapshot->engine, err) ||
        !json_get_bool(root, "sealed", JSON_NEED, &snapshot->sealed, err) ||
        !json_get_text(root, "token_hash", JSON_NEED, 64, &hash, err))
        return false;
    if (!text_unhex(span_of(hash), snapshot->token_hash, sizeof snapshot->token_hash))
        return json_fail(root, err, "token_hash is malformed");
    return take_text(root, "ca_cert_pem", JSON_MAY, 65536, &snapshot->ca_cert_pem, err) &&
           take_text(root, "ca_key_pem", JSON_MAY, 65536, &snapshot->ca_key_pem, err) &&
           hosts_from(snapshot, root, err) && pems_from(snapshot, root, err) && project_from(snapshot, root, err);
}

/* The tree's copy of the key goes with the tree: overwrite it first. */
static void wipe_key(json_t *root)
{
    json_t *key = json_object_get(root, "ca_key_pem");
    if (json_is_string(key))
        secret_wipe((void *)(uintptr_t)json_string_value(key), json_string_length(key));
}

struct snapshot *snapshot_parse(const void *bytes, size_t len, struct err *err)
{
    json_error_t error;
    struct doc doc;
    struct snapshot *snapshot = NULL;
    const char *roots = bytes, *end = len <= SNAPSHOT_MAX ? memchr(bytes, '\0', len) : NULL;
    size_t roots_len = end ? (size_t)(end - roots) : 0;
    /* Not json_parse: connectors stand two levels deeper here than in their own files. */
    json_t *tree = end && roots_len <= SNAPSHOT_PEM_MAX
                       ? json_loadb(end + 1, len - roots_len - 1, JSON_REJECT_DUPLICATES, &error)
                       : NULL;
    if (!tree) {
        err_set(err, ERR_DATA, "the snapshot is malformed");
        return NULL;
    }
    doc_wrap(&doc, tree, "snapshot", ERR_DATA);
    struct json_at root = json_root(&doc);
    struct rules *rules = mem_alloc(sizeof *rules);
    rules->refs = 1;
    bool ok = json_want_object(&root, err) && documents_from(rules, &root, err);
    if (ok) {
        snapshot = snapshot_new(rules);
        snapshot->roots_pem = roots_len > 0 ? mem_strndup(roots, roots_len) : NULL;
        ok = session_from(snapshot, &root, err);
    }
    rules_unref(rules);
    wipe_key(tree);
    doc_clear(&doc);
    json_decref(tree);
    if (ok)
        return snapshot;
    snapshot_free(snapshot);
    return NULL;
}
