/* Documents: what is refused, and that every error says where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "core/data/json.h"

static bool parse(const char *text, struct doc *doc, struct err *err)
{
    *err = (struct err){0};
    return json_parse(text, strlen(text), JSON_FILE_MAX, "t.json", ERR_DATA, doc, err);
}

static void refuses_what_is_not_strict(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "{",           "{\"a\":1,}",   "{\"a\":1,\"a\":2}",
                                      "{'a':1}",   "[1]x",        "{\"a\":\"\\u0000\"}",
                                      "{\"a\":1e999}", "{\"a\":99999999999999999999}", "nul", "\"\xff\""};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct doc doc;
        struct err err;
        assert_false(parse(bad[i], &doc, &err));
        assert_int_equal(err.code, ERR_DATA);
        assert_memory_equal(err.message, "t.json:", 7);
    }
}

static void names_line_and_column(void **state)
{
    (void)state;
    struct doc doc;
    struct err err;
    assert_false(parse("{\n  \"a\": 1,\n  \"b\": ]\n}", &doc, &err));
    assert_non_null(strstr(err.message, "t.json:3:"));
}

static void bounds_depth_and_size(void **state)
{
    (void)state;
    struct doc doc;
    struct err err;
    char deep[2 * JSON_DEPTH_MAX + 4] = "";
    for (size_t i = 0; i < JSON_DEPTH_MAX; i++) {
        deep[i] = '[';
        deep[2 * JSON_DEPTH_MAX - 1 - i] = ']';
    }
    assert_true(parse(deep, &doc, &err));
    doc_clear(&doc);
    memset(deep, '[', JSON_DEPTH_MAX + 1);
    memset(deep + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_false(parse(deep, &doc, &err));
    assert_non_null(strstr(err.message, "nested deeper"));
    assert_true(parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[\"]", &doc, &err));
    doc_clear(&doc);
    assert_false(json_parse("[1,2,3]", 7, 6, "t.json", ERR_DATA, &doc, &err));
    assert_int_equal(err.code, ERR_LIMIT);
}

static void typed_access(void **state)
{
    (void)state;
    static const char *const words[] = {"one", "two"};
    struct doc doc;
    struct err err;
    assert_true(parse("{\"s\":\"x\",\"i\":7,\"b\":true,\"w\":\"two\",\"d\":\"5m\",\"z\":\"4k\","
                      "\"l\":[1,2],\"o\":{\"k\":null},\"e\":\"\",\"c\":\"a\\nb\",\"n\":30}", &doc, &err));
    struct json_at root = json_root(&doc), at;
    const char *text = NULL;
    int64_t number = -1;
    uint64_t big = 0;
    bool flag = false, present = false;
    int word = -1;
    size_t count = 9;
    assert_true(json_get_text(&root, "s", JSON_NEED, 10, &text, &err));
    assert_string_equal(text, "x");
    assert_true(json_get_int(&root, "i", JSON_NEED, 0, 7, &number, &err));
    assert_int_equal(number, 7);
    assert_false(json_get_int(&root, "i", JSON_NEED, 0, 6, &number, &err));
    assert_string_equal(err.message, "t.json: i: must be from 0 to 6");
    assert_true(json_get_bool(&root, "b", JSON_NEED, &flag, &err) && flag);
    assert_true(json_get_word(&root, "w", JSON_NEED, words, COUNT(words), &word, &err));
    assert_int_equal(word, 1);
    assert_false(json_get_word(&root, "s", JSON_NEED, words, COUNT(words), &word, &err));
    assert_string_equal(err.message, "t.json: s: must be one or two");
    assert_true(json_get_duration(&root, "d", JSON_NEED, &big, &err));
    assert_int_equal(big, 300000);
    assert_true(json_get_duration(&root, "n", JSON_NEED, &big, &err));
    assert_int_equal(big, 30000);
    assert_true(json_get_bytes(&root, "z", JSON_NEED, &big, &err));
    assert_int_equal(big, 4096);
    assert_true(json_get_list(&root, "l", JSON_NEED, 2, &at, &count, &err));
    assert_int_equal(count, 2);
    assert_false(json_get_list(&root, "l", JSON_NEED, 1, &at, &count, &err));
    assert_true(json_get_list(&root, "absent", JSON_MAY, 1, &at, &count, &err));
    assert_int_equal(count, 0);
    assert_true(json_get_object(&root, "o", JSON_NEED, &at, &present, &err) && present);
    text = "kept";
    assert_true(json_get_text(&at, "k", JSON_MAY, 10, &text, &err)); /* null is as absent */
    assert_string_equal(text, "kept");
    assert_false(json_get_text(&at, "k", JSON_NEED, 10, &text, &err));
    assert_string_equal(err.message, "t.json: o: 'k' is missing");
    assert_false(json_get_text(&root, "e", JSON_NEED, 10, &text, &err));
    assert_false(json_get_text(&root, "c", JSON_NEED, 10, &text, &err));
    assert_non_null(strstr(err.message, "control character"));
    assert_true(json_get_raw(&root, "c", JSON_NEED, 10, &text, &err));
    assert_false(json_get_text(&root, "i", JSON_NEED, 10, &text, &err));
    assert_string_equal(err.message, "t.json: i: must be a string, and is an integer: put it in quotes");
    doc_clear(&doc);
}

