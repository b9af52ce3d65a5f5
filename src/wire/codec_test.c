/* Protobuf in both directions: byte vectors of the original SDKs, every field there and back, hostile bytes.
 */
#include "wire/testing.h"

#include "base/clock.h"
#include <google/protobuf/struct.pb-c.h>

#define VECTOR_DISPATCH                                                                                      \
    "0a470807120a687474703a2f2f683a311a016622340a2e747970652e676f6f676c65617069732e636f6d2f676f6f676c652e70" \
    "726f746f"                                                                                               \
    "6275662e496e74363456616c75651202082a"
#define VECTOR_EXIT                                                                                          \
    "0801123a0a3812360a2f747970652e676f6f676c65617069732e636f6d2f676f6f676c652e70726f746f6275662e537472696e" \
    "6756616c75"                                                                                             \
    "6512030a0178"

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

/* ---- Vectors ---- */

static void reads_and_writes_the_dispatch_request_of_the_python_sdk(void **state)
{
    struct slice bytes = unhex(*state, VECTOR_DISPATCH);
    struct wire_dispatch_request request;
    assert_int_equal(wire_dispatch_request_decode(bytes, *state, &request, NULL), DR_OK);
    assert_int_equal(request.n_calls, 1);
    assert_int_equal(request.calls[0].correlation_id, 7);
    assert_text(request.calls[0].endpoint, "http://h:1");
    assert_text(request.calls[0].function, "f");
    struct slice type_url, value;
    assert_int_equal(wire_any_split(request.calls[0].input, &type_url, &value, NULL), DR_OK);
    assert_text(type_url, "type.googleapis.com/google.protobuf.Int64Value");
    assert_slice_equal(value, SLICE("\x08\x2a"));

    struct buf buf;
    buf_init(&buf, 1000);
    assert_int_equal(wire_dispatch_request_encode(&request, &buf, NULL), DR_OK);
    assert_slice_equal(buf_slice(&buf), bytes);
    buf_deinit(&buf);
}

static void reads_and_writes_the_exit_of_the_python_sdk(void **state)
{
    struct slice bytes = unhex(*state, VECTOR_EXIT);
    struct wire_run_response response;
    assert_int_equal(wire_run_response_decode(bytes, *state, &response, NULL), DR_OK);
    assert_int_equal(response.status, DR_STATUS_OK);
    assert_int_equal(response.outcome, WIRE_OUTCOME_EXIT);
    assert_true(response.has_result && !response.has_tail_call && !response.result.has_error);
    assert_slice_equal(response.result.output, SLICE(SAMPLE_ANY));

    struct buf buf;
    buf_init(&buf, 1000);
    assert_int_equal(wire_run_response_encode(&response, &buf, NULL), DR_OK);
    assert_slice_equal(buf_slice(&buf), bytes);
    buf_deinit(&buf);
}

static void reads_and_writes_an_exit_without_a_value(void **state)
{
    struct slice bytes = unhex(*state, "080112020a00");
    struct wire_run_response response;
    assert_int_equal(wire_run_response_decode(bytes, *state, &response, NULL), DR_OK);
    assert_true(response.has_result);
    assert_null(response.result.output.data);

    struct buf buf;
    buf_init(&buf, 1000);
    assert_int_equal(wire_run_response_encode(&response, &buf, NULL), DR_OK);
    assert_slice_equal(buf_slice(&buf), bytes);
    buf_deinit(&buf);
}

static void reads_and_writes_a_run_request_without_directive(void **state)
{
    struct slice bytes = unhex(*state, "0a046563686f220131320131");
    struct wire_run_request request;
    assert_int_equal(wire_run_request_decode(bytes, *state, &request, NULL), DR_OK);
    assert_text(request.function, "echo");
    assert_int_equal(request.directive, WIRE_DIRECTIVE_NONE);
    assert_text(request.dispatch_id, "1");
    assert_text(request.root_dispatch_id, "1");
    assert_int_equal(request.parent_dispatch_id.len, 0);

    struct buf buf;
    buf_init(&buf, 1000);
    assert_int_equal(wire_run_request_encode(&request, &buf, NULL), DR_OK);
    assert_slice_equal(buf_slice(&buf), bytes);
    buf_deinit(&buf);
}

/* ---- There and back ---- */

