/* Scenarios of call trees: T6, T7, T9, mail, sweeps, fairness, and what a crash leaves. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ONE(function) 1, (const char *const[]){function}
#define TWO(a, b) 2, (const char *const[]){a, b}
#define THREE(a, b, c) 3, (const char *const[]){a, b, c}
#define NO_WAIT (-1)

static void begin(struct world *world)
{
    world_init(world, NULL);
    world_submit(world, ONE("root"));
    world_wait(world, world->submitted[0]);
    buf_clear(&world->trace);
}

static void cancelling_a_root_cancels_its_whole_tree(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, TWO("a", "b"));
    world_poll(&world, "a", 1, 1, NO_WAIT, 1, ONE("leaf"));
    world_poll(&world, "b", 1, 1, 3600 * NS_PER_S, 1, 0, NULL); /* sleeps, out of memory */
    buf_clear(&world.trace);
    world_cancel(&world, world.submitted[0]);
    world_expect(&world, "wake Permanent error CanceledError: the call was cancelled\ncancel: ok\nabort leaf\n");
    struct store_counts counts;
    assert_int_equal(store_counts(world.store, &counts, NULL), DR_OK);
    assert_int_equal(counts.n_live, 0);
    struct call_record record = world_stored(&world, world.submitted[0]);
    assert_int_equal(record.sweep_below, 0);
    record_deinit(&record);
    world_deinit(&world);
}

static void a_crash_during_a_sweep_is_made_good(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, TWO("a", "b"));
    world.holds_reads = true;
    world_cancel(&world, world.submitted[0]);
    world_crash(&world);
    struct store_counts counts;
    assert_int_equal(store_counts(world.store, &counts, NULL), DR_OK);
    assert_int_equal(counts.n_live, 0);
    world_deinit(&world);
}

static void an_expired_parent_takes_its_children_with_it(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, ONE("a"));
    world_advance(&world, 1 * 3600 * NS_PER_S);
    world_poll(&world, "a", 1, 1, NO_WAIT, 1, ONE("leaf")); /* leaf expires an hour after root */
    buf_clear(&world.trace);
    world_advance(&world, 23 * 3600 * NS_PER_S);
    world_expect(&world, "wake Timeout TimeoutError: the call expired 86400 s after its creation\nabort leaf\n");
    world_deinit(&world);
}

static void a_sweep_reaches_every_depth_after_crashes(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, ONE("a"));
    world_poll(&world, "a", 1, 1, NO_WAIT, 1, ONE("b"));
    world_poll(&world, "b", 1, 1, NO_WAIT, 1, ONE("c"));
    world_poll(&world, "c", 1, 1, NO_WAIT, 1, ONE("d"));
    struct id ids[] = {world_id(&world, "a"), world_id(&world, "b"), world_id(&world, "c"), world_id(&world, "d")};
    world.holds_reads = true;
    world_cancel(&world, world.submitted[0]);
    for (int i = 0; i < 3; i++)
        world_crash(&world);
    world_advance(&world, 10 * NS_PER_S);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct call_record record = world_stored(&world, ids[i]);
        assert_int_equal(record.state, CALL_DONE);
        assert_int_equal(record.sweep_below, 0);
        assert_string_equal(blob_text(record.error.type), "CanceledError");
        record_deinit(&record);
    }
    world_deinit(&world);
}

/* The sweep after the restart concerns a and b only, whoever asks for the result meanwhile. */
static void a_wait_for_a_result_does_not_widen_a_sweep(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("root"));
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, TWO("a", "b"));
    world_return(&world, "a", "A");
    world.holds_reads = true;
    world_fail(&world, "root", DR_STATUS_INCOMPATIBLE_STATE);
    world_advance(&world, 1 * NS_PER_S);
    world_poll(&world, "root", 1, 1, 0, 3, ONE("c"));
    world_return(&world, "root", "R"); /* without waiting for c */
    buf_clear(&world.trace);
    world_wait(&world, world.submitted[0]);
    world.holds_reads = false;
    world_read(&world);
    world_expect(&world, "abort b\nwake ok \"R\"\n");
    assert_true(world_is_running(&world, "c"));
    world_deinit(&world);
}

