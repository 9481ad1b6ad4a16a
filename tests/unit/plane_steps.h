/* What the lines of a proxy case mean (tests/proxy/README lists them): one row a word. A step that waits turns the
 * loop until it has what it waits for, and fails the test after WORLD_MS. */
#ifndef AILERON_TESTS_PLANE_STEPS_H
#define AILERON_TESTS_PLANE_STEPS_H

#include "plane_steps_http2.h"
#include "plane_steps_monitor.h"

#include "core/wire/http1.h"

/* ---- the files ---- */

static inline void step_file(struct script *script, const struct step *step)
{
    char **file = strcmp(step->words[0], "policy") == 0     ? &script->world->policy
                  : strcmp(step->words[0], "bindings") == 0 ? &script->world->bindings
                                                            : &script->world->config;
    set_text(file, mem_strndup(step->text, step->len));
}

static inline void step_load(struct script *script, const struct step *step)
{
    (void)step;
    world_load(script->world);
}

/* ---- connections ---- */

static inline void step_client(struct script *script, const struct step *step)
{
    const char *mode = step->words[2];
    AUTOFREE char *first = NULL;
    if (strcmp(mode, "raw") == 0)
        first = mem_strdup("");
    else if (strcmp(mode, "capture") == 0)
        first = mem_printf("AILERON " WORLD_TOKEN " capture %s %s\r\n", step->words[3], step->words[4]);
    else
        first = mem_printf("AILERON " WORLD_TOKEN " %s\r\n", mode);
    client_open(script->world, step->words[1], first);
}

static inline void step_secure(struct script *script, const struct step *step)
{
    struct peer *peer = step_peer(script, step);
    client_secure(script->world, peer, step->words[2], step->words[3] && strcmp(step->words[3], "h2") == 0);
    if (step->words[3] && strcmp(step->words[3], "fails") == 0)
        UNTIL(script, peer->failed, "the handshake does not fail");
    else
        UNTIL(script, peer->secured, "no TLS: %s", peer->err.message);
}

static inline void step_accept(struct script *script, const struct step *step)
{
    upstream_accept(script->world, step->words[1], step->words[2], step->words[3]);
}

static inline void step_serve(struct script *script, const struct step *step)
{
    upstream_secure(script->world, step_peer(script, step), step->words[2], step->words[3]);
}

static inline void step_send(struct script *script, const struct step *step)
{
    peer_say(step_peer(script, step), step->text, step->len);
}

static inline void step_repeat(struct script *script, const struct step *step)
{
    for (uint64_t left = step_number(script, step, 2); left > 0; left--)
        peer_say(step_peer(script, step), step->text, step->len);
}

static inline void step_fill(struct script *script, const struct step *step)
{
    peer_say_pattern(step_peer(script, step), step_number(script, step, 2));
}

static inline void step_end(struct script *script, const struct step *step)
{
    peer_end(step_peer(script, step));
}

/* TLS's end alone: the transport stays open. */
static inline void step_notify(struct script *script, const struct step *step)
{
    assert_int_equal(stream_close_notify(conn_stream(step_peer(script, step)->conn)), STREAM_DONE);
}

static inline void step_close(struct script *script, const struct step *step)
{
    peer_close(step_peer(script, step), strcmp(step->words[0], "reset") == 0);
}

static inline void step_hold(struct script *script, const struct step *step)
{
    peer_hold(step_peer(script, step), strcmp(step->words[0], "hold") == 0);
}

/* ---- what a peer hears ---- */

static inline void show_heard(const struct peer *peer)
{
    char shown[1200];
    struct span heard = {(const char *)peer->heard.data, peer->heard.len < 1000 ? peer->heard.len : 1000};
    text_display(heard, shown, sizeof(shown));
    print_message("%s heard %zu bytes%s%s: %s\n", peer->name, peer->heard.len, peer->eof ? ", the end" : "",
                  peer->failed ? ", a failure" : "", heard.len ? shown : "");
}

static inline void step_expect(struct script *script, const struct step *step)
{
    struct peer *peer = step_peer(script, step);
    for (uint64_t end = clock_mono_ms() + WORLD_MS;
         peer->heard.len < step->len && !over(peer) && clock_mono_ms() < end;)
        world_turn(script->world);
    if (peer->heard.len < step->len || memcmp(peer->heard.data, step->text, step->len) != 0) {
        show_heard(peer);
        STEP_FAIL(script, "not what was expected");
    }
    buf_consume(&peer->heard, step->len);
}

static inline void step_take(struct script *script, const struct step *step)
{
    struct peer *peer = step_peer(script, step);
    size_t len = step_number(script, step, 2);
    uint64_t end = clock_mono_ms() + WORLD_MS;
    while (peer->heard.len < len && !over(peer) && clock_mono_ms() < end) {
        size_t had = peer->heard.len;
        world_turn(script->world);
        if (peer->heard.len != had) /* what comes slowly, comes */
            end = clock_mono_ms() + WORLD_MS;
    }
    if (peer->heard.len < len)
        STEP_FAIL(script, "%zu bytes came instead of %zu", peer->heard.len, len);
    for (size_t i = 0; i < len; i++)
        if (peer->heard.data[i] != peer_pattern(peer->to_hear + i))
            STEP_FAIL(script, "byte %zu of the pattern is another one", i);
    peer->to_hear += len;
    buf_consume(&peer->heard, len);
}