static void keeps_every_field_of_a_dispatch_request(void **state)
{
    struct wire_dispatch_request in = sample_dispatch_request(), out;
    struct buf buf;
    buf_init(&buf, 10000);
    assert_int_equal(wire_dispatch_request_encode(&in, &buf, NULL), DR_OK);
    assert_int_equal(wire_dispatch_request_decode(buf_slice(&buf), *state, &out, NULL), DR_OK);
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
    assert_int_equal(wire_run_request_encode(&in, &buf, NULL), DR_OK);
    assert_int_equal(wire_run_request_decode(buf_slice(&buf), *state, &out, NULL), DR_OK);
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
        assert_int_equal(wire_run_response_encode(&samples[i], &buf, NULL), DR_OK);
        assert_int_equal(wire_run_response_decode(buf_slice(&buf), *state, &out, NULL), DR_OK);
        assert_run_response_equal(&samples[i], &out);
        buf_deinit(&buf);
    }
}

static void keeps_the_ids_of_a_dispatch_response_in_order(void **state)
{
    struct slice ids[3] = {SLICE("b"), SLICE("a"), SLICE("")};
    struct wire_dispatch_response in = {.dispatch_ids = ids, .n_dispatch_ids = 3}, out;
    struct buf buf;
    buf_init(&buf, 1000);
    assert_int_equal(wire_dispatch_response_encode(&in, &buf, NULL), DR_OK);
    assert_slice_equal(buf_slice(&buf), SLICE("\x0a\x01"
                                              "b\x0a\x01"
                                              "a\x0a\x00"));
    assert_int_equal(wire_dispatch_response_decode(buf_slice(&buf), *state, &out, NULL), DR_OK);
    assert_int_equal(out.n_dispatch_ids, 3);
    for (int i = 0; i < 3; i++)
        assert_slice_equal(out.dispatch_ids[i], ids[i]);
    buf_deinit(&buf);
}

static void keeps_an_empty_state_apart_from_no_state(void **state)
{
    struct wire_run_request in = {.directive = WIRE_DIRECTIVE_POLL_RESULT}, out;
    for (int arm = WIRE_STATE_NONE; arm <= WIRE_STATE_TYPED; arm++) {
        struct buf buf;
        buf_init(&buf, 1000);
        in.poll_result.state_arm = (enum wire_state_arm)arm;
        assert_int_equal(wire_run_request_encode(&in, &buf, NULL), DR_OK);
        assert_int_equal(wire_run_request_decode(buf_slice(&buf), *state, &out, NULL), DR_OK);
        assert_int_equal(out.poll_result.state_arm, arm);
        assert_int_equal(out.poll_result.state.data != NULL, arm != WIRE_STATE_NONE);
        buf_deinit(&buf);
    }
}

static void passes_an_any_through_byte_for_byte(void **state)
{
    /* Value before type URL, an unknown field, an overlong length: another encoder would not write it so. */
    struct slice odd = SLICE("\x12\x80\x00\x1a\x01z\x0a\x81\x00u");
    struct wire_result in = {.output = odd}, out;
    struct buf buf;
    buf_init(&buf, 1000);
    assert_int_equal(wire_result_encode(&in, &buf, NULL), DR_OK);
    assert_int_equal(wire_result_decode(buf_slice(&buf), *state, &out, NULL), DR_OK);
    assert_slice_equal(out.output, odd);
    buf_deinit(&buf);
}

static void reads_no_bytes_as_the_empty_message(void **state)
{
    struct wire_dispatch_request request = {.n_calls = 9};
    assert_int_equal(wire_dispatch_request_decode((struct slice){0}, *state, &request, NULL), DR_OK);
    assert_int_equal(request.n_calls, 0);
    struct wire_run_response response;
    assert_int_equal(wire_run_response_decode((struct slice){0}, *state, &response, NULL), DR_OK);
    assert_int_equal(response.status, DR_STATUS_UNSPECIFIED);
    assert_int_equal(response.outcome, WIRE_OUTCOME_NONE);
}

/* ---- Rules of protobuf ---- */

