/* The structs of types.h -> protobuf bytes: protobuf-c's structs are made in a private arena, pointing at the
 * caller's bytes, and packed at the end of the buffer. */
#include "wire/codec.h"

#include <dispatch/sdk/v1/dispatch.pb-c.h>

typedef Dispatch__Sdk__V1__Call pb_call;
typedef Dispatch__Sdk__V1__CallResult pb_result;
typedef Dispatch__Sdk__V1__Error pb_error;
typedef Dispatch__Sdk__V1__PollResult pb_poll_result;
typedef Dispatch__Sdk__V1__Poll pb_poll;
typedef Dispatch__Sdk__V1__Exit pb_exit;

/* As in decode.c the first failure stays. A sub-message that could not be made is NULL, that is, absent;
 * nothing is packed then. */
struct encoder {
    struct arena arena;
    struct dr_error *error;
    dr_code code;
};

static void fail(struct encoder *encoder, const char *field, const char *what)
{
    if (encoder->code == DR_OK)
        encoder->code = error_set(encoder->error, DR_INVALID_ARGUMENT, "marshal message: %s %s", field, what);
}

static void *make(struct encoder *encoder, size_t size)
{
    void *data = encoder->code == DR_OK ? arena_alloc(&encoder->arena, size) : NULL;
    if (!data && encoder->code == DR_OK)
        encoder->code = wire_no_memory(encoder->error);
    return data;
}

static ProtobufCBinaryData borrow(struct slice bytes)
{
    /* protobuf-c only reads what it packs. */
    return (ProtobufCBinaryData){.len = bytes.len, .data = (uint8_t *)(uintptr_t)bytes.data};
}

static ProtobufCBinaryData put_text(struct encoder *encoder, const char *field, struct slice text)
{
    if (!wire_is_utf8(text))
        fail(encoder, field, "is not UTF-8");
    return borrow(text);
}

static Google__Protobuf__Duration *put_duration(struct encoder *encoder, const char *field, int64_t ns)
{
    Google__Protobuf__Duration *duration = make(encoder, sizeof(*duration));
    if (!duration)
        return NULL;
    if (ns < 0)
        fail(encoder, field, "is negative");
    struct wire_time time = wire_time_of_ns(ns);
    google__protobuf__duration__init(duration);
    duration->seconds = time.seconds;
    duration->nanos = time.nanos;
    return duration;
}

static Google__Protobuf__Timestamp *put_timestamp(struct encoder *encoder, int64_t ns)
{
    Google__Protobuf__Timestamp *timestamp = ns == 0 ? NULL : make(encoder, sizeof(*timestamp));
    if (!timestamp)
        return NULL;
    struct wire_time time = wire_time_of_ns(ns);
    google__protobuf__timestamp__init(timestamp);
    timestamp->seconds = time.seconds;
    timestamp->nanos = time.nanos;
    return timestamp;
}

static pb_call *put_call(struct encoder *encoder, const struct wire_call *call)
{
    pb_call *pb = make(encoder, sizeof(*pb));
    if (!pb)
        return NULL;
    dispatch__sdk__v1__call__init(pb);
    pb->has_correlation_id = call->correlation_id != 0;
    pb->correlation_id = call->correlation_id;
    pb->has_endpoint = call->endpoint.len > 0;
    pb->endpoint = put_text(encoder, "Call.endpoint", call->endpoint);
    pb->has_function = call->function.len > 0;
    pb->function = put_text(encoder, "Call.function", call->function);
    pb->has_input = call->input.data != NULL;
    pb->input = borrow(call->input);
    pb->expiration =
        call->expiration_ns ? put_duration(encoder, "Call.expiration", call->expiration_ns) : NULL;
    pb->has_version = call->version.len > 0;
    pb->version = put_text(encoder, "Call.version", call->version);
    return pb;
}

static pb_call **put_calls(struct encoder *encoder, const struct wire_call *calls, size_t n)
{
    pb_call **pb = n > 0 ? make(encoder, n * sizeof(*pb)) : NULL;
    for (size_t i = 0; pb && i < n; i++)
        pb[i] = put_call(encoder, &calls[i]);
    return pb;
}

