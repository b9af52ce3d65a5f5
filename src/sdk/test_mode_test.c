/* The test module of the original, row by row (its names come first in the names of the tests), and what test mode adds:
 * the clock, the trace, the transports. */
#include "sdk/testing.h"

#include <pthread.h>
#include <stdatomic.h>

DR_FUNCTION(greet)
{
    return dr_return(call, dr_format(call, "Hello %s!", dr_text(dr_input(call))));
}

DR_FUNCTION(failing)
{
    return dr_fail(call, DR_STATUS_PERMANENT_ERROR, "ValueError", "no %s", dr_text(dr_input(call)));
}

DR_FUNCTION(parent)
{
    return dr_return(call, dr_await(&failing, dr_input(call)));
}

/* ---- Registry, close, primitive_function ---- */

static dr_client *client_for_tests(void)
{
    dr_client *client = NULL;
    struct dr_client_options options = {.api_key = DR_TEST_API_KEY, .api_url = "http://127.0.0.1:1"};
    assert_int_equal(dr_client_open(&options, &client, NULL), DR_OK);
    return client;
}

static void registry_refuses(struct dr_registry_options options, dr_code code, const char *message)
{
    struct dr_error error = {0};
    dr_registry *registry = NULL;
    assert_int_equal(dr_registry_open(&options, &registry, &error), code);
    assert_null(registry);
    if (!strstr(error.message, message))
        fail_msg("'%s' does not hold '%s'", error.message, message);
}

static void registry_says_which_argument_is_missing_or_wrong(void **state)
{
    (void)state;
    unsetenv("DISPATCH_ENDPOINT_URL");
    unsetenv("DISPATCH_API_KEY");
    dr_client *client = client_for_tests();
    const char *url = "http://127.0.0.1:8000";
    registry_refuses((struct dr_registry_options){.name = "r", .client = client}, DR_INVALID_ARGUMENT,
                     "missing application endpoint: set it with the DISPATCH_ENDPOINT_URL environment variable");
    registry_refuses((struct dr_registry_options){.name = "r", .client = client, .endpoint = "127.0.0.1"},
                     DR_INVALID_ARGUMENT, "missing protocol scheme in registry endpoint URL: 127.0.0.1");
    registry_refuses((struct dr_registry_options){.name = "r", .client = client, .endpoint = "ftp://host"},
                     DR_INVALID_ARGUMENT, "invalid protocol scheme in registry endpoint URL: ftp://host");
    registry_refuses((struct dr_registry_options){.name = "r", .client = client, .endpoint = "http://"},
                     DR_INVALID_ARGUMENT, "missing host in registry endpoint URL: http://");
    registry_refuses((struct dr_registry_options){.client = client, .endpoint = url}, DR_INVALID_ARGUMENT,
                     "missing registry name");
    registry_refuses((struct dr_registry_options){.name = "r", .endpoint = url}, DR_INVALID_ARGUMENT, "DISPATCH_API_KEY");
    dr_client_close(client);
}

static void registry_takes_what_is_not_given_from_the_environment(void **state)
{
    (void)state;
    dr_registry *registry = NULL, *second = NULL;
    struct dr_registry_options options = {.name = "r"};
    setenv("DISPATCH_ENDPOINT_URL", "bridge://session", 1);
    setenv("DISPATCH_API_KEY", "key", 1);
    assert_int_equal(dr_registry_open(&options, &registry, NULL), DR_OK);
    assert_string_equal(dr_registry_name(registry), "r");
    assert_string_equal(dr_registry_endpoint(registry), "bridge://session");
    assert_non_null(dr_registry_client(registry));
    struct dr_error error = {0};
    assert_int_equal(dr_registry_open(&options, &second, &error), DR_ALREADY_EXISTS);
    assert_non_null(strstr(error.message, "registry with name 'r' already exists"));
    dr_registry_close(registry);
    assert_int_equal(dr_registry_open(&options, &second, NULL), DR_OK); /* the name is free again */
    dr_registry_close(second);
    dr_registry_close(NULL);
    unsetenv("DISPATCH_ENDPOINT_URL");
    unsetenv("DISPATCH_API_KEY");
}

static dr_registry *open_registry(const char *name, dr_client *client)
{
    dr_registry *registry = NULL;
    struct dr_registry_options options = {.name = name, .client = client, .endpoint = DR_TEST_ENDPOINT_URL};
    assert_int_equal(dr_registry_open(&options, &registry, NULL), DR_OK);
    return registry;
}

