/* A worker's plane among programs, upstreams and a monitor that do what comes to their minds: say something, say half
 * of it, hold, reset, vanish, answer, refuse, load new rules. Nothing that they do may end the worker, and when all of
 * them are gone nothing of theirs is left. `test_plane_chaos SEED COUNT [STEPS]` plays others than these few. */
#include "plane_world.h"

#include <fcntl.h>

enum { ACTORS_MAX = 24, STEPS = 800, SEEDS = 6, UNSAID_MAX = 1000000, LEAVE_MS = 10000 };

enum role { ROLE_PLAIN, ROLE_API, ROLE_INSIDE, ROLE_UPSTREAM };
struct actor {
    struct peer *peer;
    enum role role;
    unsigned opened; /* streams */
};
static struct world world;
static struct actor actors[ACTORS_MAX];
static size_t actor_count;
static uint64_t state;
static unsigned step_count = STEPS;

static unsigned chance(unsigned below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 11) % below;
}
#define ANY(list) (list)[chance(COUNT(list))]

/* ---- what is said ---- */

static const char *const said_plain[] = {
    "GET http://plain.test/a HTTP/1.1\r\nHost: plain.test\r\n\r\n",
    "POST http://plain.test/a HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 4\r\n\r\nabcd",
    "GET http://web.test/deny HTTP/1.1\r\nHost: web.test\r\n\r\n",
    "GET http://private.test/ HTTP/1.1\r\nHost: private.test\r\n\r\n",
    "POST http://plain.test/c HTTP/1.1\r\nHost: plain.test\r\nTransfer-Encoding: chunked\r\n\r\n",
    "4\r\nabcd\r\n", "0\r\n\r\n", "abcd", "\x05\x01\x00", "nonsense\r\n\r\n",
    "GET http://plain.test/ws HTTP/1.1\r\nHost: plain.test\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "CONNECT plain.test:80 HTTP/1.1\r\nHost: plain.test:80\r\n\r\n",
    "CONNECT plain.test:8080 HTTP/1.1\r\nHost: plain.test:8080\r\n\r\n",
};
static const char *const said_api[] = {
    "GET /v1/operations HTTP/1.1\r\nHost: aileron.internal\r\n\r\n",
    "GET /v1/operations/op_01J00000000000000000000000?wait=10 HTTP/1.1\r\nHost: aileron.internal\r\n\r\n",
    "GET /v1/tools HTTP/1.1\r\nHost: aileron.internal\r\n\r\n",
    "POST /v1/connector-operations/run HTTP/1.1\r\nHost: aileron.internal\r\nContent-Length: 30\r\n\r\n"
    "{\"tool\":\"t\",\"operation\":\"get\"}",
    "POST /v1/operations/ack HTTP/1.1\r\nHost: aileron.internal\r\nContent-Length: 42\r\n\r\n"
    "{\"ids\":[\"op_01J00000000000000000000000\"]} ",
    "POST /v1/operations/ack HTTP/1.1\r\nHost: aileron.internal\r\nContent-Length: 42\r\n\r\n{",
};
static const char *const said_inside[] = {
    "GET /a HTTP/1.1\r\nHost: api.test\r\n\r\n", "HEAD /a HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "POST /b HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\n\r\nhello",
    "POST /b HTTP/1.1\r\nHost: api.test\r\nContent-Length: 500\r\n\r\nhel",
    "POST /u HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n",
    "POST /c HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n",
    "5\r\nhello\r\n", "0\r\n\r\n", "0\r\nX-T: 1\r\n\r\n", "3\r\nsta\r\n", "8\r\nndin-for\r\n", "9\r\n-user-api\r\n",
    "GET /ws HTTP/1.1\r\nHost: api.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: other.test\r\n\r\n", "TRACE / HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n", "GET /s?standin-for-user-api HTTP/1.1\r\nHost: api.test\r\n\r\n", "BROKEN\r\n\r\n",
    "GET /e HTTP/1.1\r\nHost: api.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", "abc",
    "GET /own HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer mine\r\n\r\n",
    "GET /deny HTTP/1.1\r\nHost: api.test\r\n\r\n",
};
static const char *const said_upstream[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "abc",
    "5\r\ns3cre\r\n", "7\r\ntsecret\r\n", "0\r\n\r\n", "0\r\nX-A: s3cretsecret\r\n\r\n", "garbage\r\n\r\n",
    "HTTP/1.1 200 s3cretsecret\r\nContent-Length: 100000\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nuntil the end",
    "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhi",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
};
static const char *const asked[] = {
    "GET /a api.test\n", "HEAD /h api.test\n", "POST /p api.test\n", "POST /p api.test\ncontent-length: 5\n",
    "GET /deny api.test\n", "GET /x other.test\n", "GET * api.test\n", "TRACE /t api.test\n",
    "GET /s?standin-for-user-api api.test\n", "GET /z api.test\nx-a: standin-for-user-api\n",
    "GET /own api.test\nauthorization: Bearer mine\n", "websocket: /ws api.test\n", "websocket: /deny api.test\n",
    "other: /ws api.test\n", "POST /p api.test\nexpect: 100-continue\n", "GET /c api.test\ncookie: a=1\ncookie: b=2\n",
};
static const char *const answered[] = {
    "200\n", "200\n", "204\n", "103\nlink: x\n", "304\n", "200\ncontent-length: 5\n", "500\nx-a: s3cretsecret\n",
};
static const char *const agreed[] = {"101\n", "101\n", "103\n", "403\n"}; /* to an extended CONNECT */
static const char *const pieces[] = {"hello", "standin-for-user-api", "stan", "din-for-user-api", "s3cret", "secret"};
static const char *const policies[] = {
    "", "rules:\n  - { name: no, host: api.test, paths: [/deny], action: deny }\n",
    "rules:\n  - { name: no, host: api.test, action: deny }\n",
    "rules:\n  - { name: no, host: plain.test, action: deny }\n",
    "rules:\n  - { name: ask, host: plain.test, methods: [POST], action: approve }\n"
    "  - { name: ask too, host: api.test, methods: [POST], action: approve }\n",
};
static const char *const told[] = {
    "{\"operations\":[]}", "{\"acked\":1}", "{\"id\":\"op_01J00000000000000000000000\",\"state\":\"running\"}",
    "{\"id\":\"op_01J00000000000000000000000\",\"method\":\"POST\",\"host\":\"api.test\",\"path\":\"/x\","
    "\"query\":\"\",\"headers\":{\"Accept\":\"application/json\"},\"binding\":\"user/api\",\"body\":\"abc\"}",
};

