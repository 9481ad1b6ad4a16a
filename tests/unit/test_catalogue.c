/* The catalogue: conflicts, finding, and the folder of installed connectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "core/base/file.h"
#include "core/data/catalogue.h"

static struct connector *make(const char *fqn, const char *version, const char *tool)
{
    struct err err;
    AUTOFREE char *text = mem_printf(
        "{\"schema_version\":1,\"connector\":{\"fqn\":\"%s\",\"version\":\"%s\"},\"tools\":[{\"name\":"
        "\"%s\",\"operations\":[{\"name\":\"get\",\"summary\":\"Gets\",\"method\":\"GET\",\"path\":"
        "\"/{id}\",\"hosts\":[\"a.example\"],\"inputs\":[{\"name\":\"id\",\"description\":\"which\"},"
        "{\"name\":\"n\",\"type\":\"integer\",\"enum\":[1,2],\"default\":1}]}]}]}",
        fqn, version, tool);
    struct connector *connector = connector_parse(text, strlen(text), "c.json", &err);
    if (!connector)
        fail_msg("%s", err.message);
    return connector;
}

static void conflicts_name_both(void **state)
{
    (void)state;
    struct err err;
    struct catalogue *catalogue = catalogue_new();
    assert_true(catalogue_add(catalogue, make("a.one", "1", "alpha"), &err));
    struct connector *same_tool = make("a.two", "1", "alpha"), *same_fqn = make("a.one", "2", "beta");
    assert_false(catalogue_add(catalogue, same_tool, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_string_equal(err.message, "connectors a.one and a.two both have a tool named alpha");
    assert_false(catalogue_add(catalogue, same_fqn, &err));
    assert_true(catalogue_check_agent(catalogue, "", &err));
    assert_false(catalogue_check_agent(catalogue, "alpha", &err));
    assert_non_null(strstr(err.message, "agent alpha and a tool of connector a.one"));
    connector_free(same_tool);
    connector_free(same_fqn);
    catalogue_free(catalogue);
}

static void finds(void **state)
{
    (void)state;
    struct err err;
    const struct connector *owner = NULL;
    struct catalogue *catalogue = catalogue_new();
    assert_true(catalogue_add(catalogue, make("a.one", "1", "alpha"), &err));
    assert_non_null(catalogue_find(catalogue, NULL, "alpha", "get", &owner, &err));
    assert_string_equal(owner->fqn, "a.one");
    assert_non_null(catalogue_find(catalogue, "a.one", "alpha", "get", NULL, &err));
    assert_null(catalogue_find(catalogue, "a.two", "alpha", "get", NULL, &err));
    assert_null(catalogue_find(catalogue, NULL, "beta\033", "get", NULL, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(err.message, "there is no tool beta\\x1b in this session");
    assert_string_equal(err.hint, "There are: alpha");
    assert_null(catalogue_find(catalogue, NULL, "alpha", "put", NULL, &err));
    assert_string_equal(err.hint, "It has: get");
    catalogue_free(catalogue);
}

static void renders(void **state)
{
    (void)state;
    struct err err;
    struct buf text;
    struct catalogue *catalogue = catalogue_new();
    assert_true(catalogue_add(catalogue, make("a.one", "1", "alpha"), &err));
    buf_init(&text, 10000);
    assert_true(catalogue_text(catalogue, &text));
    assert_non_null(strstr(buf_cstr(&text), "\nalpha\n  get                      Gets\n"
                                            "      --id                   string, required: which\n"));
    buf_clear(&text);
    json_t *json = catalogue_json(catalogue);
    AUTOFREE char *shown = json_dumps(json, JSON_COMPACT);
    assert_non_null(strstr(shown, "{\"name\":\"n\",\"type\":\"integer\",\"in\":\"query\",\"required\":false,"
                                  "\"description\":\"\",\"default\":1,\"enum\":[1,2]}"));
    json_decref(json);
    catalogue_free(catalogue);
}

static size_t count_installed(const char *home)
{
    struct err err;
    struct catalogue *catalogue = catalogue_load(home, &err);
    assert_non_null(catalogue);
    size_t count = catalogue->count;
    catalogue_free(catalogue);
    return count;
}

static void installs_replaces_removes(void **state)
{
    (void)state;
    char home[] = "/tmp/aileron-catalogue.XXXXXX";
    struct err err;
    assert_non_null(mkdtemp(home));
    assert_int_equal(count_installed(home), 0);
    struct connector *one = make("a.one", "1.9", "alpha"), *newer = make("a.one", "1.10", "alpha"),
                     *two = make("a.two", "1", "beta"), *clash = make("a.three", "1", "beta");
    assert_true(catalogue_install(home, one, &err));
    assert_true(catalogue_install(home, one, &err)); /* twice is once */
    assert_true(catalogue_install(home, two, &err));
    assert_false(catalogue_install(home, clash, &err));
    assert_string_equal(err.message, "connectors a.two and a.three both have a tool named beta");
    assert_true(catalogue_install(home, newer, &err));
    struct catalogue *catalogue = catalogue_load(home, &err);
    assert_int_equal(catalogue->count, 2);
    assert_string_equal(catalogue->connectors[0]->version, "1.10");
    catalogue_free(catalogue);
    assert_true(catalogue_remove(home, "a.one", &err));
    assert_false(catalogue_remove(home, "a.one", &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(count_installed(home), 1);
    connector_free(one);
    connector_free(newer);
    connector_free(two);
    connector_free(clash);
    assert_true(file_remove_tree(home, &err));
}

static void what_is_broken_is_left_out(void **state)
{
    (void)state;
    char home[] = "/tmp/aileron-catalogue.XXXXXX";
    struct err err;
    assert_non_null(mkdtemp(home));
    struct connector *one = make("a.one", "1", "alpha"), *two = make("a.two", "1", "beta");
    assert_true(catalogue_install(home, one, &err));
    assert_true(catalogue_install(home, two, &err));
    AUTOFREE char *path = mem_printf("%s/store/connectors/sha256/%s/" CONNECTOR_FILE, home, one->hash);
    struct connector *changed = make("a.one", "1", "gamma");
    assert_true(file_write_atomic(path, 0600, changed->text, strlen(changed->text), &err));
    struct catalogue *catalogue = catalogue_load(home, &err);
    assert_int_equal(catalogue->count, 1);
    assert_int_equal(catalogue->problem_count, 1);
    assert_non_null(strstr(catalogue->problems[0], "was changed after it was installed"));
    catalogue_free(catalogue);
    assert_true(file_write_atomic(path, 0600, "{", 1, &err));
    catalogue = catalogue_load(home, &err);
    assert_int_equal(catalogue->count, 1);
    assert_non_null(strstr(catalogue->problems[0], "not valid JSON"));
    catalogue_free(catalogue);
    connector_free(one);
    connector_free(two);
    connector_free(changed);
    assert_true(file_remove_tree(home, &err));
}

static void a_catalogue_is_bounded(void **state)
{
    (void)state;
    struct err err;
    struct catalogue *catalogue = catalogue_new();
    for (int i = 0; i <= CATALOGUE_CONNECTORS_MAX; i++) {
        AUTOFREE char *name = mem_printf("t%d", i), *fqn = mem_printf("a.t%d", i);
        struct connector *connector = make(fqn, "1", name);
        bool added = catalogue_add(catalogue, connector, &err);
        assert_int_equal(added, i < CATALOGUE_CONNECTORS_MAX);
        if (!added)
            connector_free(connector);
    }
    assert_int_equal(err.code, ERR_LIMIT);
    catalogue_free(catalogue);
}

/* Installed ones: the 65th is refused, one that is there may be replaced. Of what cannot be read 64 are told. */
static void what_is_installed_is_bounded(void **state)
{
    (void)state;
    char home[] = "/tmp/aileron-catalogue.XXXXXX";
    struct err err;
    assert_non_null(mkdtemp(home));
    for (int i = 0; i <= CATALOGUE_CONNECTORS_MAX; i++) {
        AUTOFREE char *name = mem_printf("t%d", i), *fqn = mem_printf("a.t%d", i);
        struct connector *connector = make(fqn, "1", name);
        if (catalogue_install(home, connector, &err) != (i < CATALOGUE_CONNECTORS_MAX))
            fail_msg("%d: %s", i, err.message);
        connector_free(connector);
    }
    assert_int_equal(err.code, ERR_LIMIT);
    struct connector *newer = make("a.t7", "2", "t7");
    assert_true(catalogue_install(home, newer, &err));
    connector_free(newer);
    for (int i = 0; i < CATALOGUE_PROBLEMS_MAX + 1; i++) {
        AUTOFREE char *folder = mem_printf("%s/store/connectors/sha256/%064x", home, i);
        assert_true(file_mkdirs(folder, 0700, &err));
    }
    struct catalogue *catalogue = catalogue_load(home, &err);
    assert_non_null(catalogue);
    assert_int_equal(catalogue->count, CATALOGUE_CONNECTORS_MAX);
    assert_int_equal(catalogue->problem_count, CATALOGUE_PROBLEMS_MAX);
    catalogue_free(catalogue);
    assert_true(file_remove_tree(home, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conflicts_name_both), cmocka_unit_test(finds), cmocka_unit_test(renders),
        cmocka_unit_test(installs_replaces_removes), cmocka_unit_test(what_is_broken_is_left_out),
        cmocka_unit_test(a_catalogue_is_bounded),
        cmocka_unit_test(what_is_installed_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
