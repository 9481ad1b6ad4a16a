/* core/base/secret: contents, isolation over fork and in core dumps, comparison. */
#include "core/base/secret.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void holds_its_bytes(void **state)
{
    (void)state;
    struct secret *secret = secret_new("s3cret", 6);
    assert_int_equal(secret_len(secret), 6);
    assert_memory_equal(secret_bytes(secret), "s3cret", 6);
    secret_free_ptr(&secret);
    assert_null(secret);
    secret_free(NULL);
    secret = secret_zeroed(100000); /* more than a page, more than can be locked where the limit is small */
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(secret_bytes(secret)[i], 0);
    memset(secret_writable(secret), 1, 100000);
    secret_free(secret);
    secret = secret_new(NULL, 0);
    assert_int_equal(secret_len(secret), 0);
    secret_free(secret);
}

static void many_pass_the_lock_limit(void **state)
{
    (void)state;
    const struct rlimit little = {8192, 8192};
    struct secret *secrets[50];
    (void)setrlimit(RLIMIT_MEMLOCK, &little);
    for (size_t i = 0; i < COUNT(secrets); i++)
        secrets[i] = secret_new(&i, sizeof(i));
    for (size_t i = 0; i < COUNT(secrets); i++) {
        assert_memory_equal(secret_bytes(secrets[i]), &i, sizeof(i));
        secret_free(secrets[i]);
    }
}

static void a_fork_has_it_not(void **state)
{
    (void)state;
    struct secret *secret = secret_new("s3cret", 6);
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        static const uint8_t zero[6];
        _exit(memcmp(secret_bytes(secret), zero, 6) == 0 ? 0 : 1);
    }
    assert_true(waitpid(pid, &status, 0) == pid);
    assert_int_equal(status, 0);
    assert_memory_equal(secret_bytes(secret), "s3cret", 6);
    secret_free(secret);
}

/* "dd" among the VmFlags of its mapping: not in core dumps. */
static void a_dump_has_it_not(void **state)
{
    (void)state;
    struct secret *secret = secret_new("s3cret", 6);
    uintptr_t at = (uintptr_t)secret_bytes(secret);
    FILE *maps = fopen("/proc/self/smaps", "r");
    assert_non_null(maps);
    char line[512];
    bool inside = false, excluded = false;
    while (fgets(line, sizeof(line), maps)) {
        unsigned long first, end;
        if (sscanf(line, "%lx-%lx ", &first, &end) == 2)
            inside = at >= first && at < end;
        if (inside && strncmp(line, "VmFlags:", 8) == 0)
            excluded = strstr(line, " dd") != NULL;
    }
    fclose(maps);
    assert_true(excluded);
    secret_free(secret);
}

/* A page that comes back holds nothing of the secret before, and is a page like any other. */
static void a_kept_page_is_empty(void **state)
{
    (void)state;
    struct secret *secrets[12];
    for (int turn = 0; turn < 3; turn++) {
        for (size_t i = 0; i < COUNT(secrets); i++) {
            secrets[i] = secret_zeroed(4000);
            assert_int_equal(secret_len(secrets[i]), 4000);
            for (size_t at = 0; at < 4000; at++)
                assert_int_equal(secret_bytes(secrets[i])[at], 0);
            memset(secret_writable(secrets[i]), 0x5a, 4000);
            for (size_t other = 0; other < i; other++)
                assert_ptr_not_equal(secrets[i], secrets[other]);
        }
        for (size_t i = 0; i < COUNT(secrets); i++)
            secret_free(secrets[i]);
    }
    a_fork_has_it_not(state);
    a_dump_has_it_not(state);
}

static void compares_and_wipes(void **state)
{
    (void)state;
    char text[] = "token";
    assert_true(secret_equal("token", text, 5));
    assert_false(secret_equal("tokem", text, 5));
    assert_false(secret_equal("Token", text, 5));
    assert_true(secret_equal("a", "b", 0));
    secret_wipe(text, sizeof(text));
    static const char zero[sizeof(text)];
    assert_memory_equal(text, zero, sizeof(text));
}

static void hardens(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit core;
        secret_harden_process();
        bool good = prctl(PR_GET_DUMPABLE) == 0 && getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0;
        _exit(good ? 0 : 1);
    }
    assert_true(waitpid(pid, &status, 0) == pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_its_bytes),   cmocka_unit_test(a_fork_has_it_not),
        cmocka_unit_test(a_dump_has_it_not), cmocka_unit_test(compares_and_wipes),
        cmocka_unit_test(hardens),           cmocka_unit_test(a_kept_page_is_empty),
        cmocka_unit_test(many_pass_the_lock_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