/* ---- the monitor ---- */

static void tell(uint16_t type, uint32_t id, const char *text)
{
    assert_true(ipc_send(world.monitor, type, 0, id, text, strlen(text), NULL, 0));
}

static void answer_one(const struct question *question)
{
    static const struct {
        uint16_t asked, answer;
    } rows[] = {{MESSAGE_OP_RUN, MESSAGE_OP_START}, {MESSAGE_OP_GET, MESSAGE_OP_STATE},
                {MESSAGE_OP_LIST, MESSAGE_OP_LISTED}, {MESSAGE_OP_ACK, MESSAGE_OP_ACKED},
                {MESSAGE_APPROVAL_ASK, MESSAGE_APPROVED}};
    bool refused = chance(8) == 0;
    if (question->type == MESSAGE_CANCEL || question->type == MESSAGE_OP_DONE)
        return;
    if (question->type == MESSAGE_ROUND && !refused) {
        struct buf given CLEANUP(buf_clear);
        buf_init(&given, 4096);
        flat_answer(&given, question->id, NULL, SPAN("s3cretsecret"));
        assert_true(ipc_send(world.monitor, MESSAGE_CREDENTIAL, 0, 0, given.data, given.len, NULL, 0));
    }
    for (size_t i = 0; i < COUNT(rows) && !refused; i++)
        if (question->type == rows[i].asked)
            tell(rows[i].answer, question->id,
                 question->type == MESSAGE_APPROVAL_ASK ? "{\"approval\":\"apr_01J00000000000000000000000\"}"
                                                        : ANY(told));
    if (refused)
        tell(MESSAGE_REFUSED, question->id,
             chance(2) ? "{\"code\":\"denied\",\"message\":\"no\",\"hint\":\"x\"}"
                       : "{\"code\":\"pending\",\"message\":\"wait\",\"hint\":\"x\","
                         "\"id\":\"apr_01J00000000000000000000000\"}");
}

