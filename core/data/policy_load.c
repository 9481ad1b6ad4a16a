/* Reads and checks policy.yaml: every key, with line and column of what is wrong. It decides nothing. */
#include <stdlib.h>

#include "core/data/policy_table.h"

static const char *const action_words[] = {"allow", "approve", "deny"}; /* order of the enum */

static bool action_from(const struct json_at *at, const char *key, enum json_need need,
                        size_t count, enum policy_action *out, struct err *err)
{
    int word = (int)*out;
    if (!json_get_word(at, key, need, action_words, count, &word, err))
        return false;
    *out = (enum policy_action)word;
    return true;
}

static char *copy_or_null(const char *text)
{
    return text && *text ? mem_strdup(text) : NULL;
}

static char *name_or_place(const char *name, const char *list, size_t index)
{
    return name && *name ? mem_strdup(name) : mem_printf("%s[%zu]", list, index);
}

static bool rule_from(struct policy_rule *rule, const struct json_at *at, struct err *err)
{
    static const char *const keys[] = {"name",  "host",   "port",       "ports", "methods",
                                       "paths", "action", "credential", "reason", NULL};
    const char *name = NULL, *reason = NULL, *credential = NULL;
    struct json_at host, named;
    rule->action = POLICY_DENY;
    if (!json_only(at, keys, err) || !json_get_text(at, "name", JSON_MAY, 128, &name, err))
        return false;
    rule->name = name_or_place(name, "rules", at->index);
    if (!json_member(at, "host", &host))
        return json_fail(at, err, "'host' is missing");
    if (!match_host_from(&rule->match, &host, err) || !match_limits_from(&rule->match, at, err) ||
        !action_from(at, "action", JSON_NEED, COUNT(action_words), &rule->action, err) ||
        !json_get_text(at, "credential", JSON_MAY, 128, &credential, err) ||
        !json_get_text(at, "reason", JSON_MAY, POLICY_TEXT_MAX, &reason, err))
        return false;
    rule->credential = copy_or_null(credential);
    rule->reason = copy_or_null(reason);
    if (rule->credential && rule->action == POLICY_DENY && json_member(at, "credential", &named))
        return json_fail(&named, err, "a rule that denies uses no credential");
    return true;
}

static bool rules_from(struct policy *policy, const struct json_at *at, struct err *err)
{
    struct json_at list;
    size_t count, rows = 0;
    if (!json_get_list(at, "rules", JSON_MAY, POLICY_RULES_MAX, &list, &count, err))
        return false;
    policy->rules = mem_array(count + 1, sizeof *policy->rules);
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        policy->rule_count++;
        if (!rule_from(&policy->rules[i], &entry, err))
            return false;
        for (size_t p = 0; policy->rules[i].match.paths && policy->rules[i].match.paths[p]; p++)
            rows++;
    }
    policy->rows = mem_array(count + rows + 1, sizeof *policy->rows);
    for (size_t i = 0; i < count; i++) {
        const struct policy_rule *rule = &policy->rules[i];
        struct match_row row = {.match = &rule->match, .owner = i, .weight = (int)rule->action};
        if (!rule->match.paths)
            policy->rows[policy->row_count++] = row;
        for (size_t p = 0; rule->match.paths && rule->match.paths[p]; p++) {
            row.path = rule->match.paths[p];
            policy->rows[policy->row_count++] = row;
        }
    }
    match_sort(policy->rows, policy->row_count);
    return true;
}

