/* Connectors: manifests, arguments, and that no argument becomes anything but a value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "core/data/connector.h"

static const char example[] =
    "{\"schema_version\":1,\"connector\":{\"fqn\":\"acme.github\",\"version\":\"1.0.0\"},\"tools\":[{"
    "\"name\":\"github\",\"description\":\"GitHub\",\"operations\":["
    "{\"name\":\"get-repo\",\"summary\":\"Shows a repository\",\"method\":\"GET\","
    "\"path\":\"/repos/{owner}/{repo}\",\"hosts\":[\"API.github.com\",\"other.example:8443\"],"
    "\"inputs\":[{\"name\":\"owner\"},{\"name\":\"repo\",\"type\":\"string\"},"
    "{\"name\":\"page\",\"type\":\"integer\",\"default\":1},"
    "{\"name\":\"tags\",\"type\":\"array\"},"
    "{\"name\":\"sort\",\"enum\":[\"asc\",\"desc\"]},"
    "{\"name\":\"If-Match\",\"in\":\"header\"}],\"audit\":[\"owner\"],"
    "\"preview\":\"Look at {owner}/{repo}\"},"
    "{\"name\":\"create\",\"method\":\"POST\",\"path\":\"/x.{kind}\",\"hosts\":[\"up.example:8443\"],"
    "\"approval\":\"required\",\"credential\":\"user/github\","
    "\"inputs\":[{\"name\":\"kind\"},{\"name\":\"title\",\"required\":true},"
    "{\"name\":\"n\",\"type\":\"number\"},{\"name\":\"ok\",\"type\":\"boolean\"},"
    "{\"name\":\"o\",\"type\":\"object\"},{\"name\":\"dry\",\"type\":\"boolean\",\"in\":\"query\"}]}]}]}";

static struct connector *load(const char *text, struct err *err)
{
    *err = (struct err){0};
    return connector_parse(text, strlen(text), "c.json", err);
}

static const struct tool_operation *operation(const struct connector *connector, const char *name)
{
    return tool_operation(connector_tool(connector, "github"), name);
}

static void manifest(void **state)
{
    (void)state;
    struct err err;
    struct connector *connector = load(example, &err);
    if (!connector)
        fail_msg("%s", err.message);
    const struct tool_operation *get = operation(connector, "get-repo");
    const struct tool_operation *create = operation(connector, "create");
    assert_string_equal(get->host, "api.github.com");
    assert_int_equal(get->port, 443);
    assert_int_equal(create->port, 8443);
    assert_int_equal(get->inputs[0].in, INPUT_PATH);
    assert_true(get->inputs[0].required);
    assert_int_equal(get->inputs[2].in, INPUT_QUERY);
    assert_int_equal(create->inputs[1].in, INPUT_BODY);
    assert_int_equal(create->inputs[5].in, INPUT_QUERY);
    assert_true(create->approval && !get->approval);
    assert_string_equal(create->credential, "user/github");
    assert_string_equal(get->idempotency, "natural");
    assert_string_equal(create->idempotency, "none");
    assert_int_equal(strlen(connector->hash), 64);
    /* The hash is of what it says, not of how it is spaced. */
    struct connector *again = load(connector->text, &err);
    assert_string_equal(again->hash, connector->hash);
    connector_free(again);
    connector_free(connector);
}

static json_t *checked(const struct tool_operation *op, const char *args, struct err *err)
{
    json_t *object = json_loads(args, 0, NULL);
    *err = (struct err){0};
    json_t *result = connector_check_args(op, object, err);
    json_decref(object);
    return result;
}

