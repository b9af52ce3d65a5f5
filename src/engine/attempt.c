/* Attempts: starting them (T2), and what their replies mean (docs/design/engine.md, "Replies, completely"). */
#include "engine/engine_private.h"

static struct slice id_text(struct engine *engine, struct id id)
{
    if (id_is_none(id))
        return (struct slice){0};
    char *text = arena_alloc(&engine->arena, ID_TEXT_SIZE);
    CHECK(text);
    return slice_text(id_format(id, text));
}

static void fill_error(struct wire_error *wire, const struct error_record *error)
{
    wire->type = blob_slice(error->type);
    wire->message = blob_slice(error->message);
    wire->value = blob_slice(error->value);
    wire->traceback = blob_slice(error->traceback);
}

static void fill_poll_result(struct engine *engine, struct call *call, struct wire_poll_result *wire)
{
    wire->state_arm = call->record.state_arm;
    wire->state = blob_slice(call->record.poll_state);
    if (call->record.poll_error) {
        wire->has_error = true;
        wire->error.type = slice_text("InvalidArgumentError");
        wire->error.message = blob_slice(call->record.poll_error);
    }
    mail_fix_delivery(engine, call);
    wire->n_results = call->n_delivering;
    if (wire->n_results == 0)
        return;
    wire->results = arena_zalloc(&engine->arena, wire->n_results * sizeof *wire->results);
    CHECK(wire->results);
    struct list *node = call->mail.next;
    for (size_t i = 0; i < wire->n_results; i++, node = node->next) {
        const struct mail *mail = container_of(node, struct mail, node);
        struct wire_result *result = &wire->results[i];
        result->correlation_id = mail->correlation_id;
        result->dispatch_id = id_text(engine, mail->child);
        result->output = mail->output ? blob_slice(mail->output) : (struct slice){0};
        result->has_error = error_record_is_set(&mail->error);
        fill_error(&result->error, &mail->error);
    }
}

static void fill_request(struct engine *engine, struct call *call, struct wire_run_request *wire)
{
    const struct call_record *record = &call->record;
    wire->function = blob_slice(record->function);
    wire->dispatch_id = id_text(engine, record->id);
    wire->parent_dispatch_id = id_text(engine, record->parent);
    wire->root_dispatch_id = id_text(engine, record->root);
    wire->creation_ns = record->created_ns;
    wire->expiration_ns = record->expires_ns;
    if (record->is_resume) {
        wire->directive = WIRE_DIRECTIVE_POLL_RESULT;
        fill_poll_result(engine, call, &wire->poll_result);
    } else if (record->input) {
        wire->directive = WIRE_DIRECTIVE_INPUT;
        wire->input = blob_slice(record->input);
    }
}

static void start(struct engine *engine, struct call *call)
{
    struct attempt *attempt = mem_must_zalloc(sizeof *attempt);
    attempt->id = call->record.id;
    attempt->number = ++engine->next_attempt;
    attempt->group = call->entry.group;
    attempt->is_probe = call->entry.is_probe;
    attempt->call = call;
    CHECK(!map_get(&engine->attempts, attempt->id)); /* I3 */
    CHECK(map_put(&engine->attempts, attempt->id, attempt) == DR_OK);
    resident_set_running(engine, call, attempt);
    engine->counts.started++;

    struct engine_effect *effect = output_effect(engine, ENGINE_START, call->after_batch);
    effect->start.id = attempt->id;
    effect->start.attempt = attempt->number;
    effect->start.endpoint = blob_slice(call->record.endpoint);
    int64_t left_ns = call->record.expires_ns - engine->now_ns;
    effect->start.timeout_ns = left_ns < engine->config.run_timeout_ns ? left_ns : engine->config.run_timeout_ns;
    fill_request(engine, call, &effect->start.request);
}

void attempt_start_all(struct engine *engine)
{
    struct scheduler_entry *entry;
    while (!engine->is_paused && (entry = scheduler_next(engine->scheduler)))
        start(engine, container_of(entry, struct call, entry));
}

static struct slice failure_text(struct engine *engine, const struct wire_run_response *response)
{
    const struct wire_error *error = &response->result.error;
    if (!response->has_result || !response->result.has_error)
        return slice_text(dr_status_text(response->status));
    char *text = arena_printf(&engine->arena, "%.*s: %.*s", (int)error->type.len, (const char *)error->type.data,
                              (int)error->message.len, (const char *)error->message.data);
    CHECK(text);
    return slice_text(text);
}

