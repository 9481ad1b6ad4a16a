/* The listener is the monitor's, as session.sock is: a worker that dies is started again on it. Its address is in the
 * session's private directory. What an engine left behind is removed by a process that knows the engine's own words; it
 * is told here which engine that is. */
#include "core/authority/session_remote.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/proc.h"
#include "core/loop/sockaddr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* A worker of a killed daemon dies with it, but not in the same instant, and holds the listener until then. */
enum { BACKLOG = 128, ENV_MAX = 4096, TAKEN_TRIES = 200, TAKEN_WAIT_MS = 10 };

/* What docker's own program reads of where its engine is. */
static const char *const engine_names[] = {"DOCKER_HOST", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", NULL};

bool session_remote_request(const struct json_at *request, json_t *meta, struct err *err)
{
    struct json_at at;
    bool present = false;

    if (!json_get_object(request, "engine_env", JSON_MAY, &at, &present, err))
        return false;
    if (!present)
        return true;
    if (!json_only(&at, engine_names, err))
        return false;
    json_t *kept = json_object();
    bool good = true;
    for (size_t i = 0; good && engine_names[i] != NULL; i++) {
        const char *text = "";
        good = json_get_text(&at, engine_names[i], i == 0 ? JSON_NEED : JSON_MAY, SESSION_ENGINE_TEXT, &text, err);
        if (good && text[0] != '\0')
            json_put(kept, engine_names[i], text);
    }
    json_object_set_new(meta, "engine_env", kept);
    return good;
}

/* ---- the listener ---- */

/* *again where the session had it from the daemon before this one. */
static bool wanted_address(const struct session *session, const char *path, struct addr *addr, bool *again,
                           struct err *err)
{
    struct buf text;
    struct err why = {0};

    *again = file_read(path, ADDR_TEXT_BYTES, &text, &why);
    if (*again) {
        bool good = addr_parse_port(span_of(buf_cstr(&text)), addr) && addr->port != 0;
        buf_clear(&text);
        return good || err_set(err, ERR_DATA, "%s holds no address", path);
    }
    *addr = session->snapshot->rules->config->sandbox.remote_listen;
    if (addr->family != ADDR_NONE)
        return true;
    err_set(err, ERR_CONFIG, "the engine is on another machine, and nothing says where its sandboxes reach this host");
    return err_hint(err, "Set sandbox.remote_listen in config.yaml to an address of this host to which they can "
                         "connect, or unset DOCKER_HOST");
}

static bool bind_at(int fd, const struct sockaddr_storage *to, socklen_t len, int tries)
{
    while (bind(fd, (const struct sockaddr *)to, len) != 0) {
        if (errno != EADDRINUSE || --tries <= 0)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = TAKEN_WAIT_MS * 1000000L}, NULL);
    }
    return true;
}

static int listen_at(const struct addr *addr, int tries, struct err *err)
{
    struct sockaddr_storage to;
    socklen_t len = sockaddr_from(addr, &to);
    char shown[ADDR_TEXT_BYTES];
    int yes = 1, fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
        bind_at(fd, &to, len, tries) && listen(fd, BACKLOG) == 0)
        return fd;
    addr_format_port(addr, shown);
    err_errno(err, ERR_CONFIG, errno, "cannot listen at %s for the sandbox of another machine", shown);
    err_hint(err, "sandbox.remote_listen in config.yaml must be an address of this host; without a port each session "
                  "gets one of its own");
    if (fd >= 0)
        close(fd);
    return -1;
}

bool session_remote_open(struct session *session, struct err *err)
{
    AUTOFREE char *path = file_join(session->private_dir, "remote");
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    struct addr addr;
    char text[ADDR_TEXT_BYTES];
    bool again = false;

    if (!json_is_object(json_object_get(session->meta, "engine_env")))
        return true;
    if (!wanted_address(session, path, &addr, &again, err))
        return false;
    session->remote_fd = listen_at(&addr, again ? TAKEN_TRIES : 1, err);
    if (session->remote_fd < 0)
        return false;
    if (getsockname(session->remote_fd, (struct sockaddr *)&at, &len) != 0 ||
        !sockaddr_to((const struct sockaddr *)&at, &addr))
        return err_errno(err, ERR_INTERNAL, errno, "cannot tell where the session listens");
    addr_format_port(&addr, text);
    session->remote = mem_strdup(text);
    return file_write_atomic(path, 0600, text, strlen(text), err);
}

/* ---- what an engine left behind ---- */

static bool is_engine_name(const char *item)
{
    for (size_t i = 0; engine_names[i] != NULL; i++)
        if (strncmp(item, engine_names[i], strlen(engine_names[i])) == 0 && item[strlen(engine_names[i])] == '=')
            return true;
    return false;
}

/* The daemon's environment is that of whoever started it, whose engine may have been another. */
void session_reap_engine(const json_t *meta, const char *id)
{
    static char name[] = "aileron", applet[] = "daemon", verb[] = "reap";
    const char *engine = json_string_value(json_object_get(meta, "engine")), *key;
    const json_t *where = json_object_get(meta, "engine_env"), *value;
    AUTOFREE char *engine_copy = mem_strdup(engine != NULL ? engine : ""), *id_copy = mem_strdup(id);
    AUTOFREE char **env = mem_array(ENV_MAX + COUNT(engine_names), sizeof(char *));
    char *argv[] = {name, applet, verb, engine_copy, id_copy, NULL}, *own[COUNT(engine_names)] = {NULL};
    struct err err = {0};
    size_t count = 0, own_count = 0;

    for (size_t i = 0; environ[i] != NULL && count < ENV_MAX; i++)
        if (!is_engine_name(environ[i]) || (where == NULL && strncmp(environ[i], "DOCKER_HOST=unix://", 19) == 0))
            env[count++] = environ[i];
    json_object_foreach((json_t *)(uintptr_t)where, key, value)
        if (json_is_string(value) && own_count < COUNT(own))
            env[count++] = own[own_count++] = mem_printf("%s=%s", key, json_string_value(value));
    if (engine_copy[0] != '\0' &&
        proc_spawn(&(struct proc_spec){.argv = argv, .envp = env, .cwd = "/", .new_session = true}, &err) < 0)
        log_warn("session %s: %s", id, err.message);
    while (own_count > 0)
        free(own[--own_count]);
}
