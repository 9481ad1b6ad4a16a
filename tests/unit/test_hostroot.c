/* Which parts of a host's root are shown: a small root of our own making is looked at. */
#include "core/sandbox/hostroot.h"

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

static char root[4096]; /* PATH_MAX, for realpath */

static void make_dir(const char *below, mode_t mode)
{
    AUTOFREE char *path = mem_printf("%s%s", root, below);

    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void make_file(const char *below, mode_t mode)
{
    AUTOFREE char *path = mem_printf("%s%s", root, below);
    struct err err = {0};

    assert_true(file_write_atomic(path, mode, "x", 1, &err));
    assert_int_equal(chmod(path, mode), 0);
}

static void make_link(const char *target, const char *below)
{
    AUTOFREE char *path = mem_printf("%s%s", root, below);

    assert_int_equal(symlink(target, path), 0);
}

static int set_up(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    AUTOFREE char *template = mem_printf("%s/hostroot.XXXXXX", tmp != NULL ? tmp : "/tmp");
    return mkdtemp(template) != NULL && realpath(template, root) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    struct err err = {0};

    (void)state;
    return file_remove_tree(root, &err) ? 0 : -1;
}

/* The arguments as one string, one a line, with the test's root cut off. */
static char *build(void)
{
    struct buf args;
    struct err err = {0};

    buf_init(&args, 1024 * 1024);
    if (!hostroot_build(root, &args, &err))
        fail_msg("%s", err.message);
    char *text = mem_alloc(args.len + 2);
    size_t len = 1, root_len = strlen(root);
    text[0] = '\n';
    for (size_t i = 0; i < args.len; i++) {
        if (strncmp((const char *)args.data + i, root, root_len) == 0)
            i += root_len;
        text[len++] = args.data[i] != '\0' ? (char)args.data[i] : '\n';
    }
    buf_clear(&args);
    return text;
}

static void wants(const char *args, const char *words)
{
    if (strstr(args, words) == NULL)
        fail_msg("missing:%s", words);
}

static void has_not(const char *args, const char *words)
{
    if (strstr(args, words) != NULL)
        fail_msg("there, and must not be:%s", words);
}

static void test_root(void **state)
{
    (void)state;
    make_dir("/usr", 0755);
    make_dir("/lib64", 0755);
    make_link("usr/bin", "/bin");
    make_dir("/nix", 0700);
    make_dir("/home", 0755);
    make_dir("/srv", 0755);
    make_dir("/opt", 0755);
    make_dir("/opt/tool", 0755);
    make_dir("/opt/aileron", 0755);
    make_dir("/opt/private", 0700);
    make_file("/opt/private/key", 0600);
    make_file("/opt/tool/run", 0755);
    make_file("/opt/tool/key.pem", 0600);
    make_dir("/opt/tool/state", 0750);
    make_dir("/opt/tool/odd", 0754); /* others see names in it and cannot reach them */
    make_dir("/usr/local", 0755);
    make_dir("/usr/local/etc", 0755);
    make_file("/usr/local/etc/token", 0440);
    make_file("/usr/local/etc/settings", 0644);
    make_file("/usr/kept", 0600); /* what packages bring is not looked through */
    make_dir("/etc", 0755);
    make_dir("/etc/ssl", 0755);
    make_dir("/etc/ssl/private", 0710);
    make_file("/etc/ssl/private/key.pem", 0600);
    make_file("/etc/ssl/secret.pem", 0640);
    make_file("/etc/ssl/cert.pem", 0644);
    make_file("/etc/shadow", 0640);
    make_file("/etc/odd-secret", 0600);
    make_file("/etc/profile", 0644);
    make_file("/etc/passwd", 0644);
    make_dir("/etc/ssh", 0755);
    make_link("../run/resolv", "/etc/resolv.conf");
    make_link("/usr/zone", "/etc/localtime");
    AUTOFREE char *args = build();

    wants(args, "\n--ro-bind\n/usr\n/usr\n");
    wants(args, "\n--ro-bind\n/lib64\n/lib64\n");
    wants(args, "\n--symlink\nusr/bin\n/bin\n");
    wants(args, "\n--ro-bind\n/opt/tool\n/opt/tool\n");
    wants(args, "\n--tmpfs\n/home\n");
    wants(args, "\n--tmpfs\n/root\n");
    has_not(args, "\n/nix\n");
    has_not(args, "/srv");
    has_not(args, "\n--ro-bind\n/home");
    has_not(args, "/opt/private");
    has_not(args, "\n--ro-bind\n/opt/aileron");

    wants(args, "\n--ro-bind\n/dev/null\n/opt/tool/key.pem\n");
    wants(args, "\n--perms\n0000\n--tmpfs\n/opt/tool/state\n");
    wants(args, "\n--perms\n0000\n--tmpfs\n/opt/tool/odd\n");
    wants(args, "\n--ro-bind\n/dev/null\n/usr/local/etc/token\n");
    has_not(args, "/opt/tool/run");
    has_not(args, "/usr/local/etc/settings");
    has_not(args, "/usr/kept");

    wants(args, "\n--ro-bind\n/etc\n/.etc\n");
    wants(args, "\n--symlink\n/.etc/profile\n/etc/profile\n");
    wants(args, "\n--symlink\n/usr/zone\n/etc/localtime\n");
    wants(args, "\n--perms\n0000\n--tmpfs\n/.etc/ssl/private\n");
    wants(args, "\n--ro-bind\n/dev/null\n/.etc/ssl/secret.pem\n");
    wants(args, "\n--ro-bind\n/dev/null\n/.etc/odd-secret\n");
    wants(args, "\n--ro-bind\n/dev/null\n/.etc/shadow\n");
    wants(args, "\n--tmpfs\n/.etc/ssh\n--remount-ro\n/.etc/ssh\n");
    has_not(args, "/.etc/ssl/cert.pem");
    has_not(args, "\n/etc/shadow\n");
    has_not(args, "\n/etc/passwd\n");      /* the sandbox has its own */
    has_not(args, "\n/etc/resolv.conf\n"); /* likewise */
    has_not(args, "\n--bind\n");
}

/* What cannot be looked through is not shown: the launch is refused, and says what to do. */
static void test_too_deep(void **state)
{
    char below[512] = "/opt/tool";
    struct buf args;
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < 66; i++) {
        memcpy(below + strlen(below), "/d", 3);
        make_dir(below, 0755);
    }
    buf_init(&args, 1024 * 1024);
    assert_false(hostroot_build(root, &args, &err));
    assert_int_equal(err.code, ERR_LAUNCH);
    assert_non_null(strstr(err.hint, "--sandbox=docker"));
    buf_clear(&args);
}

