/* The catalogue: the connectors of a session as tools, and the store of installed connectors
 * ($AILERON_HOME/store/connectors/sha256/HASH/aileron.connector.v1.json, content-addressed). */
#ifndef AILERON_DATA_CATALOGUE_H
#define AILERON_DATA_CATALOGUE_H

#include "core/data/connector.h"

enum { CATALOGUE_CONNECTORS_MAX = 64, CATALOGUE_PROBLEMS_MAX = 64 };

struct catalogue {
    struct connector *connectors[CATALOGUE_CONNECTORS_MAX]; /* owned; sorted by fqn where loaded */
    size_t count;
    char *problems[CATALOGUE_PROBLEMS_MAX]; /* what was left out and why, for status */
    size_t problem_count;
};
struct catalogue *catalogue_new(void) MUSTUSE;
void catalogue_free(struct catalogue *catalogue);
/* Takes the connector on success. Two connectors with one fqn or one tool name: ERR_CONFLICT naming both. */
bool catalogue_add(struct catalogue *catalogue, struct connector *connector, struct err *err)
    MUSTUSE NONNULL;
/* A tool with the session's agent's name: ERR_CONFLICT naming both. */
bool catalogue_check_agent(const struct catalogue *catalogue, const char *agent, struct err *err)
    MUSTUSE NONNULL;
/* connector_fqn may be NULL. ERR_NOT_FOUND with what there is in the hint. */
const struct tool_operation *catalogue_find(const struct catalogue *catalogue,
                                            const char *connector_fqn, const char *tool,
                                            const char *operation, const struct connector **connector,
                                            struct err *err) MUSTUSE NONNULL_AT(1, 3, 4, 6);
const struct connector *catalogue_connector(const struct catalogue *catalogue, const char *fqn) NONNULL;

/* What is mounted: tools.txt for people, tools.json for programs:
 * {"version": 1, "tools": [{"name", "connector", "description", "operations": [{"name", "summary",
 *  "description", "method", "path", "host", "approval", "idempotency", "inputs": [{"name", "type", "in",
 *  "required", "description", "default"?, "enum"?}]}]}]} */
bool catalogue_text(const struct catalogue *catalogue, struct buf *out) MUSTUSE NONNULL;
json_t *catalogue_json(const struct catalogue *catalogue) MUSTUSE NONNULL; /* caller's reference */

/* Loads all that is installed under home. A connector that does not load, has another hash than its
 * folder says, or is in conflict with an earlier one is left out and named in problems. */
struct catalogue *catalogue_load(const char *home, struct err *err) MUSTUSE NONNULL;
/* Stores a connector; another version of the same fqn is replaced (the old folder goes last). */
bool catalogue_install(const char *home, const struct connector *connector, struct err *err)
    MUSTUSE NONNULL;
/* By fqn. ERR_NOT_FOUND. */
bool catalogue_remove(const char *home, const char *fqn, struct err *err) MUSTUSE NONNULL;

#endif
