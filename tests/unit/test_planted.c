/* What an agent leaves for the host to run (threat F11): which files count, what of them, and hostile trees. */
#include "tests/unit/planted_world.h"

/* One change alone: what it is told as. */
static void alone(const char *below, const char *want)
{
    struct planted *before = take(NULL);

    put(below, "planted\n");
    expect(before, want);
}

static void each_kind_is_told(void **state)
{
    static const char *const files[] = {
        ".git/hooks/pre-commit", ".git/config", ".git/config.worktree", ".git/info/attributes",
        ".git/modules/lib/sub/hooks/post-checkout", ".git/modules/lib/sub/config", ".git/worktrees/w/config.worktree",
        ".git/rebase-merge/git-rebase-todo", "sub/.git", "vendor/lib/.git/hooks/post-merge", "vendor/lib/.git/config",
        ".envrc", "deep/er/.envrc", ".vscode/tasks.json", "app/.vscode/settings.json", "a.code-workspace",
        ".devcontainer/devcontainer.json", ".devcontainer/deep/er/postCreate.sh", ".idea/runConfigurations/x.xml",
        ".husky/_/husky.sh", ".githooks/pre-push", ".pre-commit-config.yaml", "lefthook.yml", "mise.toml",
        ".claude/settings.json", ".claude/hooks/x.sh", ".mcp.json", ".cursor/mcp.json", ".codex/config.toml",
        ".gemini/settings.json", ".aileron.yaml", "package.json", "web/package.json", ".npmrc",
        ".yarn/releases/yarn-4.cjs", ".cargo/config.toml", "rust-toolchain.toml", ".venv/bin/python3", ".exrc",
        "lefthook.toml", ".config/lefthook.yml", ".config/mise/conf.d/x.toml", "flake.nix", ".vscode/x/extension.js",
        ".vim/coc-settings.json", ".bsp/sbt.json", "build.rs", "eslint.config.mjs", ".codex/hooks/x.py",
        ".gemini/extensions/x/run.sh", ".pi/extensions/x.ts", ".github/hooks/x.json", ".pnpmfile.mjs", "binding.gyp",
        "gradle/wrapper/gradle-wrapper.properties", ".venv/lib/python3.11/site-packages/x.pth",
        "venv/lib/python3.11/site-packages/sitecustomize.py", ".ghci", ".pdbrc", ".jj/repo/config.toml"};

    (void)state;
    for (size_t i = 0; i < COUNT(files); i++) {
        AUTOFREE char *is_new = mem_printf("new %s\n", files[i]);
        alone(files[i], is_new);
        AUTOFREE char *path = place(files[i]);
        struct planted *before = take(NULL);
        assert_int_equal(unlink(path), 0);
        AUTOFREE char *removed = mem_printf("removed %s\n", files[i]);
        expect(before, removed);
    }
}

/* The manual names each row of the table. */
static void the_manual_has_the_table(void **state)
{
    struct buf manual;
    struct err err = {0};

    (void)state;
    assert_true(file_read("man/aileron.7", 1 << 20, &manual, &err));
    for (size_t i = 0; i < planted_row_count; i++) {
        const struct planted_row *row = &planted_rows[i];
        bool named = (row->flags & PLANTED_GIT) == 0 && row->dir != NULL;
        AUTOFREE char *file = mem_printf("%s%s%s", named ? row->dir : "", named ? "/" : "", row->name);
        if (strstr(buf_cstr(&manual), file) == NULL)
            fail_msg("aileron(7) says nothing of %s", file);
        if (strstr(buf_cstr(&manual), row->runs) == NULL)
            fail_msg("aileron(7) says nothing of %s", row->runs);
    }
    buf_clear(&manual);
}

static void what_is_ordinary_is_not_told(void **state)
{
    static const char *const files[] = {"Makefile", "src/main.c", "CLAUDE.md", ".git/hooks/pre-commit.sample",
                                        ".git/objects/ab/config", ".git/HEAD", "hooks/useState.js", "config",
                                        "node_modules/x/package.json", "node_modules/x/.envrc", "info/attributes"};

    (void)state;
    for (size_t i = 0; i < COUNT(files); i++)
        alone(files[i], "");
}