static void only_known_keys(void **state)
{
    (void)state;
    static const char *const keys[] = {"a", "b", NULL};
    struct doc doc;
    struct err err;
    assert_true(parse("{\"a\":1,\"c\\u001b\":2}", &doc, &err));
    struct json_at root = json_root(&doc);
    assert_false(json_only(&root, keys, &err));
    assert_null(strchr(err.message, '\033')); /* A03: nothing of the file reaches a terminal raw */
    assert_non_null(strstr(err.message, "unknown key"));
    assert_string_equal(err.hint, "Known here: a, b");
    doc_clear(&doc);
}

static void paths_in_errors(void **state)
{
    (void)state;
    struct doc doc;
    struct err err;
    assert_true(parse("{\"rules\":[{},{\"x\":[[1]]}]}", &doc, &err));
    struct json_at root = json_root(&doc), rules, x;
    assert_true(json_member(&root, "rules", &rules));
    struct json_at second = json_element(&rules, 1);
    assert_true(json_member(&second, "x", &x));
    struct json_at inner = json_element(&x, 0), one = json_element(&inner, 0);
    assert_false(json_fail(&one, &err, "is %s", "bad"));
    assert_string_equal(err.message, "t.json: rules[1].x[0][0]: is bad");
    doc_clear(&doc);
}

static void writes(void **state)
{
    (void)state;
    struct buf out;
    json_t *object = json_object();
    json_put(object, "b", "two");
    json_put(object, "none", NULL);
    json_put_int(object, "a", 1);
    json_put_span(object, "raw", (struct span){"\xff\x1b", 2});
    buf_init(&out, 100);
    assert_true(json_write(object, &out));
    assert_string_equal(buf_cstr(&out), "{\"b\":\"two\",\"a\":1,\"raw\":\"\\\\xff\\\\x1b\"}");
    AUTOFREE char *canonical = json_canonical(object);
    assert_memory_equal(canonical, "{\"a\":1,\"b\":\"two\"", 16);
    buf_clear(&out);
    buf_init(&out, 10);
    assert_false(json_write(object, &out));
    buf_clear(&out);
    json_decref(object);
}

/* Behind what is there already, in room that is just enough, or one byte too small. */
static void writes_of_any_length(void **state)
{
    (void)state;
    static char text[70000];
    static const size_t lens[] = {0, 1, 1000, 1019, 1020, 1021, 1022, 1023, 1024, 1025, 2048, 65536};
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < COUNT(lens); i++) {
        JSON_AUTO json_t *value = json_stringn(text, lens[i]);
        struct buf out;
        buf_init(&out, 3 + lens[i] + 2);
        assert_true(buf_adds(&out, "abc"));
        assert_true(json_write(value, &out));
        assert_int_equal(out.len, out.max);
        assert_memory_equal(out.data, "abc\"", 4);
        assert_memory_equal(out.data + 4, text, lens[i]);
        assert_int_equal(out.data[out.len - 1], '"');
        buf_clear(&out);
        buf_init(&out, 3 + lens[i] + 1);
        assert_true(buf_adds(&out, "abc"));
        assert_false(json_write(value, &out));
        assert_int_equal(out.len, 3);
        buf_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_not_strict), cmocka_unit_test(names_line_and_column),
        cmocka_unit_test(bounds_depth_and_size),      cmocka_unit_test(typed_access),
        cmocka_unit_test(only_known_keys),            cmocka_unit_test(paths_in_errors),
        cmocka_unit_test(writes),                     cmocka_unit_test(writes_of_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
