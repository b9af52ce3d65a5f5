/* Functions under chaos, in test mode: what is lost, repeated and late does not change a result (docs/guide/chaos.md). */
#include "sdk/testing.h"

#include <stdatomic.h>

enum { WIDE = 30 };

static atomic_int n_runs;
static int64_t elapsed_ns;

DR_FUNCTION(count)
{
    atomic_fetch_add(&n_runs, 1);
    return dr_return(call, dr_int(dr_input(call)));
}

DR_FUNCTION(sum_up)
{
    dr_task *tasks[WIDE];
    int64_t sum = 0;
    for (int i = 0; i < WIDE; i++)
        tasks[i] = dr_begin(&count, i + 1);
    dr_gather(tasks, WIDE);
    for (int i = 0; i < WIDE; i++)
        sum += dr_int(dr_task_value(tasks[i]));
    return dr_return(call, sum);
}

DR_FUNCTION(add_one_after_the_other)
{
    int64_t sum = 0;
    for (int i = 0; i < 8; i++)
        sum += dr_int(dr_await(&count, i));
    dr_sleep(HOUR_NS);
    return dr_return(call, sum);
}

static void sum_body(void)
{
    int64_t before_ns = dr_test_now();
    dr_check(dr_int(dr_await(&sum_up, 0)) == WIDE * (WIDE + 1) / 2);
    elapsed_ns = dr_test_now() - before_ns;
}

static void sequence_body(void)
{
    int64_t before_ns = dr_test_now();
    dr_check(dr_int(dr_await(&add_one_after_the_other, 0)) == 28);
    elapsed_ns = dr_test_now() - before_ns;
}

static void run_over(dr_test_transport transport, const char *chaos, void (*body)(void))
{
    struct dr_error error = {0};
    char *trace = NULL;
    struct dr_test_options options = {.size = sizeof options, .transport = transport, .chaos = chaos};
    atomic_store(&n_runs, 0);
    if (dr_test_run(&options, call_body, &body, &trace, &error) != DR_OK)
        fail_msg("%s: %s\n%s", chaos, error.message, trace ? trace : "");
    dr_test_trace_free(trace);
}

static void run_under(const char *chaos, void (*body)(void))
{
    run_over(DR_TEST_LOCAL, chaos, body);
}

static void a_lost_request_runs_later_and_a_lost_answer_runs_again(void **state)
{
    (void)state;
    run_under("seed=1,drop=60%", sum_body);
    assert_true(atomic_load(&n_runs) > WIDE); /* answers were lost */
    run_over(DR_TEST_HTTP, "seed=1,drop=60%", sum_body);
    assert_true(atomic_load(&n_runs) > WIDE);
}

static void a_duplicate_runs_twice_and_counts_once(void **state)
{
    (void)state;
    run_under("seed=1,duplicate=100%", sum_body);
    assert_int_equal(atomic_load(&n_runs), 2 * WIDE);
    run_over(DR_TEST_HTTP, "seed=1,duplicate=100%", sum_body);
    assert_int_equal(atomic_load(&n_runs), 2 * WIDE);
}

static void a_late_answer_takes_virtual_time(void **state)
{
    (void)state;
    run_under("seed=1,delay=9m", sum_body);
    assert_int_equal(atomic_load(&n_runs), WIDE);
    assert_true(elapsed_ns > HOUR_NS / 60);
    assert_true(elapsed_ns <= 3 * HOUR_NS * 9 / 60); /* the sum's first run, the slowest of the others, its resume */
}

static void an_answer_that_is_later_than_the_attempt_may_take_is_a_timeout(void **state)
{
    (void)state;
    run_under("seed=1,delay=1h@30%", sum_body); /* an attempt has ten minutes */
    assert_true(atomic_load(&n_runs) > WIDE);
}

static void a_crash_of_the_endpoint_loses_the_answers_and_the_stacks(void **state)
{
    (void)state;
    run_under("seed=1,crash-endpoint=20%", sequence_body);
    assert_true(atomic_load(&n_runs) > 8);
    run_under("seed=2,crash-endpoint=5%", sum_body);
    run_over(DR_TEST_HTTP, "seed=1,crash-endpoint=20%", sequence_body);
}

static void a_temporary_error_does_not_run(void **state)
{
    (void)state;
    run_under("seed=1,fail=50%", sum_body);
    assert_int_equal(atomic_load(&n_runs), WIDE);
    assert_true(elapsed_ns > 0); /* but is waited for */
}