static dr_outcome shout_run(dr_call *call)
{
    return dr_return(call, dr_format(call, "%s!!!", dr_text(dr_input(call))));
}

static dr_function shout = {.name = "shout", .run = shout_run};
static dr_function shout_again = {.name = "shout", .run = shout_run};

static void silent(const dr_request *request, dr_response *response, void *arg)
{
    (void)request;
    (void)response;
    (void)arg;
}

static void shout_body(void)
{
    dr_check_equal(dr_await(&shout, "hey"), "hey!!!");
}

static void close_takes_the_functions_out_of_the_application(void **state)
{
    (void)state;
    dr_client *client = client_for_tests();
    dr_registry *registry = open_registry("closing", client);
    assert_int_equal(dr_registry_function(registry, &shout, NULL), DR_OK);
    passes(shout_body);
    dr_registry_close(registry);
    fails(shout_body, "function 'shout' does not exist");
    dr_client_close(client);
}

static void function_of_a_name_can_be_registered_once(void **state)
{
    (void)state;
    struct dr_error error = {0};
    dr_client *client = client_for_tests();
    dr_registry *registry = open_registry("functions", client);
    assert_int_equal(dr_registry_function(registry, &shout, &error), DR_OK);
    assert_int_equal(dr_registry_function(registry, &shout_again, &error), DR_ALREADY_EXISTS);
    assert_string_equal(error.message, "function already registered with name 'shout'");
    assert_int_equal(dr_registry_function(registry, &(dr_function){.run = shout_run}, &error), DR_INVALID_ARGUMENT);
    assert_int_equal(dr_registry_function(registry, &(dr_function){.name = "x"}, &error), DR_INVALID_ARGUMENT);
    dr_registry_close(registry);
    dr_client_close(client);
}

static void greet_and_fail_body(void)
{
    dr_check_equal(dr_await(&greet, "you"), "Hello you!");
    dr_check_equal(dr_result_error_type(dr_try(&failing, "luck")), "ValueError");
    dr_check_equal(dr_result_error_type(dr_try(&parent, "luck")), "ValueError");
}

static void function_can_be_in_several_registries(void **state)
{
    (void)state;
    dr_client *client = client_for_tests();
    dr_registry *first = open_registry("first", client), *second = open_registry("second", client);
    dr_function *const functions[] = {&parent, &greet, &failing}; /* another order than theirs */
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(dr_registry_function(first, functions[i], NULL), DR_OK);
        assert_int_equal(dr_registry_function(second, functions[i], NULL), DR_OK);
    }
    passes(greet_and_fail_body);
    dr_registry_close(first);
    passes(greet_and_fail_body);
    dr_registry_close(second);
    passes(greet_and_fail_body); /* of the default registry */
    dr_client_close(client);
}

static dr_code open_and_register(void *client)
{
    dr_registry *registry = NULL;
    struct dr_registry_options options = {.name = "faults", .client = client, .endpoint = DR_TEST_ENDPOINT_URL};
    dr_code code = dr_registry_open(&options, &registry, NULL);
    if (!code)
        code = dr_registry_function(registry, &shout, NULL);
    if (!code)
        code = dr_registry_primitive(registry, "silent", silent, NULL, NULL);
    dr_registry_close(registry);
    return code;
}

static void registry_survives_lack_of_memory(void **state)
{
    (void)state;
    dr_client *client = client_for_tests();
    assert_survives_allocation_faults(open_and_register, client);
    dr_client_close(client);
}

static void only_one_registry_body(void *arg)
{
    (void)arg;
    dr_check_equal(dr_await(&shout, "hey"), "hey!!!");
    dr_check(strstr(dr_result_error_message(dr_try(&greet, "x")), "function 'greet' does not exist") != NULL);
}

static void run_serves_one_registry_alone_when_asked_to(void **state)
{
    (void)state;
    struct dr_error error = {0};
    dr_client *client = client_for_tests();
    dr_registry *registry = open_registry("alone", client);
    assert_int_equal(dr_registry_function(registry, &shout, NULL), DR_OK);
    struct dr_test_options options = {.registry = registry};
    dr_code code = dr_test_run(&options, only_one_registry_body, NULL, NULL, &error);
    assert_string_equal(error.message, "");
    assert_int_equal(code, DR_OK);
    dr_registry_close(registry);
    dr_client_close(client);
}

