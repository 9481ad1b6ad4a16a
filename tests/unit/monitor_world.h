/* A real monitor in a child process, with a home of its own, and a worker that does whatever the test says: the
 * worker's executable is this test program, which passes messages between the session's socket and the monitor.
 * So a test speaks as a worker that was taken over (threat C13). */
#ifndef AILERON_TESTS_MONITOR_WORLD_H
#define AILERON_TESTS_MONITOR_WORLD_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/authority/monitor.h"
#include "core/authority/vault_file.h"
#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/proc.h"
#include "core/client/client.h"
#include "core/data/message.h"
#include "tests/unit/flat_words.h"
#ifndef __SANITIZE_ADDRESS__ /* which knows how many arguments a call has, and valgrind is not under it */
#include "tests/unit/valgrind_world.h"
#endif
#include "tls/crypto.h"

enum { FRAME_BYTES = 256 * 1024, ANSWER_MS = 10000 };

struct frame_head { /* as the channel has it */
    uint16_t type, flags;
    uint32_t id;
};

/* ---- the worker's side: fd 3 is the monitor, fd 4 the session's socket ---- */

static inline bool pass(int from, int to, bool framed)
{
    static char data[FRAME_BYTES];
    uint32_t len;
    ssize_t n;

    if (framed) { /* from the test: a length, then a whole message */
        if (recv(from, &len, sizeof len, MSG_WAITALL) != (ssize_t)sizeof len || len > sizeof data ||
            recv(from, data, len, MSG_WAITALL) != (ssize_t)len)
            return false;
        return send(to, data, len, MSG_NOSIGNAL) == (ssize_t)len;
    }
    n = recv(from, data, sizeof data, 0);
    if (n <= 0)
        return false;
    len = (uint32_t)n;
    return to < 0 || (send(to, &len, sizeof len, MSG_NOSIGNAL) == (ssize_t)sizeof len &&
                      send(to, data, len, MSG_NOSIGNAL) == n);
}

static inline int fake_worker(void)
{
    static const char ready[] = "\x40\0\0\0\0\0\0\0{\"version\":\"test\"}"; /* MESSAGE_READY, little-endian */
    int test = -1, room = 1024 * 1024; /* of the channel, as core/loop/ipc asks for */

    if (setsockopt(3, SOL_SOCKET, SO_SNDBUF, &room, sizeof room) != 0 || !pass(3, -1, false) ||
        send(3, ready, sizeof ready - 1, MSG_NOSIGNAL) < 0)
        return 1;
    for (;;) {
        struct pollfd fds[] = {{.fd = 3, .events = POLLIN}, {.fd = test >= 0 ? test : 4, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0)
            return 1;
        if (fds[0].revents != 0 && !pass(3, test, false))
            return 0;
        if (fds[1].revents == 0)
            continue;
        if (test < 0) {
            test = accept(4, NULL, NULL);
        } else if (!pass(test, 3, true)) {
            close(test);
            test = -1;
        }
    }
}

/* To be called first in main: the monitor starts us under other names. */
static inline int monitor_world_main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "worker") == 0)
        exit(fake_worker());
    if (argc > 1 && strcmp(argv[1], "daemon") == 0)
        exit(0); /* reap */
    return 0;
}

/* ---- the test's side ---- */

struct world {
    char home[64];
    pid_t monitor;
    struct client *client;
    char session[ULID_LEN + 1];
    int worker; /* connection to the fake worker; -1 */
};

