/* Agent files: what is read, what is refused. */
#include "core/sandbox/agent.h"

#include "core/base/embed.h"
#include "core/base/file.h"
#include "core/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct agent *parse(const char *text, struct err *err)
{
    *err = (struct err){0};
    return agent_parse("x.yaml", text, strlen(text), err);
}

static void refused(const char *text, const char *where)
{
    struct err err;
    struct agent *agent = parse(text, &err);

    assert_null(agent);
    assert_int_equal(err.code, ERR_CONFIG);
    if (strstr(err.message, where) == NULL)
        fail_msg("\"%s\" does not say %s", err.message, where);
}

static void test_whole_file(void **state)
{
    struct err err;
    struct agent *agent = parse("version: 1\nname: a\nsummary: An agent\ncommand: [a, --flag]\n"
                                "env: { X: \"1\" }\nhosts: [h.example]\nexpose: [~/bin/a]\ninstall: get it\n",
                                &err);

    (void)state;
    assert_non_null(agent);
    assert_string_equal(agent->name, "a");
    assert_int_equal(agent->command_count, 2);
    assert_string_equal(agent->command[1], "--flag");
    assert_string_equal(env_get(&agent->env, "X"), "1");
    assert_string_equal(agent->hosts[0], "h.example");
    assert_string_equal(agent->expose[0], "~/bin/a");
    assert_string_equal(agent->install, "get it");
    agent_free(agent);
}

static void test_refused(void **state)
{
    (void)state;
    refused("version: 1\nname: a\ncommand: [a]\nbogus: 1\n", "x.yaml:4");
    refused("version: 2\nname: a\ncommand: [a]\n", "x.yaml:1");
    refused("version: 1\nname: a\ncommand: []\n", "command");
    refused("version: 1\nname: a\n", "command");
    refused("version: 1\nname: ../a\ncommand: [a]\n", "name");
    refused("version: 1\nname: a\ncommand: [a]\nenv: { PATH: /x }\n", "PATH");
    refused("version: 1\nname: a\ncommand: [a]\nenv: { LD_PRELOAD: /x }\n", "LD_PRELOAD");
    refused("version: 1\nname: a\ncommand: [a]\nenv: { \"A B\": x }\n", "A B");
    refused("version: 1\nname: a\ncommand: [a]\nenv: { X: 1 }\n", "x.yaml:4");
    refused("- a\n", "x.yaml:1");
    refused("", "x.yaml");
}

static void test_names(void **state)
{
    (void)state;
    assert_true(agent_name_valid("claude"));
    assert_true(agent_name_valid("a-b_c.1"));
    assert_false(agent_name_valid(""));
    assert_false(agent_name_valid(".x"));
    assert_false(agent_name_valid("-x"));
    assert_false(agent_name_valid("a/b"));
    assert_false(agent_name_valid("../../etc/passwd"));
}

/* Every embedded agent's file is good, and is what its name says. */
static void test_embedded(void **state)
{
    size_t seen = 0;

    (void)state;
    for (size_t i = 0; i < embed_count; i++) {
        const char *prefix = "contrib/agents/", *path = embed_files[i].path;
        struct err err = {0};
        if (strncmp(path, prefix, strlen(prefix)) != 0)
            continue;
        AUTOFREE char *name = mem_strndup(path + strlen(prefix), strcspn(path + strlen(prefix), "."));
        struct agent *agent = agent_load("/nonexistent", name, &err);
        if (agent == NULL)
            fail_msg("%s: %s", path, err.message);
        assert_string_equal(agent->name, name);
        agent_free(agent);
        seen++;
    }
    assert_true(seen >= 2);
}

static void test_the_users_own_wins(void **state)
{
    char home[] = "/tmp/agent.XXXXXX";
    struct err err = {0};
    static const char text[] = "version: 1\nname: claude\ncommand: [mine]\n";

    (void)state;
    assert_non_null(mkdtemp(home));
    AUTOFREE char *dir = mem_printf("%s/agents", home);
    AUTOFREE char *file = mem_printf("%s/claude.yaml", dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_true(file_write_atomic(file, 0600, text, sizeof(text) - 1, &err));
    struct agent *agent = agent_load(home, "claude", &err);
    assert_non_null(agent);
    assert_string_equal(agent->command[0], "mine");
    agent_free(agent);
    assert_null(agent_load(home, "nobody", &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.hint, "claude"));
    assert_true(file_remove_tree(home, &err));
}

static void test_bounds(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        char home[] = "/tmp/aileron-agent.XXXXXX";
        struct buf text;
        struct err err = {0};
        assert_non_null(mkdtemp(home));
        AUTOFREE char *agents = mem_printf("%s/agents", home);
        AUTOFREE char *path = mem_printf("%s/own.yaml", agents);
        assert_true(file_mkdirs(agents, 0700, &err));
        buf_init(&text, AGENT_FILE_BYTES + 1);
        assert_true(buf_adds(&text, "version: 1\nname: own\ncommand: [own]\n#"));
        while (text.len < AGENT_FILE_BYTES + more)
            assert_true(buf_adds(&text, "x"));
        assert_true(file_write_atomic(path, 0600, (const char *)text.data, text.len, &err));
        buf_clear(&text);
        struct agent *agent = agent_load(home, "own", &err);
        assert_int_equal(agent != NULL, more == 0);
        if (more)
            assert_int_equal(err.code, ERR_LIMIT);
        agent_free(agent);
        assert_true(file_remove_tree(home, &err));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_file), cmocka_unit_test(test_refused), cmocka_unit_test(test_names),
        cmocka_unit_test(test_embedded),   cmocka_unit_test(test_the_users_own_wins),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
