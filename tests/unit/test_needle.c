/* core/wire/needle: forms, positions, streams cut at every place, and a search that agrees with the simple one. */
#include "core/wire/needle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char secret[] = "ghp_s3cr3t+/with=odd&bytes~0123456789";
static struct needles *needles;

static int setup(void **state)
{
    (void)state;
    needles = needles_new();
    assert_true(needles_add(needles, SPAN(secret), 7));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    needles_free(needles);
    return 0;
}

static bool found(const char *text)
{
    struct needle_hit hit;
    return needles_find(needles, span_of(text), &hit) && hit.tag == 7;
}

static void test_as_it_is(void **state)
{
    (void)state;
    char text[200];
    for (int front = 0; front < 60; front++) {
        snprintf(text, sizeof(text), "%*s%s%s", front, "", secret, front % 2 ? " and more" : "");
        assert_true(found(text));
        text[front + 3] ^= 1;
        assert_false(found(text));
    }
    assert_false(found(""));
    assert_false(found("ghp_s3cr3t+/with=odd&bytes~012345678"));
}

static void test_base64(void **state)
{
    (void)state;
    char plain[200], coded[300];
    for (int front = 0; front < 9; front++) {
        int len = snprintf(plain, sizeof(plain), "%.*s%s%s", front, "user:name", secret, front % 2 ? "behind" : "");
        text_base64((uint8_t *)plain, (size_t)len, coded);
        assert_true(found(coded));
        for (char *c = coded; *c; c++)
            *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
        assert_true(found(coded));
    }
}

static void test_percent(void **state)
{
    (void)state;
    assert_true(found("?q=ghp_s3cr3t%2B%2Fwith%3Dodd%26bytes~0123456789&r=1"));
    assert_true(found("?q=ghp_s3cr3t%2b%2fwith%3dodd%26bytes~0123456789&r=1"));
}

/* What JSON's writers make of it, and of its base64. */
static void test_json(void **state)
{
    (void)state;
    assert_true(found("{\"a\":\"ghp_s3cr3t+\\/with=odd&bytes~0123456789\"}"));
    assert_true(found("ghp_s3cr3t+/with=odd\\u0026bytes~0123456789"));
    assert_true(found("ghp_s3cr3t+/with\\u003dodd\\u0026bytes~0123456789"));
    assert_true(found("ghp_s3cr3t\\u002B/with=odd\\u0026bytes~0123456789"));
    struct needles *other = needles_new();
    assert_true(needles_add(other, SPAN("quo\"te\\back'tick`"), 7));
    struct needle_hit hit;
    assert_true(needles_find(other, SPAN("quo\\\"te\\\\back'tick`"), &hit));
    assert_true(needles_find(other, SPAN("quo\\u0022te\\\\back\\u0027tick\\u0060"), &hit));
    needles_free(other);
    other = needles_new();
    assert_true(needles_add(other, SPAN("?\?\?>>>?\?\?>>>"), 7)); /* Pz8/Pj4+Pz8/Pj4+ */
    assert_true(needles_find(other, SPAN("Basic Pz8\\/Pj4+Pz8\\/Pj4+"), &hit));
    assert_true(needles_find(other, SPAN("Basic Pz8/Pj4\\u002BPz8/Pj4\\u002B"), &hit));
    needles_free(other);
    other = needles_new();
    assert_true(needles_add(other, SPAN("plain_token-0123456789"), 7));
    assert_int_equal(needles_count(other), 4); /* as it is, and base64: most need no form of their own */
    needles_free(other);
}

static void test_too_short(void **state)
{
    (void)state;
    struct needles *few = needles_new();
    struct needle_hit hit;
    assert_false(needles_add(few, SPAN("1234567"), 0));
    assert_int_equal(needles_count(few), 0);
    assert_false(needles_find(few, SPAN("1234567"), &hit));
    needles_free(few);
}