static bool cidrs_from(struct policy *policy, const struct json_at *at, struct err *err)
{
    struct json_at list;
    size_t count;
    if (!json_get_list(at, "allow_private", JSON_MAY, POLICY_CIDRS_MAX, &list, &count, err))
        return false;
    policy->cidrs = mem_array(count + 1, sizeof *policy->cidrs);
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        struct cidr *cidr = &policy->cidrs[i];
        const char *text = NULL;
        if (!json_text_of(&entry, 64, &text, err))
            return false;
        if (!cidr_parse(span_of(text), cidr))
            return json_fail(&entry, err, "must be an address or a range, like 10.1.2.3/32");
        if (cidr_has_metadata(cidr)) { /* E07 */
            json_fail(&entry, err,
                      "holds a cloud metadata address, which hands out credentials: never allowed");
            return err_hint(err, "List only the hosts that are needed, like 10.1.2.3/32");
        }
        policy->cidr_count++;
    }
    return true;
}

static bool network_from(struct policy *policy, const struct json_at *root, struct err *err)
{
    static const char *const keys[] = {"default", "private", "allow_private", NULL};
    static const char *const words[] = {"allow", "deny"};
    struct json_at at;
    bool present;
    int word = 0, private_word = 1;
    if (!json_get_object(root, "network", JSON_MAY, &at, &present, err))
        return false;
    if (!present)
        return true;
    if (!json_only(&at, keys, err) ||
        !json_get_word(&at, "default", JSON_MAY, words, COUNT(words), &word, err) ||
        !json_get_word(&at, "private", JSON_MAY, words, COUNT(words), &private_word, err))
        return false;
    policy->network_default = word == 0 ? POLICY_ALLOW : POLICY_DENY;
    policy->private_allowed = private_word == 0;
    return cidrs_from(policy, &at, err);
}

static bool exec_rule_from(struct policy_exec_rule *rule, const struct json_at *at, struct err *err)
{
    static const char *const keys[] = {"name", "program", "args", "action", "reason", NULL};
    const char *name = NULL, *program = NULL, *reason = NULL;
    rule->action = POLICY_DENY;
    if (!json_only(at, keys, err) || !json_get_text(at, "name", JSON_MAY, 128, &name, err) ||
        !json_get_text(at, "program", JSON_NEED, 4096, &program, err) ||
        !match_texts_from(at, "args", JSON_MAY, 64, 1024, &rule->args, err) ||
        !action_from(at, "action", JSON_NEED, COUNT(action_words), &rule->action, err) ||
        !json_get_text(at, "reason", JSON_MAY, POLICY_TEXT_MAX, &reason, err))
        return false;
    rule->name = name_or_place(name, "exec.rules", at->index);
    rule->program = mem_strdup(program);
    rule->reason = copy_or_null(reason);
    return true;
}

static bool exec_from(struct policy *policy, const struct json_at *root, struct err *err)
{
    static const char *const keys[] = {"default", "rules", NULL};
    struct json_at at, list;
    bool present;
    size_t count;
    if (!json_get_object(root, "exec", JSON_MAY, &at, &present, err))
        return false;
    if (!present)
        return true;
    if (!json_only(&at, keys, err) ||
        !action_from(&at, "default", JSON_MAY, COUNT(action_words), &policy->exec_default, err) ||
        !json_get_list(&at, "rules", JSON_MAY, POLICY_RULES_MAX, &list, &count, err))
        return false;
    policy->exec_rules = mem_array(count + 1, sizeof *policy->exec_rules);
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        policy->exec_count++;
        if (!exec_rule_from(&policy->exec_rules[i], &entry, err))
            return false;
    }
    return true;
}

struct policy *policy_from(const struct json_at *at, struct err *err)
{
    static const char *const keys[] = {"version", "network", "rules", "exec", NULL};
    struct policy *policy = mem_alloc(sizeof *policy);
    policy->network_default = POLICY_ALLOW;
    policy->exec_default = POLICY_ALLOW;
    if (!at) {
        policy->json = json_pack("{s:i}", "version", 1);
        return policy;
    }
    policy->json = json_incref(at->node);
    if (json_only(at, keys, err) && json_want_version(at, 1, err) &&
        network_from(policy, at, err) && rules_from(policy, at, err) && exec_from(policy, at, err))
        return policy;
    policy_free(policy);
    return NULL;
}
