/* Two ends of a TLS stream joined by two arrays that can be short, cut and tampered with, and the session CA,
 * roots and configs that the tests of streams share. One test program includes it. */
#ifndef AILERON_TESTS_STREAM_WIRE_H
#define AILERON_TESTS_STREAM_WIRE_H

#include "core/base/id.h"
#include "tls/crypto.h"

#define HOUR_MS ((uint64_t)3600 * 1000)

/* One direction: bytes under way. limit: how many may be in it before send would block. */
struct wire {
    uint8_t data[200000];
    size_t len, limit, step; /* step: the most one send or recv moves */
    unsigned sends;
    bool eof, broken;
};

struct end {
    struct wire *in, *out;
    struct stream *stream;
};

static struct wire to_server, to_client;
static struct end client, server;
static struct ca *ca;
static struct trust *trust;
static struct stream_config *client_config, *client12_config, *client13_config, *server_config;
static const char *const h1[] = {"http/1.1", NULL};

static ssize_t wire_send(void *arg, const uint8_t *data, size_t len)
{
    struct wire *out = ((struct end *)arg)->out;
    size_t room = out->limit - out->len;
    if (out->broken)
        return STREAM_IO_ERROR;
    if (out->len >= out->limit)
        return STREAM_IO_BLOCK;
    len = len < room ? len : room;
    len = len < out->step ? len : out->step;
    memcpy(out->data + out->len, data, len);
    out->len += len;
    out->sends++;
    return (ssize_t)len;
}

static ssize_t wire_recv(void *arg, uint8_t *data, size_t cap)
{
    struct wire *in = ((struct end *)arg)->in;
    if (in->broken)
        return STREAM_IO_ERROR;
    if (in->len == 0)
        return in->eof ? STREAM_IO_EOF : STREAM_IO_BLOCK;
    cap = cap < in->len ? cap : in->len;
    cap = cap < in->step ? cap : in->step;
    memcpy(data, in->data, cap);
    in->len -= cap;
    memmove(in->data, in->data + cap, in->len);
    return (ssize_t)cap;
}

static const struct stream_io client_io = {wire_send, wire_recv, &client};
static const struct stream_io server_io = {wire_send, wire_recv, &server};

static void wires(size_t limit, size_t step)
{
    struct wire *both[] = {&to_server, &to_client};
    for (size_t i = 0; i < 2; i++) {
        both[i]->len = 0;
        both[i]->limit = limit;
        both[i]->step = step;
        both[i]->sends = 0;
        both[i]->eof = both[i]->broken = false;
    }
}

static struct stream_config *new_client_config(struct trust *roots, bool tls12, bool tls13)
{
    struct err err;
    struct stream_client_options options = {
        .trust = roots, .alpn = h1, .tls12_only = tls12, .tls13_only = tls13};
    struct stream_config *config = stream_config_client(&options, &err);
    assert_non_null(config);
    return config;
}

static struct trust *trust_of(const char *pem)
{
    struct err err;
    struct trust *set = trust_new();
    assert_true(trust_add(set, span_of(pem), TRUST_COPY, &err));
    return set;
}

static int setup(void **state)
{
    (void)state;
    struct err err;
    struct stream_server_options options = {.alpn = h1};
    if (!tls_init(&err))
        return -1;
    ca = ca_new("test", &err);
    trust = trust_of(ca_cert_pem(ca));
    client_config = new_client_config(trust, false, false);
    client12_config = new_client_config(trust, true, false);
    client13_config = new_client_config(trust, false, true);
    server_config = stream_config_server(&options, &err);
    return ca == NULL || server_config == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    stream_config_unref(client_config);
    stream_config_unref(client12_config);
    stream_config_unref(client13_config);
    stream_config_unref(server_config);
    trust_unref(trust);
    ca_free(ca);
    return 0;
}

static struct leaf *leaf_of(struct ca *issuer, const char *host)
{
    struct err err;
    struct leaf *leaf = ca_leaf(issuer, host, &err);
    assert_non_null(leaf);
    return leaf;
}

static void connect_with(struct stream_config *config, struct leaf *leaf, const char *host,
                         struct span session)
{
    struct err err;
    client = (struct end){.in = &to_client, .out = &to_server};
    server = (struct end){.in = &to_server, .out = &to_client};
    client.stream = stream_client(config, host, session, &client_io, &err);
    server.stream = stream_server(server_config, leaf, &server_io, &err);
    assert_non_null(client.stream);
    assert_non_null(server.stream);
}

static void disconnect(void)
{
    stream_free(client.stream);
    stream_free(server.stream);
}

/* Until both are done or one has failed; returns the client's result. A stuck handshake fails. */
static enum stream_result shake(enum stream_result *server_result)
{
    enum stream_result c = STREAM_WANT_READ, s = STREAM_WANT_READ;
    for (int i = 0; i < 200000; i++) {
        if (c != STREAM_FAILED)
            c = stream_handshake(client.stream);
        if (s != STREAM_FAILED)
            s = stream_handshake(server.stream);
        if (c == STREAM_DONE && s == STREAM_WANT_WRITE) { /* its ticket wants to be read */
            uint8_t data[16];
            size_t got;
            assert_int_equal(stream_read(client.stream, data, sizeof data, &got), STREAM_WANT_READ);
        }
        bool c_over = c == STREAM_DONE || c == STREAM_FAILED;
        bool s_over = s == STREAM_DONE || s == STREAM_FAILED;
        /* One that failed takes nothing any more: the other gets what was sent, then the end. */
        if (c == STREAM_FAILED)
            to_server.eof = true;
        if (s == STREAM_FAILED)
            to_client.eof = true;
        if (c_over && s_over) {
            if (server_result != NULL)
                *server_result = s;
            return c;
        }
    }
    fail_msg("the handshake does not end");
    return STREAM_FAILED;
}

static void connect_well(struct stream_config *config, struct span session)
{
    enum stream_result result;
    struct leaf *leaf = leaf_of(ca, "api.example.com");
    connect_with(config, leaf, "api.example.com", session);
    leaf_unref(leaf);
    assert_int_equal(shake(&result), STREAM_DONE);
    assert_int_equal(result, STREAM_DONE);
}

/* Sends len bytes from one end to the other and looks at them there. */
static void carry(struct end *from, struct end *to, size_t len)
{
    static uint8_t data[100000], got[100000];
    size_t sent = 0, received = 0, some;
    assert_true(len <= sizeof data);
    random_bytes(data, len);
    for (int i = 0; received < len && i < 1000000; i++) {
        if (sent < len) {
            enum stream_result result = stream_write(from->stream, data + sent, len - sent, &some);
            assert_true(result == STREAM_DONE || result == STREAM_WANT_WRITE);
            assert_true(result == STREAM_WANT_WRITE ? some == 0 : some > 0);
            sent += some;
        } else {
            enum stream_result result = stream_flush(from->stream);
            assert_true(result == STREAM_DONE || result == STREAM_WANT_WRITE);
        }
        enum stream_result result =
            stream_read(to->stream, got + received, sizeof got - received, &some);
        assert_true(result == STREAM_DONE || result == STREAM_WANT_READ);
        received += some;
        if (i % 7 == 0) {
            stream_idle(from->stream);
            stream_idle(to->stream);
        }
    }
    assert_int_equal(received, len);
    assert_memory_equal(data, got, len);
}

#endif
