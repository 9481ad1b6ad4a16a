/* The user's files as one whole: config.yaml, policy.yaml, bindings.yaml and the installed connectors, loaded
 * together or not at all, and checked against each other. */
#include <stdlib.h>

#include "core/base/file.h"
#include "core/data/snapshot.h"
#include "core/data/yaml.h"

/* *present false: there is no such file, which is fine. */
static bool read_file(const char *home, const char *name, struct doc *doc, bool *present,
                      struct err *err)
{
    AUTOFREE char *path = file_join(home, name);
    struct err why;
    *present = yaml_read(path, doc, &why);
    if (*present || why.code == ERR_NOT_FOUND)
        return true;
    *err = why;
    err->code = ERR_CONFIG;
    return false;
}

/* Whether some host can be meant by both patterns. */
static bool overlap(const struct match *a, const struct match *b)
{
    struct span host_a = span_of(a->host), host_b = span_of(b->host);
    if (!a->wild)
        return match_host(b, host_a);
    if (!b->wild)
        return match_host(a, host_b);
    return span_eq(host_a, host_b) || match_host(a, host_b) || match_host(b, host_a);
}

static bool binding_reaches(const struct binding *binding, const struct match *rule)
{
    for (size_t i = 0; i < binding->host_count; i++) {
        if (overlap(&binding->hosts[i], rule))
            return true;
    }
    return false;
}

/* A rule that names a credential which is not there, or never goes to its host, could only ever refuse. */
static bool credentials_fit(const struct rules *rules, const struct json_at *policy, struct err *err)
{
    struct json_at list, named;
    if (!json_member(policy, "rules", &list))
        return true;
    for (size_t i = 0; i < policy_rule_count(rules->policy); i++) {
        const char *name = policy_rule_credential(rules->policy, i);
        struct json_at rule = json_element(&list, i);
        if (!name || strcmp(name, "none") == 0 || !json_member(&rule, "credential", &named))
            continue;
        const struct binding *binding = binding_named(rules->bindings, name);
        if (!binding)
            return json_fail(&named, err, "there is no binding named %s in bindings.yaml", name);
        if (!binding_reaches(binding, policy_rule_match(rules->policy, i)))
            return json_fail(&named, err, "binding %s does not go to this rule's host", name);
    }
    return true;
}

/* What a person relies on and this version does not do yet is an error, not a promise that nobody keeps. */
static bool all_kept(const struct json_at *config, const struct json_at *policy, struct err *err)
{
    struct json_at section, at;
    if (policy && json_member(policy, "exec", &at))
        return json_fail(&at, err, "this version does not enforce rules about programs; take 'exec' out");
    if (!config)
        return true;
    if (json_member(config, "audit", &section) && json_member(&section, "anchor", &at) && json_array_size(at.node) > 0)
        return json_fail(&at, err, "this version gives heads of the record to no command; keep them by: aileron audit "
                                   "verify");
    return true;
}

static bool load_documents(struct rules *rules, const char *home, struct err *err)
{
    struct doc config = {0}, policy = {0}, bindings = {0};
    bool has_config = false, has_policy = false, has_bindings = false;
    bool ok = read_file(home, "config.yaml", &config, &has_config, err) &&
              read_file(home, "policy.yaml", &policy, &has_policy, err) &&
              read_file(home, "bindings.yaml", &bindings, &has_bindings, err);
    rules->has_policy = has_policy;
    if (ok) {
        struct json_at config_at = json_root(&config), policy_at = json_root(&policy),
                       bindings_at_ = json_root(&bindings);
        ok = (rules->config = config_from(has_config ? &config_at : NULL, home, err)) != NULL &&
             (rules->policy = policy_from(has_policy ? &policy_at : NULL, err)) != NULL &&
             (rules->bindings = bindings_from(has_bindings ? &bindings_at_ : NULL, err)) != NULL &&
             (!has_policy || credentials_fit(rules, &policy_at, err)) &&
             all_kept(has_config ? &config_at : NULL, has_policy ? &policy_at : NULL, err);
    }
    doc_clear(&config);
    doc_clear(&policy);
    doc_clear(&bindings);
    return ok;
}

/* What a session would fail for later, each by itself and in silence, is an error here. */
static bool roots_good(const struct config *config, struct err *err)
{
    bool good = true;
    for (size_t i = 0; good && i <= config->upstream_count; i++) {
        const char *path = i < config->upstream_count ? config->upstreams[i].ca_file : config->tls.ca_file;
        struct buf pem;
        buf_init(&pem, SNAPSHOT_PEM_MAX);
        good = !path || snapshot_add_pem(path, &pem, err);
        buf_clear(&pem);
    }
    return good;
}

struct rules *rules_load(const char *home, struct err *err)
{
    struct rules *rules = mem_alloc(sizeof *rules);
    rules->refs = 1;
    if (!load_documents(rules, home, err) || !roots_good(rules->config, err))
        err_hint_default(err, "Correct it: aileron.yaml(5) says what may stand there");
    else if ((rules->catalogue = catalogue_load(home, err)) != NULL)
        return rules;
    rules_unref(rules);
    return NULL;
}

struct rules *rules_ref(struct rules *rules)
{
    rules->refs++;
    return rules;
}

void rules_unref(struct rules *rules)
{
    if (!rules || --rules->refs > 0)
        return;
    config_free(rules->config);
    policy_free(rules->policy);
    bindings_free(rules->bindings);
    catalogue_free(rules->catalogue);
    free(rules);
}
