/* What a new engine finds again (E10) when there is more of it than one portion, and what leaves memory while something
 * is being read (E1, E2, E4). */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ONE(function) 1, (const char *const[]){function}
#define TWO(a, b) 2, (const char *const[]){a, b}
#define THREE(a, b, c) 3, (const char *const[]){a, b, c}
#define NO_WAIT (-1)
/* More than the engine asks for at once. */
#define MANY 1100

static struct id numbered(unsigned n, uint8_t kind)
{
    return (struct id){{1, (uint8_t)(n >> 8), (uint8_t)n, kind}};
}

static struct call_record record_of(struct world *world, struct id id, const char *function)
{
    struct call_record record = {.id = id, .root = id, .project = 1, .generation = 1, .state = CALL_SUSPENDED};
    record.created_ns = world->now_ns;
    record.expires_ns = record.wake_ns = world->now_ns + 3600 * NS_PER_S;
    record.due_ns = TIME_NEVER;
    record.endpoint = blob_create(slice_text("http://a"));
    record.function = blob_create(slice_text(function));
    return record;
}

static struct call_record child_of(struct world *world, struct id id, struct id parent)
{
    struct call_record record = record_of(world, id, "child");
    record.parent = record.root = parent;
    record.parent_generation = 1;
    record.mail = CALL_MAIL_OPEN;
    return record;
}

static void finish(struct call_record *record, uint64_t done_sequence)
{
    record->state = CALL_DONE;
    record->wake_ns = record->due_ns = 0;
    record->done_ns = record->created_ns;
    record->done_sequence = done_sequence;
    record->status = DR_STATUS_OK;
}

static void put(struct batch *batch, struct call_record record)
{
    batch_add(batch, BATCH_INSERT, 0, &record);
    record_deinit(&record);
}

static void commit(struct world *world, struct batch *batch)
{
    assert_int_equal(store_commit(world->store, &batch, 1, NULL), DR_OK);
    batch_destroy(batch);
}

static uint64_t n_live(struct world *world)
{
    struct store_counts counts;
    assert_int_equal(store_counts(world->store, &counts, NULL), DR_OK);
    return counts.n_live;
}

static void every_parent_with_mail_is_found_after_a_crash(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &(struct engine_config){.in_flight_max = 1});
    struct batch *batch = batch_create(1);
    for (unsigned i = 0; i < MANY; i++) {
        struct call_record parent = record_of(&world, numbered(i, 1), "parent");
        struct call_record child = child_of(&world, numbered(i, 2), parent.id);
        parent.has_children = parent.is_resume = true;
        parent.min_results = parent.max_results = 1;
        finish(&child, i + 1);
        put(batch, parent);
        put(batch, child);
    }
    commit(&world, batch);
    world_crash(&world);
    struct engine_counts counts;
    engine_counts(world.engine, &counts);
    assert_int_equal(counts.ready + counts.in_flight, MANY);
    world_expect(&world, "resume parent [0]\n");
    world_deinit(&world);
}

static void every_sweep_goes_on_after_a_crash(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    struct batch *batch = batch_create(1);
    for (unsigned i = 0; i < MANY; i++) {
        struct call_record parent = record_of(&world, numbered(i, 1), "parent");
        parent.has_children = true;
        parent.sweep_below = UINT32_MAX;
        finish(&parent, i + 1);
        put(batch, child_of(&world, numbered(i, 2), parent.id));
        put(batch, parent);
    }
    commit(&world, batch);
    assert_int_equal(n_live(&world), MANY);
    world_crash(&world);
    assert_int_equal(n_live(&world), 0);
    struct id ids[1];
    size_t n = 1;
    assert_int_equal(store_scan_sweeps(world.store, (struct id){{0}}, 1, ids, &n, NULL), DR_OK);
    assert_int_equal(n, 0);
    world_deinit(&world);
}

static void restart(struct world *world, const char *function, int64_t retry_after_ns)
{
    struct wire_run_response response = {.status = DR_STATUS_INCOMPATIBLE_STATE, .outcome = WIRE_OUTCOME_EXIT};
    struct engine_event event = {.kind = ENGINE_ATTEMPT_DONE};
    event.attempt_done.id = world_attempt_of(world, function)->id;
    event.attempt_done.attempt = world_attempt_of(world, function)->number;
    event.attempt_done.response = &response;
    event.attempt_done.retry_after_ns = retry_after_ns;
    world_event(world, &event);
}

static void a_sweep_reaches_more_children_than_one_portion(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    struct batch *batch = batch_create(1);
    struct call_record parent = record_of(&world, numbered(0, 1), "parent");
    parent.has_children = true;
    parent.sweep_below = UINT32_MAX;
    finish(&parent, 1);
    for (unsigned i = 0; i < MANY; i++)
        put(batch, child_of(&world, numbered(i, 2), parent.id));
    put(batch, parent);
    commit(&world, batch);
    world_crash(&world);
    assert_int_equal(n_live(&world), 0);
    world_deinit(&world);
}

