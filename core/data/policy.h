/* Policy: what a session may do on the network, decided without I/O on an immutable table.
 *
 * Most specific rule first: exact host > longer wildcard > shorter; longer literal beginning of the path;
 * methods given; ports given; then deny > approve > allow; then the one written first. No rule:
 * network.default. A rule's name is what denials and the record show: its own, or "rules[N]". */
#ifndef AILERON_DATA_POLICY_H
#define AILERON_DATA_POLICY_H

#include "core/data/match.h"
#include "core/wire/addr.h"

enum { POLICY_RULES_MAX = 1000, POLICY_CIDRS_MAX = 64, POLICY_TEXT_MAX = 512 };

enum policy_action { POLICY_ALLOW, POLICY_APPROVE, POLICY_DENY };
const char *policy_action_word(enum policy_action action); /* "allow", "approve", "deny" */

struct policy_decision {
    enum policy_action action;
    const char *rule;       /* borrowed from the policy; "network.default" where no rule matched */
    const char *reason;     /* the rule's own; NULL where it has none */
    const char *credential; /* a binding's name, "none", or NULL where the rule is silent */
    bool ambiguous;         /* denied since a path rule met an ambiguous path: answer 400 */
};

struct policy; /* immutable */
/* Validates and builds. With NULL at: what holds without a policy.yaml (allow, private denied). Refuses
 * metadata addresses in allow_private (E07), unknown keys, rules that cannot match. */
struct policy *policy_from(const struct json_at *at, struct err *err) MUSTUSE NONNULL_AT(2);
/* A project's own file, which is under the agent's pen and so may only narrow what the user's policy allows: no
 * credentials, no private addresses. Beside the user's policy the stricter of both decisions counts. */
struct policy *policy_project_from(const struct json_at *at, struct err *err) MUSTUSE NONNULL;
#define POLICY_PROJECT_FILE ".aileron.yaml" /* in the workspace */
/* That file of a workspace. False: err; *out is NULL where there is none. */
bool policy_project_read(const char *workspace, struct policy **out, struct err *err) MUSTUSE NONNULL;
void policy_free(struct policy *policy);
json_t *policy_json(const struct policy *policy) NONNULL; /* borrowed: as it was written */

/* method and path unknown: rules that need them are passed over (then ask policy_needs_inside first). */
void policy_decide(const struct policy *policy, const struct match_query *query,
                   struct policy_decision *out) NONNULL;
/* Whether a rule that can decide for this host and port needs to see inside TLS: it names a credential,
 * methods, paths, or asks for approval. Bindings are not looked at here: see snapshot_needs_inside. */
bool policy_needs_inside(const struct policy *policy, struct span host, uint16_t port) MUSTUSE NONNULL;
/* Address policy (design 6.3): allow_private lists and network.private. own: it is one of this machine's, so that a
 * public one leads to the services that loopback leads to. False with the reason in words ("metadata", ...). */
bool policy_address(const struct policy *policy, const struct addr *addr, bool own, const char **why)
    MUSTUSE NONNULL;

size_t policy_rule_count(const struct policy *policy) NONNULL;
const char *policy_rule_name(const struct policy *policy, size_t index) NONNULL;
/* NULL where the rule names none. */
const char *policy_rule_credential(const struct policy *policy, size_t index) NONNULL;
const struct match *policy_rule_match(const struct policy *policy, size_t index) NONNULL;
/* The rules in the order in which they are tried, one line each, for people. */
bool policy_explain(const struct policy *policy, struct buf *out) MUSTUSE NONNULL;

/* The exec section (design 12), as read; matched by the exec mediator. */
struct policy_exec_rule {
    char *name, *program, *reason;
    char **args; /* globs; NULL-terminated */
    enum policy_action action;
};
enum policy_action policy_exec_default(const struct policy *policy) NONNULL;
const struct policy_exec_rule *policy_exec_rules(const struct policy *policy, size_t *count) NONNULL;

#endif
