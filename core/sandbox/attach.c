/* One poll loop between the user's terminal and a keeper. What comes from the sandbox goes to the terminal as it is, as
 * in any launch; what this program says itself goes to standard error. */
#include "core/sandbox/attach.h"

#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/sandbox/guard.h"
#include "core/sandbox/keeper.h"
#include "core/sandbox/pour.h"
#include "core/sandbox/tty.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

enum {
    KEYS_BYTES = 1024,
    HELD_MS = 1000, /* a key that may be the first of those that detach is kept back that long */
    GOES_ON = -2
};

struct state {
    int fd, signal_fd;
    struct guard *guard;
    const struct attach_keys *keys;
    size_t held; /* of the keys that detach, typed so far */
    uint64_t held_ms;
    uint8_t packet[1 + KEYS_BYTES + ATTACH_KEYS_MAX]; /* typed, not yet taken by the keeper */
    size_t packet_len;
    bool terminal, keys_ended, watches;
    bool resized; /* the keeper has not taken the size yet */
    struct pour out;
    struct termios modes;
    int status; /* GOES_ON, or what to return */
};

/* ---- keys ---- */

static bool parse_key(struct span word, uint8_t *out)
{
    if (word.len == 1 && word.p[0] > ' ' && word.p[0] < 0x7f) {
        *out = (uint8_t)word.p[0];
        return true;
    }
    if (word.len != 6 || strncmp(word.p, "ctrl-", 5) != 0)
        return false;
    uint8_t c = (uint8_t)word.p[5];
    if (!((c >= 'a' && c <= 'z') || (c >= '[' && c <= '_') || c == '@'))
        return false;
    *out = c & 0x1f;
    return true;
}

bool attach_keys_parse(const char *text, struct attach_keys *out, struct err *err)
{
    struct span rest = span_of(text), word;

    *out = (struct attach_keys){0};
    while (text[0] != '\0' && span_cut(&rest, ',', &word)) {
        if (out->count < ATTACH_KEYS_MAX && parse_key(word, &out->bytes[out->count])) {
            out->count++;
            continue;
        }
        err_set(err, ERR_USAGE, "%s is not a list of at most %d keys", text, ATTACH_KEYS_MAX);
        return err_hint(err, "Write them like ctrl-p,ctrl-q or ctrl-],d");
    }
    return true;
}

/* Where the sandbox does not read, neither do we. */
static void send_packet(struct state *state)
{
    if (state->packet_len > 0 &&
        (send(state->fd, state->packet, state->packet_len, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 || errno != EAGAIN))
        state->packet_len = 0; /* another failure is what the next read says */
}

static void send_keys(struct state *state, const uint8_t *bytes, size_t len)
{
    if (len == 0)
        return;
    state->packet[0] = KEEPER_KEYS;
    memcpy(state->packet + 1, bytes, len);
    state->packet_len = len + 1;
    send_packet(state);
}

/* Keys that might detach are kept back until it is clear that they do not. */
static void type(struct state *state, const uint8_t *typed, size_t len)
{
    const struct attach_keys *keys = state->keys;
    uint8_t out[KEYS_BYTES + ATTACH_KEYS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < len; i++) {
        if (state->held > 0 && typed[i] != keys->bytes[state->held]) {
            memcpy(out + count, keys->bytes, state->held);
            count += state->held;
            state->held = 0;
        }
        if (!state->terminal || keys->count == 0 || typed[i] != keys->bytes[state->held]) {
            out[count++] = typed[i];
        } else if (++state->held == keys->count) {
            state->status = 0;
            return;
        }
    }
    state->held_ms = state->held > 0 ? clock_mono_ms() : 0;
    send_keys(state, out, count);
}

static void on_keys(struct state *state)
{
    uint8_t bytes[KEYS_BYTES / 2];
    ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);

    if (n > 0)
        type(state, bytes, (size_t)n);
    else if (n == 0 || (errno != EINTR && errno != EAGAIN))
        state->keys_ended = true;
}

static void release_held(struct state *state)
{
    if (state->held == 0 || state->packet_len > 0 || clock_mono_ms() - state->held_ms < HELD_MS)
        return;
    send_keys(state, state->keys->bytes, state->held);
    state->held = 0;
}

/* ---- the sandbox's side ---- */