static pb_error *put_error(struct encoder *encoder, const struct wire_error *error)
{
    pb_error *pb = make(encoder, sizeof(*pb));
    if (!pb)
        return NULL;
    dispatch__sdk__v1__error__init(pb);
    pb->has_type = error->type.len > 0;
    pb->type = put_text(encoder, "Error.type", error->type);
    pb->has_message = error->message.len > 0;
    pb->message = put_text(encoder, "Error.message", error->message);
    pb->has_value = error->value.len > 0;
    pb->value = borrow(error->value);
    pb->has_traceback = error->traceback.len > 0;
    pb->traceback = borrow(error->traceback);
    return pb;
}

static pb_result *put_result(struct encoder *encoder, const struct wire_result *result)
{
    pb_result *pb = make(encoder, sizeof(*pb));
    if (!pb)
        return NULL;
    dispatch__sdk__v1__call_result__init(pb);
    pb->has_correlation_id = result->correlation_id != 0;
    pb->correlation_id = result->correlation_id;
    pb->has_output = result->output.data != NULL;
    pb->output = borrow(result->output);
    pb->error = result->has_error ? put_error(encoder, &result->error) : NULL;
    pb->has_dispatch_id = result->dispatch_id.len > 0;
    pb->dispatch_id = put_text(encoder, "CallResult.dispatch_id", result->dispatch_id);
    return pb;
}

static pb_poll_result *put_poll_result(struct encoder *encoder, const struct wire_poll_result *poll)
{
    pb_poll_result *pb = make(encoder, sizeof(*pb));
    if (!pb)
        return NULL;
    dispatch__sdk__v1__poll_result__init(pb);
    if (poll->state_arm == WIRE_STATE_BYTES) {
        pb->state_case = DISPATCH__SDK__V1__POLL_RESULT__STATE_COROUTINE_STATE;
        pb->coroutine_state = borrow(poll->state);
    } else if (poll->state_arm == WIRE_STATE_TYPED) {
        pb->state_case = DISPATCH__SDK__V1__POLL_RESULT__STATE_TYPED_COROUTINE_STATE;
        pb->typed_coroutine_state = borrow(poll->state);
    }
    pb->n_results = poll->n_results;
    pb->results = poll->n_results > 0 ? make(encoder, poll->n_results * sizeof(*pb->results)) : NULL;
    for (size_t i = 0; pb->results && i < poll->n_results; i++)
        pb->results[i] = put_result(encoder, &poll->results[i]);
    pb->error = poll->has_error ? put_error(encoder, &poll->error) : NULL;
    return pb;
}

static pb_exit *put_exit(struct encoder *encoder, const struct wire_run_response *response)
{
    pb_exit *pb = make(encoder, sizeof(*pb));
    if (!pb)
        return NULL;
    dispatch__sdk__v1__exit__init(pb);
    pb->result = response->has_result ? put_result(encoder, &response->result) : NULL;
    pb->tail_call = response->has_tail_call ? put_call(encoder, &response->tail_call) : NULL;
    return pb;
}

static pb_poll *put_poll(struct encoder *encoder, const struct wire_poll *poll)
{
    pb_poll *pb = make(encoder, sizeof(*pb));
    if (!pb)
        return NULL;
    dispatch__sdk__v1__poll__init(pb);
    if (poll->state_arm == WIRE_STATE_BYTES) {
        pb->state_case = DISPATCH__SDK__V1__POLL__STATE_COROUTINE_STATE;
        pb->coroutine_state = borrow(poll->state);
    } else if (poll->state_arm == WIRE_STATE_TYPED) {
        pb->state_case = DISPATCH__SDK__V1__POLL__STATE_TYPED_COROUTINE_STATE;
        pb->typed_coroutine_state = borrow(poll->state);
    }
    pb->n_calls = poll->n_calls;
    pb->calls = put_calls(encoder, poll->calls, poll->n_calls);
    pb->max_wait = poll->has_max_wait ? put_duration(encoder, "Poll.max_wait", poll->max_wait_ns) : NULL;
    pb->has_max_results = poll->max_results != 0;
    pb->max_results = poll->max_results;
    pb->has_min_results = poll->min_results != 0;
    pb->min_results = poll->min_results;
    return pb;
}

static void start(struct encoder *encoder, struct dr_error *error)
{
    *encoder = (struct encoder){.error = error};
    arena_init(&encoder->arena, WIRE_SCRATCH_BYTES_MAX);
}

static dr_code finish(struct encoder *encoder, const ProtobufCMessage *message, struct buf *buf)
{
    if (encoder->code == DR_OK)
        encoder->code = wire_pack(message, buf, encoder->error);
    arena_deinit(&encoder->arena);
    return encoder->code;
}

