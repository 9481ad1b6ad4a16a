/* Where git's own files lead (threat F11): what the first look did not know of and git obeys all the same. */
#include "tests/unit/planted_world.h"

/* ---- an index ---- */

struct entry {
    uint32_t mode;
    const char *name;
};

static void add_u32(struct buf *out, uint32_t value)
{
    uint8_t bytes[] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};

    assert_true(buf_add(out, bytes, sizeof bytes));
}

/* As git writes it; version 4 has of each name what differs from the one before. */
static void make_index(struct buf *out, uint32_t version, size_t hash_len, const struct entry *entries, size_t count)
{
    static const uint8_t zero[64];
    const char *before = "";

    buf_init(out, 1 << 20);
    assert_true(buf_adds(out, "DIRC"));
    add_u32(out, version);
    add_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        const char *name = entries[i].name;
        size_t start = out->len, same = 0, extended = version == 3 ? 2 : 0;
        assert_true(buf_add(out, zero, 24));
        add_u32(out, entries[i].mode);
        assert_true(buf_add(out, zero, 12 + hash_len));
        assert_true(buf_add(out, version == 3 ? "\x40" : "\0", 1) && buf_add(out, zero, 1 + extended));
        while (version == 4 && before[same] != '\0' && before[same] == name[same])
            same++;
        size_t drop = strlen(before) - same;
        if (version == 4 && drop >= 128)
            assert_true(buf_add(out, (uint8_t[]){(uint8_t)(0x80 | ((drop >> 7) - 1)), (uint8_t)(drop & 0x7f)}, 2));
        else if (version == 4)
            assert_true(buf_add(out, (uint8_t[]){(uint8_t)drop}, 1));
        assert_true(buf_adds(out, name + same) && buf_add(out, zero, 1));
        while (version != 4 && (out->len - start) % 8 != 0)
            assert_true(buf_add(out, zero, 1));
        before = name;
    }
    assert_true(buf_add(out, zero, hash_len));
}

static bool note(const char *name, size_t len, void *arg)
{
    return buf_add(arg, name, len) && buf_adds(arg, "\n");
}

static void put_bytes(const char *below, const struct buf *bytes)
{
    AUTOFREE char *path = place(below);
    struct err err = {0};

    assert_true(file_write_atomic(path, 0644, bytes->data, bytes->len, &err));
}

static void an_index_is_read(void **state)
{
    char deep[300] = "a/";
    memset(deep + 2, 'x', sizeof deep - 3);
    const struct entry entries[] = {{0100644, "a/b"}, {0160000, deep}, {0120000, "c"}, {0160000, "node_modules/x"}};
    AUTOFREE char *want = mem_printf("%s\nnode_modules/x\n", deep);

    (void)state;
    for (uint32_t version = 2; version <= 4; version++) {
        for (size_t hash = 20; hash <= 32; hash += 12) {
            CLEANUP(buf_clear) struct buf index, got;
            make_index(&index, version, hash, entries, COUNT(entries));
            buf_init(&got, 4096);
            assert_true(planted_gitlinks(index.data, index.len, note, &got));
            assert_string_equal(buf_cstr(&got), want);
            for (size_t len = 0; len < index.len; len += 7) { /* cut anywhere: no byte behind it is read */
                AUTOFREE uint8_t *cut = mem_alloc(len + 1);
                memcpy(cut, index.data, len);
                (void)!planted_gitlinks(cut, len, note, &got);
            }
        }
    }
}

/* `git status` asks each repository that the index has, with its own configuration: what the walk passes over, too. */
static void a_repository_that_nobody_looks_at(void **state)
{
    const struct entry entries[] = {{0160000, "node_modules/a"}, {0160000, "node_modules/b"}};
    const struct entry below[] = {{0160000, "deep"}};
    CLEANUP(buf_clear) struct buf index, inner;

    (void)state;
    make_index(&index, 2, 20, entries, COUNT(entries));
    make_index(&inner, 4, 20, below, COUNT(below));
    folder(".git");
    struct planted *before = take(NULL);
    put_bytes(".git/index", &index);
    put("node_modules/a/.git/config", "[core]\n\tfsmonitor = evil\n");
    put_bytes("node_modules/a/.git/index", &inner);
    put("node_modules/a/deep/.git/config", "[core]\n\tfsmonitor = evil\n");
    put("node_modules/b/.git", "gitdir: ../.cache/b\n");
    put("node_modules/.cache/b/config", "[core]\n\tfsmonitor = evil\n");
    put("node_modules/c/.git/config", "[core]\n\tfsmonitor = nobody asks it\n");
    expect(before, "new node_modules/.cache/b/config\nnew node_modules/a/.git/config\n"
                   "new node_modules/a/deep/.git/config\nnew node_modules/b/.git\n");
}