static void contents_count_and_times_do_not(void **state)
{
    AUTOFREE char *hook = place(".git/hooks/pre-commit");
    struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

    (void)state;
    put(".git/hooks/pre-commit", "one\n");
    assert_int_equal(utimensat(0, hook, times, 0), 0);
    struct planted *before = take(NULL);
    put(".git/hooks/pre-commit", "two\n"); /* the same size, and the old times are put back */
    assert_int_equal(utimensat(0, hook, times, 0), 0);
    expect(before, "changed .git/hooks/pre-commit\n");
    before = take(NULL);
    put(".git/hooks/pre-commit", "two\n");
    expect(before, "");
    before = take(NULL);
    assert_int_equal(chmod(hook, 0755), 0);
    expect(before, "changed .git/hooks/pre-commit\n");
}

static void git_config_tells_what_can_run(void **state)
{
    static const char base[] = "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://host/x\n";
    static const struct {
        const char *text;
        bool told;
    } cases[] = {
        {"[core]\n\tbare = false\n[remote \"origin\"]\n\turl = git@host:x\n", false},
        {"[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://host/x\n[branch \"b\"]\n\tremote = origin\n"
         "\tmerge = refs/heads/b\n[user]\n\tname = A B\n", false},
        {"[core]\n\tbare = false\n\tfsmonitor = evil\n[remote \"origin\"]\n\turl = https://host/x\n", true},
        {"[core]\n\tbare = false\n[remote \"origin\"]\n\turl = ext::sh\n", true},
        {"[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://host/x\n\tuploadpack = evil\n", true},
        {"[branch \"b\"]\n\tremote = \"x\\\n\n[core]\n\tpager = evil\n", true},
        {"[branch \"b\"]\n\tmerge = x \\\n\tpager = evil\n", true},
        {"[branch \"b\"] merge = x\n[core] pager = evil\n", true},
        {"[alias]\n\tst = !evil\n", true},
        {"[include]\n\tpath = ../evil\n", true},
        {"[core]\n\tbare = false\n[filter \"x\"]\n\tclean = evil\n", true},
        {"\xef\xbb\xbf[core]\n\tmerge = x\n\tpager = evil\n", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        put(".git/config", base);
        struct planted *before = take(NULL);
        put(".git/config", cases[i].text);
        expect(before, cases[i].told ? "changed .git/config\n" : "");
    }
    /* What looks harmless goes on with a command. */
    put(".git/config", "[core]\n\tpager = echo \\\n\tfilemode = a\n");
    struct planted *before = take(NULL);
    put(".git/config", "[core]\n\tpager = echo \\\n\tfilemode = $(evil)\n");
    expect(before, "changed .git/config\n");
    /* The same line is another one under another header. */
    put(".git/config", "[x]\n[branch \"b\"]\n\tpager = evil\n");
    before = take(NULL);
    put(".git/config", "[core]\n\tpager = evil\n");
    expect(before, "changed .git/config\n");
}

static void package_json_tells_scripts(void **state)
{
    (void)state;
    put("package.json", "{\"scripts\": {\"test\": \"x\"}, \"dependencies\": {}}");
    struct planted *before = take(NULL);
    put("package.json", "{\"dependencies\": {\"left-pad\": \"1\"}, \"scripts\": {\"test\":\"x\"}}");
    expect(before, "");
    before = take(NULL);
    put("package.json", "{\"scripts\": {\"test\": \"x\", \"postinstall\": \"evil\"}}");
    expect(before, "changed package.json\n");
    before = take(NULL);
    put("package.json", "{\"scripts\": {\"test\": \"x\", \"postinstall\": \"evil\"}} // no JSON");
    expect(before, "changed package.json\n");
    put("package.json", "{\"dependencies\": {\"a\": \"^1.2\"}}");
    before = take(NULL);
    put("package.json", "{\"dependencies\": {\"a\": \"^1.3\", \"b\": \"2.x || 3\"}}");
    expect(before, "");
    before = take(NULL);
    put("package.json", "{\"dependencies\": {\"a\": \"file:./evil\"}}");
    expect(before, "changed package.json\n");
}

static void repositories_by_any_name(void **state)
{
    struct planted *before = take(NULL);

    (void)state;
    put("docs/HEAD", "ref: refs/heads/main\n");
    folder("docs/objects");
    folder("docs/refs");
    put("docs/config", "[core]\n\tfsmonitor = evil\n");
    put("docs/hooks/post-checkout", "evil\n");
    expect(before, "new docs/config\nnew docs/hooks/post-checkout\n");
}

static void hooks_elsewhere_are_followed(void **state)
{
    (void)state;
    put(".git/config", "[core]\n\thooksPath = tools/git\n");
    put("tools/git/pre-commit", "one\n");
    put("tools/other", "x\n");
    struct planted *before = take(NULL);
    put("tools/git/pre-commit", "two\n");
    put("tools/other", "y\n");
    expect(before, "changed tools/git/pre-commit\n");

    folder("scripts");
    put("lib/.git/HEAD", "x\n");
    put_link("../../scripts", "lib/.git/hooks");
    before = take(NULL);
    put("scripts/pre-push", "evil\n");
    expect(before, "new lib/.git/hooks/pre-push\n");
}

static void places_on_the_path(void **state)
{
    AUTOFREE char *inside = place("node_modules/.bin");
    AUTOFREE char *path = mem_printf("/usr/bin:%s:tools/bin:/nowhere", inside);

    (void)state;
    put("node_modules/.bin/eslint", "x\n");
    struct planted *before = take(path);
    put("node_modules/.bin/ls", "evil\n");
    put("tools/bin/git", "evil\n");
    put("bin/git", "not on it\n");
    expect(before, "new node_modules/.bin/ls\nnew tools/bin/git\n");
}

static void links_that_lead_out(void **state)
{
    static const struct {
        const char *dir, *target;
        bool out;
    } cases[] = {
        {"", "a/b", false},
        {"", "..", true},
        {"", "../x", true},
        {"a", "../x", false},
        {"a/b", "../../x", false},
        {"a/b", "../../../x", true},
        {"", "/etc/passwd", true},
        {"", "/usr/bin/python3", false},
        {"", "/usr/../root", true},
        {"a", "./../..", true},
        {"", "a/../../x", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(planted_leads_out(cases[i].dir, cases[i].target), cases[i].out);
    put_link("/root/.ssh/id_rsa", "old");
    folder("sub");
    struct planted *before = take(NULL);
    put_link("/root/.bashrc", "README");
    put_link("../../out", "sub/data");
    put_link("README", "fine");
    expect(before, "new README\nnew sub/data\n");
}

/* By a link that leads to a link: what is outside is not looked into. */
static void nothing_outside_is_looked_at(void **state)
{
    AUTOFREE char *outside = mem_strdup(root), *inside = mem_printf("%s/ws", root);

    (void)state;
    put("out/tasks.json", "{}\n");
    folder("ws");
    AUTOFREE char *target = place("out");
    memcpy(root, inside, strlen(inside) + 1);
    struct planted *before = take(NULL);
    put_link(target, "hop");
    put_link("hop", ".vscode");
    expect(before, "new .vscode\nnew hop\n");
    memcpy(root, outside, strlen(outside) + 1);
}

/* What the first look missed may have been there before: the second one tells it by its time. */
static void what_was_missed_may_be_old(void **state)
{
    (void)state;
    for (int i = 0; i <= PLANTED_FILES_MAX; i++) {
        AUTOFREE char *name = mem_printf(".githooks/h%04d", i);
        put(name, "x\n");
    }
    struct planted *before = take(NULL);
    AUTOFREE char *gone = mem_printf("%s/%s", root, before->entries[0].path);
    AUTOFREE char *want = mem_printf("removed %s\npartial: ", before->entries[0].path);
    assert_int_equal(unlink(gone), 0);
    before->taken.tv_sec += 3600;
    AUTOFREE char *got = changes(before);
    assert_memory_equal(got, want, strlen(want));
}

static void set_user_id_files(void **state)
{
    AUTOFREE char *path = place("tool");

    (void)state;
    put("tool", "x\n");
    struct planted *before = take(NULL);
    assert_int_equal(chmod(path, 04755), 0);
    expect(before, "new tool\n");
}

static void hostile_trees_end(void **state)
{
    char deep[3 * 1500 + 1] = "";

    (void)state;
    struct planted *before = take(NULL);
    folder(".vscode");
    put_link(".", ".vscode/.vscode");
    put_link("loop", ".envrc");
    put_link(".git/config", ".npmrc");
    put_link("../..", ".vscode/settings.json");
    folder(".git");
    AUTOFREE char *fifo = place(".git/config");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    AUTOFREE char *odd = place(".vscode/\x1b[2Jtasks.json");
    assert_int_equal(mkfifo(odd, 0600), 0);
    /* Deeper than a path can say: each step is made from the one before. */
    assert_int_equal(chdir(root), 0);
    for (size_t i = 0; i < 1500; i++) {
        assert_int_equal(mkdir("aaa", 0755), 0);
        assert_int_equal(chdir("aaa"), 0);
        strncat(deep, "aaa", sizeof deep - strlen(deep) - 1);
    }
    assert_int_equal(chdir("/"), 0);
    AUTOFREE char *got = changes(before);
    assert_non_null(strstr(got, "new .envrc\n"));
    assert_non_null(strstr(got, "new .git/config\n"));
    assert_non_null(strstr(got, "new .npmrc\n"));
    assert_non_null(strstr(got, "new .vscode/\x1b[2Jtasks.json\n"));
    assert_non_null(strstr(got, "partial: names too long"));
}

static void limit_planted_changes(void **state)
{
    struct planted *before = take(NULL);

    (void)state;
    for (int i = 0; i < PLANTED_CHANGES_MAX; i++) {
        AUTOFREE char *name = mem_printf("d%03d/.envrc", i);
        put(name, "x\n");
    }
    AUTOFREE char *all = changes(before);
    assert_null(strstr(all, "of "));
    before = take(NULL);
    for (int i = 0; i <= PLANTED_CHANGES_MAX; i++) {
        AUTOFREE char *name = mem_printf("d%03d/.envrc", i);
        put(name, "y\n");
    }
    AUTOFREE char *more = changes(before);
    assert_non_null(strstr(more, "of 101\n"));
}

static void limit_planted_file(void **state)
{
    char *large = mem_alloc(PLANTED_FILE_BYTES + 2);

    (void)state;
    memset(large, 'x', PLANTED_FILE_BYTES);
    put(".envrc", large);
    struct planted *before = take(NULL);
    put(".envrc", large); /* the same contents: nothing */
    expect(before, "");
    large[PLANTED_FILE_BYTES] = 'x';
    put(".envrc", large);
    before = take(NULL);
    put(".envrc", large); /* one byte above: that it was written is enough */
    expect(before, "changed .envrc\n");
    free(large);
}

static void limit_planted_folder(void **state)
{
    (void)state;
    folder("many");
    for (int i = 0; i < PLANTED_FOLDER_MAX; i++) {
        AUTOFREE char *path = mem_printf("%s/many/%d", root, i);
        assert_int_equal(mknod(path, S_IFREG | 0600, 0), 0);
    }
    expect(take(NULL), "");
    put("many/more", "x\n");
    put("zzz/.envrc", "old\n");
    struct planted *before = take(NULL);
    assert_string_equal(before->partial, "too many names: not all are known of many");
    put("zzz/.envrc", "new\n"); /* beside it everything is seen as ever */
    AUTOFREE char *got = changes(before);
    assert_non_null(strstr(got, "changed zzz/.envrc\npartial: too many names"));
}

static void limit_planted_files(void **state)
{
    (void)state;
    for (int i = 0; i < PLANTED_FILES_MAX; i++) {
        AUTOFREE char *name = mem_printf(".githooks/h%04d", i);
        put(name, "x\n");
    }
    struct planted *before = take(NULL);
    assert_int_equal(before->count, PLANTED_FILES_MAX);
    assert_string_equal(before->partial, "");
    put(".githooks/one-more", "x\n");
    AUTOFREE char *got = changes(before);
    assert_non_null(strstr(got, "partial: too many such files"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        PLANTED(each_kind_is_told),
        PLANTED(the_manual_has_the_table),
        PLANTED(what_is_ordinary_is_not_told),
        PLANTED(contents_count_and_times_do_not),
        PLANTED(git_config_tells_what_can_run),
        PLANTED(package_json_tells_scripts),
        PLANTED(repositories_by_any_name),
        PLANTED(hooks_elsewhere_are_followed),
        PLANTED(places_on_the_path),
        PLANTED(links_that_lead_out),
        PLANTED(nothing_outside_is_looked_at),
        PLANTED(what_was_missed_may_be_old),
        PLANTED(set_user_id_files),
        PLANTED(hostile_trees_end),
        PLANTED(limit_planted_changes),
        PLANTED(limit_planted_file),
        PLANTED(limit_planted_folder),
        PLANTED(limit_planted_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
