/* ClientHellos: well-formed ones in every cut, and each way of being wrong. */
#include "tls/hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A byte string under construction; lengths are filled in when a vector ends. */
struct build {
    uint8_t p[40000];
    size_t len;
};

static void add(struct build *b, const void *data, size_t len)
{
    assert_true(b->len + len <= sizeof b->p);
    memcpy(b->p + b->len, data, len);
    b->len += len;
}

static void add_number(struct build *b, size_t size, size_t value)
{
    for (size_t i = size; i-- > 0;)
        add(b, &(uint8_t){(uint8_t)(value >> 8 * i)}, 1);
}

static size_t begin(struct build *b, size_t size)
{
    add_number(b, size, 0);
    return b->len;
}

static void end(struct build *b, size_t at, size_t size)
{
    size_t len = b->len - at;
    for (size_t i = 0; i < size; i++)
        b->p[at - 1 - i] = (uint8_t)(len >> 8 * i);
}

static void add_extension(struct build *b, size_t type, const void *data, size_t len)
{
    add_number(b, 2, type);
    add_number(b, 2, len);
    add(b, data, len);
}

static void add_name(struct build *b, const char *name, size_t len)
{
    add_number(b, 2, 0);
    size_t outer = begin(b, 2), list = begin(b, 2);
    add_number(b, 1, 0);
    add_number(b, 2, len);
    add(b, name, len);
    end(b, list, 2);
    end(b, outer, 2);
}

/* The body of a ClientHello with these extensions (NULL: no extensions field at all). */
static void add_hello(struct build *b, const struct build *extensions)
{
    add_number(b, 1, 1);
    size_t message = begin(b, 3);
    add_number(b, 2, 0x0303);
    for (int i = 0; i < 32; i++)
        add_number(b, 1, (size_t)i);
    add_number(b, 1, 0);          /* session id */
    add_number(b, 2, 2);          /* cipher suites */
    add_number(b, 2, 0x1301);
    add_number(b, 2, 0x0100);     /* compression: null */
    if (extensions != NULL) {
        size_t list = begin(b, 2);
        add(b, extensions->p, extensions->len);
        end(b, list, 2);
    }
    end(b, message, 3);
}

/* Cuts a message into records of at most size bytes. */
static void add_records(struct build *b, const struct build *message, size_t size)
{
    for (size_t at = 0; at < message->len; at += size) {
        size_t some = message->len - at < size ? message->len - at : size;
        add_number(b, 1, 22);
        add_number(b, 2, 0x0301);
        add_number(b, 2, some);
        add(b, message->p + at, some);
    }
}

static enum hello_result parse_extensions(const struct build *extensions, struct hello *out)
{
    static struct build message, wire;
    message.len = wire.len = 0;
    add_hello(&message, extensions);
    add_records(&wire, &message, 16384);
    return tls_hello_parse(wire.p, wire.len, out);
}

static const char alpn_body[] = "\0\x0c\x02h2\x08http/1.1";

static void typical(struct build *extensions)
{
    extensions->len = 0;
    add_extension(extensions, 0x2a2a, "", 0); /* GREASE */
    add_name(extensions, "api.example.com", 15);
    add_extension(extensions, 16, alpn_body, sizeof alpn_body - 1);
    add_extension(extensions, 43, "\x04\x03\x04\x03\x03", 5);
}

static void test_typical(void **state)
{
    (void)state;
    static struct build extensions;
    struct hello hello;
    typical(&extensions);
    assert_int_equal(parse_extensions(&extensions, &hello), HELLO_OK);
    assert_true(hello.has_name);
    assert_string_equal(hello.name, "api.example.com");
    assert_false(hello.has_ech);
    assert_int_equal(hello.alpn_count, 2);
    assert_true(span_eqs(hello_alpn(&hello, 0), "h2"));
    assert_true(span_eqs(hello_alpn(&hello, 1), "http/1.1"));
    assert_true(hello_offers(&hello, "http/1.1"));
    assert_false(hello_offers(&hello, "http/1.0"));
    assert_false(hello_offers(&hello, "http/1.1x"));
}

