/* What a running session's sandbox is told to trust, when the host's configuration changes. What each file is for is
 * the manual's to say, and tests/clients's to show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/authority/session_folder.h"
#include "tests/unit/monitor_world.h"
#include "tls/ca.h"

#include <fcntl.h>
#include <sys/stat.h>

static int setup(void **state)
{
    if (world_setup(state) != 0)
        return -1;
    struct world *world = *state;
    start_monitor(world);
    make_vault(world);
    start_session(world);
    return 0;
}

static bool holds(const struct world *world, const char *name, const char *text)
{
    AUTOFREE char *path = mem_printf("%s/run/sessions/%s/%s", world->home, world->session, name);
    struct buf file;
    struct err err = {0};

    if (!file_read(path, 5 * 1024 * 1024, &file, &err))
        return false;
    bool found = strstr(buf_cstr(&file), text) != NULL;
    buf_clear(&file);
    return found;
}

/* tls.ca_file is trusted inside, too: by programs that add to their roots and by those that replace them. */
static void a_new_ca_file_reaches_a_running_session(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    struct ca *corp = ca_new("corp", &err);

    assert_non_null(corp);
    assert_false(holds(world, "ca-extra.pem", ca_cert_pem(corp)));
    write_file(world, "corp.pem", ca_cert_pem(corp));
    write_file(world, "config.yaml", "version: 1\ntls: { ca_file: corp.pem }\n");
    for (int i = 0; i < 1000 && !holds(world, "ca-bundle.pem", ca_cert_pem(corp)); i++)
        pause_ms(10);
    assert_true(holds(world, "ca-extra.pem", ca_cert_pem(corp)));
    assert_true(holds(world, "ca-bundle.pem", ca_cert_pem(corp)));
    assert_false(holds(world, "ca.pem", ca_cert_pem(corp)));
    ca_free(corp);
}

static bool mounted_holds(int fd, const char *text)
{
    char *room = mem_alloc(5 * 1024 * 1024 + 1);
    ssize_t n = pread(fd, room, 5 * 1024 * 1024, 0);

    room[n > 0 ? n : 0] = '\0';
    bool found = strstr(room, text) != NULL;
    free(room);
    return found;
}

/* bwrap mounts the bundle over the system's roots: it is the same file as long as the session lives, and has all of
 * what it should. Browsers are told by policies. */
static void a_mounted_bundle_and_policies_follow(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    struct ca *first = ca_new("first", &err), *second = ca_new("second", &err);
    AUTOFREE char *path = mem_printf("%s/run/sessions/%s/ca-bundle.pem", world->home, world->session);
    AUTOFREE char *config = mem_strdup("version: 1\ntls: { ca_file: corp.pem }\n");
    AUTOFREE char *both = mem_printf("%s%s", ca_cert_pem(first), ca_cert_pem(second));
    struct buf own;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    write_file(world, "corp.pem", both);
    write_file(world, "config.yaml", config);
    for (int i = 0; i < 1000 && !mounted_holds(fd, ca_cert_pem(second)); i++)
        pause_ms(10);
    assert_true(mounted_holds(fd, ca_cert_pem(first)));
    assert_true(mounted_holds(fd, ca_cert_pem(second)));
    assert_int_equal(fstat(fd, &st), 0);
    off_t long_size = st.st_size;
    for (int i = 0; i < 1000 && !holds(world, "policy-firefox.json", "ca-extra-3.pem"); i++)
        pause_ms(10);
    assert_true(holds(world, "ca-extra-3.pem", ca_cert_pem(second)));
    assert_true(holds(world, "policy-chromium.json", "{\"CACertificates\":[\"MII"));

    write_file(world, "corp.pem", ca_cert_pem(first));
    write_file(world, "config.yaml", "version: 1\ntls: { ca_file: corp.pem }\n# again\n");
    for (int i = 0; i < 1000 && fstat(fd, &st) == 0 && st.st_size == long_size; i++)
        pause_ms(10);
    assert_true(mounted_holds(fd, ca_cert_pem(first)));
    assert_false(mounted_holds(fd, ca_cert_pem(second)));
    assert_int_equal(long_size - st.st_size, (off_t)strlen(ca_cert_pem(second)));
    AUTOFREE char *ca_path = mem_printf("%s/run/sessions/%s/ca.pem", world->home, world->session);
    assert_true(file_read(ca_path, 65536, &own, &err));
    assert_true(mounted_holds(fd, buf_cstr(&own)));
    buf_clear(&own);
    close(fd);
    ca_free(first);
    ca_free(second);
}

/* The session's CA is the first; the others are trusted by whoever reads one file of all. */
static void limit_firefox_roots(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    struct ca *corp = ca_new("corp", &err);
    struct buf many;

    buf_init(&many, 65536);
    for (int i = 0; i < SESSION_FIREFOX_MAX; i++)
        assert_true(buf_adds(&many, ca_cert_pem(corp)));
    write_file(world, "corp.pem", buf_cstr(&many));
    write_file(world, "config.yaml", "version: 1\ntls: { ca_file: corp.pem }\n");
    for (int i = 0; i < 1000 && !holds(world, "policy-firefox.json", "/ca-extra-32.pem"); i++)
        pause_ms(10);
    assert_true(holds(world, "policy-firefox.json", "/ca-extra-32.pem"));
    assert_false(holds(world, "policy-firefox.json", "/ca-extra-33.pem"));
    assert_true(holds(world, "ca-extra-32.pem", ca_cert_pem(corp)));
    assert_false(holds(world, "ca-extra-33.pem", ""));
    buf_clear(&many);
    ca_free(corp);
}

int main(int argc, char **argv)
{
    monitor_world_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_ca_file_reaches_a_running_session, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_mounted_bundle_and_policies_follow, setup, world_teardown),
        cmocka_unit_test_setup_teardown(limit_firefox_roots, setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
