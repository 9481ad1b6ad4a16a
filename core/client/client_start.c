/* Finding the daemon, and starting it where it does not run: our own executable, detached, with an environment
 * that holds no secret. What it could not do comes back through a pipe, so that the command line can say it. */
#include "core/client/client_private.h"

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/proc.h"
#include "core/sandbox/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    READY_FD = 3,
    REPORT_BYTES = 1024,
    LOG_BYTES = 1024 * 1024, /* a log above this size is put aside at the next start */
    RETRY_MS = 20,
    MARK_BYTES = 4096
};

char *client_home(struct err *err)
{
    const char *set = getenv("AILERON_HOME"), *home = getenv("HOME");

    if (set != NULL && set[0] != 0) {
        if (set[0] == '/')
            return mem_strdup(set);
        err_set(err, ERR_CONFIG, "AILERON_HOME is not an absolute path: %s", set);
        err_hint(err, "Set it to one that begins with /");
        return NULL;
    }
    if (file_exists(SANDBOX_TOKEN)) { /* else a vault that is empty, and a policy that allows, would seem to be it */
        err_set(err, ERR_UNAVAILABLE, "this is a sandbox of Aileron: its daemon, and what the user decides and keeps, "
                                      "are on the host");
        err_hint(err, "Ask the user there. In here are aileron-shim and aileron-wait, and with AILERON_HOME set a "
                      "daemon apart from that one");
        return NULL;
    }
    if (home != NULL && home[0] == '/')
        return mem_printf("%s/.aileron", home);
    err_set(err, ERR_CONFIG, "neither AILERON_HOME nor HOME says where ~/.aileron is");
    err_hint(err, "Set AILERON_HOME to an absolute path");
    return NULL;
}

bool client_home_check(const char *home, struct err *err)
{
    if (!text_utf8_valid(span_of(home)) || strpbrk(home, "\n\r") != NULL) { /* it travels in JSON */
        err_set(err, ERR_CONFIG, "the path of AILERON_HOME is not UTF-8, or has a line break in it: %s", home);
        return err_hint(err, "Set AILERON_HOME to another one");
    }
    if (!file_exists(home) && !file_mkdirs(home, 0700, err))
        return err_wrap(err, "cannot make %s", home);
    return file_check_private_dir(home, err);
}

/* ---- connecting ---- */

static bool check_version(const char *home, struct err *err)
{
    AUTOFREE char *path = file_join(home, "run/daemon.json");
    struct doc doc = {0};
    struct err ignored;
    struct buf text;

    if (!file_read(path, MARK_BYTES, &text, &ignored))
        return true; /* an old daemon that was killed, or a new one that has only begun: it will answer for itself */
    bool read = json_parse(text.data, text.len, MARK_BYTES, "daemon.json", ERR_DATA, &doc, &ignored);
    buf_clear(&text);
    const char *version = read ? json_string_value(json_object_get(doc.root, "version")) : NULL;
    bool same = version == NULL || strcmp(version, AILERON_VERSION) == 0;
    if (!same) {
        err_set(err, ERR_CONFLICT, "the daemon is version %s, and this program is version %s", version,
                AILERON_VERSION);
        err_hint(err, "Stop it with: aileron daemon stop (a new one starts by itself)");
    }
    doc_clear(&doc);
    return same;
}

static struct client *try_connect(const char *home, struct err *err)
{
    AUTOFREE char *path = file_join(home, "run/control.sock");
    int fd = proc_unix_connect(path, err);

    return fd >= 0 ? client_over(fd) : NULL;
}

struct client *client_connect_any_version(const char *home, struct err *err)
{
    AUTOFREE char *found = home == NULL ? client_home(err) : mem_strdup(home);

    if (found == NULL)
        return NULL;
    /* In a directory that others can write to, another could have put the socket there. */
    if (!file_check_private_dir(found, err) && err->code != ERR_NOT_FOUND)
        return NULL;
    struct client *client = try_connect(found, err);
    if (client == NULL && err->code == ERR_UNAVAILABLE) {
        err_set(err, ERR_UNAVAILABLE, "no daemon is running for %s", found);
        err_hint(err, "It starts by itself with the first command that needs it, or with: aileron daemon");
    } else if (client == NULL) {
        err_hint_default(err, "It is made with mode 0600, below directories of mode 0700 that are yours: chmod what is "
                              "not so, or end the daemon that run/daemon.pid names");
    }
    return client;
}

struct client *client_connect(const char *home, bool autostart, struct err *err)
{
    AUTOFREE char *found = home == NULL ? client_home(err) : mem_strdup(home);

    if (found == NULL)
        return NULL;
    struct err why = {0}; /* that none ran is no error of who wants one started */
    struct client *client = client_connect_any_version(found, &why);
    if (client == NULL && autostart && why.code == ERR_UNAVAILABLE && client_start_daemon(found, &why)) {
        why = (struct err){0};
        client = client_connect_any_version(found, &why);
    }
    if (client != NULL && check_version(found, &why))
        return client;
    *err = why;
    client_close(client);
    return NULL;
}

bool client_answers(const char *home)
{
    json_t *answer JSON_AUTO = NULL;
    struct err ignored = {0};
    struct client *client = client_connect_any_version(home, &ignored);
    bool good = client != NULL && client_ask(client, "GET", "/v1/health", NULL, &answer, &ignored);

    client_close(client);
    return good;
}

/* ---- starting ---- */

