#include "sdk/primitive.h"

#include "base/arena.h"
#include "base/error.h"
#include "base/mem.h"
#include "sdk/result.h"
#include "sdk/value_wire.h"
#include "wire/wire.h"

#include <stdio.h>

struct dr_request {
    const struct wire_run_request *wire;
    const char *function, *dispatch_id, *parent_dispatch_id, *root_dispatch_id, *poll_error;
    dr_value *input;
    dr_value *state;
    dr_result **results;
};

struct dr_response {
    struct buf encoded;
    dr_code code; /* of the last attempt to fill it */
    char message[DR_ERROR_MESSAGE_SIZE];
};

/* ---- reading ---- */

const char *dr_request_function(const dr_request *request)
{
    return request->function;
}

const char *dr_request_dispatch_id(const dr_request *request)
{
    return request->dispatch_id;
}

const char *dr_request_parent_dispatch_id(const dr_request *request)
{
    return request->parent_dispatch_id;
}

const char *dr_request_root_dispatch_id(const dr_request *request)
{
    return request->root_dispatch_id;
}

int64_t dr_request_creation_time(const dr_request *request)
{
    return request->wire->creation_ns;
}

int64_t dr_request_expiration_time(const dr_request *request)
{
    return request->wire->expiration_ns;
}

bool dr_request_is_resume(const dr_request *request)
{
    return request->wire->directive == WIRE_DIRECTIVE_POLL_RESULT;
}

const dr_value *dr_request_input(const dr_request *request)
{
    return request->input;
}

const dr_value *dr_request_state(const dr_request *request)
{
    return request->state;
}

size_t dr_request_result_count(const dr_request *request)
{
    return request->wire->poll_result.n_results;
}

const dr_result *dr_request_result(const dr_request *request, size_t i)
{
    return i < request->wire->poll_result.n_results ? request->results[i] : NULL;
}

const char *dr_request_poll_error(const dr_request *request)
{
    return request->poll_error;
}

/* ---- answering ---- */

/* Fills it, unless `code` and `why` tell that there is nothing to fill it with. */
static dr_code fill(dr_response *response, dr_code code, struct dr_error *why, const struct wire_run_response *wire,
                    struct dr_error *error)
{
    struct buf encoded;
    buf_init(&encoded, WIRE_MESSAGE_BYTES_MAX);
    if (!code)
        code = wire_run_response_encode(wire, &encoded, why);
    response->code = code;
    if (code) {
        buf_deinit(&encoded);
        snprintf(response->message, sizeof response->message, "%s", why->message);
        return error_set(error, code, "%s", response->message);
    }
    buf_deinit(&response->encoded);
    response->encoded = encoded;
    return DR_OK;
}

dr_code dr_response_return(dr_response *response, dr_status status, const dr_value *output, struct dr_error *error)
{
    struct wire_run_response wire = {.status = status, .outcome = WIRE_OUTCOME_EXIT, .has_result = true};
    struct buf any;
    buf_init(&any, WIRE_MESSAGE_BYTES_MAX);
    struct dr_error why = {0};
    dr_code code = dr_is_null(output) ? DR_OK : value_encode_any(output, &any, &why);
    if (any.len)
        wire.result.output = buf_slice(&any);
    code = fill(response, code, &why, &wire, error);
    buf_deinit(&any);
    return code;
}

dr_code dr_response_fail(dr_response *response, dr_status status, const char *type, const char *message,
                         struct dr_error *error)
{
    struct wire_run_response wire = {.status = status, .outcome = WIRE_OUTCOME_EXIT, .has_result = true};
    wire.result.has_error = true;
    wire.result.error.type = slice_text(type);
    wire.result.error.message = slice_text(message);
    return fill(response, DR_OK, &(struct dr_error){0}, &wire, error);
}

static dr_code to_wire(const struct dr_call_options *options, struct buf *any, struct wire_call *ret_wire,
                       struct dr_error *error)
{
    struct dr_call_options call = call_options_read(options);
    dr_code code = call.input ? value_encode_any(call.input, any, error) : DR_OK;
    if (code)
        return code;
    *ret_wire = (struct wire_call){.correlation_id = call.correlation_id,
                                   .endpoint = slice_text(call.endpoint),
                                   .function = slice_text(call.function),
                                   .input = any->len ? buf_slice(any) : (struct slice){0},
                                   .expiration_ns = call.expiration_ns,
                                   .version = slice_text(call.version)};
    return DR_OK;
}

dr_code dr_response_tail_call(dr_response *response, dr_status status, const struct dr_call_options *call,
                              struct dr_error *error)
{
    struct wire_run_response wire = {.status = status, .outcome = WIRE_OUTCOME_EXIT, .has_tail_call = true};
    struct buf any;
    buf_init(&any, WIRE_MESSAGE_BYTES_MAX);
    struct dr_error why = {0};
    dr_code code = to_wire(call, &any, &wire.tail_call, &why);
    code = fill(response, code, &why, &wire, error);
    buf_deinit(&any);
    return code;
}

/* Options of another version than ours stand closer or wider apart. */
static const struct dr_call_options *nth(const struct dr_call_options *calls, size_t i)
{
    size_t size = calls->size ? calls->size : sizeof *calls;
    return (const struct dr_call_options *)((const char *)calls + i * size);
}

