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

static void resumes_with_the_results_of_its_calls(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 2, 2, NO_WAIT, 1, TWO("a", "b"));
    world_return(&world, "b", "B");
    world_return(&world, "a", "A");
    assert_int_equal(world_attempt_of(&world, "root")->state_arm, WIRE_STATE_TYPED);
    assert_string_equal(world_attempt_of(&world, "root")->state, "S");
    world_return(&world, "root", "R");
    world_expect(&world, "start a\nstart b\nresume root [2 1]\nwake ok \"R\"\n"); /* oldest completion first */
    world_deinit(&world);
}

static void wakes_at_min_results_and_keeps_what_exceeds_max_results(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world.holds_commits = true;
    world_poll(&world, "root", 2, 2, NO_WAIT, 1, THREE("a", "b", "c"));
    world.holds_commits = false;
    world_commit(&world);
    world_return(&world, "a", "A");
    world_expect(&world, "start a\nstart b\nstart c\n");
    world_return(&world, "b", "B");
    world_expect(&world, "resume root [1 2]\n");
    world_return(&world, "c", "C"); /* arrives while root runs */
    world_poll(&world, "root", 1, 10, NO_WAIT, 0, 0, NULL); /* waits on an earlier call */
    world_expect(&world, "resume root [3]\n");
    world_deinit(&world);
}

static void wanting_more_results_than_can_come_is_wanting_all(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 5000, 5000, 300 * NS_PER_S, 1, TWO("a", "b"));
    world_return(&world, "a", "A");
    world_return(&world, "b", "B");
    world_expect(&world, "start a\nstart b\nresume root [1 2]\n");
    world_deinit(&world);
}

static void wakes_at_max_wait_with_whatever_is_there(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 2, 2, 10 * NS_PER_S, 1, TWO("a", "b"));
    world_return(&world, "a", "A");
    world_advance(&world, 10 * NS_PER_S);
    world_expect(&world, "start a\nstart b\nresume root [1]\n");
    world_poll(&world, "root", 1, 1, NO_WAIT, 0, 0, NULL);
    world_return(&world, "b", "B");
    world_expect(&world, "resume root [2]\n");
    world_deinit(&world);
}

static void a_poll_without_calls_and_with_max_wait_is_a_sleep(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 1, 1, 3600 * NS_PER_S, 0, 0, NULL);
    assert_null(engine_peek(world.engine, world.submitted[0])); /* costs no memory */
    world_advance(&world, 3600 * NS_PER_S - 1);
    world_expect(&world, "");
    world_advance(&world, 1);
    world_expect(&world, "resume root []\n");
    world_deinit(&world);
}

static void a_poll_for_nothing_waits_for_expiration_without_spinning(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 1, 1, NO_WAIT, 0, 0, NULL);
    world_advance(&world, 24 * 3600 * NS_PER_S);
    world_expect(&world, "wake Timeout TimeoutError: the call expired 86400 s after its creation\n");
    struct engine_counts counts;
    engine_counts(world.engine, &counts);
    assert_int_equal(counts.started, 1);
    world_deinit(&world);
}

static void a_poll_with_an_invalid_call_is_refused_whole(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, TWO("a", ""));
    world_expect(&world, "resume root [] error: call 1 of the poll: Call function cannot be empty\n");
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, ONE("a"));
    world_expect(&world, "start a\n");
    world_return(&world, "a", "A");
    world_expect(&world, "resume root [1]\n");
    world_deinit(&world);
}

static void a_retry_of_a_resume_brings_the_same_results(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 1, 10, NO_WAIT, 1, TWO("a", "b"));
    world_return(&world, "a", "A");
    world_lose(&world, "root", DR_STATUS_TCP_ERROR, NS_PER_S);
    world_return(&world, "b", "B");
    world_advance(&world, NS_PER_S);
    world_expect(&world, "start a\nstart b\nresume root [1]\nresume root [1]\n");
    world_poll(&world, "root", 1, 10, NO_WAIT, 0, 0, NULL);
    world_expect(&world, "resume root [2]\n");
    world_deinit(&world);
}

static void a_failed_child_reaches_its_parent_as_an_error(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 1, 1, NO_WAIT, 7, ONE("a"));
    world_fail(&world, "a", DR_STATUS_PERMANENT_ERROR);
    world_expect(&world, "start a\nresume root [7]\n");
    world_deinit(&world);
}

