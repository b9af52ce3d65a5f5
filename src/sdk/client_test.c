/* The client on a transport that plays a script: each exchange is checked and answered by the next step of it. */
#include "base/testing.h"

#include "sdk/client.h"
#include "sdk/result.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "wire/wire.h"
#include <stdio.h>
#include <string.h>

#define N_STEPS_MAX 8

struct step {
    dr_code code;        /* what the transport says */
    int http_status;
    const char *body;
    size_t len;          /* 0: a text */
    int64_t takes_ns;    /* how far the clock moves */
};

struct script {
    struct client_transport base;
    const struct step *steps;
    size_t n_steps;
    size_t n_done;
    int64_t now_ns;
    int64_t paused_ns;
    /* of the last exchange */
    char path[128];
    char content_type[64];
    uint8_t body[4096];
    size_t len;
    int64_t server_timeout_ns;
    bool is_destroyed;
};

static dr_code script_exchange(struct client_transport *transport, const struct client_exchange *exchange,
                               int *ret_http_status, struct buf *body, struct dr_error *error)
{
    struct script *script = (struct script *)transport;
    assert_true(script->n_done < script->n_steps);
    const struct step *step = &script->steps[script->n_done++];
    (void)snprintf(script->path, sizeof script->path, "%s", exchange->path);
    (void)snprintf(script->content_type, sizeof script->content_type, "%s", exchange->content_type);
    assert_true(exchange->body.len <= sizeof script->body);
    memcpy(script->body, exchange->body.data, exchange->body.len);
    script->len = exchange->body.len;
    script->server_timeout_ns = exchange->server_timeout_ns;
    assert_true(exchange->timeout_ns >= exchange->server_timeout_ns);
    script->now_ns += step->takes_ns;
    if (step->code)
        return error_set(error, step->code, "cannot reach the server");
    *ret_http_status = step->http_status;
    dr_code code = buf_append(body, step->len > 0 ? slice_of(step->body, step->len) : slice_text(step->body));
    return code ? error_set(error, code, "%s", dr_code_text(code)) : DR_OK;
}

static int64_t script_now_ns(struct client_transport *transport) { return ((struct script *)transport)->now_ns; }

static void script_pause(struct client_transport *transport, int64_t ns)
{
    struct script *script = (struct script *)transport;
    script->now_ns += ns;
    script->paused_ns += ns;
}

static void script_destroy(struct client_transport *transport) { ((struct script *)transport)->is_destroyed = true; }

static const struct client_transport_methods script_methods = {
    .exchange = script_exchange,
    .now_ns = script_now_ns,
    .pause = script_pause,
    .destroy = script_destroy,
};

static dr_client *open_script(struct script *script, const struct step *steps, size_t n)
{
    dr_client *client = NULL;
    *script = (struct script){.base.methods = &script_methods, .steps = steps, .n_steps = n, .now_ns = NS_PER_S};
    assert_int_equal(client_create(&script->base, "DISPATCH_API_KEY: abc********", &client, NULL), DR_OK);
    return client;
}

static void close_script(struct script *script, dr_client *client)
{
    dr_client_close(client);
    assert_true(script->is_destroyed);
    assert_int_equal(script->n_done, script->n_steps);
}

#define OPEN_SCRIPT(script, ...)                                    \
    open_script(&(script), (const struct step[]){__VA_ARGS__},      \
                sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step))

static const struct dr_call_options greet = {.function = "greet", .endpoint = "http://h:1"};

/* ---- Submit ---- */

