/* core/wire/addr: text forms, classes, ranges, verdicts. */
#include "core/wire/addr.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_parse_and_format(void **state)
{
    static const struct {
        const char *text, *canonical; /* NULL: refused */
    } rows[] = {
        {"1.2.3.4", "1.2.3.4"},
        {"255.255.255.255", "255.255.255.255"},
        {"0.0.0.0", "0.0.0.0"},
        {"01.2.3.4", NULL},
        {"1.2.3", NULL},
        {"1.2.3.256", NULL},
        {"1.2.3.4.", NULL},
        {"1.2.3.4 ", NULL},
        {"1.2.3.1000", NULL},
        {"", NULL},
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::ffff:10.1.2.3", "::ffff:10.1.2.3"},
        {"::ffff:a01:203", "::ffff:10.1.2.3"},
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
        {"1:2:3:4:5:6:7:1.2.3.4", NULL},
        {"1:2:3:4:5:6:7:8:9", NULL},
        {"1:2:3:4:5:6:7", NULL},
        {"1::2::3", NULL},
        {"1:2:3:4:5:6:7:8::", NULL},
        {":::", NULL},
        {"1:", NULL},
        {":1", NULL},
        {"::1:", NULL},
        {"12345::", NULL},
        {"fe80::1%eth0", NULL},
        {"[::1]", NULL},
        {"::1.2.3", NULL},
        {"::1.2.3.4:5", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct addr addr;
        char text[ADDR_TEXT_BYTES];
        bool ok = addr_parse(span_of(rows[i].text), &addr);
        if (ok != (rows[i].canonical != NULL))
            fail_msg("%s: %s", rows[i].text, ok ? "accepted" : "refused");
        if (!ok)
            continue;
        addr_format(&addr, text);
        assert_string_equal(text, rows[i].canonical);
    }
}

static void test_loose(void **state)
{
    static const struct {
        const char *text, *canonical;
    } rows[] = {
        {"2130706433", "127.0.0.1"},  {"0x7f000001", "127.0.0.1"}, {"0177.0.0.1", "127.0.0.1"},
        {"127.1", "127.0.0.1"},       {"127.0.1", "127.0.0.1"},    {"0xA9.254.0xa9fe", "169.254.169.254"},
        {"010.0.0.1", "8.0.0.1"},     {"0", "0.0.0.0"},            {"017700000001", "127.0.0.1"},
        {"4294967295", "255.255.255.255"}, {"4294967296", NULL},   {"1.16777216", NULL},
        {"256.1", NULL},              {"1.2.3.4.5", NULL},         {"1.2.3.", NULL},
        {"09", NULL},                 {"0xg", NULL},               {"a.b", NULL},
        {"1..2", NULL},               {"", NULL},                  {".", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct addr addr;
        char text[ADDR_TEXT_BYTES];
        bool ok = addr_parse_loose(span_of(rows[i].text), &addr);
        if (ok != (rows[i].canonical != NULL))
            fail_msg("%s: %s", rows[i].text, ok ? "accepted" : "refused");
        if (!ok)
            continue;
        addr_format(&addr, text);
        assert_string_equal(text, rows[i].canonical);
    }
}

static void test_ports(void **state)
{
    static const struct {
        const char *text, *canonical;
    } rows[] = {
        {"10.0.0.1:53", "10.0.0.1:53"}, {"10.0.0.1", "10.0.0.1"}, {"::1", "[::1]"},
        {"[::1]", "[::1]"},             {"[::1]:65535", "[::1]:65535"}, {"[::1]:65536", NULL},
        {"10.0.0.1:0", NULL},           {"10.0.0.1:", NULL},      {"[::1", NULL},
        {"[]:1", NULL},                 {"[10.0.0.1]:1", NULL},   {"[::1]x", NULL},
        {"[::1]:", NULL},               {":53", NULL},            {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct addr addr;
        char text[ADDR_TEXT_BYTES];
        bool ok = addr_parse_port(span_of(rows[i].text), &addr);
        if (ok != (rows[i].canonical != NULL))
            fail_msg("%s: %s", rows[i].text, ok ? "accepted" : "refused");
        if (!ok)
            continue;
        addr_format_port(&addr, text);
        assert_string_equal(text, rows[i].canonical);
    }
}

static void test_classes(void **state)
{
    static const struct {
        const char *text, *word;
    } rows[] = {
        {"8.8.8.8", "public"},            {"172.15.0.1", "public"},
        {"172.16.0.1", "private"},        {"172.31.255.255", "private"},
        {"172.32.0.1", "public"},         {"10.0.0.1", "private"},
        {"192.168.1.1", "private"},       {"127.9.9.9", "loopback"},
        {"169.254.1.1", "link-local"},    {"169.254.169.254", "metadata"},
        {"169.254.170.2", "metadata"},    {"100.100.100.200", "metadata"},
        {"168.63.129.16", "metadata"},    {"100.64.0.1", "cgnat"},
        {"100.128.0.1", "public"},        {"224.0.0.1", "multicast"},
        {"239.255.255.250", "multicast"}, {"0.0.0.0", "unspecified"},
        {"0.1.2.3", "reserved"},          {"255.255.255.255", "broadcast"},
        {"240.0.0.1", "reserved"},        {"192.0.2.1", "reserved"},
        {"198.18.0.1", "reserved"},       {"198.19.255.255", "reserved"},
        {"198.51.100.1", "reserved"},     {"203.0.113.1", "reserved"},
        {"192.0.0.1", "reserved"},        {"2606:4700::1111", "public"},
        {"::", "unspecified"},            {"::1", "loopback"},
        {"fe80::1", "link-local"},        {"febf::1", "link-local"},
        {"fec0::1", "private"},           {"fd00::1", "private"},
        {"fc00::1", "private"},           {"fd00:ec2::254", "metadata"},
        {"fd20:ce::254", "metadata"},     {"fd00:42::42", "metadata"},
        {"ff02::1", "multicast"},         {"2001:db8::1", "reserved"},
        {"100::1", "reserved"},           {"4000::1", "reserved"},
        /* embedded forms */
        {"::ffff:127.0.0.1", "loopback"}, {"::ffff:8.8.8.8", "public"},
        {"::ffff:169.254.169.254", "metadata"}, {"::10.0.0.1", "private"},
        {"::127.0.0.1", "loopback"},      {"::ffff:0:10.0.0.1", "private"},
        {"64:ff9b::a00:1", "private"},    {"64:ff9b::808:808", "public"},
        {"64:ff9b::a9fe:a9fe", "metadata"}, {"64:ff9b:1::a00:1", "private"},
        {"64:ff9b:1::808:808", "reserved"}, {"2002:7f00:1::", "loopback"},
        {"2002:a9fe:a9fe::1", "metadata"}, {"2002:808:808::1", "public"},
        /* Teredo: server 65.54.227.120, client 127.0.0.1 inverted */
        {"2001:0:4136:e378:8000:63bf:80ff:fffe", "loopback"},
        {"2001:0:4136:e378:8000:63bf:f7f7:f7f7", "reserved"},
        {"2001:0:a00:1:8000:63bf:f7f7:f7f7", "private"},
        /* ISATAP */
        {"2606:4700::5efe:a00:1", "private"}, {"2606:4700::200:5efe:a9fe:a9fe", "metadata"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct addr addr;
        assert_true(addr_parse(span_of(rows[i].text), &addr));
        const char *word = addr_class_word(addr_class(&addr));
        if (strcmp(word, rows[i].word) != 0)
            fail_msg("%s: %s, not %s", rows[i].text, word, rows[i].word);
    }
}

static bool in(const char *range, const char *text)
{
    struct cidr cidr;
    struct addr addr;
    assert_true(cidr_parse(span_of(range), &cidr));
    assert_true(addr_parse(span_of(text), &addr));
    return cidr_match(&cidr, &addr);
}

static void test_ranges(void **state)
{
    static const char *const bad[] = {"10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08", "10/8",
                                      "::1/129", "::1/0", "", "/8", "10.0.0.0/8 ", "10.0.0.0/-1"};
    struct cidr cidr;
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        if (cidr_parse(span_of(bad[i]), &cidr))
            fail_msg("%s accepted", bad[i]);
    assert_true(in("10.0.0.0/8", "10.255.0.1"));
    assert_false(in("10.0.0.0/8", "11.0.0.1"));
    assert_true(in("172.16.0.0/12", "172.31.0.1"));
    assert_false(in("172.16.0.0/12", "172.32.0.1"));
    assert_true(in("10.1.2.3", "10.1.2.3"));
    assert_false(in("10.1.2.3", "10.1.2.4"));
    assert_true(in("0.0.0.0/0", "9.9.9.9"));
    assert_false(in("0.0.0.0/0", "::1"));
    assert_true(in("10.0.0.0/8", "::ffff:10.1.1.1"));
    assert_false(in("10.0.0.0/8", "64:ff9b::a00:1"));
    assert_true(in("fc00::/7", "fd12::1"));
    assert_false(in("fc00::/7", "fe80::1"));
}

static void test_metadata_in_range(void **state)
{
    static const struct {
        const char *range;
        bool holds;
    } rows[] = {
        {"169.254.169.254/32", true}, {"169.254.0.0/16", true},       {"0.0.0.0/0", true},
        {"169.254.1.0/24", false},    {"10.0.0.0/8", false},          {"100.100.100.200", true},
        {"fd00:ec2::254", true},      {"fd00:ec2::/32", true},        {"fd12:3456::/32", false},
        {"::/0", true},               {"::ffff:169.254.169.254", true}, {"64:ff9b::a9fe:a9fe", true},
        {"2002:a9fe:a9fe::/48", true}, {"2002:a00:1::/48", false},    {"::ffff:10.0.0.0/104", false},
        {"2001:0:1:1:1:1:5601:5601", true}, {"192.168.0.0/16", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct cidr cidr;
        assert_true(cidr_parse(span_of(rows[i].range), &cidr));
        if (cidr_has_metadata(&cidr) != rows[i].holds)
            fail_msg("%s", rows[i].range);
    }
}

static bool verdict(const char *text, const char *range, bool allow_private, const char **why)
{
    struct cidr cidr;
    struct addr addr;
    assert_true(addr_parse(span_of(text), &addr));
    if (range)
        assert_true(cidr_parse(span_of(range), &cidr));
    return addr_verdict(&addr, range ? &cidr : NULL, range ? 1 : 0, allow_private, why);
}

static void test_verdicts(void **state)
{
    const char *why = NULL;
    (void)state;
    assert_true(verdict("1.1.1.1", NULL, false, &why));
    assert_null(why);
    assert_false(verdict("10.0.0.1", NULL, false, &why));
    assert_string_equal(why, "private");
    assert_true(verdict("10.0.0.1", NULL, true, &why));
    assert_true(verdict("100.64.0.1", NULL, true, &why));
    assert_true(verdict("10.0.0.1", "10.0.0.1/32", false, &why));
    assert_false(verdict("10.0.0.2", "10.0.0.1/32", false, &why));
    assert_false(verdict("127.0.0.1", NULL, true, &why));
    assert_string_equal(why, "loopback");
    assert_true(verdict("127.0.0.1", "127.0.0.1", false, &why));
    /* never, whatever the list says */
    assert_false(verdict("169.254.169.254", "0.0.0.0/0", true, &why));
    assert_string_equal(why, "metadata");
    assert_false(verdict("::ffff:169.254.169.254", "::/0", true, &why));
    assert_false(verdict("64:ff9b::a9fe:a9fe", "::/0", true, &why));
    assert_false(verdict("0.0.0.0", "0.0.0.0/0", true, &why));
    assert_string_equal(why, "unspecified");
    assert_false(verdict("255.255.255.255", "0.0.0.0/0", true, &why));
    assert_false(verdict("224.0.0.1", "0.0.0.0/0", true, &why));
    /* an embedded address is not allowed by what is said of the plain one, but where it is mapped */
    assert_true(verdict("::ffff:127.0.0.1", "127.0.0.1", false, &why));
    assert_false(verdict("64:ff9b::7f00:1", "127.0.0.1", false, &why));
    struct addr none = {0};
    assert_false(addr_verdict(&none, NULL, 0, true, &why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_and_format), cmocka_unit_test(test_loose),
        cmocka_unit_test(test_ports),            cmocka_unit_test(test_classes),
        cmocka_unit_test(test_ranges),           cmocka_unit_test(test_metadata_in_range),
        cmocka_unit_test(test_verdicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
