/* Reads that fail (D4): a damaged call harms nobody else, and everything else is read again a little later. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ONE(function) 1, (const char *const[]){function}

static int set_up(void **state)
{
    static struct world world;
    world_init(&world, NULL);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    world_deinit(*state);
    return 0;
}

/* A call that sleeps in the store, and an engine that knows nothing of it yet; its reads are held. */
static struct id sleeping_call(struct world *world)
{
    world_submit(world, ONE("f"));
    struct id id = world->submitted[0];
    world_lose(world, "f", DR_STATUS_TIMEOUT, 3600 * NS_PER_S);
    world_crash(world);
    world_expect(world, "submit: 1 call\nstart f\n");
    world->holds_reads = true;
    return id;
}

static size_t count_reads(const struct world *world, enum engine_effect_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < world->n_reads; i++)
        n += world->reads[i].kind == kind;
    return n;
}

/* All that are held. */
static void fail_reads(struct world *world, dr_code code)
{
    struct engine_effect reads[16];
    size_t n = world->n_reads;
    assert_in_range(n, 1, 16);
    memcpy(reads, world->reads, n * sizeof *reads);
    world->n_reads = 0;
    for (size_t i = 0; i < n; i++)
        world_event(world, &(struct engine_event){.kind = ENGINE_READ_FAILED,
                                                  .read_failed = {.effect = reads[i].kind, .id = reads[i].read.id,
                                                                  .code = code, .message = "a bad disk"}});
}

static void who_waits_for_a_damaged_call_is_told(void **state)
{
    struct world *world = *state;
    struct id id = sleeping_call(world);
    world_wait(world, id);
    world_cancel(world, id);
    assert_int_equal(count_reads(world, ENGINE_LOAD), 1);
    fail_reads(world, DR_DATA_LOSS);
    world_expect(world, "wake data_loss\ncancel: data_loss\n");
    world_wait(world, id); /* looked at anew: it may have been mended meanwhile */
    assert_int_equal(count_reads(world, ENGINE_LOAD), 1);
    world->holds_reads = false;
    world_read(world);
    world_expect(world, "");
    world_cancel(world, id);
    world_expect(world, "wake Permanent error CanceledError: the call was cancelled\ncancel: ok\n");
}

static void a_load_that_fails_is_tried_again_and_nobody_notices(void **state)
{
    struct world *world = *state;
    struct id id = sleeping_call(world);
    world_wait(world, id);
    for (int i = 0; i < 3; i++) {
        fail_reads(world, DR_UNAVAILABLE);
        assert_int_equal(count_reads(world, ENGINE_LOAD), 0);
        world_advance(world, 2 * NS_PER_S);
        assert_int_equal(count_reads(world, ENGINE_LOAD), 1);
    }
    world_expect(world, "");
    world->holds_reads = false;
    world_read(world);
    world_advance(world, 3600 * NS_PER_S);
    world_expect(world, "start f\n");
    world_return(world, "f", "x");
    world_expect(world, "wake ok \"x\"\n");
}

static void scans_and_purges_that_fail_are_ordered_again(void **state)
{
    struct world *world = *state;
    (void)sleeping_call(world);
    world_advance(world, 3600 * NS_PER_S); /* a scan is due by now */
    assert_true(world->n_reads > 0);
    for (int i = 0; i < 5; i++) {
        fail_reads(world, i % 2 ? DR_DATA_LOSS : DR_UNAVAILABLE);
        assert_int_equal(world->n_reads, 0); /* at once would be a busy loop */
        world_advance(world, 2 * NS_PER_S);
        assert_true(world->n_reads > 0);
    }
    world->holds_reads = false;
    world_read(world);
    world_advance(world, 2 * NS_PER_S);
    world_expect(world, "start f\n");
}

#define SCENARIO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(who_waits_for_a_damaged_call_is_told),
        SCENARIO(a_load_that_fails_is_tried_again_and_nobody_notices),
        SCENARIO(scans_and_purges_that_fail_are_ordered_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
