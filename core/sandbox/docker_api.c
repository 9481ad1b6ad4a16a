/* Finds the engine's socket and asks it. The answer is bounded in size, and in time as a whole; only its status and
 * its body are looked at. */
#include "core/sandbox/docker_api.h"

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/proc.h"
#include "core/base/text.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

bool docker_is_far(void)
{
    const char *host = getenv("DOCKER_HOST");

    return host != NULL && (strncmp(host, "tcp://", 6) == 0 || strncmp(host, "ssh://", 6) == 0);
}

char *docker_socket(struct err *err)
{
    static const char usual[] = "/var/run/docker.sock";
    const char *host = getenv("DOCKER_HOST"), *runtime = getenv("XDG_RUNTIME_DIR");

    if (host != NULL && host[0] != '\0') {
        if (strncmp(host, "unix://", 7) == 0)
            return mem_strdup(host + 7);
        err_set(err, ERR_UNAVAILABLE, "DOCKER_HOST is neither a local socket (unix://) nor a machine (tcp://, ssh://)");
        err_hint(err, "Correct it, or unset DOCKER_HOST to use the docker of this machine");
        return NULL;
    }
    if (access(usual, W_OK) == 0)
        return mem_strdup(usual);
    if (runtime != NULL && runtime[0] == '/') { /* the user's own, also where the machine's is closed to him */
        char *path = file_join(runtime, "docker.sock");
        if (file_exists(path))
            return path;
        free(path);
    }
    if (file_exists(usual))
        return mem_strdup(usual);
    err_set(err, ERR_UNAVAILABLE, "the docker engine does not run: no socket at %s", usual);
    err_hint(err, "Start the docker engine (systemctl start docker); if it is elsewhere (docker context inspect says "
                  "where), set DOCKER_HOST to that");
    return NULL;
}

/* What answers there is no engine, or one that is in trouble. */
static bool trouble(struct err *err)
{
    err->code = ERR_UNAVAILABLE;
    return err_hint(err, "See what `docker version` says, or use --sandbox=bwrap");
}

/* To the end, or to the deadline: an engine that sends a byte a second is none that answers. */
static bool read_answer(int fd, struct buf *raw, struct err *err)
{
    uint64_t deadline = clock_mono_ms() + DOCKER_TIMEOUT_MS;
    char bytes[16384];

    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        uint64_t now = clock_mono_ms();
        if (now >= deadline || poll(&wait, 1, (int)(deadline - now)) <= 0)
            return err_set(err, ERR_UNAVAILABLE, "the docker engine does not answer");
        ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (n == 0)
            return true;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return err_errno(err, ERR_UNAVAILABLE, errno, "the docker engine does not answer");
        if (n > 0 && !buf_add(raw, bytes, (size_t)n))
            return err_set(err, ERR_UNAVAILABLE, "the docker engine's answer is too long");
    }
}

/* "HTTP/1.1 200 OK\r\n...\r\n\r\nBODY" */
static bool split(struct buf *raw, int *status, struct buf *body, struct err *err)
{
    const char *text = buf_cstr(raw), *end = strstr(text, "\r\n\r\n");
    uint64_t value = 0;

    if (raw->len < 12 || strncmp(text, "HTTP/1.", 7) != 0 || end == NULL ||
        !text_u64((struct span){text + 9, 3}, 999, &value))
        return err_set(err, ERR_UNAVAILABLE, "the docker engine's answer is not HTTP");
    *status = (int)value;
    if (body == NULL)
        return true;
    buf_init(body, DOCKER_ANSWER_BYTES);
    return buf_add(body, end + 4, raw->len - (size_t)(end + 4 - text)) ||
           err_set(err, ERR_UNAVAILABLE, "the docker engine's answer is too long");
}

/* Why nobody took the connection, in a sentence that says what to do. */
static bool refused(const char *socket_path, struct err *err)
{
    bool closed = access(socket_path, W_OK) != 0 && errno == EACCES;

    err->code = ERR_UNAVAILABLE;
    err_wrap(err, "the docker engine does not run");
    err_hint(err, "Start the docker engine (systemctl start docker)");
    if (!closed)
        return false;
    err_set(err, ERR_UNAVAILABLE, "you may not use the docker engine: its socket %s is closed to you", socket_path);
    return err_hint(err, "See that you are in the group docker (as root: usermod -aG docker USER), and log in again");
}

static bool ask(const char *socket_path, const char *method, const char *path, struct buf *raw, struct err *err)
{
    struct timeval timeout = {.tv_sec = DOCKER_TIMEOUT_MS / 1000};
    CLEANUP(file_close_ptr) int fd = proc_unix_connect(socket_path, err);

    if (fd < 0)
        return refused(socket_path, err);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    AUTOFREE char *request = mem_printf("%s %s HTTP/1.0\r\nHost: docker\r\n\r\n", method, path);
    ssize_t sent = send(fd, request, strlen(request), MSG_NOSIGNAL);
    if (sent != (ssize_t)strlen(request))
        return err_errno(err, ERR_UNAVAILABLE, errno, "the docker engine does not answer") || trouble(err);
    return read_answer(fd, raw, err) || trouble(err);
}

bool docker_call(const char *socket_path, const char *method, const char *path, int *status, struct buf *body,
                 struct err *err)
{
    CLEANUP(buf_clear) struct buf raw;

    buf_init(&raw, DOCKER_ANSWER_BYTES + 8192);
    return ask(socket_path, method, path, &raw, err) && (split(&raw, status, body, err) || trouble(err));
}

bool docker_ping(const char *socket_path, int *status, char *version, size_t cap, struct err *err)
{
    static const char name[] = "\nServer: ";
    CLEANUP(buf_clear) struct buf raw;

    buf_init(&raw, DOCKER_ANSWER_BYTES);
    if (!ask(socket_path, "GET", "/_ping", &raw, err) || !(split(&raw, status, NULL, err) || trouble(err)))
        return false;
    const char *server = strstr(buf_cstr(&raw), name);
    server = server != NULL ? server + sizeof(name) - 1 : "";
    text_display((struct span){server, strcspn(server, "\r\n")}, version, cap);
    return true;
}
