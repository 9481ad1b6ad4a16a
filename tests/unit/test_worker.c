/* A worker's life, as its monitor sees it: what it starts with, that it is confined before it reads anything of a
 * sandbox, how it takes new rules and keeps the last good ones, and its three ends. The worker is a child process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/proc.h"
#include "core/data/message.h"
#include "core/data/snapshot.h"
#include "core/loop/ipc.h"
#include "core/plane/worker.h"
#include "tls/ca.h"
#include "tls/crypto.h"

#define TOKEN "0123456789abcdef0123456789abcdef"
enum { ANSWER_MS = 20000, BYTES = 64 * 1024 };

static struct {
    char home[64], words[96], socket[96]; /* words: what it says on standard error */
    pid_t pid;
    int monitor;
} at;

/* ---- the monitor's side ---- */

static int setup(void **state)
{
    struct err err = {0};
    (void)state;
    memcpy(at.home, "/tmp/aileron-worker.XXXXXX", sizeof("/tmp/aileron-worker.XXXXXX"));
    if (!mkdtemp(at.home) || !tls_init(&err))
        return -1;
    snprintf(at.words, sizeof(at.words), "%s/words", at.home);
    snprintf(at.socket, sizeof(at.socket), "%s/s", at.home);
    at.pid = 0;
    at.monitor = -1;
    return 0;
}

static int teardown(void **state)
{
    struct err err;
    (void)state;
    if (at.monitor >= 0)
        close(at.monitor);
    if (at.pid > 0) {
        kill(at.pid, SIGKILL);
        waitpid(at.pid, NULL, 0);
    }
    return file_remove_tree(at.home, &err) ? 0 : -1;
}

static void start(void)
{
    struct err err;
    int pair[2], listener = proc_unix_listen(at.socket, 0600, &err);
    assert_true(listener >= 0);
    assert_true(ipc_pair(pair, &err));
    at.pid = fork();
    if (at.pid == 0) {
        close(pair[0]);
        /* Above both first: one may lie where the other goes. */
        int channel = dup(dup(pair[1])), door = dup(dup(listener));
        int words = open(at.words, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (dup2(words, STDERR_FILENO) < 0 || dup2(channel, WORKER_IPC_FD) < 0 || dup2(door, WORKER_LISTEN_FD) < 0)
            _exit(99);
        _exit(worker_main());
    }
    assert_true(at.pid > 0);
    close(pair[1]);
    close(listener);
    at.monitor = pair[0];
}

static void tell(enum message_type type, const char *payload, int fd)
{
    struct {
        uint16_t type, flags;
        uint32_t id;
    } head = {.type = (uint16_t)type};
    AUTOFREE char *copy = mem_strdup(payload);
    struct iovec iov[2] = {{&head, sizeof(head)}, {copy, strlen(copy)}};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    if (fd >= 0) {
        msg.msg_control = control;
        msg.msg_controllen = sizeof(control);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
    }
    assert_true(sendmsg(at.monitor, &msg, MSG_NOSIGNAL) >= (ssize_t)sizeof(head));
}

static void tell_rules(const void *bytes, size_t len)
{
    struct err err;
    CLEANUP(file_close_ptr) int fd = file_sealed("snapshot", bytes, len, &err);
    assert_true(fd >= 0);
    tell(MESSAGE_SNAPSHOT, "", fd);
}

static void set_text(char **field, const char *value)
{
    free(*field);
    *field = mem_strdup(value);
}

/* The rules of a home with this config.yaml. */
static void tell_good_rules(const char *config)
{
    static struct ca *ca;
    struct err err = {0};
    struct buf bytes;
    AUTOFREE char *path = file_join(at.home, "config.yaml");
    assert_true(file_write_atomic(path, 0600, config, strlen(config), &err));
    struct rules *rules = rules_load(at.home, &err);
    if (!rules)
        fail_msg("%s", err.message);
    struct snapshot *snapshot = snapshot_new(rules);
    rules_unref(rules);
    if (!ca)
        ca = ca_new("01J00000000000000000000000", &err);
    assert_non_null(ca);
    set_text(&snapshot->session, "01J00000000000000000000000");
    set_text(&snapshot->engine, "bwrap");
    set_text(&snapshot->ca_cert_pem, ca_cert_pem(ca));
    snapshot->sealed = true;
    crypto_sha256(TOKEN, strlen(TOKEN), snapshot->token_hash);
    struct secret *key = ca_key_pem(ca, &err);
    assert_non_null(key);
    snapshot->ca_key_pem = mem_strndup((const char *)secret_bytes(key), secret_len(key));
    secret_free(key);
    assert_true(snapshot_write(snapshot, &bytes, &err));
    snapshot_free(snapshot);
    tell_rules(bytes.data, bytes.len);
    buf_wipe(&bytes);
}

/* The next message of this type; lines for the record may come between. */
static void hear(enum message_type type, char *payload, size_t cap)
{
    struct pollfd fd = {.fd = at.monitor, .events = POLLIN};
    static char bytes[BYTES];
    uint16_t got = 0;
    while (got != type) {
        assert_int_equal(poll(&fd, 1, ANSWER_MS), 1);
        ssize_t n = recv(at.monitor, bytes, sizeof(bytes) - 1, 0);
        assert_true(n >= 8);
        bytes[n] = '\0';
        memcpy(&got, bytes, sizeof(got));
    }
    snprintf(payload, cap, "%.*s", (int)cap - 1, bytes + 8);
}

static void start_ready(const char *config)
{
    char payload[256];
    start();
    tell_good_rules(config);
    hear(MESSAGE_READY, payload, sizeof(payload));
    assert_non_null(strstr(payload, "\"version\""));
}

/* The exit status, once it ends by itself. */
static int ended(void)
{
    int status = 0;
    pid_t pid = 0;
    for (uint64_t end = clock_mono_ms() + ANSWER_MS; pid == 0 && clock_mono_ms() < end;) {
        pid = waitpid(at.pid, &status, WNOHANG);
        poll(NULL, 0, 5);
    }
    assert_int_equal(pid, at.pid);
    at.pid = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void said(const char *words)
{
    struct buf file;
    struct err err;
    assert_true(file_read(at.words, BYTES, &file, &err));
    if (!memmem(file.data ? file.data : (uint8_t *)at.words, file.len, words, strlen(words)))
        fail_msg("it says: %.*s", (int)file.len, file.data ? (const char *)file.data : "");
    buf_clear(&file);
}

/* ---- the sandbox's side ---- */

static int reach(const char *first)
{
    struct err err;
    int fd = proc_unix_connect(at.socket, &err);
    assert_true(fd >= 0);
    assert_true(file_write_all(fd, first, strlen(first), &err));
    return fd;
}

static const char *answer(int fd)
{
    static char bytes[BYTES];
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&poll_fd, 1, ANSWER_MS), 1);
    ssize_t n = recv(fd, bytes, sizeof(bytes) - 1, 0);
    bytes[n > 0 ? n : 0] = '\0';
    return bytes;
}

