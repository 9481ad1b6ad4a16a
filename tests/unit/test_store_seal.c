/* What is sealed in state.db: nothing of it is in the file, it opens for its own row alone, and the vault's lock holds
 * for it, but for the result of what was running. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/data/store.h"
#include "tls/crypto.h"

static const char ARGS[] = "{\"text\":\"MARKER-OF-ARGUMENTS\"}", RESULT[] = "MARKER-OF-A-RESULT",
                  FULL[] = "{\"body\":\"MARKER-OF-A-BODY\"}";
static char dir[64];
static char *path;

static int setup(void **state)
{
    struct err err;
    (void)state;
    memcpy(dir, "/tmp/aileron-seal.XXXXXX", 25);
    if (!mkdtemp(dir) || !tls_init(&err))
        return -1;
    path = file_join(dir, "state.db");
    return 0;
}

static int teardown(void **state)
{
    struct err err;
    (void)state;
    free(path);
    return file_remove_tree(dir, &err) ? 0 : -1;
}

static struct store *open_good(void)
{
    struct err err = {0};
    struct store *store = store_open(path, &err);
    if (!store)
        fail_msg("%s", err.message);
    return store;
}

static void unlock(struct store *store, const char *passphrase)
{
    char bytes[CRYPTO_KEY_LEN] = {0};
    struct err err = {0};
    snprintf(bytes, sizeof bytes, "%s", passphrase);
    struct secret *key = secret_new(bytes, sizeof bytes);
    if (!store_unlock(store, key, &err))
        fail_msg("%s", err.message);
    secret_free(key);
}

static bool add(struct store *store, const char *id, struct err *err)
{
    struct store_operation row = {.id = mem_strdup(id), .session = mem_strdup("s1"), .connector = mem_strdup("c"),
                                  .tool = mem_strdup("t"), .operation = mem_strdup("o"), .args = mem_strdup(ARGS),
                                  .state = mem_strdup("running"), .created_ms = 5, .updated_ms = 5};
    bool good = store_operation_add(store, &row, err);
    store_operation_clear(&row);
    return good;
}

static bool finish(struct store *store, const char *id, const struct secret *key, struct err *err)
{
    struct store_outcome outcome = {.state = "succeeded", .result = RESULT, .result_len = strlen(RESULT), .key = key};
    return store_operation_finish(store, id, "running", &outcome, 6, err);
}

static bool add_approval(struct store *store, struct err *err)
{
    struct store_approval row = {.id = (char[]){"apr_1"}, .session = (char[]){"s1"}, .digest = (char[]){"d"},
                                 .rule = (char[]){"r"}, .shown = (char[]){"{\"host\":\"h\"}"},
                                 .full = mem_strdup(FULL), .state = (char[]){"pending"}, .created_ms = 5};
    bool good = store_approval_add(store, &row, err);
    free(row.full);
    return good;
}

/* In the file, or in its log. */
static bool on_disk(const char *needle)
{
    static const char *const parts[] = {"", "-wal"};
    bool found = false;
    for (size_t i = 0; i < COUNT(parts); i++) {
        AUTOFREE char *name = mem_printf("%s%s", path, parts[i]);
        struct buf bytes;
        struct err err = {0};
        if (file_read(name, 64 * 1024 * 1024, &bytes, &err)) {
            found = found || memmem(bytes.data, bytes.len, needle, strlen(needle));
            buf_clear(&bytes);
        }
    }
    return found;
}

static void expect_args(struct store *store, const char *id)
{
    struct err err = {0};
    AUTOFREE char *args = store_operation_args(store, id, &err);
    if (!args)
        fail_msg("%s", err.message);
    assert_string_equal(args, ARGS);
}

static void expect_result(struct store *store, const char *id)
{
    struct store_operation row;
    struct err err = {0};
    struct buf result;
    if (!store_operation_result(store, id, &result, &err))
        fail_msg("%s", err.message);
    assert_int_equal(result.len, strlen(RESULT));
    assert_memory_equal(result.data, RESULT, result.len);
    buf_clear(&result);
    assert_true(store_operation_get(store, id, &row, &err));
    assert_int_equal(row.result_bytes, strlen(RESULT));
    assert_false(row.truncated);
    store_operation_clear(&row);
}

