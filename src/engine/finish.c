/* How an attempt ends: result (T3), retry (T4), tail call (T5), restart (T9). T8 ends here too. */
#include "engine/engine_private.h"
#include "wire/wire.h"

static void clear_poll(struct call_record *record)
{
    record->is_resume = false;
    record->state_arm = WIRE_STATE_NONE;
    record->min_results = record->max_results = 0;
    blob_set(&record->poll_state, NULL);
    blob_set(&record->poll_error, NULL);
}

/* A terminal failure always reaches the parent as an error (protocol 4.7); its value stays empty (Q17). */
static void set_error(struct call_record *record, const struct outcome *outcome)
{
    const struct wire_error *error = &outcome->error;
    bool is_given = error->type.len || error->message.len || error->value.len || error->traceback.len;
    bool is_failure = outcome->status != DR_STATUS_OK && outcome->status != DR_STATUS_UNSPECIFIED;
    if (is_given) {
        record->error.type = engine_blob(slice_of(error->type.data ? error->type.data : (const uint8_t *)"",
                                                  error->type.len));
        record->error.message = error->message.len ? engine_blob(error->message) : NULL;
        record->error.value = error->value.len ? engine_blob(error->value) : NULL;
        record->error.traceback = error->traceback.len ? engine_blob(error->traceback) : NULL;
    } else if (is_failure) {
        record->error.type = engine_blob_text(dr_status_name(outcome->status));
        record->error.message = engine_blob_text(dr_status_text(outcome->status));
    }
}

static void detach_attempt(struct engine *engine, struct call *call)
{
    struct attempt *attempt = call->attempt;
    if (!attempt)
        return;
    attempt->call = NULL; /* E8: the slot stays taken until the reply */
    call->attempt = NULL;
    struct engine_effect *effect = output_effect(engine, ENGINE_ABORT, 0);
    effect->start.id = attempt->id;
    effect->start.attempt = attempt->number;
}

void finish_call(struct engine *engine, struct call *call, const struct outcome *outcome, bool is_mailed)
{
    struct call_record *record = &call->record;
    CHECK(record->state != CALL_DONE); /* I1 */
    detach_attempt(engine, call);
    record->state = CALL_DONE;
    record->status = record->last_status = (uint8_t)outcome->status;
    record->wake_ns = 0;
    record->due_ns = 0;
    record->done_ns = engine->now_ns;
    uint64_t at = (uint64_t)engine->now_ns;
    engine->done_sequence = engine->done_sequence + 1 > at ? engine->done_sequence + 1 : at;
    record->done_sequence = engine->done_sequence;
    if (outcome->output.data)
        blob_set(&record->output, engine_blob(outcome->output));
    set_error(record, outcome);
    clear_poll(record);
    if (!is_mailed && record->mail == CALL_MAIL_OPEN)
        record->mail = CALL_MAIL_CONSUMED;

    mail_consume(engine, call, call->n_mail); /* nobody will ask for them any more */
    uint64_t sequence = output_write(engine, BATCH_UPDATE, RECORD_PROGRESS | RECORD_POLL | RECORD_RESULT, record);
    if (is_mailed && !id_is_none(record->parent))
        poll_deliver(engine, record, sequence);
    wait_wake(engine, record, sequence);
    engine->counts.done++;
    purge_plan(engine);
    resident_remove(engine, call);
}

void finish_failed(struct engine *engine, struct call *call, dr_status status, const char *type, const char *message)
{
    call->record.attempts++;
    struct outcome outcome = {.status = status};
    outcome.error.type = slice_text(type);
    outcome.error.message = slice_text(message);
    finish_call(engine, call, &outcome, true);
}

