/* The inside of a service, shared by service.c (the connection and its requests) and
 * service_reply.c (answers). */
#ifndef AILERON_LOOP_SERVICE_STATE_H
#define AILERON_LOOP_SERVICE_STATE_H

#include "core/loop/queue.h"
#include "core/loop/service.h"
#include "core/wire/http1.h"

enum { SERVICE_MAGIC = 0x53525643 };

enum service_state {
    SERVICE_READING,   /* between requests, or within one that is not complete */
    SERVICE_ASKED,     /* the handler has a request; nothing of the answer was written */
    SERVICE_STREAMING, /* between service_begin and service_end */
    SERVICE_ENDING,    /* the last answer has been given; what is left of it goes out */
    SERVICE_OVER       /* the connection is gone; a request may still be open */
};

struct service_request {
    struct service *service;
    bool open; /* given to the handler, not ended */
    bool gone_told;
    bool chunked;
    struct span path, query;
    struct buf body;
    struct msg reply; /* its fields, gathered by service_field */
    service_fn gone_fn, drained_fn;
    void *gone_arg, *drained_arg;
    void *data;
};

struct service {
    uint32_t magic;
    enum service_state state;
    struct loop *loop;
    struct conn *conn; /* NULL in SERVICE_OVER */
    const struct service_handler *handler;
    void *arg;
    struct http1 *parser;
    size_t body_bytes;
    uint64_t head_ms;
    struct arena *arena; /* the strings of one request and of its answer's fields */
    struct msg msg;
    bool head_done; /* of the request that is being read */
    bool serving;   /* service_serve is on the stack */
    bool next_due;  /* the task begins the next request, once the answer before it is with the connection */
    bool eof;       /* the client sends no more */
    bool draining;
    struct timer head_timer;
    struct task
        task; /* tells what must be told from the loop, goes on with what is in the buffer */
    struct queue rest; /* of an answer larger than the connection's buffer */
    struct service_request req;
};

/* ---- service.c ---- */
void service_set_state(struct service *service, enum service_state state) NONNULL;
/* The connection goes now. The rest is done from the loop. */
void service_over(struct service *service) NONNULL;

/* ---- service_reply.c ---- */
/* Sends, or keeps, all of it. */
void service_send(struct service *service, const void *data, size_t len) NONNULL_AT(1);
/* What was kept; after it the next request, or the end. */
void service_flush(struct service *service) NONNULL;
/* No request follows: the end, behind what the connection has not sent yet. */
void service_last(struct service *service) NONNULL;
/* An answer of the service's own to what is not a request: a fixed text. */
void service_refuse(struct service *service, int status, enum err_code code,
                    const char *message) NONNULL;

#endif
