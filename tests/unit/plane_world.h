/* A worker's plane in this process: the session's socket is a socketpair a client, the monitor is the other end of
 * a message channel, the upstreams are listeners on loopback (plain and TLS). Everything runs in one loop, turned
 * by the test, and all that the plane sees is what it sees in a worker: a snapshot that was written and read. */
#ifndef AILERON_TESTS_PLANE_WORLD_H
#define AILERON_TESTS_PLANE_WORLD_H

#include "flat_words.h"
#include "plane_http2.h"

#include "core/base/file.h"
#include "core/data/audit.h"
#include "core/loop/listen.h"
#include "core/plane/api.h"
#include "core/plane/front.h"
#include "core/plane/plane.h"
#include "core/plane/secrets.h"
#include "tls/crypto.h"

#include <arpa/inet.h>
#include <netinet/in.h>

enum { WORLD_TICK_MS = 10, WORLD_QUIET_MS = 80 };

/* How long a test waits for what must come; valgrind is some ten times as slow. */
static uint64_t world_ms(void)
{
    return getenv("UNDER_VALGRIND") != NULL ? 60000 : 5000;
}
#define WORLD_MS world_ms()

#define WORLD_TOKEN "0123456789abcdef0123456789abcdef"

struct question { /* of the plane to the monitor, not yet looked at by the test */
    struct question *next;
    uint16_t type;
    uint32_t id;
    json_t *payload; /* NULL: it had none, or raw bytes */
    size_t len;
};

struct upstream_port {
    struct world *world;
    bool tls;
    int fd;
    uint16_t number;
    struct listener *listener;
    int waiting[PEERS_MAX]; /* accepted, not yet named by the test */
    size_t waiting_count, accepted;
};

struct world {
    char home[64];
    struct plane plane;
    struct ipc *monitor;
    struct question *questions;
    json_t *records;           /* array */
    uint64_t body_bytes;       /* of OP_BODY */
    bool monitor_gone, plane_gone;
    struct ca *session_ca, *upstream_ca;
    struct stream_config *client_tls, *client_h2, *upstream_tls, *upstream_h2, *upstream_tls12;
    struct upstream_port plain, tls;
    struct peer *peers;
    struct timer tick;
    struct task drained_task;
    bool drained;
    char *config, *policy, *bindings; /* the files, written at the next load */
};

/* ---- the loop ---- */

static inline void world_tick(void *arg)
{
    struct world *world = arg;
    timer_start(&world->tick, WORLD_TICK_MS);
}

static inline void world_turn(struct world *world)
{
    loop_turn(world->plane.loop, true); /* the tick ends it at the latest */
}

static inline void world_wait(struct world *world, uint64_t ms)
{
    for (uint64_t end = clock_mono_ms() + ms; clock_mono_ms() < end;)
        world_turn(world);
}

/* ---- the monitor ---- */

/* A credential is asked for after the decision that gives it is on its way to the record. */
static inline void assert_recorded(struct world *world, const json_t *question)
{
    const json_t *line;
    size_t i;
    json_array_foreach(world->records, i, line)
        if (json_equal(json_object_get(line, "request"), json_object_get(question, "request")))
            return;
    fail_msg("a credential is asked for a request that is not on the record");
}

static inline void keep_question(struct world *world, uint16_t type, uint32_t id, json_t *payload, size_t len)
{
    struct question *question = mem_alloc(sizeof(*question)), **end = &world->questions;
    *question = (struct question){.type = type, .id = id, .payload = payload, .len = len};
    while (*end)
        end = &(*end)->next;
    *end = question;
}

