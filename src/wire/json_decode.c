/* JSON -> the structs of types.h. Mirrors decode.c, in the same order.
 *
 * What a decoded struct points to is copied into the arena: the JSON tree is freed before the decoder
 * returns. */
#include "wire/json.h"

#include "base/mem.h"

struct decoder {
    struct arena *arena;
    struct dr_error *error;
    dr_code code; /* the first failure; what follows it is skipped */
};

static void fail(struct decoder *decoder, const char *field, const char *what)
{
    if (decoder->code == DR_OK)
        decoder->code = error_set(decoder->error, DR_INVALID_ARGUMENT, WIRE_UNMARSHAL "%s %s", field, what);
}

static void fail_no_memory(struct decoder *decoder)
{
    if (decoder->code == DR_OK)
        decoder->code = wire_no_memory(decoder->error);
}

/* ---- Fields ---- */

static const json_t *get(struct decoder *decoder, const json_t *object, const char *name)
{
    const json_t *field = wire_json_get(object, name);
    const json_t *original = json_object_get(object, name);
    if (original && field && original != field)
        fail(decoder, name, "comes twice");
    return field;
}

static const json_t *get_object(struct decoder *decoder, const json_t *object, const char *name)
{
    const json_t *field = get(decoder, object, name);
    if (field && !json_is_object(field)) {
        fail(decoder, name, "is not an object");
        return NULL;
    }
    return field;
}

static const json_t *get_array(struct decoder *decoder, const json_t *object, const char *name)
{
    const json_t *field = get(decoder, object, name);
    if (field && !json_is_array(field)) {
        fail(decoder, name, "is not an array");
        return NULL;
    }
    return field;
}

static struct slice keep(struct decoder *decoder, struct slice bytes)
{
    if (decoder->code != DR_OK)
        return (struct slice){0};
    const char *copy = arena_copy(decoder->arena, bytes);
    if (!copy)
        fail_no_memory(decoder);
    return copy ? slice_of(copy, bytes.len) : (struct slice){0};
}

static struct slice take_text(struct decoder *decoder, const json_t *object, const char *name)
{
    const json_t *field = get(decoder, object, name);
    if (!field)
        return (struct slice){0};
    if (!json_is_string(field)) {
        fail(decoder, name, "is not a string");
        return (struct slice){0};
    }
    return keep(decoder, slice_of(json_string_value(field), json_string_length(field)));
}

static struct slice take_base64(struct decoder *decoder, const json_t *field, const char *name)
{
    if (!field || decoder->code != DR_OK)
        return (struct slice){0};
    struct buf bytes;
    buf_init(&bytes, WIRE_MESSAGE_BYTES_MAX);
    struct slice text = slice_of(json_string_value(field), json_string_length(field));
    dr_code code = json_is_string(field) ? wire_base64_decode(text, &bytes) : DR_INVALID_ARGUMENT;
    struct slice kept = code == DR_OK ? keep(decoder, wire_present(buf_slice(&bytes))) : (struct slice){0};
    buf_deinit(&bytes);
    if (code == DR_NO_MEMORY)
        fail_no_memory(decoder);
    else if (code != DR_OK)
        fail(decoder, name, "is not base64");
    return kept;
}

static struct slice take_any(struct decoder *decoder, const json_t *field, const char *name)
{
    if (!field || decoder->code != DR_OK)
        return (struct slice){0};
    struct buf any;
    struct dr_error reason = {0};
    buf_init(&any, WIRE_MESSAGE_BYTES_MAX);
    dr_code code = wire_any_from_json(field, &any, &reason);
    struct slice kept = code == DR_OK ? keep(decoder, wire_present(buf_slice(&any))) : (struct slice){0};
    buf_deinit(&any);
    if (code == DR_NO_MEMORY)
        fail_no_memory(decoder);
    else if (code != DR_OK)
        fail(decoder, name, reason.message);
    return kept;
}

