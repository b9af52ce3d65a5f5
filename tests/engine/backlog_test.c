/* A million calls that sleep for a day cost the engine nothing: they are in the store only, and the first that is due is
 * found again. What the store itself keeps in memory is the business of tests/store/memory_test.c. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define N_DEFAULT 1000000
#define DAY_NS (24 * 3600 * NS_PER_S)

static void a_million_sleeping_calls_are_not_in_memory(void **state)
{
    (void)state;
    const char *wish = getenv("BACKLOG_CALLS");
    long n = wish ? strtol(wish, NULL, 10) : N_DEFAULT;
    struct world world;
    world_init(&world, &(struct engine_config){.default_expiration_ns = 2 * DAY_NS});
    world.is_quiet = true;
    struct id first = {{0}};
    for (long i = 0; i < n; i++) {
        world.now_ns += 1000;
        world_submit(&world, 1, (const char *const[]){"nap"});
        world_poll(&world, "nap", 1, 1, DAY_NS, 0, 0, NULL);
        if (i == 0)
            first = world.submitted[0];
    }
    struct engine_counts counts;
    engine_counts(world.engine, &counts);
    assert_int_equal(counts.resident, 0);
    assert_int_equal(counts.polled, n);
    struct store_counts stored;
    assert_int_equal(store_counts(world.store, &stored, NULL), DR_OK);
    assert_int_equal(stored.n_live, n);

    /* the first deadline, and no sooner; paused, so that the attempts that are due do not pile up in this test */
    struct call_record record = world_stored(&world, first);
    world_advance(&world, record.due_ns - world.now_ns - 6 * NS_PER_S);
    engine_counts(world.engine, &counts);
    assert_int_equal(counts.resident, 0);
    engine_set_paused(world.engine, true);
    world_advance(&world, 6 * NS_PER_S);
    engine_counts(world.engine, &counts);
    assert_in_range(counts.ready, 1, 200000);
    assert_int_equal(engine_why(world.engine, first).kind, ENGINE_WHY_TURN);
    record_deinit(&record);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_million_sleeping_calls_are_not_in_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
