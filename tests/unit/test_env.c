/* The environment list and the table of what a sandbox gets. */
#include "core/sandbox/env.h"

#include "core/base/mem.h"
#include "core/sandbox/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_set_replaces(void **state)
{
    struct env env = {0};

    (void)state;
    assert_null(env_get(&env, "A"));
    assert_true(env_set(&env, "A", "1"));
    assert_true(env_set(&env, "AB", "2"));
    assert_true(env_set(&env, "A", "3"));
    assert_int_equal(env.count, 2);
    assert_string_equal(env_get(&env, "A"), "3");
    assert_string_equal(env_get(&env, "AB"), "2");
    env_unset(&env, "A");
    assert_null(env_get(&env, "A"));
    assert_int_equal(env.count, 1);
    assert_null(env.items[1]);
    env_clear(&env);
}

static void test_bounds(void **state)
{
    struct env env = {0};
    char *big = mem_alloc(ENV_VALUE_MAX + 1);

    (void)state;
    memset(big, 'x', ENV_VALUE_MAX);
    assert_false(env_set(&env, "A", big));
    big[ENV_VALUE_MAX - 3 + 1] = '\0'; /* "A=" and the NUL are counted: this is one more than there is room for */
    big[ENV_VALUE_MAX - 3] = 'x';
    assert_false(env_set(&env, "A", big));
    big[ENV_VALUE_MAX - 3] = '\0';
    assert_true(env_set(&env, "A", big));
    env_clear(&env);
    env = (struct env){0};
    for (int i = 0; i < ENV_COUNT_MAX; i++) {
        AUTOFREE char *name = mem_printf("V%d", i);
        assert_true(env_set(&env, name, ""));
    }
    assert_false(env_set(&env, "ONE_MORE", ""));
    assert_true(env_set(&env, "V7", "replaced"));
    assert_int_equal(env.count, ENV_COUNT_MAX);
    env_clear(&env);
    free(big);
}

static void test_add_all_skips_what_is_malformed(void **state)
{
    char *items[] = {(char[]){"A=1"}, (char[]){"=x"}, (char[]){"noequals"}, (char[]){"B=a=b"}, NULL};
    struct env env = {0};

    (void)state;
    env_add_all(&env, items);
    assert_int_equal(env.count, 2);
    assert_string_equal(env_get(&env, "B"), "a=b");
    env_clear(&env);
}

static void test_names(void **state)
{
    (void)state;
    assert_true(env_name_valid("GH_TOKEN"));
    assert_true(env_name_valid("_x9"));
    assert_false(env_name_valid("9x"));
    assert_false(env_name_valid(""));
    assert_false(env_name_valid("A-B"));
    assert_false(env_name_valid("A=B"));
    assert_true(env_name_reserved("PATH"));
    assert_true(env_name_reserved("HOME"));
    assert_true(env_name_reserved("LD_PRELOAD"));
    assert_true(env_name_reserved("DOCKER_HOST"));
    assert_true(env_name_reserved("AILERON_TOKEN"));
    assert_true(env_name_reserved("https_proxy"));
    assert_true(env_name_reserved("SSL_CERT_FILE"));
    assert_true(env_name_reserved("PERL_LWP_SSL_CA_FILE"));
    assert_false(env_name_reserved("JAVA_TOOL_OPTIONS")); /* ours stand behind it */
    assert_false(env_name_reserved("GH_TOKEN"));
}

/* What the host's environment holds does not go in, but for terminal and language. */
static void test_terminal_only(void **state)
{
    char *host[] = {(char[]){"TERM=xterm"}, (char[]){"LC_ALL=C"}, (char[]){"AWS_SECRET_ACCESS_KEY=s"},
                    (char[]){"SSH_AUTH_SOCK=/x"}, (char[]){"LCX=1"}, (char[]){"TZ=UTC"}, NULL};
    struct env env = {0};

    (void)state;
    env_add_terminal(&env, host);
    assert_int_equal(env.count, 3);
    assert_string_equal(env_get(&env, "TERM"), "xterm");
    assert_null(env_get(&env, "AWS_SECRET_ACCESS_KEY"));
    env_clear(&env);
}

