/* core/wire/dns: what is answered, and how odd and broken queries end (threat E03). */
#include "core/wire/dns.h"

#include "core/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* A query with id 0x1234, RD, for a dotted name. Returns its length. */
static size_t query(uint8_t out[1024], const char *name, unsigned type, unsigned class)
{
    uint8_t *p = out;
    const uint8_t header[12] = {0x12, 0x34, 0x01, 0x00, 0, 1};
    memcpy(p, header, sizeof(header));
    p += sizeof(header);
    while (*name) {
        size_t len = strcspn(name, ".");
        *p++ = (uint8_t)len;
        memcpy(p, name, len);
        p += len;
        name += len + (name[len] == '.');
    }
    *p++ = 0;
    *p++ = (uint8_t)(type >> 8);
    *p++ = (uint8_t)type;
    *p++ = (uint8_t)(class >> 8);
    *p++ = (uint8_t)class;
    return (size_t)(p - out);
}

static const uint8_t address[4] = {127, 64, 0, 9};

static void test_address(void **state)
{
    uint8_t in[1024], out[DNS_MESSAGE_BYTES];
    struct dns_query q;
    size_t len = query(in, "API.GitHub.com", 1, 1);
    (void)state;
    dns_parse(in, len, &q);
    assert_int_equal(q.kind, DNS_A);
    assert_string_equal(q.name, "api.github.com");
    assert_true(q.canonical);
    size_t n = dns_answer(in, &q, address, out);
    assert_int_equal(n, len + 16);
    static const uint8_t head[] = {0x12, 0x34, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0};
    static const uint8_t tail[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 64, 0, 9};
    assert_memory_equal(out, head, sizeof(head));
    assert_memory_equal(out + 12, in + 12, len - 12); /* the question as asked, its case too */
    assert_memory_equal(out + len, tail, sizeof(tail));
    /* no address: empty and well-formed */
    n = dns_answer(in, &q, NULL, out);
    assert_int_equal(n, len);
    assert_int_equal(out[7], 0);
    assert_int_equal(out[3] & 15, 0);
}

static void test_other_types(void **state)
{
    static const struct {
        unsigned type, class;
        enum dns_kind kind;
        uint8_t rcode;
    } rows[] = {
        {28, 1, DNS_EMPTY, 0},  {16, 1, DNS_EMPTY, 0},   {255, 1, DNS_EMPTY, 0}, {65, 1, DNS_EMPTY, 0},
        {1, 255, DNS_A, 0},     {1, 3, DNS_REFUSE, 4},   {252, 1, DNS_REFUSE, 4}, {251, 1, DNS_REFUSE, 4},
        {0xffff, 1, DNS_EMPTY, 0},
    };
    uint8_t in[1024], out[DNS_MESSAGE_BYTES];
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct dns_query q;
        size_t len = query(in, "a.example", rows[i].type, rows[i].class);
        dns_parse(in, len, &q);
        assert_int_equal(q.kind, rows[i].kind);
        if (q.kind == DNS_A)
            continue;
        assert_int_equal(dns_answer(in, &q, address, out), len);
        assert_int_equal(out[3] & 15, rows[i].rcode);
        assert_int_equal(out[5], 1);
        assert_int_equal(out[7], 0);
    }
}

static void test_edns(void **state)
{
    static const uint8_t opt[] = {0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 4, 0, 10, 0, 0};
    static const uint8_t plain[] = {0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0};
    uint8_t in[1024], out[DNS_MESSAGE_BYTES];
    struct dns_query q;
    size_t len = query(in, "a.example", 1, 1);
    (void)state;
    memcpy(in + len, opt, sizeof(opt));
    in[11] = 1;
    dns_parse(in, len + sizeof(opt), &q);
    assert_int_equal(q.kind, DNS_A);
    assert_true(q.has_edns);
    size_t n = dns_answer(in, &q, address, out);
    assert_int_equal(n, len + 16 + sizeof(plain));
    assert_int_equal(out[11], 1);
    assert_memory_equal(out + len + 16, plain, sizeof(plain));
    /* cut short, and twice */
    dns_parse(in, len + sizeof(opt) - 1, &q);
    assert_int_equal(q.kind, DNS_REFUSE);
    assert_int_equal(q.rcode, 1);
    memcpy(in + len + sizeof(opt), opt, sizeof(opt));
    in[11] = 2;
    dns_parse(in, len + 2 * sizeof(opt), &q);
    assert_int_equal(q.kind, DNS_REFUSE);
    assert_int_equal(dns_answer(in, &q, address, out), len);
}

