/* Routes of the control API for the vault. Secrets travel as raw bytes behind a JSON object and a NUL, never in
 * JSON, so that every copy can be wiped. Each access is on the record, by entry and never by content. */
#include "core/authority/control.h"

#include "core/authority/state.h"
#include "core/base/proc.h"

#include <string.h>

enum { MEMBER_BYTES = 64, WORD_BYTES = 32 };

/* Writes the line for an action; false and answered where it cannot be written (no record, no secret). */
static bool on_record(struct monitor *monitor, struct service_request *req, const char *action,
                      const char *entry, const struct err *failed)
{
    struct err err = {0};
    pid_t pid = 0;
    uid_t uid = 0;
    const struct conn *conn = service_conn(service_of(req));
    json_t *event = record_event("vault", NULL);

    json_put(event, "action", action);
    json_put(event, "entry", entry);
    json_put_bool(event, "ok", failed->code == ERR_NONE);
    if (failed->code != ERR_NONE) {
        json_put(event, "code", err_word(failed->code));
        json_put(event, "message", failed->message);
    }
    if (conn != NULL && proc_peer(conn_fd(conn), &pid, &uid))
        json_put_int(event, "pid", pid);
    if (record_write(monitor->record, event, &err))
        return true;
    control_fail(req, &err);
    return false;
}

/* A change that was announced on the record and did not happen. */
static void note_failure(struct monitor *monitor, const char *action, const char *entry, const struct err *err)
{
    json_t *event = record_event("vault", NULL);

    json_put(event, "action", action);
    json_put(event, "entry", entry);
    json_put_bool(event, "ok", false);
    json_put(event, "code", err_word(err->code));
    json_put(event, "message", err->message);
    record_note(monitor->record, event);
}

static void done(struct service_request *req, const struct err *err)
{
    if (err->code == ERR_NONE)
        control_reply(req, 200, json_pack("{s:b}", "ok", 1));
    else
        control_fail(req, err);
}

static void get_vault(struct monitor *monitor, struct service_request *req, struct span id)
{
    struct err err = {0};
    json_t *answer = json_object();

    (void)id;
    enum vault_state state = vault_state(monitor->vault, &err);
    json_put(answer, "state", vault_state_word(state));
    if (state == VAULT_LOCKED || state == VAULT_UNLOCKED)
        json_object_set_new(answer, "members", vault_members(monitor->vault, &err));
    if (state == VAULT_DAMAGED)
        json_object_set_new(answer, "error", json_pack("{s:s, s:s, s:s}", "code", err_word(err.code), "message",
                                                       err.message, "hint", err.hint));
    json_put_bool(answer, "cache_keyring", monitor->rules->config->vault.cache_keyring);
    control_reply(req, 200, answer);
}

/* The key made from the passphrase, as it stands behind the NUL. NULL and err where it has another size. */
static struct secret *read_kek(struct span raw, struct err *err)
{
    if (raw.len == VAULT_KEY_BYTES)
        return secret_new(raw.p, raw.len);
    err_set(err, ERR_DATA, "the key must have %d bytes", VAULT_KEY_BYTES);
    return NULL;
}

/* {"member": "owner", "kdf": .., "salt": .., "t": .., "m_kib": .., "p": ..} NUL key */
static void post_init(struct monitor *monitor, struct service_request *req, struct span id)
{
    struct doc doc = {0};
    struct span raw;
    struct vault_kdf kdf;
    struct err err = {0};
    const char *member;

    (void)id;
    if (!control_secret_body(req, &doc, &raw))
        return;
    struct json_at at = json_root(&doc);
    struct secret *kek = read_kek(raw, &err);
    if (kek != NULL && json_get_text(&at, "member", JSON_NEED, MEMBER_BYTES, &member, &err) &&
        vault_kdf_from_json(at.node, &kdf, &err) && !vault_init(monitor->vault, member, &kdf, kek, &err))
        err_wrap(&err, "vault init");
    state_follow_vault(monitor);
    secret_free(kek);
    if (on_record(monitor, req, "init", NULL, &err))
        done(req, &err);
    doc_clear(&doc);
}

/* {"member"?: "owner", "cache"?: "none" | "keyring", "timeout_ms"?: N, "older"?: true} NUL key */
static void post_unlock(struct monitor *monitor, struct service_request *req, struct span id)
{
    static const char *const caches[] = {"none", "keyring"};
    const struct config *config = monitor->rules->config;
    int64_t timeout_ms = (int64_t)config->vault.cache_timeout_ms;
    int cache = config->vault.cache_keyring;
    const char *member = NULL;
    struct doc doc = {0};
    struct span raw;
    struct err err = {0};
    bool older = false;

    (void)id;
    if (!control_secret_body(req, &doc, &raw))
        return;
    struct json_at at = json_root(&doc);
    struct secret *kek = read_kek(raw, &err);
    if (kek != NULL && json_get_text(&at, "member", JSON_MAY, MEMBER_BYTES, &member, &err) &&
        json_get_word(&at, "cache", JSON_MAY, caches, COUNT(caches), &cache, &err) &&
        json_get_int(&at, "timeout_ms", JSON_MAY, 1000, (int64_t)30 * 86400 * 1000, &timeout_ms, &err) &&
        json_get_bool(&at, "older", JSON_MAY, &older, &err) && vault_unlock(monitor->vault, member, kek, &err) &&
        state_take_vault(monitor, older, &err) && cache == 1 &&
        !vault_cache_store(monitor->vault, (uint64_t)timeout_ms / 1000, &err))
        err_wrap(&err, "vault unlock");
    secret_free(kek);
    if (on_record(monitor, req, "unlock", NULL, &err))
        done(req, &err);
    doc_clear(&doc);
}