static void test_table(void **state)
{
    struct env env = {0};
    struct env_sandbox sandbox = {.token = "t0k", .user = "agent", .image_path = "/img/bin", .sealed = true};
    struct err err = {0};

    (void)state;
    env_set(&env, "https_proxy", "http://elsewhere:1");
    env_set(&env, "KEEP", "me");
    assert_true(env_apply_sandbox(&env, &sandbox, &err));
    assert_string_equal(env_get(&env, "PATH"), SANDBOX_SHIMS ":" SANDBOX_BIN ":/img/bin");
    assert_string_equal(env_get(&env, "https_proxy"), SANDBOX_PROXY_URL);
    assert_string_equal(env_get(&env, "HTTPS_PROXY"), SANDBOX_PROXY_URL);
    assert_string_equal(env_get(&env, "SSL_CERT_FILE"), SANDBOX_BUNDLE);
    assert_string_equal(env_get(&env, "NODE_EXTRA_CA_CERTS"), SANDBOX_CA_EXTRA);
    assert_string_equal(env_get(&env, "AILERON_TOKEN"), "t0k");
    assert_string_equal(env_get(&env, "AILERON_API_URL"), SANDBOX_API_URL);
    assert_string_equal(env_get(&env, "HOME"), SANDBOX_HOME);
    assert_string_equal(env_get(&env, "KEEP"), "me");
    env_clear(&env);

    sandbox.sealed = false;
    sandbox.image_path = NULL;
    assert_true(env_apply_sandbox(&env, &sandbox, &err));
    assert_null(env_get(&env, "AILERON_API_URL"));
    assert_string_equal(env_get(&env, "PATH"), SANDBOX_SHIMS ":" SANDBOX_BIN ":" SANDBOX_PATH);
    env_clear(&env);
}

/* An image's own options for Java are kept; ours stand behind them and so hold. */
static void test_java_options(void **state)
{
    static const char own[] = "-Xmx64m -Dhttps.proxyPort=1";
    static const char ours[] = " -Djavax.net.ssl.trustStore=" SANDBOX_KEYSTORE " ";
    struct env_sandbox sandbox = {.token = "t0k", .user = "agent", .sealed = true};
    struct env env = {0};
    struct err err = {0};

    (void)state;
    assert_true(env_apply_sandbox(&env, &sandbox, &err));
    assert_int_equal(strncmp(env_get(&env, "JAVA_TOOL_OPTIONS"), ours + 1, strlen(ours + 1)), 0);
    env_set(&env, "JAVA_TOOL_OPTIONS", own);
    assert_true(env_apply_sandbox(&env, &sandbox, &err));
    const char *both = env_get(&env, "JAVA_TOOL_OPTIONS");
    assert_int_equal(strncmp(both, own, strlen(own)), 0);
    assert_int_equal(strncmp(both + strlen(own), ours, strlen(ours)), 0);
    assert_string_equal(strrchr(both, ' '), " -Dhttps.proxyPort=3128");
    env_clear(&env);

    AUTOFREE char *large = mem_alloc(ENV_VALUE_MAX);
    memset(large, 'x', ENV_VALUE_MAX - 100);
    assert_true(env_set(&env, "JAVA_TOOL_OPTIONS", large));
    assert_false(env_apply_sandbox(&env, &sandbox, &err));
    assert_non_null(strstr(err.message, "the environment is too large"));
    env_clear(&env);
}

/* git has a list of its own in the environment; an entry is added to it. */
static void test_git_config(void **state)
{
    struct env_sandbox sandbox = {.token = "t0k", .user = "agent", .sealed = true};
    struct env env = {0};
    struct err err = {0};

    (void)state;
    assert_true(env_apply_sandbox(&env, &sandbox, &err));
    assert_string_equal(env_get(&env, "GIT_CONFIG_COUNT"), "1");
    assert_string_equal(env_get(&env, "GIT_CONFIG_KEY_0"), "http.version");
    assert_string_equal(env_get(&env, "GIT_CONFIG_VALUE_0"), "HTTP/1.1");
    env_set(&env, "GIT_CONFIG_KEY_0", "user.name");
    env_set(&env, "GIT_CONFIG_VALUE_0", "me");
    assert_true(env_apply_sandbox(&env, &sandbox, &err));
    assert_string_equal(env_get(&env, "GIT_CONFIG_COUNT"), "2");
    assert_string_equal(env_get(&env, "GIT_CONFIG_KEY_0"), "user.name");
    assert_string_equal(env_get(&env, "GIT_CONFIG_KEY_1"), "http.version");
    env_set(&env, "GIT_CONFIG_COUNT", "1000");
    assert_true(env_apply_sandbox(&env, &sandbox, &err));
    assert_string_equal(env_get(&env, "GIT_CONFIG_COUNT"), "1001");
    assert_string_equal(env_get(&env, "GIT_CONFIG_KEY_1000"), "http.version");
    static const char *const odd[] = {"", "-1", "1001", "x"};
    for (size_t i = 0; i < COUNT(odd); i++) {
        env_set(&env, "GIT_CONFIG_COUNT", odd[i]);
        assert_true(env_apply_sandbox(&env, &sandbox, &err));
        assert_string_equal(env_get(&env, "GIT_CONFIG_COUNT"), odd[i]);
    }
    env_clear(&env);
}

