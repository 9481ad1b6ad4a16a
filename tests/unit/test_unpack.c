/* The bounds of unpacking, and what is left of modes and times. What hostile archives try: tests/attack/image.bats. */
#include "core/sandbox/unpack.h"

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/wire/tar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char top[4096], root[4112], archive[4112];

static int set_up(void **state)
{
    const char *tmp = getenv("TMPDIR");
    AUTOFREE char *template = mem_printf("%s/unpack.XXXXXX", tmp != NULL ? tmp : "/tmp");

    (void)state;
    if (mkdtemp(template) == NULL || realpath(template, top) == NULL)
        return -1;
    snprintf(root, sizeof(root), "%s/root", top);
    snprintf(archive, sizeof(archive), "%s/archive", top);
    return mkdir(root, 0755);
}

static int tear_down(void **state)
{
    struct err err = {0};

    (void)state;
    return file_remove_tree(top, &err) ? 0 : -1;
}

static void add(struct buf *out, const char *name, unsigned mode, size_t size)
{
    uint8_t block[TAR_BLOCK] = {0};
    unsigned sum = 0;

    snprintf((char *)block, 100, "%s", name);
    snprintf((char *)block + 100, 8, "%07o", mode);
    snprintf((char *)block + 124, 12, "%011o", (unsigned)size);
    snprintf((char *)block + 136, 12, "%011o", 1700000000);
    block[156] = '0';
    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += block[i];
    snprintf((char *)block + 148, 8, "%06o", sum);
    assert_true(buf_add(out, block, sizeof block));
    AUTOFREE char *text = mem_alloc(size + TAR_BLOCK);
    assert_true(buf_add(out, text, size + (size_t)(-size % TAR_BLOCK)));
}

static void write_archive(struct buf *bytes)
{
    struct err err = {0};

    assert_true(file_write_atomic(archive, 0600, bytes->data, bytes->len, &err));
    buf_clear(bytes);
}

static void test_bounds(void **state)
{
    struct buf bytes;

    (void)state;
    buf_init(&bytes, 1024 * 1024);
    add(&bytes, "a", 0644, 1000);
    add(&bytes, "b", 0644, 24);
    write_archive(&bytes);
    for (int layer = 0; layer < 2; layer++) {
        struct unpack_left exact = {1024, 2}, few = {1024, 1}, short_of = {1023, 2};
        struct err err = {0};
        if (!unpack_archive(archive, root, layer == 1, &exact, &err))
            fail_msg("%s", err.message);
        assert_int_equal(exact.bytes, 0);
        assert_int_equal(exact.entries, 0);
        assert_false(unpack_archive(archive, root, layer == 1, &few, &err));
        assert_int_equal(err.code, ERR_LIMIT);
        assert_false(unpack_archive(archive, root, layer == 1, &short_of, &err));
        assert_int_equal(err.code, ERR_LIMIT);
    }
}

/* Directories that the archive does not have and its names need are entries, too: one of 4096 bytes makes 2000. */
static void test_implied_directories(void **state)
{
    struct unpack_left left = {UNPACK_BYTES_MAX, 12};
    struct buf bytes;
    struct err err = {0};

    (void)state;
    buf_init(&bytes, 64 * 1024);
    add(&bytes, "a/b/c/d/e/f", 0644, 0);
    add(&bytes, "1/2/3/4/5/6", 0644, 0);
    AUTOFREE char *end = mem_alloc(2 * TAR_BLOCK);
    assert_true(buf_add(&bytes, end, 2 * TAR_BLOCK));
    write_archive(&bytes);
    if (!unpack_archive(archive, root, false, &left, &err))
        fail_msg("%s", err.message);
    left.entries = 11;
    assert_true(file_remove_tree(root, &err));
    assert_int_equal(mkdir(root, 0755), 0);
    assert_false(unpack_archive(archive, root, false, &left, &err));
    assert_int_equal(err.code, ERR_LIMIT);
}

static void test_modes(void **state)
{
    AUTOFREE char *tool = mem_printf("%s/usr/bin/tool", root), *locked = mem_printf("%s/locked", root);
    AUTOFREE char *made = mem_printf("%s/usr/bin", root);
    struct unpack_left left = {UNPACK_BYTES_MAX, UNPACK_ENTRIES_MAX};
    struct err err = {0};
    struct buf bytes;
    struct stat st;

    (void)state;
    buf_init(&bytes, 1024 * 1024);
    add(&bytes, "usr/bin/tool", 06755, 3); /* its directories are not in the archive */
    add(&bytes, "locked", 0000, 0);
    write_archive(&bytes);
    assert_true(unpack_archive(archive, root, false, &left, &err));
    assert_int_equal(stat(tool, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(st.st_mtime, 1700000000);
    assert_int_equal(st.st_uid, geteuid());
    assert_int_equal(stat(locked, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0400); /* whoever launches can read what he unpacked */
    assert_int_equal(stat(made, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_implied_directories, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_modes, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
