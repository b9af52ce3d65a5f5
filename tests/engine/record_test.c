/* What each transition leaves in the store, field by field where a scenario does not show it: counters, mail,
 * generations, the order of completion. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ONE(function) 1, (const char *const[]){function}
#define TWO(a, b) 2, (const char *const[]){a, b}
#define THREE(a, b, c) 3, (const char *const[]){a, b, c}
#define NO_WAIT (-1)

/* One number of a stored call. */
#define STORED(world, id, member)                              \
    ({                                                         \
        struct call_record stored = world_stored(&(world), id); \
        uint64_t number = (uint64_t)stored.member;             \
        record_deinit(&stored);                                \
        number;                                                \
    })

static void begin(struct world *world, const struct engine_config *config)
{
    world_init(world, config);
    world_submit(world, ONE("root"));
    buf_clear(&world->trace);
}

static void attempts_count_what_ended_and_no_resumes(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL);
    struct id root = world.submitted[0];
    world_fail(&world, "root", DR_STATUS_TEMPORARY_ERROR);
    assert_int_equal(STORED(world, root, attempts), 1);
    assert_int_equal(STORED(world, root, failures), 1);
    world_advance(&world, NS_PER_S);
    world_poll(&world, "root", 1, 1, 0, 1, 0, NULL);
    assert_int_equal(STORED(world, root, attempts), 1);
    assert_int_equal(STORED(world, root, failures), 0);
    assert_int_equal(STORED(world, root, last_status), DR_STATUS_OK);
    world_return(&world, "root", "x");
    assert_int_equal(STORED(world, root, attempts), 2);
    world_deinit(&world);
}

static void a_tail_call_that_went_well_has_no_failures(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL);
    struct id root = world.submitted[0];
    world_fail(&world, "root", DR_STATUS_TEMPORARY_ERROR);
    world_advance(&world, NS_PER_S);
    world_tail_call(&world, "root", DR_STATUS_OK, "next");
    assert_int_equal(STORED(world, root, failures), 0);
    assert_int_equal(STORED(world, root, attempts), 2);
    world_deinit(&world);
}

static void delays_of_equal_failures_differ(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    int64_t first_ns = 0;
    bool is_different = false;
    for (int i = 0; i < 20; i++) {
        char function[8];
        snprintf(function, sizeof function, "f%d", i);
        world_submit(&world, 1, (const char *const[]){function});
        world_fail(&world, function, DR_STATUS_TEMPORARY_ERROR);
        int64_t delay_ns = (int64_t)STORED(world, world.submitted[0], due_ns) - world.now_ns;
        assert_in_range(delay_ns, 1, 100 * NS_PER_MS);
        first_ns = i == 0 ? delay_ns : first_ns;
        is_different = is_different || delay_ns != first_ns;
    }
    assert_true(is_different);
    world_deinit(&world);
}

static void mail_that_nobody_will_ask_for_is_consumed(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL);
    world_poll(&world, "root", 2, 2, NO_WAIT, 1, THREE("a", "b", "c"));
    world_return(&world, "a", "A");
    assert_int_equal(STORED(world, world_id(&world, "a"), mail), CALL_MAIL_OPEN);
    world_return(&world, "b", "B");
    world_return(&world, "c", "C"); /* root runs: it comes with the next resume, which there will not be */
    world_return(&world, "root", "R");
    assert_int_equal(STORED(world, world_id(&world, "a"), mail), CALL_MAIL_CONSUMED);
    assert_int_equal(STORED(world, world_id(&world, "c"), mail), CALL_MAIL_CONSUMED);
    world_deinit(&world);
}

static void a_new_generation_consumes_the_mail_of_the_old_one(void **state)
{
    (void)state;
    for (int is_restart = 0; is_restart < 2; is_restart++) {
        struct world world;
        begin(&world, NULL);
        world_poll(&world, "root", 1, 1, NO_WAIT, 1, TWO("a", "b"));
        world_return(&world, "a", "A");
        world_return(&world, "b", "B");
        if (is_restart)
            world_fail(&world, "root", DR_STATUS_INCOMPATIBLE_STATE);
        else
            world_tail_call(&world, "root", DR_STATUS_OK, "next");
        assert_int_equal(STORED(world, world_id(&world, "a"), mail), CALL_MAIL_CONSUMED);
        assert_int_equal(STORED(world, world_id(&world, "b"), mail), CALL_MAIL_CONSUMED);
        world_deinit(&world);
    }
}