static uint64_t take_unsigned(struct decoder *decoder, const json_t *object, const char *name)
{
    const json_t *field = get(decoder, object, name);
    uint64_t number = 0;
    if (field && !wire_json_unsigned(field, &number))
        fail(decoder, name, "is not an unsigned integer");
    return number;
}

static int32_t take_int32(struct decoder *decoder, const json_t *object, const char *name)
{
    const json_t *field = get(decoder, object, name);
    int64_t number = 0;
    if (field && (!wire_json_signed(field, &number) || number < INT32_MIN || number > INT32_MAX)) {
        fail(decoder, name, "is not a 32-bit integer");
        return 0;
    }
    return (int32_t)number;
}

static int64_t take_duration(struct decoder *decoder, const json_t *field, const char *name)
{
    if (!field)
        return 0;
    struct wire_time time = {0};
    struct slice text = slice_of(json_string_value(field), json_string_length(field));
    if (!json_is_string(field) || !wire_duration_parse(text, &time))
        fail(decoder, name, "is not a duration such as \"1.5s\"");
    else if (time.seconds < 0 || time.nanos < 0)
        fail(decoder, name, "is negative");
    return wire_time_ns(time);
}

static int64_t take_timestamp(struct decoder *decoder, const json_t *object, const char *name)
{
    const json_t *field = get(decoder, object, name);
    if (!field)
        return 0;
    struct wire_time time = {0};
    struct slice text = slice_of(json_string_value(field), json_string_length(field));
    if (!json_is_string(field) || !wire_timestamp_parse(text, &time))
        fail(decoder, name, "is not a time such as \"2024-06-01T12:00:00Z\"");
    return wire_time_ns(time);
}

static dr_status take_status(struct decoder *decoder, const json_t *object, const char *name)
{
    const json_t *field = get(decoder, object, name);
    int32_t status = DR_STATUS_UNSPECIFIED;
    if (field && !wire_json_status(field, &status))
        fail(decoder, name, "is not a status");
    return (dr_status)status;
}

static void *take_array(struct decoder *decoder, size_t n, size_t size)
{
    if (n == 0 || decoder->code != DR_OK)
        return NULL;
    void *array = arena_zalloc(decoder->arena, n * size);
    if (!array)
        fail_no_memory(decoder);
    return array;
}

/* The i-th element, which must be an object; NULL ends the loop over the array. */
static const json_t *element(struct decoder *decoder, const json_t *array, size_t i, const char *name)
{
    const json_t *item = json_array_get(array, i);
    if (!json_is_object(item))
        fail(decoder, name, "holds something that is not an object");
    return decoder->code == DR_OK ? item : NULL;
}

/* ---- Messages ---- */

static void take_call(struct decoder *decoder, const json_t *json, struct wire_call *call)
{
    *call = (struct wire_call){
        .correlation_id = take_unsigned(decoder, json, "correlation_id"),
        .endpoint = take_text(decoder, json, "endpoint"),
        .function = take_text(decoder, json, "function"),
        .input = take_any(decoder, get(decoder, json, "input"), "input"),
        .expiration_ns = take_duration(decoder, get(decoder, json, "expiration"), "expiration"),
        .version = take_text(decoder, json, "version"),
    };
}

static struct wire_call *take_calls(struct decoder *decoder, const json_t *array, size_t n)
{
    struct wire_call *calls = take_array(decoder, n, sizeof(*calls));
    const json_t *item;
    for (size_t i = 0; calls && i < n && (item = element(decoder, array, i, "calls")) != NULL; i++)
        take_call(decoder, item, &calls[i]);
    return calls;
}

static bool take_error(struct decoder *decoder, const json_t *object, struct wire_error *error)
{
    const json_t *json = get_object(decoder, object, "error");
    if (!json)
        return false;
    *error = (struct wire_error){
        .type = take_text(decoder, json, "type"),
        .message = take_text(decoder, json, "message"),
        .value = take_base64(decoder, get(decoder, json, "value"), "value"),
        .traceback = take_base64(decoder, get(decoder, json, "traceback"), "traceback"),
    };
    return true;
}

