/* HTTP/1.1 messages. The first byte says what is parsed and how the input is cut. Whatever is accepted:
 *  - has the same outcome in pieces as in one;
 *  - is written anew as something that is accepted again, with the same fields and framing;
 *  - never passes a bound. */
#include "core/wire/http1.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SUM_SEED = 5381, MESSAGES_MAX = 40 };

struct outcome {
    size_t consumed;
    uint64_t events; /* a hash of what was seen */
    size_t heads;
    bool ended, failed;
};

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void mix(struct outcome *outcome, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++)
        outcome->events = outcome->events * 33 + bytes[i];
}

static void mix_span(struct outcome *outcome, struct span span)
{
    mix(outcome, &span.len, sizeof(span.len));
    mix(outcome, span.p, span.len);
}

static void begin(struct http1 *parser, struct msg *msg, unsigned kind)
{
    static const enum http1_answer answers[] = {HTTP1_TO_OTHER, HTTP1_TO_HEAD, HTTP1_TO_CONNECT};
    if (kind < 4)
        http1_begin_request(parser, msg);
    else
        http1_begin_response(parser, msg, answers[kind % 3], kind == 7);
}

static bool same_fields(const struct msg *a, const struct msg *b)
{
    size_t at = 0;
    for (size_t i = 0; i < a->fields.count; i++) {
        const struct msg_field *field = &a->fields.items[i];
        if (span_eqis(field->name, "connection") || span_eqis(field->name, "content-length") ||
            span_eqis(field->name, "transfer-encoding"))
            continue;
        if (at >= b->fields.count || !span_eq(field->name, b->fields.items[at].name) ||
            !span_eq(field->value, b->fields.items[at].value))
            return false;
        at++;
    }
    return true;
}

/* Takes off what is for one hop, writes the head, reads it back. */
static void check_written(struct msg *msg, unsigned kind)
{
    struct arena *arena = arena_new(MSG_ARENA_BYTES);
    struct http1 *parser = http1_new();
    struct msg again;
    struct buf out;
    struct err err = {0};
    struct span input, body;
    buf_init(&out, MSG_HEAD_BYTES - 64); /* so that it can be read back */
    msg_init(&again, arena);
    msg_strip_hop_by_hop(msg);
    bool written;
    if (kind < 4) {
        written = http1_write_request(msg, msg->target, &out, &err);
        require(written || err.code == ERR_LIMIT || msg_count(msg, "host") == 0);
    } else {
        written = http1_write_response(msg, &out, &err);
        require(written || err.code == ERR_LIMIT);
    }
    if (written) {
        input = (struct span){(const char *)out.data, out.len};
        begin(parser, &again, kind);
        enum http1_event event = http1_next(parser, &input, &body, &err);
        require(event == HTTP1_HEAD || http1_error_status(parser) == 431);
        if (event == HTTP1_HEAD) {
            require(input.len == 0);
            require(again.status == msg->status && span_eq(again.method, msg->method));
            require(again.framing == msg->framing && again.upgrade == msg->upgrade);
            require(again.content_length == msg->content_length || msg->framing != MSG_LENGTH);
            require(same_fields(msg, &again));
        }
    }
    buf_clear(&out);
    http1_free(parser);
    arena_free(arena);
}

/* A head that was accepted, in a copy: what is taken off must not change the original. */
static void check_head(const struct msg *msg, unsigned kind)
{
    struct msg changed = *msg;
    struct msg_field *items = malloc((msg->fields.count + 1) * sizeof(*items));
    if (msg->fields.count)
        memcpy(items, msg->fields.items, msg->fields.count * sizeof(*items));
    changed.fields.items = items;
    check_written(&changed, kind);
    free(items);
}

struct run {
    struct http1 *parser;
    struct arena *arena;
    struct msg msg;
    unsigned kind;
    bool write; /* and write what was read */
    size_t messages;
    struct outcome outcome;
};

static void start(struct run *run)
{
    arena_reset(run->arena);
    msg_init(&run->msg, run->arena);
    begin(run->parser, &run->msg, run->kind);
}

/* One event; false where this piece of input is over, or all is. */
static bool one_event(struct run *run, struct span *input)
{
    struct outcome *outcome = &run->outcome;
    const struct msg *msg = &run->msg;
    struct span whole = *input, body;
    struct err err;
    switch (http1_next(run->parser, input, &body, &err)) {
    case HTTP1_NEED_MORE:
        require(input->len == 0);
        return false;
    case HTTP1_HEAD:
        outcome->heads++;
        require(msg->fields.count <= MSG_FIELDS_MAX && msg->bytes <= MSG_HEAD_BYTES);
        mix_span(outcome, msg->method);
        for (size_t i = 0; i < msg->fields.count; i++) {
            mix_span(outcome, msg->fields.items[i].name);
            mix_span(outcome, msg->fields.items[i].value);
        }
        if (run->write)
            check_head(msg, run->kind);
        return true;
    case HTTP1_BODY:
        require(body.len > 0 && body.p >= whole.p && body.p + body.len <= whole.p + whole.len);
        mix(outcome, body.p, body.len);
        return true;
    case HTTP1_TRAILERS:
        require(msg->trailers.count > 0 && msg->trailers.count <= MSG_TRAILERS_MAX);
        mix_span(outcome, msg->trailers.items[0].name);
        return true;
    case HTTP1_END:
        mix(outcome, ".", 1);
        outcome->ended = msg->upgrade || ++run->messages == MESSAGES_MAX;
        if (!outcome->ended)
            start(run);
        return !outcome->ended;
    case HTTP1_ERROR:
        require(err.message[0] != 0);
        mix(outcome, "!", 1);
        outcome->failed = true;
        return false;
    }
    return false;
}

/* Parses messages in pieces until the input, or the patience, is at its end. */
static struct outcome parse(struct span data, unsigned kind, size_t piece, bool write)
{
    struct run run = {.kind = kind, .write = write, .outcome = {.events = SUM_SEED}};
    struct outcome *outcome = &run.outcome;
    run.arena = arena_new(8 * MSG_ARENA_BYTES);
    run.parser = http1_new();
    start(&run);
    while (outcome->consumed < data.len && !outcome->failed && !outcome->ended) {
        size_t len = data.len - outcome->consumed < piece ? data.len - outcome->consumed : piece;
        char *copy = malloc(len); /* its own block: a look beyond the piece is caught */
        memcpy(copy, data.p + outcome->consumed, len);
        struct span input = {copy, len};
        while (one_event(&run, &input))
            ;
        outcome->consumed += len - input.len;
        free(copy);
    }
    http1_free(run.parser);
    arena_free(run.arena);
    return run.outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    unsigned kind = data[0] & 7;
    size_t piece = (data[0] >> 3) + 1u;
    struct span text = {(const char *)data + 1, size - 1};
    struct outcome whole = parse(text, kind, SIZE_MAX, true);
    struct outcome pieces = parse(text, kind, piece, false);
    require(whole.failed == pieces.failed && whole.heads == pieces.heads);
    require(whole.events == pieces.events);
    require(whole.failed || whole.consumed == pieces.consumed);
    return 0;
}
