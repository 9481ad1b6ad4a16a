/* One poll loop from the start of the engine's process to its end. It copies terminal bytes and passes signals
 * on; it decides nothing, and knows nothing of the daemon but a descriptor that says when it died. */
#include "core/sandbox/attend.h"

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/proc.h"
#include "core/sandbox/keeper.h"
#include "core/sandbox/keys.h"
#include "core/sandbox/pour.h"
#include "core/sandbox/signals.h"
#include "core/sandbox/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    OWN_POLLS = 8,
    OVERDUE_MS = 5000,    /* longer than the supervisor gives the agent: it does not come to it */
    LAST_OUTPUT_MS = 200, /* what the terminal still holds when the sandbox has ended */
    LAST_OUTPUT_BYTES = 1024 * 1024,
    TYPES_AGAIN_MS = 500, /* until it is looked again whether what is typed is for the sandbox */
    FIRST_WORD_MS = 300,  /* a command may say something before its supervisor says that it runs */
    SIZE_AGAIN_MS = 1000, /* an engine's client that has just started does not hear of a change of size yet */
    LAST_WORD_MS = 300,   /* what is on its way from a supervisor whose engine has ended */
    OUTLIVES_MS = SUPERVISOR_GRACE_MS + 2000 /* a sandbox that has lost its engine ends itself */
};

struct state {
    struct attend *attend;
    int signal_fd;
    struct pour out; /* to the user's terminal */
    struct keys keys;
    uint64_t ask_again_ms;  /* when daemon_gone is called again; 0: not wanted */
    uint64_t size_again_ms; /* when the engine is told again to look at the size; 0: it has been */
    bool ended;
    bool running, over; /* the agent was started; the supervisor has said its last word */
    bool session_over;  /* the daemon has said so */
    bool asked; /* somebody wants an end of it */
    uint64_t over_ms; /* since when it is over */
    uint64_t kill_ms; /* when the engine's process is killed, where nothing else has ended it; 0: never */
    int status;
};

/* The engine's process has a session of its own: what a terminal sends us it has not got. Until the agent runs, a
 * signal is the engine's: a supervisor that found it on the channel would start the agent first. */
