/* The client against the server's own API, over loopback: that both sides mean the same. */
#include "server/api_testing.h"

#include <dispatchrun/client.h>

struct setting {
    struct api_fixture fixture;
    dr_client *client;
};

static int start(void **state)
{
    struct setting *setting = mem_zalloc(sizeof *setting);
    char url[64];
    assert_non_null(setting);
    api_fixture_start(&setting->fixture, NULL);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", setting->fixture.port);
    struct dr_client_options options = {.api_url = url, .api_key = TEST_KEY};
    assert_int_equal(dr_client_open(&options, &setting->client, NULL), DR_OK);
    *state = setting;
    return 0;
}

static int stop(void **state)
{
    struct setting *setting = *state;
    dr_client_close(setting->client);
    api_fixture_stop(&setting->fixture);
    mem_free(setting);
    return 0;
}

static void submit(struct setting *setting, const char *function, const dr_value *input, char id[DR_ID_SIZE])
{
    struct dr_error error = {0};
    struct dr_call_options call = {.function = function, .endpoint = TEST_ENDPOINT, .input = input};
    if (dr_client_submit(setting->client, &call, id, &error))
        fail_msg("%s", error.message);
}

static dr_result *wait_done(struct setting *setting, const char *id)
{
    struct dr_error error = {0};
    dr_result *result = NULL;
    if (dr_client_wait(setting->client, id, PATIENCE_S * NS_PER_S, &result, &error))
        fail_msg("%s", error.message);
    return result;
}

static void a_call_returns_its_output(void **state)
{
    struct setting *setting = *state;
    char id[DR_ID_SIZE];
    dr_value *input = dr_value_list((dr_value *[]){dr_value_int(1), dr_value_text("a"), dr_value_null()}, 3);
    submit(setting, "echo", input, id);
    dr_result *result = wait_done(setting, id);
    assert_true(dr_result_is_ok(result));
    assert_true(dr_value_equal(dr_result_output(result), input));
    assert_string_equal(dr_result_dispatch_id(result), id);
    dr_result_unref(result);
    dr_value_unref(input);
}

static void a_call_that_fails_returns_its_error(void **state)
{
    struct setting *setting = *state;
    char id[DR_ID_SIZE];
    submit(setting, "broken", NULL, id);
    dr_result *result = wait_done(setting, id);
    assert_false(dr_result_is_ok(result));
    assert_string_equal(dr_result_error_type(result), "ValueError");
    assert_string_equal(dr_result_error_message(result), "no \"way\"");
    dr_result_unref(result);
}

static void a_batch_of_ten_thousand_is_recorded(void **state)
{
    struct setting *setting = *state;
    static const struct dr_call_options *calls[DR_CALLS_MAX];
    static char ids[DR_CALLS_MAX][DR_ID_SIZE];
    struct dr_error error = {0};
    const struct dr_call_options call = {.function = "echo", .endpoint = TEST_ENDPOINT};
    for (size_t i = 0; i < DR_CALLS_MAX; i++)
        calls[i] = &call;
    if (dr_client_submit_batch(setting->client, calls, DR_CALLS_MAX, ids, &error))
        fail_msg("%s", error.message);
    assert_string_not_equal(ids[0], ids[DR_CALLS_MAX - 1]);
    dr_result_unref(wait_done(setting, ids[DR_CALLS_MAX - 1]));
}

static void waiting_ends_with_its_time_or_with_the_call(void **state)
{
    struct setting *setting = *state;
    struct dr_error error = {0};
    char id[DR_ID_SIZE];
    dr_result *result = NULL;
    submit(setting, "gate", NULL, id);
    assert_int_equal(dr_client_wait(setting->client, id, 0, &result, &error), DR_DEADLINE_EXCEEDED);
    assert_int_equal(dr_client_wait(setting->client, id, 10 * NS_PER_MS, &result, &error), DR_DEADLINE_EXCEEDED);
    assert_null(result);
    gate_open(&setting->fixture);
    dr_result_unref(wait_done(setting, id));
}

static void a_call_can_be_looked_at_and_cancelled(void **state)
{
    struct setting *setting = *state;
    char id[DR_ID_SIZE];
    dr_value *call = NULL;
    submit(setting, "sleep", NULL, id);
    assert_int_equal(dr_client_get(setting->client, id, &call, NULL), DR_OK);
    assert_string_equal(dr_text(dr_value_get(call, "dispatchId")), id);
    assert_string_equal(dr_text(dr_value_get(call, "function")), "sleep");
    dr_value_unref(call);
    assert_int_equal(dr_client_cancel(setting->client, id, NULL), DR_OK);
    dr_result *result = wait_done(setting, id);
    assert_false(dr_result_is_ok(result));
    dr_result_unref(result);
    assert_int_equal(dr_client_cancel(setting->client, id, NULL), DR_FAILED_PRECONDITION);
}

static void an_unknown_call_is_not_found(void **state)
{
    struct setting *setting = *state;
    dr_value *call = NULL;
    dr_result *result = NULL;
    const char *id = "00000000000000000000000000000001";
    assert_int_equal(dr_client_wait(setting->client, id, -1, &result, NULL), DR_NOT_FOUND);
    assert_int_equal(dr_client_get(setting->client, id, &call, NULL), DR_NOT_FOUND);
    assert_int_equal(dr_client_cancel(setting->client, id, NULL), DR_NOT_FOUND);
}

static void a_wrong_key_is_unauthenticated(void **state)
{
    struct setting *setting = *state;
    struct dr_error error = {0};
    char url[64];
    char id[DR_ID_SIZE];
    dr_client *client = NULL;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", setting->fixture.port);
    struct dr_client_options options = {.api_url = url, .api_key = "wrong-key"};
    assert_int_equal(dr_client_open(&options, &client, NULL), DR_OK);
    struct dr_call_options call = {.function = "echo", .endpoint = TEST_ENDPOINT};
    assert_int_equal(dr_client_submit(client, &call, id, &error), DR_UNAUTHENTICATED);
    assert_string_equal(error.message, "invalid api_key: wro********");
    dr_client_close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_call_returns_its_output, start, stop),
        cmocka_unit_test_setup_teardown(a_call_that_fails_returns_its_error, start, stop),
        cmocka_unit_test_setup_teardown(a_batch_of_ten_thousand_is_recorded, start, stop),
        cmocka_unit_test_setup_teardown(waiting_ends_with_its_time_or_with_the_call, start, stop),
        cmocka_unit_test_setup_teardown(a_call_can_be_looked_at_and_cancelled, start, stop),
        cmocka_unit_test_setup_teardown(an_unknown_call_is_not_found, start, stop),
        cmocka_unit_test_setup_teardown(a_wrong_key_is_unauthenticated, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
