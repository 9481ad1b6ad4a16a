/* A dev container's file: what is taken, what is told, what is refused (threat F10), and the bounds. */
#include "core/sandbox/devcontainer.h"

#include "core/base/file.h"
#include "core/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[4096];

static char *place(const char *below)
{
    return mem_printf("%s/%s", root, below);
}

static void put(const char *below, const char *text)
{
    AUTOFREE char *path = place(below);
    struct err err = {0};

    assert_true(file_write_atomic(path, 0644, text, strlen(text), &err));
}

static int set_up(void **state)
{
    static const char *const dirs[] = {"user", "user/.aileron", "user/.ssh", "ws", "ws/.devcontainer", "ws/data"};
    const char *tmp = getenv("TMPDIR");
    AUTOFREE char *template = mem_printf("%s/dev.XXXXXX", tmp != NULL ? tmp : "/tmp");

    (void)state;
    if (mkdtemp(template) == NULL || realpath(template, root) == NULL)
        return -1;
    for (size_t i = 0; i < COUNT(dirs); i++) {
        AUTOFREE char *path = place(dirs[i]);
        if (mkdir(path, 0755) != 0)
            return -1;
    }
    put("ws/.devcontainer/Dockerfile", "FROM scratch\n");
    return 0;
}

static int tear_down(void **state)
{
    struct err err = {0};

    (void)state;
    return file_remove_tree(root, &err) ? 0 : -1;
}

static struct plan plan;
static struct devcontainer *dev;
static struct err err;

static void clear(void)
{
    devcontainer_free(dev);
    dev = NULL;
    plan_clear(&plan);
}

static bool parse(const char *text)
{
    if (plan.workspace != NULL)
        clear();
    plan_init(&plan);
    plan.user_home = place("user");
    plan.aileron_home = place("user/.aileron");
    plan.workspace = place("ws");
    plan.memory_bytes = 1024 * 1024 * 1024;
    plan.pids = 100;
    err = (struct err){0};
    dev = devcontainer_parse(&plan, ".devcontainer/devcontainer.json", text, strlen(text), &err);
    return dev != NULL;
}

static void takes(const char *text)
{
    if (!parse(text))
        fail_msg("%s: %s", text, err.message);
}

static void refuses(const char *text, enum err_code code, const char *why)
{
    if (parse(text))
        fail_msg("%s: taken", text);
    if (err.code != code || strstr(err.message, why) == NULL || err.hint[0] == '\0')
        fail_msg("%s: %d %s. %s", text, err.code, err.message, err.hint);
}

static const char *told(const char *key)
{
    for (size_t i = 0; i < dev->note_count; i++)
        if (strcmp(dev->notes[i].key, key) == 0)
            return dev->notes[i].why;
    return NULL;
}

static void test_image(void **state)
{
    (void)state;
    takes("{ \"image\": \"debian:12\" }");
    assert_int_equal(plan.tier, 1);
    assert_string_equal(plan.image, "debian:12");
    assert_null(dev->dockerfile);
    takes("{ \"image\": \"a\", \"customizations\": { \"aileron\": { \"image\": \"b\" } } }");
    assert_int_equal(plan.tier, 2);
    assert_string_equal(plan.image, "b");
    takes("{ \"image\": \"a:${localEnv:TAG:latest}\", }");
    assert_string_equal(plan.image, "a:latest");
    takes("{}");
    assert_int_equal(plan.tier, 0);
    assert_null(plan.image);
    refuses("{ \"image\": \"a:${localEnv:TAG}\" }", ERR_CONFIG, "variable of the host");
    refuses("{ \"dockerComposeFile\": \"x.yml\", \"service\": \"a\" }", ERR_CONFIG, "Docker Compose");
    refuses("{ \"image\": 1 }", ERR_CONFIG, "image");
    refuses("[]", ERR_CONFIG, "object");
    refuses("{", ERR_CONFIG, "devcontainer.json:1:");
    refuses("{ \"customizations\": { \"aileron\": { \"network\": \"open\" } } }", ERR_CONFIG, "network");
    clear();
}