#define SESSION "GET /v1/session HTTP/1.1\r\nHost: aileron.internal\r\n\r\n"
#define NOWHERE "GET http://10.0.0.1/ HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n"
static void serves(void)
{
    int fd = reach("AILERON " TOKEN " api\r\n" SESSION);
    assert_non_null(strstr(answer(fd), "\"engine\":\"bwrap\""));
    close(fd);
}

static void asked_elsewhere(const char *status)
{
    int fd = reach("AILERON " TOKEN " proxy\r\n" NOWHERE);
    const char *text = answer(fd);
    if (strncmp(text, status, strlen(status)) != 0)
        fail_msg("%s", text);
    close(fd);
}

/* ---- tests ---- */

static void it_serves_confined(void **state)
{
    (void)state;
    char path[64], payload[256];
    struct buf status;
    struct err err;
    start();
    int early = reach("AILERON " TOKEN " api\r\n" SESSION); /* waits for it in the socket */
    tell_good_rules("version: 1\n");
    hear(MESSAGE_READY, payload, sizeof(payload));
    snprintf(path, sizeof(path), "/proc/%d/status", (int)at.pid);
    assert_true(file_read(path, BYTES, &status, &err));
    assert_non_null(memmem(status.data, status.len, "\nSeccomp:\t2\n", 12));
    assert_non_null(memmem(status.data, status.len, "\nNoNewPrivs:\t1\n", 15));
    buf_clear(&status);
    assert_non_null(strstr(answer(early), "\"engine\":\"bwrap\""));
    close(early);
    serves();
}