dr_code wire_dispatch_request_encode(const struct wire_dispatch_request *message, struct buf *buf,
                                     struct dr_error *error)
{
    struct encoder encoder;
    start(&encoder, error);
    Dispatch__Sdk__V1__DispatchRequest pb = DISPATCH__SDK__V1__DISPATCH_REQUEST__INIT;
    pb.n_calls = message->n_calls;
    pb.calls = put_calls(&encoder, message->calls, message->n_calls);
    return finish(&encoder, &pb.base, buf);
}

dr_code wire_dispatch_response_encode(const struct wire_dispatch_response *message, struct buf *buf,
                                      struct dr_error *error)
{
    struct encoder encoder;
    start(&encoder, error);
    Dispatch__Sdk__V1__DispatchResponse pb = DISPATCH__SDK__V1__DISPATCH_RESPONSE__INIT;
    size_t n = message->n_dispatch_ids;
    pb.n_dispatch_ids = n;
    pb.dispatch_ids = n > 0 ? make(&encoder, n * sizeof(*pb.dispatch_ids)) : NULL;
    for (size_t i = 0; pb.dispatch_ids && i < n; i++)
        pb.dispatch_ids[i] = put_text(&encoder, "DispatchResponse.dispatch_ids", message->dispatch_ids[i]);
    return finish(&encoder, &pb.base, buf);
}

dr_code wire_run_request_encode(const struct wire_run_request *message, struct buf *buf,
                                struct dr_error *error)
{
    struct encoder encoder;
    start(&encoder, error);
    Dispatch__Sdk__V1__RunRequest pb = DISPATCH__SDK__V1__RUN_REQUEST__INIT;
    pb.has_function = message->function.len > 0;
    pb.function = put_text(&encoder, "RunRequest.function", message->function);
    if (message->directive == WIRE_DIRECTIVE_INPUT) {
        pb.directive_case = DISPATCH__SDK__V1__RUN_REQUEST__DIRECTIVE_INPUT;
        pb.input = borrow(message->input);
    } else if (message->directive == WIRE_DIRECTIVE_POLL_RESULT) {
        pb.directive_case = DISPATCH__SDK__V1__RUN_REQUEST__DIRECTIVE_POLL_RESULT;
        pb.poll_result = put_poll_result(&encoder, &message->poll_result);
    }
    pb.has_dispatch_id = message->dispatch_id.len > 0;
    pb.dispatch_id = put_text(&encoder, "RunRequest.dispatch_id", message->dispatch_id);
    pb.has_parent_dispatch_id = message->parent_dispatch_id.len > 0;
    pb.parent_dispatch_id = put_text(&encoder, "RunRequest.parent_dispatch_id", message->parent_dispatch_id);
    pb.has_root_dispatch_id = message->root_dispatch_id.len > 0;
    pb.root_dispatch_id = put_text(&encoder, "RunRequest.root_dispatch_id", message->root_dispatch_id);
    pb.creation_time = put_timestamp(&encoder, message->creation_ns);
    pb.expiration_time = put_timestamp(&encoder, message->expiration_ns);
    return finish(&encoder, &pb.base, buf);
}

dr_code wire_run_response_encode(const struct wire_run_response *message, struct buf *buf,
                                 struct dr_error *error)
{
    struct encoder encoder;
    start(&encoder, error);
    Dispatch__Sdk__V1__RunResponse pb = DISPATCH__SDK__V1__RUN_RESPONSE__INIT;
    pb.has_status = message->status != DR_STATUS_UNSPECIFIED;
    pb.status = (Dispatch__Sdk__V1__Status)message->status;
    if (message->outcome == WIRE_OUTCOME_EXIT) {
        pb.directive_case = DISPATCH__SDK__V1__RUN_RESPONSE__DIRECTIVE_EXIT;
        pb.exit = put_exit(&encoder, message);
    } else if (message->outcome == WIRE_OUTCOME_POLL) {
        pb.directive_case = DISPATCH__SDK__V1__RUN_RESPONSE__DIRECTIVE_POLL;
        pb.poll = put_poll(&encoder, &message->poll);
    }
    return finish(&encoder, &pb.base, buf);
}

dr_code wire_result_encode(const struct wire_result *message, struct buf *buf, struct dr_error *error)
{
    struct encoder encoder;
    start(&encoder, error);
    const pb_result *pb = put_result(&encoder, message);
    return finish(&encoder, pb ? &pb->base : NULL, buf);
}
