/* Links for distributions and browsers, made in roots of our own. */
#include "core/sandbox/anchor.h"

#include "core/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int root = -1;
static char path[] = "/tmp/anchor.XXXXXX";

static int set_up(void **state)
{
    (void)state;
    memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
    root = mkdtemp(path) != NULL ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    return root >= 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    struct err err = {0};

    (void)state;
    close(root);
    return file_remove_tree(path, &err) ? 0 : -1;
}

static void make_dirs(const char *below)
{
    AUTOFREE char *whole = mem_printf("%s/%s", path, below);
    struct err err = {0};

    assert_true(file_mkdirs(whole, 0755, &err));
}

static void leads(const char *below, const char *target)
{
    char text[256] = "";

    if (readlinkat(root, below, text, sizeof(text) - 1) < 0)
        fail_msg("%s is no link", below);
    assert_string_equal(text, target);
}

static bool there(const char *below)
{
    struct stat st;
    return fstatat(root, below, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* An image of nothing gets policies, in case that a browser is installed, and no distribution's directory. */
static void test_nothing(void **state)
{
    struct stat st;

    (void)state;
    mode_t mask = umask(077);
    anchor_make_all(root);
    umask(mask);
    leads("etc/chromium/policies/managed/aileron.json", "/etc/aileron/policy-chromium.json");
    leads("etc/opt/chrome/policies/managed/aileron.json", "/etc/aileron/policy-chromium.json");
    leads("etc/firefox/policies/policies.json", "/etc/aileron/policy-firefox.json");
    assert_int_equal(fstatat(root, "etc/chromium/policies/managed", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_false(there("usr"));
    assert_false(there("etc/pki"));
    assert_false(there("etc/ca-certificates"));
    anchor_make_all(root); /* again: nothing happens */
    leads("etc/firefox/policies/policies.json", "/etc/aileron/policy-firefox.json");
}

static void test_distributions(void **state)
{
    (void)state;
    make_dirs("usr/local/share"); /* Debian's directory need not be there: the package may come later */
    make_dirs("etc/pki/ca-trust/source/anchors");
    make_dirs("etc/pki/trust/anchors");
    make_dirs("etc/ca-certificates/trust-source/anchors");
    anchor_make_all(root);
    leads("usr/local/share/ca-certificates/aileron.crt", "/etc/aileron/ca-extra.pem");
    leads("etc/pki/ca-trust/source/anchors/aileron.crt", "/etc/aileron/ca-extra.pem");
    leads("etc/pki/trust/anchors/aileron.crt", "/etc/aileron/ca-extra.pem");
    leads("etc/ca-certificates/trust-source/anchors/aileron.crt", "/etc/aileron/ca-extra.pem");
}

/* An image's own file stays, and a symlink of its leads nowhere. */
static void test_what_is_there(void **state)
{
    AUTOFREE char *policy = mem_printf("%s/etc/firefox/policies/policies.json", path);
    struct err err = {0};
    struct buf text;

    (void)state;
    make_dirs("etc/firefox/policies");
    make_dirs("elsewhere");
    assert_true(file_write_atomic(policy, 0644, "{}", 2, &err));
    assert_int_equal(symlinkat("../elsewhere", root, "etc/chromium"), 0);
    assert_int_equal(symlinkat("/elsewhere", root, "etc/opt"), 0);
    anchor_make_all(root);
    assert_true(file_read(policy, 16, &text, &err));
    assert_string_equal(buf_cstr(&text), "{}");
    buf_clear(&text);
    assert_false(there("elsewhere/policies"));
    assert_false(there("elsewhere/chrome"));
}

static void test_below(void **state)
{
    (void)state;
    assert_true(anchor_below("/etc/chromium"));
    assert_true(anchor_below("/etc/opt"));
    assert_true(anchor_below("/etc/firefox/policies"));
    assert_false(anchor_below("/etc/firefox/policies/policies.json"));
    assert_false(anchor_below("/etc/chrom"));
    assert_false(anchor_below("/etc/pki"));
    assert_false(anchor_below("/usr/local"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_distributions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_there, set_up, tear_down),
        cmocka_unit_test(test_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
