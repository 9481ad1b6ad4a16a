/* Workspaces and exposed paths: what must not be handed to an agent (threat F10). */
#include "core/sandbox/plan.h"
#include "core/sandbox/account.h"

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/proc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[4096]; /* PATH_MAX, for realpath */

static char *place(const char *below)
{
    return mem_printf("%s/%s", root, below);
}

static int set_up(void **state)
{
    static const char *const dirs[] = {"user", "user/.aileron", "user/.aileron/run", "user/project", "else"};

    (void)state;
    const char *tmp = getenv("TMPDIR");
    AUTOFREE char *template = mem_printf("%s/plan.XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(template) == NULL || realpath(template, root) == NULL)
        return -1;
    for (size_t i = 0; i < COUNT(dirs); i++) {
        AUTOFREE char *path = place(dirs[i]);
        if (mkdir(path, 0755) != 0)
            return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    struct err err = {0};

    (void)state;
    return file_remove_tree(root, &err) ? 0 : -1;
}

static void plan_here(struct plan *plan)
{
    plan_init(plan);
    plan->user_home = place("user");
    plan->aileron_home = place("user/.aileron");
}

static bool accepts(const char *path)
{
    struct plan plan;
    struct err err = {0};

    plan_here(&plan);
    bool good = plan_set_workspace(&plan, path, &err);
    if (good)
        assert_non_null(plan.workspace);
    else {
        assert_true(err.code == ERR_LAUNCH);
        assert_true(strlen(err.message) > 0);
    }
    plan_clear(&plan);
    return good;
}

static void test_workspaces(void **state)
{
    AUTOFREE char *project = place("user/project");
    AUTOFREE char *elsewhere = place("else");
    AUTOFREE char *user = place("user");
    AUTOFREE char *aileron = place("user/.aileron");
    AUTOFREE char *inside = place("user/.aileron/run");
    AUTOFREE char *missing = place("missing");
    AUTOFREE char *dots = place("user/project/../.aileron");
    AUTOFREE char *file = place("file");

    (void)state;
    assert_true(accepts(project));
    assert_true(accepts(elsewhere));
    assert_false(accepts("/"));
    assert_false(accepts(root)); /* holds the home */
    assert_false(accepts(user));
    assert_false(accepts(aileron));
    assert_false(accepts(inside));
    assert_false(accepts(dots));
    assert_false(accepts(missing));
    struct err err = {0};
    assert_true(file_write_atomic(file, 0644, "x", 1, &err));
    assert_false(accepts(file));
}

/* HOME may be unset, or be another's: root's, of who launches for the owner of a home. */
static void test_homes_of_the_system(void **state)
{
    AUTOFREE char *id = mem_printf("%u", (unsigned)geteuid());
    struct account account = {.home = ""};
    struct err err = {0};

    (void)state;
    if (!account_find("/etc/passwd", id, &account, &err) || access(account.home, W_OK) != 0)
        skip();
    assert_false(accepts(account.home));
}

/* Whoever has an engine's socket, or an agent of keys, has the host. */
static void test_control_sockets(void **state)
{
    AUTOFREE char *project = place("user/project");
    AUTOFREE char *runtime = place("else");
    AUTOFREE char *below = place("else/project");
    AUTOFREE char *engine = place("user/project/docker.sock");
    AUTOFREE char *url = mem_printf("unix://%s", engine);
    AUTOFREE char *keys = place("user/project/keys/agent.1");
    AUTOFREE char *keys_dir = place("user/project/keys");

    (void)state;
    assert_int_equal(mkdir(below, 0755), 0);
    assert_int_equal(mkdir(keys_dir, 0755), 0);
    setenv("XDG_RUNTIME_DIR", runtime, 1);
    assert_false(accepts(runtime));
    assert_true(accepts(below)); /* a directory in it, with no socket */
    unsetenv("XDG_RUNTIME_DIR");
    assert_true(accepts(runtime));
    struct err err = {0};
    int fd = proc_unix_listen(engine, 0600, &err);
    assert_true(fd >= 0);
    setenv("DOCKER_HOST", url, 1);
    assert_false(accepts(project));
    unsetenv("DOCKER_HOST");
    assert_true(accepts(project));
    int keys_fd = proc_unix_listen(keys, 0600, &err);
    assert_true(keys_fd >= 0);
    setenv("SSH_AUTH_SOCK", keys, 1);
    assert_false(accepts(project));
    assert_false(accepts(keys_dir));
    unsetenv("SSH_AUTH_SOCK");
    assert_true(accepts(project));
    /* As terminals and editors name theirs. */
    AUTOFREE char *tmux = mem_printf("%s,123,0", keys), *bus = mem_printf("unix:path=%s,guid=0", keys);
    AUTOFREE char *kitty = mem_printf("unix:%s", keys);
    const char *const named[][2] = {{"TMUX", tmux}, {"DBUS_SESSION_BUS_ADDRESS", bus}, {"KITTY_LISTEN_ON", kitty},
                                    {"NVIM", keys}, {"VSCODE_IPC_HOOK_CLI", keys}};
    for (size_t i = 0; i < COUNT(named); i++) {
        setenv(named[i][0], named[i][1], 1);
        assert_false(accepts(project));
        unsetenv(named[i][0]);
        assert_true(accepts(project));
    }
    close(fd);
    close(keys_fd);
}

/* Whoever reaches the sockets of a tmux or an Emacs runs what he likes outside; nothing names them but their place. */
static void test_usual_sockets(void **state)
{
    const char *usual = getenv("TMPDIR");
    AUTOFREE char *project = place("user/project"), *before = mem_strdup(usual != NULL ? usual : "");
    AUTOFREE char *tmux = mem_printf("%s/tmux-%u", project, (unsigned)geteuid());
    AUTOFREE char *emacs = mem_printf("%s/emacs%u", project, (unsigned)geteuid());
    AUTOFREE char *screens = mem_printf("%s/.X11-unix", project);
    const char *const named[][2] = {{"TMUX_TMPDIR", tmux}, {"TMPDIR", emacs}, {"TMPDIR", screens}};

    (void)state;
    for (size_t i = 0; i < COUNT(named); i++) {
        setenv(named[i][0], project, 1);
        assert_true(accepts(project));
        assert_int_equal(mkdir(named[i][1], 0700), 0);
        assert_false(accepts(project));
        assert_int_equal(rmdir(named[i][1]), 0);
        unsetenv(named[i][0]);
    }
    if (before[0] != '\0')
        setenv("TMPDIR", before, 1);
}

static void test_symlinks(void **state)
{
    AUTOFREE char *aileron = place("user/.aileron");
    AUTOFREE char *to_vault = place("to-vault");
    AUTOFREE char *to_root = place("to-root");
    AUTOFREE char *to_project = place("to-project");
    AUTOFREE char *project = place("user/project");

    (void)state;
    assert_int_equal(symlink(aileron, to_vault), 0);
    assert_int_equal(symlink("/", to_root), 0);
    assert_int_equal(symlink(project, to_project), 0);
    assert_false(accepts(to_vault));
    assert_false(accepts(to_root));
    assert_true(accepts(to_project));
}

/* A home that is itself a symlink is still recognised. */
static void test_home_behind_a_symlink(void **state)
{
    AUTOFREE char *alias = place("alias");
    AUTOFREE char *user = place("user");
    struct plan plan;
    struct err err = {0};

    (void)state;
    assert_int_equal(symlink(user, alias), 0);
    plan_init(&plan);
    plan.user_home = mem_strdup(alias);
    plan.aileron_home = mem_printf("%s/.aileron", alias);
    assert_false(plan_set_workspace(&plan, user, &err));
    plan_clear(&plan);
}

static void test_expose(void **state)
{
    struct plan plan;
    struct err err = {0};
    AUTOFREE char *bin = place("user/bin");
    AUTOFREE char *link = place("user/bin/agent");
    AUTOFREE char *project = place("user/project");

    (void)state;
    assert_int_equal(mkdir(bin, 0755), 0);
    assert_int_equal(symlink(project, link), 0);
    plan_here(&plan);
    assert_true(plan_add_expose(&plan, "~/bin/agent", &err));
    assert_int_equal(plan.expose_count, 2); /* the link's place and what it leads to */
    assert_string_equal(plan.expose[0], link);
    assert_string_equal(plan.expose[1], project);
    assert_true(plan_add_expose(&plan, "~/not-there", &err));
    assert_int_equal(plan.expose_count, 2);
    assert_false(plan_add_expose(&plan, "~/.aileron", &err));
    assert_false(plan_add_expose(&plan, "~/.aileron/run", &err));
    assert_false(plan_add_expose(&plan, "~/", &err));
    assert_false(plan_add_expose(&plan, "/", &err));
    assert_false(plan_add_expose(&plan, "relative", &err));
    plan_clear(&plan);
}

/* Who reaches an engine's socket is root on the host: neither a workspace nor an exposed path shows one. */
static void test_engine_sockets(void **state)
{
    struct plan plan;
    struct err err = {0};
    AUTOFREE char *dir = place("user/engine");
    AUTOFREE char *file = place("user/engine/docker.sock");
    AUTOFREE char *personal = place("user/engine/podman");
    AUTOFREE char *elsewhere = place("else");
    AUTOFREE char *host = mem_printf("unix://%s", file);

    (void)state;
    assert_int_equal(mkdir(dir, 0755), 0);
    assert_int_equal(mkdir(personal, 0755), 0);
    assert_true(file_write_atomic(file, 0600, "", 0, &err));
    unsetenv("DOCKER_HOST");
    unsetenv("XDG_RUNTIME_DIR");
    assert_true(accepts(dir));
    setenv("DOCKER_HOST", host, 1);
    plan_here(&plan);
    assert_false(accepts(dir));
    assert_false(plan_add_expose(&plan, file, &err));
    assert_true(accepts(personal));
    unsetenv("DOCKER_HOST");
    setenv("XDG_RUNTIME_DIR", dir, 1);
    assert_false(accepts(dir));
    assert_false(accepts(personal));
    assert_true(accepts(elsewhere));
    unsetenv("XDG_RUNTIME_DIR");
    assert_false(accepts("/run"));
    assert_false(accepts("/var/run"));
    assert_int_equal(unlink(file), 0);
    plan_clear(&plan);
}

static void test_within(void **state)
{
    (void)state;
    assert_true(plan_path_within("/a/b", "/a"));
    assert_true(plan_path_within("/a", "/a"));
    assert_true(plan_path_within("/a", "/"));
    assert_false(plan_path_within("/ab", "/a"));
    assert_false(plan_path_within("/", "/a"));
}

static void test_command_bounds(void **state)
{
    struct plan plan;
    struct err err = {0};
    char *words[] = {(char[]){"a"}, (char[]){"b"}, NULL};

    (void)state;
    plan_init(&plan);
    assert_false(plan_set_command(&plan, words, 0, &err));
    static char *many[PLAN_COMMAND_MAX + 2];
    for (size_t i = 0; i <= PLAN_COMMAND_MAX; i++)
        many[i] = words[0];
    assert_false(plan_set_command(&plan, many, PLAN_COMMAND_MAX + 1, &err));
    assert_true(plan_set_command(&plan, many, PLAN_COMMAND_MAX, &err));
    plan_clear(&plan);
    plan_init(&plan);
    assert_true(plan_set_command(&plan, words, 2, &err));
    assert_string_equal(plan.command[1], "b");
    assert_null(plan.command[2]);
    plan_clear(&plan);
}

static void test_expose_bound(void **state)
{
    struct plan plan;
    struct err err = {0};

    (void)state;
    plan_here(&plan);
    for (int i = 0; i <= PLAN_EXPOSE_MAX; i++) {
        AUTOFREE char *below = mem_printf("user/tool%d", i);
        AUTOFREE char *path = place(below);
        AUTOFREE char *shown = mem_printf("~/tool%d", i);
        assert_int_equal(mkdir(path, 0755), 0);
        if (plan_add_expose(&plan, shown, &err) != (i < PLAN_EXPOSE_MAX))
            fail_msg("%d: %s", i, err.message);
    }
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(plan.expose_count, PLAN_EXPOSE_MAX);
    plan_clear(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workspaces),  cmocka_unit_test(test_symlinks), cmocka_unit_test(test_control_sockets),
        cmocka_unit_test(test_usual_sockets), cmocka_unit_test(test_homes_of_the_system),
        cmocka_unit_test(test_home_behind_a_symlink), cmocka_unit_test(test_expose),
        cmocka_unit_test(test_engine_sockets), cmocka_unit_test(test_within),
        cmocka_unit_test(test_command_bounds),
        cmocka_unit_test(test_expose_bound),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
