/* What a sandbox writes to the session's socket, and what an upstream answers: the bytes of one connection, then
 * after a line "==" the upstream's (over TLS where it is asked so). All of a worker but its process is here
 * (preamble, proxy, capture, TLS hello, session API, credentials, forwarding), joined to a monitor. Whatever comes,
 * all connections and questions end, the monitor never finds the worker's messages malformed (it would end the
 * worker), the secret goes over TLS alone and never to the sandbox, and the record verifies. */
#include <arpa/inet.h>

#include "core/plane/front.h"
#include "core/plane/secrets.h"
#include "tests/fuzz/world.h"

/* The input has the secret's letters itself: in any case, since the name of a host is shown in lower case. */
static bool says_secret(struct span input)
{
    const size_t len = sizeof WORLD_SECRET - 1;
    for (size_t i = 0; i + len <= input.len; i++)
        if (span_eqis((struct span){input.p + i, len}, WORLD_SECRET))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TURNS_QUIET = 6, TURNS_MAX = 5000, UPSTREAMS = 64 };

static struct loop *loop;
static struct world world;
static struct plane plane;
static int listener = -1;
static uint16_t upstream_port;
static struct conn *upstreams[UPSTREAMS]; /* connections that were made to us */
static size_t upstream_count;
static struct stream_config *upstream_tls;
static struct leaf *upstream_leaf;
static bool said; /* the input holds the secret itself: a fuzzer learns what it is compared with */
static struct span answer;

/* ---- the channel between the two ---- */

static void to_monitor(struct ipc *ipc, struct ipc_message *message, void *arg)
{
    struct doc doc = {0};
    struct err err = {0};
    struct json_at at = {0};
    bool raw = message->type == MESSAGE_OP_BODY || message->type == MESSAGE_CANCEL || message->type == MESSAGE_ROUND;
    (void)ipc;
    (void)arg;
    bool good = raw || json_parse(message->data, message->len, WORKER_JSON_BYTES, "message", ERR_DATA, &doc, &err);
    if (good && !raw) {
        at = json_root(&doc);
        good = json_want_object(&at, &err);
    }
    if (!good || !dispatch(world.session, message, &at, &err)) {
        fprintf(stderr, "type %u: %s: %.*s\n", message->type, err.message, (int)message->len, message->data);
        abort();
    }
    doc_clear(&doc);
}

static void to_worker(struct ipc *ipc, struct ipc_message *message, void *arg)
{
    (void)ipc;
    (void)arg;
    plane_answer(&plane, message);
}

static void on_end(struct ipc *ipc, const struct err *err, void *arg)
{
    (void)ipc;
    (void)arg;
    require(err == NULL);
}

static const struct ipc_handler monitor_end = {to_monitor, on_end}, worker_end = {to_worker, on_end};

/* ---- the upstream: answers at once, whatever it was asked ---- */

static void listen_on_loopback(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    require(listener >= 0 && bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 64) == 0 &&
            getsockname(listener, (struct sockaddr *)&at, &len) == 0);
    upstream_port = ntohs(at.sin_port);
}

static bool holds_secret(struct span bytes)
{
    return bytes.len > 0 && !said && memmem(bytes.p, bytes.len, WORLD_SECRET, sizeof WORLD_SECRET - 1) != NULL;
}

static void on_upstream(struct conn *conn, enum conn_event event, void *arg)
{
    struct span input = conn_peek(conn);
    struct err err;
    (void)arg;
    if (event != CONN_READABLE || input.len == 0)
        return;
    if (conn_stream(conn) == NULL && (uint8_t)input.p[0] == 0x16) {
        struct stream_io io = conn_stream_io(conn);
        struct stream *stream = stream_server(upstream_tls, upstream_leaf, &io, &err);
        require(stream != NULL);
        conn_secure(conn, stream, 10000);
        return;
    }
    require(conn_stream(conn) != NULL || !holds_secret(input));
    conn_consume(conn, input.len);
    if (conn_bytes_out(conn) == 0 && conn_unsent(conn) == 0) {
        (void)!conn_write(conn, answer.p, answer.len);
        conn_shutdown(conn);
    }
}