static inline void step_eof(struct script *script, const struct step *step)
{
    struct peer *peer = step_peer(script, step);
    UNTIL(script, over(peer), "%s is not told the end", peer->name);
    if (peer->heard.len > 0 || !peer->eof || conn_truncated(peer->conn)) {
        show_heard(peer);
        STEP_FAIL(script, "not a clean end");
    }
}

/* The connection was cut: reset, or TLS without its end. */
static inline void step_cut(struct script *script, const struct step *step)
{
    struct peer *peer = step_peer(script, step);
    UNTIL(script, over(peer), "%s is not cut off", peer->name);
    if (!peer->failed && !conn_truncated(peer->conn))
        STEP_FAIL(script, "%s had a clean end", peer->name);
}

/* The connection is over, one way or another. */
static inline void step_over(struct script *script, const struct step *step)
{
    struct peer *peer = step_peer(script, step);
    UNTIL(script, over(peer), "%s's connection goes on", peer->name);
}

static inline void step_quiet(struct script *script, const struct step *step)
{
    struct peer *peer = step_peer(script, step);
    world_wait(script->world, WORLD_QUIET_MS);
    if (peer->heard.len > 0 || over(peer)) {
        show_heard(peer);
        STEP_FAIL(script, "nothing was expected");
    }
}

/* A whole answer to a request (words[3]: HEAD, where it has no body), decoded. */
static inline void step_answer(struct script *script, const struct step *step)
{
    struct peer *peer = step_peer(script, step);
    struct http1 *parser = http1_new();
    struct arena *arena = arena_new(MSG_ARENA_BYTES);
    struct msg msg;
    struct err err = {0};
    enum http1_event event = HTTP1_NEED_MORE;
    bool to_head = step->words[3] && strcmp(step->words[3], "HEAD") == 0;
    buf_clear(&script->answer);
    msg_init(&msg, arena);
    http1_begin_response(parser, &msg, to_head ? HTTP1_TO_HEAD : HTTP1_TO_OTHER, false);
    for (uint64_t end = clock_mono_ms() + WORLD_MS; clock_mono_ms() < end && event != HTTP1_END;) {
        struct span input = {(const char *)peer->heard.data, peer->heard.len}, body, before = input;
        event = http1_next(parser, &input, &body, &err);
        if (event == HTTP1_ERROR)
            STEP_FAIL(script, "the answer is malformed: %s", err.message);
        size_t used = before.len - input.len;
        if (event == HTTP1_BODY)
            assert_true(buf_add(&script->answer, body.p, body.len));
        else if (event == HTTP1_HEAD || event == HTTP1_NEED_MORE)
            assert_true(buf_add(&script->answer, before.p ? before.p : "", used));
        buf_consume(&peer->heard, used);
        if (event == HTTP1_NEED_MORE && over(peer) && peer->heard.len == 0)
            event = http1_eof(parser, &err) == HTTP1_END ? HTTP1_END : HTTP1_ERROR;
        if (event == HTTP1_ERROR)
            break;
        if (event == HTTP1_NEED_MORE)
            world_turn(script->world);
    }
    unsigned status = msg.status;
    http1_free(parser);
    arena_free(arena);
    if (event != HTTP1_END || status != step_number(script, step, 2)) {
        show_heard(peer);
        STEP_FAIL(script, "status %u, %s: %s", status, event == HTTP1_END ? "whole" : "not whole",
                  buf_cstr(&script->answer));
    }
}

/* heard NAME: the head of a request, for `has`. */
static inline void step_heard(struct script *script, const struct step *step)
{
    struct peer *peer = step_peer(script, step);
    const uint8_t *end = NULL;
    UNTIL(script, (peer->heard.len && (end = memmem(peer->heard.data, peer->heard.len, "\r\n\r\n", 4))) || over(peer),
          "no head comes");
    if (!end)
        STEP_FAIL(script, "the connection is over");
    size_t len = (size_t)(end - peer->heard.data) + 4;
    buf_clear(&script->answer);
    assert_true(buf_add(&script->answer, peer->heard.data, len));
    buf_consume(&peer->heard, len);
}

