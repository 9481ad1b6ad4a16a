/* The control API as the command line sees it: one blocking connection, requests one after another. Finding and
 * starting the daemon is client_start.c. It prints nothing and keeps no secret beyond a call. */
#include "core/client/client.h"

#include "core/base/id.h"
#include "core/base/proc.h"
#include "core/base/secret.h"
#include "core/client/client_private.h"
#include "core/wire/http1.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_BYTES = 64 * 1024, PREAMBLE_BYTES = 512 };

struct client {
    int fd;
    char *preamble; /* goes ahead of the first request; NULL: none, or sent */
    struct http1 *parser;
    struct arena *arena;
    struct msg msg;
    uint64_t timeout_ms; /* 0: none */
    bool head_done;
    struct span input; /* what is unread of in */
    char in[IN_BYTES];
};

struct client *client_over(int fd)
{
    struct client *client = mem_alloc(sizeof *client);

    client->fd = fd;
    client->parser = http1_new();
    client->arena = arena_new(MSG_ARENA_BYTES);
    return client;
}

struct client *client_connect_session(const char *socket_path, const char *token, struct err *err)
{
    int fd = proc_unix_connect(socket_path, err);

    if (fd < 0) {
        err_hint(err, "The daemon on the host may be starting again: try once more");
        return NULL;
    }
    struct client *client = client_over(fd);
    client->preamble = mem_printf("AILERON %.*s api\r\n", PREAMBLE_BYTES, token);
    return client;
}

void client_close(struct client *client)
{
    if (client == NULL)
        return;
    close(client->fd);
    if (client->preamble != NULL)
        secret_wipe(client->preamble, strlen(client->preamble));
    free(client->preamble);
    http1_free(client->parser);
    arena_free(client->arena);
    secret_wipe(client->in, sizeof client->in); /* a revealed secret may have passed */
    free(client);
}

int client_fd(const struct client *client)
{
    return client->fd;
}

void client_timeout(struct client *client, uint64_t ms)
{
    client->timeout_ms = ms;
}

/* ---- bytes ---- */

