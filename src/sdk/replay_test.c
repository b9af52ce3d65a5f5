/* Going on without the stack: the journal, and what becomes of a function that does not fit it any more. */
#include "sdk/testing.h"

#include <stdatomic.h>

static atomic_int n_runs;     /* of `counted` */
static atomic_int n_attempts; /* of the function in question */

static void start_afresh(void)
{
    atomic_store(&n_runs, 0);
    atomic_store(&n_attempts, 0);
}

DR_FUNCTION(counted)
{
    atomic_fetch_add(&n_runs, 1);
    return dr_return(call, dr_int(dr_input(call)));
}

DR_FUNCTION(echo)
{
    return dr_return(call, dr_input(call));
}

DR_FUNCTION(add_ten)
{
    int64_t sum = 0;
    for (int i = 1; i <= 10; i++)
        sum += dr_int(dr_await(&counted, i));
    return dr_return(call, sum);
}

DR_FUNCTION(gather_many)
{
    size_t n = (size_t)dr_int(dr_input(call));
    dr_task **tasks = dr_alloc(call, n * sizeof *tasks);
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        tasks[i] = dr_begin(&counted, (int64_t)i);
    dr_gather(tasks, n);
    for (size_t i = 0; i < n; i++)
        sum += dr_int(dr_task_value(tasks[i]));
    return dr_return(call, sum);
}

static void forget_between_body(void)
{
    start_afresh();
    dr_task *task = dr_begin(&add_ten, NULL);
    dr_gather(&task, 1);
    dr_check_equal(dr_task_value(task), 55);
    dr_check(atomic_load(&n_runs) == 10);
}

DR_FUNCTION(add_ten_slowly)
{
    int64_t sum = 0;
    atomic_fetch_add(&n_attempts, 1);
    for (int i = 1; i <= 10; i++) {
        sum += dr_int(dr_await(&counted, i));
        dr_sleep(HOUR_NS);
    }
    return dr_return(call, sum);
}

static void forget_body(void)
{
    start_afresh();
    dr_task *task = dr_begin(&add_ten_slowly, NULL);
    for (int i = 0; i < 10; i++) {
        dr_test_advance(HOUR_NS);
        dr_test_forget_stacks();
    }
    dr_gather(&task, 1);
    dr_check_equal(dr_task_value(task), 55);
    dr_check(atomic_load(&n_runs) == 10);
    dr_check(atomic_load(&n_attempts) > 5);
}

static void a_run_whose_stack_is_gone_goes_on_from_its_journal_and_calls_nothing_twice(void **state)
{
    (void)state;
    passes(forget_between_body);
    passes(forget_body);
}

static void forget_12000_body(void)
{
    start_afresh();
    dr_task *task = dr_begin(&gather_many, 12000);
    for (int i = 0; i < 20; i++) {
        dr_test_forget_stacks();
        (void)dr_await(&echo, i);
    }
    dr_gather(&task, 1);
    dr_check_equal(dr_task_value(task), 71994000);
    dr_check(atomic_load(&n_runs) == 12000);
}

static void the_journal_tells_which_of_many_calls_were_made(void **state)
{
    (void)state;
    passes_over(DR_TEST_LOCAL, forget_12000_body);
}

static uint64_t first_random;
static int64_t first_now;

DR_FUNCTION(same_again)
{
    uint64_t random = dr_random(call);
    int64_t now = dr_now(call);
    int n_before = atomic_fetch_add(&n_attempts, 1);
    if (n_before == 0) {
        first_random = random;
        first_now = now;
    }
    dr_sleep(12 * HOUR_NS);
    bool is_same = first_random == random && first_now == now && dr_random(call) != random;
    return dr_return(call, (bool)(is_same && dr_now(call) >= now + 12 * HOUR_NS && now == dr_creation_time(call)));
}

static void same_again_body(void)
{
    start_afresh();
    dr_task *task = dr_begin(&same_again, NULL);
    dr_test_advance(HOUR_NS);
    dr_test_forget_stacks();
    dr_gather(&task, 1);
    dr_check_equal(dr_task_value(task), (bool)true);
    dr_check(atomic_load(&n_attempts) == 2);
}

static void time_and_randomness_are_the_same_in_every_run(void **state)
{
    (void)state;
    passes(same_again_body);
}

static atomic_bool is_changed;

DR_FUNCTION(changing)
{
    atomic_fetch_add(&n_attempts, 1);
    const dr_value *value = atomic_load(&is_changed) ? dr_await(&counted, 7) : dr_await(&echo, 1);
    dr_sleep(6 * HOUR_NS);
    return dr_return(call, value);
}

DR_FUNCTION(ending_early)
{
    atomic_fetch_add(&n_attempts, 1);
    if (atomic_load(&is_changed))
        return dr_return(call, 7);
    dr_sleep(HOUR_NS);
    dr_sleep(6 * HOUR_NS);
    return dr_return(call, 1);
}

DR_FUNCTION(late)
{
    dr_sleep(6 * HOUR_NS);
    return dr_return(call, dr_input(call));
}

/* The calls that the last poll made are not in any result yet. */
DR_FUNCTION(changing_where_it_waits)
{
    atomic_fetch_add(&n_attempts, 1);
    return dr_return(call, atomic_load(&is_changed) ? dr_await(&counted, 7) : dr_await(&late, 1));
}

DR_FUNCTION(beginning_more_where_it_waits)
{
    atomic_fetch_add(&n_attempts, 1);
    if (!atomic_load(&is_changed))
        return dr_return(call, dr_await(&late, 1));
    dr_task *tasks[2] = {dr_begin(&late, 3), dr_begin(&late, 4)};
    dr_gather(tasks, 2);
    return dr_return(call, dr_int(dr_task_value(tasks[0])) + dr_int(dr_task_value(tasks[1])));
}

static void change_and_resume(const dr_function *function)
{
    start_afresh();
    atomic_store(&is_changed, false);
    dr_task *task = dr_begin(function, NULL);
    dr_test_advance(2 * HOUR_NS);
    atomic_store(&is_changed, true);
    dr_test_forget_stacks();
    dr_gather(&task, 1);
    dr_check_equal(dr_task_value(task), 7);
    dr_check(atomic_load(&n_attempts) >= 2);
}

static void changed_code_body(void)
{
    change_and_resume(&changing);
    change_and_resume(&ending_early);
    change_and_resume(&changing_where_it_waits);
    change_and_resume(&beginning_more_where_it_waits);
}

static void a_function_that_no_longer_fits_its_journal_starts_afresh(void **state)
{
    (void)state;
    passes(changed_code_body);
}

static void changed_version_body(void)
{
    start_afresh();
    add_ten_slowly.version = "1";
    dr_task *task = dr_begin(&add_ten_slowly, NULL);
    dr_test_advance(3 * HOUR_NS);
    int n_before = atomic_load(&n_runs);
    add_ten_slowly.version = "2";
    dr_test_forget_stacks();
    dr_gather(&task, 1);
    add_ten_slowly.version = NULL;
    dr_check_equal(dr_task_value(task), 55);
    dr_check(atomic_load(&n_runs) == 10 + n_before);
}

static void a_new_version_starts_afresh(void **state)
{
    (void)state;
    passes(changed_version_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_whose_stack_is_gone_goes_on_from_its_journal_and_calls_nothing_twice),
        cmocka_unit_test(the_journal_tells_which_of_many_calls_were_made),
        cmocka_unit_test(time_and_randomness_are_the_same_in_every_run),
        cmocka_unit_test(a_function_that_no_longer_fits_its_journal_starts_afresh),
        cmocka_unit_test(a_new_version_starts_afresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
