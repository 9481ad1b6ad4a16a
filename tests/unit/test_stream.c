/* A client and a server back to back over two arrays: both versions, verification and its words,
 * resumption, tampering, partial sends, idle memory, and how a connection ends. */
#include "tls/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/stream_wire.h"

static void test_versions(void **state)
{
    (void)state;
    const struct {
        struct stream_config *config;
        const char *version, *cipher;
    } rows[] = {
        {client_config, "TLSv1.3", "TLS1-3-AES-128-GCM-SHA256"},
        {client13_config, "TLSv1.3", "TLS1-3-AES-128-GCM-SHA256"},
        {client12_config, "TLSv1.2", "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        wires(sizeof to_server.data, sizeof to_server.data);
        connect_well(rows[i].config, (struct span){NULL, 0});
        /* However many messages there are in it, a flight is sent in one piece. */
        assert_int_equal(to_server.sends, 2); /* hello; finished */
        assert_int_equal(to_client.sends, 2); /* hello to done or finished; the tickets */
        assert_string_equal(stream_version(client.stream), rows[i].version);
        assert_string_equal(stream_cipher(server.stream), rows[i].cipher);
        assert_string_equal(stream_alpn(client.stream), "http/1.1");
        assert_string_equal(stream_alpn(server.stream), "http/1.1");
        assert_false(stream_resumed(client.stream));
        assert_false(stream_resumed(server.stream));
        carry(&client, &server, 1);
        carry(&server, &client, 100000);
        carry(&client, &server, 16384);
        disconnect();
    }
}

/* The other end insists on a version that this one does not have. */
static void test_no_common_version(void **state)
{
    (void)state;
    struct err err;
    struct stream_server_options options = {.alpn = h1, .tls12_only = true};
    struct stream_config *both = server_config, *old = stream_config_server(&options, &err);
    struct leaf *leaf = leaf_of(ca, "api.example.com");
    enum stream_result result;
    server_config = old;
    wires(sizeof to_server.data, sizeof to_server.data);
    connect_with(client13_config, leaf, "api.example.com", (struct span){NULL, 0});
    assert_int_equal(shake(&result), STREAM_FAILED);
    assert_int_equal(result, STREAM_FAILED);
    assert_int_equal(stream_cause(client.stream), STREAM_CAUSE_NO_COMMON);
    assert_int_equal(stream_cause(server.stream), STREAM_CAUSE_NO_COMMON);
    assert_non_null(strstr(stream_error(client.stream)->message, "handshake_failure"));
    disconnect();
    wires(sizeof to_server.data, sizeof to_server.data);
    connect_with(client_config, leaf, "api.example.com", (struct span){NULL, 0});
    assert_int_equal(shake(&result), STREAM_DONE);
    assert_string_equal(stream_version(client.stream), "TLSv1.2");
    disconnect();
    server_config = both;
    stream_config_unref(old);
    leaf_unref(leaf);
}

static void test_partial_sends(void **state)
{
    (void)state;
    static const size_t steps[][2] = {
        {200000, 1}, {5, 3}, {100, 64}, {17000, 1000}, {20000, 16384},
    };
    for (size_t i = 0; i < COUNT(steps) * 2; i++) {
        wires(steps[i / 2][0], steps[i / 2][1]);
        connect_well(i % 2 == 0 ? client_config : client12_config, (struct span){NULL, 0});
        carry(&client, &server, 40000);
        carry(&server, &client, 40000);
        disconnect();
    }
}

static void unsent_is_told(struct stream_config *config)
{
    size_t taken, got;
    uint8_t data[64];
    wires(sizeof to_server.data, sizeof to_server.data);
    connect_well(config, (struct span){NULL, 0});
    to_server.limit = to_server.len + 10;
    assert_int_equal(stream_write(client.stream, "hello", 5, &taken), STREAM_DONE);
    assert_int_equal(taken, 5);
    assert_true(stream_unsent(client.stream));
    assert_int_equal(stream_write(client.stream, "again", 5, &taken), STREAM_WANT_WRITE);
    assert_int_equal(taken, 0);
    assert_int_equal(stream_close_notify(client.stream), STREAM_WANT_WRITE);
    to_server.limit = sizeof to_server.data;
    assert_int_equal(stream_flush(client.stream), STREAM_DONE);
    assert_false(stream_unsent(client.stream));
    assert_int_equal(stream_read(server.stream, data, 2, &got), STREAM_DONE);
    assert_int_equal(got, 2);
    assert_int_equal(stream_pending(server.stream), 3);
    stream_idle(server.stream); /* may not lose what is pending */
    assert_int_equal(stream_read(server.stream, data, sizeof data, &got), STREAM_DONE);
    assert_memory_equal(data, "llo", 3);
    assert_int_equal(stream_pending(server.stream), 0);
    assert_int_equal(stream_read(server.stream, data, sizeof data, &got), STREAM_WANT_READ);
    disconnect();
}

static void ends(struct stream_config *config)
{
    size_t taken, got;
    uint8_t data[64];
    wires(sizeof to_server.data, sizeof to_server.data);
    connect_well(config, (struct span){NULL, 0});
    assert_int_equal(stream_write(client.stream, "last", 4, &taken), STREAM_DONE);
    assert_int_equal(stream_close_notify(client.stream), STREAM_DONE);
    assert_int_equal(stream_close_notify(client.stream), STREAM_DONE);
    to_server.eof = true;
    assert_int_equal(stream_read(server.stream, data, sizeof data, &got), STREAM_DONE);
    assert_int_equal(stream_read(server.stream, data, sizeof data, &got), STREAM_EOF);
    assert_int_equal(stream_read(server.stream, data, sizeof data, &got), STREAM_EOF);
    carry(&server, &client, 1000); /* a half-closed stream still carries the other way */
    disconnect();

    wires(sizeof to_server.data, sizeof to_server.data);
    connect_well(config, (struct span){NULL, 0});
    assert_int_equal(stream_write(client.stream, "cut", 3, &taken), STREAM_DONE);
    to_server.eof = true;
    assert_int_equal(stream_read(server.stream, data, sizeof data, &got), STREAM_DONE);
    assert_int_equal(stream_read(server.stream, data, sizeof data, &got), STREAM_TRUNCATED);
    assert_int_equal(stream_read(server.stream, data, sizeof data, &got), STREAM_TRUNCATED);
    disconnect();

    wires(sizeof to_server.data, sizeof to_server.data); /* in the middle of a record */
    connect_well(config, (struct span){NULL, 0});
    assert_int_equal(stream_write(client.stream, "record", 6, &taken), STREAM_DONE);
    to_server.len -= 1;
    to_server.eof = true;
    assert_int_equal(stream_read(server.stream, data, sizeof data, &got), STREAM_TRUNCATED);
    to_client.broken = true;
    assert_int_equal(stream_read(client.stream, data, sizeof data, &got), STREAM_FAILED);
    assert_int_equal(stream_cause(client.stream), STREAM_CAUSE_IO);
    disconnect();
}

static void tampered_records(struct stream_config *config, size_t overhead)
{
    size_t taken, got;
    uint8_t data[64];
    for (size_t at = 0; at < 5 + 6 + overhead; at++) {
        wires(sizeof to_server.data, sizeof to_server.data);
        connect_well(config, (struct span){NULL, 0});
        assert_int_equal(to_server.len, 0);
        assert_int_equal(stream_write(client.stream, "secret", 6, &taken), STREAM_DONE);
        to_server.data[at] ^= 0x01;
        to_server.eof = true;
        enum stream_result result = stream_read(server.stream, data, sizeof data, &got);
        if (at == 4 || at == 3) /* a longer record that never ends */
            assert_true(result == STREAM_TRUNCATED || result == STREAM_FAILED);
        else
            assert_int_equal(result, STREAM_FAILED);
        assert_int_equal(got, 0);
        if (result == STREAM_FAILED) {
            assert_int_equal(stream_cause(server.stream), STREAM_CAUSE_PROTOCOL);
            assert_int_equal(stream_write(server.stream, "x", 1, &taken), STREAM_FAILED);
        }
        disconnect();
    }
}

static void test_unsent_is_told(void **state)
{
    (void)state;
    unsent_is_told(client_config);
    unsent_is_told(client12_config);
}

static void test_ends(void **state)
{
    (void)state;
    ends(client_config);
    ends(client12_config);
}

static void test_tampered_records(void **state)
{
    (void)state;
    tampered_records(client_config, 1 + 16); /* inner type and tag */
    tampered_records(client12_config, 8 + 16); /* explicit nonce and tag */
}

/* Verification: each row fails with its cause, both ends stop, and the words hold what matters. */
static void refuse(struct stream_config *config, struct leaf *leaf, const char *host,
                   enum stream_cause cause, const char *words)
{
    enum stream_result result;
    wires(sizeof to_server.data, sizeof to_server.data);
    connect_with(config, leaf, host, (struct span){NULL, 0});
    assert_int_equal(shake(&result), STREAM_FAILED);
    assert_int_equal(stream_cause(client.stream), cause);
    assert_int_equal(stream_error(client.stream)->code, ERR_UPSTREAM);
    assert_non_null(strstr(stream_error(client.stream)->message, host));
    assert_non_null(strstr(stream_error(client.stream)->message, words));
    assert_int_equal(result, STREAM_FAILED);
    assert_int_equal(stream_cause(server.stream), STREAM_CAUSE_PEER_REFUSED_CERT);
    assert_int_equal(stream_error(server.stream)->code, ERR_FAILED);
    disconnect();
}

static void test_refusals(void **state)
{
    (void)state;
    struct err err;
    struct leaf *leaf = leaf_of(ca, "api.example.com");
    struct leaf *address = leaf_of(ca, "10.1.2.3");
    struct ca *other = ca_new("other", &err);
    struct leaf *foreign = leaf_of(other, "api.example.com");
    refuse(client_config, leaf, "www.example.com", STREAM_CAUSE_WRONG_NAME, "another name");
    refuse(client12_config, leaf, "example.com", STREAM_CAUSE_WRONG_NAME, "another name");
    refuse(client_config, leaf, "10.1.2.3", STREAM_CAUSE_WRONG_NAME, "another name");
    refuse(client_config, address, "10.1.2.4", STREAM_CAUSE_WRONG_NAME, "another name");
    refuse(client_config, address, "::1", STREAM_CAUSE_WRONG_NAME, "another name");
    refuse(client_config, foreign, "api.example.com", STREAM_CAUSE_UNKNOWN_AUTHORITY, "not trust");
    refuse(client12_config, foreign, "api.example.com", STREAM_CAUSE_UNKNOWN_AUTHORITY, "trusted");
    leaf_unref(leaf);
    leaf_unref(address);
    leaf_unref(foreign);
    ca_free(other);
}

static void test_times(void **state)
{
    (void)state;
    uint64_t now = clock_wall_ms();
    clock_fake(now - 48 * HOUR_MS, clock_mono_ms());
    struct leaf *expired = leaf_of(ca, "old.example");
    clock_fake(now + 48 * HOUR_MS, clock_mono_ms());
    struct leaf *future = leaf_of(ca, "new.example");
    clock_fake(0, 0);
    refuse(client_config, expired, "old.example", STREAM_CAUSE_EXPIRED, "has expired (on 20");
    refuse(client13_config, future, "new.example", STREAM_CAUSE_NOT_YET_VALID, "(before 20");
    leaf_unref(expired);
    leaf_unref(future);
}

static void test_expired_authority(void **state)
{
    (void)state;
    struct err err;
    uint64_t now = clock_wall_ms();
    clock_fake(now - 60 * 24 * HOUR_MS, clock_mono_ms());
    struct ca *old = ca_new("old", &err);
    clock_fake(0, 0);
    struct leaf *leaf = leaf_of(old, "api.example.com");
    struct trust *set = trust_of(ca_cert_pem(old));
    struct stream_config *config = new_client_config(set, false, false);
    refuse(config, leaf, "api.example.com", STREAM_CAUSE_EXPIRED, "a certificate above it");
    stream_config_unref(config);
    /* The same name and key with a new life beside it: the old leaf is fine again. */
    struct ca *renewed = ca_renew(old, &err);
    struct trust *both = trust_of(ca_cert_pem(old));
    assert_true(trust_add(both, span_of(ca_cert_pem(renewed)), TRUST_COPY, &err));
    config = new_client_config(both, false, false);
    wires(sizeof to_server.data, sizeof to_server.data);
    connect_with(config, leaf, "api.example.com", (struct span){NULL, 0});
    assert_int_equal(shake(NULL), STREAM_DONE);
    disconnect();
    leaf_unref(leaf);
    stream_config_unref(config);
    trust_unref(set);
    trust_unref(both);
    ca_free(old);
    ca_free(renewed);
}

static void test_addresses(void **state)
{
    (void)state;
    static const char *const hosts[] = {"10.1.2.3", "::1", "2001:db8::1"};
    for (size_t i = 0; i < COUNT(hosts); i++) {
        struct leaf *leaf = leaf_of(ca, hosts[i]);
        wires(sizeof to_server.data, sizeof to_server.data);
        connect_with(client_config, leaf, hosts[i], (struct span){NULL, 0});
        assert_int_equal(shake(NULL), STREAM_DONE);
        disconnect();
        leaf_unref(leaf);
    }
}

static void test_not_tls(void **state)
{
    (void)state;
    struct err err;
    wires(sizeof to_server.data, sizeof to_server.data);
    client = (struct end){.in = &to_client, .out = &to_server};
    struct span none = {NULL, 0};
    client.stream = stream_client(client_config, "a.example", none, &client_io, &err);
    memcpy(to_client.data, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    to_client.len = 28;
    assert_int_equal(stream_handshake(client.stream), STREAM_FAILED);
    assert_int_equal(stream_cause(client.stream), STREAM_CAUSE_NOT_TLS);
    assert_string_equal(stream_cause_word(STREAM_CAUSE_NOT_TLS), "not-tls");
    assert_int_equal(stream_handshake(client.stream), STREAM_FAILED);
    stream_free(client.stream);

    wires(sizeof to_server.data, sizeof to_server.data);
    to_client.eof = true;
    client.stream = stream_client(client_config, "a.example", none, &client_io, &err);
    assert_int_equal(stream_handshake(client.stream), STREAM_FAILED);
    assert_int_equal(stream_cause(client.stream), STREAM_CAUSE_TRUNCATED);
    stream_free(client.stream);
    assert_null(stream_client(client_config, "", (struct span){NULL, 0}, &client_io, &err));
    assert_int_equal(err.code, ERR_DATA);
}

static void test_no_common_protocol(void **state)
{
    (void)state;
    struct err err;
    static const char *const h2[] = {"h2", NULL};
    struct stream_client_options options = {.trust = trust, .alpn = h2};
    struct stream_config *config = stream_config_client(&options, &err);
    struct leaf *leaf = leaf_of(ca, "api.example.com");
    enum stream_result result;
    wires(sizeof to_server.data, sizeof to_server.data);
    connect_with(config, leaf, "api.example.com", (struct span){NULL, 0});
    assert_int_equal(shake(&result), STREAM_FAILED);
    assert_int_equal(result, STREAM_FAILED);
    assert_int_equal(stream_cause(server.stream), STREAM_CAUSE_NO_COMMON);
    assert_int_equal(stream_cause(client.stream), STREAM_CAUSE_NO_COMMON);
    assert_non_null(strstr(stream_error(client.stream)->message, "no_application_protocol"));
    disconnect();
    leaf_unref(leaf);
    stream_config_unref(config);
}

/* A saved session: taken where it fits, ignored where it does not. */
static bool resumes(struct stream_config *config, const char *host, struct span session)
{
    struct leaf *leaf = leaf_of(ca, host);
    wires(sizeof to_server.data, sizeof to_server.data);
    connect_with(config, leaf, host, session);
    leaf_unref(leaf);
    assert_int_equal(shake(NULL), STREAM_DONE);
    bool resumed = stream_resumed(client.stream);
    assert_int_equal(resumed, stream_resumed(server.stream));
    carry(&client, &server, 10);
    carry(&server, &client, 10);
    disconnect();
    return resumed;
}

static void resumption(struct stream_config *config, struct stream_config *other)
{
    struct buf saved, none;
    wires(sizeof to_server.data, sizeof to_server.data);
    connect_well(config, (struct span){NULL, 0});
    assert_false(stream_session_save(server.stream, &none));
    carry(&server, &client, 10); /* the ticket comes along */
    assert_true(stream_session_save(client.stream, &saved));
    assert_false(stream_session_save(client.stream, &none));
    disconnect();
    struct span session = {(const char *)saved.data, saved.len};
    assert_true(session.len < STREAM_SESSION_MAX);
    assert_true(resumes(config, "api.example.com", session));
    assert_false(resumes(config, "www.example.com", session));
    assert_false(resumes(other, "api.example.com", session));
    assert_false(resumes(config, "api.example.com", SPAN("garbage")));
    for (size_t len = 0; len < session.len; len += 13)
        assert_false(resumes(config, "api.example.com", (struct span){session.p, len}));
    clock_fake(clock_wall_ms(), clock_mono_ms() + STREAM_SESSION_LIFE_MS - 60000);
    assert_true(resumes(config, "api.example.com", session));
    clock_fake(0, 0);
    clock_fake(clock_wall_ms(), clock_mono_ms() + STREAM_SESSION_LIFE_MS + 1000);
    assert_false(resumes(config, "api.example.com", session));
    clock_fake(0, 0);
    buf_wipe(&saved);
}

static void test_resumption(void **state)
{
    (void)state;
    resumption(client_config, client13_config);
    resumption(client12_config, client_config);
}

struct chooser {
    const char *asked;
    char name[256];
};

static struct leaf *choose(void *arg, const char *name, struct err *err)
{
    struct chooser *chooser = arg;
    if (name != NULL)
        memcpy(chooser->name, name, strlen(name) + 1);
    chooser->asked = name != NULL ? chooser->name : "(none)";
    if (name != NULL && strcmp(name, "forbidden.example") == 0) {
        err_set(err, ERR_DENIED, "not this one");
        return NULL;
    }
    return ca_leaf(ca, name != NULL ? name : "10.0.0.1", err);
}

static void test_leaf_by_name(void **state)
{
    (void)state;
    struct err err;
    static const struct {
        const char *host, *asked;
        bool good;
    } rows[] = {
        {"a.example", "a.example", true},
        {"10.0.0.1", "(none)", true},
        {"forbidden.example", "forbidden.example", false},
    };
    struct stream_config *configs[] = {client_config, client12_config};
    for (size_t i = 0; i < COUNT(rows) * 2; i++) {
        struct chooser chooser = {.asked = NULL};
        enum stream_result result;
        wires(sizeof to_server.data, sizeof to_server.data);
        client = (struct end){.in = &to_client, .out = &to_server};
        server = (struct end){.in = &to_server, .out = &to_client};
        client.stream = stream_client(configs[i % 2], rows[i / 2].host, (struct span){NULL, 0},
                                      &client_io, &err);
        server.stream = stream_server_by_name(server_config, choose, &chooser, &server_io, &err);
        assert_int_equal(shake(&result), rows[i / 2].good ? STREAM_DONE : STREAM_FAILED);
        assert_string_equal(chooser.asked, rows[i / 2].asked);
        if (!rows[i / 2].good) {
            assert_int_equal(result, STREAM_FAILED);
            assert_int_equal(stream_error(server.stream)->code, ERR_DENIED);
            assert_string_equal(stream_error(server.stream)->message, "not this one");
            assert_non_null(strstr(stream_error(client.stream)->message, "unrecognized_name"));
        }
        disconnect();
    }
}

/* Bytes that no TLS peer sends, given to a server: it fails or waits, and never more. */
static void test_hostile_hello(void **state)
{
    (void)state;
    struct leaf *leaf = leaf_of(ca, "a.example");
    static uint8_t hello[20000];
    size_t len;
    wires(sizeof to_server.data, sizeof to_server.data);
    connect_with(client_config, leaf, "a.example", (struct span){NULL, 0});
    assert_int_equal(stream_handshake(client.stream), STREAM_WANT_READ);
    len = to_server.len;
    memcpy(hello, to_server.data, len);
    disconnect();
    for (size_t i = 0; i < len; i++) {
        wires(sizeof to_server.data, sizeof to_server.data);
        connect_with(client_config, leaf, "a.example", (struct span){NULL, 0});
        memcpy(to_server.data, hello, len);
        to_server.data[i] ^= 0xff;
        to_server.len = len;
        to_server.eof = true;
        enum stream_result result = stream_handshake(server.stream);
        assert_int_equal(result, STREAM_FAILED); /* at the latest since the client is gone */
        disconnect();
    }
    leaf_unref(leaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_no_common_version),
        cmocka_unit_test(test_partial_sends),
        cmocka_unit_test(test_unsent_is_told),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_tampered_records),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_expired_authority),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_not_tls),
        cmocka_unit_test(test_no_common_protocol),
        cmocka_unit_test(test_resumption),
        cmocka_unit_test(test_leaf_by_name),
        cmocka_unit_test(test_hostile_hello),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
