/* core/base/text: strict numbers, encodings, and what hostile text is shown as (A03). */
#include "core/base/text.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>

static void spans(void **state)
{
    (void)state;
    struct span empty = {NULL, 0}, rest = SPAN("a,,b,"), head;
    assert_true(span_eq(empty, SPAN("")));
    assert_true(span_eqs(SPAN("Host"), "Host"));
    assert_false(span_eqs(SPAN("Host"), "Hos"));
    assert_true(span_eqis(SPAN("HoST"), "hOst"));
    assert_false(span_eqi(SPAN("@"), SPAN("`"))); /* 0x40 and 0x60 differ by the case bit alone */
    assert_false(span_eqi(SPAN("["), SPAN("{")));
    assert_true(span_starts(SPAN("abc"), "ab"));
    assert_false(span_starts(SPAN("a"), "ab"));
    assert_true(span_ends(SPAN("abc"), "bc"));
    assert_true(span_ends(empty, ""));
    assert_true(span_eqs(span_trim(SPAN(" \t a b\t ")), "a b"));
    assert_int_equal(span_trim(SPAN(" \t")).len, 0);
    static const char *const parts[] = {"a", "", "b"};
    for (size_t i = 0; i < COUNT(parts); i++) {
        assert_true(span_cut(&rest, ',', &head));
        assert_true(span_eqs(head, parts[i]));
    }
    assert_false(span_cut(&rest, ',', &head));
    assert_false(span_cut(&empty, ',', &head));
}

static void numbers(void **state)
{
    (void)state;
    uint64_t n = 7;
    assert_true(text_u64(SPAN("18446744073709551615"), UINT64_MAX, &n));
    assert_true(n == UINT64_MAX);
    n = 7;
    static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616",
                                      "99999999999999999999999", "1.0", "1e3"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(text_u64(span_of(bad[i]), UINT64_MAX, &n));
    assert_true(text_u64(SPAN("65535"), 65535, &n));
    assert_false(text_u64(SPAN("65536"), 65535, &n));
    assert_int_equal(n, 65535);

    static const struct {
        const char *text;
        uint64_t ms;
    } times[] = {{"90", 90000}, {"0", 0}, {"120s", 120000}, {"5m", 300000}, {"8h", 28800000}, {"7d", 604800000}};
    for (size_t i = 0; i < COUNT(times); i++) {
        assert_true(text_duration_ms(span_of(times[i].text), &n));
        assert_int_equal(n, times[i].ms);
    }
    static const char *const bad_times[] = {"", "s", "5x", "1h30m", "-5s", "18446744073709551615d", "5 m"};
    for (size_t i = 0; i < COUNT(bad_times); i++)
        assert_false(text_duration_ms(span_of(bad_times[i]), &n));

    assert_true(text_bytes(SPAN("512"), &n) && n == 512);
    assert_true(text_bytes(SPAN("64k"), &n) && n == 65536);
    assert_true(text_bytes(SPAN("4m"), &n) && n == 4194304);
    assert_true(text_bytes(SPAN("4g"), &n) && n == UINT64_C(4294967296));
    assert_false(text_bytes(SPAN("k"), &n));
    assert_false(text_bytes(SPAN("17179869185g"), &n));
}

static void hex(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0x00, 0x9f, 0xff};
    char out[7];
    uint8_t back[3];
    text_hex(bytes, 3, out);
    assert_string_equal(out, "009fff");
    assert_true(text_unhex(SPAN("009FfF"), back, 3));
    assert_memory_equal(back, bytes, 3);
    assert_false(text_unhex(SPAN("009ff"), back, 3));
    assert_false(text_unhex(SPAN("009fff"), back, 2));
    assert_false(text_unhex(SPAN("009ffg"), back, 3));
}

static void base64(void **state)
{
    (void)state;
    /* RFC 4648 section 10. */
    static const char *const rows[][2] = {{"", ""},         {"f", "Zg=="},         {"fo", "Zm8="},
                                          {"foo", "Zm9v"},  {"foob", "Zm9vYg=="},  {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        char out[16];
        uint8_t back[16];
        size_t len, plain = strlen(rows[i][0]);
        text_base64((const uint8_t *)rows[i][0], plain, out);
        assert_string_equal(out, rows[i][1]);
        assert_int_equal(text_base64_len(plain), strlen(out) + 1);
        assert_true(text_unbase64(span_of(out), back, plain, &len));
        assert_int_equal(len, plain);
        assert_memory_equal(back, rows[i][0], plain);
        if (plain > 0)
            assert_false(text_unbase64(span_of(out), back, plain - 1, &len));
    }
    static const char *const bad[] = {"Zg", "Zg=", "Z===", "====", "Zh==", "Zm9=", "Zm 9", "Zg==Zg==",
                                      "Zm9-", "Zm9_", "Zg==\n", "=m9v"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        uint8_t back[16];
        size_t len;
        assert_false(text_unbase64(span_of(bad[i]), back, sizeof(back), &len));
    }
    uint8_t all[256], back[256];
    char out[400];
    size_t len;
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)(255 - i);
    text_base64(all, sizeof(all), out);
    assert_true(text_unbase64(span_of(out), back, sizeof(back), &len));
    assert_memory_equal(all, back, sizeof(all));
}

