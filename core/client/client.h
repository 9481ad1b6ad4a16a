/* The control API as the command line sees it: blocking HTTP/1.1 with JSON over a Unix socket, the host's
 * control.sock (the daemon is started where it does not run) or a session's session.sock with its preamble.
 * One client carries one request at a time over a kept connection. Never in the daemon or a worker. */
#ifndef AILERON_CLIENT_CLIENT_H
#define AILERON_CLIENT_CLIENT_H

#include "core/base/err.h"
#include "core/base/mem.h"

#include "core/data/json.h"

enum {
    CLIENT_START_MS = 5000,            /* how long a started daemon may take until it answers */
    CLIENT_BODY_BYTES = 32 * 1024 * 1024 /* of an answer that is read whole */
};

struct client;

/* $AILERON_HOME, else $HOME/.aileron; absolute. Caller frees; NULL with ERR_CONFIG where neither is set. */
char *client_home(struct err *err) MUSTUSE NONNULL;
/* Makes the home where it is missing (0700) and refuses one that is another's or open to others. */
bool client_home_check(const char *home, struct err *err) MUSTUSE NONNULL;

/* The host's daemon. home NULL: client_home(). autostart false: ERR_UNAVAILABLE where none runs. A daemon of
 * another version is ERR_CONFLICT with the next step, unless any_version (stop, status). */
struct client *client_connect(const char *home, bool autostart, struct err *err) MUSTUSE NONNULL_AT(3);
struct client *client_connect_any_version(const char *home, struct err *err) MUSTUSE NONNULL_AT(2);
/* A session's socket, as the sandbox sees it. Writes "AILERON <token> api\r\n" ahead of the first request. */
struct client *client_connect_session(const char *socket_path, const char *token, struct err *err)
    MUSTUSE NONNULL;
void client_close(struct client *client); /* NULL is fine */

/* One call, answer read whole. body may be NULL (no body). Returns false where no answer came (err). With an
 * answer: *status is the HTTP status, *answer its JSON (caller decrefs; NULL where the body is empty).
 * answer may be NULL when nobody wants it. */
bool client_call(struct client *client, const char *method, const char *path, const json_t *body,
                 int *status, json_t **answer, struct err *err) MUSTUSE NONNULL_AT(1, 2, 3, 5, 7);
/* As client_call, and a status of 400 or more becomes err, made from the answer's {"error": {...}}. */
bool client_ask(struct client *client, const char *method, const char *path, const json_t *body,
                json_t **answer, struct err *err) MUSTUSE NONNULL_AT(1, 2, 3, 6);
/* Whether a daemon is there that answers: one that was just killed has its socket for a moment longer, and takes
 * connections that nobody reads. */
bool client_answers(const char *home) MUSTUSE NONNULL;
/* client_ask on a connection of its own, without a body. start: as client_connect has it. */
bool client_ask_once(bool start, const char *method, const char *path, json_t **answer, struct err *err)
    MUSTUSE NONNULL_AT(2, 3, 5);
/* client_ask in two steps, for who has something to do while the other side thinks. */
bool client_ask_begin(struct client *client, const char *method, const char *path, const json_t *body, struct err *err)
    MUSTUSE NONNULL_AT(1, 2, 3, 5);
bool client_ask_end(struct client *client, json_t **answer, struct err *err) MUSTUSE NONNULL_AT(1, 3);
/* A call that carries a secret: body is `meta` as JSON, one NUL byte, and the raw bytes. The copy made for
 * sending is wiped. The answer, where a secret comes back, is in *out (struct buf, wipe it). */
bool client_ask_secret(struct client *client, const char *path, const json_t *meta, const void *secret,
                       size_t secret_len, struct buf *out, struct err *err)
    MUSTUSE NONNULL_AT(1, 2, 3, 6, 7);
/* The error that an answer of 400 or more carries. Returns false. */
bool client_error(int status, const json_t *answer, struct err *err) NONNULL_AT(3);

/* ---- streaming: a request, then its head, then the body piece by piece ---- */
bool client_send(struct client *client, const char *method, const char *path, const void *body,
                 size_t body_len, struct err *err) MUSTUSE NONNULL_AT(1, 2, 3, 6);
/* Reads the answer's head. */
bool client_head(struct client *client, int *status, struct err *err) MUSTUSE NONNULL;
/* A field of the head, NULL where there is none; valid until the next request. */
const char *client_field(struct client *client, const char *name) MUSTUSE NONNULL;
/* The next piece of the body, borrowed until the next call; *len 0 at the end. An answer that ends early is
 * ERR_UPSTREAM ("the answer was cut off"). */
bool client_read(struct client *client, const uint8_t **data, size_t *len, struct err *err) MUSTUSE NONNULL;
/* The rest of the body, whole, as client_call bounds it. out is initialised here. */
bool client_read_all(struct client *client, struct buf *out, struct err *err) MUSTUSE NONNULL;
/* The descriptor, for poll(2): the launcher's hold connection (GET /v1/sessions/<id>/hold) becomes readable
 * with end of file when the daemon dies. */
int client_fd(const struct client *client) MUSTUSE NONNULL;
/* Gives up waiting for a byte after this time with ERR_TIMEOUT; 0: never (the default). */
void client_timeout(struct client *client, uint64_t ms) NONNULL;

/* Starts the daemon, detached, and waits until it answers; nothing where it runs. */
bool client_start_daemon(const char *home, struct err *err) MUSTUSE NONNULL;

#endif
