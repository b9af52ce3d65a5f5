/* What a function can rely on while it runs: awaiting, failing, ending. */
#include "sdk/testing.h"

#include <stdatomic.h>

static atomic_int n_runs;     /* of `counted` */
static char notes[200];

static void note(void *arg)
{
    size_t len = strlen(notes);
    snprintf(notes + len, sizeof notes - len, "%s ", (const char *)arg);
}

static void start_afresh(void)
{
    atomic_store(&n_runs, 0);
    notes[0] = '\0';
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

DR_FUNCTION(failing)
{
    return dr_fail(call, DR_STATUS_PERMANENT_ERROR, "ValueError", "no %s", dr_text(dr_input(call)));
}

DR_FUNCTION(late)
{
    dr_sleep(dr_int(dr_input(call)) * HOUR_NS);
    return dr_return(call, dr_input(call));
}

/* ---- arguments, as Python takes them ---- */

DR_FUNCTION(subtract)
{
    bool has_arguments = dr_value_kind(dr_input(call)) == DR_KIND_LIST && dr_value_len(dr_input(call)) != 0;
    int64_t difference = dr_int(dr_argument(call, 0)) - dr_int(dr_argument(call, 1)) - dr_int(dr_keyword(call, "less"));
    return dr_return(call, dr_format(call, "%s %d", has_arguments ? "many" : "few", (int)difference));
}

DR_PYTHON_FUNCTION(subtract_of_python, "subtract", NULL);

/* 20, 3, less=4 */
static dr_value *some_arguments(void)
{
    const char *less = "less";
    dr_value *four = dr_value_int(4), *message = NULL;
    dr_value *list = dr_value_list((dr_value *[]){dr_value_int(20), dr_value_int(3)}, 2);
    dr_value *map = dr_value_map(&less, &four, 1);
    (void)dr_value_pickle_arguments(list, map, &message, NULL);
    dr_value_unref(list);
    dr_value_unref(map);
    return message;
}

DR_FUNCTION(calls_python)
{
    const dr_value *two = dr_keep(call, dr_value_list((dr_value *[]){dr_value_int(1), dr_value_int(2)}, 2));
    const char *none = dr_text(dr_await(&subtract_of_python, NULL));
    const char *one = dr_text(dr_await(&subtract_of_python, 5));
    const char *list = dr_text(dr_await(&subtract_of_python, two)); /* one argument, a list */
    return dr_return(call, dr_format(call, "%s, %s, %s", none, one, list));
}

DR_FUNCTION(becomes_python)
{
    return dr_become(call, &subtract_of_python, some_arguments());
}

DR_FUNCTION(calls_python_with_a_time)
{
    return dr_return(call, dr_await(&subtract_of_python, dr_value_timestamp(1)));
}

static void python_body(void)
{
    dr_check_equal(dr_await(&subtract_of_python, 7), "few 7");
    dr_check_equal(dr_await(&subtract_of_python, some_arguments()), "many 13");
    dr_check_equal(dr_await(&calls_python, NULL), "few 0, few 5, many 0");
    dr_check_equal(dr_await(&becomes_python, NULL), "many 13");
    dr_test_forget_stacks();
    const dr_result *failed = dr_try(&calls_python_with_a_time, NULL);
    dr_check_equal(dr_result_error_type(failed), "InvalidResponseError");
}

static void functions_of_python_get_arguments(void **state)
{
    (void)state;
    passes(python_body);
}

/* ---- waiting ---- */

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

static void gather_body(void)
{
    start_afresh();
    dr_check_equal(dr_await(&gather_many, 0), 0);
    dr_check_equal(dr_await(&gather_many, 100), 4950);
    dr_check(atomic_load(&n_runs) == 100);
}

static void gather_waits_for_all(void **state)
{
    (void)state;
    passes(gather_body);
}

static void gather_12000_body(void)
{
    start_afresh();
    dr_check_equal(dr_await(&gather_many, 12000), 71994000);
    dr_check(atomic_load(&n_runs) == 12000);
}

static void gather_takes_more_calls_than_one_poll_can_make(void **state)
{
    (void)state;
    passes_over(DR_TEST_LOCAL, gather_12000_body);
}

enum { BIG_CALLS = 100, BIG_BYTES = 250000 };

DR_FUNCTION(length)
{
    atomic_fetch_add(&n_runs, 1);
    return dr_return(call, (int64_t)dr_value_len(dr_input(call)));
}

/* 25 megabytes of inputs. */
DR_FUNCTION(gather_big)
{
    dr_task *tasks[BIG_CALLS];
    char *bytes = dr_alloc(call, BIG_BYTES);
    int64_t sum = 0;
    memset(bytes, 'x', BIG_BYTES);
    const dr_value *input = dr_keep(call, dr_value_bytes(bytes, BIG_BYTES));
    for (int i = 0; i < BIG_CALLS; i++)
        tasks[i] = dr_begin(&length, input);
    dr_gather(tasks, BIG_CALLS);
    for (int i = 0; i < BIG_CALLS; i++)
        sum += dr_int(dr_task_value(tasks[i]));
    return dr_return(call, sum);
}

static void gather_big_body(void)
{
    start_afresh();
    dr_task *task = dr_begin(&gather_big, NULL);
    for (int i = 0; i < 10; i++) {
        dr_test_forget_stacks();
        (void)dr_await(&echo, i);
    }
    dr_gather(&task, 1);
    dr_check_equal(dr_task_value(task), BIG_CALLS * BIG_BYTES);
    dr_check(atomic_load(&n_runs) == BIG_CALLS);
}

static void gather_takes_more_bytes_than_one_poll_can_carry(void **state)
{
    (void)state;
    passes(gather_big_body);
}

DR_FUNCTION(calls_with_too_much)
{
    char *bytes = dr_alloc(call, 17000000);
    memset(bytes, 'x', 17000000);
    return dr_return(call, dr_await(&length, dr_value_bytes(bytes, 17000000)));
}

static void too_much_body(void)
{
    const dr_result *result = dr_try(&calls_with_too_much, NULL);
    dr_check_equal(dr_result_error_type(result), "InvalidResponseError");
    dr_check(strstr(dr_result_error_message(result), "16000000") != NULL);
}

static void an_input_larger_than_a_message_is_a_failure_that_names_the_limit(void **state)
{
    (void)state;
    passes_over(DR_TEST_LOCAL, too_much_body);
}

DR_FUNCTION(sleep_with_many)
{
    (void)dr_begin(&echo, 1);
    for (int i = 0; i < 10001; i++)
        (void)dr_begin(&late, 48);
    int64_t before = dr_now(call);
    dr_sleep(HOUR_NS);
    return dr_return(call, (dr_now(call) - before) / HOUR_NS);
}

static void sleep_with_many_body(void)
{
    dr_check_equal(dr_await(&sleep_with_many, NULL), 1);
}

static void sleep_is_as_long_as_asked_with_more_calls_than_one_poll_can_make(void **state)
{
    (void)state;
    passes_over(DR_TEST_LOCAL, sleep_with_many_body);
}

DR_FUNCTION(gather_with_failure)
{
    dr_task *tasks[3] = {dr_begin(&echo, 1), dr_begin(&failing, "luck"), dr_begin(&echo, 3)};
    dr_gather(tasks, 3);
    return dr_return(call, "never");
}

static void gather_with_failure_body(void)
{
    const dr_result *result = dr_try(&gather_with_failure, NULL);
    dr_check(!dr_result_is_ok(result));
    dr_check_equal(dr_result_error_type(result), "ValueError");
    dr_check_equal(dr_result_error_message(result), "no luck");
}

static void gather_ends_the_caller_with_the_failure(void **state)
{
    (void)state;
    passes(gather_with_failure_body);
}

DR_FUNCTION(try_three)
{
    dr_task *tasks[3] = {dr_begin(&echo, 1), dr_begin(&failing, "luck"), dr_begin(&echo, 3)};
    dr_try_all(tasks, 3);
    const dr_result *second = dr_task_result(tasks[1]);
    return dr_return(call, dr_format(call, "%d %s %d", (int)dr_int(dr_task_value(tasks[0])),
                                     dr_result_error_message(second), (int)dr_int(dr_task_value(tasks[2]))));
}

static void try_body(void)
{
    dr_check_equal(dr_await(&try_three, NULL), "1 no luck 3");
    const dr_result *failed = dr_try(&failing, "chance");
    dr_check(!dr_result_is_ok(failed));
    dr_check_equal(dr_result_error_message(failed), "no chance");
    dr_check(dr_result_is_ok(dr_try(&echo, 1)));
}

static void try_hands_the_failure_out(void **state)
{
    (void)state;
    passes(try_body);
}

DR_FUNCTION(any_of)
{
    dr_task *tasks[3] = {dr_begin(&failing, "a"), dr_begin(&late, 5), dr_begin(&late, 2)};
    size_t first = dr_any(tasks, 3);
    return dr_return(call, dr_format(call, "%zu: %d", first, (int)dr_int(dr_task_value(tasks[first]))));
}

DR_FUNCTION(any_of_failing)
{
    dr_task *tasks[2] = {dr_begin(&failing, "a"), dr_begin(&failing, "b")};
    return dr_return(call, (int)dr_any(tasks, 2));
}

DR_FUNCTION(race_of)
{
    dr_task *tasks[2] = {dr_begin(&late, 5), dr_begin(&late, 2)};
    return dr_return(call, (int)dr_race(tasks, 2));
}

DR_FUNCTION(race_with_failure)
{
    dr_task *tasks[2] = {dr_begin(&late, 5), dr_begin(&failing, "race")};
    return dr_return(call, (int)dr_race(tasks, 2));
}

static void any_and_race_body(void)
{
    dr_check_equal(dr_await(&any_of, NULL), "2: 2");
    dr_check_equal(dr_result_error_message(dr_try(&any_of_failing, NULL)), "no b");
    dr_check_equal(dr_await(&race_of, NULL), 1);
    dr_check_equal(dr_result_error_message(dr_try(&race_with_failure, NULL)), "no race");
}

static void any_takes_the_first_success_and_race_the_first_end(void **state)
{
    (void)state;
    passes(any_and_race_body);
}

DR_FUNCTION(factorial)
{
    int64_t n = dr_int(dr_input(call));
    return dr_return(call, n < 2 ? 1 : n * dr_int(dr_await(&factorial, n - 1)));
}

DR_FUNCTION(depth)
{
    int64_t n = dr_int(dr_input(call));
    return dr_return(call, n == 0 ? 0 : 1 + dr_int(dr_await(&depth, n - 1)));
}

static void recursion_body(void)
{
    dr_check_equal(dr_await(&factorial, 20), INT64_C(2432902008176640000));
    dr_check_equal(dr_await(&depth, 300), 300);
}

static void functions_call_themselves(void **state)
{
    (void)state;
    passes(recursion_body);
}

DR_FUNCTION(big)
{
    size_t n = (size_t)dr_int(dr_input(call));
    char *bytes = dr_alloc(call, n);
    memset(bytes, 'x', n);
    return dr_return(call, dr_value_bytes(bytes, n));
}

DR_FUNCTION(big_relay)
{
    const dr_value *value = dr_await(&big, dr_input(call));
    return dr_return(call, (int64_t)dr_value_len(dr_await(&echo, value)));
}

static void big_body(void)
{
    dr_check_equal(dr_await(&big_relay, 3000000), 3000000);
    const dr_result *result = dr_try(&big, 17000000);
    dr_check(!dr_result_is_ok(result));
    dr_check_equal(dr_result_error_type(result), "InvalidResponseError");
    dr_check(strstr(dr_result_error_message(result), "16000000") != NULL);
}

static void values_are_as_big_as_a_message_can_be(void **state)
{
    (void)state;
    passes(big_body);
}

DR_FUNCTION(deep)
{
    dr_value *value = dr_value_int(1), *message = NULL, *back = NULL;
    for (int i = 0; i < DR_VALUE_DEPTH_MAX - 1; i++)
        value = dr_value_list(&value, 1);
    const dr_value *kept = dr_keep(call, value);
    char text[100];
    if (dr_value_pack(kept, &message, NULL) != DR_OK || dr_value_unpack(message, &back, NULL) != DR_OK)
        return dr_fail(call, DR_STATUS_PERMANENT_ERROR, NULL, "not packed");
    bool is_equal = dr_value_equal(kept, back) && dr_value_format(kept, text, sizeof text) > DR_VALUE_DEPTH_MAX;
    dr_value_unref(message);
    dr_value_unref(back);
    dr_value *pickled = NULL, *keywords = NULL;
    if (dr_value_pickle_arguments(kept, NULL, &pickled, NULL) == DR_OK &&
        dr_value_unpickle_arguments(pickled, &back, &keywords, NULL) == DR_OK)
        dr_value_unref(back);
    dr_value_unref(keywords);
    dr_value_unref(pickled);
    return dr_return(call, (bool)is_equal);
}

static void deep_body(void)
{
    dr_check_equal(dr_await(&deep, NULL), (bool)true);
}

static void values_are_as_deep_as_they_can_be_on_the_stack_of_a_function(void **state)
{
    (void)state;
    passes(deep_body);
}

/* ---- ending ---- */

DR_FUNCTION(countdown)
{
    int64_t n = dr_int(dr_input(call));
    if (n == 0)
        return dr_return(call, dr_format(call, "done as %s", dr_dispatch_id(call)));
    return dr_become(call, &countdown, n - 1);
}

static void become_body(void)
{
    char id[DR_ID_SIZE];
    dr_task *task = dr_begin(&countdown, 20);
    dr_gather(&task, 1);
    dr_test_submit(&echo, 1, id);
    dr_check(strlen(id) == 32);
    dr_check(strncmp(dr_text(dr_task_value(task)), "done as ", 8) == 0);
}

static void become_is_a_tail_call_that_keeps_the_id(void **state)
{
    (void)state;
    passes(become_body);
}

DR_FUNCTION(says_nothing)
{
    (void)call;
    return (dr_outcome){0};
}

DR_FUNCTION(says_nonsense)
{
    (void)call;
    return (dr_outcome){77};
}

DR_FUNCTION(not_utf8)
{
    if (dr_bool(dr_input(call)))
        return dr_return(call, "\xff");
    return dr_fail(call, DR_STATUS_PERMANENT_ERROR, "\xff", "\xfe");
}

static void bad_ends_body(void)
{
    dr_check_equal(dr_result_error_type(dr_try(&says_nothing, NULL)), "InvalidResponseError");
    dr_check_equal(dr_result_error_type(dr_try(&says_nonsense, NULL)), "InvalidResponseError");
    dr_check_equal(dr_result_error_type(dr_try(&not_utf8, (bool)true)), "InvalidResponseError");
    dr_check_equal(dr_result_error_type(dr_try(&not_utf8, (bool)false)), "InvalidResponseError");
}

static void an_answer_that_is_none_is_a_failure(void **state)
{
    (void)state;
    passes(bad_ends_body);
}

DR_FUNCTION(with_defers)
{
    const char *how = dr_text(dr_input(call));
    (void)dr_defer(call, note, "first");
    (void)dr_defer(call, note, "second");
    if (strcmp(how, "return") == 0)
        return dr_return(call, 1);
    if (strcmp(how, "fail") == 0)
        return dr_fail(call, DR_STATUS_PERMANENT_ERROR, NULL, "failed");
    if (strcmp(how, "become") == 0)
        return dr_become(call, &echo, 1);
    if (strcmp(how, "child fails") == 0)
        (void)dr_await(&failing, "child");
    (void)dr_await(&late, 1);
    return dr_return(call, 1);
}

static void defers_body(void)
{
    static const char *const ways[] = {"return", "fail", "become", "child fails", "await"};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        start_afresh();
        (void)dr_try(&with_defers, ways[i]);
        dr_check_equal((const char *)notes, "second first ");
    }
}

