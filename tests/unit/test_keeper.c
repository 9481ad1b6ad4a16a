/* The keeper of a detached sandbox's terminal, with a pty of its own and clients that a test steers; and the keys that
 * detach. Real terminals and sandboxes are e2e/detach_bwrap.bats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/base/proc.h"
#include "core/sandbox/attach.h"
#include "core/sandbox/keeper.h"
#include "core/sandbox/tty.h"

struct world {
    char dir[64];
    char *path;
    struct tty tty;
    struct keeper *keeper;
};

static int setup(void **state)
{
    struct world *world = mem_alloc(sizeof *world);
    struct err err = {0};
    struct termios raw;

    snprintf(world->dir, sizeof world->dir, "/tmp/aileron-keeper.XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    world->path = file_join(world->dir, "attach.sock");
    assert_true(tty_open(&world->tty, -1, false, &err));
    assert_int_equal(tcgetattr(world->tty.slave, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(world->tty.slave, TCSANOW, &raw), 0);
    world->keeper = keeper_open(world->path, world->tty.master, &err);
    assert_non_null(world->keeper);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    struct err err;

    keeper_close(world->keeper, 0);
    tty_close(&world->tty);
    assert_true(file_remove_tree(world->dir, &err));
    free(world->path);
    free(world);
    return 0;
}

/* What attend.c does, but for reading the pty: until nothing is to be done. */
static bool pump(struct world *world)
{
    struct pollfd polls[KEEPER_POLLS];
    bool resized = false;

    for (int i = 0; i < 200; i++) {
        (void)!keeper_polls(world->keeper, polls);
        if (poll(polls, KEEPER_POLLS, 0) <= 0)
            break;
        resized = keeper_turn(world->keeper, polls) || resized;
    }
    return resized;
}

static int attach(struct world *world)
{
    struct err err = {0};
    int fd = proc_unix_connect_packets(world->path, &err);

    assert_true(fd >= 0);
    assert_true(proc_set_nonblock(fd));
    pump(world);
    return fd;
}

/* Everything that has come, as kinds, with output's bytes counted. */
static size_t drain(struct world *world, int fd, char *kinds, size_t cap, size_t *bytes)
{
    uint8_t packet[KEEPER_PACKET];
    size_t count = 0;
    ssize_t n;

    if (bytes != NULL)
        *bytes = 0;
    for (;;) {
        n = recv(fd, packet, sizeof packet, MSG_DONTWAIT);
        if (n <= 0) {
            kinds[count] = '\0';
            return count;
        }
        if (bytes != NULL && packet[0] == KEEPER_OUTPUT)
            *bytes += (size_t)n - 1;
        if (count + 1 < cap && (count == 0 || kinds[count - 1] != (char)packet[0]))
            kinds[count++] = (char)packet[0];
        pump(world);
    }
}

static void say(struct world *world, size_t len)
{
    static uint8_t bytes[1024];

    memset(bytes, 'x', sizeof bytes);
    for (; len > 0; len -= len < sizeof bytes ? len : sizeof bytes)
        keeper_output(world->keeper, bytes, len < sizeof bytes ? len : sizeof bytes);
}

static void output_is_kept_to_a_bound(void **state)
{
    struct world *world = *state;
    char kinds[64];
    size_t bytes;

    say(world, KEEPER_SCROLLBACK);
    int fd = attach(world);
    drain(world, fd, kinds, sizeof kinds, &bytes);
    assert_int_equal(bytes, KEEPER_SCROLLBACK);
    assert_string_equal(kinds, "TO");
    close(fd);
    say(world, 10 * KEEPER_SCROLLBACK + 1);
    fd = attach(world);
    drain(world, fd, kinds, sizeof kinds, &bytes);
    assert_int_equal(bytes, KEEPER_SCROLLBACK);
    close(fd);
    pump(world);
    CLEANUP(buf_clear) struct buf kept;
    keeper_kept(world->keeper, &kept);
    assert_int_equal(kept.len, KEEPER_SCROLLBACK);
}

static void what_is_shown_again_begins_with_a_line(void **state)
{
    struct world *world = *state;
    static const uint8_t line[] = "cut\nwhole\n";
    uint8_t packet[KEEPER_PACKET];

    say(world, 10);
    keeper_output(world->keeper, line, sizeof line - 1);
    say(world, KEEPER_SCROLLBACK - 17); /* the first 3 bytes and the x before them are overwritten */
    int fd = attach(world);
    assert_int_equal(recv(fd, packet, sizeof packet, 0), 1);
    assert_true(recv(fd, packet, sizeof packet, 0) > 6);
    assert_memory_equal(packet, "Owhole\n", 7);
    close(fd);
}

static void so_many_attach(void **state)
{
    struct world *world = *state;
    int fds[KEEPER_CLIENTS];
    struct err err = {0};
    uint8_t byte;

    for (size_t i = 0; i < KEEPER_CLIENTS; i++)
        fds[i] = attach(world);
    int one_more = proc_unix_connect_packets(world->path, &err);
    assert_true(one_more >= 0);
    pump(world);
    assert_int_equal(recv(one_more, &byte, 1, MSG_DONTWAIT), 0);
    close(one_more);
    assert_int_equal(recv(fds[0], &byte, 1, MSG_DONTWAIT), 1);
    close(fds[3]); /* and there is room again */
    pump(world);
    fds[3] = attach(world);
    pump(world);
    assert_int_equal(recv(fds[3], &byte, 1, MSG_DONTWAIT), 1);
    for (size_t i = 0; i < KEEPER_CLIENTS; i++)
        close(fds[i]);
}

