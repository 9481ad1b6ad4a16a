/* Judges the socket that came, accepts from it while the connection stands that it came with. The socket is shared with
 * the sandbox, so that its flags and options are the sandbox's to change at any time: what is accepted gets options
 * of its own, and a hostile sandbox that makes accept() block holds up its own worker alone, which the monitor ends
 * as it ends any other. The supervisor's socket comes before the agent starts, and there is one at a time. */
#include "core/plane/inlet.h"
#include "core/loop/listen.h"
#include "core/plane/front.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct inlet {
    struct plane *plane;
    struct conn *control;
    struct listener *listener;
    int fd;
};

void inlet_close(struct inlet *inlet)
{
    if (!inlet)
        return;
    inlet->plane->inlet = NULL;
    listener_free(inlet->listener);
    close(inlet->fd);
    conn_close(inlet->control);
    loop_defer(inlet->plane->loop, free, inlet);
}

static void on_accept(void *arg, int fd)
{
    const struct inlet *inlet = arg;
    static const struct linger none; /* inherited from the listener: with it close() could block */
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    front_accept_proxy(inlet->plane, fd);
}

static void on_end(void *arg)
{
    inlet_close(arg);
}

/* The supervisor says nothing more. */
static void on_control(struct conn *conn, enum conn_event event, void *arg)
{
    (void)conn;
    switch (event) {
    case CONN_READABLE:
    case CONN_EOF:
    case CONN_FAILED:
    case CONN_TIMED_OUT:
        inlet_close(arg);
        return;
    case CONN_CONNECTED:
    case CONN_SECURED:
    case CONN_DRAINED:
        return;
    }
}

static bool option_is(int fd, int option, int wanted)
{
    int value = -1;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 && value == wanted;
}

static bool listens(int fd)
{
    return option_is(fd, SO_DOMAIN, AF_INET) && option_is(fd, SO_PROTOCOL, IPPROTO_TCP) &&
           option_is(fd, SO_ACCEPTCONN, 1);
}

static bool may_take(const struct plane *plane, int fd, struct err *err)
{
    if (!plane_may_begin(plane, err))
        return false;
    if (plane->inlet)
        return err_set(err, ERR_CONFLICT, "this session's listening socket is here already");
    return listens(fd) || err_set(err, ERR_DATA, "what came with the preamble is no listening TCP socket");
}

bool inlet_open(struct plane *plane, struct conn *control, int fd, struct err *err)
{
    if (fd < 0)
        return err_set(err, ERR_DATA, "no socket came with the preamble, or more than one");
    struct inlet *inlet = mem_alloc(sizeof(*inlet));
    struct listener *listener = may_take(plane, fd, err) ? listener_new(plane->loop, fd, on_accept, inlet, err) : NULL;
    if (!listener || !conn_write(control, INLET_TAKEN, sizeof(INLET_TAKEN) - 1)) {
        listener_free(listener);
        close(fd);
        free(inlet);
        return false;
    }
    *inlet = (struct inlet){.plane = plane, .control = control, .listener = listener, .fd = fd};
    listener_on_end(listener, on_end);
    conn_set_handler(control, on_control, inlet);
    plane->inlet = inlet;
    return true;
}
