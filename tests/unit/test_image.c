/* Tags of images: which parts of a dev container are in them, and what a name becomes. Builds are in
 * tests/e2e/plan.bats. */
#include "core/sandbox/image.h"

#include "core/base/file.h"
#include "core/sandbox/context.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char root[4096];
static struct devcontainer dev;
static char *last;

static void put(const char *name, const char *text, size_t len)
{
    AUTOFREE char *path = file_join(root, name);
    struct err err = {0};

    assert_true(file_write_atomic(path, 0644, text, len, &err));
}

static int set_up(void **state)
{
    const char *tmp = getenv("TMPDIR");
    AUTOFREE char *template = mem_printf("%s/image.XXXXXX", tmp != NULL ? tmp : "/tmp");

    (void)state;
    if (mkdtemp(template) == NULL || realpath(template, root) == NULL)
        return -1;
    put("Dockerfile", "FROM a\n", 7);
    dev = (struct devcontainer){.file = mem_strdup("devcontainer.json"), .dir = mem_strdup(root),
                                .workspace = mem_strdup(root), .name = mem_strdup("My  Project!"),
                                .dockerfile = file_join(root, "Dockerfile"), .context = mem_strdup(root)};
    return 0;
}

static int tear_down(void **state)
{
    struct err err = {0};
    char *owned[] = {dev.file, dev.dir, dev.workspace, dev.name, dev.dockerfile, dev.context, dev.target, dev.image,
                     dev.features, last};

    (void)state;
    for (size_t i = 0; i < COUNT(owned); i++)
        free(owned[i]);
    env_clear(&dev.args);
    last = NULL;
    return file_remove_tree(root, &err) ? 0 : -1;
}

static char *tag_now(void)
{
    struct err err = {0};
    bool named;
    char *tag = image_tag(&dev, &named, &err);

    if (tag == NULL)
        fail_msg("%s", err.message);
    assert_false(named);
    return tag;
}

static void differs(const char *what)
{
    char *tag = tag_now();

    if (last != NULL && strcmp(tag, last) == 0)
        fail_msg("%s: the same", what);
    free(last);
    last = tag;
}

static void stays(const char *what)
{
    AUTOFREE char *tag = tag_now();

    if (strcmp(tag, last) != 0)
        fail_msg("%s: another", what);
}

static void test_inputs(void **state)
{
    struct err err = {0};
    bool named;

    (void)state;
    differs("the first");
    assert_int_equal(strncmp(last, "aileron-my-project:", 19), 0);
    assert_int_equal(strlen(last), 19 + 24);
    stays("again");
    put("beside", "1", 1);
    stays("a file that nothing copies");
    put("Dockerfile", "FROM b\n", 7);
    differs("the Dockerfile");
    assert_true(env_set(&dev.args, "A", "1") && env_set(&dev.args, "B", "2"));
    differs("arguments");
    env_clear(&dev.args);
    assert_true(env_set(&dev.args, "B", "2") && env_set(&dev.args, "A", "1"));
    stays("their order");
    dev.target = mem_strdup("");
    differs("a target");
    dev.target[0] = '\0';
    free(dev.target);
    dev.target = mem_strdup("x");
    differs("another");
    put("Dockerfile", "FROM b\nCOPY . /\n", 16);
    differs("it copies");
    put("beside", "2", 1);
    differs("what it copies");
    dev.features = mem_strdup("{}");
    differs("features");
    free(dev.name);
    dev.name = mem_strdup("\xC3\xA9--");
    AUTOFREE char *odd = tag_now();
    assert_int_equal(strncmp(odd, "aileron-project:", 16), 0);
    struct devcontainer plain = {.workspace = dev.workspace, .file = dev.file, .dir = dev.dir};
    assert_null(image_tag(&plain, &named, &err));
    assert_true(named);
}

static void test_dockerfile_bound(void **state)
{
    AUTOFREE char *text = mem_alloc(CONTEXT_DOCKERFILE_BYTES + 1);
    struct err err = {0};
    bool named;

    (void)state;
    memset(text, '#', CONTEXT_DOCKERFILE_BYTES + 1);
    put("Dockerfile", text, CONTEXT_DOCKERFILE_BYTES);
    differs("at the bound");
    put("Dockerfile", text, CONTEXT_DOCKERFILE_BYTES + 1);
    assert_null(image_tag(&dev, &named, &err));
    assert_int_equal(err.code, ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_inputs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dockerfile_bound, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
