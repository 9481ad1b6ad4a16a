/* One connection to the session's socket, which carries the listening socket and stands for as long as the worker
 * accepts from it. Until the worker says that it does, and as soon as the connection ends, the caller accepts itself:
 * a daemon that does not know this mode, or a worker that died, costs no connection. */
#include "core/sandbox/handover.h"

#include "core/base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum handover_state {
    HANDOVER_AWAY,  /* the timer runs */
    HANDOVER_ASKED, /* the socket was sent, the answer is awaited */
    HANDOVER_TAKEN
};

static const char answer[] = "AILERON listening\r\n";

struct handover {
    enum handover_state state;
    struct loop *loop;
    const struct relay *relay;
    int listen_fd, control;
    struct watch watch;
    struct timer timer;
    uint64_t again_ms;
    size_t got; /* of the answer */
    handover_fn fn;
    void *arg;
};

static void on_control(void *arg, unsigned ready);

static void away(struct handover *handover)
{
    bool taken = handover->state == HANDOVER_TAKEN;

    if (handover->control >= 0) {
        watch_stop(&handover->watch);
        close(handover->control);
        handover->control = -1;
    }
    handover->state = HANDOVER_AWAY;
    timer_start(&handover->timer, handover->again_ms);
    if (handover->again_ms < HANDOVER_AGAIN_MAX_MS)
        handover->again_ms *= 2;
    if (taken)
        handover->fn(handover->arg, false);
}

static void ask(struct handover *handover)
{
    handover->got = 0;
    handover->control = relay_connect(handover->relay, "listener", handover->listen_fd);
    if (handover->control < 0) {
        away(handover);
        return;
    }
    handover->state = HANDOVER_ASKED;
    watch_init(&handover->watch, handover->loop, handover->control, on_control, handover);
    if (!watch_set(&handover->watch, WATCH_READ))
        away(handover);
}

/* The answer once, then nothing but the end. */
static void on_control(void *arg, unsigned ready)
{
    struct handover *handover = arg;
    char bytes[sizeof(answer)];
    ssize_t n = recv(handover->control, bytes, sizeof(bytes), MSG_DONTWAIT);

    (void)ready;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0 || (size_t)n > sizeof(answer) - 1 - handover->got ||
        memcmp(bytes, answer + handover->got, (size_t)n) != 0) {
        away(handover);
        return;
    }
    handover->got += (size_t)n;
    if (handover->got < sizeof(answer) - 1)
        return;
    handover->state = HANDOVER_TAKEN;
    handover->again_ms = HANDOVER_AGAIN_MS;
    handover->fn(handover->arg, true);
}

static void on_timer(void *arg)
{
    ask(arg);
}

struct handover *handover_start(struct loop *loop, const struct relay *relay, int listen_fd, handover_fn fn, void *arg)
{
    struct handover *handover = mem_alloc(sizeof(*handover));

    *handover = (struct handover){.loop = loop, .relay = relay, .listen_fd = listen_fd, .control = -1,
                                  .again_ms = HANDOVER_AGAIN_MS, .fn = fn, .arg = arg};
    timer_init(&handover->timer, loop, on_timer, handover);
    ask(handover);
    return handover;
}

void handover_free(struct handover *handover)
{
    if (handover == NULL)
        return;
    timer_stop(&handover->timer);
    if (handover->control >= 0) {
        watch_stop(&handover->watch);
        close(handover->control);
    }
    free(handover);
}
