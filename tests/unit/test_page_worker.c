/* The page worker's half: whose request it takes, what it hands to the monitor, and what becomes of the answers. The
 * monitor is the test, at the other end of the channel. What goes over a real socket is tests/attack/page.bats. */
#include "core/plane/page_private.h"

#include "core/base/mem.h"
#include "core/data/json.h"
#include "core/loop/jail.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define HOST "Host: 127.0.0.1:4711\r\n"
#define ORIGIN "Origin: http://127.0.0.1:4711\r\n"
#define JSON "Content-Type: application/json\r\n"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

static struct page_worker page;
static struct ipc *monitor;
static struct service *service;
static struct err err;
static int client;

static uint16_t said_type; /* the last message of the worker */
static uint32_t said_id;
static char said[4096];
static unsigned said_count;

static void turns(int count)
{
    for (int i = 0; i < count; i++)
        loop_turn(page.loop, false);
}

static void on_said(struct ipc *ipc, struct ipc_message *message, void *arg)
{
    (void)ipc;
    (void)arg;
    said_type = message->type;
    said_id = message->id;
    said_count++;
    snprintf(said, sizeof said, "%s", (const char *)message->data);
}

static void on_answer(struct ipc *ipc, struct ipc_message *message, void *arg)
{
    (void)ipc;
    page_answer(arg, message);
}

static void on_end(struct ipc *ipc, const struct err *why, void *arg)
{
    (void)ipc;
    (void)why;
    (void)arg;
}

static const struct ipc_handler monitor_end = {on_said, on_end}, worker_end = {on_answer, on_end};

static void on_request(struct service_request *req, void *arg)
{
    page_request(arg, req);
}

static void on_closed(struct service *gone, void *arg)
{
    (void)gone;
    (void)arg;
    service = NULL;
}

static const struct service_handler handler = {on_request, on_closed};

static void ignore_event(struct conn *conn, enum conn_event event, void *arg)
{
    (void)conn;
    (void)event;
    (void)arg;
}

