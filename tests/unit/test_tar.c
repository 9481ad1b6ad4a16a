/* Archives as bytes: what is read out of them, in pieces of every size, and what is refused. */
#include "core/wire/tar.h"

#include "core/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct buf archive;

static int set_up(void **state)
{
    (void)state;
    buf_init(&archive, 64 * 1024 * 1024);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_clear(&archive);
    return 0;
}

static void add_bytes(const void *data, size_t len)
{
    static const uint8_t zero[TAR_BLOCK];

    assert_true(buf_add(&archive, data, len));
    assert_true(buf_add(&archive, zero, (size_t)(-len % TAR_BLOCK)));
}

static void add_block(uint8_t *block)
{
    unsigned sum = 0;

    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += block[i];
    snprintf((char *)block + 148, 8, "%06o", sum);
    add_bytes(block, TAR_BLOCK);
}

static void fill(uint8_t *block, const char *name, char flag, const char *link, size_t size)
{
    memset(block, 0, TAR_BLOCK);
    memcpy(block, name, strlen(name));
    snprintf((char *)block + 100, 8, "%07o", 0755);
    snprintf((char *)block + 124, 12, "%011o", (unsigned)size);
    snprintf((char *)block + 136, 12, "%011o", 1700000000);
    block[156] = (uint8_t)flag;
    memcpy(block + 157, link, strlen(link));
    memcpy(block + 257, "ustar\0" "00", 8);
}

static void add_entry(const char *name, char flag, const char *link, const char *text)
{
    uint8_t block[TAR_BLOCK];

    fill(block, name, flag, link, strlen(text));
    add_block(block);
    add_bytes(text, strlen(text));
}

static void add_end(void)
{
    static const uint8_t zero[2 * TAR_BLOCK];

    add_bytes(zero, sizeof(zero));
}

/* "TYPE NAME[>TARGET][=CONTENT] " for each entry; "!MESSAGE" for what is refused. */
static char *read_by(size_t piece)
{
    struct tar *tar = tar_new();
    struct tar_entry entry;
    struct span data;
    struct err err = {0};
    struct buf out;
    enum tar_event event = TAR_NEED_MORE;

    buf_init(&out, 4 * 1024 * 1024);
    for (size_t at = 0; at < archive.len && event != TAR_END && event != TAR_ERROR; at += piece) {
        struct span input = {(const char *)archive.data + at, archive.len - at < piece ? archive.len - at : piece};
        do {
            event = tar_next(tar, &input, &entry, &data, &err);
            if (event == TAR_ENTRY)
                assert_true(buf_printf(&out, " %d %s%s%s%s", (int)entry.type, entry.name, entry.target ? ">" : "",
                                       entry.target ? entry.target : "", entry.size > 0 ? "=" : ""));
            else if (event == TAR_DATA)
                assert_true(buf_add(&out, data.p, data.len));
        } while (event == TAR_ENTRY || event == TAR_DATA);
    }
    if (event == TAR_ERROR || !tar_eof(tar, &err))
        assert_true(buf_printf(&out, " !%s", err.message));
    tar_free(tar);
    char *text = mem_strdup(buf_cstr(&out));
    buf_clear(&out);
    return text;
}

static void wants(const char *text)
{
    static const size_t pieces[] = {1, 7, 511, 512, 513, 100000000};

    for (size_t i = 0; i < COUNT(pieces); i++) {
        AUTOFREE char *is = read_by(pieces[i]);
        assert_string_equal(is, text);
    }
}

static void refuses(const char *why)
{
    AUTOFREE char *is = read_by(4096), *at_once = read_by(1);

    if (strchr(is, '!') == NULL || strstr(is, why) == NULL)
        fail_msg("not refused for \"%s\": %s", why, is);
    assert_string_equal(is, at_once);
    buf_clear(&archive);
}