/* Lines and questions for credentials; the latter are shown to the test as MESSAGE_ROUND. */
static inline void monitor_round(struct world *world, const struct ipc_message *message)
{
    struct span rest = {(const char *)message->data, message->len};
    while (rest.len > 0) {
        struct span ahead = rest;
        struct audit_entry entry;
        struct flat flat;
        struct err err;
        bool good = flat_take(&ahead, &flat, &err);
        if (good && flat.kind == MESSAGE_FLAT_ASK) {
            rest = ahead;
            assert_true(flat_check(&flat, message_ask_names, &err));
            json_t *fields = flat_json(&flat);
            uint32_t id = (uint32_t)json_integer_value(json_object_get(fields, "id"));
            json_object_del(fields, "id");
            if (!json_object_get(fields, "operation"))
                assert_recorded(world, fields);
            keep_question(world, MESSAGE_ROUND, id, fields, flat.fields.len);
            continue;
        }
        if (!good || !audit_entry_take(&rest, true, &entry, &err))
            fail_msg("a line that the monitor would not take: %s", err.message);
        json_t *event = flat_json(&entry.flat);
        json_put(event, "event", audit_entry_word(&entry));
        json_array_append_new(world->records, event);
    }
}

static inline void monitor_message(struct ipc *ipc, struct ipc_message *message, void *arg)
{
    struct world *world = arg;
    (void)ipc;
    if (message->type == MESSAGE_OP_BODY) {
        world->body_bytes += message->len;
        return;
    }
    if (message->type == MESSAGE_ROUND) {
        monitor_round(world, message);
        return;
    }
    const char *nul = message->type == MESSAGE_APPROVAL_ASK ? memchr(message->data, 0, message->len) : NULL;
    size_t head = nul ? (size_t)(nul - (const char *)message->data) : message->len;
    json_t *payload = json_loadb((const char *)message->data, head, 0, NULL);
    if (nul) { /* what stands behind it is shown to the test as two fields */
        json_object_set_new(payload, "body", json_stringn(nul + 1, message->len - head - 1));
        json_put_int(payload, "bytes", (int64_t)(message->len - head - 1));
    }
    keep_question(world, message->type, message->id, payload, message->len);
}

static inline void monitor_ended(struct ipc *ipc, const struct err *err, void *arg)
{
    (void)ipc;
    (void)err;
    ((struct world *)arg)->plane_gone = true;
}

static inline void plane_message(struct ipc *ipc, struct ipc_message *message, void *arg)
{
    struct world *world = arg;
    (void)ipc;
    if (message->type == MESSAGE_OP_START && message->id >= MESSAGE_UNASKED)
        api_run_approved(&world->plane, message);
    else if (message->type == MESSAGE_HALT)
        plane_halt(&world->plane, message);
    else
        plane_answer(&world->plane, message);
}

static inline void plane_ended(struct ipc *ipc, const struct err *err, void *arg)
{
    (void)ipc;
    (void)err;
    ((struct world *)arg)->monitor_gone = true;
}

static inline void question_free(struct question *question)
{
    json_decref(question->payload);
    free(question);
}

/* ---- upstreams ---- */

static inline void upstream_accepted(void *arg, int fd)
{
    struct upstream_port *port = arg;
    assert_true(port->waiting_count < PEERS_MAX);
    port->waiting[port->waiting_count++] = fd;
    port->accepted++;
}

static inline void upstream_listen(struct world *world, struct upstream_port *port, bool tls)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    struct err err;
    *port = (struct upstream_port){.world = world, .tls = tls};
    port->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(port->fd >= 0);
    assert_int_equal(bind(port->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(port->fd, 64), 0);
    assert_int_equal(getsockname(port->fd, (struct sockaddr *)&at, &len), 0);
    port->number = ntohs(at.sin_port);
    port->listener = listener_new(world->plane.loop, port->fd, upstream_accepted, port, &err);
    assert_non_null(port->listener);
}

static inline void upstream_close(struct upstream_port *port)
{
    listener_free(port->listener);
    close(port->fd);
    for (size_t i = 0; i < port->waiting_count; i++)
        close(port->waiting[i]);
}