static int setup(void **state)
{
    int pair[2], fds[2];

    (void)state;
    page = (struct page_worker){.loop = loop_new(&err), .port = 4711};
    said_type = 0;
    said_count = 0;
    if (page.loop == NULL || !ipc_pair(pair, &err) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return -1;
    page.ipc = ipc_new(page.loop, pair[0], &worker_end, &page);
    monitor = ipc_new(page.loop, pair[1], &monitor_end, NULL);
    client = fds[1];
    service = service_new(conn_new_fd(page.loop, fds[0], ignore_event, NULL), &handler, &page);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (service != NULL)
        service_close(service);
    turns(6);
    close(client);
    turns(4);
    bool clean = page.questions == NULL; /* nothing is left of a request whose browser has gone */
    ipc_free(page.ipc);
    ipc_free(monitor);
    turns(2);
    loop_free(page.loop);
    return clean ? 0 : -1;
}

static void send_text(const char *text)
{
    assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    turns(8);
}

static const char *heard(void)
{
    static char text[200 * 1024];
    ssize_t n = recv(client, text, sizeof text - 1, MSG_DONTWAIT);

    text[n > 0 ? n : 0] = 0;
    return text;
}

static void answer(enum page_message type, unsigned flags, const char *head, const char *body)
{
    struct buf text CLEANUP(buf_clear);

    buf_init(&text, IPC_PAYLOAD_MAX);
    assert_true(head == NULL || (buf_adds(&text, head) && buf_add(&text, "", 1)));
    assert_true(buf_adds(&text, body));
    ipc_send(monitor, (uint16_t)type, (uint16_t)flags, said_id, text.data, text.len, NULL, 0);
    turns(8);
}

static void assert_heard(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no %s in: %.300s", part, text);
}

/* ---- whose request it is ---- */

static void a_call_becomes_a_question(void **state)
{
    (void)state;
    send_text("GET /api/approvals?limit=7&session=S1&other=x HTTP/1.1\r\n" HOST
              "Cookie: a=b; aileron_4711=" ZEROS "\r\nX-Aileron-Key: " ZEROS "\r\n\r\n");
    assert_int_equal(said_type, PAGE_ASK);
    json_t *ask JSON_AUTO = json_loads(said, 0, &(json_error_t){0});
    assert_string_equal(json_string_value(json_object_get(ask, "call")), "approvals");
    assert_string_equal(json_string_value(json_object_get(ask, "cookie")), ZEROS);
    assert_string_equal(json_string_value(json_object_get(ask, "key")), ZEROS);
    assert_string_equal(json_string_value(json_object_get(ask, "session")), "S1");
    assert_int_equal(json_integer_value(json_object_get(ask, "limit")), 7);
    assert_int_equal(json_object_size(ask), 5);
    answer(PAGE_ANSWER, 0, "{\"status\":200}", "{\"a\":");
    assert_string_equal(heard(), ""); /* not before it is whole */
    answer(PAGE_DATA, PAGE_LAST, NULL, "1}");
    const char *text = heard();
    assert_heard(text, "HTTP/1.1 200 OK\r\n");
    assert_heard(text, "\r\nContent-Security-Policy: default-src 'none'; ");
    assert_heard(text, "\r\n\r\n{\"a\":1}");
    assert_null(strstr(text, "Set-Cookie"));
}

static void a_login_sets_its_cookie(void **state)
{
    (void)state;
    send_text("POST /api/login HTTP/1.1\r\n" HOST ORIGIN JSON "Content-Length: 2\r\n\r\n{}");
    assert_string_equal(said, "{\"call\":\"login\"}");
    answer(PAGE_ANSWER, PAGE_SECRET | PAGE_LAST, "{\"status\":200,\"cookie\":\"" ZEROS "\"}", "{}");
    assert_heard(heard(), "\r\nSet-Cookie: aileron_4711=" ZEROS "; Path=/; HttpOnly; SameSite=Strict\r\n");
    send_text("POST /api/logout HTTP/1.1\r\n" HOST ORIGIN JSON "Content-Length: 2\r\n\r\n{}");
    answer(PAGE_ANSWER, PAGE_LAST, "{\"status\":200,\"cookie\":\"\"}", "{}");
    assert_heard(heard(), "\r\nSet-Cookie: aileron_4711=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0\r\n");
}

static void a04_what_does_not_come_from_the_page_is_refused(void **state)
{
    static const struct {
        const char *head, *reason;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: evil.example\r\n", "host"},
        {"GET / HTTP/1.1\r\nHost: 127.0.0.1:4712\r\n", "host"},
        {"GET /api/state HTTP/1.1\r\nHost: 127.0.0.1\r\n", "host"},
        {"GET /api/state HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\n", "origin"},
        {"GET /api/state HTTP/1.1\r\n" HOST "Origin: null\r\n", "origin"},
        {"GET /api/state HTTP/1.1\r\n" HOST "Origin: http://localhost:4711\r\n", "origin"},
        {"GET /api/state HTTP/1.1\r\n" HOST "Sec-Fetch-Site: same-site\r\n", "site"},
        {"GET / HTTP/1.1\r\n" HOST "Sec-Fetch-Dest: iframe\r\n", "frame"},
        {"POST /api/decide HTTP/1.1\r\n" HOST JSON, "origin"},
        {"POST /api/decide HTTP/1.1\r\n" HOST ORIGIN JSON "Sec-Fetch-Site: cross-site\r\n", "site"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char want[64];
        send_text(cases[i].head);
        send_text("\r\n");
        assert_heard(heard(), "HTTP/1.1 403 Forbidden\r\n");
        snprintf(want, sizeof want, "{\"reason\":\"%s\"}", cases[i].reason);
        assert_int_equal(said_type, PAGE_REFUSED);
        assert_string_equal(said, want);
        assert_int_equal(said_count, i + 1); /* and nothing else was said */
    }
}

static void what_is_no_call_goes_no_further(void **state)
{
    static const struct {
        const char *head, *status;
    } cases[] = {
        {"GET /api/decide?id=x HTTP/1.1\r\n" HOST, " 405 "},
        {"GET /api/ HTTP/1.1\r\n" HOST, " 404 "},
        {"GET /api/events?after=-1 HTTP/1.1\r\n" HOST, " 400 "},
        {"POST /api/lock HTTP/1.1\r\n" HOST ORIGIN "Content-Type: text/plain\r\n", " 415 "},
        {"GET / HTTP/1.1\r\n" HOST, " 406 "},
        {"GET / HTTP/1.1\r\n" HOST "Accept-Encoding: br, gzip\r\n", " 200 "},
        {"GET /page.js HTTP/1.1\r\nHost: localhost:4711\r\nAccept-Encoding: gzip\r\n", " 200 "},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        send_text(cases[i].head);
        send_text("\r\n");
        assert_heard(heard(), cases[i].status);
    }
    assert_int_equal(said_count, 0);
}

/* ---- streams ---- */

static const char events[] = "GET /api/events?after=3 HTTP/1.1\r\n" HOST "\r\n";

static void a_stream_goes_piece_by_piece(void **state)
{
    (void)state;
    send_text(events);
    assert_heard(said, "\"after\":3");
    answer(PAGE_ANSWER, 0, "{\"status\":200}", "");
    assert_heard(heard(), "\r\nContent-Type: text/event-stream\r\n");
    answer(PAGE_DATA, 0, NULL, "event: state\ndata: 1\n\n");
    assert_heard(heard(), "event: state\ndata: 1\n\n");
    assert_int_equal(said_type, PAGE_MORE);
    answer(PAGE_DATA, PAGE_LAST, NULL, "event: end\ndata: \"x\"\n\n");
    assert_heard(heard(), "event: end\n");
    assert_null(page.questions);
}

static void who_does_not_read_is_told_no_more(void **state)
{
    static char piece[PAGE_PIECE_BYTES + 1];
    unsigned pieces = 0;

    (void)state;
    memset(piece, 'x', PAGE_PIECE_BYTES);
    send_text(events);
    answer(PAGE_ANSWER, 0, "{\"status\":200}", "");
    do { /* as long as the monitor is asked for more */
        said_type = 0;
        answer(PAGE_DATA, 0, NULL, piece);
    } while (said_type == PAGE_MORE && ++pieces < 1000);
    assert_in_range(pieces, 1, 100);
    for (int i = 0; i < 100 && said_type != PAGE_MORE; i++) {
        heard();
        turns(4);
    }
    assert_int_equal(said_type, PAGE_MORE);
}

static void a_browser_that_goes_is_told_of(void **state)
{
    (void)state;
    send_text(events);
    uint32_t id = said_id;
    answer(PAGE_ANSWER, 0, "{\"status\":200}", "");
    close(client);
    client = dup(0);
    turns(8);
    assert_int_equal(said_type, PAGE_CANCEL);
    assert_int_equal(said_id, id);
    assert_null(page.questions);
    answer(PAGE_DATA, 0, NULL, "event: state\ndata: 1\n\n"); /* what was under way */
}

static void nonsense_of_the_monitor_cuts_one_request_off(void **state)
{
    (void)state;
    send_text("GET /api/state HTTP/1.1\r\n" HOST "\r\n");
    answer(PAGE_DATA, PAGE_LAST, NULL, "no head before it");
    assert_null(page.questions);
    assert_null(service);
}

/* ---- the jail: it has no connection of its own to make, to nowhere ---- */

static int make_unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0);
}
static int make_tcp_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}
static int make_udp_socket(void)
{
    return socket(AF_INET6, SOCK_DGRAM, 0);
}
static int connect_somewhere(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    return connect(0, (struct sockaddr *)&at, sizeof at);
}
static int ask_who_one_is(void)
{
    return getpid() > 0 ? 0 : 1;
}

