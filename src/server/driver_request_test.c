/* Requests to the driver: how many may wait for an answer, and who may see what. */
#include "base/testing.h"

#include "server/driver.h"
#include "server/slow_store_testing.h"
#include "server/transport_local.h"
#include "wire/wire.h"
#include <sched.h>
#include <string.h>

struct world {
    struct driver *driver;
    struct transport *transport; /* has no endpoints: every run fails */
    struct slow_store slow;
};

struct answer {
    atomic_bool is_done;
    dr_code code;
    struct id id;
    uint64_t submit_bytes;
};

static void begin(struct world *world, struct driver_config config)
{
    memset(world, 0, sizeof *world);
    slow_store_init(&world->slow);
    world->transport = transport_local_create(0);
    config.store = &world->slow.store;
    config.transport = world->transport;
    config.engine.seed[0] = 1;
    assert_int_equal(driver_create(&config, &world->driver, NULL), DR_OK);
    assert_int_equal(driver_start(world->driver, NULL), DR_OK);
}

static void finish(struct world *world)
{
    driver_destroy(world->driver);
    transport_destroy(world->transport);
    slow_store_deinit(&world->slow);
}

static void say(struct answer *answer, dr_code code)
{
    answer->code = code;
    atomic_store(&answer->is_done, true);
}

static dr_code hear(struct answer *answer)
{
    while (!atomic_load(&answer->is_done))
        sched_yield();
    return answer->code;
}

static void on_submitted(void *arg, dr_code code, const char *message, const struct id *ids, size_t n_ids)
{
    (void)message;
    if (n_ids)
        ((struct answer *)arg)->id = ids[0];
    say(arg, code);
}

static void on_waited(void *arg, dr_code code, const char *message, const struct call_record *record)
{
    (void)message;
    (void)record;
    say(arg, code);
}

static void on_stats(void *arg, dr_code code, const char *message, const struct driver_stats *stats)
{
    (void)message;
    ((struct answer *)arg)->submit_bytes = stats->submit_bytes;
    say(arg, code);
}

static uint64_t submit_bytes(struct world *world)
{
    struct answer answer = {0};
    assert_int_equal(driver_stats(world->driver, on_stats, &answer, NULL), DR_OK);
    (void)hear(&answer);
    return answer.submit_bytes;
}

static dr_code submit(struct world *world, size_t n_bytes, struct answer *answer)
{
    struct wire_call call = {.endpoint = slice_text("http://test:1"), .function = slice_text("f")};
    struct wire_dispatch_request request = {.calls = &call, .n_calls = 1};
    struct driver_submit submit = {.project = 1, .request = &request, .n_bytes = n_bytes, .on_done = on_submitted,
                                   .arg = answer};
    *answer = (struct answer){0};
    dr_code code = driver_submit(world->driver, &submit, NULL);
    (void)submit_bytes(world); /* `request` is needed until the engine has seen it */
    return code;
}

static dr_code wait_for(struct world *world, uint32_t project, struct id id, int64_t timeout_ns)
{
    struct answer answer = {0};
    struct driver_wait wait = {.project = project, .id = id, .timeout_ns = timeout_ns, .on_done = on_waited,
                               .arg = &answer};
    dr_code code = driver_wait(world->driver, &wait, NULL, NULL);
    return code ? code : hear(&answer);
}

static void what_waits_to_be_recorded_has_a_maximum(void **state)
{
    (void)state;
    struct world world;
    begin(&world, (struct driver_config){.submits_max = 2});
    struct answer answers[3];
    for (int i = 0; i < 2; i++) { /* those that were answered make room */
        slow_store_hold(&world.slow, true);
        assert_int_equal(submit(&world, 100, &answers[0]), DR_OK);
        assert_int_equal(submit(&world, 100, &answers[1]), DR_OK);
        assert_int_equal(submit(&world, 100, &answers[2]), DR_RESOURCE_EXHAUSTED);
        slow_store_hold(&world.slow, false);
        assert_int_equal(hear(&answers[0]), DR_OK);
        assert_int_equal(hear(&answers[1]), DR_OK);
    }
    finish(&world);
}

static void the_bytes_that_wait_to_be_recorded_have_a_maximum(void **state)
{
    (void)state;
    struct world world;
    begin(&world, (struct driver_config){.submit_bytes_max = 1000});
    struct answer answers[3];
    for (int i = 0; i < 2; i++) {
        slow_store_hold(&world.slow, true);
        assert_int_equal(submit(&world, 600, &answers[0]), DR_OK);
        assert_int_equal(submit(&world, 400, &answers[1]), DR_OK);
        assert_int_equal(submit(&world, 1, &answers[2]), DR_RESOURCE_EXHAUSTED);
        assert_int_equal(submit_bytes(&world), 1000);
        slow_store_hold(&world.slow, false);
        assert_int_equal(hear(&answers[0]), DR_OK);
        assert_int_equal(hear(&answers[1]), DR_OK);
        assert_int_equal(submit_bytes(&world), 0);
    }
    finish(&world);
}

static void waiters_that_left_make_room(void **state)
{
    (void)state;
    struct world world;
    begin(&world, (struct driver_config){.engine.waiters_max = 2});
    struct answer answer;
    assert_int_equal(submit(&world, 100, &answer), DR_OK);
    assert_int_equal(hear(&answer), DR_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(wait_for(&world, 1, answer.id, 0), DR_DEADLINE_EXCEEDED);
    finish(&world);
}

static void nobody_waits_for_a_call_of_another_project(void **state)
{
    (void)state;
    struct world world;
    begin(&world, (struct driver_config){0});
    struct answer answer;
    assert_int_equal(submit(&world, 100, &answer), DR_OK);
    assert_int_equal(hear(&answer), DR_OK);
    assert_int_equal(wait_for(&world, 1, answer.id, 0), DR_DEADLINE_EXCEEDED);
    assert_int_equal(wait_for(&world, 2, answer.id, 0), DR_NOT_FOUND);
    finish(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waits_to_be_recorded_has_a_maximum),
        cmocka_unit_test(the_bytes_that_wait_to_be_recorded_have_a_maximum),
        cmocka_unit_test(waiters_that_left_make_room),
        cmocka_unit_test(nobody_waits_for_a_call_of_another_project),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
