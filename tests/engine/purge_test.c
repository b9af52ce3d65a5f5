/* Scenarios of retention: results leave the store in time (E12), and none that somebody needs. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ONE(function) 1, (const char *const[]){function}
#define TWO(a, b) 2, (const char *const[]){a, b}
#define HOUR_NS (3600 * NS_PER_S)
#define NO_WAIT (-1)

static bool is_stored(struct world *world, struct id id)
{
    struct call_record record = {0};
    dr_code code = store_read(world->store, id, &record, NULL);
    record_deinit(&record);
    return code == DR_OK;
}

/* A root that waits for a and b, of which a is done and b never ends. */
static void begin(struct world *world, struct id *ret_a)
{
    world_init(world, &(struct engine_config){.default_expiration_ns = 7 * 24 * HOUR_NS});
    world_submit(world, ONE("root"));
    world_poll(world, "root", 2, 2, NO_WAIT, 1, TWO("a", "b"));
    world_return(world, "a", "A");
    *ret_a = world_id(world, "a");
}

static struct id finish_one(struct world *world, const char *function)
{
    world_submit(world, ONE(function));
    world_return(world, function, "");
    return world->submitted[0];
}

static void a_result_is_purged_in_time_though_an_older_one_is_needed(void **state)
{
    (void)state;
    struct world world;
    struct id a;
    begin(&world, &a);
    world_advance(&world, HOUR_NS);
    struct id x = finish_one(&world, "x");
    world_advance(&world, 12 * HOUR_NS);
    struct id y = finish_one(&world, "y");
    world_advance(&world, 12 * HOUR_NS - NS_PER_S);
    assert_true(is_stored(&world, x));
    world_advance(&world, 3 * NS_PER_S);
    assert_false(is_stored(&world, x));
    assert_true(is_stored(&world, y));
    world_advance(&world, 12 * HOUR_NS);
    assert_false(is_stored(&world, y));
    assert_true(is_stored(&world, a));
    world_deinit(&world);
}

static void a_result_that_was_needed_beyond_its_retention_goes_soon_after(void **state)
{
    (void)state;
    struct world world;
    struct id a;
    begin(&world, &a);
    world_advance(&world, 72 * HOUR_NS + HOUR_NS / 3);
    assert_true(is_stored(&world, a));
    world_return(&world, "b", "B");
    world_return(&world, "root", "R");
    world_advance(&world, HOUR_NS + NS_PER_S);
    assert_false(is_stored(&world, a));
    world_deinit(&world);
}

/* What is looked at again is looked at now and then, not every second. */
static void results_that_are_needed_cost_few_purges(void **state)
{
    (void)state;
    struct world world;
    struct id a;
    begin(&world, &a);
    world_advance(&world, 25 * HOUR_NS);
    world_advance(&world, 2 * NS_PER_S);
    int n = 0;
    int64_t end_ns = world.now_ns + 24 * HOUR_NS;
    for (; world.now_ns < end_ns; n++) {
        assert_true(world.deadline_ns > world.now_ns);
        world_advance(&world, world.deadline_ns - world.now_ns);
    }
    assert_in_range(n, 20, 26);
    world_deinit(&world);
}

static void a_call_that_ends_during_a_purge_is_purged_in_time(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    (void)finish_one(&world, "x");
    world_advance(&world, 24 * HOUR_NS);
    world.holds_reads = true;
    world.now_ns += 2 * NS_PER_S; /* the purge of x begins ... */
    world_submit(&world, ONE("z"));
    assert_int_equal(world.n_reads, 1);
    struct engine_effect purge = world.reads[0];
    assert_int_equal(purge.kind, ENGINE_PURGE);
    struct engine_event event = {.kind = ENGINE_PURGED};
    assert_int_equal(store_purge(world.store, &purge.purge, &event.purged, NULL), DR_OK);
    world_return(&world, "z", ""); /* ... and has looked by the time that z is done */
    struct id z = world.submitted[0];
    world.n_reads = 0;
    world.holds_reads = false;
    world_event(&world, &event);
    world_advance(&world, 24 * HOUR_NS + 2 * NS_PER_S);
    assert_false(is_stored(&world, z));
    world_deinit(&world);
}

