/* Holds the pty's other end for whoever attaches. A ring has the newest output; each client has a place in it and gets
 * what comes after, as fast as its socket takes it. So there is no queue that could grow. It has no loop of its own:
 * attend.c polls for it. */
#include "core/sandbox/keeper.h"

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BEHIND = KEEPER_SCROLLBACK / 2, /* who types and is that far behind is waited for */
    LAST_MS = 1000,                 /* for what is not sent yet when the sandbox has ended */
    NUDGE_MS = 60                   /* between two sizes, so that a program paints its screen again */
};

struct client {
    int fd;
    uint64_t at; /* of the sandbox's output: what it gets next */
    uint8_t told; /* KEEPER_TYPES, KEEPER_WATCHES, or 0 */
    bool missed;  /* and is to be told so */
    struct winsize size;
};
struct keeper {
    int fd, master;
    struct client clients[KEEPER_CLIENTS]; /* the newest last: it types */
    size_t count;
    uint64_t end; /* bytes of output so far; those from end - KEEPER_SCROLLBACK are in the ring */
    uint8_t ring[KEEPER_SCROLLBACK];
    uint8_t keys[KEEPER_PACKET]; /* typed, not yet taken by the pty */
    size_t key_at, key_len;
    uint64_t waiting_ms; /* since when who types is behind; 0: is not */
    uint64_t nudge_ms;   /* when the size is set again; 0: it is set */
    bool resized;
};

static uint64_t ring_start(const struct keeper *keeper)
{
    return keeper->end > KEEPER_SCROLLBACK ? keeper->end - KEEPER_SCROLLBACK : 0;
}

/* Where a new client begins: what was overwritten may have cut a line, or a terminal's command, in two. */
static uint64_t first_line(const struct keeper *keeper)
{
    uint64_t start = ring_start(keeper);

    for (uint64_t at = start; start > 0 && at < start + KEEPER_PACKET && at < keeper->end; at++)
        if (keeper->ring[at % KEEPER_SCROLLBACK] == '\n')
            return at + 1;
    return start;
}

struct keeper *keeper_open(const char *path, int master, struct err *err)
{
    int fd = proc_unix_listen_packets(path, 0600, err);

    if (fd < 0)
        return NULL;
    int own = fcntl(master, F_DUPFD_CLOEXEC, 3);
    if (own < 0 || !proc_set_nonblock(fd) || !proc_set_nonblock(own)) {
        err_errno(err, ERR_LAUNCH, errno, "cannot keep the sandbox's terminal");
        close(fd);
        file_close_ptr(&own);
        return NULL;
    }
    struct keeper *keeper = mem_alloc(sizeof *keeper);
    keeper->fd = fd;
    keeper->master = own;
    return keeper;
}