static void take_result(struct decoder *decoder, const json_t *json, struct wire_result *result)
{
    *result = (struct wire_result){
        .correlation_id = take_unsigned(decoder, json, "correlation_id"),
        .output = take_any(decoder, get(decoder, json, "output"), "output"),
        .dispatch_id = take_text(decoder, json, "dispatch_id"),
    };
    result->has_error = take_error(decoder, json, &result->error);
}

static enum wire_state_arm take_state(struct decoder *decoder, const json_t *json, struct slice *ret_state)
{
    const json_t *bytes = get(decoder, json, "coroutine_state");
    const json_t *typed = get(decoder, json, "typed_coroutine_state");
    if (bytes && typed)
        fail(decoder, "state", "is set twice");
    if (!bytes && !typed)
        return WIRE_STATE_NONE;
    *ret_state = bytes ? take_base64(decoder, bytes, "coroutine_state")
                       : take_any(decoder, typed, "typed_coroutine_state");
    return bytes ? WIRE_STATE_BYTES : WIRE_STATE_TYPED;
}

static void take_poll_result(struct decoder *decoder, const json_t *json, struct wire_poll_result *poll)
{
    poll->state_arm = take_state(decoder, json, &poll->state);
    const json_t *results = get_array(decoder, json, "results");
    const json_t *item;
    poll->n_results = json_array_size(results);
    poll->results = take_array(decoder, poll->n_results, sizeof(*poll->results));
    for (size_t i = 0;
         poll->results && i < poll->n_results && (item = element(decoder, results, i, "results")); i++)
        take_result(decoder, item, &poll->results[i]);
    poll->has_error = take_error(decoder, json, &poll->error);
}

static void take_exit(struct decoder *decoder, const json_t *json, struct wire_run_response *response)
{
    const json_t *result = get_object(decoder, json, "result");
    response->has_result = result != NULL;
    if (result)
        take_result(decoder, result, &response->result);
    const json_t *tail_call = get_object(decoder, json, "tail_call");
    response->has_tail_call = tail_call != NULL;
    if (tail_call)
        take_call(decoder, tail_call, &response->tail_call);
}

static void take_poll(struct decoder *decoder, const json_t *json, struct wire_poll *poll)
{
    poll->state_arm = take_state(decoder, json, &poll->state);
    const json_t *calls = get_array(decoder, json, "calls");
    poll->n_calls = json_array_size(calls);
    poll->calls = take_calls(decoder, calls, poll->n_calls);
    const json_t *max_wait = get(decoder, json, "max_wait");
    poll->has_max_wait = max_wait != NULL;
    poll->max_wait_ns = take_duration(decoder, max_wait, "max_wait");
    poll->max_results = take_int32(decoder, json, "max_results");
    poll->min_results = take_int32(decoder, json, "min_results");
}

dr_code wire_dispatch_request_json_decode(struct slice bytes, struct arena *arena,
                                          struct wire_dispatch_request *ret_message, struct dr_error *error)
{
    json_t *json;
    dr_code code = wire_json_load(bytes, &json, error);
    if (code != DR_OK)
        return code;
    struct decoder decoder = {.arena = arena, .error = error};
    const json_t *calls = get_array(&decoder, json, "calls");
    struct wire_dispatch_request request = {.n_calls = json_array_size(calls)};
    if (request.n_calls > WIRE_CALLS_MAX)
        decoder.code = wire_too_many_calls(request.n_calls, error);
    request.calls = take_calls(&decoder, calls, request.n_calls);
    json_decref(json);
    if (decoder.code == DR_OK)
        *ret_message = request;
    return decoder.code;
}