static void a_submit_sends_the_call_and_returns_its_id(void **state)
{
    (void)state;
    struct script script;
    struct dr_error error = {0};
    char id[DR_ID_SIZE];
    dr_client *client = OPEN_SCRIPT(script, {.http_status = 200, .body = "\x0a\x03" "abc"});
    dr_value *input = dr_value_int(42);
    struct dr_call_options call = {.function = "f", .endpoint = "http://h:1", .input = input, .correlation_id = 7};
    assert_int_equal(dr_client_submit(client, &call, id, &error), DR_OK);
    assert_string_equal(id, "abc");
    assert_string_equal(script.path, "/dispatch.sdk.v1.DispatchService/Dispatch");
    assert_string_equal(script.content_type, "application/proto");
    /* protocol 1.5 */
    static const char expected[] = "\x0a\x47\x08\x07\x12\x0ahttp://h:1\x1a\x01" "f\"4\x0a."
                                   "type.googleapis.com/google.protobuf.Int64Value\x12\x02\x08*";
    assert_int_equal(script.len, sizeof expected - 1);
    assert_memory_equal(script.body, expected, script.len);
    dr_value_unref(input);
    close_script(&script, client);
}

static void a_batch_returns_one_id_per_call_in_order(void **state)
{
    (void)state;
    struct script script;
    char ids[3][DR_ID_SIZE];
    dr_client *client = OPEN_SCRIPT(script, {.http_status = 200, .body = "\x0a\x01" "1\x0a\x01" "2\x0a\x01" "3"});
    dr_value *first = dr_value_text("first");
    dr_value *third = dr_value_list(NULL, 0);
    struct dr_call_options calls[] = {
        {.function = "a", .endpoint = "bridge://s", .input = first, .expiration_ns = NS_PER_S},
        {.function = "b/c-d", .endpoint = "https://h", .version = "v1"},
        {.function = "c", .endpoint = "arn:aws:lambda:x", .input = third},
    };
    const struct dr_call_options *pointers[] = {&calls[0], &calls[1], &calls[2]};
    assert_int_equal(dr_client_submit_batch(client, pointers, 3, ids, NULL), DR_OK);
    assert_string_equal(ids[0], "1");
    assert_string_equal(ids[2], "3");

    struct arena arena;
    struct wire_dispatch_request request = {0};
    arena_init(&arena, 0);
    assert_int_equal(wire_dispatch_request_decode(slice_of(script.body, script.len), &arena, &request, NULL), DR_OK);
    assert_int_equal(request.n_calls, 3);
    assert_int_equal(request.calls[0].expiration_ns, NS_PER_S);
    assert_null(request.calls[1].input.data);
    assert_true(slice_equal(request.calls[1].version, slice_text("v1")));
    assert_true(request.calls[2].input.len > 0);
    arena_deinit(&arena);
    dr_value_unref(first);
    dr_value_unref(third);
    close_script(&script, client);
}

static void assert_not_sent(const struct dr_call_options *call, const char *part_of_message)
{
    struct script script;
    struct dr_error error = {0};
    char id[DR_ID_SIZE] = "untouched";
    dr_client *client = open_script(&script, NULL, 0);
    assert_int_equal(dr_client_submit(client, call, id, &error), DR_INVALID_ARGUMENT);
    if (!strstr(error.message, part_of_message))
        fail_msg("\"%s\" is not in \"%s\"", part_of_message, error.message);
    assert_string_equal(id, "untouched");
    close_script(&script, client);
}

static void a_call_that_cannot_be_is_not_sent(void **state)
{
    (void)state;
    dr_value *list = dr_value_list((dr_value *[]){dr_value_bytes("x", 1)}, 1);
    assert_not_sent(&(struct dr_call_options){.endpoint = "http://h:1"}, "function");
    assert_not_sent(&(struct dr_call_options){.function = "f"}, "Call endpoint cannot be empty");
    assert_not_sent(&(struct dr_call_options){.function = "f", .endpoint = "ftp://h"},
                    "Call endpoint must be a http, https or a bridge URL or an AWS Lambda ARN");
    assert_not_sent(&(struct dr_call_options){.function = "f", .endpoint = "http://h", .expiration_ns = -1},
                    "xpiration");
    assert_not_sent(&(struct dr_call_options){.function = "f", .endpoint = "http://h", .input = list}, "kind bytes");
    dr_value_unref(list);
}

