/* The monitor: puts the parts of core/authority together, runs their loop, and takes them apart again. Each part
 * does its own work; this file holds only the order of start and end, signals and housekeeping. */
#include "core/authority/monitor.h"

#include "core/authority/approval.h"
#include "core/authority/control.h"
#include "core/authority/operation.h"
#include "core/authority/page.h"
#include "core/authority/quota.h"
#include "core/authority/reload.h"
#include "core/authority/session.h"
#include "core/authority/session_prune.h"
#include "core/authority/state.h"
#include "core/authority/worker.h"
#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/proc.h"
#include "tls/crypto.h"
#include "tls/trust.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SOCKET_PATH_BYTES = 107,         /* sun_path without its NUL */
    LOG_BYTES = 4 * 1024 * 1024,     /* of run/daemon.log; it begins anew above */
    HOUSEKEEPING_MS = 60 * 1000,
    PRUNE_EVERY = 60                 /* of those */
};

struct process { /* the monitor, and what only this file needs */
    struct monitor monitor;
    struct timer housekeeping;
    unsigned rounds;
};

/* ---- marks ---- */

/* daemon.pid for people and scripts, daemon.json for the command line. */
static bool write_marks(struct monitor *monitor, struct err *err)
{
    AUTOFREE char *pid_path = file_join(monitor->home, "run/daemon.pid");
    AUTOFREE char *json_path = file_join(monitor->home, "run/daemon.json");
    AUTOFREE char *pid = mem_printf("%ld\n", (long)getpid());
    json_t *mark JSON_AUTO = json_pack("{s:s, s:i}", "version", monitor->version, "pid", (int)getpid());
    json_put(mark, "page", page_address(monitor));
    AUTOFREE char *text = json_canonical(mark);

    return file_write_atomic(pid_path, 0600, pid, strlen(pid), err) &&
           file_write_atomic(json_path, 0600, text, strlen(text), err);
}

/* ---- rules ---- */

static void record_rules(struct monitor *monitor, const struct err *failed)
{
    json_t *event = record_event("policy.load", NULL);

    json_put_bool(event, "ok", failed->code == ERR_NONE);
    if (failed->code != ERR_NONE)
        json_put(event, "message", failed->message);
    json_put_int(event, "rules", (int64_t)policy_rule_count(monitor->rules->policy));
    json_put_int(event, "bindings", (int64_t)bindings_count(monitor->rules->bindings));
    record_note(monitor->record, event);
}

static bool keep_rules(struct monitor *monitor, const struct err *why, struct err *err)
{
    log_error("the last good rules stay: %s", why->message);
    monitor->rules_error = *why;
    record_rules(monitor, why);
    *err = *why;
    return false;
}

/* Takes rules. */
static bool take_rules(struct monitor *monitor, struct rules *rules, struct err *err)
{
    struct err why = {0};

    rules_unref(monitor->rules);
    monitor->rules = rules;
    bool good = session_update_all(monitor, &why);
    monitor->rules_error = why;
    record_rules(monitor, &why);
    quotas_look(monitor->quotas);
    page_follow(monitor);
    if (!write_marks(monitor, &why)) /* where the page is now */
        log_error("%s", why.message);
    if (!good)
        *err = monitor->rules_error;
    return good;
}

bool monitor_reload(struct monitor *monitor, struct err *err)
{
    struct err why = {0};
    struct rules *rules = rules_load(monitor->home, &why);

    return rules != NULL ? take_rules(monitor, rules, err) : keep_rules(monitor, &why, err);
}

/* Without a file all hosts are allowed, and whoever replaces one may move the old one away first. */
bool monitor_follow_files(struct monitor *monitor, struct err *err)
{
    struct err why = {0};
    struct rules *rules = rules_load(monitor->home, &why);

    if (rules != NULL && (rules->has_policy || !monitor->rules->has_policy))
        return take_rules(monitor, rules, err);
    if (rules != NULL) {
        rules_unref(rules);
        err_set(&why, ERR_CONFIG, "policy.yaml is gone, and its rules stay");
        err_hint(&why, "Put it back, or say that all hosts are to be allowed: aileron policy reload");
    }
    return keep_rules(monitor, &why, err);
}