static char *local_notes(void)
{
    return notes;
}

static void what_was_deferred_runs_last_in_first_out_on_every_end(void **state)
{
    (void)state;
    passes(defers_body);
}

static void dropped_body(void)
{
    start_afresh();
    char id[DR_ID_SIZE];
    dr_test_submit(&with_defers, "await", id);
    dr_test_advance(1000000000); /* suspended now */
    dr_check_equal((const char *)local_notes(), "");
    dr_test_forget_stacks();
    dr_check_equal((const char *)local_notes(), "second first ");
}

static void what_was_deferred_runs_when_the_stack_is_dropped(void **state)
{
    (void)state;
    passes(dropped_body);
    start_afresh();
}

static void outside_of_functions_nothing_is_awaited(void **state)
{
    (void)state;
    assert_null(dr_begin(&echo, 1));
    assert_null(dr_await(&echo, 1));
    assert_null(dr_try(&echo, 1));
    dr_sleep(DAY_NS);
}

DR_FUNCTION(sleeping_for_ever)
{
    dr_sleep(INT64_MAX);
    return dr_return(call, "never");
}

static void for_ever_body(void)
{
    const dr_result *result = dr_try(&sleeping_for_ever, NULL);
    dr_check(!dr_result_is_ok(result));
}

static void the_longest_sleep_ends_by_expiration(void **state)
{
    (void)state;
    passes(for_ever_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_of_python_get_arguments),
        cmocka_unit_test(gather_waits_for_all),
        cmocka_unit_test(gather_takes_more_calls_than_one_poll_can_make),
        cmocka_unit_test(gather_takes_more_bytes_than_one_poll_can_carry),
        cmocka_unit_test(an_input_larger_than_a_message_is_a_failure_that_names_the_limit),
        cmocka_unit_test(sleep_is_as_long_as_asked_with_more_calls_than_one_poll_can_make),
        cmocka_unit_test(gather_ends_the_caller_with_the_failure),
        cmocka_unit_test(try_hands_the_failure_out),
        cmocka_unit_test(any_takes_the_first_success_and_race_the_first_end),
        cmocka_unit_test(functions_call_themselves),
        cmocka_unit_test(values_are_as_big_as_a_message_can_be),
        cmocka_unit_test(values_are_as_deep_as_they_can_be_on_the_stack_of_a_function),
        cmocka_unit_test(become_is_a_tail_call_that_keeps_the_id),
        cmocka_unit_test(an_answer_that_is_none_is_a_failure),
        cmocka_unit_test(what_was_deferred_runs_last_in_first_out_on_every_end),
        cmocka_unit_test(what_was_deferred_runs_when_the_stack_is_dropped),
        cmocka_unit_test(outside_of_functions_nothing_is_awaited),
        cmocka_unit_test(the_longest_sleep_ends_by_expiration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