/* The process dies before the scan of b: a restart's sweep, not a cancel's, is what recovery goes on with. */
static void a_crash_does_not_widen_the_sweep_of_a_restart(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, TWO("a", "b"));
    world_return(&world, "a", "A");
    world.holds_reads = true;
    world_fail(&world, "root", DR_STATUS_INCOMPATIBLE_STATE);
    world_advance(&world, 1 * NS_PER_S);
    world_poll(&world, "root", 1, 1, 0, 3, ONE("c"));
    world_return(&world, "root", "R"); /* without waiting for c */
    struct id b = world_id(&world, "b");
    buf_clear(&world.trace);
    world_crash(&world);
    world_expect(&world, "start b\nstart c\nabort b\n"); /* c of a finished parent runs on */
    struct call_record record = world_stored(&world, b);
    assert_int_equal(record.state, CALL_DONE);
    record_deinit(&record);
    record = world_stored(&world, world.submitted[0]);
    assert_int_equal(record.sweep_below, 0);
    record_deinit(&record);
    world_deinit(&world);
}

/* The tail call begins a generation, but drops the results of c only. */
static void a_tail_call_and_a_crash_do_not_widen_the_sweep_of_a_restart(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, TWO("a", "b"));
    world_return(&world, "a", "A");
    world.holds_reads = true;
    world_fail(&world, "root", DR_STATUS_INCOMPATIBLE_STATE);
    world_advance(&world, 1 * NS_PER_S);
    world_poll(&world, "root", 1, 1, 0, 3, ONE("c"));
    world_tail_call(&world, "root", DR_STATUS_OK, "next");
    struct id b = world_id(&world, "b");
    buf_clear(&world.trace);
    world_crash(&world);
    assert_true(world_is_running(&world, "c"));
    assert_true(world_is_running(&world, "next"));
    struct call_record record = world_stored(&world, b);
    assert_int_equal(record.state, CALL_DONE);
    record_deinit(&record);
    world_deinit(&world);
}

/* Both sweeps are still to be done: the cancel's is the wider one, for this process and for the next. */
static void a_cancel_widens_the_sweep_of_a_restart(void **state)
{
    (void)state;
    for (int is_crash = 0; is_crash < 2; is_crash++) {
        struct world world;
        begin(&world);
        world_poll(&world, "root", 1, 1, NO_WAIT, 1, TWO("a", "b"));
        world_return(&world, "a", "A");
        world.holds_reads = true;
        world_fail(&world, "root", DR_STATUS_INCOMPATIBLE_STATE);
        world_advance(&world, 1 * NS_PER_S);
        world_poll(&world, "root", 1, 1, NO_WAIT, 3, ONE("c"));
        world_cancel(&world, world.submitted[0]);
        struct call_record record = world_stored(&world, world.submitted[0]);
        assert_int_equal(record.sweep_below, UINT32_MAX);
        record_deinit(&record);
        world.holds_reads = false;
        if (is_crash)
            world_crash(&world);
        else
            world_read(&world);
        struct store_counts counts;
        assert_int_equal(store_counts(world.store, &counts, NULL), DR_OK);
        assert_int_equal(counts.n_live, 0);
        world_deinit(&world);
    }
}

/* What root's record says when it is written next, and what its next cancel begins with. */
static void a_sweep_that_is_over_does_not_come_back(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, TWO("a", "b"));
    world_return(&world, "a", "A");
    world_fail(&world, "root", DR_STATUS_INCOMPATIBLE_STATE);
    world_advance(&world, 1 * NS_PER_S);
    struct call_record record = world_stored(&world, world.submitted[0]);
    assert_int_equal(record.sweep_below, 0);
    record_deinit(&record);
    world_fail(&world, "root", DR_STATUS_TEMPORARY_ERROR);
    record = world_stored(&world, world.submitted[0]);
    assert_int_equal(record.failures, 2);
    assert_int_equal(record.sweep_below, 0);
    record_deinit(&record);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancelling_a_root_cancels_its_whole_tree),
        cmocka_unit_test(a_crash_during_a_sweep_is_made_good),
        cmocka_unit_test(an_expired_parent_takes_its_children_with_it),
        cmocka_unit_test(a_sweep_reaches_every_depth_after_crashes),
        cmocka_unit_test(a_wait_for_a_result_does_not_widen_a_sweep),
        cmocka_unit_test(a_crash_does_not_widen_the_sweep_of_a_restart),
        cmocka_unit_test(a_tail_call_and_a_crash_do_not_widen_the_sweep_of_a_restart),
        cmocka_unit_test(a_cancel_widens_the_sweep_of_a_restart),
        cmocka_unit_test(a_sweep_that_is_over_does_not_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
