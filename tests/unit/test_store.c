/* state.db: rows, moves that only one can win, survival of a crash, and a damaged or full file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/data/store.h"

static char dir[64];
static char *path;

static int setup(void **state)
{
    (void)state;
    memcpy(dir, "/tmp/aileron-store.XXXXXX", 26);
    if (!mkdtemp(dir))
        return -1;
    path = file_join(dir, "state.db");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    struct err err;
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

static bool add(struct store *store, const char *id, const char *key, struct err *err)
{
    struct store_operation row = {.id = mem_strdup(id), .session = mem_strdup("s1"),
                                  .connector = mem_strdup("a.one"), .tool = mem_strdup("alpha"),
                                  .operation = mem_strdup("get"), .args = mem_strdup("{}"),
                                  .state = mem_strdup("running"), .created_ms = 5, .updated_ms = 5,
                                  .idempotency_key = key ? mem_strdup(key) : NULL};
    bool ok = store_operation_add(store, &row, err);
    store_operation_clear(&row);
    return ok;
}

static bool count_session(void *arg, const struct store_session *row)
{
    assert_non_null(row->json);
    ++*(int *)arg;
    return true;
}

static void sessions(void **state)
{
    (void)state;
    struct err err;
    struct store *store = open_good();
    int count = 0;
    assert_true(store_session_add(store, "s1", 1, "{}", &err));
    assert_true(store_session_add(store, "s2", 2, "{}", &err));
    assert_false(store_session_add(store, "s1", 1, "{}", &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_true(store_session_set(store, "s1", "{\"a\":1}", &err));
    assert_true(store_session_end(store, "s1", 9, &err));
    assert_false(store_session_end(store, "s9", 9, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_true(store_sessions(store, true, count_session, &count, &err));
    assert_int_equal(count, 1);
    assert_true(store_sessions(store, false, count_session, &count, &err));
    assert_int_equal(count, 3);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    store_close(store);
}

static void operations_move_once(void **state)
{
    (void)state;
    struct err err;
    struct store *store = open_good();
    struct store_operation row;
    struct buf result;
    bool found, changed;
    assert_true(add(store, "op_1", "k", &err));
    assert_false(add(store, "op_2", "k", &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_true(store_operation_by_key(store, "s1", "k", &row, &found, &err) && found);
    assert_string_equal(row.id, "op_1");
    store_operation_clear(&row);
    assert_true(store_operation_by_key(store, "s2", "k", &row, &found, &err) && !found);
    struct store_outcome outcome = {.state = "succeeded", .status = 200, .content_type = "text/plain",
                                    .result = "a\0b", .result_len = 3, .truncated = true};
    assert_true(store_operation_finish(store, "op_1", "running", &outcome, 7, &err));
    assert_false(store_operation_finish(store, "op_1", "running", &outcome, 8, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_string_equal(err.message, "operation op_1 is succeeded, not running");
    assert_false(store_operation_move(store, "op_1", "running", "unknown", 8, &err));
    assert_false(store_operation_move(store, "op_9", "running", "unknown", 8, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_true(store_operation_get(store, "op_1", &row, &err));
    assert_string_equal(row.state, "succeeded");
    assert_string_equal(row.content_type, "text/plain");
    assert_int_equal(row.status, 200);
    assert_int_equal(row.updated_ms, 7);
    assert_int_equal(row.result_bytes, 3);
    assert_true(row.truncated && !row.collected);
    assert_null(row.error);
    store_operation_clear(&row);
    assert_true(store_operation_result(store, "op_1", &result, &err));
    assert_int_equal(result.len, 3);
    assert_memory_equal(result.data, "a\0b", 3);
    buf_clear(&result);
    assert_true(store_operation_collect(store, "s2", "op_1", &changed, &err) && !changed);
    assert_true(store_operation_collect(store, "s1", "op_1", &changed, &err) && changed);
    assert_true(store_operation_collect(store, "s1", "op_1", &changed, &err) && !changed);
    store_close(store);
}

static bool list(void *arg, const struct store_operation *row)
{
    AUTOFREE char *before = *(char **)arg;
    *(char **)arg = mem_printf("%s%s,", before, row->id);
    return true;
}

static void lists_and_sweeps(void **state)
{
    (void)state;
    struct err err;
    struct store *store = open_good();
    struct store_outcome outcome = {.state = "failed", .error = "{}"};
    size_t count;
    bool changed;
    AUTOFREE char *seen = mem_strdup("");
    assert_true(add(store, "op_1", NULL, &err) && add(store, "op_2", NULL, &err) &&
                add(store, "op_3", NULL, &err));
    assert_true(store_operation_finish(store, "op_2", "running", &outcome, 7, &err));
    assert_true(store_operation_sweep(store, "running", "unknown", 9, &count, &err));
    assert_int_equal(count, 2);
    struct store_operation_filter filter = {.session = "s1"};
    assert_true(store_operations(store, &filter, list, &seen, &err));
    filter.state = "unknown";
    assert_true(store_operations(store, &filter, list, &seen, &err));
    filter.limit = 1;
    assert_true(store_operations(store, &filter, list, &seen, &err));
    filter = (struct store_operation_filter){.session = "s2"};
    assert_true(store_operations(store, &filter, list, &seen, &err));
    assert_true(store_operation_collect(store, "s1", "op_3", &changed, &err));
    filter = (struct store_operation_filter){.uncollected = true};
    assert_true(store_operations(store, &filter, list, &seen, &err));
    assert_string_equal(seen, "op_3,op_2,op_1,op_3,op_1,op_3,op_2,op_1,");
    store_close(store);
}

static size_t rows_left(struct store *store)
{
    AUTOFREE char *seen = mem_strdup("");
    struct err err;
    size_t count = 0;
    assert_true(store_operations(store, &(struct store_operation_filter){0}, list, &seen, &err));
    for (const char *at = seen; (at = strchr(at, ',')) != NULL; at++)
        count++;
    return count;
}

/* What was collected goes when it is old, and what a session left behind once the session has ended, too. */
static void old_rows_go(void **state)
{
    (void)state;
    struct err err;
    struct store *store = open_good();
    struct store_approval approval = {.id = (char[]){"apr_1"}, .session = (char[]){"s1"}, .digest = (char[]){"d"},
                                      .rule = (char[]){"r"}, .shown = (char[]){"{}"}, .full = (char[]){"{}"},
                                      .state = (char[]){"pending"}, .created_ms = 5, .expires_ms = 1000};
    struct store_decision decision = {.state = "denied"};
    size_t count;
    bool changed;
    assert_true(store_session_add(store, "s1", 1, "{}", &err));
    assert_true(add(store, "op_1", NULL, &err) && add(store, "op_2", NULL, &err));
    assert_true(store_approval_add(store, &approval, &err));
    approval.id[4] = '2';
    assert_true(store_approval_add(store, &approval, &err));
    assert_true(store_operation_collect(store, "s1", "op_2", &changed, &err));
    assert_true(store_approval_decide(store, "apr_2", "pending", &decision, 9, &err));
    assert_true(store_prune(store, 5, &count, &err));
    assert_int_equal(count, 0);
    assert_true(store_prune(store, 10, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(rows_left(store), 1); /* not collected, and its session is there */
    assert_true(store_session_end(store, "s1", 20, &err));
    assert_true(store_prune(store, 20, &count, &err));
    assert_int_equal(count, 0);
    assert_true(store_prune(store, 21, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(rows_left(store), 0);
    store_close(store);
}

static bool add_one(void *arg, const struct store_session *row)
{
    (void)row;
    (*(size_t *)arg)++;
    return true;
}

/* Of a session that has ended, what nobody collected goes too, and then the session; a live one keeps everything. */
static void what_nobody_can_collect_goes(void **state)
{
    (void)state;
    struct err err;
    struct store *store = open_good();
    size_t count, sessions = 0;
    assert_true(store_session_add(store, "s1", 1, "{}", &err) && store_session_add(store, "s2", 1, "{}", &err));
    assert_true(add(store, "op_1", NULL, &err));
    assert_true(store_prune(store, 100, &count, &err));
    assert_int_equal(count, 0);
    assert_true(store_session_end(store, "s1", 50, &err));
    assert_true(store_prune(store, 50, &count, &err));
    assert_int_equal(count, 0);
    assert_true(store_prune(store, 51, &count, &err));
    assert_int_equal(count, 1);
    assert_true(store_sessions(store, false, add_one, &sessions, &err));
    assert_int_equal(sessions, 1);
    store_close(store);
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    struct err err;
    struct store *store = open_good();
    AUTOFREE char *big = mem_alloc(4 * STORE_RESULT_MAX);
    memset(big, 'x', 4 * STORE_RESULT_MAX - 1);
    assert_true(add(store, "op_1", NULL, &err));
    struct store_outcome outcome = {.state = "succeeded", .result = big, .result_len = STORE_RESULT_MAX + 1};
    assert_false(store_operation_finish(store, "op_1", "running", &outcome, 7, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    outcome.result_len = STORE_RESULT_MAX;
    assert_true(store_operation_finish(store, "op_1", "running", &outcome, 7, &err));
    assert_false(store_session_add(store, "s1", 1, big, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    store_close(store);
}

static void transactions(void **state)
{
    (void)state;
    struct err err;
    struct store *store = open_good();
    struct store_operation row;
    assert_true(store_begin(store, &err));
    assert_true(add(store, "op_1", NULL, &err));
    store_rollback(store);
    assert_false(store_operation_get(store, "op_1", &row, &err));
    assert_true(store_set_full(store, true, &err));
    assert_true(store_begin(store, &err));
    assert_true(add(store, "op_1", NULL, &err));
    assert_true(store_commit(store, &err));
    assert_true(store_set_full(store, false, &err));
    assert_true(store_operation_get(store, "op_1", &row, &err));
    store_operation_clear(&row);
    AUTOFREE char *check = store_check(store);
    assert_string_equal(check, "ok");
    store_close(store);
}

static void F01_what_was_committed_survives_a_kill(void **state)
{
    (void)state;
    struct err err;
    int gate[2];
    assert_int_equal(pipe(gate), 0);
    pid_t child = fork();
    if (child == 0) {
        struct store *store = store_open(path, &err);
        bool ok = store && add(store, "op_1", NULL, &err) && store_begin(store, &err) &&
                  add(store, "op_2", NULL, &err) && write(gate[1], "x", 1) == 1;
        for (;;)
            ok ? pause() : _exit(1);
    }
    char byte;
    close(gate[1]);
    assert_int_equal(read(gate[0], &byte, 1), 1);
    close(gate[0]);
    /* Held by the child: a second opener is told so. */
    assert_null(store_open(path, &err));
    assert_non_null(strstr(err.message, "another process holds state.db"));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    struct store *store = open_good();
    struct store_operation row;
    assert_true(store_operation_get(store, "op_1", &row, &err));
    store_operation_clear(&row);
    assert_false(store_operation_get(store, "op_2", &row, &err));
    store_close(store);
}

static void F03_a_full_disk_is_told_and_passes(void **state)
{
    (void)state;
    struct err err;
    struct store *store = open_good();
    struct rlimit old, tight;
    AUTOFREE char *big = mem_alloc(200000);
    memset(big, 'x', 199999);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight = (struct rlimit){.rlim_cur = 100000, .rlim_max = old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    bool taken = store_session_add(store, "s1", 1, big, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_false(taken);
    assert_int_equal(err.code, ERR_IO);
    assert_true(store_session_add(store, "s1", 1, big, &err));
    AUTOFREE char *check = store_check(store);
    assert_string_equal(check, "ok");
    store_close(store);
}

static void F04_damage_is_told(void **state)
{
    (void)state;
    struct err err;
    char noise[4096];
    store_close(open_good());
    memset(noise, 0x5a, sizeof noise);
    assert_true(file_write_atomic(path, 0600, noise, sizeof noise, &err));
    assert_null(store_open(path, &err));
    assert_int_equal(err.code, ERR_DATA);
    assert_non_null(strstr(err.message, "damaged"));
    struct buf after;
    assert_true(file_read(path, sizeof noise, &after, &err)); /* nothing was overwritten */
    assert_memory_equal(after.data, noise, sizeof noise);
    buf_clear(&after);
}

/* What shows only when it is read: told then, and remembered for whoever asks how things are. */
static void F04_damage_that_is_found_later_is_remembered(void **state)
{
    (void)state;
    struct err err;
    struct store_operation row;
    struct buf file;
    struct store *store = open_good();
    assert_true(add(store, "op_1", NULL, &err));
    assert_int_equal(store_trouble(store)->code, ERR_NONE);
    store_close(store);
    assert_true(file_read(path, 1024 * 1024, &file, &err));
    assert_true(file.len > 4096);
    memset(file.data + 4096, 0x5a, file.len - 4096); /* all but the page that is read to open it */
    assert_true(file_write_atomic(path, 0600, file.data, file.len, &err));
    buf_clear(&file);
    store = store_open(path, &err);
    assert_non_null(store);
    assert_int_equal(store_trouble(store)->code, ERR_NONE);
    assert_false(store_operation_get(store, "op_1", &row, &err));
    assert_int_equal(store_trouble(store)->code, ERR_DATA);
    assert_non_null(strstr(store_trouble(store)->message, "damaged"));
    store_close(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sessions), TEST(operations_move_once), TEST(lists_and_sweeps), TEST(old_rows_go),
        TEST(what_nobody_can_collect_goes), TEST(sizes_are_bounded), TEST(transactions),
        TEST(F01_what_was_committed_survives_a_kill),
        TEST(F03_a_full_disk_is_told_and_passes), TEST(F04_damage_is_told),
        TEST(F04_damage_that_is_found_later_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
