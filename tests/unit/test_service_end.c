/* The small HTTP server at its ends: clients that go, or only stop sending, and owners that close.
 */
#include "tests/unit/service_world.h"

static void test_gone_while_held(void **state)
{
    (void)state;
    say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_false(service_gone(held));
    close(client);
    client = -1;
    turns(4);
    assert_int_equal(gone, 1);
    assert_true(service_gone(held));
    assert_int_equal(closes, 0); /* the request is still open */
    service_reply(held, 200, NULL, "late", 4);
    assert_int_equal(closes, 0); /* not from within the call */
    turns(3);
    assert_int_equal(closes, 1);
}

static void test_gone_while_streaming(void **state)
{
    (void)state;
    say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    service_begin(held, 200, NULL);
    close(client);
    client = -1;
    turns(4);
    assert_int_equal(gone, 1);
    assert_true(service_chunk(held, "dropped", 7));
    service_end(held);
    turns(3);
}

static void test_half_closed_client_is_answered(void **state)
{
    (void)state;
    say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    shutdown(client, SHUT_WR); /* as `nc -N` does */
    turns(4);
    assert_int_equal(gone, 0);
    service_reply(held, 200, "text/plain", "still here", 10);
    hear();
    assert_heard("still here");
    assert_true(heard_end);
}

static void test_closed_by_its_owner(void **state)
{
    (void)state;
    say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    service_close(service);
    assert_int_equal(gone, 0);
    turns(3);
    assert_int_equal(gone, 1);
    service_abort(held);
    turns(3);
}

static void test_drain(void **state)
{
    (void)state;
    say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    service_drain(service);
    turns(3);
    assert_int_equal(closes, 0);
    service_reply(held, 200, "text/plain", "last", 4);
    hear();
    assert_heard("Connection: close\r\n");
    assert_heard("last");
    assert_true(heard_end);
    assert_int_equal(requests, 1);
}

static void test_drain_idle(void **state)
{
    (void)state;
    say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    service_drain(service);
    turns(3);
    assert_int_equal(closes, 1);
}

static void test_client_ends_within_a_head(void **state)
{
    (void)state;
    say("GET / HT");
    close(client);
    client = -1;
    turns(4);
    assert_int_equal(closes, 1);
    assert_int_equal(requests, 0);
}

/* Its end comes behind a request whose answer has been given, and is not sent yet. */
static void test_half_closed_behind_its_last_request(void **state)
{
    (void)state;
    say("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    shutdown(client, SHUT_WR);
    turns(4);
    hear();
    assert_true(heard_len > 5242880); /* whole */
    assert_true(heard_end);
}

static void test_drain_behind_an_answer(void **state)
{
    (void)state;
    say("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    service_drain(service);
    hear();
    assert_true(heard_len > 5242880);
    assert_true(heard_end);
}

/* Requests whose answers nobody reads: the first one's answer is kept, and no other is asked for. */
static void test_pipelined_without_reading(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        say("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(requests, 1);
    size_t all = 0;
    do {
        hear();
        all += heard_len;
    } while (heard_len > 0);
    assert_int_equal(requests, 20);
    assert_in_range(all, 20 * 5242880, 20 * (5242880 + 1024));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_gone_while_held),
        T(test_gone_while_streaming),
        T(test_half_closed_client_is_answered),
        T(test_closed_by_its_owner),
        T(test_drain),
        T(test_drain_idle),
        T(test_client_ends_within_a_head),
        T(test_half_closed_behind_its_last_request),
        T(test_drain_behind_an_answer),
        T(test_pipelined_without_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
