/* protobuf bytes -> the structs of types.h. One function per message, in the order of the schema. */
#include "wire/codec.h"

#include <dispatch/sdk/v1/dispatch.pb-c.h>

typedef Dispatch__Sdk__V1__Call pb_call;
typedef Dispatch__Sdk__V1__CallResult pb_result;
typedef Dispatch__Sdk__V1__Error pb_error;
typedef Dispatch__Sdk__V1__PollResult pb_poll_result;
typedef Dispatch__Sdk__V1__Poll pb_poll;
typedef Dispatch__Sdk__V1__Exit pb_exit;

/* The first failure stays; what follows it is skipped, so that the functions below read straight. */
struct decoder {
    struct arena *arena;
    struct dr_error *error;
    dr_code code;
};

static void fail(struct decoder *decoder, const char *field, const char *what)
{
    if (decoder->code == DR_OK)
        decoder->code = error_set(decoder->error, DR_INVALID_ARGUMENT, WIRE_UNMARSHAL "%s %s", field, what);
}

static struct slice take_bytes(protobuf_c_boolean is_present, ProtobufCBinaryData bytes)
{
    return is_present ? wire_present(slice_of(bytes.data, bytes.len)) : (struct slice){0};
}

static struct slice take_text(struct decoder *decoder, const char *field, protobuf_c_boolean is_present,
                              ProtobufCBinaryData bytes)
{
    struct slice text = take_bytes(is_present, bytes);
    if (!wire_is_utf8(text))
        fail(decoder, field, "is not UTF-8");
    return text;
}

static struct slice take_any(struct decoder *decoder, const char *field, protobuf_c_boolean is_present,
                             ProtobufCBinaryData bytes)
{
    struct slice any = take_bytes(is_present, bytes);
    if (any.len > 0 && wire_any_check(any, NULL) != DR_OK)
        fail(decoder, field, "is not a google.protobuf.Any");
    return any;
}

static int64_t take_duration(struct decoder *decoder, const char *field,
                             const Google__Protobuf__Duration *duration)
{
    if (!duration)
        return 0;
    struct wire_time time = {.seconds = duration->seconds, .nanos = duration->nanos};
    if (!wire_duration_is_valid(time))
        fail(decoder, field, "is out of the range of durations");
    else if (time.seconds < 0 || time.nanos < 0)
        fail(decoder, field, "is negative");
    return wire_time_ns(time);
}

static int64_t take_timestamp(struct decoder *decoder, const char *field,
                              const Google__Protobuf__Timestamp *timestamp)
{
    if (!timestamp)
        return 0;
    struct wire_time time = {.seconds = timestamp->seconds, .nanos = timestamp->nanos};
    if (!wire_timestamp_is_valid(time))
        fail(decoder, field, "is out of the range of timestamps");
    return wire_time_ns(time);
}

static void *take_array(struct decoder *decoder, size_t n, size_t size)
{
    if (n == 0 || decoder->code != DR_OK)
        return NULL;
    void *array = arena_zalloc(decoder->arena, n * size);
    if (!array)
        decoder->code = wire_no_memory(decoder->error);
    return array;
}

static void take_call(struct decoder *decoder, const pb_call *pb, struct wire_call *call)
{
    *call = (struct wire_call){
        .correlation_id = pb->correlation_id,
        .endpoint = take_text(decoder, "Call.endpoint", pb->has_endpoint, pb->endpoint),
        .function = take_text(decoder, "Call.function", pb->has_function, pb->function),
        .input = take_any(decoder, "Call.input", pb->has_input, pb->input),
        .expiration_ns = take_duration(decoder, "Call.expiration", pb->expiration),
        .version = take_text(decoder, "Call.version", pb->has_version, pb->version),
    };
}

static struct wire_call *take_calls(struct decoder *decoder, pb_call **pb, size_t n)
{
    struct wire_call *calls = take_array(decoder, n, sizeof(*calls));
    for (size_t i = 0; calls && i < n && decoder->code == DR_OK; i++)
        take_call(decoder, pb[i], &calls[i]);
    return calls;
}

static bool take_error(struct decoder *decoder, const pb_error *pb, struct wire_error *error)
{
    if (!pb)
        return false;
    *error = (struct wire_error){
        .type = take_text(decoder, "Error.type", pb->has_type, pb->type),
        .message = take_text(decoder, "Error.message", pb->has_message, pb->message),
        .value = take_bytes(pb->has_value, pb->value),
        .traceback = take_bytes(pb->has_traceback, pb->traceback),
    };
    return true;
}

