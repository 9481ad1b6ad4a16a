/* Pid 1. The order at the start is the point: what needs a privilege first, then the privileges go, then the
 * token is read, then the agent starts. From then on it is an event loop that carries bytes and reaps. It takes
 * no decision about traffic, and holds no credential but the session's own token. */
#include "core/sandbox/supervisor.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/proc.h"
#include "core/loop/loop.h"
#include "core/sandbox/capture.h"
#include "core/sandbox/carrier.h"
#include "core/sandbox/child.h"
#include "core/sandbox/fence.h"
#include "core/sandbox/memory.h"
#include "core/sandbox/netlink.h"
#include "core/sandbox/place.h"
#include "core/sandbox/privilege.h"
#include "core/sandbox/relay.h"
#include "core/sandbox/say.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    OPEN_FILES = 65536, /* what the relay may need */
    KILLED_MS = 1000    /* for what was killed to be reaped */
};

enum supervisor_state {
    STARTING,
    RUNNING,
    ENDING, /* the agent was asked to stop, and has a while for it */
    KILLING,
    DONE
};

struct supervisor {
    const struct supervisor_spec *spec;
    const char *run_dir;
    enum supervisor_state state;
    struct loop *loop;
    struct capture *capture;
    struct relay *relay;
    struct env env;
    char *token, *socket_path, *token_path;
    struct place place;
    uint64_t open_files; /* the soft limit that we were given */
    uint64_t kills;      /* for want of memory, before the agent */
    pid_t agent;
    pid_t carrier; /* of a session on another machine; 0: none */
    int status;
    int terminal; /* -1: none */
    struct watch control;
    struct timer poll, grace;
};

static bool set_up_network(struct supervisor *self, struct err *err)
{
    static const uint16_t usual[] = {80, 443};
    const struct supervisor_spec *spec = self->spec;
    bool given = spec->port_count > 0;

    /* First of all: where the engine gave us a network that is not our own, nothing of it is to be changed. */
    if (!spec->open && (!fence_check_outside(err) || !netlink_loopback_up(err) ||
                        !netlink_loopback_address(htonl(0x7f400001), 10, err)))
        return false;
    self->capture = capture_open(self->loop, given ? spec->ports : usual,
                                 given ? spec->port_count : COUNT(usual), !spec->open, err);
    return self->capture != NULL && (spec->open || fence_check_outside(err));
}

static bool read_token(struct supervisor *self, struct err *err)
{
    struct buf text;

    self->token_path = file_join(self->run_dir, "token");
    self->socket_path = file_join(self->run_dir, "session.sock");
    if (!file_read(self->token_path, SANDBOX_TOKEN_BYTES, &text, err)) {
        err->code = ERR_LAUNCH;
        return err_wrap(err, "cannot read the session's token");
    }
    size_t len = strcspn(buf_cstr(&text), " \r\n");
    self->token = mem_strndup(buf_cstr(&text), len);
    buf_wipe(&text);
    return len > 0 || err_set(err, ERR_LAUNCH, "the session's token is empty");
}

static bool make_env(struct supervisor *self, struct err *err)
{
    extern char **environ;
    struct env_sandbox sandbox = {.token = self->token, .user = self->place.account.name, .sealed = !self->spec->open};

    env_add_all(&self->env, environ);
    AUTOFREE char *path = env_get(&self->env, "PATH") != NULL ? mem_strdup(env_get(&self->env, "PATH")) : NULL;
    sandbox.image_path = path;
    const char *cwd = self->spec->cwd != NULL ? self->spec->cwd : SANDBOX_WORKSPACE;
    return env_apply_sandbox(&self->env, &sandbox, err) &&
           ((env_set(&self->env, "HOME", self->place.account.home) && env_set(&self->env, "PWD", cwd)) ||
            err_set(err, ERR_LAUNCH, "the environment is too large"));
}

/* Standard input as our session's terminal, so that the agent can be its foreground job. Where output goes elsewhere it
 * passes lines on and is nobody's (tty.h). */
static int take_terminal(void)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return -1;
    if (tcgetpgrp(STDIN_FILENO) >= 0)
        return STDIN_FILENO;
    setsid();
    return ioctl(STDIN_FILENO, TIOCSCTTY, 0) == 0 ? STDIN_FILENO : -1;
}

/* ---- events ---- */

static void set_state(struct supervisor *self, enum supervisor_state state)
{
    static const char *const names[] = {"starting", "running", "ending", "killing", "done"};

    log_debug("supervisor: state=%s", names[state]);
    self->state = state;
}

/* Its group, and itself where it has gone over to another one. */
static void send_agent(const struct supervisor *self, int signo)
{
    kill(-self->agent, signo);
    if (getpgid(self->agent) != self->agent)
        kill(self->agent, signo);
}

static void signal_agent(const struct supervisor *self, int signo)
{
    if (self->agent <= 0)
        return;
    send_agent(self, signo);
    if (signo == SIGHUP || signo == SIGTERM) /* what is stopped would never see them: as a terminal's hang-up does */
        send_agent(self, SIGCONT);
}

