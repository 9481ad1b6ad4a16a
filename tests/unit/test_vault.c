/* The vault: what is written can be read back, and every kind of damage is found, told apart, and never written
 * over (threat C15). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/authority/vault.h"
#include "core/authority/vault_file.h"
#include "core/base/file.h"
#include "core/base/id.h"
#include "tls/crypto.h"

/* Cheap parameters: the derivation itself is tested with tls/crypto. */
static const struct vault_kdf kdf = {.salt = {1, 2, 3}, .t = 1, .m_kib = 64, .p = 1};
static const char marker[] = "MARKER-not-in-the-file";

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

    memcpy(world->home, "/tmp/aileron-vault.XXXXXX", sizeof "/tmp/aileron-vault.XXXXXX");
    if (!tls_init(&err) || mkdtemp(world->home) == NULL)
        return -1;
    AUTOFREE char *private_dir = file_join(world->home, "run/private");
    world->path = file_join(world->home, "vault.json");
    world->kek = vault_kdf_derive(&kdf, "open sesame", 11, &err);
    world->vault = vault_open(world->home);
    *state = world;
    return file_mkdirs(private_dir, 0700, &err) && world->kek != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    struct world *world = *state;
    struct err err;

    vault_close(world->vault);
    secret_free(world->kek);
    bool removed = file_remove_tree(world->home, &err);
    free(world->path);
    free(world);
    return removed ? 0 : -1;
}

/* ---- helpers ---- */

static void init(struct world *world)
{
    struct err err = {0};

    assert_true(vault_init(world->vault, "owner", &kdf, world->kek, &err));
}

static void put(struct world *world, const char *path, const char *secret)
{
    struct err err = {0};

    assert_true(vault_put(world->vault, path, VAULT_TOKEN, NULL, secret, strlen(secret), &err));
}

static void expect(struct world *world, const char *path, const char *want)
{
    char username[VAULT_USERNAME_BYTES + 1];
    struct err err = {0};
    enum vault_kind kind;
    struct secret *secret = vault_get(world->vault, path, &kind, username, &err);

    assert_non_null(secret);
    assert_int_equal(secret_len(secret), strlen(want));
    assert_memory_equal(secret_bytes(secret), want, strlen(want));
    secret_free(secret);
}

static char *slurp(const char *path)
{
    struct err err = {0};
    struct buf text;

    assert_true(file_read(path, VAULT_FILE_BYTES, &text, &err));
    char *copy = mem_strndup((const char *)text.data, text.len);
    buf_clear(&text);
    return copy;
}

/* A new file in its place, without the syncs that would be most of this test's time. */
static void spit(const char *path, const char *text, size_t len)
{
    AUTOFREE char *temp = mem_printf("%s.new", path);
    FILE *file = fopen(temp, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(temp, path), 0);
}

/* Locks, unlocks; the code of what it gave. */
static enum err_code unlock_code(struct world *world)
{
    struct err err = {0};

    vault_lock(world->vault);
    return vault_unlock(world->vault, NULL, world->kek, &err) ? ERR_NONE : err.code;
}

static json_t *load(const char *path)
{
    json_t *doc = json_load_file(path, 0, NULL);

    assert_non_null(doc);
    return doc;
}

/* A fresh checksum: what somebody does who is no accident. */
static void forge(json_t *doc)
{
    uint8_t sum[CRYPTO_HASH_LEN];
    char text[64];

    json_object_del(doc, "checksum");
    AUTOFREE char *canonical = json_canonical(doc);
    crypto_sha256(canonical, strlen(canonical), sum);
    text_base64(sum, sizeof sum, text);
    json_object_set_new(doc, "checksum", json_string(text));
}

static void store_forged(const char *path, json_t *doc)
{
    forge(doc);
    assert_int_equal(json_dump_file(doc, path, 0), 0);
    json_decref(doc);
}

/* ---- tests ---- */