static void ignores_unknown_fields(void **state)
{
    struct wire_result result;
    struct slice bytes = SLICE("\xa0\x06\x01"
                               "\xa2\x06\x02zz"
                               "\xa9\x06"
                               "12345678"
                               "\xad\x06"
                               "1234"
                               "\x08\x05");
    assert_int_equal(wire_result_decode(bytes, *state, &result, NULL), DR_OK);
    assert_int_equal(result.correlation_id, 5);
}

static void keeps_unknown_status_numbers(void **state)
{
    struct wire_run_response response;
    assert_int_equal(wire_run_response_decode(SLICE("\x08\xe7\x07"), *state, &response, NULL), DR_OK);
    assert_int_equal(response.status, 999);
    struct buf buf;
    buf_init(&buf, 100);
    assert_int_equal(wire_run_response_encode(&response, &buf, NULL), DR_OK);
    assert_slice_equal(buf_slice(&buf), SLICE("\x08\xe7\x07"));
    buf_deinit(&buf);
}

static void merges_a_message_field_that_comes_twice(void **state)
{
    /* error {type "A"} and error {message "B"}; correlation_id 1, then 2 */
    struct wire_result result;
    struct slice bytes = SLICE("\x1a\x03\x0a\x01"
                               "A\x1a\x03\x12\x01"
                               "B\x08\x01\x08\x02");
    assert_int_equal(wire_result_decode(bytes, *state, &result, NULL), DR_OK);
    assert_text(result.error.type, "A");
    assert_text(result.error.message, "B");
    assert_int_equal(result.correlation_id, 2);
}

static void takes_the_last_arm_of_a_oneof(void **state)
{
    /* poll_result {}, then input; exit {}, then poll {} */
    struct wire_run_request request;
    assert_int_equal(wire_run_request_decode(SLICE("\x1a\x00\x12\x00"), *state, &request, NULL), DR_OK);
    assert_int_equal(request.directive, WIRE_DIRECTIVE_INPUT);
    assert_non_null(request.input.data);
    struct wire_run_response response;
    assert_int_equal(wire_run_response_decode(SLICE("\x12\x00\x1a\x00"), *state, &response, NULL), DR_OK);
    assert_int_equal(response.outcome, WIRE_OUTCOME_POLL);
    assert_int_equal(wire_run_response_decode(SLICE("\x12\x02\x0a\x00\x12\x00"), *state, &response, NULL),
                     DR_OK);
    assert_int_equal(response.outcome, WIRE_OUTCOME_EXIT);
}

/* ---- Refusals ---- */

static void assert_refused(struct arena *arena, struct slice call, const char *expected)
{
    uint8_t bytes[200] = {0x0a, (uint8_t)call.len};
    assert_true(call.len < 128);
    memcpy(bytes + 2, call.data, call.len);
    struct wire_dispatch_request request = {.n_calls = 77};
    struct dr_error error = {0};
    assert_int_equal(wire_dispatch_request_decode(slice_of(bytes, call.len + 2), arena, &request, &error),
                     DR_INVALID_ARGUMENT);
    assert_string_equal(error.message, expected);
    assert_int_equal(request.n_calls, 77);
}

