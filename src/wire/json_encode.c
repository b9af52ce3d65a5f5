/* The structs of types.h -> JSON. Fields that are absent or zero are left out, as the mapping says. */
#include "wire/json.h"

#include <stdio.h>

/* The first failure stays, and json_object_set_new takes its value in any case, so nothing leaks on the way
 * out. */
struct encoder {
    struct dr_error *error;
    dr_code code;
};

static void put(struct encoder *encoder, json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0 && encoder->code == DR_OK)
        encoder->code = wire_no_memory(encoder->error);
}

static void put_text(struct encoder *encoder, json_t *object, const char *name, struct slice text)
{
    if (text.len == 0)
        return;
    if (!wire_is_utf8(text) && encoder->code == DR_OK)
        encoder->code =
            error_set(encoder->error, DR_INVALID_ARGUMENT, "marshal message: %s is not UTF-8", name);
    if (encoder->code == DR_OK)
        put(encoder, object, name, json_stringn_nocheck((const char *)text.data, text.len));
}

static void put_bytes(struct encoder *encoder, json_t *object, const char *name, struct slice bytes)
{
    struct buf text;
    buf_init(&text, SIZE_MAX / 4);
    dr_code code = wire_base64_encode(bytes, &text);
    json_t *value = NULL;
    if (code == DR_OK)
        value = json_stringn_nocheck(text.len > 0 ? (const char *)text.data : "", text.len);
    put(encoder, object, name, value);
    buf_deinit(&text);
}

static void put_any(struct encoder *encoder, json_t *object, const char *name, struct slice any)
{
    if (any.data && encoder->code == DR_OK && wire_any_check(any, NULL) != DR_OK)
        encoder->code = error_set(encoder->error, DR_INVALID_ARGUMENT,
                                  "marshal message: %s is not a google.protobuf.Any", name);
    if (any.data && encoder->code == DR_OK)
        put(encoder, object, name, wire_any_to_json(any));
}

static void put_unsigned(struct encoder *encoder, json_t *object, const char *name, uint64_t number)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    if (number)
        put(encoder, object, name, json_string(text));
}

static void put_int32(struct encoder *encoder, json_t *object, const char *name, int32_t number)
{
    if (number)
        put(encoder, object, name, json_integer(number));
}

static void put_duration(struct encoder *encoder, json_t *object, const char *name, int64_t ns)
{
    char text[WIRE_TIME_TEXT_SIZE];
    if (ns < 0 && encoder->code == DR_OK)
        encoder->code =
            error_set(encoder->error, DR_INVALID_ARGUMENT, "marshal message: %s is negative", name);
    wire_duration_format(wire_time_of_ns(ns), text);
    put(encoder, object, name, json_string(text));
}

static void put_timestamp(struct encoder *encoder, json_t *object, const char *name, int64_t ns)
{
    char text[WIRE_TIME_TEXT_SIZE];
    wire_timestamp_format(wire_time_of_ns(ns), text);
    if (ns)
        put(encoder, object, name, json_string(text));
}

static json_t *call_to_json(struct encoder *encoder, const struct wire_call *call)
{
    json_t *json = json_object();
    put_unsigned(encoder, json, "correlationId", call->correlation_id);
    put_text(encoder, json, "endpoint", call->endpoint);
    put_text(encoder, json, "function", call->function);
    put_any(encoder, json, "input", call->input);
    if (call->expiration_ns)
        put_duration(encoder, json, "expiration", call->expiration_ns);
    put_text(encoder, json, "version", call->version);
    return json;
}

static void put_calls(struct encoder *encoder, json_t *object, const struct wire_call *calls, size_t n)
{
    if (n == 0)
        return;
    json_t *array = json_array();
    for (size_t i = 0; i < n && encoder->code == DR_OK; i++)
        if (json_array_append_new(array, call_to_json(encoder, &calls[i])) != 0)
            encoder->code = wire_no_memory(encoder->error);
    put(encoder, object, "calls", array);
}

static void put_error(struct encoder *encoder, json_t *object, const struct wire_error *error)
{
    json_t *json = json_object();
    put_text(encoder, json, "type", error->type);
    put_text(encoder, json, "message", error->message);
    if (error->value.len > 0)
        put_bytes(encoder, json, "value", error->value);
    if (error->traceback.len > 0)
        put_bytes(encoder, json, "traceback", error->traceback);
    put(encoder, object, "error", json);
}

static json_t *result_to_json(struct encoder *encoder, const struct wire_result *result)
{
    json_t *json = json_object();
    put_unsigned(encoder, json, "correlationId", result->correlation_id);
    put_any(encoder, json, "output", result->output);
    if (result->has_error)
        put_error(encoder, json, &result->error);
    put_text(encoder, json, "dispatchId", result->dispatch_id);
    return json;
}

static void put_state(struct encoder *encoder, json_t *object, enum wire_state_arm arm, struct slice state)
{
    if (arm == WIRE_STATE_BYTES)
        put_bytes(encoder, object, "coroutineState", state);
    else if (arm == WIRE_STATE_TYPED)
        put_any(encoder, object, "typedCoroutineState", wire_present(state));
}