/* Every way to cut a text in three: what comes out is the whole, masked, and no byte of the secret is given early. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    char text[256], want[256], got[512];
    int len = snprintf(text, sizeof(text), "before gh%s between ghp_ %s", secret, secret);
    memcpy(want, text, sizeof(text));
    assert_int_equal(needles_mask(needles, want, (size_t)len), 2);
    assert_null(strstr(want, "s3cr3t"));
    for (int first = 0; first <= len; first++)
        for (int second = first; second <= len; second++) {
            int ends[] = {first, second, len}, from = 0;
            size_t at = 0;
            struct needle_scan scan;
            struct span out;
            needle_scan_init(&scan, needles);
            for (int i = 0; i < 3; i++) {
                needle_scan_next(&scan, (struct span){text + from, (size_t)(ends[i] - from)}, &out);
                memcpy(got + at, out.p, out.len);
                at += out.len;
                from = ends[i];
            }
            needle_scan_end(&scan, &out);
            if (out.len)
                memcpy(got + at, out.p, out.len);
            at += out.len;
            assert_int_equal(at, len);
            assert_memory_equal(got, want, (size_t)len);
            assert_int_equal(scan.found, 2);
            needle_scan_clear(&scan);
        }
}

static void test_a_byte_at_a_time(void **state)
{
    (void)state;
    struct needle_scan scan;
    struct span out;
    size_t given = 0;
    needle_scan_init(&scan, needles);
    for (size_t i = 0; i < sizeof(secret) - 1; i++) {
        needle_scan_next(&scan, (struct span){secret + i, 1}, &out);
        given += out.len;
        assert_int_equal(given, i + 1 < sizeof(secret) - 1 ? 0 : sizeof(secret) - 1);
    }
    assert_int_equal(scan.found, 1);
    needle_scan_clear(&scan);
}

static void test_what_is_none_passes_at_once(void **state)
{
    (void)state;
    struct needle_scan scan;
    struct span out;
    needle_scan_init(&scan, needles);
    needle_scan_next(&scan, SPAN("data: 1\n\n"), &out);
    assert_int_equal(out.len, 9);
    needle_scan_next(&scan, SPAN("a gh"), &out); /* could be the beginning */
    assert_int_equal(out.len, 2);
    needle_scan_next(&scan, SPAN("x"), &out);
    assert_true(span_eqs(out, "ghx"));
    assert_int_equal(needle_scan_held(&scan), 0);
    needle_scan_clear(&scan);
}

/* The last bytes of a message, which begin a needle by chance, go on; where it is none, the rest of it is masked. */
static void test_shown(void **state)
{
    (void)state;
    struct needle_scan scan;
    struct span out;
    needle_scan_init(&scan, needles);
    assert_false(needle_scan_can_show(&scan));
    needle_scan_next(&scan, SPAN("plain\n"), &out); /* no needle begins so */
    assert_int_equal(out.len, 6);
    assert_false(needle_scan_can_show(&scan));
    needle_scan_next(&scan, SPAN("a g"), &out);
    assert_true(span_eqs(out, "a ") && needle_scan_can_show(&scan));
    needle_scan_show(&scan, &out);
    assert_true(span_eqs(out, "g") && !needle_scan_can_show(&scan));
    needle_scan_next(&scan, SPAN("h"), &out);
    assert_int_equal(out.len, 0);
    needle_scan_show(&scan, &out);
    assert_true(span_eqs(out, "h"));
    needle_scan_next(&scan, SPAN("ost"), &out);
    assert_true(span_eqs(out, "ost") && needle_scan_held(&scan) == 0);
    /* The needle comes after all: its first bytes are out, and no more of it ever is. */
    needle_scan_next(&scan, SPAN("ghp"), &out);
    needle_scan_show(&scan, &out);
    assert_true(span_eqs(out, "ghp"));
    needle_scan_next(&scan, (struct span){secret + 3, 1}, &out);
    assert_true(out.len == 0 && !needle_scan_can_show(&scan));
    needle_scan_next(&scan, (struct span){secret + 4, sizeof(secret) - 5}, &out);
    assert_int_equal(out.len, sizeof(secret) - 4);
    for (size_t i = 0; i < out.len; i++)
        assert_int_equal(out.p[i], '*');
    assert_int_equal(scan.found, 1);
    needle_scan_next(&scan, SPAN("gh"), &out);
    needle_scan_show(&scan, &out);
    needle_scan_end(&scan, &out); /* nothing comes twice */
    assert_int_equal(out.len, 0);
    needle_scan_clear(&scan);
}

