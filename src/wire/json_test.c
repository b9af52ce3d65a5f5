/* The JSON mapping in both directions, and what it makes of wrong JSON. */
#include "wire/json.h"
#include "wire/testing.h"

#include <stdio.h>

static int set_up(void **state)
{
    struct arena *arena = mem_alloc(sizeof(*arena));
    arena_init(arena, 0);
    *state = arena;
    return 0;
}

static int tear_down(void **state)
{
    arena_deinit(*state);
    mem_free(*state);
    return 0;
}

/* ---- There and back ---- */

static void keeps_every_field_of_a_dispatch_request(void **state)
{
    struct wire_dispatch_request in = sample_dispatch_request(), out;
    struct buf buf;
    buf_init(&buf, 10000);
    assert_int_equal(wire_dispatch_request_json_encode(&in, &buf, NULL), DR_OK);
    assert_string_equal(buf_text(&buf),
                        "{\"calls\":[{\"correlationId\":\"18446744073709551615\",\"endpoint\":\"http://h:1\","
                        "\"function\":\"f\xc3\xa9\",\"input\":{\"@type\":\"type.googleapis.com/"
                        "google.protobuf.StringValue\",\"value\":\"x\"},\"expiration\":\"90.000000005s\","
                        "\"version\":\"v1\"},{\"function\":\"g\"}]}");
    assert_int_equal(wire_dispatch_request_json_decode(buf_slice(&buf), *state, &out, NULL), DR_OK);
    assert_int_equal(out.n_calls, in.n_calls);
    for (size_t i = 0; i < in.n_calls; i++)
        assert_call_equal(&in.calls[i], &out.calls[i]);
    buf_deinit(&buf);
}

static void keeps_every_field_of_a_run_request(void **state)
{
    struct wire_run_request in = sample_run_request(), out;
    struct buf buf;
    buf_init(&buf, 10000);
    assert_int_equal(wire_run_request_json_encode(&in, &buf, NULL), DR_OK);
    assert_int_equal(wire_run_request_json_decode(buf_slice(&buf), *state, &out, NULL), DR_OK);
    assert_run_request_equal(&in, &out);
    buf_deinit(&buf);
}

static void keeps_every_field_of_both_run_responses(void **state)
{
    struct wire_run_response samples[2] = {sample_poll_response(), sample_exit_response()};
    for (int i = 0; i < 2; i++) {
        struct wire_run_response out;
        struct buf buf;
        buf_init(&buf, 10000);
        assert_int_equal(wire_run_response_json_encode(&samples[i], &buf, NULL), DR_OK);
        assert_int_equal(wire_run_response_json_decode(buf_slice(&buf), *state, &out, NULL), DR_OK);
        assert_run_response_equal(&samples[i], &out);
        buf_deinit(&buf);
    }
}

static void keeps_ids_and_results(void **state)
{
    struct slice ids[2] = {SLICE("b"), SLICE("a")};
    struct wire_dispatch_response in = {.dispatch_ids = ids, .n_dispatch_ids = 2}, out;
    struct buf buf;
    buf_init(&buf, 10000);
    assert_int_equal(wire_dispatch_response_json_encode(&in, &buf, NULL), DR_OK);
    assert_string_equal(buf_text(&buf), "{\"dispatchIds\":[\"b\",\"a\"]}");
    assert_int_equal(wire_dispatch_response_json_decode(buf_slice(&buf), *state, &out, NULL), DR_OK);
    assert_int_equal(out.n_dispatch_ids, 2);
    assert_text(out.dispatch_ids[1], "a");
    for (int i = 0; i < 2; i++) {
        struct wire_result result;
        buf_clear(&buf);
        assert_int_equal(wire_result_json_encode(&sample_results[i], &buf, NULL), DR_OK);
        assert_int_equal(wire_result_json_decode(buf_slice(&buf), *state, &result, NULL), DR_OK);
        assert_result_equal(&result, &sample_results[i]);
    }
    buf_deinit(&buf);
}

