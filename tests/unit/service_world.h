/* A service under test, its handler, and a client that writes and reads bytes. */
#ifndef AILERON_TESTS_SERVICE_WORLD_H
#define AILERON_TESTS_SERVICE_WORLD_H

#include "core/base/mem.h"
#include "core/loop/service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;
static struct service *service;
static struct err err;
static int client;

static int requests, closes, gone, drained;
static char last_line[4096]; /* method path?query body-length */
static struct service_request *held;
static size_t streamed;

static inline void turns(int count)
{
    for (int i = 0; i < count; i++)
        loop_turn(loop, false);
}

static inline void on_gone(struct service_request *req, void *arg)
{
    assert_ptr_equal(req, held);
    assert_string_equal(arg, "mine");
    gone++;
}

static inline void stream_on(struct service_request *req, void *arg)
{
    static char piece[SERVICE_CHUNK_BYTES];
    (void)arg;
    drained++;
    while (streamed < 3 * 1024 * 1024) {
        memset(piece, 'a' + (int)(streamed / sizeof(piece)) % 26, sizeof(piece));
        if (!service_chunk(req, piece, sizeof(piece)))
            return;
        streamed += sizeof(piece);
    }
    service_end(req);
}

static inline void on_request(struct service_request *req, void *arg)
{
    struct span path = service_path(req), query = service_query(req), body = service_body(req);
    static char mine[] = "mine";
    (void)arg;
    requests++;
    snprintf(last_line, sizeof(last_line), "%.*s %.*s?%.*s %zu", SPAN_ARG(service_method(req)),
             SPAN_ARG(path), SPAN_ARG(query), body.len);
    if (span_eqs(path, "/hold")) {
        held = req;
        service_on_gone(req, on_gone, mine);
    } else if (span_eqs(path, "/pieces")) {
        assert_true(service_field(req, "X-Kind", "pieces"));
        service_begin(req, 200, "text/plain");
        assert_true(service_chunk(req, "one", 3));
        assert_true(service_chunk(req, "two", 3));
        service_end(req);
    } else if (span_eqs(path, "/long")) {
        streamed = 0;
        service_begin(req, 200, "text/plain");
        service_on_drained(req, stream_on, NULL);
        stream_on(req, NULL);
    } else if (span_eqs(path, "/large")) {
        char *large = malloc(5 * 1024 * 1024);
        memset(large, 'L', 5 * 1024 * 1024);
        service_reply(req, 200, "text/plain", large, 5 * 1024 * 1024);
        free(large);
    } else if (span_eqs(path, "/cut")) {
        service_begin(req, 200, NULL);
        assert_true(service_chunk(req, "half", 4));
        service_abort(req);
    } else if (span_eqs(path, "/empty")) {
        service_reply(req, 204, NULL, NULL, 0);
    } else if (span_eqs(path, "/echo")) {
        service_reply(req, 200, "text/plain", body.p, body.len);
    } else {
        service_reply(req, 200, "application/json", "{\"ok\":true}", 11);
    }
}

static inline void on_closed(struct service *gone_service, void *arg)
{
    (void)arg;
    assert_ptr_equal(gone_service, service);
    closes++;
    service = NULL;
}

static const struct service_handler handler = {on_request, on_closed};

static inline void ignore(struct conn *conn, enum conn_event event, void *arg)
{
    (void)conn;
    (void)event;
    (void)arg;
}

static inline int setup(void **state)
{
    (void)state;
    int fds[2];
    loop = loop_new(&err);
    if (!loop || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return -1;
    client = fds[1];
    requests = closes = gone = drained = 0;
    last_line[0] = '\0';
    held = NULL;
    service = service_new(conn_new_fd(loop, fds[0], ignore, NULL), &handler, NULL);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    if (service)
        service_close(service);
    if (client >= 0)
        close(client);
    turns(4); /* a connection that waited for the client's end has it now */
    loop_free(loop);
    return closes == 1 ? 0 : -1; /* closed exactly once, always */
}

static inline void say(const char *text)
{
    assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    turns(6);
}

static char heard[8 * 1024 * 1024];
static size_t heard_len;
static bool heard_end;

/* Everything that comes until nothing more comes. */
static inline void hear(void)
{
    heard_len = 0;
    heard_end = false;
    for (int quiet = 0; quiet < 5;) {
        ssize_t n = recv(client, heard + heard_len, sizeof(heard) - heard_len - 1, MSG_DONTWAIT);
        if (n == 0) {
            heard_end = true;
            break;
        }
        quiet = n < 0 ? quiet + 1 : 0;
        heard_len += n > 0 ? (size_t)n : 0;
        turns(2);
    }
    heard[heard_len] = '\0';
}

static inline void assert_heard(const char *text)
{
    if (!strstr(heard, text))
        print_message("heard: %.300s\n", heard);
    assert_non_null(strstr(heard, text));
}

#endif
