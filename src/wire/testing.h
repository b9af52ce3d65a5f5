/* What the tests of the codecs share: hex, and one message of each kind with every field set. Tests only. */
#ifndef WIRE_TESTING_H
#define WIRE_TESTING_H

#include "base/testing.h"
#include "wire/wire.h"

#define NS INT64_C(1)
#define S INT64_C(1000000000)

/* google.protobuf.StringValue "x" as an Any. */
#define SAMPLE_ANY "\x0a\x2ftype.googleapis.com/google.protobuf.StringValue\x12\x03\x0a\x01x"
#define SLICE(literal) slice_of(literal, sizeof(literal) - 1)

static inline struct slice unhex(struct arena *arena, const char *hex)
{
    size_t len = strlen(hex) / 2;
    uint8_t *data = arena_alloc(arena, len);
    assert_non_null(data);
    for (size_t i = 0; i < len; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        data[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return slice_of(data, len);
}

static inline void assert_slice_equal(struct slice a, struct slice b)
{
    assert_int_equal(a.len, b.len);
    if (a.len > 0)
        assert_memory_equal(a.data, b.data, a.len);
}

static inline void assert_text(struct slice a, const char *text)
{
    assert_slice_equal(a, slice_text(text));
}

static struct wire_call sample_calls[2] = {
    {.correlation_id = UINT64_MAX,
     .endpoint = {(const uint8_t *)"http://h:1", 10},
     .function = {(const uint8_t *)"f\xc3\xa9", 3},
     .input = {(const uint8_t *)SAMPLE_ANY, sizeof(SAMPLE_ANY) - 1},
     .expiration_ns = 90 * S + 5,
     .version = {(const uint8_t *)"v1", 2}},
    {.function = {(const uint8_t *)"g", 1}},
};

static struct wire_result sample_results[2] = {
    {.correlation_id = 7,
     .output = {(const uint8_t *)SAMPLE_ANY, sizeof(SAMPLE_ANY) - 1},
     .has_error = true,
     .error = {.type = {(const uint8_t *)"ValueError", 10},
               .message = {(const uint8_t *)"no \0 way", 8},
               .value = {(const uint8_t *)"\x80\x05N.", 4},
               .traceback = {(const uint8_t *)"File \xff", 6}},
     .dispatch_id = {(const uint8_t *)"0123456789abcdef0123456789abcdef", 32}},
    {.correlation_id = 8},
};

static inline struct wire_dispatch_request sample_dispatch_request(void)
{
    return (struct wire_dispatch_request){.calls = sample_calls, .n_calls = 2};
}

static inline struct wire_run_request sample_run_request(void)
{
    return (struct wire_run_request){
        .function = SLICE("f"),
        .directive = WIRE_DIRECTIVE_POLL_RESULT,
        .poll_result = {.state_arm = WIRE_STATE_TYPED,
                        .state = SLICE(SAMPLE_ANY),
                        .results = sample_results,
                        .n_results = 2,
                        .has_error = true,
                        .error = {.type = SLICE("E")}},
        .dispatch_id = SLICE("a"),
        .parent_dispatch_id = SLICE("b"),
        .root_dispatch_id = SLICE("c"),
        .creation_ns = 1700000000 * S + 1,
        .expiration_ns = 1700086400 * S,
    };
}

static inline struct wire_run_response sample_poll_response(void)
{
    return (struct wire_run_response){
        .status = DR_STATUS_OK,
        .outcome = WIRE_OUTCOME_POLL,
        .poll = {.state_arm = WIRE_STATE_BYTES,
                 .state = SLICE("\x00\xff"),
                 .calls = sample_calls,
                 .n_calls = 2,
                 .has_max_wait = true,
                 .max_wait_ns = 0,
                 .max_results = 10,
                 .min_results = -1},
    };
}

static inline struct wire_run_response sample_exit_response(void)
{
    return (struct wire_run_response){
        .status = DR_STATUS_TEMPORARY_ERROR,
        .outcome = WIRE_OUTCOME_EXIT,
        .has_result = true,
        .result = sample_results[0],
        .has_tail_call = true,
        .tail_call = sample_calls[0],
    };
}

static inline void assert_call_equal(const struct wire_call *a, const struct wire_call *b)
{
    assert_true(a->correlation_id == b->correlation_id);
    assert_slice_equal(a->endpoint, b->endpoint);
    assert_slice_equal(a->function, b->function);
    assert_int_equal(a->input.data != NULL, b->input.data != NULL);
    assert_slice_equal(a->input, b->input);
    assert_int_equal(a->expiration_ns, b->expiration_ns);
    assert_slice_equal(a->version, b->version);
}

static inline void assert_error_equal(const struct wire_error *a, const struct wire_error *b)
{
    assert_slice_equal(a->type, b->type);
    assert_slice_equal(a->message, b->message);
    assert_slice_equal(a->value, b->value);
    assert_slice_equal(a->traceback, b->traceback);
}

static inline void assert_result_equal(const struct wire_result *a, const struct wire_result *b)
{
    assert_true(a->correlation_id == b->correlation_id);
    assert_int_equal(a->output.data != NULL, b->output.data != NULL);
    assert_slice_equal(a->output, b->output);
    assert_int_equal(a->has_error, b->has_error);
    assert_error_equal(&a->error, &b->error);
    assert_slice_equal(a->dispatch_id, b->dispatch_id);
}

static inline void assert_run_request_equal(const struct wire_run_request *a,
                                            const struct wire_run_request *b)
{
    assert_slice_equal(a->function, b->function);
    assert_int_equal(a->directive, b->directive);
    assert_slice_equal(a->input, b->input);
    assert_int_equal(a->poll_result.state_arm, b->poll_result.state_arm);
    assert_slice_equal(a->poll_result.state, b->poll_result.state);
    assert_int_equal(a->poll_result.n_results, b->poll_result.n_results);
    for (size_t i = 0; i < a->poll_result.n_results; i++)
        assert_result_equal(&a->poll_result.results[i], &b->poll_result.results[i]);
    assert_int_equal(a->poll_result.has_error, b->poll_result.has_error);
    assert_error_equal(&a->poll_result.error, &b->poll_result.error);
    assert_slice_equal(a->dispatch_id, b->dispatch_id);
    assert_slice_equal(a->parent_dispatch_id, b->parent_dispatch_id);
    assert_slice_equal(a->root_dispatch_id, b->root_dispatch_id);
    assert_int_equal(a->creation_ns, b->creation_ns);
    assert_int_equal(a->expiration_ns, b->expiration_ns);
}

static inline void assert_run_response_equal(const struct wire_run_response *a,
                                             const struct wire_run_response *b)
{
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->outcome, b->outcome);
    assert_int_equal(a->has_result, b->has_result);
    assert_result_equal(&a->result, &b->result);
    assert_int_equal(a->has_tail_call, b->has_tail_call);
    assert_call_equal(&a->tail_call, &b->tail_call);
    assert_int_equal(a->poll.state_arm, b->poll.state_arm);
    assert_slice_equal(a->poll.state, b->poll.state);
    assert_int_equal(a->poll.n_calls, b->poll.n_calls);
    for (size_t i = 0; i < a->poll.n_calls; i++)
        assert_call_equal(&a->poll.calls[i], &b->poll.calls[i]);
    assert_int_equal(a->poll.has_max_wait, b->poll.has_max_wait);
    assert_int_equal(a->poll.max_wait_ns, b->poll.max_wait_ns);
    assert_int_equal(a->poll.max_results, b->poll.max_results);
    assert_int_equal(a->poll.min_results, b->poll.min_results);
}

#endif