/* A coroutine by hand: asks `greet` twice, and keeps in its state how often it has. */
static void twice(const dr_request *request, dr_response *response, void *arg)
{
    struct dr_call_options call = {.function = "greet", .input = dr_request_input(request), .correlation_id = 5};
    struct dr_poll_options poll = {.calls = &call, .n_calls = 1};
    dr_value *state = dr_value_int(dr_int(dr_request_state(request)) + 1);
    const dr_result *result = dr_request_result(request, 0);
    dr_value *text = dr_value_ref(dr_result_output(result));
    poll.state = state;
    call.input = text ? text : call.input;
    atomic_fetch_add((atomic_int *)arg, 1);
    if (dr_request_is_resume(request) && dr_int(dr_request_state(request)) == 2)
        (void)dr_response_return(response, DR_STATUS_OK, text, NULL);
    else
        (void)dr_response_poll(response, &poll, NULL);
    dr_value_unref(state);
    dr_value_unref(text);
}

static void refusing(const dr_request *request, dr_response *response, void *arg)
{
    (void)arg;
    (void)dr_response_return(response, DR_STATUS_OK, dr_request_input(request), NULL);
    (void)dr_response_fail(response, DR_STATUS_PERMISSION_DENIED, "Refused", dr_request_function(request), NULL);
}

static void passing_on(const dr_request *request, dr_response *response, void *arg)
{
    struct dr_call_options call = {.function = arg, .input = dr_request_input(request)};
    (void)dr_response_tail_call(response, DR_STATUS_OK, &call, NULL);
}

static void primitives_body(void)
{
    DR_EXTERN_FUNCTION(twice_function, "twice", NULL);
    DR_EXTERN_FUNCTION(silent_function, "silent", NULL);
    DR_EXTERN_FUNCTION(refusing_function, "refusing", NULL);
    DR_EXTERN_FUNCTION(passing_function, "passing on", NULL);
    dr_check_equal(dr_await(&twice_function, "World"), "Hello Hello World!!");
    dr_check_equal(dr_await(&silent_function, "World"), NULL);
    dr_check_equal(dr_result_error_message(dr_try(&refusing_function, 1)), "refusing");
    dr_check_equal(dr_await(&passing_function, "you"), "Hello you!");
}

static void primitive_function_sees_requests_and_answers_by_hand(void **state)
{
    (void)state;
    struct dr_error error = {0};
    atomic_int n_runs = 0;
    char next[] = "greet";
    dr_client *client = client_for_tests();
    dr_registry *registry = open_registry("primitives", client);
    assert_int_equal(dr_registry_primitive(registry, "twice", twice, &n_runs, NULL), DR_OK);
    assert_int_equal(dr_registry_primitive(registry, "silent", silent, NULL, NULL), DR_OK);
    assert_int_equal(dr_registry_primitive(registry, "refusing", refusing, NULL, NULL), DR_OK);
    assert_int_equal(dr_registry_primitive(registry, "passing on", passing_on, next, NULL), DR_OK);
    assert_int_equal(dr_registry_primitive(registry, "twice", twice, &n_runs, &error), DR_ALREADY_EXISTS);
    assert_string_equal(error.message, "function already registered with name 'twice'");
    assert_int_equal(dr_registry_primitive(registry, NULL, twice, &n_runs, &error), DR_INVALID_ARGUMENT);
    assert_int_equal(dr_registry_primitive(registry, "x", NULL, NULL, &error), DR_INVALID_ARGUMENT);
    passes(primitives_body);
    assert_int_equal(atomic_load(&n_runs), 6); /* three runs, over both transports */
    dr_registry_close(registry);
    dr_client_close(client);
}

/* ---- main, function, method ---- */

DR_TEST(passing_test)
{
    dr_check_equal(dr_await(&greet, "World"), "Hello World!");
}

DR_TEST(failing_test)
{
    dr_check_equal(dr_await(&greet, "World"), "Goodbye World!");
}

struct counter {
    int n;
    int n_setups;
};

static int n_teardowns;

static void counter_setup(struct counter *self)
{
    self->n_setups++;
}

static void counter_teardown(struct counter *self)
{
    n_teardowns++;
    dr_check_equal(dr_await(&greet, "again"), "Hello again!"); /* the server is still there */
    dr_check(self->n < 5);
}

typedef struct counter counter;

