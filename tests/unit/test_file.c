/* core/base/file: bounds, atomic writes with faults, owner checks, and removing hostile trees. */
#include "core/base/file.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char *dir; /* one a test */

static char *in_dir(const char *name)
{
    return file_join(dir, name);
}

static int setup(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    AUTOFREE char *pattern = file_join(base ? base : "/tmp", "aileron-file-XXXXXX");
    if (!mkdtemp(pattern))
        return -1;
    dir = mem_strdup(pattern);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    struct err err = {0};
    bool good = file_remove_tree(dir, &err) && !file_exists(dir);
    free(dir);
    return good ? 0 : -1;
}

static void put(const char *name, const char *text)
{
    AUTOFREE char *path = in_dir(name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static size_t count_entries(void)
{
    size_t count = 0;
    DIR *entries = opendir(dir);
    assert_non_null(entries);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(entries);
    return count;
}

static void reads_at_the_bound(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf buf;
    put("ten", "0123456789");
    AUTOFREE char *path = in_dir("ten"), *missing = in_dir("none"), *below = in_dir("ten/x");
    assert_true(file_read(path, 10, &buf, &err));
    assert_string_equal(buf_cstr(&buf), "0123456789");
    buf_clear(&buf);
    assert_false(file_read(path, 9, &buf, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_null(buf.data);
    assert_false(file_read(missing, 10, &buf, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_false(file_read(below, 10, &buf, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_false(file_read(dir, 10, &buf, &err));
    assert_int_equal(err.code, ERR_DATA);
    put("none", "");
    assert_true(file_read(missing, 0, &buf, &err));
    assert_int_equal(buf.len, 0);
    buf_clear(&buf);
    assert_true(file_read("/proc/self/maps", 1 << 20, &buf, &err)); /* regular, of size 0, in pieces */
    assert_true(buf.len > 100);
    buf_clear(&buf);
}

static void a_fifo_does_not_hang(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf buf;
    AUTOFREE char *path = in_dir("fifo");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(file_read(path, 10, &buf, &err));
    assert_int_equal(err.code, ERR_DATA);
}

static void reads_a_pipe_to_its_end(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf buf;
    int ends[2];
    char big[40000];
    memset(big, 'x', sizeof(big));
    assert_int_equal(pipe(ends), 0);
    assert_true(file_write_all(ends[1], big, sizeof(big), &err));
    close(ends[1]);
    assert_true(file_read_fd(ends[0], sizeof(big), &buf, &err));
    assert_int_equal(buf.len, sizeof(big));
    buf_clear(&buf);
    close(ends[0]);
    assert_false(file_read_fd(ends[0], 1, &buf, &err));
    assert_int_equal(err.code, ERR_IO);
}

static void writes_whole_or_not_at_all(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf buf;
    struct stat st;
    AUTOFREE char *path = in_dir("vault.json");
    mode_t before = umask(0777);
    assert_true(file_write_atomic(path, 0640, "one", 3, &err));
    assert_true(file_write_atomic(path, 0640, "second", 6, &err));
    umask(before);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_true(file_read(path, 100, &buf, &err));
    assert_string_equal(buf_cstr(&buf), "second");
    buf_clear(&buf);
    assert_true(file_write_atomic(path, 0600, NULL, 0, &err));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 0);
    assert_int_equal(count_entries(), 1);
}

/* The file size limit stands for a full disk: write(2) stops in the middle. */
static void a_full_disk_leaves_the_old(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf buf;
    char big[8192] = {0};
    AUTOFREE char *path = in_dir("vault.json");
    struct rlimit old, little;
    assert_true(file_write_atomic(path, 0600, "old", 3, &err));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    little = (struct rlimit){4096, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    bool written = file_write_atomic(path, 0600, big, sizeof(big), &err);
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);
    assert_false(written);
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.message, "vault.json: File too large"));
    assert_non_null(strstr(err.hint, "Nothing was changed"));
    assert_true(file_read(path, 100, &buf, &err));
    assert_string_equal(buf_cstr(&buf), "old");
    buf_clear(&buf);
    assert_int_equal(count_entries(), 1); /* no half-written file beside it */
    int full = open("/dev/full", O_WRONLY);
    if (full >= 0) {
        assert_false(file_write_all(full, "x", 1, &err));
        assert_non_null(strstr(err.message, "No space left"));
        close(full);
    }
}

static void a_bad_place_is_an_error(void **state)
{
    (void)state;
    struct err err = {0};
    AUTOFREE char *path = in_dir("no/such/dir/file"), *taken = in_dir("taken");
    assert_false(file_write_atomic(path, 0600, "x", 1, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.hint, "no/such/dir first"));
    assert_true(file_mkdirs(taken, 0700, &err));
    assert_false(file_write_atomic(taken, 0600, "x", 1, &err)); /* a directory is in the way */
    assert_int_equal(count_entries(), 1);
}

static void makes_directories(void **state)
{
    (void)state;
    struct err err = {0};
    struct stat st;
    AUTOFREE char *path = in_dir("a//b/c/"), *file = in_dir("file"), *below = in_dir("file/x");
    mode_t before = umask(077);
    assert_true(file_mkdirs(path, 0755, &err));
    assert_true(file_mkdirs(path, 0700, &err)); /* what exists keeps its mode */
    umask(before);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    put("file", "");
    assert_false(file_mkdirs(file, 0700, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_false(file_mkdirs(below, 0700, &err));
    assert_true(file_mkdirs("/", 0700, &err));
    AUTOFREE char *dangling = in_dir("dangling");
    assert_int_equal(symlink("nowhere", dangling), 0);
    assert_false(file_mkdirs(dangling, 0700, &err));
}

static void private_directories(void **state)
{
    (void)state;
    struct err err = {0};
    AUTOFREE char *path = in_dir("home"), *link = in_dir("link");
    assert_false(file_check_private_dir(path, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_true(file_mkdirs(path, 0700, &err));
    assert_true(file_check_private_dir(path, &err));
    assert_int_equal(chmod(path, 0710), 0);
    assert_false(file_check_private_dir(path, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.hint, "chmod 700"));
    assert_int_equal(chmod(path, 01777), 0); /* as /tmp is: who obeyed would close it to the others */
    assert_false(file_check_private_dir(path, &err));
    assert_null(strstr(err.hint, "chmod"));
    assert_int_equal(chmod(path, 0700), 0);
    assert_int_equal(symlink("home", link), 0);
    assert_false(file_check_private_dir(link, &err));
    assert_non_null(strstr(err.message, "symbolic link"));
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 12345, 12345), 0);
        assert_false(file_check_private_dir(path, &err));
        assert_non_null(strstr(err.message, "12345"));
    }
}

static void removes_trees_but_follows_nothing(void **state)
{
    (void)state;
    struct err err = {0};
    AUTOFREE char *tree = in_dir("tree"), *inner = in_dir("tree/a/b"), *link = in_dir("tree/a/out"),
                  *keep = in_dir("keep"), *top_link = in_dir("toplink"), *closed = in_dir("tree/a/closed/x");
    assert_true(file_mkdirs(inner, 0700, &err));
    assert_true(file_mkdirs(keep, 0700, &err));
    put("keep/precious", "x");
    put("tree/a/b/file", "x");
    assert_int_equal(symlink("../../keep", link), 0);
    assert_int_equal(symlink("keep", top_link), 0);
    assert_true(file_mkdirs(closed, 0700, &err));
    put("tree/a/closed/x/file", "x");
    AUTOFREE char *closed_dir = in_dir("tree/a/closed");
    assert_int_equal(chmod(closed, 0), 0);
    assert_int_equal(chmod(closed_dir, 0500), 0);
    assert_true(file_remove_tree(tree, &err));
    assert_true(file_remove_tree(tree, &err)); /* none: fine */
    assert_true(file_remove_tree(top_link, &err));
    assert_int_equal(err.code, ERR_NONE);
    assert_false(file_exists(tree));
    AUTOFREE char *precious = in_dir("keep/precious");
    assert_true(file_exists(precious));
    assert_true(file_remove_tree(precious, &err)); /* a single file */
    assert_false(file_exists(precious));
}

/* Deeper than any path may be long. */
static void removes_a_deep_tree(void **state)
{
    (void)state;
    struct err err = {0};
    AUTOFREE char *tree = in_dir("deep");
    assert_true(file_mkdirs(tree, 0700, &err));
    int fd = open(tree, O_RDONLY | O_DIRECTORY);
    for (int depth = 0; depth < 1000; depth++) {
        assert_int_equal(mkdirat(fd, "directory", 0700), 0);
        int next = openat(fd, "directory", O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    close(fd);
    bool good = file_remove_tree(tree, &err);
    assert_string_equal(err.message, "");
    assert_true(good);
    assert_false(file_exists(tree));
}

static void joins(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"/a", "b", "/a/b"}, {"/a/", "b", "/a/b"}, {"/a", "/b", "/a/b"}, {"/", "b", "/b"}, {"", "b", "b"}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTOFREE char *joined = file_join(rows[i][0], rows[i][1]);
        assert_string_equal(joined, rows[i][2]);
    }
}

static void sealed_memory_stays(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf buf;
    CLEANUP(file_close_ptr) int fd = file_sealed("snapshot", "{}", 2, &err);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_true(file_read_fd(fd, 10, &buf, &err));
    assert_string_equal(buf_cstr(&buf), "{}");
    buf_clear(&buf);
    CLEANUP(file_close_ptr) int empty = file_sealed("empty", NULL, 0, &err);
    assert_true(empty >= 0);
}

static void what_was_not_finished_is_swept(void **state)
{
    (void)state;
    static const char *const kept[] = {".new-0123456789abcde", ".new-0123456789abcdeg", ".new-", "vault.json"};
    struct err err = {0};
    AUTOFREE char *left = in_dir(".new-0123456789abcdef");
    assert_true(file_write_atomic(left, 0600, "half", 4, &err));
    for (size_t i = 0; i < COUNT(kept); i++) {
        AUTOFREE char *path = in_dir(kept[i]);
        assert_true(file_write_atomic(path, 0600, "x", 1, &err));
    }
    file_sweep_unfinished(dir);
    assert_false(file_exists(left));
    assert_int_equal(count_entries(), (int)COUNT(kept));
    AUTOFREE char *absent = in_dir("absent");
    file_sweep_unfinished(absent);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(reads_at_the_bound),
        T(a_fifo_does_not_hang),
        T(reads_a_pipe_to_its_end),
        T(writes_whole_or_not_at_all),
        T(what_was_not_finished_is_swept),
        T(a_full_disk_leaves_the_old),
        T(a_bad_place_is_an_error),
        T(makes_directories),
        T(private_directories),
        T(removes_trees_but_follows_nothing),
        T(removes_a_deep_tree),
        T(joins),
        T(sealed_memory_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
