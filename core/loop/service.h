/* A small HTTP/1.1 server on one connection: the control API of the monitor and the session API of
 * a worker. It reads whole requests (bounded), one at a time, and the handler answers at once,
 * later, or in pieces. It knows nothing of JSON, of routes or of authority.
 *
 * Each request is ended exactly once, by service_reply, service_end or service_abort; until then
 * the struct is valid, also when the client has gone (then what is written to it is dropped in
 * silence). */
#ifndef AILERON_LOOP_SERVICE_H
#define AILERON_LOOP_SERVICE_H

#include "core/base/err.h"
#include "core/base/text.h"
#include "core/loop/conn.h"

enum {
    SERVICE_BODY_BYTES = 1024 * 1024,       /* of a request; above it 413 */
    SERVICE_REPLY_BYTES = 33 * 1024 * 1024, /* of service_reply with its head (16 KiB) */
    SERVICE_CHUNK_BYTES = 64 * 1024,        /* of service_chunk */
    SERVICE_OUT_BYTES = 128 * 1024,         /* buffered for a client that reads slowly */
    SERVICE_FIELDS_BYTES = 4096,            /* of service_field, in all */
    SERVICE_HEAD_MS = 30000,                /* for a head and its body, from the first byte on */
    SERVICE_IDLE_MS = 75000, /* between requests, and for a client that does not read */
    SERVICE_LINGER_MS = 2000 /* for the client to read the last answer */
};

struct service;         /* a connection */
struct service_request; /* a request on it */

struct service_handler {
    /* A request with its whole body. */
    void (*request)(struct service_request *req, void *arg);
    /* The connection is over, every request on it has been ended; the service is freed after this
     * call. May be NULL. */
    void (*closed)(struct service *service, void *arg);
};

/* Takes conn (bytes in its input buffer are served first) and its handler. handler is borrowed. */
struct service *service_new(struct conn *conn, const struct service_handler *handler,
                            void *arg) MUSTUSE NONNULL_AT(1, 2);
/* Of requests from now on: bytes of a body (413 above; at most SERVICE_BODY_BYTES), and how long one may take. */
void service_limits(struct service *service, size_t body_bytes, uint64_t head_ms) NONNULL;
/* Closes now; requests that are open are still ended by their owners; closed is called after the
 * last one. */
void service_close(struct service *service) NONNULL;
/* No further request after the ones under way; closes when the last answer has gone. */
void service_drain(struct service *service) NONNULL;
/* NULL after it has gone; to ask only. */
struct conn *service_conn(const struct service *service) NONNULL;

/* ---- the request ---- */
struct service *service_of(const struct service_request *req) NONNULL;
struct span service_method(const struct service_request *req) NONNULL;
struct span service_path(const struct service_request *req) NONNULL; /* as sent, up to the '?' */
/* Behind the '?'; may be empty. */
struct span service_query(const struct service_request *req) NONNULL;
/* The value of one query parameter, as sent (undecoded); false: absent. */
bool service_param(const struct service_request *req, const char *name, struct span *value) NONNULL;
/* A header field; p NULL: absent. */
struct span service_header(const struct service_request *req, const char *name) NONNULL;
/* Wiped when the request is ended. */
struct span service_body(const struct service_request *req) NONNULL;
void service_set_data(struct service_request *req, void *data)
    NONNULL_AT(1); /* the owner's, for later */
void *service_data(const struct service_request *req) NONNULL;
/* The client has gone while the request is open: called once, from the loop. The request is still
 * to be ended. */
typedef void (*service_fn)(struct service_request *req, void *arg);
void service_on_gone(struct service_request *req, service_fn fn, void *arg) NONNULL_AT(1);
bool service_gone(const struct service_request *req) NONNULL;

/* ---- the answer ---- */
/* One more field of the answer, before it begins. False: not a field, or over SERVICE_FIELDS_BYTES.
 */
bool service_field(struct service_request *req, const char *name, const char *value) NONNULL;
/* The whole answer; body is copied (and the copy wiped). content_type NULL: none. Ends the request.
 * Every answer says Cache-Control: no-store. */
void service_reply(struct service_request *req, int status, const char *content_type,
                   const void *body, size_t len) NONNULL_AT(1);
/* An answer in pieces (chunked). */
void service_begin(struct service_request *req, int status, const char *content_type) NONNULL_AT(1);
size_t service_room(const struct service_request *req) NONNULL; /* what service_chunk takes now */
/* At most SERVICE_CHUNK_BYTES, all or nothing; false: above service_room. True, and dropped, where
 * the client has gone. len 0 is nothing. */
bool service_chunk(struct service_request *req, const void *data, size_t len) MUSTUSE NONNULL_AT(1);
/* Called whenever room has grown while the answer is in pieces; after service_chunk said false it
 * comes for certain. */
void service_on_drained(struct service_request *req, service_fn fn, void *arg) NONNULL_AT(1);
void service_end(struct service_request *req) NONNULL;
/* Ends the request by cutting the connection off: the client sees an answer that did not complete.
 */
void service_abort(struct service_request *req) NONNULL;

#endif