static int open_log(const char *home, struct err *err)
{
    AUTOFREE char *path = file_join(home, "run/daemon.log");
    AUTOFREE char *old = file_join(home, "run/daemon.log.1");
    struct stat st;

    if (stat(path, &st) == 0 && st.st_size > LOG_BYTES)
        rename(path, old);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        err_errno(err, ERR_IO, errno, "cannot open %s", path);
        err_hint(err, "Nothing was started. The daemon writes below %s: make that writable, with space", home);
    }
    return fd;
}

/* What a daemon needs, and what tells its helpers where podman has its containers; nothing else, since the caller's
 * environment may hold a passphrase or tokens. */
static void daemon_environment(const char *home, char *env[16])
{
    static const char *const names[] = {"HOME", "PATH", "TMPDIR", "LANG", "TZ", "DOCKER_HOST", "XDG_RUNTIME_DIR",
                                        "XDG_CONFIG_HOME", "XDG_DATA_HOME", "CONTAINERS_STORAGE_CONF", "AILERON_LOG",
                                        "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"};
    size_t count = 0;

    env[count++] = mem_printf("AILERON_HOME=%s", home);
    for (size_t i = 0; i < COUNT(names); i++) {
        const char *value = getenv(names[i]);
        if (value != NULL)
            env[count++] = mem_printf("%s=%s", names[i], value);
    }
    env[count] = NULL;
}

static bool spawn_daemon(const char *home, int log_fd, int ready_fd, struct err *err)
{
    static char name[] = "aileron", applet[] = "daemon", foreground[] = "--foreground", ready[] = "--ready-fd=3";
    char *argv[] = {name, applet, foreground, ready, NULL}, *env[16];
    CLEANUP(file_close_ptr) int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct proc_fd fds[] = {{null_fd, 0}, {log_fd, 1}, {log_fd, 2}, {ready_fd, READY_FD}};

    if (null_fd < 0)
        return err_errno(err, ERR_IO, errno, "cannot open /dev/null");
    daemon_environment(home, env);
    pid_t pid = proc_spawn(&(struct proc_spec){.argv = argv, .envp = env, .cwd = "/", .fds = fds,
                                               .fd_count = COUNT(fds), .new_session = true},
                           err);
    for (size_t i = 0; env[i] != NULL; i++)
        free(env[i]);
    return pid > 0;
}

/* Reads "R", or "E" and three lines: code, message, hint. */
static bool read_report(const char *home, int fd, struct err *err)
{
    char text[REPORT_BYTES + 1];
    size_t len = 0;
    uint64_t end_ms = clock_mono_ms() + CLIENT_START_MS;
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    for (;;) {
        uint64_t now = clock_mono_ms();
        int ready = poll(&poll_fd, 1, now < end_ms ? (int)(end_ms - now) : 0);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0) {
            err_set(err, ERR_UNAVAILABLE, "the daemon did not answer within %d ms", CLIENT_START_MS);
            return err_hint(err, "See %s/run/daemon.log", home);
        }
        ssize_t n = read(fd, text + len, REPORT_BYTES - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        len += (size_t)n;
        if (text[0] == 'R')
            return true;
        if (len == REPORT_BYTES)
            break;
    }
    text[len] = 0;
    struct span rest = {text, len}, mark, code, message, hint = {0};
    if (span_cut(&rest, '\n', &mark) && span_eqs(mark, "E") && span_cut(&rest, '\n', &code) &&
        span_cut(&rest, '\n', &message)) {
        AUTOFREE char *word = mem_strndup(code.p, code.len);
        err_set(err, err_from_word(word), "%.*s", SPAN_ARG(message));
        if (span_cut(&rest, '\n', &hint) && hint.len > 0)
            err_hint(err, "%.*s", SPAN_ARG(hint));
        return false;
    }
    err_set(err, ERR_UNAVAILABLE, "the daemon ended while it started");
    return err_hint(err, "See %s/run/daemon.log", home);
}

/* One start; false with ERR_CONFLICT where another daemon holds the lock. */
static bool start_once(const char *home, struct err *err)
{
    int pipe_fds[2];
    CLEANUP(file_close_ptr) int log_fd = open_log(home, err);

    if (log_fd < 0)
        return false;
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return err_errno(err, ERR_IO, errno, "cannot make a pipe");
    CLEANUP(file_close_ptr) int read_fd = pipe_fds[0];
    bool started = spawn_daemon(home, log_fd, pipe_fds[1], err);
    close(pipe_fds[1]);
    return started && read_report(home, read_fd, err);
}

/* Nobody holds the daemon's lock (or it cannot be asked for): then a conflict is about something else. */
static bool lock_is_free(const char *home)
{
    AUTOFREE char *path = file_join(home, "run/daemon.lock");
    struct err why = {0};
    CLEANUP(file_close_ptr) int fd = proc_lock(path, &why);

    return fd >= 0 || why.code != ERR_CONFLICT;
}

/* Where another holds the lock, it has either won the race to start, and answers soon, or is about to end. */
bool client_start_daemon(const char *home, struct err *err)
{
    const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
    uint64_t end_ms = clock_mono_ms() + CLIENT_START_MS;
    AUTOFREE char *run = file_join(home, "run");
    int free_times = 0; /* once is a daemon that has just ended */

    if (!client_home_check(home, err) || !file_mkdirs(run, 0700, err))
        return false;
    do {
        if (start_once(home, err))
            return true;
        if (err->code != ERR_CONFLICT || (lock_is_free(home) && ++free_times > 2))
            return err_hint_default(err, "See %s/run/daemon.log", home);
        if (client_answers(home))
            return true;
        nanosleep(&pause, NULL);
    } while (clock_mono_ms() < end_ms);
    err_set(err, ERR_UNAVAILABLE, "a daemon holds run/daemon.lock and does not answer");
    return err_hint(err, "See %s/run/daemon.log and run/daemon.pid", home);
}
