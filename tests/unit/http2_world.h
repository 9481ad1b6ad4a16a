/* Two HTTP/2 sessions of ours that talk to each other through memory. */
#ifndef AILERON_TESTS_HTTP2_WORLD_H
#define AILERON_TESTS_HTTP2_WORLD_H

#include "core/wire/http2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct side {
    struct http2 *session;
    struct http2_stream *stream; /* the newest */
    struct buf body;
    unsigned heads, statuses[8], closed, malformed, writable;
    uint32_t code;
    bool ended, keep_body; /* keep_body: it is not consumed */
    struct msg *msg;
    struct err err;
};
static struct side client, server;

static void on_head(void *arg, struct http2_stream *stream, struct msg *msg, bool ended)
{
    struct side *side = arg;
    side->stream = stream;
    side->msg = msg;
    side->ended = ended;
    if (side->heads < COUNT(side->statuses))
        side->statuses[side->heads] = msg->status;
    side->heads++;
}

static void on_malformed(void *arg, struct http2_stream *stream, const struct err *why)
{
    struct side *side = arg;
    side->malformed++;
    side->err = *why;
    http2_reset(stream, HTTP2_PROTOCOL_ERROR);
}

static void on_readable(void *arg, struct http2_stream *stream)
{
    struct side *side = arg;
    struct span data = http2_peek(stream);
    if (!side->keep_body && data.len) {
        assert_true(buf_add(&side->body, data.p, data.len));
        http2_consume(stream, data.len);
    }
    side->ended = http2_ended(stream);
}

static void on_writable(void *arg, struct http2_stream *stream)
{
    struct side *side = arg;
    (void)stream;
    side->writable++;
}

static void on_closed(void *arg, struct http2_stream *stream, uint32_t code)
{
    struct side *side = arg;
    side->closed++;
    side->code = code;
    if (side->stream == stream)
        side->stream = NULL;
}

static const struct http2_handler handler = {on_head, on_malformed, on_readable, on_writable, on_closed};

static bool carry(struct side *from, struct side *to)
{
    bool moved = false;
    for (struct span bytes; (bytes = http2_next_bytes(from->session)).len > 0; moved = true) {
        assert_true(bytes.len <= HTTP2_NEXT_BYTES);
        if (!http2_receive(to->session, bytes, &to->err))
            return false;
    }
    return moved;
}

static void settle(void)
{
    while (carry(&client, &server) | carry(&server, &client))
        ;
}

static int setup(void **state)
{
    (void)state;
    memset(&client, 0, sizeof(client));
    memset(&server, 0, sizeof(server));
    client.session = http2_client(&handler, &client);
    server.session = http2_server(&handler, &server);
    buf_init(&client.body, 64 << 20);
    buf_init(&server.body, 64 << 20);
    settle();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http2_free(client.session);
    http2_free(server.session);
    buf_clear(&client.body);
    buf_clear(&server.body);
    return 0;
}

#endif