static void test_build(void **state)
{
    AUTOFREE char *dockerfile = place("ws/.devcontainer/Dockerfile");
    AUTOFREE char *context = place("ws");

    (void)state;
    takes("{ \"build\": { \"dockerfile\": \"Dockerfile\", \"context\": \"..\", \"target\": \"dev\", "
          "\"args\": { \"A\": \"${localWorkspaceFolderBasename}\" }, \"cacheFrom\": \"x\" } }");
    assert_string_equal(dev->dockerfile, dockerfile);
    assert_string_equal(dev->context, context);
    assert_string_equal(dev->target, "dev");
    assert_string_equal(dev->args.items[0], "A=ws");
    assert_non_null(told("build.cacheFrom"));
    assert_null(plan.image);
    takes("{ \"dockerFile\": \"Dockerfile\", \"context\": \"..\", \"forwardPorts\": [] }");
    assert_string_equal(dev->context, context);
    assert_non_null(told("forwardPorts"));
    takes("{ \"customizations\": { \"aileron\": { \"build\": { \"dockerfile\": \"Dockerfile\" } } } }");
    assert_int_equal(plan.tier, 2);
    refuses("{ \"build\": { \"context\": \".\" } }", ERR_CONFIG, "dockerfile");
    refuses("{ \"build\": { \"dockerfile\": \"nothing\" } }", ERR_CONFIG, "cannot use nothing");
    refuses("{ \"build\": { \"dockerfile\": \".\" } }", ERR_CONFIG, "is no file");
    refuses("{ \"build\": { \"dockerfile\": \"/etc/passwd\" } }", ERR_LAUNCH, "leads out of the workspace");
    refuses("{ \"build\": { \"dockerfile\": \"Dockerfile\", \"context\": \"../..\" } }", ERR_LAUNCH, "leads out");
    refuses("{ \"build\": { \"dockerfile\": \"Dockerfile\", \"target\": \"--network=host\" } }", ERR_CONFIG, "target");
    refuses("{ \"build\": { \"dockerfile\": \"Dockerfile\", \"args\": { \"A=B\": \"c\" } } }", ERR_CONFIG, "A=B");
    refuses("{ \"build\": { \"dockerfile\": \"Dockerfile\", \"args\": { \"A\": \"${localEnv:HOME}\" } } }", ERR_CONFIG,
            "variable of the host");
    clear();
}

/* The devcontainer program reads the file itself: it takes a Dockerfile before an image, dockerFile before build, and
 * ".." from the text. An image of what lies beside the workspace would hand it to the agent (F10). */
static void test_features_build_what_was_checked(void **state)
{
    static const char *const both[] = {
        "\"image\": \"i\", \"build\": { \"dockerfile\": \"Dockerfile\", \"context\": \"../../user\" }",
        "\"image\": \"i\", \"dockerFile\": \"Dockerfile\", \"context\": \"../../user\"",
        "\"image\": \"i\", \"dockerComposeFile\": \"x.yml\"",
        "\"build\": { \"dockerfile\": \"Dockerfile\" }, \"dockerFile\": \"../../user/x\""};
    AUTOFREE char *deep = place("ws/a/b/c"), *link = place("ws/.devcontainer/link");

    (void)state;
    for (size_t i = 0; i < COUNT(both); i++) {
        AUTOFREE char *text = mem_printf("{ \"features\": { \"f\": {} }, %s }", both[i]);
        takes(text);
        if (dev->on_host == NULL || strstr(dev->on_host, "beside") == NULL)
            fail_msg("%s: would be built", text);
    }
    takes("{ \"features\": { \"f\": {} }, \"build\": { \"dockerfile\": \"Dockerfile\", \"context\": \"..\" } }");
    assert_null(dev->on_host);
    assert_true(file_mkdirs(deep, 0755, &err));
    assert_int_equal(symlink("../a/b/c", link), 0);
    refuses("{ \"build\": { \"dockerfile\": \"Dockerfile\", \"context\": \"link/../../..\" } }", ERR_LAUNCH,
            "leads out");
    clear();
}