static void nothing_of_it_is_in_the_file(void **state)
{
    struct err err = {0};
    (void)state;
    struct store *store = open_good();
    /* Without a vault everything is: so the search finds what is there. */
    assert_true(add(store, "op_0", &err) && finish(store, "op_0", NULL, &err) && add_approval(store, &err));
    assert_true(on_disk("MARKER-OF-ARGUMENTS") && on_disk("MARKER-OF-A-RESULT") && on_disk("MARKER-OF-A-BODY"));
    unlock(store, "one"); /* there is a vault now */
    assert_true(add(store, "op_1", &err) && finish(store, "op_1", NULL, &err));
    assert_true(store_operation_edit(store, "op_1", "succeeded", ARGS, 7, &err));
    assert_false(on_disk("MARKER-OF"));
    for (int i = 0; i < 2; i++) {
        char id[] = "op_0";
        id[3] = (char)('0' + i);
        expect_args(store, id);
        expect_result(store, id);
    }
    AUTOFREE char *full = store_approval_full(store, "apr_1", &err);
    assert_string_equal(full, FULL);
    store_close(store);
    assert_false(on_disk("MARKER-OF"));
    store = open_good(); /* another daemon, the same vault */
    unlock(store, "one");
    expect_args(store, "op_1");
    expect_result(store, "op_1");
    store_close(store);
}

static void a_locked_vault_gives_and_takes_nothing(void **state)
{
    struct err err = {0};
    struct buf result;
    (void)state;
    struct store *store = open_good();
    unlock(store, "one");
    assert_true(add(store, "op_1", &err) && add(store, "op_2", &err) && finish(store, "op_1", NULL, &err));
    struct secret *key = store_row_key(store, "op_2");
    store_lock(store, true);
    assert_int_equal(store_sealing(store), STORE_LOCKED);
    assert_false(add(store, "op_3", &err));
    assert_int_equal(err.code, ERR_LOCKED);
    assert_null(store_operation_args(store, "op_1", &err));
    assert_int_equal(err.code, ERR_LOCKED);
    assert_false(store_operation_result(store, "op_1", &result, &err));
    assert_int_equal(err.code, ERR_LOCKED);
    assert_false(add_approval(store, &err));
    /* What ran when it was locked has its row's key. */
    assert_true(finish(store, "op_2", key, &err));
    secret_free(key);
    assert_false(on_disk("MARKER-OF"));
    unlock(store, "one");
    expect_result(store, "op_2");
    expect_args(store, "op_2");
    store_close(store);
}

/* With SQL, as somebody who has the file and not the key. */
static void meddle(const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    char *why = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s", why);
    sqlite3_close(db);
}

static void a_sealed_value_opens_in_its_own_place_alone(void **state)
{
    static const char *const attacks[] = {
        "UPDATE operation SET args = (SELECT args FROM operation WHERE id = 'op_2') WHERE id = 'op_1'",
        "UPDATE operation SET args = result WHERE id = 'op_1'",
        "UPDATE operation SET args = CAST(substr(args, 1, length(args) - 1) || x'00' AS BLOB) WHERE id = 'op_1'",
        "UPDATE operation SET args = x'01000000' WHERE id = 'op_1'",
        "UPDATE operation SET args = CAST(x'09000000' || substr(args, 5) AS BLOB) WHERE id = 'op_1'",
    };
    struct err err = {0};
    (void)state;
    for (size_t i = 0; i < COUNT(attacks); i++) {
        struct store *store = open_good();
        unlock(store, "one");
        assert_true(add(store, "op_1", &err) && add(store, "op_2", &err) && finish(store, "op_1", NULL, &err));
        expect_args(store, "op_1");
        store_close(store);
        meddle(attacks[i]);
        store = open_good();
        unlock(store, "one");
        assert_null(store_operation_args(store, "op_1", &err));
        assert_int_equal(err.code, ERR_DATA);
        expect_args(store, "op_2");
        store_close(store);
        meddle("DELETE FROM operation");
    }
}

static void another_vault_begins_anew(void **state)
{
    struct err err = {0};
    (void)state;
    struct store *store = open_good();
    unlock(store, "one");
    assert_true(add(store, "op_1", &err));
    unlock(store, "two");
    assert_null(store_operation_args(store, "op_1", &err));
    assert_int_equal(err.code, ERR_DATA);
    assert_true(add(store, "op_2", &err));
    expect_args(store, "op_2");
    unlock(store, "one"); /* the old one was put back */
    expect_args(store, "op_1");
    store_close(store);
}

