/* The vault: what is written can be read back, and every kind of damage is found, told apart, and never written
 * over (threat C15). */
#include "core/authority/vault.h"

#include "core/base/file.h"
#include "core/base/id.h"
#include "tls/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct vault_kdf kdf = {.salt = "0123456789abcde", .t = 1, .m_kib = 64, .p = 1};

struct world {
    char home[64];
    char *path;
    struct vault *vault;
    struct secret *kek;
};

static int setup(void **state)
{
    struct world *world = mem_alloc(sizeof *world);
    struct err err = {0};

    assert_true(tls_init(&err));
    strcpy_s:
    memcpy(world->home, "/tmp/test_vault.XXXXXX", sizeof "/tmp/test_vault.XXXXXX");
    assert_non_null(mkdtemp(world->home));
    AUTOFREE char *private_dir = mem_printf("%s/run/private", world->home);
    assert_true(file_mkdirs(private_dir, 0700, &err));
    world->path = file_join(world->home, "vault.json");
    world->kek = vault_kdf_derive(&kdf, "open sesame", 11, &err);
    assert_non_null(world->kek);
    world->vault = vault_open(world->home);
    *state = world;
    return 0;
}
