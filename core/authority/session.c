/* Sessions: registry, life and end. What lies on the disk for one is session_folder.c, its worker is worker.c,
 * carrying sessions on after a restart of the daemon is session_restore.c. */
#include "core/authority/session_private.h"

#include "core/authority/approval.h"
#include "core/authority/control.h"
#include "core/authority/operation.h"
#include "core/authority/session_folder.h"
#include "core/authority/session_prune.h"
#include "core/authority/session_remote.h"
#include "core/authority/worker.h"
#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/proc.h"
#include "tls/crypto.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RENEW_CHECK_MS = 6 * 3600 * 1000, ENV_WORDS = 16 };

const char *session_state_word(enum session_state state)
{
    switch (state) {
    case SESSION_STARTING:
        return "starting";
    case SESSION_READY:
        return "ready";
    case SESSION_FAILED:
        return "failed";
    case SESSION_ENDING:
        return "ending";
    }
    return "ending";
}

static void close_listener(struct session *session)
{
    struct err err = {0};

    /* What the sandbox connected and no worker accepted goes with it. */
    if (session->listen_fd >= 0 && !proc_close_elsewhere(session->listen_fd, &err))
        log_error("session %s: %s", session->id, err.message);
    session->listen_fd = -1;
    if (session->remote_fd >= 0)
        close(session->remote_fd);
    session->remote_fd = -1;
}

void session_set_state(struct session *session, enum session_state state)
{
    static const bool edges[4][4] = {
        [SESSION_STARTING] = {[SESSION_READY] = true, [SESSION_FAILED] = true, [SESSION_ENDING] = true},
        [SESSION_READY] = {[SESSION_STARTING] = true, [SESSION_FAILED] = true, [SESSION_ENDING] = true},
        [SESSION_FAILED] = {[SESSION_ENDING] = true},
    };

    if (state == session->state || !edges[session->state][state])
        return;
    log_debug("session %s: %s -> %s", session->id, session_state_word(session->state),
              session_state_word(state));
    session->state = state;
    /* Nobody will answer any more: a connection that is refused beats one that hangs. */
    if (state == SESSION_FAILED || state == SESSION_ENDING)
        close_listener(session);
}

bool session_may_ask(const struct session *session, struct err *err)
{
    if (session->state == SESSION_ENDING)
        return err_set(err, ERR_DENIED, "this session has ended");
    return quota_open(session, err);
}

struct session *session_find(struct monitor *monitor, struct span id)
{
    for (struct session *s = monitor->sessions; s != NULL; s = s->next)
        if (span_eqs(id, s->id))
            return s;
    return NULL;
}

/* ---- building ---- */

struct session *session_new(struct monitor *monitor, const char *id, json_t *meta)
{
    struct session *session = mem_alloc(sizeof *session);

    session->monitor = monitor;
    session->id = mem_strdup(id);
    session->dir = mem_printf("%s/run/sessions/%s", monitor->home, id);
    session->private_dir = mem_printf("%s/run/private/%s", monitor->home, id);
    session->meta = json_incref(meta);
    session->lease.fd = -1;
    session->listen_fd = session->remote_fd = session->launcher_fd = session->end_status = -1;
    session->quota.since_ms = clock_mono_ms();
    return session;
}

void session_free(struct session *session)
{
    if (session->launcher_fd >= 0) {
        watch_stop(&session->launcher);
        close(session->launcher_fd);
        timer_stop(&session->renew);
    }
    close_listener(session);
    worker_free(session->worker);
    lease_close(session);
    snapshot_free(session->snapshot);
    ca_free(session->ca);
    json_decref(session->meta);
    free(session->id);
    free(session->dir);
    free(session->private_dir);
    free(session->remote);
    free(session);
}

static struct session_folder folder_of(const struct session *session, const char *token)
{
    return (struct session_folder){.dir = session->dir, .private_dir = session->private_dir, .ca = session->ca,
                                   .roots = session->snapshot->roots_pem, .added = session->snapshot->added_pem,
                                   .catalogue = session->snapshot->rules->catalogue, .token = token};
}