static void arguments_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *operation, *args, *message;
    } rows[] = {
        {"get-repo", "{\"owner\":\"a\"}", "repo: is required"},
        {"get-repo", "{\"owner\":\"a\",\"repo\":null}", "repo: is required"},
        {"get-repo", "{\"owner\":\"a\",\"repo\":\"b\",\"x\":1}", "x: no such input"},
        {"get-repo", "{\"owner\":1,\"repo\":\"b\"}", "owner: must be a string"},
        {"get-repo", "{\"owner\":\"a\",\"repo\":\"b\",\"page\":\"1\"}", "page: must be an integer"},
        {"get-repo", "{\"owner\":\"a\",\"repo\":\"b\",\"page\":1.5}", "page: must be an integer"},
        {"get-repo", "{\"owner\":\"a\",\"repo\":\"b\",\"sort\":\"up\"}", "sort: must be one of \"asc\", \"desc\""},
        {"create", "{\"kind\":\"a\",\"title\":\"b\",\"o\":[]}", "o: must be an object"},
        {"create", "[]", "the arguments must be an object"},
        {"create", "{\"kind\":\"a\",\"title\":\"b\",\"host\":\"evil.example\"}", "host: no such input"},
    };
    struct err err;
    struct connector *connector = load(example, &err);
    for (size_t i = 0; i < COUNT(rows); i++) {
        json_t *args = checked(operation(connector, rows[i].operation), rows[i].args, &err);
        if (args)
            fail_msg("taken: %s", rows[i].args);
        if (strncmp(err.message, rows[i].message, strlen(rows[i].message)) != 0)
            fail_msg("%s\n  wanted %s", err.message, rows[i].message);
    }
    json_t *args = checked(operation(connector, "get-repo"), "{\"repo\":\"b\",\"owner\":\"a\"}", &err);
    AUTOFREE char *text = json_canonical(args);
    assert_string_equal(text, "{\"owner\":\"a\",\"page\":1,\"repo\":\"b\"}");
    json_decref(args);
    connector_free(connector);
}

static bool build(const struct connector *connector, const char *name, const char *args,
                  struct connector_request *out, struct err *err)
{
    const struct tool_operation *op = operation(connector, name);
    json_t *good = checked(op, args, err);
    bool ok = good && connector_build_request(op, good, out, err);
    json_decref(good);
    return ok;
}

static void requests(void **state)
{
    (void)state;
    struct connector_request request;
    struct err err;
    struct connector *connector = load(example, &err);
    assert_true(build(connector, "get-repo",
                      "{\"owner\":\"a b\",\"repo\":\"\\u00e9;x%2e\",\"tags\":[\"x&y=z\",2,true],"
                      "\"If-Match\":\"\\\"e\\\"\"}", &request, &err));
    assert_string_equal(request.method, "GET");
    assert_string_equal(request.host, "api.github.com");
    assert_string_equal(request.path, "/repos/a%20b/%C3%A9%3Bx%252e");
    assert_string_equal(request.query, "page=1&tags=x%26y%3Dz&tags=2&tags=true");
    assert_string_equal(json_string_value(json_object_get(request.headers, "If-Match")), "\"e\"");
    assert_string_equal(json_string_value(json_object_get(request.headers, "Accept")), "application/json");
    assert_null(request.body);
    connector_request_clear(&request);
    assert_true(build(connector, "create", "{\"kind\":\"k\",\"title\":\"a\\r\\nb\",\"ok\":false,\"dry\":true,"
                                           "\"o\":{\"z\":1,\"a\":[]}}", &request, &err));
    assert_string_equal(request.path, "/x.k");
    assert_string_equal(request.query, "dry=true");
    assert_string_equal(request.body, "{\"o\":{\"a\":[],\"z\":1},\"ok\":false,\"title\":\"a\\r\\nb\"}");
    assert_string_equal(json_string_value(json_object_get(request.headers, "Content-Type")), "application/json");
    connector_request_clear(&request);
    connector_free(connector);
}

