/* What the person's command is given, and how it is run. */
#include "core/authority/notify.h"

#include "core/authority/approval.h"
#include "core/authority/page.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/proc.h"
#include "core/base/secret.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool wanted(const struct monitor *monitor)
{
    char *const *command = monitor->rules->config->approvals.notify;

    return command != NULL && command[0] != NULL;
}

static void run(struct monitor *monitor, const char *text)
{
    char *const *command = monitor->rules->config->approvals.notify;
    const char *path = getenv("PATH");
    struct err err = {0};
    AUTOFREE char *program = proc_which(command[0], path != NULL ? path : "/usr/bin:/bin");
    CLEANUP(file_close_ptr) int fd = file_sealed("approval", text, strlen(text), &err);
    struct proc_fd fds[] = {{fd, STDIN_FILENO}};

    if (program == NULL)
        log_error("approvals.notify: there is no program %s", command[0]);
    else if (fd < 0 || proc_spawn(&(struct proc_spec){.path = program, .argv = command, .cwd = "/", .fds = fds,
                                                      .fd_count = 1, .new_session = true},
                                  &err) < 0)
        log_error("approvals.notify: %s", err.message);
}

/* The link is put into the finished text, which is wiped: a tree's strings cannot be. */
static void tell(struct monitor *monitor, const json_t *what, const char *approval)
{
    struct err err = {0};
    AUTOFREE char *text = json_canonical(what);
    char *link = monitor->rules->config->approvals.notify_link ? page_link_show(monitor, approval, &err) : NULL;

    if (link == NULL) {
        if (err.code != ERR_NONE)
            log_error("approvals.notify_link: %s", err.message);
        run(monitor, text);
        return;
    }
    char *with = mem_printf("%.*s,\"url\":\"%s\"}", (int)strlen(text) - 1, text, link);
    run(monitor, with);
    secret_wipe(with, strlen(with));
    secret_wipe(link, strlen(link));
    free(with);
    free(link);
}

void notify_approval(struct monitor *monitor, const char *id)
{
    struct store_approval row = {0};
    struct err err = {0};

    if (!wanted(monitor))
        return;
    if (!store_approval_get(monitor->store, id, &row, &err)) {
        log_error("approvals.notify: %s", err.message);
        return;
    }
    json_t *shown JSON_AUTO = approval_json_full(monitor, &row);
    json_put(shown, "kind", "approval");
    store_approval_clear(&row);
    tell(monitor, shown, id);
}

void notify_locked(struct session *session)
{
    struct monitor *monitor = session->monitor;

    if (monitor->locked_refusals++ > 0)
        return;
    json_t *event = record_event("vault", session->id); /* once for each lock, whatever an agent does */
    json_put(event, "action", "wanted");
    record_note(monitor->record, event);
    approval_changed(monitor, NULL); /* a list shows it */
    if (!wanted(monitor))
        return;
    json_t *what JSON_AUTO = json_object();
    json_put(what, "kind", "vault.unlock");
    json_put(what, "summary", "Requests are refused: the vault is locked");
    json_put(what, "session", session->id);
    json_put(what, "command", "aileron vault unlock");
    tell(monitor, what, NULL);
}

void notify_unlocked(struct monitor *monitor)
{
    if (monitor->locked_refusals == 0)
        return;
    monitor->locked_refusals = 0;
    approval_changed(monitor, NULL);
}