const char *session_meta_text(const struct session *session, const char *key)
{
    const char *text = json_string_value(json_object_get(session->meta, key));

    return text != NULL ? text : "";
}

static void launcher_gone(void *arg, unsigned ready)
{
    (void)ready;
    session_end(arg, "launcher gone", true);
}

static void renew_ca(void *arg)
{
    struct session *session = arg;
    struct err err = {0};

    if (ca_renewal_due(session->ca)) {
        struct ca *renewed = ca_renew(session->ca, &err);
        if (renewed == NULL) {
            log_error("session %s: %s", session->id, err.message);
        } else {
            ca_free(session->ca);
            session->ca = renewed;
            free(session->snapshot->ca_cert_pem);
            session->snapshot->ca_cert_pem = mem_strdup(ca_cert_pem(renewed));
            struct session_folder folder = folder_of(session, NULL);
            if (!session_folder_ca(&folder, &err) || !worker_update(session, &err))
                log_error("session %s: %s", session->id, err.message);
        }
    }
    timer_start(&session->renew, RENEW_CHECK_MS);
}

/* From a snapshot to a running session: files, socket, worker, and an eye on the launcher. */
bool session_start(struct session *session, const char *token, struct err *err)
{
    struct session_folder folder = folder_of(session, token);
    AUTOFREE char *socket_path = file_join(session->dir, "session.sock");
    pid_t pid = (pid_t)json_integer_value(json_object_get(session->meta, "pid"));

    if (!quota_load(session, err))
        return false;
    session->launcher_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (session->launcher_fd < 0)
        return err_errno(err, ERR_DATA, errno, "the launcher's process %ld", (long)pid);
    timer_init(&session->renew, session->monitor->loop, renew_ca, session);
    watch_init(&session->launcher, session->monitor->loop, session->launcher_fd, launcher_gone, session);
    if (!session_folder_make(&folder, err))
        return false;
    session->listen_fd = proc_unix_listen(socket_path, 0666, err);
    if (session->listen_fd < 0 || !session_remote_open(session, err) ||
        !lease_open(session, err) || !worker_start(session, err))
        return false;
    if (!watch_set(&session->launcher, WATCH_READ))
        return err_set(err, ERR_INTERNAL, "cannot watch the launcher's process");
    timer_start(&session->renew, RENEW_CHECK_MS);
    session->next = session->monitor->sessions;
    session->monitor->sessions = session;
    session->monitor->session_count++;
    return true;
}

/* ---- create ---- */

static void mint_token(char token[2 * SESSION_TOKEN_BYTES + 1], char hash_hex[2 * CRYPTO_HASH_LEN + 1])
{
    uint8_t raw[SESSION_TOKEN_BYTES], hash[CRYPTO_HASH_LEN];

    random_bytes(raw, sizeof raw);
    text_hex(raw, sizeof raw, token);
    crypto_sha256(token, strlen(token), hash);
    text_hex(hash, sizeof hash, hash_hex);
    secret_wipe(raw, sizeof raw);
}