static dr_code fill_poll(dr_response *response, const struct dr_poll_options *poll, struct buf *anys, struct buf *state,
                         struct wire_call *calls, struct dr_error *error)
{
    struct dr_error why = {0};
    dr_code code = anys && calls ? DR_OK : error_set(&why, DR_NO_MEMORY, "poll: out of memory");
    for (size_t i = 0; i < poll->n_calls && !code; i++) {
        buf_init(&anys[i], WIRE_MESSAGE_BYTES_MAX);
        code = to_wire(nth(poll->calls, i), &anys[i], &calls[i], &why);
    }
    if (!code)
        code = value_encode_any(poll->state, state, &why);
    struct wire_run_response wire = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_POLL};
    wire.poll.calls = calls;
    wire.poll.n_calls = poll->n_calls;
    wire.poll.state_arm = WIRE_STATE_TYPED;
    wire.poll.state = buf_slice(state);
    wire.poll.min_results = poll->min_results ? poll->min_results : 1;
    wire.poll.max_results = poll->max_results ? poll->max_results : 10;
    wire.poll.has_max_wait = poll->max_wait_ns != 0;
    wire.poll.max_wait_ns = poll->max_wait_ns;
    return fill(response, code, &why, &wire, error);
}

dr_code dr_response_poll(dr_response *response, const struct dr_poll_options *poll, struct dr_error *error)
{
    struct dr_error why = {0};
    if (poll->n_calls > DR_CALLS_MAX) {
        dr_code code = error_set(&why, DR_INVALID_ARGUMENT, "%zu calls in one poll, at most %d are allowed",
                                 poll->n_calls, DR_CALLS_MAX);
        return fill(response, code, &why, NULL, error);
    }
    struct wire_call *calls = mem_zalloc((poll->n_calls + 1) * sizeof *calls);
    struct buf *anys = mem_zalloc((poll->n_calls + 1) * sizeof *anys);
    struct buf state;
    buf_init(&state, WIRE_MESSAGE_BYTES_MAX);
    dr_code code = fill_poll(response, poll, anys, &state, calls, error);
    buf_deinit(&state);
    for (size_t i = 0; anys && i < poll->n_calls; i++)
        buf_deinit(&anys[i]);
    mem_free(anys);
    mem_free(calls);
    return code;
}

/* ---- running ---- */

static dr_code read_request(struct dr_request *request, struct arena *arena, struct dr_error *error)
{
    const struct wire_run_request *wire = request->wire;
    const struct wire_poll_result *poll = &wire->poll_result;
    request->function = arena_copy(arena, wire->function);
    request->dispatch_id = arena_copy(arena, wire->dispatch_id);
    request->parent_dispatch_id = arena_copy(arena, wire->parent_dispatch_id);
    request->root_dispatch_id = arena_copy(arena, wire->root_dispatch_id);
    request->poll_error = arena_copy(arena, poll->has_error ? poll->error.message : (struct slice){0});
    request->results = arena_zalloc(arena, (poll->n_results + 1) * sizeof *request->results);
    if (!request->function || !request->dispatch_id || !request->parent_dispatch_id || !request->root_dispatch_id ||
        !request->poll_error || !request->results)
        return error_set(error, DR_NO_MEMORY, "run: out of memory");
    dr_code code = value_decode_any(wire->input, &request->input, error);
    if (!code && poll->state_arm == WIRE_STATE_TYPED)
        code = value_decode_any(poll->state, &request->state, error);
    else if (!code && poll->state_arm == WIRE_STATE_BYTES)
        code = (request->state = dr_value_bytes(poll->state.data, poll->state.len)) ? DR_OK : DR_NO_MEMORY;
    for (size_t i = 0; i < poll->n_results && !code; i++)
        code = result_create(&poll->results[i], DR_STATUS_UNSPECIFIED, &request->results[i], error);
    return code;
}

/* What the primitive could not say must not pass for an exit without value. */
static dr_code replace_unfilled(dr_response *response, struct dr_error *error)
{
    char message[DR_ERROR_MESSAGE_SIZE];
    if (response->code == DR_OK)
        return DR_OK;
    if (response->code == DR_NO_MEMORY)
        return dr_response_fail(response, DR_STATUS_TEMPORARY_ERROR, "MemoryError", "the function ran out of memory",
                                error);
    snprintf(message, sizeof message, "%s", response->message);
    return dr_response_fail(response, DR_STATUS_INVALID_RESPONSE, "InvalidResponseError", message, error);
}

dr_code primitive_run(const struct registry_entry *entry, const struct wire_run_request *wire, struct buf *buf,
                      struct dr_error *error)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct dr_request request = {.wire = wire};
    struct dr_response response = {0};
    buf_init(&response.encoded, WIRE_MESSAGE_BYTES_MAX);
    dr_code code = read_request(&request, &arena, error);
    if (!code)
        code = dr_response_return(&response, DR_STATUS_OK, NULL, error);
    if (!code) {
        entry->primitive(&request, &response, entry->primitive_arg);
        code = replace_unfilled(&response, error);
    }
    if (!code) {
        code = buf_append(buf, buf_slice(&response.encoded));
    }
    for (size_t i = 0; request.results && i < wire->poll_result.n_results; i++)
        dr_result_unref(request.results[i]);
    dr_value_unref(request.input);
    dr_value_unref(request.state);
    buf_deinit(&response.encoded);
    arena_deinit(&arena);
    return code;
}
