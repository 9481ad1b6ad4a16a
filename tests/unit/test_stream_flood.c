/* A peer whose records hold no data: tickets without an end are an end (threat F08). */
#include "tls/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/stream_wire.h"
#include "tls/stream_internal.h"

enum { TICKETS_MAX = 15 };

/* A server that gives so many tickets at once, and then speaks. */
static void test_tickets_are_bounded(void **state)
{
    (void)state;
    size_t taken, got;
    uint8_t data[16];
    for (uint16_t more = 0; more < 2; more++) {
        mbedtls_ssl_conf_new_session_tickets(&server_config->ssl, (uint16_t)(TICKETS_MAX + more));
        wires(sizeof to_server.data, sizeof to_server.data);
        connect_well(client13_config, (struct span){NULL, 0});
        if (more == 0) {
            assert_int_equal(stream_read(client.stream, data, sizeof data, &got), STREAM_WANT_READ);
            carry(&server, &client, 1000);
        } else {
            assert_int_equal(stream_write(server.stream, "never", 5, &taken), STREAM_DONE);
            assert_int_equal(stream_read(client.stream, data, sizeof data, &got), STREAM_FAILED);
            assert_int_equal(stream_cause(client.stream), STREAM_CAUSE_PROTOCOL);
            assert_int_equal(stream_read(client.stream, data, sizeof data, &got), STREAM_FAILED);
        }
        disconnect();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tickets_are_bounded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