/* Checks the request and makes what is kept of it. NULL and err where it is not one. */
static json_t *read_request(const struct json_at *at, struct err *err)
{
    static const char *const texts[] = {"agent", "engine", "network", "image", "workspace"};
    static const char *const keys[] = {"command", "agent", "engine", "network", "image",
                                       "workspace", "uid", "gid", "pid", "project", "detached", "memory", "pids",
                                       "engine_env", NULL};
    static const char *const limits[] = {"memory", "pids"}; /* 0: the engine holds none */
    json_t *meta = json_object();
    struct json_at command, project;
    bool has_project = false, detached = false;
    const char *text;
    int64_t number;
    size_t count;

    bool good = json_want_object(at, err) && json_only(at, keys, err) &&
                json_get_list(at, "command", JSON_NEED, SESSION_COMMAND_WORDS, &command, &count, err);
    json_object_set(meta, "command", good ? command.node : NULL);
    for (size_t i = 0; good && i < COUNT(texts); i++) {
        text = "";
        good = json_get_text(at, texts[i], JSON_MAY, SESSION_TEXT_BYTES, &text, err);
        json_put(meta, texts[i], text);
    }
    number = (int64_t)geteuid();
    good = good && json_get_int(at, "uid", JSON_MAY, 0, UINT32_MAX, &number, err);
    json_put_int(meta, "uid", number);
    number = (int64_t)getegid();
    good = good && json_get_int(at, "gid", JSON_MAY, 0, UINT32_MAX, &number, err);
    json_put_int(meta, "gid", number);
    for (size_t i = 0; i < COUNT(limits); i++) {
        number = 0;
        good = good && json_get_int(at, limits[i], JSON_MAY, 0, INT64_MAX, &number, err);
        json_put_int(meta, limits[i], number);
    }
    good = good && json_get_int(at, "pid", JSON_NEED, 2, INT32_MAX, &number, err);
    json_put_int(meta, "pid", number);
    good = good && json_get_bool(at, "detached", JSON_MAY, &detached, err);
    json_put_bool(meta, "detached", detached);
    good = good && session_remote_request(at, meta, err) &&
           json_get_object(at, "project", JSON_MAY, &project, &has_project, err);
    if (good && has_project) {
        struct policy *policy = policy_project_from(&project, err);
        good = policy != NULL;
        policy_free(policy);
        json_object_set(meta, "project", project.node);
    }
    if (good) {
        json_put_int(meta, "pid_start", process_start_time((pid_t)number));
        return meta;
    }
    json_decref(meta);
    return NULL;
}

static void put_sentinels(struct session *session, json_t *env)
{
    json_t *list = json_array();

    snapshot_mint_sentinels(session->snapshot, env);
    for (size_t i = 0; i < session->snapshot->sentinel_count; i++) {
        const struct snapshot_sentinel *sentinel = &session->snapshot->sentinels[i];
        json_array_append_new(list, json_pack("{s:s, s:s}", "binding", sentinel->binding, "value",
                                              sentinel->value));
    }
    json_object_set_new(session->meta, "sentinels", list);
}

static bool build(struct session *session, const char *token, json_t *env, struct err *err)
{
    struct monitor *monitor = session->monitor;
    const char *agent = session_meta_text(session, "agent");

    session->ca = ca_new(session->id, err);
    if (session->ca == NULL)
        return false;
    if (agent[0] != 0 && !catalogue_check_agent(monitor->rules->catalogue, agent, err))
        return false;
    session->snapshot = session_make_snapshot(session, monitor->rules, err);
    if (session->snapshot == NULL)
        return false;
    put_sentinels(session, env);
    AUTOFREE char *text = json_canonical(session->meta);
    if (!store_session_add(monitor->store, session->id, session->created_ms, text, err))
        return false;
    if (session_start(session, token, err))
        return true;
    session_store_end(monitor, session->id);
    session_folder_remove(session->dir, session->private_dir);
    return false;
}

/* Those that have ended and only drain are not counted, up to as many again: a worker is a process. */
static bool has_room(const struct monitor *monitor, struct err *err)
{
    size_t most = (size_t)monitor->rules->config->limits[LIMIT_SESSIONS], running = 0;

    for (const struct session *s = monitor->sessions; s != NULL; s = s->next)
        running += s->state != SESSION_ENDING;
    if (running < most && monitor->session_count < 2 * most)
        return true;
    if (running >= most) {
        err_set(err, ERR_LIMIT, "%zu sessions are running already", running);
        return err_hint(err, "End one, or raise limits.sessions in config.yaml");
    }
    err_set(err, ERR_LIMIT, "%zu sessions have ended and are not over yet", monitor->session_count - running);
    return err_hint(err, "Try again in some seconds, or raise limits.sessions in config.yaml");
}

struct session *session_create(struct monitor *monitor, const struct json_at *request, json_t **answer,
                               struct err *err)
{
    char token[2 * SESSION_TOKEN_BYTES + 1], hash[2 * CRYPTO_HASH_LEN + 1];