static inline void write_file(const struct world *world, const char *name, const char *text)
{
    AUTOFREE char *path = file_join(world->home, name);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static inline void start_monitor(struct world *world)
{
    struct err err = {0};
    int fds[2];
    char byte;

    assert_int_equal(pipe(fds), 0);
    world->monitor = fork();
    if (world->monitor == 0) {
        close(fds[0]);
        log_open("daemon", LOG_ERROR);
        struct monitor_options options = {.home = world->home, .version = AILERON_VERSION, .ready_fd = fds[1]};
        bool good = monitor_run(&options, &err);
        if (!good)
            err_print(&err, "monitor");
        exit(good ? 0 : err_exit(err.code));
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    world->client = client_connect(world->home, false, &err);
    assert_non_null(world->client);
    client_timeout(world->client, ANSWER_MS);
}

/* SIGTERM, or SIGKILL; the exit status as a shell has it. */
static inline int stop_monitor(struct world *world, int signo)
{
    int status;

    client_close(world->client);
    world->client = NULL;
    if (world->worker >= 0)
        close(world->worker);
    world->worker = -1;
    kill(world->monitor, signo);
    assert_int_equal(waitpid(world->monitor, &status, 0), world->monitor);
    return proc_exit_status(status);
}

static inline int world_setup(void **state)
{
    struct world *world = mem_alloc(sizeof *world);
    struct err err = {0};

    world->worker = -1;
    memcpy(world->home, "/tmp/aileron-monitor.XXXXXX", sizeof "/tmp/aileron-monitor.XXXXXX");
    if (mkdtemp(world->home) == NULL || !tls_init(&err))
        return -1;
    *state = world;
    return 0;
}

static inline int world_teardown(void **state)
{
    struct world *world = *state;
    struct err err;

    if (world->client != NULL)
        stop_monitor(world, SIGTERM);
    bool removed = file_remove_tree(world->home, &err);
    free(world);
    return removed ? 0 : -1;
}

/* A call on the control API that must succeed. */
static inline json_t *ask(struct world *world, const char *method, const char *path, json_t *body)
{
    struct err err = {0};
    json_t *answer = NULL;

    if (!client_ask(world->client, method, path, body, &answer, &err))
        fail_msg("%s %s: %s", method, path, err.message);
    json_decref(body);
    return answer;
}

static inline const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

static inline void make_vault(struct world *world)
{
    struct vault_kdf kdf = {.salt = {7}, .t = 1, .m_kib = 64, .p = 1};
    struct err err = {0};
    struct buf answer;
    struct secret *kek = vault_kdf_derive(&kdf, "pass", 4, &err);
    json_t *meta = json_pack("{s:s}", "member", "owner");

    assert_true(vault_kdf_to_json(&kdf, meta));
    assert_true(client_ask_secret(world->client, "/v1/vault/init", meta, secret_bytes(kek), secret_len(kek),
                                  &answer, &err));
    buf_wipe(&answer);
    json_decref(meta);
    secret_free(kek);
}

static inline void unlock_vault(struct world *world)
{
    struct vault_kdf kdf = {.salt = {7}, .t = 1, .m_kib = 64, .p = 1};
    struct err err = {0};
    struct buf answer;
    struct secret *kek = vault_kdf_derive(&kdf, "pass", 4, &err);
    json_t *meta JSON_AUTO = json_object();

    if (!client_ask_secret(world->client, "/v1/vault/unlock", meta, secret_bytes(kek), secret_len(kek), &answer, &err))
        fail_msg("unlock: %s", err.message);
    buf_wipe(&answer);
    secret_free(kek);
}

static inline void put_secret(struct world *world, const char *path, const char *kind, const char *username,
                       const char *secret)
{
    struct err err = {0};
    struct buf answer;
    json_t *meta = json_pack("{s:s, s:s}", "path", path, "kind", kind);

    json_put(meta, "username", username);
    if (!client_ask_secret(world->client, "/v1/vault/put", meta, secret, strlen(secret), &answer, &err))
        fail_msg("put: %s", err.message);
    buf_wipe(&answer);
    json_decref(meta);
}

static inline void connect_worker(struct world *world)
{
    AUTOFREE char *path = mem_printf("%s/run/sessions/%s/session.sock", world->home, world->session);
    struct err err = {0};

    world->worker = proc_unix_connect(path, &err);
    assert_true(world->worker >= 0);
}

static inline void start_session(struct world *world)
{
    json_t *answer = ask(world, "POST", "/v1/sessions",
                         json_pack("{s:[s], s:s, s:i}", "command", "true", "network", "sealed", "pid", getpid()));

    snprintf(world->session, sizeof world->session, "%s", text_at(answer, "id"));
    json_decref(answer);
    connect_worker(world);
}

/* A monitor with these rules, an empty vault that is open, and no session yet; NULL: there is none. */
static inline struct world *world_with_rules(void **state, const char *bindings, const char *policy)
{
    if (world_setup(state) != 0)
        return NULL;
    struct world *world = *state;
    write_file(world, "bindings.yaml", bindings);
    write_file(world, "policy.yaml", policy);
    start_monitor(world);
    make_vault(world);
    return world;
}

/* The worker has ended; the connection to the next one waits in the socket's backlog until there is one. */
static inline void wait_for_death(struct world *world)
{
    struct pollfd fd = {.fd = world->worker, .events = POLLIN};
    char byte;

    while (poll(&fd, 1, ANSWER_MS) == 1 && recv(world->worker, &byte, 1, 0) > 0)
        ;
    close(world->worker);
    connect_worker(world);
}

static inline void tell_flags(struct world *world, enum message_type type, unsigned flags, uint32_t id,
                              const void *payload, size_t len)
{
    struct frame_head head = {.type = (uint16_t)type, .flags = (uint16_t)flags, .id = id};
    uint32_t whole = (uint32_t)(sizeof head + len);
    struct err err = {0};

    assert_true(file_write_all(world->worker, &whole, sizeof whole, &err));
    assert_true(file_write_all(world->worker, &head, sizeof head, &err));
    assert_true(file_write_all(world->worker, payload, len, &err));
}

static inline void tell(struct world *world, enum message_type type, uint32_t id, const void *payload, size_t len)
{
    tell_flags(world, type, 0, id, payload, len);
}

static inline void tell_json(struct world *world, enum message_type type, uint32_t id, json_t *payload)
{
    char *text = json_dumps(payload, JSON_COMPACT);

    tell(world, type, id, text, strlen(text));
    free(text);
    json_decref(payload);
}

/* As a worker says it: a question for a credential, and lines for the record (JSON, one a line). */
static inline void tell_ask(struct world *world, uint32_t id, json_t *fields)
{
    struct buf flat CLEANUP(buf_clear);

    buf_init(&flat, FRAME_BYTES);
    flat_question(&flat, id, fields);
    tell(world, MESSAGE_ROUND, 0, flat.data, flat.len);
    json_decref(fields);
}

static inline void tell_lines(struct world *world, const void *text, size_t len)
{
    struct buf flat CLEANUP(buf_clear);

    buf_init(&flat, FRAME_BYTES);
    flat_lines(&flat, text, len);
    tell(world, MESSAGE_ROUND, 0, flat.data, flat.len);
}

/* The next message from the monitor; a NUL stands behind the payload. Fails the test after ANSWER_MS. */
static inline struct frame_head hear_any(struct world *world, char *payload, size_t cap, size_t *len)
{
    struct pollfd fd = {.fd = world->worker, .events = POLLIN};
    struct frame_head head;
    uint32_t whole;

    assert_int_equal(poll(&fd, 1, ANSWER_MS), 1);
    assert_int_equal(recv(world->worker, &whole, sizeof whole, MSG_WAITALL), sizeof whole);
    assert_true(whole >= sizeof head && whole - sizeof head < cap);
    assert_int_equal(recv(world->worker, &head, sizeof head, MSG_WAITALL), sizeof head);
    *len = whole - sizeof head;
    if (*len > 0)
        assert_int_equal(recv(world->worker, payload, *len, MSG_WAITALL), *len);
    payload[*len] = 0;
    return head;
}

/* The same without new rules: the monitor sends them again when it notices by itself that a file has changed, and that
 * may be in the middle of anything. */
static inline struct frame_head hear(struct world *world, char *payload, size_t cap, size_t *len)
{
    struct frame_head head;

    do
        head = hear_any(world, payload, cap, len);
    while (head.type == MESSAGE_SNAPSHOT);
    return head;
}

/* The next message must be this answer to this question; its JSON. */
static inline json_t *hear_json(struct world *world, enum message_type type, uint32_t id)
{
    static char payload[FRAME_BYTES];
    size_t len;
    struct frame_head head = hear(world, payload, sizeof payload, &len);

    if (head.type != type || head.id != id)
        fail_msg("message %u for %u: %s", head.type, head.id, payload);
    json_t *answer = json_loadb(payload, len, 0, NULL);
    assert_non_null(answer);
    return answer;
}

static inline void pause_ms(long ms)
{
    const struct timespec pause = {.tv_nsec = ms * 1000000L};

    nanosleep(&pause, NULL);
}

/* Lines of the record with this event and, where value is not NULL, this field. */
static inline size_t count_lines(const struct world *world, const char *event, const char *key, const char *value)
{
    AUTOFREE char *dir = file_join(world->home, "audit");
    struct audit_filter filter = {.event = event};
    struct err err = {0};
    struct span text;
    json_t *line;
    size_t count = 0;
    struct audit_reader *reader = audit_reader_open(dir, &filter, false, &err);

    assert_non_null(reader);
    while (audit_reader_next(reader, &text, &line, &err) == AUDIT_LINE)
        count += value == NULL || strcmp(text_at(line, key), value) == 0;
    audit_reader_close(reader);
    return count;
}

static inline bool record_holds(const struct world *world, const char *bytes)
{
    AUTOFREE char *dir = file_join(world->home, "audit");
    struct audit_filter filter = {0};
    struct err err = {0};
    struct span text;
    json_t *line;
    bool found = false;
    struct audit_reader *reader = audit_reader_open(dir, &filter, false, &err);

    assert_non_null(reader);
    while (audit_reader_next(reader, &text, &line, &err) == AUDIT_LINE)
        found = found || memmem(text.p, text.len, bytes, strlen(bytes)) != NULL;
    audit_reader_close(reader);
    return found;
}

static inline void record_is_whole(const struct world *world)
{
    AUTOFREE char *dir = file_join(world->home, "audit");
    struct audit_report report = {0};
    struct err err = {0};

    assert_true(audit_verify(dir, NULL, &report, &err));
    if (!report.intact)
        fail_msg("%s", report.problem);
}

#endif
