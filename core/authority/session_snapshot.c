/* What a session's worker is told: the user's rules with what is the session's own. */
#include "core/authority/session_private.h"

#include "core/base/secret.h"
#include "tls/crypto.h"

#include <stdlib.h>
#include <string.h>

static void set_text(char **field, const char *value)
{
    char *copy = mem_strdup(value);

    free(*field);
    *field = copy;
}

/* It was checked when it came. */
static bool add_project(struct snapshot *snapshot, const struct session *session, struct err *err)
{
    struct doc doc CLEANUP(doc_clear) = {0};
    json_t *project = json_object_get(session->meta, "project");
    if (project == NULL)
        return true;
    doc_wrap(&doc, project, POLICY_PROJECT_FILE, ERR_CONFIG);
    struct json_at at = json_root(&doc);
    snapshot->project = policy_project_from(&at, err);
    return snapshot->project != NULL;
}

/* The session's own view of rules: token, names, roots, sentinels. */
struct snapshot *session_make_snapshot(struct session *session, struct rules *rules, struct err *err)
{
    struct snapshot *snapshot = snapshot_new(rules);
    const json_t *sentinels = json_object_get(session->meta, "sentinels"), *row;
    const struct buf *roots = &session->monitor->roots;
    size_t i;

    set_text(&snapshot->session, session->id);
    set_text(&snapshot->agent, session_meta_text(session, "agent"));
    set_text(&snapshot->engine, session_meta_text(session, "engine"));
    snapshot->sealed = strcmp(session_meta_text(session, "network"), "open") != 0;
    set_text(&snapshot->ca_cert_pem, ca_cert_pem(session->ca));
    if (!text_unhex(span_of(session_meta_text(session, "token_hash")), snapshot->token_hash,
                    sizeof snapshot->token_hash))
        err_set(err, ERR_DATA, "session %s has no token", session->id);
    else if (add_project(snapshot, session, err) &&
             snapshot_add_host_files(snapshot, "/etc/hosts", "/etc/resolv.conf", err) &&
             snapshot_add_roots(snapshot, (struct span){(const char *)roots->data, roots->len}, err)) {
        if (json_array_size(sentinels) > 0)
            snapshot->sentinels = mem_array(json_array_size(sentinels), sizeof *snapshot->sentinels);
        json_array_foreach(sentinels, i, row) {
            struct snapshot_sentinel *sentinel = &snapshot->sentinels[snapshot->sentinel_count++];
            sentinel->binding = mem_strdup(json_string_value(json_object_get(row, "binding")));
            sentinel->value = mem_strdup(json_string_value(json_object_get(row, "value")));
        }
        return snapshot;
    }
    snapshot_free(snapshot);
    return NULL;
}

bool session_snapshot_bytes(struct session *session, struct buf *out, struct err *err)
{
    struct secret *key = ca_key_pem(session->ca, err);

    if (key == NULL)
        return false;
    char *pem = mem_strndup((const char *)secret_bytes(key), secret_len(key));
    session->snapshot->ca_key_pem = pem;
    bool good = snapshot_write(session->snapshot, out, err);
    session->snapshot->ca_key_pem = NULL;
    secret_wipe(pem, strlen(pem));
    free(pem);
    secret_free(key);
    return good;
}