static void finish_exit(struct engine *engine, struct call *call, const struct wire_run_response *response)
{
    struct outcome outcome = {.status = response->status};
    if (response->has_result) {
        outcome.output = response->result.output;
        if (response->result.has_error)
            outcome.error = response->result.error;
    }
    call->record.attempts++;
    finish_call(engine, call, &outcome, true);
}

static void process_response(struct engine *engine, struct call *call, const struct engine_event *event)
{
    const struct wire_run_response *response = event->attempt_done.response;
    int64_t retry_after_ns = event->attempt_done.retry_after_ns;
    bool is_fine = response->status == DR_STATUS_OK || response->status == DR_STATUS_UNSPECIFIED;

    if (response->outcome == WIRE_OUTCOME_EXIT && response->has_tail_call)
        finish_tail_call(engine, call, response, retry_after_ns); /* whatever the status (Q3) */
    else if (response->status == DR_STATUS_INCOMPATIBLE_STATE)
        finish_restart(engine, call, failure_text(engine, response), retry_after_ns);
    else if (dr_status_is_retryable(response->status))
        finish_retry(engine, call, response->status, failure_text(engine, response), retry_after_ns);
    else if (response->outcome == WIRE_OUTCOME_EXIT)
        finish_exit(engine, call, response);
    else if (response->outcome == WIRE_OUTCOME_POLL && is_fine)
        poll_suspend(engine, call, &response->poll);
    else if (is_fine)
        finish_failed(engine, call, DR_STATUS_INVALID_RESPONSE, "InvalidResponseError",
                      "the endpoint answered neither with an exit nor with a poll");
    else
        finish_failed(engine, call, response->status, "PermanentError", dr_status_text(response->status));
}

static void process_failure(struct engine *engine, struct call *call, const struct engine_event *event)
{
    dr_status status = event->attempt_done.status;
    if (dr_status_is_retryable(status)) {
        finish_retry(engine, call, status, event->attempt_done.error_message, event->attempt_done.retry_after_ns);
        return;
    }
    struct outcome outcome = {.status = status};
    outcome.error.type = event->attempt_done.error_type;
    outcome.error.message = event->attempt_done.error_message;
    call->record.attempts++;
    finish_call(engine, call, &outcome, true);
}

/* A RunResponse with TCP_ERROR tells of the function's own troubles: its endpoint has answered. */
static enum scheduler_reach reach_of(const struct engine_event *event)
{
    if (event->attempt_done.response)
        return SCHEDULER_ANSWERED;
    switch (event->attempt_done.status) {
    case DR_STATUS_DNS_ERROR:
    case DR_STATUS_TCP_ERROR:
    case DR_STATUS_TLS_ERROR:
        return SCHEDULER_UNREACHED;
    case DR_STATUS_TIMEOUT:
        return SCHEDULER_UNDECIDED; /* no connection, or no answer over it */
    default:
        return SCHEDULER_ANSWERED;
    }
}

static void give_slot_back(struct engine *engine, const struct attempt *attempt, const struct engine_event *event)
{
    if (!attempt->call) { /* called off by us: says nothing of the endpoint */
        scheduler_release(engine->scheduler, attempt->group);
        return;
    }
    const struct wire_run_response *response = event->attempt_done.response;
    struct scheduler_outcome outcome = {.status = response ? response->status : event->attempt_done.status,
                                        .reach = reach_of(event), .is_probe = attempt->is_probe};
    scheduler_finish(engine->scheduler, attempt->group, &outcome);
}

void attempt_done(struct engine *engine, const struct engine_event *event)
{
    struct attempt *attempt = map_get(&engine->attempts, event->attempt_done.id);
    if (!attempt || attempt->number != event->attempt_done.attempt)
        return; /* E8: late or repeated */
    map_remove(&engine->attempts, attempt->id);
    struct call *call = attempt->call;
    const struct wire_run_response *response = event->attempt_done.response;
    give_slot_back(engine, attempt, event);
    mem_free(attempt);
    engine->counts.finished++;
    if (!call)
        return;
    CHECK(call->phase == PHASE_RUNNING);
    call->attempt = NULL;
    if (response)
        process_response(engine, call, event);
    else
        process_failure(engine, call, event);
}