static void keeps_what_was_put(void **state)
{
    struct world *world = *state;
    char username[VAULT_USERNAME_BYTES + 1];
    struct err err = {0};
    enum vault_kind kind;
    struct stat st;

    init(world);
    put(world, "user/github", marker);
    put(world, "user/other", "second");
    put(world, "user/other", "replaced");
    assert_true(vault_put(world->vault, "corp/basic", VAULT_BASIC, "alice", "pw", 2, &err));
    expect(world, "user/github", marker);
    expect(world, "user/other", "replaced");
    assert_int_equal(unlock_code(world), ERR_NONE);
    expect(world, "user/github", marker);
    struct secret *secret = vault_get(world->vault, "corp/basic", &kind, username, &err);
    assert_non_null(secret);
    assert_int_equal(kind, VAULT_BASIC);
    assert_string_equal(username, "alice");
    secret_free(secret);

    AUTOFREE char *text = slurp(world->path);
    assert_null(strstr(text, marker));
    assert_null(strstr(text, "alice"));
    assert_int_equal(stat(world->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    json_t *list = vault_list(world->vault, &err);
    assert_int_equal(json_array_size(list), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "path")), "corp/basic");
    json_decref(list);
    assert_true(vault_remove(world->vault, "user/other", &err));
    assert_false(vault_remove(world->vault, "user/other", &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void says_what_is_missing(void **state)
{
    struct world *world = *state;
    char username[VAULT_USERNAME_BYTES + 1];
    struct err err = {0};
    enum vault_kind kind;

    assert_int_equal(vault_state(world->vault, &err), VAULT_ABSENT);
    assert_null(vault_get(world->vault, "user/github", &kind, username, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    init(world);
    assert_false(vault_init(world->vault, "owner", &kdf, world->kek, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_null(vault_get(world->vault, "user/github", &kind, username, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.hint, "aileron vault put user/github"));
    vault_lock(world->vault);
    assert_int_equal(vault_state(world->vault, &err), VAULT_LOCKED);
    assert_null(vault_get(world->vault, "user/github", &kind, username, &err));
    assert_int_equal(err.code, ERR_LOCKED);
    assert_false(vault_put(world->vault, "a", VAULT_TOKEN, NULL, "x", 1, &err));
    assert_int_equal(err.code, ERR_LOCKED);
}

static void refuses_bad_input(void **state)
{
    static const char *const bad_paths[] = {"", "/a", "a/", "a//b", "../a", "a/./b", "a b", "a\nb", "ä"};
    struct world *world = *state;
    struct err err = {0};

    init(world);
    for (size_t i = 0; i < COUNT(bad_paths); i++)
        assert_false(vault_put(world->vault, bad_paths[i], VAULT_TOKEN, NULL, "x", 1, &err));
    assert_false(vault_put(world->vault, "a", VAULT_TOKEN, NULL, "", 0, &err));
    assert_false(vault_put(world->vault, "a", VAULT_TOKEN, "name", "x", 1, &err));
    assert_false(vault_put(world->vault, "a", VAULT_BASIC, NULL, "x", 1, &err));
    AUTOFREE char *large = mem_alloc(VAULT_SECRET_BYTES + 1);
    assert_false(vault_put(world->vault, "a", VAULT_TOKEN, NULL, large, VAULT_SECRET_BYTES + 1, &err));
    assert_true(vault_put(world->vault, "a", VAULT_TOKEN, NULL, large, VAULT_SECRET_BYTES, &err));
}

static void tells_a_wrong_passphrase(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    struct secret *wrong = vault_kdf_derive(&kdf, "open barley", 11, &err);

    init(world);
    AUTOFREE char *before = slurp(world->path);
    vault_lock(world->vault);
    assert_false(vault_unlock(world->vault, NULL, wrong, &err));
    assert_int_equal(err.code, ERR_DENIED);
    assert_string_equal(err.message, "wrong passphrase");
    assert_int_equal(vault_state(world->vault, &err), VAULT_LOCKED);
    AUTOFREE char *after = slurp(world->path);
    assert_string_equal(before, after);
    secret_free(wrong);
}

/* Every bit of the file is covered, and none of the flips looks like a wrong passphrase or is written over. */
static void finds_every_flipped_bit(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    struct stat before, after;

    init(world);
    put(world, "user/github", marker);
    AUTOFREE char *good = slurp(world->path);
    size_t len = strlen(good);
    for (size_t i = 0; i < len; i++) {
        AUTOFREE char *bad = mem_strndup(good, len);
        bad[i] = (char)(bad[i] ^ (1 << (i % 7)));
        spit(world->path, bad, len);
        assert_int_equal(stat(world->path, &before), 0);
        enum err_code code = unlock_code(world);
        /* White space may change without harm. */
        if (code == ERR_NONE) {
            assert_true(strchr(" \n\t", good[i]) != NULL);
            continue;
        }
        assert_int_equal(code, ERR_DATA);
        assert_int_equal(vault_state(world->vault, &err), VAULT_DAMAGED);
        assert_false(vault_put(world->vault, "a", VAULT_TOKEN, NULL, "x", 1, &err));
        assert_false(vault_init(world->vault, "owner", &kdf, world->kek, &err));
        assert_int_equal(err.code, ERR_CONFLICT);
        assert_int_equal(stat(world->path, &after), 0);
        assert_true(before.st_ino == after.st_ino && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
    }
}

static void finds_truncation(void **state)
{
    struct world *world = *state;

    init(world);
    put(world, "user/github", marker);
    AUTOFREE char *good = slurp(world->path);
    for (size_t len = 0; len < strlen(good) - 2; len += 7) {
        spit(world->path, good, len);
        assert_int_equal(unlock_code(world), ERR_DATA);
    }
}

/* Swapped entries, an older copy of one, a removed one, a changed kind: with a checksum that fits. */
static void finds_forgery(void **state)
{
    struct world *world = *state;

    init(world);
    put(world, "a", "first");
    put(world, "b", "second");
    json_t *older = load(world->path);
    put(world, "a", "newer");
    AUTOFREE char *good = slurp(world->path);

    json_t *doc = load(world->path), *entries = json_object_get(doc, "entries");
    json_t *a = json_incref(json_object_get(entries, "a"));
    json_object_set(entries, "a", json_object_get(entries, "b"));
    json_object_set_new(entries, "b", a);
    store_forged(world->path, doc);
    assert_int_equal(unlock_code(world), ERR_DATA);

    doc = json_loads(good, 0, NULL);
    json_object_set(json_object_get(doc, "entries"), "a", json_object_get(json_object_get(older, "entries"), "a"));
    store_forged(world->path, doc);
    assert_int_equal(unlock_code(world), ERR_DATA);

    doc = json_loads(good, 0, NULL);
    json_object_del(json_object_get(doc, "entries"), "b");
    store_forged(world->path, doc);
    assert_int_equal(unlock_code(world), ERR_DATA);

    doc = json_loads(good, 0, NULL);
    json_object_set_new(doc, "generation", json_integer(99));
    store_forged(world->path, doc);
    assert_int_equal(unlock_code(world), ERR_DATA);

    spit(world->path, good, strlen(good));
    assert_int_equal(unlock_code(world), ERR_NONE);
    expect(world, "a", "newer");
    json_decref(older);
}

/* While it is unlocked the whole file cannot be put back to an earlier state either. */
static void finds_a_rolled_back_file(void **state)
{
    struct world *world = *state;
    char username[VAULT_USERNAME_BYTES + 1];
    struct err err = {0};
    enum vault_kind kind;

    init(world);
    put(world, "a", "old");
    AUTOFREE char *old = slurp(world->path);
    put(world, "a", "new");
    spit(world->path, old, strlen(old));
    assert_null(vault_get(world->vault, "a", &kind, username, &err));
    assert_int_equal(err.code, ERR_DATA);
    assert_non_null(strstr(err.message, "older"));
    assert_false(vault_put(world->vault, "b", VAULT_TOKEN, NULL, "x", 1, &err));
    /* A person who means it locks and unlocks. */
    assert_int_equal(unlock_code(world), ERR_NONE);
    expect(world, "a", "old");
}

static void keeps_the_old_file_when_writing_fails(void **state)
{
    struct world *world = *state;
    struct err err = {0};

    init(world);
    put(world, "a", "kept");
    if (geteuid() == 0) { /* root writes everywhere: take the directory away instead */
        AUTOFREE char *aside = mem_printf("%s.aside", world->home);
        assert_int_equal(rename(world->home, aside), 0);
        assert_false(vault_put(world->vault, "b", VAULT_TOKEN, NULL, "x", 1, &err));
        assert_int_equal(rename(aside, world->home), 0);
    } else {
        assert_int_equal(chmod(world->home, 0500), 0);
        assert_false(vault_put(world->vault, "b", VAULT_TOKEN, NULL, "x", 1, &err));
        assert_int_equal(chmod(world->home, 0700), 0);
    }
    expect(world, "a", "kept");
    json_t *list = vault_list(world->vault, &err);
    assert_int_equal(json_array_size(list), 1);
    json_decref(list);
}

static void keyring_cache_survives_a_restart(void **state)
{
    struct world *world = *state;
    struct err err = {0};

    init(world);
    put(world, "a", "cached");
    if (!vault_cache_store(world->vault, 60, &err)) {
        assert_int_equal(err.code, ERR_UNAVAILABLE);
        skip(); /* no keyring in this container */
    }
    vault_close(world->vault);
    world->vault = vault_open(world->home);
    assert_true(vault_cache_load(world->vault));
    expect(world, "a", "cached");
    /* The keyring alone opens nothing: its key is sealed by one on the disk. */
    AUTOFREE char *wrapper = mem_printf("%s/run/private/keyring.key", world->home);
    assert_int_equal(unlink(wrapper), 0);
    vault_lock(world->vault);
    assert_false(vault_cache_load(world->vault));
    vault_cache_forget(world->vault);
    assert_false(vault_cache_load(world->vault));
}

static bool puts_at(struct world *world, const char *path, enum vault_kind kind, const char *username)
{
    struct err err = {0};
    return vault_put(world->vault, path, kind, username, "x", 1, &err);
}

static void texts_are_bounded(void **state)
{
    struct world *world = *state;
    char text[VAULT_USERNAME_BYTES + 2];

    init(world);
    memset(text, 'p', sizeof text);
    text[VAULT_PATH_BYTES + 1] = '\0';
    assert_false(puts_at(world, text, VAULT_TOKEN, NULL));
    text[VAULT_PATH_BYTES] = '\0';
    assert_true(puts_at(world, text, VAULT_TOKEN, NULL));
    memset(text, 'u', sizeof text);
    text[VAULT_USERNAME_BYTES + 1] = '\0';
    assert_false(puts_at(world, "a", VAULT_BASIC, text));
    text[VAULT_USERNAME_BYTES] = '\0';
    assert_true(puts_at(world, "a", VAULT_BASIC, text));
}

/* A file of these members and entries, padded to a size: is it taken? */
static bool parses(json_t *doc, size_t size)
{
    struct err err = {0};

    forge(doc);
    AUTOFREE char *text = json_dumps(doc, 0);
    size_t len = strlen(text);
    AUTOFREE char *padded = mem_alloc((size > len ? size : len) + 1);
    memset(padded, ' ', size > len ? size : len);
    memcpy(padded, text, len);
    json_t *parsed JSON_AUTO = vault_file_parse(padded, size > len ? size : len, &err);
    assert_true(parsed != NULL || err.code == ERR_DATA);
    return parsed != NULL;
}

static void entries_and_members_are_bounded(void **state)
{
    struct world *world = *state;
    struct err err = {0};

    init(world);
    json_t *doc = load(world->path), *entries = json_object_get(doc, "entries");
    json_t *members = json_object_get(doc, "members");
    struct secret *key = vault_file_unwrap(doc, NULL, world->kek, &err);
    assert_non_null(key);
    for (int i = 0; i < VAULT_ENTRIES; i++) {
        AUTOFREE char *path = mem_printf("n%d", i);
        assert_true(vault_file_put(doc, key, path, VAULT_TOKEN, NULL, "x", 1, &err));
    }
    assert_false(vault_file_put(doc, key, "more", VAULT_TOKEN, NULL, "x", 1, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_true(vault_file_put(doc, key, "n7", VAULT_TOKEN, NULL, "y", 1, &err)); /* one that is there */
    for (int i = 1; i < VAULT_MEMBERS; i++) {
        json_t *member = json_deep_copy(json_array_get(members, 0));
        AUTOFREE char *name = mem_printf("m%d", i);
        json_object_set_new(member, "name", json_string(name));
        json_array_append_new(members, member);
    }
    assert_true(parses(doc, VAULT_FILE_BYTES));
    assert_false(parses(doc, VAULT_FILE_BYTES + 1));
    json_object_set(entries, "more", json_object_get(entries, "n0"));
    assert_false(parses(doc, 0));
    json_object_del(entries, "more");
    json_array_append_new(members, json_deep_copy(json_array_get(members, 0)));
    assert_false(parses(doc, 0));
    json_array_remove(members, VAULT_MEMBERS);
    json_object_set_new(json_array_get(members, 1), "m_kib", json_integer(VAULT_KDF_M_KIB_MAX));
    assert_true(parses(doc, 0));
    json_object_set_new(json_array_get(members, 1), "m_kib", json_integer(VAULT_KDF_M_KIB_MAX + 1));
    assert_false(parses(doc, 0));
    secret_free(key);
    json_decref(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_what_was_put, setup, teardown),
        cmocka_unit_test_setup_teardown(says_what_is_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_bad_input, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_a_wrong_passphrase, setup, teardown),
        cmocka_unit_test_setup_teardown(finds_every_flipped_bit, setup, teardown),
        cmocka_unit_test_setup_teardown(finds_truncation, setup, teardown),
        cmocka_unit_test_setup_teardown(finds_forgery, setup, teardown),
        cmocka_unit_test_setup_teardown(finds_a_rolled_back_file, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_the_old_file_when_writing_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(keyring_cache_survives_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(texts_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(entries_and_members_are_bounded, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
