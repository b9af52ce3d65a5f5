/* What a run answers: its end as an exit, its suspension as a poll. */
#include "sdk/run.h"

#include "base/error.h"
#include "base/mem.h"
#include "sdk/value_wire.h"
#include "wire/wire.h"

static dr_code encode_input(const dr_value *input, bool is_python, struct buf *buf, struct dr_error *error)
{
    dr_value *packed = NULL;
    dr_code code = caller_pack_input(input, is_python, &packed, error);
    if (!code)
        code = value_encode_any(packed, buf, error);
    dr_value_unref(packed);
    return code;
}

static dr_code encode_exit(struct dr_call *call, struct buf *buf, struct dr_error *error)
{
    struct wire_run_response response = {.status = call->status, .outcome = WIRE_OUTCOME_EXIT, .has_result = true};
    struct buf any;
    buf_init(&any, WIRE_MESSAGE_BYTES_MAX);
    dr_code code = DR_OK;
    if (call->end == RUN_RETURNED && !dr_is_null(call->output)) {
        code = value_encode_any(call->output, &any, error);
        response.result.output = buf_slice(&any);
    } else if (call->end == RUN_BECAME) {
        code = encode_input(call->output, call->tail_is_python, &any, error);
        response.has_result = false;
        response.has_tail_call = true;
        response.tail_call.function = slice_text(call->tail_function);
        response.tail_call.endpoint = slice_text(call->tail_endpoint);
        response.tail_call.input = buf_slice(&any);
    } else if (call->end == RUN_FAILED) {
        response.result.has_error = true;
        response.result.error.type = slice_text(call->error_type);
        response.result.error.message = slice_text(call->error_message);
        response.result.error.value = call->error_value;
        response.result.error.traceback = call->error_traceback;
    }
    if (!code)
        code = wire_run_response_encode(&response, buf, error);
    buf_deinit(&any);
    return code;
}

static dr_code encode_failure(dr_status status, const char *type, const char *message, struct buf *buf,
                              struct dr_error *error)
{
    struct wire_run_response response = {.status = status, .outcome = WIRE_OUTCOME_EXIT, .has_result = true};
    response.result.has_error = true;
    response.result.error.type = slice_text(type);
    response.result.error.message = slice_text(message);
    return wire_run_response_encode(&response, buf, error);
}

/* The next n calls that no poll has carried yet. Their inputs go to `inputs`, one behind the other. */
static dr_code collect_calls(struct dr_call *call, struct wire_call *calls, size_t n, struct buf *inputs,
                             struct dr_error *error)
{
    dr_code code = DR_OK;
    for (size_t i = 0; i < n && !code; i++) {
        const struct dr_task *task = call->caller.tasks[call->n_sent + i];
        size_t start = inputs->len;
        code = encode_input(task->input, task->is_python, inputs, error);
        calls[i] = (struct wire_call){.correlation_id = task->number,
                                        .endpoint = slice_text(task->endpoint),
                                        .function = slice_text(task->function),
                                        .input = {.data = NULL, .len = inputs->len - start},
                                        .expiration_ns = task->expiration_ns,
                                        .version = slice_text(task->version)};
    }
    const uint8_t *at = inputs->data; /* it may have moved while it grew */
    for (size_t i = 0; i < n && !code; i++) {
        calls[i].input.data = at;
        at += calls[i].input.len;
    }
    return code;
}

static dr_code keep_state(struct dr_call *call, struct slice state)
{
    uint8_t *kept = mem_alloc(state.len);
    if (!kept)
        return DR_NO_MEMORY;
    memcpy(kept, state.data, state.len);
    mem_free(call->state);
    call->state = kept;
    call->state_len = state.len;
    return DR_OK;
}

static dr_code encode_poll_with(struct dr_call *call, struct wire_call *calls, struct buf *inputs, struct buf *state,
                                struct buf *buf, struct dr_error *error)
{
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_POLL};
    struct run_terms terms = run_terms(call);
    dr_code code = collect_calls(call, calls, terms.n_calls, inputs, error);
    if (!code)
        code = journal_encode(&call->journal, state, error);
    if (!code)
        code = keep_state(call, buf_slice(state)); /* before the response: behind it nothing may fail */
    if (code)
        return code;
    response.poll.calls = calls;
    response.poll.n_calls = terms.n_calls;
    response.poll.state_arm = WIRE_STATE_TYPED;
    response.poll.state = buf_slice(state);
    response.poll.min_results = (int32_t)terms.min_results;
    response.poll.max_results = (int32_t)terms.max_results;
    response.poll.has_max_wait = call->max_wait_ns >= 0;
    response.poll.max_wait_ns = call->max_wait_ns;
    return wire_run_response_encode(&response, buf, error);
}

static dr_code encode_poll(struct dr_call *call, struct buf *buf, struct dr_error *error)
{
    struct buf inputs, state;
    buf_init(&inputs, WIRE_MESSAGE_BYTES_MAX);
    buf_init(&state, WIRE_MESSAGE_BYTES_MAX);
    struct wire_call *calls = mem_zalloc((run_terms(call).n_calls + 1) * sizeof *calls);
    dr_code code = calls ? encode_poll_with(call, calls, &inputs, &state, buf, error) : DR_NO_MEMORY;
    mem_free(calls);
    buf_deinit(&inputs);
    buf_deinit(&state);
    return code;
}

dr_code run_encode(struct dr_call *call, struct buf *buf, struct dr_error *error)
{
    struct dr_error why = {0};
    dr_code code = DR_OK;
    switch (call->end) {
    case RUN_GOES_ON:
        code = encode_poll(call, buf, &why);
        break;
    case RUN_INCOMPATIBLE:
        return encode_failure(DR_STATUS_INCOMPATIBLE_STATE, "IncompatibleStateError", call->error_message, buf, error);
    case RUN_NO_MEMORY:
        return encode_failure(DR_STATUS_TEMPORARY_ERROR, "MemoryError", "the function ran out of memory", buf, error);
    default:
        code = encode_exit(call, buf, &why);
        break;
    }
    if (!code)
        return DR_OK;
    /* A value that cannot travel is the function's failure, and ends it; lack of memory is worth another attempt. */
    if (call->end == RUN_GOES_ON)
        call->end = RUN_FAILED;
    if (code == DR_NO_MEMORY)
        return encode_failure(DR_STATUS_TEMPORARY_ERROR, "MemoryError", "the endpoint ran out of memory", buf, error);
    return encode_failure(DR_STATUS_INVALID_RESPONSE, "InvalidResponseError", why.message, buf, error);
}
