/* What a sandbox is shown of another system's root: small roots of our own making are looked at. */
#include "core/sandbox/imageroot.h"

#include "core/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { BINDS = 512, ENTRIES = 20000, NAMES = 1024 * 1024, STORE = 5 * 1024 * 1024 };

static char top[4096], root[4112];
static struct plan plan;
static struct imageroot image;
static struct buf args;

static void make_dir(const char *below)
{
    AUTOFREE char *path = mem_printf("%s%s", root, below);
    struct err err = {0};

    assert_true(file_mkdirs(path, 0755, &err));
}

static void make_text(const char *dir, const char *below, const void *text, size_t len)
{
    AUTOFREE char *path = mem_printf("%s%s", dir, below);
    struct err err = {0};

    assert_true(file_write_atomic(path, 0644, text, len, &err));
}

static void make_file(const char *below, const char *text)
{
    make_text(root, below, text, strlen(text));
}

static void make_link(const char *target, const char *below)
{
    AUTOFREE char *path = mem_printf("%s%s", root, below);

    assert_int_equal(symlink(target, path), 0);
}

static int set_up(void **state)
{
    const char *tmp = getenv("TMPDIR");
    AUTOFREE char *template = mem_printf("%s/imageroot.XXXXXX", tmp != NULL ? tmp : "/tmp");

    (void)state;
    if (mkdtemp(template) == NULL || realpath(template, top) == NULL)
        return -1;
    snprintf(root, sizeof(root), "%s/root", top);
    make_dir("");
    make_text(top, "/ca-extra.pem", "session's\n", 10);
    make_text(top, "/ca-bundle.pem", "bundle\n", 7);
    plan.root = root;
    plan.session_dir = top;
    buf_init(&args, 1024 * 1024);
    return 0;
}

static int tear_down(void **state)
{
    struct err err = {0};

    (void)state;
    imageroot_clear(&image);
    buf_clear(&args);
    return file_remove_tree(top, &err) ? 0 : -1;
}

static bool build(void)
{
    struct err err = {0};

    imageroot_clear(&image);
    buf_clear(&args);
    bool good = imageroot_build(&plan, 1234, 2345, &args, &image, &err);
    if (!good) {
        assert_int_equal(err.code, ERR_LAUNCH);
        assert_non_null(strstr(err.hint, "remove what no agent needs"));
    }
    for (size_t i = 0; i < args.len; i++) /* one a line */
        args.data[i] = args.data[i] != '\0' ? args.data[i] : '\n';
    return good;
}

static void wants(const char *words)
{
    AUTOFREE char *text = mem_printf("\n%s", buf_cstr(&args)), *line = mem_printf("\n%s\n", words);

    if (strstr(text, line) == NULL)
        fail_msg("missing: %s in %s", words, text);
}

static void has_not(const char *words)
{
    if (strstr(buf_cstr(&args), words) != NULL)
        fail_msg("there, and must not be: %s", words);
}

static const char *file_at(const char *place, bool over)
{
    for (size_t i = 0; i < image.count; i++)
        if (strcmp(image.files[i].place, place) == 0 && image.files[i].over == over)
            return buf_cstr(&image.files[i].text);
    return NULL;
}

static void test_whole(void **state)
{
    (void)state;
    make_dir("/usr/bin");
    make_dir("/dev/shm");
    make_dir("/opt/tool");
    make_dir("/opt/aileron/bin");
    make_dir("/home/app");
    make_dir("/home/agent/.config");
    make_dir("/home/agent/workspace");
    make_dir("/var/lib");
    make_dir("/var/tmp/x");
    make_dir("/etc/ssl/certs");
    make_dir("/etc/chromium/policies/managed");
    make_file("/etc/chromium/policies/managed/own.json", "x");
    make_link("usr/bin", "/bin");
    make_link("../run", "/var/run");
    make_link("/usr/zone", "/etc/localtime");
    make_file("/etc/profile", "x");
    make_file("/etc/hosts", "x");
    make_file("/file", "x");
    assert_true(build());

    AUTOFREE char *usr = mem_printf("--ro-bind\n%s/usr\n/usr", root);
    AUTOFREE char *tool = mem_printf("--ro-bind\n%s/opt/tool\n/opt/tool", root);
    AUTOFREE char *config = mem_printf("--ro-bind\n%s/home/agent/.config\n/home/agent/.config", root);
    AUTOFREE char *etc = mem_printf("--ro-bind\n%s/etc\n/.etc", root);
    wants(usr);
    wants(tool);
    wants(config);
    wants(etc);
    wants("--symlink\nusr/bin\n/bin");
    wants("--symlink\n/.etc/profile\n/etc/profile");
    wants("--symlink\n/usr/zone\n/etc/localtime");
    wants("--symlink\n/.etc/chromium/policies/managed/own.json\n/etc/chromium/policies/managed/own.json");
    wants("--symlink\n/etc/aileron/policy-chromium.json\n/etc/chromium/policies/managed/aileron.json");
    wants("--symlink\n/etc/aileron/policy-firefox.json\n/etc/firefox/policies/policies.json");
    wants("--tmpfs\n/var/tmp");
    has_not("/root/dev");
    has_not("/root/opt/aileron");
    has_not("/root/var/tmp");
    has_not("agent/workspace\n");
    has_not("\n/etc/hosts\n");
    has_not("../run");
    has_not("--bind\n");
    assert_string_equal(file_at("/etc/passwd", false),
                        "root:x:0:0:root:/root:/bin/sh\nagent:x:1234:2345:Agent:/home/agent:/bin/sh\n");
    assert_string_equal(file_at("/etc/ssl/certs/ca-certificates.crt", false), "bundle\n");
    wants("--perms\n0755\n--dir\n/etc/ssl/certs"); /* ours, for that file */
}

