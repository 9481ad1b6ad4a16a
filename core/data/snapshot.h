/* The snapshot: all that a decision needs, immutable, the same structs in monitor and worker.
 *
 * The monitor loads the user's files (rules_load), adds what belongs to the session, writes one JSON
 * document (snapshot_write) into a sealed memfd; the worker reads it (snapshot_parse). Both ask
 * snapshot_decide. A broken file never loads in part: rules_load gives everything or an error. */
#ifndef AILERON_DATA_SNAPSHOT_H
#define AILERON_DATA_SNAPSHOT_H

#include "core/data/binding.h"
#include "core/data/catalogue.h"
#include "core/data/config.h"
#include "core/data/policy.h"

enum {
    SNAPSHOT_MAX = 32 * 1024 * 1024,
    SNAPSHOT_HOSTS_MAX = 4096, /* lines of /etc/hosts that are kept */
    SNAPSHOT_RESOLVERS_MAX = 4,
    SNAPSHOT_PEM_MAX = 4 * 1024 * 1024
};

/* What the user's files say; refcounted, immutable: sessions share one. */
struct rules {
    struct config *config;
    struct policy *policy;
    struct bindings *bindings;
    struct catalogue *catalogue;
    unsigned refs;
    bool has_policy; /* there is a policy.yaml */
};
/* config.yaml, policy.yaml, bindings.yaml and the store under home; missing files mean defaults. Also
 * checks across files: a rule's credential names a binding that exists and covers its host; a ca_file can be read. */
struct rules *rules_load(const char *home, struct err *err) MUSTUSE NONNULL;
struct rules *rules_ref(struct rules *rules) MUSTUSE NONNULL;
void rules_unref(struct rules *rules); /* NULL is fine */

struct snapshot_host {
    char *name; /* canonical, lower case */
    struct addr addr; /* port 0 */
};
struct snapshot_sentinel {
    char *binding, *value;
};
struct snapshot_pem { /* roots of one upstream, from its ca_file */
    char *host;
    char *pem;
};
struct snapshot {
    struct rules *rules;
    struct policy *project; /* of the workspace's own file: it only narrows; NULL: there was none */
    char *session;  /* ULID */
    char *agent;    /* "" for a command */
    char *engine;   /* "docker", "bwrap", ... */
    bool sealed;
    uint8_t token_hash[32]; /* SHA-256 of the launch token */
    struct snapshot_host *hosts;
    size_t host_count;
    struct addr resolvers[SNAPSHOT_RESOLVERS_MAX];
    size_t resolver_count;
    char *roots_pem;   /* the system's roots and tls.ca_file */
    const char *added_pem; /* in it: what tls.ca_file added; set by snapshot_add_roots, never sent */
    char *ca_cert_pem; /* the session's */
    char *ca_key_pem;  /* wiped when freed; NULL in the monitor's own copy */
    struct snapshot_pem *upstream_roots;
    size_t upstream_root_count;
    struct snapshot_sentinel *sentinels;
    size_t sentinel_count;
};
/* An empty snapshot around rules (a reference is taken): the monitor fills in the rest. */
struct snapshot *snapshot_new(struct rules *rules) MUSTUSE NONNULL;
void snapshot_free(struct snapshot *snapshot);
/* Reads /etc/hosts and /etc/resolv.conf (paths for tests), the roots (given as PEM), the files that
 * config names. Resolvers of the configuration take the place of the host's. */
bool snapshot_add_host_files(struct snapshot *snapshot, const char *hosts_path,
                             const char *resolv_path, struct err *err) MUSTUSE NONNULL;
bool snapshot_add_roots(struct snapshot *snapshot, struct span system_pem, struct err *err)
    MUSTUSE NONNULL_AT(1, 3);
/* Appends a ca_file. ERR_CONFIG where it cannot be read, is no PEM, or does not fit. */
bool snapshot_add_pem(const char *path, struct buf *out, struct err *err) MUSTUSE NONNULL;
/* One sentinel for each binding that has variables; env (NAME -> value) is put into env_out. */
void snapshot_mint_sentinels(struct snapshot *snapshot, json_t *env_out) NONNULL;
/* out is initialised here; buf_wipe it (it holds the CA's key). */
bool snapshot_write(const struct snapshot *snapshot, struct buf *out, struct err *err)
    MUSTUSE NONNULL;
struct snapshot *snapshot_parse(const void *bytes, size_t len, struct err *err) MUSTUSE NONNULL;

struct decision {
    enum policy_action action;
    const char *rule, *reason;     /* as in policy_decision; reason never NULL where denied */
    const struct binding *binding; /* the credential to write; NULL: none */
    bool ambiguous;
};
/* Policy, then bindings: the one decision for a request, in worker and monitor alike. A rule that names
 * a binding which does not cover the request is a denial. */
void snapshot_decide(const struct snapshot *snapshot, const struct match_query *query,
                     struct decision *out) NONNULL;
/* What no rule can allow: why the decision's credential cannot go with such a request, in words that follow its name;
 * NULL: it can, or there is none. */
const char *decision_bar(const struct decision *decision, bool tls, struct span method) NONNULL_AT(1);
/* TLS to this host and port must be opened. False: decide for the host alone and tunnel. */
bool snapshot_needs_inside(const struct snapshot *snapshot, struct span host, uint16_t port)
    MUSTUSE NONNULL;
/* True if the presented token is this session's; constant time. */
bool snapshot_token_ok(const struct snapshot *snapshot, struct span token) MUSTUSE NONNULL;

#endif