/* b ends before root, which is not in memory yet, has been read with the result of a. */
static void what_was_done_before_a_crash_goes_before_what_is_done_after_it(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, ONE("root"));
    world_poll(&world, "root", 2, 2, NO_WAIT, 1, TWO("a", "b"));
    world_return(&world, "a", "A");
    world.now_ns += NS_PER_MS; /* a crash takes time */
    engine_destroy(world.engine);
    world.n_attempts = 0;
    memset(world.attempts, 0, sizeof world.attempts);
    world.holds_reads = true;
    world.engine = engine_create(&world.config);
    world_event(&world, &(struct engine_event){.kind = ENGINE_RECOVER});
    while (!world_is_running(&world, "b"))
        world_read_one(&world);
    buf_clear(&world.trace);
    world_return(&world, "b", "B");
    world.holds_reads = false;
    world_read(&world);
    world_expect(&world, "resume root [1 2]\n");
    world_deinit(&world);
}

/* It is the scan for sweeps that finds it, because its own turn is far away; and soon, its own turn. */
static void the_sweep_of_a_restart_goes_on_after_a_crash(void **state)
{
    static const int64_t RETRY_AFTER_NS[] = {3600 * NS_PER_S, NS_PER_MS};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world;
        world_init(&world, NULL);
        world_submit(&world, ONE("root"));
        world_poll(&world, "root", 1, 1, 0, 1, TWO("a", "b"));
        world.holds_reads = true; /* the sweep does not get far */
        restart(&world, "root", RETRY_AFTER_NS[i]);
        assert_int_equal(n_live(&world), 3);
        world_crash(&world);
        assert_int_equal(n_live(&world), 1);
        world_deinit(&world);
    }
}

/* While the scan of the edge is under way, g leaves memory with a deadline that the scan reaches. */
static void what_leaves_memory_during_a_scan_is_found_again(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &(struct engine_config){.resident_max = 1});
    world_submit(&world, ONE("far"));
    world_poll(&world, "far", 1, 1, 20 * NS_PER_S, 1, 0, NULL);
    world.holds_reads = true;
    world_advance(&world, 16 * NS_PER_S);
    assert_int_equal(world.n_reads, 1);
    world_submit(&world, ONE("g"));
    world_lose(&world, "g", DR_STATUS_TEMPORARY_ERROR, 3 * NS_PER_S);
    world_submit(&world, ONE("h"));
    world_lose(&world, "h", DR_STATUS_TEMPORARY_ERROR, 3 * NS_PER_S);
    assert_null(engine_peek(world.engine, world_id(&world, "g")));
    world_cancel(&world, world_id(&world, "h")); /* room again: nothing else leaves memory */
    world.holds_reads = false;
    world_read(&world);
    world_advance(&world, 10 * NS_PER_S);
    assert_true(world_is_running(&world, "g"));
    assert_true(world_is_running(&world, "far"));
    world_deinit(&world);
}

/* The tree has no more room in memory when root is to be retried; it stays all the same (E2, E7). */
static void a_retried_resume_brings_the_same_results_however_little_room_there_is(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &(struct engine_config){.in_flight_max = 1, .tree_resident_max = 1});
    world_submit(&world, ONE("root"));
    world_poll(&world, "root", 1, 9, NO_WAIT, 1, THREE("a", "b", "c"));
    world_return(&world, "a", "A");
    assert_true(world_is_running(&world, "root"));
    world_lose(&world, "root", DR_STATUS_TEMPORARY_ERROR, 5 * NS_PER_S);
    world_advance(&world, 3 * NS_PER_S); /* the others come back by and by */
    const char *first = world_is_running(&world, "b") ? "b" : "c", *second = *first == 'b' ? "c" : "b";
    assert_true(world_is_running(&world, first));
    world_advance(&world, 3 * NS_PER_S); /* root's turn, with the second of the two ready before it */
    buf_clear(&world.trace);
    world_return(&world, first, "1");
    for (int i = 0; i < 20 && !world_is_running(&world, "root"); i++) {
        if (world_is_running(&world, second))
            world_return(&world, second, "2");
        world_advance(&world, NS_PER_S);
    }
    assert_true(world_is_running(&world, "root"));
    assert_non_null(strstr(buf_text(&world.trace), "resume root [1]\n"));
    world_deinit(&world);
}

/* E2 by bytes: what sleeps shortly has payload, and there is a maximum for it. */
static void idle_calls_leave_memory_when_their_payload_is_too_much(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &(struct engine_config){.resident_bytes_max = 1});
    world_submit(&world, ONE("g"));
    world_poll(&world, "g", 1, 1, 3 * NS_PER_S, 1, 0, NULL);
    assert_null(engine_peek(world.engine, world_id(&world, "g")));
    world_advance(&world, 10 * NS_PER_S);
    assert_true(world_is_running(&world, "g"));
    world_deinit(&world);
}