/* A directory of ours takes the place of a link of the image's, wherever that leads. */
static void test_links(void **state)
{
    (void)state;
    make_dir("/etc");
    make_link("/elsewhere", "/opt");
    make_link("../../..", "/home");
    make_link("/etc", "/var");
    make_link(top, "/etc/ssl");
    make_link("/elsewhere", "/etc/aileron");
    make_link("/etc/aileron", "/etc/chromium"); /* stays, and nothing of ours is made through it */
    assert_true(build());
    has_not("elsewhere");
    has_not("/etc/chromium/policies");
    has_not("../..");
    has_not("--symlink\n/etc\n");
    assert_string_equal(file_at("/etc/ssl/certs/ca-certificates.crt", false), "bundle\n");
}

static void test_names_and_roots(void **state)
{
    (void)state;
    make_dir("/etc/pki/ca-trust/extracted/pem");
    make_dir("/lib");
    make_file("/lib/passwd", "root:x:0:0::/:/bin/sh\nnode:x:1234:1::/home/node:/bin/sh");
    make_link("/lib/passwd", "/etc/passwd"); /* the image's, not the host's */
    make_link("/../../../../../../etc/hostname", "/etc/group");
    make_file("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "own\n");
    assert_true(build());
    assert_string_equal(file_at("/etc/passwd", false),
                        "root:x:0:0::/:/bin/sh\nnode:x:1234:1::/home/node:/bin/sh\n");
    assert_string_equal(file_at("/etc/group", false), "root:x:0:\nagent:x:2345:\n");
    assert_string_equal(file_at("/.etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", true), "own\n\nsession's\n");
    assert_null(file_at("/etc/ssl/certs/ca-certificates.crt", false));
}

static void test_bounds(void **state)
{
    char below[64];

    (void)state;
    for (int i = 0; i < BINDS; i++) {
        snprintf(below, sizeof(below), "/d%d", i);
        make_dir(below);
    }
    assert_true(build());
    make_dir("/more");
    assert_false(build());
    AUTOFREE char *more = mem_printf("%s/more", root);
    assert_int_equal(rmdir(more), 0);

    make_dir("/etc");
    for (int i = 0; i < ENTRIES - BINDS - 1; i++) {
        snprintf(below, sizeof(below), "/etc/%d", i);
        make_link("x", below);
    }
    assert_true(build());
    make_link("x", "/etc/more");
    assert_false(build());
}

static void test_large_files(void **state)
{
    static const char line[] = "app:x:1234:2345:app:/home/app:/bin/sh\n";
    AUTOFREE char *text = mem_alloc(STORE + 1);

    (void)state;
    make_dir("/etc/ssl/certs");
    memset(text, '\n', STORE + 1);
    memcpy(text, line, sizeof(line) - 1);
    for (int over = 0; over < 2; over++) {
        make_text(root, "/etc/passwd", text, (size_t)(NAMES + over));
        make_text(root, "/etc/ssl/certs/ca-certificates.crt", text, (size_t)(STORE + over));
        assert_true(build());
        assert_int_equal(strncmp(file_at("/etc/passwd", false), "app:", 4) == 0, !over);
        assert_int_equal(file_at("/.etc/ssl/certs/ca-certificates.crt", true) != NULL, !over);
        assert_int_equal(file_at("/etc/ssl/certs/ca-certificates.crt", false) != NULL, over);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_links, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names_and_roots, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_files, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