/* Exponential with full jitter; the endpoint's own wish wins (DESIGN section 4, Retry). */
static int64_t backoff(struct engine *engine, uint32_t failures, int64_t retry_after_ns)
{
    if (retry_after_ns > 0)
        return retry_after_ns;
    int64_t ceiling = engine->config.backoff_base_ns;
    for (uint32_t i = 1; i < failures && ceiling < engine->config.backoff_max_ns; i++)
        ceiling *= 2;
    if (ceiling > engine->config.backoff_max_ns)
        ceiling = engine->config.backoff_max_ns;
    return 1 + (int64_t)random_below(&engine->random, (uint64_t)ceiling);
}

static void note_failure(struct engine *engine, struct call_record *record, dr_status status, struct slice reason,
                         int64_t retry_after_ns)
{
    enum { REASON_BYTES_MAX = 1000 };
    reason = wire_utf8_prefix(reason, REASON_BYTES_MAX);
    record->attempts++;
    record->failures++;
    record->last_status = (uint8_t)status;
    blob_set(&record->last_error, reason.len ? engine_blob(reason) : NULL);
    record->due_ns = time_add(engine->now_ns, backoff(engine, record->failures, retry_after_ns));
}

static void schedule(struct engine *engine, struct call *call, unsigned fields)
{
    struct call_record *record = &call->record;
    record->state = CALL_SCHEDULED;
    record->wake_ns = record->due_ns < record->expires_ns ? record->due_ns : record->expires_ns;
    call->after_batch = output_write(engine, BATCH_UPDATE, fields | RECORD_PROGRESS, record);
    resident_place(engine, call);
}

void finish_retry(struct engine *engine, struct call *call, dr_status status, struct slice reason, int64_t retry_after_ns)
{
    engine->counts.retried++;
    note_failure(engine, &call->record, status, reason, retry_after_ns);
    schedule(engine, call, 0);
}

/* The run and what it waited for are abandoned; a new generation begins. */
static void abandon_run(struct engine *engine, struct call *call)
{
    mail_consume(engine, call, call->n_mail);
    call->n_outstanding = 0;
    call->record.generation++;
    clear_poll(&call->record);
}

void finish_tail_call(struct engine *engine, struct call *call, const struct wire_run_response *response,
                      int64_t retry_after_ns)
{
    struct call_record *record = &call->record;
    struct wire_call tail = response->tail_call;
    if (tail.endpoint.len == 0)
        tail.endpoint = blob_slice(record->endpoint);
    struct dr_error error = {0};
    if (wire_call_validate(&tail, true, &error) != DR_OK) {
        char *text = arena_printf(&engine->arena, "tail call refused: %s", error.message);
        CHECK(text);
        finish_failed(engine, call, DR_STATUS_INVALID_RESPONSE, "InvalidResponseError", text);
        return;
    }
    engine->counts.tail_called++;
    abandon_run(engine, call);
    if (dr_status_is_retryable(response->status)) {
        note_failure(engine, record, response->status, slice_text(dr_status_text(response->status)), retry_after_ns);
    } else {
        record->attempts++;
        record->failures = 0;
        record->last_status = (uint8_t)response->status;
        record->due_ns = engine->now_ns;
    }
    blob_set(&record->function, creation_text(tail.function, record->function));
    blob_set(&record->endpoint, creation_text(tail.endpoint, record->endpoint));
    if (tail.version.len)
        blob_set(&record->version, creation_text(tail.version, record->version));
    blob_set(&record->input, engine_blob(tail.input));
    schedule(engine, call, RECORD_CODE | RECORD_POLL);
}

void finish_restart(struct engine *engine, struct call *call, struct slice reason, int64_t retry_after_ns)
{
    struct call_record *record = &call->record;
    engine->counts.restarted++;
    abandon_run(engine, call);
    note_failure(engine, record, DR_STATUS_INCOMPATIBLE_STATE, reason, retry_after_ns);
    if (record->has_children) {
        record->sweep_below = record->generation; /* E9 */
        sweep_add(engine, record->id, record->sweep_below);
    }
    schedule(engine, call, RECORD_CODE | RECORD_POLL);
}