static void test_entries(void **state)
{
    (void)state;
    add_entry("./", '5', "", "");
    add_entry("./usr//bin/", '5', "", "");
    add_entry("usr/bin/tool", '0', "", "content");
    add_entry("empty", '\0', "", "");
    add_entry("bin", '2', "usr/../usr/bin", "");
    add_entry("again", '1', "./usr/bin/tool", "");
    add_entry("old/", '0', "", "");
    add_entry("dev/null", '3', "", "");
    add_entry("dots/..x/...", '0', "", "y");
    add_end();
    add_bytes("what follows is nobody's", 24);
    wants(" 1  1 usr/bin 0 usr/bin/tool=content 0 empty 2 bin>usr/../usr/bin 3 again>usr/bin/tool 1 old 4 dev/null "
          "0 dots/..x/...=y");
}

static void test_extensions(void **state)
{
    uint8_t block[TAR_BLOCK];
    char name[400] = "", record[512];

    (void)state;
    memset(name, 'n', 300);
    add_entry("././@LongLink", 'L', "", name);
    add_entry("././@LongLink", 'K', "", "where/it/leads");
    add_entry("cut", '2', "cut", "");
    snprintf(record, sizeof(record), "16 path=a/b/c/d\n17 comment=words\n22 mtime=1700000001.5\n");
    add_entry("pax", 'x', "", record);
    add_entry("cut", '0', "", "x");
    add_entry("pax", 'g', "", "11 path=no\n");
    add_entry("plain", '0', "", "x"); /* nothing is left over of what was said before */
    fill(block, "file", '0', "", 1);
    memcpy(block + 345, "prefix/of/it", 12);
    add_block(block);
    add_bytes("z", 1);
    fill(block, "binary", '0', "", 0);
    memcpy(block + 124, "\x80\0\0\0\0\0\0\0\0\0\0\3", 12);
    add_block(block);
    add_bytes("abc", 3);
    AUTOFREE char *text = mem_printf(" 2 %s>where/it/leads 0 a/b/c/d=x 0 plain=x 0 prefix/of/it/file=z 0 binary=abc",
                                     name);
    wants(text);
}

static void test_refused(void **state)
{
    static const char *const names[] = {"/etc/passwd", "../x", "a/../../x", "..", "a/.."};
    uint8_t block[TAR_BLOCK];

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        add_entry(names[i], '0', "", "x");
        refuses("absolute");
        add_entry("name", '1', names[i], "");
        refuses("leads up");
    }
    add_entry("name", '2', "", "");
    refuses("empty");
    add_entry("name", 'S', "", "");
    refuses("of a kind");
    add_entry("pax", 'x', "", "22 GNU.sparse.major=1\n");
    refuses("sparse");
    add_entry("pax", 'x', "", "99 path=a\n");
    refuses("wrong length");
    add_entry("pax", 'x', "", "10 path:aa\n");
    refuses("wrong length");
    add_entry("pax", 'x', "", "11 path:aa\n");
    refuses("no value");
    add_entry("pax", 'x', "", "29 size=99999999999999999999\n");
    refuses("size is no number");
    add_entry("pax", 'x', "", "16 path=../../x\n");
    add_entry("cut", '0', "", "x");
    refuses("leads up");
    add_entry("pax", 'x', "", "16 path=../../x\n");
    add_end();
    refuses("ends before");
    fill(block, "name", '0', "", 0);
    add_block(block);
    archive.data[0] = 'N';
    refuses("checksum");
    fill(block, "name", '0', "", 0);
    memcpy(block + 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12); /* a size below zero */
    add_block(block);
    refuses("size is no number");
    add_entry("name", '0', "", "content");
    archive.len -= TAR_BLOCK;
    refuses("cut off");
    assert_true(buf_adds(&archive, "no tar at all"));
    refuses("cut off");
}

