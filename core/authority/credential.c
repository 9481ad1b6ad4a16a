/* The decision on one credential for one request (threats C12, C13). The worker has decided already; here it is
 * decided anew, with what this process knows: a worker that was taken over gains nothing by asking. A secret leaves by
 * round.c, when its line on the record was written; without it nothing leaves (F03). */
#include "core/authority/credential.h"

#include "core/authority/approval.h"
#include "core/authority/operation.h"
#include "core/base/secret.h"
#include "core/data/message.h"
#include "core/wire/target.h"

#include <stdlib.h>
#include <string.h>

enum { METHOD_BYTES = 32, PATH_BYTES = 16 * 1024, HOST_BYTES = 255, NAME_BYTES = 512, ID_TEXT_BYTES = 31 };
enum { LINE_BYTES = 64 * 1024, LINE_USUAL_BYTES = 1024 };

static bool read_ask(struct flat *flat, struct credential *ask, struct err *err)
{
    ask->used = flat->kind == MESSAGE_FLAT_USED;
    return flat_check(flat, message_ask_names, err) &&
           (ask->used ? flat_get_int(flat, "grant", 1, INT64_MAX, &ask->grant, err)
                      : flat_get_int(flat, "id", 1, MESSAGE_UNASKED - 1, &ask->id, err)) &&
           flat_get_text(flat, "binding", FLAT_NEED, BINDING_NAME_MAX, &ask->binding, err) &&
           flat_get_text(flat, "host", FLAT_NEED, HOST_BYTES, &ask->host, err) &&
           flat_get_int(flat, "port", 1, 65535, &ask->port, err) &&
           flat_get_text(flat, "method", FLAT_NEED, METHOD_BYTES, &ask->method, err) &&
           flat_get_text(flat, "path", FLAT_NEED, PATH_BYTES, &ask->path, err) &&
           flat_get_text(flat, "rule", FLAT_MAY, NAME_BYTES, &ask->rule, err) &&
           flat_get_text(flat, "operation", FLAT_MAY, ID_TEXT_BYTES, &ask->operation, err) &&
           flat_get_text(flat, "request", FLAT_MAY, ID_TEXT_BYTES, &ask->request, err);
}

/* The binding that this session's rules give to this request; NULL and ask->why where it is not the one asked for. */
static const struct binding *decide(struct session *session, struct credential *ask)
{
    struct decision *decision = &ask->decision;
    struct err *err = &ask->why;
    struct match_query query = {.host = span_of(ask->host), .port = (uint16_t)ask->port,
                                .method = span_of(ask->method), .path = span_of(ask->path)};

    if (!session_may_ask(session, err) || !target_is_canonical(ask->host, ask->path, &query.ambiguous, err))
        return NULL;
    if (ask->operation != NULL) {
        if (!operation_credential(session, ask->operation, &query, decision, err))
            return NULL;
    } else {
        snapshot_decide(session->snapshot, &query, decision);
        ask->lendable = decision->action == POLICY_ALLOW;
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

static void write_line(const struct session *session, struct credential *credential)
{
    const struct binding *given = credential->given;
    struct flat_out out;

    credential->text.len = 0;
    bool good = buf_reserve(&credential->text, LINE_USUAL_BYTES) != NULL &&
                audit_event_begin(&out, &credential->text, "credential");
    bool done = given != NULL || credential->used;
    flat_put(&out, "decision", policy_action_word(done ? POLICY_ALLOW : POLICY_DENY));
    flat_put(&out, "binding", credential->binding);
    if (given != NULL) {
        flat_put(&out, "entry", given->entry);
        flat_put(&out, "scheme", binding_scheme_word(given->scheme));
    }
    flat_put(&out, "host", credential->host);
    flat_put_int(&out, "port", credential->port);
    flat_put(&out, "method", credential->method);
    flat_put(&out, "path", credential->path);
    flat_put(&out, "rule", credential->decision.rule);
    flat_put(&out, "operation", credential->operation);
    flat_put(&out, "request", credential->request);
    if (!done) {
        flat_put(&out, "code", err_word(credential->why.code));
        flat_put(&out, "reason", credential->why.message);
    } else if (given == NULL) {
        flat_put(&out, "reason", "by the rules and the vault as they were a moment before");
    }
    struct err err = {0};
    good = flat_end(&out) && good;
    struct span rest = {(const char *)credential->text.data, credential->text.len};
    if (!good || !audit_entry_take(&rest, false, &credential->entry, &err))
        abort(); /* all that it is made of is bounded and checked */
    credential->entry.session = session->id;
}

/* Under the number that things are lent under now, the rules must give it; what was done under an earlier one was taken
 * back meanwhile, and the line says so. */
static bool may_have_used(const struct session *session, struct credential *credential, bool dead, struct err *err)
{
    uint64_t grant = (uint64_t)credential->grant;

    if (grant == session->lease.grant && credential->given != NULL && credential->lendable)
        return true;
    if (dead || grant < session->lease.grant) {
        credential->given = NULL;
        return true;
    }
    return err_set(err, ERR_DATA, "a use of %s that was not lent for this", credential->binding);
}

struct credential *credential_new(struct session *session, struct flat *ask, bool dead, struct err *err)
{
    struct credential *credential = mem_alloc(sizeof *credential);

    buf_init(&credential->text, LINE_BYTES);
    bool good = read_ask(ask, credential, err);
    credential->given = good ? decide(session, credential) : NULL;
    if (!good || (credential->used && !may_have_used(session, credential, dead, err))) {
        credential_free(credential);
        return NULL;
    }
    if (!credential->used && credential->given != NULL)
        credential->secret = fetch(session, credential->given, credential->username, &credential->why);
    if (!credential->used && credential->secret == NULL)
        credential->given = NULL;
    write_line(session, credential);
    return credential;
}

void credential_refuse(struct session *session, struct credential *credential, const struct err *why)
{
    secret_free(credential->secret);
    credential->secret = NULL;
    credential->given = NULL;
    credential->why = *why;
    write_line(session, credential);
}

void credential_free(struct credential *credential)
{
    if (credential == NULL)
        return;
    secret_free(credential->secret);
    secret_wipe(credential->username, sizeof credential->username);
    buf_clear(&credential->text);
    free(credential);
}