/* ---- Any ---- */

static void assert_any(const char *name, struct slice value, const char *json_value)
{
    struct buf any, back;
    buf_init(&any, 10000);
    buf_init(&back, 10000);
    char url[100], expected[1000];
    (void)snprintf(url, sizeof(url), "type.googleapis.com/%s", name);
    assert_int_equal(wire_any_encode(slice_text(url), value, &any), DR_OK);
    json_t *json = wire_any_to_json(buf_slice(&any));
    assert_non_null(json);
    char *text = json_dumps(json, JSON_COMPACT);
    (void)snprintf(expected, sizeof(expected), "{\"@type\":\"%s\",%s}", url, json_value);
    assert_string_equal(text, expected);
    free(text);
    assert_int_equal(wire_any_from_json(json, &back, NULL), DR_OK);
    struct slice any_url, any_value;
    assert_int_equal(wire_any_split(buf_slice(&back), &any_url, &any_value, NULL), DR_OK);
    assert_text(any_url, url);
    assert_slice_equal(any_value, value);
    json_decref(json);
    buf_deinit(&any);
    buf_deinit(&back);
}

static void shows_the_well_known_types_as_json(void **state)
{
    (void)state;
    assert_any("google.protobuf.StringValue", SLICE("\x0a\x01x"), "\"value\":\"x\"");
    assert_any("google.protobuf.StringValue", SLICE(""), "\"value\":\"\"");
    assert_any("google.protobuf.StringValue",
               SLICE("\x0a\x03"
                     "a\0b"),
               "\"value\":\"a\\u0000b\"");
    assert_any("google.protobuf.BytesValue", SLICE("\x0a\x01\xff"), "\"value\":\"/w==\"");
    assert_any("google.protobuf.BytesValue", SLICE(""), "\"value\":\"\"");
    assert_any("google.protobuf.Int64Value", SLICE("\x08\x2a"), "\"value\":\"42\"");
    assert_any("google.protobuf.Int64Value", SLICE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
               "\"value\":\"-1\"");
    assert_any("google.protobuf.UInt64Value", SLICE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
               "\"value\":\"18446744073709551615\"");
    assert_any("google.protobuf.Int32Value", SLICE("\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
               "\"value\":-2");
    assert_any("google.protobuf.UInt32Value", SLICE("\x08\x07"), "\"value\":7");
    assert_any("google.protobuf.BoolValue", SLICE("\x08\x01"), "\"value\":true");
    assert_any("google.protobuf.BoolValue", SLICE(""), "\"value\":false");
    assert_any("google.protobuf.DoubleValue", SLICE("\x09\0\0\0\0\0\0\xf8\x3f"), "\"value\":1.5");
    assert_any("google.protobuf.DoubleValue", SLICE("\x09\0\0\0\0\0\0\xf0\xff"), "\"value\":\"-Infinity\"");
    assert_any("google.protobuf.FloatValue", SLICE("\x0d\0\0\xc0\x3f"), "\"value\":1.5");
    assert_any("google.protobuf.Duration", SLICE("\x08\x01\x10\x80\xca\xb5\xee\x01"), "\"value\":\"1.500s\"");
    assert_any("google.protobuf.Timestamp", SLICE(""), "\"value\":\"1970-01-01T00:00:00Z\"");
    assert_any("google.protobuf.Empty", SLICE(""), "\"value\":{}");
    assert_any("google.protobuf.Value", SLICE("\x08\x00"), "\"value\":null");
    assert_any("google.protobuf.Value", SLICE("\x20\x01"), "\"value\":true");
    assert_any("google.protobuf.Value", SLICE("\x11\0\0\0\0\0\0\x08\x40"), "\"value\":3");
    assert_any("google.protobuf.Value", SLICE("\x11\0\0\0\0\0\0\xf8\x3f"), "\"value\":1.5");
    assert_any("google.protobuf.Value",
               SLICE("\x1a\x03"
                     "a\0b"),
               "\"value\":\"a\\u0000b\"");
    assert_any("google.protobuf.ListValue", SLICE("\x0a\x02\x20\x00\x0a\x02\x32\x00"),
               "\"value\":[false,[]]");
    assert_any("google.protobuf.Struct", SLICE("\x0a\x07\x0a\x01k\x12\x02\x08\x00"),
               "\"value\":{\"k\":null}");
}

static void shows_other_types_as_base64(void **state)
{
    (void)state;
    assert_any("dispatch.sdk.python.v1.Pickled", SLICE("\x0a\x02\x80\x05"), "\"value\":\"CgKABQ==\"");
    assert_any("x.Y", SLICE(""), "\"value\":\"\"");
}

/* What the type URL promises and the bytes do not keep, or what JSON cannot say, must not look like a value.
 */
static void shows_broken_payloads_under_another_name(void **state)
{
    (void)state;
    assert_any("google.protobuf.StringValue", SLICE("\x08\x01"), "\"@bytes\":\"CAE=\"");
    assert_any("google.protobuf.StringValue", SLICE("\x0a\x01\xff"), "\"@bytes\":\"CgH/\"");
    assert_any("google.protobuf.Int64Value", SLICE("\x08"), "\"@bytes\":\"CA==\"");
    assert_any("google.protobuf.Duration", SLICE("\x10\x80\x94\xeb\xdc\x03"), "\"@bytes\":\"EICU69wD\"");
    assert_any("google.protobuf.Value", SLICE("\x11\0\0\0\0\0\0\xf0\x7f"), "\"@bytes\":\"EQAAAAAAAPB/\"");
    assert_any("google.protobuf.Empty", SLICE("\x08\x01"), "\"@bytes\":\"CAE=\"");
}

static void shows_the_empty_any_as_an_empty_object(void **state)
{
    (void)state;
    json_t *json = wire_any_to_json(slice_of("", 0));
    assert_true(json_is_object(json) && json_object_size(json) == 0);
    struct buf buf;
    buf_init(&buf, 100);
    assert_int_equal(wire_any_from_json(json, &buf, NULL), DR_OK);
    assert_int_equal(buf.len, 0);
    json_decref(json);
    buf_deinit(&buf);
}

/* ---- Forms that are accepted ---- */

static void reads_both_names_numbers_and_null(void **state)
{
    struct wire_dispatch_request request;
    struct slice text =
        SLICE("{\"calls\":[{\"correlation_id\":7,\"function\":\"f\",\"version\":null,\"more\":[{}],"
              "\"expiration\":\"0.5s\",\"input\":null},{\"correlationId\":\"8\"}],\"unknown\":1}");
    assert_int_equal(wire_dispatch_request_json_decode(text, *state, &request, NULL), DR_OK);
    assert_int_equal(request.n_calls, 2);
    assert_int_equal(request.calls[0].correlation_id, 7);
    assert_int_equal(request.calls[0].expiration_ns, S / 2);
    assert_null(request.calls[0].input.data);
    assert_int_equal(request.calls[1].correlation_id, 8);
}

static void reads_no_calls(void **state)
{
    struct wire_dispatch_request request = {.n_calls = 9};
    assert_int_equal(wire_dispatch_request_json_decode(SLICE("{}"), *state, &request, NULL), DR_OK);
    assert_int_equal(request.n_calls, 0);
    assert_int_equal(wire_dispatch_request_json_decode(SLICE("{\"calls\":[]}"), *state, &request, NULL),
                     DR_OK);
    assert_int_equal(wire_dispatch_request_json_decode(SLICE("{\"calls\":null}"), *state, &request, NULL),
                     DR_OK);
}

static void reads_a_status_by_name_or_number(void **state)
{
    struct wire_run_response response;
    assert_int_equal(
        wire_run_response_json_decode(SLICE("{\"status\":\"STATUS_THROTTLED\"}"), *state, &response, NULL),
        DR_OK);
    assert_int_equal(response.status, DR_STATUS_THROTTLED);
    assert_int_equal(wire_run_response_json_decode(SLICE("{\"status\":77}"), *state, &response, NULL), DR_OK);
    assert_int_equal(response.status, 77);
    struct buf buf;
    buf_init(&buf, 100);
    assert_int_equal(wire_run_response_json_encode(&response, &buf, NULL), DR_OK);
    assert_string_equal(buf_text(&buf), "{\"status\":77}");
    buf_deinit(&buf);
}

/* ---- Refusals ---- */

static void assert_refused(struct arena *arena, const char *text, const char *expected)
{
    struct wire_dispatch_request request = {.n_calls = 77};
    struct dr_error error = {0};
    assert_int_equal(wire_dispatch_request_json_decode(slice_text(text), arena, &request, &error),
                     DR_INVALID_ARGUMENT);
    if (strncmp(error.message, expected, strlen(expected)) != 0)
        assert_string_equal(error.message, expected);
    assert_int_equal(request.n_calls, 77);
}

static void refuses_wrong_json_by_name(void **state)
{
    assert_refused(*state, "", "unmarshal message: JSON, line 1: ");
    assert_refused(*state, "{\"calls\":", "unmarshal message: JSON, line 1: ");
    assert_refused(*state, "{} x", "unmarshal message: JSON, line 1: ");
    assert_refused(*state, "{\"a\":1,\"a\":2}", "unmarshal message: JSON, line 1: duplicate object key");
    assert_refused(*state, "{\"a\":\"\xff\"}", "unmarshal message: JSON, line 1: ");
    assert_refused(*state, "[]", "unmarshal message: the JSON is not an object");
    assert_refused(*state, "{\"calls\":{}}", "unmarshal message: calls is not an array");
    assert_refused(*state, "{\"calls\":[1]}",
                   "unmarshal message: calls holds something that is not an object");
    assert_refused(*state, "{\"calls\":[null]}",
                   "unmarshal message: calls holds something that is not an object");
    assert_refused(*state, "{\"calls\":[{\"function\":1}]}", "unmarshal message: function is not a string");
    assert_refused(*state, "{\"calls\":[{\"endpoint\":[]}]}", "unmarshal message: endpoint is not a string");
    assert_refused(*state, "{\"calls\":[{\"correlationId\":-1}]}",
                   "unmarshal message: correlation_id is not an unsigned integer");
    assert_refused(*state, "{\"calls\":[{\"correlationId\":1,\"correlation_id\":1}]}",
                   "unmarshal message: correlation_id comes twice");
    assert_refused(*state, "{\"calls\":[{\"expiration\":5}]}",
                   "unmarshal message: expiration is not a duration");
    assert_refused(*state, "{\"calls\":[{\"expiration\":\"-5s\"}]}",
                   "unmarshal message: expiration is negative");
    assert_refused(*state, "{\"calls\":[{\"input\":5}]}",
                   "unmarshal message: input is not an object with \"@type\"");
    assert_refused(*state, "{\"calls\":[{\"input\":{\"value\":5}}]}",
                   "unmarshal message: input has no \"@type\"");
    assert_refused(*state, "{\"calls\":[{\"input\":{\"@type\":5}}]}",
                   "unmarshal message: input has no \"@type\"");
    assert_refused(*state,
                   "{\"calls\":[{\"input\":{\"@type\":\"x/google.protobuf.BoolValue\",\"value\":5}}]}",
                   "unmarshal message: input has a value that is no x/google.protobuf.BoolValue");
    assert_refused(
        *state, "{\"calls\":[{\"input\":{\"@type\":\"x/google.protobuf.Int32Value\",\"value\":2147483648}}]}",
        "unmarshal message: input has a value that is no x/google.protobuf.Int32Value");
    assert_refused(*state,
                   "{\"calls\":[{\"input\":{\"@type\":\"x/google.protobuf.FloatValue\",\"value\":1e300}}]}",
                   "unmarshal message: input has a value that is no x/google.protobuf.FloatValue");
    assert_refused(*state, "{\"calls\":[{\"input\":{\"@type\":\"x/google.protobuf.Struct\",\"value\":[]}}]}",
                   "unmarshal message: input has a value that is no x/google.protobuf.Struct");
    assert_refused(*state, "{\"calls\":[{\"input\":{\"@type\":\"x/Y\",\"value\":\"***\"}}]}",
                   "unmarshal message: input has a value that is no x/Y");
}

static void refuses_both_arms_of_a_oneof(void **state)
{
    struct wire_run_request request;
    struct wire_run_response response;
    assert_int_equal(
        wire_run_request_json_decode(SLICE("{\"input\":{},\"pollResult\":{}}"), *state, &request, NULL),
        DR_INVALID_ARGUMENT);
    assert_int_equal(
        wire_run_response_json_decode(SLICE("{\"exit\":{},\"poll\":{}}"), *state, &response, NULL),
        DR_INVALID_ARGUMENT);
    assert_int_equal(wire_run_response_json_decode(
                         SLICE("{\"poll\":{\"coroutineState\":\"\",\"typedCoroutineState\":{}}}"), *state,
                         &response, NULL),
                     DR_INVALID_ARGUMENT);
}

static void bounds_nesting_and_number_of_values(void **state)
{
    static char text[3100000];
    memset(text, '[', sizeof(text) - 1);
    memcpy(text, "{\"a\":", 5);
    assert_refused(*state, text, "unmarshal message: nested deeper than 1000");
    for (size_t i = 5; i + 3 < sizeof(text); i += 3)
        memcpy(text + i, "[],", 3);
    memcpy(text + 5, "[", 1);
    assert_refused(*state, text, "unmarshal message: more than 1000000 values");
}

static void keeps_values_that_nest_to_the_limit(void **state)
{
    struct buf text;
    buf_init(&text, 100000);
    assert_int_equal(
        buf_append_text(&text, "{\"calls\":[{\"input\":{\"@type\":\"x/google.protobuf.Value\",\"value\":"),
        DR_OK);
    for (int i = 0; i < 990; i++)
        assert_int_equal(buf_append_text(&text, "["), DR_OK);
    for (int i = 0; i < 990; i++)
        assert_int_equal(buf_append_text(&text, "]"), DR_OK);
    assert_int_equal(buf_append_text(&text, "}}]}"), DR_OK);
    struct wire_dispatch_request request;
    assert_int_equal(wire_dispatch_request_json_decode(buf_slice(&text), *state, &request, NULL), DR_OK);
    struct buf again;
    buf_init(&again, 100000);
    assert_int_equal(wire_dispatch_request_json_encode(&request, &again, NULL), DR_OK);
    assert_slice_equal(buf_slice(&again), buf_slice(&text));
    buf_deinit(&text);
    buf_deinit(&again);
}

static void names_one_call_too_many(void **state)
{
    struct buf text;
    buf_init(&text, 100000);
    assert_int_equal(buf_append_text(&text, "{\"calls\":[{}"), DR_OK);
    for (unsigned i = 0; i < WIRE_CALLS_MAX; i++)
        assert_int_equal(buf_append_text(&text, ",{}"), DR_OK);
    assert_int_equal(buf_append_text(&text, "]}"), DR_OK);
    assert_refused(*state, buf_text(&text), "10001 calls in one request, the limit is 10000");
    buf_deinit(&text);
}

/* ---- Hostile bytes ---- */

static void decode_exact_copy(struct slice bytes)
{
    uint8_t *copy = mem_alloc(bytes.len);
    if (bytes.len > 0)
        memcpy(copy, bytes.data, bytes.len);
    struct arena arena;
    arena_init(&arena, 0);
    struct slice exact = slice_of(copy, bytes.len);
    struct wire_dispatch_request dispatch_request;
    struct wire_dispatch_response dispatch_response;
    struct wire_run_request run_request;
    struct wire_run_response run_response;
    struct wire_result result;
    (void)wire_dispatch_request_json_decode(exact, &arena, &dispatch_request, NULL);
    (void)wire_dispatch_response_json_decode(exact, &arena, &dispatch_response, NULL);
    (void)wire_run_request_json_decode(exact, &arena, &run_request, NULL);
    (void)wire_run_response_json_decode(exact, &arena, &run_response, NULL);
    (void)wire_result_json_decode(exact, &arena, &result, NULL);
    arena_deinit(&arena);
    mem_free(copy);
}

static void survives_every_cut_and_every_flipped_bit(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 10000);
    struct wire_run_request request = sample_run_request();
    struct wire_run_response responses[2] = {sample_poll_response(), sample_exit_response()};
    for (int i = 0; i < 3; i++) {
        buf_clear(&buf);
        assert_int_equal(i < 2 ? wire_run_response_json_encode(&responses[i], &buf, NULL)
                               : wire_run_request_json_encode(&request, &buf, NULL),
                         DR_OK);
        for (size_t len = 0; len <= buf.len; len++)
            decode_exact_copy(slice_of(buf.data, len));
        for (size_t bit = 0; bit < buf.len * 8; bit++) {
            buf.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            decode_exact_copy(buf_slice(&buf));
            buf.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
    }
    buf_deinit(&buf);
}

static dr_code encode_and_decode(void *arg)
{
    (void)arg;
    struct arena arena;
    struct buf buf;
    arena_init(&arena, 0);
    buf_init(&buf, 10000);
    struct wire_run_request request = sample_run_request(), request_out;
    dr_code code = wire_run_request_json_encode(&request, &buf, NULL);
    if (code == DR_OK)
        code = wire_run_request_json_decode(buf_slice(&buf), &arena, &request_out, NULL);
    arena_deinit(&arena);
    buf_deinit(&buf);
    return code;
}

static void survives_a_failed_allocation_anywhere(void **state)
{
    (void)state;
    assert_survives_allocation_faults(encode_and_decode, NULL);
}

/* jansson's own allocations fail too. (The library leaves jansson's allocator alone: it is the whole
 * process's.) Its lexer calls a failed allocation an invalid token, so that code is allowed here. */
static void survives_a_failed_allocation_inside_jansson(void **state)
{
    (void)state;
    json_set_alloc_funcs(mem_alloc, mem_free);
    bool is_through = false;
    for (unsigned long nth = 1; !is_through && nth < 10000; nth++) {
        mem_fault_set(nth);
        dr_code code = encode_and_decode(NULL);
        is_through = !mem_fault_hit();
        mem_fault_set(0);
        assert_true(code == DR_OK || (!is_through && (code == DR_NO_MEMORY || code == DR_INVALID_ARGUMENT)));
    }
    assert_true(is_through);
    json_set_alloc_funcs(malloc, free);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keeps_every_field_of_a_dispatch_request),
        TEST(keeps_every_field_of_a_run_request),
        TEST(keeps_every_field_of_both_run_responses),
        TEST(keeps_ids_and_results),
        TEST(shows_the_well_known_types_as_json),
        TEST(shows_other_types_as_base64),
        TEST(shows_broken_payloads_under_another_name),
        TEST(shows_the_empty_any_as_an_empty_object),
        TEST(reads_both_names_numbers_and_null),
        TEST(reads_no_calls),
        TEST(reads_a_status_by_name_or_number),
        TEST(refuses_wrong_json_by_name),
        TEST(refuses_both_arms_of_a_oneof),
        TEST(bounds_nesting_and_number_of_values),
        TEST(keeps_values_that_nest_to_the_limit),
        TEST(names_one_call_too_many),
        TEST(survives_every_cut_and_every_flipped_bit),
        TEST(survives_a_failed_allocation_anywhere),
        TEST(survives_a_failed_allocation_inside_jansson),
    };
    return cmocka_run_group_tests_name("wire json", tests, NULL, NULL);
}
