/* What the tests of core/wire/http1 share: a run of the parser that writes down what happened, as text:
 * "[GET / 1.1 length 3 keep|Host=a;]<abc>{Trailer=x}." is a head, a body, a trailer and the end; "!400" is an
 * error. */
#ifndef AILERON_TESTS_HTTP1_RUN_H
#define AILERON_TESTS_HTTP1_RUN_H

#include "core/wire/http1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n\r\n"

enum { REQUEST, TO_OTHER, TO_HEAD, TO_CONNECT, TO_UPGRADE };

struct run {
    struct http1 *parser;
    struct arena *arena;
    struct msg msg;
    struct buf text; /* what happened */
    bool body_open;  /* the last event was a piece of body: pieces are joined */
    bool over;
    int kind;
};

static inline void begin(struct run *run, int kind)
{
    run->kind = kind;
    run->body_open = run->over = false;
    msg_init(&run->msg, run->arena);
    if (kind == REQUEST)
        http1_begin_request(run->parser, &run->msg);
    else
        http1_begin_response(run->parser, &run->msg,
                             kind == TO_HEAD      ? HTTP1_TO_HEAD
                             : kind == TO_CONNECT ? HTTP1_TO_CONNECT
                                                  : HTTP1_TO_OTHER,
                             kind == TO_UPGRADE);
}

static inline void say(struct run *run, const char *fmt, ...)
{
    char text[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    assert_true(buf_adds(&run->text, text));
}

static inline void say_head(struct run *run)
{
    static const char *const framings[] = {"none", "length", "chunked", "close"};
    const struct msg *msg = &run->msg;
    if (run->kind == REQUEST)
        say(run, "[%.*s %.*s 1.%u", SPAN_ARG(msg->method), SPAN_ARG(msg->target), msg->minor);
    else
        say(run, "[%u %.*s 1.%u", msg->status, SPAN_ARG(msg->reason), msg->minor);
    say(run, " %s", framings[msg->framing]);
    if (msg->has_length)
        say(run, " %llu", (unsigned long long)msg->content_length);
    say(run, "%s%s%s|", msg->keep_alive ? " keep" : "", msg->upgrade ? " upgrade" : "",
        msg->expect_continue ? " expect" : "");
    for (size_t i = 0; i < msg->fields.count; i++)
        say(run, "%.*s=%.*s;", SPAN_ARG(msg->fields.items[i].name),
            SPAN_ARG(msg->fields.items[i].value));
    say(run, "]");
}

/* Feeds data up to END; returns what was not consumed. */
static inline struct span feed(struct run *run, struct span data)
{
    while (!run->over) {
        struct span body;
        struct err err = {0};
        enum http1_event event = http1_next(run->parser, &data, &body, &err);
        if (run->body_open && event != HTTP1_BODY && event != HTTP1_NEED_MORE) {
            say(run, ">");
            run->body_open = false;
        }
        switch (event) {
        case HTTP1_NEED_MORE:
            assert_int_equal(data.len, 0);
            return data;
        case HTTP1_HEAD:
            say_head(run);
            break;
        case HTTP1_BODY:
            assert_true(body.len > 0);
            say(run, "%s%.*s", run->body_open ? "" : "<", SPAN_ARG(body));
            run->body_open = true;
            break;
        case HTTP1_TRAILERS:
            for (size_t i = 0; i < run->msg.trailers.count; i++)
                say(run, "{%.*s=%.*s}", SPAN_ARG(run->msg.trailers.items[i].name),
                    SPAN_ARG(run->msg.trailers.items[i].value));
            break;
        case HTTP1_END:
            say(run, ".");
            run->over = true;
            break;
        case HTTP1_ERROR:
            assert_true(err.code == ERR_DATA || err.code == ERR_LIMIT);
            assert_true(err.message[0] != 0);
            say(run, "!%d", http1_error_status(run->parser));
            run->over = true;
            break;
        }
    }
    return data;
}

static inline void run_open(struct run *run)
{
    memset(run, 0, sizeof(*run));
    run->parser = http1_new();
    run->arena = arena_new(4 * MSG_ARENA_BYTES);
    buf_init(&run->text, 1 << 20);
}

static inline void run_close(struct run *run)
{
    buf_clear(&run->text);
    http1_free(run->parser);
    arena_free(run->arena);
}

#endif