static void take_result(struct decoder *decoder, const pb_result *pb, struct wire_result *result)
{
    *result = (struct wire_result){
        .correlation_id = pb->correlation_id,
        .output = take_any(decoder, "CallResult.output", pb->has_output, pb->output),
        .dispatch_id = take_text(decoder, "CallResult.dispatch_id", pb->has_dispatch_id, pb->dispatch_id),
    };
    result->has_error = take_error(decoder, pb->error, &result->error);
}

static void take_poll_result(struct decoder *decoder, const pb_poll_result *pb, struct wire_poll_result *poll)
{
    if (pb->state_case == DISPATCH__SDK__V1__POLL_RESULT__STATE_COROUTINE_STATE) {
        poll->state_arm = WIRE_STATE_BYTES;
        poll->state = take_bytes(1, pb->coroutine_state);
    } else if (pb->state_case == DISPATCH__SDK__V1__POLL_RESULT__STATE_TYPED_COROUTINE_STATE) {
        poll->state_arm = WIRE_STATE_TYPED;
        poll->state = take_any(decoder, "PollResult.typed_coroutine_state", 1, pb->typed_coroutine_state);
    }
    poll->n_results = pb->n_results;
    poll->results = take_array(decoder, pb->n_results, sizeof(*poll->results));
    for (size_t i = 0; poll->results && i < pb->n_results && decoder->code == DR_OK; i++)
        take_result(decoder, pb->results[i], &poll->results[i]);
    poll->has_error = take_error(decoder, pb->error, &poll->error);
}

static void take_exit(struct decoder *decoder, const pb_exit *pb, struct wire_run_response *response)
{
    response->has_result = pb->result != NULL;
    if (pb->result)
        take_result(decoder, pb->result, &response->result);
    response->has_tail_call = pb->tail_call != NULL;
    if (pb->tail_call)
        take_call(decoder, pb->tail_call, &response->tail_call);
}

static void take_poll(struct decoder *decoder, const pb_poll *pb, struct wire_poll *poll)
{
    if (pb->state_case == DISPATCH__SDK__V1__POLL__STATE_COROUTINE_STATE) {
        poll->state_arm = WIRE_STATE_BYTES;
        poll->state = take_bytes(1, pb->coroutine_state);
    } else if (pb->state_case == DISPATCH__SDK__V1__POLL__STATE_TYPED_COROUTINE_STATE) {
        poll->state_arm = WIRE_STATE_TYPED;
        poll->state = take_any(decoder, "Poll.typed_coroutine_state", 1, pb->typed_coroutine_state);
    }
    poll->n_calls = pb->n_calls;
    poll->calls = take_calls(decoder, pb->calls, pb->n_calls);
    poll->has_max_wait = pb->max_wait != NULL;
    poll->max_wait_ns = take_duration(decoder, "Poll.max_wait", pb->max_wait);
    poll->max_results = pb->max_results;
    poll->min_results = pb->min_results;
}

dr_code wire_dispatch_request_decode(struct slice bytes, struct arena *arena,
                                     struct wire_dispatch_request *ret_message, struct dr_error *error)
{
    struct ProtobufCMessage *message;
    dr_code code =
        wire_unpack(&dispatch__sdk__v1__dispatch_request__descriptor, bytes, arena, &message, error);
    if (code != DR_OK)
        return code;
    const Dispatch__Sdk__V1__DispatchRequest *pb = (const Dispatch__Sdk__V1__DispatchRequest *)message;
    if (pb->n_calls > WIRE_CALLS_MAX)
        return wire_too_many_calls(pb->n_calls, error);
    struct decoder decoder = {.arena = arena, .error = error};
    struct wire_call *calls = take_calls(&decoder, pb->calls, pb->n_calls);
    if (decoder.code == DR_OK)
        *ret_message = (struct wire_dispatch_request){.calls = calls, .n_calls = pb->n_calls};
    return decoder.code;
}

dr_code wire_too_many_calls(size_t n_calls, struct dr_error *error)
{
    return error_set(error, DR_INVALID_ARGUMENT, "%zu calls in one request, the limit is %u", n_calls,
                     WIRE_CALLS_MAX);
}

