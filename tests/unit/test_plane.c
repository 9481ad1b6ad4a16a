/* The plane where the order of events matters more than the bytes: questions that are cancelled, a loop that is
 * turned one round at a time, a monitor that does not read. What bytes can say is in tests/proxy. */
#include "plane_world.h"

static struct world world;

static int setup(void **state)
{
    (void)state;
    world = (struct world){.home = ""};
    world_start(&world);
    world_load(&world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_stop(&world);
    return 0;
}

/* ---- questions ---- */

static int answers;

static struct ask *ask_state(ask_fn fn, void *arg)
{
    json_t *payload JSON_AUTO = json_object();
    return plane_ask(&world.plane, MESSAGE_OP_GET, payload, fn, arg);
}

static bool count_answer(void *arg, const struct ipc_message *message)
{
    (void)arg;
    (void)message;
    answers++;
    return false;
}

static bool cancel_itself(void *arg, const struct ipc_message *message)
{
    struct ask **ask = arg;
    (void)message;
    answers++;
    ask_cancel(*ask);
    return true;
}

static void answer(uint32_t id)
{
    assert_true(ipc_send(world.monitor, MESSAGE_OP_STATE, 0, id, "{}", 2, NULL, 0));
    world_wait(&world, 30);
}

/* A cancelled question is forgotten at once: the monitor may never answer it (MESSAGE_CANCEL). */
static void test_cancelled_ask_is_freed(void **state)
{
    (void)state;
    answers = 0;
    struct ask *kept = ask_state(count_answer, &answers);
    for (int i = 0; i < 1000; i++)
        ask_cancel(ask_state(count_answer, &answers));
    uint32_t id = ask_id(kept);
    assert_ptr_equal(world.plane.asks, kept);
    answer(id + 1);
    assert_int_equal(answers, 0);
    answer(id);
    assert_int_equal(answers, 1);
    assert_null(world.plane.asks);
}

/* Also from within its own answer, though more was to follow. */
static void test_ask_cancelled_by_its_answer(void **state)
{
    struct ask *ask;
    (void)state;
    answers = 0;
    ask = ask_state(cancel_itself, &ask);
    uint32_t id = ask_id(ask);
    answer(id);
    answer(id);
    assert_int_equal(answers, 1);
    assert_null(world.plane.asks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cancelled_ask_is_freed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ask_cancelled_by_its_answer, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