DR_TEST_METHOD(counter, method_test)
{
    dr_check(self->n == 0 && self->n_setups == 1);
    self->n++;
}

DR_TEST_METHOD(counter, method_that_fails)
{
    self->n = 1;
    dr_check(self->n == 2);
}

DR_TEST_METHOD(counter, method_whose_teardown_fails)
{
    self->n = 5;
}

static int test_main(const char *name)
{
    char program[] = "tests", argument[64];
    snprintf(argument, sizeof argument, "%s", name);
    char *argv[] = {program, argument, NULL};
    return dr_test_main(name[0] ? 2 : 1, argv);
}

static void main_runs_all_or_one_by_name_or_lists(void **state)
{
    (void)state;
    assert_int_equal(test_main("--list"), 0);
    assert_int_equal(test_main("passing_test"), 0);
    assert_int_equal(test_main("failing_test"), 1);
    assert_int_equal(test_main("no_such_test"), 2);
    assert_int_equal(test_main(""), 1);
}

static void function_test_is_a_coroutine_in_a_server_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(test_main("passing_test"), 0);
    fails(failing_test, "test_mode_test.c:");
    fails(failing_test, "\"Hello World!\", not \"Goodbye World!\"");
}

static void method_test_has_a_self_that_is_set_up_and_taken_down(void **state)
{
    (void)state;
    n_teardowns = 0;
    assert_int_equal(test_main("method_test"), 0);
    assert_int_equal(test_main("method_test"), 0);
    assert_int_equal(n_teardowns, 2);
    assert_int_equal(test_main("method_that_fails"), 1);
    assert_int_equal(n_teardowns, 3);
    assert_int_equal(test_main("method_whose_teardown_fails"), 1);
    assert_int_equal(n_teardowns, 4);
}

/* ---- run ---- */

static void awaits_failure_body(void)
{
    (void)dr_await(&parent, "luck");
}

static void run_gives_the_failure_of_an_awaited_call_and_the_tree(void **state)
{
    (void)state;
    char *trace = fails_with(awaits_failure_body, "call parent failed: ValueError: no luck");
    const char *line = strstr(trace, "  parent  ");
    assert_non_null(line);
    assert_non_null(strstr(line, "\n    failing  ")); /* its child, indented */
    assert_non_null(strstr(line, "Permanent error: ValueError: no luck"));
    dr_test_trace_free(trace);
}

static void failed_check_body(void)
{
    (void)dr_await(&greet, "x");
    dr_check(1 + 1 == 3);
}

static void run_gives_file_and_line_of_a_failed_check_and_the_tree(void **state)
{
    (void)state;
    char *trace = fails_with(failed_check_body, "test_mode_test.c:");
    assert_non_null(strstr(trace, "greet"));
    dr_test_trace_free(trace);
    fails(failed_check_body, "1 + 1 == 3 is not true");
}

static void missing_body(void)
{
    DR_EXTERN_FUNCTION(missing, "missing", NULL);
    (void)dr_await(&missing, 1);
}

static void run_fails_for_a_function_that_does_not_exist(void **state)
{
    (void)state;
    fails(missing_body, "function 'missing' does not exist");
}

static void no_call_body(void *arg)
{
    (void)arg;
    dr_check(dr_test_now() > 0);
}

static void run_works_without_any_call(void **state)
{
    (void)state;
    assert_int_equal(dr_test_run(NULL, no_call_body, NULL, NULL, NULL), DR_OK);
}

/* ---- the clock ---- */

static atomic_int n_attempts;

DR_FUNCTION(flaky)
{
    int attempt = atomic_fetch_add(&n_attempts, 1) + 1;
    if (attempt < 6)
        return dr_fail(call, DR_STATUS_TEMPORARY_ERROR, "Busy", "attempt %d", attempt);
    return dr_return(call, attempt);
}

static void retries_body(void)
{
    atomic_store(&n_attempts, 0);
    int64_t before = dr_test_now();
    dr_check_equal(dr_await(&flaky, NULL), 6);
    dr_check(dr_test_now() > before);
    dr_check(dr_test_now() < before + HOUR_NS);
}

static void run_makes_retries_with_backoff_in_no_time(void **state)
{
    (void)state;
    passes(retries_body);
}

DR_FUNCTION(sleepy)
{
    dr_sleep(7 * DAY_NS - HOUR_NS);
    return dr_return(call, dr_now(call) - dr_creation_time(call));
}