dr_code wire_dispatch_response_decode(struct slice bytes, struct arena *arena,
                                      struct wire_dispatch_response *ret_message, struct dr_error *error)
{
    struct ProtobufCMessage *message;
    dr_code code =
        wire_unpack(&dispatch__sdk__v1__dispatch_response__descriptor, bytes, arena, &message, error);
    if (code != DR_OK)
        return code;
    const Dispatch__Sdk__V1__DispatchResponse *pb = (const Dispatch__Sdk__V1__DispatchResponse *)message;
    struct decoder decoder = {.arena = arena, .error = error};
    struct slice *ids = take_array(&decoder, pb->n_dispatch_ids, sizeof(*ids));
    for (size_t i = 0; ids && i < pb->n_dispatch_ids; i++)
        ids[i] = take_text(&decoder, "DispatchResponse.dispatch_ids", 1, pb->dispatch_ids[i]);
    if (decoder.code == DR_OK)
        *ret_message =
            (struct wire_dispatch_response){.dispatch_ids = ids, .n_dispatch_ids = pb->n_dispatch_ids};
    return decoder.code;
}

dr_code wire_run_request_decode(struct slice bytes, struct arena *arena, struct wire_run_request *ret_message,
                                struct dr_error *error)
{
    struct ProtobufCMessage *message;
    dr_code code = wire_unpack(&dispatch__sdk__v1__run_request__descriptor, bytes, arena, &message, error);
    if (code != DR_OK)
        return code;
    const Dispatch__Sdk__V1__RunRequest *pb = (const Dispatch__Sdk__V1__RunRequest *)message;
    struct decoder decoder = {.arena = arena, .error = error};
    struct wire_run_request request = {
        .function = take_text(&decoder, "RunRequest.function", pb->has_function, pb->function),
        .dispatch_id = take_text(&decoder, "RunRequest.dispatch_id", pb->has_dispatch_id, pb->dispatch_id),
        .parent_dispatch_id = take_text(&decoder, "RunRequest.parent_dispatch_id", pb->has_parent_dispatch_id,
                                        pb->parent_dispatch_id),
        .root_dispatch_id = take_text(&decoder, "RunRequest.root_dispatch_id", pb->has_root_dispatch_id,
                                      pb->root_dispatch_id),
        .creation_ns = take_timestamp(&decoder, "RunRequest.creation_time", pb->creation_time),
        .expiration_ns = take_timestamp(&decoder, "RunRequest.expiration_time", pb->expiration_time),
    };
    if (pb->directive_case == DISPATCH__SDK__V1__RUN_REQUEST__DIRECTIVE_INPUT) {
        request.directive = WIRE_DIRECTIVE_INPUT;
        request.input = take_any(&decoder, "RunRequest.input", 1, pb->input);
    } else if (pb->directive_case == DISPATCH__SDK__V1__RUN_REQUEST__DIRECTIVE_POLL_RESULT) {
        request.directive = WIRE_DIRECTIVE_POLL_RESULT;
        take_poll_result(&decoder, pb->poll_result, &request.poll_result);
    }
    if (decoder.code == DR_OK)
        *ret_message = request;
    return decoder.code;
}

dr_code wire_run_response_decode(struct slice bytes, struct arena *arena,
                                 struct wire_run_response *ret_message, struct dr_error *error)
{
    struct ProtobufCMessage *message;
    dr_code code = wire_unpack(&dispatch__sdk__v1__run_response__descriptor, bytes, arena, &message, error);
    if (code != DR_OK)
        return code;
    const Dispatch__Sdk__V1__RunResponse *pb = (const Dispatch__Sdk__V1__RunResponse *)message;
    struct decoder decoder = {.arena = arena, .error = error};
    struct wire_run_response response = {.status = (dr_status)pb->status};
    if (pb->directive_case == DISPATCH__SDK__V1__RUN_RESPONSE__DIRECTIVE_EXIT) {
        response.outcome = WIRE_OUTCOME_EXIT;
        take_exit(&decoder, pb->exit, &response);
    } else if (pb->directive_case == DISPATCH__SDK__V1__RUN_RESPONSE__DIRECTIVE_POLL) {
        response.outcome = WIRE_OUTCOME_POLL;
        take_poll(&decoder, pb->poll, &response.poll);
    }
    if (decoder.code == DR_OK)
        *ret_message = response;
    return decoder.code;
}

dr_code wire_result_decode(struct slice bytes, struct arena *arena, struct wire_result *ret_message,
                           struct dr_error *error)
{
    struct ProtobufCMessage *message;
    dr_code code = wire_unpack(&dispatch__sdk__v1__call_result__descriptor, bytes, arena, &message, error);
    if (code != DR_OK)
        return code;
    struct decoder decoder = {.arena = arena, .error = error};
    struct wire_result result;
    take_result(&decoder, (const pb_result *)message, &result);
    if (decoder.code == DR_OK)
        *ret_message = result;
    return decoder.code;
}