static bool send_all(struct client *client, const void *data, size_t len, struct err *err)
{
    const char *at = data;

    while (len > 0) {
        ssize_t n = send(client->fd, at, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return true; /* an early answer may be there to be read */
        if (n < 0)
            return err_errno(err, ERR_UNAVAILABLE, errno, "cannot send the request");
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* More input; *eof at the end. */
static bool fill(struct client *client, bool *eof, struct err *err)
{
    struct pollfd poll_fd = {.fd = client->fd, .events = POLLIN};
    uint64_t end_ms = clock_mono_ms() + client->timeout_ms;
    int ready = 1;

    *eof = false;
    while (client->timeout_ms > 0) {
        uint64_t now = clock_mono_ms();
        ready = poll(&poll_fd, 1, now < end_ms ? (int)(end_ms - now) : 0);
        if (ready >= 0 || errno != EINTR)
            break;
    }
    if (ready == 0)
        return err_set(err, ERR_TIMEOUT, "no answer within %llu ms", (unsigned long long)client->timeout_ms);
    for (;;) {
        ssize_t n = recv(client->fd, client->in, sizeof client->in, 0);
        if (n < 0 && errno == EINTR)
            continue;
        *eof = n <= 0;
        client->input = (struct span){client->in, n > 0 ? (size_t)n : 0};
        return true;
    }
}

/* ---- a request, and its answer ---- */

static bool send_request(struct client *client, const char *method, const char *path, const char *type,
                         const void *body, size_t body_len, struct err *err)
{
    struct buf head;

    arena_reset(client->arena);
    msg_init(&client->msg, client->arena);
    buf_init(&head, MSG_HEAD_BYTES);
    bool good = msg_request(&client->msg, span_of(method), span_of(path), err) &&
                msg_add(&client->msg, SPAN("Host"), SPAN("aileron.internal"), err) &&
                (body_len == 0 || msg_add(&client->msg, SPAN("Content-Type"), span_of(type), err));
    if (body_len > 0) {
        client->msg.framing = MSG_LENGTH;
        client->msg.has_length = true;
        client->msg.content_length = body_len;
    }
    if (good && client->preamble != NULL && !buf_adds(&head, client->preamble))
        good = err_set(err, ERR_DATA, "the token is too long");
    good = good && http1_write_request(&client->msg, span_of(path), &head, err);
    if (good && body_len > 0 && body_len <= head.max - head.len && buf_add(&head, body, body_len))
        body_len = 0; /* one packet for a small request */
    good = good && send_all(client, head.data, head.len, err) &&
           (body_len == 0 || send_all(client, body, body_len, err));
    buf_wipe(&head);
    if (client->preamble != NULL)
        secret_wipe(client->preamble, strlen(client->preamble));
    free(client->preamble);
    client->preamble = NULL;
    arena_reset(client->arena);
    msg_init(&client->msg, client->arena);
    http1_begin_response(client->parser, &client->msg,
                         strcmp(method, "HEAD") == 0 ? HTTP1_TO_HEAD : HTTP1_TO_OTHER, false);
    client->head_done = false;
    return good;
}

bool client_send(struct client *client, const char *method, const char *path, const void *body,
                 size_t body_len, struct err *err)
{
    return send_request(client, method, path, "application/json", body, body_len, err);
}

static bool cut_off(struct err *err)
{
    err_set(err, ERR_UPSTREAM, "the answer was cut off");
    return err_hint(err, "The daemon may have been restarted: see aileron status on the host");
}

/* The parser's next event but NEED_MORE. */
static bool next_event(struct client *client, enum http1_event *event, struct span *body, struct err *err)
{
    bool eof;

    for (;;) {
        *event = http1_next(client->parser, &client->input, body, err);
        if (*event == HTTP1_ERROR)
            return err_wrap(err, "the answer cannot be read");
        if (*event != HTTP1_NEED_MORE)
            return true;
        if (!fill(client, &eof, err))
            return false;
        if (!eof)
            continue;
        struct err ignored = {0};
        *event = http1_eof(client->parser, &ignored);
        return *event == HTTP1_END || cut_off(err);
    }
}

bool client_head(struct client *client, int *status, struct err *err)
{
    enum http1_event event;
    struct span body;

    do {
        if (!next_event(client, &event, &body, err))
            return false;
        if (event != HTTP1_HEAD)
            return cut_off(err);
    } while (client->msg.status < 200);
    client->head_done = true;
    *status = (int)client->msg.status;
    return true;
}

const char *client_field(struct client *client, const char *name)
{
    struct span value = msg_get(&client->msg, name);

    return value.p != NULL ? arena_strndup(client->arena, value.p, value.len) : NULL;
}

bool client_read(struct client *client, const uint8_t **data, size_t *len, struct err *err)
{
    enum http1_event event;
    struct span body = {0};

    for (;;) {
        if (!next_event(client, &event, &body, err))
            return false;
        if (event == HTTP1_BODY && body.len == 0)
            continue;
        if (event == HTTP1_BODY || event == HTTP1_END) {
            *data = (const uint8_t *)body.p;
            *len = event == HTTP1_BODY ? body.len : 0;
            return true;
        }
    }
}

bool client_read_all(struct client *client, struct buf *out, struct err *err)
{
    const uint8_t *data;
    size_t len;

    buf_init(out, CLIENT_BODY_BYTES);
    for (;;) {
        if (!client_read(client, &data, &len, err))
            break;
        if (len == 0)
            return true;
        if (!buf_add(out, data, len)) {
            err_set(err, ERR_LIMIT, "the answer is over %d bytes", CLIENT_BODY_BYTES);
            break;
        }
    }
    buf_wipe(out);
    return false;
}

/* ---- whole calls ---- */

static bool read_json(struct client *client, json_t **answer, struct err *err)
{
    struct doc doc = {0};
    struct buf text;

    *answer = NULL;
    if (!client_read_all(client, &text, err))
        return false;
    bool good = text.len == 0 ||
                json_parse(text.data, text.len, CLIENT_BODY_BYTES, "answer", ERR_INTERNAL, &doc, err);
    if (good && text.len > 0)
        *answer = json_incref(doc.root);
    doc_clear(&doc);
    buf_wipe(&text);
    return good;
}

bool client_ask_begin(struct client *client, const char *method, const char *path, const json_t *body, struct err *err)
{
    AUTOFREE char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;

    return client_send(client, method, path, text, text != NULL ? strlen(text) : 0, err);
}

bool client_call(struct client *client, const char *method, const char *path, const json_t *body,
                 int *status, json_t **answer, struct err *err)
{
    json_t *read = NULL;

    if (!client_ask_begin(client, method, path, body, err) || !client_head(client, status, err) ||
        !read_json(client, &read, err))
        return false;
    if (answer != NULL)
        *answer = read;
    else
        json_decref(read);
    return true;
}

bool client_error(int status, const json_t *answer, struct err *err)
{
    const json_t *error = json_object_get(answer, "error");
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *message = json_string_value(json_object_get(error, "message"));
    const char *hint = json_string_value(json_object_get(error, "hint"));

    if (hint == NULL) /* denials of the data plane call it "next" (threats 6) */
        hint = json_string_value(json_object_get(error, "next"));
    if (code == NULL || message == NULL)
        return err_set(err, ERR_FAILED, "the daemon answered %d", status);
    err_set(err, err_from_word(code), "%s", message);
    return hint == NULL || hint[0] == 0 ? false : err_hint(err, "%s", hint);
}

bool client_ask(struct client *client, const char *method, const char *path, const json_t *body,
                json_t **answer, struct err *err)
{
    return client_ask_begin(client, method, path, body, err) && client_ask_end(client, answer, err);
}

bool client_ask_once(bool start, const char *method, const char *path, json_t **answer, struct err *err)
{
    struct client *client = client_connect(NULL, start, err);
    bool good = client != NULL && client_ask(client, method, path, NULL, answer, err);

    client_close(client);
    return good;
}

bool client_ask_end(struct client *client, json_t **answer, struct err *err)
{
    json_t *read = NULL;
    int status;

    if (!client_head(client, &status, err) || !read_json(client, &read, err))
        return false;
    if (status >= 400) {
        client_error(status, read, err);
        json_decref(read);
        return false;
    }
    if (answer != NULL)
        *answer = read;
    else
        json_decref(read);
    return true;
}

bool client_ask_secret(struct client *client, const char *path, const json_t *meta, const void *secret,
                       size_t len, struct buf *out, struct err *err)
{
    AUTOFREE char *head = json_dumps(meta, JSON_COMPACT);
    int status;

    if (head == NULL)
        return err_set(err, ERR_DATA, "a name is not valid UTF-8");
    size_t head_len = strlen(head) + 1;
    struct secret *body = secret_zeroed(head_len + len);
    memcpy(secret_writable(body), head, head_len);
    memcpy(secret_writable(body) + head_len, secret != NULL ? secret : "", len);
    bool good = send_request(client, "POST", path, "application/octet-stream", secret_bytes(body),
                             secret_len(body), err) &&
                client_head(client, &status, err) && client_read_all(client, out, err);
    secret_free(body);
    if (!good || status < 400)
        return good;
    struct doc doc = {0};
    struct err ignored;
    if (!json_parse(out->data, out->len, CLIENT_BODY_BYTES, "answer", ERR_INTERNAL, &doc, &ignored))
        doc = (struct doc){0};
    client_error(status, doc.root, err);
    doc_clear(&doc);
    buf_wipe(out);
    return false;
}