static void test_no_extensions(void **state)
{
    (void)state;
    struct hello hello;
    assert_int_equal(parse_extensions(NULL, &hello), HELLO_OK);
    assert_false(hello.has_name);
    assert_int_equal(hello.alpn_count, 0);
    static struct build empty;
    assert_int_equal(parse_extensions(&empty, &hello), HELLO_OK);
}

/* Every prefix wants more; what follows the hello is not its business; the cut into records does
 * not matter as long as there are few of them. */
static void test_cuts(void **state)
{
    (void)state;
    static struct build extensions, message, wire;
    struct hello hello;
    typical(&extensions);
    message.len = 0;
    add_hello(&message, &extensions);
    for (size_t size = 1; size <= message.len; size++) {
        wire.len = 0;
        add_records(&wire, &message, size);
        size_t records = (message.len + size - 1) / size;
        enum hello_result want = records <= HELLO_RECORDS_MAX ? HELLO_OK : HELLO_BAD;
        assert_int_equal(tls_hello_parse(wire.p, wire.len, &hello), want);
        if (want == HELLO_BAD)
            continue;
        assert_string_equal(hello.name, "api.example.com");
        assert_int_equal(hello.wire_len, wire.len);
        for (size_t len = 0; len < wire.len; len++)
            assert_int_equal(tls_hello_parse(wire.p, len, &hello), HELLO_MORE);
        size_t whole = wire.len;
        add(&wire, "\x17\x03\x03\x00\x01x", 6); /* early data */
        assert_int_equal(tls_hello_parse(wire.p, wire.len, &hello), HELLO_OK);
        assert_int_equal(hello.wire_len, whole);
    }
    assert_int_equal(tls_hello_parse(NULL, 0, &hello), HELLO_MORE);
}

static void test_not_tls(void **state)
{
    (void)state;
    struct hello hello;
    static const char *const texts[] = {"G", "GET / HTTP/1.1\r\n", "CONNECT", "SSH-2.0", "\x80\x2e\x02",
                                        "\x80\x2e\x01\x02", "\xc3\xa9\n",
                                        "\x13\x03\x01", "\x19\x03", "\x15\x02", "\x16\x02", "\x16\x04\x01"};
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_int_equal(tls_hello_parse((const uint8_t *)texts[i], strlen(texts[i]), &hello),
                         HELLO_NOT_TLS);
    assert_int_equal(tls_hello_parse((const uint8_t *)"\x16", 1, &hello), HELLO_MORE);
    assert_int_equal(tls_hello_parse((const uint8_t *)"\x16\x03", 2, &hello), HELLO_MORE);
    assert_int_equal(tls_hello_parse((const uint8_t *)"\x80\x2e\x01", 3, &hello), HELLO_MORE); /* the form of SSL 2 */
    assert_int_equal(tls_hello_parse((const uint8_t *)"\x80\x2e\x01\x03\x03", 5, &hello), HELLO_BAD);
    /* Another record of TLS: it may be a hello that follows. */
    assert_int_equal(tls_hello_parse((const uint8_t *)"\x15", 1, &hello), HELLO_MORE);
    for (uint8_t type = 20; type <= 24; type++)
        if (type != 22)
            assert_int_equal(tls_hello_parse((const uint8_t[]){type, 3}, 2, &hello), HELLO_BAD);
}