static void send_size(struct state *state)
{
    struct winsize size;

    state->resized = false;
    if (!state->terminal || ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0)
        return;
    uint8_t packet[] = {KEEPER_SIZE, (uint8_t)(size.ws_row >> 8), (uint8_t)size.ws_row, (uint8_t)(size.ws_col >> 8),
                        (uint8_t)size.ws_col};
    /* Behind what was typed and is not read it may have to wait; the last one counts. */
    state->resized = send(state->fd, packet, sizeof packet, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void say(const struct state *state, const char *text)
{
    const char *end = state->terminal ? "\r\n" : "\n";

    fprintf(stderr, "%saileron: %s%s", state->terminal ? end : "", text, end);
}

static void on_packet(struct state *state, struct err *err)
{
    uint8_t packet[KEEPER_PACKET];
    ssize_t n = recv(state->fd, packet, sizeof packet, MSG_DONTWAIT);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        err_set(err, ERR_UNAVAILABLE, "the keeper of the sandbox's terminal has gone");
        err_hint(err, "It refuses more than %d terminals; if it was killed, the sandbox went with it: see "
                      "aileron session list", KEEPER_CLIENTS);
        state->status = -1;
        return;
    }
    switch (packet[0]) {
    case KEEPER_OUTPUT:
        guard_follow(state->guard, packet + 1, (size_t)n - 1);
        memcpy(state->out.bytes, packet + 1, (size_t)n - 1);
        if (!pour_out(&state->out, (size_t)n - 1))
            state->status = err_exit(ERR_IO);
        break;
    case KEEPER_MISSED:
        say(state, "some output was left out here: this terminal is slower than the sandbox");
        break;
    case KEEPER_WATCHES:
        say(state, "another terminal has attached: this one only watches now");
        state->watches = true;
        break;
    case KEEPER_TYPES:
        if (state->watches)
            say(state, "the other terminal has gone: this one types again");
        state->watches = false;
        break;
    case KEEPER_STATUS:
        state->status = n > 1 ? packet[1] : err_exit(ERR_INTERNAL);
        break;
    default:
        break; /* of a keeper that is newer */
    }
}

static void on_signal(struct state *state)
{
    struct signalfd_siginfo info;

    if (read(state->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    if (info.ssi_signo == SIGWINCH)
        send_size(state);
    else
        state->status = 128 + (int)info.ssi_signo;
}

static bool open_signals(struct state *state, struct err *err)
{
    static const int signals[] = {SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < COUNT(signals); i++)
        sigaddset(&set, signals[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == 0)
        state->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return state->signal_fd >= 0 || err_errno(err, ERR_IO, errno, "cannot watch signals");
}

static void turn(struct state *state, struct err *err)
{
    bool kept = pour_kept(&state->out), waits = state->packet_len > 0 || state->resized;
    struct pollfd polls[] = {
        {.fd = kept && !waits ? -1 : state->fd, .events = (short)((kept ? 0 : POLLIN) | (waits ? POLLOUT : 0))},
        {.fd = state->signal_fd, .events = POLLIN},
        {.fd = state->keys_ended || state->packet_len > 0 ? -1 : STDIN_FILENO, .events = POLLIN},
        {.fd = kept ? state->out.fd : -1, .events = POLLOUT},
    };

    if (poll(polls, COUNT(polls), state->held > 0 ? HELD_MS / 4 : -1) < 0)
        return;
    if ((polls[0].revents & POLLOUT) != 0)
        send_packet(state);
    if (state->resized && (polls[0].revents & POLLOUT) != 0)
        send_size(state);
    release_held(state);
    if (polls[3].revents != 0 && !pour_more(&state->out))
        state->status = err_exit(ERR_IO);
    else if (!kept && (polls[0].revents & ~POLLOUT) != 0)
        on_packet(state, err);
    if (polls[1].revents != 0)
        on_signal(state);
    if (polls[2].revents != 0 && state->status == GOES_ON)
        on_keys(state);
}

int attach_run(int fd, const struct attach_keys *keys, struct err *err)
{
    static struct state state;
    struct guard guard;

    state = (struct state){.fd = fd, .signal_fd = -1, .guard = &guard, .keys = keys, .status = GOES_ON};
    pour_open(&state.out, STDOUT_FILENO);
    state.terminal = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &state.modes) == 0;
    signal(SIGPIPE, SIG_IGN);
    guard_start(&guard, state.terminal ? STDIN_FILENO : -1);
    if (!open_signals(&state, err)) {
        guard_stop(&guard);
        return -1;
    }
    if (state.terminal) {
        struct termios raw = state.modes;
        cfmakeraw(&raw);
        tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    }
    send_size(&state);
    while (state.status == GOES_ON)
        turn(&state, err);
    if (state.terminal) { /* as tty_restore does */
        tty_forget(STDIN_FILENO);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &state.modes);
    }
    guard_stop(&guard);
    pour_close(&state.out);
    close(state.signal_fd);
    return state.status;
}
