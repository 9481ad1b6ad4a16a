/* `_method` in a query and in a body, in every spelling in which a service reads it, wherever the bytes are cut (C08);
 * and what only looks like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/wire/form.h"

#define PART "--x\r\nContent-Disposition: form-data; "

static const struct {
    unsigned kinds;
    bool found;
    const char *body;
} bodies[] = {
    {FORM_URLENCODED, true, "_method=DELETE"},
    {FORM_URLENCODED, true, "a=b&_method=DELETE&c=d"},
    {FORM_URLENCODED, true, "a=b;_method=put"},
    {FORM_URLENCODED, true, "a&&_method="},
    {FORM_URLENCODED, true, "%5fmethod=x"},
    {FORM_URLENCODED, true, "a=1&%5F%6d%65%74%68%6F%64=x"},
    {FORM_URLENCODED, true, "& _method=x"},
    {FORM_URLENCODED, true, "+%20_method=x"},
    {FORM_URLENCODED, true, ".method=x"},
    {FORM_URLENCODED, true, "%5bmethod=x"},
    {FORM_URLENCODED, true, "_method%00more=x"},
    {FORM_URLENCODED, true, "[_method=x"},
    {FORM_URLENCODED, true, "]%5b_method]%5D=x"},
    {FORM_URLENCODED, false, ""},
    {FORM_URLENCODED, false, "_method"},
    {FORM_URLENCODED, false, "method=x&_methods=x&a_method=x&a[_method]=x&_metho=x&_method_=x"},
    {FORM_URLENCODED, false, "a=_method&b=_method=x"},
    {FORM_URLENCODED, false, "%_method=x&%5_method=x&a%26_method=x"},
    {FORM_URLENCODED, false, "{\"_method\":\"DELETE\"}"},

    {FORM_MULTIPART, true, PART "name=\"_method\"\r\n\r\nDELETE\r\n--x--\r\n"},
    {FORM_MULTIPART, true, PART "name=_method\r\n\r\nDELETE\r\n--x--\r\n"},
    {FORM_MULTIPART, true, "--x\ncontent-disposition:form-data;NAME='_method'\n\nDELETE\n--x--\n"},
    {FORM_MULTIPART, true, "--x\rContent-Disposition: form-data; name=\"_method\"\r\rDELETE"},
    {FORM_MULTIPART, true, PART "\r\n name=\"_method\"\r\n\r\nDELETE\r\n--x--\r\n"},
    {FORM_MULTIPART, true, PART "\n\tname=\"_me\\thod\"\r\n\r\nDELETE\r\n--x--\r\n"},
    {FORM_MULTIPART, true, PART "name=\"a\"\r\n\r\n1\r\n" PART "name=\" .method\"\r\n\r\nDELETE"},
    {FORM_MULTIPART, true, "--x\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; name*=UTF-8''_method"},
    {FORM_MULTIPART, true, PART "a;\rname=_method\r\n\r\nDELETE"}, /* Rack */
    {FORM_MULTIPART, true, PART "a;\n\nname=_method\r\n\r\nDELETE"},
    {FORM_MULTIPART, true, "--x\r\nXContent-Disposition: form-data; name=[_method]\r\n\r\nDELETE"},
    {FORM_MULTIPART, true, PART "name=_method\\a\r\n\r\nDELETE"},
    {FORM_MULTIPART, true, "--x\r\nContent-ID: _method\r\n\r\nDELETE"},
    {FORM_MULTIPART, true, "--x\r\ncontent-Content-Disposition: form-data; filename=_methods; name=_method"},
    {FORM_MULTIPART, false, PART "name=\"method\"\r\n\r\n_method\r\n--x--\r\n"},
    {FORM_MULTIPART, false, PART "name=\"the_method\"; filename=\"_methods\"\r\n\r\n1\r\n--x--\r\n"},
    {FORM_MULTIPART, false, PART "name=\"a\"\r\n\r\n <input name=\"_method\" value=\"delete\">\r\n--x--\r\n"},
    {FORM_MULTIPART, false, PART "name=\"a\"\r\n\r\n_method=DELETE&_method\r\n--x--\r\n"},

    {FORM_JSON, true, "{\"_method\":\"DELETE\"}"},
    {FORM_JSON, true, "{\"a\":\"\\\"\\\\\", \"\\u005fmeth\\u006Fd\" : \"DELETE\"}"},
    {FORM_JSON, true, "[\"_method\""},
    {FORM_JSON, false, "{\"a\":\"_method=x&_method\",\"_methods\":1,\" _method\":2}"},
    {FORM_JSON, false, "{\"\\u015fmethod\":3,\"\\_method\":4}"},
    {FORM_JSON, false, "{\"a\\\"_method\\\"b\":1}"},
    {FORM_JSON, false, "{_method:1}"},

    {FORM_URLENCODED | FORM_JSON, true, "{\"_method\":\"DELETE\"}"},
    {FORM_MULTIPART | FORM_URLENCODED, true, "_method=DELETE"},
    {0, false, "_method=DELETE"},
};

static bool scanned(unsigned kinds, struct span body, size_t cut)
{
    struct form_scan scan;
    form_scan_init(&scan, kinds);
    bool found = form_scan_next(&scan, (struct span){body.p, cut});
    found |= form_scan_next(&scan, (struct span){body.p + cut, body.len - cut});
    return form_scan_end(&scan) || found;
}

static void bodies_are_read_as_services_read_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct span body = span_of(bodies[i].body);
        for (size_t cut = 0; cut <= body.len; cut++)
            if (scanned(bodies[i].kinds, body, cut) != bodies[i].found)
                fail_msg("%s, cut at %zu", bodies[i].body, cut);
    }
}

static void queries(void **state)
{
    (void)state;
    assert_true(form_in_query("_method=DELETE"));
    assert_true(form_in_query("a=b&%5Fmethod=delete"));
    assert_false(form_in_query(""));
    assert_false(form_in_query("method=DELETE&a=_method"));
}

static void which_bodies_are_looked_at(void **state)
{
    static const struct {
        const char *types[3];
        unsigned kinds;
    } rows[] = {
        {{NULL}, FORM_URLENCODED},
        {{""}, FORM_URLENCODED},
        {{"application/x-www-form-urlencoded"}, FORM_URLENCODED},
        {{"Application/X-WWW-Form-URLencoded; charset=utf-8"}, FORM_URLENCODED},
        {{"multipart/form-data; boundary=x"}, FORM_MULTIPART},
        {{"multipart/mixed"}, FORM_MULTIPART},
        {{"application/json"}, FORM_JSON},
        {{"application/vnd.api+JSON"}, FORM_JSON},
        {{"application/octet-stream"}, 0},
        {{"text/plain"}, 0},
        {{"text/plain, application/x-www-form-urlencoded"}, FORM_URLENCODED},
        {{NULL, "application/json"}, FORM_JSON}, /* Content_Type */
        {{"text/plain", "application/json", "multipart/form-data"}, FORM_JSON | FORM_MULTIPART},
    };
    struct err err;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena *arena = arena_new(64 * 1024);
        struct msg msg;
        msg_init(&msg, arena);
        for (size_t k = 0; k < COUNT(rows[i].types); k++) {
            struct span name = k == 1 ? SPAN("content_type") : SPAN("Content-Type"); /* CGI knows one name for both */
            if (rows[i].types[k])
                assert_true(msg_add(&msg, name, span_of(rows[i].types[k]), &err));
        }
        assert_int_equal(form_kinds(&msg), rows[i].kinds);
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_are_read_as_services_read_them),
        cmocka_unit_test(queries),
        cmocka_unit_test(which_bodies_are_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