static void test_retry(void **state)
{
    (void)state;
    uint8_t bytes[60] = {22, 3, 3, 0, 55, 2, 0, 0, 51, 3, 3};
    memcpy(bytes + 11, "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91"
                       "\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c", 32);
    for (size_t len = 0; len < 43; len++)
        assert_int_equal(tls_hello_retry(bytes, len), HELLO_RETRY_MORE);
    for (size_t len = 43; len <= sizeof(bytes); len++)
        assert_int_equal(tls_hello_retry(bytes, len), HELLO_RETRY_YES);
    for (size_t i = 0; i < 43; i++) {
        bool any = (i > 1 && i < 5) || (i > 5 && i < 9);
        bytes[i] ^= 1;
        assert_int_equal(tls_hello_retry(bytes, i + 1), any ? HELLO_RETRY_MORE : HELLO_RETRY_NO);
        bytes[i] ^= 1;
    }
}

static void test_bad_records(void **state)
{
    (void)state;
    struct hello hello;
    static const struct {
        const char *p;
        size_t len;
    } rows[] = {
        {"\x16\x03\x01\x00\x00", 5},                         /* empty */
        {"\x16\x03\x01\x40\x01", 5},                         /* over 2^14 */
        {"\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9},         /* a ServerHello */
        {"\x16\x03\x01\x00\x01\x02", 6},                     /* its first byte */
        {"\x16\x03\x01\x00\x04\x01\x00\x40\x01", 9},         /* a message over the bound */
        {"\x16\x03\x01\x00\x04\x01\xff\xff\xff", 9},
        {"\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9},         /* an empty message */
        {"\x16\x03\x01\x00\x06\x01\x00\x00\x01\x00\x00", 11}, /* more in the record */
        {"\x16\x03\x01\x00\x06\x01\x00\x00\x01\x00", 10},     /* and before all is there */
        {"\x16\x03\x01\x00\x01\x01\x17", 7},                 /* another type inside the message */
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(tls_hello_parse((const uint8_t *)rows[i].p, rows[i].len, &hello),
                         HELLO_BAD);
}

static void test_bad_names(void **state)
{
    (void)state;
    static struct build extensions;
    struct hello hello;
    char name[300];
    memset(name, 'a', sizeof name);
    static const struct {
        const char *p;
        size_t len;
    } rows[] = {
        {"", 0}, {"a\0b", 3}, {"a b", 3}, {"a\nb", 3}, {"caf\xc3\xa9", 5}, {"a\x7f", 2},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        extensions.len = 0;
        add_name(&extensions, rows[i].p, rows[i].len);
        assert_int_equal(parse_extensions(&extensions, &hello), HELLO_BAD);
    }
    extensions.len = 0;
    add_name(&extensions, name, 255);
    assert_int_equal(parse_extensions(&extensions, &hello), HELLO_OK);
    assert_int_equal(strlen(hello.name), 255);
    extensions.len = 0;
    add_name(&extensions, name, 256);
    assert_int_equal(parse_extensions(&extensions, &hello), HELLO_BAD);
}

static void test_bad_extensions(void **state)
{
    (void)state;
    static struct build extensions;
    struct hello hello;
    static const struct {
        size_t type;
        const char *p;
        size_t len;
    } rows[] = {
        {0, "", 0},
        {0, "\0\0", 2},
        {0, "\0\x05\x00\0\x01" "a", 6},       /* the list is longer than the extension */
        {0, "\0\x04\x00\0\x01" "ab", 7},      /* and shorter */
        {0, "\0\x04\x01\0\x01" "a", 6},       /* another type of name */
        {0, "\0\x08\x00\0\x01" "a\x00\0\x01" "b", 10}, /* two names */
        {0, "\0\x04\x00\0\x02" "a", 6},
        {16, "", 0},
        {16, "\0\0", 2},
        {16, "\0\x01\x00", 3},
        {16, "\0\x03\x00\x01" "a", 5},        /* an empty protocol */
        {16, "\0\x03\x03h2", 5},
        {16, "\0\x03\x02h2x", 6},
        {16, "\0\x04\x02h2", 5},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        extensions.len = 0;
        add_extension(&extensions, rows[i].type, rows[i].p, rows[i].len);
        assert_int_equal(parse_extensions(&extensions, &hello), HELLO_BAD);
    }
    extensions.len = 0;
    add_extension(&extensions, 5, "a", 1);
    add_extension(&extensions, 6, "a", 1);
    add_extension(&extensions, 5, "a", 1); /* twice */
    assert_int_equal(parse_extensions(&extensions, &hello), HELLO_BAD);
    extensions.len = 0;
    add_number(&extensions, 2, 5); /* longer than what there is */
    add_number(&extensions, 2, 2);
    add_number(&extensions, 1, 0);
    assert_int_equal(parse_extensions(&extensions, &hello), HELLO_BAD);
    extensions.len = 0;
    for (size_t i = 0; i < HELLO_EXTENSIONS_MAX; i++)
        add_extension(&extensions, 1000 + i, "", 0);
    assert_int_equal(parse_extensions(&extensions, &hello), HELLO_OK);
    add_extension(&extensions, 5, "", 0);
    assert_int_equal(parse_extensions(&extensions, &hello), HELLO_BAD);
}

static void test_encrypted_hello(void **state)
{
    (void)state;
    static struct build extensions;
    struct hello hello;
    extensions.len = 0;
    add_extension(&extensions, 0xfe0d, "\0\0\x01", 3);
    assert_int_equal(parse_extensions(&extensions, &hello), HELLO_OK);
    assert_true(hello.has_ech);
    extensions.len = 0;
    add_extension(&extensions, 0xffce, "x", 1);
    assert_int_equal(parse_extensions(&extensions, &hello), HELLO_OK);
    assert_true(hello.has_ech);
}

static void test_many_protocols(void **state)
{
    (void)state;
    static struct build extensions, body;
    struct hello hello;
    body.len = 0;
    size_t list = begin(&body, 2);
    for (int i = 0; i < HELLO_ALPN_MAX + 5; i++) {
        add_number(&body, 1, 3);
        add(&body, "p/", 2);
        add_number(&body, 1, (size_t)('A' + i));
    }
    end(&body, list, 2);
    extensions.len = 0;
    add_extension(&extensions, 16, body.p, body.len);
    assert_int_equal(parse_extensions(&extensions, &hello), HELLO_OK);
    assert_int_equal(hello.alpn_count, HELLO_ALPN_MAX);
    assert_true(span_eqs(hello_alpn(&hello, HELLO_ALPN_MAX - 1), "p/P"));

    char name[255];
    memset(name, 'x', sizeof name);
    body.len = 0;
    list = begin(&body, 2);
    for (int i = 0; i < 2; i++) { /* the second one no longer fits */
        add_number(&body, 1, sizeof name);
        add(&body, name, sizeof name);
    }
    end(&body, list, 2);
    extensions.len = 0;
    add_extension(&extensions, 16, body.p, body.len);
    assert_int_equal(parse_extensions(&extensions, &hello), HELLO_OK);
    assert_int_equal(hello.alpn_count, 1);
    assert_int_equal(hello_alpn(&hello, 0).len, sizeof name);
}

static void test_largest(void **state)
{
    (void)state;
    static struct build extensions, message, wire;
    static uint8_t padding[HELLO_MESSAGE_MAX];
    struct hello hello;
    for (size_t over = 0; over < 2; over++) {
        extensions.len = message.len = wire.len = 0;
        /* 2 + 32 + 1 + 2 + 2 + 2 + 2 before the extensions, 4 before the padding */
        add_extension(&extensions, 21, padding, HELLO_MESSAGE_MAX - 43 - 4 + over);
        add_hello(&message, &extensions);
        assert_int_equal(message.len, 4 + HELLO_MESSAGE_MAX + over);
        add_records(&wire, &message, 1400);
        assert_true(wire.len <= HELLO_INPUT_MAX + over);
        assert_int_equal(tls_hello_parse(wire.p, wire.len, &hello), over ? HELLO_BAD : HELLO_OK);
    }
}

static enum hello_result parse_message(const struct build *message)
{
    static struct build wire;
    struct hello hello;
    wire.len = 0;
    add_records(&wire, message, 16384);
    return tls_hello_parse(wire.p, wire.len, &hello);
}

/* A message that ends too early, wherever that is, or too late: whole are the one without extensions and the one with
 * all. */
static void test_short_messages(void **state)
{
    (void)state;
    static struct build extensions, message;
    enum { WITHOUT_EXTENSIONS = 4 + 2 + 32 + 1 + 4 + 2 };
    typical(&extensions);
    message.len = 0;
    add_hello(&message, &extensions);
    for (size_t whole = message.len; message.len > 4; message.len--) {
        end(&message, 4, 3);
        bool good = message.len == whole || message.len == WITHOUT_EXTENSIONS;
        assert_int_equal(parse_message(&message), good ? HELLO_OK : HELLO_BAD);
    }
    message.len = 0;
    add_hello(&message, &extensions);
    add_number(&message, 1, 0);
    end(&message, 4, 3);
    assert_int_equal(parse_message(&message), HELLO_BAD);
}

/* The vectors in front of the extensions, and the version. */
static void test_odd_messages(void **state)
{
    (void)state;
    static const struct {
        size_t version, session, suites, compression;
        enum hello_result result;
    } rows[] = {
        {0x0303, 32, 2, 1, HELLO_OK},  {0x0300, 0, 100, 2, HELLO_OK}, {0x0303, 33, 2, 1, HELLO_BAD},
        {0x0303, 0, 3, 1, HELLO_BAD},  {0x0303, 0, 0, 1, HELLO_BAD},  {0x0303, 0, 2, 0, HELLO_BAD},
        {0x0203, 0, 2, 1, HELLO_BAD},  {0x0403, 0, 2, 1, HELLO_BAD},  {0x7f1c, 0, 2, 1, HELLO_BAD},
    };
    static struct build message;
    static uint8_t zeros[256];
    for (size_t i = 0; i < COUNT(rows); i++) {
        message.len = 0;
        add_number(&message, 1, 1);
        size_t whole = begin(&message, 3);
        add_number(&message, 2, rows[i].version);
        add(&message, zeros, 32);
        add_number(&message, 1, rows[i].session);
        add(&message, zeros, rows[i].session);
        add_number(&message, 2, rows[i].suites);
        add(&message, zeros, rows[i].suites);
        add_number(&message, 1, rows[i].compression);
        add(&message, zeros, rows[i].compression);
        end(&message, whole, 3);
        assert_int_equal(parse_message(&message), rows[i].result);
    }
}

/* Records that hold more than the message may be long: none of it is written behind the room for that. */
static void test_records_beyond_the_message(void **state)
{
    (void)state;
    static struct build wire;
    static uint8_t filling[16384];
    struct hello hello;
    wire.len = 0;
    add(&wire, "\x16\x03\x01\x00\x04\x01\x00\x40\x00", 9); /* the longest message, and no more of it yet */
    assert_int_equal(tls_hello_parse(wire.p, wire.len, &hello), HELLO_MORE);
    add(&wire, "\x16\x03\x01\x00\x01\x03", 6);
    add(&wire, "\x16\x03\x01\x40\x00", 5);
    add(&wire, filling, sizeof filling);
    assert_int_equal(tls_hello_parse(wire.p, wire.len, &hello), HELLO_BAD);
    assert_int_equal(tls_hello_parse(wire.p, wire.len - 1, &hello), HELLO_BAD); /* what is here already is enough */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_typical),
        cmocka_unit_test(test_no_extensions),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_not_tls),
        cmocka_unit_test(test_retry),
        cmocka_unit_test(test_bad_records),
        cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_bad_extensions),
        cmocka_unit_test(test_encrypted_hello),
        cmocka_unit_test(test_many_protocols),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_short_messages),
        cmocka_unit_test(test_odd_messages),
        cmocka_unit_test(test_records_beyond_the_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
