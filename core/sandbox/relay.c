/* Pairs of sockets and the bytes between them. A direction is a `half`, used twice. What a slow peer does not
 * take is kept, at most one read's worth, and nothing more is read for it; an idle pair holds no buffer. The
 * relay looks at no byte: what the bytes mean, and whether they may pass, the daemon decides. */
#include "core/sandbox/relay.h"

#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/mem.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PAIR_MAGIC = 0x70616972, WORK_BYTES = 4 * RELAY_BUFFER_BYTES };

enum pair_state {
    PAIR_REACHING,  /* the daemon is being reached, perhaps again and again */
    PAIR_OPEN,      /* bytes pass */
    PAIR_LINGERING, /* all was written to the client; waits for it to have read that */
    PAIR_CLOSED
};

struct half {
    int from, to;
    uint8_t *kept; /* unsent bytes; NULL where there are none */
    size_t at, len;
    bool ended; /* from sends no more, or to takes no more */
    bool shut;  /* to was told so */
};

struct pair {
    uint32_t magic;
    enum pair_state state;
    struct relay *relay;
    struct pair *next, *prev;
    int client, server; /* server -1 until reached */
    struct watch client_watch, server_watch;
    struct timer timer;
    uint64_t give_up_ms;
    struct half up, down;
    uint16_t port;
    char name[]; /* "": a proxy connection */
};

struct relay {
    struct loop *loop;
    struct sockaddr_un address;
    char *token;
    struct pair *pairs;
    size_t count;
    uint8_t scratch[RELAY_BUFFER_BYTES];
};

static const char DENIAL_BODY[] =
    "{\"error\":{\"code\":\"unavailable\",\"message\":\"the Aileron daemon cannot be reached\","
    "\"reason\":\"the sandbox has no other way out\",\"rule\":\"\","
    "\"next\":\"Try again in a moment; on the host, see aileron status\",\"id\":\"\"}}\n";

struct relay *relay_new(struct loop *loop, const char *socket_path, const char *token)
{
    struct relay *relay = mem_alloc(sizeof(*relay));

    relay->loop = loop;
    relay->token = mem_strdup(token);
    relay->address.sun_family = AF_UNIX;
    snprintf(relay->address.sun_path, sizeof(relay->address.sun_path), "%s", socket_path);
    return relay;
}

static void pair_free(void *arg)
{
    struct pair *pair = arg;

    free(pair->up.kept);
    free(pair->down.kept);
    pair->magic = 0;
    free(pair);
}

static void pair_close(struct pair *pair)
{
    struct relay *relay = pair->relay;

    if (pair->state == PAIR_CLOSED)
        return;
    pair->state = PAIR_CLOSED;
    timer_stop(&pair->timer);
    watch_stop(&pair->client_watch);
    close(pair->client);
    if (pair->server >= 0) {
        watch_stop(&pair->server_watch);
        close(pair->server);
    }
    if (pair->prev != NULL)
        pair->prev->next = pair->next;
    else
        relay->pairs = pair->next;
    if (pair->next != NULL)
        pair->next->prev = pair->prev;
    relay->count--;
    loop_tidy(relay->loop);
    loop_defer(relay->loop, pair_free, pair);
}

void relay_free(struct relay *relay)
{
    if (relay == NULL)
        return;
    while (relay->pairs != NULL)
        pair_close(relay->pairs);
    free(relay->token);
    free(relay);
}

size_t relay_count(const struct relay *relay)
{
    return relay->count;
}

