/* The page worker's life: enter the jail, serve, end with the monitor. */
#include "core/plane/page_private.h"

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/json.h"
#include "core/loop/jail.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

static void on_request(struct service_request *req, void *arg)
{
    page_request(arg, req);
}

static void on_closed(struct service *service, void *arg)
{
    struct page_worker *page = arg;

    (void)service;
    if (page->connections-- == PAGE_CONNECTIONS)
        listener_pause(page->listener, false);
}

static const struct service_handler handler = {on_request, on_closed};

static void ignore_event(struct conn *conn, enum conn_event event, void *arg)
{
    (void)conn;
    (void)event;
    (void)arg;
}

static void on_accept(void *arg, int fd)
{
    struct page_worker *page = arg;

    if (++page->connections == PAGE_CONNECTIONS)
        listener_pause(page->listener, true);
    struct service *service = service_new(conn_new_fd(page->loop, fd, ignore_event, NULL), &handler, page);
    (void)service; /* it ends with its connection, or with the process */
}

static void on_message(struct ipc *ipc, struct ipc_message *message, void *arg)
{
    (void)ipc;
    if (message->type == PAGE_ANSWER || message->type == PAGE_DATA)
        page_answer(arg, message);
}

/* Without the monitor there is nothing to show. */
static void on_monitor_gone(struct ipc *ipc, const struct err *err, void *arg)
{
    struct page_worker *page = arg;

    (void)ipc;
    (void)err;
    loop_stop(page->loop);
}

static const struct ipc_handler ipc_handler = {.message = on_message, .gone = on_monitor_gone};

static bool prepare(struct page_worker *page, struct err *err)
{
    struct sockaddr_in at = {0};
    socklen_t len = sizeof at;

    log_open("page", LOG_WARN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* the terminal's; the monitor decides when a worker ends */
    if (getsockname(PAGE_LISTEN_FD, (struct sockaddr *)&at, &len) != 0 || at.sin_family != AF_INET)
        return err_set(err, ERR_USAGE, "this command is started by the daemon, with sockets that it owns");
    page->port = ntohs(at.sin_port);
    page->loop = loop_new(err);
    if (page->loop == NULL)
        return false;
    page->ipc = ipc_new(page->loop, PAGE_IPC_FD, &ipc_handler, page);
    json_object_seed(0); /* reads randomness from a file, now or never */
    if (!jail_enter(JAIL_PAGE, err))
        return false;
    page->listener = listener_new(page->loop, PAGE_LISTEN_FD, on_accept, page, err);
    return page->listener != NULL && (ipc_send(page->ipc, PAGE_READY, 0, 0, NULL, 0, NULL, 0) ||
                                      err_set(err, ERR_UNAVAILABLE, "the monitor is gone"));
}

int page_main(void)
{
    static struct page_worker page; /* until the very end: what it holds is no leak */
    struct err err;

    if (!prepare(&page, &err))
        return err_print(&err, "aileron page-worker");
    loop_run(page.loop);
    return 0;
}