static void utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"", "plain", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                                       "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80"};
    static const char *const bad[] = {"\x80", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xed\xa0\x80",
                                      "\xf0\x80\x80\xaf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",
                                      "\xc3", "\xe2\x82", "a\xc3(", "\xf0\x9f\x98"};
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(text_utf8_valid(span_of(good[i])));
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(text_utf8_valid(span_of(bad[i])));
}

static void display_escapes(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"plain text", "plain text"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\033[31mred", "\\x1b[31mred"},
        {"a\r\nb\tc\x7f", "a\\x0d\\x0ab\\x09c\\x7f"},
        {"\xc2\x9b" "2J", "\\u{9b}2J"},                     /* C1: a terminal's CSI */
        {"\x9b" "2J", "\\x9b2J"},                           /* the same as one byte */
        {"a\xe2\x80\xae" "b", "a\\u{202e}b"},               /* right-to-left override */
        {"a\xe2\x81\xa6" "b\xe2\x81\xa9", "a\\u{2066}b\\u{2069}"},
        {"a\xe2\x80\x8b" "b\xe2\x80\x8d", "a\\u{200b}b\\u{200d}"}, /* zero width */
        {"\xef\xbb\xbf" "x", "\\u{feff}x"},
        {"\xd8\x9c", "\\u{61c}"},
        {"\xe2\x80\xa8", "\\u{2028}"},
        {"\xf3\xa0\x81\x81", "\\u{e0041}"},                 /* tags */
        {"\xff\xc0\xaf", "\\xff\\xc0\\xaf"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
        {"cut \xe2\x82", "cut \\xe2\\x82"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char out[128], again[128];
        text_display(span_of(rows[i][0]), out, sizeof(out));
        assert_string_equal(out, rows[i][1]);
        text_display(span_of(out), again, sizeof(again));
        assert_string_equal(again, out); /* twice is as once */
    }
    char out[16];
    text_display((struct span){"a\0b", 3}, out, sizeof(out));
    assert_string_equal(out, "a\\x00b");
}

static void display_is_cut(void **state)
{
    (void)state;
    char out[16];
    text_display(SPAN("0123456789abcde"), out, sizeof(out));
    assert_string_equal(out, "0123456789abcde");
    text_display(SPAN("0123456789abcdef"), out, sizeof(out));
    assert_string_equal(out, "0123456789ab...");
    text_display(SPAN("0123456789a\033zzz"), out, sizeof(out)); /* no half of an escape */
    assert_string_equal(out, "0123456789a...");
    text_display(SPAN("01234567890\xe2\x82\xac\xe2\x82\xac"), out, sizeof(out)); /* nor of a character */
    assert_string_equal(out, "01234567890...");
    text_display(SPAN("abcdef"), out, 3);
    assert_string_equal(out, "..");
    text_display(SPAN("abcdef"), out, 1);
    assert_string_equal(out, "");
    text_display(SPAN("a"), out, 2);
    assert_string_equal(out, "a");
}

/* Whatever goes in: what comes out is bounded, valid UTF-8, and without a control byte. */
static void display_of_anything(void **state)
{
    (void)state;
    srand(1);
    for (int round = 0; round < 20000; round++) {
        char in[24], out[40];
        size_t len = (size_t)rand() % sizeof(in), cap = 1 + (size_t)rand() % sizeof(out);
        for (size_t i = 0; i < len; i++)
            in[i] = (char)(rand() % 4 ? 0x80 | rand() : rand());
        memset(out, 'Z', sizeof(out));
        text_display((struct span){in, len}, out, cap);
        size_t got = strnlen(out, cap);
        assert_true(got < cap);
        assert_true(text_utf8_valid((struct span){out, got}));
        for (size_t i = 0; i < got; i++)
            assert_true((uint8_t)out[i] >= 0x20 && out[i] != 0x7f);
        for (size_t i = cap; i < sizeof(out); i++)
            assert_int_equal(out[i], 'Z');
    }
}

static void tokens(void **state)
{
    (void)state;
    assert_true(text_is_token(SPAN("Content-Type")));
    assert_true(text_is_token(SPAN("!#$%&'*+-.^_`|~09azAZ")));
    assert_false(text_is_token(SPAN("")));
    static const char bad[] = " \t\r\n:,;()<>@[]{}?=/\\\"\x7f\x80";
    for (size_t i = 0; i < sizeof(bad); i++) /* the NUL at its end, too */
        assert_false(text_is_token((struct span){&bad[i], 1}));
}

/* Each byte at each place of texts shorter, as long and longer than a step. */
static void plain_is_told_for_every_byte_and_place(void **state)
{
    (void)state;
    assert_true(text_is_plain(SPAN("")));
    for (size_t len = 1; len <= 20; len++)
        for (size_t at = 0; at < len; at++)
            for (unsigned byte = 0; byte < 256; byte++) {
                char text[20];
                memset(text, byte & 1 ? '!' : '~', len);
                text[at] = (char)byte;
                bool plain = byte >= ' ' && byte < 0x80 && byte != '"' && byte != '\\';
                if (text_is_plain((struct span){text, len}) != plain)
                    fail_msg("byte %u at %zu of %zu", byte, at, len);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans),
        cmocka_unit_test(numbers),
        cmocka_unit_test(hex),
        cmocka_unit_test(base64),
        cmocka_unit_test(utf8),
        cmocka_unit_test(display_escapes),
        cmocka_unit_test(display_is_cut),
        cmocka_unit_test(display_of_anything),
        cmocka_unit_test(tokens),
        cmocka_unit_test(plain_is_told_for_every_byte_and_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