static void C07_C10_values_stay_values(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"owner\":\"..\",\"repo\":\"b\"}",       "{\"owner\":\".\",\"repo\":\"b\"}",
        "{\"owner\":\"..;x\",\"repo\":\"b\"}",     "{\"owner\":\".;\",\"repo\":\"b\"}",
        "{\"owner\":\"a/b\",\"repo\":\"b\"}",      "{\"owner\":\"a\\\\b\",\"repo\":\"b\"}",
        "{\"owner\":\"\",\"repo\":\"b\"}",         "{\"owner\":\"a\\r\\nX: y\",\"repo\":\"b\"}",
        "{\"owner\":\"a\",\"repo\":\"b\",\"sort\":null,\"tags\":[\"x\\ny\"]}",
        "{\"owner\":\"a\",\"repo\":\"b\",\"tags\":[[1]]}",
        "{\"owner\":\"a\",\"repo\":\"b\",\"If-Match\":\"x\\r\\nHost: evil\"}",
        "{\"owner\":\"a\",\"repo\":\"b\",\"If-Match\":\"x\\ny\"}"};
    struct connector_request request;
    struct err err;
    struct connector *connector = load(example, &err);
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (build(connector, "get-repo", bad[i], &request, &err))
            fail_msg("built: %s -> %s", bad[i], request.path);
        assert_int_equal(err.code, ERR_DATA);
    }
    /* "{a}{b}" made of ".." by two values would climb too */
    assert_true(build(connector, "get-repo", "{\"owner\":\"%2e%2e\",\"repo\":\"...\"}", &request, &err));
    assert_string_equal(request.path, "/repos/%252e%252e/...");
    connector_request_clear(&request);
    connector_free(connector);
}

static void previews(void **state)
{
    (void)state;
    struct err err;
    char text[64];
    struct connector *connector = load(example, &err);
    json_t *args = checked(operation(connector, "get-repo"),
                           "{\"owner\":\"a\\u001b[2J\",\"repo\":\"b\"}", &err);
    connector_preview(operation(connector, "get-repo"), args, text, sizeof text);
    assert_string_equal(text, "Look at a\\x1b[2J/b");
    json_decref(args);
    args = checked(operation(connector, "create"), "{\"kind\":\"k\",\"title\":\"t\"}", &err);
    connector_preview(operation(connector, "create"), args, text, sizeof text);
    assert_string_equal(text, "POST /x.k");
    json_decref(args);
    connector_free(connector);
}

/* One operation with some of its text replaced. */
static void refused(const char *old, const char *fresh, const char *what)
{
    const char *at = strstr(example, old);
    struct err err;
    assert_non_null(at);
    AUTOFREE char *text = mem_printf("%.*s%s%s", (int)(at - example), example, fresh, at + strlen(old));
    struct connector *connector = load(text, &err);
    if (connector)
        fail_msg("taken: %s", fresh);
    if (!strstr(err.message, what) || strncmp(err.message, "c.json: ", 8) != 0)
        fail_msg("%s\n  wanted %s", err.message, what);
}

static void bad_manifests(void **state)
{
    (void)state;
    refused("\"schema_version\":1", "\"schema_version\":2", "schema_version: must be 1");
    refused("\"schema_version\":1,", "", "'schema_version' is missing");
    refused("acme.github", "../evil", "connector.fqn: must begin");
    refused("\"name\":\"github\"", "\"name\":\"aileron-x\"", "reserved");
    refused("\"name\":\"github\"", "\"name\":\"sh\"", "reserved");
    refused("\"name\":\"github\"", "\"name\":\"claude\"", "reserved");
    refused("\"name\":\"github\"", "\"name\":\"../x\"", "tools[0].name: must begin");
    refused("\"name\":\"create\"", "\"name\":\"get-repo\"", "a second operation");
    refused("\"method\":\"GET\"", "\"method\":\"CONNECT\"", "operations[0].method: must be GET");
    refused("/repos/{owner}/{repo}", "repos/{owner}/{repo}", "absolute path");
    refused("/repos/{owner}/{repo}", "/repos/../{owner}/{repo}", "absolute path");
    refused("/repos/{owner}/{repo}", "/repos/{owner}/{repo}?a=b", "absolute path");
    refused("/repos/{owner}/{repo}", "//{owner}/{repo}", "absolute path");
    refused("/repos/{owner}/{repo}", "/{owner}/{repo}/{more}", "{more}, and there is no such input");
    refused("/repos/{owner}/{repo}", "/{owner}/{repo", "brace");
    refused("API.github.com", "*.github.com", "operations[0].hosts[0]");
    refused("API.github.com", "a.b:0", "bad port");
    refused("\"hosts\":[\"up.example:8443\"],", "", "'hosts' is missing");
    refused("\"default\":1", "\"default\":\"1\"", "page: must be an integer");
    refused("\"enum\":[\"asc\",\"desc\"]", "\"enum\":[1]", "enum[0]: is no string");
    refused("\"If-Match\",\"in\":\"header\"", "\"Authorization\",\"in\":\"header\"", "no header that an argument");
    refused("\"If-Match\",\"in\":\"header\"", "\"x\",\"in\":\"path\"", "the path has no {x}");
    refused("{\"name\":\"owner\"}", "{\"name\":\"owner\",\"in\":\"query\"}", "stands in the path");
    refused("\"o\",\"type\":\"object\"", "\"o\",\"type\":\"object\",\"in\":\"query\"", "body alone");
    refused("\"audit\":[\"owner\"]", "\"audit\":[\"nobody\"]", "no such input");
    refused("Look at {owner}", "Look at {nobody}", "no such input");
    refused("\"approval\":\"required\"", "\"approval\":\"maybe\"", "must be none or required");
    refused("\"summary\":", "\"sumary\":", "sumary: unknown key");
}