/* ---- signals and housekeeping ---- */

void monitor_stop(struct monitor *monitor)
{
    monitor->stopping = true;
    loop_stop(monitor->loop);
}

static void on_signal(int signo, void *arg)
{
    struct monitor *monitor = arg;
    struct err err = {0};
    int status;
    pid_t pid;

    switch (signo) {
    case SIGHUP:
        monitor_reload(monitor, &err);
        break;
    case SIGCHLD:
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            if (!worker_reaped(monitor, pid, status))
                page_reaped(monitor, pid, status);
        break;
    default:
        log_info("signal %d: stopping", signo);
        monitor_stop(monitor);
        break;
    }
}

static bool watch_signals(struct monitor *monitor, struct err *err)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of write(2), as a full disk is */
    for (size_t i = 0; i < COUNT(signals); i++)
        if (!loop_on_signal(monitor->loop, signals[i], on_signal, monitor, err))
            return false;
    return true;
}

static void keep_house(void *arg)
{
    struct process *process = arg;
    struct monitor *monitor = &process->monitor;
    struct err err = {0};
    struct stat st;
    size_t count = 0;

    if (fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > LOG_BYTES &&
        ftruncate(STDERR_FILENO, 0) == 0)
        log_info("the log was full and begins anew");
    if (process->rounds++ % PRUNE_EVERY == 0) {
        uint64_t keep_ms = monitor->rules->config->limits[LIMIT_RESULT_DAYS] * 86400 * 1000;
        if (!store_prune(monitor->store, (int64_t)(clock_wall_ms() - keep_ms), &count, &err))
            log_warn("%s", err.message);
        record_retire(monitor->record, monitor->rules->config->audit.retention_days);
    }
    approval_expire(monitor);
    operation_sweep_lost(monitor);
    operation_kick_all(monitor); /* what could not be stored or recorded when it was approved */
    if (store_sealing(monitor->store) != STORE_UNLOCKED) /* it had no space for it, say */
        state_follow_vault(monitor);
    quotas_look(monitor->quotas);
    session_prune_engines(monitor, process->rounds == 1);
    timer_start(&process->housekeeping, HOUSEKEEPING_MS);
}

/* ---- start ---- */

static bool make_places(struct monitor *monitor, struct err *err)
{
    static const char *const places[] = {"run", "run/sessions", "run/private", "audit"};

    if (!file_check_private_dir(monitor->home, err))
        return false;
    for (size_t i = 0; i < COUNT(places); i++) {
        AUTOFREE char *path = file_join(monitor->home, places[i]);
        if (!file_mkdirs(path, 0700, err))
            return false;
    }
    size_t longest = strlen(monitor->home) + strlen("/run/sessions//session.sock") + ULID_LEN;
    if (longest <= SOCKET_PATH_BYTES)
        return true;
    err_set(err, ERR_CONFIG, "%s is too long for the sockets below it (%zu bytes, %d can be)", monitor->home,
            longest, SOCKET_PATH_BYTES);
    return err_hint(err, "Set AILERON_HOME to a shorter path");
}

static bool lock(struct monitor *monitor, struct err *err)
{
    AUTOFREE char *path = file_join(monitor->home, "run/daemon.lock");

    monitor->lock_fd = proc_lock(path, err);
    if (monitor->lock_fd >= 0) {
        AUTOFREE char *run = file_join(monitor->home, "run");
        file_sweep_unfinished(monitor->home); /* all that writes there is the one daemon */
        file_sweep_unfinished(run);
        return true;
    }
    if (err->code == ERR_CONFLICT) {
        err_set(err, ERR_CONFLICT, "a daemon runs already for %s", monitor->home);
        err_hint(err, "See aileron daemon status");
    }
    return false;
}