    if (!has_room(monitor, err))
        return NULL;
    if (monitor->rules_error.code != ERR_NONE) { /* the last good rules are for sessions that have them */
        *err = monitor->rules_error;
        return NULL;
    }
    if (!quotas_may_launch(monitor->quotas, err))
        return NULL;
    json_t *meta JSON_AUTO = read_request(request, err);
    if (meta == NULL)
        return NULL;
    struct session *session = session_new(monitor, id_new("").text, meta);
    session->created_ms = (int64_t)clock_wall_ms();
    mint_token(token, hash);
    json_put(meta, "token_hash", hash);
    json_t *env JSON_AUTO = json_object();
    bool good = build(session, token, env, err);
    secret_wipe(token, sizeof token);
    if (!good) {
        session_free(session);
        return NULL;
    }
    session_record_start(session);
    AUTOFREE char *token_file = file_join(session->dir, "token");
    *answer = json_pack("{s:s, s:s, s:s, s:O, s:s}", "id", session->id, "dir", session->dir, "token_file",
                        token_file, "env", env, "home_id", monitor->home_id);
    json_put(*answer, "remote", session->remote);
    return session;
}

/* ---- the end ---- */

static void unlink_session(struct monitor *monitor, struct session *session)
{
    struct session **at = &monitor->sessions;

    while (*at != NULL && *at != session)
        at = &(*at)->next;
    if (*at == session) {
        *at = session->next;
        monitor->session_count--;
    }
}

static void free_later(void *arg)
{
    session_free(arg);
}

void session_gone(struct session *session)
{
    unlink_session(session->monitor, session);
    loop_defer(session->monitor->loop, free_later, session);
}

void session_record_end(struct monitor *monitor, const char *id, const char *reason, int status, int64_t created_ms)
{
    json_t *event = record_event("session.end", id);

    json_put(event, "reason", reason);
    if (status >= 0)
        json_put_int(event, "status", status);
    json_put_int(event, "duration_ms", (int64_t)clock_wall_ms() - created_ms);
    approval_session_over(monitor, id);
    operation_session_over(monitor, id);
    record_note(monitor->record, event);
    session_store_end(monitor, id);
}

void session_end(struct session *session, const char *reason, bool reap)
{
    if (session->state == SESSION_ENDING)
        return;
    log_info("session %s ends: %s", session->id, reason);
    lease_end(session);
    lease_collect(session);
    session_set_state(session, SESSION_ENDING);
    watch_stop(&session->launcher);
    timer_stop(&session->renew);
    session_folder_remove(session->dir, session->private_dir);
    quota_end(session);
    session_record_end(session->monitor, session->id, reason, session->end_status, session->created_ms);
    control_session_over(session);
    if (reap) {
        session_reap_engine(session->meta, session->id);
        session_prune_later(session->monitor);
    }
    if (session->worker != NULL && worker_pid(session->worker) > 0)
        worker_stop(session->worker, session->snapshot->rules->config->limits[LIMIT_DRAIN_MS]);
    else
        session_gone(session);
}

static bool update(struct session *session, struct err *err)
{
    struct snapshot *snapshot = session_make_snapshot(session, session->monitor->rules, err);
    if (snapshot == NULL)
        return false;
    lease_end(session);
    lease_collect(session); /* what was done under the rules before is told under them */
    bool same_roots = strcmp(snapshot->roots_pem, session->snapshot->roots_pem) == 0;
    snapshot_free(session->snapshot);
    session->snapshot = snapshot;
    session->basis[0] = 0;
    struct session_folder folder = folder_of(session, NULL);
    return session_folder_tools(&folder, err) && (same_roots || session_folder_trust(&folder, err)) &&
           worker_update(session, err);
}

bool session_update_all(struct monitor *monitor, struct err *err)
{
    bool good = true;

    for (struct session *session = monitor->sessions; session != NULL; session = session->next) {
        struct err why = {0};
        if (session->state == SESSION_ENDING || update(session, &why))
            continue;
        err_wrap(&why, "session %s keeps its last rules", session->id);
        log_error("%s", why.message);
        *err = why;
        good = false;
    }
    return good;
}

void session_close_all(struct monitor *monitor)
{
    while (monitor->sessions != NULL) {
        struct session *session = monitor->sessions;
        unlink_session(monitor, session);
        session_free(session);
    }
}