/* TLS of a server with a certificate for host; how: NULL, "tls12" or "h2". */
static inline void upstream_secure(struct world *world, struct peer *peer, const char *host, const char *how)
{
    struct err err;
    struct stream_io io = conn_stream_io(peer->conn);
    struct leaf *leaf = ca_leaf(world->upstream_ca, host, &err);
    assert_non_null(leaf);
    bool h2 = how && strcmp(how, "h2") == 0;
    struct stream_config *config = h2    ? world->upstream_h2
                                   : how ? world->upstream_tls12
                                         : world->upstream_tls;
    struct stream *stream = stream_server(config, leaf, &io, &err);
    leaf_unref(leaf);
    assert_non_null(stream);
    conn_secure(peer->conn, stream, WORLD_MS);
    if (h2)
        peer_http2_start(peer, true);
}

/* The next connection to the upstream: NULL: without TLS. "bare": to the port for TLS, but the bytes are seen as they
 * are. Else the certificate is for `host`; how: NULL, "tls12" or "h2". */
static inline struct peer *upstream_accept(struct world *world, const char *name, const char *host, const char *how)
{
    struct upstream_port *port = host ? &world->tls : &world->plain;
    for (uint64_t end = clock_mono_ms() + WORLD_MS; port->waiting_count == 0 && clock_mono_ms() < end;)
        world_turn(world);
    if (port->waiting_count == 0)
        fail_msg("nobody connects to the upstream");
    int fd = port->waiting[0];
    memmove(port->waiting, port->waiting + 1, --port->waiting_count * sizeof(port->waiting[0]));
    struct peer *peer = peer_new(&world->peers, name, world->plane.loop, fd);
    if (host && strcmp(host, "bare") != 0)
        upstream_secure(world, peer, host, how);
    return peer;
}

/* ---- the snapshot ---- */

/* Names of the world: *.test with TLS, plain.test, web.test and proxy.test without; world_load has more. */
static inline char *world_config(const struct world *world)
{
    static const char *const secure[] = {"api.test", "other.test", "pinned.test", "denied.test"};
    struct buf text;
    buf_init(&text, 16384);
    assert_true(buf_printf(&text, "version: 1\n%supstreams:\n", world->config ? world->config : ""));
    for (size_t i = 0; i < COUNT(secure); i++)
        assert_true(buf_printf(&text, "  - { host: %s, address: '127.0.0.1:%u' }\n", secure[i], world->tls.number));
    static const char *const plain[] = {"plain.test", "web.test", "proxy.test"};
    for (size_t i = 0; i < COUNT(plain); i++)
        assert_true(buf_printf(&text, "  - { host: %s, address: '127.0.0.1:%u' }\n", plain[i], world->plain.number));
    char *copy = mem_strndup((const char *)text.data, text.len);
    buf_clear(&text);
    return copy;
}

static inline void world_put(const struct world *world, const char *name, const char *text)
{
    struct err err;
    AUTOFREE char *path = file_join(world->home, name);
    assert_true(file_write_atomic(path, 0600, text, strlen(text), &err));
}

static inline void world_write_files(struct world *world)
{
    static const char policy[] = "version: 1\n"
                                 "network: { default: allow, allow_private: ['127.0.0.1/32', '::1/128'] }\n%s";
    AUTOFREE char *config = world_config(world);
    AUTOFREE char *rules = mem_printf(policy, world->policy ? world->policy : "");
    AUTOFREE char *bound = mem_printf("version: 1\n%s", world->bindings ? world->bindings : "");
    world_put(world, "config.yaml", config);
    world_put(world, "policy.yaml", rules);
    world_put(world, "bindings.yaml", bound);
}

static inline void set_text(char **field, char *value)
{
    free(*field);
    *field = value;
}

/* The stand-in for user/api is standin-for-user-api. */
static inline void world_sentinels(struct snapshot *snapshot)
{
    JSON_AUTO json_t *env = json_object();
    snapshot_mint_sentinels(snapshot, env);
    for (size_t i = 0; i < snapshot->sentinel_count; i++) {
        struct snapshot_sentinel *sentinel = &snapshot->sentinels[i];
        set_text(&sentinel->value, mem_printf("standin-for-%s", sentinel->binding));
        for (char *c = sentinel->value; *c; c++)
            *c = *c == '/' ? '-' : *c;
    }
}

