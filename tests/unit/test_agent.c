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
                                "env: { X: \"1\" }\nhosts: [h.example]\nexpose: [~/bin/a]\ninstall: get it\n"
                                "probe: [-V]\nheadless: [run, -t]\noptional_hosts: [\"*.h.example\"]\nkeeps: [~/.a]\n"
                                "bindings:\n  - { name: user/a, hosts: [h.example], scheme: bearer,\n"
                                "      sentinel: { env: [A_KEY], like: a- } }\n"
                                "recipe: { alpine: [RUN apk add a, ENV B=1] }\n",
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
    assert_string_equal(agent->probe[0], "-V");
    assert_string_equal(agent->headless[1], "-t");
    assert_string_equal(agent->optional_hosts[0], "*.h.example");
    assert_string_equal(agent->keeps[0], "~/.a");
    assert_int_equal(bindings_count(agent->bindings), 1);
    assert_string_equal(bindings_at(agent->bindings, 0)->env[0], "A_KEY");
    assert_null(agent->recipe[AGENT_DEBIAN]);
    assert_string_equal(agent->recipe[AGENT_ALPINE][1], "ENV B=1");
    assert_false(agent->own);
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
    refused("version: 1\nname: a\ncommand: [a]\nhosts: [\"a b\"]\n", "x.yaml:4:9");
    refused("version: 1\nname: a\ncommand: [a]\noptional_hosts: [h.example,\n  \"x.*\"]\n", "x.yaml:5:3");
    refused("version: 1\nname: a\ncommand: [a]\nkeeps: [/etc]\n", "x.yaml:4:9");
    refused("version: 1\nname: a\ncommand: [a]\nkeeps: [~/a/../../b]\n", "x.yaml:4:9");
    refused("version: 1\nname: a\ncommand: [a]\nbindings:\n  - name: user/a\n    hosts: [h.example]\n"
            "    scheme: bearer\n    bogus: 1\n", "x.yaml:8:5: bindings[0]");
    refused("version: 1\nname: a\ncommand: [a]\nbindings: 3\n", "x.yaml:4");
    refused("version: 1\nname: a\ncommand: [a]\nrecipe: { debian: [RUN x], dos: [RUN y] }\n", "x.yaml:4:28");
    refused("version: 1\nname: a\ncommand: [a]\nrecipe: { debian: [RUN x, COPY / /] }\n", "x.yaml:4:27");
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
        assert_true(agent->summary[0] != '\0');
        for (size_t j = 0; j < bindings_count(agent->bindings); j++)
            assert_non_null(bindings_at(agent->bindings, j)->env); /* without a variable it would never start */
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
    assert_true(agent->own);
    agent_free(agent);
    assert_null(agent_load(home, "nobody", &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.hint, "claude"));
    assert_true(file_remove_tree(home, &err));
}

/* Each name once, in order, a person's own among them; what is no agent's file is passed over. */
static void test_the_list(void **state)
{
    char home[] = "/tmp/agent.XXXXXX";
    static const char *const files[] = {"claude.yaml", "zz-mine.yaml", "notes.txt", ".yaml", "a b.yaml"};
    struct err err = {0};
    size_t mine = 0, claude = 0;

    (void)state;
    assert_non_null(mkdtemp(home));
    AUTOFREE char *dir = mem_printf("%s/agents", home);
    assert_int_equal(mkdir(dir, 0700), 0);
    for (size_t i = 0; i < COUNT(files); i++) {
        AUTOFREE char *file = mem_printf("%s/%s", dir, files[i]);
        assert_true(file_write_atomic(file, 0600, "x", 1, &err));
    }
    char **names = agent_names(home);
    for (size_t i = 0; names[i] != NULL; i++) {
        assert_true(i == 0 || strcmp(names[i - 1], names[i]) < 0);
        mine += strcmp(names[i], "zz-mine") == 0;
        claude += strcmp(names[i], "claude") == 0;
        assert_null(strchr(names[i], ' '));
    }
    assert_int_equal(mine, 1);
    assert_int_equal(claude, 1);
    match_texts_free(names);
    assert_true(file_remove_tree(home, &err));
}

/* More files than are listed are no harm, and no more than that are. */
static void test_the_list_ends(void **state)
{
    char home[] = "/tmp/agent.XXXXXX";
    struct err err = {0};
    size_t own = 0;

    (void)state;
    assert_non_null(mkdtemp(home));
    AUTOFREE char *dir = mem_printf("%s/agents", home);
    assert_int_equal(mkdir(dir, 0700), 0);
    for (size_t i = 0; i < AGENT_OWN_MAX + 1; i++) {
        AUTOFREE char *file = mem_printf("%s/own-%zu.yaml", dir, i);
        assert_true(file_write_atomic(file, 0600, "x", 1, &err));
    }
    char **names = agent_names(home);
    for (size_t i = 0; names[i] != NULL; i++)
        own += strncmp(names[i], "own-", 4) == 0;
    assert_int_equal(own, AGENT_OWN_MAX);
    match_texts_free(names);
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
        cmocka_unit_test(test_the_list), cmocka_unit_test(test_the_list_ends), cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
