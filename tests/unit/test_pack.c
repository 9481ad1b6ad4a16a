/* The workspace's way to another machine and back: what was packed is what the reader of archives makes of it; what
 * came back is laid over the workspace, and a hostile tree gets nothing outside it nor over what was changed here. */
#include "core/sandbox/merge.h"
#include "core/sandbox/unpack.h"

#include "core/base/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/pack.XXXXXX";
static struct pack_list sent;
static struct err err;

/* A shell makes what the tests need: in the directory of the test. */
static void sh(const char *script)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        if (chdir(dir) == 0)
            execl("/bin/sh", "sh", "-ec", script, (char *)NULL);
        _exit(99);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("%s", script);
}

static int setup(void **state)
{
    (void)state;
    memcpy(dir, "/tmp/pack.XXXXXX", sizeof(dir));
    assert_non_null(mkdtemp(dir));
    err = (struct err){0};
    sh("mkdir ws came out; chmod 755 ws");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pack_list_clear(&sent);
    return file_remove_tree(dir, &err) ? 0 : -1;
}

static bool transfer(struct pack_list *list, uint64_t bytes, size_t entries)
{
    AUTOFREE char *ws = file_join(dir, "ws"), *came = file_join(dir, "came");
    struct unpack_left left = {.bytes = UINT64_C(1) << 30, .entries = 10000};
    int ends[2], status = 0;

    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct err why = {0};
        close(ends[1]);
        bool good = unpack_stream(ends[0], came, 5000, pack_asked_to_end, &left, &why);
        if (!good)
            fprintf(stderr, "%s\n", why.message);
        _exit(good ? 0 : 1);
    }
    close(ends[0]);
    struct pack pack;
    pack_init(&pack, ends[1]);
    pack.bytes_left = bytes;
    pack.entries_left = entries;
    bool good = pack_tree(&pack, ws, "workspace", list, &err) && pack_end(&pack, &err);
    pack_clear(&pack);
    close(ends[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (good)
        assert_int_equal(status, 0);
    return good;
}

static void send_all(void)
{
    if (!transfer(&sent, PACK_BYTES_MAX, PACK_ENTRIES_MAX))
        fail_msg("%s", err.message);
}

static int open_ws(void)
{
    AUTOFREE char *ws = file_join(dir, "ws");
    int fd = open(ws, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static struct merge_report merged(void)
{
    AUTOFREE char *came = file_join(dir, "came/workspace");
    CLEANUP(file_close_ptr) int ws = open_ws();
    struct merge_spec spec = {.from = came, .workspace = ws, .sent = &sent, .uid = getuid(), .gid = getgid(),
                              .bytes_max = PACK_BYTES_MAX};
    struct merge_report report;

    if (!merge(&spec, &report, &err))
        fail_msg("%s", err.message);
    return report;
}

static void expect(struct merge_report report, size_t changed, size_t removed, size_t links, size_t conflicts)
{
    if (report.changed != changed || report.removed != removed || report.links != links ||
        report.conflicts != conflicts)
        fail_msg("changed %zu removed %zu links %zu conflicts %zu", report.changed, report.removed, report.links,
                 report.conflicts);
}

static void test_there(void **state)
{
    (void)state;
    sh("cd ws; echo one > one; mkdir -p a/b; echo deep > a/b/deep; ln -s one link; ln -s /etc/passwd abs; mkfifo fifo;"
       "head -c 100000 /dev/zero > big; : > empty; chmod 750 a; chmod 4711 one;"
       "long=$(printf 'n%.0s' $(seq 200)); echo l > $long; ln -s $long$long longlink");
    send_all();
    assert_null(pack_list_find(&sent, "fifo"));
    assert_non_null(pack_list_find(&sent, "a/b/deep"));
    assert_int_equal(pack_list_find(&sent, "big")->size, 100000);
    sh("rm ws/fifo; chmod 711 ws/one; diff -r --no-dereference ws came/workspace;"
       "stat -c %a came/workspace/a | grep -qx 750; test $(stat -c %Y ws/big) = $(stat -c %Y came/workspace/big)");
}

/* One more than the bounds: nothing goes. */
static void test_bounds(void **state)
{
    (void)state;
    sh("cd ws; head -c 1000 /dev/zero > f; echo 1 > g"); /* 1002 bytes, with the top three entries */
    assert_true(transfer(NULL, 1002, 3));
    sh("rm -r came/workspace");
    assert_false(transfer(NULL, 1001, 3));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_non_null(strstr(err.hint, "smaller directory"));
    assert_false(transfer(NULL, 1002, 2));
    assert_int_equal(err.code, ERR_LIMIT);
    sh("cd ws; p=.; for i in $(seq 127); do p=$p/d; done; mkdir -p $p");
    assert_true(transfer(NULL, PACK_BYTES_MAX, PACK_ENTRIES_MAX));
    sh("cd ws; p=.; for i in $(seq 128); do p=$p/d; done; mkdir -p $p");
    assert_false(transfer(NULL, PACK_BYTES_MAX, PACK_ENTRIES_MAX));
    assert_int_equal(err.code, ERR_LIMIT);
}

/* Whoever asks the launcher to end does not wait for a copy that nobody takes. */
static void test_interrupted(void **state)
{
    struct pack pack;
    sigset_t set;
    int ends[2];

    (void)state;
    AUTOFREE char *ws = file_join(dir, "ws"), *came = file_join(dir, "came");
    sh("head -c 1000000 /dev/zero > ws/big");
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGTERM);
    assert_int_equal(pipe(ends), 0);
    pack_init(&pack, ends[1]);
    assert_false(pack_tree(&pack, ws, "workspace", NULL, &err));
    assert_string_equal(err.message, "interrupted");
    pack_clear(&pack);
    struct unpack_left left = {.bytes = UINT64_C(1) << 30, .entries = 10000};
    assert_int_equal(pipe(ends), 0); /* nothing comes from it */
    assert_false(unpack_stream(ends[0], came, PACK_STALL_MS, pack_asked_to_end, &left, &err));
    assert_string_equal(err.message, "interrupted");
    pack_forget_asked();
    assert_false(pack_asked_to_end());
    assert_false(unpack_stream(ends[0], came, 300, pack_asked_to_end, &left, &err));
    assert_non_null(strstr(err.message, "timed out"));
    close(ends[0]);
    close(ends[1]);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void test_nothing_changed(void **state)
{
    (void)state;
    sh("cd ws; echo one > one; mkdir d; echo two > d/two; ln -s /etc abs; ln -s one link");
    send_all();
    sh("find ws -printf '%P %i %T@ %C@\n' | sort > before");
    expect(merged(), 0, 0, 0, 0);
    sh("find ws -printf '%P %i %T@ %C@\n' | sort | diff before -");
}

static void test_changes(void **state)
{
    (void)state;
    sh("cd ws; echo one > one; echo same > same; echo gone > gone; mkdir -p d/e; echo x > d/e/x; echo f > file;"
       "mkdir dir; echo in > dir/in; ln -s one link; touch -d @1000000000 one");
    send_all();
    sh("cd came/workspace; echo two > one; touch -d @1000000000 one; rm gone link; ln -s same link; rm -r d file dir;"
       "echo d > d; mkdir -p file/sub; echo n > file/sub/n; mkdir new; chmod 700 same; chmod 2755 new");
    /* changed: one, link, d, file/sub/n, same's mode; removed: gone, d/e/x, file, dir/in */
    expect(merged(), 5, 4, 0, 0);
    sh("diff -r --no-dereference ws came/workspace; [ $(stat -c %a ws/same) = 700 ]; [ $(stat -c %a ws/new) = 755 ];"
       "[ -z \"$(find ws -name '.aileron-*')\" ]");
}

static void test_changed_here_meanwhile(void **state)
{
    (void)state;
    sh("cd ws; echo 1 > both; echo 1 > here; echo 1 > removed; echo 1 > removed2; echo 1 > theirs; mkdir d e;"
       "echo 1 > d/f; echo 1 > e/f; echo 1 > gone");
    send_all();
    sh("cd ws; rm -r e; echo 2 > both; echo 2 > here; rm removed removed2; echo 2 > d/f; echo 2 > gone;"
       "echo mine > fresh");
    sh("cd came/workspace; echo 3 > both; echo 33 > removed2; echo 3 > theirs; rm -r d gone; echo 3 > fresh");
    /* both, d/f, gone, fresh; `here` came back as it was sent, and stays too */
    struct merge_report report = merged();
    assert_int_equal(report.changed, 2); /* theirs, removed2 */
    assert_int_equal(report.removed, 0);
    assert_true(report.conflicts >= 4);
    sh("cd ws; [ $(cat both) = 2 ]; [ $(cat here) = 2 ]; [ ! -e removed ]; [ $(cat removed2) = 33 ];"
       "[ $(cat theirs) = 3 ]; [ $(cat d/f) = 2 ]; [ ! -e e ]; [ $(cat gone) = 2 ]; [ $(cat fresh) = mine ]");
}

/* Links lead nowhere out, and nothing is written through one, be it theirs or one of this host. */
static void test_links(void **state)
{
    (void)state;
    sh("cd ws; ln -s ../out side; mkdir real; echo k > real/k");
    send_all();
    sh("cd came/workspace; ln -s /etc/passwd a; ln -s ../x b; ln -s real/../../x c; ln -s '' d 2> /dev/null || true;"
       "mkdir -p e/f; ln -s ../../real e/f/up; ln -s ../../../x e/f/out; ln -s real/k good;"
       "ln -s .././../x g; ln -s .. h; rm side; mkdir side; echo planted > side/file; rm -r real; ln -s ../out real");
    struct merge_report report = merged();
    /* a, b, c, e/f/out, g, h, real */
    assert_int_equal(report.links, 7);
    sh("[ -z \"$(ls -A out)\" ]; [ \"$(readlink ws/e/f/up)\" = ../../real ]; [ \"$(readlink ws/good)\" = real/k ];"
       "for l in a b c g h e/f/out; do [ ! -L ws/$l ]; done; [ ! -L ws/real ]; [ ! -L ws/side ]; [ -f ws/side/file ]");
}

static void test_a_link_here_is_not_followed(void **state)
{
    (void)state;
    sh("cd ws; mkdir d; echo 1 > d/f");
    send_all();
    sh("cd ws; mv d d2; ln -s ../out d; echo theirs > ../came/workspace/d/f; echo new > ../came/workspace/d/g;"
       "mkdir ../came/workspace/d/sub");
    struct merge_report report = merged(); /* the link was made here: a conflict, and what is below is not looked at */
    assert_true(report.conflicts >= 1);
    sh("[ -z \"$(ls -A out)\" ]; [ -L ws/d ]");
}

/* A connection that breaks ends a stream between two entries, as a rule: what is missing then was not removed. */
static void test_cut_off(void **state)
{
    AUTOFREE char *ws = file_join(dir, "ws"), *came = file_join(dir, "came");
    struct unpack_left left = {.bytes = UINT64_C(1) << 30, .entries = 10000};
    struct pack pack;
    int ends[2];

    (void)state;
    sh("cd ws; echo 1 > a; echo 1 > b");
    assert_int_equal(pipe(ends), 0);
    pack_init(&pack, ends[1]);
    if (!pack_tree(&pack, ws, "workspace", NULL, &err)) /* and no pack_end */
        fail_msg("%s", err.message);
    pack_clear(&pack);
    close(ends[1]);
    assert_false(unpack_stream(ends[0], came, 5000, pack_asked_to_end, &left, &err));
    close(ends[0]);
    assert_non_null(strstr(err.message, "cut off"));
}

/* Of a file's hard links the stream has the bytes once; laid over the workspace each is a file of its own. */
static void test_bounds_of_links(void **state)
{
    AUTOFREE char *came = file_join(dir, "came/workspace");
    CLEANUP(file_close_ptr) int ws = open_ws();
    struct merge_spec spec = {.from = came, .workspace = ws, .sent = &sent, .uid = getuid(), .gid = getgid(),
                              .bytes_max = 3000};
    struct merge_report report;

    (void)state;
    sh("cd ws; echo 1 > f");
    send_all();
    sh("cd came/workspace; rm f; mkdir d; head -c 1000 /dev/zero > d/big; ln d/big d/big2; ln d/big big3");
    spec.bytes_max--;
    assert_false(merge(&spec, &report, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    sh("[ \"$(ls ws)\" = f ]"); /* nothing was done */
    spec.bytes_max++;
    if (!merge(&spec, &report, &err))
        fail_msg("%s", err.message);
    assert_int_equal(report.changed, 3);
    sh("cd came/workspace; p=.; for i in $(seq 129); do p=$p/d; done; mkdir -p $p; rm -r d/big*");
    assert_false(merge(&spec, &report, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    sh("[ -e ws/d/big ]");
}

/* Whoever works here meanwhile is not overwritten: not by what is being copied, either. */
static void test_changed_while_it_is_copied(void **state)
{
    static const char edit[] = "n=0; until [ -e ws/.aileron-*.new ]; do n=$((n+1)); [ $n -lt 200000 ]; done;"
                               "echo ours > ws/f; touch done";
    int status = 0;

    (void)state;
    sh("cd ws; echo 1 > f");
    send_all();
    sh("cd came/workspace; truncate -s 400M f");
    pid_t pid = fork();
    if (pid == 0) {
        if (chdir(dir) == 0)
            execl("/bin/sh", "sh", "-ec", edit, (char *)NULL);
        _exit(99);
    }
    struct merge_report report = merged();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    sh("[ -e done ]; [ \"$(cat ws/f)\" = ours ]; [ -z \"$(find ws -name '.aileron-*')\" ]");
    assert_int_equal(report.conflicts, 1);
}

/* Whatever stands in the place of the workspace is no directory: nothing is done. */
static void test_no_directory(void **state)
{
    AUTOFREE char *came = file_join(dir, "came/workspace");
    CLEANUP(file_close_ptr) int ws = open_ws();
    struct merge_spec spec = {.from = came, .workspace = ws, .sent = &sent, .uid = getuid(), .gid = getgid(),
                              .bytes_max = PACK_BYTES_MAX};
    struct merge_report report;

    (void)state;
    sh("echo 1 > ws/f");
    send_all();
    sh("rm -r came/workspace; ln -s /etc came/workspace");
    assert_false(merge(&spec, &report, &err));
    sh("[ $(cat ws/f) = 1 ]; [ $(ls ws | wc -l) = 1 ]");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_there), T(test_bounds), T(test_interrupted), T(test_nothing_changed), T(test_changes),
        T(test_changed_here_meanwhile), T(test_links), T(test_a_link_here_is_not_followed), T(test_no_directory),
        T(test_cut_off), T(test_bounds_of_links),
        T(test_changed_while_it_is_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
