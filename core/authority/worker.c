/* A session's worker process: start, messages in and out, death and restart. What the messages mean is decided in
 * round.c, upstream.c and operation.c. */
#include "core/authority/worker.h"

#include "core/authority/approval.h"
#include "core/authority/notify.h"
#include "core/authority/operation.h"
#include "core/authority/round.h"
#include "core/authority/upstream.h"
#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/proc.h"
#include "core/base/secret.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct worker {
    struct session *session;
    pid_t pid; /* 0: it has been reaped */
    struct ipc *ipc;
    struct timer deadline; /* of draining */
    bool stopping;
    uint64_t starts[WORKER_RESTARTS]; /* of its restarts: monotonic, the oldest first */
    size_t start_count;
};

static void on_message(struct ipc *ipc, struct ipc_message *message, void *arg);
static void on_gone(struct ipc *ipc, const struct err *err, void *arg);
static const struct ipc_handler handler = {on_message, on_gone};

static void kill_process(struct worker *worker)
{
    if (worker->pid > 0)
        kill(worker->pid, SIGKILL);
}

/* ---- start ---- */

/* Nothing of the daemon's environment reaches a worker but what the sanitizers of a test build read. */
static void worker_environment(char *env[4])
{
    static const char *const names[] = {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"};
    size_t count = 0;

    for (size_t i = 0; i < COUNT(names); i++) {
        const char *value = getenv(names[i]);
        if (value != NULL)
            env[count++] = mem_printf("%s=%s", names[i], value);
    }
    env[count] = NULL;
}

/* The journal and the listener go with the first: their descriptors are nothing for a worker that has begun. */
static bool send_snapshot(struct worker *worker, bool first, struct err *err)
{
    struct buf document;

    if (!session_snapshot_bytes(worker->session, &document, err))
        return false;
    CLEANUP(file_close_ptr) int fd = file_sealed("snapshot", document.data, document.len, err);
    buf_wipe(&document);
    if (fd < 0)
        return false;
    int fds[] = {fd, worker->session->lease.fd, worker->session->remote_fd};
    size_t count = !first ? 1 : fds[2] >= 0 ? 3 : 2;
    uint32_t last = first ? (uint32_t)worker->session->lease.taken : 0;
    if (!ipc_send(worker->ipc, MESSAGE_SNAPSHOT, first ? MESSAGE_KEPT : 0, last, NULL, 0, fds, count))
        return err_set(err, ERR_UNAVAILABLE, "the session's worker does not take its snapshot");
    return true;
}

struct ipc *worker_spawn(struct loop *loop, const char *applet, int listen_fd, const struct ipc_handler *for_messages,
                         void *arg, pid_t *pid, struct err *err)
{
    static char name[] = "aileron";
    AUTOFREE char *word = mem_strdup(applet);
    char *argv[] = {name, word, NULL}, *env[4];
    int pair[2];

    if (!ipc_pair(pair, err))
        return NULL;
    struct proc_fd fds[] = {{pair[1], 3}, {listen_fd, 4}};
    worker_environment(env);
    pid_t started = proc_spawn(&(struct proc_spec){.argv = argv, .envp = env, .cwd = "/", .fds = fds,
                                                   .fd_count = COUNT(fds), .die_with_parent = true},
                               err);
    for (size_t i = 0; env[i] != NULL; i++)
        free(env[i]);
    close(pair[1]);
    if (started < 0) {
        close(pair[0]);
        return NULL;
    }
    *pid = started;
    struct ipc *ipc = ipc_new(loop, pair[0], for_messages, arg);
    ipc_take_no_fds(ipc);
    return ipc;
}

static bool spawn(struct worker *worker, struct err *err)
{
    worker->ipc = worker_spawn(worker->session->monitor->loop, "worker", worker->session->listen_fd, &handler, worker,
                               &worker->pid, err);
    if (worker->ipc == NULL)
        return err_wrap(err, "cannot start the session's worker");
    return send_snapshot(worker, true, err);
}

static void drain_over(void *arg)
{
    kill_process(arg);
}

bool worker_start(struct session *session, struct err *err)
{
    struct worker *worker = mem_alloc(sizeof *worker);

    worker->session = session;
    timer_init(&worker->deadline, session->monitor->loop, drain_over, worker);
    session->worker = worker;
    if (spawn(worker, err))
        return true;
    worker_free(worker);
    session->worker = NULL;
    return false;
}

bool worker_update(struct session *session, struct err *err)
{
    return session->worker == NULL || session->worker->ipc == NULL || send_snapshot(session->worker, false, err);
}

/* ---- the end, and starting again ---- */

void worker_stop(struct worker *worker, uint64_t drain_ms)
{
    worker->stopping = true;
    if (worker->ipc != NULL)
        ipc_send(worker->ipc, MESSAGE_SHUTDOWN, 0, 0, NULL, 0, NULL, 0);
    timer_start(&worker->deadline, drain_ms);
}

void worker_free(struct worker *worker)
{
    if (worker == NULL)
        return;
    if (worker->pid > 0) {
        kill_process(worker);
        while (waitpid(worker->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    timer_stop(&worker->deadline);
    ipc_free(worker->ipc);
    free(worker);
}

pid_t worker_pid(const struct worker *worker)
{
    return worker->pid;
}

/* Whether one more start is within the bound; counts it. */
static bool may_restart(struct worker *worker)
{
    uint64_t now = clock_mono_ms();

    if (worker->start_count < COUNT(worker->starts)) {
        worker->starts[worker->start_count++] = now;
        return true;
    }
    if (now - worker->starts[0] < WORKER_RESTARTS_MS)
        return false;
    memmove(worker->starts, worker->starts + 1, sizeof worker->starts - sizeof worker->starts[0]);
    worker->starts[COUNT(worker->starts) - 1] = now;
    return true;
}

static void note_death(struct worker *worker, int wait_status)
{
    json_t *event = record_event("worker.exit", worker->session->id);

    json_put_int(event, "status", proc_exit_status(wait_status));
    record_note(worker->session->monitor->record, event);
    log_warn("worker of session %s ended with status %d", worker->session->id,
             proc_exit_status(wait_status));
}

bool worker_reaped(struct monitor *monitor, pid_t pid, int wait_status)
{
    struct session *session = monitor->sessions;
    struct err err = {0};

    while (session != NULL && (session->worker == NULL || session->worker->pid != pid))
        session = session->next;
    if (session == NULL)
        return false;
    struct worker *worker = session->worker;
    worker->pid = 0;
    ipc_free(worker->ipc);
    worker->ipc = NULL;
    lease_collect_last(session);
    operation_worker_gone(session);
    approval_forget(session);
    if (worker->stopping) {
        session->worker = NULL;
        worker_free(worker);
        session_gone(session);
        return true;
    }
    note_death(worker, wait_status);
    if (session->state == SESSION_FAILED) /* one that could not be told its rules, and was killed */
        return true;
    session_set_state(session, SESSION_STARTING);
    if (!may_restart(worker))
        err_set(&err, ERR_LIMIT, "its worker died %d times within %d s", WORKER_RESTARTS + 1,
                WORKER_RESTARTS_MS / 1000);
    else if (spawn(worker, &err))
        return true;
    log_error("session %s has failed: %s", session->id, err.message);
    kill_process(worker);
    session_set_state(session, SESSION_FAILED);
    return true;
}

/* ---- messages ---- */

static bool parse(const void *bytes, size_t len, struct doc *doc, struct json_at *at, struct err *err)
{
    if (!json_parse(bytes, len, WORKER_JSON_BYTES, "message", ERR_DATA, doc, err))
        return false;
    *at = json_root(doc);
    return json_want_object(at, err);
}

static bool dispatch(struct session *session, const struct ipc_message *message, const struct json_at *at,
                     struct err *err)
{
    switch ((enum message_type)message->type) {
    case MESSAGE_READY:
        session_set_state(session, SESSION_READY);
        if (!quota_open(session, &(struct err){0}))
            quota_tell(session);
        operation_kick(session);
        return true;
    case MESSAGE_ROUND:
        return message->flags & MESSAGE_KEPT ? lease_round(session, message, err)
                                             : round_take(session, ROUND_LIVE, message->data, message->len, err);
    case MESSAGE_UPSTREAM_ASK:
        return upstream_ask(session, message->id, at, err);
    case MESSAGE_OP_RUN:
        return operation_run(session, message->id, at, err);
    case MESSAGE_OP_DONE:
        return operation_done(session, message->id, at, err);
    case MESSAGE_OP_GET:
        return operation_get(session, message->id, at, err);
    case MESSAGE_OP_LIST:
        return operation_list(session, message->id, at, err);
    case MESSAGE_OP_ACK:
        return operation_ack(session, message->id, at, err);
    case MESSAGE_APPROVAL_ASK:
        return approval_ask(session, message->id, message->data, message->len, err);
    case MESSAGE_OP_BODY:
        return operation_body(session, message->id, message->data, message->len, err);
    case MESSAGE_CANCEL:
        operation_cancel(session, message->id);
        return true;
    case MESSAGE_SNAPSHOT:
    case MESSAGE_HALT:
    case MESSAGE_CREDENTIAL:
    case MESSAGE_REFUSED:
    case MESSAGE_OP_START:
    case MESSAGE_OP_STATE:
    case MESSAGE_OP_RESULT:
    case MESSAGE_SHUTDOWN:
    case MESSAGE_OP_LISTED:
    case MESSAGE_OP_ACKED:
    case MESSAGE_APPROVED:
        break;
    }
    return err_set(err, ERR_DATA, "unexpected message %u", message->type);
}

static void on_message(struct ipc *ipc, struct ipc_message *message, void *arg)
{
    struct worker *worker = arg;
    struct doc doc = {0};
    struct err err = {0};
    struct json_at at = {0};
    bool raw = message->type == MESSAGE_OP_BODY || message->type == MESSAGE_CANCEL ||
               message->type == MESSAGE_ROUND || message->type == MESSAGE_APPROVAL_ASK;

    (void)ipc;
    bool good = raw || parse(message->data, message->len, &doc, &at, &err);
    good = good && dispatch(worker->session, message, &at, &err);
    doc_clear(&doc);
    if (good)
        return;
    json_t *event = record_event("worker.protocol", worker->session->id);
    json_put(event, "reason", err.message);
    record_note(worker->session->monitor->record, event);
    log_error("worker of session %s broke the protocol: %s", worker->session->id, err.message);
    kill_process(worker);
}

/* The channel is closed: whatever the process still does, it is of no use. SIGCHLD does the rest. */
static void on_gone(struct ipc *ipc, const struct err *err, void *arg)
{
    (void)ipc;
    if (err != NULL)
        log_warn("worker channel: %s", err->message);
    kill_process(arg);
}

bool worker_send(struct session *session, enum message_type type, unsigned flags, uint32_t id,
                 const void *payload, size_t len)
{
    return session->worker != NULL && session->worker->ipc != NULL &&
           ipc_send(session->worker->ipc, (uint16_t)type, (uint16_t)flags, id, payload, len, NULL, 0);
}

/* At most what the answer's object takes. */
static size_t secret_bytes_of(const struct worker_secret *answer)
{
    size_t bytes = FLAT_HEAD_BYTES + 5 * (FLAT_FIELD_BYTES + sizeof(int64_t)) + secret_len(answer->secret);

    bytes += answer->binding != NULL ? strlen(answer->binding) : 0;
    return bytes + (answer->username != NULL ? strlen(answer->username) : 0);
}

static void put_secret(struct buf *buf, const struct worker_secret *answer)
{
    struct flat_out out;

    flat_begin(&out, buf, MESSAGE_FLAT_ANSWER, message_answer_names);
    flat_put_int(&out, "id", answer->id);
    if (answer->grant > 0)
        flat_put_int(&out, "grant", (int64_t)answer->grant);
    flat_put(&out, "binding", answer->binding);
    if (answer->username != NULL && answer->username[0] != 0)
        flat_put(&out, "username", answer->username);
    flat_put_bytes(&out, "secret", secret_bytes(answer->secret), secret_len(answer->secret));
    if (!flat_end(&out))
        abort(); /* it was counted */
}

void worker_send_secrets(struct session *session, const struct worker_secret *secrets, size_t count)
{
    for (size_t done = 0; done < count;) {
        size_t last = done, bytes = 0;
        while (last < count && (last == done || bytes + secret_bytes_of(&secrets[last]) <= IPC_PAYLOAD_MAX))
            bytes += secret_bytes_of(&secrets[last++]);
        struct secret *payload = secret_zeroed(bytes);
        struct buf buf = {.data = secret_writable(payload), .cap = bytes, .max = bytes};
        while (done < last)
            put_secret(&buf, &secrets[done++]);
        worker_send(session, MESSAGE_CREDENTIAL, MESSAGE_SECRET, 0, buf.data, buf.len);
        secret_free(payload);
    }
}

static bool write_message(const json_t *payload, struct buf *text, struct err *err)
{
    buf_init(text, IPC_PAYLOAD_MAX);
    return json_write(payload, text) ||
           err_set(err, ERR_LIMIT, "longer than the %d KiB of a message", IPC_PAYLOAD_MAX / 1024);
}

bool worker_fits(const json_t *payload, struct err *err)
{
    struct buf text CLEANUP(buf_wipe);

    return write_message(payload, &text, err);
}

bool worker_send_json(struct session *session, enum message_type type, uint32_t id, const json_t *payload)
{
    struct buf text CLEANUP(buf_clear);
    struct err err = {0};

    if (write_message(payload, &text, &err))
        return worker_send(session, type, 0, id, text.data, text.len);
    err_wrap(&err, "the answer");
    err_hint(&err, "Ask for less at once");
    worker_refuse(session, id, &err, NULL, NULL);
    return false;
}

void worker_refuse(struct session *session, uint32_t id, const struct err *err, const char *rule,
                   const char *operation)
{
    json_t *answer JSON_AUTO = json_object();

    if (err->code == ERR_LOCKED)
        notify_locked(session);
    json_put(answer, "code", err_word(err->code));
    json_put(answer, "message", err->message);
    json_put(answer, "hint", err->hint);
    json_put(answer, "rule", rule);
    json_put(answer, "id", operation);
    worker_send_json(session, MESSAGE_REFUSED, id, answer);
}

size_t worker_queued(const struct session *session)
{
    return session->worker != NULL && session->worker->ipc != NULL ? ipc_queued(session->worker->ipc) : 0;
}
