/* YAML: types of scalars, positions, and what the subset refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/data/yaml.h"

static bool parse(const char *text, struct doc *doc, struct err *err)
{
    *err = (struct err){0};
    return yaml_parse(text, strlen(text), "t.yaml", doc, err);
}

static void becomes(const char *yaml, const char *json)
{
    struct doc doc;
    struct err err;
    if (!parse(yaml, &doc, &err))
        fail_msg("%s: %s", yaml, err.message);
    AUTOFREE char *text = json_dumps(doc.root, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(text, json);
    doc_clear(&doc);
}

static void refused(const char *yaml, const char *place, const char *what)
{
    struct doc doc;
    struct err err;
    if (parse(yaml, &doc, &err))
        fail_msg("taken: %s", yaml);
    assert_int_equal(err.code, ERR_CONFIG);
    if (strncmp(err.message, place, strlen(place)) != 0 || !strstr(err.message, what))
        fail_msg("%s\n  wanted %s ... %s", err.message, place, what);
}

static void types_of_scalars(void **state)
{
    (void)state;
    becomes("", "null");
    becomes("# nothing\n", "null");
    becomes("a: 1\nb: -2\nc: 0x1f\nd: 0o17\ne: 1.5\nf: 1e3\n",
            "{\"a\":1,\"b\":-2,\"c\":31,\"d\":15,\"e\":1.5,\"f\":1000.0}");
    becomes("[true, False, null, ~, yes, on, 'true', \"1\", 010, 1.2.3, 10.0.0.0/8, 2024-01-01, +5]",
            "[true,false,null,null,\"yes\",\"on\",\"true\",\"1\",10,\"1.2.3\",\"10.0.0.0/8\","
            "\"2024-01-01\",5]");
    becomes("[0x, 0o9, 1e, -, ., .5, e5, 1_000, nan, .inf]",
            "[\"0x\",\"0o9\",\"1e\",\"-\",\".\",0.5,\"e5\",\"1_000\",\"nan\",\".inf\"]");
    becomes("a: |\n  x\n  y\nb: >\n  x\n  y\n", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\\n\"}");
    becomes("a:\nb: []\nc: {}\n", "{\"a\":null,\"b\":[],\"c\":{}}");
    becomes("\xef\xbb\xbf" "a: \"\\u00e9\"", "{\"a\":\"\xc3\xa9\"}");
}

static void what_is_refused(void **state)
{
    (void)state;
    refused("a: &x 1\nb: *x\n", "t.yaml:1:4:", "anchors");
    refused("b: *x\n", "t.yaml:1:4:", "aliases");
    refused("a: !!str 1\n", "t.yaml:1:4:", "tags");
    refused("a: !x [1]\n", "t.yaml:1:4:", "tags");
    refused("a: 1\nb: 2\na: 3\n", "t.yaml:3:1:", "twice");
    refused("? [a]\n: 1\n", "t.yaml:1:3:", "key must be plain");
    refused("a: 1\n---\nb: 2\n", "t.yaml:2:1:", "second document");
    refused("a: [1, 2\nb: 3\n", "t.yaml:", "not valid YAML");
    refused("a: b: c\n", "t.yaml:1:5:", "not valid YAML");
    refused("a:\n\t- b\n", "t.yaml:2:1:", "not valid YAML");
    refused("a: 99999999999999999999\n", "t.yaml:1:4:", "out of range");
    refused("a: 1e999\n", "t.yaml:1:4:", "out of range");
    refused("a: \xff\n", "t.yaml:1:4:", "not valid text");
    refused("a: \"x\\0y\"\n", "t.yaml:1:4:", "NUL");
    refused("a: \x01\n", "t.yaml", "not valid");
}

static void taken(struct buf *text)
{
    struct doc doc;
    struct err err;
    if (!parse(buf_cstr(text), &doc, &err))
        fail_msg("%s", err.message);
    doc_clear(&doc);
    buf_clear(text);
}

static void bounds(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 4 * JSON_FILE_MAX);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        assert_true(buf_adds(&text, "["));
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        assert_true(buf_adds(&text, "]"));
    taken(&text);
    for (int i = 0; i < JSON_DEPTH_MAX + 1; i++)
        assert_true(buf_adds(&text, "["));
    refused(buf_cstr(&text), "t.yaml:1:33:", "too deep");
    buf_clear(&text);
    for (int i = 0; i < JSON_NODES_MAX - 1; i++) /* the list is a node, too */
        assert_true(buf_adds(&text, "- 1\n"));
    taken(&text);
    for (int i = 0; i < JSON_NODES_MAX + 1; i++)
        assert_true(buf_adds(&text, "- 1\n"));
    refused(buf_cstr(&text), "t.yaml:20000:3:", "too many");
    buf_clear(&text);
    assert_true(buf_adds(&text, "a: 1"));
    while (text.len < JSON_FILE_MAX)
        assert_true(buf_adds(&text, "\n"));
    taken(&text);
    assert_true(buf_adds(&text, "a: 1"));
    while (text.len < JSON_FILE_MAX + 1)
        assert_true(buf_adds(&text, "\n"));
    refused(buf_cstr(&text), "t.yaml:", "larger");
    buf_clear(&text);
    for (int i = 0; i < JSON_KEY_MAX; i++)
        assert_true(buf_adds(&text, "k"));
    assert_true(buf_adds(&text, ": 1"));
    taken(&text);
    for (int i = 0; i < JSON_KEY_MAX + 1; i++)
        assert_true(buf_adds(&text, "k"));
    assert_true(buf_adds(&text, ": 1"));
    refused(buf_cstr(&text), "t.yaml:1:1:", "too long");
    buf_clear(&text);
}