static void many_results_go_in_portions_at_once(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    for (int i = 0; i < 2500; i++)
        (void)finish_one(&world, "f");
    struct store_counts counts;
    world_advance(&world, 24 * HOUR_NS + 2 * NS_PER_S);
    assert_int_equal(store_counts(world.store, &counts, NULL), DR_OK);
    assert_int_equal(counts.n_done, 0);
    assert_int_equal(world.deadline_ns, TIME_NEVER); /* nothing is left to do */
    world_deinit(&world);
}

/* More of them than one portion, done at one moment, and a parent that still waits for them. */
static void a_purge_goes_on_behind_what_is_needed(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    struct batch *batch = batch_create(1);
    struct call_record parent = {.id = {{2}}, .root = {{2}}, .project = 1, .generation = 1, .state = CALL_SUSPENDED};
    parent.created_ns = world.now_ns;
    parent.expires_ns = parent.wake_ns = world.now_ns + 7 * 24 * HOUR_NS;
    parent.due_ns = TIME_NEVER;
    parent.has_children = true;
    parent.endpoint = blob_create(slice_text("http://a"));
    parent.function = blob_create(slice_text("parent"));
    batch_add(batch, BATCH_INSERT, 0, &parent);
    for (unsigned i = 0; i < 2500; i++) {
        struct call_record child = {.id = {{1, (uint8_t)(i >> 8), (uint8_t)i}}, .parent = parent.id, .root = parent.id};
        child.project = child.parent_generation = child.generation = 1;
        child.state = CALL_DONE;
        child.mail = CALL_MAIL_OPEN;
        child.created_ns = child.done_ns = world.now_ns;
        child.expires_ns = parent.expires_ns;
        child.done_sequence = i + 1;
        child.status = DR_STATUS_OK;
        child.endpoint = blob_ref(parent.endpoint);
        child.function = blob_ref(parent.function);
        batch_add(batch, BATCH_INSERT, 0, &child);
        record_deinit(&child);
    }
    record_deinit(&parent);
    assert_int_equal(store_commit(world.store, &batch, 1, NULL), DR_OK);
    batch_destroy(batch);
    struct id x = finish_one(&world, "x");
    world_advance(&world, 24 * HOUR_NS + 2 * NS_PER_S);
    assert_false(is_stored(&world, x));
    struct store_counts counts;
    assert_int_equal(store_counts(world.store, &counts, NULL), DR_OK);
    assert_int_equal(counts.n_done, 2500);
    world_deinit(&world);
}

static void a_purge_that_failed_is_made_again(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    struct id x = finish_one(&world, "x");
    world_advance(&world, 24 * HOUR_NS);
    world.holds_reads = true;
    world_advance(&world, 2 * NS_PER_S);
    assert_int_equal(world.n_reads, 1);
    assert_int_equal(world.reads[0].kind, ENGINE_PURGE);
    world.n_reads = 0;
    struct engine_event event = {.kind = ENGINE_READ_FAILED, .read_failed.effect = ENGINE_PURGE};
    world_event(&world, &event);
    world.holds_reads = false;
    assert_true(is_stored(&world, x));
    assert_true(world.deadline_ns > world.now_ns); /* not at once */
    world_advance(&world, 2 * NS_PER_S);
    assert_false(is_stored(&world, x));
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_is_purged_in_time_though_an_older_one_is_needed),
        cmocka_unit_test(a_result_that_was_needed_beyond_its_retention_goes_soon_after),
        cmocka_unit_test(results_that_are_needed_cost_few_purges),
        cmocka_unit_test(a_call_that_ends_during_a_purge_is_purged_in_time),
        cmocka_unit_test(many_results_go_in_portions_at_once),
        cmocka_unit_test(a_purge_goes_on_behind_what_is_needed),
        cmocka_unit_test(a_purge_that_failed_is_made_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