static void post_lock(struct monitor *monitor, struct service_request *req, struct span id)
{
    struct err err = {0};

    (void)id;
    vault_lock(monitor->vault);
    state_follow_vault(monitor);
    vault_cache_forget(monitor->vault);
    if (on_record(monitor, req, "lock", NULL, &err))
        done(req, &err);
}

static void list_entries(struct monitor *monitor, struct service_request *req, struct span id)
{
    struct err err = {0};
    json_t *list = vault_list(monitor->vault, &err);

    (void)id;
    if (list != NULL)
        control_reply(req, 200, json_pack("{s:o}", "entries", list));
    else
        control_fail(req, &err);
}

/* {"path": .., "kind": "token" | "basic" | "certificate", "username"?: ..} NUL secret */
static void put_entry(struct monitor *monitor, struct service_request *req, struct span id)
{
    static const char *const kinds[] = {"token", "basic", "certificate"}; /* as enum vault_kind */
    const char *path = NULL, *username = NULL;
    int kind = VAULT_TOKEN;
    struct doc doc = {0};
    struct span raw;
    struct err err = {0};

    (void)id;
    if (!control_secret_body(req, &doc, &raw))
        return;
    struct json_at at = json_root(&doc);
    if (json_get_text(&at, "path", JSON_NEED, VAULT_PATH_BYTES, &path, &err) &&
        json_get_word(&at, "kind", JSON_MAY, kinds, COUNT(kinds), &kind, &err) &&
        json_get_text(&at, "username", JSON_MAY, VAULT_USERNAME_BYTES, &username, &err) &&
        on_record(monitor, req, "put", path, &err)) {
        if (vault_put(monitor->vault, path, (enum vault_kind)kind, username, raw.p, raw.len, &err))
            state_saw_vault(monitor);
        else
            note_failure(monitor, "put", path, &err);
        done(req, &err);
    } else if (err.code != ERR_NONE) {
        control_fail(req, &err);
    }
    doc_clear(&doc);
}

/* {"path": ..}; false: answered. The doc is the caller's to clear where true. */
static bool read_path(struct service_request *req, struct doc *doc, const char **path)
{
    struct err err = {0};

    if (!control_body(req, doc))
        return false;
    struct json_at at = json_root(doc);
    if (json_get_text(&at, "path", JSON_NEED, VAULT_PATH_BYTES, path, &err))
        return true;
    control_fail(req, &err);
    doc_clear(doc);
    return false;
}

static void remove_entry(struct monitor *monitor, struct service_request *req, struct span id)
{
    struct doc doc = {0};
    struct err err = {0};
    const char *path;

    (void)id;
    if (!read_path(req, &doc, &path))
        return;
    if (on_record(monitor, req, "remove", path, &err)) {
        if (vault_remove(monitor->vault, path, &err))
            state_saw_vault(monitor);
        else
            note_failure(monitor, "remove", path, &err);
        done(req, &err);
    }
    doc_clear(&doc);
}

/* Answers with {"path", "kind", "username"?} NUL secret. */
static void reveal_entry(struct monitor *monitor, struct service_request *req, struct span id)
{
    char username[VAULT_USERNAME_BYTES + 1] = "";
    enum vault_kind kind;
    struct doc doc = {0};
    struct err err = {0};
    const char *path;

    (void)id;
    if (!read_path(req, &doc, &path))
        return;
    struct secret *secret = vault_get(monitor->vault, path, &kind, username, &err);
    if (on_record(monitor, req, "reveal", path, &err)) {
        if (secret == NULL) {
            control_fail(req, &err);
        } else {
            json_t *head JSON_AUTO = json_pack("{s:s, s:s}", "path", path, "kind", vault_kind_word(kind));
            json_put(head, "username", username[0] != 0 ? username : NULL);
            AUTOFREE char *text = json_canonical(head);
            struct secret *body = secret_zeroed(strlen(text) + 1 + secret_len(secret));
            memcpy(secret_writable(body), text, strlen(text) + 1);
            memcpy(secret_writable(body) + strlen(text) + 1, secret_bytes(secret), secret_len(secret));
            service_reply(req, 200, "application/octet-stream", secret_bytes(body), secret_len(body));
            secret_free(body);
        }
    }
    secret_free(secret);
    secret_wipe(username, sizeof username);
    doc_clear(&doc);
}

const struct control_route control_vault_routes[] = {
    {"GET", "/v1/vault", get_vault},
    {"POST", "/v1/vault/init", post_init},
    {"POST", "/v1/vault/unlock", post_unlock},
    {"POST", "/v1/vault/lock", post_lock},
    {"GET", "/v1/vault/entries", list_entries},
    {"POST", "/v1/vault/put", put_entry},
    {"POST", "/v1/vault/remove", remove_entry},
    {"POST", "/v1/vault/reveal", reveal_entry},
    {NULL, NULL, NULL},
};