static void answer_questions(bool all)
{
    while (world.questions && (all || chance(4))) {
        struct question *question = world.questions;
        world.questions = question->next;
        answer_one(question);
        question_free(question);
    }
}

/* ---- actors ---- */

static struct actor *actor_new(struct peer *peer, enum role role)
{
    actors[actor_count] = (struct actor){.peer = peer, .role = role};
    return &actors[actor_count++];
}

static void leave(struct actor *actor)
{
    struct peer *peer = actor->peer, **link = &world.peers;
    while (*link != peer)
        link = &(*link)->next;
    *link = peer->next;
    peer->next = NULL;
    peers_free(&peer);
    *actor = actors[--actor_count];
}

static void enter_inside(void)
{
    static const char answer[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    struct peer *peer = client_open(&world, "c", "AILERON " WORLD_TOKEN " proxy\r\n"
                                                 "CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n");
    struct actor *actor = actor_new(peer, ROLE_INSIDE);
    for (uint64_t end = clock_mono_ms() + WORLD_MS;
         peer->heard.len < sizeof(answer) - 1 && !peer->eof && !peer->failed && clock_mono_ms() < end;) {
        loop_turn(world.plane.loop, false);
        answer_questions(true);
    }
    if (peer->heard.len == sizeof(answer) - 1)
        client_secure(&world, peer, "api.test", chance(2));
    else
        leave(actor);
    buf_clear(&peer->heard);
}

static void enter(void)
{
    static const char *const firsts[] = {
        "AILERON " WORLD_TOKEN " proxy\r\n", "AILERON " WORLD_TOKEN " capture plain.test 80\r\n",
        "AILERON " WORLD_TOKEN " capture api.test 443\r\n", "AILERON " WORLD_TOKEN " socks\r\n", "",
    };
    if (chance(2) == 0)
        enter_inside();
    else if (chance(4) == 0)
        actor_new(client_open(&world, "a", "AILERON " WORLD_TOKEN " api\r\n"), ROLE_API);
    else
        actor_new(client_open(&world, "p", chance(3) ? firsts[0] : ANY(firsts)), ROLE_PLAIN);
}

static void accept_upstreams(void)
{
    if (world.tls.waiting_count)
        actor_new(upstream_accept(&world, "u", "api.test", chance(3) ? "h2" : NULL), ROLE_UPSTREAM);
    if (world.plain.waiting_count && actor_count < ACTORS_MAX)
        actor_new(upstream_accept(&world, "u", NULL, NULL), ROLE_UPSTREAM);
}

static struct peer_stream *any_stream(const struct peer *peer)
{
    struct peer_stream *found = NULL;
    unsigned count = 0;
    for (struct peer_stream *stream = peer->http2->streams; stream; stream = stream->next)
        if (stream->stream && chance(++count) == 0)
            found = stream;
    return found;
}

static void open_or_reply(struct actor *actor, struct peer_stream *stream)
{
    char name[16];
    bool upgrade = stream && actor->role == ROLE_UPSTREAM && http2_msg(stream->stream)->upgrade;
    const char *text = actor->role == ROLE_INSIDE ? ANY(asked) : upgrade ? ANY(agreed) : ANY(answered);
    if (actor->role == ROLE_INSIDE && http2_can_request(actor->peer->http2->session)) {
        snprintf(name, sizeof(name), "%u", ++actor->opened);
        peer_request(actor->peer, name, span_of(text), strncmp(text, "POST", 4) == 0 || chance(4) == 0);
    } else if (actor->role == ROLE_UPSTREAM && stream && !stream->name[0]) {
        bool final = text[0] != '1' || text[2] == '1';
        snprintf(stream->name, sizeof(stream->name), "%s", final ? "given" : "");
        peer_respond(stream, span_of(text), !final || chance(2));
    }
}

static void say_junk(struct peer *peer)
{
    char frame[9 + 31];
    for (size_t i = 0; i < sizeof(frame); i++)
        frame[i] = (char)chance(256);
    frame[0] = frame[1] = 0;
    frame[2] = sizeof(frame) - 9;
    frame[3] = (char)chance(10);
    peer_say(peer, frame, sizeof(frame));
}

static void play_http2(struct actor *actor)
{
    static const enum http2_code codes[] = {HTTP2_NO_ERROR, HTTP2_PROTOCOL_ERROR, HTTP2_INTERNAL_ERROR,
                                            HTTP2_REFUSED_STREAM, HTTP2_CANCEL, HTTP2_HTTP_1_1_REQUIRED};
    struct peer *peer = actor->peer;
    struct peer_stream *stream = any_stream(peer);
    bool begun = stream && stream->name[0];
    struct err err;
    unsigned what = chance(10);
    if (what < 4) {
        open_or_reply(actor, stream);
    } else if (what == 4 && begun) {
        stream->to_pour += chance(200000);
        peer_pour(stream);
    } else if (what == 5 && begun) {
        (void)!http2_write(stream->stream, span_of(ANY(pieces)));
    } else if (what == 6 && begun && chance(3) == 0) {
        peer_trailers(stream, SPAN("x-t: s3cretsecret\n"));
    } else if (what == 6 && begun) {
        assert_true(http2_end(stream->stream, NULL, &err));
    } else if (what == 7 && stream && chance(2)) {
        http2_reset(stream->stream, ANY(codes));
        stream->stream = NULL;
    } else if (what == 8 && stream) {
        stream->holding = !stream->holding;
        peer_stream_take(stream);
    } else if (what == 9 && chance(20) == 0) {
        http2_goaway(peer->http2->session);
    } else if (what == 9 && chance(20) == 0) {
        say_junk(peer);
    } else if (what == 9) {
        peer->http2->corked = !peer->http2->corked;
    }
    peer_http2_flush(peer);
}

/* What an upstream over HTTP/1.1 says to a client over HTTP/2 that asks for WebSocket. */
static bool agree(struct peer *peer)
{
    static const char field[] = "Sec-WebSocket-Key: ";
    const char *key = peer->heard.len ? memmem(peer->heard.data, peer->heard.len, field, strlen(field)) : NULL;
    char proof[128], accept[64];
    uint8_t hash[CRYPTO_SHA1_LEN];
    if (!key || peer->heard.len - (size_t)(key - (const char *)peer->heard.data) < strlen(field) + 24)
        return false;
    snprintf(proof, sizeof(proof), "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key + strlen(field));
    crypto_sha1(proof, strlen(proof), hash);
    text_base64(hash, sizeof(hash), accept);
    AUTOFREE char *text = mem_printf("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                     "Sec-WebSocket-Accept: %s\r\n\r\nhi", accept);
    peer_say(peer, text, strlen(text));
    buf_clear(&peer->heard);
    return true;
}

static void say(struct actor *actor)
{
    struct peer *peer = actor->peer;
    const char *text = actor->role == ROLE_PLAIN    ? ANY(said_plain)
                       : actor->role == ROLE_API    ? ANY(said_api)
                       : actor->role == ROLE_INSIDE ? ANY(said_inside)
                                                    : ANY(said_upstream);
    if (peer->said.len > UNSAID_MAX || (actor->role == ROLE_UPSTREAM && chance(2) && agree(peer)))
        return;
    if (chance(30) == 0)
        peer_say_pattern(peer, chance(300000));
    else
        peer_say(peer, text, strlen(text));
}

static void act(struct actor *actor, unsigned what)
{
    struct peer *peer = actor->peer;
    if (!peer->conn || peer->failed || peer->eof || (what == 0 && chance(3) == 0)) {
        if (chance(3) == 0 || peer->failed)
            leave(actor);
    } else if (what == 1 && chance(4) == 0) {
        peer_close(peer, chance(2));
        leave(actor);
    } else if (what == 2 && chance(4) == 0) {
        peer_end(peer);
    } else if (what == 3 && chance(4) == 0) {
        peer_hold(peer, !peer->holding);
        peer_hear(peer);
    } else if (!peer->ending && (peer->secured || !conn_stream(peer->conn))) {
        if (peer->http2)
            play_http2(actor);
        else
            say(actor);
    }
}

static void step(void)
{
    unsigned what = chance(20);
    if (what < 3 && actor_count < ACTORS_MAX) {
        enter();
    } else if (what < 6 && actor_count < ACTORS_MAX) {
        accept_upstreams();
    } else if (what == 6 && chance(6) == 0) {
        set_text(&world.policy, mem_strdup(ANY(policies)));
        world_load(&world);
    } else if (what < 9) {
        answer_questions(false);
    } else if (what < 11) {
        for (unsigned turns = chance(20); turns > 0; turns--)
            loop_turn(world.plane.loop, false);
    } else if (actor_count) {
        act(&actors[chance((unsigned)actor_count)], what - 11);
    }
    if (chance(3) == 0)
        loop_turn(world.plane.loop, false);
}

/* ---- the whole ---- */

static void refuse_waiting(struct upstream_port *port)
{
    while (port->waiting_count)
        close(port->waiting[--port->waiting_count]);
}

static size_t descriptors(void)
{
    size_t count = 0;
    for (int fd = 0; fd < 4096; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void play(uint64_t seed)
{
    size_t before = descriptors();
    state = seed * 0x9E3779B97F4A7C15u + 1;
    world = (struct world){.home = ""};
    world_start(&world);
    world.bindings = mem_strdup("bindings:\n  - { name: user/api, hosts: [api.test], scheme: bearer, "
                                "sentinel: { env: [API_TOKEN] } }\n");
    world_load(&world);
    for (unsigned i = 0; i < step_count; i++)
        step();
    while (actor_count)
        leave(&actors[0]);
    /* A call of the API outlives its client until the monitor has answered. */
    for (uint64_t end = clock_mono_ms() + LEAVE_MS;
         (world.plane.connections || world.plane.asks) && clock_mono_ms() < end;) {
        loop_turn(world.plane.loop, true);
        answer_questions(true);
        refuse_waiting(&world.tls);
        refuse_waiting(&world.plain);
    }
    if (world.plane.connections || world.plane.asks || world.monitor_gone || world.plane_gone)
        fail_msg("seed %llu: %zu connections are left%s", (unsigned long long)seed, world.plane.connections,
                 world.plane.asks ? ", and a question" : "");
    world_stop(&world);
    if (descriptors() != before)
        fail_msg("seed %llu: %zu descriptors, and %zu before", (unsigned long long)seed, descriptors(), before);
}

static void test_chaos(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        play(seed);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chaos)};
    if (argc < 3)
        return cmocka_run_group_tests(tests, NULL, NULL);
    step_count = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : STEPS;
    for (uint64_t seed = strtoull(argv[1], NULL, 10), left = strtoull(argv[2], NULL, 10); left > 0; seed++, left--) {
        fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
        play(seed);
    }
    return 0;
}