static void no_result_is_delivered_twice_after_a_crash(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, TWO("a", "b"));
    world_return(&world, "a", "A");
    world_poll(&world, "root", 1, 1, NO_WAIT, 0, 0, NULL); /* consumes 1 */
    world_return(&world, "b", "B");
    world_expect(&world, "start a\nstart b\nresume root [1]\nresume root [2]\n");
    world_crash(&world); /* the attempt with 2 is lost */
    world_expect(&world, "resume root [2]\n");
    world_return(&world, "root", "R");
    world_crash(&world);
    world_wait(&world, world.submitted[0]);
    world_expect(&world, "wake ok \"R\"\n");
    world_deinit(&world);
}

static void a_crash_loses_nothing_that_was_acknowledged(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit(&world, TWO("a", "b"));
    world.holds_commits = true;
    world_submit(&world, ONE("never"));
    world_return(&world, "a", "A"); /* not durable: a runs again */
    world_expect(&world, "submit: 2 calls\nstart a\nstart b\n");
    world_crash(&world);
    world_expect(&world, "start a\nstart b\n");
    world_deinit(&world);
}

static void a_restart_forgets_the_run_and_cancels_its_calls(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, TWO("a", "b"));
    world_return(&world, "a", "A");
    buf_clear(&world.trace);
    world_reply(&world, "root", &(struct wire_run_response){.status = DR_STATUS_INCOMPATIBLE_STATE,
                                                            .outcome = WIRE_OUTCOME_EXIT});
    world_expect(&world, "abort b\n");
    world_return(&world, "b", "B"); /* of the abandoned run */
    world_advance(&world, NS_PER_S);
    world_expect(&world, "start root\n"); /* from its original input */
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, ONE("c"));
    world_return(&world, "c", "C");
    world_expect(&world, "start c\nresume root [1]\n");
    world_deinit(&world);
}

static void incompatible_state_for_ever_backs_off_until_expiration(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world.is_quiet = true;
    int n = 0;
    for (; n < 10000 && world_is_running(&world, "root"); n++) {
        world_reply(&world, "root", &(struct wire_run_response){.status = DR_STATUS_INCOMPATIBLE_STATE,
                                                                .outcome = WIRE_OUTCOME_EXIT});
        world_advance(&world, 60 * NS_PER_S);
    }
    assert_in_range(n, 1000, 1441); /* a minute apart at the most, for the 24 h of its life */
    struct call_record record = world_stored(&world, world.submitted[0]);
    assert_int_equal(record.state, CALL_DONE);
    assert_int_equal(record.status, DR_STATUS_TIMEOUT);
    record_deinit(&record);
    world_deinit(&world);
}

static void a_child_has_an_expiration_of_its_own(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, NULL);
    world_submit_call(&world, (struct wire_call){.endpoint = slice_text("http://a"), .function = slice_text("root"),
                                                 .expiration_ns = 10 * NS_PER_S});
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, ONE("a"));
    struct call_record record = world_stored(&world, world_id(&world, "a"));
    assert_int_equal(record.expires_ns - record.created_ns, 24 * 3600 * NS_PER_S);
    record_deinit(&record);
    world_deinit(&world);
}

static void a_tail_call_may_change_endpoint_and_version_but_not_times(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    struct call_record before = world_stored(&world, world.submitted[0]);
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_EXIT, .has_tail_call = true};
    response.tail_call = (struct wire_call){.function = slice_text("next"), .endpoint = slice_text("http://b"),
                                            .version = slice_text("2"), .expiration_ns = NS_PER_S};
    world_reply(&world, "root", &response);
    struct call_record after = world_stored(&world, world.submitted[0]);
    assert_string_equal(blob_text(after.endpoint), "http://b");
    assert_string_equal(blob_text(after.version), "2");
    assert_int_equal(after.created_ns, before.created_ns);
    assert_int_equal(after.expires_ns, before.expires_ns);
    record_deinit(&before);
    record_deinit(&after);
    world_deinit(&world);
}

static void results_of_calls_made_before_a_tail_call_are_dropped(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, TWO("a", "b"));
    world_return(&world, "a", "A");
    world_tail_call(&world, "root", DR_STATUS_OK, "next");
    world_return(&world, "b", "B");
    world_poll(&world, "next", 1, 1, 5 * NS_PER_S, 0, 0, NULL);
    world_advance(&world, 5 * NS_PER_S);
    world_expect(&world, "start a\nstart b\nresume root [1]\nstart next\nresume next []\n");
    world_deinit(&world);
}

static void children_of_a_finished_parent_run_on(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, TWO("a", "b"));
    world_return(&world, "a", "A");
    world_return(&world, "root", "R");
    world_return(&world, "b", "B");
    world_expect(&world, "start a\nstart b\nresume root [1]\nwake ok \"R\"\n");
    struct call_record record = world_stored(&world, world_id(&world, "b"));
    assert_int_equal(record.state, CALL_DONE);
    assert_int_equal(record.status, DR_STATUS_OK);
    record_deinit(&record);
    world_deinit(&world);
}

