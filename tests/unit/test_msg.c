/* core/wire/msg: fields, lists, bounds, and what is taken off for the next hop. */
#include "core/wire/msg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena *arena;
static struct msg msg;
static struct err err;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(MSG_ARENA_BYTES);
    msg_init(&msg, arena);
    memset(&err, 0, sizeof(err));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static void add(const char *name, const char *value)
{
    assert_true(msg_add(&msg, span_of(name), span_of(value), &err));
}

/* "name=value;" of every field */
static const char *dump(void)
{
    static char text[4096];
    size_t at = 0;
    text[0] = 0;
    for (size_t i = 0; i < msg.fields.count; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%.*s=%.*s;",
                               SPAN_ARG(msg.fields.items[i].name), SPAN_ARG(msg.fields.items[i].value));
    return text;
}

static void test_fields(void **state)
{
    (void)state;
    add("Host", "a.example");
    add("X-One", "  1\t");
    add("x-one", "2");
    add("Empty", "");
    assert_true(span_eqs(msg_get(&msg, "HOST"), "a.example"));
    assert_true(span_eqs(msg_get(&msg, "x-ONE"), "1"));
    assert_non_null(msg_get(&msg, "empty").p);
    assert_null(msg_get(&msg, "absent").p);
    assert_int_equal(msg_count(&msg, "X-ONE"), 2);
    assert_true(msg_set(&msg, "X-One", SPAN("3"), &err));
    assert_string_equal(dump(), "Host=a.example;X-One=3;Empty=;");
    assert_true(msg_set(&msg, "New", SPAN("n"), &err));
    assert_int_equal(msg_remove(&msg, "host"), 1);
    assert_int_equal(msg_remove(&msg, "host"), 0);
    assert_string_equal(dump(), "X-One=3;Empty=;New=n;");
    size_t bytes = 0;
    for (size_t i = 0; i < msg.fields.count; i++)
        bytes += msg.fields.items[i].name.len + msg.fields.items[i].value.len + 4;
    assert_int_equal(msg.bytes, bytes);
}

static void test_copies(void **state)
{
    char name[] = "Name", value[] = "value";
    (void)state;
    assert_true(msg_add(&msg, span_of(name), span_of(value), &err));
    assert_true(msg_set_borrowed(&msg, "Borrowed", span_of(value), &err));
    memset(name, 'x', 4);
    memset(value, 'x', 5);
    assert_string_equal(dump(), "Name=value;Borrowed=xxxxx;");
}

static void test_refused(void **state)
{
    static const struct span values[] = {{"a\rb", 3}, {"a\nb", 3}, {"a\0b", 3}, {"a\x7f", 2}, {"\x01", 1}};
    static const char *const names[] = {"", "a b", "a:", "a\r", "\xc3\xa9", "a\t", "(x)"};
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        assert_false(msg_add(&msg, SPAN("X"), values[i], &err));
        assert_int_equal(err.code, ERR_DATA);
        assert_false(msg_set(&msg, "X", values[i], &err));
        assert_false(msg_set_borrowed(&msg, "X", values[i], &err));
        assert_false(msg_add_trailer(&msg, SPAN("X"), values[i], &err));
    }
    for (size_t i = 0; i < COUNT(names); i++)
        assert_false(msg_add(&msg, span_of(names[i]), SPAN("v"), &err));
    assert_true(msg_add(&msg, SPAN("X"), SPAN("obs\xe9 and\ttab"), &err));
    assert_int_equal(msg.fields.count, 1);
}