static json_t *poll_result_to_json(struct encoder *encoder, const struct wire_poll_result *poll)
{
    json_t *json = json_object();
    put_state(encoder, json, poll->state_arm, poll->state);
    if (poll->n_results > 0) {
        json_t *results = json_array();
        for (size_t i = 0; i < poll->n_results && encoder->code == DR_OK; i++)
            if (json_array_append_new(results, result_to_json(encoder, &poll->results[i])) != 0)
                encoder->code = wire_no_memory(encoder->error);
        put(encoder, json, "results", results);
    }
    if (poll->has_error)
        put_error(encoder, json, &poll->error);
    return json;
}

static json_t *exit_to_json(struct encoder *encoder, const struct wire_run_response *response)
{
    json_t *json = json_object();
    if (response->has_result)
        put(encoder, json, "result", result_to_json(encoder, &response->result));
    if (response->has_tail_call)
        put(encoder, json, "tailCall", call_to_json(encoder, &response->tail_call));
    return json;
}

static json_t *poll_to_json(struct encoder *encoder, const struct wire_poll *poll)
{
    json_t *json = json_object();
    put_state(encoder, json, poll->state_arm, poll->state);
    put_calls(encoder, json, poll->calls, poll->n_calls);
    if (poll->has_max_wait)
        put_duration(encoder, json, "maxWait", poll->max_wait_ns);
    put_int32(encoder, json, "maxResults", poll->max_results);
    put_int32(encoder, json, "minResults", poll->min_results);
    return json;
}

static void put_status(struct encoder *encoder, json_t *object, dr_status status)
{
    if (status == DR_STATUS_UNSPECIFIED)
        return;
    const char *name = dr_status_name(status);
    bool is_unknown = strcmp(name, dr_status_name(DR_STATUS_UNSPECIFIED)) == 0;
    put(encoder, object, "status", is_unknown ? json_integer((int32_t)status) : json_string(name));
}

static dr_code finish(struct encoder *encoder, json_t *json, struct buf *buf)
{
    if (encoder->code == DR_OK)
        return wire_json_dump(json, buf, encoder->error);
    json_decref(json);
    return encoder->code;
}

dr_code wire_dispatch_request_json_encode(const struct wire_dispatch_request *message, struct buf *buf,
                                          struct dr_error *error)
{
    struct encoder encoder = {.error = error};
    json_t *json = json_object();
    put_calls(&encoder, json, message->calls, message->n_calls);
    return finish(&encoder, json, buf);
}

dr_code wire_dispatch_response_json_encode(const struct wire_dispatch_response *message, struct buf *buf,
                                           struct dr_error *error)
{
    struct encoder encoder = {.error = error};
    json_t *json = json_object();
    json_t *ids = json_array();
    for (size_t i = 0; i < message->n_dispatch_ids && encoder.code == DR_OK; i++) {
        struct slice id = message->dispatch_ids[i];
        if (json_array_append_new(ids, json_stringn(id.data ? (const char *)id.data : "", id.len)) != 0)
            encoder.code = error_set(error, DR_INVALID_ARGUMENT, "marshal message: dispatchIds is not UTF-8");
    }
    put(&encoder, json, "dispatchIds", ids);
    return finish(&encoder, json, buf);
}

dr_code wire_run_request_json_encode(const struct wire_run_request *message, struct buf *buf,
                                     struct dr_error *error)
{
    struct encoder encoder = {.error = error};
    json_t *json = json_object();
    put_text(&encoder, json, "function", message->function);
    if (message->directive == WIRE_DIRECTIVE_INPUT)
        put_any(&encoder, json, "input", wire_present(message->input));
    else if (message->directive == WIRE_DIRECTIVE_POLL_RESULT)
        put(&encoder, json, "pollResult", poll_result_to_json(&encoder, &message->poll_result));
    put_text(&encoder, json, "dispatchId", message->dispatch_id);
    put_text(&encoder, json, "parentDispatchId", message->parent_dispatch_id);
    put_text(&encoder, json, "rootDispatchId", message->root_dispatch_id);
    put_timestamp(&encoder, json, "creationTime", message->creation_ns);
    put_timestamp(&encoder, json, "expirationTime", message->expiration_ns);
    return finish(&encoder, json, buf);
}

dr_code wire_run_response_json_encode(const struct wire_run_response *message, struct buf *buf,
                                      struct dr_error *error)
{
    struct encoder encoder = {.error = error};
    json_t *json = json_object();
    put_status(&encoder, json, message->status);
    if (message->outcome == WIRE_OUTCOME_EXIT)
        put(&encoder, json, "exit", exit_to_json(&encoder, message));
    else if (message->outcome == WIRE_OUTCOME_POLL)
        put(&encoder, json, "poll", poll_to_json(&encoder, &message->poll));
    return finish(&encoder, json, buf);
}

dr_code wire_result_json_encode(const struct wire_result *message, struct buf *buf, struct dr_error *error)
{
    struct encoder encoder = {.error = error};
    return finish(&encoder, result_to_json(&encoder, message), buf);
}