static void the_newest_types(void **state)
{
    struct world *world = *state;
    char kinds[64];
    uint8_t bytes[64];
    static const uint8_t old[] = "Kold", new[] = "Knew";
    static const uint8_t size[] = {KEEPER_SIZE, 0, 40, 0, 100}, other[] = {KEEPER_SIZE, 0, 50, 0, 90};
    struct winsize now;

    int first = attach(world);
    assert_int_equal(send(first, size, sizeof size, 0), sizeof size);
    assert_true(pump(world));
    int second = attach(world);
    assert_int_equal(send(second, other, sizeof other, 0), sizeof other);
    assert_int_equal(send(first, old, sizeof old - 1, 0), sizeof old - 1);
    assert_int_equal(send(second, new, sizeof new - 1, 0), sizeof new - 1);
    assert_true(pump(world));
    assert_int_equal(ioctl(world->tty.slave, TIOCGWINSZ, &now), 0);
    assert_int_equal(now.ws_row, 50);
    assert_int_equal(read(world->tty.slave, bytes, sizeof bytes), 3);
    assert_memory_equal(bytes, "new", 3);
    drain(world, first, kinds, sizeof kinds, NULL);
    assert_string_equal(kinds, "TV");
    close(second);
    assert_true(pump(world)); /* and the size is the first one's again */
    assert_int_equal(ioctl(world->tty.slave, TIOCGWINSZ, &now), 0);
    assert_int_equal(now.ws_row, 40);
    drain(world, first, kinds, sizeof kinds, NULL);
    assert_string_equal(kinds, "T");
    close(first);
}

static void who_does_not_read_is_waited_for_once(void **state)
{
    struct world *world = *state;
    char kinds[64];
    uint64_t now = 1000000;
    size_t bytes;

    clock_fake(now, now);
    int fd = attach(world);
    for (int i = 0; i < 64 && !keeper_behind(world->keeper); i++) { /* fills what the socket holds, then the ring */
        say(world, KEEPER_SCROLLBACK / 4);
        pump(world);
    }
    assert_true(keeper_behind(world->keeper));
    clock_fake(now + KEEPER_PATIENCE_MS - 1, now + KEEPER_PATIENCE_MS - 1);
    assert_true(keeper_behind(world->keeper));
    clock_fake(now + KEEPER_PATIENCE_MS, now + KEEPER_PATIENCE_MS);
    assert_false(keeper_behind(world->keeper));
    say(world, 4 * KEEPER_SCROLLBACK);
    pump(world);
    assert_false(keeper_behind(world->keeper));
    drain(world, fd, kinds, sizeof kinds, &bytes);
    assert_string_equal(kinds, "TOMO");
    assert_false(keeper_behind(world->keeper));
    clock_fake(0, 0);
    close(fd);
}

static void the_status_is_told_behind_the_last_output(void **state)
{
    struct world *world = *state;

    int fd = attach(world);
    say(world, 100);
    keeper_close(world->keeper, 7);
    world->keeper = NULL;
    uint8_t packet[KEEPER_PACKET];
    assert_int_equal(recv(fd, packet, sizeof packet, 0), 1);
    assert_int_equal(recv(fd, packet, sizeof packet, 0), 101);
    assert_int_equal(recv(fd, packet, sizeof packet, 0), 2);
    assert_int_equal(packet[0], KEEPER_STATUS);
    assert_int_equal(packet[1], 7);
    assert_int_equal(recv(fd, packet, sizeof packet, 0), 0);
    close(fd);
}

static void keys_are_parsed(void **state)
{
    struct attach_keys keys;
    struct err err = {0};
    static const char *const bad[] = {"ctrl-1", "ctrl-", "ctrl-ab", "ab", " ", "a,,b", "a,b,c,d,e,f,g,h,i"};

    (void)state;
    assert_true(attach_keys_parse(ATTACH_KEYS_DEFAULT, &keys, &err));
    assert_int_equal(keys.count, 2);
    assert_memory_equal(keys.bytes, "\x1c\x1c", 2);
    assert_true(attach_keys_parse("ctrl-p,ctrl-],d", &keys, &err));
    assert_memory_equal(keys.bytes, "\x10\x1d" "d", 3);
    assert_true(attach_keys_parse("", &keys, &err));
    assert_int_equal(keys.count, 0);
    assert_true(attach_keys_parse("a,b,c,d,e,f,g,h", &keys, &err));
    assert_int_equal(keys.count, ATTACH_KEYS_MAX);
    for (size_t i = 0; i < COUNT(bad); i++)
        if (attach_keys_parse(bad[i], &keys, &err))
            fail_msg("%s is taken", bad[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(output_is_kept_to_a_bound),
        TEST(what_is_shown_again_begins_with_a_line),
        TEST(so_many_attach),
        TEST(the_newest_types),
        TEST(who_does_not_read_is_waited_for_once),
        TEST(the_status_is_told_behind_the_last_output),
        cmocka_unit_test(keys_are_parsed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