static void a_call_that_a_sweep_cancelled_has_no_mail(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL);
    struct id root = world.submitted[0];
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, ONE("a"));
    struct id child = world_id(&world, "a");
    world_cancel(&world, root);
    assert_int_equal(STORED(world, child, state), CALL_DONE);
    assert_int_equal(STORED(world, child, mail), CALL_MAIL_CONSUMED);
    world_deinit(&world);
}

static void a_done_call_has_no_poll(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL);
    world_poll(&world, "root", 3, 4, 0, 1, 0, NULL);
    world_return(&world, "root", "R");
    struct call_record record = world_stored(&world, world.submitted[0]);
    assert_null(record.poll_state);
    assert_false(record.is_resume);
    assert_int_equal(record.state_arm, WIRE_STATE_NONE);
    assert_int_equal(record.min_results, 0);
    assert_int_equal(record.max_results, 0);
    assert_int_equal(record.wake_ns, 0);
    assert_int_equal(record.due_ns, 0);
    record_deinit(&record);
    world_deinit(&world);
}

/* After a restart, what a poll waits for is what the new run has asked for. */
static void a_restart_expects_no_results_of_the_old_run(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL);
    world_poll(&world, "root", 1, 9, NO_WAIT, 1, THREE("a", "b", "c"));
    world_return(&world, "a", "A");
    world_fail(&world, "root", DR_STATUS_INCOMPATIBLE_STATE);
    world_advance(&world, NS_PER_S);
    buf_clear(&world.trace);
    world_poll(&world, "root", 9, 9, NO_WAIT, 4, ONE("d"));
    world_return(&world, "d", "D"); /* all that can come */
    world_expect(&world, "start d\nresume root [4]\n");
    world_deinit(&world);
}

static void the_order_of_completion_goes_on_over_a_crash(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL);
    world_poll(&world, "root", 3, 3, NO_WAIT, 1, THREE("a", "b", "c"));
    world_return(&world, "b", "B");
    world_return(&world, "a", "A");
    world.now_ns += NS_PER_MS; /* a crash takes time */
    world_crash(&world);
    world_return(&world, "c", "C");
    world_crash(&world); /* the order is read from the store */
    world_expect(&world, "start a\nstart b\nstart c\nstart c\nresume root [2 1 3]\nresume root [2 1 3]\n");
    world_deinit(&world);
}

static void calls_that_end_at_one_moment_have_an_order(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL);
    world_poll(&world, "root", 3, 3, NO_WAIT, 1, THREE("a", "b", "c"));
    world_return(&world, "c", "C");
    world_return(&world, "b", "B");
    world_return(&world, "a", "A");
    assert_int_equal(STORED(world, world_id(&world, "a"), done_ns), STORED(world, world_id(&world, "c"), done_ns));
    world_crash(&world);
    world_expect(&world, "start a\nstart b\nstart c\nresume root [3 2 1]\nresume root [3 2 1]\n");
    world_deinit(&world);
}

/* b is in the store when c arrives in memory, while root is read. */
static void what_is_read_goes_before_what_arrived_later(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &(struct engine_config){.resident_max = 1});
    struct id root = world.submitted[0];
    world_poll(&world, "root", 3, 3, NO_WAIT, 1, THREE("a", "b", "c"));
    world_poll(&world, "a", 1, 1, NO_WAIT, 1, ONE("leaf"));
    world_advance(&world, 10 * NS_PER_S); /* with room for one, the others come back by and by */
    world_return(&world, "b", "B");
    world_cancel(&world, world_id(&world, "leaf")); /* a is read and runs, so root may stay no longer */
    world_advance(&world, NS_PER_S);
    buf_clear(&world.trace);
    world.holds_reads = true;
    world_return(&world, "c", "C");
    world.holds_reads = false;
    world_read(&world);
    world_return(&world, "a", "A");
    struct id id = world_id(&world, "root");
    assert_memory_equal(id.bytes, root.bytes, ID_BYTES);
    world_expect(&world, "resume root [2 3 1]\n");
    world_deinit(&world);
}

/* b ends while its batch is not durable: root, which was woken by a, starts without it. */
static void a_result_is_delivered_when_it_is_durable(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &(struct engine_config){.in_flight_max = 1});
    world_poll(&world, "root", 1, 9, NO_WAIT, 1, TWO("a", "b"));
    world_return(&world, "a", "A");
    world.holds_commits = true;
    world_return(&world, "b", "B");
    world_expect(&world, "start a\nstart b\nresume root [1]\n");
    world.holds_commits = false;
    world_commit(&world);
    world_poll(&world, "root", 1, 9, NO_WAIT, 3, 0, NULL);
    world_expect(&world, "resume root [2]\n");
    world_deinit(&world);
}