static void a_result_wakes_a_parent_that_left_memory(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &(struct engine_config){.resident_max = 1});
    world_submit(&world, ONE("root"));
    world_poll(&world, "root", 2, 2, NO_WAIT, 1, TWO("a", "b"));
    struct id root = world.submitted[0];
    world_poll(&world, "a", 1, 1, NO_WAIT, 1, ONE("leaf")); /* two idle calls, one may stay */
    world_advance(&world, 10 * NS_PER_S);                    /* with room for one, b comes back after a pause */
    assert_null(engine_peek(world.engine, root));
    world_return(&world, "b", "B");
    world_return(&world, "leaf", "L");
    world_return(&world, "a", "A");
    world_expect(&world, "submit: 1 call\nstart root\nstart a\nstart leaf\nstart b\nresume a [1]\nresume root [2 1]\n");
    world_deinit(&world);
}

static void results_that_arrive_while_the_parent_is_read_count_once(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &(struct engine_config){.resident_max = 1});
    world_submit(&world, ONE("root"));
    world_poll(&world, "root", 3, 3, NO_WAIT, 1, THREE("a", "b", "c"));
    world_poll(&world, "a", 1, 1, NO_WAIT, 1, ONE("leaf"));
    world_advance(&world, 10 * NS_PER_S); /* with room for one, the others come back by and by */
    assert_null(engine_peek(world.engine, world.submitted[0]));
    buf_clear(&world.trace);
    world.holds_reads = true;
    world_return(&world, "b", "B"); /* root is being read, and b is in the store by then */
    world_return(&world, "c", "C"); /* c arrives in memory */
    world.holds_reads = false;
    world_read(&world);
    world_return(&world, "leaf", "L");
    world_return(&world, "a", "A");
    world_expect(&world, "resume a [1]\nresume root [2 3 1]\n");
    world_deinit(&world);
}

/* By its time b was done before a, but it is not durable when root's turn comes. */
static void a_clock_set_back_over_a_restart_puts_no_new_result_before_old_ones(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &(struct engine_config){.in_flight_max = 1});
    world_submit(&world, ONE("root"));
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, TWO("a", "b"));
    world_advance(&world, 50 * NS_PER_S);
    world_return(&world, "a", "A");
    world.now_ns -= 40 * NS_PER_S;
    buf_clear(&world.trace);
    world_crash(&world);
    world_expect(&world, "start b\n"); /* root has to wait */
    world.holds_commits = true;
    world_return(&world, "b", "B");
    world_expect(&world, "resume root [1]\n");
    world_deinit(&world);
}

/* Only c's result makes it enough, and c's is not durable when root has been read. */
static void a_result_that_arrives_while_the_parent_is_read_wakes_it_when_it_is_durable(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &(struct engine_config){.resident_max = 1});
    world_submit(&world, ONE("root"));
    world_poll(&world, "root", 2, 3, NO_WAIT, 1, THREE("a", "b", "c"));
    world_poll(&world, "a", 1, 1, NO_WAIT, 1, ONE("leaf"));
    world_advance(&world, 10 * NS_PER_S);
    assert_null(engine_peek(world.engine, world.submitted[0]));
    buf_clear(&world.trace);
    world.holds_reads = true;
    world_return(&world, "b", "B"); /* root is being read */
    world.holds_commits = true;
    world_return(&world, "c", "C");
    world_read(&world);
    world_expect(&world, "");
    world.holds_reads = world.holds_commits = false;
    world_commit(&world);
    world_expect(&world, "resume root [2 3]\n");
    world_deinit(&world);
}

/* The completion of b gets a lower number than that of a, which is being delivered. */
static void a_clock_set_back_over_a_restart_mixes_no_delivery_up(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_poll(&world, "root", 1, 1, NO_WAIT, 1, TWO("a", "b"));
    world_advance(&world, 50 * NS_PER_S);
    world_return(&world, "a", "A");
    world.now_ns -= 40 * NS_PER_S;
    buf_clear(&world.trace);
    world_crash(&world);
    world_return(&world, "b", "B");
    world_poll(&world, "root", 1, 1, NO_WAIT, 0, 0, NULL); /* consumes a */
    world_expect(&world, "start b\nresume root [1]\nresume root [2]\n");
    world_deinit(&world);
}