static void everything_at_once_changes_no_result(void **state)
{
    (void)state;
    for (int seed = 1; seed <= 10; seed++) {
        char chaos[100];
        snprintf(chaos, sizeof chaos, "seed=%d,drop=20%%,duplicate=20%%,delay=20m,crash-endpoint=5%%,fail=10%%", seed);
        run_under(chaos, seed % 2 ? sum_body : sequence_body);
    }
}

static void sequence_then_failure_body(void)
{
    sequence_body();
    dr_check(elapsed_ns == 0);
}

/* What a failing test prints: ids, attempts, failures. */
static char *trace_of(const char *chaos)
{
    struct dr_error error = {0};
    char *trace = NULL;
    void (*body)(void) = sequence_then_failure_body;
    struct dr_test_options options = {.size = sizeof options, .chaos = chaos};
    assert_int_equal(dr_test_run(&options, call_body, &body, &trace, &error), DR_ABORTED);
    assert_non_null(trace);
    return trace;
}

static void the_same_seed_gives_the_same_trace_byte_for_byte(void **state)
{
    (void)state;
    static const char *const seven = "seed=7,drop=20%,delay=5m,crash-endpoint=10%,fail=10%";
    char *first = trace_of(seven);
    for (int i = 0; i < 3; i++) {
        char *again = trace_of(seven);
        assert_string_equal(again, first);
        dr_test_trace_free(again);
    }
    char *other = trace_of("seed=8,drop=20%,delay=5m,crash-endpoint=10%,fail=10%");
    assert_string_not_equal(other, first);
    dr_test_trace_free(other);
    dr_test_trace_free(first);
}

static void the_same_seed_gives_the_same_run(void **state)
{
    (void)state;
    static const char *const seven = "seed=7,drop=20%,duplicate=20%,delay=5m,crash-endpoint=10%,fail=10%";
    run_under(seven, sequence_body);
    int64_t first_ns = elapsed_ns;
    int first_runs = atomic_load(&n_runs);
    for (int i = 0; i < 3; i++) {
        run_under(seven, sequence_body);
        assert_int_equal(elapsed_ns, first_ns);
        assert_int_equal(atomic_load(&n_runs), first_runs);
    }
    run_under("seed=8,drop=20%,duplicate=20%,delay=5m,crash-endpoint=10%,fail=10%", sequence_body);
    assert_int_not_equal(elapsed_ns, first_ns);
}

static void failing_body(void)
{
    dr_check(dr_int(dr_await(&count, 1)) == 2);
}

static void a_test_that_fails_names_the_chaos(void **state)
{
    (void)state;
    struct dr_error error = {0};
    char *trace = NULL;
    void (*body)(void) = failing_body;
    struct dr_test_options options = {.size = sizeof options, .chaos = "seed=5,duplicate=1%"};
    assert_int_equal(dr_test_run(&options, call_body, &body, &trace, &error), DR_ABORTED);
    assert_non_null(strstr(trace, "with chaos: seed=5,duplicate=1.0000%"));
    dr_test_trace_free(trace);
}

static void wrong_chaos_is_refused_and_the_environment_is_read(void **state)
{
    (void)state;
    struct dr_error error = {0};
    void (*body)(void) = sequence_body;
    struct dr_test_options options = {.size = sizeof options, .chaos = "drop=half"};
    assert_int_equal(dr_test_run(&options, call_body, &body, NULL, &error), DR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "\"drop=half\""));
    assert_int_equal(setenv("DISPATCH_CHAOS", "loss=1%", 1), 0);
    assert_int_equal(dr_test_run(NULL, call_body, &body, NULL, &error), DR_INVALID_ARGUMENT);
    options.chaos = ""; /* none, whatever the environment says */
    assert_int_equal(dr_test_run(&options, call_body, &body, NULL, &error), DR_OK);
    assert_int_equal(unsetenv("DISPATCH_CHAOS"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_request_runs_later_and_a_lost_answer_runs_again),
        cmocka_unit_test(a_duplicate_runs_twice_and_counts_once),
        cmocka_unit_test(a_late_answer_takes_virtual_time),
        cmocka_unit_test(an_answer_that_is_later_than_the_attempt_may_take_is_a_timeout),
        cmocka_unit_test(a_crash_of_the_endpoint_loses_the_answers_and_the_stacks),
        cmocka_unit_test(a_temporary_error_does_not_run),
        cmocka_unit_test(everything_at_once_changes_no_result),
        cmocka_unit_test(the_same_seed_gives_the_same_run),
        cmocka_unit_test(the_same_seed_gives_the_same_trace_byte_for_byte),
        cmocka_unit_test(a_test_that_fails_names_the_chaos),
        cmocka_unit_test(wrong_chaos_is_refused_and_the_environment_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