static void week_body(void)
{
    int64_t before = dr_test_now();
    dr_value *null = dr_value_null();
    struct dr_call_options call = {.function = "sleepy", .input = null, .expiration_ns = 7 * DAY_NS};
    dr_task *task = dr_begin_call(&call);
    dr_value_unref(null);
    dr_gather(&task, 1);
    dr_check(dr_int(dr_task_value(task)) >= 7 * DAY_NS - HOUR_NS);
    dr_sleep(HOUR_NS);
    dr_check(dr_test_now() >= before + 7 * DAY_NS);
    dr_check(dr_test_now() < before + 8 * DAY_NS);
}

static void run_sleeps_for_a_week_in_no_time(void **state)
{
    (void)state;
    passes(week_body);
}

static void expiration_body(void)
{
    const dr_result *result = dr_try(&sleepy, NULL);
    dr_check(!dr_result_is_ok(result));
    dr_check_equal(dr_result_error_type(result), "TimeoutError");
}

static void run_lets_a_call_expire_after_a_day_in_no_time(void **state)
{
    (void)state;
    passes(expiration_body);
}

static void advance_body(void)
{
    char id[DR_ID_SIZE];
    int64_t before = dr_test_now();
    dr_test_submit(&sleepy, NULL, id);
    dr_check(dr_test_now() == before); /* nobody waits, so the clock stands */
    dr_test_advance(HOUR_NS);
    dr_check(dr_test_now() >= before + HOUR_NS);
    dr_check(dr_test_now() < before + HOUR_NS + HOUR_NS / 60);
    dr_sleep(HOUR_NS);
    dr_check(dr_test_now() >= before + 2 * HOUR_NS);
}

static void run_lets_the_test_move_the_clock(void **state)
{
    (void)state;
    passes(advance_body);
}

/* ---- many at once ---- */

enum { THREADS = 8 };

static void many_body(void *arg)
{
    int64_t n = *(const int *)arg;
    for (int64_t i = 0; i < 20; i++) {
        char name[32], wanted[64];
        snprintf(name, sizeof name, "%d.%d", (int)n, (int)i);
        snprintf(wanted, sizeof wanted, "Hello %s!", name);
        dr_check_equal(dr_await(&greet, (const char *)name), (const char *)wanted);
    }
    dr_sleep(DAY_NS);
}

static void *run_server(void *arg)
{
    struct dr_test_options options = {.transport = *(int *)arg % 2 ? DR_TEST_HTTP : DR_TEST_LOCAL};
    struct dr_error error = {0};
    *(int *)arg = dr_test_run(&options, many_body, arg, NULL, &error) == DR_OK ? 0 : -1;
    return NULL;
}

static void run_has_any_number_of_servers_side_by_side(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int numbers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, run_server, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(numbers[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registry_says_which_argument_is_missing_or_wrong),
        cmocka_unit_test(registry_takes_what_is_not_given_from_the_environment),
        cmocka_unit_test(close_takes_the_functions_out_of_the_application),
        cmocka_unit_test(function_of_a_name_can_be_registered_once),
        cmocka_unit_test(function_can_be_in_several_registries),
        cmocka_unit_test(registry_survives_lack_of_memory),
        cmocka_unit_test(run_serves_one_registry_alone_when_asked_to),
        cmocka_unit_test(primitive_function_sees_requests_and_answers_by_hand),
        cmocka_unit_test(main_runs_all_or_one_by_name_or_lists),
        cmocka_unit_test(function_test_is_a_coroutine_in_a_server_of_its_own),
        cmocka_unit_test(method_test_has_a_self_that_is_set_up_and_taken_down),
        cmocka_unit_test(run_gives_the_failure_of_an_awaited_call_and_the_tree),
        cmocka_unit_test(run_gives_file_and_line_of_a_failed_check_and_the_tree),
        cmocka_unit_test(run_fails_for_a_function_that_does_not_exist),
        cmocka_unit_test(run_works_without_any_call),
        cmocka_unit_test(run_makes_retries_with_backoff_in_no_time),
        cmocka_unit_test(run_sleeps_for_a_week_in_no_time),
        cmocka_unit_test(run_lets_a_call_expire_after_a_day_in_no_time),
        cmocka_unit_test(run_lets_the_test_move_the_clock),
        cmocka_unit_test(run_has_any_number_of_servers_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