static int in_jail(int (*fn)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (!jail_enter(JAIL_PAGE, &err))
            _exit(99);
        _exit(fn() < 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void in_its_jail_it_makes_no_socket(void **state)
{
    int (*const calls[])(void) = {make_unix_socket, make_tcp_socket, make_udp_socket, connect_somewhere};
    const char *preload = getenv("LD_PRELOAD");

    (void)state;
    if (preload != NULL && strstr(preload, "vgpreload") != NULL)
        skip(); /* it makes calls of its own in our name */
    assert_int_equal(in_jail(ask_who_one_is), 0);
    for (size_t i = 0; i < COUNT(calls); i++) {
        int status = in_jail(calls[i]);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_call_becomes_a_question, setup, teardown),
        cmocka_unit_test_setup_teardown(a_login_sets_its_cookie, setup, teardown),
        cmocka_unit_test_setup_teardown(a04_what_does_not_come_from_the_page_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_call_goes_no_further, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stream_goes_piece_by_piece, setup, teardown),
        cmocka_unit_test_setup_teardown(who_does_not_read_is_told_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(a_browser_that_goes_is_told_of, setup, teardown),
        cmocka_unit_test(in_its_jail_it_makes_no_socket),
        cmocka_unit_test_setup_teardown(nonsense_of_the_monitor_cuts_one_request_off, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