static bool tell_launcher(const struct supervisor *self, uint8_t byte)
{
    return self->spec->control_fd >= 0 &&
           send(self->spec->control_fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

static void agent_stopped(struct supervisor *self)
{
    if (tell_launcher(self, SUPERVISOR_STOPPED))
        return;
    /* Nobody there who could resume it: an engine's terminal has no shell around it. */
    if (self->terminal >= 0)
        signal_agent(self, SIGCONT);
}

static void agent_ended(struct supervisor *self, int status)
{
    bool memory = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && memory_kills() > self->kills;

    if (memory)
        say_line("aileron: the command was killed: out of memory. Raise sandbox.memory in config.yaml.\n");
    self->status = proc_exit_status(status);
    tell_launcher(self, memory ? SUPERVISOR_MEMORY : SUPERVISOR_ENDED);
    set_state(self, DONE);
    loop_stop(self->loop);
}

/* Signals the agent, and ends it where it goes on for longer than that. */
static void end_agent(struct supervisor *self, int signo, uint64_t grace_ms)
{
    signal_agent(self, signo);
    if (self->state != RUNNING)
        return;
    set_state(self, ENDING);
    timer_start(&self->grace, grace_ms);
}

/* Nothing can put another one into the network that we have left. */
static void carrier_ended(struct supervisor *self)
{
    self->carrier = 0;
    if (self->state != RUNNING)
        return;
    end_agent(self, SIGTERM, SUPERVISOR_GRACE_MS);
    say_line("aileron: the process that carries the sandbox's traffic to the host was killed; the sandbox stops.\n");
}

static void reap(struct supervisor *self)
{
    int status;

    for (;;) {
        pid_t pid = waitpid(-1, &status, WNOHANG | WUNTRACED);
        if (pid <= 0)
            return;
        if (pid == self->carrier && WIFSTOPPED(status) == 0) {
            carrier_ended(self);
            continue;
        }
        if (pid != self->agent)
            continue; /* an orphan */
        if (WIFSTOPPED(status)) {
            agent_stopped(self);
            continue;
        }
        agent_ended(self, status);
    }
}

static void on_signal(int signo, void *arg)
{
    struct supervisor *self = arg;

    if (signo == SIGCHLD)
        reap(self);
    else if (signo == SIGTERM)
        end_agent(self, SIGTERM, SUPERVISOR_STOP_MS);
    else
        signal_agent(self, signo);
}

/* The session's directory is emptied when the session ends; a daemon that is down leaves it as it is. */
static void on_poll(void *arg)
{
    struct supervisor *self = arg;

    if (access(self->token_path, F_OK) == 0 || errno != ENOENT) {
        timer_start(&self->poll, SUPERVISOR_POLL_MS);
        return;
    }
    if (self->state != RUNNING)
        return; /* it has been asked already */
    end_agent(self, SIGTERM, SUPERVISOR_GRACE_MS);
    say_line("aileron: the session was ended on the host; the sandbox stops.\n");
}

static void on_control(void *arg, unsigned ready)
{
    struct supervisor *self = arg;
    uint8_t signo;
    ssize_t n = recv(self->spec->control_fd, &signo, 1, MSG_DONTWAIT);

    (void)ready;
    if (n == 1 && signo > 0 && signo < NSIG) {
        if (signo == SIGCONT && self->terminal >= 0)
            tcsetpgrp(self->terminal, self->agent);
        on_signal(signo, self);
    } else if (n == 1 && signo == SUPERVISOR_LOOK) {
        on_poll(self);
    } else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        /* The launcher, or whatever stood in for it: an engine that was killed, too, does not take us with it. */
        watch_stop(&self->control);
        end_agent(self, self->terminal >= 0 ? SIGHUP : SIGTERM, SUPERVISOR_GRACE_MS);
    }
}

/* All that runs here: a program of its own that traces the agent keeps a dead one from being reaped. Whatever is still
 * there then ends with pid 1. */
static void on_grace(void *arg)
{
    struct supervisor *self = arg;

    if (self->state == KILLING) {
        agent_ended(self, SIGKILL);
        return;
    }
    set_state(self, KILLING);
    signal_agent(self, SIGKILL);
    if (getpid() == 1)
        kill(-1, SIGKILL);
    timer_start(&self->grace, KILLED_MS);
    say_line("aileron: the command did not stop when it was asked to, and is killed.\n");
}

static bool watch_all(struct supervisor *self, struct err *err)
{
    static const int signals[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM};

    for (size_t i = 0; i < COUNT(signals); i++)
        if (!loop_on_signal(self->loop, signals[i], on_signal, self, err))
            return false;
    timer_init(&self->poll, self->loop, on_poll, self);
    timer_init(&self->grace, self->loop, on_grace, self);
    timer_start(&self->poll, SUPERVISOR_POLL_MS);
    if (self->spec->control_fd >= 0) {
        watch_init(&self->control, self->loop, self->spec->control_fd, on_control, self);
        if (!watch_set(&self->control, WATCH_READ))
            return err_set(err, ERR_LAUNCH, "cannot watch the control channel");
    }
    return true;
}

/* ---- the start ---- */

static void raise_open_files(struct supervisor *self)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    self->open_files = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max < OPEN_FILES ? limit.rlim_max : OPEN_FILES;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* What carries stays behind in the engine's network; we go on in one that has nothing, as --network=none gives it. */
static bool start_carrier(struct supervisor *self, struct err *err)
{
    AUTOFREE char *socket_path = file_join(self->run_dir, "session.sock");
    AUTOFREE char *ca_path = file_join(self->run_dir, "ca.pem");

    if (!self->spec->have_remote)
        return true;
    self->carrier = carrier_start(&self->spec->remote, socket_path, ca_path, err);
    return self->carrier > 0 && (self->spec->open || privilege_leave_network(err));
}

static bool check_daemon(const struct supervisor *self, struct err *err)
{
    char at[ADDR_TEXT_BYTES];

    if (fence_check_daemon(self->socket_path, self->token, err))
        return true;
    if (!self->spec->have_remote)
        return false;
    addr_format_port(&self->spec->remote, at);
    err_wrap(err, "the host cannot be reached at %s", at);
    return err_hint(err, "sandbox.remote_listen must be an address to which the engine's containers can connect: look "
                         "at routes and firewalls between them and this host");
}

static bool prepare(struct supervisor *self, struct err *err)
{
    const struct supervisor_spec *spec = self->spec;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    signal(SIGTTIN, SIG_IGN);
    if (getpid() != 1)
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (spec->control_fd >= 0 && (!proc_set_cloexec(spec->control_fd, true) ||
                                  !proc_set_nonblock(spec->control_fd)))
        return err_errno(err, ERR_LAUNCH, errno, "the control channel %d is not open", spec->control_fd);
    if (!file_exists(self->run_dir)) {
        err_set(err, ERR_LAUNCH, "the session's directory %s is not there", self->run_dir);
        return err_hint(err, "This command is for the inside of a sandbox; see aileron launch");
    }
    self->loop = start_carrier(self, err) ? loop_new(err) : NULL;
    if (self->loop == NULL || !set_up_network(self, err) || !place_find(spec, &self->place, err) ||
        !place_protect(&self->place, err))
        return false;
    raise_open_files(self);
    place_prepare(&self->place);
    return privilege_drop(self->place.nest ? geteuid() : self->place.uid,
                          self->place.nest ? getegid() : self->place.gid, self->place.nest, err) &&
           place_check(&self->place, err);
}

static bool start(struct supervisor *self, struct err *err)
{
    if (!prepare(self, err) || !read_token(self, err) || !check_daemon(self, err) ||
        !make_env(self, err) || !watch_all(self, err))
        return false;
    self->relay = relay_new(self->loop, self->socket_path, self->token);
    capture_start(self->capture, self->relay);
    self->terminal = take_terminal();

    struct child_spec child = {
        .command = self->spec->command,
        .cwd = self->place.cwd,
        .env = &self->env,
        .nest = self->place.nest,
        .wide = self->spec->have_remote, /* only there the container may have CAP_SYS_ADMIN */
        .uid = self->place.uid,
        .gid = self->place.gid,
        .pids = self->spec->pids,
        .terminal = self->terminal,
        .open_files = self->open_files,
    };
    self->kills = memory_kills();
    self->agent = child_start(&child, err);
    if (self->agent < 0 || !privilege_drop_rest(err))
        return false;
    env_clear(&self->env);
    log_open("sandbox", LOG_ERROR); /* standard error is the agent's as well, which may keep us from writing */
    tell_launcher(self, SUPERVISOR_RUNNING);
    set_state(self, RUNNING);
    return true;
}

static void fail(struct supervisor *self, const struct err *err)
{
    self->status = err_print(err, "aileron");
    tell_launcher(self, SUPERVISOR_FAILED);
    signal_agent(self, SIGKILL); /* it was started, and we could not go on */
}

int supervisor_run(const struct supervisor_spec *spec)
{
    struct supervisor self = {
        .spec = spec,
        .run_dir = spec->run_dir != NULL ? spec->run_dir : SANDBOX_RUN,
        .terminal = -1,
    };
    struct err err = {0};

    log_open("sandbox", LOG_WARN);
    if (start(&self, &err))
        loop_run(self.loop);
    else
        fail(&self, &err);
    capture_close(self.capture);
    relay_free(self.relay);
    loop_free(self.loop);
    env_clear(&self.env);
    if (self.token != NULL)
        explicit_bzero(self.token, strlen(self.token));
    free(self.token);
    free(self.token_path);
    free(self.socket_path);
    return self.status;
}