static void a_bad_call_in_a_batch_is_named_and_nothing_is_sent(void **state)
{
    (void)state;
    struct script script;
    struct dr_error error = {0};
    char ids[2][DR_ID_SIZE];
    dr_client *client = open_script(&script, NULL, 0);
    const struct dr_call_options bad = {.function = "f"};
    const struct dr_call_options *calls[] = {&greet, &bad};
    assert_int_equal(dr_client_submit_batch(client, calls, 2, ids, &error), DR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "call 2 of 2: Call endpoint cannot be empty");
    assert_int_equal(dr_client_submit_batch(client, calls, DR_CALLS_MAX + 1, ids, &error), DR_INVALID_ARGUMENT);
    assert_int_equal(dr_client_submit_batch(client, calls, 0, ids, &error), DR_OK);
    close_script(&script, client);
}

static void an_answer_with_the_wrong_number_of_ids_is_an_error(void **state)
{
    (void)state;
    struct script script;
    struct dr_error error = {0};
    char id[DR_ID_SIZE];
    dr_client *client = OPEN_SCRIPT(script, {.http_status = 200, .body = ""},
                                    {.http_status = 200, .body = "\x0a\x02xy\x0a\x02xy"},
                                    {.http_status = 200, .body = "\x0a\x7f"},
                                    {.http_status = 200, .body = "\x0a\0", .len = 2},
                                    {.http_status = 200, .body = "\x0a\x03\0xy", .len = 5});
    assert_int_equal(dr_client_submit(client, &greet, id, &error), DR_INTERNAL);
    assert_string_equal(error.message, "the server answered 0 ids to 1 calls");
    assert_int_equal(dr_client_submit(client, &greet, id, &error), DR_INTERNAL);
    assert_int_equal(dr_client_submit(client, &greet, id, &error), DR_INTERNAL);
    assert_int_equal(error.code, DR_INTERNAL);
    assert_int_equal(dr_client_submit(client, &greet, id, &error), DR_INTERNAL);
    assert_int_equal(dr_client_submit(client, &greet, id, &error), DR_INTERNAL);
    assert_string_equal(error.message, "the server answered 3 bytes that are no dispatch id");
    close_script(&script, client);
}

static void errors_of_the_server_keep_their_code_and_message(void **state)
{
    (void)state;
    struct script script;
    struct dr_error error = {0};
    char id[DR_ID_SIZE];
    dr_client *client = OPEN_SCRIPT(
        script, {.http_status = 429, .body = "{\"code\":\"resource_exhausted\",\"message\":\"too many\"}"},
        {.http_status = 503, .body = "<html>"}, {.http_status = 401, .body = "no"},
        {.http_status = 401, .body = "{\"code\":\"unauthenticated\",\"message\":\"x\"}"}, {.code = DR_UNAVAILABLE});
    assert_int_equal(dr_client_submit(client, &greet, id, &error), DR_RESOURCE_EXHAUSTED);
    assert_string_equal(error.message, "too many");
    assert_int_equal(dr_client_submit(client, &greet, id, &error), DR_UNAVAILABLE);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(dr_client_submit(client, &greet, id, &error), DR_UNAUTHENTICATED);
        assert_string_equal(error.message, "invalid DISPATCH_API_KEY: abc********");
    }
    assert_int_equal(dr_client_submit(client, &greet, id, &error), DR_UNAVAILABLE);
    assert_string_equal(error.message, "cannot reach the server");
    close_script(&script, client);
}

/* ---- Wait ---- */

/* CallResult with output StringValue "x" */
#define RESULT_X "\x12\x36\x0a/type.googleapis.com/google.protobuf.StringValue\x12\x03\x0a\x01x"
#define OVER "{\"code\":\"deadline_exceeded\"}"
#define NOT_DONE {.http_status = 504, .body = OVER, .takes_ns = 25 * NS_PER_S}

