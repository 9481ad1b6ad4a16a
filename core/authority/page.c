/* The page's socket and its worker's life: started by the first connection, started again by the next one where it has
 * died. Messages are bounded and taken apart here and in page_call.c; what they mean is page_call.c's and
 * page_stream.c's. */
#include "core/authority/page_private.h"

#include "core/authority/worker.h"
#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/proc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BACKLOG = 64 };

static void on_message(struct ipc *ipc, struct ipc_message *message, void *arg);
static void on_gone(struct ipc *ipc, const struct err *err, void *arg);
static const struct ipc_handler handler = {on_message, on_gone};

/* ---- the record ---- */

void page_note(struct page *page, const char *action)
{
    json_t *event = record_event("page", NULL);

    json_put(event, "action", action);
    record_note(page->monitor->record, event);
}

bool page_refused(struct page *page, const char *reason)
{
    static const char *const reasons[PAGE_REASON_COUNT] = {PAGE_REASONS};
    uint64_t now = clock_mono_ms();
    size_t i = 0;

    while (i < PAGE_REASON_COUNT && strcmp(reason, reasons[i]) != 0)
        i++;
    if (i == PAGE_REASON_COUNT)
        return false;
    page->refused[i].count++;
    if (page->refused[i].since_ms != 0 && now - page->refused[i].since_ms < PAGE_REFUSED_MS)
        return true; /* any page of the web can send requests here: it must not fill the record */
    json_t *event = record_event("page", NULL);
    json_put(event, "action", "refused");
    json_put(event, "reason", reason);
    json_put_int(event, "count", (int64_t)page->refused[i].count);
    record_note(page->monitor->record, event);
    page->refused[i].since_ms = now;
    page->refused[i].count = 0;
    return true;
}

/* ---- answers ---- */

void page_send(struct page *page, enum page_message type, unsigned flags, uint32_t id, const struct buf *payload)
{
    if (page->ipc != NULL)
        ipc_send(page->ipc, (uint16_t)type, (uint16_t)flags, id, payload->data, payload->len, NULL, 0);
}

void page_reply(struct page *page, uint32_t id, int status, json_t *answer, const char *cookie)
{
    json_t *head JSON_AUTO = json_pack("{s:i}", "status", status);
    struct buf text CLEANUP(buf_wipe), piece CLEANUP(buf_wipe);
    struct err err = {0};

    json_put(head, "cookie", cookie);
    buf_init(&text, PAGE_ANSWER_BYTES);
    buf_init(&piece, IPC_PAYLOAD_MAX);
    bool fits = json_write(answer, &text);
    json_decref(answer);
    if (!fits) {
        err_set(&err, ERR_LIMIT, "this is too long to be shown here");
        err_hint(&err, "Use the command line: see aileron approvals, aileron sessions");
        page_fail(page, id, &err);
        return;
    }
    enum page_message type = PAGE_ANSWER;
    size_t at = 0;
    bool good = json_write(head, &piece) && buf_add(&piece, "", 1);
    do {
        size_t len = text.len - at < PAGE_PIECE_BYTES ? text.len - at : PAGE_PIECE_BYTES;
        good = good && buf_add(&piece, text.data + at, len);
        at += len;
        if (good)
            page_send(page, type, (cookie != NULL ? PAGE_SECRET : 0) | (at == text.len ? PAGE_LAST : 0), id, &piece);
        buf_clear(&piece);
        type = PAGE_DATA;
    } while (good && at < text.len);
}

void page_fail(struct page *page, uint32_t id, const struct err *err)
{
    json_t *error = json_object(), *answer = json_object();

    json_put(error, "code", err_word(err->code));
    json_put(error, "message", err->message);
    json_put(error, "hint", err->hint);
    json_object_set_new(answer, "error", error);
    page_reply(page, id, err_http(err->code), answer, NULL);
}

/* ---- messages ---- */

static bool refusal(struct page *page, const struct ipc_message *message, struct err *err)
{
    struct doc doc = {0};
    const char *reason = NULL;

    if (!json_parse(message->data, message->len, PAGE_HEAD_BYTES, "message", ERR_DATA, &doc, err))
        return false;
    struct json_at at = json_root(&doc);
    bool good = json_want_object(&at, err) && json_get_text(&at, "reason", JSON_NEED, 16, &reason, err) &&
                (page_refused(page, reason) || err_set(err, ERR_DATA, "no such reason"));
    doc_clear(&doc);
    return good;
}

static bool dispatch(struct page *page, const struct ipc_message *message, struct err *err)
{
    switch ((enum page_message)message->type) {
    case PAGE_READY:
        return true;
    case PAGE_ASK:
        return page_ask(page, message->id, message->data, message->len, err);
    case PAGE_MORE:
        page_stream_more(page, message->id);
        return true;
    case PAGE_CANCEL:
        page_stream_gone(page, message->id);
        return true;
    case PAGE_REFUSED:
        return refusal(page, message, err);
    case PAGE_ANSWER:
    case PAGE_DATA:
        break;
    }
    return err_set(err, ERR_DATA, "unexpected message %u", message->type);
}

static void kill_process(struct page *page)
{
    if (page->pid > 0)
        kill(page->pid, SIGKILL);
}

static void on_message(struct ipc *ipc, struct ipc_message *message, void *arg)
{
    struct page *page = arg;
    struct err err = {0};

    (void)ipc;
    if (dispatch(page, message, &err))
        return;
    json_t *event = record_event("worker.protocol", NULL);
    json_put_int(event, "pid", page->pid);
    json_put(event, "reason", err.message);
    record_note(page->monitor->record, event);
    log_error("the page's worker broke the protocol: %s", err.message);
    kill_process(page);
}