static void test_bounds(void **state)
{
    static char big[MSG_HEAD_BYTES];
    (void)state;
    for (int i = 0; i < MSG_FIELDS_MAX; i++)
        add("X", "1");
    assert_false(msg_add(&msg, SPAN("X"), SPAN("1"), &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(msg_count(&msg, "x"), MSG_FIELDS_MAX);
    for (int i = 0; i < MSG_TRAILERS_MAX; i++)
        assert_true(msg_add_trailer(&msg, SPAN("T"), SPAN("1"), &err));
    assert_false(msg_add_trailer(&msg, SPAN("T"), SPAN("1"), &err));
    msg_init(&msg, arena);
    memset(big, 'v', sizeof(big));
    assert_true(msg_add(&msg, SPAN("X"), (struct span){big, MSG_HEAD_BYTES - 5}, &err));
    assert_false(msg_add(&msg, SPAN("Y"), SPAN(""), &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_false(msg_set(&msg, "X", (struct span){big, MSG_HEAD_BYTES - 4}, &err));
    assert_int_equal(msg_get(&msg, "X").len, MSG_HEAD_BYTES - 5); /* the old one stays */
    assert_true(msg_set(&msg, "X", SPAN("small"), &err));
    assert_true(msg_add(&msg, SPAN("Y"), SPAN(""), &err));
}

static void test_lists(void **state)
{
    struct span rest = SPAN(" a, ,b ,\tc,,"), item;
    (void)state;
    assert_true(msg_list_next(&rest, &item) && span_eqs(item, "a"));
    assert_true(msg_list_next(&rest, &item) && span_eqs(item, "b"));
    assert_true(msg_list_next(&rest, &item) && span_eqs(item, "c"));
    assert_false(msg_list_next(&rest, &item));
    add("Connection", "keep-alive, Upgrade");
    add("connection", "close");
    assert_true(msg_has_token(&msg, "Connection", "UPGRADE"));
    assert_true(msg_has_token(&msg, "Connection", "close"));
    assert_false(msg_has_token(&msg, "Connection", "up"));
    assert_false(msg_has_token(&msg, "Absent", "close"));
}

static void test_strip(void **state)
{
    (void)state;
    add("Host", "a.example");
    add("Connection", "close, X-Private");
    add("X-Private", "1");
    add("Keep-Alive", "timeout=5");
    add("Proxy-Authorization", "Basic eA==");
    add("Proxy-Connection", "keep-alive");
    add("Proxy-Anything", "1");
    add("proxy", "stays");
    add("TE", "gzip, trailers;q=1");
    add("TE", "trailers");
    add("Transfer-Encoding", "chunked");
    add("Upgrade", "websocket");
    add("Trailer", "X-Sum");
    add("x-private", "2");
    msg.framing = MSG_CHUNKED;
    msg_strip_hop_by_hop(&msg);
    assert_string_equal(dump(), "Host=a.example;proxy=stays;TE=trailers;Trailer=X-Sum;");
    assert_int_equal(msg.framing, MSG_CHUNKED);
    size_t bytes = 0;
    for (size_t i = 0; i < msg.fields.count; i++)
        bytes += msg.fields.items[i].name.len + msg.fields.items[i].value.len + 4;
    assert_int_equal(msg.bytes, bytes);
}

static void test_strip_upgrade(void **state)
{
    (void)state;
    add("Connection", "Upgrade");
    add("Upgrade", "websocket");
    add("TE", "gzip");
    msg.upgrade = true;
    msg_strip_hop_by_hop(&msg);
    assert_string_equal(dump(), "Upgrade=websocket;");
}

static void test_start_lines(void **state)
{
    (void)state;
    assert_true(msg_request(&msg, SPAN("GET"), SPAN("/a?b"), &err));
    assert_false(msg_request(&msg, SPAN("GE T"), SPAN("/"), &err));
    assert_false(msg_request(&msg, SPAN("GET"), SPAN("/a b"), &err));
    assert_false(msg_request(&msg, SPAN("GET"), SPAN("/\r\n"), &err));
    assert_false(msg_request(&msg, SPAN("GET"), SPAN(""), &err));
    assert_true(msg_response(&msg, 200, SPAN("OK"), &err));
    assert_true(msg_response(&msg, 200, SPAN(""), &err));
    assert_false(msg_response(&msg, 99, SPAN(""), &err));
    assert_false(msg_response(&msg, 600, SPAN(""), &err));
    assert_false(msg_response(&msg, 200, SPAN("O\nK"), &err));
}

/* What CGI and its kin take for the same name. */
static void test_doubles(void **state)
{
    (void)state;
    assert_true(msg_name_alike(SPAN("X_Api-KEY"), "x-api-key"));
    assert_true(msg_name_alike(SPAN("x-api-key"), "X-Api-Key"));
    assert_false(msg_name_alike(SPAN("x-api_key"), "x-api"));
    assert_false(msg_name_alike(SPAN("x-api-key"), "x_api_key")); /* '-' is never read as '_' */
    add("X_Api_Key", "1");
    add("x-api-key", "2");
    add("X-Api_key", "3");
    add("Other", "4");
    add("x-API_KEY", "5");
    assert_true(msg_has_double(&msg, "X-Api-Key"));
    msg_remove_doubles(&msg, "X-Api-Key");
    assert_string_equal(dump(), "x-api-key=2;Other=4;");
    assert_false(msg_has_double(&msg, "X-Api-Key"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fields), TEST(test_copies), TEST(test_refused),       TEST(test_bounds),
        TEST(test_lists),  TEST(test_strip),  TEST(test_strip_upgrade), TEST(test_start_lines),
        TEST(test_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