/* Three large inputs are due and one may be in memory: the others come after it, and all are made. */
static void due_calls_with_large_inputs_take_turns_in_memory(void **state)
{
    (void)state;
    static uint8_t input[5000];
    static const char *const NAMES[] = {"a", "b", "c"};
    struct world world;
    world_init(&world, &(struct engine_config){.in_flight_max = 1, .resident_bytes_max = 1});
    struct wire_call calls[3];
    for (size_t i = 0; i < 3; i++)
        calls[i] = (struct wire_call){.endpoint = slice_text("http://a"), .function = slice_text(NAMES[i]),
                                      .input = slice_of(input, sizeof input)};
    world_event(&world, &(struct engine_event){.kind = ENGINE_SUBMIT,
                                               .submit = {.token = 1, .project = 1, .calls = calls, .n_calls = 3}});
    struct engine_counts counts;
    engine_counts(world.engine, &counts);
    assert_int_equal(counts.resident, 1);
    int n_done = 0;
    for (int turn = 0; n_done < 3 && turn < 100; turn++) {
        for (size_t i = 0; i < 3; i++) {
            if (!world_is_running(&world, NAMES[i]))
                continue;
            world_return(&world, NAMES[i], "");
            n_done++;
        }
        world_advance(&world, NS_PER_S);
    }
    assert_int_equal(n_done, 3);
    world_deinit(&world);
}

static void an_engine_that_has_nothing_to_do_sleeps(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"a", "b", "c"};
    struct world world;
    world_init(&world, &(struct engine_config){.resident_max = 1});
    for (int i = 0; i < 3; i++) { /* they leave memory, and are read again */
        world_submit(&world, 1, &NAMES[i]);
        world_lose(&world, NAMES[i], DR_STATUS_TEMPORARY_ERROR, 2 * NS_PER_S);
    }
    world_advance(&world, 10 * NS_PER_S);
    for (int i = 0; i < 3; i++)
        world_return(&world, NAMES[i], "");
    world_advance(&world, 30 * NS_PER_S);
    assert_true(world.deadline_ns >= world.now_ns + 3600 * NS_PER_S); /* the purge */
    world_deinit(&world);
}

static void put_due(struct world *world, struct batch *batch, struct id id, struct id root, int64_t after_ns)
{
    struct call_record record = record_of(world, id, "f");
    record.root = root;
    record.state = CALL_SCHEDULED;
    record.wake_ns = record.due_ns = world->now_ns - NS_PER_S + after_ns;
    put(batch, record);
}

/* Behind a tree that fills portion after portion, and for which there is no room, lies a small one, for which there is. */
static void a_pass_over_a_huge_tree_makes_no_pauses(void **state)
{
    (void)state;
    enum { HUGE_CALLS = 5 * 4096, OTHERS = 5 };
    struct world world;
    world_init(&world, &(struct engine_config){.in_flight_max = 1, .resident_max = 9, .tree_resident_max = 5});
    struct batch *batch = batch_create(1);
    struct id huge = {{1}}, small = {{4}};
    for (unsigned i = 0; i < HUGE_CALLS; i++)
        put_due(&world, batch, numbered(i, 1), huge, 0);
    for (unsigned i = 0; i < OTHERS; i++)
        put_due(&world, batch, (struct id){{3, (uint8_t)i}}, (struct id){{3, (uint8_t)i}}, 1);
    put_due(&world, batch, small, small, 2);
    commit(&world, batch);
    world_crash(&world);
    assert_null(engine_peek(world.engine, small));
    for (unsigned i = 0; i < OTHERS; i++)
        world_cancel(&world, (struct id){{3, (uint8_t)i}});
    world_advance(&world, NS_PER_S + 100 * NS_PER_MS);
    assert_non_null(engine_peek(world.engine, small));
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_parent_with_mail_is_found_after_a_crash),
        cmocka_unit_test(every_sweep_goes_on_after_a_crash),
        cmocka_unit_test(a_sweep_reaches_more_children_than_one_portion),
        cmocka_unit_test(what_was_done_before_a_crash_goes_before_what_is_done_after_it),
        cmocka_unit_test(the_sweep_of_a_restart_goes_on_after_a_crash),
        cmocka_unit_test(what_leaves_memory_during_a_scan_is_found_again),
        cmocka_unit_test(a_retried_resume_brings_the_same_results_however_little_room_there_is),
        cmocka_unit_test(idle_calls_leave_memory_when_their_payload_is_too_much),
        cmocka_unit_test(due_calls_with_large_inputs_take_turns_in_memory),
        cmocka_unit_test(an_engine_that_has_nothing_to_do_sleeps),
        cmocka_unit_test(a_pass_over_a_huge_tree_makes_no_pauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
