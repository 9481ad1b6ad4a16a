/* The steps of a proxy case about HTTP/2: requests and answers as streams with names. */
#ifndef AILERON_TESTS_PLANE_STEPS_HTTP2_H
#define AILERON_TESTS_PLANE_STEPS_HTTP2_H

#include "plane_step.h"

static inline struct peer_stream *step_stream(struct script *script, const struct step *step)
{
    struct peer_stream *stream = peer_stream_named(step_peer(script, step), step->words[2] ? step->words[2] : "");
    if (!stream)
        STEP_FAIL(script, "there is no such stream");
    return stream;
}

static inline struct span step_text(const struct step *step)
{
    return (struct span){step->text ? step->text : "", step->text ? step->len : 0};
}

static inline void step_open(struct script *script, const struct step *step)
{
    struct peer *peer = step_peer(script, step);
    peer_request(peer, step->words[2], step_text(step), step->words[3] != NULL);
    peer_http2_flush(peer);
}

/* The next stream that came gets its name. */
static inline void step_named(struct script *script, const struct step *step)
{
    struct peer *peer = step_peer(script, step);
    struct peer_stream *stream = NULL;
    UNTIL(script, (stream = peer_stream_named(peer, "")) != NULL || over(peer), "no request comes");
    if (!stream)
        STEP_FAIL(script, "the connection is over: %s", peer->err.message);
    snprintf(stream->name, sizeof(stream->name), "%s", step->words[2]);
}

static inline void step_unnamed(struct script *script, const struct step *step)
{
    world_wait(script->world, WORLD_QUIET_MS);
    if (peer_stream_named(step_peer(script, step), ""))
        STEP_FAIL(script, "a request came");
}

static inline void step_reply(struct script *script, const struct step *step)
{
    peer_respond(step_stream(script, step), step_text(step), step->words[3] != NULL);
    peer_http2_flush(step_peer(script, step));
}

static inline void step_data(struct script *script, const struct step *step)
{
    assert_true(http2_write(step_stream(script, step)->stream, step_text(step)));
    peer_http2_flush(step_peer(script, step));
}

static inline void step_pour(struct script *script, const struct step *step)
{
    struct peer_stream *stream = step_stream(script, step);
    stream->to_pour += step_number(script, step, 3);
    peer_pour(stream);
    peer_http2_flush(step_peer(script, step));
}

/* Not all of what is to be poured is taken, and no more of it is. */
static inline void step_stuck(struct script *script, const struct step *step)
{
    struct peer_stream *stream = step_stream(script, step);
    uint64_t before = 0, end = clock_mono_ms() + WORLD_MS;
    do { /* a busy machine needs longer until nothing moves any more */
        before = stream->to_pour;
        world_wait(script->world, WORLD_QUIET_MS);
    } while (before > 0 && stream->to_pour != before && clock_mono_ms() < end);
    if (before == 0 || stream->to_pour != before)
        STEP_FAIL(script, "%llu bytes are left, %llu before", (unsigned long long)stream->to_pour,
                  (unsigned long long)before);
}

static inline void step_poured(struct script *script, const struct step *step)
{
    struct peer_stream *stream = step_stream(script, step);
    size_t len = step_number(script, step, 3);
    UNTIL(script, stream->body.len >= len || stream->over, "%zu bytes came", stream->body.len);
    if (stream->body.len < len)
        STEP_FAIL(script, "%zu bytes came, code %u", stream->body.len, stream->code);
    for (size_t i = 0; i < len; i++)
        if (stream->body.data[i] != peer_pattern(stream->taken + i))
            STEP_FAIL(script, "byte %zu of the pattern is another one", i);
    stream->taken += len;
    buf_consume(&stream->body, len);
}

static inline void step_finish(struct script *script, const struct step *step)
{
    peer_trailers(step_stream(script, step), step_text(step));
    peer_http2_flush(step_peer(script, step));
}

static inline void step_abort(struct script *script, const struct step *step)
{
    struct peer_stream *stream = step_stream(script, step);
    http2_reset(stream->stream, (enum http2_code)step_number(script, step, 3));
    stream->stream = NULL;
    stream->over = true;
    peer_http2_flush(step_peer(script, step));
}

static inline void step_goaway(struct script *script, const struct step *step)
{
    struct peer *peer = step_peer(script, step);
    http2_goaway(peer->http2->session);
    peer_http2_flush(peer);
}

static inline void step_cork(struct script *script, const struct step *step)
{
    struct peer *peer = step_peer(script, step);
    peer->http2->corked = strcmp(step->words[0], "cork") == 0;
    peer_http2_flush(peer);
}

/* keep, read NAME S: the stream's body is not consumed for a while. */
static inline void step_keep(struct script *script, const struct step *step)
{
    struct peer_stream *stream = step_stream(script, step);
    stream->holding = strcmp(step->words[0], "keep") == 0;
    if (stream->stream)
        peer_stream_take(stream);
    peer_http2_flush(step_peer(script, step));
}

static inline bool stream_holds(const struct peer_stream *stream, struct span text)
{
    return (stream->head.len && memmem(stream->head.data, stream->head.len, text.p, text.len)) ||
           (stream->body.len && memmem(stream->body.data, stream->body.len, text.p, text.len));
}

/* got NAME S TEXT: in its head, body or trailers, by now or soon. */
static inline void step_got(struct script *script, const struct step *step)
{
    struct peer_stream *stream = step_stream(script, step);
    struct span text = step_text(step);
    for (uint64_t end = clock_mono_ms() + WORLD_MS; !stream_holds(stream, text) && clock_mono_ms() < end;)
        world_turn(script->world);
    if (!stream_holds(stream, text))
        STEP_FAIL(script, "it does not come (the stream is %s, code %u): %s%s",
                  stream->over ? "over" : stream->ended ? "ended" : "open", stream->code, buf_cstr(&stream->head),
                  buf_cstr(&stream->body));
}

static inline void step_ungot(struct script *script, const struct step *step)
{
    struct peer_stream *stream = step_stream(script, step);
    world_wait(script->world, WORLD_QUIET_MS);
    if (stream_holds(stream, step_text(step)))
        STEP_FAIL(script, "it came: %s%s", buf_cstr(&stream->head), buf_cstr(&stream->body));
}

static inline void step_ended(struct script *script, const struct step *step)
{
    struct peer_stream *stream = step_stream(script, step);
    UNTIL(script, stream->ended, "the stream does not end: it is %s, code %u", stream->over ? "over" : "open",
          stream->code);
}

static inline void step_unended(struct script *script, const struct step *step)
{
    struct peer_stream *stream = step_stream(script, step);
    world_wait(script->world, WORLD_QUIET_MS);
    if (stream->ended || stream->over)
        STEP_FAIL(script, "the stream %s", stream->ended ? "ends" : "is reset");
}

static inline void step_broken(struct script *script, const struct step *step)
{
    struct peer_stream *stream = step_stream(script, step);
    UNTIL(script, stream->over, "the stream is not reset");
    if (stream->code != step_number(script, step, 3))
        STEP_FAIL(script, "its code is %u", stream->code);
}

#endif