static void test_numbers(void **state)
{
    static const struct {
        size_t at, len;
        const char *bytes, *why; /* NULL: it is read */
    } rows[] = {
        {124, 12, "     0000000", NULL},
        {124, 12, "0000000 9999", NULL},
        {124, 12, "00000000009\0", "size is no number"},
        {124, 12, "-0000000001\0", "size is no number"},
        {124, 12, "0x000000001\0", "size is no number"},
        {124, 12, "777777777777", "cut off"}, /* 64 GiB, which do not follow */
        {124, 12, "\x80\0\0\0\x80\0\0\0\0\0\0\0", "size is no number"}, /* 2^63 */
        {100, 8, "77777777", NULL},
        {100, 8, "0000 755", NULL},
        {100, 8, "0000rwx\0", "mode is no number"},
        {100, 8, "\x80\0\0\1\0\0\0\0", "mode is no number"}, /* 2^32 */
        {136, 12, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", NULL}, /* before 1970 */
    };
    uint8_t block[TAR_BLOCK];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        fill(block, "name", '0', "", 0);
        memcpy(block + rows[i].at, rows[i].bytes, rows[i].len);
        add_block(block);
        if (rows[i].why != NULL) {
            refuses(rows[i].why);
        } else {
            add_end();
            wants(" 0 name");
            buf_clear(&archive);
        }
    }
}

static void add_pax(struct span record)
{
    uint8_t block[TAR_BLOCK];

    fill(block, "pax", 'x', "", record.len);
    add_block(block);
    add_bytes(record.p, record.len);
}

/* What another reader could take for another name, or another record. */
static void test_records(void **state)
{
    static const struct {
        struct span record;
        const char *why;
    } rows[] = {
        {{"14 path=a\0/..\n", 14}, "holds a NUL"},
        {{"15 linkpath=a\0\n", 15}, "holds a NUL"},
        {{"11 size=1x\n", 11}, "size is no number"},
        {{"11 size=-1\n", 11}, "size is no number"},
        {{"10 size=10\n", 11}, "wrong length"}, /* ends in the number */
        {{"1 a=b\n", 6}, "wrong length"},
        {{"6 a=b\n0 x=y\n", 12}, "wrong length"}, /* its end would be that of the one before */
        {{" 6 a=b\n", 7}, "wrong length"},
        {{"-6 a=b\n", 7}, "wrong length"},
        {{"0x7 a=b\n", 8}, "wrong length"},
        {{"6 a=b\n6 =\n", 10}, "wrong length"}, /* the second one is longer than what there is */
        {{"6 a=b\nx", 7}, "wrong length"},      /* a byte that belongs to none */
        {{"18446744073709551622 a=b\n", 25}, "wrong length"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        add_pax(rows[i].record);
        refuses(rows[i].why);
    }
}

static void add_long(const char *kind, size_t len)
{
    AUTOFREE char *text = mem_alloc(len + 1);

    memset(text, 'n', len);
    add_entry("long", *kind, "", text);
}

static void test_bounds(void **state)
{
    (void)state;
    add_long("L", TAR_NAME_MAX);
    add_entry("x", '0', "", "");
    AUTOFREE char *whole = read_by(4096);
    assert_int_equal(strlen(whole), 3 + TAR_NAME_MAX);
    buf_clear(&archive);
    add_long("L", TAR_NAME_MAX + 1);
    add_entry("x", '0', "", "");
    refuses("too long");

    add_long("g", TAR_EXTENSION_MAX);
    wants(" !the archive is damaged or no tar: it is cut off"); /* it was taken, and nothing came after it */
    buf_clear(&archive);
    add_long("g", TAR_EXTENSION_MAX + 1);
    refuses("too much");

    for (int count = TAR_EXTENSIONS_MAX; count <= TAR_EXTENSIONS_MAX + 1; count++) {
        buf_clear(&archive);
        for (int i = 0; i < count; i++)
            add_long("L", 3);
        add_entry("x", '0', "", "");
        if (count == TAR_EXTENSIONS_MAX)
            wants(" 0 nnn");
    }
    refuses("too much");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_entries, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_extensions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_records, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