int keeper_voice(const struct keeper *keeper)
{
    return ioctl(keeper->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
}

void keeper_output(struct keeper *keeper, const uint8_t *bytes, size_t len)
{
    if (len > KEEPER_SCROLLBACK) {
        keeper->end += len - KEEPER_SCROLLBACK;
        bytes += len - KEEPER_SCROLLBACK;
        len = KEEPER_SCROLLBACK;
    }
    size_t at = keeper->end % KEEPER_SCROLLBACK;
    size_t first = len < KEEPER_SCROLLBACK - at ? len : KEEPER_SCROLLBACK - at;
    memcpy(keeper->ring + at, bytes, first);
    memcpy(keeper->ring, bytes + first, len - first);
    keeper->end += len;
    for (size_t i = 0; i < keeper->count; i++) {
        struct client *client = &keeper->clients[i];
        if (client->at < ring_start(keeper)) {
            client->at = ring_start(keeper);
            client->missed = true;
        }
    }
}

void keeper_kept(const struct keeper *keeper, struct buf *out)
{
    size_t len = (size_t)(keeper->end - ring_start(keeper)), at = ring_start(keeper) % KEEPER_SCROLLBACK;
    size_t first = len < KEEPER_SCROLLBACK - at ? len : KEEPER_SCROLLBACK - at;

    buf_init(out, KEEPER_SCROLLBACK);
    (void)!(buf_add(out, keeper->ring + at, first) && buf_add(out, keeper->ring, len - first)); /* it fits */
}

/* ---- clients ---- */

static struct client *typist(struct keeper *keeper)
{
    return keeper->count > 0 ? &keeper->clients[keeper->count - 1] : NULL;
}

static void drop(struct keeper *keeper, size_t i)
{
    close(keeper->clients[i].fd);
    keeper->count--;
    memmove(&keeper->clients[i], &keeper->clients[i + 1], (keeper->count - i) * sizeof *keeper->clients);
    keeper->waiting_ms = 0;
}

static void set_size(struct keeper *keeper, const struct winsize *size)
{
    keeper->resized = ioctl(keeper->master, TIOCSWINSZ, size) == 0 || keeper->resized;
}

/* The size of who types is the terminal's. Where it is that already, it is another one for a moment: a program that
 * paints a screen does so again for a new size alone. */
static void use_size(struct keeper *keeper)
{
    const struct client *client = typist(keeper);
    struct winsize now;

    if (client == NULL || client->size.ws_row == 0 || ioctl(keeper->master, TIOCGWINSZ, &now) != 0)
        return;
    keeper->nudge_ms = 0;
    if (now.ws_row != client->size.ws_row || now.ws_col != client->size.ws_col || now.ws_row < 2) {
        set_size(keeper, &client->size);
        return;
    }
    now.ws_row--;
    set_size(keeper, &now);
    keeper->nudge_ms = clock_mono_ms() + NUDGE_MS;
}

static void admit(struct keeper *keeper)
{
    int fd = accept4(keeper->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    uid_t uid;
    pid_t pid;

    if (fd < 0)
        return;
    /* The directory lets nobody else come here; a sandbox of the same user is somebody else. */
    if (keeper->count == KEEPER_CLIENTS || !proc_peer(fd, &pid, &uid) || uid != geteuid() || !proc_is_beside_us(pid)) {
        close(fd);
        return;
    }
    keeper->clients[keeper->count++] = (struct client){.fd = fd, .at = first_line(keeper)};
    keeper->waiting_ms = 0;
}

/* True where the packet has gone; false where the socket is full, or gone (which poll says then). */
static bool send_packet(struct client *client, uint8_t kind, const uint8_t *bytes, size_t len)
{
    struct iovec parts[] = {{.iov_base = &kind, .iov_len = 1},
                            {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    return sendmsg(client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)(len + 1);
}

static uint8_t role_of(const struct keeper *keeper, const struct client *client)
{
    return client == &keeper->clients[keeper->count - 1] ? KEEPER_TYPES : KEEPER_WATCHES;
}

static bool has_more(const struct keeper *keeper, const struct client *client)
{
    return client->at < keeper->end || client->missed || client->told != role_of(keeper, client);
}

static void send_more(struct keeper *keeper, struct client *client)
{
    uint8_t role = role_of(keeper, client);

    if (client->told != role && send_packet(client, role, NULL, 0))
        client->told = role;
    if (client->missed && send_packet(client, KEEPER_MISSED, NULL, 0))
        client->missed = false;
    while (client->at < keeper->end && client->told == role && !client->missed) {
        size_t at = client->at % KEEPER_SCROLLBACK, len = (size_t)(keeper->end - client->at);
        len = len < KEEPER_SCROLLBACK - at ? len : KEEPER_SCROLLBACK - at;
        len = len < KEEPER_PACKET - 1 ? len : KEEPER_PACKET - 1;
        if (!send_packet(client, KEEPER_OUTPUT, keeper->ring + at, len))
            return;
        client->at += len;
        if (client == typist(keeper))
            keeper->waiting_ms = 0;
    }
}

static void write_keys(struct keeper *keeper)
{
    while (keeper->key_at < keeper->key_len) {
        ssize_t n = write(keeper->master, keeper->keys + keeper->key_at, keeper->key_len - keeper->key_at);
        if (n <= 0 && errno == EAGAIN)
            return;
        keeper->key_at = n > 0 ? keeper->key_at + (size_t)n : keeper->key_len;
    }
    keeper->key_at = keeper->key_len = 0;
}

/* False: it has gone. */
static bool take_packet(struct keeper *keeper, struct client *client)
{
    uint8_t packet[KEEPER_PACKET];
    ssize_t n = recv(client->fd, packet, sizeof packet, MSG_DONTWAIT);

    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    if (packet[0] == KEEPER_SIZE && n == 5) {
        client->size = (struct winsize){.ws_row = (unsigned short)(packet[1] << 8 | packet[2]),
                                        .ws_col = (unsigned short)(packet[3] << 8 | packet[4])};
        if (client == typist(keeper))
            use_size(keeper);
    } else if (packet[0] == KEEPER_KEYS && client == typist(keeper)) {
        memcpy(keeper->keys, packet + 1, (size_t)n - 1);
        keeper->key_len = (size_t)n - 1;
        keeper->key_at = 0;
        write_keys(keeper);
    }
    return true;
}

/* ---- the loop's side ---- */

bool keeper_behind(struct keeper *keeper)
{
    const struct client *client = typist(keeper);
    uint64_t now = clock_mono_ms();

    if (client == NULL || keeper->end - client->at < BEHIND) {
        keeper->waiting_ms = 0;
        return false;
    }
    if (keeper->waiting_ms == 0)
        keeper->waiting_ms = now;
    return now - keeper->waiting_ms < KEEPER_PATIENCE_MS;
}

int keeper_polls(struct keeper *keeper, struct pollfd *polls)
{
    int wait = keeper_behind(keeper) ? KEEPER_PATIENCE_MS : -1;

    polls[0] = (struct pollfd){.fd = keeper->fd, .events = POLLIN};
    for (size_t i = 0; i < KEEPER_CLIENTS; i++) {
        const struct client *client = &keeper->clients[i];
        bool there = i < keeper->count;
        /* What is typed waits in the socket until the pty has taken what was typed before. */
        bool reads = there && (keeper->key_len == 0 || i + 1 < keeper->count);
        polls[i + 1] = (struct pollfd){.fd = there ? client->fd : -1,
                                       .events = (short)((reads ? POLLIN : 0) |
                                                         (there && has_more(keeper, client) ? POLLOUT : 0))};
    }
    if (keeper->key_len > 0) /* the pty's other end does not read: seldom, and nobody is waiting for it */
        wait = NUDGE_MS;
    return keeper->nudge_ms != 0 ? NUDGE_MS : wait;
}

bool keeper_turn(struct keeper *keeper, const struct pollfd *polls)
{
    size_t typing = keeper->count;

    keeper->resized = false;
    write_keys(keeper);
    for (size_t i = keeper->count; i-- > 0;) { /* from the end: drop() moves those behind */
        short ready = polls[i + 1].revents;
        if (((ready & POLLIN) != 0 && !take_packet(keeper, &keeper->clients[i])) ||
            (ready & (POLLERR | POLLNVAL)) != 0 || (ready & (POLLHUP | POLLIN)) == POLLHUP) {
            drop(keeper, i);
            continue;
        }
        if (has_more(keeper, &keeper->clients[i]))
            send_more(keeper, &keeper->clients[i]);
    }
    if ((polls[0].revents & POLLIN) != 0)
        admit(keeper);
    if (keeper->count < typing)
        use_size(keeper); /* of whoever may type now */
    if (keeper->nudge_ms != 0 && clock_mono_ms() >= keeper->nudge_ms) {
        keeper->nudge_ms = 0;
        if (typist(keeper) != NULL)
            set_size(keeper, &typist(keeper)->size);
    }
    return keeper->resized;
}

static bool all_sent(struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->count; i++)
        if (has_more(keeper, &keeper->clients[i]))
            return false;
    return true;
}

/* What was said on its terminal since attend.c has stopped reading it. */
static void last_words(struct keeper *keeper)
{
    uint8_t bytes[KEEPER_PACKET];
    ssize_t n;

    for (int i = 0; i < KEEPER_SCROLLBACK / KEEPER_PACKET && (n = read(keeper->master, bytes, sizeof bytes)) > 0; i++)
        keeper_output(keeper, bytes, (size_t)n);
}

void keeper_close(struct keeper *keeper, int status)
{
    uint64_t until = clock_mono_ms() + LAST_MS;
    uint8_t byte = (uint8_t)status;

    if (keeper == NULL)
        return;
    last_words(keeper);
    while (!all_sent(keeper) && clock_mono_ms() < until) {
        struct pollfd polls[KEEPER_POLLS];
        (void)!keeper_polls(keeper, polls);
        polls[0].fd = -1;
        poll(polls, COUNT(polls), 20);
        polls[0].revents = 0;
        (void)!keeper_turn(keeper, polls);
    }
    for (size_t i = 0; i < keeper->count; i++) {
        struct client *client = &keeper->clients[i];
        while (!send_packet(client, KEEPER_STATUS, &byte, 1) && errno == EAGAIN && clock_mono_ms() < until)
            poll(NULL, 0, 10);
        close(client->fd);
    }
    close(keeper->master);
    close(keeper->fd);
    free(keeper);
}