static bool open_state(struct monitor *monitor, struct err *err)
{
    monitor->rules = rules_load(monitor->home, err);
    if (monitor->rules == NULL)
        return false;
    monitor->record = record_open(monitor->loop, monitor->home, err);
    if (monitor->record == NULL)
        return false;
    if (!state_open(monitor, err))
        return false;
    monitor->approvals = approvals_new(monitor);
    struct err no_roots = {0};
    if (!trust_system_pem(&monitor->roots, &no_roots)) { /* a host without them may use tls.ca_file alone */
        log_warn("%s", no_roots.message);
        buf_init(&monitor->roots, 0);
    }
    monitor->vault = vault_open(monitor->home);
    if (vault_cache_load(monitor->vault))
        log_info("the vault was unlocked from the kernel's keyring");
    state_follow_vault(monitor);
    return true;
}

static bool start(struct monitor *monitor, struct err *err)
{
    monitor->loop = loop_new(err);
    if (monitor->loop == NULL || !watch_signals(monitor, err) || !open_state(monitor, err))
        return false;
    monitor->quotas = quotas_open(monitor);
    quotas_look(monitor->quotas);
    if (!home_id_load(monitor, err) || !session_restore_all(monitor, err))
        return false;
    monitor->reload = reload_open(monitor);
    page_follow(monitor);
    if (!write_marks(monitor, err)) /* before the socket: who connects reads our version there */
        return false;
    monitor->control = control_open(monitor, err);
    if (monitor->control == NULL)
        return false;
    json_t *event = record_event("daemon.start", NULL);
    json_put(event, "version", monitor->version);
    json_put_int(event, "pid", getpid());
    json_put_int(event, "sessions", (int64_t)monitor->session_count);
    json_put_int(event, "unknown_operations", (int64_t)operations_swept(monitor->operations));
    record_note(monitor->record, event);
    return true;
}

/* ---- end ---- */

static void finish(struct monitor *monitor)
{
    static const char *const marks[] = {"run/daemon.pid", "run/daemon.json"};

    control_close(monitor->control);
    page_close(monitor);
    reload_close(monitor->reload);
    operations_close(monitor->operations); /* who waits names a session: before those go */
    approvals_free(monitor->approvals);
    session_close_all(monitor);
    quotas_close(monitor->quotas);
    if (monitor->stopping) {
        json_t *event = record_event("daemon.stop", NULL);
        json_put(event, "reason", "stopped");
        record_note(monitor->record, event);
        for (size_t i = 0; i < COUNT(marks); i++) {
            AUTOFREE char *path = file_join(monitor->home, marks[i]);
            unlink(path);
        }
    }
    vault_close(monitor->vault);
    rules_unref(monitor->rules);
    store_close(monitor->store);
    record_close(monitor->record);
    buf_clear(&monitor->roots);
    loop_free(monitor->loop);
    if (monitor->lock_fd >= 0)
        close(monitor->lock_fd);
    free(monitor->home_id);
    free(monitor->home);
}

static void tell_ready(int fd)
{
    if (fd < 0)
        return;
    if (write(fd, "R", 1) != 1)
        log_warn("nobody waits for the start any more");
    close(fd);
}

bool monitor_run(const struct monitor_options *options, struct err *err)
{
    struct process process = {.monitor = {.home = mem_strdup(options->home), .version = options->version,
                                          .started_ms = clock_mono_ms(), .lock_fd = -1}};
    struct monitor *monitor = &process.monitor;

    umask(0077);
    secret_harden_process();
    bool good = tls_init(err) && make_places(monitor, err) && lock(monitor, err) && start(monitor, err);
    if (good) {
        timer_init(&process.housekeeping, monitor->loop, keep_house, &process);
        keep_house(&process);
        log_info("daemon %s ready home=%s sessions=%zu", monitor->version, monitor->home,
                 monitor->session_count);
        tell_ready(options->ready_fd);
        loop_run(monitor->loop);
        timer_stop(&process.housekeeping);
    }
    finish(monitor);
    return good;
}