static void test_path(void **state)
{
    char *expose[] = {(char[]){"/home/me/.local/bin/agent"}, (char[]){"/home/me/.nvm"}};
    AUTOFREE char *path = hostroot_filter_path(
        "/home/me/bin:/usr/bin::relative:/home/me/.local/bin:/opt/aileron/bin:/home/me/.nvm/v20/bin:/bin:/srv/x",
        expose, 2);
    AUTOFREE char *none = hostroot_filter_path("", expose, 0);

    (void)state;
    assert_string_equal(path, "/usr/bin:/home/me/.local/bin:/home/me/.nvm/v20/bin:/bin");
    assert_string_equal(none, "");
}

/* The browsers' policies: a directory of the host's is made anew with what it has; what is not to be opened stays. */
static void test_policies(void **state)
{
    (void)state;
    make_dir("/etc/chromium", 0755);
    make_file("/etc/chromium/master_preferences", 0644);
    make_dir("/etc/chromium/policies", 0755);
    make_dir("/etc/chromium/policies/managed", 0755);
    make_file("/etc/chromium/policies/managed/theirs.json", 0644);
    make_link("theirs.json", "/etc/chromium/policies/managed/link.json");
    make_dir("/etc/opt", 0755);
    make_dir("/etc/opt/other", 0755);
    make_dir("/etc/opt/chrome", 0700);
    make_link("chrome", "/etc/opt/edge");
    make_dir("/etc/firefox", 0755);
    make_dir("/etc/firefox/policies", 0755);
    make_file("/etc/firefox/policies/policies.json", 0644);
    AUTOFREE char *args = build();

    wants(args, "\n--perms\n0755\n--dir\n/etc/chromium\n");
    wants(args, "\n--symlink\n/.etc/chromium/master_preferences\n/etc/chromium/master_preferences\n");
    wants(args, "\n--symlink\n/.etc/chromium/policies/managed/theirs.json\n"
                "/etc/chromium/policies/managed/theirs.json\n");
    wants(args, "\n--symlink\ntheirs.json\n/etc/chromium/policies/managed/link.json\n");
    wants(args, "\n--symlink\n/etc/aileron/policy-chromium.json\n/etc/chromium/policies/managed/aileron.json\n");
    wants(args, "\n--symlink\n/.etc/opt/other\n/etc/opt/other\n");
    wants(args, "\n--perms\n0755\n--dir\n/etc/opt/chrome_for_testing/policies/managed\n--symlink\n"
                "/etc/aileron/policy-chromium.json\n/etc/opt/chrome_for_testing/policies/managed/aileron.json\n");
    wants(args, "\n--symlink\n/.etc/opt/chrome\n/etc/opt/chrome\n");
    wants(args, "\n--symlink\nchrome\n/etc/opt/edge\n");
    has_not(args, "/etc/opt/chrome/policies");
    has_not(args, "/etc/opt/edge/policies");
    wants(args, "\n--symlink\n/.etc/firefox/policies/policies.json\n/etc/firefox/policies/policies.json\n");
    has_not(args, "policy-firefox.json");
    has_not(args, "ca-certificates");
}