static bool serve_upstreams(void)
{
    /* A reset at the end leaves no TIME_WAIT: ports would run out. */
    static const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    static uint64_t before;
    uint64_t now = 0;
    int fd;
    while (upstream_count < UPSTREAMS && (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        require(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
        upstreams[upstream_count] = conn_new_fd(loop, fd, on_upstream, NULL);
        conn_limits(upstreams[upstream_count++], 0, CONN_BUFFER_MAX);
    }
    for (size_t i = 0; i < upstream_count; i++)
        now += 1 + conn_bytes_in(upstreams[i]) + conn_bytes_out(upstreams[i]);
    bool moved = now != before;
    before = now;
    return moved;
}

static void end_upstreams(void)
{
    while (upstream_count > 0)
        conn_close(upstreams[--upstream_count]);
}

/* ---- beginning and end ---- */

static void begin(void)
{
    struct err err;
    int pair[2];
    struct buf text;
    static const char *const alpn[] = {"http/1.1", NULL};
    struct stream_server_options options = {.alpn = alpn};
    world_open(&world, loop, upstream_port);
    require(ipc_pair(pair, &err));
    world.worker.ipc = ipc_new(loop, pair[0], &monitor_end, NULL);
    plane = (struct plane){.loop = loop, .ipc = ipc_new(loop, pair[1], &worker_end, NULL)};
    require(session_snapshot_bytes(world.session, &text, &err));
    struct snapshot *snapshot = snapshot_parse(text.data, text.len, &err);
    buf_wipe(&text);
    require(snapshot && (plane.epoch = epoch_new(snapshot, &err)) != NULL);
    plane.ca = ca_load(span_of(snapshot->ca_cert_pem), span_of(snapshot->ca_key_pem), &err);
    plane.server = stream_config_server(&options, &err);
    plane.server_api = stream_config_ref(plane.server);
    plane.resolver = resolver_new(loop, &err);
    plane.resume = resume_new();
    require(plane.ca && plane.server && plane.resolver);
    upstream_tls = stream_config_server(&options, &err);
    upstream_leaf = ca_leaf(world.session->ca, "api.test", &err); /* of the one root that the world knows */
    require(upstream_tls && upstream_leaf);
    plane.pool = pool_new(loop);
    lines_init(&plane.lines, loop, plane.ipc);
    require(file_mkdirs(world.session->private_dir, 0700, &err) && lease_open(world.session, &err));
    lines_journal(&plane.lines, world.session->lease.journal, 0);
}

static void end(void)
{
    leaf_unref(upstream_leaf);
    stream_config_unref(upstream_tls);
    secrets_forget(&plane); /* their timers look for them in the plane, which is another one from now on */
    pool_free(plane.pool);
    lines_clear(&plane.lines);
    resolver_free(plane.resolver);
    stream_config_unref(plane.server);
    stream_config_unref(plane.server_api);
    resume_free(plane.resume);
    ca_free(plane.ca);
    epoch_unref(plane.epoch);
    ipc_free(plane.ipc);
    ipc_free(world.worker.ipc);
    loop_turn(loop, false);
    world_close(&world);
}

static void end_all(void)
{
    end();
    loop_free(loop);
    close(listener);
}

/* ---- one input ---- */

/* The client's end of its connection: writes on, reads on. */
static bool serve_client(int fd, struct span *left)
{
    static char sink[65536];
    ssize_t n = left->len > 0 ? send(fd, left->p, left->len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    if (n < 0 && errno != EAGAIN)
        left->len = 0;
    if (n > 0)
        *left = (struct span){left->p + n, left->len - (size_t)n};
    ssize_t got = recv(fd, sink, sizeof sink, MSG_DONTWAIT);
    require(got <= 0 || !holds_secret((struct span){sink, (size_t)got}));
    return got > 0 || n > 0;
}

static void run_until_quiet(int fd, struct span *left)
{
    for (int quiet = 0, turn = 0; quiet < TURNS_QUIET && turn < TURNS_MAX; turn++) {
        loop_turn(loop, false);
        bool moved = serve_upstreams();
        moved = serve_client(fd, left) || moved;
        quiet = moved ? 0 : quiet + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char separator[] = "\n==\n";
    const uint8_t *cut = size > 0 ? memmem(data, size, separator, sizeof separator - 1) : NULL;
    struct span left = {(const char *)data, cut ? (size_t)(cut - data) : size};
    struct err err;
    int client[2];
    if (!loop) {
        require(tls_init(&err) && (loop = loop_new(&err)) != NULL && atexit(end_all) == 0);
        signal(SIGPIPE, SIG_IGN);
        log_open("fuzz", LOG_ERROR);
        listen_on_loopback();
        begin();
    } else if (world.inputs++ == WORLD_INPUTS) {
        end();
        begin();
    }
    answer = cut ? (struct span){(const char *)cut + sizeof separator - 1, size - left.len - (sizeof separator - 1)}
                 : SPAN("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    said = says_secret((struct span){(const char *)data, size});
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client) == 0);
    front_accept(&plane, client[0]);
    run_until_quiet(client[1], &left);
    (void)shutdown(client[1], SHUT_WR);
    run_until_quiet(client[1], &left);
    close(client[1]);
    for (int turn = 0; plane.connections > 0 || plane.asks || world.monitor.operations->running; turn++) {
        require(turn < TURNS_MAX);
        loop_turn(loop, false);
        serve_upstreams();
        if (turn == TURNS_MAX / 2)
            end_upstreams();
    }
    pool_empty(plane.pool);
    end_upstreams();
    loop_turn(loop, false);
    return 0;
}
