/* What a running session's sandbox is told to trust, when the host's configuration changes. What each file is for is
 * the manual's to say, and tests/clients's to show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/monitor_world.h"
#include "tls/ca.h"

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

int main(int argc, char **argv)
{
    monitor_world_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_ca_file_reaches_a_running_session, setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