static void a_wait_asks_until_the_call_is_done(void **state)
{
    (void)state;
    struct script script;
    dr_result *result = NULL;
    dr_client *client = OPEN_SCRIPT(script, NOT_DONE, NOT_DONE, {.http_status = 200, .body = RESULT_X});
    assert_int_equal(dr_client_wait(client, "abc", -1, &result, NULL), DR_OK);
    assert_string_equal(script.path, "/dispatch.sdk.v1.DispatchService/Wait");
    assert_memory_equal(script.body, "abc", 3);
    assert_int_equal(script.len, 3);
    assert_int_equal(script.server_timeout_ns, 25 * NS_PER_S);
    assert_int_equal(script.paused_ns, 0);
    assert_true(dr_result_is_ok(result));
    assert_int_equal(dr_result_status(result), DR_STATUS_OK);
    assert_string_equal(dr_text(dr_result_output(result)), "x");
    assert_string_equal(dr_result_dispatch_id(result), "abc");
    dr_result_unref(result);
    close_script(&script, client);
}

static void a_wait_ends_with_its_timeout(void **state)
{
    (void)state;
    struct script script;
    struct dr_error error = {0};
    dr_result *result = NULL;
    dr_client *client = OPEN_SCRIPT(script, NOT_DONE, {.http_status = 504, .body = OVER, .takes_ns = 5 * NS_PER_S});
    assert_int_equal(dr_client_wait(client, "abc", 30 * NS_PER_S, &result, &error), DR_DEADLINE_EXCEEDED);
    assert_string_equal(error.message, "call abc is not done yet");
    assert_int_equal(script.server_timeout_ns, 5 * NS_PER_S);
    assert_null(result);
    close_script(&script, client);
}

static void a_wait_of_no_time_only_looks(void **state)
{
    (void)state;
    struct script script;
    dr_result *result = NULL;
    dr_client *client = OPEN_SCRIPT(script, {.http_status = 504, .body = OVER}, {.http_status = 200, .body = RESULT_X});
    assert_int_equal(dr_client_wait(client, "abc", 0, &result, NULL), DR_DEADLINE_EXCEEDED);
    assert_int_equal(dr_client_wait(client, "abc", 0, &result, NULL), DR_OK);
    dr_result_unref(result);
    close_script(&script, client);
}

static void a_wait_survives_a_restart_of_the_server(void **state)
{
    (void)state;
    struct script script;
    dr_result *result = NULL;
    dr_client *client = OPEN_SCRIPT(script, {.code = DR_UNAVAILABLE}, {.http_status = 503, .body = ""},
                                    {.code = DR_UNAVAILABLE}, {.http_status = 200, .body = RESULT_X});
    assert_int_equal(dr_client_wait(client, "abc", -1, &result, NULL), DR_OK);
    assert_int_equal(script.paused_ns, (50 + 100 + 200) * NS_PER_MS);
    dr_result_unref(result);
    close_script(&script, client);
}

static void a_wait_gives_up_on_a_server_that_stays_away(void **state)
{
    (void)state;
    struct script script;
    struct step steps[64];
    struct dr_error error = {0};
    dr_result *result = NULL;
    for (size_t i = 0; i < 64; i++)
        steps[i] = (struct step){.code = DR_UNAVAILABLE};
    dr_client *client = open_script(&script, steps, 64);
    assert_int_equal(dr_client_wait(client, "abc", -1, &result, &error), DR_UNAVAILABLE);
    assert_string_equal(error.message, "cannot reach the server");
    assert_in_range(script.paused_ns / NS_PER_S, 30, 32);
    script.n_steps = script.n_done;
    close_script(&script, client);
}

/* A proxy may answer "gateway timeout" at once; that must not become a busy loop. */
static void a_wait_that_is_answered_too_early_pauses(void **state)
{
    (void)state;
    struct script script;
    dr_result *result = NULL;
    dr_client *client = OPEN_SCRIPT(script, {.http_status = 504, .body = OVER}, {.http_status = 200, .body = RESULT_X});
    assert_int_equal(dr_client_wait(client, "abc", -1, &result, NULL), DR_OK);
    assert_int_equal(script.paused_ns, 50 * NS_PER_MS);
    dr_result_unref(result);
    close_script(&script, client);
}