/* As version 2 wrote it. */
static void an_older_file_is_carried_over_and_sealed(void **state)
{
    struct err err = {0};
    struct store_approval row;
    (void)state;
    meddle("CREATE TABLE session (id TEXT PRIMARY KEY, created INTEGER NOT NULL, ended INTEGER NOT NULL DEFAULT 0, "
           "json TEXT NOT NULL) STRICT;"
           "CREATE TABLE operation (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, session TEXT NOT NULL, "
           "connector TEXT NOT NULL, tool TEXT NOT NULL, operation TEXT NOT NULL, args TEXT NOT NULL, "
           "state TEXT NOT NULL, key TEXT, content_type TEXT, error TEXT, status INTEGER NOT NULL DEFAULT 0, "
           "created INTEGER NOT NULL, updated INTEGER NOT NULL, result BLOB, "
           "truncated INTEGER NOT NULL DEFAULT 0, collected INTEGER NOT NULL DEFAULT 0) STRICT;"
           "CREATE UNIQUE INDEX operation_key ON operation (session, key) WHERE key IS NOT NULL;"
           "CREATE INDEX operation_session ON operation (session, seq);"
           "CREATE INDEX operation_state ON operation (state);"
           "CREATE TABLE approval (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, session TEXT NOT NULL, "
           "operation TEXT, digest TEXT NOT NULL, rule TEXT NOT NULL, shown TEXT NOT NULL, state TEXT NOT NULL, "
           "scope TEXT, reason TEXT, by TEXT, edited INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL, "
           "expires INTEGER NOT NULL, decided INTEGER NOT NULL DEFAULT 0) STRICT;"
           "CREATE INDEX approval_state ON approval (state);"
           "CREATE INDEX approval_session ON approval (session, digest);"
           "INSERT INTO operation (id, session, connector, tool, operation, args, state, key, created, updated, "
           "result) VALUES ('op_1', 's', 'c', 't', 'o', '{\"text\":\"MARKER-OF-ARGUMENTS\"}', 'succeeded', 'k', 1, 1, "
           "CAST('MARKER-OF-A-RESULT' AS BLOB));"
           "INSERT INTO approval (id, session, digest, rule, shown, state, created, expires) VALUES ('apr_1', 's', "
           "'d', 'r', '{\"host\":\"h\",\"body\":\"MARKER-OF-A-BODY\"}', 'pending', 1, 2);"
           "PRAGMA user_version = 2;");
    assert_true(on_disk("MARKER-OF-A-BODY"));
    struct store *store = open_good();
    unlock(store, "one");
    expect_args(store, "op_1");
    expect_result(store, "op_1");
    assert_true(store_approval_get(store, "apr_1", &row, &err));
    assert_string_equal(row.shown, "{\"host\":\"h\"}");
    store_approval_clear(&row);
    AUTOFREE char *full = store_approval_full(store, "apr_1", &err);
    assert_non_null(strstr(full, "MARKER-OF-A-BODY"));
    store_close(store);
    assert_false(on_disk("MARKER-OF"));
}

/* What a vault.json that was put back is told by (C15). */
static void each_vault_has_its_own_generation(void **state)
{
    struct store *store = open_good();
    struct err err = {0};
    int64_t seen = -1;

    (void)state;
    unlock(store, "one");
    assert_true(store_generation(store, &seen, &err));
    assert_int_equal(seen, 0);
    assert_true(store_set_generation(store, 7, &err));
    unlock(store, "two");
    assert_true(store_generation(store, &seen, &err));
    assert_int_equal(seen, 0);
    assert_true(store_set_generation(store, 2, &err));
    store_close(store);
    store = open_good();
    unlock(store, "one");
    assert_true(store_generation(store, &seen, &err));
    assert_int_equal(seen, 7);
    store_close(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_of_it_is_in_the_file), TEST(a_locked_vault_gives_and_takes_nothing),
        TEST(a_sealed_value_opens_in_its_own_place_alone), TEST(another_vault_begins_anew),
        TEST(an_older_file_is_carried_over_and_sealed), TEST(each_vault_has_its_own_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