static void places_of_nodes(void **state)
{
    (void)state;
    struct doc doc;
    struct err err;
    assert_true(parse("version: 1\nrules:\n  - name: x\n    on: true\n  - on: true\n    off:   false\n",
                      &doc, &err));
    struct json_at root = json_root(&doc), rules, leaf;
    assert_true(json_member(&root, "rules", &rules));
    struct json_at second = json_element(&rules, 1);
    assert_false(json_fail(&second, &err, "x"));
    assert_string_equal(err.message, "t.yaml:5:5: rules[1]: x");
    /* true and false are one node each in jansson: the place must still be their own. */
    assert_true(json_member(&second, "on", &leaf));
    assert_false(json_fail(&leaf, &err, "x"));
    assert_string_equal(err.message, "t.yaml:5:9: rules[1].on: x");
    assert_true(json_member(&second, "off", &leaf));
    assert_false(json_fail(&leaf, &err, "x"));
    assert_string_equal(err.message, "t.yaml:6:12: rules[1].off: x");
    static const char *const keys[] = {"on", NULL};
    assert_false(json_only(&second, keys, &err)); /* the key, not its value */
    assert_string_equal(err.message, "t.yaml:6:5: rules[1].off: unknown key");
    doc_clear(&doc);
}

static void reads_files(void **state)
{
    (void)state;
    char dir[] = "/tmp/aileron-yaml.XXXXXX";
    struct doc doc;
    struct err err;
    assert_non_null(mkdtemp(dir));
    AUTOFREE char *path = file_join(dir, "x.yaml");
    assert_false(yaml_read(path, &doc, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_true(file_write_atomic(path, 0600, "a: ]", 4, &err));
    assert_false(yaml_read(path, &doc, &err));
    assert_memory_equal(err.message, "x.yaml:1:", 9);
    assert_true(file_write_atomic(path, 0600, "a: 1", 4, &err));
    assert_true(yaml_read(path, &doc, &err));
    doc_clear(&doc);
    assert_true(file_remove_tree(dir, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_of_scalars), cmocka_unit_test(what_is_refused),
        cmocka_unit_test(bounds),           cmocka_unit_test(places_of_nodes),
        cmocka_unit_test(reads_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