static void a_huge_tree_does_not_hold_up_a_small_one(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &(struct engine_config){.group_cap = 1, .tree_resident_max = 8});
    world_submit(&world, ONE("root"));
    char names[40][16];
    const char *functions[40];
    for (int i = 0; i < 40; i++) {
        snprintf(names[i], sizeof names[i], "c%d", i);
        functions[i] = names[i];
    }
    world_poll(&world, "root", 40, 40, NO_WAIT, 1, 40, functions);
    world_submit(&world, ONE("small"));
    world_return(&world, "c0", "");
    int n = 1;
    for (; !world_is_running(&world, "small"); n++) {
        assert_in_range(n, 0, 2);
        world_return(&world, names[n], "");
    }
    world_return(&world, "small", "");
    int n_done = 0;
    for (int rounds = 0; rounds < 200 && n_done < 40 && !world_is_running(&world, "root"); rounds++) {
        for (int i = 0; i < 40; i++)
            if (world_is_running(&world, names[i]))
                world_return(&world, names[i], "");
        world_advance(&world, NS_PER_S);
    }
    assert_true(world_is_running(&world, "root")); /* all 40 ran, most of them out of memory first */
    world_deinit(&world);
}

/* The pause is measured by the pass before it; a machine that slept in the middle of one must not make it last days. */
static void a_clock_that_jumps_makes_no_long_pause_of_the_backlog(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &(struct engine_config){.group_cap = 1, .tree_resident_max = 4});
    world_submit(&world, ONE("root"));
    world_poll(&world, "root", 9, 9, NO_WAIT, 1, 9, (const char *const[]){"a", "b", "c", "d", "e", "f", "g", "h", "i"});
    world.holds_reads = true;
    world_advance(&world, 2 * NS_PER_S); /* a pass begins */
    assert_true(world.n_reads > 0);
    world.now_ns += 5 * 3600 * NS_PER_S;
    world.holds_reads = false;
    world_read(&world);
    assert_true(world.deadline_ns <= world.now_ns + 600 * NS_PER_S);
    world_deinit(&world);
}

static void a_tree_is_at_most_a_thousand_calls_deep(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world.is_quiet = true;
    char name[16] = "root";
    for (int depth = 1; depth <= 1000; depth++) {
        char child[16];
        snprintf(child, sizeof child, "d%d", depth % 2); /* two names in turn: parents are suspended */
        world_poll(&world, name, 1, 1, NO_WAIT, 1, ONE(child));
        snprintf(name, sizeof name, "%s", child);
    }
    world.is_quiet = false;
    world_poll(&world, name, 1, 1, NO_WAIT, 1, ONE("deeper"));
    world_expect(&world, "resume d0 [] error: the call tree is 1000 calls deep, more are not allowed\n");
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resumes_with_the_results_of_its_calls),
        cmocka_unit_test(wakes_at_min_results_and_keeps_what_exceeds_max_results),
        cmocka_unit_test(wanting_more_results_than_can_come_is_wanting_all),
        cmocka_unit_test(wakes_at_max_wait_with_whatever_is_there),
        cmocka_unit_test(a_poll_without_calls_and_with_max_wait_is_a_sleep),
        cmocka_unit_test(a_poll_for_nothing_waits_for_expiration_without_spinning),
        cmocka_unit_test(a_poll_with_an_invalid_call_is_refused_whole),
        cmocka_unit_test(a_retry_of_a_resume_brings_the_same_results),
        cmocka_unit_test(a_failed_child_reaches_its_parent_as_an_error),
        cmocka_unit_test(no_result_is_delivered_twice_after_a_crash),
        cmocka_unit_test(a_crash_loses_nothing_that_was_acknowledged),
        cmocka_unit_test(a_restart_forgets_the_run_and_cancels_its_calls),
        cmocka_unit_test(incompatible_state_for_ever_backs_off_until_expiration),
        cmocka_unit_test(a_child_has_an_expiration_of_its_own),
        cmocka_unit_test(a_tail_call_may_change_endpoint_and_version_but_not_times),
        cmocka_unit_test(results_of_calls_made_before_a_tail_call_are_dropped),
        cmocka_unit_test(children_of_a_finished_parent_run_on),
        cmocka_unit_test(a_result_wakes_a_parent_that_left_memory),
        cmocka_unit_test(results_that_arrive_while_the_parent_is_read_count_once),
        cmocka_unit_test(a_result_that_arrives_while_the_parent_is_read_wakes_it_when_it_is_durable),
        cmocka_unit_test(a_clock_set_back_over_a_restart_mixes_no_delivery_up),
        cmocka_unit_test(a_clock_set_back_over_a_restart_puts_no_new_result_before_old_ones),
        cmocka_unit_test(a_huge_tree_does_not_hold_up_a_small_one),
        cmocka_unit_test(a_clock_that_jumps_makes_no_long_pause_of_the_backlog),
        cmocka_unit_test(a_tree_is_at_most_a_thousand_calls_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