static void a_failed_call_is_a_result_with_its_error(void **state)
{
    (void)state;
    struct script script;
    dr_result *result = NULL;
    size_t len = 0;
    dr_client *client = OPEN_SCRIPT(
        script, {.http_status = 200, .body = "\x08\x05\x1a\x12\x0a\x04Type\x12\x03why\x1a\x01v\x22\x02tb\"\x03xyz"});
    assert_int_equal(dr_client_wait(client, "abc", -1, &result, NULL), DR_OK);
    assert_false(dr_result_is_ok(result));
    assert_int_equal(dr_result_status(result), DR_STATUS_UNSPECIFIED);
    assert_string_equal(dr_result_error_type(result), "Type");
    assert_string_equal(dr_result_error_message(result), "why");
    assert_string_equal(dr_result_traceback(result), "tb");
    assert_memory_equal(dr_result_error_value(result, &len), "v", 1);
    assert_int_equal(len, 1);
    assert_string_equal(dr_result_dispatch_id(result), "xyz");
    assert_int_equal(dr_result_correlation_id(result), 5);
    assert_null(dr_result_output(result));
    dr_result *again = dr_result_ref(result);
    dr_result_unref(result);
    assert_string_equal(dr_result_error_type(again), "Type");
    dr_result_unref(again);
    close_script(&script, client);
}

static void a_result_with_an_id_that_is_none_has_the_id_that_was_asked_for(void **state)
{
    (void)state;
    struct script script;
    dr_result *result = NULL;
    dr_client *client = OPEN_SCRIPT(script, {.http_status = 200, .body = "\x1a\x06\x0a\x04Type\"\x03x\ny"});
    assert_int_equal(dr_client_wait(client, "abc", -1, &result, NULL), DR_OK);
    assert_string_equal(dr_result_dispatch_id(result), "abc");
    dr_result_unref(result);
    close_script(&script, client);
}

static void a_result_that_cannot_be_read_is_the_servers_fault(void **state)
{
    (void)state;
    struct script script;
    struct dr_error error = {0};
    dr_result *result = NULL;
    dr_client *client = OPEN_SCRIPT(
        script, {.http_status = 200, .body = "\x12\x7f"},
        {.http_status = 404, .body = "{\"code\":\"not_found\",\"message\":\"no such call\"}"});
    assert_int_equal(dr_client_wait(client, "abc", -1, &result, &error), DR_INTERNAL);
    assert_int_equal(dr_client_wait(client, "abc", -1, &result, &error), DR_NOT_FOUND);
    assert_string_equal(error.message, "no such call");
    close_script(&script, client);
}

static void what_is_no_id_is_not_sent(void **state)
{
    (void)state;
    struct script script;
    dr_result *result = NULL;
    char long_id[DR_ID_SIZE + 1];
    dr_client *client = open_script(&script, NULL, 0);
    memset(long_id, 'a', sizeof long_id);
    long_id[DR_ID_SIZE] = 0;
    const char *ids[] = {NULL, "", "a b", "a\"", "a\\", "a\n", "\xc3\xa4", long_id};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        assert_int_equal(dr_client_wait(client, ids[i], 0, &result, NULL), DR_INVALID_ARGUMENT);
        assert_int_equal(dr_client_cancel(client, ids[i], NULL), DR_INVALID_ARGUMENT);
    }
    close_script(&script, client);
}

/* ---- Get, cancel ---- */

