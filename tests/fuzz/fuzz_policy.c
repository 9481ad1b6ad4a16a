/* The user's YAML files under hostile bytes: whatever loads must also decide, be explained, and load again from
 * its own JSON. A project's file is under the agent's pen, so the parser meets hostile bytes for real. */
#include <stdlib.h>

#include "core/data/binding.h"
#include "core/data/config.h"
#include "core/data/policy.h"
#include "core/data/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_policy(const struct json_at *root, const struct match_query *query)
{
    struct err err;
    struct buf text;
    struct policy_decision decision;
    struct policy *policy = policy_from(root, &err);
    if (!policy)
        return;
    policy_decide(policy, query, &decision);
    if (policy_needs_inside(policy, query->host, query->port) && !decision.rule)
        abort();
    buf_init(&text, 1 << 22);
    if (!policy_explain(policy, &text) && text.len < text.max / 2)
        abort();
    buf_clear(&text);
    struct doc doc;
    doc_wrap(&doc, policy_json(policy), "again", ERR_CONFIG);
    struct json_at again = json_root(&doc);
    struct policy *same = policy_from(&again, &err);
    if (!same || policy_rule_count(same) != policy_rule_count(policy))
        abort();
    policy_free(same);
    doc_clear(&doc);
    policy_free(policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct doc doc;
    struct err err;
    struct match_query query = {.host = SPAN("api.example"), .port = 443, .method = SPAN("GET"),
                                .path = SPAN("/a/b/c")};
    if (!yaml_parse(data, size, "fuzz.yaml", &doc, &err))
        return 0;
    struct json_at root = json_root(&doc);
    use_policy(&root, &query);
    struct bindings *bindings = bindings_from(&root, &err);
    if (bindings) {
        const struct binding *binding = binding_for(bindings, &query);
        if (binding && !binding_covers(binding, &query))
            abort();
    }
    bindings_free(bindings);
    config_free(config_from(&root, "/", &err));
    doc_clear(&doc);
    return 0;
}