static bool would_block(ssize_t n)
{
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

/* Sends; keeps what is not taken. A peer that takes no more ends this direction, and the other goes on: it may
 * still carry the answer. */
static void half_send(struct half *half, const uint8_t *data, size_t len)
{
    ssize_t n = send(half->to, data, len, MSG_NOSIGNAL);

    if (n < 0 && !would_block(n)) {
        half->ended = true;
        return;
    }
    size_t sent = n < 0 ? 0 : (size_t)n;
    if (sent == len)
        return;
    half->kept = mem_alloc(len - sent);
    memcpy(half->kept, data + sent, len - sent);
    half->at = 0;
    half->len = len - sent;
}

static void half_send_kept(struct half *half)
{
    ssize_t n = send(half->to, half->kept + half->at, half->len - half->at, MSG_NOSIGNAL);

    if (n < 0 && !would_block(n))
        half->ended = true;
    else if (n > 0)
        half->at += (size_t)n;
    if (half->ended || half->at == half->len) {
        free(half->kept);
        half->kept = NULL;
    }
}

/* Moves what can be moved now, within a bound; false where the source was reset. */
static bool half_move(struct half *half, uint8_t *scratch)
{
    for (size_t moved = 0; moved < WORK_BYTES;) {
        if (half->kept != NULL)
            half_send_kept(half);
        if (half->kept != NULL || half->ended)
            break;
        ssize_t n = recv(half->from, scratch, RELAY_BUFFER_BYTES, 0);
        if (would_block(n))
            break;
        if (n < 0)
            return false;
        if (n == 0)
            half->ended = true;
        else
            half_send(half, scratch, (size_t)n);
        if (n < RELAY_BUFFER_BYTES)
            break; /* nothing is left; where there is, the kernel tells again */
        moved += (size_t)n;
    }
    if (half->ended && half->kept == NULL && !half->shut) {
        half->shut = true;
        shutdown(half->to, SHUT_WR);
    }
    return true;
}

static unsigned interest(const struct half *in, const struct half *out)
{
    return (unsigned)(in->kept == NULL && !in->ended ? WATCH_READ : WATCH_NONE) |
           (unsigned)(out->kept != NULL ? WATCH_WRITE : WATCH_NONE);
}

/* The client is done; it gets a moment to read what was written. Closing at once, with bytes of its own unread,
 * would reset the connection and take the last bytes from it. */
static void pair_finish(struct pair *pair)
{
    pair->state = PAIR_LINGERING;
    if (pair->server >= 0)
        watch_stop(&pair->server_watch);
    if (watch_set(&pair->client_watch, WATCH_READ))
        timer_start(&pair->timer, RELAY_LINGER_MS);
    else
        pair_close(pair);
}

/* The daemon closed its socket, as opposed to having ended its own direction only. */
static bool server_is_gone(const struct pair *pair)
{
    struct pollfd look = {.fd = pair->server};

    return poll(&look, 1, 0) > 0 && (look.revents & (POLLHUP | POLLERR)) != 0;
}

/* Moves in the directions that may have something to move. */
static void pair_move(struct pair *pair, bool up, bool down)
{
    uint8_t *scratch = pair->relay->scratch;

    bool client_good = !up || half_move(&pair->up, scratch);
    if (down && !half_move(&pair->down, scratch)) { /* what the daemon sent before it was reset still goes out */
        pair->down.ended = true;
        (void)half_move(&pair->down, scratch);
    }
    if (!client_good || (pair->up.shut && pair->down.shut))
        pair_close(pair);
    else if (pair->down.shut && server_is_gone(pair))
        pair_finish(pair);
    else if (!watch_set(&pair->client_watch, interest(&pair->up, &pair->down)) ||
             !watch_set(&pair->server_watch, interest(&pair->down, &pair->up)))
        pair_close(pair);
}

static void pair_linger(struct pair *pair)
{
    ssize_t n;

    do
        n = recv(pair->client, pair->relay->scratch, RELAY_BUFFER_BYTES, 0);
    while (n > 0);
    if (n == 0 || !would_block(n))
        pair_close(pair);
}

static void on_client(void *arg, unsigned ready)
{
    struct pair *pair = arg;

    assert(pair->magic == PAIR_MAGIC);
    switch (pair->state) {
    case PAIR_OPEN:
        pair_move(pair, ready & WATCH_READ, ready & WATCH_WRITE);
        break;
    case PAIR_LINGERING:
        pair_linger(pair);
        break;
    case PAIR_REACHING:
    case PAIR_CLOSED:
        break;
    }
}

/* Watched while the pair is open, and no longer. */
static void on_server(void *arg, unsigned ready)
{
    struct pair *pair = arg;

    assert(pair->magic == PAIR_MAGIC);
    pair_move(pair, ready & WATCH_WRITE, ready & WATCH_READ);
}

/* The daemon stays away. A captured connection is closed (it may be TLS); a proxy's client is told. */
static void pair_refuse(struct pair *pair)
{
    char text[1024];

    if (pair->name[0] != '\0') {
        pair_close(pair);
        return;
    }
    int n = snprintf(text, sizeof(text),
                     "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                     sizeof(DENIAL_BODY) - 1, DENIAL_BODY);
    if (send(pair->client, text, (size_t)n, MSG_NOSIGNAL) == n && shutdown(pair->client, SHUT_WR) == 0)
        pair_finish(pair);
    else
        pair_close(pair);
}

static bool send_line(int fd, const char *line, size_t len, int pass_fd)
{
    union {
        struct cmsghdr head;
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec part = {(void *)(uintptr_t)line, len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (pass_fd >= 0) {
        control.head = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.head), &pass_fd, sizeof(int));
        message.msg_control = &control;
        message.msg_controllen = sizeof(control.bytes);
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)len;
}

int relay_connect(const struct relay *relay, const char *mode, int pass_fd)
{
    char line[512];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    int n = snprintf(line, sizeof(line), "AILERON %s %s\r\n", relay->token, mode);
    assert(n > 0 && (size_t)n < sizeof(line));
    /* A Unix socket connects at once or not at all, and a new one takes a line whole. */
    if (connect(fd, (const struct sockaddr *)&relay->address, sizeof(relay->address)) == 0 &&
        send_line(fd, line, (size_t)n, pass_fd))
        return fd;
    close(fd);
    return -1;
}

static int reach(const struct pair *pair)
{
    char mode[300] = "proxy";

    if (pair->name[0] != '\0')
        snprintf(mode, sizeof(mode), "capture %s %u", pair->name, pair->port);
    return relay_connect(pair->relay, mode, -1);
}

static void pair_reach(struct pair *pair)
{
    pair->server = reach(pair);
    if (pair->server < 0) {
        if (clock_mono_ms() < pair->give_up_ms)
            timer_start(&pair->timer, RELAY_RETRY_MS);
        else
            pair_refuse(pair);
        return;
    }
    watch_init(&pair->server_watch, pair->relay->loop, pair->server, on_server, pair);
    pair->up = (struct half){.from = pair->client, .to = pair->server};
    pair->down = (struct half){.from = pair->server, .to = pair->client};
    pair->state = PAIR_OPEN;
    pair_move(pair, true, true);
}

static void on_timer(void *arg)
{
    struct pair *pair = arg;

    assert(pair->magic == PAIR_MAGIC);
    switch (pair->state) {
    case PAIR_REACHING:
        pair_reach(pair);
        break;
    case PAIR_LINGERING:
        pair_close(pair);
        break;
    case PAIR_OPEN:
    case PAIR_CLOSED:
        break;
    }
}

void relay_take(struct relay *relay, int fd, const char *name, uint16_t port)
{
    size_t len = name != NULL ? strlen(name) : 0;

    if (relay->count >= RELAY_PAIRS_MAX || len > 253) {
        log_warn("relay: connection closed count=%zu max=%d", relay->count, RELAY_PAIRS_MAX);
        close(fd);
        return;
    }
    struct pair *pair = mem_alloc(sizeof(*pair) + len + 1);
    pair->magic = PAIR_MAGIC;
    pair->relay = relay;
    pair->client = fd;
    pair->server = -1;
    pair->port = port;
    if (name != NULL)
        memcpy(pair->name, name, len);
    pair->give_up_ms = clock_mono_ms() + RELAY_WAIT_MS;
    pair->next = relay->pairs;
    if (relay->pairs != NULL)
        relay->pairs->prev = pair;
    relay->pairs = pair;
    relay->count++;
    watch_init(&pair->client_watch, relay->loop, fd, on_client, pair);
    timer_init(&pair->timer, relay->loop, on_timer, pair);
    pair_reach(pair);
}