/* What the monitor makes of the user's files, as the bytes that it sends. */
static inline struct snapshot *world_snapshot(struct world *world)
{
    struct err err = {0};
    struct buf bytes;
    world_write_files(world);
    struct rules *rules = rules_load(world->home, &err);
    if (!rules)
        fail_msg("the files do not load: %s", err.message);
    struct snapshot *snapshot = snapshot_new(rules);
    rules_unref(rules);
    world_sentinels(snapshot);
    set_text(&snapshot->session, mem_strdup("01J00000000000000000000000"));
    set_text(&snapshot->engine, mem_strdup("bwrap"));
    snapshot->sealed = true;
    crypto_sha256(WORLD_TOKEN, strlen(WORLD_TOKEN), snapshot->token_hash);
    set_text(&snapshot->roots_pem, mem_strdup(ca_cert_pem(world->upstream_ca)));
    set_text(&snapshot->ca_cert_pem, mem_strdup(ca_cert_pem(world->session_ca)));
    struct secret *key = ca_key_pem(world->session_ca, &err);
    assert_non_null(key);
    set_text(&snapshot->ca_key_pem, mem_strndup((const char *)secret_bytes(key), secret_len(key)));
    secret_free(key);
    if (!snapshot_write(snapshot, &bytes, &err))
        fail_msg("the snapshot: %s", err.message);
    snapshot_free(snapshot);
    struct snapshot *read = snapshot_parse(bytes.data, bytes.len, &err);
    if (!read)
        fail_msg("the snapshot: %s", err.message);
    buf_wipe(&bytes);
    return read;
}

/* A reload, and the first load: as a worker takes it. */
static inline void world_load(struct world *world)
{
    struct plane *plane = &world->plane;
    struct err err = {0};
    struct snapshot *snapshot = world_snapshot(world);
    static const char *const names[][2] = {{"private.test", "10.9.8.7"}, {"far.test", "127.0.0.1"},
                                           {"both.test", "127.0.0.1"},   {"both.test", "::1"},
                                           {"mixed.test", "127.0.0.1"},  {"mixed.test", "fd00::1"},
                                           {"many.test", "127.0.0.1"},   {"many.test", "127.0.0.1"},
                                           {"many.test", "127.0.0.1"},   {"many.test", "127.0.0.1"}};
    struct resolve_host hosts[COUNT(names)];
    for (size_t i = 0; i < COUNT(names); i++) {
        hosts[i].name = names[i][0];
        assert_true(addr_parse(span_of(names[i][1]), &hosts[i].addr));
    }
    struct epoch *epoch = epoch_new(snapshot, &err);
    assert_non_null(epoch);
    if (!plane->ca)
        plane->ca = ca_load(span_of(snapshot->ca_cert_pem), span_of(snapshot->ca_key_pem), &err);
    assert_non_null(plane->ca);
    assert_true(resolver_configure(plane->resolver, NULL, 0, hosts, COUNT(hosts), &err));
    plane_follow(plane, epoch);
}

/* ---- the whole ---- */

