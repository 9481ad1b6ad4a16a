/* The decision on one credential for one request (threats C12, C13). The worker has decided already; here it is
 * decided anew, with what this process knows: a worker that was taken over gains nothing by asking. The line on
 * the record is written before the secret leaves; without it nothing leaves (F03). */
#include "core/authority/credential.h"

#include "core/authority/approval.h"
#include "core/authority/operation.h"
#include "core/authority/worker.h"
#include "core/wire/target.h"

#include <string.h>

enum { METHOD_BYTES = 32, PATH_BYTES = 16 * 1024, HOST_BYTES = 255, NAME_BYTES = 512, ID_TEXT_BYTES = 31 };

struct ask {
    const char *binding, *host, *method, *path, *rule, *operation, *request;
    int64_t port;
};

static bool read_ask(const struct json_at *at, struct ask *ask, struct err *err)
{
    *ask = (struct ask){0};
    return json_get_text(at, "binding", JSON_NEED, BINDING_NAME_MAX, &ask->binding, err) &&
           json_get_text(at, "host", JSON_NEED, HOST_BYTES, &ask->host, err) &&
           json_get_int(at, "port", JSON_NEED, 1, 65535, &ask->port, err) &&
           json_get_text(at, "method", JSON_NEED, METHOD_BYTES, &ask->method, err) &&
           json_get_text(at, "path", JSON_NEED, PATH_BYTES, &ask->path, err) &&
           json_get_text(at, "rule", JSON_MAY, NAME_BYTES, &ask->rule, err) &&
           json_get_text(at, "operation", JSON_MAY, ID_TEXT_BYTES, &ask->operation, err) &&
           json_get_text(at, "request", JSON_MAY, ID_TEXT_BYTES, &ask->request, err);
}

bool credential_canonical(const char *host, const char *path, bool *ambiguous, struct err *err)
{
    struct target_host parsed;

    if (!target_host_parse(span_of(host), &parsed, err))
        return false;
    AUTOFREE char *canonical = target_path_canonical(span_of(path), ambiguous, err);
    if (canonical == NULL)
        return false;
    if (strcmp(canonical, path) == 0 && strcmp(parsed.name, host) == 0)
        return true;
    return err_set(err, ERR_DENIED, "the request is not in canonical form");
}

/* The binding that this session's rules give to this request; NULL and err where it is not the one asked for. */
static const struct binding *decide(struct session *session, const struct ask *ask,
                                    struct decision *decision, struct err *err)
{
    struct match_query query = {.host = span_of(ask->host), .port = (uint16_t)ask->port,
                                .method = span_of(ask->method), .path = span_of(ask->path)};

    if (!session_may_ask(session, err) || !credential_canonical(ask->host, ask->path, &query.ambiguous, err))
        return NULL;
    if (ask->operation != NULL) {
        if (!operation_credential(session, ask->operation, &query, decision, err))
            return NULL;
    } else {
        snapshot_decide(session->snapshot, &query, decision);
        if (decision->action == POLICY_APPROVE && approval_covers(session, ask->request, &query, ask->binding))
            decision->action = POLICY_ALLOW;
    }
    if (decision->action != POLICY_ALLOW) {
        err_set(err, ERR_DENIED, "the rules of this session do not allow this request: %s",
                decision->reason != NULL ? decision->reason : policy_action_word(decision->action));
        err_hint(err, "See aileron policy test");
        return NULL;
    }
    if (decision->binding != NULL && strcmp(decision->binding->name, ask->binding) == 0)
        return decision->binding;
    err_set(err, ERR_DENIED, "no rule of this session gives %s to this request", ask->binding);
    err_hint(err, "See aileron policy test, and bindings.yaml");
    return NULL;
}

/* C10: what would break a header line, or be taken for one, is not sent, wherever it came from. */
static bool printable(const struct secret *secret)
{
    const uint8_t *bytes = secret_bytes(secret);
    bool good = true;

    for (size_t i = 0; i < secret_len(secret); i++)
        good = good && bytes[i] >= 0x20 && bytes[i] != 0x7f;
    return good;
}

/* The secret of a binding, and the user name that goes with it ("" where there is none). */
static struct secret *fetch(struct session *session, const struct binding *binding,
                            char username[VAULT_USERNAME_BYTES + 1], struct err *err)
{
    enum vault_kind kind;
    struct secret *secret = vault_get(session->monitor->vault, binding->entry, &kind, username, err);

    if (secret == NULL) {
        err_wrap(err, "credential %s", binding->name);
        return NULL;
    }
    enum vault_kind wanted = binding->scheme == BINDING_BASIC && binding->username == NULL ? VAULT_BASIC : VAULT_TOKEN;
    if (kind != wanted) {
        err_set(err, ERR_CONFLICT, "credential %s: the vault's entry %s is of kind %s, the binding needs %s",
                binding->name, binding->entry, vault_kind_word(kind), vault_kind_word(wanted));
        err_hint(err, "Put it anew with: aileron vault put --kind=%s %s", vault_kind_word(wanted), binding->entry);
    } else if (!printable(secret)) {
        err_set(err, ERR_DATA, "credential %s: the secret holds a control character", binding->name);
        err_hint(err, "Put it anew, without the line's end: aileron vault put %s", binding->entry);
    } else {
        if (binding->username != NULL && strlen(binding->username) <= VAULT_USERNAME_BYTES)
            memcpy(username, binding->username, strlen(binding->username) + 1);
        return secret;
    }
    secret_free(secret);
    return NULL;
}

static json_t *line(const struct session *session, const struct ask *ask, const struct decision *decision,
                    const struct binding *binding)
{
    json_t *event = record_event("credential", session->id);

    json_put(event, "decision", policy_action_word(binding != NULL ? POLICY_ALLOW : POLICY_DENY));
    json_put(event, "binding", ask->binding);
    if (binding != NULL) {
        json_put(event, "entry", binding->entry);
        json_put(event, "scheme", binding_scheme_word(binding->scheme));
    }
    json_put(event, "host", ask->host);
    json_put_int(event, "port", ask->port);
    json_put(event, "method", ask->method);
    json_put(event, "path", ask->path);
    json_put(event, "rule", decision->rule);
    json_put(event, "operation", ask->operation);
    json_put(event, "request", ask->request);
    return event;
}

static void hand_over(struct session *session, uint32_t id, const struct binding *binding,
                      const char *username, const struct secret *secret)
{
    json_t *head JSON_AUTO = json_object();

    json_put(head, "binding", binding->name);
    if (username[0] != 0)
        json_put(head, "username", username);
    worker_send_secret(session, id, head, secret);
}

bool credential_ask(struct session *session, uint32_t id, const struct json_at *at, struct err *err)
{
    char username[VAULT_USERNAME_BYTES + 1] = "";
    struct err why = {0};
    struct decision decision = {0};
    struct ask ask;

    if (!read_ask(at, &ask, err))
        return false;
    const struct binding *binding = decide(session, &ask, &decision, &why);
    struct secret *secret = binding != NULL ? fetch(session, binding, username, &why) : NULL;
    if (secret != NULL &&
        quota_write(session, line(session, &ask, &decision, binding), &why)) {
        hand_over(session, id, binding, username, secret);
    } else {
        json_t *event = line(session, &ask, &decision, NULL);
        json_put(event, "code", err_word(why.code));
        json_put(event, "reason", why.message);
        quota_note(session, event);
        worker_refuse(session, id, &why, decision.rule, ask.operation);
    }
    secret_free(secret);
    secret_wipe(username, sizeof username);
    return true;
}