static void test_env(void **state)
{
    (void)state;
    setenv("A_SECRET", "the secret", 1);
    takes("{ \"containerEnv\": { \"A\": \"1\", \"W\": \"${containerWorkspaceFolder}\", \"D\": "
          "\"${localEnv:A_SECRET:usual}\", "
          "\"E\": \"${localEnv:X:}\", \"S\": \"${localEnv:A_SECRET}\", \"T\": \"${env:A_SECRET}\", \"P\": "
          "\"${localWorkspaceFolder}\", "
          "\"PATH\": \"/x\", \"LD_PRELOAD\": \"/x\", \"HTTP_PROXY\": \"x\", \"1A\": \"x\", \"N\": null, \"U\": "
          "\"${wobble}\", "
          "\"O\": \"${open\", \"Q\": \"${containerEnv:PATH}\" }, \"remoteEnv\": { \"A\": \"2\" } }");
    assert_string_equal(env_get(&plan.project_env, "A"), "2");
    assert_string_equal(env_get(&plan.project_env, "W"), "/home/agent/workspace");
    assert_string_equal(env_get(&plan.project_env, "D"), "usual");
    assert_string_equal(env_get(&plan.project_env, "E"), "");
    assert_string_equal(env_get(&plan.project_env, "O"), "${open");
    static const char *const names[] = {"S", "T", "P", "PATH", "LD_PRELOAD", "HTTP_PROXY", "1A", "N", "U", "Q"};
    for (size_t i = 0; i < COUNT(names); i++) {
        AUTOFREE char *key = mem_printf("containerEnv %s", names[i]);
        assert_null(env_get(&plan.project_env, names[i]));
        if (told(key) == NULL)
            fail_msg("%s is not told", key);
    }
    assert_non_null(strstr(told("containerEnv S"), "variable of the host"));
    for (size_t i = 0; i < dev->note_count; i++)
        assert_null(strstr(dev->notes[i].why, "the secret"));
    assert_int_equal(plan.project_env.count, 5);
    assert_int_equal(plan.env.count, 0); /* nothing for an engine's own environment */
    clear();
}

static void mount_of(const char *mount)
{
    AUTOFREE char *text = mem_printf("{ \"mounts\": [%s] }", mount);
    takes(text);
}

static void no_mount(const char *mount)
{
    mount_of(mount);
    if (plan.mount_count != 0 || told("mounts[0]") == NULL)
        fail_msg("%s: taken, or not told", mount);
}

static void test_mounts(void **state)
{
    AUTOFREE char *data = place("ws/data");

    (void)state;
    mount_of("\"type=volume,source=cache,target=/cache\"");
    assert_int_equal(plan.mount_count, 1);
    assert_true(plan.mounts[0].volume);
    assert_int_equal(strlen(plan.mounts[0].source), strlen("aileron-0123456789abcdef-cache"));
    mount_of("{ \"type\": \"bind\", \"source\": \"${localWorkspaceFolder}/data\", \"target\": \"/a/b/c/d/e/f/g/h\", "
             "\"readonly\": true }");
    assert_string_equal(plan.mounts[0].source, data);
    assert_true(plan.mounts[0].read_only);
    mount_of("\"type=bind,src=data,dst=/d,consistency=cached\"");
    assert_string_equal(plan.mounts[0].source, data);
    no_mount("\"type=volume,source=../x,target=/cache\"");
    no_mount("\"type=volume,source=a:b,target=/cache\"");
    no_mount("\"type=volume,target=/cache\"");
    no_mount("\"type=tmpfs,target=/cache\"");
    no_mount("\"type=volume,source=a,target=/c,volume-opt=o=bind\"");
    no_mount("\"source=a,target=/c\"");
    no_mount("\"type=bind,source=/usr,target=/c\"");
    no_mount("\"type=bind,source=${localEnv:HOME}/.ssh,target=/c\"");
    no_mount("\"type=bind,source=nothing,target=/c\"");
    no_mount("\"type=bind,source=.devcontainer/Dockerfile,target=/c\"");
    no_mount("7");
    AUTOFREE char *ssh = mem_printf("\"type=bind,source=%s/user/.ssh,target=/c\"", root);
    no_mount(ssh);
    static const char *const bad[] = {"/",
                                      "c",
                                      "/a/b/c/d/e/f/g/h/i",
                                      "/a/../b",
                                      "/a//b",
                                      "/a/",
                                      "/proc",
                                      "/proc/x",
                                      "/sys/x",
                                      "/dev/shm",
                                      "/run/aileron",
                                      "/run",
                                      "/opt/aileron/bin",
                                      "/opt",
                                      "/etc/aileron",
                                      "/home/agent/workspace",
                                      "/home/agent",
                                      "/home",
                                      "/a b",
                                      "/a\\\"b",
                                      "/a:b",
                                      ""};
    for (size_t i = 0; i < COUNT(bad); i++) {
        AUTOFREE char *mount = mem_printf("\"type=volume,source=a,target=%s\"", bad[i]);
        no_mount(mount);
    }
    clear();
}

