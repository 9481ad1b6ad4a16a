/* The snapshot as monitor and worker use it: what belongs to a session beside the rules, and the one decision that
 * both take. Its form as a document is in snapshot_json.c. */
#include "core/data/snapshot.h"

#include <stdlib.h>

#include "core/base/file.h"
#include "core/base/secret.h"
#include "core/wire/target.h"
#include "tls/crypto.h"

enum { HOST_FILE_MAX = 1024 * 1024 };

struct snapshot *snapshot_new(struct rules *rules)
{
    struct snapshot *snapshot = mem_alloc(sizeof *snapshot);
    snapshot->rules = rules_ref(rules);
    snapshot->session = mem_strdup("");
    snapshot->agent = mem_strdup("");
    snapshot->engine = mem_strdup("");
    snapshot->sealed = true;
    return snapshot;
}

void snapshot_free(struct snapshot *snapshot)
{
    if (!snapshot)
        return;
    for (size_t i = 0; i < snapshot->host_count; i++)
        free(snapshot->hosts[i].name);
    for (size_t i = 0; i < snapshot->upstream_root_count; i++) {
        free(snapshot->upstream_roots[i].host);
        free(snapshot->upstream_roots[i].pem);
    }
    for (size_t i = 0; i < snapshot->sentinel_count; i++) {
        free(snapshot->sentinels[i].binding);
        free(snapshot->sentinels[i].value);
    }
    if (snapshot->ca_key_pem)
        secret_wipe(snapshot->ca_key_pem, strlen(snapshot->ca_key_pem));
    char *texts[] = {snapshot->session,   snapshot->agent,       snapshot->engine,
                     snapshot->roots_pem, snapshot->ca_cert_pem, snapshot->ca_key_pem};
    for (size_t i = 0; i < COUNT(texts); i++)
        free(texts[i]);
    free(snapshot->hosts);
    free(snapshot->upstream_roots);
    free(snapshot->sentinels);
    policy_free(snapshot->project);
    rules_unref(snapshot->rules);
    free(snapshot);
}

/* ---- the host's files ---- */

/* The next word of a line; empty at its end or at a comment. */
static struct span word(struct span *line)
{
    while (line->len > 0 && strchr(" \t\r", *line->p)) {
        line->p++;
        line->len--;
    }
    size_t len = 0;
    while (len < line->len && !strchr(" \t\r#;", line->p[len]))
        len++;
    struct span found = {line->p, len};
    line->p += len;
    line->len -= len;
    return found;
}

static void add_host_line(struct snapshot *snapshot, struct span line)
{
    struct target_host host;
    struct addr addr;
    struct err ignored;
    struct span name = word(&line);
    if (!addr_parse(name, &addr))
        return; /* comments, and zones of link-local addresses, which are of no use here */
    while ((name = word(&line)).len > 0 && snapshot->host_count < SNAPSHOT_HOSTS_MAX) {
        if (!target_host_parse(name, &host, &ignored) || host.is_ip)
            continue;
        snapshot->hosts[snapshot->host_count++] =
            (struct snapshot_host){.name = mem_strdup(host.name), .addr = addr};
    }
}

static bool read_optional(const char *path, struct buf *out, struct err *err)
{
    struct err why;
    if (file_read(path, HOST_FILE_MAX, out, &why) || why.code == ERR_NOT_FOUND)
        return true;
    *err = why;
    return false;
}