static void test_names(void **state)
{
    char text[300];
    uint8_t in[1024], out[DNS_MESSAGE_BYTES];
    struct dns_query q;
    (void)state;
    /* 253 bytes of text: 63.63.63.61 */
    memset(text, 'a', sizeof(text));
    text[63] = text[127] = text[191] = '.';
    text[253] = 0;
    size_t len = query(in, text, 1, 1);
    dns_parse(in, len, &q);
    assert_int_equal(q.kind, DNS_A);
    assert_string_equal(q.name, text);
    assert_int_equal(dns_answer(in, &q, address, out), len + 16);
    text[253] = 'a';
    text[254] = 0;
    dns_parse(in, query(in, text, 1, 1), &q);
    assert_int_equal(q.kind, DNS_REFUSE);
    assert_int_equal(q.rcode, 1);
    memset(text, 'a', 64); /* a label of 64 bytes */
    text[64] = 0;
    dns_parse(in, query(in, text, 1, 1), &q);
    assert_int_equal(q.kind, DNS_REFUSE);
    /* many labels of one byte: 127 of them are 255 bytes */
    for (size_t i = 0; i < 254; i++)
        text[i] = i % 2 ? '.' : 'b';
    text[253] = 0;
    dns_parse(in, query(in, text, 1, 1), &q);
    assert_int_equal(q.kind, DNS_A);
    text[253] = '.';
    text[254] = 'b';
    text[255] = 0;
    dns_parse(in, query(in, text, 1, 1), &q);
    assert_int_equal(q.kind, DNS_REFUSE);
    /* bytes that no host has */
    len = query(in, "a b.example", 1, 1);
    dns_parse(in, len, &q);
    assert_int_equal(q.kind, DNS_A);
    assert_false(q.canonical);
    assert_string_equal(q.name, "a?b.example");
    in[14] = '.';
    dns_parse(in, len, &q);
    assert_false(q.canonical);
    in[14] = 0;
    dns_parse(in, len, &q);
    assert_false(q.canonical);
    /* the root */
    dns_parse(in, query(in, "", 1, 1), &q);
    assert_int_equal(q.kind, DNS_A);
    assert_false(q.canonical);
    assert_string_equal(q.name, "");
}

static void test_malformed(void **state)
{
    uint8_t in[1024], out[DNS_MESSAGE_BYTES];
    struct dns_query q;
    size_t len = query(in, "a.example", 1, 1);
    (void)state;
    for (size_t i = 0; i < 12; i++) {
        dns_parse(in, i, &q);
        assert_int_equal(q.kind, DNS_DROP);
        assert_int_equal(dns_answer(in, &q, address, out), 0);
    }
    for (size_t i = 12; i < len; i++) {
        dns_parse(in, i, &q);
        assert_int_equal(q.kind, DNS_REFUSE);
        assert_int_equal(q.rcode, 1);
        assert_int_equal(dns_answer(in, &q, address, out), 12);
    }
    dns_parse(in, len + 1, &q); /* a byte too many */
    assert_int_equal(q.kind, DNS_REFUSE);
    in[2] |= 0x80;
    dns_parse(in, len, &q); /* an answer */
    assert_int_equal(q.kind, DNS_DROP);
    in[2] = 0x28;
    dns_parse(in, len, &q); /* update */
    assert_int_equal(q.kind, DNS_REFUSE);
    assert_int_equal(q.rcode, 4);
    assert_int_equal(dns_answer(in, &q, NULL, out), 12);
    in[2] = 1;
    in[5] = 2;
    dns_parse(in, len, &q);
    assert_int_equal(q.rcode, 1);
    in[5] = 1;
    in[7] = 1;
    dns_parse(in, len, &q);
    assert_int_equal(q.rcode, 1);
    in[7] = 0;
    in[12] = 0xc0; /* compression in a query */
    in[13] = 12;
    dns_parse(in, len, &q);
    assert_int_equal(q.rcode, 1);
    memset(in + 12, 0, sizeof(in) - 12);
    dns_parse(in, DNS_MESSAGE_BYTES + 1, &q);
    assert_int_equal(q.rcode, 1);
    /* The largest query that is read, padded as RFC 7830 has it, and one byte more. */
    for (size_t more = 0; more < 2; more++) {
        len = query(in, "a.example", 1, 1);
        size_t rest = DNS_MESSAGE_BYTES + more - len - 11;
        const uint8_t opt[11] = {0, 0, 41, 4, 208, 0, 0, 0, 0, (uint8_t)(rest >> 8), (uint8_t)rest};
        const uint8_t padding[4] = {0, 12, (uint8_t)((rest - 4) >> 8), (uint8_t)(rest - 4)};
        in[11] = 1;
        memcpy(in + len, opt, sizeof(opt));
        memcpy(in + len + sizeof(opt), padding, sizeof(padding));
        memset(in + len + sizeof(opt) + sizeof(padding), 0, rest - sizeof(padding));
        dns_parse(in, DNS_MESSAGE_BYTES + more, &q);
        assert_int_equal(q.kind, more ? DNS_REFUSE : DNS_A);
    }
}

