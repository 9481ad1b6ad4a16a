/* The commands that start a sandbox: what must be in them, and what never may be. */
#include "core/sandbox/engine.h"

#include "core/base/file.h"
#include "core/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[4096]; /* PATH_MAX, for realpath */

static int set_up(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    AUTOFREE char *template = mem_printf("%s/engine.XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(template) == NULL || realpath(template, root) == NULL)
        return -1;
    AUTOFREE char *bin = mem_printf("%s/bin", root);
    AUTOFREE char *run = mem_printf("%s/run", root);
    AUTOFREE char *docker = mem_printf("%s/bin/docker", root);
    AUTOFREE char *bwrap = mem_printf("%s/bin/bwrap", root);
    struct err err = {0};
    if (mkdir(bin, 0755) != 0 || mkdir(run, 0700) != 0 ||
        !file_write_atomic(docker, 0755, "#!/bin/sh\n", 10, &err) ||
        !file_write_atomic(bwrap, 0755, "#!/bin/sh\n", 10, &err))
        return -1;
    setenv("PATH", bin, 1);
    AUTOFREE char *host = mem_printf("unix://%s/none.sock", root);
    setenv("DOCKER_HOST", host, 1);
    setenv("HOST_SECRET", "the-hosts-own-secret", 1);
    return 0;
}

static int tear_down(void **state)
{
    struct err err = {0};

    (void)state;
    return file_remove_tree(root, &err) ? 0 : -1;
}

static void make_plan(struct plan *plan)
{
    char *words[] = {(char[]){"agent"}, (char[]){"--x=%s"}, (char[]){""}};
    struct err err = {0};

    plan_init(plan);
    plan->self_exe = mem_strdup("/opt/a,b\"c/aileron");
    plan->aileron_home = mem_strdup(root);
    plan->workspace = mem_strdup("/home/me/project");
    plan->session_id = mem_strdup("01SESSION");
    plan->session_dir = mem_strdup("/s/01SESSION");
    plan->home_id = mem_strdup("01HOME");
    plan->image = mem_strdup("debian:12");
    plan->uid = plan->gid = geteuid() == 0 ? 0 : geteuid();
    plan->pids = 99;
    plan->memory_bytes = 4096;
    plan->capture_ports[0] = 443;
    plan->capture_ports[1] = 8443;
    plan->capture_count = 2;
    env_set(&plan->env, "GH_TOKEN", "sentinel-value");
    assert_true(plan_set_command(plan, words, 3, &err));
}

static bool has(const struct engine_run *run, const char *word)
{
    for (size_t i = 0; i < run->argc; i++)
        if (strcmp(run->argv[i], word) == 0)
            return true;
    return false;
}

static void nothing_holds(const struct engine_run *run, const char *text)
{
    for (size_t i = 0; i < run->argc; i++)
        assert_null(strstr(run->argv[i], text));
}

static void test_docker(void **state)
{
    static const char *const wanted[] = {
        "--rm", "--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--no-healthcheck",
        "--pids-limit=99", "--memory=4096", "--label=dev.aileron.session=01SESSION", "--env=GH_TOKEN",
        "--entrypoint=/opt/aileron/bin/aileron-proxy", "--capture=443,8443", "debian:12", "--x=%s",
        "type=bind,\"source=/opt/a,b\"\"c/aileron\",destination=/opt/aileron/bin/aileron,readonly",
        "type=bind,\"source=/home/me/project\",destination=/home/agent/workspace",
        "type=bind,\"source=/s/01SESSION\",destination=/run/aileron,readonly"};
    struct plan plan;
    struct engine_run run = {0};
    struct err err = {0};

    (void)state;
    make_plan(&plan);
    assert_true(engine_docker.build(&plan, &run, &err));
    for (size_t i = 0; i < COUNT(wanted); i++)
        if (!has(&run, wanted[i]))
            fail_msg("missing: %s", wanted[i]);
    assert_false(has(&run, "--tty"));
    assert_false(has(&run, "--open"));
    assert_false(has(&run, "--privileged"));
    nothing_holds(&run, "sentinel-value");
    assert_string_equal(env_get(&run.env, "GH_TOKEN"), "sentinel-value");
    assert_null(run.argv[run.argc]);
    assert_string_equal(run.argv[run.argc - 1], "");
    engine_run_clear(&run);

    plan.network = PLAN_OPEN;
    plan.tty = true;
    assert_true(engine_docker.build(&plan, &run, &err));
    assert_false(has(&run, "--network=none"));
    assert_true(has(&run, "--open"));
    assert_true(has(&run, "--tty"));
    engine_run_clear(&run);
    plan_clear(&plan);
}

static void test_podman(void **state)
{
    static const char *const wanted[] = {
        "--runtime=/usr/bin/runtime", "--cgroup-manager=cgroupfs", "--default-mounts-file=/dev/null", "run", "--rm",
        "--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--no-healthcheck", "--pids-limit=99",
        "--memory=4096", "--label=dev.aileron.session=01SESSION", "--env=GH_TOKEN", "--http-proxy=false", "--no-hosts",
        "--env-host=false", "--systemd=false", "--env=XDG_DATA_HOME=/of/the/agent", "debian:12", "--x=%s",
        "--volume=/opt/a,b\"c/aileron:/opt/aileron/bin/aileron:ro",
        "--volume=/home/me/project:/home/agent/workspace", "--volume=/s/01SESSION:/run/aileron:ro"};
    AUTOFREE char *cli = mem_printf("%s/bin/podman", root);
    struct plan plan;
    struct engine_run run = {0};
    struct err err = {0};

    (void)state;
    assert_true(file_write_atomic(cli, 0755, "#!/bin/sh\n", 10, &err));
    setenv("XDG_DATA_HOME", "/of/the/host", 1);
    setenv("CONTAINER_HOST", "ssh://elsewhere", 1);
    setenv("CONTAINERS_CONF_OVERRIDE", "/of/the/host", 1);
    make_plan(&plan);
    env_set(&plan.env, "XDG_DATA_HOME", "/of/the/agent");
    plan.facts = (struct engine_facts){.runtime = "/usr/bin/runtime", .cgroups = "cgroupfs"};
    assert_true(engine_podman.build(&plan, &run, &err));
    for (size_t i = 0; i < COUNT(wanted); i++)
        if (!has(&run, wanted[i]))
            fail_msg("missing: %s", wanted[i]);
    assert_true(has(&run, geteuid() == 0 ? "--userns=host" : "--userns=keep-id"));
    assert_false(has(&run, "--cgroups=disabled"));
    nothing_holds(&run, "sentinel-value");
    assert_string_equal(env_get(&run.env, "GH_TOKEN"), "sentinel-value");
    assert_string_equal(env_get(&run.env, "XDG_DATA_HOME"), "/of/the/host"); /* where podman's images are */
    assert_null(env_get(&run.env, "CONTAINER_HOST"));
    assert_string_equal(env_get(&run.env, "CONTAINERS_CONF"), "/dev/null");
    assert_null(env_get(&run.env, "CONTAINERS_CONF_OVERRIDE")); /* read after it, from podman 4.6 on */
    assert_true(has(&run, "--image-volume=ignore"));
    engine_run_clear(&run);

    plan.facts.no_limits = plan.facts.no_cgroups = true;
    free(plan.workspace);
    plan.workspace = mem_strdup("/a:b");
    assert_true(engine_podman.build(&plan, &run, &err));
    assert_false(has(&run, "--pids-limit=99"));
    assert_false(has(&run, "--memory=4096"));
    assert_true(has(&run, "--cgroups=disabled"));
    assert_true(has(&run, "--mount=type=bind,source=/a:b,destination=/home/agent/workspace"));
    engine_run_clear(&run);

    free(plan.workspace);
    plan.workspace = mem_strdup("/a:b,c");
    assert_false(engine_podman.build(&plan, &run, &err));
    assert_int_equal(err.code, ERR_LAUNCH);
    engine_run_clear(&run);
    plan_clear(&plan);
    assert_int_equal(unlink(cli), 0);
    unsetenv("XDG_DATA_HOME");
    unsetenv("CONTAINER_HOST");
    unsetenv("CONTAINERS_CONF_OVERRIDE");
}

/* A podman that does what the script says; PATH has what a script needs, too. */
static void fake_podman(const char *script)
{
    AUTOFREE char *cli = mem_printf("%s/bin/podman", root);
    AUTOFREE char *text = mem_printf("#!/bin/sh\nPATH=/usr/bin:/bin\n%s\n", script);
    struct err err = {0};

    assert_true(file_write_atomic(cli, 0755, text, strlen(text), &err));
}

static void test_podman_that_talks(void **state)
{
    struct plan plan;
    struct err err = {0};
    bool here = false;

    (void)state;
    make_plan(&plan);
    fake_podman("echo 'architecture none'; head -c $((64 * 1024 - 18)) /dev/zero");
    assert_true(engine_podman.image_here(&plan, "x", &here, &err));
    assert_true(here);
    fake_podman("echo 'architecture none'; head -c $((64 * 1024 - 17)) /dev/zero");
    assert_false(engine_podman.image_here(&plan, "x", &here, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    plan_clear(&plan);
}

/* They become the container's, and its runtime's orders. */
static void test_annotations(void **state)
{
    static const struct {
        const char *says;
        bool fine;
    } rows[] = {{"null", true}, {"{}", true}, {"{\"org.opencontainers.image.base.name\":\"x\"}", true},
                {"{\"a\":\"b\",\"run.oci.hooks.stdout\":\"/home/me/x\"}", false},
                {"{\"org.systemd.property.DevicePolicy\":\"1\"}", false},
                {"{\"io.containers.trace-syscall\":\"of:/x\"}", false}};
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTOFREE char *script = mem_printf("echo 'annotations %s'; echo 'architecture '; echo 'annotations {}'",
                                            rows[i].says);
        struct plan plan;
        make_plan(&plan);
        fake_podman(script);
        assert_int_equal(engine_podman.prepare(&plan, &err), rows[i].fine);
        plan_clear(&plan);
    }
    assert_non_null(strstr(err.message, "order to the runtime (annotation io.containers.trace-syscall)"));
}

static size_t count_lines(const char *path, const char *start)
{
    struct buf text;
    struct err err = {0};
    size_t count = 0;

    assert_true(file_read(path, 65536, &text, &err));
    for (const char *at = buf_cstr(&text); (at = strstr(at, start)) != NULL; at++)
        count++;
    buf_clear(&text);
    return count;
}

static void test_trials_are_bounded(void **state)
{
    AUTOFREE char *log = mem_printf("%s/calls", root);
    AUTOFREE char *script = mem_printf("case $1 in info) echo runtime=/own/runtime; "
                                       "echo 'controllers=[memory pids]'; exit;; esac; echo called >> %s; "
                                       "echo 'Error: no'; exit 1", log);
    const char *const runtimes[] = {"crun", "runc"};
    struct engine_facts facts;
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(runtimes); i++) {
        AUTOFREE char *path = mem_printf("%s/bin/%s", root, runtimes[i]);
        assert_true(file_write_atomic(path, 0755, "#!/bin/sh\n", 10, &err));
    }
    fake_podman(script);
    assert_false(engine_probe(&engine_podman, root, ENGINE_TRUST_ALL, &facts, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_string_equal(err.message, "podman starts no container here: no");
    assert_int_equal(count_lines(log, "called"), 9);
    /* What it found is kept, and counts until somebody wants to know: by name, or as the doctor. */
    memset(&err, 0, sizeof err);
    assert_false(engine_probe(&engine_podman, root, ENGINE_TRUST_ALL, &facts, &err));
    assert_string_equal(err.message, "podman starts no container here: no");
    assert_int_equal(count_lines(log, "called"), 9);
    assert_false(engine_probe(&engine_podman, root, ENGINE_TRUST_YES, &facts, &err));
    assert_int_equal(count_lines(log, "called"), 18);
    /* Another podman is asked again; it starts with runc and without limits. */
    AUTOFREE char *good = mem_printf("case $1 in info) echo runtime=/own/runtime; echo 'controllers=[memory pids]'; "
                                     "exit;; esac; echo called >> %s; case \"$*\" in *runc*pids-limit*) exit 1;; "
                                     "*runc*) exit 0;; esac; exit 1", log);
    fake_podman(good);
    assert_true(engine_probe(&engine_podman, root, ENGINE_TRUST_ALL, &facts, &err));
    assert_non_null(strstr(facts.runtime, "/bin/runc"));
    assert_true(facts.no_limits);
    assert_false(facts.no_cgroups);
    assert_int_equal(count_lines(log, "called"), 26);
    memset(&facts, 0, sizeof facts);
    assert_true(engine_probe(&engine_podman, root, ENGINE_TRUST_YES, &facts, &err));
    assert_non_null(strstr(facts.runtime, "/bin/runc"));
    assert_true(facts.no_limits);
    assert_int_equal(count_lines(log, "called"), 26);
    AUTOFREE char *cli = mem_printf("%s/bin/podman", root);
    assert_int_equal(unlink(cli), 0);
}

/* The words that bwrap reads from its descriptor, as one string with newlines. */
static char *bwrap_args(const struct engine_run *run)
{
    struct buf text;
    struct err err = {0};
    int fd = -1;

    /* "bwrap --args N": N is the child's number of one of the descriptors. */
    for (size_t i = 0; i < run->fd_count; i++) {
        AUTOFREE char *number = mem_printf("%d", run->fds[i].child_fd);
        if (strcmp(run->argv[2], number) == 0)
            fd = run->fds[i].fd;
    }
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_true(file_read_fd(fd, 1024 * 1024, &text, &err));
    char *words = mem_strndup((const char *)text.data, text.len);
    for (size_t i = 0; i < text.len; i++)
        if (words[i] == '\0')
            words[i] = '\n';
    buf_clear(&text);
    return words;
}

static void test_bwrap(void **state)
{
    static const char *const wanted[] = {
        "--unshare-all\n--as-pid-1\n--die-with-parent\n", "--uid\n0\n", "--proc\n/proc\n",
        "--ro-bind\n/opt/a,b\"c/aileron\n/opt/aileron/bin/aileron\n",
        "--bind\n/home/me/project\n/home/agent/workspace\n", "--ro-bind\n/s/01SESSION\n/run/aileron\n",
        "--remount-ro\n/\n", "--ro-bind-try\n/proc/sys\n/proc/sys\n"};
    struct plan plan;
    struct engine_run run = {0};
    struct err err = {0};

    (void)state;
    make_plan(&plan);
    assert_true(engine_bwrap.survey(&plan, &err));
    assert_true(engine_bwrap.build(&plan, &run, &err));
    AUTOFREE char *args = bwrap_args(&run);
    for (size_t i = 0; i < COUNT(wanted); i++)
        if (strstr(args, wanted[i]) == NULL)
            fail_msg("missing: %s", wanted[i]);
    /* No writable mount but the workspace; nothing of the home or of our own. */
    assert_string_equal(strstr(args, "\n--bind\n") + 8, strstr(args, "/home/me/project\n/home/agent/workspace"));
    assert_null(strstr(args, root));
    assert_null(strstr(args, "--share-net"));
    assert_null(strstr(args, "--dev-bind"));
    nothing_holds(&run, "sentinel-value");
    assert_null(strstr(args, "sentinel-value"));
    assert_string_equal(env_get(&run.env, "GH_TOKEN"), "sentinel-value");
    assert_null(env_get(&run.env, "HOST_SECRET"));
    assert_true(has(&run, "--pids=99"));
    engine_run_clear(&run);

    if (geteuid() == 0) { /* files of another user could not be written */
        plan.uid = 1000;
        assert_false(engine_bwrap.prepare(&plan, &err));
        assert_int_equal(err.code, ERR_LAUNCH);
    }
    plan_clear(&plan);
}

static char why[512];

static const struct engine *choose(const char *name, bool have_image, struct err *err)
{
    struct engine_wish wish = {.name = name, .have_image = have_image, .home = root};
    struct engine_facts facts;

    return engine_choose(&wish, &facts, why, sizeof(why), err);
}

static void test_choice(void **state)
{
    struct err err = {0};

    (void)state;
    assert_ptr_equal(choose("auto", false, &err), &engine_bwrap);
    assert_non_null(strstr(why, "docker and podman: no image named"));
    assert_ptr_equal(choose("auto", true, &err), &engine_bwrap);
    assert_non_null(strstr(why, "docker: "));
    struct engine_facts facts;
    struct engine_wish wish = {.name = "auto", .have_image = true, .has_it = &engine_podman, .home = root};
    assert_ptr_equal(engine_choose(&wish, &facts, why, sizeof(why), &err), &engine_bwrap);
    assert_non_null(strstr(why, "docker: it has not the usual image; podman: no podman"));
    assert_null(choose("docker", true, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_null(choose("podman", true, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE); /* none on this PATH */
    assert_null(choose("kata", true, &err));
    assert_int_equal(err.code, ERR_USAGE);
    assert_ptr_equal(choose("bwrap", false, &err), &engine_bwrap);
}

/* Nothing is asked of it before that. */
static void test_another_machine(void **state)
{
    struct err err = {0};
    AUTOFREE char *before = mem_strdup(getenv("DOCKER_HOST"));

    (void)state;
    setenv("DOCKER_HOST", "tcp://192.0.2.1:2375", 1);
    assert_ptr_equal(engine_at(0), &engine_docker_far);
    assert_null(choose("docker", true, &err));
    assert_non_null(strstr(err.message, "on another machine"));
    assert_non_null(strstr(err.hint, "sandbox.remote_listen"));
    assert_ptr_equal(choose("auto", true, &err), &engine_bwrap);
    setenv("DOCKER_HOST", before, 1);
    assert_ptr_equal(engine_at(0), &engine_docker);
}

static void test_no_engine_at_all(void **state)
{
    struct err err = {0};
    AUTOFREE char *path = mem_strdup(getenv("PATH"));

    (void)state;
    setenv("PATH", "/nonexistent", 1);
    assert_null(choose("auto", false, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.hint, "bubblewrap"));
    setenv("PATH", path, 1);
}

static void test_bad_images(void **state)
{
    static const char *const bad[] = {"", "-v", "a b", "a\nb", "../x", "/x", "a?b", "a%2fb", "dir:/home/me/x",
                                      "docker-archive:/home/me/x.tar"};
    /* Relative, they are files of the workspace, and lead where its links lead. The last is an image. */
    static const char *const transports[] = {"oci:link", "oci-archive:link", "dir:link", "docker-archive:x.tar",
                                             "docker-daemon:x:1", "containers-storage:x", "ostree:x", "sif:x",
                                             "tarball:x", "docker:dind"};
    struct err err = {0};
    char name[257] = "";

    (void)state;
    memset(name, 'i', 256);
    for (size_t i = 0; i <= COUNT(bad); i++) {
        struct plan plan;
        plan_init(&plan);
        plan.image = mem_strdup(i < COUNT(bad) ? bad[i] : name);
        assert_false(engine_docker.prepare(&plan, &err));
        assert_int_equal(err.code, ERR_USAGE);
        plan_clear(&plan);
    }
    for (size_t i = 0; i < COUNT(transports); i++) {
        struct plan plan;
        plan_init(&plan);
        plan.image = mem_strdup(transports[i]);
        fake_podman("exit 1");
        assert_false(engine_podman.prepare(&plan, &err));
        assert_int_equal(err.code, i < COUNT(transports) - 1 ? ERR_USAGE : ERR_LAUNCH);
        plan_clear(&plan);
    }
    /* At the bound it is a name, which is asked for where no docker is. */
    struct plan plan;
    const char *host = getenv("DOCKER_HOST");
    AUTOFREE char *before = host != NULL ? mem_strdup(host) : NULL;
    setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock", 1);
    plan_init(&plan);
    plan.image = mem_strndup(name, 255);
    assert_false(engine_docker.prepare(&plan, &err));
    assert_int_not_equal(err.code, ERR_USAGE);
    plan_clear(&plan);
    if (before != NULL)
        setenv("DOCKER_HOST", before, 1);
    else
        unsetenv("DOCKER_HOST");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_docker), cmocka_unit_test(test_podman), cmocka_unit_test(test_podman_that_talks),
        cmocka_unit_test(test_annotations),
        cmocka_unit_test(test_trials_are_bounded), cmocka_unit_test(test_bwrap),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_another_machine),
        cmocka_unit_test(test_no_engine_at_all), cmocka_unit_test(test_bad_images),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