bool snapshot_add_host_files(struct snapshot *snapshot, const char *hosts_path,
                             const char *resolv_path, struct err *err)
{
    const struct config *config = snapshot->rules->config;
    struct buf text;
    struct span rest, line;
    if (!read_optional(hosts_path, &text, err))
        return false;
    snapshot->hosts = mem_array(SNAPSHOT_HOSTS_MAX, sizeof *snapshot->hosts);
    rest = (struct span){(const char *)text.data, text.len};
    while (rest.len > 0 && span_cut(&rest, '\n', &line))
        add_host_line(snapshot, line);
    buf_clear(&text);
    snapshot->hosts =
        mem_resize(snapshot->hosts, snapshot->host_count + 1, sizeof *snapshot->hosts);

    snapshot->resolver_count = config->network.resolver_count;
    memcpy(snapshot->resolvers, config->network.resolvers, sizeof snapshot->resolvers);
    if (snapshot->resolver_count > 0)
        return true;
    if (!read_optional(resolv_path, &text, err))
        return false;
    rest = (struct span){(const char *)text.data, text.len};
    while (rest.len > 0 && span_cut(&rest, '\n', &line) &&
           snapshot->resolver_count < SNAPSHOT_RESOLVERS_MAX) {
        struct addr *addr = &snapshot->resolvers[snapshot->resolver_count];
        if (!span_eqs(word(&line), "nameserver") || !addr_parse(word(&line), addr))
            continue;
        addr->port = 53;
        snapshot->resolver_count++;
    }
    buf_clear(&text);
    return true;
}

bool snapshot_add_pem(const char *path, struct buf *out, struct err *err)
{
    struct buf text;
    if (!file_read(path, SNAPSHOT_PEM_MAX, &text, err)) {
        err->code = ERR_CONFIG;
        return err_wrap(err, "config.yaml: ca_file");
    }
    bool marked = text.len > 0 && strstr(buf_cstr(&text), "-----BEGIN CERTIFICATE-----");
    bool ok = marked ? buf_adds(out, "\n") && buf_add(out, text.data, text.len) : false;
    if (!ok)
        err_set(err, ERR_CONFIG, "config.yaml: ca_file: %s %s", path,
                marked ? "makes the roots too large" : "holds no certificate in PEM");
    buf_clear(&text);
    return ok;
}

bool snapshot_add_roots(struct snapshot *snapshot, struct span system_pem, struct err *err)
{
    const struct config *config = snapshot->rules->config;
    struct buf pem;
    buf_init(&pem, SNAPSHOT_PEM_MAX);
    bool ok = buf_add(&pem, system_pem.p, system_pem.len) ||
              err_set(err, ERR_LIMIT, "the system's roots are larger than %d bytes",
                      SNAPSHOT_PEM_MAX);
    ok = ok && (!config->tls.ca_file || snapshot_add_pem(config->tls.ca_file, &pem, err));
    if (ok) {
        free(snapshot->roots_pem);
        snapshot->roots_pem = mem_strdup(buf_cstr(&pem));
        snapshot->added_pem = snapshot->roots_pem + strnlen(snapshot->roots_pem, system_pem.len);
        snapshot->upstream_roots =
            mem_array(config->upstream_count + 1, sizeof *snapshot->upstream_roots);
    }
    buf_clear(&pem);
    for (size_t i = 0; ok && i < config->upstream_count; i++) {
        const struct config_upstream *upstream = &config->upstreams[i];
        if (!upstream->ca_file)
            continue;
        ok = snapshot_add_pem(upstream->ca_file, &pem, err);
        if (ok)
            snapshot->upstream_roots[snapshot->upstream_root_count++] = (struct snapshot_pem){
                .host = mem_strdup(upstream->host), .pem = mem_strdup(buf_cstr(&pem))};
        buf_clear(&pem);
    }
    return ok;
}

void snapshot_mint_sentinels(struct snapshot *snapshot, json_t *env_out)
{
    const struct bindings *bindings = snapshot->rules->bindings;
    snapshot->sentinels = mem_array(bindings_count(bindings) + 1, sizeof *snapshot->sentinels);
    for (size_t i = 0; i < bindings_count(bindings); i++) {
        const struct binding *binding = bindings_at(bindings, i);
        if (!binding->env)
            continue;
        struct snapshot_sentinel *sentinel = &snapshot->sentinels[snapshot->sentinel_count++];
        sentinel->binding = mem_strdup(binding->name);
        sentinel->value = binding_mint_sentinel(binding);
        for (size_t e = 0; binding->env[e]; e++) {
            if (!json_object_get(env_out, binding->env[e]))
                json_put(env_out, binding->env[e], sentinel->value);
        }
    }
}