static void refuses_wrong_fields_by_name(void **state)
{
    assert_refused(*state, SLICE("\x12\x02\xc3\x28"), "unmarshal message: Call.endpoint is not UTF-8");
    assert_refused(*state, SLICE("\x1a\x01\xff"), "unmarshal message: Call.function is not UTF-8");
    assert_refused(*state, SLICE("\x32\x03\xed\xa0\x80"), "unmarshal message: Call.version is not UTF-8");
    assert_refused(*state, SLICE("\x22\x02zz"), "unmarshal message: Call.input is not a google.protobuf.Any");
    assert_refused(*state, SLICE("\x22\x02\x08\x01"),
                   "unmarshal message: Call.input is not a google.protobuf.Any");
    assert_refused(*state, SLICE("\x22\x03\x0a\x01\xff"),
                   "unmarshal message: Call.input is not a google.protobuf.Any");
    assert_refused(*state, SLICE("\x2a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
                   "unmarshal message: Call.expiration is negative");
    assert_refused(*state, SLICE("\x2a\x0b\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
                   "unmarshal message: Call.expiration is negative");
    assert_refused(*state, SLICE("\x2a\x06\x10\x80\x94\xeb\xdc\x03"),
                   "unmarshal message: Call.expiration is out of the range of durations");
    assert_refused(*state,
                   SLICE("\x1a\x05"
                         "ab"),
                   "unmarshal message: dispatch.sdk.v1.Call: the message is cut off");
    assert_refused(*state, SLICE("\x07"), "unmarshal message: dispatch.sdk.v1.Call: malformed field");
    assert_refused(*state, SLICE("\x00\x00"), "unmarshal message: dispatch.sdk.v1.Call: malformed field");
    assert_refused(*state, SLICE("\x0b\x0c"), "unmarshal message: dispatch.sdk.v1.Call: malformed field");
    assert_refused(*state, SLICE("\x18\x01"),
                   "unmarshal message: dispatch.sdk.v1.DispatchRequest: a field has the wrong type");
    assert_refused(*state, SLICE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
                   "unmarshal message: dispatch.sdk.v1.Call: malformed field");
}

static void refuses_a_timestamp_before_the_year_1(void **state)
{
    struct wire_run_request request;
    struct dr_error error = {0};
    struct slice bytes = SLICE("\x3a\x0b\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01");
    assert_int_equal(wire_run_request_decode(bytes, *state, &request, &error), DR_INVALID_ARGUMENT);
    assert_string_equal(error.message,
                        "unmarshal message: RunRequest.creation_time is out of the range of timestamps");
}

static void reads_a_duration_of_ten_thousand_years_as_for_ever(void **state)
{
    struct wire_dispatch_request request;
    /* 315,576,000,000 s */
    struct slice bytes = SLICE("\x0a\x09\x2a\x07\x08\x80\xbc\xae\xce\x97\x09");
    assert_int_equal(wire_dispatch_request_decode(bytes, *state, &request, NULL), DR_OK);
    assert_int_equal(request.calls[0].expiration_ns, TIME_NEVER);
}

static void refuses_to_write_what_no_reader_takes(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    struct dr_error error = {0};
    struct wire_call call = {.function = SLICE("f"), .expiration_ns = -1};
    struct wire_dispatch_request request = {.calls = &call, .n_calls = 1};
    assert_int_equal(wire_dispatch_request_encode(&request, &buf, &error), DR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "marshal message: Call.expiration is negative");
    call = (struct wire_call){.function = SLICE("\xff")};
    assert_int_equal(wire_dispatch_request_encode(&request, &buf, &error), DR_INVALID_ARGUMENT);
    assert_int_equal(buf.len, 0);
    buf_deinit(&buf);
}

static void stops_at_the_end_of_the_buffer(void **state)
{
    (void)state;
    struct wire_dispatch_request request = sample_dispatch_request();
    struct buf buf;
    buf_init(&buf, 20);
    assert_int_equal(buf_append_text(&buf, "before"), DR_OK);
    assert_int_equal(wire_dispatch_request_encode(&request, &buf, NULL), DR_RESOURCE_EXHAUSTED);
    assert_text(buf_slice(&buf), "before");
    buf_deinit(&buf);
}

/* ---- Limits ---- */

static struct slice repeat(struct arena *arena, const char *unit, size_t unit_len, size_t n)
{
    uint8_t *data = arena_alloc(arena, unit_len * n);
    assert_non_null(data);
    for (size_t i = 0; i < n; i++)
        memcpy(data + i * unit_len, unit, unit_len);
    return slice_of(data, unit_len * n);
}

static void takes_ten_thousand_calls_and_names_one_too_many(void **state)
{
    struct wire_dispatch_request request;
    struct dr_error error = {0};
    struct slice full = repeat(*state,
                               "\x0a\x03\x1a\x01"
                               "f",
                               5, WIRE_CALLS_MAX);
    assert_int_equal(wire_dispatch_request_decode(full, *state, &request, &error), DR_OK);
    assert_int_equal(request.n_calls, WIRE_CALLS_MAX);
    struct slice over = repeat(*state,
                               "\x0a\x03\x1a\x01"
                               "f",
                               5, WIRE_CALLS_MAX + 1);
    assert_int_equal(wire_dispatch_request_decode(over, *state, &request, &error), DR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "10001 calls in one request, the limit is 10000");
}

static void refuses_a_bomb_of_tiny_fields_before_it_takes_memory(void **state)
{
    struct slice bomb = repeat(*state, "\x0a\x00", 2, 7000000);
    struct arena arena;
    arena_init(&arena, 0);
    struct wire_dispatch_request request;
    assert_int_equal(wire_dispatch_request_decode(bomb, &arena, &request, NULL), DR_INVALID_ARGUMENT);
    assert_int_equal(arena.used_bytes, 0);
    arena_deinit(&arena);
}

static void refuses_more_than_sixteen_million_bytes(void **state)
{
    struct slice big = repeat(*state, "\xa0\x06\x01", 3, WIRE_MESSAGE_BYTES_MAX / 3 + 1);
    struct wire_dispatch_request request;
    struct dr_error error = {0};
    assert_int_equal(wire_dispatch_request_decode(big, *state, &request, &error), DR_RESOURCE_EXHAUSTED);
    assert_string_equal(error.message,
                        "unmarshal message: the message has 16000002 bytes, the limit is 16000000");
}

/* Value { list_value { values { list_value ... } } }: two levels of messages for each level of the list. */
static struct slice nested_list(struct arena *arena, unsigned n_levels)
{
    size_t cap = 10 * (size_t)n_levels + 10;
    uint8_t *data = arena_alloc(arena, cap);
    size_t at = cap;
    for (unsigned i = 0; i < n_levels; i++) {
        for (int tag = 0x0a; tag <= 0x32; tag += 0x28) { /* ListValue.values, then Value.list_value */
            size_t len = cap - at;
            data[--at] = (uint8_t)(len >> 14);
            data[--at] = (uint8_t)(len >> 7 | 0x80);
            data[--at] = (uint8_t)(len | 0x80);
            data[--at] = (uint8_t)tag;
        }
    }
    return slice_of(data + at, cap - at);
}

static void bounds_the_nesting_of_values(void **state)
{
    ProtobufCMessage *message = NULL;
    struct slice allowed = nested_list(*state, WIRE_DEPTH_MAX / 2 - 1);
    assert_int_equal(wire_unpack(&google__protobuf__value__descriptor, allowed, *state, &message, NULL),
                     DR_OK);
    struct dr_error error = {0};
    struct slice deep = nested_list(*state, 100000);
    assert_int_equal(wire_unpack(&google__protobuf__value__descriptor, deep, *state, &message, &error),
                     DR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "unmarshal message: nested deeper than 1000");
}

static void refuses_nul_in_text_that_a_char_pointer_would_cut(void **state)
{
    ProtobufCMessage *message = NULL;
    struct dr_error error = {0};
    assert_int_equal(wire_unpack(&google__protobuf__value__descriptor,
                                 SLICE("\x1a\x03"
                                       "a\0b"),
                                 *state, &message, &error),
                     DR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "unmarshal message: google.protobuf.Value.string_value holds a NUL");
}

/* ---- Hostile bytes ---- */

static void decode_as_everything(struct slice bytes)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct wire_dispatch_request dispatch_request;
    struct wire_dispatch_response dispatch_response;
    struct wire_run_request run_request;
    struct wire_run_response run_response;
    struct wire_result result;
    (void)wire_dispatch_request_decode(bytes, &arena, &dispatch_request, NULL);
    (void)wire_dispatch_response_decode(bytes, &arena, &dispatch_response, NULL);
    (void)wire_run_request_decode(bytes, &arena, &run_request, NULL);
    (void)wire_run_response_decode(bytes, &arena, &run_response, NULL);
    (void)wire_result_decode(bytes, &arena, &result, NULL);
    arena_deinit(&arena);
}

/* On the heap in its exact size, so that the sanitizer sees one byte too many. */
static void decode_exact_copy(struct slice bytes)
{
    uint8_t *copy = mem_alloc(bytes.len);
    if (bytes.len > 0)
        memcpy(copy, bytes.data, bytes.len);
    decode_as_everything(slice_of(copy, bytes.len));
    mem_free(copy);
}

static void cut_and_flip(struct slice bytes)
{
    for (size_t len = 0; len <= bytes.len; len++)
        decode_exact_copy(slice_of(bytes.data, len));
    uint8_t *copy = mem_alloc(bytes.len);
    memcpy(copy, bytes.data, bytes.len);
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        copy[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        decode_exact_copy(slice_of(copy, bytes.len));
        copy[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    mem_free(copy);
}

static void survives_every_cut_and_every_flipped_bit(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 10000);
    struct wire_dispatch_request dispatch_request = sample_dispatch_request();
    assert_int_equal(wire_dispatch_request_encode(&dispatch_request, &buf, NULL), DR_OK);
    cut_and_flip(buf_slice(&buf));
    buf_clear(&buf);
    struct wire_run_request run_request = sample_run_request();
    assert_int_equal(wire_run_request_encode(&run_request, &buf, NULL), DR_OK);
    cut_and_flip(buf_slice(&buf));
    struct wire_run_response responses[2] = {sample_poll_response(), sample_exit_response()};
    for (int i = 0; i < 2; i++) {
        buf_clear(&buf);
        assert_int_equal(wire_run_response_encode(&responses[i], &buf, NULL), DR_OK);
        cut_and_flip(buf_slice(&buf));
    }
    buf_deinit(&buf);
}

/* A cut inside a field is always noticed; a cut between fields of the outermost message is another valid
 * message. */
static void notices_a_cut_inside_a_call(void **state)
{
    struct slice bytes = unhex(*state, VECTOR_DISPATCH);
    struct wire_dispatch_request request;
    for (size_t len = 1; len < bytes.len; len++)
        assert_int_equal(wire_dispatch_request_decode(slice_of(bytes.data, len), *state, &request, NULL),
                         DR_INVALID_ARGUMENT);
}

static dr_code encode_and_decode(void *arg)
{
    (void)arg;
    struct arena arena;
    struct buf buf;
    arena_init(&arena, 0);
    buf_init(&buf, 10000);
    struct wire_run_request request = sample_run_request(), request_out;
    struct wire_run_response response = sample_poll_response(), response_out;
    dr_code code = wire_run_request_encode(&request, &buf, NULL);
    if (code == DR_OK)
        code = wire_run_request_decode(buf_slice(&buf), &arena, &request_out, NULL);
    buf_clear(&buf);
    if (code == DR_OK)
        code = wire_run_response_encode(&response, &buf, NULL);
    arena_reset(&arena);
    if (code == DR_OK)
        code = wire_run_response_decode(buf_slice(&buf), &arena, &response_out, NULL);
    arena_deinit(&arena);
    buf_deinit(&buf);
    return code;
}

static void survives_a_failed_allocation_anywhere(void **state)
{
    (void)state;
    assert_survives_allocation_faults(encode_and_decode, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_and_writes_the_dispatch_request_of_the_python_sdk),
        TEST(reads_and_writes_the_exit_of_the_python_sdk),
        TEST(reads_and_writes_an_exit_without_a_value),
        TEST(reads_and_writes_a_run_request_without_directive),
        TEST(keeps_every_field_of_a_dispatch_request),
        TEST(keeps_every_field_of_a_run_request),
        TEST(keeps_every_field_of_both_run_responses),
        TEST(keeps_the_ids_of_a_dispatch_response_in_order),
        TEST(keeps_an_empty_state_apart_from_no_state),
        TEST(passes_an_any_through_byte_for_byte),
        TEST(reads_no_bytes_as_the_empty_message),
        TEST(ignores_unknown_fields),
        TEST(keeps_unknown_status_numbers),
        TEST(merges_a_message_field_that_comes_twice),
        TEST(takes_the_last_arm_of_a_oneof),
        TEST(refuses_wrong_fields_by_name),
        TEST(refuses_a_timestamp_before_the_year_1),
        TEST(reads_a_duration_of_ten_thousand_years_as_for_ever),
        TEST(refuses_to_write_what_no_reader_takes),
        TEST(stops_at_the_end_of_the_buffer),
        TEST(takes_ten_thousand_calls_and_names_one_too_many),
        TEST(refuses_a_bomb_of_tiny_fields_before_it_takes_memory),
        TEST(refuses_more_than_sixteen_million_bytes),
        TEST(bounds_the_nesting_of_values),
        TEST(refuses_nul_in_text_that_a_char_pointer_would_cut),
        TEST(survives_every_cut_and_every_flipped_bit),
        TEST(notices_a_cut_inside_a_call),
        TEST(survives_a_failed_allocation_anywhere),
    };
    return cmocka_run_group_tests_name("wire codec", tests, NULL, NULL);
}
