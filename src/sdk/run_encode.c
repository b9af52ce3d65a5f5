/* What a run answers: its end as an exit, its suspension as a poll. */
#include "sdk/run.h"

#include "base/error.h"
#include "base/mem.h"
#include "sdk/value_wire.h"
#include "wire/wire.h"

/* Tags, lengths and numbers of a call: an upper bound. */
#define CALL_OVERHEAD_BYTES 64

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
    if (code == DR_RESOURCE_EXHAUSTED)
        error_set(error, code, "the output is larger than the %u bytes of a message", WIRE_MESSAGE_BYTES_MAX);
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

/* The calls of a poll. Their inputs lie in `inputs`, one behind the other. */
struct carried {
    struct wire_call *calls;
    size_t n;
    struct buf inputs;
};

static size_t bytes_max_of(const struct dr_task *task, const struct buf *input)
{
    return CALL_OVERHEAD_BYTES + strlen(task->function) + (task->endpoint ? strlen(task->endpoint) : 0) +
           (task->version ? strlen(task->version) : 0) + input->len;
}

/* Adds the next call. False in *ret_fits: it would be too much, and some other is there already. */
static dr_code carry(struct carried *carried, const struct dr_task *task, struct buf *input, size_t *bytes_left,
                     bool *ret_fits, struct dr_error *error)
{
    dr_code code = encode_input(task->input, task->is_python, input, error);
    if (code == DR_RESOURCE_EXHAUSTED)
        return error_set(error, code, "the input of %.100s is larger than the %u bytes of a message", task->function,
                         WIRE_MESSAGE_BYTES_MAX);
    if (code)
        return code;
    size_t bytes = bytes_max_of(task, input);
    *ret_fits = bytes <= *bytes_left || carried->n == 0;
    if (!*ret_fits)
        return DR_OK;
    *bytes_left -= bytes < *bytes_left ? bytes : *bytes_left;
    carried->calls[carried->n++] = (struct wire_call){.correlation_id = task->number,
                                                      .endpoint = slice_text(task->endpoint),
                                                      .function = slice_text(task->function),
                                                      .input = {.data = NULL, .len = input->len},
                                                      .expiration_ns = task->expiration_ns,
                                                      .version = slice_text(task->version)};
    return buf_append(&carried->inputs, buf_slice(input));
}

/* The next calls that no poll has carried yet: as many as a message can hold. */
static dr_code collect_calls(struct dr_call *call, struct carried *carried, struct dr_error *error)
{
    size_t n_max = call->caller.n_tasks - call->n_sent;
    if (n_max > DR_CALLS_MAX)
        n_max = DR_CALLS_MAX;
    carried->calls = mem_zalloc((n_max + 1) * sizeof *carried->calls);
    if (!carried->calls)
        return error_set(error, DR_NO_MEMORY, "poll: out of memory");
    size_t journal_bytes = journal_bytes_max(&call->journal);
    size_t bytes_left = journal_bytes < WIRE_MESSAGE_BYTES_MAX ? WIRE_MESSAGE_BYTES_MAX - journal_bytes : 0;
    struct buf input;
    buf_init(&input, WIRE_MESSAGE_BYTES_MAX);
    dr_code code = DR_OK;
    bool fits = true;
    for (size_t i = 0; i < n_max && fits && !code; i++) {
        buf_clear(&input);
        code = carry(carried, call->caller.tasks[call->n_sent + i], &input, &bytes_left, &fits, error);
    }
    buf_deinit(&input);
    const uint8_t *at = carried->inputs.data; /* it may have moved while it grew */
    for (size_t i = 0; i < carried->n && !code; i++) {
        carried->calls[i].input.data = at;
        at += carried->calls[i].input.len;
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

static dr_code encode_poll_with(struct dr_call *call, struct carried *carried, struct buf *state, struct buf *buf,
                                struct dr_error *error)
{
    dr_code code = run_note_suspension(call, error);
    if (!code)
        code = collect_calls(call, carried, error);
    size_t n_unsent = call->caller.n_tasks - call->n_sent - carried->n;
    call->journal.pending.n_unsent = (uint32_t)n_unsent;
    if (!code)
        code = journal_encode(&call->journal, state, error);
    if (!code)
        code = keep_state(call, buf_slice(state)); /* before the response: behind it nothing may fail */
    if (code)
        return code;
    struct wire_run_response response = {.status = DR_STATUS_OK, .outcome = WIRE_OUTCOME_POLL};
    struct run_terms terms = run_terms(call, n_unsent);
    response.poll.calls = carried->calls;
    response.poll.n_calls = carried->n;
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
    struct carried carried = {0};
    struct buf state;
    buf_init(&carried.inputs, WIRE_MESSAGE_BYTES_MAX);
    buf_init(&state, WIRE_MESSAGE_BYTES_MAX);
    dr_code code = encode_poll_with(call, &carried, &state, buf, error);
    mem_free(carried.calls);
    buf_deinit(&carried.inputs);
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