static void test_mounts_of_the_host(void **state)
{
    AUTOFREE char *vault = place("user/.aileron");
    AUTOFREE char *link = place("ws/link");

    (void)state;
    assert_int_equal(symlink(vault, link), 0);
    static const char *const sources[] = {"/",          "/run",     "%s",  "%s/user", "%s/user/.aileron",
                                          "%s/ws/link", "%s/ws/..", "link"};
    for (size_t i = 0; i < COUNT(sources); i++) {
        bool below = strncmp(sources[i], "%s", 2) == 0;
        AUTOFREE char *source = mem_printf("%s%s", below ? root : "", below ? sources[i] + 2 : sources[i]);
        AUTOFREE char *text = mem_printf("{ \"mounts\": [\"type=bind,source=%s,target=/x\"] }", source);
        refuses(text, ERR_LAUNCH, "asks for a mount of");
        AUTOFREE char *placed = mem_printf("{ \"mounts\": [\"type=bind,source=%s,target=/proc\"] }", source);
        refuses(placed, ERR_LAUNCH, "asks for a mount of"); /* whatever its target */
    }
    assert_int_equal(unlink(link), 0);
    clear();
}

static void test_run_args(void **state)
{
    (void)state;
    takes("{ \"runArgs\": [\"--memory=64m\", \"--pids-limit\", \"50\", \"--shm-size=16m\", \"-e\", \"A=b=c\", "
          "\"--env=B\", "
          "\"--init\", \"--read-only\", \"--privileged\", \"--network\", \"host\", \"-m\", \"1\", \"stray\"] }");
    assert_int_equal(plan.memory_bytes, 64 * 1024 * 1024);
    assert_int_equal(plan.pids, 50);
    assert_int_equal(plan.shm_bytes, 16 * 1024 * 1024);
    assert_true(plan.read_only);
    assert_string_equal(env_get(&plan.project_env, "A"), "b=c");
    assert_null(env_get(&plan.project_env, "B"));
    assert_non_null(told("runArgs --env B"));
    assert_non_null(told("runArgs --privileged"));
    assert_non_null(told("runArgs --network host"));
    assert_non_null(told("runArgs -m 1"));
    assert_non_null(told("runArgs stray"));
    /* A limit is never raised. */
    takes("{ \"runArgs\": [\"--memory=64g\", \"--pids-limit=100000\"] }");
    assert_int_equal(plan.memory_bytes, 1024 * 1024 * 1024);
    assert_int_equal(plan.pids, 100);
    clear();
}

static void test_rest(void **state)
{
    (void)state;
    takes("{ \"name\": \"x\", \"$schema\": \"y\", \"init\": true, \"privileged\": true, \"postCreateCommand\": \"a\", "
          "\"initializeCommand\": \"b\", \"secrets\": {}, \"wobble\": 1, \"workspaceFolder\": \"/w\", "
          "\"customizations\": { \"vscode\": {} }, \"remoteUser\": \"root\", \"containerUser\": \"node\", "
          "\"features\": { \"f\": {} }, \"image\": \"i\" }");
    static const char *const keys[] = {"privileged", "postCreateCommand", "initializeCommand",     "secrets",
                                       "wobble",     "workspaceFolder",   "customizations.vscode", "remoteUser"};
    for (size_t i = 0; i < COUNT(keys); i++)
        if (told(keys[i]) == NULL)
            fail_msg("%s is not told", keys[i]);
    assert_int_equal(dev->note_count, COUNT(keys));
    assert_string_equal(plan.remote_user, "node");
    assert_string_equal(dev->features, "{\"f\":{}}");
    assert_null(plan.image); /* the image with its features has another name */
    assert_non_null(strstr(dev->on_host, "initializeCommand"));
    takes("{ \"image\": \"i\", \"build\": { \"options\": [] } }");
    assert_non_null(dev->on_host);
    takes("{ \"image\": \"i\", \"x\": [\"a\\u0024{localEnv:A}\"] }");
    assert_non_null(dev->on_host);
    takes("{ \"image\": \"i\", \"x\": [\"${containerEnv:A}\"] }");
    assert_null(dev->on_host);
    takes("{ \"remoteUser\": \"a b\", \"image\": \"i\" }");
    assert_null(plan.remote_user);
    assert_non_null(told("remoteUser"));
    takes("{ \"\\u001b[31m\\u202e\": 1 }"); /* A03 */
    assert_non_null(strstr(dev->notes[0].key, "\\x1b[31m"));
    clear();
}

