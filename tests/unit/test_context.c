/* What goes into a build: which edits change the hash, what is left out, and the bounds. */
#include "core/sandbox/context.h"

#include "core/base/file.h"
#include "core/base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[4096], own_file[4200];

static int set_up(void **state)
{
    const char *tmp = getenv("TMPDIR");
    AUTOFREE char *template = mem_printf("%s/context.XXXXXX", tmp != NULL ? tmp : "/tmp");

    (void)state;
    if (mkdtemp(template) == NULL || realpath(template, root) == NULL)
        return -1;
    snprintf(own_file, sizeof(own_file), "%s/devcontainer.json", root);
    return 0;
}

static int tear_down(void **state)
{
    struct err err = {0};

    (void)state;
    return file_remove_tree(root, &err) ? 0 : -1;
}

static char *place(const char *name)
{
    return mem_printf("%s/%s", root, name);
}

static void put(const char *name, const char *text)
{
    AUTOFREE char *path = place(name);
    struct err err = {0};

    assert_true(file_write_atomic(path, 0644, text, strlen(text), &err));
}

static void folder(const char *name)
{
    AUTOFREE char *path = place(name);

    assert_int_equal(mkdir(path, 0755), 0);
}

static void hash_now(char hex[65])
{
    struct sha256 hash;
    struct err err = {0};
    uint8_t digest[CRYPTO_HASH_LEN];

    sha256_init(&hash);
    if (!context_hash(&hash, root, own_file, &err))
        fail_msg("%s", err.message);
    sha256_end(&hash, digest);
    text_hex(digest, sizeof(digest), hex);
}

static char last[65];

static void is_another(const char *what)
{
    char now[65];

    hash_now(now);
    if (strcmp(now, last) == 0)
        fail_msg("%s: the same", what);
    memcpy(last, now, sizeof(last));
}

static void is_the_same(const char *what)
{
    char now[65];

    hash_now(now);
    if (strcmp(now, last) != 0)
        fail_msg("%s: another", what);
}

static void test_edits(void **state)
{
    AUTOFREE char *a = place("a");
    AUTOFREE char *b = place("b");
    AUTOFREE char *link = place("link");

    (void)state;
    hash_now(last);
    put("a", "1");
    is_another("a file");
    put("a", "2");
    is_another("its contents");
    put("a", "2");
    is_the_same("written again");
    assert_int_equal(chmod(a, 0600), 0);
    is_the_same("a mode that does not make it a program");
    assert_int_equal(chmod(a, 0755), 0);
    is_another("a program");
    assert_int_equal(rename(a, b), 0);
    is_another("its name");
    assert_int_equal(symlink("b", link), 0);
    is_another("a symlink");
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink("/etc", link), 0);
    is_another("where it leads");
    folder("dir");
    is_another("a directory");
    put("dir/c", "3");
    is_another("a file in it");
    /* What one file holds is never read as another's name. */
    put("dir/c", "");
    put("dir/d", "f" "x");
    is_another("two files");
    folder(".git");
    put(".git/index", "1");
    is_the_same(".git");
    put("devcontainer.json", "{}");
    is_the_same("the dev container's own file");
    put("dir/devcontainer.json", "{}");
    is_another("one of its name");
}

static void test_ignore(void **state)
{
    (void)state;
    folder("node_modules");
    put(".dockerignore", "# c\nnode_modules\n*.log\n!keep.log\n");
    hash_now(last);
    put("node_modules/x", "1");
    put("x.log", "1");
    is_the_same("what is ignored");
    put("keep.log", "1");
    is_another("what is kept");
    put("x.txt", "1");
    is_another("what is not named");
}

static void ignores(const char *patterns, const char *path, bool want)
{
    struct context_ignores list = {0};

    context_ignores_parse(&list, patterns);
    if (context_ignored(&list, path) != want)
        fail_msg("%s: %s", patterns, path);
    context_ignores_clear(&list);
}

static void test_patterns(void **state)
{
    (void)state;
    ignores("a", "a", true);
    ignores("a", "a/b/c", true);
    ignores("a", "b/a", false);
    ignores("/a/", "a/b", true);
    ignores("./a\r\n", "a", true);
    ignores("**/a", "a", true);
    ignores("**/a", "b/c/a/d", true);
    ignores("*/a", "b/a", true);
    ignores("*/a", "b/c/a", false);
    ignores("*.md\n!README.md", "README.md", false);
    ignores("*.md\n!README.md", "x.md", true);
    ignores("!a\na", "a", true);
    ignores("# a", "# a", false);
    ignores("", "a", false);
    /* What we cannot read leaves nothing out, and keeps everything. */
    ignores("a?", "ab", false);
    ignores("[a]", "a", false);
    ignores("*\n![a]", "a", false);
    CLEANUP(buf_clear) struct buf many;
    buf_init(&many, 65536);
    for (size_t i = 0; i < CONTEXT_IGNORES_MAX; i++)
        assert_true(buf_adds(&many, "a\n"));
    ignores(buf_cstr(&many), "a", true);
    assert_true(buf_adds(&many, "b\n"));
    ignores(buf_cstr(&many), "a", false);
}

static void test_used(void **state)
{
    (void)state;
    assert_false(context_is_used("FROM debian:12\nRUN apt-get update\n"));
    assert_true(context_is_used("FROM a\nCOPY . /\n"));
    assert_true(context_is_used("FROM a\n  add x /\n"));
    assert_true(context_is_used("FROM a\nRUN --mount=type=bind,target=/x make\n"));
    assert_true(context_is_used("FROM a\nONBUILD COPY . /\n"));
    assert_false(context_is_used("FROM scopy\nRUN xadd\n"));
}

static void test_bounds(void **state)
{
    struct sha256 hash;
    struct err err = {0};
    CLEANUP(buf_clear) struct buf path;

    (void)state;
    buf_init(&path, 4096);
    sha256_init(&hash);
    assert_true(buf_adds(&path, "deep"));
    folder(buf_cstr(&path));
    for (size_t i = 2; i < CONTEXT_DEPTH_MAX; i++) {
        assert_true(buf_adds(&path, "/d"));
        folder(buf_cstr(&path));
    }
    assert_true(context_hash(&hash, root, own_file, &err));
    assert_true(buf_adds(&path, "/d"));
    folder(buf_cstr(&path));
    assert_false(context_hash(&hash, root, own_file, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_non_null(strstr(err.hint, ".dockerignore"));
}

static void test_size(void **state)
{
    if (getenv("UNDER_VALGRIND") != NULL)
        skip(); /* 2 GiB, and SHA-256 in a simulated processor */
    AUTOFREE char *path = place("large");
    struct sha256 hash;
    struct err err = {0};

    (void)state;
    sha256_init(&hash);
    put("large", "");
    assert_int_equal(truncate(path, (off_t)CONTEXT_BYTES_MAX + 1), 0); /* a hole: it costs nothing but the reading */
    assert_false(context_hash(&hash, root, own_file, &err));
    assert_int_equal(err.code, ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_edits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ignore, set_up, tear_down),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_used),
        cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_size, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