/* Builds get-repo with an owner of so many bytes, or with a tag of them in the query. */
static bool builds(const struct connector *connector, bool query, size_t len, size_t *out, struct err *err)
{
    struct connector_request request;
    AUTOFREE char *text = mem_alloc(len + 1);
    memset(text, 'o', len);
    AUTOFREE char *args = mem_printf(query ? "{\"owner\":\"a\",\"repo\":\"b\",\"tags\":[\"%s\"]}"
                                           : "{\"owner\":\"%s\",\"repo\":\"b\"}", text);
    if (!build(connector, "get-repo", args, &request, err))
        return false;
    *out = strlen(query ? request.query : request.path);
    connector_request_clear(&request);
    return true;
}

static void what_is_built_is_bounded(void **state)
{
    (void)state;
    struct err err;
    size_t len, fixed;
    struct connector *connector = load(example, &err);
    for (int query = 0; query < 2; query++) {
        assert_true(builds(connector, query, 1, &fixed, &err));
        assert_true(builds(connector, query, CONNECTOR_PATH_MAX - fixed + 1, &len, &err));
        assert_int_equal(len, CONNECTOR_PATH_MAX);
        assert_false(builds(connector, query, CONNECTOR_PATH_MAX - fixed + 2, &len, &err));
        assert_int_equal(err.code, ERR_LIMIT);
    }
    /* Arguments: names and values as they are sent. */
    for (size_t more = 0; more < 2; more++) {
        size_t rest = CONNECTOR_ARGS_MAX - strlen("kind\"k\"title\"\"") + more;
        AUTOFREE char *text = mem_alloc(rest + 1);
        memset(text, 't', rest);
        AUTOFREE char *args = mem_printf("{\"kind\":\"k\",\"title\":\"%s\"}", text);
        json_t *good = checked(operation(connector, "create"), args, &err);
        assert_int_equal(good != NULL, more == 0);
        if (more)
            assert_int_equal(err.code, ERR_LIMIT);
        json_decref(good);
    }
    /* What a person is shown is cut. */
    AUTOFREE char *title = mem_alloc(1000);
    memset(title, 'o', 999);
    json_t *args = json_pack("{s:s, s:s}", "owner", title, "repo", "b");
    char shown[512];
    connector_preview(operation(connector, "get-repo"), args, shown, sizeof shown);
    assert_int_equal(strlen(shown), sizeof shown - 1);
    json_decref(args);
    connector_free(connector);
}

/* A manifest of just so many bytes. */
static void a_manifest_is_bounded(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct err err = {0};
        size_t size = CONNECTOR_FILE_MAX + more;
        AUTOFREE char *text = mem_alloc(size + 1);
        memset(text, ' ', size);
        memcpy(text, example, sizeof example - 1);
        struct connector *connector = connector_parse(text, size, "c.json", &err);
        assert_int_equal(connector != NULL, more == 0);
        if (more)
            assert_int_equal(err.code, ERR_LIMIT);
        connector_free(connector);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifest),
        cmocka_unit_test(arguments_are_checked),
        cmocka_unit_test(requests),
        cmocka_unit_test(C07_C10_values_stay_values),
        cmocka_unit_test(previews),
        cmocka_unit_test(bad_manifests),
        cmocka_unit_test(what_is_built_is_bounded),
        cmocka_unit_test(a_manifest_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