/* Records behind the question: read to be skipped, and malformed they are no less refused than the question is. */
static void test_records(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        enum dns_kind kind;
    } rows[] = {
        {"\1x\0\0\1\0\1\0\0\0\0\0\4\1\2\3\4", 17, DNS_A},    /* of any type, here an address */
        {"\0\0\xfa\0\xff\0\0\0\0\0\1x", 12, DNS_A},              /* TSIG */
        {"\1x\0\0\1\0\1\0\0\0\0\0\4\1\2\3", 16, DNS_REFUSE},  /* its data are cut off */
        {"\xc0\x0c\0\1\0\1\0\0\0\0\0\0", 12, DNS_REFUSE},        /* a pointer to the question */
        {"\2x", 2, DNS_REFUSE},
        {"\0\0\1\0\1\0\0\0\0\0", 10, DNS_REFUSE},
        {"\0\0\1\0\1\0\0\0\0\xff\xff", 11, DNS_REFUSE},
        {"\0\0\1\0\1\0\0\0\0\0\0\0", 12, DNS_REFUSE},           /* and a byte behind it */
    };
    uint8_t in[1024], out[DNS_MESSAGE_BYTES];
    struct dns_query q;
    size_t len = query(in, "a.example", 1, 1);
    (void)state;
    in[11] = 1;
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTOFREE uint8_t *exact = mem_alloc(len + rows[i].len); /* memcheck sees what is read behind it */
        memcpy(exact, in, len);
        memcpy(exact + len, rows[i].bytes, rows[i].len);
        dns_parse(exact, len + rows[i].len, &q);
        assert_int_equal(q.kind, rows[i].kind);
        assert_false(q.has_edns);
        assert_int_equal(dns_answer(in, &q, address, out), q.kind == DNS_A ? len + 16 : len);
    }
    for (size_t count = 4; count <= 5; count++) { /* as many as are read, and one more */
        in[11] = (uint8_t)count;
        for (size_t i = 0; i < count; i++)
            memcpy(in + len + i * 11, "\0\0\1\0\1\0\0\0\0\0\0", 11);
        dns_parse(in, len + count * 11, &q);
        assert_int_equal(q.kind, count == 4 ? DNS_A : DNS_REFUSE);
    }
    in[11] = 0;
    in[9] = 1; /* a record of authority, which an update would have */
    dns_parse(in, len, &q);
    assert_int_equal(q.kind, DNS_REFUSE);
    assert_int_equal(q.rcode, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address), cmocka_unit_test(test_other_types), cmocka_unit_test(test_edns),
        cmocka_unit_test(test_names),   cmocka_unit_test(test_malformed),   cmocka_unit_test(test_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