static bool builds(const char *other)
{
    struct err err = {0};
    struct buf args;

    buf_init(&args, 1024 * 1024);
    bool built = hostroot_build(other, &args, &err);
    if (!built)
        assert_int_equal(err.code, ERR_LAUNCH);
    buf_clear(&args);
    return built;
}

/* In memory where that can be: it is twenty thousand files. */
static void test_etc_bounds(void **state)
{
    char other[64];
    struct err err = {0};
    struct buf path;

    (void)state;
    snprintf(other, sizeof(other), "%s/hostroot.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(other));
    buf_init(&path, 4096);
    assert_true(buf_printf(&path, "%s/etc", other));
    assert_int_equal(mkdir(buf_cstr(&path), 0755), 0);
    for (int deep = 1; deep <= 13; deep++) {
        assert_true(buf_adds(&path, "/d"));
        assert_int_equal(mkdir(buf_cstr(&path), 0755), 0);
        assert_int_equal(builds(other), deep <= 12);
    }
    assert_int_equal(rmdir(buf_cstr(&path)), 0);
    for (int i = 12; i <= 20000; i++) { /* behind the twelve directories */
        AUTOFREE char *file = mem_printf("%s/etc/d/%d", other, i);
        assert_int_equal(mknod(file, S_IFREG | 0644, 0), 0);
        if (i == 19999)
            assert_true(builds(other));
    }
    assert_false(builds(other));
    buf_clear(&path);
    assert_true(file_remove_tree(other, &err));
}

/* Room for exactly the arguments, and a byte less. */
static void test_room_for_mounts(void **state)
{
    char other[] = "/tmp/hostroot.XXXXXX";
    struct err err = {0};
    struct buf args;

    (void)state;
    assert_non_null(mkdtemp(other));
    AUTOFREE char *etc = mem_printf("%s/etc", other);
    assert_int_equal(mkdir(etc, 0755), 0);
    buf_init(&args, 1024 * 1024);
    assert_true(hostroot_build(other, &args, &err));
    size_t len = args.len;
    for (size_t less = 0; less < 2; less++) {
        buf_clear(&args);
        buf_init(&args, len - less);
        assert_int_equal(hostroot_build(other, &args, &err), less == 0);
    }
    assert_int_equal(err.code, ERR_LAUNCH);
    buf_clear(&args);
    assert_true(file_remove_tree(other, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_root), cmocka_unit_test(test_policies), cmocka_unit_test(test_too_deep),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_etc_bounds),
        cmocka_unit_test(test_room_for_mounts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