/* Every way to cut a text in three, with what can be shown shown at each cut: the length is the same, both are found,
 * and but for the first bytes of either nothing of it is given. */
static void test_shown_anywhere(void **state)
{
    (void)state;
    char text[256], want[256], got[512];
    int len = snprintf(text, sizeof(text), "before gh%s between ghp_ %s", secret, secret);
    memcpy(want, text, sizeof(text));
    assert_int_equal(needles_mask(needles, want, (size_t)len), 2);
    for (int first = 0; first <= len; first++)
        for (int second = first; second <= len; second++) {
            int ends[] = {first, second, len}, from = 0, other = 0;
            size_t at = 0;
            struct needle_scan scan;
            struct span out;
            needle_scan_init(&scan, needles);
            for (int i = 0; i < 4; i++) {
                if (i < 3)
                    needle_scan_next(&scan, (struct span){text + from, (size_t)(ends[i] - from)}, &out);
                else
                    needle_scan_end(&scan, &out);
                if (out.len)
                    memcpy(got + at, out.p, out.len);
                at += out.len;
                from = i < 3 ? ends[i] : len;
                if (i < 3 && needle_scan_can_show(&scan)) {
                    needle_scan_show(&scan, &out);
                    memcpy(got + at, out.p, out.len);
                    at += out.len;
                }
            }
            assert_int_equal(at, len);
            for (int i = 0; i < len; i++)
                other += got[i] != want[i];
            assert_in_range(other, 0, NEEDLE_SHOWN_MAX * 2);
            assert_int_equal(scan.found, 2);
            needle_scan_clear(&scan);
        }
}

static void test_long_texts_are_found_in_pieces(void **state)
{
    (void)state;
    static char text[5000], page[6000];
    struct needles *set = needles_new();
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('!' + (i * i + i / 7) % 90);
    assert_true(needles_add(set, (struct span){text, sizeof(text)}, 1));
    memset(page, ' ', sizeof(page));
    memcpy(page + 500, text, sizeof(text));
    assert_true(needles_mask(set, page, sizeof(page)) >= 5);
    for (size_t i = 500; i < 5500; i++)
        if (page[i] != '*')
            fail_msg("byte %zu is left", i);
    needles_free(set);
}

/* Random texts over a small alphabet, against the simplest search. */
static void test_agrees_with_the_simple_search(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 300; round++) {
        char small[3][20], text[400];
        struct needles *set = needles_new();
        size_t lens[3], first = sizeof(text);
        for (int n = 0; n < 3; n++) {
            lens[n] = 8 + (size_t)(rand_r(&seed) % 9);
            for (size_t i = 0; i < lens[n]; i++)
                small[n][i] = (char)('a' + rand_r(&seed) % 2);
            needles_add(set, (struct span){small[n], lens[n]}, (unsigned)n);
        }
        for (size_t i = 0; i < sizeof(text); i++)
            text[i] = (char)('a' + rand_r(&seed) % 2);
        for (int n = 0; n < 3; n++) {
            char *at = memmem(text, sizeof(text), small[n], lens[n]);
            if (at && (size_t)(at - text) < first)
                first = (size_t)(at - text);
        }
        struct needle_hit hit = {.at = sizeof(text)};
        bool any = needles_find(set, (struct span){text, sizeof(text)}, &hit);
        assert_int_equal(any, first < sizeof(text));
        if (any)
            assert_int_equal(hit.at, first);
        needles_free(set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_as_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(test_base64, setup, teardown),
        cmocka_unit_test_setup_teardown(test_percent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json, setup, teardown),
        cmocka_unit_test(test_too_short),
        cmocka_unit_test_setup_teardown(test_cut_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_byte_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_none_passes_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shown_anywhere, setup, teardown),
        cmocka_unit_test(test_long_texts_are_found_in_pieces),
        cmocka_unit_test(test_agrees_with_the_simple_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
