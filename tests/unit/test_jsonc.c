/* JSON with comments: what is blanked, what is not, and that positions stay. */
#include "core/data/jsonc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void blanks(const char *from, const char *to)
{
    AUTOFREE char *text = mem_strdup(from);

    jsonc_blank(text, strlen(text));
    assert_string_equal(text, to);
}

static void test_comments(void **state)
{
    (void)state;
    blanks("{ // c\n}", "{     \n}");
    blanks("{/* a\n b */}", "{    \n     }");
    blanks("[1]// to the end", "[1]             ");
    blanks("/**/1/***/", "    1     ");
    blanks("\xEF\xBB\xBF{}", "   {}");
    blanks("// a\r\n1", "    \r\n1");
    /* In a string it is none, after an escaped quote too; nor is one that is never closed, or a lone slash. */
    blanks("\"http://x /* y */\"", "\"http://x /* y */\"");
    blanks("\"\\\"//\"", "\"\\\"//\"");
    blanks("\"\\\\\"//x", "\"\\\\\"   ");
    blanks("[1 /* ]", "[1 /* ]");
    blanks("/*/", "/*/");
    blanks("1 /", "1 /");
    blanks("\"open // ", "\"open // ");
}

static void test_commas(void **state)
{
    (void)state;
    blanks("[1,]", "[1 ]");
    blanks("[1, /* c */ ]", "[1          ]");
    blanks("{\"a\":[1,2,\n],\n}", "{\"a\":[1,2 \n] \n}");
    blanks("[\"a,\",]", "[\"a,\" ]");
    blanks("[[],]", "[[] ]");
    blanks("[\",]\"]", "[\",]\"]");
    /* What is no trailing comma stays, and is refused. */
    blanks("[,]", "[,]");
    blanks("[1,,]", "[1,,]");
    blanks("{\"a\":,}", "{\"a\":,}");
    blanks(",]", ",]");
}

static void refuses(const char *text, const char *where)
{
    struct doc doc;
    struct err err = {0};

    assert_false(jsonc_parse(text, strlen(text), 100, "d.json", ERR_CONFIG, &doc, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    if (strncmp(err.message, where, strlen(where)) != 0)
        fail_msg("%s: %s", text, err.message);
}

static void test_parse(void **state)
{
    static const char text[] = "// head\n{ \"a\": \"x//y\", /* b */ \"b\": [1, 2,], }\n";
    struct doc doc;
    struct err err = {0};

    (void)state;
    assert_true(jsonc_parse(text, strlen(text), 100, "d.json", ERR_CONFIG, &doc, &err));
    AUTOFREE char *plain = json_canonical(doc.root);
    assert_string_equal(plain, "{\"a\":\"x//y\",\"b\":[1,2]}");
    doc_clear(&doc);
    refuses("{ // c\n  /* d */ x }", "d.json:2:11: ");
    refuses("[1, /* open", "d.json:1:5: ");
    refuses("{\"a\":1,\n \"a\":2,}", "d.json:2:");
    refuses("", "d.json");
    char long_text[128];
    memset(long_text, ' ', sizeof(long_text));
    long_text[99] = '1';
    assert_true(jsonc_parse(long_text, 100, 100, "d.json", ERR_CONFIG, &doc, &err));
    doc_clear(&doc);
    assert_false(jsonc_parse(long_text, 101, 100, "d.json", ERR_CONFIG, &doc, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comments),
        cmocka_unit_test(test_commas),
        cmocka_unit_test(test_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