dr_code wire_dispatch_response_json_decode(struct slice bytes, struct arena *arena,
                                           struct wire_dispatch_response *ret_message, struct dr_error *error)
{
    json_t *json;
    dr_code code = wire_json_load(bytes, &json, error);
    if (code != DR_OK)
        return code;
    struct decoder decoder = {.arena = arena, .error = error};
    const json_t *ids = get_array(&decoder, json, "dispatch_ids");
    struct wire_dispatch_response response = {.n_dispatch_ids = json_array_size(ids)};
    response.dispatch_ids = take_array(&decoder, response.n_dispatch_ids, sizeof(*response.dispatch_ids));
    for (size_t i = 0; response.dispatch_ids && i < response.n_dispatch_ids; i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_string(id))
            fail(&decoder, "dispatch_ids", "holds something that is not a string");
        else
            response.dispatch_ids[i] =
                keep(&decoder, slice_of(json_string_value(id), json_string_length(id)));
    }
    json_decref(json);
    if (decoder.code == DR_OK)
        *ret_message = response;
    return decoder.code;
}

dr_code wire_run_request_json_decode(struct slice bytes, struct arena *arena,
                                     struct wire_run_request *ret_message, struct dr_error *error)
{
    json_t *json;
    dr_code code = wire_json_load(bytes, &json, error);
    if (code != DR_OK)
        return code;
    struct decoder decoder = {.arena = arena, .error = error};
    struct wire_run_request request = {
        .function = take_text(&decoder, json, "function"),
        .dispatch_id = take_text(&decoder, json, "dispatch_id"),
        .parent_dispatch_id = take_text(&decoder, json, "parent_dispatch_id"),
        .root_dispatch_id = take_text(&decoder, json, "root_dispatch_id"),
        .creation_ns = take_timestamp(&decoder, json, "creation_time"),
        .expiration_ns = take_timestamp(&decoder, json, "expiration_time"),
    };
    const json_t *input = get(&decoder, json, "input");
    const json_t *poll_result = get_object(&decoder, json, "poll_result");
    if (input && poll_result)
        fail(&decoder, "directive", "is set twice");
    if (input) {
        request.directive = WIRE_DIRECTIVE_INPUT;
        request.input = take_any(&decoder, input, "input");
    } else if (poll_result) {
        request.directive = WIRE_DIRECTIVE_POLL_RESULT;
        take_poll_result(&decoder, poll_result, &request.poll_result);
    }
    json_decref(json);
    if (decoder.code == DR_OK)
        *ret_message = request;
    return decoder.code;
}

dr_code wire_run_response_json_decode(struct slice bytes, struct arena *arena,
                                      struct wire_run_response *ret_message, struct dr_error *error)
{
    json_t *json;
    dr_code code = wire_json_load(bytes, &json, error);
    if (code != DR_OK)
        return code;
    struct decoder decoder = {.arena = arena, .error = error};
    struct wire_run_response response = {.status = take_status(&decoder, json, "status")};
    const json_t *exit = get_object(&decoder, json, "exit");
    const json_t *poll = get_object(&decoder, json, "poll");
    if (exit && poll)
        fail(&decoder, "directive", "is set twice");
    if (exit) {
        response.outcome = WIRE_OUTCOME_EXIT;
        take_exit(&decoder, exit, &response);
    } else if (poll) {
        response.outcome = WIRE_OUTCOME_POLL;
        take_poll(&decoder, poll, &response.poll);
    }
    json_decref(json);
    if (decoder.code == DR_OK)
        *ret_message = response;
    return decoder.code;
}

dr_code wire_result_json_decode(struct slice bytes, struct arena *arena, struct wire_result *ret_message,
                                struct dr_error *error)
{
    json_t *json;
    dr_code code = wire_json_load(bytes, &json, error);
    if (code != DR_OK)
        return code;
    struct decoder decoder = {.arena = arena, .error = error};
    struct wire_result result;
    take_result(&decoder, json, &result);
    json_decref(json);
    if (decoder.code == DR_OK)
        *ret_message = result;
    return decoder.code;
}