static void get_gives_the_servers_answer_as_a_map(void **state)
{
    (void)state;
    struct script script;
    struct dr_error error = {0};
    dr_value *call = NULL;
    char text[128];
    dr_client *client = OPEN_SCRIPT(
        script,
        {.http_status = 200, .body = "{\"call\":{\"state\":\"done\",\"n\":2,\"x\":[1.5,true,false,null,\"\\u0000\"]}}"},
        {.http_status = 200, .body = "nonsense"}, {.http_status = 200, .body = "{\"call\":1}"});
    assert_int_equal(dr_client_get(client, "abc", &call, NULL), DR_OK);
    assert_string_equal(script.path, "/dispatch.v1.CallService/GetCall");
    assert_string_equal(script.content_type, "application/json");
    assert_int_equal(script.len, strlen("{\"dispatchId\":\"abc\"}"));
    assert_memory_equal(script.body, "{\"dispatchId\":\"abc\"}", script.len);
    (void)dr_value_format(call, text, sizeof text);
    assert_string_equal(text, "{\"state\": \"done\", \"n\": 2, \"x\": [1.5, true, false, null, \"\\x00\"]}");
    dr_value_unref(call);
    for (int i = 0; i < 2; i++)
        assert_int_equal(dr_client_get(client, "abc", &call, &error), DR_INTERNAL);
    assert_string_equal(error.message, "the server's answer holds no call");
    close_script(&script, client);
}

static void cancel_asks_the_server_to(void **state)
{
    (void)state;
    struct script script;
    dr_client *client = OPEN_SCRIPT(script, {.http_status = 200, .body = "{}"}, {.http_status = 404, .body = ""});
    assert_int_equal(dr_client_cancel(client, "abc", NULL), DR_OK);
    assert_string_equal(script.path, "/dispatch.v1.CallService/CancelCall");
    assert_int_not_equal(dr_client_cancel(client, "abc", NULL), DR_OK);
    close_script(&script, client);
}

static dr_code submit_and_wait(void *arg)
{
    (void)arg;
    static const struct step steps[] = {{.http_status = 200, .body = "\x0a\x03" "abc"},
                                        {.http_status = 200, .body = RESULT_X}};
    struct script script = {.base.methods = &script_methods, .steps = steps, .n_steps = 2};
    char id[DR_ID_SIZE];
    dr_client *client = NULL;
    dr_result *result = NULL;
    dr_code code = client_create(&script.base, "", &client, NULL);
    if (code)
        return code;
    code = dr_client_submit(client, &greet, id, NULL);
    if (!code)
        code = dr_client_wait(client, id, 0, &result, NULL);
    dr_result_unref(result);
    dr_client_close(client);
    return code;
}

static void running_out_of_memory_leaks_nothing(void **state)
{
    (void)state;
    assert_survives_allocation_faults(submit_and_wait, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_submit_sends_the_call_and_returns_its_id),
        cmocka_unit_test(a_batch_returns_one_id_per_call_in_order),
        cmocka_unit_test(a_call_that_cannot_be_is_not_sent),
        cmocka_unit_test(a_bad_call_in_a_batch_is_named_and_nothing_is_sent),
        cmocka_unit_test(an_answer_with_the_wrong_number_of_ids_is_an_error),
        cmocka_unit_test(errors_of_the_server_keep_their_code_and_message),
        cmocka_unit_test(a_wait_asks_until_the_call_is_done),
        cmocka_unit_test(a_wait_ends_with_its_timeout),
        cmocka_unit_test(a_wait_of_no_time_only_looks),
        cmocka_unit_test(a_wait_survives_a_restart_of_the_server),
        cmocka_unit_test(a_wait_gives_up_on_a_server_that_stays_away),
        cmocka_unit_test(a_wait_that_is_answered_too_early_pauses),
        cmocka_unit_test(a_failed_call_is_a_result_with_its_error),
        cmocka_unit_test(a_result_with_an_id_that_is_none_has_the_id_that_was_asked_for),
        cmocka_unit_test(a_result_that_cannot_be_read_is_the_servers_fault),
        cmocka_unit_test(what_is_no_id_is_not_sent),
        cmocka_unit_test(get_gives_the_servers_answer_as_a_map),
        cmocka_unit_test(cancel_asks_the_server_to),
        cmocka_unit_test(running_out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