/* switch NAME [TEXT]: agrees to the WebSocket that `heard` heard, with these fields too. */
static inline void step_switch(struct script *script, const struct step *step)
{
    static const char field[] = "Sec-WebSocket-Key: ";
    struct peer *peer = step_peer(script, step);
    const char *key = memmem(script->answer.data, script->answer.len, field, strlen(field));
    char proof[128], accept[64];
    uint8_t hash[CRYPTO_SHA1_LEN];
    if (!key)
        STEP_FAIL(script, "there is no key");
    snprintf(proof, sizeof(proof), "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key + strlen(field));
    crypto_sha1(proof, strlen(proof), hash);
    text_base64(hash, sizeof(hash), accept);
    AUTOFREE char *text = mem_printf("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                     "Sec-WebSocket-Accept: %s\r\n%s\r\n", accept, step->text ? step->text : "");
    peer_say(peer, text, strlen(text));
}

/* answers NAME N STATUS: so many, all with this status. */
static inline void step_answers(struct script *script, const struct step *step)
{
    struct step one = {.words = {step->words[0], step->words[1], step->words[3]}, .count = 3};
    for (uint64_t left = step_number(script, step, 2); left > 0; left--)
        step_answer(script, &one);
}

static inline void step_has(struct script *script, const struct step *step)
{
    bool wanted = strcmp(step->words[0], "has") == 0;
    bool found = script->answer.len && memmem(script->answer.data, script->answer.len, step->text, step->len);
    if (found != wanted)
        STEP_FAIL(script, "the answer %s it: %s", found ? "has" : "has not", buf_cstr(&script->answer));
}

/* ---- the plane ---- */

static inline void step_upstreams(struct script *script, const struct step *step)
{
    size_t count = script->world->plain.accepted + script->world->tls.accepted;
    world_wait(script->world, WORLD_QUIET_MS);
    if (count != step_number(script, step, 1))
        STEP_FAIL(script, "%zu connections to upstreams", count);
}

static inline void step_connections(struct script *script, const struct step *step)
{
    size_t wanted = step_number(script, step, 1);
    UNTIL(script, script->world->plane.connections == wanted, "%zu connections are counted",
          script->world->plane.connections);
}

static inline void step_pooled(struct script *script, const struct step *step)
{
    size_t wanted = step_number(script, step, 1);
    UNTIL(script, pool_count(script->world->plane.pool) == wanted, "%zu connections are kept",
          pool_count(script->world->plane.pool));
}

static inline void step_pause(struct script *script, const struct step *step)
{
    world_wait(script->world, step_number(script, step, 1));
}

static inline void note_drained(void *arg)
{
    *(bool *)arg = true;
}

static inline void step_drain(struct script *script, const struct step *step)
{
    struct world *world = script->world;
    (void)step;
    task_init(&world->drained_task, world->plane.loop, note_drained, &world->drained);
    plane_drain(&world->plane, &world->drained_task);
}

static inline void step_drained(struct script *script, const struct step *step)
{
    bool wanted = strcmp(step->words[0], "drained") == 0;
    if (!wanted)
        world_wait(script->world, WORLD_QUIET_MS);
    UNTIL(script, script->world->drained == wanted, "the plane is %s", wanted ? "not drained" : "drained already");
}

static const struct {
    const char *word;
    void (*run)(struct script *, const struct step *);
} steps[] = {
    {"policy", step_file},       {"bindings", step_file},       {"config", step_file},   {"load", step_load},
    {"client", step_client},     {"tls", step_secure},          {"accept", step_accept}, {"send", step_send},
    {"serve", step_serve},
    {"fill", step_fill},         {"end", step_end},             {"close", step_close},   {"reset", step_close},
    {"hold", step_hold},         {"release", step_hold},        {"expect", step_expect}, {"take", step_take},
    {"eof", step_eof},           {"cut", step_cut},             {"over", step_over},     {"quiet", step_quiet},
    {"answer", step_answer},     {"has", step_has},             {"hasnot", step_has},    {"ask", step_ask},
    {"unasked", step_unasked},   {"give", step_give},           {"refuse", step_refuse}, {"start", step_operation},
    {"listed", step_operation},  {"acked", step_operation},     {"result", step_result},
    {"approved", step_operation}, {"unasked-start", step_unasked_start},
    {"state", step_operation},   {"repeat", step_repeat},       {"answers", step_answers},
    {"record", step_record},     {"unrecorded", step_unrecorded},
    {"upstreams", step_upstreams}, {"connections", step_connections}, {"pooled", step_pooled}, {"pause", step_pause},
    {"open", step_open},         {"stream", step_named},        {"unopened", step_unnamed}, {"reply", step_reply},
    {"notify", step_notify},       {"heard", step_heard},         {"switch", step_switch},
    {"data", step_data},         {"finish", step_finish},       {"abort", step_abort},   {"goaway", step_goaway},
    {"cork", step_cork},         {"uncork", step_cork},         {"keep", step_keep},     {"read", step_keep},
    {"got", step_got},           {"ungot", step_ungot},         {"ended", step_ended},   {"unended", step_unended},
    {"broken", step_broken},     {"pour", step_pour},           {"stuck", step_stuck},   {"poured", step_poured},
    {"halt", step_halt},         {"go", step_halt},
    {"drain", step_drain},       {"drained", step_drained},     {"undrained", step_drained},
};

#endif
