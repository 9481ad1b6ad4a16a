/* Bindings: which one a request gets, and what a file may not say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "core/data/binding.h"
#include "core/data/yaml.h"

static struct bindings *load(const char *yaml, struct err *err)
{
    struct doc doc;
    *err = (struct err){0};
    if (!yaml_parse(yaml, strlen(yaml), "bindings.yaml", &doc, err))
        return NULL;
    struct json_at root = json_root(&doc);
    struct bindings *bindings = bindings_from(&root, err);
    doc_clear(&doc);
    return bindings;
}

static const char example[] =
    "version: 1\n"
    "bindings:\n"
    "  - name: user/github\n"
    "    hosts: [api.github.com, '*.githubusercontent.com']\n"
    "    scheme: bearer\n"
    "    sentinel: { env: [GH_TOKEN, GITHUB_TOKEN], like: ghp_ }\n"
    "  - { name: git, hosts: [github.com], scheme: basic, username: x-access-token, entry: user/github }\n"
    "  - name: key\n"
    "    hosts: [api.example]\n"
    "    ports: [443]\n"
    "    paths: ['/v1/**', '/v2/*:go']\n"
    "    scheme: header\n"
    "    header: { name: X-Api-Key, template: 'Token {secret}!' }\n"
    "  - { name: key-post, hosts: [api.example], methods: [POST], paths: ['/v1/**'], scheme: bearer }\n";

static const char *which(const struct bindings *bindings, const char *host, const char *method,
                         const char *path)
{
    struct match_query query = {.host = span_of(host), .port = 443, .method = span_of(method),
                                .path = span_of(path)};
    const struct binding *binding = binding_for(bindings, &query);
    if (binding)
        assert_true(binding_covers(binding, &query));
    return binding ? binding->name : "-";
}

static void the_most_specific_applies(void **state)
{
    (void)state;
    struct err err;
    struct bindings *bindings = load(example, &err);
    if (!bindings)
        fail_msg("%s", err.message);
    assert_int_equal(bindings_count(bindings), 4);
    assert_string_equal(which(bindings, "api.github.com", "GET", "/"), "user/github");
    assert_string_equal(which(bindings, "raw.githubusercontent.com", "GET", "/"), "user/github");
    assert_string_equal(which(bindings, "githubusercontent.com", "GET", "/"), "-");
    assert_string_equal(which(bindings, "github.com", "GET", "/"), "git");
    assert_string_equal(which(bindings, "api.example", "GET", "/v1/x"), "key");
    assert_string_equal(which(bindings, "api.example", "POST", "/v1/x"), "key-post");
    assert_string_equal(which(bindings, "api.example", "POST", "/v2/x"), "-");
    assert_string_equal(which(bindings, "api.example", "POST", "/v2/x:go"), "key");
    assert_string_equal(which(bindings, "api.example", "POST", "/v2/x%3Ago"), "key");
    struct match_query query = {.host = SPAN("api.example"), .port = 443, .method = SPAN("GET"),
                                .path = SPAN("/v1//x"), .ambiguous = true};
    assert_null(binding_for(bindings, &query));
    assert_false(binding_covers(binding_named(bindings, "key"), &query));
    assert_true(binding_any(bindings, SPAN("api.example"), 443));
    assert_true(binding_any(bindings, SPAN("api.example"), 80)); /* key-post has no port */
    assert_false(binding_any(bindings, SPAN("other.example"), 443));
    bindings_free(bindings);
}