static inline void world_start(struct world *world)
{
    static const char *const alpn[] = {"http/1.1", NULL}, *const both[] = {"h2", "http/1.1", NULL};
    static const struct ipc_handler monitor = {monitor_message, monitor_ended}, worker = {plane_message, plane_ended};
    struct plane *plane = &world->plane;
    struct err err;
    int fds[2];
    memcpy(world->home, "/tmp/aileron-plane.XXXXXX", sizeof("/tmp/aileron-plane.XXXXXX"));
    assert_non_null(mkdtemp(world->home));
    assert_true(tls_init(&err));
    plane->loop = loop_new(&err);
    assert_non_null(plane->loop);
    struct stream_server_options server = {.alpn = both};
    plane->server = stream_config_server(&server, &err);
    world->upstream_h2 = stream_config_server(&server, &err);
    server.alpn = alpn;
    plane->server_api = stream_config_server(&server, &err);
    plane->resolver = resolver_new(plane->loop, &err);
    plane->pool = pool_new(plane->loop);
    plane->resume = resume_new();
    assert_true(ipc_pair(fds, &err));
    plane->ipc = ipc_new(plane->loop, fds[0], &worker, world);
    lines_init(&plane->lines, plane->loop, plane->ipc);
    world->monitor = ipc_new(plane->loop, fds[1], &monitor, world);
    world->records = json_array();
    timer_init(&world->tick, plane->loop, world_tick, world);
    timer_start(&world->tick, WORLD_TICK_MS);
    world->session_ca = ca_new("01J00000000000000000000000", &err);
    world->upstream_ca = ca_new("upstreams", &err);
    assert_true(world->session_ca && world->upstream_ca);
    world->upstream_tls = stream_config_server(&server, &err);
    server.tls12_only = true;
    world->upstream_tls12 = stream_config_server(&server, &err);
    struct trust *trust = trust_new();
    assert_true(trust_add(trust, span_of(ca_cert_pem(world->session_ca)), TRUST_COPY, &err));
    struct stream_client_options client = {.trust = trust, .alpn = alpn};
    world->client_tls = stream_config_client(&client, &err);
    client.alpn = both;
    world->client_h2 = stream_config_client(&client, &err);
    trust_unref(trust);
    upstream_listen(world, &world->plain, false);
    upstream_listen(world, &world->tls, true);
}

static inline void world_stop(struct world *world)
{
    struct plane *plane = &world->plane;
    struct err err;
    peers_free(&world->peers);
    upstream_close(&world->plain);
    upstream_close(&world->tls);
    world_wait(world, 20); /* the plane sees the ends of its connections */
    for (uint64_t end = clock_mono_ms() + 1000; (plane->connections > 0 || plane->trunks) && clock_mono_ms() < end;)
        world_turn(world);
    secrets_forget(plane);
    pool_free(plane->pool);
    resume_free(plane->resume);
    timer_stop(&world->tick);
    lines_clear(&plane->lines);
    ipc_free(plane->ipc);
    ipc_free(world->monitor);
    resolver_free(plane->resolver);
    epoch_unref(plane->epoch);
    ca_free(plane->ca);
    ca_free(world->session_ca);
    ca_free(world->upstream_ca);
    stream_config_unref(plane->server);
    stream_config_unref(plane->server_api);
    stream_config_unref(world->client_tls);
    stream_config_unref(world->client_h2);
    stream_config_unref(world->upstream_h2);
    stream_config_unref(world->upstream_tls);
    stream_config_unref(world->upstream_tls12);
    loop_free(plane->loop);
    json_decref(world->records);
    while (world->questions) {
        struct question *question = world->questions;
        world->questions = question->next;
        question_free(question);
    }
    free(world->config);
    free(world->policy);
    free(world->bindings);
    (void)!file_remove_tree(world->home, &err);
}

/* ---- clients ---- */

/* A connection to the session's socket; first: what it says at once (a preamble), or "". */
static inline struct peer *client_open(struct world *world, const char *name, const char *first)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    front_accept(&world->plane, fds[0]);
    struct peer *peer = peer_new(&world->peers, name, world->plane.loop, fds[1]);
    peer_say(peer, first, strlen(first));
    return peer;
}

/* TLS inside the connection, as a program of the sandbox makes it: it trusts the session's authority. */
static inline void client_secure(struct world *world, struct peer *peer, const char *host, bool h2)
{
    struct stream_io io = conn_stream_io(peer->conn);
    struct err err;
    struct stream *stream = stream_client(h2 ? world->client_h2 : world->client_tls, host, SPAN(""), &io, &err);
    assert_non_null(stream);
    conn_secure(peer->conn, stream, WORLD_MS);
    if (h2)
        peer_http2_start(peer, false);
}

#endif