static void on_gone(struct ipc *ipc, const struct err *err, void *arg)
{
    (void)ipc;
    if (err != NULL)
        log_warn("page worker channel: %s", err->message);
    kill_process(arg);
}

/* ---- the worker's life ---- */

static bool spawn(struct page *page, struct err *err)
{
    page->ipc = worker_spawn(page->monitor->loop, "page-worker", page->fd, &handler, page, &page->pid, err);
    return page->ipc != NULL || err_wrap(err, "cannot start the page's worker");
}

static void wait_again(void *arg)
{
    struct page *page = arg;

    watch_set(&page->waiting, WATCH_READ);
}

/* Somebody connects and nobody serves. */
static void on_waiting(void *arg, unsigned ready)
{
    struct page *page = arg;
    struct err err = {0};
    uint64_t now = clock_mono_ms();

    (void)ready;
    watch_set(&page->waiting, WATCH_NONE);
    if (now - page->first_start_ms > PAGE_RESTARTS_MS)
        page->starts = 0;
    if (page->starts == 0)
        page->first_start_ms = now;
    if (page->starts++ < PAGE_RESTARTS && spawn(page, &err))
        return;
    log_error("the page waits for %d s: %s", PAGE_RESTARTS_MS / 1000,
              err.code != ERR_NONE ? err.message : "its worker has died too often");
    timer_start(&page->again, PAGE_RESTARTS_MS);
}

bool page_reaped(struct monitor *monitor, pid_t pid, int wait_status)
{
    struct page *page = monitor->page;

    if (page == NULL || page->pid != pid)
        return false;
    page->pid = 0;
    ipc_free(page->ipc);
    page->ipc = NULL;
    page_streams_end(page, 0);
    json_t *event = record_event("worker.exit", NULL);
    json_put_int(event, "pid", pid);
    json_put_int(event, "status", proc_exit_status(wait_status));
    json_put(event, "reason", "page");
    record_note(monitor->record, event);
    log_warn("the page's worker ended with status %d", proc_exit_status(wait_status));
    wait_again(page);
    return true;
}

/* ---- start and end ---- */

static bool listen_on_loopback(struct page *page, struct err *err)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;

    page->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (page->fd < 0 || bind(page->fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(page->fd, BACKLOG) != 0 ||
        getsockname(page->fd, (struct sockaddr *)&at, &len) != 0)
        return err_errno(err, ERR_UNAVAILABLE, errno, "the page cannot listen on 127.0.0.1");
    page->address = mem_printf("http://127.0.0.1:%u", ntohs(at.sin_port));
    return true;
}

static void page_free(struct page *page)
{
    if (page->pid > 0) {
        kill_process(page);
        while (waitpid(page->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    page_streams_stop(page);
    watch_stop(&page->waiting);
    timer_stop(&page->again);
    ipc_free(page->ipc);
    if (page->fd >= 0)
        close(page->fd);
    page_logins_free(page->logins);
    recent_free(page->recent);
    free(page->address);
    free(page);
}

static void open_page(struct monitor *monitor)
{
    struct page *page = mem_alloc(sizeof *page);

    monitor->page_trouble = (struct err){0};
    page->monitor = monitor;
    page->logins = page_logins_new();
    page->recent = recent_new();
    timer_init(&page->again, monitor->loop, wait_again, page);
    page_streams_start(page);
    bool good = listen_on_loopback(page, &monitor->page_trouble);
    watch_init(&page->waiting, monitor->loop, page->fd, on_waiting, page);
    if (good && watch_set(&page->waiting, WATCH_READ)) {
        monitor->page = page;
        return;
    }
    log_error("%s", monitor->page_trouble.message);
    page_free(page);
}

void page_follow(struct monitor *monitor)
{
    bool wanted = monitor->rules->config->daemon.page;

    if (!wanted)
        page_close(monitor);
    else if (monitor->page == NULL)
        open_page(monitor);
}

void page_close(struct monitor *monitor)
{
    monitor->page_trouble = (struct err){0};
    if (monitor->page != NULL)
        page_free(monitor->page);
    monitor->page = NULL;
}

const char *page_address(const struct monitor *monitor)
{
    return monitor->page != NULL ? monitor->page->address : NULL;
}

/* The token goes behind the '#': browsers send that part to nobody, and no log or Referer has it. */
static char *make_link(struct monitor *monitor, void (*make)(struct page_logins *, char *), const char *action,
                       const char *show, struct err *err)
{
    char token[PAGE_TOKEN_HEX + 1];

    if (monitor->page == NULL) {
        err_set(err, ERR_CONFLICT, "there is no page: config.yaml says daemon.page: false");
        err_hint(err, "Use aileron approvals, or set daemon.page to true");
        if (monitor->page_trouble.code != ERR_NONE)
            *err = monitor->page_trouble;
        return NULL;
    }
    make(monitor->page->logins, token);
    page_note(monitor->page, action);
    char *link = mem_printf("%s/#login=%s%s%s", monitor->page->address, token, show != NULL ? "&show=" : "",
                            show != NULL ? show : "");
    secret_wipe(token, sizeof token);
    return link;
}

char *page_link(struct monitor *monitor, struct err *err)
{
    return make_link(monitor, page_link_new, "link", NULL, err);
}

char *page_link_show(struct monitor *monitor, const char *approval, struct err *err)
{
    return make_link(monitor, page_link_notice, "notice", approval, err);
}
