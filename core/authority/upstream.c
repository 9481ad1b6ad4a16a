/* As in credential.c: what the worker says is not believed, the line on the record is written before the secret leaves,
 * and without it nothing leaves (threats C12, C13, F03). Which entry is handed out stands in config.yaml; a worker can
 * only name the place that it is for. */
#include "core/authority/upstream.h"

#include "core/authority/worker.h"
#include "core/base/secret.h"

#include <string.h>

enum { HOST_BYTES = 255 };
enum purpose { FOR_PROXY, FOR_CERTIFICATE };

struct ask {
    int purpose;
    const char *host, *entry;
    int64_t port;
    char username[VAULT_USERNAME_BYTES + 1];
};

static const struct purpose_row {
    const char *scheme; /* on the record */
    const char *what, *key;
    enum vault_kind kind;
} purposes[] = {
    [FOR_PROXY] = {"proxy", "the upstream proxy's credential", "network.upstream_proxy_credential", VAULT_BASIC},
    [FOR_CERTIFICATE] = {"mtls", "a client certificate", "upstreams.client_cert", VAULT_CERTIFICATE},
};

static bool read_ask(const struct json_at *at, struct ask *ask, struct err *err)
{
    static const char *const words[] = {"proxy", "certificate"};

    *ask = (struct ask){0};
    return json_get_word(at, "for", JSON_NEED, words, COUNT(words), &ask->purpose, err) &&
           json_get_text(at, "host", JSON_NEED, HOST_BYTES, &ask->host, err) &&
           json_get_int(at, "port", JSON_NEED, 1, 65535, &ask->port, err);
}

/* A host that the rules deny whatever is asked of it gets no connection, and so no certificate. */
static bool reachable(const struct session *session, const struct ask *ask)
{
    struct match_query query = {.host = span_of(ask->host), .port = (uint16_t)ask->port};
    struct decision decision;

    if (snapshot_needs_inside(session->snapshot, query.host, query.port))
        return true; /* decided for each request */
    snapshot_decide(session->snapshot, &query, &decision);
    return decision.action != POLICY_DENY;
}

/* The entry that the session's rules have for it; NULL and err: none. */
static const char *entry_for(const struct session *session, const struct ask *ask, struct err *err)
{
    const struct config *config = session->snapshot->rules->config;
    const struct purpose_row *row = &purposes[ask->purpose];

    if (!session_may_ask(session, err))
        return NULL;
    const char *entry = NULL;
    if (ask->purpose == FOR_PROXY)
        entry = config->network.proxy.host != NULL ? config->network.proxy.credential : NULL;
    else if (reachable(session, ask)) /* in another form than the canonical one no host has a row */
        entry = config_client_cert(config, span_of(ask->host), (uint16_t)ask->port);
    if (entry == NULL)
        err_set(err, ERR_DENIED, "no rule of this session gives %s to this connection", row->what);
    return entry;
}

static struct secret *fetch(struct session *session, struct ask *ask, struct err *err)
{
    const struct purpose_row *row = &purposes[ask->purpose];
    enum vault_kind kind;
    struct secret *secret = vault_get(session->monitor->vault, ask->entry, &kind, ask->username, err);

    if (secret == NULL) {
        err_wrap(err, "%s", row->key);
        return NULL;
    }
    if (kind == row->kind)
        return secret;
    err_set(err, ERR_CONFLICT, "%s: the vault's entry %s is of kind %s, and %s is needed", row->key, ask->entry,
            vault_kind_word(kind), vault_kind_word(row->kind));
    err_hint(err, "Put it anew with: aileron vault put --kind=%s %s", vault_kind_word(row->kind), ask->entry);
    secret_free(secret);
    return NULL;
}

static json_t *line(const struct session *session, const struct ask *ask, bool allowed)
{
    json_t *event = record_event("credential", session->id);

    json_put(event, "decision", policy_action_word(allowed ? POLICY_ALLOW : POLICY_DENY));
    json_put(event, "entry", ask->entry);
    json_put(event, "scheme", purposes[ask->purpose].scheme);
    json_put(event, "host", ask->host);
    json_put_int(event, "port", ask->port);
    return event;
}

static void hand_over(struct session *session, uint32_t id, const struct ask *ask, const struct secret *secret)
{
    worker_send_secrets(session, &(struct worker_secret){.id = id, .username = ask->username, .secret = secret}, 1);
}

bool upstream_ask(struct session *session, uint32_t id, const struct json_at *at, struct err *err)
{
    struct err why = {0};
    struct ask ask;

    if (!read_ask(at, &ask, err))
        return false;
    ask.entry = entry_for(session, &ask, &why);
    struct secret *secret = ask.entry != NULL ? fetch(session, &ask, &why) : NULL;
    if (secret != NULL && quota_write(session, line(session, &ask, true), &why)) {
        hand_over(session, id, &ask, secret);
    } else {
        json_t *event = line(session, &ask, false);
        json_put(event, "code", err_word(why.code));
        json_put(event, "reason", why.message);
        quota_note(session, event);
        worker_refuse(session, id, &why, NULL, NULL);
    }
    secret_free(secret);
    secret_wipe(ask.username, sizeof ask.username);
    return true;
}