/* At each bound, and one above. */
static void test_bounds(void **state)
{
    CLEANUP(buf_clear) struct buf text;

    (void)state;
    buf_init(&text, 2 * DEVCONTAINER_FILE_BYTES);
    for (int above = 0; above <= 1; above++) {
        buf_clear(&text);
        assert_true(buf_adds(&text, "{}"));
        while (text.len < (size_t)(DEVCONTAINER_FILE_BYTES + above))
            assert_true(buf_adds(&text, " "));
        assert_int_equal(parse(buf_cstr(&text)), above == 0);

        buf_clear(&text);
        assert_true(buf_adds(&text, "{ \"containerEnv\": {"));
        for (int i = 0; i < DEVCONTAINER_ENV_MAX + above; i++)
            assert_true(buf_printf(&text, "%s\"A%d\": \"\"", i > 0 ? "," : "", i));
        assert_true(buf_adds(&text, "} }"));
        takes(buf_cstr(&text));
        assert_int_equal(plan.project_env.count, DEVCONTAINER_ENV_MAX);
        assert_int_equal(dev->note_count, (size_t)above);

        buf_clear(&text);
        assert_true(buf_adds(&text, "{ \"mounts\": ["));
        for (int i = 0; i < PLAN_MOUNTS_MAX + above; i++)
            assert_true(buf_printf(&text, "%s\"type=volume,source=a,target=/m%d\"", i > 0 ? "," : "", i));
        assert_true(buf_adds(&text, "] }"));
        takes(buf_cstr(&text));
        assert_int_equal(plan.mount_count, PLAN_MOUNTS_MAX);
        assert_int_equal(dev->note_count, (size_t)above);

        buf_clear(&text);
        assert_true(buf_adds(&text, "{ \"runArgs\": ["));
        for (int i = 0; i < DEVCONTAINER_LIST_MAX + above; i++)
            assert_true(buf_printf(&text, "%s\"--init\"", i > 0 ? "," : ""));
        assert_true(buf_adds(&text, "] }"));
        assert_int_equal(parse(buf_cstr(&text)), above == 0);

        buf_clear(&text);
        assert_true(buf_adds(&text, "{"));
        for (int i = 0; i < DEVCONTAINER_NOTES_MAX + above; i++)
            assert_true(buf_printf(&text, "%s\"k%d\": 1", i > 0 ? "," : "", i));
        assert_true(buf_adds(&text, "}"));
        takes(buf_cstr(&text));
        assert_int_equal(dev->note_count, DEVCONTAINER_NOTES_MAX);
        assert_int_equal(dev->notes_left, (size_t)above);

        buf_clear(&text);
        assert_true(buf_adds(&text, "{ \"containerEnv\": { \"A\": \""));
        for (int i = 0; i < DEVCONTAINER_TEXT_MAX + above; i++)
            assert_true(buf_adds(&text, "x"));
        assert_true(buf_adds(&text, "\" } }"));
        takes(buf_cstr(&text));
        assert_int_equal(plan.project_env.count, above == 0 ? 1 : 0);
    }
    clear();
}

static void test_find(void **state)
{
    AUTOFREE char *ws = place("ws");
    AUTOFREE char *a = place("ws/.devcontainer/a");
    AUTOFREE char *b = place("ws/.devcontainer/b");
    AUTOFREE char *link = place("ws/.devcontainer.json");
    char *found;

    (void)state;
    err = (struct err){0};
    assert_true(devcontainer_find(ws, NULL, &found, &err));
    assert_null(found);
    assert_int_equal(mkdir(a, 0755), 0);
    assert_int_equal(mkdir(b, 0755), 0);
    put("ws/.devcontainer/b/devcontainer.json", "{}");
    assert_true(devcontainer_find(ws, NULL, &found, &err));
    assert_string_equal(found, ".devcontainer/b/devcontainer.json");
    free(found);
    put("ws/.devcontainer/a/devcontainer.json", "{}");
    assert_false(devcontainer_find(ws, NULL, &found, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.hint, "a, b"));
    assert_true(devcontainer_find(ws, "a", &found, &err));
    assert_string_equal(found, ".devcontainer/a/devcontainer.json");
    free(found);
    assert_false(devcontainer_find(ws, "c", &found, &err));
    assert_false(devcontainer_find(ws, "../.devcontainer/a", &found, &err));
    assert_int_equal(symlink("/etc/passwd", link), 0);
    assert_true(devcontainer_find(ws, NULL, &found, &err));
    assert_string_equal(found, ".devcontainer.json");
    plan_init(&plan);
    plan.workspace = mem_strdup(ws);
    assert_null(devcontainer_load(&plan, found, &err));
    assert_non_null(strstr(err.message, "leads out of the workspace"));
    plan_clear(&plan);
    free(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_image),
        cmocka_unit_test(test_build),
        cmocka_unit_test(test_features_build_what_was_checked),
        cmocka_unit_test(test_env),
        cmocka_unit_test(test_mounts),
        cmocka_unit_test(test_mounts_of_the_host),
        cmocka_unit_test(test_run_args),
        cmocka_unit_test(test_rest),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_find),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