static void applied_no_proxy(const char *upper, const char *lower, const char *want)
{
    struct env_sandbox sandbox = {.token = "t0k", .user = "agent", .sealed = true};
    struct env env = {0};
    struct err err = {0};

    if (upper != NULL)
        env_set(&env, "NO_PROXY", upper);
    if (lower != NULL)
        env_set(&env, "no_proxy", lower);
    for (int twice = 0; twice < 2; twice++) {
        assert_true(env_apply_sandbox(&env, &sandbox, &err));
        assert_string_equal(env_get(&env, "NO_PROXY"), want);
        assert_string_equal(env_get(&env, "no_proxy"), want);
    }
    env_clear(&env);
}

/* What an image or an agent's file says is kept, in both cases; what is the sandbox's own is behind it, once. */
static void test_no_proxy(void **state)
{
    struct env_sandbox sandbox = {.token = "t0k", .user = "agent", .sealed = true};
    struct env env = {0};
    struct err err = {0};

    (void)state;
    applied_no_proxy(NULL, NULL, "localhost,127.0.0.1,::1");
    applied_no_proxy("", "", "localhost,127.0.0.1,::1");
    applied_no_proxy("a.test,.b.test", NULL, "a.test,.b.test,localhost,127.0.0.1,::1");
    applied_no_proxy(NULL, "*", "*,localhost,127.0.0.1,::1");
    applied_no_proxy("a.test", "a.test", "a.test,localhost,127.0.0.1,::1");
    applied_no_proxy("a.test", "b.test", "a.test,b.test,localhost,127.0.0.1,::1");
    applied_no_proxy("127.0.0.1, ::1 ,localhost.test", NULL, "127.0.0.1, ::1 ,localhost.test,localhost");
    AUTOFREE char *large = mem_alloc(ENV_VALUE_MAX);
    memset(large, 'x', ENV_VALUE_MAX - sizeof("NO_PROXY="));
    assert_true(env_set(&env, "NO_PROXY", large));
    assert_false(env_apply_sandbox(&env, &sandbox, &err));
    assert_non_null(strstr(err.message, "the environment is too large"));
    assert_false(env_name_reserved("NO_PROXY")); /* an agent's file may name more */
    env_clear(&env);
}

/* A search list would give every name another one, since every name has an address. */
static void test_no_search_list(void **state)
{
    struct env_sandbox sandbox = {.token = "t0k", .user = "agent", .sealed = true};
    struct env env = {0};
    struct err err = {0};

    (void)state;
    env_set(&env, "LOCALDOMAIN", "corp.test");
    env_set(&env, "RES_OPTIONS", "ndots:5");
    assert_true(env_apply_sandbox(&env, &sandbox, &err));
    assert_null(env_get(&env, "LOCALDOMAIN"));
    assert_null(env_get(&env, "RES_OPTIONS"));
    env_set(&env, "LOCALDOMAIN", "corp.test");
    sandbox.sealed = false;
    assert_true(env_apply_sandbox(&env, &sandbox, &err));
    assert_string_equal(env_get(&env, "LOCALDOMAIN"), "corp.test");
    env_clear(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_replaces), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_add_all_skips_what_is_malformed), cmocka_unit_test(test_names),
        cmocka_unit_test(test_terminal_only), cmocka_unit_test(test_table),
        cmocka_unit_test(test_java_options), cmocka_unit_test(test_git_config),
        cmocka_unit_test(test_no_proxy), cmocka_unit_test(test_no_search_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
