/* Policy: the rules of policy.yaml as one sorted table, and the decision by it. Reading and checking the
 * file is in policy_load.c; credentials and bindings are joined in snapshot_decide. */
#include "core/data/policy.h"

#include <stdlib.h>

#include "core/data/policy_table.h"

const char *policy_action_word(enum policy_action action)
{
    switch (action) {
    case POLICY_ALLOW:
        return "allow";
    case POLICY_APPROVE:
        return "approve";
    case POLICY_DENY:
        return "deny";
    }
    return "deny";
}

void policy_free(struct policy *policy)
{
    if (!policy)
        return;
    for (size_t i = 0; i < policy->rule_count; i++) {
        struct policy_rule *rule = &policy->rules[i];
        match_clear(&rule->match);
        free(rule->name);
        free(rule->reason);
        free(rule->credential);
    }
    for (size_t i = 0; i < policy->exec_count; i++) {
        struct policy_exec_rule *rule = &policy->exec_rules[i];
        free(rule->name);
        free(rule->program);
        free(rule->reason);
        match_texts_free(rule->args);
    }
    free(policy->rules);
    free(policy->rows);
    free(policy->cidrs);
    free(policy->exec_rules);
    json_decref(policy->json);
    free(policy);
}

json_t *policy_json(const struct policy *policy)
{
    return policy->json;
}

static bool row_on_host(const struct match_row *row, struct span host, uint16_t port)
{
    return match_host(row->match, host) && match_port(row->match, port);
}

/* loose: as servers may read it that mind neither the case of letters nor a slash at the end. */
static bool path_matches(const char *glob, struct span path, bool loose)
{
    if (!loose)
        return glob_match(glob, path);
    if (glob_match_any_case(glob, path))
        return true;
    bool slash = path.len > 1 && path.p[path.len - 1] == '/';
    return slash && glob_match_any_case(glob, (struct span){path.p, path.len - 1});
}

/* loosely: the paths in rules that do not allow. */
static void decide(const struct policy *policy, const struct match_query *query, bool loosely,
                   struct policy_decision *out)
{
    *out = (struct policy_decision){.action = policy->network_default, .rule = "network.default"};
    for (size_t i = 0; i < policy->row_count; i++) {
        const struct match_row *row = &policy->rows[i];
        const struct policy_rule *rule = &policy->rules[row->owner];
        if (!row_on_host(row, query->host, query->port))
            continue;
        if (row->match->methods &&
            (!query->method.p || !match_method(row->match, query->method)))
            continue;
        if (row->path && query->path.p && query->ambiguous) {
            out->action = POLICY_DENY;
            out->rule = rule->name;
            out->reason = "the path can be read in two ways, and a rule of this host depends on it";
            out->ambiguous = true;
            return;
        }
        bool loose = loosely && rule->action != POLICY_ALLOW;
        if (row->path && (!query->path.p || !path_matches(row->path, query->path, loose)))
            continue;
        out->action = rule->action;
        out->rule = rule->name;
        out->reason = rule->reason;
        out->credential = rule->credential;
        return;
    }
}

/* Paths have letters of two cases (RFC 3986 6.2.2.1), and a slash at the end makes another one; not every server minds.
 * What a rule forbids, or asks a person about, is not had by such a spelling. */
void policy_decide(const struct policy *policy, const struct match_query *asked,
                   struct policy_decision *out)
{
    AUTOFREE char *memory = NULL;
    struct match_query query = *asked;
    struct policy_decision other;
    match_fold(&query, &memory);
    decide(policy, &query, false, out);
    if (!query.path.p || out->action == POLICY_DENY)
        return;
    decide(policy, &query, true, &other);
    if (other.action > out->action)
        *out = other;
}

bool policy_needs_inside(const struct policy *policy, struct span host, uint16_t port)
{
    for (size_t i = 0; i < policy->row_count; i++) {
        const struct match_row *row = &policy->rows[i];
        const struct policy_rule *rule = &policy->rules[row->owner];
        if (!row_on_host(row, host, port))
            continue;
        if (row->path || row->match->methods || rule->action == POLICY_APPROVE)
            return true;
        /* The first rule without conditions decides for all that came so far: what is less specific
         * never gets a turn. */
        return rule->action != POLICY_DENY && rule->credential &&
               strcmp(rule->credential, "none") != 0;
    }
    return false;
}

bool policy_address(const struct policy *policy, const struct addr *addr, bool own, const char **why)
{
    if (!addr_verdict(addr, policy->cidrs, policy->cidr_count, policy->private_allowed, why))
        return false;
    if (!own || addr_class(addr) != ADDR_PUBLIC)
        return true;
    for (size_t i = 0; i < policy->cidr_count; i++)
        if (cidr_match(&policy->cidrs[i], addr))
            return true;
    *why = "host's own";
    return false;
}

size_t policy_rule_count(const struct policy *policy)
{
    return policy->rule_count;
}

const char *policy_rule_name(const struct policy *policy, size_t index)
{
    return policy->rules[index].name;
}

const char *policy_rule_credential(const struct policy *policy, size_t index)
{
    return policy->rules[index].credential;
}

const struct match *policy_rule_match(const struct policy *policy, size_t index)
{
    return &policy->rules[index].match;
}

enum policy_action policy_exec_default(const struct policy *policy)
{
    return policy->exec_default;
}

const struct policy_exec_rule *policy_exec_rules(const struct policy *policy, size_t *count)
{
    *count = policy->exec_count;
    return policy->exec_rules;
}

static bool explain_row(const struct policy *policy, const struct match_row *row, struct buf *out)
{
    const struct policy_rule *rule = &policy->rules[row->owner];
    char name[160], reason[POLICY_TEXT_MAX * 2];
    text_display(span_of(rule->name), name, sizeof name);
    bool ok = buf_printf(out, "%-7s ", policy_action_word(rule->action));
    for (size_t i = 0; row->match->methods && row->match->methods[i]; i++)
        ok = ok && buf_printf(out, "%s%s", i > 0 ? "," : "", row->match->methods[i]);
    ok = ok && buf_printf(out, "%s%s%s", row->match->methods ? " " : "any ",
                          row->match->wild ? "*." : "", row->match->host);
    for (size_t i = 0; i < row->match->port_count; i++)
        ok = ok && buf_printf(out, "%c%u", i > 0 ? ',' : ':', row->match->ports[i]);
    ok = ok && buf_printf(out, "%s  (%s", row->path ? row->path : "", name);
    if (rule->credential)
        ok = ok && buf_printf(out, ", credential %s", rule->credential);
    if (rule->reason) {
        text_display(span_of(rule->reason), reason, sizeof reason);
        ok = ok && buf_printf(out, ": %s", reason);
    }
    return ok && buf_adds(out, ")\n");
}

bool policy_explain(const struct policy *policy, struct buf *out)
{
    bool ok = true;
    for (size_t i = 0; ok && i < policy->row_count; i++)
        ok = explain_row(policy, &policy->rows[i], out);
    ok = ok && buf_printf(out, "%-7s everything else  (network.default)\n",
                          policy_action_word(policy->network_default));
    return ok && buf_printf(out, "%-7s private addresses  (network.private), %zu allowed by name\n",
                            policy->private_allowed ? "allow" : "deny", policy->cidr_count);
}