static void fields(void **state)
{
    (void)state;
    struct err err;
    struct bindings *bindings = load(example, &err);
    const struct binding *github = binding_named(bindings, "user/github");
    const struct binding *git = binding_named(bindings, "git");
    const struct binding *key = binding_named(bindings, "key");
    assert_string_equal(github->entry, "user/github");
    assert_string_equal(github->header, "Authorization");
    assert_string_equal(github->before, "Bearer ");
    assert_string_equal(github->env[1], "GITHUB_TOKEN");
    assert_string_equal(git->username, "x-access-token");
    assert_string_equal(git->entry, "user/github");
    assert_string_equal(key->header, "X-Api-Key");
    assert_string_equal(key->before, "Token ");
    assert_string_equal(key->after, "!");
    AUTOFREE char *one = binding_mint_sentinel(github), *two = binding_mint_sentinel(github);
    assert_memory_equal(one, "ghp_", 4);
    assert_int_equal(strlen(one), 40);
    assert_string_not_equal(one, two);
    bindings_free(bindings);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *entry, *what;
    } rows[] = {
        {"{ hosts: [a.b], scheme: bearer }", "'name' is missing"},
        {"{ name: x, scheme: bearer }", "'hosts' is missing"},
        {"{ name: x, hosts: [], scheme: bearer }", "at least one host"},
        {"{ name: x, hosts: [a.b] }", "'scheme' is missing"},
        {"{ name: x, hosts: [a.b], scheme: magic }", "must be bearer, basic or header"},
        {"{ name: x, hosts: [a.b], scheme: oauth2 }", "oauth2 is not in this version"},
        {"{ name: x, hosts: [a.b], scheme: sigv4 }", "sigv4 is not in this version"},
        {"{ name: x, hosts: [a.b], scheme: query }", "query is not in this version"},
        {"{ name: x, hosts: [a.b], scheme: mtls }", "mtls is not in this version"},
        {"{ name: none, hosts: [a.b], scheme: bearer }", "must be a name"},
        {"{ name: ../x, hosts: [a.b], scheme: bearer }", "must be a name"},
        {"{ name: x, hosts: [a.b], scheme: bearer, username: u }", "scheme basic alone"},
        {"{ name: x, hosts: [a.b], scheme: basic, username: 'a:b' }", "colon"},
        {"{ name: x, hosts: [a.b], scheme: bearer, header: { name: X } }", "scheme header alone"},
        {"{ name: x, hosts: [a.b], scheme: header }", "'header' is missing"},
        {"{ name: x, hosts: [a.b], scheme: header, header: { name: X, template: y } }", "{secret} exactly once"},
        {"{ name: x, hosts: [a.b], scheme: header, header: { name: X, template: '{secret}{secret}' } }",
         "exactly once"},
        {"{ name: x, hosts: [a.b], scheme: header, header: { name: X, template: \"a\\r\\nB: {secret}\" } }",
         "control character"},
        {"{ name: x, hosts: [a.b], scheme: header, header: { name: 'X Y' } }", "no header name"},
        {"{ name: x, hosts: [a.b], scheme: header, header: { name: Transfer-Encoding } }", "belongs to HTTP"},
        {"{ name: x, hosts: [a.b], scheme: bearer, sentinel: { env: [LD_PRELOAD] } }", "no name for a variable"},
        {"{ name: x, hosts: [a.b], scheme: bearer, sentinel: { env: [PATH] } }", "no name for a variable"},
        {"{ name: x, hosts: [a.b], scheme: bearer, sentinel: { env: ['A=B'] } }", "no name for a variable"},
        {"{ name: x, hosts: [a.b], scheme: bearer, sentinel: { env: [A], like: 'a b' } }", "letters, digits"},
        {"{ name: x, hosts: [a.b], scheme: bearer, sentinel: { like: a } }", "'env' is missing"},
        {"{ name: x, hosts: [a.b], scheme: bearer, secret: hunter2 }", "secret: unknown key"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err;
        AUTOFREE char *yaml = mem_printf("version: 1\nbindings:\n  - %s\n", rows[i].entry);
        struct bindings *bindings = load(yaml, &err);
        if (bindings)
            fail_msg("taken: %s", rows[i].entry);
        assert_memory_equal(err.message, "bindings.yaml:3:", 16);
        if (!strstr(err.message, rows[i].what))
            fail_msg("%s\n  wanted %s", err.message, rows[i].what);
        assert_null(strstr(err.message, "hunter2"));
    }
    struct err err;
    assert_null(load("version: 1\nbindings:\n  - { name: x, hosts: [a.b], scheme: bearer }\n"
                     "  - { name: x, hosts: [b.c], scheme: bearer }\n", &err));
    assert_string_equal(err.message, "bindings.yaml:4:13: bindings[1].name: another binding has this name");
}

static void headers_of_arguments(void **state)
{
    (void)state;
    assert_true(binding_header_free("If-Match"));
    static const char *const kept[] = {"host", "Content-Length", "TRANSFER-ENCODING", "Authorization",
                                       "cookie", "Connection", "a b", "", "X-HTTP-Method-Override"};
    for (size_t i = 0; i < COUNT(kept); i++)
        assert_false(binding_header_free(kept[i]));
}

static bool loads(size_t bindings, size_t hosts, size_t name)
{
    struct buf text;
    struct err err;
    buf_init(&text, 1024 * 1024);
    assert_true(buf_adds(&text, "version: 1\nbindings:\n"));
    for (size_t i = 0; i < bindings; i++) {
        assert_true(buf_printf(&text, "  - { scheme: bearer, name: n%zu", i));
        for (size_t n = 3; n < name; n++)
            assert_true(buf_adds(&text, "n"));
        assert_true(buf_adds(&text, i % 10 ? ", hosts: [" : "n, hosts: ["));
        for (size_t n = 0; n < hosts; n++)
            assert_true(buf_printf(&text, "h%zu.test, ", n));
        assert_true(buf_adds(&text, "] }\n"));
    }
    struct bindings *loaded = load(buf_cstr(&text), &err);
    buf_clear(&text);
    if (!loaded && !strstr(err.message, "more than") && !strstr(err.message, "longer than"))
        fail_msg("%s", err.message);
    bool good = loaded != NULL;
    bindings_free(loaded);
    return good;
}

static void files_are_bounded(void **state)
{
    (void)state;
    assert_true(loads(BINDINGS_MAX, 1, 3));
    assert_false(loads(BINDINGS_MAX + 1, 1, 3));
    assert_true(loads(1, BINDING_HOSTS_MAX, 3));
    assert_false(loads(1, BINDING_HOSTS_MAX + 1, 3));
    assert_true(loads(1, 1, BINDING_NAME_MAX));
    assert_false(loads(1, 1, BINDING_NAME_MAX + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_specific_applies), cmocka_unit_test(fields),
        cmocka_unit_test(what_is_wrong_is_named), cmocka_unit_test(headers_of_arguments),
        cmocka_unit_test(files_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
