/* The project's file: the same document as the user's, without what could widen anything. */
#include "core/data/policy_table.h"

#include <stdlib.h>

#include "core/base/file.h"
#include "core/data/yaml.h"

static bool only_narrows(const struct json_at *at, struct err *err)
{
    static const char *const wide[] = {"private", "allow_private"};
    struct json_at network, list, named;
    for (size_t i = 0; json_member(at, "network", &network) && i < COUNT(wide); i++)
        if (json_member(&network, wide[i], &named))
            return json_fail(&named, err, "a project's file cannot open private addresses; that is for policy.yaml");
    if (!json_member(at, "rules", &list))
        return true;
    for (size_t i = 0; i < json_array_size(list.node); i++) {
        struct json_at rule = json_element(&list, i);
        if (json_member(&rule, "credential", &named))
            return json_fail(&named, err, "a project's file names no credentials; that is for policy.yaml");
    }
    return true;
}

/* A yes for the session is given to a rule's name: a project that takes the name of a rule of the user's must not get
 * the yes that was meant for its own. */
static void own_names(struct policy *policy)
{
    for (size_t i = 0; i < policy->rule_count; i++) {
        char *name = policy->rules[i].name;
        policy->rules[i].name = mem_printf(POLICY_PROJECT_FILE " %s", name);
        free(name);
    }
}

struct policy *policy_project_from(const struct json_at *at, struct err *err)
{
    struct policy *policy = policy_from(at, err);
    if (policy && only_narrows(at, err)) {
        own_names(policy);
        return policy;
    }
    policy_free(policy);
    return NULL;
}

#define HINT "Correct it: aileron.yaml(5) says what may stand there. The directory's agents can write it, too"

bool policy_project_read(const char *workspace, struct policy **out, struct err *err)
{
    AUTOFREE char *path = file_join(workspace, POLICY_PROJECT_FILE);
    struct doc doc CLEANUP(doc_clear) = {0};
    struct err why = {0};
    *out = NULL;
    if (!yaml_read(path, &doc, &why)) {
        if (why.code == ERR_NOT_FOUND)
            return true;
        *err = why;
        err->code = ERR_CONFIG;
        return err_hint_default(err, HINT);
    }
    struct json_at at = json_root(&doc);
    *out = policy_project_from(&at, err);
    return *out != NULL || err_hint_default(err, HINT);
}