/* ---- decisions ---- */

static void refuse(struct decision *out, const char *reason, bool ambiguous)
{
    out->action = POLICY_DENY;
    out->reason = reason;
    out->binding = NULL;
    out->ambiguous = ambiguous;
}

/* A binding of this host that depends on the path, where the path can be read in two ways. */
static bool path_matters(const struct bindings *bindings, const struct match_query *query)
{
    if (!query->ambiguous || !query->path.p)
        return false;
    for (size_t i = 0; i < bindings_count(bindings); i++) {
        const struct binding *binding = bindings_at(bindings, i);
        for (size_t h = 0; h < binding->host_count; h++) {
            const struct match *match = &binding->hosts[h];
            if (match->paths && match_host(match, query->host) && match_port(match, query->port))
                return true;
        }
    }
    return false;
}

/* The stricter of the user's decision and the project's. Which credential goes with it is the user's alone. */
static void decide_both(const struct snapshot *snapshot, const struct match_query *query, struct policy_decision *out)
{
    struct policy_decision project;
    policy_decide(snapshot->rules->policy, query, out);
    if (!snapshot->project)
        return;
    policy_decide(snapshot->project, query, &project);
    if (project.action <= out->action)
        return;
    out->action = project.action;
    out->rule = strcmp(project.rule, "network.default") == 0 ? POLICY_PROJECT_FILE " network.default" : project.rule;
    out->reason = project.reason ? project.reason : "the project's " POLICY_PROJECT_FILE " says so";
    out->ambiguous = project.ambiguous;
}

void snapshot_decide(const struct snapshot *snapshot, const struct match_query *query,
                     struct decision *out)
{
    const struct bindings *bindings = snapshot->rules->bindings;
    struct policy_decision policy;
    decide_both(snapshot, query, &policy);
    *out = (struct decision){.action = policy.action,
                             .rule = policy.rule,
                             .reason = policy.reason,
                             .ambiguous = policy.ambiguous};
    if (policy.action == POLICY_DENY) {
        if (!out->reason)
            out->reason = strcmp(policy.rule, "network.default") == 0
                              ? "no rule allows it, and network.default is deny"
                              : "the policy denies it";
        return;
    }
    if (policy.credential && strcmp(policy.credential, "none") == 0)
        return;
    if (path_matters(bindings, query)) {
        refuse(out, "the path can be read in two ways, and a credential of this host depends on it",
               true);
        return;
    }
    if (!policy.credential) {
        out->binding = binding_for(bindings, query);
        return;
    }
    out->binding = binding_named(bindings, policy.credential);
    if (!out->binding)
        refuse(out, "the rule names a credential that bindings.yaml does not have", false);
    else if (!binding_covers(out->binding, query))
        refuse(out, "the rule names a credential that is not for this host, method or path", false);
}

const char *decision_bar(const struct decision *decision, bool tls, struct span method)
{
    if (decision->binding && !tls) /* C05 */
        return "is never sent over plain http";
    if (decision->binding && span_eqs(method, "TRACE")) /* C06: it asks for what was put in */
        return "would be shown by TRACE";
    return NULL;
}

bool snapshot_needs_inside(const struct snapshot *snapshot, struct span host, uint16_t port)
{
    struct match_query query = {.host = host, .port = port};
    struct policy_decision decision;
    if (policy_needs_inside(snapshot->rules->policy, host, port) ||
        (snapshot->project && policy_needs_inside(snapshot->project, host, port)))
        return true;
    decide_both(snapshot, &query, &decision);
    if (decision.action == POLICY_DENY)
        return false;
    /* A certificate of ours can only be shown by us. */
    return config_client_cert(snapshot->rules->config, host, port) ||
           (!decision.credential && binding_any(snapshot->rules->bindings, host, port));
}

bool snapshot_token_ok(const struct snapshot *snapshot, struct span token)
{
    uint8_t hash[CRYPTO_HASH_LEN];
    crypto_sha256(token.p, token.len, hash);
    return secret_equal(hash, snapshot->token_hash, sizeof hash);
}