static void tell(struct state *state, int signo)
{
    uint8_t byte = (uint8_t)signo;
    const struct attend *attend = state->attend;

    if (state->running && attend->control_fd >= 0 &&
        send(attend->control_fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
        return;
    if (attend->signal != NULL)
        attend->signal(attend->signal_arg, signo);
    else if (!state->ended) /* reaped: its number may be another's */
        kill(attend->child, signo);
}

/* Its terminal is no controlling one, so that no change of size would reach docker's client by itself. Not when the
 * agent has ended: podman 4 passes the signal on to its container, finds that it has been removed meanwhile, and exits
 * with 127 in place of the agent's status. */
static void tell_size(struct state *state)
{
    if (!state->ended && !state->over)
        kill(state->attend->child, SIGWINCH);
    state->size_again_ms = clock_mono_ms() + SIZE_AGAIN_MS;
}

static void resize(struct state *state)
{
    tty_resize(state->attend->tty);
    tell_size(state);
}

/* The whole job, which may be a script that started us, as a terminal's Ctrl-Z would. Where no shell could resume it
 * (we are all that runs on the terminal) the kernel stops nobody. */
static void stop_job(void)
{
    sigset_t stop;

    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    kill(0, SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &stop, NULL); /* here */
    sigprocmask(SIG_BLOCK, &stop, NULL);
}

/* What the agent told of its stops until now is over: it is about to be resumed. One that stops and goes on by itself
 * a thousand times would stop the person's job as often. */
static void forget_stops(const struct state *state)
{
    int fd = state->attend->control_fd;
    uint8_t byte;

    while (fd >= 0 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1 && byte == SUPERVISOR_STOPPED)
        (void)!recv(fd, &byte, 1, MSG_DONTWAIT);
}

/* Suspends the launcher as a shell expects it, and goes on where it was when the shell resumes it. */
static void suspend(struct state *state)
{
    struct err err = {0};
    struct tty *tty = state->attend->tty;

    if (tty != NULL)
        tty_restore(tty);
    guard_rest(state->attend->guard, true);
    stop_job();
    guard_rest(state->attend->guard, false);
    forget_stops(state);
    if (tty != NULL && tty_raw(tty, &err))
        resize(state);
    tell(state, SIGCONT);
}

static void reap(struct state *state)
{
    int status;

    if (waitpid(state->attend->child, &status, WNOHANG) != state->attend->child)
        return;
    state->ended = true;
    state->status = proc_exit_status(status);
}

static void on_control(struct state *state);

/* Until the supervisor has said how it ended, or has gone; with start: or that the agent runs. */
static void hear_out(struct state *state, bool start, uint64_t ms)
{
    uint64_t until = clock_mono_ms() + ms, now;

    while (!state->over && !(start && state->running) && state->attend->control_fd >= 0 &&
           (now = clock_mono_ms()) < until) {
        struct pollfd wait = {.fd = state->attend->control_fd, .events = POLLIN};
        if (poll(&wait, 1, (int)(until - now)) > 0)
            on_control(state);
    }
}

/* Who keeps the supervisor from running does not keep us. */
static void kill_later(struct state *state, uint64_t grace_ms)
{
    state->kill_ms = state->kill_ms != 0 ? state->kill_ms : clock_mono_ms() + grace_ms + OVERDUE_MS;
}

static void kill_overdue(struct state *state)
{
    if (state->kill_ms != 0 && !state->ended && clock_mono_ms() >= state->kill_ms)
        kill(state->attend->child, SIGKILL);
}

static void on_signals(struct state *state)
{
    struct signalfd_siginfo info;

    while (read(state->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        int signo = (int)info.ssi_signo;
        if (signo == SIGCHLD)
            reap(state);
        else if (state->attend->keeper != NULL && (signo == SIGHUP || signo == SIGWINCH || signo == SIGTSTP))
            continue; /* of a terminal that we have left */
        else if (signo == SIGWINCH && state->attend->tty != NULL)
            resize(state);
        else if (signo == SIGTSTP && (!state->running || state->attend->control_fd < 0))
            suspend(state);
        else if (signo != SIGWINCH && signo != SIGCONT) { /* SIGTSTP: the agent's stop is ours, on_control */
            hear_out(state, true, FIRST_WORD_MS);
            state->asked = state->asked || signals_end(signo);
            if (signo == SIGTERM)
                kill_later(state, SUPERVISOR_STOP_MS);
            tell(state, signo);
        }
    }
}

static void on_screen(struct state *state)
{
    struct pour *out = &state->out;
    ssize_t n = read(state->attend->tty->master, out->bytes, sizeof(out->bytes));

    if (n > 0 && state->attend->keeper != NULL)
        keeper_output(state->attend->keeper, out->bytes, (size_t)n);
    else if (n > 0) {
        guard_follow(state->attend->guard, out->bytes, (size_t)n);
        (void)pour_out(out, (size_t)n); /* a terminal that went: SIGHUP follows */
    }
}

/* Until the agent runs nobody has the pty as a terminal of its own that could make a signal of Ctrl-C. */
static void interrupt(struct state *state)
{
    const struct attend *attend = state->attend;
    bool starting = !state->running && !state->over && (attend->control_fd >= 0 || attend->control_listen_fd >= 0);
    int signo = starting ? keys_signal(&state->keys, attend->tty) : 0;

    if (signo == 0)
        return;
    state->asked = true;
    tell(state, signo);
}

static void on_keys(struct state *state, short typed, bool room)
{
    if (typed != 0 && state->keys.len == 0) {
        keys_read(&state->keys, state->attend->tty, typed);
        interrupt(state);
    }
    if (room)
        keys_write(&state->keys, state->attend->tty);
}

/* The first to connect is the supervisor: there is no agent before. Nobody connects after it. */
static void on_supervisor(struct state *state)
{
    struct attend *attend = state->attend;
    int fd = accept4(attend->control_listen_fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    unlink(attend->control_path);
    close(attend->control_listen_fd);
    attend->control_listen_fd = -1;
    attend->control_fd = fd;
}

static void on_control(struct state *state)
{
    struct attend *attend = state->attend;
    uint8_t byte = 0;

    if (attend->control_fd < 0) {
        on_supervisor(state);
        return;
    }
    ssize_t n = recv(attend->control_fd, &byte, 1, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        attend->control_fd = -1; /* still the caller's to close */
        return;
    }
    switch (byte) {
    case SUPERVISOR_STOPPED:
        if (attend->keeper != NULL || state->ended)
            tell(state, SIGCONT); /* there is no shell that could resume it */
        else
            suspend(state);
        break;
    case SUPERVISOR_RUNNING:
        state->running = true;
        if (attend->tty != NULL)
            tell_size(state);
        if (attend->starter_fd >= 0)
            (void)!send(attend->starter_fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        break;
    case SUPERVISOR_ENDED:
    case SUPERVISOR_MEMORY:
    case SUPERVISOR_FAILED:
        state->over = true;
        state->over_ms = clock_mono_ms();
        attend->end = byte == SUPERVISOR_ENDED    ? ATTEND_EXIT
                      : byte == SUPERVISOR_MEMORY ? ATTEND_MEMORY
                                                  : ATTEND_NOT_STARTED;
        break;
    default:
        break;
    }
}

/* The engine's process has ended. It may have been killed alone: docker's client, its daemon, podman's. */
static void last_words(struct state *state)
{
    struct attend *attend = state->attend;

    if (attend->control_listen_fd >= 0) { /* it may just have connected */
        struct pollfd wait = {.fd = attend->control_listen_fd, .events = POLLIN};
        if (poll(&wait, 1, 0) > 0)
            on_supervisor(state);
    }
    hear_out(state, false, LAST_WORD_MS);
    if (state->over)
        return;
    attend->end = state->running ? ATTEND_KILLED : ATTEND_NOT_STARTED;
    if (attend->control_fd < 0)
        return;
    shutdown(attend->control_fd, SHUT_WR); /* to the supervisor the launcher has gone */
    hear_out(state, false, OUTLIVES_MS);
    attend->end = state->running ? ATTEND_ENGINE_GONE : ATTEND_NOT_STARTED; /* whatever it says now */
}

static void ask_daemon(struct state *state)
{
    static const uint8_t look = SUPERVISOR_LOOK;
    int fd = state->session_over ? ATTEND_OVER : state->attend->daemon_gone(state->attend->arg);

    state->ask_again_ms = fd == ATTEND_RETRY ? clock_mono_ms() + ATTEND_RETRY_MS : 0;
    if (fd == ATTEND_OVER)
        kill_later(state, SUPERVISOR_GRACE_MS);
    if (fd >= 0)
        state->attend->hold_fd = fd;
    else if (fd != ATTEND_RETRY && state->attend->control_fd >= 0) /* it was ended, or nobody holds it */
        (void)!send(state->attend->control_fd, &look, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    else if (fd != ATTEND_RETRY && state->attend->end_with_session) {
        fprintf(stderr, "aileron: the session was ended on the host; the sandbox stops.\r\n");
        tell(state, SIGTERM);
    }
}

static void on_hold(struct state *state)
{
    uint8_t bytes[256];
    ssize_t n = recv(state->attend->hold_fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (n > 0)
        state->session_over |= memmem(bytes, (size_t)n, ATTEND_ENDED, sizeof ATTEND_ENDED - 1) != NULL;
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    state->attend->hold_fd = -1;
    if (state->attend->daemon_gone != NULL)
        ask_daemon(state);
}

/* Who started us in the background has said that it knows, or has gone without: nobody would know of the sandbox. */
static void on_starter(struct state *state)
{
    uint8_t byte;
    ssize_t n = recv(state->attend->starter_fd, &byte, 1, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    state->attend->starter_fd = -1;
    if (n == 1)
        state->attend->alone(state->attend->starter);
    else
        tell(state, SIGTERM);
}

/* A terminal that takes nothing holds up an engine's client that has more to show, and so an end that is wanted. */
static bool let_go(struct state *state)
{
    if (!state->over || !state->asked || !pour_kept(&state->out))
        return false;
    if (clock_mono_ms() - state->over_ms >= LAST_OUTPUT_MS)
        pour_drop(&state->out);
    return true;
}

static void turn(struct state *state)
{
    const struct attend *attend = state->attend;
    bool tty = attend->tty != NULL, behind = attend->keeper != NULL && keeper_behind(attend->keeper);
    bool impatient = let_go(state), kept = pour_kept(&state->out);
    bool wants = tty && state->keys.len == 0 && !state->keys.ended, types = wants && tty_types(attend->tty);
    int wait = impatient                   ? LAST_OUTPUT_MS / 4
               : state->ask_again_ms != 0  ? ATTEND_RETRY_MS
               : state->size_again_ms != 0 ? SIZE_AGAIN_MS / 4
               : state->kill_ms != 0 || (wants && !types && attend->tty->keys) ? TYPES_AGAIN_MS : -1;
    struct pollfd polls[OWN_POLLS + KEEPER_POLLS] = {
        {.fd = state->signal_fd, .events = POLLIN},
        {.fd = tty && !behind && (!kept || state->keys.len > 0) ? attend->tty->master : -1,
         .events = (short)((kept ? 0 : POLLIN) | (state->keys.len > 0 ? POLLOUT : 0))},
        {.fd = types ? attend->tty->fd : -1, .events = POLLIN},
        {.fd = attend->control_fd >= 0 ? attend->control_fd : attend->control_listen_fd, .events = POLLIN},
        {.fd = attend->hold_fd, .events = POLLIN},
        {.fd = attend->starter_fd, .events = POLLIN},
        {.fd = kept ? state->out.fd : -1, .events = POLLOUT},
        {.fd = attend->feed->to, .events = POLLOUT},
    };

    if (attend->keeper != NULL) {
        int keeper_wait = keeper_polls(attend->keeper, polls + OWN_POLLS);
        wait = wait < 0 || (keeper_wait >= 0 && keeper_wait < wait) ? keeper_wait : wait;
    }
    if (poll(polls, attend->keeper != NULL ? COUNT(polls) : OWN_POLLS, wait) < 0)
        return;
    if (polls[6].revents != 0)
        (void)pour_more(&state->out);
    if (polls[7].revents != 0)
        feed_more(attend->feed);
    if ((polls[1].revents & POLLIN) != 0)
        on_screen(state);
    else if ((polls[1].revents & (POLLHUP | POLLERR)) != 0)
        poll(NULL, 0, 5); /* nobody has the other end open at the moment */
    if (polls[1].revents != 0 || polls[2].revents != 0)
        on_keys(state, polls[2].revents, (polls[1].revents & POLLOUT) != 0);
    if (attend->keeper != NULL && keeper_turn(attend->keeper, polls + OWN_POLLS))
        tell_size(state);
    if (polls[3].revents != 0)
        on_control(state);
    if (polls[4].revents != 0)
        on_hold(state);
    if (polls[5].revents != 0)
        on_starter(state);
    if (state->ask_again_ms != 0 && clock_mono_ms() >= state->ask_again_ms)
        ask_daemon(state);
    if (state->size_again_ms != 0 && clock_mono_ms() >= state->size_again_ms) {
        tell_size(state);
        state->size_again_ms = 0;
    }
    if (polls[0].revents != 0)
        on_signals(state);
    kill_overdue(state);
}

/* All of it, also where the terminal is slow; but who wants an end of it need not wait for one that takes nothing. */
static void last_output(struct state *state)
{
    struct pour *out = &state->out;
    uint64_t until = clock_mono_ms() + LAST_OUTPUT_MS;
    size_t left = LAST_OUTPUT_BYTES;

    while (left > 0 && (!state->asked || clock_mono_ms() < until)) {
        bool kept = pour_kept(out);
        struct pollfd polls[] = {
            {.fd = kept ? out->fd : state->attend->tty->master, .events = kept ? POLLOUT : POLLIN},
            {.fd = state->signal_fd, .events = POLLIN},
        };
        if (poll(polls, COUNT(polls), kept && !state->asked ? -1 : 20) <= 0 && !kept)
            return;
        state->asked = (polls[1].revents != 0 && signals_asked(state->signal_fd)) || state->asked;
        if (kept && polls[0].revents != 0)
            (void)pour_more(out);
        else if (!kept && (polls[0].revents & POLLIN) == 0)
            return;
        else if (!kept) {
            on_screen(state);
            left = left > POUR_BYTES ? left - POUR_BYTES : 0;
        }
    }
}

int attend_run(struct attend *attend)
{
    static struct state state;
    struct err err = {0};

    state = (struct state){.attend = attend, .status = err_exit(ERR_LAUNCH)};
    pour_open(&state.out, attend->tty != NULL ? attend->tty->out : -1);
    if (attend->tty != NULL && attend->tty->lines)
        signal(SIGTTIN, SIG_IGN); /* to read in the background fails then, and stops nobody */
    state.signal_fd = signals_open(&err);
    if (state.signal_fd < 0)
        return err_print(&err, "aileron");
    if (attend->tty != NULL && attend->keeper == NULL && !tty_raw(attend->tty, &err))
        err_print(&err, "aileron");
    reap(&state); /* it may have ended already */
    while (!state.ended)
        turn(&state);
    last_words(&state);
    if (attend->tty != NULL) {
        last_output(&state);
        tty_restore(attend->tty);
    }
    pour_close(&state.out);
    close(state.signal_fd);
    return state.status;
}