static void an_index_elsewhere(void **state)
{
    const struct entry entries[] = {{0160000, "node_modules/a"}};
    CLEANUP(buf_clear) struct buf index;

    (void)state;
    make_index(&index, 2, 20, entries, COUNT(entries));
    folder(".git");
    folder("lib");
    put("lib/.git", "gitdir: ../.git/modules/lib\n");
    folder(".git/modules/lib");
    struct planted *before = take(NULL);
    put_bytes(".git/modules/lib/other", &index); /* a submodule's, by a link */
    put_link("other", ".git/modules/lib/index");
    put_bytes(".git/sharedindex.0123", &index); /* of an index that is split */
    put("lib/node_modules/a/.git/config", "[core]\n\tfsmonitor = evil\n");
    put("node_modules/a/.git/config", "[core]\n\tfsmonitor = evil\n");
    expect(before, "new lib/node_modules/a/.git/config\nnew node_modules/a/.git/config\n");
    before = take(NULL);
    put(".git/index", "DIRCx");
    AUTOFREE char *got = changes(before);
    assert_non_null(strstr(got, "partial: not understood, as an index of git: .git/index"));
}

/* HEAD and commondir are a repository; its configuration is where commondir leads, without a HEAD. */
static void a_repository_in_two_halves(void **state)
{
    struct planted *before = take(NULL);

    (void)state;
    put("sub/HEAD", "ref: refs/heads/x\n");
    put("sub/commondir", "../evil\n");
    put("sub/config.worktree", "[core]\n\tworktree = ..\n");
    folder("evil/objects");
    folder("evil/refs");
    put("evil/config", "[core]\n\tfsmonitor = evil\n");
    expect(before, "new sub/commondir\nnew sub/config.worktree\n");
}

/* Names alone do not make a directory's logs, lfs and refs places where nobody looks. */
static void what_pretends_to_be_a_repository(void **state)
{
    struct planted *before = take(NULL);

    (void)state;
    put("HEAD", "x\n");
    folder("objects");
    folder("refs");
    put("logs/app/.envrc", "evil\n");
    put("lfs/.vscode/tasks.json", "evil\n");
    expect(before, "new lfs/.vscode/tasks.json\nnew logs/app/.envrc\n");
}

static void a_configuration_leads_on(void **state)
{
    AUTOFREE char *config = mem_printf("[include]\n\tpath = ../conf/git\n[core]\n\thooksPath = %s/my/hooks\n"
                                       "\tfsmonitor = \"./tools/watch --all\"\n"
                                       "[filter \"x\"]\n\tclean = tools/clean.sh %%f\n"
                                       "[branch \"main\"]\n\tremote = origin\n", root);

    (void)state;
    put(".git/config", config);
    put("conf/git", "[include]\n\tpath = more\n\tpath = git\n");
    put("conf/more", "[user]\n\tname = A\n");
    put("my/hooks/pre-push", "one\n");
    put("tools/watch", "one\n");
    put("tools/clean.sh", "one\n");
    put("tools/other", "one\n");
    struct planted *before = take(NULL);
    put("conf/more", "[core]\n\tpager = evil\n");
    put("my/hooks/pre-push", "two\n");
    put("tools/watch", "two\n");
    put("tools/clean.sh", "two\n");
    put("tools/other", "two\n");
    expect(before, "changed conf/more\nchanged my/hooks/pre-push\nchanged tools/clean.sh\nchanged tools/watch\n");
    before = take(NULL);
    AUTOFREE char *helper = mem_printf("%s[branch \"x\"]\n\tremote = ext::sh -c evil\n", config);
    put(".git/config", helper);
    expect(before, "changed .git/config\n");
}

static void paths_are_joined(void **state)
{
    static const struct {
        const char *dir, *name, *want;
    } rows[] = {
        {"", "a", "a"}, {"a/b", "../c", "a/c"}, {"a", "./x//y/", "a/x/y"}, {"", "/w/s/q/../r", "r"},
        {"a", "../..", NULL}, {"", "../x", NULL}, {"", "/w/sx", NULL}, {"", "/etc", NULL}, {"", "~/x", NULL},
        {"a", "..", NULL},
    };
    char out[PATH_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool good = planted_join("/w/s", rows[i].dir, rows[i].name, out);
        if (good != (rows[i].want != NULL) || (good && strcmp(out, rows[i].want) != 0))
            fail_msg("%s + %s: %s", rows[i].dir, rows[i].name, good ? out : "refused");
    }
}

/* More paths than are looked for in one configuration: told. */
static void limit_planted_named(void **state)
{
    CLEANUP(buf_clear) struct buf text;

    (void)state;
    buf_init(&text, 1 << 20);
    assert_true(buf_adds(&text, "[alias]\n"));
    for (int i = 0; i < 256; i++)
        assert_true(buf_printf(&text, "\tx%d = !tools/x%d\n", i, i));
    put(".git/config", buf_cstr(&text));
    expect(take(NULL), "");
    assert_true(buf_adds(&text, "\tlast = !tools/last\n"));
    put(".git/config", buf_cstr(&text));
    expect(take(NULL), "partial: too many paths are named in .git/config\n");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        PLANTED(an_index_is_read),
        PLANTED(a_repository_that_nobody_looks_at),
        PLANTED(an_index_elsewhere),
        PLANTED(a_repository_in_two_halves),
        PLANTED(what_pretends_to_be_a_repository),
        PLANTED(a_configuration_leads_on),
        PLANTED(paths_are_joined),
        PLANTED(limit_planted_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