static void a_resume_brings_at_most_max_results(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL);
    world_poll(&world, "root", 3, 2, NO_WAIT, 1, THREE("a", "b", "c"));
    world_return(&world, "a", "A");
    world_return(&world, "b", "B");
    world_return(&world, "c", "C");
    world_poll(&world, "root", 1, 2, NO_WAIT, 4, 0, NULL);
    world_expect(&world, "start a\nstart b\nstart c\nresume root [1 2]\nresume root [3]\n");
    world_deinit(&world);
}

static void a_poll_that_wants_no_results_waits_for_one(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL);
    world_poll(&world, "root", 0, 0, NO_WAIT, 1, ONE("a"));
    world_expect(&world, "start a\n");
    world_return(&world, "a", "A");
    world_expect(&world, "resume root [1]\n");
    world_deinit(&world);
}

static void time_never_goes_back_in_the_engine(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL);
    struct id root = world.submitted[0];
    world.now_ns -= 500 * NS_PER_S;
    world_return(&world, "root", "R");
    assert_int_equal(STORED(world, root, done_ns), STORED(world, root, created_ns));
    world_deinit(&world);
}

static void a_cancel_is_acknowledged_when_it_is_durable(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL);
    world.holds_commits = true;
    world_cancel(&world, world.submitted[0]);
    world_expect(&world, "abort root\n");
    world.holds_commits = false;
    world_commit(&world);
    world_expect(&world, "cancel: ok\n");
    world_deinit(&world);
}

static void each_call_keeps_its_texts(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    struct wire_call calls[] = {
        {.endpoint = slice_text("http://a"), .function = slice_text("f"), .version = slice_text("v1")},
        {.endpoint = slice_text("http://b"), .function = slice_text("g"), .version = slice_text("v2")},
        {.endpoint = slice_text("http://b"), .function = slice_text("h")},
    };
    struct engine_event event = {.kind = ENGINE_SUBMIT};
    event.submit.project = 1;
    event.submit.calls = calls;
    event.submit.n_calls = 3;
    world_event(&world, &event);
    for (size_t i = 0; i < 3; i++) {
        struct call_record record = world_stored(&world, world.submitted[i]);
        assert_true(slice_equal(blob_slice(record.endpoint), calls[i].endpoint));
        assert_true(slice_equal(blob_slice(record.function), calls[i].function));
        assert_true(slice_equal(blob_slice(record.version), calls[i].version));
        record_deinit(&record);
    }
    world_deinit(&world);
}

static void every_call_of_a_tree_has_its_root(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL);
    struct id root = world.submitted[0];
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, ONE("a"));
    world_poll(&world, "a", 1, 1, NO_WAIT, 1, ONE("leaf"));
    struct call_record record = world_stored(&world, world_id(&world, "leaf"));
    assert_memory_equal(record.root.bytes, root.bytes, ID_BYTES);
    assert_int_equal(record.depth, 2);
    assert_int_equal(record.project, 1);
    record_deinit(&record);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attempts_count_what_ended_and_no_resumes),
        cmocka_unit_test(a_tail_call_that_went_well_has_no_failures),
        cmocka_unit_test(delays_of_equal_failures_differ),
        cmocka_unit_test(mail_that_nobody_will_ask_for_is_consumed),
        cmocka_unit_test(a_new_generation_consumes_the_mail_of_the_old_one),
        cmocka_unit_test(a_call_that_a_sweep_cancelled_has_no_mail),
        cmocka_unit_test(a_done_call_has_no_poll),
        cmocka_unit_test(a_restart_expects_no_results_of_the_old_run),
        cmocka_unit_test(the_order_of_completion_goes_on_over_a_crash),
        cmocka_unit_test(calls_that_end_at_one_moment_have_an_order),
        cmocka_unit_test(what_is_read_goes_before_what_arrived_later),
        cmocka_unit_test(a_result_is_delivered_when_it_is_durable),
        cmocka_unit_test(a_resume_brings_at_most_max_results),
        cmocka_unit_test(a_poll_that_wants_no_results_waits_for_one),
        cmocka_unit_test(time_never_goes_back_in_the_engine),
        cmocka_unit_test(a_cancel_is_acknowledged_when_it_is_durable),
        cmocka_unit_test(each_call_keeps_its_texts),
        cmocka_unit_test(every_call_of_a_tree_has_its_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
