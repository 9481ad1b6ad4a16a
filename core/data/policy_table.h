/* The inside of struct policy, shared by policy.c (decides) and policy_load.c (reads). */
#ifndef AILERON_DATA_POLICY_TABLE_H
#define AILERON_DATA_POLICY_TABLE_H

#include "core/data/policy.h"

struct policy_rule {
    char *name, *reason, *credential; /* reason and credential may be NULL */
    enum policy_action action;
    struct match match;
};
struct policy {
    enum policy_action network_default;
    bool private_allowed;
    struct cidr *cidrs;
    size_t cidr_count;
    struct policy_rule *rules; /* as written */
    size_t rule_count;
    struct match_row *rows; /* as tried: one for each path of each rule */
    size_t row_count;
    enum policy_action exec_default;
    struct policy_exec_rule *exec_rules;
    size_t exec_count;
    json_t *json;
};

#endif
