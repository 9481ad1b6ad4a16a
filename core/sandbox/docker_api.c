/* Finds the engine's socket and asks it. The answer is bounded in size and time; only its status and its body
 * are looked at. */
#include "core/sandbox/docker_api.h"

#include "core/base/file.h"
#include "core/base/proc.h"
#include "core/base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

char *docker_socket(struct err *err)
{
    const char *host = getenv("DOCKER_HOST"), *runtime = getenv("XDG_RUNTIME_DIR");
    struct stat st;

    if (host != NULL && host[0] != '\0') {
        if (strncmp(host, "unix://", 7) == 0)
            return mem_strdup(host + 7);
        err_set(err, ERR_UNAVAILABLE, "DOCKER_HOST is not a local socket");
        err_hint(err, "A remote engine cannot mount the session's socket; unset DOCKER_HOST");
        return NULL;
    }
    if (stat("/var/run/docker.sock", &st) == 0)
        return mem_strdup("/var/run/docker.sock");
    if (runtime != NULL && runtime[0] == '/') {
        char *path = file_join(runtime, "docker.sock");
        if (stat(path, &st) == 0)
            return path;
        free(path);
    }
    err_set(err, ERR_UNAVAILABLE, "no socket at /var/run/docker.sock");
    err_hint(err, "Start the docker engine");
    return NULL;
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

bool docker_call(const char *socket_path, const char *method, const char *path, int *status, struct buf *body,
                 struct err *err)
{
    struct timeval timeout = {.tv_sec = DOCKER_TIMEOUT_MS / 1000};
    CLEANUP(file_close_ptr) int fd = proc_unix_connect(socket_path, err);
    CLEANUP(buf_clear) struct buf raw;

    buf_init(&raw, 0);
    if (fd < 0) {
        err->code = ERR_UNAVAILABLE;
        return err_hint(err, "Start the docker engine, and see that you are in the group docker");
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    AUTOFREE char *request = mem_printf("%s %s HTTP/1.0\r\nHost: docker\r\n\r\n", method, path);
    if (!file_write_all(fd, request, strlen(request), err) ||
        !file_read_fd(fd, DOCKER_ANSWER_BYTES + 8192, &raw, err)) {
        err->code = ERR_UNAVAILABLE;
        return err_wrap(err, "the docker engine does not answer");
    }
    return split(&raw, status, body, err);
}