static void rules_that_it_cannot_read_end_it(void **state)
{
    static const char *const bad[] = {"", "{", "{}", "no JSON at all"};
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        start();
        tell_rules(bad[i], strlen(bad[i]));
        assert_int_not_equal(ended(), 0);
        said("aileron worker: cannot take the snapshot: ");
        close(at.monitor);
        at.monitor = -1;
        unlink(at.socket);
    }
}

static void later_ones_leave_the_last_good_ones(void **state)
{
    (void)state;
    start_ready("version: 1\n");
    tell_rules("{", 1);
    serves();
    asked_elsewhere("HTTP/1.1 403");
    tell(MESSAGE_SNAPSHOT, "", -1); /* without its descriptor: no rules, and no answer to a question either */
    serves();
    said("snapshot refused");
    /* And good ones are taken: an address that is let in is dialled, and nobody is there. */
    AUTOFREE char *path = file_join(at.home, "policy.yaml");
    static const char policy[] = "version: 1\nrules:\n  - { host: 10.0.0.1, action: deny, reason: another rule }\n";
    struct err err;
    assert_true(file_write_atomic(path, 0600, policy, sizeof(policy) - 1, &err));
    tell_good_rules("version: 1\n");
    int fd = -1;
    bool taken = false;
    for (uint64_t end = clock_mono_ms() + ANSWER_MS; !taken && clock_mono_ms() < end;) {
        fd = reach("AILERON " TOKEN " proxy\r\n" NOWHERE);
        taken = strstr(answer(fd), "another rule") != NULL;
        close(fd);
    }
    assert_true(taken);
}

static void a_halt_holds_until_it_is_lifted(void **state)
{
    (void)state;
    start_ready("version: 1\n");
    asked_elsewhere("HTTP/1.1 403");
    int kept = reach("AILERON " TOKEN " proxy\r\n" NOWHERE); /* what it answers, it read before the halt or after */
    answer(kept);
    tell(MESSAGE_HALT, "{\"code\":\"limit\",\"message\":\"the record is full\",\"hint\":\"wait\"}", -1);
    bool halted = false;
    for (uint64_t end = clock_mono_ms() + ANSWER_MS; !halted && clock_mono_ms() < end;) {
        int fd = reach("AILERON " TOKEN " proxy\r\n" NOWHERE);
        const char *text = answer(fd);
        halted = strncmp(text, "HTTP/1.1 429", 12) == 0 && strstr(text, "the record is full");
        close(fd);
    }
    assert_true(halted);
    serves();
    tell(MESSAGE_HALT, "{}", -1);
    for (uint64_t end = clock_mono_ms() + ANSWER_MS; halted && clock_mono_ms() < end;) {
        int fd = reach("AILERON " TOKEN " proxy\r\n" NOWHERE);
        halted = strncmp(answer(fd), "HTTP/1.1 403", 12) != 0;
        close(fd);
    }
    assert_false(halted);
    close(kept);
}

/* Without the monitor nothing can be recorded: nothing goes on. */
static void it_ends_with_its_monitor(void **state)
{
    (void)state;
    start_ready("version: 1\n");
    int fd = reach("AILERON " TOKEN " api\r\n");
    close(at.monitor);
    at.monitor = -1;
    assert_int_equal(ended(), 0);
    assert_string_equal(answer(fd), "");
    close(fd);
}

static void a_shutdown_ends_it_when_nothing_is_open(void **state)
{
    (void)state;
    start_ready("version: 1\nlimits: { drain_ms: 600000 }\n");
    serves();
    tell(MESSAGE_SHUTDOWN, "", -1);
    assert_int_equal(ended(), 0);
}

static void or_when_draining_has_taken_its_time(void **state)
{
    (void)state;
    start_ready("version: 1\nlimits: { drain_ms: 300 }\n");
    int fd = reach("AILERON " TOKEN " api\r\n" SESSION);
    assert_non_null(strstr(answer(fd), "bwrap"));
    uint64_t before = clock_mono_ms();
    tell(MESSAGE_SHUTDOWN, "", -1);
    assert_int_equal(ended(), 0);
    assert_true(clock_mono_ms() - before >= 250); /* the loop's clock is a coarse one */
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_serves_confined), TEST(rules_that_it_cannot_read_end_it), TEST(later_ones_leave_the_last_good_ones),
        TEST(a_halt_holds_until_it_is_lifted), TEST(it_ends_with_its_monitor),
        TEST(a_shutdown_ends_it_when_nothing_is_open), TEST(or_when_draining_has_taken_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
